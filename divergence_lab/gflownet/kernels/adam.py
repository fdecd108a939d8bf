"""Adam's step of all members on a GPU: two kernels, where torch needs some fifty."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from divergence_lab.gflownet.kernels import availability

BLOCK = 2048  # numbers that a program holds
MOST_BLOCKS = 8192  # of a member: a program adds up their sums
MOST_MEMBERS = 65_535  # a launch has no more rows


def applies(values: Tensor) -> bool:
    """Whether the kernels take these values [M, N]."""
    return (
        availability.usable(values.device)
        and values.dtype == torch.float32
        and 0 < len(values) <= MOST_MEMBERS
        and values.shape[1] <= BLOCK * MOST_BLOCKS
    )


def step(
    gradient: Tensor,
    table: tuple[Tensor, Tensor, Tensor],
    count: Tensor,
    rates: Tensor,
    numbers: Tensor,
) -> Tensor:
    """Values, mean and square [M, N] of the table brought one step on, in place; [M, 1]: 1, or 0
    of a member whose gradient is not finite, which stays.

    gradient [M, N], count [M, 1] steps so far, rates [M, 2]; numbers [5] in float64: the greatest
    norm, weight decay, beta_1, beta_2, epsilon.
    """
    from divergence_lab.gflownet.kernels import adam_kernels

    norms: Any = adam_kernels.sums_of_squares
    update: Any = adam_kernels.update
    n_members, size = gradient.shape
    blocks = -(-size // BLOCK)
    sums = gradient.new_empty(n_members, blocks, dtype=torch.float64)
    moves = torch.empty_like(count)
    with torch.cuda.device_of(gradient):
        norms[blocks, n_members](gradient, sums, size, BLOCK=BLOCK)
        update[blocks, n_members](
            gradient,
            *table,
            count,
            rates.contiguous(),
            sums,
            moves,
            size,
            *numbers.unbind(),
            BLOCK=BLOCK,
            SUMS=1 << (blocks - 1).bit_length(),
        )
    return moves
