"""Proposals for what a function does at infinity: read off its tail, else SymPy's limits, in a
process that can be ended.

Nothing proposed here is believed: verdicts stand only when the checker has proved them.
"""

from __future__ import annotations

from collections.abc import Iterable

import sympy as sp

from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, left_until, patient, within
from divergence_lab.theory.checker.facts.proofs import Rejected, limit_of
from divergence_lab.theory.checker.families.signs import is_finite, sign
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.divergence.values import enclose_integral
from divergence_lab.theory.expressions.enclosure import NotEvaluable, value_at
from divergence_lab.theory.expressions.pieces import Piece, Pieces
from divergence_lab.theory.expressions.symbols import t, x

# One limit gets no more than this: what SymPy finds, it finds sooner.
LIMIT_SECONDS = 2.0


class Undecided(Exception):
    """No proposal, or none that could be verified; the message says what was tried."""


def limits(function: sp.Expr, end: sp.Expr, deadline: float) -> Iterable[sp.Expr]:
    """Candidates for lim function(x), x -> end: SymPy's answer, then the infinite ones it may
    have missed.
    """
    if not function.has(x):
        yield function
        return
    answer = _limit(function, end, deadline)
    if answer is not None:
        yield answer
    yield from (infinite for infinite in (-sp.oo, sp.oo) if infinite != answer)


def _limit(function: sp.Expr, end: sp.Expr, deadline: float) -> sp.Expr | None:
    try:
        limit = limit_of(
            function, x, end
        )  # the checker's own answer comes first: it is the quicker one
        if limit is not None:
            return _short(limit)
    except (Rejected, NotEvaluable):
        pass
    try:
        limit = within(
            min(left_until(deadline), patient(LIMIT_SECONDS)), sp.limit, function, x, end
        )
    except (OutOfTime, SearchFailed):
        return None
    if not isinstance(limit, sp.Expr) or limit.has(sp.nan, sp.zoo, sp.AccumBounds, sp.Limit, sp.I):
        return None
    return _short(limit)


def _short(limit: sp.Expr) -> sp.Expr:
    return (
        limit
        if limit.is_infinite
        else min((sp.simplify(limit), sp.expand(limit)), key=sp.count_ops)
    )


# The ladder of scales, each with whether int^oo dx/scale diverges (Proposition 16).
SCALES = (
    (x, True),
    (x ** sp.Rational(3, 2), False),
    (x * sp.log(x), True),
    (x * sp.log(x) ** 2, False),
    (x * sp.log(x) * sp.log(sp.log(x)), True),
    (x * sp.log(x) * sp.log(sp.log(x)) ** 2, False),
)


def comparisons(function: sp.Expr, deadline: float) -> Iterable[tuple[sp.Expr, sp.Expr, bool]]:
    """Candidates (scale, lim function*scale, whether int^oo function diverges), by the ladder of
    scales.
    """
    h = sp.powsimp(sp.expand(function.rewrite(sp.exp)))
    found = False
    for scale, diverges in SCALES:
        limit = _limit(sp.powsimp(sp.expand(h * scale)), sp.oo, deadline)
        if limit is None:
            continue
        if (diverges and (limit.is_infinite or limit.is_nonzero)) or (
            not diverges and limit.is_finite
        ):
            found = True
            yield scale, limit, diverges
    if not found:
        yield x, sp.oo, True  # SymPy found no limit: let the checker try the two commonest answers
        yield x ** sp.Rational(3, 2), sp.S.Zero, False


# --- numbers beside the verdicts


def slope_of_generator(loss: Loss, generator: sp.Expr, deadline: float) -> sp.Expr | None:
    """f'(oo) = lim f/t from the confirmed closed form of f, for a loss that is not
    zero-avoiding.
    """
    last = generator.args[-1][0] if isinstance(generator, sp.Piecewise) else generator
    found = _ratio_at_infinity(last, deadline)
    if found is None:
        return None
    return sp.simplify(found) if found.is_finite and _slope_confirmed(loss, found) else None


def _ratio_at_infinity(generator: sp.Expr, deadline: float) -> sp.Expr | None:
    """lim f(t)/t, t -> oo: from the tail of f(e^x) e^{-x}, else by SymPy."""
    try:
        limit = limit_of(sp.expand(generator.subs(t, sp.exp(x)) * sp.exp(-x)), x, sp.oo)
        if limit is not None:
            return limit
    except (Rejected, NotEvaluable):
        pass
    try:
        return within(
            min(patient(LIMIT_SECONDS), left_until(deadline)),
            sp.limit,
            sp.expand(generator / t),
            t,
            sp.oo,
        )
    except (OutOfTime, SearchFailed):
        return None


def _slope_confirmed(loss: Loss, slope: sp.Expr) -> bool:
    """int_0^X g' e^{-x} dx must have come close to it: X = 200, or, where the integrand falls
    off slowly, more.
    """
    if loss.parameters:
        return True
    try:
        for X in (200, 2000, 20_000):
            seen = enclose_integral(loss.pieces, sp.Integer(X), 20)
            if abs(value_at(slope, x, sp.S.Zero, 30) - seen) < 1e-3 * (1 + abs(seen)):
                return True
    except NotEvaluable:
        pass
    return False


def curvature_at_zero(loss: Loss) -> sp.Expr | None:
    """g''(0) = f''(1) of a loss without parameters: oo where g' jumps up at 0, None where it is
    not defined or not known.
    """
    slopes = [
        beside(piece, sp.S.Zero, side) for piece, side in _pieces_beside_zero(loss.derivative)
    ]
    if sp.nan in slopes:
        return None
    if any(slope.is_infinite for slope in slopes):
        return sp.oo if slopes[1] == sp.oo or slopes[0] == -sp.oo else -sp.oo
    if way := sign(slopes[1] - slopes[0]):
        return way * sp.oo
    below, above = (
        beside(piece, sp.S.Zero, side) for piece, side in _pieces_beside_zero(loss.curvature)
    )
    if sp.nan in (below, above) or below.is_infinite or above.is_infinite:
        return below if below == above and below is not sp.nan else None
    return (
        min((sp.simplify(below), sp.simplify(above)), key=sp.count_ops)
        if sign(below - above) == 0
        else None
    )


def _pieces_beside_zero(function: Pieces) -> tuple[tuple[Piece, int], tuple[Piece, int]]:
    left, right = function.split_at_zero()
    return (left.pieces[-1], -1), (right.pieces[0], 1)


def beside(piece: Piece, point: sp.Expr, side: int) -> sp.Expr:
    """The limit of the expression at a point from the right (side 1) or left (-1); nan where it
    is not known.
    """
    if is_finite(piece.expression, at=(x, point)):  # every part of it is: 0*zoo is no 0
        return piece.expression.subs(x, point)
    try:
        found = limit_of(piece.expression, x, point, side)
    except Rejected:
        found = None
    return sp.nan if found is None else found
