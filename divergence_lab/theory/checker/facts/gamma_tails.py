"""Gamma, its logarithm and their derivatives near infinity: Stirling's series, with its remainder.
Part of the trusted checker.

    log gamma(a)    = (a - 1/2) log a - a + log(2 pi)/2 + sum_k B_2k/(2k (2k-1) a^(2k-1))
    polygamma(0, a) = log a - 1/(2a) - sum_k B_2k/(2k a^2k)
    polygamma(m, a) = (-1)^(m+1) ((m-1)!/a^m + m!/(2 a^(m+1)) + sum_k c_k/a^(2k+m)),
                      c_k = B_2k (2k+m-1)!/(2k)!

For a > 0 the sums envelop: what is left lies between 0 and the first term left out (Proposition
16). Where a stays bounded, gamma(a) = gamma(a + n)/(a (a + 1) ... (a + n - 1)) leads away from 0.
"""

import math
from collections.abc import Callable

import sympy as sp
from flint import arb

from divergence_lab.theory.checker.facts import monomials
from divergence_lab.theory.checker.facts.expansions import negated
from divergence_lab.theory.checker.facts.tails import HalfLine, Tail
from divergence_lab.theory.expressions.balls import ball_of_constant

LONGEST_SHIFT = 30


def log_gamma_tail(line: HalfLine, a: Tail) -> Tail:
    """log gamma(a)"""
    if line.towards(a) is None:
        return line.log(gamma_tail(line, a))
    log = line.log(_growing(line, a))
    parts = [
        line.multiply(a, log),
        line.times(log, -sp.S.Half),
        negated(line, a),
        line.constant(sp.log(2 * sp.pi) / 2),
    ]
    return _sum(
        line, [*parts, _enveloping(line, a, -1, lambda k: 1 / sp.Integer(2 * k * (2 * k - 1)))]
    )


def gamma_tail(line: HalfLine, a: Tail) -> Tail:
    """gamma(a)"""
    if line.towards(a) is not None:
        return line.exp(log_gamma_tail(line, a))
    result, shifted = line.constant(sp.S.One), a
    for _ in range(_shift(a)):
        result = line.multiply(result, line.power(shifted, sp.S.NegativeOne))
        shifted = line.add(shifted, line.constant(sp.S.One))
    return line.multiply(result, line.near_constant(shifted, sp.gamma))


def polygamma_tail(m: int) -> Callable[[HalfLine, Tail], Tail]:
    """The rule for polygamma(m, a)."""

    def rule(line: HalfLine, a: Tail) -> Tail:
        if line.towards(a) is None:
            return _polygamma_bounded(line, a, m)
        return _polygamma_growing(line, _growing(line, a), m)

    return rule


def _polygamma_growing(line: HalfLine, a: Tail, m: int) -> Tail:
    inverse = line.power(a, sp.S.NegativeOne)
    if m == 0:
        lead = [line.log(a), line.times(inverse, -sp.S.Half)]
        return _sum(line, [*lead, _enveloping(line, a, 0, lambda k: sp.Rational(-1, 2 * k))])
    sign = sp.Integer((-1) ** (m + 1))
    lead = [
        line.times(line.power(inverse, sp.Integer(m)), sign * sp.factorial(m - 1)),
        line.times(line.power(inverse, sp.Integer(m + 1)), sign * sp.factorial(m) / 2),
    ]
    rest = _enveloping(
        line, a, m, lambda k: sign * sp.factorial(2 * k + m - 1) / sp.factorial(2 * k)
    )
    return _sum(line, [*lead, rest])


def _polygamma_bounded(line: HalfLine, a: Tail, m: int) -> Tail:
    """polygamma(m, a) = polygamma(m, a + 1) - (-1)^m m!/a^(m+1)"""
    parts, shifted = [], a
    for _ in range(_shift(a)):
        power = line.power(shifted, sp.Integer(-m - 1))
        parts.append(line.times(power, -((-1) ** m) * sp.factorial(m)))
        shifted = line.add(shifted, line.constant(sp.S.One))
    return _sum(line, [*parts, line.near_constant(shifted, lambda y: sp.polygamma(m, y))])


def _growing(line: HalfLine, a: Tail) -> Tail:
    """a, which is positive on the half-line. Raises NoTail where it tends to -oo."""
    if line.towards(a) != 1:
        raise monomials.NoTail("gamma has poles at 0, -1, -2, ...")
    return a


def _shift(a: Tail) -> int:
    """How many steps of 1 lead from the limit of a to 1 or beyond."""
    limit = ball_of_constant(sp.Add(*(c for m, c in a.terms if monomials.growth(m) == 0)))
    steps = max(0, math.ceil(1 - float(limit.mid())))
    if steps > LONGEST_SHIFT:
        raise monomials.NoTail("gamma is asked for too far left of 0")
    return steps


def _enveloping(line: HalfLine, a: Tail, p: int, factor: Callable[[int], sp.Expr]) -> Tail:
    """sum_k B_2k factor(k)/a^(2k+p), cut off before the first term that is left out."""
    count = max(1, line.order // 2)
    coefficients = [sp.bernoulli(2 * k) * factor(k) for k in range(1, count + 2)]
    powers = [line.power(a, sp.Integer(-2 * k - p)) for k in range(1, count + 2)]
    terms = [line.times(power, c) for power, c in zip(powers[:-1], coefficients)]
    size, reach = line.lump(powers[-1])
    between = arb(0).union(ball_of_constant(coefficients[-1]))
    return _sum(line, [*terms, Tail((), size, reach * between)])


def _sum(line: HalfLine, parts: list[Tail]) -> Tail:
    total = parts[0]
    for part in parts[1:]:
        total = line.add(total, part)
    return total
