"""Which source stands on which residuals; numbers where a formula has none; and the same by source:
each program once, all polynomials in one table.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from dataclasses import dataclass, replace

import sympy as sp
from flint import acb, arb

from divergence_lab.bridge.verified import agreement, polynomials, programs, rounding, series
from divergence_lab.bridge.verified.arithmetic import DOUBLE, NOWHERE, Arithmetic
from divergence_lab.bridge.verified.cells import ACCURATE, TINY
from divergence_lab.theory.checker.facts import proofs
from divergence_lab.theory.expressions import Pieces, digits, enclosure, x
from divergence_lab.theory.expressions.pieces import Piece, inside
from divergence_lab.theory.expressions.points import value_of

# u^v has no number where u is 0
POWERS = (
    lambda e: e.is_Pow and e.exp.has(x) and e.base.has(x),
    lambda e: sp.exp(e.exp * sp.log(e.base), evaluate=False),
)


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


def with_numbers(
    function: Pieces, stretches: list[Range], arithmetic: Arithmetic, again: bool
) -> list[Range]:
    """F is a number of its own at 0 and at kinks, where its formula has none: 0 log 0."""
    owner = next(one for one in stretches if one.low <= 0 < one.high)
    if (
        isinstance(owner.source, programs.Program)
        and rounding.error_on(owner.source, 0.0, 0.0, arithmetic) is NOWHERE
    ):
        program = programs.polynomial([_limit_at(function, sp.S.Zero, arithmetic.largest)], 0)
        # below the smallest number some devices take a residual for 0
        number = Range(0.0, arithmetic.smallest, program)
        at = stretches.index(owner)
        before = [replace(owner, high=0.0)] if owner.low < 0 else []
        stretches[at : at + 1] = [*before, number, replace(owner, low=number.high)]
    for piece in function.pieces[1:]:
        if piece.low != 0 and is_apart(piece, piece.low, again):
            point = float(piece.low)
            before, after = math.nextafter(point, -math.inf), math.nextafter(point, math.inf)
            if not all(any(one.low <= z <= one.high for one in stretches) for z in (before, after)):
                continue  # the straight line begins before it
            program = programs.polynomial([_limit_at(function, piece.low, arithmetic.largest)], 0)
            stretches.append(Range(point, after, program))
    return sorted(stretches, key=lambda one: one.low)


def is_apart(piece: Piece, end: sp.Expr, again: bool = False) -> bool:
    """Its end is a binary number at which its formula has no value; in a second try, or a
    derivative of it.
    """
    if not (end.is_finite and sp.Rational(float(end)) == end):
        return False
    orders = [piece.expression.diff(x, order) for order in range(3 if again else 1)]
    return any(value_of(programs.replaced(e, *POWERS), x, end) is None for e in orders)


def _limit_at(function: Pieces, point: sp.Expr, largest: float) -> float:
    """What F tends to from the right, or else from the left; the largest number where both are
    infinite with one sign, 0 where with two.
    """
    found = []
    for side in (1, -1):
        piece = next(
            p
            for p in function.pieces
            if point == (p.low if side > 0 else p.high) or p.low < point < p.high
        )
        with contextlib.suppress(proofs.Rejected, enclosure.NotEvaluable):
            found.append(proofs.limit_of(piece.expression, x, point, side))
    known = [limit for limit in found if limit is not None]
    finite = [limit for limit in known if limit.is_finite]
    if not finite and len(known) < 2 and abs(point) > ACCURATE:  # its sign is all that is promised
        return number_at(function, math.nextafter(float(point), math.inf))
    if not finite and len(known) < 2:
        raise programs.NotRepresentable(f"no limit of {function} was found at x = {point}")
    if finite:
        return float(finite[0])
    return float(sp.sign(known[0])) * largest if known[0] == known[1] else 0.0


def number_at(function: Pieces, point: float, found: Ranges | None = None) -> float:
    """The function at a binary number, to double precision; where that can't be had, as `found`
    computes it.
    """
    piece = next(
        piece for piece in function.pieces if piece.high == sp.oo or point < float(piece.high)
    )
    for written in (
        lambda: piece.expression,
        lambda: (
            agreement.over_towers(piece.expression, 1 if point > 0 else -1, inside(piece))
            or piece.expression
        ),
    ):
        with digits(60 + min(int(abs(point)), 2000)), contextlib.suppress(*series.FAILURES):
            ball = enclosure.evaluator(written(), x)(acb(arb(point)), False).real
            if ball.is_finite():
                return float(ball.mid())
    for one in found.stretches if found else ():
        if one.low <= point <= one.high and isinstance(one.source, programs.Program):
            near = rounding.error_on(one.source, point, point, DOUBLE)
            if near.absolute <= 1e-12 * near.nearest or near.size < TINY * DOUBLE.smallest:
                return (near.low + near.high) / 2
    raise programs.NotRepresentable(f"{piece.expression} can't be evaluated at x = {point:.4g}")


# --- by source

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
