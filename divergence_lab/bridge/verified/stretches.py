"""Which source stands on which residuals; and the same by source: each program once, all
polynomials in one table.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from divergence_lab.bridge.verified import polynomials, programs


@dataclass(frozen=True)
class Range:
    """`source` stands for the function on low <= x < high; `late`: where the function is no
    number of single precision.
    """

    low: float
    high: float
    source: programs.Program | polynomials.Table
    late: bool = False


@dataclass(frozen=True)
class Ranges:
    """The stretches from left to right; the first and the last may be late.

    Beyond `reach` = (first, last residual) the function goes on straight.
    """

    stretches: tuple[Range, ...]
    reach: tuple[float, float]
    tolerance: float

    @property
    def early(self) -> Ranges:
        """Without what is late: enough for an answer in single precision or less."""
        kept = tuple(one for one in self.stretches if not one.late)
        return Ranges(kept, (kept[0].low, kept[-1].high), self.tolerance)


Spans = tuple[tuple[float, float], ...]


def by_source(found: Ranges) -> tuple[tuple[programs.Program | polynomials.Table, Spans], ...]:
    """(source, where it stands): the one with most stretches first, which stands wherever no
    other does.
    """
    tables = [one.source for one in found.stretches if isinstance(one.source, polynomials.Table)]
    places_of: dict[programs.Program | polynomials.Table, list[tuple[float, float]]] = {}
    table = _one_table(tables)
    infinite = float("inf")
    for k, one in enumerate(found.stretches):
        low = -infinite if k == 0 else one.low
        high = infinite if k == len(found.stretches) - 1 else one.high
        source = one.source if isinstance(one.source, programs.Program) else table
        places = places_of.setdefault(source, [])
        if places and places[-1][1] == low:
            places[-1] = (places[-1][0], high)
        else:
            places.append((low, high))
    ordered = sorted(places_of.items(), key=lambda item: -len(item[1]))
    return tuple((source, tuple(places)) for source, places in ordered)


def _one_table(tables: list[polynomials.Table]) -> polynomials.Table:
    """Tables from left to right as one; what lies between two belongs to another source."""
    edges = list(tables[0].edges[:1]) if tables else []
    for table in tables:
        edges[-1:] = table.edges
    return polynomials.Table(
        tuple(edges),
        tuple(itertools.chain(*(one.middles for one in tables))),
        tuple(itertools.chain(*(one.scales for one in tables))),
        tuple(itertools.chain(*(one.rows for one in tables))),
    )
