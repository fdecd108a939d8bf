"""All zeros of a smooth function on the line, certified: where Max, Min and conditions cross at
points without a closed form (Proposition 24). Part of the trusted checker.

Far out and beside exact zeros the sign is that of the tail; between, a box has no zero where the
ball of the function is not 0, and one or none where that of its slope is not 0.
"""

import sympy as sp
from flint import arb

from divergence_lab.theory.checker.facts import proofs
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.expressions import (
    CannotSplit,
    Pieces,
    balls,
    points,
    precision,
    split,
    x,
)
from divergence_lab.theory.expressions.ordering import in_order

MAX_BOXES = 12_000
NARROW = arb(2) ** -30
OFF_CENTRE = 1009

Box = tuple[arb, arb]


def split_certified(expression: sp.Expr) -> Pieces:
    """The smooth pieces of a function of x, wherever the functions in it cross.

    >>> split_certified(sp.Max(sp.exp(-(x**2)), x)).kinks
    (Root(x - exp(-x**2), 0, 1),)
    """
    return split(expression, x, zeros=all_zeros)


def all_zeros(u: sp.Expr) -> list[sp.Expr]:
    """Every real zero of a smooth u, from left to right. Raises CannotSplit."""
    try:
        return points.all_zeros(u)
    except CannotSplit:
        try:
            return _zeros_by_balls(u)
        except Rejected as reason:
            raise CannotSplit(f"where {u} changes sign could not be found: {reason}") from None


def _zeros_by_balls(u: sp.Expr) -> list[sp.Expr]:
    proofs.prove_finite(u, x, -sp.oo, sp.oo)
    exact = in_order(z for z in dict.fromkeys(points.zeros(u, x)) if balls.is_finite_constant(z))
    starts = [_beside(u, end, 1) for end in (-sp.oo, *exact)]
    stops = [_beside(u, end, -1) for end in (*exact, sp.oo)]
    found = [zero for low, high in zip(starts, stops) for zero in _zeros_inside(u, low, high)]
    return in_order([*exact, *found])


def _beside(u: sp.Expr, end: sp.Expr, side: int) -> arb:
    """Between this point and the end, which is infinite or a zero, u has no zero: by its tail."""
    towards = side if end.is_finite else 0
    sign, X = proofs.at_end(u, x, end, towards, lambda X, line, tail: (line.sign(tail), X))
    if sign == 0:
        raise Rejected(f"{u} is 0 beside {end}")
    return arb(-side * X) if end.is_infinite else balls.ball_of_constant(end) + arb(side) / X


def _zeros_inside(u: sp.Expr, low: arb, high: arb) -> list[sp.Expr]:
    """The zeros on [low, high], at whose ends u is not 0: each in a box on which u is monotone."""
    slope, found = sp.diff(u, x), []
    pending, count = _without_zero([(arb(low.upper()), arb(high.lower()))]), 0
    while pending:
        a, b = pending.pop()
        count += 1
        if not a < b:
            continue
        with precision.bits(balls.PRECISION_BITS):
            box, centre = a.union(b), arb(((a + b) / 2).mid())
            value, bend = balls.ball(u, x, box), balls.ball(slope, x, box)
            by_slope = balls.ball(u, x, centre) + bend * (box - centre)
            ends = [_sign(u, end) for end in (a, b)]
        if value > 0 or value < 0 or by_slope > 0 or by_slope < 0:
            continue
        if (bend > 0 or bend < 0) and 0 not in ends:
            found += [_root(u, a, b, ends[0])] if ends[0] != ends[1] else []
            continue
        if count > MAX_BOXES or b - a < NARROW:
            raise Rejected(f"near {a.str(6, radius=False)} it may touch 0")
        middle = arb((proofs.middle_of(a, b) + (b - a) / OFF_CENTRE).mid())  # seldom a zero
        pending += [(middle, b), (a, middle)]
    return found


def _without_zero(boxes: list[Box]) -> list[Box]:
    """The boxes cut at 0: a `Root` lies on one side of it."""
    return [
        part
        for a, b in boxes
        for part in ([(a, arb(0)), (arb(0), b)] if a < 0 and b > 0 else [(a, b)])
    ]


def _sign(u: sp.Expr, point: arb) -> int:
    value = balls.ball(u, x, point)
    return 1 if value > 0 else -1 if value < 0 else 0


def _root(u: sp.Expr, a: arb, b: arb, sign: int) -> sp.Expr:
    return points.isolated(u, proofs.exact_point(a), proofs.exact_point(b), sign)
