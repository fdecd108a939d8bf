"""Where the range of a parameter is worth cutting: proposals only, which the checker's cells
must bear out.
"""

from __future__ import annotations

import sympy as sp

from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, patient, within
from divergence_lab.theory.checker.families.cell_forms import positive_form
from divergence_lab.theory.checker.families.ranges import Ranges
from divergence_lab.theory.checker.families.signs import without_powers
from divergence_lab.theory.expressions.ordering import CannotSplit, is_less
from divergence_lab.theory.expressions.symbols import x

SOLVE_SECONDS = 2.0
GUESSES = tuple(
    sp.Rational(n, 2) for n in (0, 2, -2, 1, -1, 4, -4)
)  # where equations that are not solved often hold


def singular_values(loss: sp.Expr, parameter: sp.Symbol) -> list[sp.Expr]:
    """Where a denominator, a logarithm, an absolute value or the base of a power of parameters
    alone is 0.
    """
    found: set[sp.Expr] = set()
    for e in loss.atoms(sp.Pow, sp.log, sp.Abs, sp.sign):
        base = e.base if e.is_Pow else e.args[0]
        if (
            base.has(x)
            or not base.has(parameter)
            or (e.is_Pow and e.exp.is_nonnegative and e.exp.is_Integer)
        ):
            continue
        found |= _zeros(base, parameter)
    return list(found)


def critical_values(unknown: sp.Expr, loss: sp.Expr, ranges: Ranges) -> list[tuple[str, sp.Expr]]:
    """(parameter, value), ... inside the ranges at which a sign that the checker did not know
    may change.
    """
    original = {}
    for symbol, form in positive_form(loss, ranges).items():
        low, high = ranges[symbol.name]
        (z,) = form.free_symbols or {None}
        if z is None:
            continue
        real = sp.Symbol(symbol.name, real=True)
        original[z] = (
            real - low
            if high == sp.oo and low.is_finite
            else high - real
            if high.is_finite and low == -sp.oo
            else (high - real) / (real - low)
            if low.is_finite
            else real
        )
    unknown = without_powers(unknown)
    inner = unknown.free_symbols - set(original)
    found = []
    at_end = unknown.subs(
        dict.fromkeys(inner, 0)
    )  # a sign that is one up to an end of the piece changes there first
    ends = [at_end] if inner and at_end.is_finite else []
    for coefficient in (
        *_coefficients(unknown, inner),
        *(_coefficients(sp.simplify(unknown), inner) if inner else ()),
        *ends,
    ):
        e = sp.factor(sp.together(coefficient.subs(original)))
        for symbol in sorted(e.free_symbols, key=str):
            low, high = ranges[symbol.name]
            found += [
                (symbol.name, value) for value in _zeros(e, symbol) if _between(low, value, high)
            ]
    return list(dict.fromkeys(found))


def _between(low: sp.Expr, value: sp.Expr, high: sp.Expr) -> bool:
    try:
        return is_less(low, value) and is_less(value, high)
    except CannotSplit:
        return False


def _coefficients(e: sp.Expr, inner: set[sp.Symbol]) -> list[sp.Expr]:
    """e itself, or, where it has x in it, what its terms in x are multiplied by, and their
    rates.
    """
    if not inner:
        return [e]
    total: dict[sp.Expr, sp.Expr] = {}
    numerator, _ = sp.fraction(sp.together(e))
    rates = []
    for term in sp.Add.make_args(sp.expand(sp.powsimp(sp.expand(numerator)))):
        coefficient, rest = term.as_independent(*inner, as_Add=False)
        total[rest] = total.get(rest, sp.S.Zero) + coefficient
        rates += [sp.diff(p.args[0], y) for p in rest.atoms(sp.exp) for y in inner]
        rates += [p.exp for p in rest.atoms(sp.Pow) if p.exp.free_symbols - inner]
    return [*total.values(), *(rate for rate in rates if not rate.free_symbols & inner)]


def _zeros(e: sp.Expr, parameter: sp.Symbol) -> set[sp.Expr]:
    """Real zeros of e in the parameter that can be found; factors with another symbol are left
    aside.
    """
    real = sp.Symbol(parameter.name, real=True)
    e = e.subs(parameter, real)
    numerator, denominator = sp.fraction(sp.together(e))
    found = {value for value in GUESSES if e.free_symbols == {real} and e.subs(real, value) == 0}
    for part in (
        *sp.Mul.make_args(sp.factor(numerator)),
        *sp.Mul.make_args(sp.factor(denominator)),
    ):
        part = part.base if part.is_Pow and not part.exp.has(real) else part
        if part.free_symbols != {real}:
            continue
        if part.is_polynomial(real):
            found |= set(_roots(sp.Poly(part, real)))
            continue
        try:
            solved = within(patient(SOLVE_SECONDS), sp.solveset, part, real, sp.S.Reals)
        except (OutOfTime, SearchFailed):
            continue
        found |= set(solved) if isinstance(solved, sp.FiniteSet) else set()
    # a root without a formula can be written, but not read back
    return {
        value
        for value in found
        if value.is_finite and not value.free_symbols and not value.has(sp.ComplexRootOf)
    }


def _roots(polynomial: sp.Poly) -> list[sp.Expr]:
    if polynomial.degree() < 1:
        return []
    if polynomial.domain.is_QQ or polynomial.domain.is_ZZ:
        return sp.real_roots(polynomial)
    return (
        [r for r in sp.roots(polynomial, multiple=True) if r.is_real]
        if polynomial.degree() < 3
        else []
    )
