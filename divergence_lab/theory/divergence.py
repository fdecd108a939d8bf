"""From a loss to its f-divergence.

    f(t) = t int_1^t g'(log s)/s^2 ds,   that is   f(e^u) = e^u int_0^u g'(v) e^{-v} dv      (Hu et al., Theorem 4.1)

The second form is the one that is integrated: with v = log s most losses become sums of exponentials times powers.
A closed form is shown only after guaranteed enclosures of the integral agreed with it; without one the integral
itself is enclosed at any ratio.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import sympy as sp
from flint import arb

from divergence_lab.theory import catalogue
from divergence_lab.theory.budget import OutOfTime, SearchFailed, within
from divergence_lab.theory.domain import fault
from divergence_lab.theory.enclosure import NotEvaluable, digits, exact, integral, value_at
from divergence_lab.theory.loss import Loss
from divergence_lab.theory.pieces import CannotSplit, Piece, Pieces, is_less, positive_argument, split
from divergence_lab.theory.symbols import t, x

CONFIRMING_DIGITS = 30
# The residuals at which a closed form is held against the enclosed integral, per piece or on the whole line.
CONFIRMING_RESIDUALS = tuple(sp.Rational(n, 7) for n in (-140, -31, -16, -5, -1, 2, 6, 17, 29, 140))
# The swapped loss is a courtesy, not a verdict: its search gets no more than this.
DUAL_SECONDS = 2.0
# One way of integrating one piece gets no more than this: what SymPy finds, it finds sooner.
ATTEMPT_SECONDS = 2.0
# Parameters take these values when a closed form with parameters is confirmed.
CONFIRMING_PARAMETERS = tuple(sp.Rational(n, 11) for n in (3, 8, 17, 30))


class NotConfirmed(Exception):
    """A closed form and the enclosed integral disagree."""


@dataclass(frozen=True)
class Divergence:
    """D_f(p_B || p_F) = sum p_F f(p_B/p_F), the divergence whose gradient the loss follows on-policy.

    `generator`: f(t), None when no closed form was found (then `enclose` still gives f anywhere).
    `name`, `factor`: the named divergence it equals and the positive factor, None when it is not a known one.
    `confirmed`: how many enclosed values agreed with the closed form.
    """

    loss: Loss
    generator: sp.Expr | None
    name: str | None
    factor: sp.Expr | None
    confirmed: int
    tried: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name or "an f-divergence without a common name"


@dataclass(frozen=True)
class Value:
    """f(ratio) lies within `radius` of `value`, guaranteed; both are decimal strings."""
    ratio: str
    value: str
    radius: str


def divergence(loss: Loss, budget: float = 10.0) -> Divergence:
    """The divergence of a loss; the search for a closed form ends after `budget` seconds."""
    deadline = time.monotonic() + budget
    tried: list[str] = []
    generator, confirmed = None, 0
    broken = fault(loss)
    if broken is not None:
        return Divergence(loss, None, None, None, 0, (f"nothing was searched: {broken.what}",))
    try:
        candidate = _closed_form(loss, deadline)
        confirmed = confirm(loss, candidate)
        generator = _simplest(loss, candidate, deadline)
    except (OutOfTime, SearchFailed, NotConfirmed, NotEvaluable, CannotSplit) as failure:
        tried.append(f"closed form of f: {failure or 'the time was over'}")
    name, factor = recognise(loss)
    return Divergence(loss, generator, name, factor, confirmed, tuple(tried))


# --- the closed form -----------------------------------------------------------------------------------------

def _closed_form(loss: Loss, deadline: float) -> sp.Expr:
    """f(t) = t F(log t), F(u) = int_0^u g'(v) e^{-v} dv."""
    return _in_ratio(integral_from_zero(loss.derivative.map(lambda slope: slope * sp.exp(-x)), deadline))


def integral_from_zero(function: Pieces, deadline: float) -> Pieces:
    """int_0^u function(v) dv in closed form, piece by piece outwards from 0. Raises SearchFailed or OutOfTime."""
    left, right = function.split_at_zero()
    pieces = []
    for side, outwards in ((left, reversed(left.pieces)), (right, iter(right.pieces))):
        reached = sp.S.Zero
        for piece in outwards:
            inner, outer = (piece.high, piece.low) if side is left else (piece.low, piece.high)
            antiderivative = _antiderivative(piece, deadline)
            reached = reached - _at(antiderivative, inner, deadline)
            total = antiderivative + reached
            pieces.append(Piece(piece.low, piece.high, total))
            if outer.is_finite:
                reached = _at(total, outer, deadline)
    in_order = sorted(pieces, key=lambda piece: sum(is_less(other.low, piece.low) for other in pieces))
    return Pieces(tuple(in_order), x).merged()


def _in_ratio(integral_in_residual: Pieces) -> sp.Expr:
    """t F(log t) as one expression or a Piecewise in t."""
    def convert(piece: Piece) -> sp.Expr:
        return sp.expand(t * sp.powsimp(sp.expand(piece.expression.rewrite(sp.exp)).subs(x, sp.log(t))))
    *firsts, last = integral_in_residual.pieces
    if not firsts:
        return convert(last)
    return sp.Piecewise(*((convert(p), t < sp.exp(p.high)) for p in firsts), (convert(last), True))


def _at(expression: sp.Expr, point: sp.Expr, deadline: float) -> sp.Expr:
    value = expression.subs(x, point)
    if value.is_finite and not value.has(sp.nan, sp.zoo):
        return value
    return within(_left(deadline), sp.limit, expression, x, point)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise OutOfTime
    return left


def _antiderivative(piece: Piece, deadline: float) -> sp.Expr:
    """Some A with A'(v) = the piece's expression, on the piece."""
    integrand = sp.expand(sp.powsimp(sp.expand(piece.expression.rewrite(sp.exp))))
    by_table = _exponential_polynomial(integrand)
    if by_table is not None:
        return by_table
    failures = []
    for attempt in (integrate_in_exponential, integrate_with_sign):
        try:
            return within(min(ATTEMPT_SECONDS, _left(deadline)), attempt, piece)
        except (SearchFailed, OutOfTime) as failure:
            failures.append(f"{attempt.__name__.replace('_', ' ')}: {failure or 'out of time'}")
    raise SearchFailed("; ".join(failures))


def integrate_in_exponential(piece: Piece) -> sp.Expr:
    """int h(v) dv = int h(log s)/s ds with s = e^v: rational, or nearly so, for many losses."""
    if not piece.expression.has(sp.exp, sp.sinh, sp.cosh, sp.tanh):
        raise SearchFailed("no exponential in the loss")
    s = sp.Symbol("s", positive=True)
    integrand = sp.simplify(piece.expression.rewrite(sp.exp).subs(x, sp.log(s))) / s
    return _found(sp.integrate(sp.expand(integrand), s)).subs(s, sp.exp(x))


def integrate_with_sign(piece: Piece) -> sp.Expr:
    """int h(v) dv with v = y or v = -y, y > 0: roots and logarithms then stay real."""
    signed, back = positive_argument(x, piece)
    variable = back[0] if back else x
    orientation = -1 if signed == -variable else 1
    found = _found(sp.integrate(orientation * sp.simplify(piece.expression.subs(x, signed)), variable))
    return found.subs(*back) if back else found


def _found(antiderivative: sp.Expr) -> sp.Expr:
    if antiderivative.has(sp.Integral, sp.I):
        raise SearchFailed("SymPy's integrate found no real antiderivative")
    return antiderivative


def _exponential_polynomial(integrand: sp.Expr) -> sp.Expr | None:
    """int of a sum of c v^n e^{a v}, n a non-negative integer, from the textbook rule; None for anything else."""
    total = sp.S.Zero
    for term in sp.Add.make_args(integrand):
        coefficient, rest = term.as_independent(x, as_Add=False)
        power, rate = 0, sp.S.Zero
        for factor in sp.Mul.make_args(rest):
            base, exponent = factor.as_base_exp()
            if base == x and exponent.is_Integer and exponent >= 0:
                power += int(exponent)
            elif isinstance(factor, sp.exp) and not sp.diff(factor.args[0], x).has(x):
                rate += sp.diff(factor.args[0], x)
                coefficient *= sp.exp(factor.args[0].subs(x, 0))
            elif factor != 1:
                return None
        if sp.expand(rate) == 0:
            total += coefficient * x ** (power + 1) / (power + 1)
        else:
            total += coefficient * sp.exp(rate * x) * sum(
                (-1) ** k * sp.ff(power, k) * x ** (power - k) / rate ** (k + 1) for k in range(power + 1))
    return total


def _simplest(loss: Loss, found: sp.Expr, deadline: float) -> sp.Expr:
    """The shortest of a few equal forms; each is confirmed anew, because simplification may err."""
    best = found
    for simplify in (sp.simplify, sp.factor, shift_free):
        try:
            form = sp.expand_log(within(min(3.0, _left(deadline)), simplify, found), force=True)
            if sp.count_ops(form) < sp.count_ops(best):
                confirm(loss, form)
                best = form
        except (OutOfTime, SearchFailed, NotConfirmed, NotEvaluable, CannotSplit):
            continue  # the unsimplified form stands: it is longer, not wrong
    return best


def shift_free(expression: sp.Expr) -> sp.Expr:
    """Expanded and simplified term by term, so that t*log(t) - t + 1 is not folded into t*(log(t) - 1) + 1."""
    expanded = sp.expand(sp.simplify(expression))
    return sp.Add(*(sp.simplify(term) for term in sp.Add.make_args(expanded)))


def dual_loss(divergence: Divergence, budget: float = 10.0) -> sp.Expr | None:
    """The loss whose divergence is D_f with its arguments swapped: g*'(x) = -f'(e^{-x}), g*''(x) = e^x g''(-x).

    Not the mirror g(-x). None when f has no closed form or the integral was not found; confirmed by g*'' otherwise.
    """
    if divergence.generator is None:
        return None
    deadline = time.monotonic() + min(budget, DUAL_SECONDS)
    try:
        slopes = split(divergence.generator, t, sp.S.Zero, sp.oo).derivative()
        mirrored = tuple(Piece(-sp.oo if p.high == sp.oo else -sp.log(p.high), sp.oo if p.low == 0 else -sp.log(p.low),
                               -p.expression.subs(t, sp.exp(-x))) for p in reversed(slopes.pieces))
        dual = integral_from_zero(Pieces(mirrored, x), deadline).as_expression()
        forms = [dual] if dual.has(sp.Piecewise) else [dual, sp.expand(dual), within(_left(deadline), sp.simplify, dual)]
        best = min(forms, key=sp.count_ops)
        _confirm_dual(divergence.loss, best)
    except (OutOfTime, SearchFailed, NotConfirmed, NotEvaluable, CannotSplit):
        return None
    return best


def _confirm_dual(loss: Loss, dual: sp.Expr) -> None:
    """g*''(x) = e^x g''(-x) and g*(0) = 0, in enclosures."""
    for values in _parameter_samples(loss):
        g = (loss.pieces if not values else split(loss.expression.subs(values), x)).derivative().derivative()
        curvature = split(dual.subs(values), x).derivative().derivative()
        for point in CONFIRMING_RESIDUALS:
            with digits(CONFIRMING_DIGITS + 10):
                expected = exact(point).exp() * _pieces_at(g, -point, CONFIRMING_DIGITS)
                difference = _pieces_at(curvature, point, CONFIRMING_DIGITS) - expected
            if not difference.contains(0) or not difference.rad() < 1e-15 * (1 + abs(expected)):
                raise NotConfirmed(f"the swapped loss at x = {point}")


# --- confirmation by enclosures ------------------------------------------------------------------------------

def confirm(loss: Loss, generator: sp.Expr) -> int:
    """Hold the closed form against rigorous enclosures of the defining integral; the number of values that agreed.

    Raises NotConfirmed at the first value outside its enclosure.
    """
    pieces_of_f = split(generator, t, sp.S.Zero, sp.oo)
    count = 0
    for values in _parameter_samples(loss):
        g = loss.pieces if not values else split(loss.expression.subs(values), x)
        kinks = [kink for kink in g.kinks if kink != 0]
        points = [*CONFIRMING_RESIDUALS, *(kink + sign * sp.Rational(1, 9) for kink in kinks for sign in (-1, 1))]
        f = pieces_of_f if not values else split(generator.subs(values), t, sp.S.Zero, sp.oo)
        for point in points:
            with digits(CONFIRMING_DIGITS + 10):
                ratio = exact(point).exp()
                closed = _pieces_at(f, sp.exp(point), CONFIRMING_DIGITS)
                difference = closed - ratio * enclose_integral(g, point, CONFIRMING_DIGITS)
            if not difference.is_finite() or not difference.contains(0) or not difference.rad() < 1e-15 * (1 + abs(closed)):
                raise NotConfirmed(f"f(e^({point})) = {closed.str(8)} does not agree with its integral")
            count += 1
    return count


def _parameter_samples(loss: Loss) -> list[Mapping[sp.Symbol, sp.Expr]]:
    """Exact values for the parameters that respect their assumptions ([{}] when there are none)."""
    if not loss.parameters:
        return [{}]
    samples = []
    for shift in range(3):
        values = {}
        for index, symbol in enumerate(loss.parameters):
            value = CONFIRMING_PARAMETERS[(index + shift) % len(CONFIRMING_PARAMETERS)]
            values[symbol] = -value if symbol.is_negative or symbol.is_nonpositive else value
        samples.append(values)
    return samples


def enclose_integral(loss: Pieces, u: sp.Expr, precision: int) -> arb:
    """int_0^u g'(v) e^{-v} dv, enclosed, from the pieces of g; u exact.

    Where g' is not finite (a root at 0) the parts rule takes over: g(u) e^{-u} + int_0^u g(v) e^{-v} dv.
    """
    total = _enclose(loss.derivative(), u, precision)
    if total.is_finite():
        return total
    with digits(precision + 15):
        return _pieces_at(loss, u, precision) * (-exact(u)).exp() + _enclose(loss, u, precision)


def _enclose(function: Pieces, u: sp.Expr, precision: int) -> arb:
    """int_0^u function(v) e^{-v} dv, piece by piece."""
    positive = is_less(sp.S.Zero, u)
    left, right = function.split_at_zero()
    total = arb(0)
    for piece in right.pieces if positive else left.pieces:
        low = u if not positive and is_less(piece.low, u) else piece.low
        high = u if positive and is_less(u, piece.high) else piece.high
        if is_less(low, high):
            part = integral(piece.expression * sp.exp(-x), x, low, high, precision)
            total = total + part if positive else total - part
    return total


def _pieces_at(pieces: Pieces, point: sp.Expr, precision: int) -> arb:
    for piece in pieces.pieces:
        if piece.high == sp.oo or is_less(point, piece.high):
            return value_at(piece.expression, pieces.variable, point, precision)
    raise AssertionError("the last piece reaches infinity")


def enclose(divergence: Divergence, ratio: sp.Expr, precision: int = 30) -> arb:
    """f(ratio) as a ball, ratio an exact positive number: from the defining integral, never from the closed form."""
    for extra in (0, 30, 100, 300):
        with digits(precision + extra + 20):
            u = sp.log(ratio)
            ball = exact(ratio) * enclose_integral(divergence.loss.pieces, u, precision + extra) \
                if ratio != 1 else arb(0)
        if ball.is_finite() and (ball.rad() == 0 or abs(ball.rad()) < arb(10) ** -precision * max(1, abs(float(ball.mid())))):
            return ball
    return ball


def value(divergence: Divergence, ratio: sp.Expr, precision: int = 30) -> Value:
    """f(ratio) to `precision` digits with its guaranteed radius, as decimal strings."""
    ball = enclose(divergence, ratio, precision)
    if not ball.is_finite():
        raise NotEvaluable(f"f({ratio}) could not be enclosed: the loss may not be defined up to there")
    with digits(precision + 20):
        # Round the midpoint to the digits that are shown; what the rounding loses is added to the radius.
        shown = arb(ball.mid()).str(precision, radius=False)
        radius = abs(ball - arb(shown)).upper()
        exponent = -math.inf if radius == 0 else math.ceil(float(arb(radius).log() / arb(10).log()) + 1e-9)
    return Value(str(ratio), shown, "0" if radius == 0 else f"1e{int(exponent)}")


# --- recognition ---------------------------------------------------------------------------------------------

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
