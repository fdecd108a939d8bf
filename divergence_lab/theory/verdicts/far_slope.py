"""f'(oo) = int_0^oo g'(v) e^{-v} dv as a number: exact where f has a closed form, else guaranteed
digits.

int_0^X is enclosed by quadrature, |int_X^oo| <= C m(X)/d where |g' e^{-v}| <= C m on [X, oo) and m
e^{d v} falls there
"""

from __future__ import annotations

import sympy as sp
from flint import arb

from divergence_lab.theory.checker.facts.monomials import Monomial, NoTail, growth, iterated_log
from divergence_lab.theory.checker.facts.tail_functions import expand_tail
from divergence_lab.theory.checker.facts.tails import HalfLine, Tail
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.divergence.values import enclose_integral
from divergence_lab.theory.expressions.enclosure import NotEvaluable, exact
from divergence_lab.theory.expressions.ordering import CannotSplit
from divergence_lab.theory.expressions.precision import digits
from divergence_lab.theory.expressions.symbols import x
from divergence_lab.theory.verdicts.boundary import slope_of_generator

DIGITS = 30
HALF_LINES = (100, 200, 400, 1000)
RATES = (
    sp.S.One,
    sp.S.Half,
    sp.Rational(1, 8),
    sp.Rational(1, 32),
    sp.Rational(1, 256),
    sp.Rational(1, 2048),
)


def slope_at_infinity(
    loss: Loss, generator: sp.Expr | None, avoiding: bool | None, deadline: float
) -> sp.Expr | None:
    """f'(oo): oo for a zero-avoiding loss, else an exact number or a Float, right within one unit
    of its last digit.

    None when it was not decided which, or where the integral falls off too slowly to be enclosed.
    """
    if avoiding is not False:
        return sp.oo if avoiding else None
    ball = enclose_slope(loss)
    found = None if generator is None else slope_of_generator(loss, generator, deadline)
    if found is not None and ball is not None and not _agrees(found, ball):
        found = None
    return found if found is not None or ball is None else as_decimal(ball)


# --- digits


def enclose_slope(loss: Loss) -> arb | None:
    """f'(oo) within 10^-(DIGITS + 1) of itself, or None where the rest beyond X can't be bounded
    so tightly.
    """
    if loss.parameters:
        return None
    last = loss.derivative.pieces[-1]
    for X in HALF_LINES:
        if last.low.is_finite and not float(last.low) < X:
            continue
        try:
            rest = _rest(HalfLine(X), last.expression * sp.exp(-x))
            if not rest < arb(10) ** -(DIGITS + 3):
                continue
            with digits(DIGITS + 25):
                total = enclose_integral(loss.pieces, sp.Integer(X), DIGITS + 8) + arb(0, 1) * rest
            return (
                total
                if total.is_finite()
                and total.rad() < arb(10) ** -(DIGITS + 1) * max(1, abs(float(total)))
                else None
            )
        except (NoTail, NotEvaluable, CannotSplit):
            continue
    return None


def _rest(line: HalfLine, integrand: sp.Expr) -> arb:
    """An upper bound of int_X^oo |integrand|. Raises NoTail."""
    return bound_of_rest(line, expand_tail(line, integrand, x))


def bound_of_rest(line: HalfLine, tail: Tail) -> arb:
    """An upper bound of int_X^oo |tail|, for a tail that falls off exponentially. Raises NoTail."""
    size, ball = line.lump(tail)
    if ball == 0:
        return arb(0)
    for rate in RATES:
        raised = size * Monomial(exponents=((rate, iterated_log(0)),))
        if growth(raised) < 0 and line.is_decreasing(raised):
            return arb((abs(ball) * line.at_X(size)).upper()) / exact(rate)
    raise NoTail("it falls off too slowly")


def as_decimal(ball: arb) -> sp.Float | None:
    """The ball as a decimal of DIGITS digits, right within one unit of the last; None where it
    is not as tight as that, next to 0.
    """
    with digits(DIGITS + 25):
        for count in (DIGITS, DIGITS - 2, DIGITS - 4):
            text = arb(ball.mid()).str(count, radius=False)
            if abs(ball - arb(text)) < unit_of(text):
                return sp.Float(text, count)
    return None


def unit_of(text: str) -> arb:
    """One unit of the last digit of a decimal."""
    mantissa, _, exponent = text.lower().partition("e")
    return arb(10) ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


def _agrees(value: sp.Expr, ball: arb) -> bool:
    try:
        with digits(DIGITS + 25):
            return bool((exact(value) - ball).contains(0))
    except NotEvaluable:
        return False
