"""Hyper-grids of any dimension and side (Bengio et al.

2021; reward constants of Hu et al. 2025).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor

from divergence_lab.graphs import dag, generated
from divergence_lab.inputs import is_number, is_whole, kind_of

READINGS = ("x/(H-1)", "x/H")
MAX_COUNTED_MODES = 20  # 2^20 corners: a million places to remember a visit, for each member


def hypergrid(
    dimensions: int,
    side: int,
    *,
    r0: float = 1e-3,
    r1: float = 0.5,
    r2: float = 2.0,
    reading: str = "x/(H-1)",
    name: str | None = None,
) -> dag.PointedDAG:
    """R(x) = r0 + r1 [all_i |u_i - 1/2| > 1/4] + r2 [all_i 0.3 < |u_i - 1/2| < 0.4], u = x/(H-1), H
    = side.

        dimensions, side  D and H: S = H^D states, coordinates [S, D] in 0..H-1, source 0
        r0, r1, r2        rewards of the ground, the corners and the modes in them
        reading           x/(H-1) as in released code, or x/H
        name              how messages and results call the graph

    Action i adds 1 to coordinate i, action D stops, which is allowed everywhere.  The comparisons
    are exact, in integers (Bengio et al. 2021; constants of Hu et al. 2025 by
    graph_from_text("hypergrid:2x8:paper")). Raises GraphError for sizes that do not fit, an unknown
    reading, and rewards that are not positive.

        >>> hypergrid(2, 8).n_states
        64
    """
    line = _line(dimensions, side, (r0, r1, r2), reading)
    if dimensions > 64 or side**dimensions > dag.MAX_STATES:
        generated = (
            f", or generated:hypergrid:{dimensions}x{side}" if _fits(dimensions, side) else ""
        )
        raise dag.GraphError(
            f"hypergrid {dimensions}x{side} has more than {dag.MAX_STATES:,} states; take "
            "fewer dimensions or a "
            f"smaller side{generated}"
        )
    n_states = side**dimensions
    dag.refuse_many_states(f"hypergrid {dimensions}x{side}", n_states, dimensions + 1, dimensions)
    # 16 bits where they do: half the memory, and a stable argsort is then a radix sort
    small = np.int16 if dimensions * (side - 1) < 2**15 else np.int32
    along = np.ogrid[(slice(side),) * dimensions]
    level = reduce(np.add, [part.astype(small) for part in along]).ravel()
    order = np.argsort(level, kind="stable").astype(np.int32)
    rank = np.empty(n_states, dtype=np.int32)
    rank[order] = np.arange(n_states, dtype=np.int32)

    child = np.full((dimensions + 1, n_states), n_states, dtype=np.int32)
    coordinates = np.empty((n_states, dimensions), dtype=small)
    corner, mode = np.ones(n_states, dtype=bool), np.ones(n_states, dtype=bool)
    for axis in range(dimensions):
        stride = side ** (dimensions - 1 - axis)
        here = order // stride % side
        coordinates[:, axis] = here
        corner &= line.corner[here]
        mode &= line.mode[here]
        child[axis] = rank[np.minimum(order + stride, n_states - 1)]
        child[axis][here == side - 1] = -1
    return dag.PointedDAG(
        name=name or f"hypergrid:{dimensions}x{side}",
        child=child,
        log_reward=line.log_rewards[corner.astype(np.int8) + mode],
        level=level[order].astype(np.int32),
        coordinates=coordinates,
    )


def generated_hypergrid(
    dimensions: int,
    side: int,
    *,
    r0: float = 1e-3,
    r1: float = 0.5,
    r2: float = 2.0,
    reading: str = "x/(H-1)",
    name: str | None = None,
) -> generated.GeneratedDAG:
    """The grid of `hypergrid` without its list of states: a state is [.., D], the coordinates.

    log Z = log(r0 H^D + r1 c^D + r2 m^D), with c and m the values of one coordinate beyond 1/4 and
    between 0.3 and 0.4.  A mode is a corner, 2^D in all, that holds states of the largest reward
    (none above D = 20).
    """
    line = _line(dimensions, side, (r0, r1, r2), reading)
    title = name or f"generated:hypergrid:{dimensions}x{side}"
    if not _fits(dimensions, side):
        raise dag.GraphError(
            f"{title}: {dimensions * side:,} features and "
            f"{dimensions * (side - 1) + 1:,} steps do not fit "
            f"(limits {generated.MAX_FEATURES:,} and {generated.MAX_STEPS:,}); "
            "take fewer dimensions or a smaller side"
        )
    firsts = generated.on_device(lambda: side * np.arange(dimensions))

    def allowed(states: Tensor) -> Tensor:
        inside = states < side - 1
        return torch.cat([inside, torch.ones_like(inside[..., :1])], dim=-1)

    def log_paths(states: Tensor) -> Tensor:
        # the steps in any order: a multinomial coefficient
        steps = states.double() + 1
        return torch.lgamma(steps.sum(dim=-1) - dimensions + 1) - torch.lgamma(steps).sum(dim=-1)

    return generated.GeneratedDAG(
        name=title,
        n_actions=dimensions + 1,
        n_back=dimensions,
        max_steps=dimensions * (side - 1) + 1,
        n_features=dimensions * side,
        source=(0,) * dimensions,
        allowed=allowed,
        step=lambda states, actions: states + generated.unit(actions, dimensions, states),
        back_allowed=lambda states: states > 0,
        undo=lambda states, back: states - generated.unit(back, dimensions, states),
        back_of=lambda states, actions: actions.clamp(max=dimensions - 1),
        forward_of=lambda states, back: back,
        features=lambda states: generated.one_hot(states, side),
        ones=lambda states: states + firsts(states),
        log_paths=log_paths,
        moves=generated.Moves(
            n_values=side,
            # a mode is a corner too
            classes=line.corner.astype(np.int32) + line.mode,
            log_rewards=line.log_rewards,
        ),
        **_rewards(dimensions, side, line),
    )


def _rewards(dimensions: int, side: int, line: _Line) -> dict[str, Any]:
    """Rewards and modes of a GeneratedDAG whose states are coordinates."""
    corner, mode = generated.on_device(lambda: line.corner), generated.on_device(lambda: line.mode)
    log_rewards, is_best = (
        generated.on_device(lambda: line.log_rewards),
        generated.on_device(lambda: line.best),
    )

    def kind(states: Tensor) -> Tensor:
        return corner(states)[states].all(dim=-1).long() + mode(states)[states].all(dim=-1)

    def log_reward(states: Tensor) -> Tensor:
        return log_rewards(states)[kind(states)]

    def modes_of(states: Tensor) -> Tensor:
        powers = 2 ** torch.arange(dimensions, device=states.device)
        place = ((2 * states > side - 1) * powers).sum(dim=-1)
        return torch.where(is_best(states)[kind(states)], place, -1)[..., None]

    counted = dimensions <= MAX_COUNTED_MODES
    return dict(
        log_reward=log_reward,
        log_partial=log_reward,
        modes_of=modes_of if counted else None,
        n_modes=2**dimensions if counted else 0,
        log_z=line.log_z,
    )


def _fits(dimensions: int, side: int) -> bool:
    return (
        dimensions * side <= generated.MAX_FEATURES
        and dimensions * (side - 1) < generated.MAX_STEPS
    )


@dataclass(frozen=True, eq=False)
class _Line:
    """Along one coordinate: `corner`, `mode` [H] bool, a mode being a corner too.

    `log_rewards` [3] float64: of states that are neither in all coordinates, a corner, a mode;
    `best` [3] bool: within 1% of the largest that occurs.
    """

    corner: np.ndarray
    mode: np.ndarray
    log_rewards: np.ndarray
    best: np.ndarray
    log_z: float


def _line(dimensions: int, side: int, constants: tuple[float, float, float], reading: str) -> _Line:
    if not is_whole(dimensions, 1, math.inf) or not is_whole(side, 2, math.inf):
        raise dag.GraphError(
            f"hypergrid {dimensions}x{side}: take at least 1 dimension and a side of at least 2"
        )
    if reading not in READINGS:
        raise dag.GraphError(f"hypergrid: reading {reading!r} is not one of {', '.join(READINGS)}")
    if side > max(dag.MAX_STATES, generated.MAX_FEATURES) or dimensions > generated.MAX_FEATURES:
        raise dag.GraphError(
            f"hypergrid {dimensions}x{side} has more than {dag.MAX_STATES:,} states and too many "
            "features to generate; take fewer dimensions or a smaller side"
        )
    wrong = [constant for constant in constants if not is_number(constant)]
    if wrong:
        given = "nan or infinite" if isinstance(wrong[0], float) else kind_of(wrong[0])
        raise dag.GraphError(f"hypergrid: the rewards r0, r1 and r2 are numbers, not {given}")
    # d = |2x - m| turns the comparisons of |x/m - 1/2| into d/(2m) against 1/4, 3/10 and 4/10:
    # integers only
    m = side - 1 if reading == "x/(H-1)" else side
    distance = np.abs(2 * np.arange(side) - m)
    corner = 2 * distance > m
    mode = (5 * distance > 3 * m) & (5 * distance < 4 * m)
    r0, r1, r2 = constants
    rewards = [r0, r0 + r1, r0 + r1 + r2]
    corners, modes = int(corner.sum()) ** dimensions, int(mode.sum()) ** dimensions
    counts = [side**dimensions - corners, corners - modes, modes]
    there = [kind for kind in range(3) if counts[kind]]
    if not all(is_number(rewards[kind], 0) and rewards[kind] > 0 for kind in there):
        raise dag.GraphError(
            f"hypergrid {dimensions}x{side}: rewards r0={r0}, r1={r1}, r2={r2} are not all positive"
        )
    log_rewards = np.full(3, -np.inf)
    log_rewards[there] = np.log([rewards[kind] for kind in there])
    # counts beyond the range of floats: their logarithms are taken as integers
    log_z = np.logaddexp.reduce([math.log(counts[kind]) + log_rewards[kind] for kind in there])
    best = log_rewards >= log_rewards.max() + math.log(0.99)
    return _Line(corner, mode, log_rewards, best, float(log_z))
