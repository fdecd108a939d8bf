"""The residuals of an objective along trajectories of a generated space."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from divergence_lab.gflownet import objectives, samplers
from divergence_lab.gflownet.policies.policy import Parameters, Policy
from divergence_lab.gflownet.visited.places import Places, all_places, places
from divergence_lab.gflownet.visited.walks import (
    Walks,
    cumulative,
    log_edge,
    log_paths_of,
    pick_actions,
    walk_back,
)
from divergence_lab.graphs.generated import GeneratedDAG, sources

NONE = -1e30  # the logarithm of no flow: with -inf, a sum of nothing has a gradient of NaN


def residuals_along(
    policy: Policy[GeneratedDAG],
    parameters: Parameters,
    chosen: objectives.Objective,
    backward: str,
    walked: Walks,
) -> objectives.Residuals:
    """The residuals of `chosen` on these trajectories: [M, O, B]."""
    if chosen.kind == "fm":
        return _flow_matching(policy, parameters, chosen, walked)
    return objectives.residuals(chosen, steps_along(policy, parameters, chosen, backward, walked))


def steps_along(
    policy: Policy[GeneratedDAG],
    parameters: Parameters,
    chosen: objectives.Objective,
    backward: str,
    walked: Walks,
) -> objectives.Steps:
    """The model along these trajectories, from one evaluation of its places (places.py)."""
    dag, n_actions = policy.space, policy.heads.n_actions
    there = places(policy, parameters, walked.states[:, :-1], walked.exists)
    allowed = dag.allowed(there.states).movedim(-1, 1)
    edges = chosen.flow == "edges"
    if edges:
        logits, rest = log_edge(policy, there.rows(), there.states, allowed), None
    else:
        rows = there.rows()
        logits, rest = rows[:, :n_actions].masked_fill(~allowed, -torch.inf), rows[:, n_actions:]
    norm = torch.logsumexp(logits, dim=1, keepdim=True)
    log_pf = logits - norm
    log_stop = there.put(there.each(log_pf[:, -1:])[:, 0]) if chosen.flow == "modified" else None
    of_model = _OfModel(there.pick(log_pf, walked.actions), log_stop, rest)
    # flow matching's Z is what flows out of the source
    flows_out = edges or chosen.flow == "exits"
    log_z = there.put(there.each(norm)[:, 0])[:, 0, 0] if flows_out else parameters["log_z"]
    return _steps(policy, log_z, chosen, backward, walked, there, of_model)


def walk_once(
    policy: Policy[GeneratedDAG],
    parameters: Parameters,
    chosen: samplers.Sampler,
    objective: objectives.Objective,
    backward: str,
    uniforms: Tensor,
    bits: Tensor | None = None,
) -> tuple[Walks, objectives.Steps]:
    """`walk` and `steps_along` in one pass: what a state was drawn from is what its residual is
    made of.

    So with dropout (bits [N, T, B, K]) the trajectories are still on-policy, and every state is
    evaluated once.  For spaces whose trajectories are about equally long: those that have stopped
    are evaluated all the same.
    """
    dag, stop = policy.space, policy.heads.n_actions - 1
    n_members, n_steps, batch = uniforms.shape
    done = torch.zeros(n_members, batch, dtype=torch.bool, device=uniforms.device)
    learns_flow = objective.flow in ("free", "forward-looking") and not objective.tied
    rows_at_the_end = learns_flow or objective.flow == "modified" or backward == "learned"
    states, drawn = [sources(dag, (n_members, batch), uniforms.device)], []
    for step in range(n_steps):
        given = () if bits is None else (bits[:, step],)
        action, *said = (
            _draw_once(policy, parameters, chosen, states[-1], uniforms[:, step], *given)
            if rows_at_the_end or step < n_steps - 1
            else _stop_at_last(policy, uniforms[:, step])
        )
        action = torch.where(done, stop, action)
        drawn.append((action, ~done, *said))
        states.append(dag.step(states[-1], action))
        done = done | (action == stop)
    actions, exists, log_pf, log_stop, rest = (
        torch.stack(part, dim=dim)
        for part, dim in zip(zip(*drawn, strict=True), (1, 1, 1, 1, 2), strict=True)
    )
    walked = Walks(torch.stack(states, dim=1), actions, exists)
    there = all_places(policy, parameters, walked.states[:, :-1], exists)
    log_pf, log_stop = (torch.where(exists, part, 0.0) for part in (log_pf, log_stop))
    of_model = _OfModel(log_pf, log_stop, rest.flatten(2))
    return walked, _steps(policy, parameters["log_z"], objective, backward, walked, there, of_model)


def _draw_once(
    policy: Policy[GeneratedDAG],
    parameters: Parameters,
    chosen: samplers.Sampler,
    state: Tensor,
    noise: Tensor,
    *bits: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The actions drawn in these states, log P_F of them and of the stop, [M, B] each, and the rows
    after the logits.
    """
    n_actions = policy.heads.n_actions
    rows = policy.rows(parameters, state, *bits)
    allowed = policy.space.allowed(state).movedim(-1, 1)
    log_pf = torch.log_softmax(rows[:, :n_actions].masked_fill(~allowed, -torch.inf), dim=1)
    with torch.no_grad():
        action = pick_actions(cumulative(chosen, log_pf.detach(), allowed), noise)
    taken = log_pf.gather(1, action[:, None])[:, 0]
    return action, taken, log_pf[:, -1], rows[:, n_actions:]


def _stop_at_last(
    policy: Policy[GeneratedDAG], noise: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The same where nothing but the stop is left, and no row is needed: without an evaluation."""
    heads, zero = policy.heads, torch.zeros_like(noise)
    rest = zero[:, None].expand(-1, heads.n_rows - heads.n_actions, -1)
    return torch.full_like(zero, heads.n_actions - 1, dtype=torch.long), zero, zero, rest


@dataclass(frozen=True, eq=False)
class _OfModel:
    """log P_F of the action taken and of the stop, [M, T, B], and the rows after the logits [m,
    R - A, N]; None if unused.
    """

    log_pf: Tensor
    log_stop: Tensor | None
    rest: Tensor | None


def _steps(
    policy: Policy[GeneratedDAG],
    log_z: Tensor,
    chosen: objectives.Objective,
    backward: str,
    walked: Walks,
    there: Places,
    of_model: _OfModel,
) -> objectives.Steps:
    dag = policy.space
    states, exists = walked.states[:, :-1], walked.exists
    is_stop = exists & (walked.actions == policy.heads.n_actions - 1)
    # a stop leaves the state: rewards, which may be dear, are asked of the ends alone
    log_reward = torch.where(is_stop, dag.log_reward(walked.terminal)[:, None], 0.0).to(
        of_model.log_pf.dtype
    )
    log_pb = _log_pb(policy, of_model, backward, walked, there)
    increment = torch.where(is_stop, log_reward, torch.where(exists, log_pb, 0.0)) - of_model.log_pf
    log_flow = None
    if chosen.flow == "modified":
        stop = objectives.needed(of_model.log_stop)
        log_flow = torch.where(exists, dag.log_reward(states).to(stop.dtype) - stop, 0.0)
        log_z = log_flow[:, 0, 0]
    elif chosen.flow not in ("none", "edges", "exits"):
        log_flow = there.put(there.each(objectives.needed(of_model.rest)[:, -1:])[:, 0])
        if chosen.flow == "forward-looking":
            if dag.log_partial is None:
                raise objectives.ObjectiveError(
                    f"{dag.name} defines no reward of unfinished states; use db, subtb or tb"
                )
            log_flow = log_flow + torch.where(
                exists, dag.log_partial(states).to(log_flow.dtype), 0.0
            )
        if chosen.tied:
            must_stop = is_stop & ~dag.allowed(states)[..., :-1].any(dim=-1)
            log_flow = torch.where(must_stop, log_reward, log_flow)
            exists = exists & ~must_stop
            log_z = log_flow[:, 0, 0]
        else:
            first = log_z[:, None, None].expand(-1, 1, log_flow.shape[-1])
            log_flow = torch.cat([first, log_flow[:, 1:]], dim=1)
    return objectives.Steps(
        increment, exists, log_z, None if log_flow is None else pad(log_flow, (0, 0, 0, 1))
    )


def _log_pb(
    policy: Policy[GeneratedDAG], of_model: _OfModel, backward: str, walked: Walks, there: Places
) -> Tensor:
    """log P_B(s_t | s_{t+1}) of each step between states, [M, T, B]; whatever at a stop and
    after it.
    """
    dag, heads = policy.space, policy.heads
    before, after, dtype = walked.states[:, :-1], walked.states[:, 1:], of_model.log_pf.dtype
    if backward == "maxent":
        log_paths = log_paths_of(dag)
        return (log_paths(before) - log_paths(after)).to(dtype)
    if backward == "uniform":
        return -dag.back_allowed(after).sum(dim=-1).clamp(min=1).to(dtype).log()
    # P_B of a step is a matter of the state it leads to: evaluated there, then moved one step back
    taken = pad(dag.back_of(before, walked.actions)[:, :-1], (0, 0, 1, 0))
    allowed = dag.back_allowed(there.states)
    # the source has no backward action, and a logsumexp over nothing has no gradient
    none = ~allowed.any(dim=-1, keepdim=True)
    back = objectives.needed(of_model.rest)[:, : heads.n_back].masked_fill(
        ~(allowed | none).movedim(-1, 1), -torch.inf
    )
    log_pb = torch.where(
        none.movedim(-1, 1), 0.0, back - torch.logsumexp(back, dim=1, keepdim=True)
    )
    return pad(there.pick(log_pb, taken.clamp(0, heads.n_back - 1))[:, 1:], (0, 0, 0, 1))


def _flow_matching(
    policy: Policy[GeneratedDAG],
    parameters: Parameters,
    chosen: objectives.Objective,
    walked: Walks,
) -> objectives.Residuals:
    """Inflow and outflow of the visited states: these and their parents are evaluated together,
    as many are both.
    """
    dag, n_moves = policy.space, policy.heads.n_actions - 1
    states = walked.states[:, :-1]
    is_source = (states == sources(dag, (1, 1, 1), states.device)).all(dim=-1)
    visited = walked.exists & ~is_source
    back_allowed = dag.back_allowed(states)
    back = torch.arange(dag.n_back, device=states.device).expand_as(back_allowed)
    # what is not allowed, and what is not visited, is looked at nowhere: any backward action will
    # do
    back = torch.where(back_allowed, back, back_allowed.int().argmax(dim=-1, keepdim=True))
    children = states[..., None, :].expand(*back.shape, -1)
    family = torch.cat([states[..., None, :], dag.undo(children, back)], dim=-2).flatten(2, 3)
    wished = (
        torch.cat([torch.ones_like(is_source)[..., None], back_allowed], dim=-1)
        & visited[..., None]
    )
    there = places(policy, parameters, family, wished.flatten(2))
    # edges between states, and last in each column their sum, which flows on from there
    edges = there.rows()[:, :n_moves]
    allowed = dag.allowed(there.states)[..., :n_moves].movedim(-1, 1)
    onward = torch.logsumexp(edges.masked_fill(~allowed, NONE), dim=1, keepdim=True)
    index = torch.cat(
        [torch.full_like(back[..., :1], n_moves), dag.forward_of(children, back)], dim=-1
    )
    flows = there.pick(torch.cat([edges, onward], dim=1), index.flatten(2)).unflatten(
        2, (-1, 1 + dag.n_back)
    )
    log_inflow = torch.logsumexp(flows[..., 1:].masked_fill(~back_allowed, NONE), dim=-1)
    if chosen.flow != "exits":
        stop = _flow_of_a_stop(policy, parameters, states, visited)
        log_outflow = torch.logaddexp(flows[..., 0], stop)
        return objectives.fm(log_inflow, log_outflow, visited, chosen.mean)
    every = places(policy, parameters, states, walked.exists)
    rows = every.rows()[:, n_moves : n_moves + 1]
    may_stop = dag.allowed(every.states)[..., -1:].movedim(-1, 1)
    log_exit = every.put(every.each(torch.where(may_stop, rows, NONE))[:, 0])
    log_outflow = torch.logaddexp(flows[..., 0], log_exit)
    ends = walked.exists & (walked.actions == n_moves)
    found = objectives.fm(log_inflow, log_outflow, visited, chosen.mean)
    log_reward = dag.log_reward(walked.terminal).to(log_exit.dtype)
    return objectives.with_exits(found, log_reward, torch.where(ends, log_exit, 0.0).sum(dim=1))


def _flow_of_a_stop(
    policy: Policy[GeneratedDAG], parameters: Parameters, states: Tensor, visited: Tensor
) -> Tensor:
    """log R(s) of the visited states where a stop is allowed, else log 0: [M, T, B].

    Rewards may be dear: none is asked of a parent.
    """
    there = places(policy, parameters, states, visited)
    log_reward = policy.space.log_reward(there.states).to(parameters["log_z"].dtype)
    log_reward = torch.where(policy.space.allowed(there.states)[..., -1], log_reward, NONE)
    return there.put(there.each(log_reward[:, None])[:, 0])


_TB = objectives.objective("tb")


@torch.no_grad()
def log_terminal(
    policy: Policy[GeneratedDAG],
    parameters: Parameters,
    terminal: Int[Tensor, "X D"],
    uniforms: Float[Tensor, "N T-1 X"],
    backward: str = "uniform",
) -> Float[Tensor, "M X"]:
    """log of (1/N) sum_n P_F(tau_n) / P_B(tau_n|x), tau_n drawn by P_B from x: an unbiased estimate
    of P_T(x).

    The uniforms, in [0, 1), are shared by all members.  By Jensen its logarithm is too small in the
    mean.  Dropout is off.
    """
    n_members, n_rounds = len(parameters["log_z"]), len(uniforms)
    ends = terminal.expand(n_members, -1, -1)
    log_reward = policy.space.log_reward(ends)
    found = []
    for noise in uniforms:
        walked = walk_back(policy, parameters, backward, ends, noise.expand(n_members, -1, -1))
        steps = steps_along(policy, parameters, _TB, backward, walked)
        found.append(log_reward - steps.increment.sum(dim=1))
    return torch.logsumexp(torch.stack(found), dim=0) - math.log(n_rounds)
