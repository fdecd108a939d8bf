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

from divergence_lab.bridge.verified.cells import (
    FULL,
    MODEL_BITS,
    MODEL_TERMS,
    MOST_CELLS,
    NARROWEST,
    NEAR,
    Side,
)
from divergence_lab.bridge.verified.forms import merged_logarithms
from divergence_lab.bridge.verified.programs import (
    Program,
    arguments_of,
    compiled,
    linear_in_x,
    spelled_out,
)
from divergence_lab.bridge.verified.series import (
    FAILURES,
    Expansion,
    Model,
    coefficients_at,
    expansion_of,
    model,
)
from divergence_lab.theory.expressions.enclosure import NotEvaluable
from divergence_lab.theory.expressions.identity import NoNormalForm, NormalForm, elementary
from divergence_lab.theory.expressions.precision import bits
from divergence_lab.theory.expressions.symbols import x


@dataclass(eq=False)
class Candidate:
    """A program and what it computes.

    `plain`: the function as it is given; `written`: a rewriting of it, no approximation. `parity`
    +1, -1: it computes `expression` at |x|, and turns the sign left of 0.
    """

    expression: sp.Expr
    program: Program
    plain: bool = False
    parity: int = 0
    written: bool = False

    @cached_property
    def expansion(self) -> Expansion:
        return expansion_of(self.expression)


def candidate(expression: sp.Expr, plain: bool = False, parity: int = 0) -> Candidate:
    """The expression in x, compiled. Raises NotRepresentable."""
    whole = expression
    if parity:
        whole = expression.subs(x, sp.Abs(x)) * (sp.sign(x) if parity < 0 else 1)
    return Candidate(expression, compiled(whole), plain, parity, written=True)


def agrees(side: Side, one: Candidate, low: float, high: float) -> bool:
    """The candidate is F, exactly or to a quarter of the tolerance, on sign * [low, high] within
    `FULL`.
    """
    if one.plain or _is_identical(side, one):
        return True
    low, high = max(low, NEAR if side.low == 0 else low), min(high, FULL)
    side.looked = 0
    return low >= high or _agrees_on(side, one, low, high, 40)


# --- by algebra


def _is_identical(side: Side, one: Candidate) -> bool:
    """On all of this side, by normal forms (`expressions.identity`)."""
    if not one.written:
        return False
    turned = one.parity and side.sign < 0
    other = one.parity * one.expression.subs(x, -x) if turned else one.expression
    middle = Fraction((side.low + min(side.high, side.low + 1)) / 2).limit_denominator(1000)
    sample = cast(sp.Rational, sp.Rational(side.sign * middle.numerator, middle.denominator))
    other = spelled_out(other)
    pairs = [(f(other), f(side.function)) for f in (merged_logarithms, sp.sympify)]
    return (
        any(sp.expand(one - two) == 0 for one, two in pairs)
        or any(_equal(one, two, sample) for one, two in pairs)
        or (other.has(sp.polylog) and _same_dilogarithms(side, other, sample))
    )


def _same_dilogarithms(side: Side, other: sp.Expr, sample: sp.Rational) -> bool:
    """Equal slopes, and next to no difference at one residual: relations between dilogarithms are
    not algebra.
    """
    with bits(MODEL_BITS, 1):
        there, here = (
            coefficients_at(expansion_of(one), arb(float(sample)), 1)
            for one in (other, side.function)
        )
    if there is None or here is None:
        return False
    smallest = side.size(max(side.low, NEAR))
    return float(abs(there[0] - here[0]).upper()) <= side.tolerance * 1e-6 * smallest and _equal(
        elementary(sp.diff(other, x)), elementary(sp.diff(side.function, x)), sample
    )


def _unit(*expressions: sp.Expr) -> sp.Rational:
    """The largest a for which all exponentials in them are whole powers of e^{ax}, where their
    rates are rational; else 1.
    """
    functions = (sp.exp, sp.sinh, sp.cosh, sp.tanh)
    inside = (linear_in_x(arguments_of(e)[0]) for one in expressions for e in one.atoms(*functions))
    rates = [linear[0] for linear in inside if linear]
    if not rates or not all(isinstance(rate, sp.Rational) for rate in rates):
        return sp.S.One
    return cast(sp.Rational, sp.gcd_list(rates))


def _equal(one: sp.Expr, other: sp.Expr, sample: sp.Rational) -> bool:
    unit = _unit(one, other)
    one, other, sample = one.subs(x, x / unit), other.subs(x, x / unit), sample * unit
    try:
        proof = NormalForm(one, other, sample=sample)
        return proof.vanishes(proof.forms[0] - proof.forms[1])
    except (
        NoNormalForm,
        NotEvaluable,
        *FAILURES,
        sp.PolynomialError,
        AttributeError,
        RecursionError,
    ):
        return False


# --- by Taylor models


def _agrees_on(side: Side, one: Candidate, low: float, high: float, depth: int) -> bool:
    if high <= 2 * low and _is_close(side, one, low, high):
        return True
    middle = math.sqrt(low * high) if low > 0 else high / 2
    if (
        depth == 0
        or not low < middle < high
        or high - low < low * NARROWEST
        or side.looked > MOST_CELLS
    ):
        return False
    return _agrees_on(side, one, low, middle, depth - 1) and _agrees_on(
        side, one, middle, high, depth - 1
    )


def _is_close(side: Side, one: Candidate, low: float, high: float) -> bool:
    side.looked += 1
    exact = side.model(low, high)
    if exact is None:
        return False
    turn = -1 if one.parity and side.sign < 0 else 1
    ends = (low, high) if turn < 0 else side.ends(low, high)
    with bits(MODEL_BITS, MODEL_TERMS + 1):
        other = model(one.expansion, *ends, MODEL_TERMS)
    if other is None:
        return False
    factor = one.parity if turn < 0 else 1
    *difference, remainder = (
        factor * turn**k * a - b
        for k, (a, b) in enumerate(
            zip((*other.coefficients, other.remainder), (*exact.coefficients, exact.remainder))
        )
    )
    apart = Model(exact.middle, exact.radius, tuple(difference), remainder).largest()
    allowed = side.allowed(low) / 4
    if not apart < math.inf:
        return False
    return apart <= allowed * exact.smallest() or (
        high - low <= 4 * NARROWEST * low
        and exact.smallest() == 0
        and apart <= allowed * exact.largest()
    )
