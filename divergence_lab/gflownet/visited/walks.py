"""Trajectories of a generated space: the policy is evaluated at visited states alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from divergence_lab.gflownet import devices, objectives, samplers
from divergence_lab.gflownet.kernels import availability
from divergence_lab.gflownet.kernels import walks as kernels
from divergence_lab.gflownet.policies.policy import THIN, Parameters, Policy, RowEvaluation
from divergence_lab.gflownet.visited.places import grouped, places, row_evaluation
from divergence_lab.graphs.generated import GeneratedDAG, sources


@dataclass(frozen=True, eq=False)
class Walks:
    """`states`: before each step and at the end; a stop leaves the state as it is.

    `exists`: the step is made, stop included.  T is the longest of them.
    """

    states: Int[Tensor, "M T+1 B D"]
    actions: Int[Tensor, "M T B"]
    exists: Bool[Tensor, "M T B"]

    @property
    def terminal(self) -> Int[Tensor, "M B D"]:
        """Where each trajectory ends."""
        return self.states[:, -1]

    def of(self, members: slice) -> Walks:
        """Those of some members."""
        return Walks(self.states[members], self.actions[members], self.exists[members])


# trajectories of all members up to which the products of one step are too thin to be shared by
# threads
FEW = 1024
SAME = 0.9  # the share of trajectories in which a kernel and torch must agree at its first use


def walk(
    policy: Policy[GeneratedDAG],
    parameters: Parameters,
    chosen: samplers.Sampler,
    uniforms: Float[Tensor, "M T B"],
    edge_flows: bool = False,
) -> Walks:
    """B trajectories of each member from the behaviour policy, by uniforms in [0, 1).

    `edge_flows`: the rows are log F(s, a), and the flow of a stop is R(s), not the row's (flow
    matching).

    The slot is the number of cumulative probabilities at or below u, the last allowed slot taking
    all that is left, so no forbidden action can be drawn.
    """
    if kernels.applies(policy, uniforms):
        in_torch = lambda: _walk(policy, parameters, chosen, uniforms, edge_flows)  # noqa: E731
        return availability.ours_or_torch(
            policy.space,
            "walks",
            lambda: Walks(*kernels.walk(policy, parameters, chosen, uniforms, edge_flows)),
            in_torch,
            lambda found: _alike(found, in_torch()),
        )
    in_a_row = row_evaluation(policy, parameters["log_z"])
    if in_a_row is None:
        return _walk(policy, parameters, chosen, uniforms, edge_flows)
    with devices.one_thread(uniforms[:, 0].numel() <= FEW):
        return _walk_in_a_row(policy, in_a_row(parameters), chosen, uniforms, edge_flows)


def _alike(some: Walks, others: Walks) -> bool:
    """Whether nearly all trajectories take the same actions: rounding may turn a few."""
    length = min(some.actions.shape[1], others.actions.shape[1])
    same = some.actions[:, :length] == others.actions[:, :length]
    return bool(same.all(dim=1).float().mean() > SAME)


@torch.no_grad()
def _walk(
    policy: Policy[GeneratedDAG],
    parameters: Parameters,
    chosen: samplers.Sampler,
    uniforms: Tensor,
    edge_flows: bool,
) -> Walks:
    """Every trajectory has its place until the last has stopped."""
    dag, n_actions = policy.space, policy.heads.n_actions
    n_members, n_steps, batch = uniforms.shape
    state = sources(dag, (n_members, batch), uniforms.device)
    done = torch.zeros(n_members, batch, dtype=torch.bool, device=uniforms.device)
    states, actions, exists = [state], [], []
    # on a CPU looking at `done` costs nothing, and few go on for long; on a GPU each look would
    # wait for the device
    looks = devices.may_look(uniforms.device)
    for step in range(n_steps):
        if looks and bool(done.all()):
            break
        going = ~done
        there = places(policy, parameters, state[:, None], going[:, None])
        reached = _cumulative_at(policy, chosen, there.rows(), there.states, edge_flows)
        action = there.put(pick_actions(there.each(reached), there.take(uniforms[:, step, None])))[
            :, 0
        ]
        action = action.masked_fill_(done, n_actions - 1)
        state = dag.step(state, action)
        exists.append(going)
        done = done | (action == n_actions - 1)
        states.append(state)
        actions.append(action)
    return Walks(
        torch.stack(states, dim=1), torch.stack(actions, dim=1), torch.stack(exists, dim=1)
    )


@torch.no_grad()
def _walk_in_a_row(
    policy: Policy[GeneratedDAG],
    evaluated: RowEvaluation,
    chosen: samplers.Sampler,
    uniforms: Tensor,
    edge_flows: bool,
) -> Walks:
    """Trajectories that go on are one list, member after member, which shrinks: most steps are
    taken by few of them.
    """
    dag, stop = policy.space, policy.heads.n_actions - 1
    n_members, n_steps, batch = uniforms.shape
    noise = uniforms.transpose(0, 1).flatten(1)
    going = torch.arange(n_members * batch)
    member = going.div(batch, rounding_mode="floor")
    here = sources(dag, (len(going),))
    states, actions, exists = [here], [], []

    def reached(at: Tensor, of: Tensor) -> Tensor:
        return _cumulative_at(policy, chosen, evaluated(at, of).T[None], at[None], edge_flows)[0]

    for step in range(n_steps):
        if not len(going):
            break
        if len(going) > THIN:
            group, first = grouped(member, here)
            cumulative = reached(here[first], member[first]).index_select(1, group)
        else:
            cumulative = reached(here, member)
        action = pick_actions(cumulative[None], noise[step, going][None])[0]
        here = dag.step(here, action)
        states.append(states[-1].index_copy(0, going, here))
        actions.append(
            torch.full_like(noise[0], stop, dtype=torch.long).index_copy_(0, going, action)
        )
        exists.append(torch.zeros_like(noise[0], dtype=torch.bool).index_fill_(0, going, True))
        on = (action != stop).nonzero()[:, 0]
        going, member, here = going[on], member[on], here[on]
    shape = (-1, n_members, batch)
    states, actions, exists = (torch.stack(found) for found in (states, actions, exists))
    return Walks(
        states.view(*shape, states.shape[-1]).transpose(0, 1),
        actions.view(shape).transpose(0, 1),
        exists.view(shape).transpose(0, 1),
    )


def _cumulative_at(
    policy: Policy[GeneratedDAG],
    chosen: samplers.Sampler,
    rows: Tensor,
    states: Tensor,
    edge_flows: bool,
) -> Tensor:
    """Cumulative probabilities of the behaviour policy: rows [m, R, N] at states [m, N, D] ->
    [m, A - 1, N].
    """
    allowed = policy.space.allowed(states).movedim(-1, 1)
    if edge_flows:
        logits = log_edge(policy, rows, states, allowed)
    else:
        logits = rows[:, : policy.heads.n_actions].masked_fill(~allowed, -torch.inf)
    return cumulative(chosen, torch.log_softmax(logits, dim=1), allowed)


def cumulative(
    chosen: samplers.Sampler, log_pf: Float[Tensor, "m A N"], allowed: Bool[Tensor, "m A N"]
) -> Float[Tensor, "m A-1 N"]:
    """Of the behaviour policy, from the last allowed action on beyond 1."""
    if chosen.epsilon or chosen.temperature != 1.0:
        log_pf = samplers.log_behaviour(
            chosen, log_pf, torch.zeros_like(log_pf).masked_fill_(~allowed, -torch.inf)
        )
    sums = log_pf[:, :-1].exp().cumsum_(dim=1)
    so_far = allowed.cumsum(dim=1)
    return sums.masked_fill_((so_far == so_far[:, -1:])[:, :-1], 2.0)


def pick_actions(
    cumulative: Float[Tensor, "m A-1 V"], noise: Float[Tensor, "m V"]
) -> Int[Tensor, "m V"]:
    """The action of each u in [0, 1): how many cumulative probabilities are at or below u."""
    return (noise[:, None] >= cumulative).sum(dim=1)


def log_edge(
    policy: Policy[GeneratedDAG],
    rows: Float[Tensor, "m R N"],
    states: Int[Tensor, "m N D"],
    allowed: Bool[Tensor, "m A N"],
) -> Float[Tensor, "m A N"]:
    """log F(s, a), the flow of a stop being R(s)."""
    rewards = torch.where(allowed[:, -1], policy.space.log_reward(states), 0.0).to(rows.dtype)
    edges = rows[:, : policy.heads.n_actions - 1]
    return torch.cat([edges, rewards[:, None]], dim=1).masked_fill(~allowed, -torch.inf)


@torch.no_grad()
def walk_back(
    policy: Policy[GeneratedDAG],
    parameters: Parameters,
    backward: str,
    terminal: Int[Tensor, "M B D"],
    uniforms: Float[Tensor, "M T-1 B"],
) -> Walks:
    """Trajectories that end in `terminal`, drawn by P_B, by uniforms in [0, 1)."""
    dag, n_actions = policy.space, policy.heads.n_actions
    state = terminal
    stop = torch.full(terminal.shape[:2], n_actions - 1, device=terminal.device)
    states, actions, exists = (
        [terminal, terminal],
        [stop],
        [torch.ones_like(stop, dtype=torch.bool)],
    )
    for step in range(dag.max_steps - 1):
        allowed = dag.back_allowed(state)
        moves = allowed.any(dim=-1)
        chances = _back_chances(policy, parameters, backward, state, allowed)
        so_far = allowed.cumsum(dim=-1)
        cumulative = chances.cumsum(dim=-1).masked_fill(so_far == so_far[..., -1:], 2.0)[..., :-1]
        chosen = (uniforms[:, step, :, None] >= cumulative).sum(dim=-1)
        actions.append(torch.where(moves, dag.forward_of(state, chosen), n_actions - 1))
        exists.append(moves)
        state = torch.where(moves[..., None], dag.undo(state, chosen), state)
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
    return Walks(
        states.gather(1, source[..., None].expand(-1, -1, -1, states.shape[-1])), actions, made
    )


def _back_chances(
    policy: Policy[GeneratedDAG],
    parameters: Parameters,
    backward: str,
    state: Tensor,
    allowed: Tensor,
) -> Tensor:
    """P_B of each backward action, [M, N, Q]; all 0 in the source."""
    dag, heads = policy.space, policy.heads
    if backward == "learned":
        rows = policy.rows(parameters, state)[
            :, heads.n_actions : heads.n_actions + heads.n_back
        ].movedim(1, -1)
        return torch.softmax(rows.masked_fill(~allowed, -1e30), dim=-1) * allowed
    if backward == "maxent":
        log_paths = log_paths_of(dag)
        actions = torch.arange(dag.n_back, device=state.device).expand(*state.shape[:-1], -1)
        parents = dag.undo(state[..., None, :].expand(*actions.shape, -1), actions)
        ways = log_paths(parents) - log_paths(state)[..., None]
        return torch.where(allowed, ways.exp(), 0.0)
    return allowed / allowed.sum(dim=-1, keepdim=True).clamp(min=1)


@torch.no_grad()
def walk_again(dag: GeneratedDAG, actions: Int[Tensor, "M T B"]) -> Walks:
    """The trajectories with these actions; after its first stop each stays where it
    is.
    """
    stops = actions == dag.n_actions - 1
    exists = stops.cumsum(dim=1) - stops.long() == 0
    actions = torch.where(exists, actions, dag.n_actions - 1)
    states = [sources(dag, (actions.shape[0], actions.shape[2]), actions.device)]
    for step in range(actions.shape[1]):
        states.append(dag.step(states[-1], actions[:, step]))
    return Walks(torch.stack(states, dim=1), actions, exists)


def join_walks(walks: list[Walks]) -> Walks:
    """Batches side by side; shorter ones stay where they stopped."""
    if len(walks) == 1:
        (one,) = walks
        return Walks(one.states.contiguous(), one.actions.contiguous(), one.exists.contiguous())
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
        torch.cat(
            [pad(one.exists, (0, 0, 0, longest - one.exists.shape[1])) for one in walks], dim=2
        ),
    )


def log_paths_of(dag: GeneratedDAG) -> Callable[[Tensor], Tensor]:
    """`dag.log_paths`. ObjectiveError where the maximum-entropy P_B has no closed form."""
    if dag.log_paths is None:
        raise objectives.ObjectiveError(
            f"{dag.name}: the number of trajectories to a state is not known; use P_B "
            "uniform or learned"
        )
    return dag.log_paths
