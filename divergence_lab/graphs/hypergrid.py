"""Hyper-grids of any dimension and side (Bengio et al. 2021; reward constants of Hu et al. 2025)."""

from __future__ import annotations

import numpy as np

from divergence_lab.graphs.dag import MAX_STATES, GraphError, PointedDAG


def hypergrid(
    dimensions: int, side: int, *, r0: float = 1e-3, r1: float = 0.5, r2: float = 2.0, name: str | None = None
) -> PointedDAG:
    """R(x) = r0 + r1 [all_i |x_i/(H-1) - 1/2| > 1/4] + r2 [all_i 0.3 < |x_i/(H-1) - 1/2| < 0.4], H = side.

    S = H^D states, coordinates [S, D] in 0..H-1, source at the origin; action i adds 1 to coordinate i,
    action D stops, which is allowed everywhere.  The comparisons are exact, in integers.
    """
    if dimensions < 1 or side < 2:
        raise GraphError(f"hypergrid {dimensions}x{side}: take at least 1 dimension and a side of at least 2")
    if dimensions > 64 or side**dimensions > MAX_STATES:
        raise GraphError(
            f"hypergrid {dimensions}x{side} has more than {MAX_STATES:,} states; take fewer dimensions or a "
            "smaller side"
        )
    coordinates = np.indices((side,) * dimensions, dtype=np.int32).reshape(dimensions, -1)
    level = coordinates.sum(axis=0, dtype=np.int64)
    order = np.argsort(level, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    coordinates = coordinates[:, order]

    n_states = order.size
    child = np.full((dimensions + 1, n_states), n_states, dtype=np.int64)
    for axis in range(dimensions):
        inside = coordinates[axis] < side - 1
        child[axis] = -1
        child[axis, inside] = rank[order[inside] + side ** (dimensions - 1 - axis)]

    reward = _reward(coordinates, side, r0, r1, r2)
    if not (np.isfinite(reward) & (reward > 0)).all():
        raise GraphError(
            f"hypergrid {dimensions}x{side}: rewards r0={r0}, r1={r1}, r2={r2} are not all positive"
        )
    return PointedDAG(
        name=name or f"hypergrid:{dimensions}x{side}",
        child=child,
        log_reward=np.log(reward),
        level=level[order],
        coordinates=np.ascontiguousarray(coordinates.T),
    )


def _reward(coordinates: np.ndarray, side: int, r0: float, r1: float, r2: float) -> np.ndarray:
    # d = |2x - (H-1)| turns the three comparisons into d/(2(H-1)) against 1/4, 3/10 and 4/10: integers only
    distance = np.abs(2 * coordinates - (side - 1))
    corner = (2 * distance > side - 1).all(axis=0)
    mode = ((5 * distance > 3 * (side - 1)) & (5 * distance < 4 * (side - 1))).all(axis=0)
    return r0 + r1 * corner + r2 * mode
