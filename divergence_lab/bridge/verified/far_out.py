"""A function written over exponentials that fall far out: the largest one in front, so that none
leaves the range of numbers before the function does.

    sqrt(e^{4x^2} - 1)   ->   e^{2x^2} sqrt(1 - e^{-4x^2})

As with all of `forms`, nothing rests on these rewritings being right.
"""

import contextlib
from typing import cast

import sympy as sp

from divergence_lab.bridge.verified.programs import arguments_of, linear_in_x, log1p, replaced
from divergence_lab.theory.expressions import enclosure, x

SOMEWHERE = 5  # beyond most crossings, before e^{e^{e^x}} is no number


def far(e: sp.Expr, sign: int, towers: bool = False) -> sp.Expr:
    """Written over exponentials that fall towards sign * oo; `towers`: of whatever grows, such as
    e^x, in place of polynomials alone.
    """
    if e == x or not e.has(x) or isinstance(e, sp.polylog):
        return e
    if isinstance(e, sp.Add):
        return sp.Add(*(far(part, sign, towers) for part in e.args))
    if isinstance(e, sp.log):
        growth, rest = _split(arguments_of(e)[0], sign, towers)
        constant, others = rest.as_independent(x, as_Add=True)
        if constant.is_positive and others != 0:
            share = sp.expand(others / constant, power_exp=not towers)
            return growth + sp.log(constant) + log1p(share)
        return growth + sp.log(rest)
    if isinstance(e, sp.Mul | sp.Pow | sp.exp | sp.cosh | sp.sinh | sp.sech | sp.csch):
        growth, rest = _split(e, sign, towers)
        return rest * sp.exp(growth)
    inner = [far(part, sign, towers) for part in arguments_of(e)]
    if towers and isinstance(e, sp.tanh | sp.erf | sp.asinh):
        return _less_its_end(e, inner[0], sign)
    return cast(sp.Expr, e.func(*inner))


def has_towers(e: sp.Expr) -> bool:
    """Functions of what is no polynomial, or with an end that may cancel: e^{e^x}, 1 - tanh(x)."""
    return e.has(sp.tanh, sp.erf) or any(
        not arguments_of(part)[0].is_polynomial(x)
        for part in e.atoms(sp.Function)
        if not isinstance(part, sp.log | sp.Abs | sp.sign)
    )


def in_front(e: sp.Expr, sign: int) -> sp.Expr:
    """All of a sum over its largest exponential, and what grows in this as well: e^{u + x} with u =
    -e^{e^x} as e^{-e^{e^x} (1 - x e^{-e^x})}, which is no oo - oo.
    """
    growth, rest = _split(e, sign, towers=True)
    if not growth.is_polynomial(x):
        above, below = _split(growth, sign, towers=True)
        growth = below * sp.exp(above)
    return rest * sp.exp(growth)


TOWERS = (
    lambda e, sign: far(e, sign, towers=True),
    lambda e, sign: sp.expand_mul(far(e, sign, towers=True)),
    in_front,
)


def _less_its_end(e: sp.Expr, u: sp.Expr, sign: int) -> sp.Expr:
    """tanh(u) = 1 - 2 e^{-2u}/(1 + e^{-2u}), erf(u) = 1 - erfc(u), asinh(e^P R) = P + log(R +
    sqrt(R^2 + e^{-2P})), where u grows; where it falls, the same of -u.
    """
    way = 1 if _grows(u - 1, sign) else -1
    if not _grows(way * u - 1, sign):
        return cast(sp.Expr, e.func(u))
    if isinstance(e, sp.erf):
        return way - way * sp.erfc(way * u)
    if isinstance(e, sp.tanh):
        fallen = far(sp.exp(-2 * way * u), sign, towers=True)
        return way - 2 * way * fallen / (1 + fallen)
    growth, rest = _split(way * u, sign, True)
    return way * (growth + sp.log(rest + sp.sqrt(rest**2 + sp.exp(_expanded(-2 * growth)))))


def _split(e: sp.Expr, sign: int, towers: bool = False) -> tuple[sp.Expr, sp.Expr]:
    """(P, R) with E = e^P R, P a polynomial that is 0 at 0 or with `towers` whatever grows, R
    without a growing exponential.
    """
    if not e.has(x):
        return sp.S.Zero, e
    if isinstance(e, sp.cosh | sp.sinh | sp.sech | sp.csch):
        e = cast(sp.Expr, e.rewrite(sp.exp))
    if isinstance(e, sp.exp):
        inner = arguments_of(e)[0]
        power = cast(sp.Expr, sp.expand(inner))
        if not power.is_polynomial(x):
            if towers:
                grows = _grows(inner - 1, sign) or _grows(-inner - 1, sign)
                return (far(inner, sign, towers), sp.S.One) if grows else (sp.S.Zero, e)
            return sp.S.Zero, sp.exp(far(power, sign))
        constant = power.subs(x, 0)
        return power - constant, sp.exp(constant)
    if isinstance(e, sp.Mul):
        parts = [_split(part, sign, towers) for part in e.args]
        return sp.Add(*(growth for growth, _ in parts)), sp.Mul(*(rest for _, rest in parts))
    if isinstance(e, sp.Pow):
        return _power_split(e, sign, towers)
    if isinstance(e, sp.Add):
        parts = [_split(part, sign, towers) for part in e.args]
        largest = parts[0][0]
        for growth, _ in parts[1:]:
            largest = growth if _grows(growth - largest, sign) else largest
        return largest, sp.Add(
            *(rest * sp.exp(_expanded(growth - largest)) for growth, rest in parts)
        )
    written = far(e, sign, towers)
    return _split(written, sign, towers) if written != e and towers else (sp.S.Zero, written)


def _expanded(power: sp.Expr) -> sp.Expr:
    """(e^x - 1)^2 stays: written out, it would be oo - oo."""
    return cast(sp.Expr, sp.expand(power) if power.is_polynomial(x) else sp.expand_mul(power))


def _grows(e: sp.Expr, sign: int) -> bool:
    """Towards sign * oo: a polynomial by its leading term, what else there is by its sign at
    `SOMEWHERE`.
    """
    if not e.is_polynomial(x):
        with contextlib.suppress(enclosure.NotEvaluable):
            return bool(enclosure.value_at(e, x, sp.Integer(sign * SOMEWHERE)) > 0)
        return False
    leading = sp.Poly(e, x)
    return bool(leading.LC() * sign ** leading.degree() > 0) if leading.degree() > 0 else False


def _power_split(e: sp.Pow, sign: int, towers: bool) -> tuple[sp.Expr, sp.Expr]:
    base, power = e.base, e.exp
    linear = linear_in_x(power) if not base.has(x) else None
    if linear:  # 2^x
        return linear[0] * sp.log(base) * x, base ** linear[1]
    if power.has(x):
        return sp.S.Zero, e
    growth, rest = _split(base, sign, towers)
    return growth * power, rest**power


def secants(e: sp.Expr) -> sp.Expr:
    """1 - tanh(u)^2 = sech(u)^2, where it stands."""
    instead = {
        power: 1 - 1 / sp.cosh(power.base.args[0]) ** 2
        for power in e.atoms(sp.Pow)
        if isinstance(power.base, sp.tanh) and power.exp == 2
    }
    return sp.expand(e.xreplace(instead)) if instead else e


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
