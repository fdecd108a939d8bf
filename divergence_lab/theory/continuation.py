"""A family at a value of a parameter at which its formula has none: continued by its limit. Part of the trusted checker.

    g(x; c) -> G(x) locally uniformly, g' -> G' almost everywhere and locally boundedly, as c -> c0    (Proposition 20)

Example: c (sqrt(1 + (x/c)^2) - 1), c >= 0, is |x| at c = 0. SymPy's `subs` can't tell that there is no value, since it
makes 0 of 0*zoo, and its `limit` is not used: an expression is walked from its leaves up, a limit at one x is read off a
germ in 1/(c - c0), and that the slopes converge and stay bounded is shown on each piece by the rules of `convergence`.

NoValue is raised where there is no limit: it is infinite at a point, jumps, or differs from two sides. All else is Rejected.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise, permutations

import sympy as sp

from divergence_lab.theory import germs
from divergence_lab.theory.balls import ball_of_constant
from divergence_lab.theory.convergence import W, Y, analytic_limit, form, is_bounded
from divergence_lab.theory.parameter_signs import is_zero, sign
from divergence_lab.theory.pieces import CannotSplit, Piece, Pieces, split
from divergence_lab.theory.proofs import Rejected
from divergence_lab.theory.symbols import x

Sides = Mapping[str, Sequence[int]]  # from which sides the assumptions let a parameter come to its value: -1 below, 1 above
BOTH = (-1, 1)
_SAMPLES = tuple(sp.Rational(*n) for n in ((2, 1), (1, 2), (7, 3)))


class NoValue(Rejected):
    """The formula has no value at these parameters, and the family no limit there."""


class Undefined(Exception):
    """A part of the formula has no value at these parameters: it may have a limit."""


def value_or_limit(loss: sp.Expr, points: Mapping[sp.Symbol, sp.Expr], sides: Sides) -> sp.Expr:
    """The loss at these values of its parameters, or its limit there. Raises NoValue, Rejected."""
    try:
        value_of(loss, {**points, x: sp.S.Zero})  # 1 - x^2/(x^2 + c^2) is 0 at c = 0, and has no value at x = 0
        return value_of(loss, points)
    except Undefined:
        singular = [s for s in points if _is_undefined(loss, {s: points[s]})]
    try:  # the others have their values; the limit is taken of the family that this leaves
        left = value_of(loss, {s: v for s, v in points.items() if s not in singular})
    except Undefined:
        left, singular = loss, list(points)
    if len(singular) == 1:
        (symbol,) = singular
        return limit_in(left, symbol, points[symbol], sides.get(symbol.name, BOTH))
    return _limit_in_several(left, {s: points[s] for s in singular}, sides)


# --- is there a value? ---------------------------------------------------------------------------------------

def _is_undefined(e: sp.Expr, points: Mapping[sp.Symbol, sp.Expr]) -> bool:
    try:
        value_of(e, {**points, x: sp.S.Zero})
        value_of(e, points)
        return False
    except Undefined:
        return True


def value_of(e: sp.Expr, points: Mapping[sp.Symbol, sp.Expr]) -> sp.Expr:
    """e at these values, from the leaves up. Raises Undefined with the first part that has no value, Rejected where that is not known."""
    if e in points:
        return points[e]
    if not e.free_symbols & points.keys():
        return e
    if isinstance(e, sp.Piecewise):
        return sp.Piecewise(*((value_of(part, points), condition.xreplace(points)) for part, condition in e.args))
    parts = [value_of(part, points) for part in e.args]
    if e.is_Pow:
        _check_power(*parts)
    elif (lowest := _LOWEST.get(e.func)) is not None:
        if _is_zero(parts[0] - lowest) or _is_negative(parts[0] - lowest):
            raise Undefined(f"{e.func.__name__}({parts[0]})")
    elif isinstance(e, sp.atanh) and not parts[0].free_symbols and not abs(ball_of_constant(parts[0])) < 1:
        raise Undefined(f"atanh({parts[0]})")
    elif isinstance(e, sp.gamma | sp.Ei | sp.polylog) and not any(p.free_symbols for p in parts) \
            and not ball_of_constant(e.func(*parts)).is_finite():
        raise Undefined(f"{e.func.__name__} at {parts[-1]}")
    found = e.func(*parts)
    if found.has(sp.zoo, sp.nan, sp.oo, sp.I):
        raise Undefined(str(e))
    return found


_LOWEST = {sp.log: sp.S.Zero}  # no value at this argument or below


def _check_power(base: sp.Expr, exponent: sp.Expr) -> None:
    if _is_zero(base) and not (exponent.is_positive or (exponent.free_symbols and sign(exponent) == 1)):
        raise Undefined(f"0**({exponent})")
    if not exponent.is_Integer and _is_negative(base):
        raise Undefined(f"({base})**({exponent})")


def _is_zero(e: sp.Expr) -> bool:
    """e = 0, for all values of the symbols that are left. Raises Rejected for a number of which it is not known."""
    if e.free_symbols:
        return is_zero(e)
    ball = ball_of_constant(e)
    if ball > 0 or ball < 0:
        return False
    if e == 0 or sp.simplify(e) == 0:
        return True
    raise Rejected(f"whether {e} is 0 is not known")


def _is_negative(e: sp.Expr) -> bool:
    return not e.free_symbols and bool(ball_of_constant(e) < 0)


# --- several parameters at once ------------------------------------------------------------------------------

def _limit_in_several(e: sp.Expr, points: Mapping[sp.Symbol, sp.Expr], sides: Sides) -> sp.Expr:
    """The limit as all of them come to their values together, in any way: of sums and products of functions of one each."""
    pieces = _split(e)
    if len(pieces.pieces) > 1:
        if any(kink.free_symbols & points.keys() for kink in pieces.kinks):
            raise Rejected("the kinks move with several parameters at once")
        return Pieces(tuple(Piece(p.low, p.high, value_or_limit(p.expression, points, sides)) for p in pieces.pieces), x).as_expression()
    groups: dict[frozenset, sp.Expr] = {}
    for term in sp.Add.make_args(sp.expand(e)):
        here = frozenset(term.free_symbols & points.keys())
        groups[here] = groups.get(here, sp.S.Zero) + term
    if all(len(group) < 2 for group in groups):
        return sum(value_or_limit(part, {s: points[s] for s in group}, sides) if group else part for group, part in groups.items())
    ways = []
    for order in permutations(points):
        found = e
        for symbol in order:
            found = value_or_limit(found, {symbol: points[symbol]}, sides)
        ways.append(found)
    if any(_differ(ways[0], other) for other in ways[1:]):
        raise NoValue(f"{e} has other limits where its parameters come to their values one after the other")
    raise Rejected(f"whether {e} has one limit as {', '.join(s.name for s in points)} come to their values together is not known")


def _split(e: sp.Expr) -> Pieces:
    try:
        return split(e, x)
    except CannotSplit as reason:
        raise Rejected(str(reason)) from None


def _differ(a: sp.Expr, b: sp.Expr) -> bool:
    """Two functions of x are different at a sample, whatever the other parameters are (False: not shown)."""
    for point in _SAMPLES:
        for at in (point, -point):
            try:
                if sign((a - b).subs(x, at)) != 0:
                    return True
            except Rejected:
                continue
    return False


# --- one parameter -------------------------------------------------------------------------------------------

def limit_in(e: sp.Expr, symbol: sp.Symbol, value: sp.Expr, sides: Sequence[int]) -> sp.Expr:
    """The function to which the family e(x; symbol) converges from every one of the sides. Raises NoValue, Rejected."""
    found = [_from_one_side(e, symbol, value, side) for side in sides]
    first, *others = found
    for other in others:
        if _differ(first, other):
            raise NoValue(f"the limits of {e} at {symbol} = {value} from below and above are different")
        for a, b in zip(*(part.pieces for part in _on_common_pieces(first, other)), strict=True):
            if not is_zero((a.expression - b.expression).subs(x, form(a, Y))):
                raise Rejected(f"whether the limits of {e} at {symbol} = {value} from below and above are equal is not known")
    return first


def _on_common_pieces(first: sp.Expr, other: sp.Expr) -> tuple[Pieces, Pieces]:
    halves = [[split(f, x).split_at_zero() for f in (first, other)]][0]
    both = [tuple(p for half in f for p in half.pieces) for f in halves]
    if [(p.low, p.high) for p in both[0]] != [(p.low, p.high) for p in both[1]]:
        raise Rejected("the limits from below and above have other pieces")
    return Pieces(both[0], x), Pieces(both[1], x)


def _from_one_side(e: sp.Expr, symbol: sp.Symbol, value: sp.Expr, side: int) -> sp.Expr:
    reason = Rejected("")
    for near in (W, W / (64 * (1 + W))):  # all values on that side, or only those close by
        try:
            return _approached(_decided_near(e.subs(symbol, value + side * near)), f"{symbol} = {value}")
        except NoValue:
            raise
        except Rejected as failure:
            reason = failure
    raise reason


def _approached(moved: sp.Expr, where: str) -> sp.Expr:
    """lim moved(x; w) as w -> 0, locally uniformly."""
    try:
        pieces = [p for part in _split(moved).split_at_zero() for p in part.pieces]
    except CannotSplit as reason:
        raise Rejected(str(reason)) from None
    limits: list[Piece] = []
    for piece in pieces:
        ends = [end if end.is_infinite or not end.has(W) else germs.limit_of(end, W, sp.S.Zero, 1) for end in (piece.low, piece.high)]
        if ends[0] != ends[1]:
            limits.append(Piece(*ends, _at_each_point(piece, Piece(*ends, piece.expression), where)))
    at_zero = germs.limit_of(moved.subs(x, 0), W, sp.S.Zero, 1)
    for before, after in pairwise(limits):
        beside = [germs.limit_of(f, Y, sp.S.Zero, 1) for f in (after.expression.subs(x, _beside(after, 1)), before.expression.subs(x, _beside(before, -1)))]
        gaps = [beside[0] - beside[1], *(b - at_zero for b in beside if before.high == 0)]
        if any(gap.is_infinite or not is_zero(gap) and sign(gap) != 0 for gap in gaps):
            raise NoValue(f"the limit at {where} jumps at x = {before.high}")
    for piece in pieces:
        if not is_bounded(piece):
            raise Rejected(f"that the slope of {piece.expression} stays bounded near {where} is not shown")
    return Pieces(tuple(limits), x).merged().as_expression()


def _decided_near(e: sp.Expr) -> sp.Expr:
    """Absolute values, signs and extremes of what is free of x decided, as they are close by."""
    for node in [n for n in sp.postorder_traversal(e) if isinstance(n, sp.Abs | sp.sign | sp.Max | sp.Min) and not n.has(x)]:
        if isinstance(node, sp.Abs | sp.sign):
            s = _sign_near(node.args[0])
            chosen = s * node.args[0] if isinstance(node, sp.Abs) else sp.Integer(s)
        else:
            wanted, chosen = 1 if isinstance(node, sp.Max) else -1, node.args[0]
            for other in node.args[1:]:
                chosen = other if _sign_near(other - chosen) == wanted else chosen
        e = e.subs(node, chosen)
    return e


def _sign_near(e: sp.Expr) -> int:
    """The sign of e for all small w."""
    if not e.has(W):
        return sign(e)
    limit = germs.limit_of(e, W, sp.S.Zero, 1)
    if limit.is_infinite:
        return 1 if limit == sp.oo else -1
    return sign(limit) or sign(germs.leading(germs.of(e.subs(W, 1 / Y), Y))[1])


# --- the limit at each point ---------------------------------------------------------------------------------

def _beside(piece: Piece, side: int) -> sp.Expr:
    """x close to the low (side 1) or the high (-1) end of the piece, as y -> 0."""
    return (piece.low if side > 0 else piece.high) + side * Y


def _at_each_point(piece: Piece, left: Piece, where: str) -> sp.Expr:
    """lim of the piece's function at each fixed x of what is left of the piece. Raises NoValue where it is infinite."""
    try:
        limit = germs.limit_of(piece.expression.subs(x, form(left, Y)), W, sp.S.Zero, 1)
    except Rejected:
        limit = analytic_limit(piece)
        if limit is not None:
            return limit
        for at in _samples_in(left):
            try:
                if germs.limit_of(piece.expression.subs(x, at), W, sp.S.Zero, 1).is_infinite:
                    raise NoValue(f"at x = {at} there is no finite limit at {where}") from None
            except NoValue:
                raise
            except Rejected:
                continue
        raise
    if limit.is_infinite:
        raise NoValue(f"there is no finite limit at {where}")
    if left.low == -sp.oo:
        back = left.high - x
    else:
        back = x - left.low if left.high == sp.oo else (left.high - x) / (x - left.low)
    return sp.simplify(limit.subs(Y, back))


def _samples_in(piece: Piece) -> Iterator[sp.Expr]:
    for at in _SAMPLES:
        if piece.low == 0 and piece.high == sp.oo or piece.high == 0 and piece.low == -sp.oo:
            yield at if piece.low == 0 else -at
