"""A program on a half-line: on which stretches it computes F, verified cell by cell.

    every cell:   |computed - F| <= tolerance |F|       computed: with every rounding error that `rounding` allows for

Rounding is analysed on a cover of the half-line that is refined where it pays. Whatever is not F as
it was written is compared with F by Taylor models (`series`): the difference is enclosed, not
sampled. Around another zero of F the error is held against the largest term there instead of |F|.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import sympy as sp
from flint import arb

from divergence_lab.bridge.verified.forms import merged_logarithms
from divergence_lab.bridge.verified.programs import Program, compiled, spelled_out
from divergence_lab.bridge.verified.rounding import NOWHERE, Arithmetic, Error, error_on
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

NEAR, FULL = (
    1e-6,
    1000.0,
)  # the range in which a candidate is compared with F; beyond it a rewriting is trusted
MODEL_TERMS, MODEL_BITS = 16, 240
# widths relative to x at which a cell is divided no further: around zeros of F and where a program
# stops to be right; where the range of numbers ends
NARROWEST, NARROWEST_AT_THE_END = 2.0**-14, 2.0**-40
TINY = 256  # times the smallest number: what is smaller may be 0
ACCURATE = 80.0  # where the promise of accuracy ends
SIGN = 1e-3  # relative error below `NEAR` and beyond `ACCURATE`, where the sign alone is promised
FAR_FLOOR = (
    2.0**50
    # times the smallest normal number: numbers below it have the sign of what they stand for, down
    # to 2^-52 of it
)
MOST_CELLS, MOST_IN_ONE = 500, 200  # looks at one program on one half-line, and in one octave of it


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


def _unit(*expressions: sp.Expr) -> sp.Rational:
    """The largest a for which all exponentials in them are whole powers of e^{ax}, where their
    rates are rational; else 1.
    """
    inside = [
        e.args[0] for each in expressions for e in each.atoms(sp.exp, sp.sinh, sp.cosh, sp.tanh)
    ]
    rates = [u.coeff(x) for u in inside if u.is_polynomial(x) and sp.degree(u, x) == 1]
    return sp.gcd_list(rates) if rates and all(rate.is_Rational for rate in rates) else sp.S.One


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


def _joined(stretches: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Neighbours as one."""
    found: list[tuple[float, float]] = []
    for low, high in stretches:
        found[-1:] = (
            [(found[-1][0], high)] if found and found[-1][1] == low else [*found[-1:], (low, high)]
        )
    return found


@dataclass(eq=False)
class Side:
    """F, smooth, on sign * [low, high], 0 <= low."""

    function: sp.Expr
    sign: int
    low: float
    high: float
    arithmetic: Arithmetic
    tolerance: float
    models: dict = field(default_factory=dict)
    values: dict = field(default_factory=dict)
    looked: int = 0
    # a second try: more ways to write F, and beyond `ACCURATE` only the sign is asked for
    again: bool = False
    expanded: tuple | bool | None = False  # the expansion at 0, once looked for

    @cached_property
    def expansion(self) -> Expansion:
        return expansion_of(self.function)

    def ends(self, low: float, high: float) -> tuple[float, float]:
        return (low, high) if self.sign > 0 else (-high, -low)

    def model(self, low: float, high: float) -> Model | None:
        """F on sign * [low, high]."""
        if (low, high) not in self.models:
            with bits(MODEL_BITS, MODEL_TERMS + 1):
                self.models[low, high] = model(self.expansion, *self.ends(low, high), MODEL_TERMS)
        return self.models[low, high]

    def size(self, point: float) -> float:
        """|F| at sign * point, about."""
        if point not in self.values:
            with bits(MODEL_BITS, 1):
                found = coefficients_at(self.expansion, arb(self.sign * point), 1)
            # exp(exp(300)) has no digits: its ball has 0 inside
            self.values[point] = (
                math.nan
                if not found
                else math.inf
                if found[0].rad() > 1 and found[0].contains(0)
                else float(abs(found[0]).mid())
            )
        return self.values[point]

    def allowed(self, low: float) -> float:
        """The relative error that is allowed on a cell from `low` on."""
        return SIGN if self.again and low >= ACCURATE else self.tolerance

    # --- one candidate on one cell
    # ---------------------------------------------------------------------------

    def error(self, program: Program, low: float, high: float) -> Error:
        return error_on(program, *self.ends(low, high), self.arithmetic)

    def holds(self, program: Program, low: float, high: float) -> bool:
        """The rounding error is within the tolerance on all of sign * [low, high]."""
        self.looked += 1
        error = self.error(program, low, high)
        if error is NOWHERE:
            return False
        smallest = self.arithmetic.smallest
        if error.size + error.absolute < TINY * smallest:
            return True  # hardly a number
        if error.relative <= self.tolerance and error.floor <= (
            self.tolerance * error.nearest if error.nearest else 16 * smallest
        ):
            return True
        if high <= NEAR and self.low == 0:  # only the sign is promised
            return error.relative <= SIGN and error.floor <= 2.0**20 * smallest
        if (
            self.allowed(low) > self.tolerance
            and error.relative <= SIGN
            and error.floor <= FAR_FLOOR * smallest
        ):
            return True
        if low < NEAR or high > FULL or not error.absolute < math.inf:
            return False
        found = self.model(low, high)
        if found is not None and error.absolute <= self.tolerance * found.smallest():
            return True
        return high - low <= 2 * NARROWEST * low and self._around_a_zero(error, low, high)

    def _around_a_zero(self, error: Error, low: float, high: float) -> bool:
        width = 2 * (high - low)
        if low - width <= self.low or high + width >= self.high:
            width = 0.0
        found = self.model(low - width, high + width)
        return (
            found is not None
            and found.smallest() == 0
            and error.absolute <= self.tolerance * error.scale
        )

    def good(self, program: Program, point: float) -> bool:
        """At this point alone: where it is not, no division of a cell can help."""
        error = self.error(program, point, point)
        if error is NOWHERE:
            return False
        if (
            error.relative <= self.tolerance
            or error.size + error.absolute < TINY * self.arithmetic.smallest
        ):
            return True
        return NEAR <= point <= FULL and error.absolute <= self.tolerance * self.size(point)

    def verified(self, program: Program, far: float = math.inf) -> list[tuple[float, float]]:
        """The stretches of |x| <= far on which `holds`, from inside out; looked for from `FULL`
        inwards, then outwards.

        Where a formula begins to cancel, cells are divided again and again: what is further in is
        left to a Taylor polynomial.
        """
        found: list[tuple[float, float]] = []
        cells = self.cells(far)
        inner = [cell for cell in cells if cell[1] <= NEAR] if self.low == 0 else []
        middle = [cell for cell in cells[len(inner) :] if cell[0] < FULL]
        all_looks = 0
        for low, high in reversed(middle):
            if all_looks < MOST_CELLS:
                found = [*self.divided(program, low, high), *found]
                all_looks += self.looked
        self.looked = 0
        for low, high in cells[len(inner) + len(middle) :]:
            found += self._divide(program, low, high)
            if not found or found[-1][1] != high:
                break
        found = _joined(found)
        if (
            inner
            and found
            and found[0][0] == NEAR
            and self._down_to_zero(program, inner[0][0], NEAR)
        ):
            found[0] = (
                inner[0][0],
                found[0][1],
            )  # a Taylor polynomial is needed only if the sign is not right down to 0
        return found

    def divided(self, program: Program, low: float, high: float) -> list[tuple[float, float]]:
        """The stretches of [low, high] on which `holds`."""
        self.looked = 0
        return _joined(self._divide(program, low, high))

    def _down_to_zero(self, program: Program, low: float, high: float) -> bool:
        if self.holds(program, low, high):
            return True
        middle = math.sqrt(low) * math.sqrt(high)
        return (
            high > 50 * low
            and self._down_to_zero(program, middle, high)
            and self._down_to_zero(program, low, middle)
        )

    def _divide(self, program: Program, low: float, high: float) -> list[tuple[float, float]]:
        if self.looked > MOST_IN_ONE:
            return []
        if self.holds(program, low, high):
            return [(low, high)]
        middle = math.sqrt(low) * math.sqrt(high) if low > 0 else high / 2
        if not low < middle < high or not any(
            self.good(program, point) for point in (middle, low, high)
        ):
            return []
        width = (high - low) / high
        # only where the range of numbers ends is the end found closely
        closely = (
            self.error(program, high, high) is NOWHERE
            and self.size(low) > self.arithmetic.largest / 1e9
        )
        if width < (NARROWEST_AT_THE_END if closely else NARROWEST):
            return []
        outer = self._divide(program, middle, high)
        return [*self._divide(program, low, middle), *outer]

    def cells(self, far: float = math.inf) -> Iterable[tuple[float, float]]:
        """The cover of [low, high], in |x|: octaves within the range, wide cells beyond it."""
        edges = [self.arithmetic.least]
        while edges[-1] < self.arithmetic.farthest:
            last = edges[-1]
            ratio = 2.0 if NEAR <= last < FULL else 1e6 if last < NEAR else 1e3
            stops = [
                stop
                for stop in (NEAR, *[ACCURATE] * self.again, FULL, self.arithmetic.farthest)
                if stop > last
            ]
            edges.append(min(last * ratio, stops[0]))
        inside = [edge for edge in edges if self.low < edge < min(self.high, far)]
        start = [self.low] if self.low > 0 else []
        whole = [
            *start,
            *inside,
            *([min(self.high, far)] if min(self.high, far) < math.inf else []),
        ]
        return list(itertools.pairwise(whole))

    # --- a candidate that is not F as written
    # ------------------------------------------------------------------

    def agrees(self, candidate: Candidate, low: float, high: float) -> bool:
        """The candidate is F, exactly or to a quarter of the tolerance, on sign * [low, high]
        within `FULL`.
        """
        if candidate.plain or self._is_identical(candidate):
            return True
        low, high = max(low, NEAR if self.low == 0 else low), min(high, FULL)
        self.looked = 0
        return low >= high or self._agrees(candidate, low, high, 40)

    def _is_identical(self, candidate: Candidate) -> bool:
        """By algebra, on all of this side (`theory.identity`)."""
        if not candidate.written:
            return False
        turned = candidate.parity and self.sign < 0
        other = (
            candidate.parity * candidate.expression.subs(x, -x) if turned else candidate.expression
        )
        sample = self.sign * sp.Rational(
            (self.low + min(self.high, self.low + 1)) / 2
        ).limit_denominator(1000)
        other, point = spelled_out(other), float(sample)
        pairs = [(f(other), f(self.function)) for f in (merged_logarithms, sp.sympify)]
        if any(sp.expand(one - two) == 0 for one, two in pairs) or any(
            _equal(one, two, sample) for one, two in pairs
        ):
            return True
        if not other.has(sp.polylog):
            return False
        # equal slopes, and next to no difference at one residual: relations between dilogarithms
        # are not algebra
        with bits(MODEL_BITS, 1):
            values = [
                coefficients_at(expansion_of(one), arb(point), 1) for one in (other, self.function)
            ]
        smallest = self.size(max(self.low, NEAR))
        return (
            None not in values
            and float(abs(values[0][0] - values[1][0]).upper()) <= self.tolerance * 1e-6 * smallest
            and _equal(elementary(sp.diff(other, x)), elementary(sp.diff(self.function, x)), sample)
        )

    def _agrees(self, candidate: Candidate, low: float, high: float, depth: int) -> bool:
        if high <= 2 * low and self._close(candidate, low, high):
            return True
        middle = math.sqrt(low * high) if low > 0 else high / 2
        if (
            depth == 0
            or not low < middle < high
            or high - low < low * NARROWEST
            or self.looked > MOST_CELLS
        ):
            return False
        return self._agrees(candidate, low, middle, depth - 1) and self._agrees(
            candidate, middle, high, depth - 1
        )

    def _close(self, candidate: Candidate, low: float, high: float) -> bool:
        self.looked += 1
        exact = self.model(low, high)
        if exact is None:
            return False
        turn = -1 if candidate.parity and self.sign < 0 else 1
        with bits(MODEL_BITS, MODEL_TERMS + 1):
            other = model(
                candidate.expansion,
                *((low, high) if turn < 0 else self.ends(low, high)),
                MODEL_TERMS,
            )
        if other is None:
            return False
        factor = candidate.parity if turn < 0 else 1
        difference = [
            factor * turn**k * a - b
            for k, (a, b) in enumerate(
                zip((*other.coefficients, other.remainder), (*exact.coefficients, exact.remainder))
            )
        ]
        apart = Model(exact.middle, exact.radius, tuple(difference[:-1]), difference[-1]).largest()
        allowed = self.allowed(low) / 4
        if not apart < math.inf:
            return False
        if apart <= allowed * exact.smallest():
            return True
        return (
            high - low <= 4 * NARROWEST * low
            and exact.smallest() == 0
            and apart <= allowed * exact.largest()
        )
