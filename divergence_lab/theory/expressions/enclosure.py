"""SymPy expression -> guaranteed enclosures, by python-flint's ball arithmetic (Arb).

The independent numeric route: nothing here simplifies or takes limits. A value is a ball that
contains the truth, or it is not finite, and then nothing is claimed.
"""

import copyreg
from collections.abc import Callable
from typing import Any

import sympy as sp
from flint import acb, arb

from divergence_lab.theory.expressions.balls import Root
from divergence_lab.theory.expressions.balls import ball as real_ball
from divergence_lab.theory.expressions.precision import digits
from divergence_lab.theory.expressions.symbols import x

Evaluator = Callable[[acb, bool], acb]


def _send_ball(ball: arb) -> tuple:
    """How a ball goes from one process to another: (midpoint, radius), each (m, e) for m 2^e."""
    return arb, tuple(tuple(map(int, part.man_exp())) for part in (ball.mid(), ball.rad()))


copyreg.pickle(arb, _send_ball)


class NotEvaluable(ValueError):
    """The expression has a part (named in the message) that Arb can't evaluate here."""


def _undefined() -> acb:
    return acb(arb.nan(), arb.nan())


def _log(z: acb, analytic: bool) -> acb:
    return z.log(analytic=analytic)


def _sqrt(z: acb, analytic: bool) -> acb:
    return z.sqrt(analytic=analytic)


def _asinh(z: acb, analytic: bool) -> acb:
    if not analytic:
        return z.asinh()
    return _log(z + _sqrt(z * z + 1, True), True)


def _acosh(z: acb, analytic: bool) -> acb:
    return _log(z + _sqrt(z + 1, analytic) * _sqrt(z - 1, analytic), analytic)


def _atanh(z: acb, analytic: bool) -> acb:
    return (_log(1 + z, analytic) - _log(1 - z, analytic)) / 2


def _atan(z: acb, analytic: bool) -> acb:
    if not analytic:
        return z.atan()
    i = acb(0, 1)
    return (_log(1 + i * z, True) - _log(1 - i * z, True)) / (2 * i)


def _ei(z: acb, analytic: bool) -> acb:
    # Ei is real and analytic on either side of 0; E1 carries the left half-plane without the cut of
    # the complex Ei.
    if z.real < 0:
        return -(-z).expint(1)
    return z.ei() if z.real > 0 else _undefined()


def _log_gamma(z: acb) -> acb:
    """log gamma, real and analytic right of 0, where it does not overflow as gamma does."""
    return z.lgamma() if z.real > 0 else _undefined()


def _polylog(s: acb, z: acb, analytic: bool) -> acb:
    if analytic and not (z.real < 1 or z.imag > 0 or z.imag < 0):
        return _undefined()
    return z.polylog(s)


def _abs(z: acb, analytic: bool) -> acb:
    if z.real >= 0:
        return z
    if z.real <= 0:
        return -z
    return _undefined() if analytic else acb(abs(z.real))


def _sign(z: acb, analytic: bool) -> acb:
    if z.real > 0:
        return acb(1)
    if z.real < 0:
        return acb(-1)
    return acb(0) if z == 0 else _undefined() if analytic else acb(arb(0, 1))


def _max(a: acb, b: acb, analytic: bool) -> acb:
    difference = a.real - b.real
    if difference >= 0:
        return a
    if difference <= 0:
        return b
    return _undefined() if analytic else acb(a.real.max(b.real))


_FUNCTIONS: dict[type, Callable] = {
    sp.exp: lambda z, analytic: z.exp(),
    sp.log: _log,
    sp.sinh: lambda z, analytic: z.sinh(),
    sp.cosh: lambda z, analytic: z.cosh(),
    sp.tanh: lambda z, analytic: z.tanh(),
    sp.coth: lambda z, analytic: z.coth(),
    sp.sech: lambda z, analytic: z.sech(),
    sp.csch: lambda z, analytic: z.csch(),
    sp.asinh: _asinh,
    sp.acosh: _acosh,
    sp.atanh: _atanh,
    sp.atan: _atan,
    sp.erf: lambda z, analytic: z.erf(),
    sp.erfc: lambda z, analytic: z.erfc(),
    sp.erfi: lambda z, analytic: z.erfi(),
    sp.Ei: _ei,
    sp.sin: lambda z, analytic: z.sin(),
    sp.cos: lambda z, analytic: z.cos(),
    sp.Si: lambda z, analytic: z.si(),
    sp.Ci: lambda z, analytic: _undefined() if analytic else z.ci(),
    sp.gamma: lambda z, analytic: z.gamma(),
    sp.zeta: lambda z, analytic: _undefined() if analytic else acb(z.real.zeta()),
    sp.dirichlet_eta: lambda z, analytic: (
        _undefined() if analytic else acb((1 - arb(2) ** (1 - z.real)) * z.real.zeta())
    ),
    sp.Abs: _abs,
    sp.sign: _sign,
}


def evaluator(expression: Any, variable: sp.Symbol) -> Evaluator:
    """A function (ball, analytic) -> ball that encloses `expression` on the ball.

    With analytic=True the result is not finite unless the expression is holomorphic on the ball, as
    rigorous integration needs. Constants are evaluated at the precision of the call. Raises
    NotEvaluable.
    """
    if expression == variable:
        return lambda z, analytic: z
    if not expression.args:
        return _atom(expression)
    if expression.is_Add or expression.is_Mul:
        parts = [evaluator(argument, variable) for argument in expression.args]
        return _sum(parts) if expression.is_Add else _product(parts)
    if expression.is_Pow:
        return _power(expression, variable)
    if isinstance(expression, sp.Integral):
        return _definite(expression, variable)
    if isinstance(expression, sp.polylog):
        order, part = expression.args
        if order.has(variable):
            raise NotEvaluable(f"polylog with {variable} in its order")
        s, inner = evaluator(order, variable), evaluator(part, variable)
        return lambda z, analytic: _polylog(s(z, False), inner(z, analytic), analytic)
    if isinstance(expression, sp.uppergamma | sp.lowergamma):
        order, part = (evaluator(argument, variable) for argument in expression.args)
        upper = isinstance(expression, sp.uppergamma)

        def incomplete(z: acb, analytic: bool) -> acb:
            s, w = order(z, False), part(z, analytic)
            if analytic and not (w.real > 0 or w.imag > 0 or w.imag < 0):
                return _undefined()
            return w.gamma_upper(s) if upper else w.gamma_lower(s)

        return incomplete
    if isinstance(expression, sp.Max | sp.Min):
        parts = [evaluator(argument, variable) for argument in expression.args]
        sign = 1 if isinstance(expression, sp.Max) else -1

        def extreme(z: acb, analytic: bool) -> acb:
            best = sign * parts[0](z, analytic)
            for part in parts[1:]:
                best = _max(best, sign * part(z, analytic), analytic)
            return sign * best

        return extreme
    if isinstance(expression, sp.log) and isinstance(expression.args[0], sp.gamma):
        inner = evaluator(expression.args[0].args[0], variable)
        return lambda z, analytic: _log_gamma(inner(z, analytic))
    if isinstance(expression, sp.polygamma):
        order, inner = acb(int(expression.args[0])), evaluator(expression.args[1], variable)
        return lambda z, analytic: inner(z, analytic).polygamma(order)
    function = _FUNCTIONS.get(expression.func)
    if function is None:
        raise NotEvaluable(f"{expression.func.__name__}(...)")
    inner = evaluator(expression.args[0], variable)
    return lambda z, analytic: function(inner(z, analytic), analytic)


def _atom(expression: sp.Expr) -> Evaluator:
    if expression.is_Symbol:
        raise NotEvaluable(f"the parameter {expression} has no value")
    if expression.is_Rational:
        p, q = int(expression.p), int(expression.q)
        return lambda z, analytic: acb(p) / q if q != 1 else acb(p)
    if isinstance(expression, Root):
        return lambda z, analytic: acb(real_ball(expression, x, arb(0)))
    constant = _CONSTANTS.get(expression)
    if constant is None:
        raise NotEvaluable(str(expression))
    return lambda z, analytic: acb(constant())


_CONSTANTS = {
    sp.pi: arb.pi,
    sp.E: arb.const_e,
    sp.EulerGamma: arb.const_euler,
    sp.Catalan: arb.const_catalan,
}


def _definite(expression: sp.Integral, variable: sp.Symbol) -> Evaluator:
    """int_low^high h(v) dv for real ends: quadrature between the middles of their balls, h on a
    ball times the rest.
    """
    ((dummy, low, high),) = expression.limits
    function, start, end = (
        evaluator(expression.function, dummy),
        evaluator(low, variable),
        evaluator(high, variable),
    )

    def evaluate(z: acb, analytic: bool) -> acb:
        a, b = start(z, False), end(z, False)
        if analytic or not (a.imag == 0 and b.imag == 0):
            return _undefined()
        from_, to = acb(a.real.mid()), acb(b.real.mid())
        total = acb.integral(function, from_, to) if from_ != to else acb(0)
        for ball, middle, sign in ((a, from_, -1), (b, to, 1)):
            if ball != middle:
                total += sign * function(ball, False) * (ball - middle)
        return total

    return evaluate


def _sum(parts: list[Evaluator]) -> Evaluator:
    def evaluate(z: acb, analytic: bool) -> acb:
        total = parts[0](z, analytic)
        for part in parts[1:]:
            total = total + part(z, analytic)
        return total

    return evaluate


def _product(parts: list[Evaluator]) -> Evaluator:
    def evaluate(z: acb, analytic: bool) -> acb:
        total = parts[0](z, analytic)
        for part in parts[1:]:
            total = total * part(z, analytic)
        return total

    return evaluate


def _power(expression: sp.Pow, variable: sp.Symbol) -> Evaluator:
    base, exponent = evaluator(expression.base, variable), expression.exp
    if exponent.is_Integer:
        n = int(exponent)
        if n >= 0:
            return lambda z, analytic: _integer_power(base(z, analytic), n)
        return lambda z, analytic: 1 / _integer_power(base(z, analytic), -n)
    if exponent == sp.S.Half:
        return lambda z, analytic: _sqrt(base(z, analytic), analytic)
    if exponent == -sp.S.Half:
        return lambda z, analytic: 1 / _sqrt(base(z, analytic), analytic)
    power = evaluator(exponent, variable)
    positive = bool(exponent.is_positive)

    def evaluate(z: acb, analytic: bool) -> acb:
        b, p = base(z, analytic), power(z, analytic)
        if not analytic and b.imag == 0 and positive and b.real.contains(0) and not b.real < 0:
            # 0**p = 0 for p > 0: a ball that reaches 0 is enclosed by its upper end (ball ** real
            # is NaN there).
            top = arb(b.real.upper())
            return acb(0) if top <= 0 else acb(arb(0).union(top**p.real))
        if not analytic and positive and b.contains(0) and p.imag == 0:  # |b^p| = |b|^p
            size = arb((arb(b.abs_upper()) ** p.real).upper())
            return acb(size * arb(0, 1), size * arb(0, 1))
        return b.pow(p, analytic=analytic)

    return evaluate


def _integer_power(z: acb, n: int) -> acb:
    if (
        z.imag == 0 and n % 2 == 0 and z.real.contains(0)
    ):  # an even power of a ball around 0 is not negative
        return acb(arb(0).union(arb(abs(z.real).upper()) ** n))
    return z**n


_NO_VARIABLE = sp.Dummy()


def exact(value: sp.Expr) -> arb:
    """The constant `value` as a ball at the current precision."""
    ball = evaluator(sp.sympify(value), _NO_VARIABLE)(acb(0), False)
    if not ball.imag.contains(0):
        raise NotEvaluable(f"{value} is not real")
    return ball.real


def value_at(expression: sp.Expr, variable: sp.Symbol, point: sp.Expr, precision: int = 30) -> arb:
    """`expression` at `variable = point`, enclosed with about `precision` digits (not finite:
    undefined there).
    """
    with digits(precision + 10):
        ball = evaluator(expression, variable)(acb(exact(point)), False)
        return ball.real if ball.is_finite() and ball.imag.contains(0) else arb.nan()


def integral(
    expression: sp.Expr, variable: sp.Symbol, low: sp.Expr, high: sp.Expr, precision: int = 30
) -> arb:
    """int_low^high expression, rigorously enclosed (Petras' algorithm in Arb); not finite when
    it can't be.
    """
    if expression.has(sp.Integral):
        return (
            arb.nan()
        )  # an inner integral has no enclosure off the real line, which the outer one would need
    function = evaluator(expression, variable)

    def integrand(z: acb, analytic: bool) -> acb:
        return function(z, analytic)

    with digits(precision + 15):
        tolerance = arb(10) ** -(precision + 8)
        answer = acb.integral(
            integrand,
            acb(exact(low)),
            acb(exact(high)),
            rel_tol=tolerance,
            abs_tol=tolerance,
            eval_limit=30_000,
            depth_limit=3_000,
        )
        return answer.real
