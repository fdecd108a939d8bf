"""Proposals for what a function does at infinity: read off its tail, else SymPy's limits, in a process that can be ended.

Nothing proposed here is believed: verdicts stand only when the checker has proved them.
"""

from __future__ import annotations

from collections.abc import Iterable

import sympy as sp

from divergence_lab.theory.budget import OutOfTime, SearchFailed, left_until, patient, within
from divergence_lab.theory.enclosure import NotEvaluable, value_at
from divergence_lab.theory.loss import Loss, jump
from divergence_lab.theory.pieces import Piece
from divergence_lab.theory.proofs import Rejected, limit_of
from divergence_lab.theory.symbols import t, x
from divergence_lab.theory.values import enclose_integral

# One limit gets no more than this: what SymPy finds, it finds sooner.
LIMIT_SECONDS = 2.0


class Undecided(Exception):
    """No proposal, or none that could be verified; the message says what was tried."""


def limits(function: sp.Expr, end: sp.Expr, deadline: float) -> Iterable[sp.Expr]:
    """Candidates for lim function(x), x -> end: SymPy's answer, then the infinite ones it may have missed."""
    if not function.has(x):
        yield function
        return
    answer = _limit(function, end, deadline)
    if answer is not None:
        yield answer
    yield from (infinite for infinite in (-sp.oo, sp.oo) if infinite != answer)


def _limit(function: sp.Expr, end: sp.Expr, deadline: float) -> sp.Expr | None:
    try:
        limit = limit_of(function, x, end)  # the checker's own answer comes first: it is the quicker one
        if limit is not None:
            return _short(limit)
    except (Rejected, NotEvaluable):
        pass
    try:
        limit = within(min(left_until(deadline), patient(LIMIT_SECONDS)), sp.limit, function, x, end)
    except (OutOfTime, SearchFailed):
        return None
    if not isinstance(limit, sp.Expr) or limit.has(sp.nan, sp.zoo, sp.AccumBounds, sp.Limit, sp.I):
        return None
    return _short(limit)


def _short(limit: sp.Expr) -> sp.Expr:
    return limit if limit.is_infinite else min((sp.simplify(limit), sp.expand(limit)), key=sp.count_ops)


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
    """Candidates (scale, lim function*scale, whether int^oo function diverges), by the ladder of scales."""
    h = sp.powsimp(sp.expand(function.rewrite(sp.exp)))
    found = False
    for scale, diverges in SCALES:
        limit = _limit(sp.powsimp(sp.expand(h * scale)), sp.oo, deadline)
        if limit is None:
            continue
        if diverges and (limit.is_infinite or limit.is_nonzero) or not diverges and limit.is_finite:
            found = True
            yield scale, limit, diverges
    if not found:
        yield x, sp.oo, True  # SymPy found no limit: let the checker try the two commonest answers
        yield x ** sp.Rational(3, 2), sp.S.Zero, False


# --- numbers beside the verdicts -----------------------------------------------------------------------------

def slope_of_generator(loss: Loss, generator: sp.Expr, deadline: float) -> sp.Expr | None:
    """f'(oo) = lim f/t from the confirmed closed form of f, for a loss that is not zero-avoiding."""
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
        return within(min(patient(LIMIT_SECONDS), left_until(deadline)), sp.limit, sp.expand(generator / t), t, sp.oo)
    except (OutOfTime, SearchFailed):
        return None


def _slope_confirmed(loss: Loss, slope: sp.Expr) -> bool:
    """int_0^X g' e^{-x} dx must have come close to it: X = 200, or, where the integrand falls off slowly, more."""
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
    """g''(0) = f''(1): oo at a kink, None where it is not defined."""
    if sp.S.Zero in loss.derivative.kinks and jump(loss, sp.S.Zero) != 0:
        return sp.oo
    if not loss.parameters and sp.S.Zero not in loss.derivative.kinks:
        below, above = (part.pieces[i] for part, i in zip(loss.derivative.split_at_zero(), (-1, 0)))
        if not below.expression.subs(x, 0).is_finite and beside(below, sp.S.Zero, -1) != beside(above, sp.S.Zero, 1):
            return sp.oo  # a kink that a root hides
    left, right = loss.curvature.split_at_zero()
    value, other = (sp.simplify(piece.expression.subs(x, 0)) for piece in (left.pieces[-1], right.pieces[0]))
    if value.is_finite and other.is_finite:
        return value if value == other or sp.simplify(value - other) == 0 else None
    return sp.oo if not loss.parameters and all(beside(piece, sp.S.Zero, side) == sp.oo for piece, side in
                                                ((left.pieces[-1], -1), (right.pieces[0], 1))) else None


def beside(piece: Piece, point: sp.Expr, side: int) -> sp.Expr:
    """The limit of the expression at a point from the right (side 1) or left (-1); nan where it is not known."""
    value = piece.expression.subs(x, point)
    if value.is_finite:
        return value
    try:
        found = limit_of(piece.expression, x, point, side)
    except Rejected:
        found = None
    return sp.nan if found is None else found
