"""That the slopes of a family converge and stay bounded on a piece, as w -> 0. Part of the trusted
checker.

    g(x; w) -> G(x) at each x,   g' -> G' almost everywhere,   |g'| <= C on compact sets for w < w0

so that g -> G locally uniformly (Proposition 22). One of three rules shows it, on each piece of
the family for w > 0.

1. *Analytic*: g = N/D with N, D analytic about w = 0 and the piece with its ends, D free of x: by
   their derivatives there. They are analytic in the other parameters as well, so these may move.
2. *Scale*: g'(u s(w); w) = h(w) F(u), h and F bounded, and g' converges at each point.
3. *One curvature*: g'' has one sign on the piece for all w. What bends one way and converges at
   each point has slopes that converge, and they lie between those at the ends of the piece and at
   fixed points.
"""

from collections.abc import Sequence
from itertools import product

import sympy as sp

from divergence_lab.theory.checker.facts import proofs
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.families import germs, ranges
from divergence_lab.theory.checker.families.signs import is_finite, is_nonnegative, is_zero, sign
from divergence_lab.theory.expressions import CannotSplit, Pieces, split, x
from divergence_lab.theory.expressions.balls import ball_of_constant
from divergence_lab.theory.expressions.pieces import Piece

W = sp.Symbol("~w", positive=True)  # how far the parameter is from its value
Y = sp.Symbol("~y", positive=True)
_PLACES = tuple(sp.Rational(n, 8) for n in (1, 3, 10, 40))
_ORDERS = 7
_SCALES = (sp.S.One, W, W**2, sp.sqrt(W), 1 / W)


def is_bounded(piece: Piece) -> bool:
    """The slopes converge almost everywhere and are bounded on compact sets, for w small, by one
    of the three rules.
    """
    _fixed, moving = _without_w(piece.expression)
    return moving == 0 or any(
        rule(Piece(piece.low, piece.high, e))
        for e in dict.fromkeys((moving, piece.expression))
        for rule in (_is_analytic, _is_scaled, _bends_one_way)
    )


def _without_w(e: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """(the terms that do not move, those that do)."""
    return e.as_independent(W, as_Add=True)


def _is_analytic(piece: Piece) -> bool:
    return analytic_limit(piece) is not None


def analytic_limit(piece: Piece) -> sp.Expr | None:
    """lim N/D as w -> 0 by the first derivatives that do not vanish, where both are analytic there.

    None: not shown.
    """
    if piece.low.has(W) or piece.high.has(W):
        return None
    places = [
        ranges.over_piece(piece, Y),
        *(end for end in (piece.low, piece.high) if not end.is_infinite),
    ]
    numerator, denominator = sp.fraction(sp.together(piece.expression))
    divisor, rest = denominator.as_independent(x, as_Add=False)
    numerator = numerator / rest
    try:
        if not _is_regular(numerator, places) or not _is_regular(divisor, places):
            return None
        for _ in range(_ORDERS):
            below, above = (f.subs(W, 0) for f in (divisor, numerator))
            if not is_zero(below):
                return sp.simplify(above / below) if sign(below) != 0 else None
            if not is_zero(above.subs(x, places[0])):
                return None
            divisor, numerator = sp.diff(divisor, W), sp.diff(numerator, W)
    except Rejected:
        pass
    return None


def limit_on_line(loss: sp.Expr, symbol: sp.Symbol, value: sp.Expr) -> sp.Expr | None:
    """The limit as the symbol comes to a value that holds other parameters, which may move as
    well: the analytic rule on every piece, in all parameters, and one limit from both sides.

    None: not shown.
    """
    above, below = (_limits(loss.subs(symbol, value + side * W)) for side in (1, -1))
    if [(p.low, p.high) for p in above] != [(p.low, p.high) for p in below] or not all(
        is_zero((p.expression - q.expression).subs(x, ranges.over_piece(p, Y)))
        for p, q in zip(above, below, strict=True)
    ):
        return None
    return Pieces(tuple(above), x).merged().as_expression() if above else None


def _limits(moved: sp.Expr) -> list[Piece]:
    """The limit on each piece by the analytic rule; none where an end moves or it shows none."""
    try:
        pieces = [p for half in split(moved, x).split_at_zero() for p in half.pieces]
    except CannotSplit:
        return []
    limits = []
    for piece in pieces:
        limit = analytic_limit(piece)
        if limit is None or piece.low.free_symbols or piece.high.free_symbols:
            return []
        limits.append(Piece(piece.low, piece.high, limit))
    return limits


def _is_regular(e: sp.Expr, places: Sequence[sp.Expr]) -> bool:
    """e(x, w) is analytic in all its symbols about w = 0 and each of these x, as its structure
    shows.
    """
    if e.is_Symbol:
        return True
    if not e.free_symbols:
        return bool(ball_of_constant(e).is_finite())
    if not all(_is_regular(part, places) for part in e.args):
        return False
    if e.is_Add or e.is_Mul or isinstance(e, _ENTIRE):
        return True
    if not (e.is_Pow or isinstance(e, sp.log)):
        return False
    if e.is_Pow and e.exp.is_Integer and e.exp.is_positive:
        return True
    signs = {
        sign((e.base if e.is_Pow else e.args[0]).subs(W, 0).subs(x, place)) for place in places
    }
    return signs == {1} or (e.is_Pow and e.exp.is_Integer is True and 0 not in signs)


_ENTIRE = (
    *(sp.exp, sp.sinh, sp.cosh, sp.sin, sp.cos),
    *(sp.tanh, sp.asinh, sp.atan, sp.erf, sp.erfi),
)


def _bends_one_way(piece: Piece) -> bool:
    """g'' has one sign on the piece, and the slopes at its ends stay bounded."""
    slope = sp.diff(piece.expression, x)
    bend = sp.powdenest(sp.diff(slope, x).subs(x, ranges.over_piece(piece, Y)))
    ways = _signs_seen(bend)
    if len(ways) > 1 or not any(is_nonnegative(way * bend) for way in ways or (1, -1)):
        return False
    try:
        return all(
            germs.limit_of(_slope_at(slope, end, side), W, sp.S.Zero, 1).is_finite
            for end, side in ((piece.low, 1), (piece.high, -1))
            if not end.is_infinite
        )
    except Rejected:
        return False


def _signs_seen(f: sp.Expr) -> set[int]:
    """The signs that f has at a few values of its symbols: cheap, and mostly enough to see that
    it has not one sign.
    """
    others = dict.fromkeys(f.free_symbols - {W, Y}, sp.Rational(6, 5))
    balls = [
        ball_of_constant(f.subs({**others, W: w, Y: y})) for w, y in product(_PLACES, repeat=2)
    ]
    return {1 if ball > 0 else -1 for ball in balls if ball > 0 or ball < 0}


def _slope_at(slope: sp.Expr, end: sp.Expr, side: int) -> sp.Expr:
    """The slope at an end of the piece, for each w."""
    return (
        slope.subs(x, end) if is_finite(slope, at=(x, end)) else germs.limit_of(slope, x, end, side)
    )


def _is_scaled(piece: Piece) -> bool:
    """g'(u s; w) = h(w) F(u) with h and F bounded, F near 0 alone where s = 1, and the slope
    converges at each point.
    """
    if {piece.low, piece.high} not in ({sp.S.Zero, sp.oo}, {-sp.oo, sp.S.Zero}):
        return False
    slope, way = sp.diff(piece.expression, x), 1 if piece.low == 0 else -1
    for scale in _SCALES:
        moved = slope.subs(x, way * Y * scale)
        if not _is_product(moved):
            continue
        size, shape = sp.factor(sp.together(moved)).as_independent(Y, as_Add=False)
        if shape.has(W) or shape.free_symbols != {Y}:
            continue
        try:
            proofs.prove_finite(shape, Y, sp.S.Zero, sp.oo)
            ends = [
                proofs.limit_of(shape, Y, end, side)
                for end, side in ((sp.S.Zero, 1), (sp.oo, 0))[: 1 if scale == 1 else 2]
            ]
            near = [germs.limit_of(f, W, sp.S.Zero, 1) for f in (size, slope.subs(x, way * Y))]
            return None not in ends and all(e.is_finite for e in (*ends, *near))
        except Rejected:
            continue
    return False


def _is_product(f: sp.Expr) -> bool:
    """f may be a function of w times one of y, as four values of it say: only where to look
    closer.
    """
    others = dict.fromkeys(f.free_symbols - {W, Y}, sp.Rational(6, 5))
    (a, b), (c, d) = (
        [ball_of_constant(f.subs({**others, W: w, Y: y})) for y in _PLACES[:2]]
        for w in _PLACES[1:3]
    )
    return bool((a * d - b * c).contains(0))
