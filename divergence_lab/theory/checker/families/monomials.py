"""Monomials whose exponents depend on parameters, and which of two grows faster. Part of the
trusted checker.

    x^p0 (log x)^p1 (log log x)^p2 exp(sum c m),   p_i and c free of x, each m larger than log x

Those of `facts/tails` have numbers for exponents, and equal ones are found by their values. Here a
comparison is the sign of an expression in parameters: it is the same for all of them, or Unsigned
is raised with the expression in question, and the search cuts the range of the parameters there.

    >>> a = sp.Symbol("a", positive=True)
    >>> compare(iterated_log(0, 1 + a), iterated_log(0))  # x^(1 + a) against x
    1
    >>> compare(iterated_log(0, a), iterated_log(0))  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    ...
    Unsigned: the sign of a - 1 is not known for all parameters
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import sympy as sp

from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.families.signs import sign

LEVELS = 3  # x, log x, log log x


class NoGerm(Rejected):
    """The function is not described near +oo."""


@lru_cache(maxsize=50_000)  # a germ asks for the same few exponents again and again
def plain(e: sp.Expr) -> sp.Expr:
    """e in a form in which equal exponents mostly look equal.

    Looks decide nothing: `compare` and `reduced` ask for the sign.
    """
    return (
        e
        if e.is_Rational or e.is_Symbol
        else sp.cancel(sp.together(e))
        if e.free_symbols
        else sp.expand(e)
    )


@dataclass(frozen=True)
class Monomial:
    """x^p0 (log x)^p1 (log log x)^p2 exp(sum c*m), each m a monomial that outgrows log x."""

    powers: tuple[sp.Expr, ...] = (sp.S.Zero,) * LEVELS
    exponents: tuple[tuple[sp.Expr, Monomial], ...] = ()

    def __mul__(self, other: Monomial) -> Monomial:
        gathered = list(self.exponents)
        for c, m in other.exponents:
            place = next((i for i, (_, n) in enumerate(gathered) if n == m), None)
            if place is None:
                gathered.append((c, m))
            else:
                gathered[place] = (plain(gathered[place][0] + c), m)
        return Monomial(
            tuple(plain(a + b) for a, b in zip(self.powers, other.powers)),
            tuple((c, m) for c, m in gathered if c != 0),
        )

    def __pow__(self, r: sp.Expr) -> Monomial:
        return Monomial(
            tuple(plain(r * p) for p in self.powers),
            tuple((plain(r * c), m) for c, m in self.exponents),
        )


ONE = Monomial()


def iterated_log(k: int, power: sp.Expr = sp.S.One) -> Monomial:
    """The k-times iterated logarithm to a power."""
    if k >= LEVELS:
        raise NoGerm("logarithms are iterated too deeply")
    return Monomial(tuple(power if i == k else sp.S.Zero for i in range(LEVELS)))


@lru_cache(maxsize=20_000)
def reduced(m: Monomial) -> Monomial:
    """The same monomial: equal exponents added, those that are 0 for all parameters dropped."""
    kept: list[tuple[sp.Expr, Monomial]] = []
    for c, inner in m.exponents:
        place = next(
            (i for i, (_, n) in enumerate(kept) if growth(n * inner**sp.S.NegativeOne) == 0), None
        )
        if place is None:
            kept.append((c, inner))
        else:
            kept[place] = (kept[place][0] + c, inner)
    kept = [(c, inner) for c, inner in kept if sign(c) != 0]
    return Monomial(m.powers, tuple(kept))


@lru_cache(maxsize=20_000)
def growth(m: Monomial) -> int:
    """1 if m -> oo for all parameters, -1 if m -> 0, 0 if m = 1. Raises Unsigned."""
    m = reduced(m) if m.exponents else m
    if m.exponents:
        leading = m.exponents[0]
        for pair in m.exponents[1:]:
            if growth(pair[1] * leading[1] ** sp.S.NegativeOne) > 0:
                leading = pair
        return sign(leading[0])
    return next((s for s in map(sign, m.powers) if s), 0)


def compare(a: Monomial, b: Monomial) -> int:
    """1 if a outgrows b, -1 if b outgrows a, 0 if they are equal."""
    return 0 if a == b else growth(a * b**sp.S.NegativeOne)
