"""The exact flow of probability through an enumerated graph: one pass over its levels, the
softmax included.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from divergence_lab.gflownet.devices import one_thread
from divergence_lab.gflownet.kernels import availability, laws
from divergence_lab.graphs import constants, dag

SMALL = 2**15  # numbers in a level of average size, all members together


@dataclass(frozen=True, eq=False)
class _Level:
    """States `low` to `high` - 1, n of them, and where they are to be looked up, in 32 bits: the
    passes read memory.

    `parents` [P * n]: edges that enter, as slot * S + parent, A * S where there is none.
    `children` [(A-1) * n]: S where the action is not allowed.  `shut` [A, n]: the action is not
    allowed.
    """

    low: int
    high: int
    parents: Tensor
    children: Tensor
    shut: Tensor


def _levels(graph: dag.PointedDAG, device: torch.device) -> list[_Level]:
    return constants.keep(graph, ("levels", str(device)), _make, graph, device)


def _make(graph: dag.PointedDAG, device: torch.device) -> list[_Level]:
    n_actions, n_states = graph.child.shape
    # torch looks up by 32-bit numbers too; the largest is A * S
    whole = np.int32 if n_actions * n_states < 2**31 else np.int64
    levels = []
    for low, high in graph.level_slices:
        into, out = graph.incoming[:, low:high], graph.child[:, low:high]
        parents = np.where(into >= 0, into, n_actions * n_states).astype(whole)
        children = np.where(out[:-1] >= 0, out[:-1], n_states).astype(whole)
        levels.append(
            _Level(
                low,
                high,
                *(
                    torch.from_numpy(array).to(device)
                    for array in (parents.ravel(), children.ravel(), out < 0)
                ),
            )
        )
    return levels


def _is_small(logits: Tensor, graph: dag.PointedDAG) -> bool:
    return logits.device.type == "cpu" and logits.numel() < SMALL * len(graph.level_slices)


class _Visits(torch.autograd.Function):
    """`_forward` and `_backward`, or their kernels on a GPU."""

    @staticmethod
    def forward(ctx, logits: Tensor, graph: dag.PointedDAG) -> Tensor:
        in_torch = lambda: _forward(graph, logits)  # noqa: E731
        if laws.applies(graph, logits):
            visits = availability.ours_or_torch(
                graph,
                "laws",
                lambda: laws.forward(graph, logits),
                in_torch,
                lambda found: availability.close(found[:1], _forward(graph, logits[:1])),
            )
        else:
            visits = in_torch()
        ctx.graph = graph
        ctx.save_for_backward(visits)
        return visits

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, upstream: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride] (torch's own way)
        (visits,) = ctx.saved_tensors
        graph = ctx.graph
        in_torch = lambda: _backward(graph, visits, upstream)  # noqa: E731
        if not laws.applies(graph, visits):
            return in_torch(), None
        gradient = availability.ours_or_torch(
            graph,
            "gradients of laws",
            lambda: laws.backward(graph, visits, upstream),
            in_torch,
            lambda found: availability.close(found[:1], _backward(graph, visits[:1], upstream[:1])),
        )
        return gradient, None


def _forward(graph: dag.PointedDAG, logits: Tensor) -> Tensor:
    """Level by level: softmax, times the sum of what flows in."""
    n_members, n_actions, n_states = logits.shape
    # one place more, which stays 0: where there is no parent
    flat = logits.new_empty(n_members, n_actions * n_states + 1)
    flat[:, -1] = 0.0
    visits = flat[:, :-1].view(n_members, n_actions, n_states)
    with one_thread(_is_small(logits, graph)):
        for level in _levels(graph, logits.device):
            here = logits[:, :, level.low : level.high].masked_fill(level.shut, -torch.inf)
            chances = torch.softmax(here, dim=1)
            if level.low:
                into = flat.index_select(1, level.parents).view(
                    n_members, -1, level.high - level.low
                )
                chances.mul_(into.sum(dim=1, keepdim=True))
            visits[:, :, level.low : level.high] = chances
    return visits


def _backward(graph: dag.PointedDAG, visits: Tensor, upstream: Tensor) -> Tensor:
    """The same levels from the last to the first.

    With w(s, a) = dL/dv(s, a) + u(child), u(s) = sum_a P_F(a|s) w(s, a): dL/dlogit(s, a) = v(s, a)
    (w(s, a) - u(s)).
    """
    n_members, n_actions, n_states = visits.shape
    worth = visits.new_zeros(n_members, n_states + 1)  # u of the sink, the last, is 0
    gradient = torch.empty_like(visits)
    with one_thread(_is_small(visits, graph)):
        for level in reversed(_levels(graph, visits.device)):
            at = slice(level.low, level.high)
            ahead = worth.index_select(1, level.children).view(
                n_members, n_actions - 1, level.high - level.low
            )
            gain = upstream[:, :, at].clone()
            gain[:, :-1] += ahead
            here = visits[:, :, at]
            # what is never reached has no gradient, whatever its worth
            total = here.sum(dim=1).clamp_(min=torch.finfo(visits.dtype).tiny)
            worth[:, at] = (here * gain).sum(dim=1) / total
            torch.mul(here, gain.sub_(worth[:, None, at]), out=gradient[:, :, at])
    return gradient


def visits(graph: dag.PointedDAG, logits: Float[Tensor, "*M A S"]) -> Float[Tensor, "*M A S"]:
    """v(s, a) = d(s) P_F(a|s), how often a trajectory takes each action.

    d(s) = sum over edges into s of v, d(source) = 1; P_F = softmax of the logits over the allowed
    actions, so log P_F will do for logits.  In the dtype of the logits; differentiable once.  Each
    sum has a fixed order, so the same input gives the same bits on the same device.
    """
    return _Visits.apply(logits.reshape(-1, *logits.shape[-2:]), graph).view(logits.shape)
