"""Expression -> tail: what it does for all x >= X, function by function.

Part of the trusted checker.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import sympy as sp
from flint import arb, ctx

from divergence_lab.theory.checker.facts import expansions, gamma_tails, monomials, tails
from divergence_lab.theory.checker.facts.expansions import (
    Rule,
    by_formula,
    logarithm_of_root,
    negated,
    odd,
)
from divergence_lab.theory.checker.facts.monomials import ONE
from divergence_lab.theory.checker.facts.tails import HalfLine, Tail
from divergence_lab.theory.expressions.balls import ball_of_constant
from divergence_lab.theory.expressions.unified import unified

# (X, terms of a series): what is tried in turn.
HALF_LINES = (
    (30, tails.ORDER),
    (1_000, tails.ORDER),
    (10**6, tails.ORDER),
    (10**12, tails.ORDER),
    (10**30, tails.ORDER),
    (10**30, tails.SHORT),
    (10**100, tails.SHORT),
    (10**300, tails.SHORT),
    (10**4000, tails.SHORT),
)
# Tails remembered on one half-line: the verdicts on a loss ask for the same few functions over and
# over, and these are made of the same parts.
MEMORY = 4000
MAX_ORDER = 20  # of a polylogarithm or a polygamma that has a rule


Answer = TypeVar("Answer")


def describe(
    expression: sp.Expr,
    variable: sp.Symbol,
    end: sp.Expr,
    ask: Callable[[int, tails.HalfLine, tails.Tail], Answer],
) -> Answer:
    """`ask(X, half-line, tail)` of the expression at end = oo, or of its mirror image at end = -oo.
    Equal constants in it are written alike first, so that what they cancel is gone.

    Tries one half-line after the other, until both the tail and the answer exist; raises NoTail
    with the last reason.
    """
    mirrored = unified(expression.xreplace({variable: -variable}) if end == -sp.oo else expression)
    reason = monomials.NoTail("not tried")
    for X, order in HALF_LINES:
        try:
            line, known, refused = _half_line(X, order, ctx.prec)
            return ask(X, line, _remembered(line, mirrored, variable, known, refused))
        except monomials.NoRule:
            raise
        except monomials.NoTail as failure:
            reason = failure
    raise reason


@lru_cache(maxsize=32)
def _half_line(X: int, order: int, precision: int) -> tuple[tails.HalfLine, dict, dict]:
    """[X, oo) at a precision of the balls; the tails that were found on it, of functions of each
    variable, and of which there is none.
    """
    return tails.HalfLine(X, order), {}, {}


def _remembered(
    line: tails.HalfLine,
    expression: sp.Expr,
    variable: sp.Symbol,
    known: dict[sp.Symbol, dict[sp.Expr, tails.Tail]],
    refused: dict[tuple[sp.Expr, sp.Symbol], monomials.NoTail],
) -> tails.Tail:
    if (expression, variable) in refused:
        raise refused[expression, variable]
    found = known.setdefault(variable, {})
    for memory in (known, found, refused):
        if len(memory) >= MEMORY:
            memory.clear()
    try:
        return expansions.expand(line, _RULES, expression, variable, found)
    except monomials.NoTail as failure:
        refused[expression, variable] = failure.with_traceback(None)
        raise


def expand_tail(line: tails.HalfLine, expression: sp.Expr, variable: sp.Symbol) -> tails.Tail:
    """The tail of an expression on the half-line."""
    return expansions.expand(line, _RULES, expression, variable)


def _atan(
    line: tails.HalfLine, a: tails.Tail
) -> tails.Tail:  # pi/2 - atan(1/a), |atan(u) - u| <= |u|^3/3
    inverse = line.power(a, sp.S.NegativeOne)
    size, reach = line.lump(inverse)
    rest = tails.Tail((), size ** sp.Integer(3), abs(reach) ** 3 * arb(0, 1) / 3)
    return line.add(line.constant(sp.pi / 2), expansions.negated(line, line.add(inverse, rest)))


def _bounded(function: type) -> Rule:
    """sin and cos of what tends to oo or -oo: between -1 and 1, and no more is known."""

    def rule(line: HalfLine, a: Tail) -> Tail:
        return line.near_constant(a, function) if line.towards(a) is None else _between(line)

    return rule


def _between(line: HalfLine) -> Tail:
    return line.build([], [(ONE, arb(0, 1))])


def _gauss_tail(line: HalfLine, a: Tail, sign: int, low: int, high: int) -> Tail:
    """e^{sign a^2}/(a sqrt(pi)) * (1 + [low, high]/a^2)."""
    square, inverse = line.multiply(a, a), line.power(a, sp.S.NegativeOne)
    lead = line.multiply(line.exp(line.times(square, sp.Integer(sign))), inverse)
    size, reach = line.lump(line.power(square, sp.S.NegativeOne))
    near = tails.Tail((), size, reach * arb(low).union(arb(high)))
    return line.multiply(
        line.times(lead, 1 / sp.sqrt(sp.pi)), line.add(line.constant(sp.S.One), near)
    )


def _erf(line: tails.HalfLine, a: tails.Tail) -> tails.Tail:
    """erfc(y) = e^{-y^2}/(y sqrt pi) (1 - theta/(2 y^2)), 0 <= theta <= 1, y > 0."""
    return line.add(
        line.constant(sp.S.One), expansions.negated(line, _gauss_tail(line, a, -1, -1, 0))
    )


def _erfi(line: tails.HalfLine, a: tails.Tail) -> tails.Tail:
    """erfi(y) = e^{y^2}/(y sqrt pi) (1 + theta/y^2), 0 <= theta <= 1, y >= 3."""
    size, reach = line.lump(line.power(a, sp.S.NegativeOne))
    if not reach * line.sup(size) < arb(1) / 3:
        raise monomials.NoTail("erfi is asymptotic from 3 on")
    return _gauss_tail(line, a, 1, 0, 1)


def _exponential_integral(line: tails.HalfLine, a: tails.Tail) -> tails.Tail:
    """Ei(y) = e^y/y (1 + [0, 2]/y) for y >= 10, Ei(-y) = -e^{-y}/y (1 - [0, 1]/y) for y > 0."""
    towards = line.towards(a)
    if towards is None:
        size, reach = line.lump(a)
        return (
            line.near_constant(a, sp.Ei)
            if monomials.growth(size) >= 0
            else _exponential_integral_near_zero(line, a, size, reach)
        )
    inverse = line.power(a, sp.S.NegativeOne)
    size, reach = line.lump(inverse)
    if not abs(reach) * line.sup(size) < 0.1:
        raise monomials.NoTail("Ei is asymptotic from 10 on")
    lead = line.multiply(line.exp(a), inverse)
    return line.multiply(
        lead, line.add(line.constant(sp.S.One), tails.Tail((), size, reach * arb(0).union(arb(2))))
    )


def _exponential_integral_near_zero(
    line: tails.HalfLine, a: tails.Tail, size: monomials.Monomial, reach: arb
) -> tails.Tail:
    """Ei(d) = EulerGamma + log|d| + sum d^k/(k k!); the sum from n on is at most |d|^n e^|d|/(n
    n!).
    """
    bound = arb(abs(reach).upper()) * line.sup(size)
    coefficients = [sp.S.Zero, *(1 / (k * sp.factorial(k)) for k in range(1, line.order))]
    regular = line.series(
        coefficients, a, bound.exp() / ball_of_constant(line.order * sp.factorial(line.order))
    )
    logarithm = line.log(a if line.sign(a) > 0 else expansions.negated(line, a))
    return line.add(line.constant(sp.EulerGamma), line.add(logarithm, regular))


def _polylogarithm(n: int) -> expansions.Rule:
    """Li_n(d) = sum d^k/k^n; the same of 1/y for Li_n(-y), y > 1, by

        Li_n(-y) + (-1)^n Li_n(-1/y) = -log(y)^n/n! - 2 sum_k eta(2k) log(y)^(n-2k)/(n-2k)!

    with eta(2k) = (1 - 2^(1-2k)) zeta(2k), 2k <= n; Taylor's series elsewhere below 1; and where d
    tends to 1 from below, Li_2(d) = pi^2/6 - log(d) log(1 - d) - Li_2(1 - d).
    """

    def rule(line: tails.HalfLine, a: tails.Tail) -> tails.Tail:
        towards = line.towards(a)
        if towards == 1:
            raise monomials.NoTail("a polylogarithm is not real beyond 1")
        if towards == -1:
            inverse = rule(line, line.power(a, sp.S.NegativeOne))
            polynomial = _inversion_polynomial(line, line.log(expansions.negated(line, a)), n)
            return line.add(polynomial, line.times(inverse, sp.Integer((-1) ** (n + 1))))
        size, reach = line.lump(a)
        if monomials.growth(size) >= 0:
            rest = line.add(line.constant(sp.S.One), negated(line, a))
            if n == 2 and rest.terms and monomials.growth(rest.terms[0][0]) < 0:
                return _dilogarithm_below_one(line, a, rest, rule(line, rest))
            return line.near_constant(a, lambda z: sp.polylog(n, z))
        bound = arb(abs(reach).upper()) * line.sup(size)
        if not bound < 0.5:
            raise monomials.NoTail(
                "X is too small: the argument of the polylogarithm is not small yet"
            )
        coefficients = [sp.S.Zero, *(sp.Rational(1, k**n) for k in range(1, line.order))]
        return line.series(coefficients, a, 1 / ((1 - bound) * line.order**n))

    return rule


def _dilogarithm_below_one(
    line: tails.HalfLine, d: tails.Tail, rest: tails.Tail, of_rest: tails.Tail
) -> tails.Tail:
    """pi^2/6 - log(d) log(1 - d) - Li_2(1 - d), 0 < d < 1: `rest` is 1 - d, whose logarithm is not
    real where d > 1.
    """
    product = line.multiply(line.log(d), line.log(rest))
    known = line.add(line.constant(sp.pi**2 / 6), negated(line, product))
    return line.add(known, negated(line, of_rest))


def _inversion_polynomial(line: tails.HalfLine, log: tails.Tail, n: int) -> tails.Tail:
    """-log^n/n! - 2 sum eta(2k) log^(n-2k)/(n-2k)!"""
    total = line.constant(sp.S.Zero)
    for k in range(n // 2 + 1):
        eta = sp.S.Half if k == 0 else (1 - sp.Integer(2) ** (1 - 2 * k)) * sp.zeta(2 * k)
        power = line.power(log, sp.Integer(n - 2 * k))
        total = line.add(total, line.times(power, -2 * eta / sp.factorial(n - 2 * k)))
    return total


_RULES: expansions.Rules = {
    **expansions.SHARED,
    **{(sp.polylog, n): _polylogarithm(n) for n in range(2, MAX_ORDER + 1)},
    **{(sp.polygamma, m): gamma_tails.polygamma_tail(m) for m in range(MAX_ORDER + 1)},
    sp.gamma: gamma_tails.gamma_tail,
    sp.loggamma: gamma_tails.log_gamma_tail,
    sp.Ei: _exponential_integral,
    sp.atan: odd(sp.atan, _atan),
    sp.erf: odd(sp.erf, _erf),
    sp.erfi: odd(sp.erfi, _erfi),
    sp.erfc: lambda line, a: line.add(
        line.constant(sp.S.One), negated(line, _RULES[sp.erf](line, a))
    ),
    sp.sin: _bounded(sp.sin),
    sp.cos: _bounded(sp.cos),
    sp.acosh: by_formula(sp.acosh, logarithm_of_root(-1)),
    sp.atanh: lambda line, a: line.near_constant(a, sp.atanh),
}
