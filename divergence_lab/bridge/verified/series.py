"""Taylor expansions with proved remainders, by Arb's power series.

    F(c + t) = sum_{k<n} a_k t^k + r t^n,   a_k at the point c,   r the n-th coefficient on the
    whole stretch

`expansion(F)` evaluates F's coefficients at a ball; at a ball that is a whole stretch, the n-th
coefficient encloses F^(n)(y)/n! for every y in it, which is Lagrange's remainder.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import sympy as sp
from flint import acb, arb, arb_series, ctx

from divergence_lab.bridge.verified.programs import arguments_of, away, expm1, linex, log1p
from divergence_lab.theory.expressions import constants, x
from divergence_lab.theory.expressions.balls import log_gamma
from divergence_lab.theory.expressions.enclosure import NotEvaluable, evaluator, exact
from divergence_lab.theory.expressions.points import value_of
from divergence_lab.theory.expressions.precision import bits

Expansion = Callable[[arb_series, int], arb_series]
PARTS = 4  # into which a stretch is divided to enclose a polynomial on it
SEEN_BITS, SEEN_TERMS = 120, 3  # at one point, to see whether there are coefficients at all
HIGHEST = 12  # the order of a zero that is looked for
NEARBY = 24  # radii: so near to c a ball is widened to it
FAILURES = (ValueError, ZeroDivisionError, OverflowError, NotImplementedError, TypeError)


@dataclass(frozen=True)
class Model:
    """F on middle +- radius: coefficients of powers of t, and the remainder's coefficient of
    t^len(coefficients).
    """

    middle: float
    radius: float
    coefficients: tuple[arb, ...]
    remainder: arb

    def largest(self) -> float:
        """A bound of |F|."""
        radius, total, power = arb(self.radius), arb(0), arb(1)
        for coefficient in (*self.coefficients, self.remainder):
            total, power = total + abs(coefficient) * power, power * radius
        return float(total.upper()) * (1 + 1e-12) if total.is_finite() else math.inf

    def smallest(self) -> float:
        """A lower bound of |F|; 0 where F may vanish."""
        nearest, radius = math.inf, arb(self.radius)
        for part in range(PARTS):
            middle = radius * arb(2 * part + 1 - PARTS) / PARTS
            t = middle + arb(0, 1) * radius / PARTS
            total = self.remainder
            for coefficient in reversed(self.coefficients):
                total = total * t + coefficient
            nearest = min(nearest, float(total.abs_lower())) if total.is_finite() else 0.0
        return nearest * (1 - 1e-12)


def coefficients_at(expansion: Expansion, ball: arb, terms: int) -> list[arb] | None:
    """The first `terms` coefficients at `ball`; None where F is not analytic or not enclosed
    there.
    """
    try:
        found = expansion(arb_series([ball, 1], terms), terms)
    except FAILURES:
        return None
    values = [found[k] for k in range(terms)]
    return values if all(value.is_finite() for value in values) else None


def model(
    expansion: Expansion, low: float, high: float, terms: int, middle: float | None = None
) -> Model | None:
    """F on [low, high], about its middle or another point; None where it is not analytic or not
    enclosed.
    """
    middle = (low + high) / 2 if middle is None else middle
    radius = max(high - middle, middle - low) * (1 + 1e-15)
    inside = coefficients_at(expansion, arb(middle), terms)
    if inside is None:
        return None
    whole = coefficients_at(expansion, arb(middle, radius), terms + 1)
    return None if whole is None else Model(middle, radius, tuple(inside), whole[terms])


# --- expressions -> series


def expansion_of(e: sp.Expr, points: tuple[sp.Expr, ...] = ()) -> Expansion:
    """The expression in x as a function of a series; `points`: where a quotient in it may be 0/0.
    Raises NotEvaluable.
    """
    if e == x:
        return lambda s, n: s
    if not e.has(x):
        return _constant(e)
    if isinstance(e, sp.Add | sp.Mul | sp.Pow):
        plain = _power(e, points) if isinstance(e, sp.Pow) else _folded(e, points)
        lost = tuple(c for c in points if value_of(e, x, c) is None and not _is_analytic(plain, c))
        if not lost or (found := _as_quotient(e, lost)) is None:
            return plain
        *both, orders = found
        above, below = (expansion_of(part, points) for part in both)
        whole = all(_is_analytic(part, c) for part in (above, below) for c in orders)
        return _quotient(plain, above, below, orders) if whole else plain
    if isinstance(e, sp.Integral):
        return _integral(e)
    first, *others = arguments_of(e)
    if isinstance(e, away):
        return expansion_of(first - others[0], points)
    if isinstance(e, sp.polylog) and isinstance(first, sp.Integer) and int(first) >= 1:
        function, inner = _polylogarithm(int(first)), expansion_of(others[0], points)
        return lambda s, n: function(inner(s, n))
    if isinstance(e, sp.polygamma) and isinstance(first, sp.Integer):
        return _log_gamma_derived(int(first) + 1, expansion_of(others[0], points))
    if isinstance(e, sp.log) and isinstance(first, sp.gamma):
        return _log_gamma_derived(0, expansion_of(arguments_of(first)[0], points))
    rule = _RULES.get(e.func)
    if rule is None:
        raise NotEvaluable(f"{e.func.__name__}(...)")
    return rule(expansion_of(first, points))


def _is_analytic(expansion: Expansion, point: sp.Expr) -> bool:
    """Whether it has coefficients there."""
    with bits(SEEN_BITS, SEEN_TERMS):
        return coefficients_at(expansion, exact(point), SEEN_TERMS) is not None


def _constant(e: sp.Expr) -> Expansion:
    if isinstance(e, sp.Rational):
        p, q = int(e.p), int(e.q)
        return lambda s, n: arb_series([arb(p) / q], n)
    known: dict[int, arb] = {}

    def constant(s: arb_series, n: int) -> arb_series:
        if ctx.prec not in known:
            known[ctx.prec] = exact(e)
        return arb_series([known[ctx.prec]], n)

    exact(e)
    return constant


def _folded(e: sp.Add | sp.Mul, points: tuple[sp.Expr, ...]) -> Expansion:
    parts, adding = [expansion_of(part, points) for part in e.args], isinstance(e, sp.Add)

    def folded(s: arb_series, n: int) -> arb_series:
        total = parts[0](s, n)
        for part in parts[1:]:
            total = total + part(s, n) if adding else total * part(s, n)
        return total

    return folded


def _power(e: sp.Pow, points: tuple[sp.Expr, ...]) -> Expansion:
    if e.exp.has(x):
        return expansion_of(sp.exp(e.exp * sp.log(e.base), evaluate=False), points)
    base = expansion_of(e.base, points)
    if e.exp.is_Integer:
        n, turned = abs(int(e.exp)), bool(e.exp.is_negative)
        return lambda s, terms: (
            1 / _raised(base(s, terms), n) if turned else _raised(base(s, terms), n)
        )
    if isinstance(e.exp, sp.Rational) and e.exp.q == 2:
        p = int(e.exp.p)
        return lambda s, n: (
            _raised(base(s, n).sqrt(), p) if p > 0 else 1 / _raised(base(s, n).sqrt(), -p)
        )
    exponent = _constant(e.exp)
    return lambda s, n: (exponent(s, n) * base(s, n).log()).exp()


def _raised(s: arb_series, n: int) -> arb_series:
    if n == 1:
        return s
    half = _raised(s, n // 2)
    return half * half * s if n % 2 else half * half


def _by_derivative(
    inner: Expansion, value: Callable[[arb], arb], slope: Callable[[arb_series], arb_series]
) -> Expansion:
    """f(s) = f(s_0) + int f'(s) s' dt, for a function whose series Arb has not."""

    def series(s: arb_series, n: int) -> arb_series:
        y = inner(s, n)
        rest = (slope(y) * y.derivative()).integral() if n > 1 else arb_series([0], n)
        return rest + arb_series([value(y[0])], n)

    return series


def _polylogarithm(order: int) -> Callable[[arb_series], arb_series]:
    """Li_n' = Li_{n-1}/z, Li_1 = -log(1 - z)."""
    if order == 1:
        return lambda s: -(1 - s).log()
    lower = _polylogarithm(order - 1)
    return lambda s: (
        (lower(s) / s * s.derivative()).integral()
        + arb_series([acb(s[0]).polylog(acb(order)).real], ctx.cap)
    )


def _log_gamma_derived(order: int, inner: Expansion) -> Expansion:
    """(log gamma)^(order), right of 0: the derivatives from the second on keep their signs there,
    so each coefficient but that of log gamma itself lies between its values at the ends.
    """

    def series(s: arb_series, n: int) -> arb_series:
        y = inner(s, n)
        if not y[0] > 0:
            return arb_series([arb.nan()], n)
        with bits(ctx.prec, n + order):
            low, high = (
                arb_series([end, 1], n + order).lgamma() for end in (y[0].lower(), y[0].upper())
            )
            found = [low[k].union(high[k]) for k in range(n + order)]
            if order == 0:
                found[0] = log_gamma(y[0])
            outer = arb_series(found, n + order)
            for _ in range(order):
                outer = outer.derivative()
        if n == 1:
            return outer
        return outer(arb_series([0, *(y[k] for k in range(1, n))], n))

    return series


def _integral(e: sp.Integral) -> Expansion:
    """int_a^x h(v) dv."""
    ((dummy, low, high),) = map(arguments_of, e.limits)
    integrand = cast(sp.Expr, e.function)
    if low.has(x) or integrand.has(x):
        raise NotEvaluable("an integral of an expression in x")
    evaluator(e, x)  # raises where the whole can't be evaluated
    slope, inner = expansion_of(cast(sp.Expr, integrand.subs(dummy, x))), expansion_of(high)
    fixed = evaluator(sp.Integral(integrand, (dummy, low, x)), x)
    return _by_derivative(inner, lambda c: fixed(acb(c), False).real, lambda s: slope(s, ctx.cap))


def _simple(function: Callable[[arb_series], arb_series]) -> Callable[[Expansion], Expansion]:
    return lambda inner: lambda s, n: function(inner(s, n))


def _tanh(s: arb_series) -> arb_series:
    sign = 1 if s[0] >= 0 else -1
    small = (-2 * sign * s).exp()
    return sign * (1 - small) / (1 + small)


def _derived(
    value: Callable[[arb], arb], slope: Callable[[arb_series], arb_series]
) -> Callable[[Expansion], Expansion]:
    return lambda inner: _by_derivative(inner, value, slope)


_RULES: dict[type, Callable[[Expansion], Expansion]] = {
    sp.exp: _simple(lambda s: s.exp()),
    sp.log: _simple(lambda s: s.log()),
    sp.sinh: _simple(lambda s: (s.exp() - (-s).exp()) / 2),
    sp.cosh: _simple(lambda s: (s.exp() + (-s).exp()) / 2),
    sp.tanh: _simple(_tanh),
    sp.coth: _simple(lambda s: 1 / _tanh(s)),
    sp.sech: _simple(lambda s: 2 / (s.exp() + (-s).exp())),
    sp.csch: _simple(lambda s: 2 / (s.exp() - (-s).exp())),
    sp.asinh: _derived(arb.asinh, lambda s: (1 + s * s).rsqrt()),
    sp.atanh: _derived(arb.atanh, lambda s: 1 / (1 - s * s)),
    sp.acosh: _derived(arb.acosh, lambda s: (s * s - 1).rsqrt()),
    sp.atan: _simple(lambda s: s.atan()),
    sp.erf: _simple(lambda s: s.erf()),
    sp.erfc: _simple(lambda s: s.erfc()),
    sp.erfi: _simple(lambda s: s.erfi()),
    sp.Ei: _simple(lambda s: s.ei()),
    sp.sin: _simple(lambda s: s.sin()),
    sp.cos: _simple(lambda s: s.cos()),
    sp.Si: _simple(lambda s: s.si()),
    sp.Ci: _simple(lambda s: s.ci()),
    sp.gamma: _simple(lambda s: s.gamma()),
    expm1: _simple(lambda s: s.exp() - 1),
    log1p: _simple(lambda s: (1 + s).log()),
    linex: _simple(lambda s: s.exp() - 1 - s),
}


# --- quotients that have a value where both parts vanish: sin(x - 7)/(x - 7), x^4/(cosh(x) - 1)
#
#     N/D = (N/(x - c)^m) / (D/(x - c)^m),   m the order of D's zero at c
#
# The k-th Taylor coefficient of N/(x - c)^m at y is a mean of N^(k+m)/(k+m)! between c and y: on a
# ball that has c in it, the coefficients of N, m places on, enclose it. That m is D's order, and no
# more than N's, is decided exactly.


def _as_quotient(
    e: sp.Expr, points: tuple[sp.Expr, ...]
) -> tuple[sp.Expr, sp.Expr, dict[sp.Expr, int]] | None:
    """(N, D, order of D's zero by point) with e = N/D; None where D vanishes at none of the
    points, or N of a lower order than D.
    """
    numerator, denominator = sp.fraction(sp.together(e))
    orders = {c: order for c in points if (order := _order_at(denominator, c))}
    if not orders:
        return None
    whole = (_order_at(numerator, c, upto=order) for c, order in orders.items())
    if not all(above is not None and above >= m for above, m in zip(whole, orders.values())):
        return None
    return numerator, denominator, orders


def _order_at(e: sp.Expr, c: sp.Expr, upto: int = HIGHEST) -> int | None:
    """How many derivatives vanish at c, e itself the first, `upto` at most; None: not decided."""
    for order in range(upto):
        value = value_of(e, x, c)
        sign = None if value is None else constants.sign_of(value)
        if sign != 0:
            return None if sign is None else order
        e = sp.diff(e, x)
    return upto if upto < HIGHEST else None


def _quotient(
    plain: Expansion, above: Expansion, below: Expansion, orders: dict[sp.Expr, int]
) -> Expansion:
    """The series of N/D: next to a point of `orders` from the coefficients farther on, elsewhere
    `plain`; at a single number near such a point with as many more bits as the division loses.
    """

    def divided(ball: arb, order: int, n: int) -> list[arb]:
        with bits(ctx.prec, n + order):
            t = arb_series([ball, 1], n + order)
            top, bottom = (
                arb_series([found[k + order] for k in range(n)], n)
                for found in (above(t, n + order), below(t, n + order))
            )
            found = top / bottom
        return [found[k] for k in range(n)]

    def series(s: arb_series, n: int) -> arb_series:
        ball = s[0]
        if n > 1 and s[1] != 1:
            return plain(s, n)
        for point, order in orders.items():
            c = exact(point)
            apart = abs(ball - c)
            if apart.contains(0) or apart < NEARBY * ball.rad():
                whole = ball.union(c)
                wide, at_c = divided(whole, order, 2 * n), divided(c, order, 2 * n)
                return arb_series(_narrower(wide, at_c, whole - c, n), n)
            if ball.is_exact() and apart < 1:
                lost = int(-float(apart.lower().log()) * 1.45) + 1
                with bits(ctx.prec + (n + 2 * order) * lost, ctx.cap):
                    return plain(s, n)
        return plain(s, n)

    return series


def _narrower(wide: list[arb], at_c: list[arb], t: arb, n: int) -> list[arb]:
    """The first n of the coefficients on a ball, by Taylor's expansion at c of each: far narrower
    than by dividing one ball by another. `t`: the ball less c.
    """
    powers = [arb(1)]  # t**j is no number to Arb where t may be negative
    for _ in range(n):
        powers.append(powers[-1] * t)
    return [
        sum(
            (math.comb(k + j, j) * at_c[k + j] * powers[j] for j in range(n)),
            math.comb(k + n, n) * wide[k + n] * powers[n],
        )
        for k in range(n)
    ]
