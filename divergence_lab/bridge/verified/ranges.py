"""Which program stands for a function on which residuals: verified stretch by stretch, before
anything is handed out.

    near 0 a Taylor polynomial, where one is needed   |   one way or another to write the function
    |   a straight line

On either side of 0 and of every kink the candidates of `forms` are analysed (`cells`). Near 0 a
Taylor polynomial with a proved remainder stands in, with as few terms as will do; what no candidate
reaches is covered by polynomials about further centres. The straight line begins where the range of
numbers ends, or beyond 1000 where no stretch goes on.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sympy as sp
from flint import arb

from divergence_lab.bridge.verified import forms
from divergence_lab.bridge.verified.cells import (
    FULL,
    MODEL_BITS,
    NARROWEST,
    NEAR,
    Candidate,
    Side,
    candidate,
)
from divergence_lab.bridge.verified.near_zero import taylor, taylor_reach
from divergence_lab.bridge.verified.programs import (
    NotRepresentable,
    Program,
    compiled,
    polynomial,
    shifted,
)
from divergence_lab.bridge.verified.rounding import DOUBLE, NOWHERE, Arithmetic
from divergence_lab.bridge.verified.series import coefficients_at
from divergence_lab.bridge.verified.tables import TABLE_TERMS, Table, table
from divergence_lab.theory.expressions.pieces import Pieces
from divergence_lab.theory.expressions.precision import bits
from divergence_lab.theory.expressions.symbols import x

TOLERANCE = 4e-12
STEPS_OF = {"linex": 22, "dilog": 45}  # how many torch operations a step is
CHOICE = 4  # and one more source
ROOM = 1.15
CHEAP = 8  # what costs no more is taken without looking further
NEARLY = 1 - 1e-6  # of the largest number: so far polynomials go


@dataclass(frozen=True)
class Stretch:
    """`source` stands for the function on low <= x < high; `late`: where the function is no
    number of single precision.
    """

    low: float
    high: float
    source: Program | Table
    late: bool = False


@dataclass(frozen=True)
class Ranges:
    """The stretches from left to right; the first and the last may be late.

    Beyond `reach` = (first, last residual) the function goes on straight.
    """

    stretches: tuple[Stretch, ...]
    reach: tuple[float, float]
    tolerance: float

    @property
    def early(self) -> Ranges:
        """Without what is late: enough for an answer in single precision or less."""
        kept = tuple(one for one in self.stretches if not one.late)
        return Ranges(kept, (kept[0].low, kept[-1].high), self.tolerance)


@dataclass(frozen=True, eq=False)
class _Part:
    """`source` on low <= |x| <= high, on one side of 0."""

    low: float
    high: float
    source: Candidate | Table
    late: bool = False


def ranges(
    function: Pieces, arithmetic: Arithmetic = DOUBLE, tolerance: float = TOLERANCE
) -> Ranges:
    """Stretches on which `function` is computed to within `tolerance`, beyond 80 if that can be
    had. Raises NotRepresentable.
    """
    try:
        return _ranges(function, arithmetic, tolerance, False)
    except NotRepresentable:
        return _ranges(function, arithmetic, tolerance, True)


def _ranges(function: Pieces, arithmetic: Arithmetic, tolerance: float, again: bool) -> Ranges:
    right, left = (_sides(function, sign, arithmetic, tolerance, again) for sign in (1, -1))
    parts = [_cover(side, ()) for side in right]
    parity = _parity(right, left)
    known = [
        part.source
        for one in parts
        for part in one
        if isinstance(part.source, Candidate) and part.source.written
    ]
    hints = [part.high for one in parts for part in one[:-1]]
    mirrored = []
    for k, side in enumerate(left):
        offered = [
            dataclasses.replace(one, plain=one.plain and one.expression == side.function)
            for one in known
        ]
        same = _shared(side, offered, hints)
        turned = None
        if (
            same is None
            and parity
            and k < len(right)
            and (right[k].low, right[k].high) == (side.low, side.high)
        ):
            turned = _turned(right[k], side, parts[k], parity)
        if turned is not None:
            parts[k] = turned
        mirrored.append(same or turned or _cover(side, offered))
    stretches = [
        Stretch(
            *(side.sign * end for end in (_innermost(side, part), part.high)[:: side.sign]),
            _plain(part.source),
            part.late,
        )
        for sides, found in ((right, parts), (left, mirrored))
        for side, one in zip(sides, found)
        for part in one
    ]
    for side, one in ((right[-1], parts[-1]), (left[-1], mirrored[-1])):
        late = _late(side, one[-1].high)
        if late is not None:
            ends = (side.sign * end for end in (late.low, late.high)[:: side.sign])
            stretches.append(Stretch(*ends, _plain(late.source), late=arithmetic is DOUBLE))
    stretches.sort(key=lambda one: one.low)
    return Ranges(_joined(stretches), (stretches[0].low, stretches[-1].high), tolerance)


def _innermost(side: Side, part: _Part) -> float:
    """What is verified from the smallest residuals on begins at 0: between must not stand what
    is meant for the other side.
    """
    return 0.0 if side.low == 0 and part.low <= side.arithmetic.least else part.low


def _plain(source: Candidate | Table) -> Program | Table:
    return source.program if isinstance(source, Candidate) else source


def _sides(
    function: Pieces, sign: int, arithmetic: Arithmetic, tolerance: float, again: bool = False
) -> list[Side]:
    """The pieces on one side of 0, from inside out."""
    found = []
    for piece in function.split_at_zero()[sign > 0].pieces:
        ends = [_at(end, before=(end is piece.high)) for end in (piece.low, piece.high)]
        low, high = sorted(abs(end) for end in ends)
        if low < high:
            found.append(
                Side(piece.expression, sign, low, high, arithmetic, tolerance, again=again)
            )
    return sorted(found, key=lambda side: side.low)


def _at(kink: sp.Expr, before: bool = False) -> float:
    """The first double not below the kink; `before`: the last one that is not above it."""
    if not kink.is_finite:
        return math.inf if kink == sp.oo else -math.inf
    found = float(kink)
    exact = sp.Rational(found)
    if kink == exact:
        return found
    above = bool(exact > kink)
    return found if above != before else math.nextafter(found, -math.inf if before else math.inf)


def _joined(stretches: list[Stretch]) -> tuple[Stretch, ...]:
    """Neighbours with one source as one; a gap without a number of its own (at a kink) is
    closed.
    """
    kept = [stretches[0]]
    for one in stretches[1:]:
        last = kept[-1]
        if isinstance(one.source, Program) and one.source == last.source:
            kept[-1] = Stretch(last.low, one.high, last.source)
        else:
            kept[-1] = Stretch(last.low, one.low, last.source, last.late)
            kept.append(one)
    return tuple(kept)


# --- one side


def _cover(side: Side, known: Sequence[Candidate]) -> list[_Part]:
    """The cheapest single candidate with its Taylor polynomial; else several, and polynomials
    for the rest.
    """
    spans: dict[Candidate, list[tuple[float, float]]] = {}
    best: tuple[int, list[_Part]] | None = None
    for one in _written(side, known):
        if best is not None and CHOICE + _cost(one) >= best[0]:
            continue
        spans[one] = side.verified(one.program)
        plan = _alone(side, one, spans[one])
        if plan is None:
            continue
        cost = sum(CHOICE + _cost(part.source) for part in plan)
        if (best is None or cost < best[0]) and all(_confirmed(side, part) for part in plan):
            best = cost, plan
        if best is not None and len(best[1]) == 1 and (one.plain or best[0] <= CHEAP):
            break
    return best[1] if best else _patched(side, spans)


def _written(side: Side, known: Sequence[Candidate]) -> Iterator[Candidate]:
    yield from known
    seen = {one.program for one in known}
    for expression in forms.candidates(side.function, side.sign, more=side.again):
        try:
            one = candidate(expression, plain=expression == side.function)
        except NotRepresentable as reason:
            if "has no value" in str(reason) or "no number of" in str(reason):
                raise
            continue
        if one.program not in seen:
            seen.add(one.program)
            yield one


def _cost(source: Candidate | Table) -> int:
    if isinstance(source, Table):
        return 3 * max(TABLE_TERMS.values())
    return sum(STEPS_OF.get(step[0], 1) for step in source.program.steps)


def _ends_well(side: Side, one: Candidate, high: float) -> bool:
    """A stretch up to `high` reaches the end of the side: a kink, the end of the range, or of
    the range of numbers.
    """
    if side.high < math.inf:
        return high == side.high
    if high >= FULL:
        return True
    return (
        side.size(high) > side.arithmetic.largest / 1e8
        and side.error(one.program, high, high * (1 + 1e-6)) is NOWHERE
    )


def _alone(
    side: Side, one: Candidate, spans: list[tuple[float, float]], hints: Sequence[float] = ()
) -> list[_Part] | None:
    if not spans or not _ends_well(side, one, spans[-1][1]):
        return None
    low, high = spans[-1]
    if low <= _start(side):
        return [_Part(side.low, high, one)]
    if side.low > 0:
        return None
    # a little farther than needed: then the same polynomial mostly does on the other side
    for wanted in dict.fromkeys(
        (*(hint for hint in hints if low <= hint <= 1.5 * low), min(ROOM * low, high), low)
    ):
        if (near := taylor(side, wanted)) is not None:
            return [_Part(0.0, wanted, near), _Part(wanted, high, one)]
    return None


def _start(side: Side) -> float:
    return side.low or side.arithmetic.least


def _confirmed(side: Side, part: _Part) -> bool:
    return isinstance(part.source, Table) or side.agrees(part.source, part.low, part.high)


def _patched(side: Side, spans: dict[Candidate, list[tuple[float, float]]]) -> list[_Part]:
    """From outside in: the stretch that reaches furthest in, and polynomials where there is
    none.
    """
    parts: list[_Part] = []
    spans = {one: list(found) for one, found in spans.items()}
    ends = [
        found[-1][1]
        for one, found in spans.items()
        if found and found[-1][0] <= FULL and _ends_well(side, one, found[-1][1])
    ]
    place = (
        max(ends)
        if ends
        else side.high
        if side.high < math.inf
        else _last_number(side, NEARLY * side.arithmetic.largest)
    )
    near, polynomial_near = taylor_reach(side, place) if side.low == 0 else (side.low, None)
    while place > max(near, _start(side)):
        reaching = [
            (a, one)
            for one, found in spans.items()
            for a, b in found
            if a < place * (1 - 2 * NARROWEST) and b >= place
        ]
        if reaching:
            low, one = min(reaching, key=lambda pair: pair[0])
            part = _Part(max(low, near), place, one)
            if _confirmed(side, part):
                parts.append(part)
                place = part.low
            else:
                del spans[one]
                if not parts:
                    return _patched(side, spans)  # it may have set the end
            continue
        stop = max(
            [b for found in spans.values() for _, b in found if b < place]
            + [near, min(NEAR, place)]
        )
        if stop == place:
            break
        try:
            parts.append(_Part(stop, place, table(side, stop, place)))
        except NotRepresentable:
            if not (stop >= FULL or side.size(stop) > side.arithmetic.largest / 1e8):
                raise
            parts.clear()  # the straight line begins here
        place = stop
    if polynomial_near is not None:
        parts.append(_Part(0.0, near, polynomial_near))
    elif side.low == 0 and place > _start(side):
        parts += _ray(side, place)
    return parts[::-1]


def _late(side: Side, low: float) -> _Part | None:
    """From `low`, where a factor has left the range of numbers, to where F itself leaves it."""
    if side.high < math.inf or low >= FULL:
        return None
    high = _last_number(side, side.arithmetic.largest)
    if not low < high * (1 - 1e-12):
        return None
    written = sp.expand(side.function.rewrite(sp.exp))
    try:
        one = Candidate(
            written, shifted(compiled(written)), plain=written == side.function, written=True
        )
        spans = side.divided(one.program, low, high)
        if (
            spans
            and spans[0][0] == low
            and len(spans) == 1
            and _confirmed(side, _Part(*spans[0], one))
        ):
            return _Part(*spans[0], one)
    except NotRepresentable:
        pass
    high = _last_number(side, NEARLY * side.arithmetic.largest)
    try:
        return _Part(low, high, table(side, low, high)) if low < high * (1 - 1e-9) else None
    except NotRepresentable:
        return None


def _last_number(side: Side, largest: float) -> float:
    """How far out |F| stays below `largest`, within the range."""
    low, high = max(side.low, 1e-3), FULL
    if side.size(high) < largest:
        return high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if side.size(middle) < largest else (low, middle)
    return low


def _ray(side: Side, place: float) -> list[_Part]:
    """Below `place` a function without a Taylor polynomial: straight from 0, or constant; its
    sign is right.
    """
    with bits(MODEL_BITS, 1):
        (value,) = coefficients_at(side.expansion, arb(side.sign * place), 1) or [arb.nan()]
        (nearer,) = coefficients_at(side.expansion, arb(side.sign * place / 2), 1) or [arb.nan()]
    if not (value.is_finite() and nearer.is_finite()):
        raise NotRepresentable(f"{side.function} can't be evaluated near x = 0")
    height = float(value.mid())
    vanishing = bool(abs(nearer) < abs(value))
    numbers = [height / (side.sign * place)] if vanishing else [height]
    return [
        _Part(
            0.0,
            place,
            Candidate(
                sp.Rational(numbers[0]) * (x if vanishing else 1),
                polynomial(numbers, int(vanishing)),
                plain=True,
            ),
        )
    ]


# --- both sides


def _parity(right: list[Side], left: list[Side]) -> int:
    """+1, -1 where F seems even, odd (what is made of it is verified); else 0."""
    signs = set()
    for point in (0.3, 1.7, 5.3):
        values = []
        for sides in (right, left):
            side = next(side for side in sides if side.low <= point <= side.high)
            with bits(MODEL_BITS, 1):
                found = coefficients_at(side.expansion, arb(side.sign * point), 1)
            if found is None:
                return 0
            values.append(found[0])
        signs.add(
            1 if values[0].overlaps(values[1]) else -1 if values[0].overlaps(-values[1]) else 0
        )
    return signs.pop() if len(signs) == 1 else 0


def _shared(side: Side, known: Sequence[Candidate], hints: Sequence[float]) -> list[_Part] | None:
    """The same programs on this side, if they will do."""
    for one in known:
        plan = _alone(side, one, side.verified(one.program), hints)
        if plan and all(_confirmed(side, part) for part in plan):
            return plan
    return None


def _turned(right: Side, left: Side, parts: list[_Part], parity: int) -> list[_Part] | None:
    """The programs of the right side at |x|; what rounding does to them is the same on both
    sides.
    """
    found = []
    for part in parts:
        if isinstance(part.source, Table):
            return None
        one = candidate(part.source.expression, parity=parity)
        if not left.agrees(one, part.low, part.high):
            return None
        found.append(_Part(part.low, part.high, one))
    return found
