"""A loss with its verified ranges: what torch runs and what is exported, as data."""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp
from flint import acb, arb

from divergence_lab.bridge.verified.cells import FULL
from divergence_lab.bridge.verified.programs import NotRepresentable
from divergence_lab.bridge.verified.ranges import ranges
from divergence_lab.bridge.verified.series import FAILURES
from divergence_lab.bridge.verified.stretches import Ranges
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions.enclosure import NotEvaluable, evaluator
from divergence_lab.theory.expressions.pieces import Pieces
from divergence_lab.theory.expressions.precision import digits
from divergence_lab.theory.expressions.symbols import x


@dataclass(frozen=True, eq=False)
class Verified:
    """g and g' by ranges. Beyond `reach` g is straight, from (`end_values`, `end_slopes`)."""

    loss: Loss
    values: Ranges
    slopes: Ranges
    reach: tuple[float, float]
    early_reach: tuple[float, float]
    end_values: tuple[float, float]
    end_slopes: tuple[float, float]
    kink_at_zero: bool


def verified(loss: Loss) -> Verified:
    """The loss by verified ranges. Raises NotRepresentable (a ValueError)."""
    if not isinstance(loss, Loss):
        raise TypeError(f"this takes a loss, not {type(loss).__name__}: write loss(text)")
    if loss.parameters:
        names = ", ".join(map(str, loss.parameters))
        raise NotRepresentable(
            f"the parameter {names} has no value: set it with --set, or loss(text, values={{...}})"
        )
    functions = loss.pieces, loss.derivative
    try:
        found = ranges(functions[0]), ranges(functions[1])
    except NotEvaluable as error:
        raise NotRepresentable(f"{error} can't be evaluated with the promised accuracy") from None
    reach, early = (
        _narrower([one.reach for one in each]) for each in (found, [one.early for one in found])
    )
    try:
        at_ends = [_at_both(function, reach) for function in functions]
    except NotRepresentable:  # 1 - tanh(x) at 10^40 has no digits
        reach, early = (_narrower([one, (-FULL, FULL)]) for one in (reach, early))
        at_ends = [_at_both(function, reach) for function in functions]
    return Verified(
        loss, *found, reach, early, *at_ends, kink_at_zero=sp.S.Zero in loss.derivative.kinks
    )


def _narrower(reaches: list[tuple[float, float]]) -> tuple[float, float]:
    return max(low for low, _ in reaches), min(high for _, high in reaches)


def _at_both(function: Pieces, ends: tuple[float, float]) -> tuple[float, float]:
    return _at(function, ends[0]), _at(function, ends[1])


def _at(function: Pieces, point: float) -> float:
    """The function at a binary number, to double precision."""
    piece = next(
        piece for piece in function.pieces if piece.high == sp.oo or point < float(piece.high)
    )
    with digits(60 + min(int(abs(point)), 2000)):
        try:
            ball = evaluator(piece.expression, x)(acb(arb(point)), False).real
        except FAILURES:
            ball = arb.nan()
    if not ball.is_finite():
        raise NotRepresentable(f"{piece.expression} can't be evaluated at x = {point:.4g}")
    return float(ball.mid())
