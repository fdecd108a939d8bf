"""Forms of an expression in which its sign may show, and the quickest ways to see it: samples, the
coefficients of a polynomial. Part of the trusted checker.
"""

import itertools
from collections.abc import Iterator
from functools import lru_cache

import sympy as sp

from divergence_lab.theory.expressions import constants
from divergence_lab.theory.expressions.balls import ball_of_constant
from divergence_lab.theory.expressions.unified import has_many_constants, in_factors

MAX_OPERATIONS = 200  # beyond which an expression is not rewritten in search of a sign
SHORT = 60  # operations beyond which it is not differentiated or simplified
_SHARES = tuple(sp.Rational(n, 8) for n in (8, 1, 100))
SAMPLES = tuple(sp.Rational(n, 7) for n in (9, 2, 23, 5, 12, 3))
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
        over_one = sp.together(written)
        if sp.count_ops(over_one) <= 2 * MAX_OPERATIONS:  # products of many sums fill pages
            yield factored(sp.powsimp(sp.expand(over_one)))


def simplified(e: sp.Expr) -> Iterator[sp.Expr]:
    """The form that takes longest to find, of what is short."""
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


@lru_cache(maxsize=20_000)
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


@lru_cache(maxsize=20_000)
def seen_at_samples(e: sp.Expr) -> frozenset[int]:
    """The signs that e has at a few values of its symbols: the quickest way to see that it has
    not one sign.
    """
    symbols = sorted(e.free_symbols, key=str)
    if not symbols or not all(s.is_positive or s.is_real for s in symbols):
        return frozenset()
    signs = set()
    both_ways = (SAMPLES, SAMPLES[::-1]) if len(symbols) > 1 else (SAMPLES,)  # a > b and a < b
    for shares, numbers in itertools.product(_shares(len(symbols)), both_ways):
        values = {
            s: shares[k] * numbers[k % len(numbers)] * (1 if s.is_positive or k % 2 else -1)
            for k, s in enumerate(symbols)
        }
        ball = ball_of_constant(e.subs(values))
        signs |= {1} if ball > 0 else {-1} if ball < 0 else set()
        if len(signs) > 1:
            break
    return frozenset(signs)


def _shares(count: int) -> list[list[sp.Expr]]:
    """How large each of so many symbols is: alike, or one small where another is large."""
    return [
        [_SHARES[(start + turn * k) % len(_SHARES)] for k in range(count)]
        for turn in ((0, 1, 2) if count > 1 else (0,))
        for start in range(len(_SHARES))
    ]


def sign_of_polynomial(e: sp.Expr) -> int | None:
    """All coefficients of one sign in positive symbols and exponentials, or no root in (0, oo)
    by Sturm.
    """
    symbols = sorted(e.free_symbols, key=str)
    if not symbols:
        return constants.sign_of(e)
    if not e.is_polynomial(*symbols) or not all(s.is_positive for s in symbols):
        return None
    polynomial = sp.Poly(e, *symbols)
    signs = {constants.sign_of(c) for c in polynomial.coeffs()}
    if len(signs) == 1:
        return signs.pop()
    if len(symbols) > 1 or not (polynomial.domain.is_QQ or polynomial.domain.is_ZZ):
        return None
    at_zero = polynomial(0)
    roots = polynomial.count_roots(0, None) - (1 if at_zero == 0 else 0)
    return None if roots else constants.sign_of(polynomial(1))
