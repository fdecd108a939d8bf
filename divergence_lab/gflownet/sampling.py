"""Trajectories in batch for all members at once, by inverse CDF on the table of action probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from divergence_lab.gflownet.tables import tables
from divergence_lab.graphs.dag import PointedDAG


@dataclass(frozen=True, eq=False)
class Trajectories:
    """`index` [M, T, B] = slot * (S+1) + state: the step's place in a flat [A, S+1] table; M = 1 if shared.

    After its stop a trajectory stays in the sink (state S, last slot).  `terminal` [M, B]: where it stopped.
    """

    index: Tensor
    terminal: Tensor
    width: int

    @property
    def states(self) -> Tensor:
        """[M, T, B]"""
        return self.index % self.width

    @property
    def slots(self) -> Tensor:
        """[M, T, B]"""
        return self.index // self.width


@torch.no_grad()
def sample(graph: PointedDAG, log_pf: Tensor, uniforms: Tensor) -> Trajectories:
    """B trajectories of each member from P_F: log_pf [M, A, S], uniforms [M, T, B] in [0, 1).

    The slot is the number of cumulative probabilities at or below u, the last allowed slot taking all that is
    left.  A forbidden action has exactly the cumulative probability of the slot before it (0 for the first),
    so neither u = 0 nor a rounded sum below u can select it.
    """
    on_device = tables(graph, log_pf.device, log_pf.dtype)
    n_members, n_steps, batch = uniforms.shape
    # exp(-inf) = 0 and the sum runs slot by slot, so the equality above is exact; the sink's column of 0
    # selects the last slot
    cumulative = pad(log_pf[:, :-1], (0, 1), value=-torch.inf).exp_().cumsum_(dim=1)
    cumulative.masked_fill_(on_device.last_reached, 2.0)
    state = torch.zeros(n_members, batch, dtype=torch.long, device=log_pf.device)
    steps = []
    for step in range(n_steps):
        row = cumulative.gather(2, state[:, None].expand(-1, cumulative.shape[1], -1))
        slot = (uniforms[:, step, None] >= row).sum(dim=1)
        index = torch.add(state, slot, alpha=graph.n_states + 1)
        steps.append(index)
        state = on_device.next_state.take(index)
    return trajectories(graph, torch.stack(steps, dim=1))


def trajectories(graph: PointedDAG, index: Tensor) -> Trajectories:
    """The record of these steps, [M, T, B] = slot * (S+1) + state."""
    first_stop = (graph.n_actions - 1) * (graph.n_states + 1)
    # of the steps that stop, one is in a real state and the others in the sink, number S: modulo S, the
    # sum of their states is the real one
    stopped_in = (index - first_stop).clamp_(min=0).sum(dim=1) % graph.n_states
    return Trajectories(index, stopped_in, graph.n_states + 1)


def gather_steps(table: Tensor, walked: Trajectories) -> Tensor:
    """sum_t table[.., slot_t, state_t] -> [M, B], for a table [M, A, S+1] with 0 in the sink's column."""
    n_steps, batch = walked.index.shape[1:]
    index = walked.index.flatten(1).expand(table.shape[0], -1)
    return table.flatten(1).gather(1, index).view(-1, n_steps, batch).sum(dim=1)


def with_sink(log_pf: Tensor) -> Tensor:
    """[.., A, S] -> [.., A, S+1]: the sink's only action has log-probability 0."""
    return pad(log_pf, (0, 1))
