"""Which program stands for a function on which residuals: verified stretch by stretch, before
anything is handed out.

    near 0             a Taylor polynomial, where one is needed
    farther out        one way or another to write the function
    beyond the reach   a straight line

On either side of 0 and of every kink the candidates of `forms` are analysed (`cells`, `cover`).
Near 0 a Taylor polynomial with a proved remainder stands in, with as few terms as will do; what no
candidate reaches is covered by polynomials about further centres. The straight line begins where
the range of numbers ends, or beyond 1000 where no stretch goes on. `verified` is all of it for one
loss: what torch runs and what is exported, as data.
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import sympy as sp
from flint import arb

from divergence_lab.bridge.verified import agreement, cells, forms, polynomials, programs, series
from divergence_lab.bridge.verified.arithmetic import DOUBLE, Arithmetic
from divergence_lab.bridge.verified.cover import Part, cover, is_confirmed, late_part, plan_with_one
from divergence_lab.bridge.verified.stretches import (
    Range,
    Ranges,
    is_apart,
    number_at,
    with_numbers,
)
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions import Pieces, enclosure, identity, precision
from divergence_lab.theory.expressions.pieces import inside

TOLERANCE = 4e-12
# how far a residual lies beyond the left and the right end of the reach: finite, even if it is not
BEYOND = ((-DOUBLE.largest, 0.0), (0.0, DOUBLE.largest))
NO_SECOND_DERIVATIVE = "the second derivative of a loss is not defined: g' alone is verified"


def ranges(
    function: Pieces, arithmetic: Arithmetic = DOUBLE, tolerance: float = TOLERANCE
) -> Ranges:
    """Stretches on which `function` is computed to within `tolerance`, beyond 80 if that can be
    had. Raises NotRepresentable.
    """
    try:
        return _ranges(function, arithmetic, tolerance, False)
    except programs.NotRepresentable:
        return _ranges(function, arithmetic, tolerance, True)


def _ranges(function: Pieces, arithmetic: Arithmetic, tolerance: float, again: bool) -> Ranges:
    right, left = (_sides(function, sign, arithmetic, tolerance, again) for sign in (1, -1))
    parts, mirrored = _both_sides(right, left)
    stretches = [
        _stretch(side, part)
        for side, covered in (*zip(right, parts), *zip(left, mirrored))
        for part in covered
    ]
    for sides, covered in ((right, parts), (left, mirrored)):
        last, end = sides[len(covered) - 1], covered[-1][-1].high
        beyond = late_part(last, end)
        if beyond is not None:
            stretches.append(_stretch(last, beyond, late=arithmetic is DOUBLE))
            end = beyond.high
        if not last.is_end_of_numbers(end):
            raise programs.NotRepresentable(
                f"{last.function} can't be evaluated with the promised accuracy beyond x = "
                f"{last.sign * end:.4g}"
            )
        if (back := _comes_back(sides[len(covered) - 1 :], end)) is not None:
            raise programs.NotRepresentable(
                f"{last.function} leaves the range of numbers at x = {last.sign * end:.4g}, and at "
                f"{last.sign * back:.4g} the loss is within it again"
            )
    stretches.sort(key=lambda one: one.low)
    stretches = with_numbers(function, stretches, arithmetic, again)
    return Ranges(_joined(stretches), (stretches[0].low, stretches[-1].high), tolerance)


def _comes_back(sides: list[cells.Side], end: float) -> float | None:
    """Where F is a number again beyond `end`, up to `ACCURATE`: at a few residuals of each side."""
    for side in sides:
        low, high = max(side.low, end * (1 + 1e-5)), min(side.high, cells.ACCURATE)
        for k in range(17) if low < high else ():
            point = low + k / 16 * (high - low)
            if side.size(point) < side.arithmetic.largest:
                return point
    return None


def _both_sides(
    right: list[cells.Side], left: list[cells.Side]
) -> tuple[list[list[Part]], list[list[Part]]]:
    """What covers each side, as far out as the numbers reach: on the left the same programs as on
    the right, where they will do.
    """
    parts = _outwards(right, lambda side: cover(side, ()))
    parity = _parity(right, left)
    known = [
        part.source
        for covered in parts
        for part in covered
        if isinstance(part.source, agreement.Candidate) and part.source.written
    ]
    hints = [part.high for covered in parts for part in covered[:-1]]

    def on_the_left(side: cells.Side) -> list[Part]:
        k = left.index(side)
        offered = [
            replace(one, plain=one.plain and one.expression == side.function) for one in known
        ]
        alike = parity and k < len(parts) and right[k].spans_the_same_as(side)
        one_program = not (alike and _tables(parts[k]))
        if one_program and (same := _shared(side, offered, hints)) is not None:
            return same
        if alike and (turned := _turned(right[k], side, parts[k], parity)) is not None:
            if not _tables(turned):  # then one program does for both sides
                parts[k] = turned
            return turned
        return cover(side, offered)

    return parts, _outwards(left, on_the_left)


def _outwards(
    sides: list[cells.Side], covered: Callable[[cells.Side], list[Part]]
) -> list[list[Part]]:
    """What covers each side, up to the first one that is not covered to its end."""
    found: list[list[Part]] = []
    for side in sides:
        try:
            parts = covered(side)
        except programs.NotRepresentable:
            if side.low < cells.FULL:
                raise
            break  # the straight line may begin at its kink
        found += [parts] if parts else []
        if not parts or parts[-1].high != side.high:
            break
    return found


def _stretch(side: cells.Side, part: Part, late: bool = False) -> Range:
    """What is verified from the smallest residuals on begins at 0: between must not stand what is
    meant for the other side.
    """
    low = 0.0 if side.low == 0 and part.low <= side.arithmetic.least else part.low
    source = part.source.program if isinstance(part.source, agreement.Candidate) else part.source
    first, last = side.ends(low, part.high)
    return Range(first, last, source, late)


def _sides(
    function: Pieces, sign: int, arithmetic: Arithmetic, tolerance: float, again: bool = False
) -> list[cells.Side]:
    """The pieces on one side of 0, from inside out."""
    found = []
    for piece in function.split_at_zero()[sign > 0].pieces:
        ends = [
            _at(end, before=(end is piece.high), apart=end != 0 and is_apart(piece, end, again))
            for end in (piece.low, piece.high)
        ]
        low, high = sorted(abs(end) for end in ends)
        if low < high:
            finite = (end for end in (piece.low, piece.high) if end.is_finite)
            points = tuple(dict.fromkeys((sp.S.Zero, *finite)))  # in one order in every run
            side = functools.partial(
                cells.Side,
                sign=sign,
                arithmetic=arithmetic,
                tolerance=tolerance,
                again=again,
                points=points,
                over_towers=agreement.over_towers(piece.expression, sign, inside(piece))
                if again
                else None,
            )
            found.append(side(piece.expression, low=low, high=high))
    return sorted(found, key=lambda side: side.low)


def _at(kink: sp.Expr, before: bool = False, apart: bool = False) -> float:
    """The first double not below the kink; `before`: the last one that is not above it; `apart`:
    nor it itself.
    """
    if not kink.is_finite:
        return math.inf if kink == sp.oo else -math.inf
    found = float(kink)
    exact = sp.Rational(found)
    if kink == exact:
        return math.nextafter(found, -math.inf if before else math.inf) if apart else found
    above = bool(exact > kink)
    return found if above != before else math.nextafter(found, -math.inf if before else math.inf)


def _joined(stretches: list[Range]) -> tuple[Range, ...]:
    """Neighbours with one source as one; a gap without a number of its own (at a kink) is
    closed.
    """
    kept = [stretches[0]]
    for one in stretches[1:]:
        last = kept[-1]
        if isinstance(one.source, programs.Program) and one.source == last.source:
            kept[-1] = Range(last.low, one.high, last.source)
        else:
            kept[-1] = Range(last.low, one.low, last.source, last.late)
            kept.append(one)
    return tuple(kept)


# --- both sides


def _parity(right: list[cells.Side], left: list[cells.Side]) -> int:
    """+1, -1 where F seems even, odd (what is made of it is verified); else 0."""
    signs = set()
    for point in (0.3, 1.7, 5.3):
        values = []
        for sides in (right, left):
            side = next(side for side in sides if side.low <= point <= side.high)
            with precision.bits(cells.MODEL_BITS, 1):
                found = series.coefficients_at(side.expansion, arb(side.sign * point), 1)
            if found is None:
                return 0
            values.append(found[0])
        signs.add(
            1 if values[0].overlaps(values[1]) else -1 if values[0].overlaps(-values[1]) else 0
        )
    return signs.pop() if len(signs) == 1 else 0


def _shared(
    side: cells.Side, known: Sequence[agreement.Candidate], hints: Sequence[float]
) -> list[Part] | None:
    """The same programs on this side, if they will do."""
    for one in known:
        plan = plan_with_one(side, one, side.verified(one.program), hints)
        if plan and all(is_confirmed(side, part) for part in plan):
            return plan
    return None


def _tables(parts: list[Part]) -> list[Part]:
    return [part for part in parts if isinstance(part.source, polynomials.Table)]


def _turned(
    right: cells.Side, left: cells.Side, parts: list[Part], parity: int
) -> list[Part] | None:
    """The programs of the right side at |x|; what rounding does to them is the same on both
    sides. Polynomials about other centres only where F is proved to be even or odd.
    """
    tables = _tables(parts)
    if tables and not agreement.is_mirrored(right, left, parity):
        return None
    found = []
    for part in parts:
        if isinstance(part.source, polynomials.Table):
            one = polynomials.mirrored(part.source, parity)
        else:
            one = agreement.mirrored(part.source, parity)
            if not tables and not agreement.agrees(left, one, part.low, part.high):
                return None
        found.append(Part(part.low, part.high, one))
    return found


Function = TypeVar("Function")


@dataclass(frozen=True, eq=False)
class Verified(Generic[Function]):
    """g and g', each by its ranges or by what computes these. Beyond `reach` g is straight, from
    (`end_values`, `end_slopes`).
    """

    loss: Loss
    values: Function
    slopes: Function
    reach: tuple[float, float]
    early_reach: tuple[float, float]
    end_values: tuple[float, float]
    end_slopes: tuple[float, float]
    kink_at_zero: bool


def check_loss(loss: Loss) -> None:
    """TypeError for what is no loss, NotRepresentable for one whose parameters have no value."""
    if not isinstance(loss, Loss):
        raise TypeError(f"this takes a loss, not {type(loss).__name__}: write loss(text)")
    if loss.parameters:
        names = ", ".join(map(str, loss.parameters))
        raise programs.NotRepresentable(
            f"the parameter {names} has no value: set it with --set, or loss(text, values={{...}})"
        )


def functions_of(loss: Loss) -> tuple[Pieces, Pieces]:
    """g and g', written so that they are enclosed well: with asinh, and a quotient's derivative
    over one denominator.
    """
    value, slope = loss.pieces.map(forms.logarithms), loss.derivative
    if value != loss.pieces and loss.slope is None:
        slope = value.derivative().map(identity.elementary)
    return _shorter(value), _shorter(slope)


def _shorter(function: Pieces) -> Pieces:
    """Each piece over one denominator, where a normal form proves that the two are equal."""
    found = []
    for piece in function.pieces:
        short = forms.one_fraction(piece.expression)
        if short != piece.expression and agreement.equal(short, piece.expression, inside(piece)):
            piece = replace(piece, expression=short)
        found.append(piece)
    return Pieces(tuple(found), function.variable)


def verified(loss: Loss) -> Verified[Ranges]:
    """The loss by verified ranges. Raises NotRepresentable (a ValueError)."""
    check_loss(loss)
    functions = functions_of(loss)
    try:
        found = ranges(functions[0]), ranges(functions[1])
    except enclosure.NotEvaluable as error:
        raise programs.NotRepresentable(
            f"{error} can't be evaluated with the promised accuracy"
        ) from None
    reach, early = (
        _narrower([one.reach for one in each]) for each in (found, [one.early for one in found])
    )
    try:
        at_ends = [_at_both(function, reach) for function in functions]
    except programs.NotRepresentable:  # 1 - tanh(x) at 10^40 has no digits
        reach, early = (_narrower([one, (-cells.FULL, cells.FULL)]) for one in (reach, early))
        at_ends = [_at_both(function, reach, one) for function, one in zip(functions, found)]
    # where the formula of g' has no value at 0, as in x*atan(1/x), g may have a kink too; if it
    # has none, g'(0) is 0
    kink = any(
        0 in (piece.low, piece.high) or (piece.low < 0 < piece.high and is_apart(piece, sp.S.Zero))
        for piece in loss.derivative.pieces
    )
    return Verified(loss, *found, reach, early, *at_ends, kink_at_zero=kink)


def _narrower(reaches: list[tuple[float, float]]) -> tuple[float, float]:
    return max(low for low, _ in reaches), min(high for _, high in reaches)


def _at_both(
    function: Pieces, ends: tuple[float, float], found: Ranges | None = None
) -> tuple[float, float]:
    return number_at(function, ends[0], found), number_at(function, ends[1], found)
