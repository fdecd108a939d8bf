"""Where a smooth function is negative, if a point shows it; and forms in which its sign shows best.

A sign is proved by the checker; what the search brings is the form of the function, and one point
at which a guaranteed enclosure has the wrong sign where there is such a point.
"""

import functools

import sympy as sp

from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, patient, within
from divergence_lab.theory.checker.facts import proofs
from divergence_lab.theory.checker.facts.normal_form import oscillations_added
from divergence_lab.theory.checker.facts.structure import structural_sign
from divergence_lab.theory.expressions import (
    Pieces,
    balls,
    constants,
    enclosure,
    ordering,
    pieces,
    x,
)
from divergence_lab.theory.expressions.points import undefined_points

TIDY_SECONDS = 1.5
# Beyond this degree in the slowest exponential the factors of a sum are longer than the sum:
# e^{999x/1000} - 1.
MAX_DEGREE = 48
FARTHEST = 10**300  # of a point that a proof names


def factored(function: sp.Expr) -> sp.Expr:
    """A sum as a product of factors where it is one: 1 - tanh(x)**2 -> 4 e^{2x}/(e^{2x} + 1)^2,
    x^2 + 2x + 1 -> (x + 1)^2.
    """
    if any(undefined_points(e.args[0], x, -sp.oo, sp.oo) for e in function.atoms(sp.exp)):
        return function  # of e^{-1/(x-1)^2} little can be seen once (x-1)^2 is written out
    if function.is_rational_function(x):
        candidate = sp.factor(sp.together(function))
    else:
        written = function.rewrite(sp.exp)
        if _degree(written) > MAX_DEGREE:
            return function
        candidate = sp.factor(sp.powsimp(sp.expand(sp.together(written))), deep=False)
        candidate = sp.factor(sp.cancel(candidate)) if candidate.is_Add else candidate
    if candidate.has(sp.Abs, sp.sign):  # the root of a square, in whatever form it came
        return function
    return (
        function
        if candidate.is_Add or sp.count_ops(candidate) > 3 * sp.count_ops(function) + 40
        else candidate
    )


def _degree(function: sp.Expr) -> sp.Expr:
    """The largest rate r of the exponentials e^{rx} in units of the step between all of them."""
    rates = [
        abs(rate)
        for e in function.atoms(sp.exp)
        if (rate := sp.diff(e.args[0], x)).is_Rational and rate != 0
    ]
    if not rates:
        return sp.S.Zero
    whole = sp.ilcm(1, 1, *(rate.q for rate in rates))
    return max(rates) * whole / sp.igcd(0, 0, *(int(rate * whole) for rate in rates))


def tidy(function: Pieces) -> Pieces:
    """Each piece in the form in which its sign shows best: rational functions of x or of
    exponentials are factored, products of sines and cosines are sums.
    """
    return function.map(
        lambda f: (
            oscillations_added(f)
            if f.has(sp.sin, sp.cos)
            else _factored(f)
            if f.has(sp.Add)
            and (f.is_rational_function(x) or f.has(sp.exp, sp.sinh, sp.cosh, sp.tanh))
            else f
        )
    )


@functools.lru_cache(maxsize=512)
def _factored(f: sp.Expr) -> sp.Expr:
    try:
        return within(patient(TIDY_SECONDS), factored, f)
    except (OutOfTime, SearchFailed):
        return f


PROBES = (
    tuple(sp.Rational(n, 8) for n in (1, 3, 7, 13, 21, 34, 55, 89, 144, 233, 800))
    + tuple(sp.Rational(1, 10**k) for k in (2, 3, 5, 8))
    + tuple(sp.Rational(n, 12) for n in range(5, 100, 4))
)


def negative_point(piece: pieces.Piece) -> sp.Expr | None:
    """A point at which the piece's expression is negative, as an enclosure shows; None where there
    is none or none was found.
    """
    function = piece.expression
    if (
        function == 0
        or structural_sign(function, x, piece.low, piece.high) == 1
        or _is_nonnegative(function, piece)
    ):
        return None
    point = _counterexample(piece)
    return _next_to_an_end(piece) if point is None else point


def _next_to_an_end(piece: pieces.Piece) -> sp.Expr | None:
    """A point next to an end, or far out, where a tail shows the sign: cosh(x) - 1 - x^2 (1/2 +
    10^-25) falls for 0 < x < 10^-12 alone, log(1 + x^2/10^30) bends down beyond 10^15.
    """
    if piece.expression.free_symbols - {x}:
        return None
    for end, side in ((piece.low, 1), (piece.high, -1)):
        try:
            sign, X = proofs.at_end(
                piece.expression, x, end, side, lambda X, line, tail: (line.sign(tail), X)
            )
        except proofs.Rejected:
            continue
        if sign < 0 and X <= FARTHEST:
            return _within(piece, end, side, sp.Integer(X))
    return None


def _within(piece: pieces.Piece, end: sp.Expr, side: int, X: sp.Integer) -> sp.Expr:
    """A point of the piece no further from a finite end than 1/X, or beyond X."""
    other = piece.high if side > 0 else piece.low
    if end.is_infinite:
        beyond = -side * X if other.is_infinite else other - side * X
        return beyond if abs(beyond) >= X else -side * X
    near = end + sp.Rational(side, X)
    inside = other.is_infinite or constants.sign_of(side * (other - near)) == 1
    return near if inside else (end + other) / 2


def _is_nonnegative(form: sp.Expr, piece: pieces.Piece) -> bool:
    """SymPy's assumption calculus sees form >= 0 on the piece, from the sign of x there."""
    return bool(form.subs(x, pieces.positive_argument(x, piece)[0]).is_nonnegative)


def _counterexample(piece: pieces.Piece) -> sp.Expr | None:
    if piece.expression.free_symbols - {x}:
        return None
    candidates = {
        side * probe + anchor
        for probe in PROBES
        for side in (1, -1)
        for anchor in {a for a in (piece.low, piece.high, sp.S.Zero) if a.is_finite}
    }
    try:
        for point in sorted(candidates, key=lambda c: abs(balls.ball_of_constant(c)).mid()):
            inside = ordering.is_less(piece.low, point) and ordering.is_less(point, piece.high)
            if inside and enclosure.value_at(piece.expression, x, point, 30) < 0:
                return point
    except enclosure.NotEvaluable:
        pass  # parameters without values: no counterexample can be computed
    return None
