"""Expression -> tail: what it does for all x >= X, function by function.

Part of the trusted checker.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import sympy as sp
from flint import arb, ctx

from divergence_lab.theory.checker.facts.tails import (
    ONE,
    ORDER,
    HalfLine,
    Monomial,
    NoTail,
    Tail,
    growth,
    is_zero,
    level,
)
from divergence_lab.theory.expressions.balls import ball, ball_of_constant
from divergence_lab.theory.expressions.constants import unified

HALF_LINES = (30, 1_000, 10**6, 10**12, 10**30)
# Tails remembered on one half-line: the verdicts on a loss ask for the same few functions over and
# over.
MEMORY = 2000


Answer = TypeVar("Answer")


def describe(
    expression: sp.Expr,
    variable: sp.Symbol,
    end: sp.Expr,
    ask: Callable[[int, HalfLine, Tail], Answer],
) -> Answer:
    """`ask(X, half-line, tail)` of the expression at end = oo, or of its mirror image at end = -oo.
    Equal constants in it are written alike first, so that what they cancel is gone.

    Tries larger and larger X, until both the tail and the answer exist; raises NoTail with the last
    reason.
    """
    mirrored = unified(expression.xreplace({variable: -variable}) if end == -sp.oo else expression)
    reason = NoTail("not tried")
    for X in HALF_LINES:
        try:
            line, known = _half_line(X, ctx.prec)
            return ask(X, line, _remembered(line, mirrored, variable, known))
        except NoTail as failure:
            reason = failure
    raise reason


@lru_cache(maxsize=32)
def _half_line(
    X: int, precision: int
) -> tuple[HalfLine, dict[tuple[sp.Expr, sp.Symbol], Tail | str]]:
    """[X, oo) at a precision of the balls, and the tails (or why there is none) that were found
    on it.
    """
    return HalfLine(X), {}


def _remembered(
    line: HalfLine,
    expression: sp.Expr,
    variable: sp.Symbol,
    known: dict[tuple[sp.Expr, sp.Symbol], Tail | str],
) -> Tail:
    found = known.get((expression, variable))
    if found is None:
        if len(known) >= MEMORY:
            known.clear()
        try:
            found = of(line, expression, variable)
        except NoTail as failure:
            found = str(failure)
        known[expression, variable] = found
    if isinstance(found, str):
        raise NoTail(found)
    return found


def of(line: HalfLine, expression: sp.Expr, variable: sp.Symbol) -> Tail:
    """The tail of an expression on the half-line, by recursion over its parts."""
    if expression == variable:
        return Tail(((level(0), sp.S.One),))
    if not expression.has(variable):
        return line.constant(expression)
    if expression.is_Add:
        total = Tail(())
        for argument in expression.args:
            total = line.add(total, of(line, argument, variable))
        return total
    if expression.is_Mul:
        total = line.constant(sp.S.One)
        for argument in expression.args:
            total = line.multiply(total, of(line, argument, variable))
        return total
    if expression.is_Pow and not expression.exp.has(variable):
        return line.power(of(line, expression.base, variable), expression.exp)
    if expression.is_Pow:
        base, exponent = (of(line, part, variable) for part in expression.args)
        return line.exp(line.multiply(exponent, line.log(base)))
    if isinstance(expression, sp.polylog) and expression.args[0] == 2:
        return _dilogarithm(line, of(line, expression.args[1], variable))
    rule = _RULES.get(expression.func)
    if rule is None:
        raise NoTail(f"no rule for {expression.func.__name__}")
    return rule(line, of(line, expression.args[0], variable))


def _negated(line: HalfLine, a: Tail) -> Tail:
    return line.scale(a, ONE, sp.S.NegativeOne)


def _tends_to(line: HalfLine, a: Tail) -> int | None:
    """1 or -1 when a tends to oo or -oo, None when it stays bounded."""
    if not a.terms:
        size = a.size
        if size is not None and growth(size) > 0:
            return line.sign(a)
        return None
    return line.sign(a) if growth(a.terms[0][0]) > 0 else None


def _near_constant(line: HalfLine, a: Tail, function: Callable[[sp.Expr], sp.Expr]) -> Tail:
    """function(c + d) = sum_k function^(k)(c) d^k/k! + Lagrange's remainder, for an argument
    that stays bounded.
    """
    constant = sp.Add(*(c for m, c in a.terms if growth(m) == 0))
    rest = Tail(tuple((m, c) for m, c in a.terms if growth(m) != 0), a.size, a.bound)
    size, reach = line.lump(rest)
    if growth(size) > 0:
        raise NoTail("the argument of a function is not known well enough")
    if reach == 0:
        return line.constant(function(constant))
    hull = ball_of_constant(constant) + reach * arb(0).union(line.sup(size))
    y = sp.Dummy(real=True)
    derivatives = [function(y)]
    for _ in range(ORDER):
        derivatives.append(sp.expand_func(sp.diff(derivatives[-1], y)))
    bound = abs(ball(derivatives[ORDER], y, hull)) / ball_of_constant(sp.factorial(ORDER))
    coefficients = [
        d.subs(y, constant) / sp.factorial(k) for k, d in enumerate(derivatives[:ORDER])
    ]
    if not bound.is_finite() or not all(ball_of_constant(c).is_finite() for c in coefficients):
        raise NoTail(f"{function.__name__} is not smooth near {constant}")
    return line.series(
        [c if not is_zero(c) else sp.S.Zero for c in coefficients], rest, arb(bound.upper())
    )


def _odd(function: type, at_infinity):
    """A rule for an odd function from its behaviour at +oo."""

    def rule(line: HalfLine, a: Tail) -> Tail:
        towards = _tends_to(line, a)
        if towards is None:
            return _near_constant(line, a, function)
        return (
            at_infinity(line, a)
            if towards > 0
            else _negated(line, at_infinity(line, _negated(line, a)))
        )

    return rule


def _sinh_like(sign: int):
    def at_infinity(line: HalfLine, a: Tail) -> Tail:
        up, down = line.exp(a), line.exp(_negated(line, a))
        return line.scale(line.add(up, line.scale(down, ONE, sp.Integer(sign))), ONE, sp.S.Half)

    return at_infinity


def _tanh(line: HalfLine, a: Tail) -> Tail:  # 1 - 2/(e^{2a} + 1)
    power = line.exp(line.scale(a, ONE, sp.Integer(2)))
    return line.add(
        line.constant(sp.S.One),
        line.scale(
            line.power(line.add(power, line.constant(sp.S.One)), sp.S.NegativeOne),
            ONE,
            sp.Integer(-2),
        ),
    )


def _asinh(line: HalfLine, a: Tail) -> Tail:  # log(a + sqrt(a^2 + 1))
    root = line.power(line.add(line.multiply(a, a), line.constant(sp.S.One)), sp.S.Half)
    return line.log(line.add(a, root))


def _acosh(line: HalfLine, a: Tail) -> Tail:  # log(a + sqrt(a^2 - 1))
    root = line.power(line.add(line.multiply(a, a), line.constant(sp.S.NegativeOne)), sp.S.Half)
    return line.log(line.add(a, root))


def _atan(line: HalfLine, a: Tail) -> Tail:  # pi/2 - atan(1/a), |atan(u) - u| <= |u|^3/3
    inverse = line.power(a, sp.S.NegativeOne)
    size, reach = line.lump(inverse)
    rest = Tail((), size ** sp.Integer(3), abs(reach) ** 3 * arb(0, 1) / 3)
    return line.add(line.constant(sp.pi / 2), _negated(line, line.add(inverse, rest)))


def _gauss_tail(line: HalfLine, a: Tail, sign: int, low: int, high: int) -> Tail:
    """e^{sign a^2}/(a sqrt(pi)) * (1 + [low, high]/a^2)."""
    square = line.multiply(a, a)
    lead = line.scale(
        line.multiply(
            line.exp(line.scale(square, ONE, sp.Integer(sign))), line.power(a, sp.S.NegativeOne)
        ),
        ONE,
        1 / sp.sqrt(sp.pi),
    )
    size, reach = line.lump(line.power(square, sp.S.NegativeOne))
    return line.multiply(
        lead, line.add(line.constant(sp.S.One), Tail((), size, reach * arb(low).union(arb(high))))
    )


def _erf(
    line: HalfLine, a: Tail
) -> Tail:  # erfc(y) = e^{-y^2}/(y sqrt pi) (1 - theta/(2 y^2)), 0 <= theta <= 1, y > 0
    return line.add(line.constant(sp.S.One), _negated(line, _gauss_tail(line, a, -1, -1, 0)))


def _erfi(
    line: HalfLine, a: Tail
) -> Tail:  # erfi(y) = e^{y^2}/(y sqrt pi) (1 + theta/y^2), 0 <= theta <= 1, y >= 3
    if (
        not line.lump(line.power(a, sp.S.NegativeOne))[1]
        * line.sup(line.lump(line.power(a, sp.S.NegativeOne))[0])
        < arb(1) / 3
    ):
        raise NoTail("erfi is asymptotic from 3 on")
    return _gauss_tail(line, a, 1, 0, 1)


def _exponential_integral(line: HalfLine, a: Tail) -> Tail:
    """Ei(y) = e^y/y (1 + [0, 2]/y) for y >= 10, Ei(-y) = -e^{-y}/y (1 - [0, 1]/y) for y > 0."""
    towards = _tends_to(line, a)
    if towards is None:
        size, reach = line.lump(a)
        return (
            _near_constant(line, a, sp.Ei)
            if growth(size) >= 0
            else _exponential_integral_near_zero(line, a, size, reach)
        )
    inverse = line.power(a, sp.S.NegativeOne)
    size, reach = line.lump(inverse)
    if not abs(reach) * line.sup(size) < 0.1:
        raise NoTail("Ei is asymptotic from 10 on")
    lead = line.multiply(line.exp(a), inverse)
    return line.multiply(
        lead, line.add(line.constant(sp.S.One), Tail((), size, reach * arb(0).union(arb(2))))
    )


def _exponential_integral_near_zero(line: HalfLine, a: Tail, size: Monomial, reach: arb) -> Tail:
    """Ei(d) = EulerGamma + log|d| + sum d^k/(k k!); the sum from n on is at most |d|^n e^|d|/(n
    n!).
    """
    bound = arb(abs(reach).upper()) * line.sup(size)
    coefficients = [sp.S.Zero, *(1 / (k * sp.factorial(k)) for k in range(1, ORDER))]
    regular = line.series(
        coefficients, a, bound.exp() / ball_of_constant(ORDER * sp.factorial(ORDER))
    )
    logarithm = line.log(a if line.sign(a) > 0 else _negated(line, a))
    return line.add(line.constant(sp.EulerGamma), line.add(logarithm, regular))


def _dilogarithm(line: HalfLine, a: Tail) -> Tail:
    """Li2(d) = sum d^k/k^2; Li2(-y) = -pi^2/6 - log(y)^2/2 - Li2(-1/y) for y > 1; Taylor's
    series elsewhere below 1.
    """
    towards = _tends_to(line, a)
    if towards == 1:
        raise NoTail("the dilogarithm is not real beyond 1")
    if towards == -1:
        y = _negated(line, a)
        log = line.log(y)
        inverse = _dilogarithm(line, line.power(a, sp.S.NegativeOne))
        square = line.scale(line.multiply(log, log), ONE, -sp.S.Half)
        return line.add(line.constant(-(sp.pi**2) / 6), line.add(square, _negated(line, inverse)))
    size, reach = line.lump(a)
    if growth(size) < 0:
        bound = arb(abs(reach).upper()) * line.sup(size)
        if not bound < 0.5:
            raise NoTail("X is too small: the argument of the dilogarithm is not small yet")
        coefficients = [sp.S.Zero, *(sp.Rational(1, k * k) for k in range(1, ORDER))]
        return line.series(coefficients, a, 1 / ((1 - bound) * ORDER**2))
    return _near_constant(line, a, _li2)


def _li2(argument: sp.Expr) -> sp.Expr:
    return sp.polylog(2, argument)


def _exp(line: HalfLine, a: Tail) -> Tail:
    return line.exp(a)


def _log(line: HalfLine, a: Tail) -> Tail:
    return line.log(a)


_RULES = {
    sp.exp: _exp,
    sp.log: _log,
    sp.Ei: _exponential_integral,
    sp.sinh: _odd(sp.sinh, _sinh_like(-1)),
    sp.tanh: _odd(sp.tanh, _tanh),
    sp.asinh: _odd(sp.asinh, _asinh),
    sp.atan: _odd(sp.atan, _atan),
    sp.erf: _odd(sp.erf, _erf),
    sp.erfi: _odd(sp.erfi, _erfi),
    sp.cosh: lambda line, a: (
        _near_constant(line, a, sp.cosh) if _tends_to(line, a) is None else _sinh_like(1)(line, a)
    ),
    sp.acosh: lambda line, a: (
        _near_constant(line, a, sp.acosh) if _tends_to(line, a) is None else _acosh(line, a)
    ),
    sp.atanh: lambda line, a: _near_constant(line, a, sp.atanh),
}
