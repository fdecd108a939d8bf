"""Which named divergence is it? Losses are compared, not generators: that needs no closed form of f."""

from __future__ import annotations

import sympy as sp

from divergence_lab.theory import catalogue
from divergence_lab.theory.enclosure import NotEvaluable, value_at
from divergence_lab.theory.loss import Loss
from divergence_lab.theory.pieces import Piece, Pieces, split
from divergence_lab.theory.symbols import t, x


def recognise(loss: Loss) -> tuple[str | None, sp.Expr | None]:
    """The named divergence that the loss minimises, and the factor: g'(x) = factor * g'_named(x) for every x.

    Comparing losses instead of generators needs no closed form of f, and the gauge is already removed.
    """
    for entry in catalogue.DIVERGENCES:
        factor = proportion(loss.derivative, derivative_of_generator(catalogue.generator(entry)))
        if factor is not None:
            return entry.name, factor
    curvature = loss.curvature.pieces
    if len(curvature) == 1:
        rate = sp.simplify(sp.diff(curvature[0].expression, x) / curvature[0].expression) \
            if curvature[0].expression != 0 else x
        if not rate.has(x):  # g'' = c e^{a x}: the alpha family
            return f"alpha-divergence with alpha = {rate}", sp.simplify(curvature[0].expression.subs(x, 0))
    return None, None


def derivative_of_generator(generator: sp.Expr) -> Pieces:
    """g'(x) = t f'(t) - f(t) at t = e^x, from f normalised to f(1) = f'(1) = 0 (the converse, Remark 4.3)."""
    in_ratio = split(generator, t, sp.S.Zero, sp.oo)
    pieces = []
    for piece in in_ratio.pieces:
        h = sp.expand(t * sp.diff(piece.expression, t) - piece.expression)
        low = -sp.oo if piece.low == 0 else sp.log(piece.low)
        high = sp.oo if piece.high == sp.oo else sp.log(piece.high)
        pieces.append(Piece(low, high, sp.expand(sp.powsimp(h.subs(t, sp.exp(x))))))
    return Pieces(tuple(pieces), x)


def proportion(a: Pieces, b: Pieces) -> sp.Expr | None:
    """The constant c > 0 with a = c b everywhere, None when there is none (or none could be proved)."""
    if a.kinks != b.kinks:
        return None
    factor = None
    for piece_a, piece_b in zip(a.pieces, b.pieces):
        if piece_b.expression == 0 or piece_a.expression == 0:
            if piece_a.expression != piece_b.expression:
                return None
            continue
        sample = piece_a.low + sp.Rational(3, 7) if piece_a.low.is_finite else (
            piece_a.high - sp.Rational(3, 7) if piece_a.high.is_finite else sp.Rational(3, 7))
        second = sample + sp.Rational(1, 1000)
        try:  # a cheap numeric refusal first
            balls = [value_at(piece_a.expression, x, s, 30) / value_at(piece_b.expression, x, s, 30)
                     for s in (sample, second)]
            if not (balls[0] - balls[1]).contains(0):
                return None
        except NotEvaluable:
            pass  # parameters: only the symbolic test below decides
        ratio = sp.simplify((piece_a.expression / piece_b.expression).rewrite(sp.exp))
        if ratio.has(x) or (factor is not None and sp.simplify(ratio - factor) != 0):
            return None
        factor = ratio
    return factor if factor is not None and factor.is_positive else None
