"""The numeric wishes as linear equations in the weights of the blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import sympy as sp

from divergence_lab.theory.design import blocks, mixtures, wishes
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions import x

if TYPE_CHECKING:
    import numpy as np


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

    def solve(self, banned: frozenset[int], tests: Sequence) -> np.ndarray | None:
        """The cheapest weights, 0 for what is banned; None where there are none."""
        import numpy as np

        here = [i for i, column in enumerate(self.exact) if i not in banned and sp.oo not in column]
        if not here:
            return None
        targets = np.array([float(value) for value in self.targets])
        rows = (
            np.array([[float(sp.N(value, 20)) for value in self.exact[i]] for i in here]).T
            / targets[:, None]
        )
        size = np.maximum(
            rows.max(axis=0), 1e-12
        )  # a block counts by what it does, not by how it is scaled
        masks = [np.array([bool(test(self.blocks[i])) for i in here], dtype=bool) for test in tests]
        found = mixtures.cheapest(
            rows / size, np.ones(len(targets)), np.array([self.blocks[i].cost for i in here]), masks
        )
        if found is None:
            return None
        weights = np.zeros(len(self.exact))
        weights[here] = found / size
        return weights

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
        import numpy as np

        penalties = len(self.points)
        values = np.array([[float(sp.N(c, 20)) for c in column[:penalties]] for column in columns])
        wanted = np.array([float(target) for target in self.targets[:penalties]])

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
            got = np.array([float(w) for w in rounded]) @ values
            if np.abs(got / wanted - 1).max(initial=0) > 0.99 * float(tolerance):
                return None
            return rounded

        return mixtures.readable_weights(weights, good)
