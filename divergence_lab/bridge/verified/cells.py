"""A program on a half-line: on which stretches it computes F, verified cell by cell.

    every cell:   |computed - F| <= tolerance |F|

`computed` has every rounding error that `rounding` allows for, which is analysed on a cover of the
half-line that is refined where it pays. Around another zero of F the error is held against the
largest term there instead of |F|.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import sympy as sp
from flint import arb

from divergence_lab.bridge.verified import programs, rounding, series
from divergence_lab.bridge.verified.arithmetic import NOWHERE, Arithmetic, Error
from divergence_lab.theory.expressions.precision import bits

# the range in which a candidate is compared with F; beyond it a rewriting is trusted
NEAR, FULL = 1e-6, 1000.0
MODEL_TERMS, MODEL_BITS = 16, 240
SIZE_BITS = 9600  # beyond these, what has no digits is taken for infinite: exp(exp(exp(9)))
# widths relative to x at which a cell is divided no further: around zeros of F and where a program
# stops to be right; where the range of numbers ends
NARROWEST, NARROWEST_AT_THE_END = 2.0**-14, 2.0**-40
CLOSER = 16  # times: the part of a cell next to an end that is looked at by itself
LATE = 0.75  # the power of the largest number from which on little is left of the range
TINY = 256  # times the smallest number: what is smaller may be 0
ACCURATE = 80.0  # where the promise of accuracy ends
SIGN = 1e-3  # relative error below `NEAR` and beyond `ACCURATE`, where the sign alone is promised
# times the smallest normal number: numbers below it have the sign of what they stand for, down to
# 2^-52 of it
FAR_FLOOR = 2.0**50
MOST_CELLS, MOST_IN_ONE = 500, 200  # looks at one program on one half-line, and in one octave of it


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
    # by program: what was found on a cell, and where it is `good`
    divisions: dict = field(default_factory=dict)
    known_good: dict = field(default_factory=dict)
    looked: int = 0
    steps: int = 0  # of programs that were analysed, in all
    # a second try: more ways to write F, and beyond `ACCURATE` only the sign is asked for
    again: bool = False
    over_towers: sp.Expr | None = None  # F once more, for where there is no other value
    points: tuple[sp.Expr, ...] = (sp.S.Zero,)  # 0 and the ends: where a quotient may be 0/0
    # the expansion at 0: (order of the zero, coefficients, what one taken for 0 may be at most),
    # None where there is none, False before it is looked for
    expanded: tuple[int, list[arb], list[float]] | Literal[False] | None = False

    @cached_property
    def expansion(self) -> series.Expansion:
        return series.expansion_of(self.function, self.points)

    @cached_property
    def far_expansion(self) -> series.Expansion | None:
        return None if self.over_towers is None else series.expansion_of(self.over_towers)

    @property
    def ways(self) -> dict[sp.Expr, int]:
        """On which side of each end but 0 it lies."""
        inside = self.sign * (self.low + min(self.high, self.low + 1)) / 2
        return {p: 1 if inside > float(p) else -1 for p in self.points if p != 0}

    def ends(self, low: float, high: float) -> tuple[float, float]:
        return (low, high) if self.sign > 0 else (-high, -low)

    def spans_the_same_as(self, other: Side) -> bool:
        return (self.low, self.high) == (other.low, other.high)

    def model(self, low: float, high: float) -> series.Model | None:
        """F on sign * [low, high]."""
        if (low, high) not in self.models:
            with bits(MODEL_BITS, MODEL_TERMS + 1):
                self.models[low, high] = self.expanded_on(low, high, MODEL_TERMS)
        return self.models[low, high]

    def expanded_on(
        self, low: float, high: float, terms: int, middle: float | None = None
    ) -> series.Model | None:
        """F on sign * [low, high], with so many terms."""
        found = series.model(self.expansion, *self.ends(low, high), terms, middle)
        if found is None and self.far_expansion is not None:
            found = series.model(self.far_expansion, *self.ends(low, high), terms, middle)
        return found

    def size(self, point: float) -> float:
        """|F| at sign * point, about."""
        if point not in self.values:
            for precision in (MODEL_BITS, SIZE_BITS):
                with bits(precision, 1):
                    found = self._value(self.sign * point)
                    # exp(exp(300)), or what is left when large terms cancel
                    blurred = bool(found and found[0].rad() > 1 and found[0].contains(0))
                if not blurred:
                    break
            self.values[point] = (
                math.nan if not found else math.inf if blurred else float(abs(found[0]).mid())
            )
        return self.values[point]

    def _value(self, point: float) -> list[arb] | None:
        found = series.coefficients_at(self.expansion, arb(point), 1)
        if found is None and self.far_expansion is not None:
            found = series.coefficients_at(self.far_expansion, arb(point), 1)
        return found

    def allowed(self, low: float) -> float:
        """The relative error that is allowed on a cell from `low` on."""
        return SIGN if self.again and low >= ACCURATE else self.tolerance

    # --- one program on one cell

    def error(self, program: programs.Program, low: float, high: float) -> Error:
        self.steps += len(program.steps)
        return rounding.error_on(program, *self.ends(low, high), self.arithmetic)

    def holds(self, program: programs.Program, low: float, high: float) -> bool:
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
        return (found is not None and error.absolute <= self.tolerance * found.smallest()) or (
            high - low <= 2 * NARROWEST * low and self._around_a_zero(error, low, high)
        )

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

    def good(self, program: programs.Program, point: float) -> bool:
        """At this point alone: where it is not, no division of a cell can help."""
        known = self.known_good.setdefault(program, {})
        if point not in known:
            known[point] = self._is_good(program, point)
        return known[point]

    def _is_good(self, program: programs.Program, point: float) -> bool:
        error = self.error(program, point, point)
        if error is NOWHERE:
            return False
        return (
            error.relative <= self.tolerance
            or error.size + error.absolute < TINY * self.arithmetic.smallest
            or (NEAR <= point <= FULL and error.absolute <= self.tolerance * self.size(point))
        )

    def ends_well(self, program: programs.Program, high: float) -> bool:
        """A stretch up to `high` reaches the end of the side: a kink, the end of the range, or of
        the range of numbers.
        """
        if self.high < math.inf:
            return high == self.high
        return high >= FULL or (
            self.is_end_of_numbers(high, nearly=not self.again)
            and self.error(program, high, high * (1 + 1e-6)) is NOWHERE
        )

    def is_end_of_numbers(self, point: float, nearly: bool = False) -> bool:
        """The straight line may begin at `point`: beyond the range, or where |F| leaves the range
        of numbers; beyond `ACCURATE` where it is as good as the largest one; `nearly`: there is
        hardly more of it. What can't be enclosed at `point` is no such number.
        """
        if point < ACCURATE and not nearly:
            return self.size(point * (1 + 2e-6)) >= self.arithmetic.largest
        largest = self.arithmetic.largest
        return point >= FULL or self.size(point) > (largest**LATE if nearly else largest / 1e8)

    def verified(
        self, program: programs.Program, far: float = math.inf, whole: bool = False
    ) -> list[tuple[float, float]]:
        """The stretches of |x| <= far on which `holds`, from inside out; looked for from `FULL`
        inwards, then outwards.

        Where a formula begins to cancel, cells are divided again and again: what is further in is
        left to a Taylor polynomial. What lies further in than the outermost stretch is looked at
        for the `whole` only.
        """
        found: list[tuple[float, float]] = []
        cells = self.cells(far)
        inner = [cell for cell in cells if cell[1] <= NEAR] if self.low == 0 else []
        middle = [cell for cell in cells[len(inner) :] if cell[0] < FULL]
        all_looks = 0
        for low, high in reversed(middle):
            if all_looks < MOST_CELLS:
                found = _joined([*self.divided(program, low, high), *found])
                all_looks += self.looked
            if not whole and found and found[-1][0] > low:
                found = found[-1:]
                break
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
            # a Taylor polynomial is needed only if the sign is not right down to 0
            found[0] = (inner[0][0], found[0][1])
        return found

    def divided(
        self, program: programs.Program, low: float, high: float
    ) -> list[tuple[float, float]]:
        """The stretches of [low, high] on which `holds`."""
        known = self.divisions.setdefault(program, {})
        if (low, high) not in known:
            self.looked = 0
            known[low, high] = _joined(self._divide(program, low, high)), self.looked
        stretches, self.looked = known[low, high]
        return stretches

    def _down_to_zero(self, program: programs.Program, low: float, high: float) -> bool:
        if self.holds(program, low, high):
            return True
        middle = math.sqrt(low) * math.sqrt(high)
        return (
            high > 50 * low
            and self._down_to_zero(program, middle, high)
            and self._down_to_zero(program, low, middle)
        )

    def _divide(
        self, program: programs.Program, low: float, high: float
    ) -> list[tuple[float, float]]:
        if self.looked > MOST_IN_ONE:
            return []
        if self.holds(program, low, high):
            return [(low, high)]
        middle = math.sqrt(low) * math.sqrt(high) if low > 0 else high / 2
        if not low < middle < high or not any(
            self.good(program, point) for point in (low, high, middle)
        ):
            return []
        width = (high - low) / high
        at_start, at_end = low == self.low > 0, high == self.high
        if width < NARROWEST and (at_start or at_end) and programs.measures(program):
            # only towards an end where F is not smooth, by the distance from it
            step = (high - low) / CLOSER
            middle = low + step if at_start else high - step
            if not low < middle < high:
                return []
        # only where the range of numbers ends is the end found closely
        elif width < NARROWEST and (
            width < NARROWEST_AT_THE_END
            or not self.size(low) > self.arithmetic.largest**LATE / 2
            or self.error(program, high, high) is not NOWHERE
        ):
            return []
        outer = self._divide(program, middle, high)
        return [*self._divide(program, low, middle), *outer]

    def cells(self, far: float = math.inf) -> list[tuple[float, float]]:
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
        start, end = max(self.low, 0.0), min(self.high, far)
        whole = [*[start] * (start > 0), *inside, *[end] * (end < math.inf)]
        return list(itertools.pairwise(whole))
