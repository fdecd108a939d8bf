"""A constant that serves in D_f1 <= c D_f2 and is quickly found, not always the best one:
sup g1'/g2', for |g1'| <= c |g2'| at every x is enough (Proposition 11, part 3).
"""

from collections.abc import Sequence

import sympy as sp
from flint import arb

from divergence_lab.theory.checker.facts import monomials, proofs
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions import CannotSplit, Pieces, x
from divergence_lab.theory.expressions.enclosure import NotEvaluable, exact, value_at
from divergence_lab.theory.expressions.pieces import Piece
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


def slope_constant(first: Loss, second: Loss) -> Constant:
    """sup g1'/g2': a constant that serves in D_f1 <= c D_f2, not always the best (Proposition
    11).
    """
    return refusal(first, second) or _least(
        [_halves(first.derivative, second.derivative, side) for side in (1, -1)], "g1'/g2'"
    )


def _halves(a: Pieces, b: Pieces, side: int) -> Pieces:
    """(a, b) on x > 0, or mirrored and negated from x < 0; each piece holds both as a Tuple."""

    def half(pieces: Pieces) -> Pieces:
        left, right = pieces.split_at_zero()
        if side > 0:
            return right
        return Pieces(
            tuple(Piece(-p.high, -p.low, -p.expression.subs(x, -x)) for p in reversed(left.pieces)),
            x,
        )

    # 1 - tanh^2 written as 1/cosh^2: balls of the first are hopeless far out, where it is nearly 0.
    return combined(half(a), half(b), lambda u, v: sp.Tuple(simplified(u), simplified(v)))


# --- the least c with c b >= a


def _least(pairs: Sequence[Pieces], what: str) -> Constant:
    """The least c with c b >= a on both halves: lower bounds from the ends of pieces and from
    samples, then a proof that the largest of them serves.
    """
    try:
        candidates = []
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
            if _meets(pairs, c):
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
            "serves everywhere was not proved",
        )
    except (proofs.Rejected, monomials.NoTail, NotEvaluable, CannotSplit) as reason:
        return undecided(str(reason))


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
            return infinite(f"{what} -> oo as {where}", where)
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


def _meets(pairs: Sequence[Pieces], c: sp.Expr) -> bool:
    """c b >= a is proved on every piece."""
    try:
        for pieces in pairs:
            for piece in pieces.pieces:
                a, b = piece.expression
                difference = sp.expand(c * b - a)
                if not vanishes(Piece(piece.low, piece.high, difference)):
                    proofs.prove_nonnegative(difference, x, piece.low, piece.high)
    except (proofs.Rejected, monomials.NoTail):
        return False
    return True
