"""The law of the trajectories that training draws: beta(tau) of every enumerated trajectory, under
every sampler.

    beta = (1 - b - r) prod behaviour(.|s) + b R(x)/Z* prod P_B + r buffer

with b and r the shares drawn backward and replayed.  The buffer's law is a constant: what it holds
was drawn by earlier policies.
"""

import torch
from torch import Tensor

from divergence_lab.gflownet.listed import exact, flow, sampling
from divergence_lab.gflownet.samplers import Sampler, log_behaviour
from divergence_lab.graphs.dag import PointedDAG
from divergence_lab.graphs.tables import tables
from divergence_lab.theorem.objects import Listing, log_steps

SHUT = (
    -1e4
)  # in place of -inf where an action is not allowed: no gradient is 0 times infinity there


def law(
    graph: PointedDAG,
    chosen: Sampler,
    model: flow.Flow,
    walked: sampling.Trajectories,
    buffer: Tensor | None = None,
) -> Tensor:
    """beta [J] of the trajectories, for a model with M = 1; differentiable.

    `buffer` [J] sums to 1.
    """
    fresh = 1 - chosen.backward - chosen.replay
    total = torch.zeros(walked.index.shape[-1], dtype=torch.float64)
    if fresh > 0:
        total = total + fresh * forward_law(graph, chosen, model.log_pf, walked)
    if chosen.backward:
        _, back = log_steps(graph, model, walked)
        total = total + chosen.backward * (back.sum(dim=0) - exact.log_partition(graph)).exp()
    if chosen.replay:
        if buffer is None:
            raise ValueError("a sampler that replays needs the law of its buffer")
        total = total + chosen.replay * buffer
    return total


def forward_law(
    graph: PointedDAG, chosen: Sampler, log_pf: Tensor, walked: sampling.Trajectories
) -> Tensor:
    """prod over steps of the behaviour policy: log_pf [1, A, S] -> [J]."""
    mask = tables(graph, "cpu", torch.float64).mask
    behaviour = log_behaviour(chosen, torch.where(mask == 0, log_pf, SHUT), mask)
    # actions that are not allowed are never gathered, but must be finite for the gradient of the
    # others
    behaviour = torch.where(mask == 0, behaviour, 0.0)
    return sampling.gather_steps(sampling.with_sink(behaviour), walked)[0].exp()


def object_weights(listing: Listing, beta: Tensor, weight: Tensor) -> Tensor:
    """mu(o) = sum over the places of o of beta(tau) weight, [N]: what an object is weighted by
    in expectation.
    """
    if listing.objective.kind == "vargrad":
        pairs = (beta[:, None] * beta).flatten()
        return torch.cat([pairs, pairs]) * weight[0]
    exists = listing.place >= 0
    amount = (beta * weight)[exists]
    return torch.zeros(listing.n_objects, dtype=amount.dtype).index_add(
        0, listing.place[exists], amount
    )
