"""What the two ends of the range decide, if the gradient goes on so beyond them.

g' constant on the left     f(0+) = -g'(-oo) is finite: not zero-forcing
g' straight on the left     f(0+) = oo: zero-forcing
either on the right         f'(oo) = int_0^oo g'(x) e^(-x) dx is finite: not zero-avoiding
"""

import numpy as np
import sympy as sp

from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions import write

# So many residuals at an end must have slopes that are constant, or straight to nine digits.
SEEN = 40


def if_it_goes_on(points: np.ndarray, slopes: np.ndarray) -> tuple[bool | None, bool | None]:
    """(zero-forcing, zero-avoiding) by the ends; None where an end says nothing."""
    left = _rate(points[:SEEN], slopes[:SEEN])
    right = _rate(points[-SEEN:], slopes[-SEEN:])
    forcing = None if left is None or left < 0 else left > 0
    return forcing, None if right is None or not np.isfinite(slopes[points > 0]).all() else False


def _rate(points: np.ndarray, slopes: np.ndarray) -> float | None:
    """How fast a straight g' grows with x; None where it is not straight."""
    if len(points) < SEEN or not np.isfinite(slopes).all():
        return None
    if np.all(slopes == slopes[0]):
        return 0.0
    rate = (slopes[-1] - slopes[0]) / (points[-1] - points[0])
    off = np.abs(slopes[0] + rate * (points - points[0]) - slopes)
    return float(rate) if np.all(off <= 1e-9 * np.abs(slopes).max()) else None


def hockey_stick(loss: Loss) -> tuple[str, str] | None:
    """(name, factor) of the divergence of a hinge that turns at a != 0: e^a (t - e^a)_+ and its
    like; None for other losses.

    E_gamma(p||q) = sum (p - gamma q)_+.
    """
    pieces = loss.derivative.pieces
    if len(pieces) != 2 or any(piece.expression.free_symbols for piece in pieces):
        return None
    turn, (left, right) = pieces[0].high, (piece.expression for piece in pieces)
    if turn > 0 and left == 0 and right > 0:
        return f"hockey-stick with gamma = {write(sp.exp(turn))}", write(right * sp.exp(-turn))
    if turn < 0 and right == 0 and left < 0:
        return f"hockey-stick of the swap with gamma = {write(sp.exp(-turn))}", write(-left)
    return None
