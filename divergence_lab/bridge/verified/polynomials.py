"""Polynomials with proved remainders, where no program is verified.

    F(x) = c_k x^k + ... + c_n x^n + r x^(n+1)

Near 0 one, as short as will do; r by Lagrange: the (n+1)-th coefficient on all of [0, x]. Farther
out a table of them, each about a centre of its own: on each cell F to within the tolerance.
"""

import math
from dataclasses import dataclass

import sympy as sp
from flint import arb

from divergence_lab.bridge.verified import agreement, arithmetic, programs, series
from divergence_lab.bridge.verified.cells import (
    MODEL_BITS,
    NARROWEST,
    NARROWEST_AT_THE_END,
    NEAR,
    Side,
)
from divergence_lab.theory.expressions import x
from divergence_lab.theory.expressions.precision import bits

EXACT_BITS = 1500  # for zeros of high order: (10^-6)^60 beside 1
TAYLOR_TERMS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 28, 40)
TABLE_TERMS = {"double": 16, "single": 7}
TABLE_CELLS = 1500
SERIES_LENGTH = 140  # coefficients of the expansion at 0 that are looked at


def _expanded(side: Side, precision: int, length: int) -> tuple[int, list[arb], list[float]] | None:
    """(order k of the zero, coefficients, what a coefficient taken for 0 may be at most); None:
    not analytic at 0.
    """
    with bits(precision, length):
        found = series.coefficients_at(side.expansion, arb(0), length)
    if found is None:
        return None
    order = next((k for k, c in enumerate(found) if not c.contains(0)), None)
    if order is None:
        return None
    return order, found, [float(abs(c).upper()) if c.contains(0) else 0.0 for c in found]


def taylor(side: Side, wanted: float) -> agreement.Candidate | None:
    """The shortest Taylor polynomial at 0 that is verified up to |x| = wanted."""
    if side.expanded is False:
        found = (
            _expanded(side, precision, length)
            for precision, length in ((MODEL_BITS, 48), (EXACT_BITS, SERIES_LENGTH))
        )
        side.expanded = next((one for one in found if one and _zeros_are_safe(side, one)), None)
    if side.expanded is None:
        return None
    order, exact, _ = side.expanded
    leading = float(abs(exact[order]).mid())
    for terms in TAYLOR_TERMS:
        length = _length(order, exact, terms)
        if length < 1 or order + length >= len(exact):
            return None
        following = float((abs(exact[order + length]) * arb(wanted) ** length).upper())
        if following > side.tolerance * leading * max(1.0, wanted * wanted):
            continue
        kept = exact[order : order + length]
        numbers = [0.0 if c.contains(0) else float(c.mid()) for c in kept]
        if not all(map(math.isfinite, numbers)):
            return None
        one = _candidate(order, numbers)
        start = _proved_from_zero(side, order, exact, numbers, wanted)
        if start is None or not agreement.agrees(side, one, start, wanted):
            continue
        spans = side.verified(one.program, wanted)
        if spans and spans[0][0] <= side.arithmetic.least and spans[0][1] >= wanted:
            return one
    return None


def _length(order: int, exact: list[arb], terms: int) -> int:
    """How many coefficients, from the first that is not 0, hold `terms` that are not."""
    kept = [k for k in range(order, len(exact)) if not exact[k].contains(0)]
    if len(kept) <= terms and len(exact) > 48 and len(kept) < 3:
        return len(exact) - order - 1
    return (kept[terms] if terms < len(kept) else len(exact) - 1) - order


def _candidate(order: int, numbers: list[float]) -> agreement.Candidate:
    """x^order (c_0 + c_1 x + ...)."""
    terms = (sp.Rational(c) * x ** (order + k) for k, c in enumerate(numbers) if c)
    return agreement.Candidate(sum(terms, sp.S.Zero), programs.polynomial(numbers, order))


def _zeros_are_safe(side: Side, expanded: tuple[int, list[arb], list[float]]) -> bool:
    """Coefficients below the order that are 0 as far as can be seen change nothing from 10^-6,
    or the first number, on.
    """
    order, exact, uncertain = expanded
    leading = float(abs(exact[order]).lower())
    if not leading > 0:
        return False
    first = (
        max(NEAR, (side.arithmetic.smallest / leading) ** (1 / max(order, 1))) if order else NEAR
    )
    return all(
        uncertain[k] == 0
        or math.log(uncertain[k])
        < math.log(side.tolerance / 100 * leading) + (order - k) * math.log(first)
        for k in range(order)
    )


def _proved_from_zero(
    side: Side, order: int, exact: list[arb], numbers: list[float], wanted: float
) -> float | None:
    """Up to which |x| the polynomial is F by its remainder alone: Lagrange's, on all of [0,
    |x|].
    """
    end = order + len(numbers)
    reach = wanted
    for _ in range(40):
        with bits(MODEL_BITS, end + 1):
            ball = arb(side.sign * reach / 2, reach / 2)
            found = series.coefficients_at(side.expansion, ball, end + 1)
        if found is not None:
            far = arb(reach)  # whose powers may lie beyond all floats
            apart = abs(found[end]) * far ** len(numbers) + sum(
                abs(exact[order + k] - c) * far**k for k, c in enumerate(numbers)
            )
            size = abs(numbers[0]) - sum(abs(c) * far**k for k, c in enumerate(numbers) if k)
            if apart * 1.01 <= side.tolerance / 4 * size:
                return reach
        reach /= 2
    return None


def taylor_reach(side: Side, place: float) -> tuple[float, agreement.Candidate | None]:
    """How far a Taylor polynomial at 0 is verified, up to a factor of 2, and the polynomial."""
    reach = min(place, 64.0)
    while reach > NEAR:
        if (found := taylor(side, reach)) is not None:
            return reach, found
        if side.expanded is None:
            break
        reach /= 2
    return 0.0, None


# --- farther out


@dataclass(frozen=True)
class Table:
    """Polynomials: on [edges[i], edges[i+1]] sum_k rows[i][k] t^k, t = (x - middles[i]) scales[i].
    `edges` in the order of x.

    A scale is a power of 2 and |t| <= 1: then no coefficient is larger than the function, which may
    be near the largest number.
    """

    edges: tuple[float, ...]
    middles: tuple[float, ...]
    scales: tuple[float, ...]
    rows: tuple[tuple[float, ...], ...]


def table(side: Side, low: float, high: float) -> Table:
    """Polynomials on [low, high], each with its proved remainder."""
    cells: list[tuple] = []
    pending = [(low, high)]
    while pending:
        a, b = pending.pop()
        row = _row(side, a, b) if b <= 2 * a or a == side.low else None
        if row is not None:
            cells.append((a, b, *row))
            continue
        middle = math.sqrt(a * b) if a > 0 else b / 2
        at_the_end = side.size(b) > side.arithmetic.largest / 1e9
        if (
            len(cells) + len(pending) > TABLE_CELLS
            or b - a < (NARROWEST_AT_THE_END if at_the_end else NARROWEST) * b
            or not a < middle < b
        ):
            raise programs.NotRepresentable(
                f"{side.function} can't be evaluated with the promised accuracy near x = "
                f"{side.sign * middle:.4g}"
            )
        pending += [(middle, b), (a, middle)]
    rows = sorted((*sorted((side.sign * a, side.sign * b)), *row) for a, b, *row in cells)
    return Table((rows[0][0], *(row[1] for row in rows)), *zip(*(row[2:] for row in rows)))


def mirrored(one: Table, parity: int) -> Table:
    """The table of parity F(-x)."""
    return Table(
        tuple(-edge for edge in reversed(one.edges)),
        tuple(-middle for middle in reversed(one.middles)),
        one.scales[::-1],
        tuple(
            tuple(parity * (-1) ** k * number for k, number in enumerate(row))
            for row in reversed(one.rows)
        ),
    )


def _row(side: Side, low: float, high: float) -> tuple[float, float, tuple[float, ...]] | None:
    """(middle, scale, coefficients) of a polynomial that is F on sign * [low, high] to within
    the tolerance.
    """
    terms, middle = TABLE_TERMS[side.arithmetic.name], side.sign * (low + high) / 2
    middle = arithmetic.as_single(middle) if side.arithmetic is arithmetic.SINGLE else middle
    for precision in (MODEL_BITS, EXACT_BITS):
        with bits(precision, terms + 1):
            found = side.expanded_on(low, high, terms, middle)
        if found is None:
            return None
        # log(1 + 10^-300) is lost beside 1, and then no zero
        sizes = [float(abs(c.mid())) * found.radius**k for k, c in enumerate(found.coefficients)]
        blurred = sum(
            float(c.rad()) * found.radius**k for k, c in enumerate(found.coefficients)
        ) * (1 + 1e-9)
        if blurred <= side.tolerance / 4 * max(sizes):
            break
    power = math.frexp(found.radius)[1]
    numbers = tuple(
        float((c * arb(2) ** (power * k)).mid()) for k, c in enumerate(found.coefficients)
    )
    radius, size = math.ldexp(found.radius, -power), 0.0
    for number in reversed(numbers):
        size = (size * radius + abs(number)) * (1 + 1e-15)
        if not size < side.arithmetic.largest:
            return None
    rest = float((abs(found.remainder) * arb(found.radius) ** terms).upper())
    # XLA takes what is below the smallest number for 0
    lost = (2 * terms + 2) * side.arithmetic.smallest if side.arithmetic.flushes else 0.0
    apart = rest + blurred + (2 * terms + 8) * side.arithmetic.half * size + lost
    allowed = max(side.allowed(low) * found.smallest(), 8 * lost)
    if high - low <= 4 * NARROWEST * high and found.smallest() == 0:
        allowed = side.tolerance * max(map(abs, numbers))  # around another zero
    return (found.middle, 2.0**-power, numbers) if apart * 1.01 <= allowed else None
