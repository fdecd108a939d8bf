"""Exact expected losses: every object weighted by how often training would draw it, with no
sampling.

DB and FM: edges and states by their visits.  TB: for losses that are sums of c x^n e^{ax}, by
recursions over the graph, because residuals add along a path.  Everything else: all trajectories,
where they can be listed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from divergence_lab.gflownet import objectives, samplers
from divergence_lab.gflownet.listed import flow, sampling
from divergence_lab.gflownet.listed.visits import visits
from divergence_lab.gflownet.policies.policy import Policy
from divergence_lab.graphs import constants, dag
from divergence_lab.graphs.tables import tables

Terms = Sequence[tuple[float, int, float]]
ON_POLICY = samplers.Sampler()


def expected_residuals(
    graph: dag.PointedDAG,
    chosen: objectives.Objective,
    model: flow.Flow,
    sampler: samplers.Sampler = ON_POLICY,
) -> objectives.Residuals:
    """x [M, O, 1] of every edge (db) or state but the source (fm), with its expected visits in one
    trajectory as weight.

    So sum_O weight g(x) is E over trajectories of the objective's sum, for any g.  `sampler`:
    epsilon or tempered.
    """
    objectives.refuse_of_the_released_code(chosen, "an expected gradient")
    log_pf = model.log_pf
    visited = visits(graph, _behaviour(graph, log_pf, sampler))
    log_flow = model.log_flow
    if chosen.kind == "fm":
        x = objectives.needed(log_flow)[:, 1:] - objectives.needed(model.log_inflow)[:, 1:]
        return objectives.Residuals(x[..., None], visited.sum(dim=1)[:, 1:, None])
    if chosen.kind != "db":
        raise ValueError(
            f"{chosen.name} has no edges or states to sum over; use expected_tb or listed_residuals"
        )
    on_device = tables(graph, log_pf.device, log_pf.dtype)
    width = graph.n_states + 1
    child = on_device.next_state.view(graph.n_actions, width)[:-1, :-1]
    log_flow = objectives.needed(log_flow)
    ahead = pad(log_flow, (0, 1)).index_select(1, child.flatten()).view(len(log_pf), *child.shape)
    back = (ahead + model.log_pb[:, :-1]).expand(log_pf.shape[0], -1, -1)
    stop = on_device.log_reward.expand(log_pf.shape[0], 1, -1)
    x = torch.cat([back, stop], dim=1) - log_pf - log_flow[:, None]
    x = torch.where(on_device.mask == 0, x, 0.0)
    return objectives.Residuals(x.flatten(1)[..., None], visited.flatten(1)[..., None])


@torch.no_grad()
def row_visits(
    policy: Policy[dag.PointedDAG], model: flow.Flow, sampler: samplers.Sampler = ON_POLICY
) -> Float[Tensor, "M R S"]:
    """How often each row of a tabular policy's parameters is at work in one trajectory.

    Logits of actions, and of backward actions, by the visits of their edge; log F(s) by those of s.
    """
    graph, heads = policy.space, policy.heads
    edges = visits(graph, _behaviour(graph, model.log_pf, sampler))
    rows = [edges]
    if heads.n_back:
        on_device = tables(graph, edges.device, edges.dtype)
        rows.append(edges.flatten(1)[:, on_device.incoming] * on_device.incoming_exists)
    if heads.flow:
        rows.append(edges.sum(dim=1, keepdim=True))
    return torch.cat(rows, dim=1)


def expected_tb(
    graph: dag.PointedDAG, model: flow.Flow, terms: Terms, sampler: samplers.Sampler = ON_POLICY
) -> Float[Tensor, " M"]:
    """E_tau sum_k c_k x^n_k e^{a_k x} of the trajectory residual x, the law of tau held constant;
    differentiable.

    For each a, at every state: l = log sum over paths to it of P(path) e^{a x(path)}, and the
    moments m_n = sum of P e^{ax} x^n / e^l.  An edge of residual d takes (l, m_n) to (l + log P + a
    d, sum_j C(n, j) d^{n-j} m_j), and paths that meet are averaged with weights e^l: no number
    overflows before the end.  In float64: terms of one loss cancel, and powers grow.
    """
    log_pf, log_pb, start = (part.double() for part in (model.log_pf, model.log_pb, -model.log_z))
    log_chance = _behaviour(graph, log_pf, sampler)
    stop = tables(graph, log_chance.device, log_chance.dtype).log_reward.expand(
        log_chance.shape[0], 1, -1
    )
    back = log_pb[:, :-1].expand(log_chance.shape[0], -1, -1)
    step = torch.cat([back, stop], dim=1) - log_pf
    # an action that is not allowed is never looked up; its infinities must not meet a gradient of 0
    allowed = tables(graph, log_chance.device, log_chance.dtype).mask == 0
    step = torch.where(allowed, step, 0.0)
    total = torch.zeros_like(start)
    for a in sorted({a for _, _, a in terms}):
        wanted = [(c, n) for c, n, other in terms if other == a]
        log_mass, moments = _moments(graph, log_chance, step, start, a, max(n for _, n in wanted))
        for c, n in wanted:
            total = total + c * log_mass.exp() * moments[n]
    return total


def _moments(
    graph: dag.PointedDAG, log_chance: Tensor, step: Tensor, start: Tensor, a: float, highest: int
) -> tuple[Tensor, list[Tensor]]:
    """(l, [m_0 ... m_highest]) at the end of all trajectories, [M] each; residuals begin at
    `start` [M].
    """
    n_states = graph.n_states
    incoming = constants.constant(
        graph, "incoming", lambda: graph.incoming, step.device, torch.long
    )
    log_edge = (log_chance + a * step).flatten(1)
    # states of a few levels back are all that is looked up: `base` is the first that is kept
    kept = [torch.stack([a * start, *(start**n for n in range(1, highest + 1))])[..., None]]
    base = 0
    ends = [_stopped(log_chance, step, kept[0], a, 0, 1, highest)]
    back_to = _oldest_parents(graph)
    for (low, high), oldest in zip(graph.level_slices[1:], back_to[1:], strict=True):
        while base + kept[0].shape[-1] <= oldest:
            base += kept.pop(0).shape[-1]
        into = incoming[:, low:high]
        exists = into >= 0
        edge, parent = into.clamp(min=0), into.clamp(min=0) % n_states - base
        before = torch.cat(kept, dim=-1)[:, :, torch.where(exists, parent, 0)]  # [1 + N, M, P, n]
        moved = _shift(before, step.flatten(1)[:, edge], highest)
        log_mass = torch.where(exists, before[0] + log_edge[:, edge], -torch.inf)
        kept.append(_merge(log_mass, moved, dim=1))
        ends.append(_stopped(log_chance, step, kept[-1], a, low, high, highest))
    last = torch.cat(ends, dim=-1)[:, :, tables(graph, step.device, step.dtype).terminal_states]
    together = _merge(last[0], list(last[1:]), dim=1)
    ones = torch.ones_like(together[0])
    return together[0], [ones, *together[1:]]


def _stopped(
    log_chance: Tensor, step: Tensor, here: Tensor, a: float, low: int, high: int, highest: int
) -> Tensor:
    """What has stopped in the states `low` to `high` - 1: [1 + N, M, n]."""
    residual = step[:, -1, low:high]
    log_mass = here[0] + log_chance[:, -1, low:high] + a * residual
    return torch.stack([log_mass, *_shift(here, residual, highest)])


def _shift(before: Tensor, residual: Tensor, highest: int) -> list[Any]:
    """The moments 1 ... N after a step: sum_j C(n, j) d^{n-j} m_j with m_0 = 1."""
    moments = [1.0, *before[1:]]
    return [
        sum(math.comb(n, j) * residual ** (n - j) * moments[j] for j in range(n + 1))
        for n in range(1, highest + 1)
    ]


def _merge(log_mass: Tensor, moments: list[Tensor], dim: int) -> Tensor:
    """Paths that meet: [1 + N, M, ..] without the axis `dim` of log_mass."""
    total = torch.logsumexp(log_mass, dim=dim, keepdim=True)
    share = (log_mass - total).exp()
    return torch.stack([total.squeeze(dim), *((share * moment).sum(dim=dim) for moment in moments)])


def _oldest_parents(graph: dag.PointedDAG) -> list[int]:
    """The first state that any state of this level, or of a later one, has as a parent."""
    oldest, found = graph.n_states, []
    for low, high in reversed(graph.level_slices):
        into = graph.incoming[:, low:high]
        parents = into[into >= 0] % graph.n_states
        oldest = min(oldest, int(parents.min()) if parents.size else graph.n_states)
        found.append(oldest)
    return found[::-1]


def listed_residuals(
    graph: dag.PointedDAG,
    chosen: objectives.Objective,
    model: flow.Flow,
    walked: sampling.Trajectories,
    sampler: samplers.Sampler = ON_POLICY,
) -> objectives.Residuals:
    """x [M, O, J] of all J trajectories, `walked` [1, T, J], each weighted by its probability: for
    any objective and g.

    The weights sum over J to J, as those of a batch do.  vargrad: the limit of a large batch, log Z
    replaced by E[log R + log P_B - log P_F].
    """
    behaviour = _behaviour(graph, model.log_pf, sampler).nan_to_num(neginf=0.0)
    law = sampling.gather_steps(sampling.with_sink(behaviour), walked).exp()[:, None]
    count = walked.index.shape[-1]
    if chosen.kind == "vargrad":
        estimate = flow.steps_along(graph, model, walked).increment.sum(dim=1, keepdim=True)
        held = (law * estimate.detach()).sum(dim=-1, keepdim=True)
        return objectives.Residuals(estimate - held, law * count)
    found = flow.residuals_along(graph, chosen, model, walked)
    return objectives.Residuals(found.x, found.weight * law * count)


def _behaviour(graph: dag.PointedDAG, log_pf: Tensor, sampler: samplers.Sampler) -> Tensor:
    """log of the policy that draws, held constant: [M, A, S]."""
    if sampler.backward or sampler.replay:
        raise ValueError(
            "expected losses need a sampler that walks forward: on, epsilon or tempered"
        )
    with torch.no_grad():
        return samplers.log_behaviour(
            sampler, log_pf.detach(), tables(graph, log_pf.device, log_pf.dtype).mask
        )
