"""f at any ratio as guaranteed digits, from its defining integral: needs no closed form.

f(e^u) = e^u int_0^u g'(v) e^{-v} dv
"""

import math
from dataclasses import dataclass

import sympy as sp
from flint import arb

from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions import Pieces, digits, enclosure, ordering, x


@dataclass(frozen=True)
class Value:
    """f(ratio) lies within `radius` of `value`, guaranteed; all three are text, the last two
    decimal numbers.
    """

    ratio: str
    value: str
    radius: str


def enclose_integral(loss: Pieces, u: sp.Expr, precision: int) -> arb:
    """int_0^u g'(v) e^{-v} dv, enclosed, from the pieces of g; u exact.

    Where g' is not finite (a root at 0) the parts rule takes over: g(u) e^{-u} + int_0^u g(v)
    e^{-v} dv.
    """
    total = _enclose(loss.derivative(), u, precision)
    if total.is_finite():
        return total
    with digits(precision + 15):
        return pieces_at(loss, u, precision) * (-enclosure.exact(u)).exp() + _enclose(
            loss, u, precision
        )


def _enclose(function: Pieces, u: sp.Expr, precision: int) -> arb:
    """int_0^u function(v) e^{-v} dv, piece by piece."""
    positive = ordering.is_less(sp.S.Zero, u)
    left, right = function.split_at_zero()
    total = arb(0)
    for piece in right.pieces if positive else left.pieces:
        low = u if not positive and ordering.is_less(piece.low, u) else piece.low
        high = u if positive and ordering.is_less(u, piece.high) else piece.high
        if ordering.is_less(low, high):
            part = enclosure.integral(piece.expression * sp.exp(-x), x, low, high, precision)
            total = total + part if positive else total - part
    return total


def pieces_at(pieces: Pieces, point: sp.Expr, precision: int) -> arb:
    """The function at an exact point, enclosed."""
    for piece in pieces.pieces:
        if piece.high == sp.oo or ordering.is_less(point, piece.high):
            return enclosure.value_at(piece.expression, pieces.variable, point, precision)
    raise AssertionError("the last piece reaches infinity")


def enclose(loss: Loss, ratio: sp.Expr, precision: int = 30) -> arb:
    """f(ratio) as a ball, ratio an exact positive number: from the defining integral, never from
    the closed form.
    """
    for extra in (0, 30, 100, 300):
        with digits(precision + extra + 20):
            u = sp.log(ratio)
            ball = (
                enclosure.exact(ratio) * enclose_integral(loss.pieces, u, precision + extra)
                if ratio != 1
                else arb(0)
            )
        if ball.is_finite() and (
            ball.rad() == 0
            or abs(ball.rad()) < arb(10) ** -precision * max(1, abs(float(ball.mid())))
        ):
            return ball
    return ball


def value(loss: Loss, ratio: sp.Expr, precision: int = 30) -> Value:
    """f(ratio) to `precision` digits with its guaranteed radius, as decimal strings."""
    ball = enclose(loss, ratio, precision)
    if not ball.is_finite():
        raise enclosure.NotEvaluable(
            f"f({ratio}) could not be enclosed: the loss may not be defined up to there"
        )
    with digits(precision + 20):
        # Round the midpoint to the digits that are shown; what the rounding loses is added to the
        # radius.
        shown = arb(ball.mid()).str(precision, radius=False)
        radius = abs(ball - arb(shown)).upper()
        exponent = (
            -math.inf if radius == 0 else math.ceil(float(arb(radius).log() / arb(10).log()) + 1e-9)
        )
    return Value(str(ratio), shown, "0" if radius == 0 else f"1e{int(exponent)}")
