"""Antiderivatives of rational functions of e^x times x or log p(e^x), which SymPy's `integrate`
gives up on or writes with complex arguments.

    int log(a + b e^{nx}) dx = x log a - Li2(-(b/a) e^{nx})/n                  a > 0
    int R(e^x) log p(e^x) dx = A log p - int A p'/p,   A' = R                  A without logarithms
    int x R(e^x) dx          = x A - int A,            A' = R

Finds; confirms nothing. Works over the building blocks of `identity`.
"""

import sympy as sp

from divergence_lab.theory.expressions import enclosure, identity, x

# By parts may call itself this often.
MAX_DEPTH = 6


class NotOfThisKind(ValueError):
    """The function is not a sum of the forms above."""


def antiderivative(function: sp.Expr, sample: sp.Expr) -> sp.Expr:
    """A(x) with A' = function on the smooth piece around `sample`. Raises NotOfThisKind."""
    try:
        return _integral(function, sample, MAX_DEPTH)
    except (identity.NoNormalForm, sp.PolynomialError, NotImplementedError) as reason:
        raise NotOfThisKind(str(reason)) from None


def _integral(function: sp.Expr, sample: sp.Expr, depth: int) -> sp.Expr:
    if depth == 0:
        raise NotOfThisKind("too many integrations by parts")
    normal = identity.NormalForm(function, sample=sample)
    form = normal.forms[0]
    exponentials = {
        symbol for symbol, meaning in normal.block.items() if isinstance(meaning, sp.exp)
    }
    others = [symbol for symbol in normal.block if symbol not in exponentials]
    if len(exponentials) > 1 or any(
        normal.block[symbol] != x and not isinstance(normal.block[symbol], sp.log)
        for symbol in others
    ):
        raise NotOfThisKind("other functions than one exponential, x and logarithms")
    s = exponentials.pop() if exponentials else sp.Dummy("s", positive=True)
    rate = sp.diff(normal.block[s].args[0], x) if s in normal.block else sp.S.One
    numerator, denominator = sp.cancel(sp.together(form)).as_numer_denom()
    if denominator.has(*others):
        raise NotOfThisKind("a logarithm in the denominator")
    total = sp.S.Zero
    for powers, coefficient in sp.Poly(numerator, *others).terms() if others else [((), numerator)]:
        factor = sp.cancel(coefficient / denominator)
        used = [symbol for symbol, power in zip(others, powers) if power]
        if not used:
            total += _rational(factor, s, rate, sample).xreplace(normal.block)
        elif not factor.has(s) and used == [_x_of(normal)]:
            total += factor * x ** (sum(powers) + 1) / (sum(powers) + 1)
        elif sum(powers) != 1:
            raise NotOfThisKind("a product of logarithms")
        else:
            total += _times(normal.block[used[0]], factor, s, rate, normal, sample, depth)
    return total


def _x_of(normal: identity.NormalForm) -> sp.Symbol | None:
    return next((symbol for symbol, meaning in normal.block.items() if meaning == x), None)


def _rational(function: sp.Expr, s: sp.Symbol, rate: sp.Expr, sample: sp.Expr) -> sp.Expr:
    """int R(s) dx with s = e^{rate x}, dx = ds/(rate s), log s = rate x."""
    numerator, denominator = sp.cancel(function / (rate * s)).as_numer_denom()
    # SymPy is slow on coefficients such as log(2): R is split into rational functions over the
    # rationals.
    constants = sorted(numerator.atoms(sp.log) | (numerator.atoms(sp.NumberSymbol)), key=str)
    total = sp.S.Zero
    for powers, part in sp.Poly(numerator, *constants).terms() if constants else [((), numerator)]:
        scale = sp.Mul(*(constant**power for constant, power in zip(constants, powers)))
        for term in sp.Add.make_args(sp.apart(part / denominator, s)):
            total += scale * _partial_fraction(term, s, rate, sample)
    return total


def _partial_fraction(term: sp.Expr, s: sp.Symbol, rate: sp.Expr, sample: sp.Expr) -> sp.Expr:
    """int of c s^n, c/(a s + b)^n, or another partial fraction, ds."""
    numerator, denominator = term.as_numer_denom()
    if not denominator.has(s):
        return sp.integrate(term, s)
    constant, linear = denominator.as_independent(s, as_Add=False)
    base, power = linear.as_base_exp()
    if not numerator.has(s) and power.is_Integer and sp.degree(base, s) == 1:
        slope = sp.diff(base, s)
        if power != 1:
            return numerator / (constant * slope * (1 - power) * base ** (power - 1))
        if base == s:
            return numerator / (constant * slope) * rate * x
        negative = (
            not base.free_symbols - {s}
            and enclosure.value_at(base.subs(s, sp.exp(rate * sample)), x, sample) < 0
        )
        return numerator / (constant * slope) * sp.log(-base if negative else base)
    found = sp.integrate(term, s)
    if found.has(sp.Integral, sp.I, sp.RootSum):
        raise NotOfThisKind("the denominator has no real factors that SymPy finds")
    return found


def _times(
    block: sp.Expr,
    factor: sp.Expr,
    s: sp.Symbol,
    rate: sp.Expr,
    normal: identity.NormalForm,
    sample: sp.Expr,
    depth: int,
) -> sp.Expr:
    """int block(x) R(s) dx where block is x or log p(s): the constant part of R apart, the rest
    by parts.
    """
    constant = sp.S.Zero
    if block != x:
        # R = constant + rest, so that the antiderivative of the rest has no x in it
        constant = sp.limit(factor, s, 0) if factor.has(s) else factor
        if not constant.is_finite:
            constant = sp.apart(factor, s).as_independent(s)[0]
    inner = (
        _rational(factor - constant, s, rate, sample).xreplace(normal.block)
        if factor != constant
        else sp.S.Zero
    )
    if block != x and inner.has(sp.log):
        raise NotOfThisKind("the product of two logarithms")
    by_parts = (
        block * inner - _integral(sp.diff(block, x) * inner, sample, depth - 1)
        if inner != 0
        else sp.S.Zero
    )
    return by_parts + (constant * _logarithm(block, s, rate, normal) if constant != 0 else 0)


def _logarithm(block: sp.log, s: sp.Symbol, rate: sp.Expr, normal: identity.NormalForm) -> sp.Expr:
    """int log(a + b s^n) dx."""
    polynomial = sp.Poly(block.args[0].subs(normal.block[s], s), s)
    terms = polynomial.terms()
    if len(terms) != 2 or terms[1][0] != (0,):
        raise NotOfThisKind("the logarithm of more than two terms")
    ((n,), b), (_, a) = terms
    if a.is_positive:
        return x * sp.log(a) - sp.polylog(2, -b / a * sp.exp(n * rate * x)) / (n * rate)
    if a.is_negative and b.is_positive:  # log(b s^n - |a|) = n log s + log b + log(1 - |a|/b s^-n)
        return (
            n * rate * x**2 / 2
            + x * sp.log(b)
            + sp.polylog(2, -a / b * sp.exp(-n * rate * x)) / (n * rate)
        )
    raise NotOfThisKind("the sign of the constant term is not known")
