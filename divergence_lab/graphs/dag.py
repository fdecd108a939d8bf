"""The pointed DAG as arrays.

Shape letters of the whole package: M ensemble members, B batch, T steps, E edges, S states,
X terminal states, A actions.  Here also P = largest number of parents, D = coordinates, K =
features.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from reprlib import Repr

import numpy as np
from jaxtyping import Float32, Float64, Int, Int32, Int64

from divergence_lab.inputs import InputError, refuse_if_too_large

MAX_STATES = 20_000_000
MAX_TABLE = 200_000_000  # entries of one [A, S] or [P, S] table: 0.8 GB of int32
MAX_ONE_HOT = 2_000_000_000  # entries of the one-hot features, 4 bytes each

_short = Repr()  # a state in a message, which is one line however long the state is
_short.maxstring = _short.maxother = 200
_short.maxtuple = _short.maxlist = 30
short = _short.repr


class GraphError(InputError):
    """A graph that cannot be built; one line that names the offending part and says what to do."""


@dataclass(frozen=True, eq=False)
class Edges:
    """The edges between states (not those into the sink), sorted by parent level, parent and slot.

    `parent`, `slot`, `child`: [E] int64; `level_start[l]` is the first edge whose parent has
    level l or more.
    """

    parent: Int64[np.ndarray, " E"]
    slot: Int64[np.ndarray, " E"]
    child: Int64[np.ndarray, " E"]
    level_start: Int64[np.ndarray, " L+1"]


@dataclass(frozen=True, eq=False)
class PointedDAG:
    """A DAG with one source (state 0) and a sink (number S); states are numbered by level.

        child        [A, S] the state reached from s by the action in slot a; S = stop (always the
                     last slot), -1 = not allowed
        log_reward   [S] log R(s), natural logarithm; -inf where a trajectory cannot stop, and where
                     it can and R = 0
        level        [S] edges on the longest path from the source, non-decreasing in s
        coordinates  [S, D] whole numbers from 0, which a network reads; or None
        labels       the user's names of the states, or None
        log_partial  [S] log R of every state, unfinished ones included, for forward-looking flows
                     (Pan et al. 2023); equal to `log_reward` where that is finite; None: not
                     defined

    `from_edges`, `from_children` and `graph_from_text` make one and check it. Its arrays are
    read-only, and what is derived from them (`edges`, `incoming`, `modes`, ...) is made when it is
    first asked for.

        >>> from divergence_lab import from_edges
        >>> graph = from_edges([("s", "a"), ("s", "b")], {"a": 0.0, "b": 1.0})
        >>> graph.n_states, graph.n_actions, graph.max_steps
        (3, 3, 2)
        >>> graph.child[:, 0].tolist()  # two children; no stop in the source
        [1, 2, -1]

    Actions come before states in every table because a log-softmax over the first of the two axes,
    with an additive mask, is an order of magnitude cheaper than a masked softmax over a short last
    axis.
    """

    name: str
    child: Int32[np.ndarray, "A S"]
    log_reward: Float64[np.ndarray, " S"]
    level: Int[np.ndarray, " S"]
    coordinates: Int[np.ndarray, "S D"] | None = None
    labels: tuple[Hashable, ...] | None = None
    log_partial: Float64[np.ndarray, " S"] | None = None

    def __post_init__(self) -> None:
        for array in (self.child, self.log_reward, self.level, self.coordinates, self.log_partial):
            if array is not None:
                array.setflags(write=False)

    @property
    def n_actions(self) -> int:
        return self.child.shape[0]

    @property
    def n_states(self) -> int:
        return self.child.shape[1]

    @property
    def max_steps(self) -> int:
        """T: actions of the longest trajectory, the stop included."""
        return int(self.level[-1]) + 1

    @cached_property
    def terminal_states(self) -> Int[np.ndarray, " X"]:
        """The states where a trajectory may stop, ascending."""
        return _frozen(np.flatnonzero(self.child[-1] == self.n_states))

    @cached_property
    def without_reward(self) -> Int[np.ndarray, " *"]:
        """The terminal states with R = 0, ascending: the target law gives them 0."""
        return _frozen(self.terminal_states[np.isneginf(self.log_reward[self.terminal_states])])

    @cached_property
    def modes(self) -> np.ndarray:
        """The terminal states whose reward is within 1% of the largest, ascending."""
        return _frozen(np.flatnonzero(self.log_reward >= self.log_reward.max() + math.log(0.99)))

    @cached_property
    def edges(self) -> Edges:
        inner = (self.child >= 0) & (self.child < self.n_states)
        parent, slot = np.nonzero(inner.T)  # row-major over [S, A]: already sorted by parent
        level_start = np.searchsorted(self.level[parent], np.arange(self.level[-1] + 2))
        child = self.child[slot, parent].astype(np.int64)
        return Edges(*map(_frozen, (parent, slot, child, level_start)))

    @cached_property
    def n_parents(self) -> Int[np.ndarray, " S"]:
        """The number of edges that enter each state; 0 for the source."""
        return _frozen(np.bincount(self.edges.child, minlength=self.n_states))

    @cached_property
    def log_paths(self) -> Float64[np.ndarray, " S"]:
        """log of the number of trajectories from the source to each state: 0 for the source."""
        incoming, exists = self.incoming % self.n_states, self.incoming >= 0
        log_paths = np.zeros(self.n_states)
        for low, high in self.level_slices[1:]:
            ways = np.where(exists[:, low:high], log_paths[incoming[:, low:high]], -np.inf)
            log_paths[low:high] = np.logaddexp.reduce(ways, axis=0)
        return _frozen(log_paths)

    @cached_property
    def incoming(self) -> Int[np.ndarray, "P S"]:
        """The edges that enter each state as slot * S + parent; -1 is none.

        Row p holds the edges of slot p, so that a backward action has one meaning in all states,
        where this takes no more rows than the largest number of parents; else a state's edges fill
        the first rows.
        """
        width = max(1, int(self.n_parents.max()))
        refuse_large_table(width, self.n_states, "parents of one state")
        slot, parent, child = self.edges.slot, self.edges.parent, self.edges.child
        # numbers up to A * S, in 32 bits where they do
        small = np.int32 if self.child.size < 2**31 else np.int64
        incoming = np.full((width, self.n_states), -1, dtype=small)
        if width == max(1, self.n_actions - 1):
            incoming[slot, child] = slot * self.n_states + parent
            if np.count_nonzero(incoming >= 0) == child.size:
                return _frozen(incoming)
        incoming[:] = -1
        by_child = np.argsort(child, kind="stable")
        first = np.cumsum(self.n_parents) - self.n_parents
        row = np.arange(child.size) - first[child[by_child]]
        incoming[row, child[by_child]] = slot[by_child] * self.n_states + parent[by_child]
        return _frozen(incoming)

    @cached_property
    def level_slices(self) -> tuple[tuple[int, int], ...]:
        """The states of level l are those from level_slices[l][0] up to level_slices[l][1] - 1."""
        bounds = np.searchsorted(self.level, np.arange(self.level[-1] + 2))
        return tuple((int(low), int(high)) for low, high in pairwise(bounds))

    @cached_property
    def features(self) -> Float32[np.ndarray, "S K"]:
        """One-hot of every coordinate, or of the state's number where there are
        none.
        """
        values = np.arange(self.n_states)[:, None] if self.coordinates is None else self.coordinates
        sizes = values.max(axis=0).astype(np.int64) + 1
        if int(sizes.sum()) * self.n_states > MAX_ONE_HOT:
            raise GraphError(
                f"{self.name}: one-hot features, {self.n_states:,} x "
                f"{int(sizes.sum()):,}, do not fit; "
                "use the tabular policy"
            )
        features = np.zeros((self.n_states, int(sizes.sum())), dtype=np.float32)
        np.put_along_axis(features, values + (np.cumsum(sizes) - sizes), 1.0, axis=1)
        return _frozen(features)

    def label(self, state: int) -> Hashable:
        """The user's name of a state, its coordinates, or its number."""
        if self.labels is not None:
            return self.labels[state]
        return state if self.coordinates is None else tuple(self.coordinates[state].tolist())


def clamp_log_reward(graph: PointedDAG, low: float) -> PointedDAG:
    """The graph with log R(x) = max(log R(x), low) at its terminal states, those with R = 0 too,
    and so another target law.

    Released GFlowNet code clamps log R so (torchgfn: `log_reward_clip_min`, -12 in that of Hu et
    al. 2025).
    """

    stops = graph.child[-1] == graph.n_states

    def clamped(values: np.ndarray) -> np.ndarray:
        return np.where(stops | np.isfinite(values), np.maximum(values, low), values)

    return replace(
        graph,
        name=f"{graph.name}, log R >= {low:g}",
        log_reward=clamped(graph.log_reward),
        log_partial=None if graph.log_partial is None else clamped(graph.log_partial),
    )


def refuse_zero_rewards(graph: PointedDAG) -> None:
    """GraphError where a terminal state has R = 0: residuals are infinite there."""
    if graph.without_reward.size:
        named = short(graph.label(int(graph.without_reward[0])))
        raise GraphError(
            f"{graph.name}: {graph.without_reward.size} terminal states have reward 0 (log R = "
            f"-inf), such as {named}, where residuals are infinite: train with --clamp-log-reward "
            "LOW, or give them a log-reward"
        )


def refuse_large_table(width: int, n_states: int, what: str) -> None:
    """GraphError for a table of more than MAX_TABLE entries."""
    if width * n_states > MAX_TABLE:
        raise GraphError(
            f"a table of {width:,} {what} x {n_states:,} states does not fit (limit "
            f"{MAX_TABLE:,}); "
            "spread the edges over intermediate states"
        )


def refuse_many_states(name: str, n_states: int, n_actions: int, n_coordinates: int) -> None:
    """InputError where the arrays of a graph would need more memory than is free."""
    refuse_if_too_large(
        n_states * (4 * n_actions + 8 * n_coordinates + 40),
        f"{name}, {n_states:,} states,",
        "take a smaller space, or a generated one",
    )


def _frozen(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array
