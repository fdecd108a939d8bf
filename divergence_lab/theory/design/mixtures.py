"""Weights of building blocks that meet numeric wishes: a linear program, then readable numbers.

    minimise sum_i cost_i w_i   subject to   sum_i w_i A_ri = b_r  (all r),   w >= 0

A vertex of such a program has at most as many weights as there are wishes, so what comes out is
short.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any

import sympy as sp
from sympy.solvers.simplex import UnboundedLPError, linprog

# A member that a class asks for has at least this share of the weight, the largest that can be had.
SHARES = tuple(sp.Rational(1, below) for below in (10, 100, 1000))
ROUNDINGS = (0.1, 0.05, 0.02, 0.01, 3e-3, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8)
NOTHING = 1e-9
# Irrational entries of a program are replaced by rational numbers so near; equations may be missed
# by some times as much, so that what is met before it is met after.
NEAR, MISSED = 1e-13, sp.Rational(1, 10**11)
SMALLEST = sp.Rational(1, 10**12)
# Of a bound that is missed, against the costs: above all that a program of ours trades it for.
PRICE = 10**30
# Are these weights near enough? Then they, or those that they were adjusted to; else None.
Good = Callable[[list[Any]], Sequence[sp.Expr] | None]
# A common denominator is tried up to here, and where it is so many times smaller than the product.
LARGEST_DENOMINATOR, SMALLER = 1000, 4


def rational(number: Any, near: float = NEAR) -> sp.Rational:
    """The number, or a simple one within a relative `near` of it."""
    exact = sp.sympify(number)
    if exact.is_Rational:
        return exact
    size = float(sp.N(exact, 20))
    if size == 0:
        return sp.S.Zero
    found: Any = simplest(abs(size) * (1 - near), abs(size) * (1 + near))
    return found if size > 0 else -found


def least(
    costs: Sequence[Any], below: Sequence[Sequence[Any]], bounds: Sequence[Any]
) -> list[sp.Rational] | None:
    """The w >= 0 of least costs w with below w <= bounds, exactly; None where there is none.

    All numbers are rational. SymPy's search for a first point may go round for ever where there is
    none; from a point it always ends. So z, the room that is left of what w = 0 misses, joins in:

        below w + z <= bounds + missed,   z <= missed;   w is a solution where z reaches it
    """
    missed = max([sp.S.Zero, *(-sp.sympify(bound) for bound in bounds)])
    rows = [*([*row, 1] for row in below), [*[0] * len(costs), 1]]
    ends = [*(bound + missed for bound in bounds), missed]
    try:
        found: Any = linprog([*costs, -PRICE], rows, ends)[1]
    except UnboundedLPError:
        return None
    return found[:-1] if found[-1] == missed else None


def cheapest(
    columns: Sequence[Sequence[Any]],
    targets: Sequence[Any],
    costs: Sequence[float],
    needs: Sequence[Sequence[bool]],
) -> list[float] | None:
    """The weights of least cost at which the columns (n, m) add up to the targets (m,), or None.

    costs (n,), for a column that is scaled to what it does; each need (n,) is a mask: one of its
    members must have a weight.
    """
    goals = [rational(target) for target in targets]
    units = [goal or sp.S.One for goal in goals]
    rows = [[rational(column[r]) / unit for column in columns] for r, unit in enumerate(units)]
    sizes = [max([*map(abs, column), SMALLEST]) for column in zip(*rows, strict=True)]
    rows = [[entry / size for entry, size in zip(row, sizes, strict=True)] for row in rows]
    ends = [goal / unit for goal, unit in zip(goals, units, strict=True)]
    found = _with_needs(rows, ends, [rational(cost) for cost in costs], needs)
    if found is None:
        return None
    nothing = NOTHING * sum(found)
    return [float(w / size) if w > nothing else 0.0 for w, size in zip(found, sizes, strict=True)]


def _with_needs(
    rows: Sequence[Sequence[sp.Rational]],
    ends: Sequence[sp.Rational],
    costs: Sequence[sp.Rational],
    needs: Sequence[Sequence[bool]],
) -> list[sp.Rational] | None:
    """Without the needs if that meets them, else with the largest share that can be had."""
    below = [*rows, *([-entry for entry in row] for row in rows)]
    bounds = [sign * b + MISSED for sign in (1, -1) for b in ends]
    free = least(costs, below, bounds)
    if free is None:
        return None
    whole = sum(free)
    serving = [sum(w for w, serves in zip(free, mask, strict=True) if serves) for mask in needs]
    if all(part > NOTHING * whole for part in serving):
        return free
    asked = [[-sp.Integer(serves) for serves in mask] for mask in needs]
    shares = ([*bounds, *[-share * whole] * len(needs)] for share in SHARES)
    tried = (least(costs, [*below, *asked], limits) for limits in shares)
    return next((found for found in tried if found is not None), None)


def sums(weights: Sequence[float], values: Sequence[Sequence[float]]) -> list[float]:
    """sum_i weights[i] values[i][r] for each r."""
    rows = zip(*values, strict=True)
    return [math.fsum(w * v for w, v in zip(weights, row, strict=True)) for row in rows]


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
