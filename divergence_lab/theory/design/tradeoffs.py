"""Trade-offs g(a) = r g(b): values of g that meet all of them, or which of them clash.

    g(x_k) = sum_{j < k} w_j (x_k - x_j),   w >= 0,   0 = x_0 < x_1 < ... on either side

are the values that a convex loss can have (`feasibility`): w_0 is its slope next to 0 and w_j what
the slope gains at x_j. For a symmetric divergence the x_j are places for both sides (`symmetric`),
left of 0 with e^{-x_j} w_j. Trade-offs are linear in w, and so are penalties, g(a) = (v/v') g(b): a
linear program proposes w, or a sum of them that no w meets, and exact arithmetic confirms either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from divergence_lab.theory.design import mixtures, proofs, reading, symmetric
from divergence_lab.theory.design.clashes import ONLY_ABSOLUTE
from divergence_lab.theory.design.wishes import DesignError, Wishes
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions import constants, write, x
from divergence_lab.theory.expressions.balls import ball_of_constant

NO_ROOM = sp.Rational(1, 10**9)


@dataclass(frozen=True)
class Tradeoff:
    """g(a) = ratio g(b); `because` of two penalties, where no trade-off was asked for."""

    a: sp.Expr
    b: sp.Expr
    ratio: sp.Expr
    because: tuple[str, ...] = ()

    def __str__(self) -> str:
        times = "" if self.ratio == 1 else f"{write(self.ratio)}*"
        return f"g({write(self.a)}) = {times}g({write(self.b)})"


def read_tradeoff(a: object, b: object, ratio: object) -> Tradeoff:
    """From texts and numbers. Raises DesignError."""
    found = Tradeoff(
        reading.read_number(a, "a residual"),
        reading.read_number(b, "a residual"),
        reading.read_number(ratio, "a ratio"),
    )
    if found.a == 0 or found.b == 0 or not found.ratio.is_positive:
        raise DesignError(
            f"the row ({write(found.a)}, {write(found.b)}, {write(found.ratio)}) compares with "
            "g(0) = 0 or has no positive ratio"
        )
    return found


def values_for(rows: Sequence[Tradeoff], wishes: Wishes) -> dict[sp.Expr, sp.Expr]:
    """{x: g(x)} that meets every row and the penalties; without penalties g = 1 at the second
    residual of the first. As far from a clash as can be. Raises DesignError, naming what clashes
    and why.
    """
    (at, value), *others = wishes.penalties or ((rows[0].b, sp.S.One),)
    both = [
        Tradeoff(
            b, at, v / value, tuple(f"g({write(p)}) = {write(w)}" for p, w in ((at, value), (b, v)))
        )
        for b, v in others
    ]
    whole = [*rows, *both]
    program = _Program.of(whole, wishes)
    weights = program.weights()
    if weights is None:
        raise _clash(whole, wishes)
    scale = value / (program.value_row(at) * weights)[0]
    points = {at, *(point for row in whole for point in (row.a, row.b))}
    found = {p: (program.value_row(p) * weights)[0] * scale for p in points}
    if wishes.symmetric:
        found = {p: mixtures.rational(float(v)) for p, v in found.items()}
    found |= dict(wishes.penalties)
    return dict(sorted(found.items(), key=lambda pair: float(pair[0])))


@dataclass(frozen=True)
class _Program:
    """rows w = 0, w >= 0, and w > 0 where a side starts; `starts` are (side, x_j), for a symmetric
    divergence of both sides.
    """

    starts: tuple[tuple[int, sp.Expr], ...]
    wishes: Wishes
    rows: sp.Matrix

    @staticmethod
    def of(rows: Sequence[Tradeoff], wishes: Wishes) -> _Program:
        sides: dict[int, set[sp.Expr]] = {}
        points = [point for row in rows for point in (row.a, row.b)]
        for point in (*points, *(at for at, _ in wishes.penalties)):
            side = 1 if wishes.even or wishes.symmetric or point > 0 else -1
            sides.setdefault(side, set()).add(_rational(abs(point)))
        starts = tuple(
            (side, start)
            for side, sizes in sorted(sides.items())
            for start in [sp.S.Zero, *sorted(sizes)[:-1]]
        )
        if wishes.symmetric and wishes.even:  # only a*|x|
            starts = starts[:1]
        elif wishes.symmetric:
            places = sorted({*(start for _, start in starts), *_separated(rows)[1]})
            starts = tuple((1, place) for place in places)
        values = _Program(starts, wishes, sp.zeros(0, len(starts))).value_row
        equations = [values(row.a) - _rational(row.ratio) * values(row.b) for row in rows]
        return _Program(starts, wishes, sp.Matrix.vstack(sp.zeros(0, len(starts)), *equations))

    def value_row(self, point: sp.Expr) -> sp.Matrix:
        """g(point) as a row of the coefficients of w."""
        size, side = _rational(abs(point)), 1 if self.wishes.even or point > 0 else -1
        entries = [
            max(size - a, sp.S.Zero) * (1 if s == side else _rational(sp.exp(-a)))
            if s == side or self.wishes.symmetric
            else 0
            for s, a in self.starts
        ]
        return sp.Matrix([entries])

    def weights(self) -> sp.Matrix | None:
        """An exact w with as much room as there is, in all of its entries or, where they can't all
        have some, in those that must.
        """
        must = [i for i, (_, start) in enumerate(self.starts) if start == 0]
        for roomy in (range(len(self.starts)), must):
            near = self._near(roomy)
            found = None if near is None else self._exactly(near)
            if found is not None and all(
                entry > 0 for i, entry in enumerate(found.flat()) if i in must
            ):
                return found
        return None

    def _near(self, roomy: Sequence[int]) -> list[sp.Rational] | None:
        """With sum w = 1, and the room z <= w_i for each roomy i: the most room."""
        count = len(self.starts)
        equal = [[*map(mixtures.rational, row), 0] for row in self.rows.tolist()]
        whole = [1] * count + [0]
        room = [[-int(j == i) for j in range(count)] + [1] for i in roomy]
        below = [
            *equal,
            *([-entry for entry in row] for row in equal),
            whole,
            [-1 * w for w in whole],
        ]
        bounds = [0] * (2 * len(equal)) + [1, -1]
        found = mixtures.least([0] * count + [-1], below + room, bounds + [0] * len(room))
        return found[:count] if found and found[count] > NO_ROOM else None

    def _exactly(self, near: Sequence[sp.Rational]) -> sp.Matrix | None:
        """A rational solution beside it: the free entries rounded, the others as they follow."""
        if self.wishes.symmetric:
            return sp.Matrix(near)
        reduced, pivots = self.rows.rref()
        rounded = [
            sp.S.Zero if w < 1e-9 else mixtures.simplest(float(w) * 0.9999, float(w) * 1.0001)
            for w in near
        ]
        found = sp.Matrix([0 if i in pivots else w for i, w in enumerate(rounded)])
        for row, pivot in enumerate(pivots):
            found[pivot] = -(reduced[row, :] * found)[0]
        return found if all(w >= 0 for w in found.flat()) else None

    def is_impossible(self) -> bool:
        """Proved by a y with rows^T y >= 0, > 0 where a side starts: y' rows w > 0 for every w."""
        turned = self.rows.T.tolist()
        must = [i for i, (_, start) in enumerate(self.starts) if start == 0]
        gains = [-sum(turned[i][j] for i in must) for j in range(self.rows.rows)]
        # y = z - 1, 0 <= z <= 2
        sides = [[int(k == j) for k in range(self.rows.rows)] for j in range(self.rows.rows)]
        below = [[-entry for entry in row] for row in turned]
        found = mixtures.least(gains, below + sides, [*map(sum, below), *[2] * self.rows.rows])
        if found is None:
            return False
        totals = (self.rows.T * sp.Matrix([z - 1 for z in found])).flat()
        return all(entry >= 0 for entry in totals) and any(totals[i] > 0 for i in must)


def _rational(number: sp.Expr) -> sp.Expr:
    """The number, or a simple one within a billionth of it."""
    return mixtures.rational(number, 1e-9)


def _separated(rows: Sequence[Tradeoff]) -> tuple[list[sp.Rational], list[sp.Rational]]:
    """(y, places), of the largest y_last with which sum_j y_j (g(a_j) - r_j g(b_j)), over its size,
    is at least y_last times the mean of g(p)/|p|.
    """
    points = [point for row in rows for point in (row.a, row.b)]
    sizes = [abs(row.a) + row.ratio * abs(row.b) for row in rows]
    totals = [
        [(1 / size, row.a), (-row.ratio / size, row.b)]
        for row, size in zip(rows, sizes, strict=True)
    ]
    all_points = [(-1 / abs(point) / len(points), point) for point in points]
    return symmetric.separated([*totals, all_points], [*[0] * len(rows), -1])


def _symmetric_proof(rows: Sequence[Tradeoff]) -> str | None:
    """A sum of g(a_j) - r_j g(b_j) that is above 0 for every loss of a symmetric divergence."""
    *y, room = _separated(rows)[0]
    if room <= NO_ROOM:
        return None
    farthest = max((point for row in rows for point in (row.a, row.b)), key=abs)
    for near in symmetric.ROUNDINGS:
        terms = [
            (mixtures.rational(w / (abs(row.a) + row.ratio * abs(row.b)), near), row)
            for w, row in zip(y, rows, strict=True)
        ]
        total = [pair for c, row in terms for pair in ((c, row.a), (-c * row.ratio, row.b))]
        rest = room / (3 * len(rows) * 2 * abs(farthest))
        if symmetric.is_never_negative([*total, (-rest, farthest)]):
            return symmetric.in_words(
                [
                    (c, f"(g({write(row.a)}) - {write(row.ratio)}*g({write(row.b)}))")
                    for c, row in terms
                ]
            )
    return None


def _is_impossible(rows: Sequence[Tradeoff], wishes: Wishes) -> bool:
    if wishes.symmetric and not wishes.even:
        return _symmetric_proof(rows) is not None
    exact = all(number.is_Rational for row in rows for number in (row.a, row.b, row.ratio))
    return exact and _Program.of(rows, wishes).is_impossible()


def _clash(rows: Sequence[Tradeoff], wishes: Wishes) -> DesignError:
    """Names as few of the rows as can't be met together."""
    kept = list(rows)
    for row in rows:
        rest = [other for other in kept if other is not row]
        if rest and _is_impossible(rest, wishes):
            kept = rest
    names = list(dict.fromkeys(name for row in kept for name in (row.because or (str(row),))))
    if not _is_impossible(kept, wishes):
        return DesignError(f"no values were found that meet {', '.join(names)}: leave one out")
    classes = [
        name
        for name, asked in (("even loss", wishes.even), ("symmetric divergence", wishes.symmetric))
        if asked
    ]
    if len(names) > 1:
        named = " and ".join(names) if len(names) == 2 else ", ".join(names)
        what = "trade-offs and penalties" if any(row.because for row in kept) else "trade-offs"
        who = f"{' and '.join([*classes, f'the {what}'])} {named}"
    else:
        who = " and ".join([*(classes or ["convexity"]), f"the trade-off {names[0]}"])
    return DesignError(f"{who} clash: {_reason(kept, wishes)}")


def _reason(kept: Sequence[Tradeoff], wishes: Wishes) -> str:
    if wishes.symmetric and wishes.even:
        return ONLY_ABSOLUTE
    if wishes.symmetric:
        return f"g''(x) = e^x g''(-x) makes {_symmetric_proof(kept)} more than 0"
    if len(kept) > 1:
        return (
            "a convex loss rises from 0 with slopes that do not fall, and no such values meet them "
            "together"
        )
    (row,) = kept
    near, far = sorted((abs(row.a), abs(row.b)), key=float)
    if constants.equal(near, far):
        return "g(x) = g(-x) for an even loss" if wishes.even else "both sides are the same number"
    if near == abs(row.a):
        ratio, extreme = near / far, "largest"
    else:
        ratio, extreme = far / near, "smallest"
    return (
        f"g(x)/|x| does not fall as |x| grows, so {write(ratio)} is the {extreme} ratio that a "
        "convex loss can have there"
    )


def prove_tradeoff(row: Tradeoff, loss: Loss, tolerance: sp.Rational) -> proofs.Met:
    """That the loss meets the row: exactly, or enclosed within the tolerance. Raises
    DesignError.
    """
    a, b = (loss.expression.subs(x, point) for point in (row.a, row.b))
    if constants.equal(a, row.ratio * b):
        because = f"g({write(row.a)}) = {write(a)} and g({write(row.b)}) = {write(b)}"
        return proofs.Met(str(row), "proved", because, write(row.ratio))
    ratio = ball_of_constant(a) / ball_of_constant(b)
    if not abs(ratio / ball_of_constant(row.ratio) - 1) <= ball_of_constant(tolerance):
        raise DesignError(f"the loss that was found misses {row}: leave a wish out")
    shown = ratio.str(12, radius=False)
    return proofs.Met(
        str(row),
        "enclosed",
        f"g({write(row.a)})/g({write(row.b)}) = {shown}..., within a relative "
        f"{write(tolerance)} of {write(row.ratio)}",
        shown,
    )
