"""Exact laws by dynamic programming over levels, and by brute force over all trajectories to check them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from divergence_lab.gflownet.sampling import Trajectories, trajectories
from divergence_lab.gflownet.tables import tables
from divergence_lab.graphs.dag import PointedDAG

ENUMERATION_LIMIT = 1_000_000


class EnumerationError(ValueError):
    """Too many trajectories to enumerate."""


def state_probability(graph: PointedDAG, log_pf: Tensor) -> Tensor:
    """d(s) = sum over edges s' -> s of d(s') P_F(s|s'), d(source) = 1: [.., A, S] -> [.., S], float64.

    Differentiable.  Each sum has a fixed order, so the same input gives the same bits on the same device.
    """
    on_device = tables(graph, log_pf.device, torch.float64)
    edge_probability = log_pf.double().exp().flatten(-2)[..., on_device.incoming] * on_device.incoming_exists
    probability = torch.zeros(*log_pf.shape[:-2], graph.n_states, dtype=torch.float64, device=log_pf.device)
    probability[..., 0] = 1.0
    for low, high in graph.level_slices[1:]:
        above = probability[..., on_device.incoming_parent[:, low:high]]
        probability[..., low:high] = (above * edge_probability[..., low:high]).sum(dim=-2)
    return probability


def terminal_distribution(graph: PointedDAG, log_pf: Tensor) -> Tensor:
    """P_F(x) = d(x) P_F(stop|x) over terminal states: [.., A, S] -> [.., X], float64; differentiable."""
    on_device = tables(graph, log_pf.device, torch.float64)
    stopped = state_probability(graph, log_pf) * log_pf[..., -1, :].double().exp()
    return stopped[..., on_device.terminal_states]


def log_partition(graph: PointedDAG) -> float:
    """log Z = log sum_x R(x)."""
    return float(np.logaddexp.reduce(graph.log_reward[graph.terminal_states]))


def target_distribution(graph: PointedDAG) -> np.ndarray:
    """R(x) / Z over the terminal states, [X] float64."""
    return np.exp(graph.log_reward[graph.terminal_states] - log_partition(graph))


def uniform_log_pb(graph: PointedDAG, device: str | torch.device = "cpu") -> Tensor:
    """log P_B(s | child[a, s]) = -log(number of parents of the child), 0 for a stop: [A, S] float64."""
    return tables(graph, device, torch.float64).log_pb


def count_trajectories(graph: PointedDAG) -> int:
    """The number of complete trajectories, exactly (a Python integer of any size)."""
    paths = np.zeros(graph.n_states, dtype=object)
    paths[0] = 1
    edges = graph.edges
    for low, high in pairwise(edges.level_start):
        np.add.at(paths, edges.child[low:high], paths[edges.parent[low:high]])
    return int(paths[graph.terminal_states].sum())


def enumerate_trajectories(graph: PointedDAG, limit: int = ENUMERATION_LIMIT) -> Trajectories:
    """Every complete trajectory once, in the form of sampled ones with M = 1: [1, T, B].

    Raises EnumerationError when there are more than `limit`.
    """
    count = count_trajectories(graph)
    if count > limit:
        shown = f"{count:,}" if count < 10**15 else "over 10^15"
        raise EnumerationError(
            f"{graph.name} has {shown} trajectories, more than {limit:,}; take a smaller graph"
        )
    child = np.concatenate([graph.child, np.full((graph.n_actions, 1), -1)], axis=1)
    child[-1, -1] = graph.n_states  # in the sink the only action is to stay
    steps = np.zeros((0, 1), dtype=np.int64)
    state = np.zeros(1, dtype=np.int64)
    for _ in range(graph.max_steps):
        walk, slot = np.nonzero(child[:, state].T >= 0)
        here = slot * (graph.n_states + 1) + state[walk]
        steps = np.concatenate([steps[:, walk], here[None]])
        state = child[slot, state[walk]]
    return trajectories(graph, torch.from_numpy(steps)[None])
