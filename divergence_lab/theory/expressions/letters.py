"""Constants of an expression as letters: c e^{cx} - c e^{-cx} with c = sqrt(2) - 1 is factored
like a c e^{cx}, as a polynomial over the rational numbers. Part of the trusted checker.

Over the constants themselves SymPy takes sqrt(2), log(3), E, ... for unknowns each, and may look
for factors for ever. What is an identity with letters is one with the numbers in their place.
"""

import math
from collections.abc import Mapping
from typing import Any

import sympy as sp
from sympy.polys.polyerrors import BasePolynomialError

from divergence_lab.theory.expressions.balls import ball_of_constant
from divergence_lab.theory.expressions.unified import as_rational, unified

MAX_SIZE = 1_000  # product of the degrees, plus 1 each, of a polynomial that is factored


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
    seen = ball_of_constant(c)
    if not (seen.is_finite() and (seen > 0 or seen < 0)):
        return c
    for other, letter in known.items():
        ratio = as_rational(c / other)
        if ratio is not None:
            return ratio * letter
    if seen < 0:
        return -_letter(-c, known)
    return known.setdefault(c, sp.Dummy(f"c{len(known)}", positive=True))


def factored(e: sp.Expr, deep: bool = False) -> sp.Expr:
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
    return math.prod(degree + 1 for degree in polynomial.degree_list()) > MAX_SIZE


def shortest(c: sp.Expr) -> sp.Expr:
    """An exact number in a short form. SymPy's `simplify` is asked where at most one part of it is
    irrational: of two it may make towers of powers, and take minutes.
    """
    if c.free_symbols or not has_many_constants(c):
        return sp.simplify(c)
    alike = unified(sp.expand(c))
    return min((c, sp.expand(c), alike, sp.expand(alike)), key=sp.count_ops)


def has_many_constants(e: sp.Expr) -> bool:
    """Has it more than one irrational part, such as sqrt(2), log(3), E?"""
    parts = {
        part
        for part in e.atoms(sp.Function, sp.NumberSymbol, sp.Pow)
        if not part.free_symbols and not (isinstance(part, sp.Pow) and part.exp.is_Integer)
    }
    return len(parts) > 1
