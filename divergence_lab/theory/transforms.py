"""New losses from old ones: each function returns a Loss, whose verdicts are decided afresh.

    mirror          g(-x)                       what a sign slip of the residual minimises            Proposition 6
    swap            g*'' = e^x g''(-x)          the divergence with its arguments exchanged           Proposition 6
    weighted_sum    sum c_i g_i                 the same sum of divergences                           Proposition 2
    clip            g'(max(-c, min(x, c)))      the residual clipped inside the gradient              Proposition 18
    under_powers    weights p_F^a p_B^b         the on-policy loss with the same gradient             Proposition 8
    under_mixture   (1-e) p_F + e p_B           the on-policy loss with the same gradient             Proposition 9
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import sympy as sp

from divergence_lab.theory.budget import OutOfTime, SearchFailed
from divergence_lab.theory.divergence import divergence, dual_loss
from divergence_lab.theory.enclosure import NotEvaluable, value_at
from divergence_lab.theory.integrals import integral_from_zero
from divergence_lab.theory.loss import Loss, from_expression
from divergence_lab.theory.pieces import CannotSplit, Piece, Pieces, is_less
from divergence_lab.theory.symbols import t, x

BUDGET_SECONDS = 10.0


def mirror(loss: Loss) -> Loss:
    """g(-x), the loss on the residual with the wrong sign (Proposition 6).

    Not the swap: g''(-x) lacks the factor e^x. Zero-forcing and zero-avoiding are not exchanged but decided afresh:
    the mirror is zero-forcing iff g'(x) -> oo at oo, and zero-avoiding iff int_0^oo |g'(-x)| e^{-x} dx = oo. Linex(1),
    zero-avoiding, becomes Linex(-1), zero-forcing; the quadratic stays what it is.
    """
    if not loss.expression.has(sp.Piecewise):
        return from_expression(loss.expression.subs(x, -x), assumptions=loss.assumptions)
    return from_expression(_reflected(loss.pieces).as_expression(), assumptions=loss.assumptions)


def _reflected(pieces: Pieces) -> Pieces:
    return Pieces(tuple(Piece(-p.high, -p.low, p.expression.subs(x, -x)) for p in reversed(pieces.pieces)), x)


def swap(loss: Loss, budget: float = BUDGET_SECONDS) -> Loss | None:
    """The loss of D_f(p_F || p_B): g*'(x) = -f'(e^{-x}), g*''(x) = e^x g''(-x) (Proposition 6).

    Exchanges f(0+) and f'(oo), so it exchanges zero-forcing and zero-avoiding. None when no closed form was found
    and confirmed within the budget.
    """
    found = dual_loss(divergence(loss, budget), budget)
    return None if found is None else from_expression(found, assumptions=loss.assumptions)


def weighted_sum(terms: Iterable[tuple[sp.Expr, Loss]]) -> Loss:
    """sum c_i g_i, c_i > 0: its divergence is sum c_i D_{f_i} (Proposition 2: the transform is linear).

    Zero-forcing (zero-avoiding) as soon as one of convex terms is; symmetric if all are.
    """
    terms = tuple((sp.sympify(weight), loss) for weight, loss in terms)
    for weight, _ in terms:
        if not weight.is_positive:
            raise ValueError(f"the weight {weight} is not positive: a negative multiple of a loss is no loss")
    if not terms:
        raise ValueError("a sum of no losses is no loss: give at least one")
    assumptions = tuple(dict.fromkeys(a for _, loss in terms for a in loss.assumptions))
    return from_expression(sp.Add(*(weight * loss.expression for weight, loss in terms)), assumptions=assumptions)


def clip(loss: Loss, bound: sp.Expr) -> Loss:
    """g inside [-c, c] and its tangents outside, c = bound > 0: the gradient of a clipped residual (Proposition 18).

    Neither zero-forcing nor zero-avoiding, whatever g was: f(0+) = -g'(-c) and f'(oo) = int_0^c g' e^{-x} dx +
    g'(c) e^{-c}. Convex if g is. The quadratic becomes Huber(c).
    """
    c = sp.sympify(bound)
    if not c.is_positive:
        raise ValueError(f"can't clip at {c}: the bound must be positive")
    kept = []
    for piece in loss.pieces.pieces:
        low = -c if is_less(piece.low, -c) else piece.low
        high = c if is_less(c, piece.high) else piece.high
        if is_less(low, high):
            kept.append(Piece(low, high, piece.expression))
    first, last = kept[0].expression, kept[-1].expression
    pieces = (Piece(-sp.oo, -c, _tangent(first, -c)), *kept, Piece(c, sp.oo, _tangent(last, c)))
    return from_expression(Pieces(pieces, x).merged().as_expression(), assumptions=loss.assumptions)


def _tangent(expression: sp.Expr, point: sp.Expr) -> sp.Expr:
    return expression.subs(x, point) + sp.diff(expression, x).subs(x, point) * (x - point)


def under_powers(loss: Loss, a: sp.Expr, b: sp.Expr, budget: float = BUDGET_SECONDS) -> Loss | None:
    """The loss g~ with the weights p_F^a p_B^b taken into it: g~'(y) = g'(y/k) e^{(b/k) y} / k, k = a + b (Proposition 8).

    The weighted gradient is that of D(p_B^k || p_F^k); for k = 1 that of a divergence of the two laws, with
    g~' = e^{b x} g'. Zero-avoiding depends on a alone and zero-forcing on b alone (for k > 0); convexity may be lost.
    None when the antiderivative was not found and confirmed within the budget; k = 0 has no such loss.
    """
    a, b = sp.sympify(a), sp.sympify(b)
    k = a + b
    if not (k.is_positive or k.is_negative):
        raise ValueError(f"weights p_F^({a}) p_B^({b}) have total degree {k}, so no divergence: its sign must be "
                         "known and not 0")
    moved = [Piece(k * p.low, k * p.high, p.expression) for p in loss.derivative.pieces]
    if k.is_negative:
        moved = [Piece(p.high, p.low, p.expression) for p in reversed(moved)]
    slopes = Pieces(tuple(Piece(p.low, p.high, _plain(p.expression.subs(x, x / k) * sp.exp(b / k * x) / k))
                          for p in moved), x)
    return _integrated(slopes, loss, budget)


def under_mixture(loss: Loss, share: sp.Expr, budget: float = BUDGET_SECONDS) -> Loss | None:
    """The on-policy loss with the gradient of weights (1-e) p_F + e p_B: g_e' = (1 - e + e e^x) g' (Proposition 9).

    For 0 < e < 1: zero-forcing as on-policy, and zero-avoiding iff g(oo) = oo, so nearly always. None when the
    antiderivative was not found and confirmed within the budget.
    """
    e = sp.sympify(share)
    if not (e.is_nonnegative and (1 - e).is_nonnegative):
        raise ValueError(f"the share {e} of backward samples must lie in [0, 1]")
    return _integrated(loss.derivative.map(lambda slope: _plain((1 - e + e * sp.exp(x)) * slope)), loss, budget)


def backward_generator(loss: Loss, b: sp.Expr = sp.S.Zero, budget: float = BUDGET_SECONDS) -> sp.Expr | None:
    """k_b(t) = int_1^t s^{b-1} g'(log s) ds: what the backward policy minimises under p_F^(1-b) p_B^b (Proposition 10).

    b = 0, on-policy: g(log t). Convex iff g'' + (b-1) g' >= 0. None when no closed form was found and confirmed.
    """
    b = sp.sympify(b)
    if b == 0:
        pieces = loss.pieces
    else:
        found = _integrated(loss.derivative.map(lambda slope: _plain(sp.exp(b * x) * slope)), loss, budget)
        if found is None:
            return None
        pieces = found.pieces
    *firsts, last = (Piece(p.low, p.high, sp.powsimp(sp.expand(p.expression.rewrite(sp.exp)).subs(x, sp.log(t))))
                     for p in pieces.pieces)
    if not firsts:
        return last.expression
    return sp.Piecewise(*((p.expression, t < sp.exp(p.high)) for p in firsts), (last.expression, True))


# --- from a derivative to a loss -----------------------------------------------------------------------------

def _plain(slope: sp.Expr) -> sp.Expr:
    """Exponentials multiplied out and joined, the form in which integration succeeds."""
    return sp.powsimp(sp.expand(slope.rewrite(sp.exp)))


def _integrated(slopes: Pieces, origin: Loss, budget: float) -> Loss | None:
    """int_0^x slopes as a loss; the antiderivative is believed only after its derivative was confirmed."""
    try:
        found = integral_from_zero(slopes, time.monotonic() + budget)
        if not origin.parameters and not _has_derivative(found, slopes):
            return None
        return from_expression(found.as_expression(), assumptions=origin.assumptions)
    except (OutOfTime, SearchFailed, CannotSplit, NotEvaluable):
        return None


def _has_derivative(found: Pieces, slopes: Pieces) -> bool:
    """found(0) = 0, continuous at its kinks, and found' = slopes at points of every piece, in enclosures."""
    def meets(difference: sp.Expr, point: sp.Expr) -> bool:
        ball = value_at(difference, x, point, 40)
        return bool(ball.is_finite() and ball.contains(0) and ball.rad() < 1e-15)
    left, right = found.split_at_zero()
    joints = [(left.pieces[-1].expression, sp.S.Zero), (right.pieces[0].expression, sp.S.Zero)]
    joints += [(a.expression - b.expression, a.high) for a, b in zip(found.pieces, found.pieces[1:])]
    if not all(meets(difference, point) for difference, point in joints):
        return False
    pairs = [(piece, target) for side in zip(found.split_at_zero(), slopes.split_at_zero())
             for piece in side[0].pieces for target in side[1].pieces
             if not is_less(piece.high, target.low) and not is_less(target.high, piece.low)]
    for piece, target in pairs:
        low = piece.low if is_less(target.low, piece.low) else target.low
        high = piece.high if is_less(piece.high, target.high) else target.high
        if is_less(low, high) and not all(meets(sp.diff(piece.expression, x) - target.expression, point)
                                          for point in _inside(low, high)):
            return False
    return True


def _inside(low: sp.Expr, high: sp.Expr) -> list[sp.Expr]:
    """A few exact points of the open interval."""
    shares = (sp.Rational(1, 7), sp.Rational(1, 2), sp.Rational(5, 6))
    if low.is_finite and high.is_finite:
        return [low + share * (high - low) for share in shares]
    if low.is_finite:
        return [low + share / (1 - share) for share in shares]
    return [(high if high.is_finite else sp.S.Zero) - share / (1 - share) for share in shares]
