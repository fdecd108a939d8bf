"""Weights of building blocks that meet numeric wishes: a linear program, then readable numbers.

    minimise sum_i cost_i w_i   subject to   sum_i w_i A_ri = b_r  (all r),   w >= 0

A vertex of such a program has at most as many weights as there are wishes, so what comes out is
short.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

import sympy as sp
from flint import fmpq

from divergence_lab.theory.design.blocks import Block
from divergence_lab.theory.design.wishes import Wishes
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions import x

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

    All numbers are rational. z, the room that is left of what w = 0 misses, joins in, so that
    w = z = 0 is a first point:

        below w + z <= bounds + missed,   z <= missed;   w is a solution where z reaches it
    """
    limits = [_flint(bound) for bound in bounds]
    missed = max([fmpq(0), *(-bound for bound in limits)])
    rows = [
        [*map(_flint, row), fmpq(1), bound + missed]
        for row, bound in zip(below, limits, strict=True)
    ]
    rows.append([*[fmpq(0)] * len(costs), fmpq(1), missed])
    found = _simplex([*map(_flint, costs), fmpq(-PRICE)], rows)
    if found is None or found[-1] != missed:
        return None
    weights: list[Any] = [sp.Rational(int(w.p), int(w.q)) for w in found[:-1]]
    return weights


def _flint(number: Any) -> fmpq:
    exact = sp.sympify(number)
    return fmpq(int(exact.p), int(exact.q))


def _simplex(costs: list[fmpq], rows: list[list[fmpq]]) -> list[fmpq] | None:
    """The w >= 0 of least costs w with row[:-1] w <= row[-1] for every row, each row[-1] >= 0; None
    where the costs fall for ever.

    Dantzig's rule; Bland's after a step that gained nothing, with which no circle is gone round.
    """
    count, costs = len(costs), [*costs, fmpq(0)]
    outside, inside = list(range(count)), list(range(count, count + len(rows)))
    gained = True
    while falling := [j for j in range(count) if costs[j] < 0]:
        s = min(falling, key=costs.__getitem__ if gained else outside.__getitem__)
        rising = [i for i, row in enumerate(rows) if row[s] > 0]
        if not rising:
            return None
        r = min(rising, key=lambda i: (rows[i][-1] / rows[i][s], inside[i]))
        gained = rows[r][-1] > 0
        inside[r], outside[s] = outside[s], inside[r]
        pivot, rows[r][s] = rows[r][s], fmpq(1)
        turned = rows[r] = [entry / pivot for entry in rows[r]]
        for row in (*rows[:r], *rows[r + 1 :], costs):
            if factor := row[s]:
                row[s] = fmpq(0)
                row[:] = [a - factor * b for a, b in zip(row, turned, strict=True)]
    found = [fmpq(0)] * count
    for variable, row in zip(inside, rows, strict=True):
        if variable < count:
            found[variable] = row[-1]
    return found


def cheapest(
    columns: Sequence[Sequence[Any]],
    targets: Sequence[Any],
    costs: Sequence[float],
    needs: Sequence[Sequence[bool]],
    missed: Any = MISSED,
) -> list[float] | None:
    """The weights of least cost at which the columns (n, m) add up to the targets (m,), each but
    for a relative `missed`; or None.

    costs (n,), for a column that is scaled to what it does; each need (n,) is a mask: one of its
    members must have a weight.
    """
    goals = [rational(target) for target in targets]
    units = [goal or sp.S.One for goal in goals]
    rows = [[rational(column[r]) / unit for column in columns] for r, unit in enumerate(units)]
    sizes = [max([*map(abs, column), SMALLEST]) for column in zip(*rows, strict=True)]
    rows = [[entry / size for entry, size in zip(row, sizes, strict=True)] for row in rows]
    ends = [goal / unit for goal, unit in zip(goals, units, strict=True)]
    found = _with_needs(rows, ends, [rational(cost) for cost in costs], needs, missed)
    if found is None:
        return None
    nothing = NOTHING * sum(found)
    return [float(w / size) if w > nothing else 0.0 for w, size in zip(found, sizes, strict=True)]


def _with_needs(
    rows: Sequence[Sequence[sp.Rational]],
    ends: Sequence[sp.Rational],
    costs: Sequence[sp.Rational],
    needs: Sequence[Sequence[bool]],
    missed: sp.Rational,
) -> list[sp.Rational] | None:
    """Without the needs if that meets them, else with the largest share that can be had."""
    below = [*rows, *([-entry for entry in row] for row in rows)]
    bounds = [sign * b + missed for sign in (1, -1) for b in ends]
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


# --- the numeric wishes as equations


@lru_cache(maxsize=1024)
def curvatures(g: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """(g''(0-), g''(0+)) of a loss; oo where there is none."""
    left, right = Loss(g).curvature.split_at_zero()
    values = (left.pieces[-1].expression.subs(x, 0), right.pieces[0].expression.subs(x, 0))
    return tuple(
        sp.nsimplify(v) if v.is_Float else sp.simplify(v) if v.is_finite else sp.oo for v in values
    )


class Table:
    """The numeric wishes as linear equations in the weights of the blocks: rows of penalties,
    then of curvatures.
    """

    def __init__(self, usable: Sequence[Block], wishes: Wishes):
        self.blocks, self.curvature = usable, wishes.curvature
        self.points = [at for at, _ in wishes.penalties]
        self.targets = [value for _, value in wishes.penalties] + (
            [wishes.curvature] * 2 if wishes.curvature is not None else []
        )
        self.exact = [self._column(block) for block in usable]
        self.near = [
            column if sp.oo in column else [*map(rational, column)] for column in self.exact
        ]

    def _column(self, block: Block) -> list[sp.Expr]:
        column = [block.whole.subs(x, at) for at in self.points]
        return column if self.curvature is None else column + list(curvatures(block.whole))

    def solve(self, banned: frozenset[int], tests: Sequence) -> list[float] | None:
        """The cheapest weights, 0 for what is banned; None where there are none."""
        here = [i for i, column in enumerate(self.exact) if i not in banned and sp.oo not in column]
        if not here:
            return None
        found = cheapest(
            [self.near[i] for i in here],
            self.targets,
            [self.blocks[i].cost for i in here],
            [[bool(test(self.blocks[i])) for i in here] for test in tests],
        )
        if found is None:
            return None
        weights = dict(zip(here, found, strict=True))
        return [weights.get(i, 0.0) for i in range(len(self.exact))]

    def tidy(
        self, support: Sequence[int], weights: Sequence[float], tolerance: sp.Rational
    ) -> Sequence[sp.Expr] | None:
        """Readable weights: exact where they are rational, else the roundest within the
        tolerance, curvature exact.
        """
        columns = [self.exact[i] for i in support]
        exact = exact_weights(sp.Matrix(columns).T, sp.Matrix(self.targets))
        if exact is not None:
            return exact
        penalties = len(self.points)
        values = [[float(sp.N(c, 20)) for c in column[:penalties]] for column in columns]
        wanted = [float(target) for target in self.targets[:penalties]]

        def good(rounded: list[Any]) -> Sequence[sp.Expr] | None:
            if self.curvature is not None:
                for j, column in sorted(enumerate(columns), key=lambda entry: -weights[entry[0]]):
                    if column[-1] == column[-2] and column[-1].is_positive:
                        missing = self.curvature - sum(w * c[-1] for w, c in zip(rounded, columns))
                        rounded[j] = sp.nsimplify(rounded[j] + missing / column[-1])
                        break
                if not all(w.is_positive for w in rounded) or any(
                    sp.simplify(sum(w * c[k] for w, c in zip(rounded, columns)) - self.curvature)
                    != 0
                    for k in (-1, -2)
                ):
                    return None
            got = sums([float(w) for w in rounded], values)
            near = 0.99 * float(tolerance)
            met = all(abs(a / b - 1) <= near for a, b in zip(got, wanted, strict=True))
            return rounded if met else None

        return readable_weights(weights, good)
