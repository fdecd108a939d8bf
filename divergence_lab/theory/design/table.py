"""The numeric wishes as linear equations in the weights of the blocks."""

from collections.abc import Sequence
from typing import Any

import sympy as sp

from divergence_lab.theory.design import blocks, mixtures, wishes
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions import x


def curvatures(block: blocks.Block) -> tuple[sp.Expr, sp.Expr]:
    """(g''(0-), g''(0+)) of a block; oo where there is none."""
    left, right = Loss(block.expression).curvature.split_at_zero()
    values = (left.pieces[-1].expression.subs(x, 0), right.pieces[0].expression.subs(x, 0))
    return tuple(
        sp.nsimplify(v) if v.is_Float else sp.simplify(v) if v.is_finite else sp.oo for v in values
    )


class Table:
    """The numeric wishes as linear equations in the weights of the blocks: rows of penalties,
    then of curvatures.
    """

    def __init__(self, usable: Sequence[blocks.Block], wishes: wishes.Wishes):
        self.blocks, self.curvature = usable, wishes.curvature
        self.points = [at for at, _ in wishes.penalties]
        self.targets = [value for _, value in wishes.penalties] + (
            [wishes.curvature] * 2 if wishes.curvature is not None else []
        )
        self.exact = [self._column(block) for block in usable]

    def _column(self, block: blocks.Block) -> list[sp.Expr]:
        column = [block.expression.subs(x, at) for at in self.points]
        return column if self.curvature is None else column + list(curvatures(block))

    def solve(self, banned: frozenset[int], tests: Sequence) -> list[float] | None:
        """The cheapest weights, 0 for what is banned; None where there are none."""
        here = [i for i, column in enumerate(self.exact) if i not in banned and sp.oo not in column]
        if not here:
            return None
        found = mixtures.cheapest(
            [self.exact[i] for i in here],
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
        exact = mixtures.exact_weights(sp.Matrix(columns).T, sp.Matrix(self.targets))
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
            got = mixtures.sums([float(w) for w in rounded], values)
            near = 0.99 * float(tolerance)
            met = all(abs(a / b - 1) <= near for a, b in zip(got, wanted, strict=True))
            return rounded if met else None

        return mixtures.readable_weights(weights, good)
