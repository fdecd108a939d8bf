"""Polynomials about further centres, where no program is verified: on each cell F to within the tolerance."""

from __future__ import annotations

import math
from dataclasses import dataclass

from divergence_lab.bridge.cells import MODEL_BITS, NARROWEST, Side
from divergence_lab.bridge.programs import NotRepresentable
from divergence_lab.bridge.series import model
from divergence_lab.theory.precision import bits

TABLE_TERMS = {"double": 16, "single": 7}
TABLE_CELLS = 1500


@dataclass(frozen=True)
class Table:
    """Polynomials: on [edges[i], edges[i+1]] sum_k rows[i][k] (x - middles[i])^k. `edges` in the order of x."""
    edges: tuple[float, ...]
    middles: tuple[float, ...]
    rows: tuple[tuple[float, ...], ...]


def table(side: Side, low: float, high: float) -> Table:
    """Polynomials on [low, high], each with its proved remainder."""
    cells: list[tuple[float, float, float, tuple[float, ...]]] = []
    pending = [(low, high)]
    while pending:
        a, b = pending.pop()
        row = _row(side, a, b) if b <= 2 * a or a == side.low else None
        if row is not None:
            cells.append((a, b, *row))
            continue
        middle = math.sqrt(a * b) if a > 0 else b / 2
        if len(cells) + len(pending) > TABLE_CELLS or b - a < NARROWEST * b or not a < middle < b:
            raise NotRepresentable(f"{side.function} can't be evaluated with the promised accuracy near x = {side.sign * middle:.4g}")
        pending += [(middle, b), (a, middle)]
    rows = sorted((min(side.sign * a, side.sign * b), max(side.sign * a, side.sign * b), m, c) for a, b, m, c in cells)
    return Table((rows[0][0], *(row[1] for row in rows)), tuple(row[2] for row in rows), tuple(row[3] for row in rows))


def _row(side: Side, low: float, high: float) -> tuple[float, tuple[float, ...]] | None:
    """(middle, coefficients) of a polynomial that is F on sign * [low, high] to within the tolerance."""
    terms = TABLE_TERMS[side.arithmetic.name]
    with bits(MODEL_BITS, terms + 1):
        found = model(side.expansion, *side.ends(low, high), terms)
    if found is None:
        return None
    numbers = tuple(float(c.mid()) for c in found.coefficients)
    if not all(map(math.isfinite, numbers)):
        return None
    powers = [found.radius**k for k in range(terms + 1)]
    size = sum(abs(c) * p for c, p in zip(numbers, powers))
    apart = float(abs(found.remainder).upper()) * powers[-1] + (2 * terms + 8) * side.arithmetic.half * size
    allowed = side.tolerance * found.smallest()
    if high - low <= 4 * NARROWEST * high and found.smallest() == 0:
        allowed = side.tolerance * max(map(abs, numbers))  # around another zero
    return (found.middle, numbers) if apart * 1.01 <= allowed else None
