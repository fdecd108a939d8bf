"""A loss on a cell of parameters: its smooth pieces, and what is asked of them for all parameters
at once. Part of the trusted checker.

**Idea.** A cell gives each parameter one exact value or an open range. `cell_forms` writes a range
by a positive symbol: a = 2 + z for a > 2, a = 1/(1 + z) for 0 < a < 1. Then every fact is proved
for all values of these symbols at once: signs by `signs`, what happens at the two ends and at kinks
by `germs`. With no symbol left, `facts/proofs` does it with balls and tails, as for a plain loss.
`kinds` asks these facts for a verdict, and `kinds/in_cells.holds_in_cell` puts it together.

**Source.** Proposition 20 (docs) says why an answer on each cell of a grid is one for all
parameters; Proposition 19 that a scale may be taken out before.

**Example.** Linex (e^{a x} - a x - 1)/a^2 is zero-avoiding exactly for a >= 1: the two cells on
either side of 1, and one that straddles it, where there is no one answer.

    >>> from divergence_lab.theory.checker.kinds.in_cells import holds_in_cell
    >>> a = sp.Symbol("a", real=True)
    >>> linex = (sp.exp(a * x) - a * x - 1) / a**2
    >>> one, oo = sp.S.One, sp.oo
    >>> holds_in_cell("zero_avoiding", linex, {"a": (one, oo)})
    True
    >>> holds_in_cell("zero_avoiding", linex, {"a": (sp.S.Zero, one)})
    False
    >>> both = {"a": (sp.S.Zero, oo)}
    >>> holds_in_cell("zero_avoiding", linex, both)  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    ...
    Unsigned: the sign of a~ - 1 is not known for all parameters

**How to debug.** `positive_form` shows the symbols of a cell (a~ above is the one of a),
`read_cell` its pieces. Unsigned carries the expression whose sign was not seen; ask `signs.sign`
for its parts. The search cuts the range where that expression is 0, and asks again
(`verdicts/proposals`).
"""

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sympy as sp

from divergence_lab.theory.checker.facts import proofs
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.families import by_terms, ranges, signs
from divergence_lab.theory.checker.families.minima import least_value
from divergence_lab.theory.expressions import CannotSplit, Pieces, split, x
from divergence_lab.theory.expressions.ordering import (
    OrderUnknown,
    in_order,
    is_less,
    with_mirror_images,
)
from divergence_lab.theory.expressions.pieces import Piece

_Y = sp.Symbol("~y", positive=True)


class Negative(proofs.Rejected):
    """A function that should be nowhere negative is, for all parameters."""


@dataclass(frozen=True)
class Cell:
    """A loss on a cell: its pieces, broken at 0 (and at mirror images of kinks), in the symbols of
    the cell. `free`: parameters are left.
    """

    pieces: Pieces
    slopes: Pieces
    free: bool


@lru_cache(maxsize=200)
def read_cell(expression: sp.Expr, mirrored: bool) -> Cell:
    """The pieces of a loss that is written in the symbols of a cell: finite, continuous, 0 at 0.

    Raises Rejected.
    """
    try:
        pieces = refined(split(expression, x), mirrored)
        cell = Cell(pieces, pieces.derivative(), bool(expression.free_symbols - {x}))
    except OrderUnknown as unknown:
        raise signs.Unsigned(unknown.difference) from None
    except CannotSplit as reason:
        raise Rejected(str(reason)) from None
    need_order(pieces)
    for piece in pieces.pieces:
        prove_finite(piece, cell.free)
    # inside a smooth piece as well: x^2/(x^2 + c^2)
    for cut, before, after in zip(pieces.kinks, pieces.pieces, pieces.pieces[1:]):
        ends = (
            limit_at(before.expression, cut, -1, cell.free),
            limit_at(after.expression, cut, 1, cell.free),
        )
        # each is a limit: a value of finite parts, or oo; SymPy can't say that 1/(b + 1) is finite
        if (
            any(e.has(sp.oo, sp.zoo, sp.nan) for e in ends)
            or not signs.is_zero(ends[1] - ends[0])
            or (cut == 0 and not signs.is_zero(ends[0]))
        ):
            raise Rejected(f"g is not shown to be continuous at {cut}, or 0 at 0")
    return cell


def need_order(pieces: Pieces) -> None:
    """No piece is empty for some of the parameters, as (0, c^2) is at c = 0. Raises Unsigned.

    `split` takes 0 < c^2 for granted, as it does 0 < c where c >= 0.
    """
    for piece in pieces.pieces:
        length = piece.high - piece.low
        if not length.is_infinite and signs.sign(length) != 1:
            raise signs.Unsigned(length)


def refined(pieces: Pieces, mirrored: bool = True) -> Pieces:
    """The pieces broken at 0 as well and, where the two sides are compared, at the mirror image
    of every kink.
    """
    breaks = with_mirror_images(pieces.kinks) if mirrored else in_order([sp.S.Zero, *pieces.kinks])
    return Pieces(
        tuple(
            Piece(
                a,
                b,
                next(
                    p.expression
                    for p in pieces.pieces
                    if not is_less(a, p.low) and not is_less(p.high, b)
                ),
            )
            for a, b in itertools.pairwise([-sp.oo, *breaks, sp.oo])
        ),
        x,
    )


def _on_positive(f: sp.Expr, piece: Piece) -> sp.Expr:
    """f with x written by a positive symbol over the whole of the piece."""
    return sp.powdenest(f.subs(x, ranges.over_piece(piece, _Y)))


# --- facts


def prove_finite(piece: Piece, free: bool) -> None:
    """The piece's function is finite and analytic inside, for all parameters. Raises Rejected."""
    if isinstance(piece.expression, sp.Integral):
        prove_integrable(piece, free)
        return
    if signs.is_finite(_on_positive(piece.expression, piece), _Y):
        return
    if free:
        raise Rejected(
            f"{piece.expression} is not shown to be finite on ({piece.low}, {piece.high})"
        )
    proofs.prove_finite(piece.expression, x, piece.low, piece.high)


def prove_integrable(piece: Piece, free: bool) -> None:
    """g = int_0^x h(v) dv beside 0: h is finite and analytic on the piece and has a limit at 0,
    so g is finite and analytic, too, and tends to 0 there. Raises Rejected.
    """
    h, limits = piece.expression.function, piece.expression.limits
    if limits != ((limits[0][0], sp.S.Zero, x),) or 0 not in (piece.low, piece.high):
        raise Rejected(f"{piece.expression} is no integral from 0 to x beside 0")
    slope = Piece(piece.low, piece.high, h.xreplace({limits[0][0]: x}))
    prove_finite(slope, free)
    beside = limit_at(slope.expression, sp.S.Zero, 1 if piece.low == 0 else -1, free)
    if beside.has(sp.oo, sp.zoo, sp.nan):
        raise Rejected(f"{slope.expression} is not bounded beside 0")


def limit_at(f: sp.Expr, end: sp.Expr, side: int, free: bool) -> sp.Expr:
    """lim f at oo, -oo or beside a finite end, for all parameters. Raises Rejected."""
    if isinstance(f, sp.Integral):
        return _limit_of_integral(f, end)
    if free or end.free_symbols:
        if end.is_finite and signs.is_finite(f, at=(x, end)):  # every part of f is: 0*zoo is no 0
            return f.subs(x, end)
        return by_terms.limit_of(f, x, end, side)
    limit = proofs.limit_of(f, x, end, side)
    if limit is None:
        raise Rejected(f"the limit of {f} at {end} is not known")
    return limit


def _limit_of_integral(g: sp.Expr, end: sp.Expr) -> sp.Expr:
    """0 at 0, of an integral from there whose integrand `prove_integrable` has bounded."""
    if end != 0 or g.limits[0][1:] != (sp.S.Zero, x):
        raise Rejected(f"the limit of {g} at {end} is not known")
    return sp.S.Zero


def prove_nonnegative(f: sp.Expr, piece: Piece, free: bool) -> None:
    """f >= 0 on the piece, for all parameters. Raises Negative, Unsigned, Rejected."""
    if f == 0:
        return
    written = _on_positive(f, piece)
    try:
        if not free:
            proofs.prove_nonnegative(f, x, piece.low, piece.high)
        elif not signs.is_nonnegative(written):
            raise signs.Unsigned(written)
    except proofs.Rejected:
        if not free and signs.is_nonnegative(written):  # 1 - tanh(y)^2: boxes do not see 0 at oo
            return
        least = least_value(written, _Y)
        if least is None:
            raise
        if signs.sign(least[1]) == -1:
            raise Negative(f"{f} is negative inside ({piece.low}, {piece.high})") from None


def is_inside(point: sp.Expr, piece: Piece) -> bool:
    """The point lies inside the piece, for all parameters."""
    return (piece.low == -sp.oo or signs.sign(point - piece.low) == 1) and (
        piece.high == sp.oo or signs.sign(piece.high - point) == 1
    )


def value_at(function: Pieces, point: sp.Expr) -> tuple[sp.Expr, Piece]:
    """The function at the point, and the piece in which that lies."""
    for piece in function.pieces:
        if is_inside(point, piece):
            return piece.expression.subs(x, point), piece
    raise Rejected(f"{point} is not inside one piece for all parameters")


def _beside(cell: Cell, point: sp.Expr) -> tuple[Piece, Piece]:
    """The slope before and after a break."""
    before = next(p for p in cell.slopes.pieces if p.high == point)
    return before, next(p for p in cell.slopes.pieces if p.low == point)


def jump_at(cell: Cell, kink: sp.Expr) -> sp.Expr:
    """g'(kink+) - g'(kink-)"""
    before, after = _beside(cell, kink)
    if before.expression == after.expression and signs.is_finite(before.expression, at=(x, kink)):
        return sp.S.Zero
    jump = limit_at(after.expression, kink, 1, cell.free) - limit_at(
        before.expression, kink, -1, cell.free
    )
    if jump is sp.nan:
        raise Rejected(f"the slopes at {kink} are infinite alike")
    return jump


def slopes_at_zero(cell: Cell) -> tuple[sp.Expr, sp.Expr]:
    """g'(0-), g'(0+)"""
    before, after = _beside(cell, sp.S.Zero)
    return (
        limit_at(before.expression, sp.S.Zero, -1, cell.free),
        limit_at(after.expression, sp.S.Zero, 1, cell.free),
    )


def sign_near(f: sp.Expr, end: sp.Expr, side: int, free: bool) -> int:
    """The sign of f near an end, for all parameters. Raises Rejected."""
    if end.is_finite and signs.is_finite(f, at=(x, end)) and (found := signs.sign(f.subs(x, end))):
        return found
    if free or end.free_symbols:
        return by_terms.sign_near(f, x, end, side)
    return proofs.at_end(f, x, end, side, lambda X, line, tail: line.sign(tail))


def is_negative_near_an_end(pieces: Sequence[Piece], free: bool) -> bool | signs.Unsigned:
    """A function is negative near some end of its pieces, for all parameters; else False, or the
    sign in question.
    """
    ends = [(p.expression, p.low, 1) for p in pieces] + [(p.expression, p.high, -1) for p in pieces]
    unknown = False
    for f, end, side in sorted(ends, key=lambda e: bool(e[1].is_finite)):
        try:
            if sign_near(f, end, side, free) == -1:
                return True
        except signs.Unsigned as failure:
            unknown = unknown or failure
        except proofs.Rejected:
            continue
    return unknown


@contextlib.contextmanager
def says_what_is_unknown(sign_in_question: Any) -> Iterator[None]:
    """What is not proved is not, since this sign is not known: there the cell is cut."""
    try:
        yield
    except Negative:
        raise
    except proofs.Rejected as reason:
        raise sign_in_question or reason from None


def inner_point_of(piece: Piece) -> sp.Expr:
    """A point of the piece, for all parameters; where e^x stays rational if that is possible."""
    if piece.low == -sp.oo:
        return piece.high - sp.log(2)
    return piece.low + sp.log(2) if piece.high == sp.oo else (piece.low + piece.high) / 2
