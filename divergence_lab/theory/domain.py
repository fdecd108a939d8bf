"""Is g a finite, continuous, real function at all? Everything else is asked only of a loss that is.

g is enclosed, finite, on the whole of [-600, 600] by adaptive ball arithmetic: a pole or a logarithm of a negative
number can't hide between sample points. Further out, its limits are looked at instead.
"""

from __future__ import annotations

from dataclasses import dataclass

from flint import acb, arb

from divergence_lab.theory.enclosure import evaluator, value_at
from divergence_lab.theory.loss import Loss
from divergence_lab.theory.pieces import Piece
from divergence_lab.theory.symbols import x

RANGE = 600
DEPTH = 40


@dataclass(frozen=True)
class Fault:
    """What is wrong, and whether it is certain (False: only that g could not be enclosed there)."""
    what: str
    certain: bool


def fault(loss: Loss) -> Fault | None:
    """A place where g jumps or is not a finite real number; None when g was enclosed everywhere it was looked at.

    A loss with free parameters is not looked at (its pieces may move with them).
    """
    if loss.parameters:
        return None
    pieces = loss.pieces
    for kink, left, right in zip(pieces.kinks, pieces.pieces, pieces.pieces[1:]):
        a, b = (value_at(piece.expression, x, kink, 30) for piece in (left, right))
        if not (a - b).contains(0):
            return Fault(f"g jumps at x = {kink}, from {a.str(5, radius=False)} to {b.str(5, radius=False)}", True)
    for piece in pieces.pieces:
        found = _fault_inside(piece)
        if found is not None:
            return found
    return None


def _fault_inside(piece: Piece) -> Fault | None:
    function = evaluator(piece.expression, x)
    low = max(-RANGE, float(piece.low)) if piece.low.is_finite else -RANGE
    high = min(RANGE, float(piece.high)) if piece.high.is_finite else RANGE
    pending = [(low, high, 0)] if low < high else []
    while pending:
        a, b, depth = pending.pop()
        ball = function(acb(arb(a).union(arb(b))), False)
        if ball.is_finite() and ball.imag.contains(0):
            continue
        middle = (a + b) / 2
        if depth < DEPTH:
            pending += [(a, middle, depth + 1), (middle, b, depth + 1)]
            continue
        # A finite value at a finite end of the piece (a root at 0, say) is fine: only its enclosure widens there.
        ends = [end for end in (piece.low, piece.high) if end.is_finite and a <= float(end) <= b]
        if ends and value_at(piece.expression, x, ends[0], 30).is_finite():
            continue
        return _classify(function, middle)
    return None


def _classify(function, point: float) -> Fault:
    at_point = function(acb(point), False)
    if at_point.is_finite() and not at_point.imag.contains(0):
        return Fault(f"g is not a real number near x = {point:.4g}", True)
    if at_point.is_finite():
        return Fault(f"g is not finite near x = {point:.4g}", True)
    return Fault(f"g could not be enclosed near x = {point:.4g}: it is too large there, or not defined", False)
