"""One side of 0: which programs cover it, and polynomials for what no program reaches."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import sympy as sp
from flint import arb

from divergence_lab.bridge.verified import (
    agreement,
    cells,
    far_out,
    forms,
    polynomials,
    programs,
    series,
)
from divergence_lab.theory.expressions import constants, enclosure, x
from divergence_lab.theory.expressions.precision import bits

STEPS_OF = {"away": 3, "linex": 22, "dilog": 45}  # how many torch operations a step is
CHOICE = 4  # and one more source
ROOM = 1.15
CHEAP = 8  # what costs no more is taken without looking further
MOST_STEPS = 20_000  # analysed on one side, after which no more ways to write F are tried
NEARLY = 1 - 1e-6  # of the largest number: so far polynomials go


@dataclass(frozen=True, eq=False)
class Part:
    """`source` on low <= |x| <= high, on one side of 0."""

    low: float
    high: float
    source: agreement.Candidate | polynomials.Table


def cover(side: cells.Side, known: Sequence[agreement.Candidate]) -> list[Part]:
    """The cheapest single candidate with its Taylor polynomial; else several, and polynomials
    for the rest.
    """
    tried: list[agreement.Candidate] = []
    best: tuple[int, list[Part]] | None = None
    for one in _written(side, known):
        if best is not None and CHOICE + _cost(one) >= best[0]:
            continue
        tried.append(one)
        plan = plan_with_one(side, one, side.verified(one.program))
        if plan is None:
            continue
        cost = sum(CHOICE + _cost(part.source) for part in plan)
        if (best is None or cost < best[0]) and all(is_confirmed(side, part) for part in plan):
            best = cost, plan
        if best is not None and len(best[1]) == 1 and (one.plain or best[0] <= CHEAP):
            break
        if best is None and side.steps > MOST_STEPS * (5 if side.again else 1):
            break  # polynomials cost less than to try long formulas that hold in places only
    if best:
        return best[1]
    return _patched(side, {one: side.verified(one.program, whole=True) for one in tried})


def _written(
    side: cells.Side, known: Sequence[agreement.Candidate]
) -> Iterator[agreement.Candidate]:
    yield from known
    seen = {one.program for one in known}
    for expression in forms.candidates(side.function, side.sign, side.ways, more=side.again):
        try:
            one = agreement.candidate(expression, plain=expression == side.function)
        except programs.NotRepresentable as reason:
            plain = expression == side.function
            if "has no value" in str(reason) or (plain and "no number of" in str(reason)):
                raise
            continue
        if one.program not in seen:
            seen.add(one.program)
            yield one


def _cost(source: agreement.Candidate | polynomials.Table) -> int:
    if isinstance(source, polynomials.Table):
        return 3 * max(polynomials.TABLE_TERMS.values())
    return sum(STEPS_OF.get(step[0], 1) for step in source.program.steps)


def plan_with_one(
    side: cells.Side,
    one: agreement.Candidate,
    spans: list[tuple[float, float]],
    hints: Sequence[float] = (),
) -> list[Part] | None:
    """The side covered by one candidate, where it is verified, and a Taylor polynomial near 0 where
    one is needed; None where that does not do. `hints`: where such a polynomial might well end.
    """
    if not spans or not side.ends_well(one.program, spans[-1][1]):
        return None
    low, high = spans[-1]
    if low <= _start(side):
        return [Part(side.low, high, one)]
    if side.low > 0 or low > cells.FULL:  # farther out no polynomial is compared with F
        return None
    # a little farther than needed: then the same polynomial mostly does on the other side
    for wanted in dict.fromkeys(
        (*(hint for hint in hints if low <= hint <= 1.5 * low), min(ROOM * low, high), low)
    ):
        if (near := polynomials.taylor(side, wanted)) is not None:
            return [Part(0.0, wanted, near), Part(wanted, high, one)]
    return None


def _start(side: cells.Side) -> float:
    return side.low or side.arithmetic.least


def is_confirmed(side: cells.Side, part: Part) -> bool:
    """What stands on the part is F there; polynomials are by their making."""
    return isinstance(part.source, polynomials.Table) or agreement.agrees(
        side, part.source, part.low, part.high
    )


def _patched(
    side: cells.Side, spans: dict[agreement.Candidate, list[tuple[float, float]]]
) -> list[Part]:
    """From outside in: the stretch that reaches furthest in, and polynomials where there is
    none.
    """
    parts: list[Part] = []
    place = _outermost(side, spans)
    near, polynomial_near = (
        polynomials.taylor_reach(side, place) if side.low == 0 else (side.low, None)
    )
    while place > max(near, _start(side)):
        reaching = [
            (a, one)
            for one, found in spans.items()
            for a, b in found
            if (a < place * (1 - 2 * cells.NARROWEST) or a == side.low < place) and b >= place
        ]
        if reaching:
            low, one = min(reaching, key=lambda pair: pair[0])
            part = Part(max(low, near), place, one)
            if is_confirmed(side, part):
                parts.append(part)
                place = part.low
                continue
            spans = {other: found for other, found in spans.items() if other is not one}
            if not parts:
                return _patched(side, spans)  # it may have set the end
            continue
        inner = [b for found in spans.values() for _, b in found if b < place]
        stop = max([*inner, near, min(cells.NEAR, place)])
        if stop == place:
            break
        try:
            parts.append(Part(stop, place, polynomials.table(side, stop, place)))
        except programs.NotRepresentable:
            if not side.is_end_of_numbers(stop):
                raise
            parts.clear()  # the straight line begins here
        place = stop
    if polynomial_near is not None:
        parts.append(Part(0.0, near, polynomial_near))
    elif side.low == 0 and place > _start(side):
        parts.append(_ray(side, place))
    return parts[::-1]


def _outermost(
    side: cells.Side, spans: dict[agreement.Candidate, list[tuple[float, float]]]
) -> float:
    """How far out the side is covered."""
    ends = [
        found[-1][1]
        for one, found in spans.items()
        if found and found[-1][0] <= cells.FULL and side.ends_well(one.program, found[-1][1])
    ]
    if ends:
        return max(ends)
    return (
        side.high if side.high < math.inf else _last_number(side, NEARLY * side.arithmetic.largest)
    )


def late_part(side: cells.Side, low: float) -> Part | None:
    """From `low`, where a factor has left the range of numbers, to where F itself leaves it."""
    if side.high < math.inf or low >= cells.FULL:
        return None
    high = _last_number(side, side.arithmetic.largest)
    if not low < high * (1 - 1e-12):
        return None
    high = min(high * (1 + 1e-6), cells.FULL)  # where it has no value: so its end is found closely
    for written in (
        sp.expand(side.function.rewrite(sp.exp)),
        far_out.far(forms.one_fraction(side.function, anyway=True), side.sign),
    ):
        with contextlib.suppress(programs.NotRepresentable):
            program = programs.compiled(written, halves=True)
            one = agreement.Candidate(
                written, program, plain=written == side.function, written=True
            )
            spans = side.divided(program, low, high)
            if (
                len(spans) == 1
                and spans[0][0] == low
                and side.is_end_of_numbers(spans[0][1])
                and is_confirmed(side, Part(*spans[0], one))
            ):
                return Part(*spans[0], one)
    high = _last_number(side, NEARLY * side.arithmetic.largest)
    try:
        return (
            Part(low, high, polynomials.table(side, low, high)) if low < high * (1 - 1e-9) else None
        )
    except programs.NotRepresentable:
        return None


def _last_number(side: cells.Side, largest: float) -> float:
    """How far out |F| stays below `largest`, within the range."""
    low, high = max(side.low, 1e-3), cells.FULL
    if side.size(high) < largest:
        return high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if side.size(middle) < largest else (low, middle)
    return low


def _ray(side: cells.Side, place: float) -> Part:
    """Below `place` a function without a Taylor polynomial: straight from 0, or constant; its
    sign is right, and proved to be.
    """
    for precision in (cells.MODEL_BITS, cells.SIZE_BITS):
        with bits(precision, 1):
            value, nearer = (_near_zero(side, arb(point)) for point in (place, place / 2))
        if value is not None and nearer is not None:
            break
    else:
        raise programs.NotRepresentable(f"{side.function} can't be evaluated near x = 0")
    low = place
    if sign_of(side.function, side.sign, side.arithmetic.least, place) == (1 if value > 0 else -1):
        low = side.arithmetic.least
    while low > side.arithmetic.least:
        low, high = max(low / 2, side.arithmetic.least), low
        if not _keeps_its_sign(side, low, high, value > 0):
            raise programs.NotRepresentable(
                f"the sign of {side.function} is not known near x = {side.sign * low:.3g}"
            )
    vanishing = bool(abs(nearer) < abs(value))
    number = float(value.mid()) / (side.sign * place if vanishing else 1)
    written = sp.Rational(number) * (x if vanishing else 1)
    program = programs.polynomial([number], int(vanishing))
    return Part(0.0, place, agreement.Candidate(written, program, plain=True))


def _near_zero(side: cells.Side, ball: arb) -> arb | None:
    """F at sign * ball, where that has a sign."""
    (found,) = series.coefficients_at(side.expansion, side.sign * ball, 1) or [arb.nan()]
    return found if found.is_finite() and not found.contains(0) else None


def sign_of(e: sp.Expr, sign: int, low: float, high: float) -> int:
    """+1, -1: the sign that E is proved to have on sign * [low, high], next to 0; else 0.

    Products and powers by their parts, what is analytic in x or in a root of it by its first
    coefficient.
    """
    if not e.has(x):
        return constants.sign_of(e) or 0
    e = cast(sp.Expr, sp.factor_terms(e)) if e.is_Add else e
    if e.is_Mul:
        return math.prod(sign_of(part, sign, low, high) for part in programs.arguments_of(e))
    if isinstance(e, sp.Pow) and not e.exp.has(x):
        found = sign_of(e.base, sign, low, high)
        return found ** int(e.exp % 2) if e.exp.is_Integer else max(found, 0)
    powers = (part.exp for part in e.atoms(sp.Pow) if part.base in (x, -x))
    root = math.lcm(*(power.q for power in powers if isinstance(power, sp.Rational)))
    y = sp.Dummy(positive=True)
    e = cast(sp.Expr, e.subs(x, sign * y**root).subs(y, x))
    try:
        expansion = series.expansion_of(e, (sp.S.Zero,))
    except enclosure.NotEvaluable:
        return 0
    low, high = low ** (1 / root) * (1 - 1e-12), high ** (1 / root) * (1 + 1e-12)
    for precision in (cells.MODEL_BITS, cells.SIZE_BITS):
        with bits(precision, series.HIGHEST):
            at_zero, on_all = (
                series.coefficients_at(expansion, ball, series.HIGHEST) or []
                for ball in (arb(0), arb(high / 2, high / 2))
            )
            # c_0 + c_1 x + ... + r x^k, r the k-th coefficient on all of it (Lagrange)
            before = arb(0)  # at most the part of the first k of them in x^k
            for coefficient, rest in zip(at_zero, on_all):
                if before < abs(rest):
                    return 1 if rest > 0 else -1
                before = (before + abs(coefficient)) / arb(low)
    return 0


def _keeps_its_sign(
    side: cells.Side, low: float, high: float, positive: bool, depth: int = 6
) -> bool:
    middle = (low + high) / 2
    for precision in (cells.MODEL_BITS, cells.SIZE_BITS):
        with bits(precision, 1):
            found = _near_zero(side, arb(middle, (high - low) / 2))
        if found is not None:
            return bool(found > 0) == positive
    return depth > 0 and all(
        _keeps_its_sign(side, *ends, positive, depth - 1)
        for ends in ((low, middle), (middle, high))
    )
