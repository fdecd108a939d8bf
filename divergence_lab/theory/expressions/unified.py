"""Equal constants in an expression written alike, and constants as letters. Part of the trusted
checker.

c e^{cx} - c e^{-cx} with c = sqrt(2) - 1 is factored like a c e^{cx}, as a polynomial over the
rational numbers: over the constants themselves SymPy takes sqrt(2), log(3), E, ... for unknowns
each, and may look for factors for ever. What is an identity with letters is one with the numbers in
their place.
"""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import sympy as sp
from sympy.polys.polyerrors import BasePolynomialError

from divergence_lab.theory.expressions import balls, constants

MAX_SIZE = 1_000  # product of the degrees, plus 1 each, of a polynomial that is factored
MAX_COEFFICIENT = 10**150  # of one that is: beyond it SymPy looks for primes of that size


@lru_cache(maxsize=2_000)
def unified(e: sp.Expr) -> sp.Expr:
    """e with equal constants in it written alike, also those that differ by a sign or a rational
    factor, and rational ones as such: x^a - x^b is 0 where a = b.

    >>> z = sp.Symbol("z", positive=True)
    >>> unified(z ** (sp.sqrt(2) - 1) - z ** (1 / (1 + sp.sqrt(2))))
    0
    """
    found: set[sp.Expr] = set()
    _collect(e, found)
    written: dict[sp.Expr, sp.Expr] = {}
    known: list[sp.Expr] = []
    for c in sorted(found, key=lambda c: (sp.count_ops(c), str(c))):
        written[c] = _alike(c, known)
    return e if all(c == form for c, form in written.items()) else _rewritten(e, written)


def _alike(c: sp.Expr, known: list[sp.Expr]) -> sp.Expr:
    """The constant as a rational multiple of a known one, where it is one."""
    rational = constants.as_rational(c)
    if rational is not None:
        return rational
    q, c = _content(_without_roots_below(c))
    for other in known:
        ratio = constants.as_rational(c / other)
        if ratio is not None:
            return q * ratio * other
    known.append(c)
    return q * c


def _without_roots_below(c: sp.Expr) -> sp.Expr:
    """1/(3 - 2 sqrt(2)) as 3 + 2 sqrt(2), 1/(1 + sqrt(3)) as sqrt(3)/2 - 1/2: an algebraic number
    by a form that is proved to be the same and not much longer.
    """
    if c.atoms(sp.Function, sp.NumberSymbol) or not any(
        p.base.is_Add and p.exp.is_negative for p in c.atoms(sp.Pow)
    ):
        return c
    found = sp.radsimp(c)
    short = sp.count_ops(found) <= 2 * sp.count_ops(c)
    return found if short and constants.sign_of(found - c) == 0 else c


def _collect(e: sp.Basic, found: set[sp.Expr]) -> None:
    """The constants of e that are not rational, the largest ones; those of a sum or product
    together.
    """
    if isinstance(e, sp.Expr) and not e.free_symbols:
        _, c = _content(e)
        if not c.is_Rational and balls.ball_of_constant(c).is_finite():
            found.add(c)
        return
    fixed, rest = _parts(e)
    if fixed is not None:
        _collect(fixed, found)
    for part in rest:
        _collect(part, found)


def _parts(e: sp.Basic) -> tuple[sp.Expr | None, tuple[sp.Basic, ...]]:
    if isinstance(e, sp.Add | sp.Mul):
        fixed = [part for part in e.args if not part.free_symbols]
        if len(fixed) > 1:
            return e.func(*fixed), tuple(part for part in e.args if part.free_symbols)
    return None, e.args


def _content(c: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """(a rational factor, the rest) of a constant."""
    return c.primitive() if c.is_Add else c.as_coeff_Mul()


def _rewritten(e: Any, written: dict[sp.Expr, sp.Expr]) -> Any:
    if isinstance(e, sp.Expr) and not e.free_symbols:
        content, c = _content(e)
        return e if written.get(c, c) == c else content * written[c]
    fixed, rest = _parts(e)
    if not rest:
        return e
    parts = [
        *([] if fixed is None else [_rewritten(fixed, written)]),
        *(_rewritten(part, written) for part in rest),
    ]
    return e if fixed is None and all(a is b for a, b in zip(parts, e.args)) else e.func(*parts)


def polylogarithms_expanded(e: Any) -> Any:
    """Polylogarithms written as what they are, where SymPy knows it, and nothing else: of erfi x
    expand_func makes -i erf(i x).
    """
    return (
        e.replace(sp.polylog, lambda s, z: sp.expand_func(sp.polylog(s, z)))
        if e.has(sp.polylog)
        else e
    )


def collected(e: sp.Expr) -> sp.Expr:
    """e with equal terms added, and with roots, powers and logarithms of sums that begin with 1:
    (c u)^r = c^r u^r and log(c u) = log(c) + log(u) for c > 0, whatever u is.

    >>> z = sp.Symbol("z", real=True)
    >>> c = sp.sqrt(2) - 1
    >>> collected(sp.sqrt(c) * sp.sqrt(z**2 + 1 + sp.sqrt(2)) - sp.sqrt(1 + c * z**2))
    0
    """
    e = unified(e)
    return e if not e.atoms(sp.Function, sp.NumberSymbol, sp.Pow) else unified(_collected(e))


def _collected(e: Any) -> sp.Expr:
    if not e.free_symbols or not e.args or not all(isinstance(a, sp.Expr) for a in e.args):
        return e
    parts = [_collected(part) for part in e.args]
    if e.is_Add:
        return sp.Add(*(c * rest for rest, c in _like_terms(parts).items()))
    if e.is_Pow and parts[0].is_Add:
        c, u = _with_leading_one(parts[0])
        return c ** parts[1] * u ** parts[1]
    if isinstance(e, sp.log) and parts[0].is_Add:
        c, u = _with_leading_one(parts[0])
        return sp.log(c) + sp.log(u)
    return e.func(*parts)


def _like_terms(terms: list[sp.Expr]) -> dict[sp.Expr, sp.Expr]:
    """{what depends on a symbol: its constant factor}, without those that are 0."""
    found: dict[sp.Expr, sp.Expr] = {}
    for term in (part for whole in terms for part in sp.Add.make_args(whole)):
        c, rest = term.as_independent(*term.free_symbols, as_Add=False)
        found[rest] = found.get(rest, sp.S.Zero) + c
    return {rest: c for rest, c in found.items() if constants.sign_of(c) != 0}


def _with_leading_one(e: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """(c > 0, u) with e = c u, where one term of the sum u, chosen by its form, has factor 1 or
    -1.
    """
    terms = _like_terms([e])
    leading = terms[max(terms, key=sp.default_sort_key)] if terms else sp.S.One
    sign = constants.sign_of(leading)
    if not sign:
        return sp.S.One, e
    c = sign * leading
    return c, sp.Add(*(d / c * rest for rest, d in terms.items()))


def in_single_powers(e: sp.Expr) -> sp.Expr:
    """The sum written out, e^u e^v as e^(u + v)."""
    return sp.Add(*(_in_single_power(term) for term in sp.Add.make_args(sp.expand(e))))


def _in_single_power(product: sp.Expr) -> sp.Expr:
    parts: Any = sp.Mul.make_args(product)
    powers = [part for part in parts if isinstance(part, sp.exp) and part.free_symbols]
    if len(powers) < 2:
        return product
    return sp.Mul(
        sp.exp(sp.Add(*(power.args[0] for power in powers))),
        *(part for part in parts if part not in powers),
    )


# --- letters


def in_letters(e: sp.Expr) -> tuple[sp.Expr, Mapping[sp.Symbol, sp.Expr]]:
    """(e with positive letters for its irrational constants, what they stand for); equal ones have
    one letter, and so have those that differ by a rational factor or summand.

    >>> z = sp.Symbol("z", real=True)
    >>> form, meaning = in_letters(z ** (sp.sqrt(2) - 1) / (2 * sp.sqrt(2) - 2))
    >>> [str(c) for c in meaning.values()]
    ['sqrt(2)']
    """
    known: dict[sp.Expr, sp.Symbol] = {}
    form = _lettered(unified(e), known)
    return form, {letter: c for c, letter in known.items()}


def _lettered(e: Any, known: dict[sp.Expr, sp.Symbol]) -> Any:
    if not e.free_symbols and isinstance(e, sp.Expr):
        return _constant(e, known)
    if not e.args:
        return e
    if isinstance(e, sp.Add | sp.Mul):
        fixed = [part for part in e.args if not part.free_symbols]
        rest = [_lettered(part, known) for part in e.args if part.free_symbols]
        return e.func(_constant(e.func(*fixed), known), *rest)
    if isinstance(e, sp.exp | sp.sinh | sp.cosh | sp.tanh):
        return e.func(sp.Add(*(_rate(term, known) for term in sp.Add.make_args(e.args[0]))))
    return e.func(*(_lettered(part, known) for part in e.args))


def _rate(term: sp.Expr, known: dict[sp.Expr, sp.Symbol]) -> sp.Expr:
    """A term of an exponent, its constant factor as one letter: e^{cx} is one power."""
    c, rest = term.as_independent(*term.free_symbols, as_Add=False)
    return (c if c.is_Rational else _letter(c, known)) * _lettered(rest, known)


def _constant(c: Any, known: dict[sp.Expr, sp.Symbol]) -> sp.Expr:
    """q + r u for a sum, products and whole powers by their parts, a letter for anything else."""
    if c.is_Rational:
        return c
    if c.is_Add:
        rational, rest = c.as_coeff_Add()
        if rest.is_Add:
            content, rest = rest.primitive()
            return rational + content * _letter(rest, known)
        return rational + _constant(rest, known)
    if c.is_Mul:
        return sp.Mul(*(_constant(part, known) for part in c.args))
    if c.is_Pow and c.exp.is_Integer:
        return _constant(c.base, known) ** c.exp
    return _letter(c, known)


def _letter(c: sp.Expr, known: dict[sp.Expr, sp.Symbol]) -> sp.Expr:
    """The letter for c, or a rational multiple of one; c itself where its sign is not seen."""
    if c in known:
        return known[c]
    seen = balls.ball_of_constant(c)
    if not (seen.is_finite() and (seen > 0 or seen < 0)):
        return c
    for other, letter in known.items():
        ratio = constants.as_rational(c / other)
        if ratio is not None:
            return ratio * letter
    if seen < 0:
        return -_letter(-c, known)
    return known.setdefault(c, sp.Dummy(f"c{len(known)}", positive=True))


def in_factors(e: sp.Expr, deep: bool = False) -> sp.Expr:
    """e in factors over the rational numbers and letters, or e as it is where the polynomials are
    too large to be factored at once.
    """
    form, meaning = in_letters(e)
    if any(_is_large(part) for part in sp.fraction(sp.together(form))):
        return e
    found: Any = sp.factor(form, deep=deep)
    return found.xreplace(dict(meaning))


def _is_large(e: sp.Expr) -> bool:
    try:
        polynomial = sp.Poly(e)
    except BasePolynomialError:  # a number, or what is no polynomial: SymPy sees so at once
        return False
    size = math.prod(degree + 1 for degree in polynomial.degree_list())
    numbers = [n for c in polynomial.coeffs() if c.is_Rational for n in (abs(c.p), c.q)]
    return size > MAX_SIZE or max(numbers, default=0) > MAX_COEFFICIENT


def has_many_constants(e: sp.Expr) -> bool:
    """Has it more than one irrational part, such as sqrt(2), log(3), E?"""
    parts = {
        part
        for part in e.atoms(sp.Function, sp.NumberSymbol, sp.Pow)
        if not part.free_symbols and not (isinstance(part, sp.Pow) and part.exp.is_Integer)
    }
    return len(parts) > 1
