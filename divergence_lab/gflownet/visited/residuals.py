"""The residuals of an objective along trajectories of a generated space."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from divergence_lab.gflownet import devices, objectives, samplers
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
from divergence_lab.graphs import constants
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
    dag = policy.space
    there = places(policy, parameters, walked.states[:, :-1], walked.exists)
    allowed = dag.allowed(there.states).movedim(-1, 1)
    rows = there.rows()
    logits, *rest = _heads(policy, rows)
    if chosen.flow in ("edges", "exits"):
        if chosen.flow == "edges":
            logits = log_edge(policy, rows, there.states, allowed)
        else:
            logits = logits.masked_fill(~allowed, -torch.inf)
        norm = torch.logsumexp(logits, dim=1, keepdim=True)
        # flow matching's Z is what flows out of the source
        log_pf, log_z = logits - norm, there.put(there.each(norm).squeeze(1))[:, 0, 0]
    else:
        log_pf, log_z = devices.log_softmax_over(allowed, logits), parameters["log_z"]
    modified = chosen.flow == "modified"
    log_stop = there.put(there.each(log_pf[:, -1:]).squeeze(1)) if modified else None
    of_model = _OfModel(there.pick(log_pf, walked.actions), log_stop, *rest)
    return _steps(policy, log_z, chosen, backward, walked, there, of_model)


def _heads(policy: Policy[GeneratedDAG], rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, backward logits and log F, of none or one row; their gradients are put together in
    one piece.
    """
    heads = policy.heads
    if heads.n_rows == heads.n_actions:
        return rows, rows[:, :0].detach(), rows[:, :0].detach()
    logits, back, flow = rows.split((heads.n_actions, heads.n_back, int(heads.flow)), dim=1)
    return logits, back, flow


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
    back, flow = rest.flatten(2).split((policy.heads.n_back, int(policy.heads.flow)), dim=1)
    of_model = _OfModel(log_pf, log_stop, back, flow)
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
    """log P_F of the action taken and of the stop (None if unused), [M, T, B]; backward logits
    [m, Q, N] and log F [m, 1, N] of the places, without rows if there are none.
    """

    log_pf: Tensor
    log_stop: Tensor | None
    back: Tensor
    flow: Tensor


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
    moves = exists & (walked.actions != policy.heads.n_actions - 1)
    dtype = of_model.log_pf.dtype
    # a stop leaves the state: rewards, which may be dear, are asked of the ends alone
    log_reward = dag.log_reward(walked.terminal).to(dtype)[:, None]
    log_pb = _log_pb(policy, of_model, backward, walked, there)
    increment = devices.kept(devices.kept(log_pb, moves, log_reward) - of_model.log_pf, exists)
    if chosen.flow in ("none", "edges", "exits"):
        return objectives.Steps(increment, exists, log_z)
    if chosen.flow == "modified":
        log_flow = dag.log_reward(states).to(dtype) - objectives.needed(of_model.log_stop)
    else:
        log_flow = there.spread(there.each(of_model.flow).squeeze(1))
    if chosen.flow == "forward-looking":
        if dag.log_partial is None:
            raise objectives.ObjectiveError(
                f"{dag.name} defines no reward of unfinished states; use db, subtb or tb"
            )
        log_flow = log_flow + dag.log_partial(states).to(dtype)
    free = dag.allowed(states)[..., :-1].any(dim=-1) if chosen.tied else None
    if free is not None:
        log_flow = devices.kept(log_flow, free, log_reward)
    log_flow = devices.kept(log_flow, exists)
    end = devices.number(0.0, log_flow.device, dtype).expand_as(log_flow[:, :1])
    if chosen.tied or chosen.flow == "modified":
        log_z, parts = log_flow[:, 0, 0], [log_flow, end]
    else:
        parts = [log_z[:, None, None].expand_as(end), log_flow[:, 1:], end]
    # where there is but the stop, it is no step
    exists = exists if free is None else exists & free
    return objectives.Steps(increment, exists, log_z, torch.cat(parts, dim=1))


def _log_pb(
    policy: Policy[GeneratedDAG], of_model: _OfModel, backward: str, walked: Walks, there: Places
) -> Tensor:
    """log P_B(s_t | s_{t+1}) of each step between states, [M, T, B]; at a stop and after it any
    number.
    """
    dag, heads = policy.space, policy.heads
    before, after, dtype = walked.states[:, :-1], walked.states[:, 1:], of_model.log_pf.dtype
    if backward == "maxent":
        log_paths = log_paths_of(dag)
        return (log_paths(before) - log_paths(after)).to(dtype)
    if backward == "uniform":
        by_number = constants.constant(
            dag,
            f"log of one of many, {dtype}",
            lambda: -torch.arange(dag.n_back + 1).clamp(min=1).to(dtype).log(),
            before.device,
        )
        return by_number[dag.back_allowed(after).sum(dim=-1)]
    # P_B of a step is a matter of the state it leads to: evaluated there, then moved one step back
    taken = dag.back_of(before, walked.actions).clamp(0, heads.n_back - 1).roll(1, dims=1)
    # the source has no backward action: its numbers, like NONE all of them, are looked at nowhere
    log_pb = devices.log_softmax_over(
        dag.back_allowed(there.states).movedim(-1, 1), of_model.back, NONE
    )
    return there.pick(log_pb, taken).roll(-1, dims=1)


def _flow_matching(
    policy: Policy[GeneratedDAG],
    parameters: Parameters,
    chosen: objectives.Objective,
    walked: Walks,
) -> objectives.Residuals:
    """Inflow and outflow of the visited states: these and their parents are evaluated together,
    as many are both.
    """
    dag, n_moves, exits = policy.space, policy.heads.n_actions - 1, chosen.flow == "exits"
    states = walked.states[:, :-1]
    back_allowed = dag.back_allowed(states)
    visited = walked.exists & back_allowed.any(dim=-1)  # but the source
    device, every = states.device, lambda: torch.arange(dag.n_back)
    back = constants.constant(dag, "backward actions", every, device).expand_as(back_allowed)
    # what is not allowed, and what is not visited, is looked at nowhere: any backward action will
    # do
    back = torch.where(back_allowed, back, back_allowed.int().argmax(dim=-1, keepdim=True))
    children = states[..., None, :].expand(*back.shape, -1)
    family = torch.cat([states[..., None, :], dag.undo(children, back)], dim=-2).flatten(2, 3)
    own = walked.exists if exits else visited
    wished = torch.cat([own[..., None], back_allowed & visited[..., None]], dim=-1)
    there = places(policy, parameters, family, wished.flatten(2))
    # edges between states, and last in each column their sum, which flows on from there
    edges, stops, _ = (rows := there.rows()).split((n_moves, 1, rows.shape[1] - n_moves - 1), dim=1)
    allowed = dag.allowed(there.states).movedim(-1, 1)
    onward = devices.log_sum_exp(edges, 1, allowed[:, :n_moves], NONE)[:, None]
    itself = devices.number(n_moves, device, torch.long).expand_as(back[..., :1])
    index = torch.cat([itself, dag.forward_of(children, back)], dim=-1)
    flows = there.pick(torch.cat([edges, onward], dim=1), index.flatten(2))
    going_on, inward = flows.unflatten(2, (-1, 1 + dag.n_back)).split((1, dag.n_back), dim=-1)
    log_inflow = devices.log_sum_exp(inward, -1, back_allowed, NONE)
    if exits:
        lowest = devices.number(NONE, stops.device, stops.dtype)
        of_places = devices.kept(stops, allowed[:, n_moves:], lowest)
        log_exit = there.spread(there.each(of_places).squeeze(1))
        log_exit = log_exit.unflatten(2, (-1, 1 + dag.n_back))[..., 0]
    else:
        log_exit = _flow_of_a_stop(policy, parameters, states, visited)
    log_outflow = devices.log_add_exp(going_on.squeeze(-1), log_exit)
    found = objectives.fm(log_outflow - log_inflow, visited, chosen.mean)
    if not exits:
        return found
    ends = walked.exists & (walked.actions == n_moves)
    log_reward = dag.log_reward(walked.terminal).to(log_exit.dtype)
    return objectives.with_exits(found, log_reward, devices.kept(log_exit, ends).sum(dim=1))


def _flow_of_a_stop(
    policy: Policy[GeneratedDAG], parameters: Parameters, states: Tensor, visited: Tensor
) -> Tensor:
    """log R(s) of the visited states where a stop is allowed, else log 0: [M, T, B].

    Rewards may be dear: none is asked of a parent.
    """
    there = places(policy, parameters, states, visited)
    log_reward = policy.space.log_reward(there.states).to(parameters["log_z"].dtype)
    lowest = devices.number(NONE, log_reward.device, log_reward.dtype)
    log_reward = torch.where(policy.space.allowed(there.states)[..., -1], log_reward, lowest)
    return there.spread(there.each(log_reward[:, None]).squeeze(1))


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
