"""The same function written so that it loses fewer digits: candidates, which the analysis of
rounding then chooses from.

    exp(x) - x - 1   ->   linex(x)
    log(cosh(x))     ->   log1p(2 sinh(x/2)^2)   or   |x| - log 2 + log1p(e^{-2|x|})

Nothing rests on these rewritings being right: what is chosen is compared with the exact function by
enclosures.
"""

from __future__ import annotations

from collections.abc import Iterator

import sympy as sp

from divergence_lab.bridge.verified.programs import expm1, linex, log1p
from divergence_lab.theory.expressions.symbols import x

_ODD = (sp.sinh, sp.tanh, sp.asinh, sp.atan, sp.erf, sp.atanh, sp.sin)


def candidates(function: sp.Expr, sign: int, more: bool = False) -> Iterator[sp.Expr]:
    """Ways to write `function`, each once, the plain one first; `sign`: on which side of 0 it is
    wanted; `more`: rare ones, too.
    """
    seen = {function}
    yield function
    rare = (
        sp.factor_terms,
        lambda e: _far(sp.factor_terms(_secants(e)), sign),
        lambda e: _decaying(sp.factor_terms(_secants(e)), sign),
    )
    for rewrite in (
        *(rare if more else ()),
        _tangents,
        _logarithms,
        _centred,
        _inside,
        _paired,
        _as_linex,
        lambda e: _far(_secants(e), sign),
        lambda e: _dilogarithms(e, sign),
        lambda e: _paired(_far(_secants(e), sign)),
        lambda e: _centred(_far(e, sign)),
    ):
        try:
            written = rewrite(function)
        except (TypeError, ValueError, ZeroDivisionError, AttributeError, sp.PolynomialError):
            continue
        # by looks alone: a form that comes twice is analysed twice, and one with a hidden infinity
        # is not finite in any enclosure
        if written not in seen and not written.has(sp.nan, sp.zoo, sp.oo, sp.I):
            seen.add(written)
            yield written


def _tangents(e: sp.Expr) -> sp.Expr:
    """sinh(u)/cosh(u) = tanh(u)."""

    def shorter(product: sp.Mul) -> sp.Expr:
        for factor in product.args:
            if isinstance(factor, sp.sinh) and 1 / sp.cosh(factor.args[0]) in product.args:
                return product * sp.cosh(factor.args[0]) / factor * sp.tanh(factor.args[0])
        return product

    return e.replace(lambda part: part.is_Mul, shorter) if e.has(sp.cosh) else e


def _logarithms(e: sp.Expr) -> sp.Expr:
    """log(u + sqrt(1 + u^2)) = asinh(u)."""

    def shorter(argument: sp.Expr) -> sp.Expr:
        for root in argument.args if argument.is_Add else ():
            rest = argument - root
            if root.is_Pow and root.exp == sp.S.Half and sp.expand(root.base - rest**2) == 1:
                return sp.asinh(rest)
        return sp.log(argument)

    return e.replace(sp.log, shorter) if e.has(sp.log) else e


def _inside(e: sp.Expr) -> sp.Expr:
    """Sums of exponentials inside other functions, by their `linex`."""
    return e.replace(lambda part: part.is_Add and part.has(sp.exp), _as_linex)


def _secants(e: sp.Expr) -> sp.Expr:
    """1 - tanh(u)^2 = sech(u)^2, where it stands."""
    squares = [
        power for power in e.atoms(sp.Pow) if isinstance(power.base, sp.tanh) and power.exp == 2
    ]
    return (
        sp.expand(
            e.xreplace({power: 1 - 1 / sp.cosh(power.base.args[0]) ** 2 for power in squares})
        )
        if squares
        else e
    )


# --- near 0: E - E(0) without the difference


def _centred(e: sp.Expr) -> sp.Expr:
    return _constant(e.subs(x, 0)) + _less(e)


def _constant(value: sp.Expr) -> sp.Expr:
    return sp.S.Zero if value != 0 and sp.simplify(value) == 0 else value


def _less(e: sp.Expr) -> sp.Expr:
    """E - E(0)."""
    if e == x or not e.has(x):
        return e if e == x else sp.S.Zero
    if e.is_Add:
        return sp.Add(*map(_less, e.args))
    if e.is_Mul:
        constant, rest = e.as_independent(x, as_Add=False)
        factors = sp.Mul.make_args(rest)
        if len(factors) == 1:
            return constant * _less(factors[0])
        first, others = factors[0], sp.Mul(*factors[1:])
        start = first.subs(x, 0)
        if start == 0 or others.subs(x, 0) == 0:
            return constant * sp.Mul(*(_less(f) if f.subs(x, 0) == 0 else f for f in factors))
        return constant * (_less(first) * others + start * _less(others))
    inner = e.base if e.is_Pow else e.args[0]
    start = inner.subs(x, 0)
    if isinstance(e, sp.exp):
        return sp.exp(start) * expm1(_less(inner))
    if isinstance(e, sp.log) and start != 0:
        return log1p(_less(inner) / start)
    if e.is_Pow and not e.exp.has(x) and start != 0:
        if e.exp == sp.S.Half:
            return _less(inner) / (e + sp.sqrt(start))
        if e.exp == -1:
            return -_less(inner) / (inner * start)
        if e.exp == -sp.S.Half:
            return -_less(inner) / (sp.sqrt(inner * start) * (sp.sqrt(inner) + sp.sqrt(start)))
        return start**e.exp * expm1(e.exp * log1p(_less(inner) / start))
    if isinstance(e, sp.cosh) and start == 0:
        return 2 * sp.sinh(inner / 2) ** 2
    if isinstance(e, _ODD) and start == 0:
        return e.func(_less(inner))
    return e - e.subs(x, 0)


# --- sums of exponentials


def _rates(e: sp.Expr) -> tuple[dict[sp.Expr, sp.Expr], sp.Expr]:
    """(c by a, rest) with E = sum c e^{ax} + rest."""
    found: dict[sp.Expr, sp.Expr] = {}
    rest = sp.S.Zero
    for term in sp.Add.make_args(sp.expand(_in_exponentials(e))):
        coefficient, part = term.as_independent(x, as_Add=False)
        if (
            isinstance(part, sp.exp)
            and part.args[0].is_polynomial(x)
            and sp.degree(part.args[0], x) == 1
        ):
            rate, start = part.args[0].coeff(x, 1), part.args[0].coeff(x, 0)
            found[rate] = found.get(rate, sp.S.Zero) + coefficient * sp.exp(start)
        else:
            rest += term
    return found, rest


def merged_logarithms(e: sp.Expr) -> sp.Expr:
    """log(sum c e^{ax}) = a_0 x + log(c_0) + log(1 + sum (c/c_0) e^{(a - a_0)x}), a_0 the least:
    one way to write it.
    """

    def merged(argument: sp.Expr) -> sp.Expr:
        found, rest = _rates(argument)
        if rest != 0:
            found[sp.S.Zero] = rest
        least = min(found, default=None)
        if rest.has(x) or least is None or not found[least].is_positive:
            return sp.log(argument)
        first = found.pop(least)
        return (
            least * x
            + sp.log(first)
            + sp.log(1 + sp.Add(*(c / first * sp.exp((a - least) * x) for a, c in found.items())))
        )

    return e.replace(sp.log, merged) if e.has(sp.log) else e


def _in_exponentials(e: sp.Expr) -> sp.Expr:
    """sinh and cosh written out; tanh is better left alone."""
    e = e.replace(sp.cosh, lambda u: (sp.exp(u) + sp.exp(-u)) / 2) if e.has(sp.cosh) else e
    return e.replace(sp.sinh, lambda u: (sp.exp(u) - sp.exp(-u)) / 2) if e.has(sp.sinh) else e


def _as_linex(e: sp.Expr) -> sp.Expr:
    """sum c (e^{ax} - 1 - ax) + rest; what is left of the constant and of x is nothing, for most
    losses.
    """
    found, rest = _rates(e)
    if not found:
        return e
    rest = sp.expand(rest)
    constant, slope = (
        rest.subs(x, 0) + sum(found.values()),
        rest.coeff(x, 1) + sum(c * a for a, c in found.items()),
    )
    others = rest - rest.subs(x, 0) - rest.coeff(x, 1) * x
    return (
        sp.Add(*(c * linex(a * x) for a, c in found.items()))
        + _constant(slope) * x
        + _constant(constant)
        + others
    )


def _paired(e: sp.Expr) -> sp.Expr:
    """c (e^{ax} + e^{-ax} - 2) = 4 c sinh(ax/2)^2, c (e^{ax} - e^{-ax}) = 2 c sinh(ax); what has
    no partner as expm1.
    """
    found, rest = _rates(e)
    total, constant = sp.S.Zero, rest.subs(x, 0) + sum(found.values())
    for rate in sorted((a for a in found if a.is_positive), key=str):
        if -rate in found:
            both, one = found[rate], found[-rate]
            if both == one:
                total += 4 * both * sp.sinh(rate * x / 2) ** 2
                del found[rate], found[-rate]
            elif both == -one:
                total += 2 * both * sp.sinh(rate * x)
                del found[rate], found[-rate]
    total += sp.Add(*(c * expm1(a * x) for a, c in found.items()))
    return total + rest - rest.subs(x, 0) + _constant(constant)


# --- far out: the largest exponential in front


def _far(e: sp.Expr, sign: int) -> sp.Expr:
    """Written over exponentials that fall towards sign * oo."""
    if e == x or not e.has(x):
        return e
    if e.is_Add:
        return sp.Add(*(_far(part, sign) for part in e.args))
    if isinstance(e, sp.log):
        rate, rest = _split(e.args[0], sign)
        constant, others = rest.as_independent(x, as_Add=True)
        if constant.is_positive and others != 0:
            return rate * x + sp.log(constant) + log1p(sp.expand(others / constant))
        return rate * x + sp.log(rest)
    if e.is_Mul or e.is_Pow or isinstance(e, sp.exp | sp.cosh | sp.sinh | sp.sech | sp.csch):
        rate, rest = _split(e, sign)
        return rest * sp.exp(rate * x)
    if isinstance(e, sp.polylog):
        return e
    return e.func(*(_far(part, sign) for part in e.args))


def _split(e: sp.Expr, sign: int) -> tuple[sp.Expr, sp.Expr]:
    """(a, R) with E = e^{ax} R, R without a growing exponential."""
    if not e.has(x):
        return sp.S.Zero, e
    if isinstance(e, sp.cosh | sp.sinh | sp.sech | sp.csch):
        e = e.rewrite(sp.exp)
    if isinstance(e, sp.exp):
        power = sp.expand(e.args[0])
        if power.is_polynomial(x) and sp.degree(power, x) == 1:
            return power.coeff(x, 1), sp.exp(power.coeff(x, 0))
        return sp.S.Zero, sp.exp(_far(e.args[0], sign))
    if e.is_Mul:
        parts = [_split(part, sign) for part in e.args]
        return sum((rate for rate, _ in parts), sp.S.Zero), sp.Mul(*(rest for _, rest in parts))
    if (
        e.is_Pow and not e.base.has(x) and e.exp.is_polynomial(x) and sp.degree(e.exp, x) == 1
    ):  # 2^x
        return e.exp.coeff(x, 1) * sp.log(e.base), e.base ** e.exp.coeff(x, 0)
    if e.is_Pow and not e.exp.has(x):
        rate, rest = _split(e.base, sign)
        return rate * e.exp, rest**e.exp
    if e.is_Add:
        parts = [_split(part, sign) for part in e.args]
        largest = max((rate for rate, _ in parts), key=lambda rate: sign * rate)
        return largest, sp.Add(*(rest * sp.exp((rate - largest) * x) for rate, rest in parts))
    return sp.S.Zero, e if e.is_Pow else _far(e, sign)


def _decaying(e: sp.Expr, sign: int) -> sp.Expr:
    """1/cosh(u) = 2 e^{-|u|}/(1 + e^{-2|u|}), whatever u is: no cosh leaves the range of
    numbers.
    """

    def small(power: sp.Pow) -> sp.Expr:
        u = power.base.args[0]
        u = -u if u.subs(x, 3 * sign).is_negative else u
        return (2 / (1 + sp.exp(-2 * u))) ** -power.exp * sp.exp(power.exp * u)

    return e.replace(
        lambda part: part.is_Pow and isinstance(part.base, sp.cosh) and part.exp.is_negative, small
    )


# --- dilogarithms


def _dilogarithms(e: sp.Expr, sign: int) -> sp.Expr:
    """Li_2(-w) = -pi^2/6 - log(w)^2/2 - Li_2(-1/w), w = c e^{ax}, where w grows."""

    def turned(order: sp.Expr, argument: sp.Expr) -> sp.Expr:
        rate, rest = _split(-argument, sign)
        if rest.has(x) or not (sign * rate).is_positive or not rest.is_positive:
            return sp.polylog(order, argument)
        return (
            -(sp.pi**2) / 6
            - (sp.expand_log(sp.log(rest)) + rate * x) ** 2 / 2
            - sp.polylog(2, -sp.exp(-rate * x) / rest)
        )

    replaced = e.replace(
        lambda part: isinstance(part, sp.polylog) and part.args[0] == 2,
        lambda part: turned(*part.args),
    )
    return sp.expand(_far(replaced, sign)) if replaced != e else e
