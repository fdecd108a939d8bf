"""Constants that serve in D_f1 <= c D_f2 and are quickly found, not always the best ones
(Proposition 11, part 3).

    slopes      g1' <= c g2' in size at every x: the least such c is sup g1'/g2'
    curvatures  g1'(0+) <= c g2'(0+), -g1'(0-) <= -c g2'(0-), and c g2'' - g1'' >= 0 as measures
                off 0, every kink included

Where g2'' is negative a condition is an upper bound of c: the least c that the others allow is
proved to meet it, or the answer is undecided.
"""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp
from flint import arb

from divergence_lab.theory.checker.facts.monomials import NoTail
from divergence_lab.theory.checker.facts.proofs import Rejected, limit_of, prove_nonnegative
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions import constants
from divergence_lab.theory.expressions.enclosure import NotEvaluable, exact, value_at
from divergence_lab.theory.expressions.ordering import CannotSplit, are_equal, in_order
from divergence_lab.theory.expressions.pieces import Piece, Pieces
from divergence_lab.theory.expressions.symbols import x
from divergence_lab.theory.inequalities.bounds import (
    SAMPLES,
    SLACKS,
    Constant,
    climbed,
    down,
    infinite,
    largest,
    refusal,
    undecided,
    up,
)
from divergence_lab.theory.verdicts.integral_sign import (
    combined,
    leading_ratio,
    simplified,
    tail_of,
    vanishes,
)

Point = tuple[sp.Expr, sp.Expr, str]  # c b >= a must hold of the numbers a, b that are found there


def slope_constant(first: Loss, second: Loss) -> Constant:
    """sup g1'/g2': a constant that serves in D_f1 <= c D_f2, not always the best (Proposition
    11).
    """
    return refusal(first, second) or _least(
        [_halves(first.derivative, second.derivative, side) for side in (1, -1)], "g1'/g2'", ()
    )


def curvature_constant(first: Loss, second: Loss) -> Constant:
    """The least c with c g2'' >= g1'', atoms and the slopes at 0 included: it serves, and is
    rarely the best (Proposition 11).
    """
    reason = refusal(first, second)
    if reason:
        return reason
    try:
        points = _points(first.derivative, second.derivative)
    except (CannotSplit, Rejected) as failure:
        return undecided(str(failure))
    return _least(
        [_halves(first.curvature, second.curvature, side, odd=False) for side in (1, -1)],
        "g1''/g2''",
        points,
    )


def _points(first: Pieces, second: Pieces) -> list[Point]:
    """The slopes beside 0, outwards, and the atoms of g1'' and g2'' at every other kink of either.

    Raises Rejected.
    """
    found = []
    for side, name in ((1, "0+"), (-1, "0-")):
        a, b = (side * _beside(g, sp.S.Zero, side) for g in (first, second))
        if b.is_infinite:
            raise Rejected(f"g2' is infinite at {name}, and g'' says nothing of it")
        found.append((a, b, f"x = {name}"))
    for kink in in_order([*first.kinks, *second.kinks]):
        if not are_equal(kink, sp.S.Zero):
            a, b = (_beside(g, kink, 1) - _beside(g, kink, -1) for g in (first, second))
            if not (a.is_finite and b.is_finite):
                raise Rejected(f"a slope is infinite at x = {kink}")
            found.append((a, b, f"x = {kink}"))
    return found


def _beside(g: Pieces, point: sp.Expr, side: int) -> sp.Expr:
    """The limit of a slope at a point from the right (side 1) or left (-1)."""
    from_there = g.split_at_zero()[(side + 1) // 2] if are_equal(point, sp.S.Zero) else g
    piece = next(
        (p for p in from_there.pieces if are_equal(p.low if side > 0 else p.high, point)), None
    ) or next(p for p in from_there.pieces if _is_within(point, p))
    limit = limit_of(piece.expression, x, point, side)
    if limit is None:
        raise Rejected(f"the slope beside {point} is not known")
    return limit


def _is_within(point: sp.Expr, piece: Piece) -> bool:
    return (
        in_order([piece.low, point, piece.high])[1] == point
        and len(in_order([piece.low, point, piece.high])) == 3
    )


def _halves(a: Pieces, b: Pieces, side: int, odd: bool = True) -> Pieces:
    """(a, b) on x > 0, or mirrored (and negated, if odd) from x < 0, each piece holding the two
    as a Tuple.
    """

    def half(pieces: Pieces) -> Pieces:
        left, right = pieces.split_at_zero()
        if side > 0:
            return right
        sign = -1 if odd else 1
        return Pieces(
            tuple(
                Piece(-p.high, -p.low, sign * p.expression.subs(x, -x))
                for p in reversed(left.pieces)
            ),
            x,
        )

    # 1 - tanh^2 written as 1/cosh^2: balls of the first are hopeless far out, where it is nearly 0.
    return combined(half(a), half(b), lambda u, v: sp.Tuple(simplified(u), simplified(v)))


# --- the least c with c b >= a


def _least(pairs: Sequence[Pieces], what: str, points: Sequence[Point]) -> Constant:
    """The least c with c b >= a on both halves and at the points: lower bounds from points, ends
    of pieces and samples, then a proof that the largest of them meets every condition.
    """
    try:
        candidates = []
        for a, b, where in points:
            sign_a, sign_b = (_sign(number) for number in (a, b))
            if sign_a > 0 and sign_b <= 0:
                return infinite(f"no finite c: {a} <= c*{b} is needed at {where}", where)
            if sign_b > 0:
                candidates.append((exact(a / b), sp.simplify(a / b), where))
        for sign, pieces in zip(("", "-"), pairs):
            for piece in pieces.pieces:
                found = _lower_bounds(piece, sign, what)
                if isinstance(found, Constant):
                    return found
                candidates += found
        value, limit, where = largest(candidates)
        tries = [limit] if limit is not None else []
        tries += [sp.Rational(up(value)) * (1 + slack) for slack in SLACKS[1:]]
        for c in tries:
            if _meets(pairs, points, c):
                return Constant(
                    True,
                    limit if c is limit else None,
                    down(value),
                    up(exact(c)),
                    where,
                    True,
                    f"{what} <= {float(exact(c)):.10g} everywhere, approached at {where}",
                )
        return Constant(
            None,
            None,
            down(value),
            None,
            where,
            False,
            f"{what} reaches {float(value.lower()):.10g} at {where}; that this constant "
            "meets every condition was not proved",
        )
    except (Rejected, NoTail, NotEvaluable, CannotSplit) as reason:
        return undecided(str(reason))


def _sign(number: sp.Expr) -> int:
    sign = (1 if number == sp.oo else -1) if number.is_infinite else constants.sign_of(number)
    if sign is None:
        raise Rejected(f"the sign of {number} is not decided")
    return sign


def _lower_bounds(piece: Piece, sign: str, what: str) -> list[tuple] | Constant:
    """Values of a/b where b > 0 on a piece, at its ends and at samples; or that there is no
    finite c.
    """
    a, b = piece.expression
    if vanishes(Piece(piece.low, piece.high, a)):
        return []
    if vanishes(Piece(piece.low, piece.high, b)):
        point = next((p for p in _samples(piece) if value_at(a, x, p, 30) > 0), None)
        return (
            []
            if point is None
            else infinite(
                f"{what} has a zero denominator for {sign}x in ({piece.low}, {piece.high})"
            )
        )
    found = []
    for end, side in ((piece.low, 1), (piece.high, -1)):
        limit, where = leading_ratio(a, b, end, side), f"x -> {-end if sign else end}"
        sign_a, sign_b = tail_of(a, end, side)[3], tail_of(b, end, side)[3]
        if sign_a > 0 and (sign_b < 0 or limit == sp.oo):
            return infinite(
                f"{what} -> oo as {where}" if sign_b > 0 else f"g2'' < 0 < g1'' as {where}", where
            )
        if sign_b > 0 and limit.is_finite:
            found.append((exact(limit), limit, where))
    return found + _sampled(a, b, piece, sign)


def _samples(piece: Piece) -> list[sp.Expr]:
    width = piece.high - piece.low
    return [piece.low + (y if piece.high == sp.oo else width * y / 41) for y in SAMPLES]


def _sampled(a: sp.Expr, b: sp.Expr, piece: Piece, sign: str) -> list[tuple[arb, None, str]]:
    def ratio(point: sp.Expr) -> arb:
        one, other = (value_at(f, x, point, 30) for f in (a, b))
        return one / other if other > 0 else arb.nan()

    return [
        (value, None, f"x = {sign}{float(point):.6g}")
        for point, value in climbed([(point, ratio(point)) for point in _samples(piece)], ratio)
    ]


def _meets(pairs: Sequence[Pieces], points: Sequence[Point], c: sp.Expr) -> bool:
    """c b >= a is proved on every piece and at every point."""
    try:
        if any(_sign(sp.expand(c * b - a)) < 0 for a, b, _ in points):
            return False
        for pieces in pairs:
            for piece in pieces.pieces:
                a, b = piece.expression
                difference = sp.expand(c * b - a)
                if not vanishes(Piece(piece.low, piece.high, difference)):
                    prove_nonnegative(difference, x, piece.low, piece.high)
    except (Rejected, NoTail):
        return False
    return True
