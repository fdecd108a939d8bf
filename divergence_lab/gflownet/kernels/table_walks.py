"""Trajectories through a table of chances on a GPU: one kernel for all steps of all of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from divergence_lab.gflownet.kernels import availability

WIDEST = 1024  # actions
TILE = 1024  # chances that a program looks at in one step


def applies(cumulative: Tensor) -> bool:
    """Whether the kernel draws from this table [M, A - 1, S + 1]."""
    return availability.usable(cumulative.device) and cumulative.shape[1] < WIDEST


def steps(cumulative: Tensor, next_state: Tensor, uniforms: Tensor) -> Tensor:
    """slot * (S+1) + state of each step, [M, T, B], from uniforms [M, T, B]: the slot is the
    number of cumulative chances at or below u, next_state [A * (S+1)] says where it leads.
    """
    from divergence_lab.gflownet.kernels import walk_kernels

    kernel: Any = walk_kernels.walk_table
    n_members, n_steps, batch = uniforms.shape
    index = torch.empty(uniforms.shape, dtype=torch.int64, device=uniforms.device)
    actions = 1 << (cumulative.shape[1]).bit_length()
    block = min(128, max(1, TILE // actions))
    with torch.cuda.device_of(uniforms):
        kernel[(n_members, -(-batch // block))](
            cumulative.contiguous(),
            next_state,
            uniforms.contiguous(),
            index,
            n_steps,
            batch,
            cumulative.shape[2],
            cumulative.shape[1],
            ACTIONS=actions,
            BATCH=block,
        )
    return index
