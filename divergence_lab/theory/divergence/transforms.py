"""New losses from old ones: each function returns a Loss, whose verdicts are decided afresh.

    mirror          g(-x)                     what a slip of the residual's sign minimises    (P6)
    swap            g*'' = e^x g''(-x)        the divergence with its arguments exchanged     (P6)
    weighted_sum    sum c_i g_i               the same sum of divergences                     (P2)
    clip            g'(max(-c, min(x, c)))    the residual clipped inside the gradient        (P18)

What a loss becomes under another weighting is in `weightings` (P8 to P10).
"""

from collections.abc import Iterable

import sympy as sp

from divergence_lab.theory.divergence import closed_form, inversion
from divergence_lab.theory.divergence.loss import Loss, from_expression
from divergence_lab.theory.expressions import Pieces, x
from divergence_lab.theory.expressions.ordering import is_finite, is_less
from divergence_lab.theory.expressions.pieces import Piece

BUDGET_SECONDS = 20.0


def mirror(loss: Loss) -> Loss:
    """g(-x), the loss on the residual with the wrong sign (Proposition 6).

    Not the swap: g''(-x) lacks the factor e^x. Zero-forcing and zero-avoiding are not exchanged but
    decided anew: the mirror is zero-forcing iff g'(x) -> oo at oo, and zero-avoiding iff int_0^oo
    |g'(-x)| e^{-x} dx = oo. Linex(1), zero-avoiding, becomes Linex(-1), zero-forcing; the quadratic
    stays what it is.
    """
    if not loss.expression.has(sp.Piecewise):
        return from_expression(loss.expression.subs(x, -x), assumptions=loss.assumptions)
    return from_expression(_reflected(loss.pieces).as_expression(), assumptions=loss.assumptions)


def _reflected(pieces: Pieces) -> Pieces:
    return Pieces(
        tuple(Piece(-p.high, -p.low, p.expression.subs(x, -x)) for p in reversed(pieces.pieces)), x
    )


def swap(loss: Loss, budget: float = BUDGET_SECONDS) -> Loss | None:
    """The loss of D_f(p_F || p_B): g*'(x) = -f'(e^{-x}), g*''(x) = e^x g''(-x) (Proposition 6).

    Exchanges f(0+) and f'(oo), so it exchanges zero-forcing and zero-avoiding. Where g* has no
    closed form that was found and confirmed within the budget it is the integral of g*'; None when
    f has none either.
    """
    known = closed_form.divergence(loss, budget)
    found = closed_form.dual_loss(known, budget)
    if found is not None:
        return from_expression(found, assumptions=loss.assumptions)
    if known.generator is None:
        return None
    slope = closed_form.dual_slopes(known.generator)
    return Loss(inversion.unevaluated(slope), None, assumptions=loss.assumptions, slope=slope)


def weighted_sum(terms: Iterable[tuple[sp.Expr, Loss]]) -> Loss:
    """sum c_i g_i, c_i > 0: its divergence is sum c_i D_{f_i} (Proposition 2: the transform is
    linear).

    Zero-forcing (zero-avoiding) as soon as one of convex terms is; symmetric if all are.
    """
    terms = tuple((sp.sympify(weight), loss) for weight, loss in terms)
    for weight, _ in terms:
        if not weight.is_positive:
            raise ValueError(
                f"the weight {weight} is not positive: a negative multiple of a loss is no loss"
            )
    if not terms:
        raise ValueError("a sum of no losses is no loss: give at least one")
    assumptions = tuple(dict.fromkeys(a for _, loss in terms for a in loss.assumptions))
    return from_expression(
        sp.Add(*(weight * loss.expression for weight, loss in terms)), assumptions=assumptions
    )


def clip(loss: Loss, bound: sp.Expr) -> Loss:
    """g inside [-c, c] and its tangents outside, c = bound > 0: the gradient of a clipped residual
    (Proposition 18).

    Neither zero-forcing nor zero-avoiding, whatever valid g was: f(0+) = -g'(-c), from inside, and
    f'(oo) = int_0^c g' e^{-x} dx + g'(c) e^{-c}. Convex if g is. The quadratic becomes Huber(c).
    Raises ValueError where g' has no finite limit at c or -c from inside.
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
    if not all(is_finite(sp.diff(f, x).subs(x, at)) for f, at in ((first, -c), (last, c))):
        raise ValueError(f"can't clip at {c}: g' has no finite limit there")
    pieces = (Piece(-sp.oo, -c, _tangent(first, -c)), *kept, Piece(c, sp.oo, _tangent(last, c)))
    return from_expression(Pieces(pieces, x).merged().as_expression(), assumptions=loss.assumptions)


def _tangent(expression: sp.Expr, point: sp.Expr) -> sp.Expr:
    return expression.subs(x, point) + sp.diff(expression, x).subs(x, point) * (x - point)
