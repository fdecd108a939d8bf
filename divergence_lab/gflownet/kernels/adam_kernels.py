"""Adam for all members in two kernels: what each gradient's norm is made of, and the update.

A program has BLOCK numbers of one member. Nothing is added up in memory: a norm is a sum of sums,
each written to a place of its own, so the same input gives the same bits.
"""

import triton
import triton.language as tl


@triton.jit
def sums_of_squares(gradient, sums, size, BLOCK: tl.constexpr):
    """sums [M, K]: of the squares of each block of gradient [M, N], in double, where the squares
    of float32 neither overflow nor vanish.
    """
    block, member = tl.program_id(0), tl.program_id(1).to(tl.int64)
    place = block * BLOCK + tl.arange(0, BLOCK)
    part = tl.load(gradient + member * size + place, mask=place < size, other=0.0).to(tl.float64)
    tl.store(sums + member * tl.num_programs(0) + block, tl.sum(part * part, axis=0))


@triton.jit
def update(
    gradient,
    values,
    mean,
    square,
    count,
    rates,
    sums,
    moves,
    size,
    max_norm,
    shrink,
    beta_1,
    beta_2,
    epsilon,
    BLOCK: tl.constexpr,
    SUMS: tl.constexpr,
):
    """values, mean, square [M, N] after one step, in place; moves [M]: 1, or 0 of a member whose
    gradient is not finite and which is left as it is.

    numbers of the member's steps so far: count [M]. rates [M, 2]: of all but the last, and of the
    last, log Z, which `shrink` (weight decay) leaves alone.  max_norm, shrink, beta_1, beta_2 and
    epsilon are tensors of one double each: as arguments they would be rounded to float32.
    """
    block, member = tl.program_id(0), tl.program_id(1).to(tl.int64)
    part, blocks = tl.arange(0, SUMS), tl.num_programs(0)
    total = tl.sum(tl.load(sums + member * blocks + part, mask=part < blocks, other=0.0), axis=0)
    moving = tl.where(total < float("inf"), 1, 0)  # 0 for NaN, too
    keep = tl.minimum(tl.load(max_norm) / tl.maximum(tl.sqrt(total), 1e-300), 1.0)
    b1, b2 = tl.load(beta_1), tl.load(beta_2)
    step = tl.load(count + member).to(tl.float64) + 1.0
    root = tl.sqrt(1.0 - tl.exp(step * tl.log(b2)))
    first = 1.0 - tl.exp(step * tl.log(b1))

    place = block * BLOCK + tl.arange(0, BLOCK)
    here = place < size * moving
    last = place == size - 1
    at = member * size + place
    value = tl.load(values + at, mask=here, other=0.0)
    slope = (tl.load(gradient + at, mask=here, other=0.0).to(tl.float64) * keep).to(value.dtype)
    slope += tl.where(last, 0.0, tl.load(shrink)).to(value.dtype) * value
    old = tl.load(mean + at, mask=here, other=0.0)
    first_moment = old + (slope - old) * (1.0 - b1).to(value.dtype)
    second = tl.load(square + at, mask=here, other=0.0) * b2.to(value.dtype)
    second += slope * slope * (1.0 - b2).to(value.dtype)
    rate = tl.where(last, tl.load(rates + 2 * member + 1), tl.load(rates + 2 * member))
    rate = (rate.to(tl.float64) * root / first).to(value.dtype)
    size_of_step = tl.sqrt(second) + (tl.load(epsilon) * root).to(value.dtype)
    tl.store(values + at, value - rate * (first_moment / size_of_step), mask=here)
    tl.store(mean + at, first_moment, mask=here)
    tl.store(square + at, second, mask=here)
    if block == 0:
        tl.store(moves + member, moving.to(value.dtype))
