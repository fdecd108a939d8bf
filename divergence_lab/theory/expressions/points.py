"""The points of a formula: where it has no value, and where it is 0.

    sinh(x)/x at 0      x**2*log(Abs(x)) at 0      exp(-1/(x - 1)**2) at 1

At zeros of what it divides by, at ends of logarithms and of roots a function may be continued by
its limit, tend to oo or jump. Points are exact: numbers in closed form, or `Root`s. A point without
a value that is not found here is no break point, and then no enclosure around it is finite. Part of
the trusted checker.
"""

import contextlib
import itertools
from collections.abc import Iterable, Iterator

import sympy as sp
from sympy.core.relational import Relational

from divergence_lab.theory.expressions import constants
from divergence_lab.theory.expressions.balls import (
    DECISIONS,
    PRECISION_BITS,
    Root,
    ball,
    ball_of_constant,
)
from divergence_lab.theory.expressions.ordering import CannotSplit, in_order, is_less
from divergence_lab.theory.expressions.precision import bits
from divergence_lab.theory.expressions.symbols import x

_EXTREMES = (sp.Max, sp.Min)
_NEVER_ZERO = (sp.exp, sp.cosh)
FAR = 40  # a sign is looked for up to 2^FAR beyond the last critical point
BISECTIONS = 60


def value_of(e: sp.Expr, variable: sp.Symbol, point: sp.Expr) -> sp.Expr | None:
    """e at the point, part by part; None where a part has no finite real value, which SymPy's
    `subs` loses in 0*zoo = 0.

    >>> x = sp.Symbol("x", real=True)
    >>> value_of(x * sp.exp(x), x, sp.S.Zero), value_of(sp.sinh(x) / x, x, sp.S.Zero)
    (0, None)
    """
    if e == variable:
        return point
    if not e.has(variable):
        return e
    if isinstance(e, sp.Integral):  # its value is not looked for
        return None
    if isinstance(e, sp.Piecewise):
        return _value_of_piece(e, variable, point)
    values = [value_of(part, variable, point) for part in _parts(e)]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    parts = [sp.S.Zero if constants.sign_of(part) == 0 else part for part in known]
    found = _extreme(e, parts) if isinstance(e, _EXTREMES) else e.func(*parts)
    if found is None or found.has(sp.zoo, sp.nan, sp.oo, sp.I):
        return None
    if found.is_Rational or found.free_symbols:  # with parameters: of almost all of their values
        return found
    return found if ball_of_constant(found).is_finite() else None


def _parts(e: sp.Expr) -> list[sp.Expr]:
    return [part for part in e.args if isinstance(part, sp.Expr)]


def _extreme(e: sp.Expr, values: list[sp.Expr]) -> sp.Expr | None:
    """The largest or smallest of exact constants; None where that is not decided."""
    best, wanted = values[0], 1 if isinstance(e, sp.Max) else -1
    for value in values[1:]:
        sign = constants.sign_of(value - best)
        if sign is None:
            return None
        best = value if sign == wanted else best
    return best


def _value_of_piece(e: sp.Expr, variable: sp.Symbol, point: sp.Expr) -> sp.Expr | None:
    for value, condition in e.args:
        truth = {r: _holds_at(r, variable, point) for r in condition.atoms(Relational)}
        if None in truth.values():
            return None
        if condition.xreplace(truth) == sp.true:
            return value_of(value, variable, point)
    return None


def _holds_at(relation: Relational, variable: sp.Symbol, point: sp.Expr):
    difference = value_of(sp.Add(relation.lhs, -relation.rhs), variable, point)
    sign = None if difference is None else constants.sign_of(difference)
    return None if sign is None else sp.sympify(relation.func(sign, 0))


def cancelled(expression: sp.Expr, kinks: tuple[sp.Expr, ...]) -> sp.Expr:
    """(x^2 - 1)/(x - 1) as x + 1, where fewer points are left without a value by that."""

    def without_value(form: sp.Expr) -> int:
        return sum(value_of(form, x, point) is None for point in (sp.S.Zero, *kinks))

    if expression.free_symbols != {x} or expression.has(*DECISIONS):
        return expression
    if not (before := without_value(expression)):
        return expression
    form = sp.expand(sp.cancel(expression))
    return form if without_value(form) < before else expression


# --- the points


def undefined_points(e: sp.Expr, variable: sp.Symbol, low: sp.Expr, high: sp.Expr) -> list[sp.Expr]:
    """The points inside (low, high), 0 left out, at which the smooth formula e is seen to have no
    value, or a root in it reaches 0.

    >>> x = sp.Symbol("x", real=True)
    >>> undefined_points(1 / (x**2 - 2) + sp.log(sp.cosh(x - 3) - 1), x, -sp.oo, sp.oo)
    [-sqrt(2), sqrt(2), 3]
    """
    if e.free_symbols != {variable}:
        return []
    inside = (
        zero
        for function in divisors(e, variable)
        for zero in zeros(function, variable)
        if zero != 0
        and ball_of_constant(zero).is_finite()
        and is_less(low, zero)
        and is_less(zero, high)
    )
    return in_order(inside)


def divisors(e: sp.Expr, variable: sp.Symbol) -> list[sp.Expr]:
    """The functions at whose zeros e may have no value."""
    found = [p.base for p in e.atoms(sp.Pow) if not (p.exp.is_Integer and p.exp > 0)]
    found += [part for f in e.atoms(sp.log, sp.Ei) for part in _parts(f)]
    found += [
        sp.Integer(s) - part for f in e.atoms(sp.atanh) for part in _parts(f) for s in (1, -1)
    ]
    return [f for f in dict.fromkeys(found) if f.has(variable)]


def zeros(function: sp.Expr, variable: sp.Symbol) -> Iterator[sp.Expr]:
    """Real zeros that are numbers in closed form: of polynomials in x or in e^x, and simple ones
    of other functions.
    """
    if not function.has(variable) or isinstance(function, _NEVER_ZERO):
        return
    if isinstance(function, sp.sin | sp.cos):
        yield from _of_wave(function, variable)
    elif function.is_Mul or isinstance(function, sp.Pow):
        factors = _parts(function)
        for factor in factors if function.is_Mul else factors[:1]:
            yield from zeros(factor, variable)
    elif function.is_polynomial(variable):
        yield from _of_polynomial(sp.Poly(function, variable))
    elif (in_power := _in_power(function, variable)) is not None:
        rate, polynomial = in_power
        for root in _of_polynomial(polynomial):
            if constants.sign_of(root) == 1:
                yield sp.log(root) / rate
    else:
        for point in _simple_points(function, variable):
            value = value_of(function, variable, point)
            if value is not None and constants.sign_of(value) == 0:
                yield point


def _of_wave(function: sp.Expr, variable: sp.Symbol) -> Iterator[sp.Expr]:
    """Of sin or cos of a x + b those nearest to 0, on either side."""
    slope = sp.diff(function.args[0], variable)
    if slope.has(variable):
        return
    start = sp.pi / 2 if isinstance(function, sp.cos) else sp.S.Zero
    shifted = (start - function.args[0].subs(variable, 0)) / sp.pi
    for turn in (sp.floor(shifted), sp.floor(shifted) + 1):
        yield (shifted - turn) * sp.pi / slope


def _of_polynomial(polynomial: sp.Poly) -> Iterable[sp.Expr]:
    if polynomial.degree() == 1:
        a, b = polynomial.all_coeffs()
        return [-b / a]
    if not (polynomial.domain.is_QQ or polynomial.domain.is_ZZ):
        return []
    return list(dict.fromkeys(sp.real_roots(polynomial)))


def _in_power(function: sp.Expr, variable: sp.Symbol) -> tuple[sp.Expr, sp.Poly] | None:
    """(r, p) where the function is p(e^(r x)), p a polynomial over the rationals."""
    written = sp.expand(function)
    powers = [e for e in written.atoms(sp.exp) if e.has(variable)]
    rates = [sp.diff(e.args[0], variable) for e in powers]
    if not rates or not all(r.is_Rational for r in rates):
        return None
    rate = min(abs(r) for r in rates)
    power = sp.Dummy(positive=True)
    terms = {
        e: power ** (sp.diff(e.args[0], variable) / rate) * sp.exp(e.args[0].subs(variable, 0))
        for e in powers
    }
    numerator = sp.fraction(sp.together(written.xreplace(terms)))[0]
    if numerator.has(variable) or not numerator.is_polynomial(power):
        return None
    return rate, sp.Poly(numerator, power)


def _simple_points(function: sp.Expr, variable: sp.Symbol) -> list[sp.Expr]:
    """0, and the zeros of polynomials of first and second degree within the function."""
    found: dict[sp.Expr, None] = {sp.S.Zero: None}
    for part in sp.preorder_traversal(function):
        if not (isinstance(part, sp.Expr) and part.is_Add and part.is_polynomial(variable)):
            continue
        polynomial = sp.Poly(part, variable)
        found |= dict.fromkeys(_of_polynomial(polynomial) if polynomial.degree() <= 2 else ())
    return list(found)


# --- all zeros, in closed form or not


def all_zeros(u: sp.Expr) -> list[sp.Expr]:
    """Every real zero, from left to right, of a function that is rational in x and exponentials, or
    smooth with a derivative that is. Raises CannotSplit.

    Between two zeros of its derivative a function is monotone, so it has one zero where its signs
    at both differ and none where they do not; of p_0(x) + sum p_i(x) e^{r_i x} the derivative has
    fewer terms or a lower degree.

    >>> x = sp.Symbol("x", real=True)
    >>> all_zeros(sp.exp(x) - x - 1 - x**2)
    [0, Root(x**2 + x - exp(x) + 1, 17/10, 9/5)]
    """
    numerator = sp.expand(sp.fraction(sp.together(u.rewrite(sp.exp)))[0])
    sum_ = _exponential_sum(numerator)
    if sum_ is not None:
        return _zeros_of_sum(numerator, sum_)
    if any(not f.args[0].is_positive for f in u.atoms(sp.log)) or not _is_smooth(u):
        raise CannotSplit(f"where {u} changes sign could not be found exactly")
    slope = sp.expand(sp.fraction(sp.together(sp.diff(u, x).rewrite(sp.exp)))[0])
    sum_ = _exponential_sum(slope)
    if sum_ is None:
        raise CannotSplit(f"where {u} changes sign could not be found exactly")
    return _zeros_between(u, _zeros_of_sum(slope, sum_), None, None)


_SMOOTH = (sp.exp, sp.log, sp.sinh, sp.cosh, sp.tanh, sp.asinh, sp.atan, sp.erf, sp.erfc)


def _is_smooth(u: sp.Expr) -> bool:
    """Finite and smooth on the whole line, as its parts show."""
    powers = [p for p in u.atoms(sp.Pow) if p.has(x) and not (p.exp.is_Integer and p.exp > 0)]
    return all(p.base.is_positive for p in powers if not isinstance(p, sp.exp)) and all(
        isinstance(f, _SMOOTH) for f in u.atoms(sp.Function) if f.has(x)
    )


def _exponential_sum(f: sp.Expr) -> dict[sp.Expr, sp.Poly] | None:
    """{r: p} where f = sum p(x) e^{r x}, r rational; None where it is no such sum."""
    found: dict[sp.Expr, sp.Expr] = {}
    for term in sp.Add.make_args(sp.powsimp(f)):
        coefficient, rest = term.as_independent(x, as_Add=False)
        rate, power = sp.S.Zero, sp.S.One
        for factor in sp.Mul.make_args(rest):
            if not isinstance(factor, sp.exp):
                power *= factor
                continue
            slope = sp.diff(factor.args[0], x)
            rate += slope
            coefficient *= sp.exp(sp.expand(factor.args[0] - slope * x))
        if not (rate.is_Rational and power.is_polynomial(x)):
            return None
        found[rate] = found.get(rate, sp.S.Zero) + coefficient * power
    polynomials = {r: sp.Poly(p, x) for r, p in found.items()}
    return {r: p for r, p in polynomials.items() if not p.is_zero}


def _zeros_of_sum(f: sp.Expr, sum_: dict[sp.Expr, sp.Poly]) -> list[sp.Expr]:
    if sum(p.degree() + 1 for p in sum_.values()) <= 1:
        return []
    rate = min(sum_, key=lambda r: (sum_[r].degree(), r))
    reduced = {r: p.diff(x) + (r - rate) * p for r, p in sum_.items()}
    reduced = {r: p for r, p in reduced.items() if not p.is_zero}
    slope = sp.Add(*(p.as_expr() * sp.exp((r - rate) * x) for r, p in reduced.items()))
    left, right = min(sum_), max(sum_)
    before = _sign(sum_[left].LC()) * (-1) ** sum_[left].degree()
    return _zeros_between(f, _zeros_of_sum(slope, reduced), before, _sign(sum_[right].LC()))


def _zeros_between(
    f: sp.Expr, critical: list[sp.Expr], before: int | None, after: int | None
) -> list[sp.Expr]:
    """The zeros of f, monotone between the critical points; `before` and `after`: its signs at -oo
    and oo, where they are known.
    """
    places = critical or [sp.Integer(0)]
    signs = [_sign(sp.sympify(f.xreplace({x: point}))) for point in places]
    exact = [z for z in dict.fromkeys(zeros(f, x)) if ball_of_constant(z).is_finite()]
    ends = [(-sp.oo, before), *zip(places, signs), (sp.oo, after)]
    found = []
    for (a, sign), (b, other) in itertools.pairwise(ends):
        if a != -sp.oo and sign == 0:
            found.append(a)
        if sign is None or other is None:
            change = _changes_far_out(f, *((b, -1) if sign is None else (a, 1)))
        else:
            change = sign * other < 0
        if change:
            found.append(_the_zero(f, (a, sign), (b, other), exact))
    return found


def _sign(number: sp.Expr) -> int:
    sign = constants.sign_of(number)
    if sign is None:
        raise CannotSplit(f"the sign of {number} is not decided")
    return sign


def _changes_far_out(f: sp.Expr, last: sp.Expr, side: int) -> bool:
    """Does f, monotone from its last critical point outwards, have a zero there?"""
    value = _sign(sp.sympify(f.xreplace({x: last})))
    start = sp.Integer(sp.floor(last) if side < 0 else sp.ceiling(last))
    if value == 0 or _sign_at(sp.diff(f, x), start + side) * side == value:
        return False
    if any(_sign_at(f, start + side * 2**k) == -value for k in range(FAR)):
        return True
    raise CannotSplit(f"whether {f} has a zero beyond {last} is not decided")


def _sign_at(f: sp.Expr, point: sp.Expr) -> int:
    """The sign of f at a rational point, 0 where its ball does not show it."""
    with bits(PRECISION_BITS):
        value = ball(f, x, ball_of_constant(point))
    return 1 if value > 0 else -1 if value < 0 else 0


def _the_zero(
    f: sp.Expr,
    left: tuple[sp.Expr, int | None],
    right: tuple[sp.Expr, int | None],
    exact: list[sp.Expr],
) -> sp.Expr:
    """The only zero between two points with different signs: in closed form, or isolated between
    two short decimals.
    """
    (a, before), (b, after) = left, right
    for zero in exact:
        if _is_between(zero, a, b):
            return zero
    sign = -after if before is None else before
    assert sign is not None  # one of both ends is a critical point
    low = _far_out(f, b, -1, sign) if a == -sp.oo else _beside(f, a, 1, b, sign)
    high = _far_out(f, a, 1, -sign) if b == sp.oo else _beside(f, b, -1, a, -sign)
    return isolated(f, low, high, sign)


def isolated(f: sp.Expr, low: sp.Rational, high: sp.Rational, sign: int) -> Root:
    """The zero of f, monotone with this sign at low and the other at high, between two short
    decimals. Raises CannotSplit.
    """
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if _sign_at(f, middle) == sign else (low, middle)
    written = -f if f.could_extract_minus_sign() else f
    for scale in (10**k for k in range(13)):
        below, above = sp.floor(low * scale), sp.ceiling(high * scale)
        for m, n in ((below, above), (below - 1, above + 1)):
            with contextlib.suppress(ValueError):
                return Root(written, sp.Rational(m, scale), sp.Rational(n, scale))
    raise CannotSplit(f"where {f} changes sign could not be isolated")


def _is_between(point: sp.Expr, a: sp.Expr, b: sp.Expr) -> bool:
    return (a == -sp.oo or is_less(a, point)) and (b == sp.oo or is_less(point, b))


def _beside(f: sp.Expr, end: sp.Expr, side: int, other: sp.Expr, sign: int) -> sp.Rational:
    """A rational point beside a finite end, with the sign that f has there."""
    mantissa, exponent = (int(n) for n in ball_of_constant(end).mid().man_exp())
    near = mantissa * sp.Rational(2) ** exponent
    between = (end, other) if side > 0 else (other, end)
    for k in range(0, 80, 4):
        point = near + sp.Rational(side, 2**k)
        if _is_between(point, *between) and _sign_at(f, point) == sign:
            return point
    raise CannotSplit(f"the sign of {f} beside {end} is not decided")


def _far_out(f: sp.Expr, start: sp.Expr, side: int, sign: int) -> sp.Rational:
    """A rational point beyond the last critical one, with the sign that f has far out."""
    near = sp.Integer(sp.floor(start) if side < 0 else sp.ceiling(start))
    for k in range(FAR):
        if _sign_at(f, near + side * 2**k) == sign:
            return near + side * 2**k
    raise CannotSplit(f"the sign of {f} far out is not decided")
