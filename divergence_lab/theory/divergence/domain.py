"""Is g a finite, continuous, real function at all? Everything else is asked only of a loss that is.

Each piece of g is finite by its structure (an exponential of something finite, a logarithm of
something positive), or it is enclosed, finite and real, on the whole of [-600, 600] by adaptive
ball arithmetic: a pole or the root of a negative number can't hide between sample points. Further
out a few points and, later, the checker's tails decide.
"""

import itertools
from dataclasses import dataclass

import sympy as sp
from flint import acb, arb

from divergence_lab.theory.checker.facts import proofs
from divergence_lab.theory.checker.facts.proofs import Rejected, limit_of
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions import constants, digits, enclosure, pieces, points, x
from divergence_lab.theory.expressions.enclosure import value_at
from divergence_lab.theory.expressions.pieces import Piece

RANGE = 600
DEPTH = 40
DIGITS = 60  # so that 1 - e^{-x^2}, say, is seen to be positive close to 0
MAX_BOXES = 20_000
BESIDE = 1 / 64  # so near to an end of a piece the checker's tails decide
FAR = tuple(side * 10**k for k in (3, 4, 6) for side in (1, -1))


@dataclass(frozen=True)
class Fault:
    """What seems wrong, in words, and where: at a kink or near a point. The checker decides whether
    it is so.

    `kind`: "jump", "own value", "unbounded", "not real", or "not enclosed" (a pole, or only
    too large to enclose).
    """

    what: str
    kind: str
    near: sp.Expr

    @property
    def certain(self) -> bool:
        return self.kind != "not enclosed"


def fault(loss: Loss) -> Fault | None:
    """A place where g jumps or is not seen to be a finite real number; None when g is finite and
    continuous.

    A loss with free parameters is not looked at (its pieces may move with them).
    """
    if loss.parameters:
        return None
    if loss.expression.has(
        sp.Integral
    ):  # g is the integral of its slope: finite and continuous where that is finite
        return _first(loss.derivative.pieces)
    left, right = loss.pieces.split_at_zero()  # where a loss is 0, and so may be what is in a root
    parts = (*left.pieces, *right.pieces)
    at_kinks = [(before.high, before, after) for before, after in itertools.pairwise(parts)]
    for kink, left, right in at_kinks:
        a, b = (value_at(piece.expression, x, kink, 30) for piece in (left, right))
        if not (a - b).contains(0):
            jump = f"from {a.str(5, radius=False)} to {b.str(5, radius=False)}"
            return Fault(f"g jumps at x = {kink}, {jump}", "jump", kink)
    inside = _first(parts)
    if inside is not None and inside.certain:
        return inside
    found = (_at_kink(loss.expression, *place) for place in at_kinks)
    return next((fault for fault in found if fault is not None), inside)


def _at_kink(g: sp.Expr, kink: sp.Expr, left: Piece, right: Piece) -> Fault | None:
    """What the limits say where the formula has no value, or one that is not the limit."""
    value = points.value_of(g, x, kink)
    limit, other = (points.value_of(piece.expression, x, kink) for piece in (left, right))
    if limit is not None and other is not None:
        return _own_value(value, limit, kink)
    try:
        before, after = (
            limit_of(piece.expression, x, kink, side) for piece, side in ((left, -1), (right, 1))
        )
    except Rejected as reason:
        return Fault(f"the limits of g at x = {kink} are not known: {reason}", "not enclosed", kink)
    if before is None or after is None:
        return Fault(f"the limits of g at x = {kink} are not known", "not enclosed", kink)
    if before.is_infinite or after.is_infinite:
        limit = before if before.is_infinite else after
        return Fault(f"g tends to {limit} at x = {kink}", "unbounded", kink)
    if constants.equal(before, after) is not True:
        return Fault(f"g jumps at x = {kink}, from {before} to {after}", "jump", kink)
    return _own_value(value, before, kink)


def _own_value(value: sp.Expr | None, limit: sp.Expr, kink: sp.Expr) -> Fault | None:
    if value is None or constants.sign_of(value - limit) in (0, None):
        return None
    return Fault(f"g is {value} at x = {kink} and tends to {limit} there", "own value", kink)


def _first(parts: tuple[pieces.Piece, ...]) -> Fault | None:
    found = (_fault_inside(piece) for piece in parts if not _is_finite_by_structure(piece))
    return next((fault for fault in found if fault is not None), None)


# --- by structure

_ENTIRE = (
    sp.exp,
    sp.sinh,
    sp.cosh,
    sp.tanh,
    sp.asinh,
    sp.atan,
    sp.erf,
    sp.erfc,
    sp.erfi,
    sp.sin,
    sp.cos,
)


def _is_finite_by_structure(piece: pieces.Piece) -> bool:
    if piece.low.is_finite and not piece.low.is_negative:
        y = sp.Symbol("~y", positive=True)
    elif piece.high.is_finite and not piece.high.is_positive:
        y = sp.Symbol("~y", negative=True)
    else:
        y = sp.Symbol("~y", real=True)
    try:
        return _has_no_pole(piece.expression.xreplace({x: y})) and all(
            enclosure.value_at(piece.expression, x, end, 30).is_finite()
            for end in (piece.low, piece.high)
            if end.is_finite
        )
    except enclosure.NotEvaluable:
        return False


def _has_no_pole(e: sp.Expr) -> bool:
    """e is a finite real number for every value of its signed symbol, as SymPy's assumptions and
    its structure show.
    """
    if e.is_Symbol:
        return True
    if not e.free_symbols:
        return bool(
            enclosure.value_at(e, x, sp.S.Zero, 20).is_finite()
        )  # not so where it is not real
    if not all(_has_no_pole(part) for part in e.args):
        return False
    if e.is_Add or e.is_Mul or isinstance(e, _ENTIRE):
        return True
    if isinstance(e, sp.log | sp.gamma):
        return bool(e.args[0].is_positive)
    if isinstance(e, sp.polygamma):
        return bool(e.args[1].is_positive)
    if isinstance(e, sp.Ei):
        return bool(e.args[0].is_positive or e.args[0].is_negative)
    if isinstance(e, sp.polylog):
        return bool(e.args[0].is_Integer and e.args[1].is_nonpositive)
    if isinstance(e, sp.Pow):
        if e.exp.is_Integer:
            return bool(e.exp.is_positive or e.base.is_positive or e.base.is_negative)
        return bool(e.base.is_positive or (e.base.is_nonnegative and e.exp.is_positive))
    return False


# --- by enclosure


def _fault_inside(piece: pieces.Piece) -> Fault | None:
    found = _seen_inside(piece)
    return found if found is None or found.certain or not _is_shown_finite(piece) else None


def _is_shown_finite(piece: pieces.Piece) -> bool:
    """The checker shows it by tails where enclosures are too wide: sqrt(exp(x) - x - 1) near 0."""
    try:
        proofs.prove_finite(piece.expression, x, piece.low, piece.high)
        return True
    except proofs.Rejected:
        return False


def _seen_inside(piece: pieces.Piece) -> Fault | None:
    function = enclosure.evaluator(piece.expression, x)
    low = max(-RANGE, float(piece.low)) if piece.low.is_finite else -RANGE
    high = min(RANGE, float(piece.high)) if piece.high.is_finite else RANGE
    ends = [low, 0.0, high] if low < 0 < high else [low, high]
    pending = [(a, b, 0) for a, b in itertools.pairwise(ends) if a < b]
    count = 0
    while pending:
        a, b, depth = pending.pop()
        count += 1
        middle = (a + b) / 2
        with digits(DIGITS):
            ball = function(acb(arb(a).union(arb(b))), False)
        if ball.is_finite() and not ball.imag.contains(0):  # no value in the box is real
            return _classify(function, middle)
        # a ball that is finite and only touches the real line may hold the roots of negative
        # numbers as well
        if ball.is_finite() and (ball.imag == 0 or ball.imag.rad() < 1e-9):
            continue
        if depth < DEPTH and count < MAX_BOXES:
            halves = [(a, middle, depth + 1), (middle, b, depth + 1)]
            pending += (
                halves if b <= 0 else reversed(halves)
            )  # towards 0 first: there a break shows best
            continue
        # Beside an end of the piece an enclosure may widen (a root at 0, say), or the formula have
        # no value: `_without_value` looks at its limits there.
        finite = [float(end) for end in (piece.low, piece.high) if end.is_finite]
        if any(a - BESIDE <= end <= b + BESIDE for end in finite):
            continue
        return _classify(function, middle)
    for point in FAR:
        if (piece.low == -sp.oo or point > float(piece.low)) and (
            piece.high == sp.oo or point < float(piece.high)
        ):
            ball = function(acb(point), False)
            if ball.is_finite() and not ball.imag.contains(0):
                return _classify(function, point)
    return None


def _classify(function, point: float) -> Fault:
    at_point = function(acb(point), False)
    near = sp.Rational(point)
    if at_point.is_finite() and not at_point.imag.contains(0):
        return Fault(f"g is not a real number near x = {point:.4g}", "not real", near)
    return Fault(
        f"g could not be enclosed near x = {point:.4g}: it is too large there, or not defined",
        "not enclosed",
        near,
    )
