"""Trajectories of a generated space: the policy is evaluated at visited states alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from divergence_lab.gflownet import devices
from divergence_lab.gflownet.objectives import Objective, ObjectiveError, Residuals, Steps, fm, residuals
from divergence_lab.gflownet.places import Places, all_places, goes_in_a_row, places
from divergence_lab.gflownet.policies import Parameters, Policy
from divergence_lab.gflownet.samplers import Sampler, behave
from divergence_lab.graphs.generated import GeneratedDAG, sources


@dataclass(frozen=True, eq=False)
class Walks:
    """`states` [M, T+1, B, D]: before each step and at the end; a stop leaves the state as it is.

    `actions` [M, T, B]; `exists` [M, T, B] bool: the step is made, stop included.  T is the longest of them.
    """

    states: Tensor
    actions: Tensor
    exists: Tensor

    @property
    def terminal(self) -> Tensor:
        """[M, B, D]"""
        return self.states[:, -1]


FEW = 1024  # trajectories of all members up to which the products of one step are too thin to be shared by threads


def walk(
    policy: Policy, parameters: Parameters, chosen: Sampler, uniforms: Tensor, edge_flows: bool = False
) -> Walks:
    """B trajectories of each member from the behaviour policy: uniforms [M, T, B] in [0, 1).

    `edge_flows`: the rows are log F(s, a), and the flow of a stop is R(s), not the row's (flow matching).

    The slot is the number of cumulative probabilities at or below u, the last allowed slot taking all that is
    left, so no forbidden action can be drawn.
    """
    thin = uniforms[:, 0].numel() <= FEW and goes_in_a_row(policy, parameters["log_z"])
    with devices.one_thread(thin):
        return _walk(policy, parameters, chosen, uniforms, edge_flows)


@torch.no_grad()
def _walk(policy: Policy, parameters: Parameters, chosen: Sampler, uniforms: Tensor, edge_flows: bool) -> Walks:
    dag, n_actions = policy.space, policy.heads.n_actions
    n_members, n_steps, batch = uniforms.shape
    state = sources(dag, (n_members, batch), uniforms.device)
    done = torch.zeros(n_members, batch, dtype=torch.bool, device=uniforms.device)
    states, actions, exists = [state], [], []
    # on a CPU looking at `done` costs nothing, and few go on for long; on a GPU each look would wait for the device
    looks = devices.may_look(uniforms.device)
    for step in range(n_steps):
        if looks and bool(done.all()):
            break
        going = ~done
        action = _draw(policy, parameters, chosen, state, going, uniforms[:, step], edge_flows)
        action = action.masked_fill_(done, n_actions - 1)
        state = dag.step(state, action)
        exists.append(going)
        done = done | (action == n_actions - 1)
        states.append(state)
        actions.append(action)
    return Walks(torch.stack(states, dim=1), torch.stack(actions, dim=1), torch.stack(exists, dim=1))


def _draw(
    policy: Policy,
    parameters: Parameters,
    chosen: Sampler,
    states: Tensor,
    wished: Tensor,
    noise: Tensor,
    edge_flows: bool,
) -> Tensor:
    """An action of the behaviour policy where wished [M, B]: states [M, B, D], noise [M, B] in [0, 1) -> [M, B]."""
    there = places(policy, parameters, states[:, None], wished[:, None])
    allowed = policy.space.allowed(there.states).movedim(-1, 1)
    if edge_flows:
        logits = _log_edge(policy, there, allowed)
    else:
        logits = there.rows(there.states)[:, : policy.heads.n_actions].masked_fill(~allowed, -torch.inf)
    cumulative = _cumulative(chosen, torch.log_softmax(logits, dim=1), allowed)
    return there.put(_below(there.each(cumulative), there.take(noise[:, None])))[:, 0]


def _cumulative(chosen: Sampler, log_pf: Tensor, allowed: Tensor) -> Tensor:
    """Of the behaviour policy, from the last allowed action on beyond 1: log_pf, allowed [m, A, N] -> [m, A - 1, N]."""
    if chosen.epsilon or chosen.temperature != 1.0:
        log_pf = behave(chosen, log_pf, torch.zeros_like(log_pf).masked_fill_(~allowed, -torch.inf))
    cumulative = log_pf[:, :-1].exp().cumsum_(dim=1)
    so_far = allowed.cumsum(dim=1)
    return cumulative.masked_fill_((so_far == so_far[:, -1:])[:, :-1], 2.0)


def _below(cumulative: Tensor, noise: Tensor) -> Tensor:
    """The action of each u in [0, 1): how many of [m, A - 1, V] are at or below u [m, V]."""
    return (noise[:, None] >= cumulative).sum(dim=1)


def walk_once(
    policy: Policy,
    parameters: Parameters,
    chosen: Sampler,
    objective: Objective,
    backward: str,
    uniforms: Tensor,
    bits: Tensor | None = None,
) -> tuple[Walks, Steps]:
    """`walk` and `steps_of` in one pass: what a state was drawn from is what its residual is made of.

    So with dropout (bits [N, T, B, K]) the trajectories are still on-policy, and every state is evaluated once.  For
    spaces whose trajectories are about equally long: those that have stopped are evaluated all the same.
    """
    dag, n_actions = policy.space, policy.heads.n_actions
    n_members, n_steps, batch = uniforms.shape
    state = sources(dag, (n_members, batch), uniforms.device)
    done = torch.zeros(n_members, batch, dtype=torch.bool, device=uniforms.device)
    learns_flow = objective.flow in ("free", "forward-looking") and not objective.tied
    states, found = [state], []
    for step in range(n_steps):
        if step == n_steps - 1 and not learns_flow and objective.flow != "modified" and backward != "learned":
            # nothing but the stop is left
            action = torch.full_like(done, n_actions - 1, dtype=torch.long)
            zero = torch.zeros_like(uniforms[:, 0])
            rest = zero[:, None].expand(-1, policy.heads.n_rows - n_actions, -1)
            found.append((action, ~done, zero, zero, rest))
            states.append(state)
            break
        given = () if bits is None else (bits[:, step],)
        rows = policy.rows(parameters, state, *given)
        allowed = dag.allowed(state).movedim(-1, 1)
        log_pf = torch.log_softmax(rows[:, :n_actions].masked_fill(~allowed, -torch.inf), dim=1)
        with torch.no_grad():
            action = _below(_cumulative(chosen, log_pf.detach(), allowed), uniforms[:, step])
            action = torch.where(done, n_actions - 1, action)
        taken = log_pf.gather(1, action[:, None])[:, 0]
        found.append((action, ~done, taken, log_pf[:, -1], rows[:, n_actions:]))
        state = dag.step(state, action)
        done = done | (action == n_actions - 1)
        states.append(state)
    actions, exists, log_pf, log_stop, rest = (
        torch.stack(part, dim=dim) for part, dim in zip(zip(*found, strict=True), (1, 1, 1, 1, 2), strict=True)
    )
    walked = Walks(torch.stack(states, dim=1), actions, exists)
    there = all_places(policy, parameters, walked.states[:, :-1], exists)
    log_pf, log_stop = (torch.where(exists, part, 0.0) for part in (log_pf, log_stop))
    of_model = _OfModel(log_pf, log_stop, rest.flatten(2))
    return walked, _steps(policy, parameters["log_z"], objective, backward, walked, there, of_model)


@torch.no_grad()
def walk_back(
    policy: Policy, parameters: Parameters, backward: str, terminal: Tensor, uniforms: Tensor
) -> Walks:
    """Trajectories that end in `terminal` [M, B, D], drawn by P_B: uniforms [M, T-1, B]."""
    dag, n_actions = policy.space, policy.heads.n_actions
    state = terminal
    stop = torch.full(terminal.shape[:2], n_actions - 1, device=terminal.device)
    states, actions, exists = [terminal, terminal], [stop], [torch.ones_like(stop, dtype=torch.bool)]
    for step in range(dag.max_steps - 1):
        allowed = dag.back_allowed(state)
        moves = allowed.any(dim=-1)
        chances = _back_chances(policy, parameters, backward, state, allowed)
        so_far = allowed.cumsum(dim=-1)
        cumulative = chances.cumsum(dim=-1).masked_fill(so_far == so_far[..., -1:], 2.0)[..., :-1]
        chosen = (uniforms[:, step, :, None] >= cumulative).sum(dim=-1)
        action = dag.forward_of(state, chosen)
        parent = dag.undo(state, chosen)
        actions.append(torch.where(moves, action, n_actions - 1))
        exists.append(moves)
        state = torch.where(moves[..., None], parent, state)
        states.append(state)
    return _to_front(dag, *(torch.stack(found[::-1], dim=1) for found in (states, actions, exists)))


def _to_front(dag: GeneratedDAG, states: Tensor, actions: Tensor, exists: Tensor) -> Walks:
    """Trajectories that start late, in the source, are moved to the first step."""
    n_steps = actions.shape[1]
    length = exists.sum(dim=1, keepdim=True)
    place = torch.arange(n_steps, device=actions.device)[None, :, None]
    source = (place + n_steps - length).clamp(max=n_steps - 1)
    made = place < length
    actions = torch.where(made, actions.gather(1, source), dag.n_actions - 1)
    place = torch.arange(n_steps + 1, device=actions.device)[None, :, None]
    source = (place + n_steps - length).clamp(max=n_steps)
    return Walks(states.gather(1, source[..., None].expand(-1, -1, -1, states.shape[-1])), actions, made)


def _back_chances(
    policy: Policy, parameters: Parameters, backward: str, state: Tensor, allowed: Tensor
) -> Tensor:
    """P_B of each backward action, [M, N, Q]; all 0 in the source."""
    dag, heads = policy.space, policy.heads
    if backward == "learned":
        rows = policy.rows(parameters, state)[:, heads.n_actions : heads.n_actions + heads.n_back].movedim(
            1, -1
        )
        return torch.softmax(rows.masked_fill(~allowed, -1e30), dim=-1) * allowed
    if backward == "maxent":
        _need_paths(dag)
        actions = torch.arange(dag.n_back, device=state.device).expand(*state.shape[:-1], -1)
        parents = dag.undo(state[..., None, :].expand(*actions.shape, -1), actions)
        ways = dag.log_paths(parents) - dag.log_paths(state)[..., None]
        return torch.where(allowed, ways.exp(), 0.0)
    return allowed / allowed.sum(dim=-1, keepdim=True).clamp(min=1)


@torch.no_grad()
def walk_again(dag: GeneratedDAG, actions: Tensor) -> Walks:
    """The trajectories with these actions [M, T, B]; after its first stop each stays where it is."""
    stops = actions == dag.n_actions - 1
    exists = stops.cumsum(dim=1) - stops.long() == 0
    actions = torch.where(exists, actions, dag.n_actions - 1)
    states = [sources(dag, (actions.shape[0], actions.shape[2]), actions.device)]
    for step in range(actions.shape[1]):
        states.append(dag.step(states[-1], actions[:, step]))
    return Walks(torch.stack(states, dim=1), actions, exists)


def join(walks: list[Walks]) -> Walks:
    """Batches side by side; shorter ones stay where they stopped."""
    longest = max(one.actions.shape[1] for one in walks)

    def lengthened(tensor: Tensor, wanted: int) -> Tensor:
        missing = wanted - tensor.shape[1]
        return (
            torch.cat([tensor, tensor[:, -1:].expand(-1, missing, *tensor.shape[2:])], dim=1)
            if missing
            else tensor
        )

    return Walks(
        torch.cat([lengthened(one.states, longest + 1) for one in walks], dim=2),
        torch.cat([lengthened(one.actions, longest) for one in walks], dim=2),
        torch.cat([pad(one.exists, (0, 0, 0, longest - one.exists.shape[1])) for one in walks], dim=2),
    )


def along(
    policy: Policy, parameters: Parameters, chosen: Objective, backward: str, walked: Walks
) -> Residuals:
    """The residuals of `chosen` on these trajectories: [M, O, B]."""
    if chosen.kind == "fm":
        return _flow_matching(policy, parameters, walked)
    return residuals(chosen, steps_of(policy, parameters, chosen, backward, walked))


def steps_of(
    policy: Policy, parameters: Parameters, chosen: Objective, backward: str, walked: Walks
) -> Steps:
    """The model along these trajectories, from one evaluation of its places (places.py)."""
    dag, n_actions = policy.space, policy.heads.n_actions
    there = places(policy, parameters, walked.states[:, :-1], walked.exists)
    allowed = dag.allowed(there.states).movedim(-1, 1)
    edges = chosen.flow == "edges"
    if edges:
        logits, rest = _log_edge(policy, there, allowed), None
    else:
        rows = there.rows(there.states)
        logits, rest = rows[:, :n_actions].masked_fill(~allowed, -torch.inf), rows[:, n_actions:]
    norm = torch.logsumexp(logits, dim=1, keepdim=True)
    log_pf = logits - norm
    log_stop = there.put(there.each(log_pf[:, -1:])[:, 0]) if chosen.flow == "modified" else None
    of_model = _OfModel(there.pick(log_pf, walked.actions), log_stop, rest)
    # flow matching's Z is what flows out of the source
    log_z = there.put(there.each(norm)[:, 0])[:, 0, 0] if edges else parameters["log_z"]
    return _steps(policy, log_z, chosen, backward, walked, there, of_model)


@dataclass(frozen=True, eq=False)
class _OfModel:
    """log P_F of the action taken and of the stop, [M, T, B], and the rows after the logits [m, R - A, N]; None if unused."""

    log_pf: Tensor
    log_stop: Tensor | None
    rest: Tensor | None


def _steps(
    policy: Policy,
    log_z: Tensor,
    chosen: Objective,
    backward: str,
    walked: Walks,
    there: Places,
    of_model: _OfModel,
) -> Steps:
    dag = policy.space
    states, exists = walked.states[:, :-1], walked.exists
    is_stop = exists & (walked.actions == policy.heads.n_actions - 1)
    # a stop leaves the state: rewards, which may be dear, are asked of the ends alone
    log_reward = torch.where(is_stop, dag.log_reward(walked.terminal)[:, None], 0.0).to(of_model.log_pf.dtype)
    log_pb = _log_pb(policy, of_model, backward, walked, there)
    increment = torch.where(is_stop, log_reward, torch.where(exists, log_pb, 0.0)) - of_model.log_pf
    log_flow = None
    if chosen.flow == "modified":
        stop = of_model.log_stop
        log_flow = torch.where(exists, dag.log_reward(states).to(stop.dtype) - stop, 0.0)
        log_z = log_flow[:, 0, 0]
    elif chosen.flow not in ("none", "edges"):
        log_flow = there.put(there.each(of_model.rest[:, -1:])[:, 0])
        if chosen.flow == "forward-looking":
            if dag.log_partial is None:
                raise ObjectiveError(
                    f"{dag.name} defines no reward of unfinished states; use db, subtb or tb"
                )
            log_flow = log_flow + torch.where(exists, dag.log_partial(states).to(log_flow.dtype), 0.0)
        if chosen.tied:
            must_stop = is_stop & ~dag.allowed(states)[..., :-1].any(dim=-1)
            log_flow = torch.where(must_stop, log_reward, log_flow)
            exists = exists & ~must_stop
            log_z = log_flow[:, 0, 0]
        else:
            first = log_z[:, None, None].expand(-1, 1, log_flow.shape[-1])
            log_flow = torch.cat([first, log_flow[:, 1:]], dim=1)
    return Steps(increment, exists, log_z, None if log_flow is None else pad(log_flow, (0, 0, 0, 1)))


def _log_pb(policy: Policy, of_model: _OfModel, backward: str, walked: Walks, there: Places) -> Tensor:
    """log P_B(s_t | s_{t+1}) of each step between states, [M, T, B]; whatever at a stop and after it."""
    dag, heads = policy.space, policy.heads
    before, after, dtype = walked.states[:, :-1], walked.states[:, 1:], of_model.log_pf.dtype
    if backward == "maxent":
        _need_paths(dag)
        return (dag.log_paths(before) - dag.log_paths(after)).to(dtype)
    if backward == "uniform":
        return -dag.back_allowed(after).sum(dim=-1).clamp(min=1).to(dtype).log()
    # P_B of a step is a matter of the state it leads to: evaluated there, then moved one step back
    taken = pad(dag.back_of(before, walked.actions)[:, :-1], (0, 0, 1, 0))
    allowed = dag.back_allowed(there.states)
    # the source has no backward action, and a logsumexp over nothing has no gradient
    none = ~allowed.any(dim=-1, keepdim=True)
    back = of_model.rest[:, : heads.n_back].masked_fill(~(allowed | none).movedim(-1, 1), -torch.inf)
    log_pb = torch.where(none.movedim(-1, 1), 0.0, back - torch.logsumexp(back, dim=1, keepdim=True))
    chosen = there.pick(log_pb, taken.clamp(0, heads.n_back - 1))
    return pad(chosen[:, 1:], (0, 0, 0, 1))


def _flow_matching(policy: Policy, parameters: Parameters, walked: Walks) -> Residuals:
    """Inflow and outflow of the visited states; parents are evaluated too."""
    dag = policy.space
    states = walked.states[:, :-1]
    is_source = (states == sources(dag, (1, 1, 1), states.device)).all(dim=-1)
    visited = walked.exists & ~is_source
    there = places(policy, parameters, states, visited)
    here = there.states
    outflow = torch.logsumexp(_log_edge(policy, there, dag.allowed(here).movedim(-1, 1)), dim=1, keepdim=True)
    back_allowed = dag.back_allowed(here)
    # places beyond the visited ones hold some state, perhaps the source: give it an arbitrary backward action
    none = ~back_allowed.any(dim=-1, keepdim=True)
    back = torch.arange(dag.n_back, device=states.device).expand(*here.shape[:2], -1)
    back = torch.where(back_allowed, back, back_allowed.int().argmax(dim=-1, keepdim=True))
    children = here[:, :, None].expand(-1, -1, dag.n_back, -1)
    parents, action = dag.undo(children, back), dag.forward_of(children, back)
    # edges into s are never stops: no reward of a parent is asked for
    edges = there.rows(parents.flatten(1, 2))[:, : policy.heads.n_actions]
    into = edges.gather(1, action.flatten(1)[:, None])[:, 0].view(*here.shape[:2], -1)
    inflow = torch.logsumexp(into.masked_fill(~(back_allowed | none), -torch.inf), dim=-1)[:, None]
    log_inflow, log_outflow = (there.put(there.each(flow)[:, 0]) for flow in (inflow, outflow))
    return fm(log_inflow, log_outflow, visited)


def _log_edge(policy: Policy, there: Places, allowed: Tensor) -> Tensor:
    """log F(s, a) at the places, [m, A, N], the flow of a stop being R(s): allowed [m, A, N]."""
    rows = there.rows(there.states)[:, : policy.heads.n_actions]
    rewards = torch.where(allowed[:, -1], policy.space.log_reward(there.states), 0.0).to(rows.dtype)
    return torch.cat([rows[:, :-1], rewards[:, None]], dim=1).masked_fill(~allowed, -torch.inf)


def _need_paths(dag: GeneratedDAG) -> None:
    if dag.log_paths is None:
        raise ObjectiveError(
            f"{dag.name}: the number of trajectories to a state is not known; use P_B uniform or learned"
        )
