"""One level of an enumerated graph in one kernel: probability forward, its gradient backward.

A program has BLOCK states of one member, and looks at all their actions and all their parents at
once, in tiles [ACTIONS, BLOCK] and [PARENTS, BLOCK] (powers of two, as Triton wants them).  It
gathers and never adds in memory, so every sum has one order and the same input gives the same bits.

A recorded launch is repeated with the same arguments: where tables lie is read from `addresses`,
which is filled in before.
"""

import torch
import triton
import triton.language as tl

NUMBERS = {torch.float32: tl.float32, torch.float64: tl.float64}


@triton.jit(do_not_specialize=["low", "count"])
def forward_level(
    addresses,
    child,
    incoming,
    low,
    count,
    n_states,
    n_actions,
    n_parents,
    NUMBER: tl.constexpr,
    ACTIONS: tl.constexpr,
    PARENTS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """v(s, a) = d(s) P_F(a|s), d(s) = the sum of v over edges into s, 1 in the source, state 0.

    addresses: of the logits [M, A, S] and of v [M, A, S], of earlier levels already filled in.
    """
    logits = tl.load(addresses).to(tl.pointer_type(NUMBER))
    visits = tl.load(addresses + 1).to(tl.pointer_type(NUMBER))
    base = tl.program_id(1).to(tl.int64) * n_actions * n_states
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    here = place < count
    state = low + place

    parent = tl.arange(0, PARENTS)[:, None]
    there = here[None, :] & (parent < n_parents)
    edge = tl.load(incoming + parent * n_states + state[None, :], mask=there, other=-1)
    arriving = tl.load(visits + base + edge, mask=edge >= 0, other=0.0)
    inflow = tl.where(state == 0, 1.0, tl.sum(arriving, axis=0))

    action = tl.arange(0, ACTIONS)[:, None]
    wanted = here[None, :] & (action < n_actions)
    entry = action * n_states + state[None, :]
    allowed = tl.load(child + entry, mask=wanted, other=-1) >= 0
    logit = tl.load(logits + base + entry, mask=allowed, other=float("-inf"))
    # lanes beyond the level have no action at all; 0 there keeps -inf - -inf away
    largest = tl.where(here, tl.max(logit, axis=0), 0.0)
    chance = tl.exp(logit - largest[None, :])
    scale = inflow / tl.where(here, tl.sum(chance, axis=0), 1.0)
    tl.store(visits + base + entry, chance * scale[None, :], mask=wanted)


@triton.jit(do_not_specialize=["low", "count"])
def backward_level(
    addresses,
    child,
    low,
    count,
    n_states,
    n_actions,
    NUMBER: tl.constexpr,
    ACTIONS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """dL/dlogit(s, a) = v(s, a) (w(s, a) - u(s)), w = dL/dv + u(child), u(s) = sum_a P_F(a|s) w.

    addresses: of v, of dL/dv and of dL/dlogit, [M, A, S] each, and of u [M, S], of later levels
    already filled in; that of the sink is 0.
    """
    visits = tl.load(addresses).to(tl.pointer_type(NUMBER))
    upstream = tl.load(addresses + 1).to(tl.pointer_type(NUMBER))
    gradient = tl.load(addresses + 2).to(tl.pointer_type(NUMBER))
    worth = tl.load(addresses + 3).to(tl.pointer_type(NUMBER))
    member = tl.program_id(1).to(tl.int64)
    base = member * n_actions * n_states
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    here = place < count
    state = low + place

    action = tl.arange(0, ACTIONS)[:, None]
    wanted = here[None, :] & (action < n_actions)
    entry = action * n_states + state[None, :]
    to = tl.load(child + entry, mask=wanted, other=-1)
    allowed = to >= 0
    inner = allowed & (to < n_states)
    visit = tl.load(visits + base + entry, mask=allowed, other=0.0)
    gain = tl.load(upstream + base + entry, mask=allowed, other=0.0)
    gain += tl.load(worth + member * n_states + to, mask=inner, other=0.0)
    total = tl.sum(visit, axis=0)
    # what is never reached has no gradient, whatever its worth
    mean = tl.sum(visit * gain, axis=0) / tl.where(total == 0.0, 1.0, total)
    tl.store(worth + member * n_states + state, mean, mask=here)
    tl.store(gradient + base + entry, visit * (gain - mean[None, :]), mask=wanted)
