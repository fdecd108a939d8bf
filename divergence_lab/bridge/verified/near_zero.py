"""Near 0: a Taylor polynomial with a proved remainder, as short as will do.

F(x) = c_k x^k + ... + c_n x^n + r x^(n+1),    r by Lagrange: the (n+1)-th coefficient on all of [0, x]
"""

from __future__ import annotations

import math

import sympy as sp
from flint import arb

from divergence_lab.bridge.verified.cells import MODEL_BITS, NEAR, Candidate, Side
from divergence_lab.bridge.verified.programs import polynomial
from divergence_lab.bridge.verified.series import coefficients_at
from divergence_lab.theory.expressions.precision import bits
from divergence_lab.theory.expressions.symbols import x

EXACT_BITS = 1500  # for zeros of high order: (10^-6)^60 beside 1
TAYLOR_TERMS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 28, 40)
SERIES_LENGTH = 140  # coefficients of the expansion at 0 that are looked at


def _expanded(side: Side, precision: int, length: int) -> tuple[int, list[arb], list[float]] | None:
    """(order k of the zero, coefficients, what a coefficient taken for 0 may be at most); None:
    not analytic at 0.
    """
    with bits(precision, length):
        found = coefficients_at(side.expansion, arb(0), length)
    if found is None:
        return None
    order = next((k for k, c in enumerate(found) if not c.contains(0)), None)
    return (
        None
        if order is None
        else (order, found, [float(abs(c).upper()) if c.contains(0) else 0.0 for c in found])
    )


def taylor(side: Side, wanted: float) -> Candidate | None:
    """The shortest Taylor polynomial at 0 that is verified up to |x| = wanted."""
    if side.expanded is False:
        side.expanded = None
        for precision, length in ((MODEL_BITS, 48), (EXACT_BITS, SERIES_LENGTH)):
            found = _expanded(side, precision, length)
            if found is not None and _zeros_are_safe(side, found):
                side.expanded = found
                break
    if side.expanded is None:
        return None
    order, exact, _ = side.expanded
    leading = float(abs(exact[order]).mid())
    for terms in TAYLOR_TERMS:
        kept = [k for k in range(order, len(exact)) if not exact[k].contains(0)]
        if len(kept) <= terms and len(exact) > 48 and len(kept) < 3:
            length = len(exact) - order - 1
        else:
            length = (kept[terms] if terms < len(kept) else len(exact) - 1) - order
        if length < 1 or order + length >= len(exact):
            return None
        following = float((abs(exact[order + length]) * arb(wanted) ** length).upper())
        if following > side.tolerance * leading * max(1.0, wanted * wanted):
            continue
        numbers = [
            0.0 if exact[k].contains(0) else float(exact[k].mid())
            for k in range(order, order + length)
        ]
        if not all(map(math.isfinite, numbers)):
            return None
        program = polynomial(numbers, order)
        written = sum(
            (sp.Rational(c) * x ** (order + k) for k, c in enumerate(numbers) if c), sp.S.Zero
        )
        one = Candidate(written, program)
        start = _proved_from_zero(side, order, exact, numbers, wanted)
        if start is None or not side.agrees(one, start, wanted):
            continue
        spans = side.verified(program, wanted)
        if spans and spans[0][0] <= side.arithmetic.least and spans[0][1] >= wanted:
            return one
    return None


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
            found = coefficients_at(side.expansion, ball, end + 1)
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


def taylor_reach(side: Side, place: float) -> tuple[float, Candidate | None]:
    """How far a Taylor polynomial at 0 is verified, up to a factor of 2, and the polynomial."""
    reach = min(place, 64.0)
    while reach > NEAR:
        if (found := taylor(side, reach)) is not None:
            return reach, found
        if side.expanded is None:
            break
        reach /= 2
    return 0.0, None
