"""A function written over exponentials that fall far out: the largest one in front, so that none
leaves the range of numbers before the function does.

    sqrt(e^{4x^2} - 1)   ->   e^{2x^2} sqrt(1 - e^{-4x^2})

As with all of `forms`, nothing rests on these rewritings being right.
"""

from typing import cast

import sympy as sp

from divergence_lab.bridge.verified.programs import arguments_of, linear_in_x, log1p, replaced
from divergence_lab.theory.expressions import x


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
