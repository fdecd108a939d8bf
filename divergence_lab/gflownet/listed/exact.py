"""Exact laws by dynamic programming over levels, and by brute force over all trajectories to
check them.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from divergence_lab.gflownet.listed.sampling import Trajectories, trajectories
from divergence_lab.gflownet.listed.visits import visits
from divergence_lab.graphs import constants, dag
from divergence_lab.inputs import InputError

ENUMERATION_LIMIT = 1_000_000


class EnumerationError(InputError):
    """Too many trajectories to enumerate."""


def state_probability(
    graph: dag.PointedDAG, logits: Float[Tensor, "*M A S"]
) -> Float[Tensor, "*M S"]:
    """d(s) = sum over edges s' -> s of d(s') P_F(s|s'), d(source) = 1.

    log P_F will do for logits; dtype and gradient as those of `visits`.
    """
    return visits(graph, logits).sum(dim=-2)


def terminal_distribution(
    graph: dag.PointedDAG, logits: Float[Tensor, "*M A S"]
) -> Float[Tensor, "*M X"]:
    """P_F(x) = d(x) P_F(stop|x) over terminal states, P_F = softmax of logits or log P_F."""
    stopped = visits(graph, logits)[..., -1, :]
    if graph.terminal_states.size == graph.n_states:
        return stopped
    terminal = constants.constant(
        graph, "terminal", lambda: graph.terminal_states, logits.device, torch.long
    )
    return stopped.index_select(-1, terminal)


def log_partition(graph: dag.PointedDAG) -> float:
    """log Z = log sum_x R(x)."""
    return float(np.logaddexp.reduce(graph.log_reward[graph.terminal_states]))


def target_distribution(graph: dag.PointedDAG) -> Float64[np.ndarray, " X"]:
    """R(x) / Z over the terminal states."""
    return np.exp(graph.log_reward[graph.terminal_states] - log_partition(graph))


def count_trajectories(graph: dag.PointedDAG) -> int:
    """The number of complete trajectories, exactly (a Python integer of any size)."""
    paths = np.zeros(graph.n_states, dtype=object)
    paths[0] = 1
    edges = graph.edges
    for low, high in pairwise(edges.level_start):
        np.add.at(paths, edges.child[low:high], paths[edges.parent[low:high]])
    return int(paths[graph.terminal_states].sum())


def enumerate_trajectories(graph: dag.PointedDAG, limit: int = ENUMERATION_LIMIT) -> Trajectories:
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
