"""A graph's arrays as tensors on a device, made once per (graph, device, dtype)."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from divergence_lab.graphs import constants, dag


@dataclass(frozen=True, eq=False)
class Tables:
    """Tables with S + 1 columns have one for the sink, where the only action is to stay, with log 1
    = 0.

    So a trajectory that has ended goes on through the sink and adds exactly nothing: no mask over
    steps.
    """

    mask: Float[Tensor, "A S"]  # 0 where the action is allowed, -inf elsewhere
    # log P_B of going back from child[a, s] to s: -log(parents); 0 for a stop
    log_pb: Float[Tensor, "A S"]
    log_reward: Float[Tensor, " S"]
    # child table, flat; the sink where nothing is allowed
    next_state: Int[Tensor, " A*(S+1)"]
    # the last allowed slot of the state, and all slots after it
    last_reached: Bool[Tensor, "A-1 S+1"]
    # 0 where the backward action is allowed, -inf elsewhere; row 0 of the source is 0
    back_mask: Float[Tensor, "P S"]
    # place in a flat [P, S] table of the backward action of edge (a, s); P * S if none
    edge_back: Int[Tensor, " A*S"]
    # edges into each state as slot * S + parent (0 where padded)
    incoming: Int[Tensor, "P S"]
    incoming_exists: Float[Tensor, "P S"]  # 1 or 0
    terminal_states: Int[Tensor, " X"]


def tables(graph: dag.PointedDAG, device: str | torch.device, dtype: torch.dtype) -> Tables:
    """The graph's tables on a device; kept for as long as the graph lives."""
    return constants.keep(graph, ("tables", str(device), dtype), _make, graph, device, dtype)


def _make(graph: dag.PointedDAG, device: str | torch.device, dtype: torch.dtype) -> Tables:
    made = _make_on_cpu(graph, dtype)
    return Tables(**{field.name: getattr(made, field.name).to(device) for field in fields(Tables)})


def _make_on_cpu(graph: dag.PointedDAG, dtype: torch.dtype) -> Tables:
    n_actions, n_states = graph.child.shape
    # copies: the graph's arrays are read-only, which torch cannot express
    child = torch.tensor(graph.child).long()  # torch gathers by int64 alone
    shut = child < 0
    inner = (child >= 0) & (child < n_states)
    log_parents = torch.tensor(graph.n_parents).clamp(min=1).double().log()
    log_pb = torch.where(inner, -log_parents[child.clamp(0, n_states - 1)], 0.0)

    next_state = torch.full((n_actions, n_states + 1), n_states)
    next_state[:, :-1] = torch.where(shut, n_states, child)
    allowed = torch.zeros(n_actions, n_states + 1, dtype=torch.long)
    allowed[:, :-1] = ~shut
    allowed[-1, -1] = 1  # in the sink the only action is to stay
    so_far = allowed.cumsum(0)

    incoming = torch.tensor(graph.incoming).long()
    exists = incoming >= 0
    edge_back = torch.full((n_actions * n_states,), incoming.numel())
    edge_back[incoming[exists]] = exists.flatten().nonzero()[:, 0]
    back_mask = torch.zeros(exists.shape, dtype=dtype).masked_fill(~exists, -torch.inf)
    back_mask[0, 0] = 0.0  # the source has no parent, and a softmax over nothing is not a number
    incoming = incoming.clamp(min=0)
    return Tables(
        mask=torch.zeros(shut.shape, dtype=dtype).masked_fill(shut, -torch.inf),
        log_pb=log_pb.to(dtype),
        log_reward=torch.tensor(graph.log_reward).to(dtype),
        next_state=next_state.flatten(),
        last_reached=(so_far == so_far[-1])[:-1],
        back_mask=back_mask,
        edge_back=edge_back,
        incoming=incoming,
        incoming_exists=exists.to(dtype),
        terminal_states=torch.tensor(graph.terminal_states).long(),
    )
