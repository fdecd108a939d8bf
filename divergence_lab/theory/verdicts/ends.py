"""What a loss does at both ends and at 0: proposals for limits and integrals, and the numbers
f'(oo) and g''(0).

    f'(oo) = int_0^oo g'(v) e^{-v} dv      exact where f has a closed form, else guaranteed digits:
    int_0^X is enclosed by quadrature, |int_X^oo| <= C m(X)/d where |g' e^{-v}| <= C m on [X, oo)
    and m e^{d v} falls there

Limits are read off tails. No verdict rests on what is proposed here: it stands only when the
checker has proved it.
"""

from collections.abc import Iterable

import sympy as sp
from flint import arb

from divergence_lab.theory.checker.facts import monomials, proofs, tail_functions, tails
from divergence_lab.theory.checker.families.signs import is_finite
from divergence_lab.theory.divergence import loss, values
from divergence_lab.theory.expressions import (
    CannotSplit,
    Pieces,
    constants,
    digits,
    enclosure,
    pieces,
    split,
    t,
    x,
)
from divergence_lab.theory.expressions.printing import shortest

DIGITS = 30
HALF_LINES = (100, 200, 400, 1000)
RATES = (
    sp.S.One,
    sp.S.Half,
    sp.Rational(1, 8),
    sp.Rational(1, 32),
    sp.Rational(1, 256),
    sp.Rational(1, 2048),
)


class Undecided(Exception):
    """No proposal, or none that could be verified; the message says what was tried."""


def limits(function: sp.Expr, end: sp.Expr) -> Iterable[sp.Expr]:
    """Candidates for lim function(x), x -> end: what its tail says, then the infinite ones."""
    if not function.has(x):
        yield function
        return
    answer = _limit(function, end)
    if answer is not None:
        yield answer
    yield from (infinite for infinite in (-sp.oo, sp.oo) if infinite != answer)


def _limit(function: sp.Expr, end: sp.Expr) -> sp.Expr | None:
    """The limit that the checker reads off the tail, in a short form; None where it has none."""
    try:
        return _shortest(proofs.limit_of(function, x, end))
    except (proofs.Rejected, enclosure.NotEvaluable):
        return None


def _shortest(limit: sp.Expr | None) -> sp.Expr | None:
    if limit is None or limit.is_infinite or limit.is_Rational:
        return limit
    return min((shortest(limit), sp.expand(limit)), key=sp.count_ops)


# The ladder of scales, each with whether int^oo dx/scale diverges (Proposition 16).
SCALES = (
    (x, True),
    (x ** sp.Rational(3, 2), False),
    (x * sp.log(x), True),
    (x * sp.log(x) ** 2, False),
    (x * sp.log(x) * sp.log(sp.log(x)), True),
    (x * sp.log(x) * sp.log(sp.log(x)) ** 2, False),
)


def comparisons(function: sp.Expr) -> Iterable[tuple[sp.Expr, sp.Expr, bool]]:
    """Candidates (scale, lim function*scale, whether int^oo function diverges), by the ladder of
    scales.
    """
    found = False
    for (scale, diverges), limit in zip(SCALES, _scaled_limits(function)):
        if limit is None:
            continue
        if (diverges and (limit.is_infinite or limit.is_nonzero)) or (
            not diverges and limit.is_finite
        ):
            found = True
            yield scale, limit, diverges
    if not found:
        yield x, sp.oo, True  # no limit is known: let the checker try the two commonest answers
        yield x ** sp.Rational(3, 2), sp.S.Zero, False


def _scaled_limits(function: sp.Expr) -> Iterable[sp.Expr | None]:
    """lim function*scale for each scale, all off one tail of the function."""

    def all_of_them(X: int, line: tails.HalfLine, tail: tails.Tail) -> list[sp.Expr | None]:
        scales = (tail_functions.expand_tail(line, scale, x) for scale, _ in SCALES)
        return [proofs.limit_of_tail(line, line.multiply(tail, scale)) for scale in scales]

    for form in (function, sp.powsimp(sp.expand(function.rewrite(sp.exp)))):
        try:
            return map(_shortest, proofs.at_end(form, x, sp.oo, 0, all_of_them))
        except (proofs.Rejected, enclosure.NotEvaluable):
            continue
    return ()


# --- numbers beside the verdicts


def slope_of_generator(loss: loss.Loss, generator: sp.Expr) -> sp.Expr | None:
    """lim f/t from the closed form of f: read off the tail of f(e^x) e^{-x}, and to be
    confirmed.
    """
    try:
        last = split(generator, t, sp.S.Zero, sp.oo).pieces[-1].expression
        ratio = proofs.limit_of(sp.expand(last.subs(t, sp.exp(x)) * sp.exp(-x)), x, sp.oo)
    except (CannotSplit, proofs.Rejected, enclosure.NotEvaluable):
        return None
    return None if ratio is None or not ratio.is_finite else ratio


def _slope_confirmed(loss: loss.Loss, slope: sp.Expr) -> bool:
    """int_0^X g' e^{-x} dx must have come close to it: X = 200, or, where the integrand falls
    off slowly, more.
    """
    if loss.parameters:
        return True
    try:
        for X in (200, 2000, 20_000):
            seen = values.enclose_integral(loss.pieces, sp.Integer(X), 20)
            if abs(enclosure.value_at(slope, x, sp.S.Zero, 30) - seen) < 1e-3 * (1 + abs(seen)):
                return True
    except enclosure.NotEvaluable:
        pass
    return False


def slope_at_infinity(
    loss: loss.Loss, generator: sp.Expr | None, avoiding: bool | None
) -> sp.Expr | None:
    """f'(oo): oo for a zero-avoiding loss, else an exact number or a Float, right within one unit
    of its last digit.

    None when it was not decided which, or where the integral falls off too slowly to be enclosed.
    """
    if avoiding is not False:
        return sp.oo if avoiding else None
    ball = enclose_slope(loss)
    found = None if generator is None else slope_of_generator(loss, generator)
    if found is not None and (
        _slope_confirmed(loss, found) if ball is None else _agrees(found, ball)
    ):
        return shortest(found)
    return None if ball is None else as_decimal(ball)


# --- digits


def enclose_slope(loss: loss.Loss) -> arb | None:
    """f'(oo) within 10^-(DIGITS + 1) of itself, or None where the rest beyond X can't be bounded
    so tightly.
    """
    if loss.parameters:
        return None
    last = loss.derivative.pieces[-1]
    for X in HALF_LINES:
        if last.low.is_finite and not float(last.low) < X:
            continue
        try:
            rest = _rest(tails.HalfLine(X), last.expression * sp.exp(-x))
            if not rest < arb(10) ** -(DIGITS + 3):
                continue
            with digits(DIGITS + 25):
                total = (
                    values.enclose_integral(loss.pieces, sp.Integer(X), DIGITS + 8)
                    + arb(0, 1) * rest
                )
            return (
                total
                if total.is_finite()
                and total.rad() < arb(10) ** -(DIGITS + 1) * max(1, abs(float(total)))
                else None
            )
        except (monomials.NoTail, enclosure.NotEvaluable, CannotSplit):
            continue
    return None


def _rest(line: tails.HalfLine, integrand: sp.Expr) -> arb:
    """An upper bound of int_X^oo |integrand|. Raises NoTail."""
    return bound_of_rest(line, tail_functions.expand_tail(line, integrand, x))


def bound_of_rest(line: tails.HalfLine, tail: tails.Tail) -> arb:
    """An upper bound of int_X^oo |tail|, for a tail that falls off exponentially. Raises NoTail."""
    size, ball = line.lump(tail)
    if ball == 0:
        return arb(0)
    for rate in RATES:
        raised = size * monomials.Monomial(exponents=((rate, monomials.iterated_log(0)),))
        if monomials.growth(raised) < 0 and line.is_decreasing(raised):
            return arb((abs(ball) * line.at_X(size)).upper()) / enclosure.exact(rate)
    raise monomials.NoTail("it falls off too slowly")


def as_decimal(ball: arb) -> sp.Float | None:
    """The ball as a decimal of DIGITS digits, right within one unit of the last; None where it
    is not as tight as that, next to 0.
    """
    with digits(DIGITS + 25):
        for count in (DIGITS, DIGITS - 2, DIGITS - 4):
            text = arb(ball.mid()).str(count, radius=False)
            if abs(ball - arb(text)) < unit_of(text):
                return sp.Float(text, count)
    return None


def unit_of(text: str) -> arb:
    """One unit of the last digit of a decimal."""
    mantissa, _, exponent = text.lower().partition("e")
    return arb(10) ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


def _agrees(value: sp.Expr, ball: arb) -> bool:
    try:
        with digits(DIGITS + 25):
            return bool((enclosure.exact(value) - ball).contains(0))
    except enclosure.NotEvaluable:
        return False


# --- at 0


def curvature_at_zero(loss: loss.Loss) -> sp.Expr | None:
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
    way = constants.sign_of(slopes[1] - slopes[0])
    if way != 0:
        return None if way is None else way * sp.oo
    below, above = (
        beside(piece, sp.S.Zero, side) for piece, side in _pieces_beside_zero(loss.curvature)
    )
    if sp.nan in (below, above) or below.is_infinite or above.is_infinite:
        return below if below == above and below is not sp.nan else None
    return (
        min((shortest(below), shortest(above)), key=sp.count_ops)
        if constants.sign_of(below - above) == 0
        else None
    )


def _pieces_beside_zero(
    function: Pieces,
) -> tuple[tuple[pieces.Piece, int], tuple[pieces.Piece, int]]:
    left, right = function.split_at_zero()
    return (left.pieces[-1], -1), (right.pieces[0], 1)


def beside(piece: pieces.Piece, point: sp.Expr, side: int) -> sp.Expr:
    """The limit of the expression at a point from the right (side 1) or left (-1); nan where it
    is not known.
    """
    if is_finite(piece.expression, at=(x, point)):  # every part of it is: 0*zoo is no 0
        return piece.expression.subs(x, point)
    try:
        found = proofs.limit_of(piece.expression, x, point, side)
    except proofs.Rejected:
        found = None
    return sp.nan if found is None else found
