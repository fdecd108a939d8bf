"""One verdict for all parameters of a cell, or at one point of it. Part of the trusted checker.

A cell gives each parameter one exact value or an open range. The range is written by a positive
symbol, and every fact is then proved for all values of that symbol: signs by `parameter_signs`,
what happens at the two ends and at kinks by `germs` (Proposition 20). With no parameter left,
`proofs` does it, as for a plain loss. A scale is taken out first where the certificate names one
(Proposition 19).
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import sympy as sp

from divergence_lab.theory.checker.facts import proofs
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.families import by_terms
from divergence_lab.theory.checker.families.cell_forms import (
    Ranges,
    at_points,
    positive_form,
    without_scale,
)
from divergence_lab.theory.checker.families.continuation import Sides
from divergence_lab.theory.checker.families.exponential_terms import (
    common_factor,
    in_question,
    never_vanishes,
)
from divergence_lab.theory.checker.families.signs import (
    Unsigned,
    is_finite,
    is_nonnegative,
    is_zero,
    sign,
)
from divergence_lab.theory.expressions.ordering import (
    CannotSplit,
    in_order,
    is_less,
    with_mirror_images,
)
from divergence_lab.theory.expressions.pieces import Piece, Pieces, split
from divergence_lab.theory.expressions.symbols import x

KINDS = (
    "validity",
    "convex",
    "zero_forcing",
    "zero_avoiding",
    "even",
    "symmetric",
    "bounded_gradient",
)
SHOWN_AT = ("validity", "convex", "even", "symmetric")  # what one point can disprove
SCALE_FREE = ("validity", "convex", "zero_forcing", "even", "bounded_gradient")
_Y = sp.Symbol("~y", positive=True)


@dataclass(frozen=True)
class Smooth:
    """A loss on a cell: its pieces, broken at 0 (and at mirror images of kinks), in the symbols
    of the cell.
    """

    merged: Pieces
    pieces: Pieces
    slopes: Pieces
    free: bool  # parameters are left


def holds_in_cell(
    kind: str,
    loss: sp.Expr,
    ranges: Ranges,
    at: sp.Expr | None = None,
    scale: sp.Expr | None = None,
    sides: Sides = None,
) -> bool:
    """Whether the verdict holds for all parameters in the ranges (name -> (low, high), equal for a
    point).

    `at`: where a sign is wrong or an identity fails, as an expression in the parameters; `scale`: u
    > 0 such that g(x/u) is a positive factor times a function without one parameter; `sides`: from
    where a parameter at a point may come to it (both, if not said). Raises Rejected, with Unsigned
    for a sign that depends on the parameters, and NoValue.
    """
    if sides is None:
        sides = {}
    return _holds(
        kind,
        loss,
        tuple(ranges.items()),
        at,
        scale,
        tuple((name, tuple(s)) for name, s in sides.items()),
    )


@lru_cache(
    maxsize=500
)  # a verdict is proved once when it is found and again as the certificate that is shown
def _holds(
    kind: str, loss: sp.Expr, cell: tuple, at: sp.Expr | None, scale: sp.Expr | None, sides: tuple
) -> bool:
    ranges = dict(cell)
    written = positive_form(loss, ranges)
    expression = at_points(loss, written, ranges, dict(sides))
    witness = None if at is None else at.subs(written)
    if not all(
        is_finite(hint)
        for hint in (witness, None if scale is None else sp.sympify(scale).subs(written))
        if hint is not None
    ):
        raise Rejected("the point or the scale is not a finite number for all parameters")
    if scale is not None:
        if kind not in SCALE_FREE:
            raise Rejected(f"{kind} may depend on the scale")
        try:
            expression = without_scale(expression, sp.sympify(scale).subs(written))
        except CannotSplit as reason:
            raise Rejected(str(reason)) from None
    if not expression.has(x):
        if not is_zero(expression):
            raise Rejected("g(0) is not 0")
        if witness is not None:
            raise Rejected("g is 0: no point shows anything")
        return kind in ("convex", "even", "symmetric", "bounded_gradient")  # g = 0
    return _DECISIONS[kind](_cell(expression, kind in ("even", "symmetric")), witness)


# --- the pieces


@lru_cache(maxsize=200)
def _cell(expression: sp.Expr, mirrored: bool) -> Smooth:
    try:
        merged = split(expression, x)
        pieces = refined(merged, mirrored)
        slopes = pieces.derivative()
    except CannotSplit as reason:
        raise Rejected(str(reason)) from None
    cell = Smooth(merged, pieces, slopes, bool(expression.free_symbols - {x}))
    for piece in pieces.pieces:
        if not is_finite(_on_positive(piece.expression, piece), _Y):
            if cell.free:
                raise Rejected(
                    f"{piece.expression} is not shown to be finite on ({piece.low}, {piece.high})"
                )
            proofs.prove_finite(piece.expression, x, piece.low, piece.high)
    for cut, before, after in zip(
        pieces.kinks, pieces.pieces, pieces.pieces[1:]
    ):  # inside a smooth piece as well: x^2/(x^2 + c^2)
        ends = (
            _limit(before.expression, cut, -1, cell.free),
            _limit(after.expression, cut, 1, cell.free),
        )
        # each is a limit: a value of finite parts, or oo; SymPy can't say that 1/(b + 1) is finite
        if (
            any(e.has(sp.oo, sp.zoo, sp.nan) for e in ends)
            or not is_zero(ends[1] - ends[0])
            or (cut == 0 and not is_zero(ends[0]))
        ):
            raise Rejected(f"g is not shown to be continuous at {cut}, or 0 at 0")
    return cell


def refined(pieces: Pieces, mirrored: bool = True) -> Pieces:
    """The pieces broken at 0 as well and, where the two sides are compared, at the mirror image
    of every kink.
    """
    ends = [
        -sp.oo,
        *(with_mirror_images(pieces.kinks) if mirrored else in_order([sp.S.Zero, *pieces.kinks])),
        sp.oo,
    ]
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
            for a, b in itertools.pairwise(ends)
        ),
        x,
    )


def _on_positive(f: sp.Expr, piece: Piece) -> sp.Expr:
    """f with x written by a positive symbol over the whole of the piece."""
    low, high = piece.low, piece.high
    if low == -sp.oo:
        point = high - _Y
    else:
        point = low + _Y if high == sp.oo else low + (high - low) / (1 + _Y)
    return sp.powdenest(f.subs(x, point))


# --- facts


def _limit(f: sp.Expr, end: sp.Expr, side: int, free: bool) -> sp.Expr:
    if free or end.free_symbols:
        if end.is_finite and is_finite(f, at=(x, end)):  # every part of f is: 0*zoo is no 0
            return f.subs(x, end)
        return by_terms.limit_of(f, x, end, side)
    found = proofs.limit_of(f, x, end, side)
    if found is None:
        raise Rejected(f"the limit of {f} at {end} is not known")
    return found


def _prove_nonnegative(f: sp.Expr, piece: Piece, free: bool) -> None:
    if free:
        if not is_nonnegative(_on_positive(f, piece)):
            raise Unsigned(_on_positive(f, piece))
    elif f != 0:
        proofs.prove_nonnegative(f, x, piece.low, piece.high)


def _is_inside(point: sp.Expr, piece: Piece) -> bool:
    return (piece.low == -sp.oo or sign(point - piece.low) == 1) and (
        piece.high == sp.oo or sign(piece.high - point) == 1
    )


def _value_at(function: Pieces, point: sp.Expr) -> tuple[sp.Expr, Piece]:
    for piece in function.pieces:
        if _is_inside(point, piece):
            return piece.expression.subs(x, point), piece
    raise Rejected(f"{point} is not inside one piece for all parameters")


def _jump(cell: Smooth, kink: sp.Expr) -> sp.Expr:
    before = next(p for p in cell.slopes.pieces if p.high == kink)
    after = next(p for p in cell.slopes.pieces if p.low == kink)
    if before.expression == after.expression and is_finite(before.expression, at=(x, kink)):
        return sp.S.Zero
    jump = _limit(after.expression, kink, 1, cell.free) - _limit(
        before.expression, kink, -1, cell.free
    )
    if jump is sp.nan:
        raise Rejected(f"the slopes at {kink} are infinite alike")
    return jump


def _zero_forcing(cell: Smooth, witness: sp.Expr | None) -> bool:
    return _limit(cell.slopes.pieces[0].expression, -sp.oo, 0, cell.free) == -sp.oo


def _zero_avoiding(cell: Smooth, witness: sp.Expr | None) -> bool:
    f = cell.slopes.pieces[-1].expression * sp.exp(-x)
    return by_terms.diverges(f, x) if cell.free else proofs.integral_diverges(f, x)


def _bounded(cell: Smooth, witness: sp.Expr | None) -> bool:
    pieces = cell.slopes.pieces
    ends = [
        _limit(p.expression, end, side, cell.free)
        for p in pieces
        for end, side in ((p.low, 1), (p.high, -1))
    ]
    if any(end.is_infinite for end in ends):
        return False
    for p in pieces:
        if not is_finite(_on_positive(p.expression, p), _Y):
            if cell.free:
                raise Rejected(f"{p.expression} is not shown to be finite on ({p.low}, {p.high})")
            proofs.prove_finite(p.expression, x, p.low, p.high)
    return True


def _convex(cell: Smooth, witness: sp.Expr | None) -> bool:
    if witness is not None:
        value, _ = _value_at(cell.slopes.derivative(), witness)
        if sign(value) != -1:
            raise Rejected(f"g'' is not negative at {witness}")
        return False
    curvature = cell.slopes.derivative().pieces
    if _ends_below_zero(curvature[0].expression, curvature[-1].expression, cell):
        return False
    jumps = [_jump(cell, kink) for kink in cell.slopes.kinks]
    if any(
        jump == -sp.oo or (jump.is_finite and sp.expand(jump) != 0 and sign(jump) < 0)
        for jump in jumps
    ):
        return False
    for piece in curvature:
        _prove_nonnegative(piece.expression, piece, cell.free)
    return True


def _valid(cell: Smooth, witness: sp.Expr | None) -> bool:
    if witness is not None:
        value, piece = _value_at(cell.slopes, witness)
        if sign(value) != (-1 if is_less(sp.S.Zero, piece.high) else 1):
            raise Rejected(f"the slope has the right sign at {witness}")
        return False
    beside = [piece for piece in cell.slopes.pieces if 0 in (piece.low, piece.high)]
    if any(is_zero(piece.expression) for piece in beside):
        return False
    if _ends_below_zero(-cell.slopes.pieces[0].expression, cell.slopes.pieces[-1].expression, cell):
        return False
    try:
        for piece in cell.slopes.pieces:
            left = not is_less(sp.S.Zero, piece.high)
            _prove_nonnegative(-piece.expression if left else piece.expression, piece, cell.free)
    except Rejected:
        if not _convex(cell, None) or not _slopes_at_zero_are_apart(cell):
            raise
    for piece in beside:
        if sign(piece.expression.subs(x, inner_point(piece))) == 0:
            raise Rejected(
                "that g is not constant beside 0 is not seen"
            )  # analytic: not 0 at a point is enough
    return True


def _ends_below_zero(first: sp.Expr, last: sp.Expr, cell: Smooth) -> bool:
    """A function tends to something negative at -oo (`first`) or at oo (`last`), for all
    parameters; False: not shown.
    """
    for f, end in ((first, -sp.oo), (last, sp.oo)):
        try:
            limit = _limit(f, end, 0, cell.free)
            if limit == -sp.oo or (limit.is_finite and sign(limit) == -1):
                return True
        except Rejected:
            continue
    return False


def _slopes_at_zero_are_apart(cell: Smooth) -> bool:
    """g'(0-) <= 0 <= g'(0+): then a convex g falls before 0 and rises after it."""
    below, above = _slopes_at_zero(cell)
    return below.is_finite and above.is_finite and is_nonnegative(-below) and is_nonnegative(above)


def _slopes_at_zero(cell: Smooth) -> tuple[sp.Expr, sp.Expr]:
    before = next(p for p in cell.slopes.pieces if p.high == 0)
    after = next(p for p in cell.slopes.pieces if p.low == 0)
    return _limit(before.expression, sp.S.Zero, -1, cell.free), _limit(
        after.expression, sp.S.Zero, 1, cell.free
    )


# --- identities


def _mirrored(function: Pieces) -> list[tuple[Piece, sp.Expr]]:
    """Each piece right of 0 beside h(-x) of its mirror image."""
    count = len(function.pieces) // 2
    mirrored = [p.expression.xreplace({x: -x}) for p in reversed(function.pieces[:count])]
    return list(zip(function.pieces[count:], mirrored))


def _vanish(differences: Sequence[tuple[Piece, sp.Expr]], witness: sp.Expr | None) -> bool:
    """All differences are 0 on their pieces (True), or one is not 0 at a point, whatever the
    parameters (False).
    """
    for piece, difference in differences:
        if is_zero(difference):
            continue
        if witness is None and _is_never_zero(difference):
            return False
        point = witness if witness is not None else inner_point(piece)
        if not _is_inside(point, piece):
            raise Rejected(f"{point} is not inside ({piece.low}, {piece.high})")
        if sign(difference.subs(x, point)) != 0:
            return False
        raise Rejected(f"the difference is 0 at {point}")
    return True


def _is_never_zero(difference: sp.Expr) -> bool:
    """Raises Unsigned with what may be 0, where that is why it is not seen."""
    try:
        found = never_vanishes(difference)
        unknown = None if found else in_question(difference)
    except Rejected:
        try:
            return sign(common_factor(difference)) != 0
        except Unsigned:
            raise
        except (Rejected, sp.PolynomialError):
            return False
    if unknown is not None:
        raise Unsigned(unknown)
    return found


def inner_point(piece: Piece) -> sp.Expr:
    """A point of the piece, for all parameters; where e^x stays rational if that is possible."""
    if piece.low == -sp.oo:
        return piece.high - sp.log(2)
    return piece.low + sp.log(2) if piece.high == sp.oo else (piece.low + piece.high) / 2


def identities(kind: str, loss: sp.Expr) -> tuple[list[sp.Expr], list[tuple[Piece, sp.Expr]]]:
    """What all has to be 0 for the loss to be even, or its divergence symmetric: numbers, and
    functions on pieces.
    """
    cell = _cell(loss, True)
    return (_odd_parts if kind == "even" else _asymmetries)(cell)


def _odd_parts(cell: Smooth) -> tuple[list[sp.Expr], list[tuple[Piece, sp.Expr]]]:
    return [], [(p, p.expression + m) for p, m in _mirrored(cell.slopes)]


def _asymmetries(cell: Smooth) -> tuple[list[sp.Expr], list[tuple[Piece, sp.Expr]]]:
    kinks, atoms = cell.slopes.kinks, []
    jumps = [_jump(cell, kink) for kink in kinks]
    if all(jump.is_finite for jump in jumps):
        atoms = [sum(_slopes_at_zero(cell))]
        atoms += [
            sp.exp(-k / 2) * a - sp.exp(k / 2) * b for k, a, b in zip(kinks, jumps, reversed(jumps))
        ]
    elif len(jumps) > 1:
        raise Rejected("infinite slopes away from 0, or not there alone")
    else:  # infinite slopes at 0: what is left of them counts (Proposition 6, part 6)
        before, after = cell.slopes.pieces
        atoms = [
            _limit(
                after.expression + sp.exp(x) * before.expression.xreplace({x: -x}),
                sp.S.Zero,
                1,
                cell.free,
            )
        ]
    return atoms, [
        (p, p.expression - sp.exp(x) * m) for p, m in _mirrored(cell.slopes.derivative())
    ]


def _even(cell: Smooth, witness: sp.Expr | None) -> bool:
    try:
        return _vanish(_odd_parts(cell)[1], witness)
    except Unsigned:  # g'' of an even g is even, and often simpler: where it is not, g is not
        with contextlib.suppress(Rejected):
            if not _vanish(
                [(p, p.expression - m) for p, m in _mirrored(cell.slopes.derivative())], witness
            ):
                return False
        raise


def _symmetric(cell: Smooth, witness: sp.Expr | None) -> bool:
    atoms, differences = _asymmetries(cell)
    if witness is None and any(
        atom.is_infinite or (not is_zero(atom) and sign(atom) != 0) for atom in atoms
    ):
        return False
    return _vanish(differences, witness)


_DECISIONS = {
    "validity": _valid,
    "convex": _convex,
    "zero_forcing": _zero_forcing,
    "zero_avoiding": _zero_avoiding,
    "even": _even,
    "symmetric": _symmetric,
    "bounded_gradient": _bounded,
}
