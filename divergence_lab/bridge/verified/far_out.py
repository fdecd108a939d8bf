"""A function written over exponentials that fall far out: the largest one in front, so that none
leaves the range of numbers before the function does.

    sqrt(e^{4x^2} - 1)   ->   e^{2x^2} sqrt(1 - e^{-4x^2})

As with all of `forms`, nothing rests on these rewritings being right.

And where a function is level, although what is inside it has left the range of numbers.
"""

import itertools
import math
from collections.abc import Callable
from typing import cast

import sympy as sp
from flint import arb

from divergence_lab.bridge.verified.arithmetic import Arithmetic
from divergence_lab.bridge.verified.programs import arguments_of, linear_in_x, log1p, replaced
from divergence_lab.theory.expressions import enclosure, x
from divergence_lab.theory.expressions.precision import bits


def far(e: sp.Expr, sign: int) -> sp.Expr:
    """Written over exponentials that fall towards sign * oo."""
    if e == x or not e.has(x) or isinstance(e, sp.polylog):
        return e
    if isinstance(e, sp.Add):
        return sp.Add(*(far(part, sign) for part in e.args))
    if isinstance(e, sp.log):
        growth, rest = _split(arguments_of(e)[0], sign)
        constant, others = rest.as_independent(x, as_Add=True)
        if constant.is_positive and others != 0:
            return growth + sp.log(constant) + log1p(sp.expand(others / constant))
        return growth + sp.log(rest)
    if isinstance(e, sp.Mul | sp.Pow | sp.exp | sp.cosh | sp.sinh | sp.sech | sp.csch):
        growth, rest = _split(e, sign)
        return rest * sp.exp(growth)
    return cast(sp.Expr, e.func(*(far(part, sign) for part in arguments_of(e))))


def _split(e: sp.Expr, sign: int) -> tuple[sp.Expr, sp.Expr]:
    """(P, R) with E = e^P R, P a polynomial that is 0 at 0, R without a growing exponential."""
    if not e.has(x):
        return sp.S.Zero, e
    if isinstance(e, sp.cosh | sp.sinh | sp.sech | sp.csch):
        e = cast(sp.Expr, e.rewrite(sp.exp))
    if isinstance(e, sp.exp):
        power = arguments_of(e)[0]
        power = cast(sp.Expr, sp.expand(power))
        if not power.is_polynomial(x):
            return sp.S.Zero, sp.exp(far(power, sign))
        constant = power.subs(x, 0)
        return power - constant, sp.exp(constant)
    if isinstance(e, sp.Mul):
        parts = [_split(part, sign) for part in e.args]
        return sp.Add(*(growth for growth, _ in parts)), sp.Mul(*(rest for _, rest in parts))
    if isinstance(e, sp.Pow):
        return _power_split(e, sign)
    if isinstance(e, sp.Add):
        parts = [_split(part, sign) for part in e.args]
        largest = parts[0][0]
        for growth, _ in parts[1:]:
            largest = growth if _grows(growth - largest, sign) else largest
        return largest, sp.Add(
            *(rest * sp.exp(sp.expand(growth - largest)) for growth, rest in parts)
        )
    return sp.S.Zero, far(e, sign)


def _grows(polynomial: sp.Expr, sign: int) -> bool:
    """Towards sign * oo."""
    leading = sp.Poly(polynomial, x)
    return bool(leading.LC() * sign ** leading.degree() > 0) if leading.degree() > 0 else False


def _power_split(e: sp.Pow, sign: int) -> tuple[sp.Expr, sp.Expr]:
    base, power = e.base, e.exp
    linear = linear_in_x(power) if not base.has(x) else None
    if linear:  # 2^x
        return linear[0] * sp.log(base) * x, base ** linear[1]
    if power.has(x):
        return sp.S.Zero, e
    growth, rest = _split(base, sign)
    return growth * power, rest**power


def decaying(e: sp.Expr, sign: int) -> sp.Expr:
    """1/cosh(u) = 2 e^{-|u|}/(1 + e^{-2|u|}), whatever u is: no cosh leaves the range of
    numbers.
    """

    def small(power: sp.Pow) -> sp.Expr:
        (u,) = arguments_of(power.base)
        u = -u if u.subs(x, 3 * sign).is_negative else u
        return (2 / (1 + sp.exp(-2 * u))) ** -power.exp * sp.exp(power.exp * u)

    return replaced(
        e,
        lambda part: part.is_Pow and isinstance(part.base, sp.cosh) and part.exp.is_negative,
        small,
    )


# --- dilogarithms


def dilogarithms(e: sp.Expr, sign: int) -> sp.Expr:
    """Li_2(-w) = -pi^2/6 - log(w)^2/2 - Li_2(-1/w), w = c e^{ax}, where w grows."""

    def turned(order: sp.Expr, argument: sp.Expr) -> sp.Expr:
        growth, rest = _split(-argument, sign)
        rate = sp.expand(growth).coeff(x, 1)
        if (
            rest.has(x)
            or growth != rate * x
            or not (sign * rate).is_positive
            or not rest.is_positive
        ):
            return sp.polylog(order, argument)
        return (
            -(sp.pi**2) / 6
            - (sp.expand_log(sp.log(rest)) + rate * x) ** 2 / 2
            - sp.polylog(2, -sp.exp(-rate * x) / rest)
        )

    written = replaced(
        e,
        lambda part: isinstance(part, sp.polylog) and part.args[0] == 2,
        lambda part: turned(*part.args),
    )
    return sp.expand(far(written, sign)) if written != e else e


# --- where a function is level
#
# By ends in place of balls: on 2 <= x <= 4 exp(x^2) lies between e^4 and e^16, and a ball about the
# middle would reach below 0.

LEVEL_BITS = 120
FAR, TINY = 1000.0, 128  # as far as is promised; times the smallest number: hardly one
MOST, INFINITE = arb(10) ** 18, arb("inf")
Ends = tuple[arb, arb]


def level(
    function: sp.Expr, sign: int, low: float, tolerance: float, arithmetic: Arithmetic
) -> tuple[float, sp.Expr] | None:
    """(X, P + c) with |F - P - c| <= tolerance/8 |P + c| on sign * [X, FAR], P the terms of F that
    are powers of x, X about as near as that is seen: 1 - exp(1 - exp(x^2)) is 1 long before
    exp(x^2) is no number.  0 where F itself is hardly one.
    """
    powers, others = sp.sift(
        sp.Add.make_args(function),
        lambda term: bool(term.has(x) and term.is_polynomial(x)),
        binary=True,
    )
    straight, rest = sp.Add(*powers), sp.Add(*others)

    def ends(e: sp.Expr, start: float, end: float) -> Ends | None:
        try:
            found = _ends(e, _outermost([sign * arb(start), sign * arb(end)]))
        except (enclosure.NotEvaluable, ZeroDivisionError, ValueError):
            return None
        return found if found[0].is_finite() and found[1].is_finite() else None

    def is_level(near: float, far: float, depth: int = 6) -> bool:
        found, whole = ends(rest, near, far), ends(straight + number, near, far)
        if found is not None and whole is not None:
            nearest = arb(0) if whole[0] <= 0 <= whole[1] else min(map(abs, whole))
            allowed = least if straight + number == 0 else tolerance / 8 * nearest
            if all(abs(end - float(number)) <= allowed for end in found):
                return True
        middle = (near + far) / 2
        return (
            depth > 0
            and near < middle < far
            and is_level(middle, far, depth - 1)
            and is_level(near, middle, depth - 1)
        )

    with bits(LEVEL_BITS, 1):
        at_end = ends(rest, FAR, FAR) if rest.has(x) else None
        found = math.inf if at_end is None else float(at_end[0].mid())
        if not math.isfinite(found):
            return None
        least, start = TINY * arithmetic.smallest, FAR
        number = sp.Rational(0.0 if abs(found) < least else found)
        for closer in (*[0.5] * 20, *(0.5 ** (0.5**k) for k in range(1, 20))):
            if low < start * closer and is_level(start * closer, start):
                start *= closer
    return (start, straight + number) if start < FAR else None


def _ends(e: sp.Expr, at: Ends) -> Ends:
    """Numbers below and above all values of e for x between those of `at`. Raises NotEvaluable."""
    if e == x:
        return at
    if not e.has(x):
        ball = enclosure.exact(e)
        return ball.lower(), ball.upper()
    if isinstance(e, sp.Pow):
        return _ends_of_power(e, at)
    parts = [_ends(part, at) for part in arguments_of(e)]
    if isinstance(e, sp.Add):
        return _outermost([sum(column, arb(0)) for column in zip(*parts)])
    if isinstance(e, sp.Mul):
        total = parts[0]
        for part in parts[1:]:
            total = _outermost([a * b for a, b in itertools.product(total, part)])
        return total
    ((low, high),) = parts
    if isinstance(e, sp.Abs | sp.cosh | sp.sech):  # even
        near = arb(0) if low <= 0 <= high else min(abs(low), abs(high))
        low, high = near, max(abs(low), abs(high))
    if e.func not in _MONOTONE or (isinstance(e, sp.log) and not low > 0):
        raise enclosure.NotEvaluable(e.func.__name__)
    function = _MONOTONE[e.func]
    if not isinstance(e, sp.exp | sp.sinh | sp.cosh):
        return _outermost([function(low), function(high)])
    # of e^(10^18) and more Arb knows no number
    inside = min(low, MOST), max(high, -MOST)
    least = function(inside[0]).lower() if low > -MOST or e.func != sp.sinh else -INFINITE
    return least, function(inside[1]).upper() if high < MOST else INFINITE


def _ends_of_power(e: sp.Pow, at: Ends) -> Ends:
    if e.exp.has(x):
        raise enclosure.NotEvaluable("a power with x above")
    low, high = _ends(e.base, at)
    power = enclosure.exact(e.exp)
    if low > 0 or (low >= 0 and power > 0):
        return _outermost([low**power, high**power])
    if not isinstance(e.exp, sp.Integer) or (power < 0 and not high < 0):
        raise enclosure.NotEvaluable("a power of what may be negative")
    n = int(e.exp)
    zero = [arb(0)] if n % 2 == 0 and high >= 0 else []
    return _outermost([low**n, high**n, *zero])


def _outermost(found: list[arb]) -> Ends:
    if any(one.is_nan() for one in found):
        raise enclosure.NotEvaluable("oo - oo, or 0 oo")
    return min(one.lower() for one in found), max(one.upper() for one in found)


_MONOTONE: dict[type, Callable[[arb], arb]] = {
    sp.Abs: abs,  # these three right of 0
    sp.cosh: arb.cosh,
    sp.sech: arb.sech,
    sp.exp: arb.exp,
    sp.log: arb.log,
    sp.sinh: arb.sinh,
    sp.tanh: arb.tanh,
    sp.asinh: arb.asinh,
    sp.atan: arb.atan,
    sp.erf: arb.erf,
}
