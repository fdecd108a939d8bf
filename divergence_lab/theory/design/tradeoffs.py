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
        """In floating point, with sum w = 1."""
        import numpy as np
        from scipy.optimize import linprog

        count = len(self.starts)
        room = np.zeros((len(roomy), count + 1))
        room[range(len(roomy)), roomy], room[:, count] = -1, 1
        equal = np.zeros((self.rows.rows + 1, count + 1))
        equal[:-1, :count] = np.array(self.rows.tolist(), dtype=float)
        equal[-1, :count] = 1
        targets = np.eye(self.rows.rows + 1)[-1]
        answer = linprog(
            -np.eye(count + 1)[-1], room, np.zeros(len(roomy)), equal, targets, method="highs-ds"
        )
        return list(answer.x[:count]) if answer.success and -answer.fun > 1e-9 else None

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
        import numpy as np
        from scipy.optimize import linprog

        turned = np.array(self.rows.T.tolist(), dtype=float)
        must = [i for i, (_, start) in enumerate(self.starts) if start == 0]
        answer = linprog(
            -turned[must].sum(axis=0),
            -turned,
            np.zeros(len(turned)),
            bounds=(-1, 1),
            method="highs-ds",
        )
        if not answer.success:
            return False
        y = sp.Matrix([
            sp.S.Zero
            if abs(c) < 1e-9
            else sp.sign(c) * mixtures.simplest(abs(c) * (1 - 1e-8), abs(c) * (1 + 1e-8))
            for c in answer.x
        ])  # fmt: skip
        sums = (self.rows.T * y).flat()
        return all(entry >= 0 for entry in sums) and any(sums[i] > 0 for i in must)


def _rational(number: sp.Expr) -> sp.Expr:
    """The number, or a simple one within a billionth of it."""
    if number.is_Rational:
        return number
    return mixtures.simplest(float(number) * (1 - 1e-9), float(number) * (1 + 1e-9))


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
    import numpy as np

    points = [point for row in rows for point in (row.a, row.b)]
    offered = (*blocks.blocks(wishes, fine=True), *blocks.symmetric_sticks(points, wishes))
    usable = [block for block in offered if blocks.allowed(block, wishes)]
    values = np.array(
        [[float(sp.N(block.expression.subs(x, p), 20)) for p in points] for block in usable]
    )
    missing = [
        values[:, 2 * k] - float(row.ratio) * values[:, 2 * k + 1] for k, row in enumerate(rows)
    ]
    size = np.maximum(np.abs(values).max(axis=1), 1e-12)
    masks = [np.array([bool(test(b)) for b in usable], dtype=bool) for test in blocks.needs(wishes)]
    found = mixtures.cheapest(
        np.array([values[:, 1], *missing]) / size,
        np.array([1.0, *([0.0] * len(rows))]),
        np.array([block.cost for block in usable]),
        masks,
    )
    if found is not None:
        kept = [i for i, weight in enumerate(found) if weight > 0]

        def good(near: list[Any]) -> list[Any] | None:
            g = np.array([float(w) for w in near]) @ values[kept]
            ratios = [g[2 * k] / (float(r.ratio) * g[2 * k + 1]) for k, r in enumerate(rows)]
            return near if all(abs(r - 1) <= 0.99 * float(tolerance) for r in ratios) else None

        weights = mixtures.readable_weights([found[i] / size[i] for i in kept], good)
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
