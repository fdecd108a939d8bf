"""Weights of building blocks that meet numeric wishes: a linear program, then readable numbers.

    minimise sum_i cost_i w_i   subject to   sum_i w_i A_ri = b_r  (all r),   w >= 0

A vertex of such a program has at most as many weights as there are wishes, so what comes out is
short.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import sympy as sp

if TYPE_CHECKING:
    import numpy as np

# A member that a class asks for has at least this share of the weight, the largest that can be had.
SHARES = (0.1, 0.01, 0.001)
ROUNDINGS = (0.1, 0.05, 0.02, 0.01, 3e-3, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8)
NOTHING = 1e-9
# Are these weights near enough? Then they, or those that they were adjusted to; else None.
Good = Callable[[list[Any]], Sequence[sp.Expr] | None]
# A common denominator is tried up to here, and where it is so many times smaller than the product.
LARGEST_DENOMINATOR, SMALLER = 1000, 4


def cheapest(
    rows: np.ndarray,
    targets: np.ndarray,
    costs: np.ndarray,
    needs: Sequence[np.ndarray],
    slack: float | None = None,
) -> np.ndarray | None:
    """The weights (n,) of least cost, or None where there are none.

    rows (m, n), targets (m,), costs (n,); each need (n,) is a mask: one of its members must have a
    weight. With `slack`, equalities may be missed at the price of slack per unit: the answer is
    then the nearest.
    """
    import numpy as np

    free = _solve(rows, targets, costs, np.empty((0, len(costs))), np.empty(0), slack)
    if free is None or all(free[mask].sum() > NOTHING * free.sum() for mask in needs):
        return free
    for share in SHARES:
        least = np.array([-mask.astype(float) for mask in needs])
        found = _solve(rows, targets, costs, least, np.full(len(needs), -share * free.sum()), slack)
        if found is not None:
            return found
    return None


def _solve(rows, targets, costs, below, bounds, slack) -> np.ndarray | None:
    import numpy as np
    from scipy.optimize import linprog

    m, n = rows.shape
    if slack is not None:  # |A w - b| <= s, s >= 0 at a price
        eye = np.eye(m)
        below = np.vstack(
            [
                np.hstack([rows, -eye]),
                np.hstack([-rows, -eye]),
                np.hstack([below, np.zeros((len(below), m))]),
            ]
        )
        bounds = np.concatenate([targets, -targets, bounds])
        answer = linprog(
            np.concatenate([costs, np.full(m, slack)]), A_ub=below, b_ub=bounds, method="highs-ds"
        )
    else:
        answer = linprog(
            costs,
            A_ub=below if len(below) else None,
            b_ub=bounds if len(below) else None,
            A_eq=rows,
            b_eq=targets,
            method="highs-ds",
        )
    if not answer.success:
        return None
    weights = np.maximum(answer.x[:n], 0.0)
    weights[weights < NOTHING * max(weights.sum(), 1e-300)] = 0.0
    return weights


def exact_weights(rows: sp.Matrix, targets: sp.Matrix) -> list[sp.Rational] | None:
    """The rational w >= 0 with rows w = targets, where the entries are rational and w is unique;
    else None.
    """
    if not all(entry.is_Rational for entry in (*rows, *targets)) or rows.rank() < rows.cols:
        return None
    found = (rows.T * rows).LUsolve(rows.T * targets)
    return list(found) if rows * found == targets and all(w >= 0 for w in found) else None


def readable_weights(weights: Sequence[float], good: Good) -> Sequence[sp.Expr] | None:
    """The shortest rationals near the weights that `good` accepts; it may return them adjusted,
    or None. If one common denominator is much smaller than the product of those, with that.
    """
    for rounding in ROUNDINGS:
        rounded = [simplest(w * (1 - rounding), w * (1 + rounding)) for w in weights]
        if (accepted := good(rounded)) is not None:
            return _over_one_denominator(weights, good, accepted) or accepted
    return None


def _over_one_denominator(
    weights: Sequence[float], good: Good, accepted: Sequence[sp.Expr]
) -> Sequence[sp.Expr] | None:
    denominators = [int(w.q) for w in accepted if isinstance(w, sp.Rational)]
    if len(denominators) < len(accepted):
        return None
    product = math.lcm(*denominators)
    for below in range(1, min(product // SMALLER, LARGEST_DENOMINATOR)):
        counts = [round(w * below) for w in weights]
        if all(
            abs(n / below / w - 1) <= ROUNDINGS[0] for n, w in zip(counts, weights, strict=True)
        ):
            found = good([sp.Rational(n, below) for n in counts])
            if found is not None:
                return found
    return None


def simplest(low: float, high: float) -> sp.Rational:
    """The fraction of smallest denominator in [low, high], 0 < low < high (by continued
    fractions).
    """
    a, b = Fraction(low), Fraction(high)

    def between(p: Fraction, q: Fraction) -> Fraction:
        whole = math.floor(p)
        if whole == p:
            return Fraction(whole)
        if whole + 1 <= q:
            return Fraction(whole + 1)
        return whole + 1 / between(1 / (q - whole), 1 / (p - whole))

    found = between(a, b)
    return sp.Rational(found.numerator, found.denominator)


def without_each(support: Iterable[int], banned: frozenset[int]) -> list[frozenset[int]]:
    """The sets of banned members to try next: each member of the support banned in turn."""
    return [banned | {i} for i in support]
