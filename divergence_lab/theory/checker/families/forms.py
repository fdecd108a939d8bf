"""Forms of an expression in which its sign may show. Part of the trusted checker."""

from collections.abc import Iterator

import sympy as sp

from divergence_lab.theory.expressions.unified import has_many_constants, in_factors

MAX_OPERATIONS = 200  # beyond which an expression is not rewritten in search of a sign
SHORT = 60  # operations beyond which it is not differentiated or simplified
_MAX_DEGREE = 40  # beyond which a polynomial is not factored


def forms_of(e: sp.Expr) -> Iterator[sp.Expr]:
    """e in forms that may show its sign, the cheapest first."""
    yield e
    if sp.count_ops(e) > MAX_OPERATIONS:
        return
    e = e.replace(
        lambda p: (
            p.is_Pow and p.base.is_positive and not p.base.free_symbols and p.exp.free_symbols
        ),
        lambda p: sp.exp(p.exp * sp.log(p.base)),
    )
    yield factored(sp.together(e))
    if (rest := without_powers(e)) != e:
        yield factored(sp.together(rest))
    if e.has(sp.exp, sp.sinh, sp.cosh, sp.tanh):
        written = sp.powsimp(sp.expand(e.rewrite(sp.exp)))
        yield factored(written)
        yield factored(sp.powsimp(sp.expand(sp.together(written))))
    if sp.count_ops(e) < SHORT and not has_many_constants(e):  # of two it takes minutes
        yield factored(sp.simplify(e))


def without_powers(e: sp.Expr) -> sp.Expr:
    """e with b^q, b > 0 and q in the parameters, written as a positive symbol times b^(q - q0),
    a whole power: the sign of the form for all values of its symbols is that of e.
    """
    found: dict[sp.Expr, tuple[sp.Symbol, sp.Expr]] = {}
    for power in sorted(
        (
            p
            for p in e.atoms(sp.Pow)
            if p.exp.free_symbols and p.base.free_symbols and p.base.is_positive
        ),
        key=str,
    ):
        unit, first = found.setdefault(power.base, (sp.Dummy(positive=True), power.exp))
        excess = sp.cancel(sp.together(power.exp - first))
        if excess.is_Integer:
            e = e.subs(power, unit * power.base**excess)
    return e


def factored(e: sp.Expr, deep: bool = False) -> sp.Expr:
    """In factors, where these can be had at once: of a high power SymPy may look for them for
    ever.
    """
    rates: dict[tuple[sp.Expr, sp.Expr], list[sp.Rational]] = {}
    for power in e.atoms(sp.Pow, sp.exp):
        base, exponent = power.as_base_exp()
        for rate, unit in (term.as_coeff_Mul() for term in sp.Add.make_args(sp.expand(exponent))):
            if rate.is_Rational:
                rates.setdefault((base, unit), []).append(rate)
    degrees = (
        max(map(abs, found)) * sp.ilcm(1, *(rate.q for rate in found)) for found in rates.values()
    )
    return e if any(degree > _MAX_DEGREE for degree in degrees) else in_factors(e, deep=deep)
