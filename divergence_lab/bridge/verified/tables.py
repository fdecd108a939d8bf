"""Polynomials about further centres, where no program is verified: on each cell F to within the
tolerance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from flint import arb

from divergence_lab.bridge.verified.cells import MODEL_BITS, NARROWEST, NARROWEST_AT_THE_END, Side
from divergence_lab.bridge.verified.programs import NotRepresentable
from divergence_lab.bridge.verified.rounding import SINGLE, as_single
from divergence_lab.bridge.verified.series import model
from divergence_lab.theory.expressions.precision import bits

TABLE_TERMS = {"double": 16, "single": 7}
TABLE_CELLS = 1500


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
        if (
            len(cells) + len(pending) > TABLE_CELLS
            or b - a
            < (NARROWEST_AT_THE_END if side.size(b) > side.arithmetic.largest / 1e9 else NARROWEST)
            * b
            or not a < middle < b
        ):
            raise NotRepresentable(
                f"{side.function} can't be evaluated with the promised accuracy near x = "
                f"{side.sign * middle:.4g}"
            )
        pending += [(middle, b), (a, middle)]
    rows = sorted((*sorted((side.sign * a, side.sign * b)), *row) for a, b, *row in cells)
    return Table((rows[0][0], *(row[1] for row in rows)), *zip(*(row[2:] for row in rows)))


def _row(side: Side, low: float, high: float) -> tuple[float, float, tuple[float, ...]] | None:
    """(middle, scale, coefficients) of a polynomial that is F on sign * [low, high] to within
    the tolerance.
    """
    terms, middle = TABLE_TERMS[side.arithmetic.name], side.sign * (low + high) / 2
    with bits(MODEL_BITS, terms + 1):
        found = model(
            side.expansion,
            *side.ends(low, high),
            terms,
            as_single(middle) if side.arithmetic is SINGLE else middle,
        )
    if found is None:
        return None
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
    apart = rest + (2 * terms + 8) * side.arithmetic.half * size
    allowed = side.allowed(low) * found.smallest()
    if high - low <= 4 * NARROWEST * high and found.smallest() == 0:
        allowed = side.tolerance * max(map(abs, numbers))  # around another zero
    return (found.middle, 2.0**-power, numbers) if apart * 1.01 <= allowed else None
