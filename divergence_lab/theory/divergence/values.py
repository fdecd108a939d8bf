"""f at any ratio as guaranteed digits, from its defining integral: needs no closed form.

f(e^u) = e^u int_0^u g'(v) e^{-v} dv
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import sympy as sp
from flint import arb

from divergence_lab.inputs import kind_of
from divergence_lab.theory.checker.facts.parts import Part
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.fields.quadrature import piece_integral
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions import (
    ExpressionError,
    Pieces,
    digits,
    enclosure,
    ordering,
    x,
)
from divergence_lab.theory.expressions.parsing import parse_number


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
    if not all(
        enclosure.value_at(piece.expression, x, end, precision).is_finite()
        for piece in loss.pieces
        for end in (piece.low, piece.high, sp.S.Zero)
        if end.is_finite
        and not ordering.is_less(end, piece.low)
        and not ordering.is_less(piece.high, end)
    ):
        return _enclose_beside_points(loss, u, precision)
    total = _enclose(loss.derivative(), u, precision)
    if total.is_finite():
        return total
    with digits(precision + 15):
        return pieces_at(loss, u, precision) * (-enclosure.exact(u)).exp() + _enclose(
            loss, u, precision
        )


def _enclose_beside_points(loss: Pieces, u: sp.Expr, precision: int) -> arb:
    """The same where g has no value at an end of a piece, by the checker's bounds there."""
    positive, total = ordering.is_less(sp.S.Zero, u), arb(0)
    slopes = loss.derivative()
    sides = zip(loss.split_at_zero()[positive].pieces, slopes.split_at_zero()[positive].pieces)
    for g, slope in sides:
        low = u if not positive and ordering.is_less(g.low, u) else g.low
        high = u if positive and ordering.is_less(u, g.high) else g.high
        if not ordering.is_less(low, high):
            continue
        part = Part(g.low, g.high, g.expression, slope.expression, sp.S.Zero)
        with digits(precision + 15):
            try:
                found = piece_integral(
                    part, enclosure.exact(low), enclosure.exact(high), precision + 15
                )
            except Rejected:
                return arb.nan()
        total = total + found if positive else total - found
    return total


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


def read_ratios(at: str | Iterable[object]) -> tuple[sp.Expr, ...]:
    """Exact positive ratios: of a text, "0.1,2,pi", or of numbers, decimals as they are written.

    >>> read_ratios("0.1,2") == read_ratios([0.1, 2])
    True
    """
    if not isinstance(at, str | Iterable):
        raise ExpressionError(f"the ratios are {kind_of(at)}: write them as '0.1,2' or [0.1, 2]")
    given = at.split(",") if isinstance(at, str) else [*at]
    if "" in [text.strip() for text in given if isinstance(text, str)]:
        raise ExpressionError(f"a ratio is missing in {at!r}: write them as 0.1,1/2,3")
    try:
        ratios = tuple(
            ratio if isinstance(ratio, sp.Expr) else parse_number(str(ratio), "the ratio")
            for ratio in given
        )
    except ExpressionError as reason:
        raise ExpressionError(f"the ratios at which f is asked for: {reason}") from None
    for ratio in ratios:
        if not ratio.is_positive:
            raise ExpressionError(f"the ratio {ratio} is not positive: f is defined for t > 0")
    return ratios
