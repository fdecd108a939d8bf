"""Sums of c x^n e^{rx} with parameters in c and r, term by term. Part of the trusted checker."""

import sympy as sp

from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.families.signs import Unsigned, is_finite, is_zero, sign
from divergence_lab.theory.expressions import x


def exponential_terms(f: sp.Expr) -> list[tuple[sp.Expr, sp.Expr, sp.Expr]]:
    """(c, n, r) for f = sum c x^n e^{rx} with different (n, r), n a whole number.

    Raises Rejected.
    """
    found: dict[tuple[sp.Expr, sp.Expr], sp.Expr] = {}
    held: dict[sp.Expr, sp.Symbol] = {}
    written = _holding(f.rewrite((sp.sinh, sp.cosh), sp.exp), held)
    back = {symbol: e for e, symbol in held.items()}
    for term in sp.Add.make_args(sp.expand(sp.powsimp(sp.expand(written)))):
        c, n, r = sp.S.One, sp.S.Zero, sp.S.Zero
        for factor in sp.Mul.make_args(sp.powsimp(term)):
            base, power = factor.as_base_exp()
            if not factor.has(x):
                c *= factor
            elif base == x and power.is_Integer and power > 0:
                n += power
            elif (
                isinstance(factor, sp.exp)
                and factor.args[0].is_polynomial(x)
                and sp.degree(factor.args[0], x) == 1
            ):
                r += sp.diff(factor.args[0], x)
                c *= sp.exp(factor.args[0].subs(x, 0))
            else:
                raise Rejected(f"{term} is not c x^n e^(rx)")
        r = sp.cancel(sp.together(sp.expand(r).xreplace(back)))
        key = next((key for key in found if key[0] == n and is_zero(key[1] - r)), (n, r))
        found[key] = found.get(key, sp.S.Zero) + c.xreplace(back)
    return [(c, n, r) for (n, r), c in found.items() if not is_zero(c)]


def _holding(f: sp.Expr, held: dict[sp.Expr, sp.Symbol]) -> sp.Expr:
    """f with what depends on parameters alone held by symbols: expanding would drag exponentials
    into denominators.
    """
    if not f.has(x):
        return f if f.is_number or f.is_Symbol else held.setdefault(f, sp.Dummy(real=True))
    if f.is_Add or f.is_Mul:
        fixed, rest = f.as_independent(x, as_Add=f.is_Add)
        return f.func(
            _holding(fixed, held), *(_holding(part, held) for part in f.func.make_args(rest))
        )
    return f.func(*(_holding(part, held) for part in f.args)) if f.args else f


def never_vanishes(f: sp.Expr) -> bool:
    """f is not 0 on any interval, whatever the parameters (Proposition 20, part 5). False: not
    shown.

    One term has a coefficient that is never 0 and a rate that no other has; or, where one other may
    have it, the two coefficients do not add up to 0 then. Raises Rejected where f is no such sum.
    """
    terms = exponential_terms(f)
    return any(has_sign(c) and _stays(place, terms) for place, (c, _, _) in enumerate(terms))


def common_factor(f: sp.Expr) -> sp.Expr:
    """For f rational in x, in e^{x/q} and in one parameter: the greatest common divisor of the
    coefficients of its numerator.

    f is identically 0 in x exactly at the zeros of it (Proposition 20, part 5). Raises Rejected
    where f is no such function.
    """
    s, rates = sp.Symbol("~s", positive=True), []
    f = f.rewrite((sp.sinh, sp.cosh, sp.tanh), sp.exp)
    for power in f.atoms(sp.exp):
        rates += [sp.diff(power.args[0], x)] if power.has(x) else []
    if not all(rate.is_Rational for rate in rates):
        raise Rejected(f"{f} is not rational in e^(x/q)")
    q = sp.ilcm(1, 1, *(rate.q for rate in rates))
    f = f.replace(
        lambda e: isinstance(e, sp.exp) and e.has(x),
        lambda e: s ** (q * sp.diff(e.args[0], x)) * sp.exp(e.args[0].subs(x, 0)),
    )
    numerator = sp.numer(
        sp.cancel(sp.together(f))
    )  # in lowest terms: a zero of the denominator is none of f
    parameters = f.free_symbols - {x, s}
    if len(parameters) != 1 or not numerator.is_polynomial(x, s, *parameters):
        raise Rejected(f"{f} is not rational in x, e^(x/q) and one parameter")
    coefficients = sp.Poly(numerator, x, s).coeffs()
    if any(
        not (domain.is_ZZ or domain.is_QQ)
        for domain in (sp.Poly(c, *parameters).domain for c in coefficients)
    ):
        raise Rejected(f"{f} has irrational coefficients")
    return sp.gcd_list(coefficients)


def in_question(f: sp.Expr) -> sp.Expr | None:
    """A difference of two rates in f, or a coefficient, that is 0 at some parameters and not at
    others: there terms may cancel or vanish. Of the term that fewest others may cancel.
    """
    terms = exponential_terms(f)
    unsigned = [c for c, _, _ in terms if not has_sign(c)]
    against = [_that_may_cancel(place, terms) for place, (c, _, _) in enumerate(terms)]
    open_rates = [r - q for (_, _, r), others in zip(terms, against) for _, q in others[:1]]
    fewest = min(map(len, against), default=0)
    first = [r for r, others in zip(open_rates, filter(None, against)) if len(others) == fewest]
    found = [sp.factor(sp.together(e)) for e in (*first, *unsigned, *open_rates)]
    return next((e for e in sorted(found, key=lambda e: len(e.free_symbols))), None)


def _that_may_cancel(
    place: int, terms: list[tuple[sp.Expr, sp.Expr, sp.Expr]]
) -> list[tuple[sp.Expr, sp.Expr]]:
    """(coefficient, rate) of the other terms that may have the same rate and another sign."""
    c, n, r = terms[place]
    others = [(d, q) for k, (d, m, q) in enumerate(terms) if k != place and m == n]
    return [(d, q) for d, q in others if not has_sign(r - q) and not _have_one_sign(c, d)]


def _have_one_sign(c: sp.Expr, d: sp.Expr) -> bool:
    try:
        return sign(c) * sign(d) == 1
    except Unsigned:
        return False


def _stays(place: int, terms: list[tuple[sp.Expr, sp.Expr, sp.Expr]]) -> bool:
    c, n, r = terms[place]
    others = [
        (d, q) for k, (d, m, q) in enumerate(terms) if k != place and m == n and not has_sign(r - q)
    ]
    if all(_have_one_sign(c, d) for d, _ in others):
        return True
    if len(others) > 1:
        return False
    for d, q in others:
        for symbol in sorted((r - q).free_symbols, key=str):
            equal = _only_zero(r - q, symbol)
            if equal is not None and (equal.is_positive or not symbol.is_positive):
                return has_sign((c + d).subs(symbol, equal))
        return False
    return True


def _only_zero(e: sp.Expr, symbol: sp.Symbol) -> sp.Expr | None:
    """The one value of the symbol at which a quotient, linear in it above, can be 0; None where
    it is not of that form.
    """
    above = sp.numer(sp.together(e))
    slope = sp.cancel(sp.diff(above, symbol))
    if slope.has(symbol) or not has_sign(slope):
        return None
    return sp.cancel(symbol - above / slope)


def has_sign(e: sp.Expr) -> bool:
    """e is never 0, as is seen (False: not shown)."""
    try:
        return sign(e) != 0
    except Unsigned:
        return False


def integral_against(f: sp.Expr, low: sp.Expr, high: sp.Expr) -> sp.Expr:
    """int_low^high f e^{-x} dx for f = sum c x^n e^{rx}, n whole; high may be oo.

    Raises Rejected, as where it is not finite.
    """
    total = sp.S.Zero
    for c, n, r in exponential_terms(f):
        rate = r - 1
        if not is_finite(c):
            raise Rejected(f"{c} is not finite")
        way = 0 if is_zero(rate) else sign(rate)
        if way == 0:
            primitive = x ** (n + 1) / (n + 1)
        else:
            primitive = sp.exp(rate * x) * sum(
                (-1) ** k * sp.ff(n, k) * x ** (n - k) / rate ** (k + 1) for k in range(int(n) + 1)
            )
        if high == sp.oo and way >= 0:
            raise Rejected(f"the integral of {f} e^(-x) is not finite")
        total += c * ((0 if high == sp.oo else primitive.subs(x, high)) - primitive.subs(x, low))
    return total
