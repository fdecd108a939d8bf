"""Trajectories in batch for all members at once, by inverse CDF on the table of action
probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from divergence_lab.gflownet import devices
from divergence_lab.gflownet.kernels import availability, table_walks
from divergence_lab.graphs.dag import PointedDAG
from divergence_lab.graphs.tables import tables


@dataclass(frozen=True, eq=False)
class Trajectories:
    """`index` = slot * (S+1) + state: the step's place in a flat [A, S+1] table; M = 1 if shared.

    After its stop a trajectory stays in the sink (state S, last slot).  `terminal`: where it
    stopped.
    """

    index: Int[Tensor, "M T B"]
    terminal: Int[Tensor, "M B"]
    width: int

    @property
    def states(self) -> Int[Tensor, "M T B"]:
        """The state before each step; the sink, S, after the stop."""
        return self.index % self.width

    @property
    def slots(self) -> Int[Tensor, "M T B"]:
        """The action of each step."""
        return self.index // self.width


@torch.no_grad()
def sample(
    graph: PointedDAG, log_pf: Float[Tensor, "M A S"], uniforms: Float[Tensor, "M T B"]
) -> Trajectories:
    """B trajectories of each member from P_F, by uniforms in [0, 1).

    The slot is the number of cumulative probabilities at or below u, the last allowed slot taking
    all that is left.  A forbidden action has exactly the cumulative probability of the slot before
    it (0 for the first), so neither u = 0 nor a rounded sum below u can select it.
    """
    on_device = tables(graph, log_pf.device, log_pf.dtype)
    # exp(-inf) = 0 and the sum runs slot by slot, so the equality above is exact; the sink's column
    # of 0 selects the last slot
    cumulative = devices.with_number(log_pf[:, :-1], -torch.inf).exp_().cumsum_(dim=1)
    cumulative.masked_fill_(on_device.last_reached, 2.0)
    in_torch = lambda: _steps(cumulative, on_device.next_state, uniforms)  # noqa: E731
    if not table_walks.applies(cumulative):
        return trajectories(graph, in_torch())
    ours = lambda: table_walks.steps(cumulative, on_device.next_state, uniforms)  # noqa: E731
    index = availability.ours_or_torch(
        graph, "walks through a table", ours, in_torch, lambda found: torch.equal(found, in_torch())
    )
    return trajectories(graph, index)


def _steps(cumulative: Tensor, next_state: Tensor, uniforms: Tensor) -> Tensor:
    """[M, T, B] of slot * (S+1) + state, step by step."""
    n_members, n_steps, batch = uniforms.shape
    width = cumulative.shape[2]
    state = torch.zeros(n_members, batch, dtype=torch.long, device=uniforms.device)
    steps = []
    for step in range(n_steps):
        row = cumulative.gather(2, state[:, None].expand(-1, cumulative.shape[1], -1))
        slot = (uniforms[:, step, None] >= row).sum(dim=1)
        index = torch.add(state, slot, alpha=width)
        steps.append(index)
        state = next_state.take(index)
    return torch.stack(steps, dim=1)


def trajectories(graph: PointedDAG, index: Int[Tensor, "M T B"]) -> Trajectories:
    """The record of these steps, slot * (S+1) + state."""
    first_stop = (graph.n_actions - 1) * (graph.n_states + 1)
    # of the steps that stop, one is in a real state and the others in the sink, number S: modulo S,
    # the sum of their states is the real one
    stopped_in = (index - first_stop).clamp_(min=0).sum(dim=1) % graph.n_states
    return Trajectories(index, stopped_in, graph.n_states + 1)


def at_steps(table: Float[Tensor, "M A S+1"], walked: Trajectories) -> Float[Tensor, "M T B"]:
    """table[.., slot_t, state_t]."""
    n_steps, batch = walked.index.shape[1:]
    index = walked.index.flatten(1).expand(table.shape[0], -1)
    return table.flatten(1).gather(1, index).view(-1, n_steps, batch)


def gather_steps(table: Float[Tensor, "M A S+1"], walked: Trajectories) -> Float[Tensor, "M B"]:
    """sum_t table[.., slot_t, state_t], for a table with 0 in the sink's column."""
    return at_steps(table, walked).sum(dim=1)


def with_sink(log_pf: Float[Tensor, "*M A S"]) -> Float[Tensor, "*M A S+1"]:
    """The sink's only action has log-probability 0."""
    return devices.with_number(log_pf, 0.0)


@torch.no_grad()
def sample_backward(
    graph: PointedDAG,
    log_pb: Float[Tensor, "#M A S"],
    terminal: Int[Tensor, "M B"],
    uniforms: Float[Tensor, "M T-1 B"],
) -> Trajectories:
    """Trajectories that end in `terminal`, drawn by P_B, by uniforms in [0, 1).

    Their steps are moved to the front, so that the stop is followed by the sink as in any other
    trajectory.
    """
    on_device = tables(graph, log_pb.device, log_pb.dtype)
    n_members, _, _batch = uniforms.shape
    n_states, width = graph.n_states, graph.n_states + 1
    n_back = on_device.incoming.shape[0]
    # [M or 1, P, S]: probability of each backward action; 0 where there is none
    chances = log_pb.flatten(1)[:, on_device.incoming].exp() * on_device.incoming_exists
    # the last allowed row takes all that is left, and so do the rows after it
    exists = on_device.incoming_exists.cumsum(dim=0)
    cumulative = (
        chances.cumsum(dim=1)
        .masked_fill(exists == exists[-1], 2.0)[:, :-1]
        .expand(n_members, -1, -1)
    )
    stop = (graph.n_actions - 1) * width
    state, steps = terminal, [stop + terminal]
    sink = torch.full_like(terminal, stop + n_states)
    for step in range(graph.max_steps - 1):
        row = cumulative.gather(2, state[:, None].expand(-1, n_back - 1, -1))
        chosen = (uniforms[:, step, None] >= row).sum(dim=1)
        edge = on_device.incoming.take(chosen * n_states + state)  # slot * S + parent
        parent = edge % n_states
        moves = state > 0
        steps.append(torch.where(moves, edge // n_states * width + parent, sink))
        state = torch.where(moves, parent, 0)
    index = torch.stack(
        steps[::-1], dim=1
    )  # sinks first, then the trajectory from the source to its stop
    length = (index != sink[:, None]).sum(dim=1, keepdim=True)
    place = torch.arange(graph.max_steps, device=index.device)[None, :, None]
    moved = index.gather(1, (place + graph.max_steps - length).clamp(max=graph.max_steps - 1))
    return trajectories(graph, torch.where(place < length, moved, sink[:, None]))


@torch.no_grad()
def draw_terminal(
    law: Float[Tensor, " X"], terminal_states: Int[Tensor, " X"], uniforms: Float[Tensor, "M B"]
) -> Int[Tensor, "M B"]:
    """Terminal states from this law by inverse CDF."""
    cumulative = law.double().cumsum(dim=0)
    place = torch.searchsorted(
        cumulative / cumulative[-1], uniforms.double().contiguous(), right=True
    )
    return terminal_states[place.clamp(max=law.numel() - 1)]


def join_trajectories(walks: list[Trajectories]) -> Trajectories:
    """Batches side by side: [M, T, B1 + B2 + ...]."""
    if len(walks) == 1:
        return walks[0]
    return Trajectories(
        torch.cat([walk.index for walk in walks], dim=2),
        torch.cat([walk.terminal for walk in walks], dim=1),
        walks[0].width,
    )
