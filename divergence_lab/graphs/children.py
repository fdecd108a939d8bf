"""Anyone's DAG from a function `children(state)`: its states are found breadth-first and listed."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Hashable, Iterable
from typing import Any

from tqdm import tqdm

from divergence_lab.graphs import dag, edges

DEFAULT_LIMIT = 1_000_000


def from_children(
    source: Hashable,
    children: Callable[[Any], Iterable[Hashable]],
    log_reward: Callable[[Any], float | None],
    *,
    limit: int = DEFAULT_LIMIT,
    progress: bool | None = None,
    name: str = "dag",
) -> dag.PointedDAG:
    """The pointed DAG of all states that `children` reaches from `source`; its labels are the
    states.

        source      the state where trajectories start, hashable as all states are
        children    state -> the different states one step further, the j-th by the action in slot
                    j; an empty list at an end
        log_reward  state -> log R, natural logarithm, or None where no trajectory can stop
        limit       the most states
        progress    show a bar on standard error; None: if that is a terminal
        name        how messages and results call the graph

    Both functions are called once for each state, breadth first. Raises GraphError for more than
    `limit` states, a cycle, a state that cannot stop and has no child, a child given twice, a state
    that cannot be hashed, and a log-reward that is not None and no number of at most 10^6 in size.

        >>> words = from_children(
        ...     "",
        ...     lambda word: [word + letter for letter in "ab"] if len(word) < 3 else [],
        ...     lambda word: float(word.count("a")) if len(word) == 3 else None,
        ... )
        >>> words.n_states, words.terminal_states.size
        (15, 8)
    """
    states = [source]
    number = {_hashable(source, name): 0}
    parents, targets = array("q"), array("q")
    rewards: dict[Hashable, float] = {}
    shown = sys.stderr.isatty() if progress is None else progress
    with tqdm(disable=not shown, unit="state", desc=name, file=sys.stderr) as bar:
        for place, state in enumerate(states):  # the list grows while it is walked: breadth first
            value = log_reward(state)
            if value is not None:
                rewards[state] = value
            mine = set()
            for child in children(state):
                target = number.setdefault(_hashable(child, name), len(states))
                if target == len(states):
                    if target >= limit:
                        raise dag.GraphError(
                            f"{name}: more than {limit:,} states; raise limit, or make "
                            "the space smaller"
                        )
                    states.append(child)
                if target in mine:
                    raise dag.GraphError(
                        f"{name}: the edge {dag.short(state)} -> {dag.short(child)} is given "
                        "twice; keep one"
                    )
                mine.add(target)
                parents.append(place)
                targets.append(target)
            bar.update()
    return edges.from_indices(parents, targets, states, rewards, name=name)


def _hashable(state: Hashable, name: str) -> Hashable:
    try:
        hash(state)
    except TypeError as error:
        raise dag.GraphError(
            f"{name}: the state {dag.short(state)} cannot be hashed; use tuples, strings or numbers"
        ) from error
    return state
