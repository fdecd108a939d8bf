"""The loss nearest to what a user's data ask for, with the asked class, proved like every designed loss.

    trade-offs  g(a_k) = g(b_k)                            equal penalties at two residuals, for each k
    a table     min_w sum_i m_i (g(x_i)/v_i - 1)^2         m_i: how much x_i matters, g = sum w b, w >= 0
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import sympy as sp
from scipy.optimize import nnls

from divergence_lab.theory.building_blocks import Block, allowed, blocks, hockey_sticks, needs
from divergence_lab.theory.design import TOLERANCE, Designed, curvatures, design_for, prove, shortest
from divergence_lab.theory.expressions import write
from divergence_lab.theory.mixtures import cheapest, readable_weights
from divergence_lab.theory.symbols import x
from divergence_lab.theory.wishes import DesignError, Wishes, number, read_wishes

# Digits of the common penalty of a pair: any value near does, for only the pair's equality was asked.
LEVEL_DIGITS = 4
# A rounded fit may be so much worse than the best one, relatively and absolutely.
WORSE, ABSOLUTE = 0.05, 1e-3
# The least part of the fit, at the residual where it is largest, that a member of the asked class has.
LEAST_PART = 0.01


@dataclass(frozen=True)
class Fitted:
    """A designed loss and how near it is: `error` is the weighted root mean square of g(x_i)/v_i - 1, computed in
    float64, not proved; the wishes of `designed` are."""
    designed: Designed
    error: float


def fit_tradeoffs(pairs: Iterable[tuple[object, object]], count: int = 1, budget: float = 10.0,
                  tolerance: object = TOLERANCE, **wished: object) -> list[Designed]:
    """Losses with g(a) = g(b) for each pair (a, b), a < 0 < b, simplest first; `wished` are the wishes of `design`.

    The common value of a pair is free: a linear program chooses it, g = 1 at the first pair unless a curvature is wished.
    Each of g(a) and g(b) is proved within the relative `tolerance` of it. Raises DesignError.
    """
    if wished.get("penalties"):
        raise DesignError("penalties and trade-offs can't be wished together: write g(a) = g(b) as two penalties")
    found = _read_pairs(pairs)
    wishes = read_wishes(**wished)
    if wishes.even and (odd := [pair for pair in found if pair[0] != -pair[1]]):
        raise DesignError(f"even loss and the trade-off {_named(odd[0])} clash: an even loss that grows has g(a) = g(b) "
                          "only at b = -a")
    penalties = {}
    for (a, b), level in zip(found, _levels(found, wishes)):
        penalties[a] = penalties[b] = level
    return design_for(read_wishes(**{**wished, "penalties": penalties}), count, budget, tolerance)


def _read_pairs(pairs: Iterable[tuple[object, object]]) -> list[tuple[sp.Expr, sp.Expr]]:
    found = []
    for given in pairs:
        pair = sorted((number(at, "the residual of a trade-off") for at in given), key=float)
        if len(pair) != 2 or not (pair[0] < 0 < pair[1]):
            raise DesignError(f"the trade-off {_named(pair)} needs one residual below 0 and one above: on one side of 0 a "
                              "loss has no value twice")
        found.append((pair[0], pair[1]))
    if not found:
        raise DesignError("no trade-off is given: name pairs of residuals, such as (-3, 2)")
    ordered = sorted(dict.fromkeys(found), key=lambda pair: float(pair[1]))
    for near, far in zip(ordered, ordered[1:]):
        if not (near[1] < far[1] and far[0] < near[0]):
            raise DesignError(f"the trade-offs {_named(near)} and {_named(far)} clash: a loss falls before 0 and rises after it")
    return ordered


def _named(pair: Sequence[sp.Expr]) -> str:
    return " = ".join(f"g({write(at)})" for at in pair)


def _levels(pairs: Sequence[tuple[sp.Expr, sp.Expr]], wishes: Wishes) -> list[sp.Rational]:
    """The value at each pair of the cheapest sum of blocks that has g(a) = g(b) throughout."""
    points = [at for pair in pairs for at in pair]
    usable = _usable(points, wishes)
    values = _values(usable, points)  # (points, blocks)
    rows = [values[2 * k] - values[2 * k + 1] for k in range(len(pairs))]
    if wishes.curvature is None:
        scale = [(values[0], 1.0)]
    else:
        sides = [[float(value) for value in curvatures(block)] for block in usable]
        scale = [(np.array([side[k] for side in sides]), float(wishes.curvature)) for k in (0, 1)]
    keep = np.all([np.isfinite(row) for row, _ in scale], axis=0)
    usable = [block for block, kept in zip(usable, keep) if kept]
    matrix, values = np.array([*rows, *(row for row, _ in scale)])[:, keep], values[:, keep]
    size = np.maximum(np.abs(values).max(axis=0), 1e-12)
    masks = [np.array([bool(test(block)) for block in usable], dtype=bool) for test in needs(wishes)]
    weights = cheapest(matrix / size, np.array([0.0] * len(rows) + [target for _, target in scale]),
                       np.array([block.cost for block in usable]), masks)
    if weights is None:
        raise DesignError("no sum of the losses on offer has these trade-offs together with the other wishes: bring them "
                          "nearer to g(-a) = g(a), or leave a wish out")
    return [_rounded(float(level)) for level in (values[::2] / size) @ weights]


def _rounded(level: float) -> sp.Rational:
    return sp.Rational(f"{level:.{LEVEL_DIGITS}g}")


def fit_table(table: Mapping[object, object], residuals: Sequence[float] | None = None, budget: float = 10.0,
              **wished: object) -> Fitted:
    """The loss of the asked class nearest to the table {x: g(x)}, by nonnegative least squares.

    residuals: a user's own; a point of the table then matters as many times as residuals are nearest to it (None: all
    alike). `wished` are the wishes of `design`; a curvature is met exactly by scaling. Raises DesignError.
    """
    asked = read_wishes(**{**wished, "penalties": table})  # refuses what no convex loss has
    if wished.get("penalties") is not None or asked.curvature is not None:
        raise DesignError("fit_table takes its numbers from the table: leave out penalties and curvature")
    points, targets = zip(*asked.penalties) if asked.penalties else ((), ())
    if not points:
        raise DesignError("the table is empty: give at least one residual and its penalty")
    wishes = read_wishes(**wished)
    matters = np.sqrt(_importance([float(at) for at in points], residuals))
    usable = _usable(points, wishes)
    rows = _values(usable, points) / np.array([float(v) for v in targets])[:, None]
    weights = _nearest(rows * matters[:, None], matters, usable, wishes)
    support = [i for i, weight in enumerate(weights) if weight > 0]

    def error(chosen: Sequence[object]) -> float:
        missed = rows[:, support] @ np.array([float(w) for w in chosen]) - 1
        return float(np.sqrt((matters**2 * missed**2).sum()))
    limit = error(weights[support]) * (1 + WORSE) + ABSOLUTE
    rounded = readable_weights(list(weights[support]), lambda chosen: chosen if error(chosen) <= limit else None)
    if rounded is not None:
        proved = prove(shortest(sp.Add(*(w * usable[i].expression for w, i in zip(rounded, support)))), wishes, budget)
        if proved is not None:
            return Fitted(proved, error(rounded))
    raise DesignError("the nearest sum of the losses on offer was not proved to meet these wishes: leave one out, or "
                      "raise the budget")


def _importance(points: Sequence[float], residuals: Sequence[float] | None) -> np.ndarray:
    """The share of the residuals that are nearest to each point; sums to 1."""
    if residuals is None:
        return np.full(len(points), 1 / len(points))
    given = np.asarray(residuals, dtype=float).ravel()
    if not given.size or not np.isfinite(given).all():
        raise DesignError("the residuals are empty or not all finite: give finite numbers")
    nearest = np.abs(given[:, None] - np.array(points)).argmin(axis=1)
    return np.bincount(nearest, minlength=len(points)) / given.size


def _nearest(rows: np.ndarray, targets: np.ndarray, usable: Sequence[Block], wishes: Wishes) -> np.ndarray:
    """Nonnegative least squares; where no member has an asked property, the one that costs least fit gets a part."""
    size = np.maximum(rows.max(axis=0), 1e-12)
    floor = np.zeros(len(usable))

    def solve(least: np.ndarray) -> tuple[np.ndarray, float]:
        found, missed = nnls(rows / size, targets - (rows / size) @ least)
        return found + least, missed
    weights, _ = solve(floor)
    for test in needs(wishes):
        members = [i for i, block in enumerate(usable) if test(block)]
        if not members:
            raise DesignError("no loss on offer has the asked class: leave a wish out")
        if not any(weights[i] > 0 for i in members):
            part = LEAST_PART * float(targets.max())
            floor[min(members, key=lambda i: solve(floor + part * np.eye(len(usable))[i])[1])] += part
            weights, _ = solve(floor)
    return weights / size


def _usable(points: Sequence[sp.Expr], wishes: Wishes) -> list[Block]:
    found = [*blocks(wishes, fine=True), *hockey_sticks(points, wishes)]
    return [block for block in found if allowed(block, wishes)]


def _values(usable: Sequence[Block], points: Sequence[sp.Expr]) -> np.ndarray:
    return np.array([[float(sp.N(block.expression.subs(x, at), 20)) for block in usable] for at in points])
