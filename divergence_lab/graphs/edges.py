"""Anyone's DAG from a list of edges, which is checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from divergence_lab.graphs.dag import GraphError, PointedDAG, refuse_large_table, short
from divergence_lab.inputs import is_number, kind_of

LARGEST_LOG_REWARD = 1e6  # beyond it, float32 tells log-rewards apart by steps of more than 0.06
ZERO = ("-oo", "-inf")  # log 0 in a JSON file, which has no infinity


def from_edges(
    edges: Iterable[tuple[Hashable, Hashable]],
    log_rewards: Mapping[Any, float],
    *,
    source: Hashable | None = None,
    name: str = "dag",
) -> PointedDAG:
    """The pointed DAG with these edges, where trajectories stop at the keys of log_rewards.

        edges        pairs (parent, child) of states: strings, numbers, tuples, anything hashable
        log_rewards  log R(s), natural logarithm, of each state where a trajectory may stop; -inf
                     for R = 0
        source       where trajectories start; None: the one state without parents
        name         how messages and results call the graph

    States are renumbered by level; the j-th child of a state, in the order given, takes slot j.
    Raises GraphError unless the graph is acyclic, has one source from which every state can be
    reached, every state reaches a terminal one, and every log-reward is a number of at most 10^6 in
    size, or -inf.

        >>> import divergence_lab as dl
        >>> edges = [("s", "a"), ("s", "b"), ("a", "x"), ("b", "x")]
        >>> diamond = dl.from_edges(edges, {"x": 0.0, "b": 1.0})
        >>> diamond.n_states, diamond.terminal_states.size
        (4, 2)
    """
    if not isinstance(edges, Iterable) or isinstance(edges, str | bytes | Mapping):
        raise GraphError(f"edges is {kind_of(edges)}; give pairs of states, (parent, child)")
    if not isinstance(log_rewards, Mapping):
        raise GraphError(f"log_rewards is {kind_of(log_rewards)}; give {{state: log R}}")
    pairs = [_pair(edge, name) for edge in edges]
    labels = list(dict.fromkeys([state for pair in pairs for state in pair] + list(log_rewards)))
    if not labels:
        raise GraphError(f"{name}: no edges and no log-rewards; give at least one terminal state")
    if twice := [pair for pair, count in Counter(pairs).items() if count > 1]:
        raise GraphError(
            f"{name}: the edge {' -> '.join(map(short, twice[0]))} is given twice; keep one"
        )
    index = {label: number for number, label in enumerate(labels)}
    parent, child = (
        np.array([(index[a], index[b]) for a, b in pairs], dtype=np.int64).reshape(-1, 2).T
    )
    return from_indices(parent, child, labels, log_rewards, source=source, name=name)


def from_indices(
    parent: Sequence[int] | np.ndarray,
    child: Sequence[int] | np.ndarray,
    labels: Sequence[Hashable],
    log_rewards: Mapping[Hashable, float],
    *,
    source: Hashable | None = None,
    name: str = "dag",
) -> PointedDAG:
    """As `from_edges`, with edge e from labels[parent[e]] to labels[child[e]], both [E], no two
    alike.
    """
    parent, child = np.asarray(parent, dtype=np.int64), np.asarray(child, dtype=np.int64)
    level = _levels(parent, child, labels, name)
    _check_source(parent, child, labels, source, name)
    number_of = {label: number for number, label in enumerate(labels)}
    log_reward = _log_reward(log_rewards, number_of, name)
    stops = np.zeros(len(labels), dtype=bool)
    stops[[number_of[label] for label in log_rewards]] = True
    childless = np.setdiff1d(np.arange(len(labels)), parent)
    dead = childless[~stops[childless]]
    if dead.size:
        raise GraphError(
            f"{name}: state {short(labels[dead[0]])} reaches no terminal state; give it "
            "a log-reward or a child"
        )
    order = np.argsort(level, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    return PointedDAG(
        name=name,
        child=_child_table(rank[parent], rank[child], stops[order], name),
        log_reward=log_reward[order],
        level=level[order],
        labels=tuple(labels[number] for number in order),
    )


def _child_table(parent: np.ndarray, child: np.ndarray, stops: np.ndarray, name: str) -> np.ndarray:
    n_states = stops.size
    n_children = np.bincount(parent, minlength=n_states)
    width = int(n_children.max()) + 1
    refuse_large_table(width, n_states, "children of one state")
    by_parent = np.argsort(parent, kind="stable")
    first = np.cumsum(n_children) - n_children
    table = np.full((width, n_states), -1, dtype=np.int32)
    table[np.arange(parent.size) - first[parent[by_parent]], parent[by_parent]] = child[by_parent]
    table[-1, stops] = n_states
    return table


def _levels(
    parent: np.ndarray, child: np.ndarray, labels: Sequence[Hashable], name: str
) -> np.ndarray:
    """[S] longest path from a source: the round in which Kahn's algorithm frees a state."""
    n_states = len(labels)
    by_parent = np.argsort(parent, kind="stable")
    child_sorted = child[by_parent]
    first = np.searchsorted(parent[by_parent], np.arange(n_states + 1))
    waiting = np.bincount(child, minlength=n_states)
    level = np.full(n_states, -1, dtype=np.int64)
    frontier, depth = np.flatnonzero(waiting == 0), 0
    while frontier.size:
        level[frontier] = depth
        count = first[frontier + 1] - first[frontier]
        offset = np.repeat(first[frontier] - np.cumsum(count) + count, count)
        reached, times = np.unique(
            child_sorted[offset + np.arange(offset.size)], return_counts=True
        )
        waiting[reached] -= times
        frontier, depth = reached[waiting[reached] == 0], depth + 1
    if (level < 0).any():
        raise GraphError(
            f"{name}: the edges form a cycle, {_cycle(parent, child, level, labels)}; remove one"
        )
    return level


def _cycle(
    parent: np.ndarray, child: np.ndarray, level: np.ndarray, labels: Sequence[Hashable]
) -> str:
    # every state left over by Kahn's algorithm has a parent that was left over: walking back must
    # repeat
    stuck = level[parent] < 0
    a_parent = dict(zip(child[stuck].tolist(), parent[stuck].tolist(), strict=True))
    path = [int(np.flatnonzero(level < 0)[0])]
    while (before := a_parent[path[-1]]) not in path:
        path.append(before)
    loop = [before, *reversed(path[path.index(before) :])]
    names = [short(labels[state]) for state in loop]
    return " -> ".join(names if len(names) <= 8 else [*names[:4], "...", *names[-3:]])


def _check_source(
    parent: np.ndarray, child: np.ndarray, labels: Sequence[Hashable], source: Hashable, name: str
) -> None:
    # in an acyclic graph every state has an ancestor without parents: one such state reaches them
    # all
    parentless = np.setdiff1d(np.arange(len(labels)), child)
    if source is not None:
        if source not in labels:
            raise GraphError(
                f"{name}: the source {short(source)} is not a state; name a state of the edges"
            )
        if labels.index(source) not in parentless:
            raise GraphError(
                f"{name}: the source {short(source)} has a parent; remove the edge into it"
            )
        lost = [labels[state] for state in parentless if labels[state] != source]
        if lost:
            raise GraphError(
                f"{name}: state {short(lost[0])} cannot be reached from the source "
                f"{short(source)}; add an edge into it"
            )
    if parentless.size > 1:
        some = ", ".join(short(labels[state]) for state in parentless[:4]) + ", ..." * (
            parentless.size > 4
        )
        raise GraphError(
            f"{name}: {parentless.size} states have no parent ({some}); keep one source"
        )


def _log_reward(log_rewards: Mapping[Hashable, float], index: dict, name: str) -> np.ndarray:
    log_reward = np.full(len(index), -np.inf)
    for label, value in log_rewards.items():
        is_zero = (isinstance(value, float) and value == -np.inf) or value in ZERO
        if not is_zero and not is_number(value, -LARGEST_LOG_REWARD, LARGEST_LOG_REWARD):
            raise GraphError(
                f"{name}: the log-reward of {short(label)} is {short(value)}; give a number from "
                f"-{LARGEST_LOG_REWARD:,.0f} to {LARGEST_LOG_REWARD:,.0f}, -inf for a reward of 0, "
                "or none if no trajectory ends there"
            )
        log_reward[index[label]] = -np.inf if is_zero else value
    if log_rewards and np.isneginf(log_reward).all():
        raise GraphError(f"{name}: all rewards are 0; give one state a log-reward at least")
    return log_reward


def _pair(edge: object, name: str) -> tuple:
    pair = tuple(edge) if isinstance(edge, (tuple, list)) else ()
    if len(pair) != 2:
        raise GraphError(f"{name}: {short(edge)} is not an edge; write (parent, child)")
    if not all(isinstance(state, Hashable) for state in pair):
        raise GraphError(
            f"{name}: the states of {short(edge)} cannot be hashed; use tuples, strings or numbers"
        )
    return pair
