"""A candidate, and whether it is F: by algebra, or by Taylor models on every cell.

Whatever is not F as it was written is compared with F by Taylor models (`series`): the difference
is enclosed, not sampled.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import cast

import sympy as sp
from flint import arb

from divergence_lab.bridge.verified import cells, far_out, forms, programs, series
from divergence_lab.theory.expressions import enclosure, identity, precision, x

LONGEST = 250  # operations in two formulas; normal forms of longer ones take seconds


@dataclass(eq=False)
class Candidate:
    """A program and what it computes.

    `plain`: the function as it is given; `written`: a rewriting of it, no approximation. `parity`
    +1, -1: it computes `expression` at |x|, and turns the sign left of 0.
    """

    expression: sp.Expr
    program: programs.Program
    plain: bool = False
    parity: int = 0
    written: bool = False

    @cached_property
    def expansion(self) -> series.Expansion:
        return series.expansion_of(self.expression)


def candidate(expression: sp.Expr, plain: bool = False) -> Candidate:
    """The expression in x, compiled. Raises NotRepresentable."""
    return Candidate(expression, programs.compiled(expression), plain, written=True)


def mirrored(one: Candidate, parity: int) -> Candidate:
    """What is verified right of 0, for both sides: every step rounds as it does there."""
    if not one.written and one.expression.subs(x, -x) == parity * one.expression:
        return one  # a Taylor polynomial is even or odd itself
    program = programs.at_the_size(one.program, parity)
    return Candidate(one.expression, program, parity=parity, written=one.written)


def is_mirrored(right: cells.Side, left: cells.Side, parity: int) -> bool:
    """F(-x) = parity F(x), by normal forms."""
    turned, sample = parity * left.function.subs(x, -x), _sample(right)
    return turned == right.function or equal(turned, right.function, sample)


def agrees(side: cells.Side, one: Candidate, low: float, high: float) -> bool:
    """The candidate is F, exactly or to a quarter of the tolerance, on sign * [low, high] within
    `FULL`.
    """
    if one.plain:
        return True
    if _differs_at(side, one, min(max(low, 1.0), high)):
        return False
    if _is_identical(side, one):
        return True
    inside = max(low, cells.NEAR if side.low == 0 else low), min(high, cells.FULL)
    if not inside[0] < inside[1]:  # all of it is where a rewriting is trusted: F it must be first
        near = min(2 * cells.NEAR, side.high)
        inside = (near / 2, near) if high <= cells.NEAR else (low, min(high, 2 * low))
    side.looked = 0
    return _agrees_on(side, one, *inside, 40)


def _differs_at(side: cells.Side, one: Candidate, point: float) -> bool:
    """Plainly: then neither algebra nor models need to be tried."""
    turned = one.parity and side.sign < 0
    with precision.bits(cells.MODEL_BITS, 1):
        (found,), (exact,) = (
            series.coefficients_at(expansion, arb(way * point), 1) or [arb.nan()]
            for expansion, way in (
                (one.expansion, 1 if turned else side.sign),
                (side.expansion, side.sign),
            )
        )
    return bool(
        abs(found * (one.parity if turned else 1) - exact) > 1e-3 * (abs(found) + abs(exact))
    )


# --- by algebra


def _is_identical(side: cells.Side, one: Candidate) -> bool:
    """On all of this side, by normal forms (`expressions.identity`)."""
    if not one.written:
        return False
    turned = one.parity and side.sign < 0
    other = one.parity * one.expression.subs(x, -x) if turned else one.expression
    sample = _sample(side)
    other = programs.spelled_out(other)
    pairs = [(f(other), f(side.function)) for f in (forms.merged_logarithms, sp.sympify)]
    if any(sp.expand(one - two) == 0 for one, two in pairs):
        return True
    if one.expression.has(programs.away) and any(
        _is_zero_about(other - side.function, p, way) for p, way in side.ways.items()
    ):
        return True
    if sp.count_ops(other) + sp.count_ops(side.function) > LONGEST:
        return False
    return any(equal(one, two, sample) for one, two in pairs) or (
        other.has(sp.polylog) and _same_dilogarithms(side, other, sample)
    )


def _sample(side: cells.Side) -> sp.Rational:
    """A number on the side."""
    middle = Fraction((side.low + min(side.high, side.low + 1)) / 2).limit_denominator(1000)
    return cast(sp.Rational, sp.Rational(side.sign * middle.numerator, middle.denominator))


def _is_zero_about(difference: sp.Expr, p: sp.Expr, way: int) -> bool:
    """By y = |x - p| > 0, which comes out of roots: sqrt(y^3 + y^2) = y sqrt(y + 1)."""
    y = sp.Dummy(positive=True)

    def lowest_in_front(power: sp.Pow) -> sp.Expr:
        base = sp.expand(power.base)
        if base.is_polynomial(y) and base.has(y):
            lowest = sp.Poly(base, y).monoms()[-1][0]
            base = y**lowest * sp.expand(base / y**lowest)
        return base**power.exp

    moved = difference.subs(x, p + way * y)
    return sp.expand(moved.replace(lambda part: part.is_Pow, lowest_in_front)) == 0


def _same_dilogarithms(side: cells.Side, other: sp.Expr, sample: sp.Rational) -> bool:
    """Equal slopes, and next to no difference at one residual: relations between dilogarithms are
    not algebra.
    """
    with precision.bits(cells.MODEL_BITS, 1):
        there, here = (
            series.coefficients_at(series.expansion_of(one), arb(float(sample)), 1)
            for one in (other, side.function)
        )
    if there is None or here is None:
        return False
    smallest = side.size(max(side.low, cells.NEAR))
    return float(abs(there[0] - here[0]).upper()) <= side.tolerance * 1e-6 * smallest and equal(
        identity.elementary(sp.diff(other, x)),
        identity.elementary(sp.diff(side.function, x)),
        sample,
    )


def _unit(*expressions: sp.Expr) -> sp.Rational:
    """The largest a for which all exponentials in them are whole powers of e^{ax}, where their
    rates are rational; else 1.
    """
    functions = (sp.exp, sp.sinh, sp.cosh, sp.tanh)
    inside = (
        programs.linear_in_x(programs.arguments_of(e)[0])
        for one in expressions
        for e in one.atoms(*functions)
    )
    rates = [linear[0] for linear in inside if linear]
    if not rates or not all(isinstance(rate, sp.Rational) for rate in rates):
        return sp.S.One
    return cast(sp.Rational, sp.gcd_list(rates))


def equal(one: sp.Expr, other: sp.Expr, sample: sp.Expr) -> bool:
    """By normal forms (`expressions.identity`), next to the sample."""
    unit = _unit(one, other)
    one, other, sample = one.subs(x, x / unit), other.subs(x, x / unit), sample * unit

    def odd_logarithm(u: sp.Expr) -> sp.Expr:  # asinh(u) = -asinh(-u)
        way = -1 if enclosure.value_at(u, x, sample) < 0 else 1
        return way * sp.log(way * u + sp.sqrt(1 + u**2))

    try:
        one, other = (
            programs.replaced(
                programs.replaced(e, sp.erfc, lambda u: 1 - sp.erf(u)), sp.asinh, odd_logarithm
            )
            for e in (one, other)
        )
        proof = identity.NormalForm(one, other, sample=sample)
        return proof.vanishes(proof.forms[0] - proof.forms[1])
    except (
        identity.NoNormalForm,
        enclosure.NotEvaluable,
        *series.FAILURES,
        sp.PolynomialError,
        AttributeError,
        RecursionError,
    ):
        return False


def over_towers(function: sp.Expr, sign: int, sample: sp.Expr) -> sp.Expr | None:
    """Written over exponentials that fall, by which it has values farther out: log(cosh(e^x)) at
    200. None where that is not proved to be F, or is nothing new.
    """
    if not far_out.has_towers(function):
        return None
    try:
        written = programs.spelled_out(far_out.far(far_out.secants(function), sign, towers=True))
    except (TypeError, ValueError, sp.PolynomialError):
        return None
    return written if written != function and equal(written, function, sample) else None


# --- by Taylor models


def _agrees_on(side: cells.Side, one: Candidate, low: float, high: float, depth: int) -> bool:
    if high <= 2 * low and _is_close(side, one, low, high):
        return True
    middle = math.sqrt(low * high) if low > 0 else high / 2
    if (
        depth == 0
        or not low < middle < high
        or high - low < low * cells.NARROWEST
        or side.looked > cells.MOST_CELLS
    ):
        return False
    return _agrees_on(side, one, low, middle, depth - 1) and _agrees_on(
        side, one, middle, high, depth - 1
    )


def _is_close(side: cells.Side, one: Candidate, low: float, high: float) -> bool:
    side.looked += 1
    exact = side.model(low, high)
    if exact is None:
        return False
    turn = -1 if one.parity and side.sign < 0 else 1
    ends = (low, high) if turn < 0 else side.ends(low, high)
    with precision.bits(cells.MODEL_BITS, cells.MODEL_TERMS + 1):
        other = series.model(one.expansion, *ends, cells.MODEL_TERMS)
    if other is None:
        return False
    factor = one.parity if turn < 0 else 1
    *difference, remainder = (
        factor * turn**k * a - b
        for k, (a, b) in enumerate(
            zip((*other.coefficients, other.remainder), (*exact.coefficients, exact.remainder))
        )
    )
    apart = series.Model(exact.middle, exact.radius, tuple(difference), remainder).largest()
    allowed = side.allowed(low) / 4
    if not apart < math.inf:
        return False
    return apart <= allowed * exact.smallest() or (
        high - low <= 4 * cells.NARROWEST * low
        and exact.smallest() == 0
        and apart <= allowed * exact.largest()
    )
