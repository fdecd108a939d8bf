"""Is int_0^y h >= 0 for every y > 0? Proved by balls on a compact range and by tails at both ends,
or not answered.

Two divergences compare, D_f1 <= c D_f2, when this holds on either side of residual 0 for

    h = c G_2 - G_1,   G_i(y) = g_i'(y) e^{-y} on the right,  -g_i'(-y) e^{y} on the left

(Proposition 11), so no closed form of f is needed: the integrand is explicit, and only its integral
is enclosed.
"""

from collections.abc import Callable
from itertools import pairwise

import sympy as sp
from flint import arb

from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, patient, within
from divergence_lab.theory.checker.facts import monomials, proofs, tail_functions, tails
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions import Pieces, balls, digits, enclosure, ordering, x
from divergence_lab.theory.expressions.pieces import Piece

PRECISION = 30
MAX_STEPS = 4_000
LARGEST = 10**300  # of what a float can hold
SIMPLIFY_SECONDS = 2.0
SHORT = 5  # operations; a form as short as this is not simplified first
SMALLEST = sp.Rational(1, 2**40)


def outwards(slopes: Pieces, side: int) -> Pieces:
    """G(y), y > 0, with f(t)/t = int_0^y G at t = e^{side*y}, from the pieces of g' (Proposition
    11).
    """
    left, right = slopes.split_at_zero()
    if side > 0:
        return Pieces(
            tuple(Piece(p.low, p.high, p.expression * sp.exp(-x)) for p in right.pieces), x
        )
    return Pieces(
        tuple(
            Piece(-p.high, -p.low, -p.expression.subs(x, -x) * sp.exp(x))
            for p in reversed(left.pieces)
        ),
        x,
    )


def why_not_valid(loss: Loss) -> str | None:
    """None when g is continuous, x g'(x) >= 0 is proved for every x, and g' does not vanish next to
    0; else why not.

    What P4 and P11 need of a loss. Only g' is looked at between kinks, so g may have a form that no
    tail describes.
    """
    for kink, before, after in zip(loss.pieces.kinks, loss.pieces.pieces, loss.pieces.pieces[1:]):
        step = enclosure.value_at(before.expression - after.expression, x, kink, 40)
        if not (step.is_finite() and step.contains(0) and step.rad() < 1e-30):
            return f"its continuity at x = {kink} was not confirmed"
    left, right = loss.derivative.split_at_zero()
    if left.pieces[-1].expression == 0 or right.pieces[0].expression == 0:
        return "g is constant next to 0"
    try:
        for sign, side in ((-1, left), (1, right)):
            for piece in side.pieces:
                prove_sign(Piece(piece.low, piece.high, sign * piece.expression))
    except proofs.Rejected as reason:
        return str(reason)
    return None


def prove_sign(piece: Piece) -> None:
    """The expression is >= 0 on the piece, as it is written or in SymPy's simplest form. Raises
    Rejected.

    1 - tanh^2 is hopeless for balls far out, where it is nearly 0; 1/cosh^2 is not. So a long form
    waits its turn.
    """
    forms = [piece.expression]
    if piece.expression.count_ops() > SHORT:
        forms = list(dict.fromkeys([simplified(piece.expression), piece.expression]))
    reasons = []
    for form in forms:
        try:
            proofs.prove_nonnegative(form, x, piece.low, piece.high)
            return
        except (proofs.Rejected, monomials.NoTail) as reason:
            reasons.append(str(reason))
    raise proofs.Rejected(reasons[0])


def combined(a: Pieces, b: Pieces, function: Callable[[sp.Expr, sp.Expr], sp.Expr]) -> Pieces:
    """function(a, b) on the common refinement of their pieces, which span the same interval."""
    cuts = [a.pieces[0].low, *ordering.in_order([*a.kinks, *b.kinks]), a.pieces[-1].high]

    def piece_over(pieces: Pieces, low: sp.Expr) -> sp.Expr:
        return next(
            p.expression for p in reversed(pieces.pieces) if not ordering.is_less(low, p.low)
        )

    return Pieces(
        tuple(
            Piece(low, high, function(piece_over(a, low), piece_over(b, low)))
            for low, high in pairwise(cuts)
        ),
        x,
    )


def tail_of(
    expression: sp.Expr, end: sp.Expr, side: int = 1, reject: str = ""
) -> tuple[int, tails.HalfLine, tails.Tail, int]:
    """(X, half-line, tail, sign) at end = oo, or just right (left) of a finite end, on the first X
    that shows the sign.

    Near a finite end the tail is in 1/|x - end| and holds for 0 < |x - end| <= 1/X. Raises
    Rejected.
    """
    moved = expression if end == sp.oo else expression.xreplace({x: end + side / x})
    reason = monomials.NoTail("not tried")
    for X, order in tail_functions.HALF_LINES:
        if X > LARGEST:
            break
        try:
            line = tails.HalfLine(X, order)
            tail = tail_functions.expand_tail(line, moved, x)
            return X, line, tail, line.sign(tail)
        except monomials.NoTail as failure:
            reason = failure
    raise proofs.Rejected(f"{reject or expression} near {end}: {reason}")


def leading_ratio(a: sp.Expr, b: sp.Expr, end: sp.Expr, side: int = 1) -> sp.Expr:
    """lim a/b at an end, exact (0 or +-oo included), from the leading terms of both tails.

    Raises Rejected.
    """
    _, _, tail_a, sign_a = tail_of(a, end, side)
    _, _, tail_b, sign_b = tail_of(b, end, side)
    if sign_a == 0:
        return sp.S.Zero
    if sign_b == 0 or not tail_a.terms or not tail_b.terms:
        raise proofs.Rejected(f"the quotient of {a} and {b} has no leading term at {end}")
    (m, c), (n, d) = tail_a.terms[0], tail_b.terms[0]
    order = monomials.growth(m * n**sp.S.NegativeOne)
    return sp.simplify(c / d) if order == 0 else sp.S.Zero if order < 0 else sp.oo * sign_a * sign_b


def rest_of_integral(line: tails.HalfLine, tail: tails.Tail) -> arb:
    """An upper bound of int_X^oo |h|, from |h| <= C x^(-2).

    Raises NoTail when h does not fall so fast.
    """
    size, bound = line.lump(tail)
    if bound == 0:
        return arb(0)
    squared = size * monomials.iterated_log(0, sp.Integer(2))
    if monomials.growth(squared) > 0:
        raise monomials.NoTail("the integrand does not fall faster than x^(-2)")
    return arb(abs(bound).upper()) * line.sup(squared) / line.X


def prove_integral_nonnegative(h: Pieces, vanishes_at_infinity: bool = False) -> None:
    """int_0^y h >= 0 for every y > 0, or Rejected with the reason (false, or only not provable
    here).

    `vanishes_at_infinity`: it is known that int_0^oo h = 0 exactly.
    """
    pieces = [Piece(p.low, p.high, sp.S.Zero if vanishes(p) else p.expression) for p in h.pieces]
    while pieces and pieces[0].expression == 0:
        pieces.pop(0)
    if not pieces:
        return
    with digits(PRECISION + 10):
        try:
            _prove(pieces, vanishes_at_infinity)
        except (monomials.NoTail, enclosure.NotEvaluable) as reason:
            raise proofs.Rejected(str(reason)) from None


def vanishes(piece: Piece) -> bool:
    """Is the expression identically 0 there? Asked of SymPy, within a time limit, only when
    enclosures allow it.
    """
    if piece.expression == 0:
        return True
    if not piece.expression.free_symbols - {x}:
        low = (
            piece.low
            if piece.low.is_finite
            else piece.high - 1
            if piece.high.is_finite
            else sp.S.Zero
        )
        width = piece.high - low if piece.high.is_finite else sp.S.One
        for share in (sp.Rational(3, 7), sp.Rational(11, 13)):
            seen = enclosure.value_at(piece.expression, x, low + share * width, 30)
            if seen.is_finite() and not seen.contains(0):
                return False
    return simplified(piece.expression) == 0


def simplified(expression: sp.Expr) -> sp.Expr:
    """SymPy's simplest form, or the expression itself when that takes too long."""
    try:
        return within(patient(SIMPLIFY_SECONDS), sp.simplify, expression)
    except (OutOfTime, SearchFailed):
        return expression


def _prove(pieces: list[Piece], vanishes_at_infinity: bool) -> None:
    first, last = pieces[0], pieces[-1]
    X, _, _, sign = tail_of(first.expression, first.low, reject="the integrand")
    if sign < 0:
        raise proofs.Rejected(f"the integral is negative just after {first.low}")
    start = first.low + sp.Rational(1, X)
    if first.high != sp.oo and not ordering.is_less(start, first.high):
        start = first.high
    total = enclosure.integral(first.expression, x, first.low, start, PRECISION)
    if (
        not total.is_finite()
    ):  # a root at the end of the piece: the integral is at least 0, and that is enough
        total = arb(0)
    X, line, tail, sign = tail_of(last.expression, sp.oo, reject="the integrand")
    end = (
        sp.Integer(X)
        if ordering.is_less(last.low, sp.Integer(X)) and ordering.is_less(start, sp.Integer(X))
        else None
    )
    if end is None:
        raise proofs.Rejected(f"the pieces reach beyond {X}")
    for piece in pieces:
        low = start if ordering.is_less(piece.low, start) else piece.low
        high = end if piece.high == sp.oo else piece.high
        if ordering.is_less(low, high):
            total = _cover(piece.expression, low, high, total)
    if sign >= 0:
        return
    if vanishes_at_infinity or total >= rest_of_integral(line, tail):
        return
    raise proofs.Rejected(
        "the integral falls near infinity, and its limit was not shown to be >= 0"
    )


def _cover(h: sp.Expr, low: sp.Expr, high: sp.Expr, total: arb) -> arb:
    """int_0^y h >= 0 on [low, high], given int_0^low h = total; the integral up to high.

    On [a, b] the integral is at least H(a) + (b-a) min(0, inf h) and at least H(b) - (b-a) max(0,
    sup h).
    """
    slope, steps, pending = sp.diff(h, x), 0, [(low, high)]
    while pending:
        a, b = pending.pop()
        steps += 1
        if steps > MAX_STEPS:
            raise proofs.Rejected(f"the integral comes too close to 0 near {float(a):.6g}")
        if h == 0:
            return total
        width = _arb(b - a)
        bounds = enclosed_range(h, slope, a, b)
        if bounds is not None:
            at_b = total + enclosure.integral(h, x, a, b, PRECISION)
            if at_b.is_finite() and (
                total + width * arb(0).min(bounds.lower()) >= 0
                or at_b >= width * arb(0).max(bounds.upper())
            ):
                total = at_b
                continue
            if at_b < 0:
                raise proofs.Rejected(f"the integral is negative at {float(b):.6g}")
        if b - a < SMALLEST:
            raise proofs.Rejected(f"the integral comes too close to 0 near {float(a):.6g}")
        middle = _middle(a, b)
        pending += [(middle, b), (a, middle)]
    return total


def enclosed_range(h: sp.Expr, slope: sp.Expr, a: sp.Expr, b: sp.Expr) -> arb | None:
    """The range of h on [a, b]: its ball met with the mean value form."""
    box, middle = _arb(a).union(_arb(b)), _arb((a + b) / 2)
    direct = balls.ball(h, x, box)
    by_slope = balls.ball(h, x, middle) + balls.ball(slope, x, box) * (box - middle)
    if not direct.is_finite():
        return by_slope if by_slope.is_finite() else None
    if not by_slope.is_finite():
        return direct
    return by_slope if by_slope.rad() < direct.rad() else direct


def _middle(a: sp.Expr, b: sp.Expr) -> sp.Rational:
    """A rational near the middle, geometric where the interval spans orders of magnitude."""
    low, high = float(a), float(b)
    middle = (low * high) ** 0.5 if 0 < 4 * low < high else (low + high) / 2
    return sp.Rational(middle)


def _arb(number: sp.Expr) -> arb:
    return balls.ball(sp.sympify(number), x, arb(0))
