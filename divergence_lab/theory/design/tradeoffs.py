"""Trade-offs g(a) = r g(b): values of g that meet all of them, or which of them clash.

    g(x_k) = sum_{j < k} w_j (x_k - x_j),   w >= 0,   0 = x_0 < x_1 < ... on either side

are the values that a convex loss can have (`feasibility`): w_0 is its slope next to 0 and w_j what
the slope gains at x_j. The trade-offs are linear in w: a linear program proposes w, or a sum of
them that no w meets, and exact arithmetic confirms either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp

from divergence_lab.theory.design import blocks, mixtures, proofs, reading
from divergence_lab.theory.design.wishes import DesignError, Wishes
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions import constants, write, x
from divergence_lab.theory.expressions.balls import ball_of_constant

NO_ROOM = sp.Rational(1, 10**9)


@dataclass(frozen=True)
class Tradeoff:
    """g(a) = ratio g(b)."""

    a: sp.Expr
    b: sp.Expr
    ratio: sp.Expr

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
    """{x: g(x)} that meets every row, with g = 1 at the second residual of the first; as far from a
    clash as can be. Raises DesignError, naming trade-offs that clash and why.
    """
    program = _Program.of(rows, wishes)
    weights = program.weights()
    if weights is None:
        raise _clash(rows, wishes)
    scale = (program.value_row(rows[0].b) * weights)[0]
    points = {point for row in rows for point in (row.a, row.b)}
    return {p: (program.value_row(p) * weights)[0] / scale for p in sorted(points, key=float)}


@dataclass(frozen=True)
class _Program:
    """rows w = 0, w >= 0, and w > 0 where a side starts; `starts` are (side, x_j)."""

    starts: tuple[tuple[int, sp.Expr], ...]
    even: bool
    rows: sp.Matrix

    @staticmethod
    def of(rows: Sequence[Tradeoff], wishes: Wishes) -> _Program:
        sides: dict[int, set[sp.Expr]] = {}
        for point in (point for row in rows for point in (row.a, row.b)):
            side = 1 if wishes.even or point > 0 else -1
            sides.setdefault(side, set()).add(_rational(abs(point)))
        starts = tuple(
            (side, start)
            for side, sizes in sorted(sides.items())
            for start in [sp.S.Zero, *sorted(sizes)[:-1]]
        )
        values = _Program(starts, wishes.even, sp.zeros(0, len(starts))).value_row
        equations = [values(row.a) - _rational(row.ratio) * values(row.b) for row in rows]
        return _Program(starts, wishes.even, sp.Matrix.vstack(*equations))

    def value_row(self, point: sp.Expr) -> sp.Matrix:
        """g(point) as a row of the coefficients of w."""
        size, side = _rational(abs(point)), 1 if self.even or point > 0 else -1
        entries = [max(size - a, sp.S.Zero) if s == side else 0 for s, a in self.starts]
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

    def _near(self, roomy: Sequence[int]) -> list[float] | None:
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
        return list(map(float, found[:count])) if found and found[count] > NO_ROOM else None

    def _exactly(self, near: Sequence[float]) -> sp.Matrix | None:
        """A rational solution beside it: the free entries rounded, the others as they follow."""
        reduced, pivots = self.rows.rref()
        rounded = [
            sp.S.Zero if w < 1e-9 else mixtures.simplest(w * 0.9999, w * 1.0001) for w in near
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


def _clash(rows: Sequence[Tradeoff], wishes: Wishes) -> DesignError:
    """Names as few of the rows as can't be met together."""
    kept = list(rows)
    for row in rows:
        rest = [other for other in kept if other is not row]
        if rest and _Program.of(rest, wishes).is_impossible():
            kept = rest
    exact = all(number.is_Rational for row in kept for number in (row.a, row.b, row.ratio))
    if not exact or not _Program.of(kept, wishes).is_impossible():
        return DesignError(
            f"no values were found that meet {', '.join(map(str, rows))}: leave one out"
        )
    even = "even loss and " if wishes.even else ""
    if len(kept) > 1:
        named = " and ".join(map(str, kept)) if len(kept) == 2 else ", ".join(map(str, kept))
        return DesignError(
            f"{even}the trade-offs {named} clash: a convex loss rises from 0 with slopes that do "
            "not fall, and no such values meet them together"
        )
    (row,) = kept
    near, far = sorted((abs(row.a), abs(row.b)), key=float)
    if constants.equal(near, far):
        what = "g(x) = g(-x) for an even loss" if wishes.even else "both sides are the same number"
    elif near == abs(row.a):
        what = (
            f"g(x)/|x| does not fall as |x| grows, so {write(near / far)} is the largest ratio "
            "that a convex loss can have there"
        )
    else:
        what = (
            f"g(x)/|x| does not fall as |x| grows, so {write(far / near)} is the smallest ratio "
            "that a convex loss can have there"
        )
    return DesignError(f"{even or 'convexity and '}the trade-off {row} clash: {what}")


# --- symmetric divergences


def symmetric_sum(rows: Sequence[Tradeoff], wishes: Wishes, tolerance: sp.Rational) -> sp.Expr:
    """A sum of losses of symmetric divergences that meets the rows within the tolerance.

    Raises DesignError where none of those on offer does.
    """
    points = [point for row in rows for point in (row.a, row.b)]
    offered = (*blocks.blocks(wishes, fine=True), *blocks.symmetric_sticks(points, wishes))
    usable = [block for block in offered if blocks.allowed(block, wishes)]
    values = [[mixtures.rational(block.expression.subs(x, p)) for p in points] for block in usable]
    ratios = [mixtures.rational(row.ratio) for row in rows]
    columns = [
        [at[1], *(at[2 * k] - ratio * at[2 * k + 1] for k, ratio in enumerate(ratios))]
        for at in values
    ]
    found = mixtures.cheapest(
        columns,
        [1, *[0] * len(rows)],
        [block.cost for block in usable],
        [[bool(test(block)) for block in usable] for test in blocks.needs(wishes)],
    )
    if found is not None:
        kept = [i for i, weight in enumerate(found) if weight > 0]
        heights = [[*map(float, values[i])] for i in kept]

        def good(near: list[Any]) -> list[Any] | None:
            g = mixtures.sums([float(w) for w in near], heights)
            missed = [g[2 * k] / (float(ratio) * g[2 * k + 1]) for k, ratio in enumerate(ratios)]
            return near if all(abs(r - 1) <= 0.99 * float(tolerance) for r in missed) else None

        weights = mixtures.readable_weights([found[i] for i in kept], good)
        if weights is not None:
            return sp.Add(*(w * usable[i].expression for w, i in zip(weights, kept, strict=True)))
    raise DesignError(
        f"no sum of the losses on offer meets {', '.join(map(str, rows))} with a symmetric "
        "divergence and the other wishes: leave one out"
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
