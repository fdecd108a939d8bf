"""Parameters -> log P_F, log P_B, log F and log Z at all states of an enumerated graph."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad

from divergence_lab.gflownet import devices
from divergence_lab.gflownet.listed.sampling import Trajectories, at_steps
from divergence_lab.gflownet.objectives import (
    Objective,
    ObjectiveError,
    Residuals,
    Steps,
    fm,
    needed,
    residuals,
    with_exits,
)
from divergence_lab.gflownet.policies.policy import Parameters, Policy
from divergence_lab.graphs import constants, dag
from divergence_lab.graphs.tables import tables

BACKWARD = ("uniform", "learned", "maxent")


@dataclass(frozen=True, eq=False)
class Flow:
    """The model at all states; M = 1 in `log_pb` if it is fixed, no `log_flow` if none is needed.

    log P_B is that of the edge which the action takes, 0 for a stop.  `log_inflow`: log of the flow
    into each state where edge flows are learned, else None; 0, which means nothing, in the source.
    """

    log_pf: Float[Tensor, "M A S"]
    log_pb: Float[Tensor, "#M A S"]
    log_z: Float[Tensor, " M"]
    log_flow: Float[Tensor, "M S"] | None = None
    log_inflow: Float[Tensor, "M S"] | None = None

    def split(self, parts: int) -> list[Flow]:
        """As many models, of as many members each; what is shared by all stays shared."""
        size, tables = (
            len(self.log_z) // parts,
            [getattr(self, field.name) for field in fields(self)],
        )

        def part(table: Tensor | None, number: int) -> Any:
            if table is None or len(table) < len(self.log_z):
                return table
            return table[number * size : (number + 1) * size]

        return [Flow(*(part(table, k) for table in tables)) for k in range(parts)]


def flow(
    policy: Policy[dag.PointedDAG],
    parameters: Parameters,
    chosen: Objective,
    backward: str = "uniform",
) -> Flow:
    """The model of `chosen` at all states; `backward` names P_B: uniform, learned or maxent."""
    return flow_from_rows(policy, policy.rows(parameters, None), parameters, chosen, backward)


def flow_from_rows(
    policy: Policy[dag.PointedDAG],
    rows: Float[Tensor, "M R S"],
    parameters: Parameters,
    chosen: Objective,
    backward: str,
) -> Flow:
    """The same, from the policy's rows."""
    graph, heads = policy.space, policy.heads
    on_device = tables(graph, rows.device, rows.dtype)
    logits, back, learned = rows, rows, rows
    if heads.n_rows > heads.n_actions:
        logits, back, learned = rows.split((heads.n_actions, heads.n_back, int(heads.flow)), dim=1)
    logits = logits + on_device.mask
    if backward == "learned":
        log_pb = edge_log_pb(graph, back)
    else:
        log_pb = fixed_log_pb(graph, backward, rows.device, rows.dtype)
    if chosen.flow in ("edges", "exits"):
        return _edge_flow(graph, logits, log_pb, chosen.flow == "exits")
    log_pf, log_z = torch.log_softmax(logits, dim=-2), parameters["log_z"]
    if chosen.flow == "none":
        return Flow(log_pf, log_pb, log_z)
    if chosen.flow == "modified":
        log_flow = on_device.log_reward - log_pf[:, -1]
        return Flow(log_pf, log_pb, log_flow[:, 0], log_flow)
    learned = learned.squeeze(1)
    if chosen.flow == "forward-looking":
        learned = learned + log_partial(graph, rows.device, rows.dtype)
    if chosen.tied:
        log_flow = torch.where(only_stop(graph, rows.device), on_device.log_reward, learned)
        return Flow(log_pf, log_pb, log_flow[:, 0], log_flow)
    return Flow(log_pf, log_pb, log_z, torch.cat([log_z[:, None], learned[:, 1:]], dim=1))


def _edge_flow(graph: dag.PointedDAG, logits: Tensor, log_pb: Tensor, exits: bool) -> Flow:
    """Edge flows e^logit, that of a stop being R(s) unless `exits`: P_F(a|s) = F(s, a) / sum_a F(s,
    a).
    """
    on_device = tables(graph, logits.device, logits.dtype)
    log_edge = logits if exits else with_stops(graph, logits)
    log_flow = devices.log_sum_exp(log_edge, 1)
    # nothing flows into the source, and a logsumexp over nothing has no gradient: it keeps its
    # first entry, which is 0
    into = devices.moved(log_edge.flatten(1), *_edges_into(graph, logits)).view(
        len(logits), *on_device.back_mask.shape
    )
    log_inflow = devices.log_sum_exp(into + on_device.back_mask, 1)
    return Flow(log_edge - log_flow[:, None], log_pb, log_flow[:, 0], log_flow, log_inflow)


def with_stops(graph: dag.PointedDAG, table: Float[Tensor, "#M A S"]) -> Float[Tensor, "#M A S"]:
    """The table with log R(s) in the row of the stop."""
    is_move = constants.constant(
        graph, "moves", lambda: np.arange(graph.n_actions)[:, None] < graph.n_actions - 1,
        table.device,
    )  # fmt: skip
    return devices.kept(table, is_move, tables(graph, table.device, table.dtype).log_reward)


def _edges_into(graph: dag.PointedDAG, like: Tensor) -> tuple[Tensor, Tensor]:
    """(slot * S + parent of each backward action's edge, A * S where there is none; the place of
    each edge among these).
    """
    into = constants.constant(
        graph,
        "edges into",
        lambda: np.where(graph.incoming >= 0, graph.incoming, graph.child.size).ravel(),
        like.device,
        torch.long,
    )
    return into, tables(graph, like.device, like.dtype).edge_back


def only_stop(graph: dag.PointedDAG, device: str | torch.device) -> Bool[Tensor, " S"]:
    """The states where a trajectory must stop."""
    return constants.constant(
        graph, "only stop", lambda: (graph.child[:-1] < 0).all(axis=0), device
    )


def edge_log_pb(
    graph: dag.PointedDAG, back_logits: Float[Tensor, "M P S"]
) -> Float[Tensor, "M A S"]:
    """log P_B of the edge that each action takes; 0 for a stop."""
    on_device = tables(graph, back_logits.device, back_logits.dtype)
    log_back = torch.log_softmax(back_logits + on_device.back_mask, dim=1)
    into, back = _edges_into(graph, back_logits)
    return devices.moved(log_back.flatten(1), back, into).view(-1, *graph.child.shape)


def fixed_log_pb(
    graph: dag.PointedDAG, backward: str, device: str | torch.device, dtype: torch.dtype
) -> Float[Tensor, "1 A S"]:
    """log P_B without parameters.

    uniform: -log(number of parents of the child).  maxent: log n(s) - log n(s') with n the number
    of trajectories from the source, which makes all trajectories to a state equally likely
    (Mohammadpour et al. 2024).
    """
    on_device = tables(graph, device, dtype)
    if backward == "uniform":
        return on_device.log_pb[None]
    if backward != "maxent":
        raise ObjectiveError(f"P_B {backward!r} is not known; use one of {', '.join(BACKWARD)}")
    return constants.constant(graph, "maxent", lambda: _maxent(graph), device, dtype)[None]


def _maxent(graph: dag.PointedDAG) -> Tensor:
    log_paths = torch.tensor(graph.log_paths, dtype=torch.float64)
    child = torch.tensor(graph.child).long()
    inner = (child >= 0) & (child < graph.n_states)
    ways = log_paths[None, :] - log_paths[child.clamp(0, graph.n_states - 1)]
    return torch.where(inner, ways, 0.0)


def log_partial(
    graph: dag.PointedDAG, device: str | torch.device, dtype: torch.dtype
) -> Float[Tensor, " S"]:
    """log R of every state, finished or not.

    Raises ObjectiveError where the graph defines none.
    """
    if graph.log_partial is not None:
        return constants.constant(graph, "log_partial", lambda: graph.log_partial, device, dtype)
    if graph.terminal_states.size == graph.n_states:
        return tables(graph, device, dtype).log_reward
    raise ObjectiveError(
        f"{graph.name}: forward-looking flows need log R of unfinished states, which "
        "this graph does not define; "
        "use db, subtb or tb"
    )


def check_objective(graph: dag.PointedDAG, chosen: Objective) -> None:
    """Raises ObjectiveError where this graph does not allow the objective."""
    if chosen.flow == "modified" and graph.terminal_states.size < graph.n_states:
        raise ObjectiveError(
            f"{graph.name}: {chosen.name} needs a graph whose states are all terminal; "
            "use db or subtb"
        )
    if chosen.flow == "forward-looking":
        log_partial(graph, "cpu", torch.float64)


def residuals_along(
    graph: dag.PointedDAG, chosen: Objective, model: Flow, walked: Trajectories
) -> Residuals:
    """The residuals of `chosen` on these trajectories: [M, O, B]."""
    if chosen.kind == "fm":
        states = walked.states
        visited = (states > 0) & (states < graph.n_states)
        log_ratio = needed(model.log_flow) - needed(model.log_inflow)
        found = fm(_at_states(devices.with_number(log_ratio, 0.0), states), visited, chosen.mean)
        if chosen.flow != "exits":
            return found
        log_exit = model.log_pf[:, -1] + needed(model.log_flow)
        log_reward = tables(graph, log_exit.device, log_exit.dtype).log_reward
        return with_exits(found, log_reward[walked.terminal], log_exit.gather(1, walked.terminal))
    return residuals(chosen, steps_along(graph, model, walked, chosen.tied))


def steps_along(
    graph: dag.PointedDAG, model: Flow, walked: Trajectories, tied: bool = False
) -> Steps:
    """The model along these trajectories; `tied`: a stop that must be is no step."""
    # one table for both policies: one gather, and log R and log P_B cancel against log P_F step by
    # step
    increment = devices.with_number(with_stops(graph, model.log_pb) - model.log_pf, 0.0)
    states = walked.states
    exists = states < graph.n_states
    if tied:
        exists = exists & ~pad(only_stop(graph, states.device), (0, 1))[states]
    log_flow = None
    if model.log_flow is not None:
        log_flow = _at_states(devices.with_number(model.log_flow, 0.0), states)
        log_flow = devices.with_number(log_flow, 0.0, dim=1)
    return Steps(at_steps(increment, walked), exists, model.log_z, log_flow)


def _at_states(table: Tensor, states: Tensor) -> Tensor:
    """table[.., state_t] for a table [M, S+1]: [M, T, B]."""
    index = states.flatten(1).expand(table.shape[0], -1)
    return table.gather(1, index).view(table.shape[0], *states.shape[1:])
