"""The search for closed forms of int_0^u h(v) dv, piece by piece. Finds; confirms nothing.

SymPy's `integrate` runs in a process that can be ended, in the forms in which it succeeds most
often.
"""

from collections.abc import Callable

import sympy as sp

from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, left_until, patient, within
from divergence_lab.theory.checker.facts import proofs
from divergence_lab.theory.divergence import dilogarithms, integral_table
from divergence_lab.theory.expressions import Pieces, x
from divergence_lab.theory.expressions.ordering import is_finite, is_less
from divergence_lab.theory.expressions.pieces import Piece, inside, positive_argument

# One way of integrating one piece gets no more than this: what SymPy finds takes a third of it.
ATTEMPT_SECONDS = 2.0
MAX_POWER = 90  # int v^n e^{-v} dv has n + 1 terms


def integral_from_zero(function: Pieces, deadline: float) -> Pieces:
    """int_0^u function(v) dv in closed form, piece by piece outwards from 0.

    Raises SearchFailed or OutOfTime.
    """
    left, right = function.split_at_zero()
    pieces = []
    for side, outwards in ((left, reversed(left.pieces)), (right, iter(right.pieces))):
        reached = sp.S.Zero
        for piece in outwards:
            inner, outer = (piece.high, piece.low) if side is left else (piece.low, piece.high)
            away = -1 if side is left else 1
            grown = _with_real_logarithms(_antiderivative(piece, deadline), inner)
            reached = reached - _at(grown, inner, away, deadline)
            total = grown + reached
            pieces.append(Piece(piece.low, piece.high, total))
            if outer.is_finite:
                reached = _at(total, outer, -away, deadline)
    in_order = sorted(
        pieces, key=lambda piece: sum(is_less(other.low, piece.low) for other in pieces)
    )
    return Pieces(tuple(in_order), x).merged()


def _with_real_logarithms(antiderivative: sp.Expr, inner: sp.Expr) -> sp.Expr:
    """log u, where u is a negative number at the inner end of the piece, as log(-u): the
    constant between them is lost anyway.
    """
    return antiderivative.replace(
        lambda e: isinstance(e, sp.log) and bool(sp.simplify(e.args[0].subs(x, inner)).is_negative),
        lambda e: sp.log(sp.expand(-e.args[0])),
    )


def _at(expression: sp.Expr, point: sp.Expr, side: int, deadline: float) -> sp.Expr:
    """The limit at the point from the right (side 1) or left (-1): SymPy's, where no tail has it,
    may take for ever.
    """
    value = expression.subs(x, point)
    if is_finite(value):
        return value
    try:
        found = proofs.limit_of(expression, x, point, side) if _has_x_alone(expression) else None
    except proofs.Rejected:
        found = None
    if found is not None and found.is_finite:
        return found
    seconds = min(patient(ATTEMPT_SECONDS), left_until(deadline))
    return within(seconds, sp.limit, expression, x, point)


def _has_x_alone(expression: sp.Expr) -> bool:
    return expression.free_symbols <= {x}


def _antiderivative(piece: Piece, deadline: float) -> sp.Expr:
    """Some A with A'(v) = the piece's expression, on the piece."""
    if any(
        power.exp.is_Integer and power.exp > MAX_POWER for power in piece.expression.atoms(sp.Pow)
    ):
        raise SearchFailed(f"it has more than {MAX_POWER} terms")
    integrand = sp.expand(sp.powsimp(sp.expand(piece.expression.rewrite(sp.exp))))
    by_table = _exponential_polynomial(integrand)
    if by_table is not None:
        return by_table
    failures = []
    for attempt in _attempts(integrand):
        try:
            return within(min(patient(ATTEMPT_SECONDS), left_until(deadline)), attempt, piece)
        except (SearchFailed, OutOfTime) as failure:
            failures.append(f"{attempt.__name__.replace('_', ' ')}: {failure or 'out of time'}")
    raise SearchFailed("; ".join(failures))


def _attempts(integrand: sp.Expr) -> tuple[Callable[[Piece], sp.Expr], ...]:
    """What is worth trying, by where x stands: in exponentials, outside of them, or both.

    Of functions of both that the tables don't have, SymPy's `integrate` finds none within a
    reasonable time.
    """
    exponentials = {power for power in integrand.atoms(sp.exp, sp.Pow) if power.exp.has(x)}
    if not exponentials:
        return integral_table.antiderivative, integrate_with_sign
    known = integral_table.antiderivative, integrate_logarithms
    if integrand.xreplace({power: sp.Dummy() for power in exponentials}).has(x):
        return known
    elementary = [_is_elementary(term) for term in sp.Add.make_args(integrand)]
    if None not in elementary and elementary.count(False) == 1:
        return known
    return *known, integrate_in_exponential


def _is_elementary(term: sp.Expr) -> bool | None:
    """Whether int e^{rx} (a + b e^{nx})^q dx = (1/n) int w^{c-1} (a + bw)^q dw, c = r/n, is
    elementary for a q that is no number: where c, or -(c + q), is a positive integer. Else it is an
    incomplete beta function. None where the term is of another kind.
    """
    rate, powers = sp.S.Zero, []
    moving = sp.powsimp(term.as_independent(x, as_Add=False)[1])  # (1 + e^x)^p/(1 + e^x)
    for factor in sp.Mul.make_args(moving):
        if isinstance(factor, sp.exp):
            rate += sp.diff(factor.args[0], x)
        elif factor.has(x):
            powers.append(factor)
    if len(powers) > 1 or rate.has(x):
        return None
    if not powers:
        return True
    base, exponent = powers[0].as_base_exp()
    _, moving = base.as_independent(x, as_Add=True)
    _, moving = moving.as_independent(x, as_Add=False)
    if not (isinstance(moving, sp.exp) and base.is_Add and exponent.free_symbols - {x}):
        return None
    step = sp.diff(moving.args[0], x)
    if step.has(x) or exponent.has(x) or exponent.is_integer:
        return None
    ends = sp.cancel(rate / step), -sp.cancel(rate / step + exponent)
    return any(end.is_Integer and end.is_positive for end in ends)


def integrate_logarithms(piece: Piece) -> sp.Expr:
    """Rational functions of e^x times x or log p(e^x): elementary, or with dilogarithms."""
    return dilogarithms.antiderivative(piece.expression, inside(piece))


def integrate_in_exponential(piece: Piece) -> sp.Expr:
    """int h(v) dv = int h(log s)/s ds with s = e^v: rational, or nearly so, for many losses."""
    s = sp.Symbol("~s", positive=True)
    integrand = sp.simplify(piece.expression.rewrite(sp.exp).subs(x, sp.log(s))) / s
    return _found(sp.integrate(sp.expand(integrand), s)).subs(s, sp.exp(x))


def integrate_with_sign(piece: Piece) -> sp.Expr:
    """int h(v) dv with v = y or v = -y, y > 0: roots and logarithms then stay real."""
    signed, back = positive_argument(x, piece)
    variable = back[0] if back else x
    orientation = -1 if signed == -variable else 1
    found = _found(
        sp.integrate(orientation * sp.simplify(piece.expression.subs(x, signed)), variable)
    )
    return found.subs(*back) if back else found


def _found(antiderivative: sp.Expr) -> sp.Expr:
    if antiderivative.has(sp.Integral, sp.I):
        raise SearchFailed("SymPy's integrate found no real antiderivative")
    return antiderivative


def _exponential_polynomial(integrand: sp.Expr) -> sp.Expr | None:
    """int of a sum of c v^n e^{a v}, n a non-negative integer, from the textbook rule; None for
    anything else.
    """
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
            total += (
                coefficient
                * sp.exp(rate * x)
                * sum(
                    (-1) ** k * sp.ff(power, k) * x ** (power - k) / rate ** (k + 1)
                    for k in range(power + 1)
                )
            )
    return total
