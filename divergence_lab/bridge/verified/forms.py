"""The same function written so that it loses fewer digits: candidates, which the analysis of
rounding then chooses from.

    exp(x) - x - 1   ->   linex(x)
    log(cosh(x))     ->   log1p(2 sinh(x/2)^2)   or   |x| - log 2 + log1p(e^{-2|x|})

Nothing rests on these rewritings being right: what is chosen is compared with the exact function by
enclosures.
"""

from collections.abc import Iterator, Mapping
from typing import cast

import sympy as sp

from divergence_lab.bridge.verified import far_out
from divergence_lab.bridge.verified.programs import (
    arguments_of,
    away,
    expm1,
    linear_in_x,
    linex,
    log1p,
    replaced,
    spelled_out,
)
from divergence_lab.theory.expressions import constants, x
from divergence_lab.theory.expressions.points import value_of

HIGH = 12
_U, _P = sp.symbols("u p")
_SUMS = {f: sp.expand_trig(f(_U + _P)) for f in (sp.sinh, sp.cosh, sp.sin, sp.cos)}
_ODD = (sp.sinh, sp.tanh, sp.asinh, sp.atan, sp.erf, sp.atanh, sp.sin)


def candidates(
    function: sp.Expr, sign: int, ways: Mapping[sp.Expr, int], more: bool = False
) -> Iterator[sp.Expr]:
    """Ways to write `function`, each once, the plain one first; `sign`, `ways`: on which side of 0
    and of other ends it is wanted; `more`: rare ones, too.
    """
    seen = {function}
    yield function
    rare = (
        sp.factor_terms,
        sp.cancel,
        lambda e: far_out.far(sp.factor_terms(far_out.secants(e)), sign),
        lambda e: far_out.decaying(sp.factor_terms(far_out.secants(e)), sign),
    )
    towers = far_out.TOWERS if more and far_out.has_towers(function) else ()
    for rewrite in (
        *((lambda e: _from_ends(e, ways),) if ways else ()),
        *((lambda e, p=p: _about(e, p, ways[p])) for p in ways),
        lambda e: one_fraction(e, anyway=True),
        lambda e: _within(one_fraction(e, anyway=True), sign),
        lambda e: far_out.far(one_fraction(far_out.secants(e), anyway=True), sign),
        *(rare if more else ()),
        *((lambda e, way=way: way(far_out.secants(e), sign)) for way in towers),
        _tangents,
        logarithms,
        _centred,
        lambda e: _within(e, sign),
        lambda e: _within(_inside(e), sign),
        lambda e: _within(_paired(far_out.far(far_out.secants(e), sign)), sign),
        _inside,
        _paired,
        _as_linex,
        lambda e: far_out.far(far_out.secants(e), sign),
        lambda e: far_out.dilogarithms(e, sign),
        lambda e: _paired(far_out.far(far_out.secants(e), sign)),
        lambda e: _centred(far_out.far(e, sign)),
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


def one_fraction(e: sp.Expr, anyway: bool = False) -> sp.Expr:
    """h'/(1 + h) - h h'/(1 + h)^2 = h'/(1 + h)^2: over one denominator, where that is far shorter.

    The sum of two fractions cancels, and its enclosures are wide.
    """
    fractions, others = sp.sift(
        sp.Add.make_args(e), lambda part: part.has(x) and sp.denom(part).has(x), binary=True
    )
    if others:
        whole = one_fraction(sp.Add(*fractions), anyway) if len(fractions) > 1 else None
        return e if whole is None else whole + sp.Add(*others)
    falling = {
        power: sp.Dummy(positive=True)
        for power in e.atoms(sp.exp)
        if power.args[0].could_extract_minus_sign()
    }  # of e^-x, SymPy would make 1/e^x
    whole = sp.together(e.xreplace(falling))
    above, below = sp.fraction(whole)
    shortest = min(whole, sp.factor_terms(sp.expand(above)) / below, key=sp.count_ops)
    if not anyway and 3 * sp.count_ops(shortest) > 2 * sp.count_ops(e):
        return e
    back = {dummy: power for power, dummy in falling.items()}
    return cast(sp.Expr, shortest.xreplace(back))


def _tangents(e: sp.Expr) -> sp.Expr:
    """sinh(u)/cosh(u) = tanh(u)."""

    def shorter(product: sp.Mul) -> sp.Expr:
        for factor in product.args:
            if isinstance(factor, sp.sinh) and 1 / sp.cosh(factor.args[0]) in product.args:
                return product * sp.cosh(factor.args[0]) / factor * sp.tanh(factor.args[0])
        return product

    return replaced(e, lambda part: part.is_Mul, shorter) if e.has(sp.cosh) else e


def logarithms(e: sp.Expr) -> sp.Expr:
    """log(u + sqrt(1 + u^2)) = asinh(u)."""

    def shorter(argument: sp.Expr) -> sp.Expr:
        for root in argument.args if isinstance(argument, sp.Add) else ():
            rest = argument - root
            if (
                isinstance(root, sp.Pow)
                and root.exp == sp.S.Half
                and sp.expand(root.base - rest**2) == 1
            ):
                return sp.asinh(rest)
        return sp.log(argument)

    return replaced(e, sp.log, shorter) if e.has(sp.log) else e


def _inside(e: sp.Expr) -> sp.Expr:
    """Sums of exponentials inside other functions, by their `linex`."""
    return replaced(e, lambda part: part.is_Add and part.has(sp.exp), _as_linex)


# --- near 0: E - E(0) without the difference


def _centred(e: sp.Expr) -> sp.Expr:
    return _constant(e.subs(x, 0)) + _less(e)


def _within(e: sp.Expr, sign: int) -> sp.Expr:
    """Sums that are 0 at 0, and what stands under a root, without their differences, wherever they
    stand: sqrt(1 - 1/cosh(x)).
    """

    def less(part: sp.Expr) -> sp.Expr:
        if isinstance(part, sp.Pow):
            return _less(_even(part.base)) ** part.exp
        return _less(_even(part))

    def vanishes(part: sp.Expr) -> bool:
        if isinstance(part, sp.Pow) and not part.exp.is_Integer and not part.exp.has(x):
            part = part.base
        elif not isinstance(part, sp.Add | sp.log):
            return False
        return part.has(x) and part.subs(x, 0) == 0

    written = replaced(e, vanishes, less)
    return replaced(written, sp.Abs, lambda u: u if (u * sp.sign(u.subs(x, sign))) == u else -u)


# --- next to another end p: by y = |x - p|


def _from_ends(e: sp.Expr, ways: Mapping[sp.Expr, int]) -> sp.Expr:
    """Sums that are 0 at an end, without their differences; y^k in front of what stands under a
    root.
    """
    distances = {p: sp.Dummy(positive=True) for p in ways}

    def measured(u: sp.Expr) -> sp.Expr:
        if not u.has(x) or u == x:
            return u
        lost = [p for p in ways if u.is_Add and _is_zero(value_of(u, x, p))]
        if not lost:
            return cast(sp.Expr, u.func(*map(measured, arguments_of(u))))
        if not u.is_polynomial(x):
            return _from(u, lost[0], ways[lost[0]] * distances[lost[0]])
        factors, rest = [], sp.Poly(u, x).all_coeffs()
        for p in lost:
            *quotient, left = _horner(rest, p)
            while quotient and _is_zero(left):
                factors.append(ways[p] * distances[p])
                rest = quotient
                *quotient, left = _horner(rest, p)
        return sp.Mul(*factors) * sp.Poly(rest, x).as_expr()

    back = {y: ways[p] * cast(sp.Expr, away(x, p)) for p, y in distances.items()}
    return cast(sp.Expr, measured(e).xreplace(back))


def _is_zero(value: sp.Expr | None) -> bool:
    return value is not None and constants.sign_of(value) == 0


def _horner(coefficients: list[sp.Expr], p: sp.Expr) -> list[sp.Expr]:
    """The coefficients of u/(x - p), and what is left."""
    found: list[sp.Expr] = [sp.S.Zero]
    for coefficient in coefficients:
        found.append(sp.expand(found[-1] * p + coefficient))
    return found[1:]


def _from(u: sp.Expr, p: sp.Expr, distance: sp.Expr) -> sp.Expr:
    """u - u(p)."""
    moved = _moved(u, x, p)
    constants_in = (a for a in moved.atoms(sp.sinh, sp.cosh) if not a.has(x))
    moved = moved.xreplace({a: sp.simplify(a.rewrite(sp.exp)) for a in constants_in})
    return _less(cast(sp.Expr, moved)).subs(x, distance)


def _moved(e: sp.Expr, y: sp.Expr, p: sp.Expr) -> sp.Expr:
    """E at y + p, with cosh(y + p) = cosh(y) cosh(p) + sinh(y) sinh(p) and its like."""
    moved, variable = cast(sp.Expr, e.subs(x, y + p)), cast(sp.Symbol, *y.free_symbols)
    for function, of in _SUMS.items():

        def apart(u: sp.Expr, of: sp.Expr = of) -> sp.Basic:
            return of.subs(zip((_P, _U), u.as_independent(variable, as_Add=True)))

        moved = replaced(moved, function, apart)
    rates = [sp.Abs(arguments_of(part)[0].coeff(variable)) for part in moved.atoms(*_SUMS)]
    return sp.expand(moved, trig=max(rates, default=0) <= HIGH)  # cosh(1000 y) would take forever


def _about(e: sp.Expr, p: sp.Expr, way: int) -> sp.Expr:
    """All of it by x - p."""
    y = sp.Dummy(positive=True)
    moved = _moved(e, way * y, p).subs(y, way * x)
    return _within(cast(sp.Expr, moved), way).subs(x, cast(sp.Expr, away(x, p)))


def _even(e: sp.Expr) -> sp.Expr:
    """log((1 + e^{2ax})/2) - ax = log(cosh(ax))."""
    constant, rest = e.as_independent(x, as_Add=True)
    found = [part for part in sp.Add.make_args(rest) if isinstance(part, sp.log | log1p)]
    if len(found) != 1 or rest == found[0]:
        return e
    linear = linear_in_x(rest - found[0])
    inside = spelled_out(arguments_of(found[0])[0] + (1 if isinstance(found[0], log1p) else 0))
    if not linear:
        return e
    rates, others = _rates(sp.expand(inside * sp.exp(linear[0] * x + linear[1] + constant)))
    if others != 0 or len(rates) != 2 or sum(rates) != 0 or len(set(rates.values())) != 1:
        return e
    ((rate, factor), _) = rates.items()
    return cast(sp.Expr, sp.log(2 * factor * sp.cosh(rate * x)))


def _constant(value: sp.Expr) -> sp.Expr:
    if value == 0 or abs(value.evalf(30)) > 1e-20:  # simplify takes its time
        return value
    return sp.S.Zero if sp.simplify(value) == 0 else value


def _less(e: sp.Expr) -> sp.Expr:
    """E - E(0)."""
    if e == x or not e.has(x):
        return e if e == x else sp.S.Zero
    if isinstance(e, sp.Add):
        return sp.Add(*map(_less, e.args))
    if isinstance(e, sp.Mul):
        return _product_less(e)
    inner = arguments_of(e)[0]
    start = inner.subs(x, 0)
    if isinstance(e, sp.Pow) and not e.exp.has(x) and start != 0:
        return _power_less(e, start)
    if isinstance(e, sp.exp):
        return sp.exp(start) * expm1(_less(inner))
    if isinstance(e, sp.log) and start != 0:
        return cast(sp.Expr, log1p(_less(inner) / start))
    if isinstance(e, sp.cosh) and start == 0:
        return 2 * sp.sinh(inner / 2) ** 2
    if isinstance(e, _ODD) and start == 0:
        return cast(sp.Expr, e.func(_less(inner)))
    return e - e.subs(x, 0)


def _product_less(e: sp.Mul) -> sp.Expr:
    constant, rest = e.as_independent(x, as_Add=False)
    first, *others = sp.Mul.make_args(rest)
    if not others:
        return constant * _less(first)
    start, last = first.subs(x, 0), sp.Mul(*others)
    if start == 0 or last.subs(x, 0) == 0:
        factors = (_less(f) if f.subs(x, 0) == 0 else f for f in (first, *others))
        return constant * sp.Mul(*factors)
    return constant * (_less(first) * last + start * _less(last))


def _power_less(e: sp.Pow, start: sp.Expr) -> sp.Expr:
    """b^p - s^p for a constant p, with s = b(0), not 0."""
    base, power = e.base, e.exp
    less = _less(base)
    if power == sp.S.Half:
        return less / (e + sp.sqrt(start))
    if power == -1:
        return -less / (base * start)
    if power == -sp.S.Half:
        return -less / (sp.sqrt(base * start) * (sp.sqrt(base) + sp.sqrt(start)))
    return start**power * expm1(power * log1p(less / start))


# --- sums of exponentials


def _rates(e: sp.Expr) -> tuple[dict[sp.Expr, sp.Expr], sp.Expr]:
    """(c by a, rest) with E = sum c e^{ax} + rest."""
    found: dict[sp.Expr, sp.Expr] = {}
    rest = sp.S.Zero
    for term in sp.Add.make_args(sp.expand(_in_exponentials(e))):
        coefficient, part = term.as_independent(x, as_Add=False)
        linear = linear_in_x(arguments_of(part)[0]) if isinstance(part, sp.exp) else None
        if linear is not None:
            rate, start = linear
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

    return replaced(e, sp.log, merged) if e.has(sp.log) else e


def _in_exponentials(e: sp.Expr) -> sp.Expr:
    """sinh and cosh written out; tanh is better left alone."""
    if e.has(sp.cosh):
        e = replaced(e, sp.cosh, lambda u: (sp.exp(u) + sp.exp(-u)) / 2)
    return replaced(e, sp.sinh, lambda u: (sp.exp(u) - sp.exp(-u)) / 2) if e.has(sp.sinh) else e


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
