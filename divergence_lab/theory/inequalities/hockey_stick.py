"""A divergence as a weighted family of hockey sticks E_c(p || q) = sum (p - c q)_+, c >= 1.

    D_f(p || q) = g'(0+) E_1(p || q) - g'(0-) E_1(q || p)
                + int_0^oo g''(u) e^{-u} E_{e^u}(p || q) du + int_0^oo g''(-u) E_{e^u}(q || p) du

(Proposition 7) for measures that are positive everywhere, of equal mass or not, and for all finite
measures if g is convex and valid. The weights show at which ratio a loss looks: its curvature at
u > 0 weighs "p exceeds e^u q", discounted by e^{-u}; its curvature at -u weighs "q exceeds e^u p",
undiscounted.
"""

from dataclasses import dataclass
from math import nan

import sympy as sp

from divergence_lab.theory.divergence.loss import Loss, jump
from divergence_lab.theory.expressions import CannotSplit, Pieces, enclosure, ordering, pieces, x


@dataclass(frozen=True)
class Atom:
    """A single hockey stick E_{e^u} with this weight."""

    u: sp.Expr
    weight: sp.Expr


@dataclass(frozen=True)
class HockeyStickWeights:
    """The weights of E_{e^u}(p || q) and of E_{e^u}(q || p), u >= 0: densities in u (written x) and
    atoms.

    `target_exceeds` belongs to E(p || q) (the model has too little), `model_exceeds` to E(q || p).
    The atoms at u = 0 are g'(0+) and -g'(0-): half of the kink each only when the slopes are
    opposite.
    """

    target_exceeds: Pieces
    model_exceeds: Pieces
    target_atoms: tuple[Atom, ...]
    model_atoms: tuple[Atom, ...]

    def sides(self) -> dict[str, tuple[Pieces, tuple[Atom, ...]]]:
        """Density and atoms by the name of the side."""
        return {
            "target_exceeds": (self.target_exceeds, self.target_atoms),
            "model_exceeds": (self.model_exceeds, self.model_atoms),
        }


def hockey_stick_weights(loss: Loss) -> HockeyStickWeights:
    """The weights of a loss, straight from g'' (Proposition 7: they give D_f where p and q are
    positive, and everywhere if g is convex and valid). Raises CannotSplit where a slope is
    infinite.

        >>> import divergence_lab as dl
        >>> weights = hockey_stick_weights(dl.loss("x**2/2"))
        >>> weights.target_exceeds.pieces[0].expression, weights.model_exceeds.pieces[0].expression
        (exp(-x), 1)
    """
    left, right = loss.curvature.split_at_zero()
    target = Pieces(
        tuple(
            pieces.Piece(p.low, p.high, sp.powsimp(sp.expand(p.expression * sp.exp(-x))))
            for p in right.pieces
        ),
        x,
    )
    model = Pieces(
        tuple(
            pieces.Piece(-p.high, -p.low, p.expression.subs(x, -x)) for p in reversed(left.pieces)
        ),
        x,
    )
    slopes_left, slopes_right = loss.derivative.split_at_zero()
    above = _finite_slope(slopes_right.pieces[0].expression)
    below = _finite_slope(slopes_left.pieces[-1].expression)
    target_atoms = [Atom(sp.S.Zero, above)] if above != 0 else []
    model_atoms = [Atom(sp.S.Zero, -below)] if below != 0 else []
    for kink in loss.derivative.kinks:
        if kink == 0:
            continue
        size = jump(loss, kink)
        if not size.is_finite:
            raise CannotSplit(
                f"g' is infinite at x = {kink}: the weight of a hockey stick there is not finite"
            )
        if size == 0:
            continue
        if ordering.is_less(sp.S.Zero, kink):
            target_atoms.append(Atom(kink, sp.simplify(size * sp.exp(-kink))))
        else:
            model_atoms.append(Atom(-kink, size))
    return HockeyStickWeights(target, model, tuple(target_atoms), tuple(reversed(model_atoms)))


def _finite_slope(slope: sp.Expr) -> sp.Expr:
    value = slope.subs(x, 0)
    if not value.is_finite:
        raise CannotSplit(
            "g' is infinite at x = 0: the weight of a hockey stick there is not finite"
        )
    return sp.simplify(value)


def sampled(density: Pieces, reach: int = 4, points: int = 100) -> tuple[list[float], list[float]]:
    """(u, weight) at points of each piece within (0, reach); a nan between two pieces."""
    places: list[float] = []
    weights: list[float] = []
    for piece in density.pieces:
        if ordering.is_less(sp.Integer(reach), piece.high):
            piece = pieces.Piece(piece.low, sp.Integer(reach), piece.expression)
        if ordering.is_less(piece.low, piece.high):
            steps = [(2 * k + 1) * (piece.high - piece.low) / (2 * points) for k in range(points)]
            places += [float(piece.low + step) for step in steps] + [float(piece.high)]
            values = [
                enclosure.value_at(piece.expression, x, piece.low + step, 15) for step in steps
            ]
            weights += [float(value.mid()) for value in values] + [nan]
    return places, weights
