"""Exact laws by dynamic programming over levels, and by brute force over all trajectories to
check them.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from divergence_lab.gflownet.listed.sampling import (
    Trajectories,
    gather_steps,
    trajectories,
    with_sink,
)
from divergence_lab.gflownet.listed.visits import visits
from divergence_lab.graphs.constants import constant
from divergence_lab.graphs.dag import PointedDAG
from divergence_lab.graphs.tables import tables
from divergence_lab.inputs import InputError

ENUMERATION_LIMIT = 1_000_000
PLACES = ("terminals", "states", "edges", "trajectories")


class EnumerationError(InputError):
    """Too many trajectories to enumerate."""


def state_probability(graph: PointedDAG, logits: Float[Tensor, "*M A S"]) -> Float[Tensor, "*M S"]:
    """d(s) = sum over edges s' -> s of d(s') P_F(s|s'), d(source) = 1.

    log P_F will do for logits; dtype and gradient as those of `visits`.
    """
    return visits(graph, logits).sum(dim=-2)


def terminal_distribution(
    graph: PointedDAG, logits: Float[Tensor, "*M A S"]
) -> Float[Tensor, "*M X"]:
    """P_F(x) = d(x) P_F(stop|x) over terminal states, P_F = softmax of logits or log P_F."""
    stopped = visits(graph, logits)[..., -1, :]
    if graph.terminal_states.size == graph.n_states:
        return stopped
    terminal = constant(graph, "terminal", lambda: graph.terminal_states, logits.device, torch.long)
    return stopped.index_select(-1, terminal)


def target_visits(graph: PointedDAG, log_pb: Float[Tensor, "M A S"]) -> Float[Tensor, "M A S"]:
    """v*(s, a) when trajectories are drawn from the target and P_B; no gradient.

    d*(s) = R(s)/Z + sum over children s' of v*(s -> s'), v*(s -> s') = d*(s') P_B(s|s'); a stop has
    R(s)/Z.
    """
    with torch.no_grad():
        on_device = tables(graph, log_pb.device, log_pb.dtype)
        n_members, _, n_states = log_pb.shape
        stop = (on_device.log_reward - log_partition(graph)).exp().expand(n_members, -1)
        back = log_pb[:, :-1].exp()
        child = on_device.next_state.view(graph.n_actions, n_states + 1)[:-1, :-1]
        reached = log_pb.new_zeros(n_members, n_states + 1)
        found = torch.cat([torch.zeros_like(back), stop[:, None]], dim=1)
        for low, high in reversed(graph.level_slices):
            ahead = reached[
                :, child[:, low:high]
            ]  # 0 where the action is not allowed: that leads to the sink
            found[:, :-1, low:high] = ahead * back[:, :, low:high]
            reached[:, low:high] = found[:, :, low:high].sum(dim=1)
        return found


def laws_at(
    graph: PointedDAG, place: str, log_pf: Float[Tensor, "M A S"], log_pb: Float[Tensor, "#M A S"]
) -> tuple[Float[Tensor, "#M N"], Float[Tensor, "M N"]]:
    """(target p, learned q) over one of PLACES, for any divergence of `metrics`: D_f(p||q).

    terminals: R/Z and the learned law.  states, edges: expected visits in one trajectory, stops
    among the edges, so their sums are the expected numbers of states and of steps.  trajectories:
    R(x) prod P_B / Z and prod P_F, all listed (EnumerationError where they are too many).  log_pb
    as in `Flow`.
    """
    if place == "terminals":
        target = constant(
            graph, "law", lambda: target_distribution(graph), log_pf.device, log_pf.dtype
        )
        return target[None], terminal_distribution(graph, log_pf)
    if place in ("states", "edges"):
        target, learned = target_visits(graph, log_pb), visits(graph, log_pf)
        if place == "states":
            return target.sum(dim=1), learned.sum(dim=1)
        edges = torch.tensor(graph.child.ravel() >= 0, device=log_pf.device)
        return target.flatten(1)[:, edges], learned.flatten(1)[:, edges]
    if place != "trajectories":
        raise ValueError(f"place {place!r} is not known; use one of {', '.join(PLACES)}")
    walked = enumerate_trajectories(graph)
    stop = tables(graph, log_pf.device, log_pf.dtype).log_reward - log_partition(graph)
    back = torch.cat([log_pb[:, :-1], stop.expand(len(log_pb), 1, -1)], dim=1)
    target, learned = (gather_steps(with_sink(table), walked).exp() for table in (back, log_pf))
    return target, learned


def log_partition(graph: PointedDAG) -> float:
    """log Z = log sum_x R(x)."""
    return float(np.logaddexp.reduce(graph.log_reward[graph.terminal_states]))


def target_distribution(graph: PointedDAG) -> Float64[np.ndarray, " X"]:
    """R(x) / Z over the terminal states."""
    return np.exp(graph.log_reward[graph.terminal_states] - log_partition(graph))


def uniform_log_pb(graph: PointedDAG, device: str | torch.device = "cpu") -> Float64[Tensor, "A S"]:
    """log P_B(s | child[a, s]) = -log(number of parents of the child), 0 for a stop."""
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
