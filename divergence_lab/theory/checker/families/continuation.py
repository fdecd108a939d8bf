"""A family at a value of a parameter at which its formula has none: continued by its limit. Part of
the trusted checker.

    g(x; c) -> G(x) locally uniformly, g' -> G' almost everywhere and locally boundedly, as c -> c0
    (Proposition 22)

Example: c (sqrt(1 + (x/c)^2) - 1), c >= 0, is |x| at c = 0. `values` says whether there is a value.
Where there is none, a limit at one x is read off a germ in 1/(c - c0) (SymPy's `limit` is not
used), and that the slopes converge and stay bounded is shown on each piece by the rules of
`convergence`.

NoValue is raised where there is no limit: it is infinite at a point, jumps, or differs from two
sides. All else is Rejected.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import sympy as sp

from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.families import convergence, germs, ranges, signs, values
from divergence_lab.theory.expressions import CannotSplit, Pieces, split, x
from divergence_lab.theory.expressions.pieces import Piece

# From which sides the assumptions let a parameter come to its value: -1 below, 1 above.
Sides = Mapping[str, Sequence[int]]
BOTH = (-1, 1)
_SAMPLES = tuple(sp.Rational(*n) for n in ((2, 1), (1, 2), (7, 3)))


class NoValue(Rejected):
    """The formula has no value at these parameters, and the family no limit there."""


class Infinite(NoValue):
    """The family tends to an infinity at some x."""


def value_or_limit(loss: sp.Expr, points: Mapping[sp.Symbol, sp.Expr], sides: Sides) -> sp.Expr:
    """The loss at these values of its parameters, or its limit there. Raises NoValue, Rejected.

    On a line of parameters (b = a) that there is no limit is shown with a held; that there is one
    only where the family is analytic about the line, since a may move as well.
    """
    try:
        return values.value_at_each_x(loss, points)
    except values.Undefined as reason:
        on_line = any(value.free_symbols for value in points.values())
        if len(points) > 1:
            if on_line:
                raise Rejected(
                    f"{reason}: a limit on a line is not taken at values of other parameters"
                ) from None
            return _limit_in_several(loss, points, sides)
        ((symbol, value),) = points.items()
        if on_line and (limit := convergence.limit_on_line(loss, symbol, value)) is not None:
            return limit
        limit = limit_in(loss, symbol, value, sides.get(symbol.name, BOTH))
        if on_line:
            raise Rejected(f"{reason}: a limit as all parameters move is not shown") from None
        return limit


# --- several parameters at once


def _limit_in_several(e: sp.Expr, points: Mapping[sp.Symbol, sp.Expr], sides: Sides) -> sp.Expr:
    """The limit as all of them come to their values together, in any way: of sums and products
    of functions of one each.
    """
    points = {s: v for s, v in points.items() if e.has(s)}
    if len(points) < 2:
        return value_or_limit(e, points, sides) if points else e
    for terms in (sp.Add.make_args(e), sp.Add.make_args(sp.expand(e))):
        groups = _by_parameters(terms, points, sp.Add)
        if all(len(group) < 2 for group in groups):
            return sp.Add(*(_limit_in_several(part, points, sides) for part in groups.values()))
    pieces = _split(e)
    if len(pieces.pieces) > 1 and not any(
        kink.free_symbols & points.keys() for kink in pieces.kinks
    ):
        return Pieces(
            tuple(
                Piece(p.low, p.high, _limit_in_several(p.expression, points, sides))
                for p in pieces.pieces
            ),
            x,
        ).as_expression()
    try:  # infinities of two parts may cancel: then there may be a limit all the same
        if len(groups) > 1:
            return sp.Add(*(_limit_in_several(part, points, sides) for part in groups.values()))
        factors = _by_parameters(sp.Mul.make_args(sp.factor_terms(e)), points, sp.Mul)
        if all(len(group) < 2 for group in factors):
            return sp.Mul(*(_limit_in_several(part, points, sides) for part in factors.values()))
    except NoValue:
        pass
    for symbol, value in _lines_through(e, points):
        if (limit := convergence.limit_on_line(e, symbol, value)) is not None:
            return value_or_limit(limit, {s: v for s, v in points.items() if s != symbol}, sides)
    ways = [_limit_from(first, e, points, sides) for first in points]
    if any(_differ(ways[0], other) for other in ways[1:]):
        raise NoValue(
            f"{e} has other limits where its parameters come to their values one after the other"
        )
    raise Rejected(
        f"whether {e} has one limit as {', '.join(s.name for s in points)} come to their "
        "values together is not known"
    )


def _lines_through(
    e: sp.Expr, points: Mapping[sp.Symbol, sp.Expr]
) -> Iterator[tuple[sp.Symbol, sp.Expr]]:
    """Lines b = k a + d through the point on which a denominator of e vanishes."""
    _, denominator = sp.fraction(sp.together(e))
    for line, _ in sp.factor_list(denominator)[1]:
        held = [s for s in points if line.has(s)]
        if len(held) > 1 and line.free_symbols <= points.keys() and line.is_polynomial(*held):
            slope = sp.diff(line, held[-1])
            if slope.is_number and signs.is_zero(line.xreplace(dict(points))):
                yield held[-1], sp.expand(held[-1] - line / slope)


def _limit_from(
    first: sp.Symbol, e: sp.Expr, points: Mapping[sp.Symbol, sp.Expr], sides: Sides
) -> sp.Expr:
    """The limit as this parameter comes to its value, and the others after it.

    Raises NoValue where it is infinite already while the others are near to theirs.
    """
    rest = {s: v for s, v in points.items() if s != first}
    near = {
        s: v + sides.get(s.name, BOTH)[-1] * sp.Symbol(s.name + "~", positive=True)
        for s, v in rest.items()
    }
    try:
        value_or_limit(e.subs(near), {first: points[first]}, sides)
    except Infinite:
        raise NoValue(
            f"{e} is infinite at {first} = {points[first]}, however near the others "
            "are to their values"
        ) from None
    except Rejected:
        pass
    limit = value_or_limit(e, {first: points[first]}, sides)
    return _limit_in_several(limit, rest, sides) if limit.free_symbols & rest.keys() else limit


def _by_parameters(
    parts: Sequence[sp.Expr],
    points: Mapping[sp.Symbol, sp.Expr],
    whole: type[sp.Add] | type[sp.Mul],
) -> dict[frozenset, sp.Expr]:
    """Terms or factors put together where they hold the same of these parameters."""
    groups: dict[frozenset, sp.Expr] = {}
    for part in parts:
        here = frozenset(part.free_symbols & points.keys())
        groups[here] = whole(groups.get(here, whole.identity), part)
    return groups


def _split(e: sp.Expr) -> Pieces:
    try:
        return split(e, x)
    except CannotSplit as reason:
        raise Rejected(str(reason)) from None


def _differ(a: sp.Expr, b: sp.Expr) -> bool:
    """Two functions of x are different at a sample, whatever the other parameters are (False:
    not shown).
    """
    for point in _SAMPLES:
        for at in (point, -point):
            try:
                if signs.sign((a - b).subs(x, at)) != 0:
                    return True
            except Rejected:
                continue
    return False


# --- one parameter


def limit_in(e: sp.Expr, symbol: sp.Symbol, value: sp.Expr, sides: Sequence[int]) -> sp.Expr:
    """The function to which the family e(x; symbol) converges from every one of the sides.

    Raises NoValue, Rejected.
    """
    found = [_from_one_side(e, symbol, value, side) for side in sides]
    first, *others = found
    for other in others:
        if _differ(first, other):
            raise NoValue(
                f"the limits of {e} at {symbol} = {value} from below and above are different"
            )
        for a, b in zip(*(part.pieces for part in _on_common_pieces(first, other)), strict=True):
            if not signs.is_zero(
                (a.expression - b.expression).subs(x, ranges.over_piece(a, convergence.Y))
            ):
                raise Rejected(
                    f"whether the limits of {e} at {symbol} = {value} from below and "
                    "above are equal is not known"
                )
    return first


def _on_common_pieces(first: sp.Expr, other: sp.Expr) -> tuple[Pieces, Pieces]:
    halves = [[split(f, x).split_at_zero() for f in (first, other)]][0]
    both = [tuple(p for half in f for p in half.pieces) for f in halves]
    if [(p.low, p.high) for p in both[0]] != [(p.low, p.high) for p in both[1]]:
        raise Rejected("the limits from below and above have other pieces")
    return Pieces(both[0], x), Pieces(both[1], x)


def _from_one_side(e: sp.Expr, symbol: sp.Symbol, value: sp.Expr, side: int) -> sp.Expr:
    reason = Rejected("")
    for near in (
        convergence.W,
        convergence.W / (64 * (1 + convergence.W)),
    ):  # all values on that side, or only those close by
        try:
            return _approached(
                _decided_near(e.subs(symbol, value + side * near)), f"{symbol} = {value}"
            )
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
    poles = sorted(set().union(*(_poles(p.expression) for p in pieces)))
    for pole in poles:
        pieces = [q for p in pieces for q in _cut(p, pole)]
    limits: list[Piece] = []
    for piece in pieces:
        ends = [
            end
            if end.is_infinite or not end.has(convergence.W)
            else germs.limit_of(end, convergence.W, sp.S.Zero, 1)
            for end in (piece.low, piece.high)
        ]
        if ends[0] != ends[1]:
            limits.append(
                Piece(*ends, _at_each_point(piece, Piece(*ends, piece.expression), where))
            )
    there = {
        cut: germs.limit_of(moved.subs(x, cut), convergence.W, sp.S.Zero, 1)
        for cut in (sp.S.Zero, *poles)
    }
    for before, after in pairwise(limits):
        beside = [
            germs.limit_of(f, convergence.Y, sp.S.Zero, 1)
            for f in (
                after.expression.subs(x, _beside(after, 1)),
                before.expression.subs(x, _beside(before, -1)),
            )
        ]
        gaps = [
            beside[0] - beside[1],
            *(b - there[before.high] for b in beside if before.high in there),
        ]
        if any(
            gap.is_infinite or (not signs.is_zero(gap) and signs.sign(gap) != 0) for gap in gaps
        ):
            raise NoValue(f"the limit at {where} jumps at x = {before.high}")
    for piece in pieces:
        if not convergence.is_bounded(piece):
            raise Rejected(
                f"that the slope of {piece.expression} stays bounded near {where} is not shown"
            )
    return Pieces(tuple(limits), x).merged().as_expression()


def _poles(moved: sp.Expr) -> set[sp.Expr]:
    """Rational x where a denominator, a logarithm's argument or what has a root vanishes as w ->
    0: the limit may jump there.
    """
    found: set[sp.Expr] = set()
    for part in moved.atoms(sp.Pow, sp.log):
        left = sp.numer(sp.together(part.args[0].subs(convergence.W, 0)))
        if (
            part.has(convergence.W)
            and part.has(x)
            and not (part.is_Pow and part.exp.is_Integer and part.exp > 0)
            and left.has(x)
            and left.is_polynomial(x)
        ):
            found |= {root for root in sp.roots(left, x) if root.is_Rational and root != 0}
    return found


def _cut(piece: Piece, at: sp.Expr) -> list[Piece]:
    """The piece cut at this point, if it lies inside for all small w."""
    ends = [
        end
        if end.is_infinite or not end.has(convergence.W)
        else germs.limit_of(end, convergence.W, sp.S.Zero, 1)
        for end in (piece.low, piece.high)
    ]
    if all(end.is_infinite or signs.sign(way * (at - end)) == 1 for end, way in zip(ends, (1, -1))):
        return [Piece(piece.low, at, piece.expression), Piece(at, piece.high, piece.expression)]
    return [piece]


def _decided_near(e: sp.Expr) -> sp.Expr:
    """Absolute values, signs and extremes of what is free of x decided, as they are close by."""
    for node in [
        n
        for n in sp.postorder_traversal(e)
        if isinstance(n, sp.Abs | sp.sign | sp.Max | sp.Min) and not n.has(x)
    ]:
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
    if not e.has(convergence.W):
        return signs.sign(e)
    limit = germs.limit_of(e, convergence.W, sp.S.Zero, 1)
    if limit.is_infinite:
        return 1 if limit == sp.oo else -1
    return signs.sign(limit) or signs.sign(
        germs.leading(germs.expand_germ(e.subs(convergence.W, 1 / convergence.Y), convergence.Y))[1]
    )


# --- the limit at each point


def _beside(piece: Piece, side: int) -> sp.Expr:
    """x close to the low (side 1) or the high (-1) end of the piece, as y -> 0."""
    return (piece.low if side > 0 else piece.high) + side * convergence.Y


def _at_each_point(piece: Piece, left: Piece, where: str) -> sp.Expr:
    """lim of the piece's function at each fixed x of what is left of the piece.

    Raises NoValue where it is infinite.
    """
    try:
        limit = germs.limit_of(
            piece.expression.subs(x, ranges.over_piece(left, convergence.Y)),
            convergence.W,
            sp.S.Zero,
            1,
        )
    except Rejected:
        limit = convergence.analytic_limit(piece)
        if limit is not None:
            return limit
        for at in _samples_in(left):
            try:
                if germs.limit_of(
                    piece.expression.subs(x, at), convergence.W, sp.S.Zero, 1
                ).is_infinite:
                    raise Infinite(f"at x = {at} there is no finite limit at {where}") from None
            except NoValue:
                raise
            except Rejected:
                continue
        raise
    if limit.is_infinite:
        raise Infinite(f"there is no finite limit at {where}")
    if left.low == -sp.oo:
        back = left.high - x
    else:
        back = x - left.low if left.high == sp.oo else (left.high - x) / (x - left.low)
    return sp.simplify(limit.subs(convergence.Y, back))


def _samples_in(piece: Piece) -> Iterator[sp.Expr]:
    for at in _SAMPLES:
        if (piece.low == 0 and piece.high == sp.oo) or (piece.high == 0 and piece.low == -sp.oo):
            yield at if piece.low == 0 else -at
