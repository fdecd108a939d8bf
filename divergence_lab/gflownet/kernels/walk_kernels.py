"""Walks of an MLP policy in one persistent kernel.

A program has BATCH trajectories of one member, whose states stay in registers.  At each step it
adds up rows of the first layer, passes them through the others in blocks of COLUMNS columns, draws
an action for each trajectory and moves it; when all have stopped it only writes down that they
stay.  Blocks are powers of two, and products of at least 16 x 16 x 16, as Triton wants them.

Between two layers up to 256 units wide the units stay in registers.  Of more layers, or wider
ones, they lie in memory (KEPT) and are read DEEP at a time: else the compiler runs out of registers
(512 units, three layers: 20 kB of them a thread were moved to memory and back).
"""

import triton
import triton.language as tl

NUMBER, GRID, WORDS = 0, 1, 2  # what a state is: see `Moves`
# the same for the kernel, which reads no other kind of name
_NUMBER, _GRID = tl.constexpr(NUMBER), tl.constexpr(GRID)


@triton.jit
def add_row(hidden, first, ones, state, number, column, j, VALUES: tl.constexpr,
            COORDINATES: tl.constexpr, WIDTH: tl.constexpr, SLOTS: tl.constexpr,
            KIND: tl.constexpr):  # fmt: skip
    """hidden [BATCH, C] plus the row of the first layer that coordinate j of the state chooses."""
    if KIND == _NUMBER:
        row = tl.load(ones + number * COORDINATES + j)
    else:
        slot = tl.arange(0, SLOTS)[None, :]
        row = j * VALUES + tl.sum(tl.where(slot == j, state, 0), axis=1)
    place = row.to(tl.int64)[:, None] * WIDTH + column[None, :]
    return hidden + tl.load(first + place, mask=(column < WIDTH)[None, :], other=0.0)


@triton.jit
def first_layer(first, bias, ones, state, number, column, VALUES: tl.constexpr,
                COORDINATES: tl.constexpr, WIDTH: tl.constexpr, SLOTS: tl.constexpr,
                KIND: tl.constexpr, BATCH: tl.constexpr):  # fmt: skip
    """relu(bias + a sum of rows), [BATCH, C], in these columns [C]."""
    at = tl.load(bias + column, mask=column < WIDTH, other=0.0)
    hidden = tl.zeros([BATCH, 1], dtype=tl.float32) + at[None, :]
    if COORDINATES <= 8:
        for j in tl.static_range(COORDINATES):
            hidden = add_row(
                hidden, first, ones, state, number, column, j, VALUES, COORDINATES, WIDTH, SLOTS,
                KIND,
            )  # fmt: skip
    else:
        for j in range(COORDINATES):
            hidden = add_row(
                hidden, first, ones, state, number, column, j, VALUES, COORDINATES, WIDTH, SLOTS,
                KIND,
            )  # fmt: skip
    return tl.maximum(hidden, 0.0)


@triton.jit
def next_layer(hidden, weight, bias, wide, column, WIDTH: tl.constexpr):
    """relu(bias + hidden weight), [BATCH, C], in these columns [C]; hidden [BATCH, WIDE]."""
    there = (wide < WIDTH)[:, None] & (column < WIDTH)[None, :]
    block = tl.load(weight + wide[:, None] * WIDTH + column[None, :], mask=there, other=0.0)
    at = tl.load(bias + column, mask=column < WIDTH, other=0.0)
    return tl.maximum(tl.dot(hidden, block, input_precision="ieee") + at[None, :], 0.0)


@triton.jit
def kept_layer(kept, weight, bias, column, WIDTH: tl.constexpr, BATCH: tl.constexpr,
               COLUMNS: tl.constexpr, DEEP: tl.constexpr):  # fmt: skip
    """The same of hidden units that lie in memory."""
    total = tl.zeros([BATCH, COLUMNS], dtype=tl.float32)
    for low in range(0, WIDTH, DEEP):
        unit = low + tl.arange(0, DEEP)
        hidden = tl.load(kept + unit[None, :], mask=(unit < WIDTH)[None, :], other=0.0)
        there = (unit < WIDTH)[:, None] & (column < WIDTH)[None, :]
        block = tl.load(weight + unit[:, None] * WIDTH + column[None, :], mask=there, other=0.0)
        total += tl.dot(hidden, block, input_precision="ieee")
    at = tl.load(bias + column, mask=column < WIDTH, other=0.0)
    return tl.maximum(total + at[None, :], 0.0)


@triton.jit
def draw(logits, allowed, uniform, action, temperature, epsilon):
    """The first allowed action whose cumulative probability is above the uniform, or else the last.

    No other action can be drawn, however the sums are rounded.
    """
    logits = tl.where(allowed, logits, float("-inf"))
    chance = tl.exp((logits - tl.max(logits, axis=1)[:, None]) / temperature)
    chance = chance / tl.sum(chance, axis=1)[:, None]
    number = tl.where(allowed, 1, 0)
    count = tl.sum(number, axis=1)[:, None]
    chance = (1.0 - epsilon) * chance + tl.where(allowed, epsilon / count.to(tl.float32), 0.0)
    last = tl.cumsum(number, axis=1) == count
    reached = allowed & (last | (uniform[:, None] < tl.cumsum(chance, axis=1)))
    return tl.min(tl.where(reached, action[None, :], action.shape[0]), axis=1)


@triton.jit(do_not_specialize=["n_steps", "batch", "temperature", "epsilon"])
def walk(
    first,
    first_stride,
    rest,
    rest_stride,
    child,
    ones,
    log_reward,
    classes,
    uniforms,
    states,
    actions,
    exists,
    scratch,
    n_steps,
    batch,
    temperature,
    epsilon,
    N_ACTIONS: tl.constexpr,
    N_ROWS: tl.constexpr,
    VALUES: tl.constexpr,
    COORDINATES: tl.constexpr,
    DEPTH: tl.constexpr,
    WIDTH: tl.constexpr,
    FLOWS: tl.constexpr,
    KIND: tl.constexpr,
    ACTIONS: tl.constexpr,
    SLOTS: tl.constexpr,
    WIDE: tl.constexpr,
    KEPT: tl.constexpr,
    COLUMNS: tl.constexpr,
    BATCH: tl.constexpr,
    DEEP: tl.constexpr,
):
    """states [M, T+1, B, D], actions and exists [M, T, B] from uniforms [M, T, B].

    first [M, ..]: the first layer's rows, WIDTH each.  rest [M, ..]: its bias, then weight and bias
    of each further layer; the last weight is [N_ROWS, WIDTH].  child [S, A], ones [S, J] and
    log_reward [S] are those of an enumerated graph; classes [VALUES] and log_reward those of a grid
    (`Moves`).  scratch: two layers of WIDE units for each trajectory, where they are KEPT.
    """
    member = tl.program_id(0).to(tl.int64)
    b = tl.program_id(1) * BATCH + tl.arange(0, BATCH)
    inside = b < batch
    action = tl.arange(0, ACTIONS)
    slot = tl.arange(0, SLOTS)[None, :]
    wide = tl.arange(0, WIDE)
    narrow = tl.arange(0, COLUMNS)
    first += member * first_stride
    rest += member * rest_stride
    last = rest + WIDTH + (DEPTH - 1) * (WIDTH * WIDTH + WIDTH)
    last_bias = tl.load(last + N_ROWS * WIDTH + action, mask=action < N_ACTIONS, other=0.0)
    program = member * tl.num_programs(1) + tl.program_id(1)
    kept = scratch + (program * BATCH + tl.arange(0, BATCH))[:, None] * (2 * WIDE)

    state = tl.zeros([BATCH, SLOTS], dtype=tl.int32)
    done = tl.where(inside, 0, 1)
    stored = inside[:, None] & (slot < COORDINATES if KIND != _NUMBER else slot < 1)
    dimensions: tl.constexpr = 1 if KIND == _NUMBER else COORDINATES
    place = (member * (n_steps + 1) * batch + b)[:, None] * dimensions + slot
    tl.store(states + place, state.to(tl.int64), mask=stored)
    for step in range(n_steps):
        was = done
        act = tl.zeros([BATCH], dtype=tl.int32) + (N_ACTIONS - 1)
        at = (member * n_steps + step) * batch + b
        if tl.sum(1 - done) > 0:
            number = tl.sum(state, axis=1)
            logits = tl.zeros([BATCH, ACTIONS], dtype=tl.float32)
            if KEPT:
                tl.debug_barrier()  # the step before has read what is written now
                for low in range(0, WIDTH, COLUMNS):
                    column = low + narrow
                    block = first_layer(
                        first, rest, ones, state, number, column, VALUES, COORDINATES, WIDTH,
                        SLOTS, KIND, BATCH,
                    )  # fmt: skip
                    tl.store(kept + column[None, :], block)
                tl.debug_barrier()
                for layer in range(DEPTH - 2):
                    weight = rest + WIDTH + layer * (WIDTH * WIDTH + WIDTH)
                    here, ahead = kept + (layer % 2) * WIDE, kept + (1 - layer % 2) * WIDE
                    for low in range(0, WIDTH, COLUMNS):
                        column = low + narrow
                        block = kept_layer(
                            here, weight, weight + WIDTH * WIDTH, column, WIDTH, BATCH, COLUMNS,
                            DEEP,
                        )  # fmt: skip
                        tl.store(ahead + column[None, :], block)
                    tl.debug_barrier()
            elif DEPTH > 1:
                hidden = first_layer(
                    first, rest, ones, state, number, wide, VALUES, COORDINATES, WIDTH, SLOTS,
                    KIND, BATCH,
                )  # fmt: skip
            for low in range(0, WIDTH, COLUMNS):
                column = low + narrow
                if KEPT:
                    weight = last - (WIDTH * WIDTH + WIDTH)
                    block = kept_layer(
                        kept + (DEPTH % 2) * WIDE, weight, last - WIDTH, column, WIDTH, BATCH,
                        COLUMNS, DEEP,
                    )  # fmt: skip
                elif DEPTH > 1:
                    weight = last - (WIDTH * WIDTH + WIDTH)
                    block = next_layer(hidden, weight, last - WIDTH, wide, column, WIDTH)
                else:
                    block = first_layer(
                        first, rest, ones, state, number, column, VALUES, COORDINATES, WIDTH,
                        SLOTS, KIND, BATCH,
                    )  # fmt: skip
                there = (action < N_ACTIONS)[None, :] & (column < WIDTH)[:, None]
                head = tl.load(
                    last + action[None, :] * WIDTH + column[:, None], mask=there, other=0.0
                )
                logits += tl.dot(block, head, input_precision="ieee")
            logits += last_bias[None, :]

            stop = action[None, :] == N_ACTIONS - 1
            to = tl.zeros([BATCH, ACTIONS], dtype=tl.int32)
            if KIND == _NUMBER:
                to = tl.load(
                    child + number[:, None] * N_ACTIONS + action[None, :],
                    mask=(action < N_ACTIONS)[None, :],
                    other=-1,
                )
                allowed = to >= 0
            elif KIND == _GRID:
                allowed = stop | ((state < VALUES - 1) & (action[None, :] < N_ACTIONS - 1))
            else:
                filled = tl.zeros([BATCH, ACTIONS], dtype=tl.int32)
                for j in range(COORDINATES):
                    value = tl.sum(tl.where(slot == j, state, 0), axis=1)
                    mine = (action // (VALUES - 1) == j)[None, :]
                    filled = tl.where(mine & (value > 0)[:, None], 1, filled)
                some = tl.sum(tl.where((state == 0) & (slot < COORDINATES), 1, 0), axis=1) > 0
                free = (filled == 0) & (action[None, :] < N_ACTIONS - 1)
                allowed = free | (stop & (some[:, None] == 0))
            if FLOWS:
                if KIND == _NUMBER:
                    reward = tl.load(log_reward + number)
                    logits = tl.where(stop, reward[:, None], logits)
                elif KIND == _GRID:
                    kind = tl.load(classes + state, mask=slot < COORDINATES, other=2)
                    reward = tl.load(log_reward + tl.min(kind, axis=1))
                    logits = tl.where(stop, reward[:, None], logits)
            uniform = tl.load(uniforms + at, mask=inside, other=0.0)
            act = draw(logits, allowed, uniform, action, temperature, epsilon)
            act = tl.where(done == 1, N_ACTIONS - 1, act)

            moves = (act < N_ACTIONS - 1)[:, None]
            if KIND == _NUMBER:
                chosen = tl.sum(tl.where(action[None, :] == act[:, None], to, 0), axis=1)
                state = tl.where(moves, chosen[:, None], state)
            elif KIND == _GRID:
                state += tl.where(moves & (slot == act[:, None]), 1, 0)
            else:
                mine = slot == (act // (VALUES - 1))[:, None]
                state = tl.where(moves & mine, 1 + (act % (VALUES - 1))[:, None], state)
            done = tl.where(act == N_ACTIONS - 1, 1, done)
        place += batch * dimensions
        tl.store(states + place, state.to(tl.int64), mask=stored)
        tl.store(actions + at, act.to(tl.int64), mask=inside)
        tl.store(exists + at, (1 - was).to(tl.int8), mask=inside)


@triton.jit(do_not_specialize=["n_steps", "batch", "n_chances"])
def walk_table(
    cumulative,
    next_state,
    uniforms,
    index,
    n_steps,
    batch,
    n_columns,
    n_chances,
    ACTIONS: tl.constexpr,
    BATCH: tl.constexpr,
):
    """index [M, T, B] = slot * n_columns + state of every step, by uniforms [M, T, B].

    cumulative [M, n_chances, n_columns], one column a state; next_state [(n_chances + 1) n_columns]
    is where an action leads.
    """
    member = tl.program_id(0).to(tl.int64)
    b = tl.program_id(1) * BATCH + tl.arange(0, BATCH)
    inside = b < batch
    action = tl.arange(0, ACTIONS)[None, :]
    there = inside[:, None] & (action < n_chances)
    row = cumulative + member * n_chances * n_columns + action.to(tl.int64) * n_columns
    state = tl.zeros([BATCH], dtype=tl.int64)
    for step in range(n_steps):
        at = (member * n_steps + step) * batch + b
        uniform = tl.load(uniforms + at, mask=inside, other=0.0)
        chance = tl.load(row + state[:, None], mask=there, other=2.0)
        slot = tl.sum(tl.where(there & (uniform[:, None] >= chance), 1, 0), axis=1)
        place = slot.to(tl.int64) * n_columns + state
        tl.store(index + at, place, mask=inside)
        state = tl.load(next_state + place, mask=inside, other=0)
