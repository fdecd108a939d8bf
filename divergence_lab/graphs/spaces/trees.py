"""Perfect trees: one trajectory to every leaf, so that P_B has nothing to choose."""

from __future__ import annotations

import math

import numpy as np

from divergence_lab.graphs.dag import (
    MAX_STATES,
    MAX_TABLE,
    GraphError,
    PointedDAG,
    refuse_many_states,
)
from divergence_lab.inputs import is_whole


def tree(branches: int, depth: int, *, name: str | None = None) -> PointedDAG:
    """R(leaf n) = n + 1, leaves counted from the left, 0..B^D - 1: Z = B^D (B^D + 1) / 2.

    B = branches, D = depth; S = 1 + B + .. + B^D; action j goes to the j-th child, and trajectories
    stop at the leaves alone.  Coordinates [S, D] are the branches taken, B where none is yet.
    Raises GraphError for sizes that do not fit.
    """
    if not is_whole(branches, 1, math.inf) or not is_whole(depth, 1, math.inf):
        raise GraphError(
            f"tree {branches}x{depth}: take at least 1 branch and a depth of at least 1"
        )
    # the depth is bounded first, so that no huge power is computed
    fits = branches <= MAX_TABLE and (depth <= 1000 if branches == 1 else depth <= 24)
    sizes = [branches**level for level in range(depth + 1)] if fits else []
    n_states = sum(sizes)
    if not fits or n_states > MAX_STATES or n_states * max(branches + 1, depth) > MAX_TABLE:
        raise GraphError(
            f"tree {branches}x{depth} has too many states to list; take fewer branches "
            "or a lower depth"
        )
    refuse_many_states(f"tree {branches}x{depth}", n_states, branches + 1, depth)
    number = np.arange(n_states)
    inner = n_states - sizes[-1]
    child = np.full((branches + 1, n_states), -1, dtype=np.int32)
    child[:-1, :inner] = number[:inner] * branches + 1 + np.arange(branches)[:, None]
    child[-1, inner:] = n_states
    level = np.repeat(np.arange(depth + 1, dtype=np.int32), sizes)
    log_reward = np.full(n_states, -np.inf)
    log_reward[inner:] = np.log(np.arange(1, sizes[-1] + 1))
    coordinates = np.full((n_states, depth), branches, dtype=np.int32)
    for lower in range(1, depth + 1):
        place = np.arange(sizes[lower])[:, None]
        digits = place // branches ** np.arange(lower - 1, -1, -1) % branches
        coordinates[level == lower, :lower] = digits
    return PointedDAG(
        name=name or f"tree:{branches}x{depth}",
        child=child,
        log_reward=log_reward,
        level=level,
        coordinates=coordinates,
    )
