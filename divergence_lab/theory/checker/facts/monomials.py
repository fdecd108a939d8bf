"""Monomials with exact exponents, and which of two grows faster. Part of the trusted checker.

    x^p0 (log x)^p1 (log log x)^p2 (log log log x)^p3 exp(sum c m),   each m to infinity, no L_k

L_k is the k-times iterated logarithm; exp(c L_k) is the power L_{k-1}^c. The m may be slower than
log x, as in exp(-sqrt(log x)): of two monomials that outgrows the other whose logarithm has the
larger leading term, and log of the above is p0 L1 + p1 L2 + p2 L3 + p3 L4 + sum c m.

Whether two are equal, or a coefficient is 0, is decided by their values (`constants`), never by how
they are written: x^a and x^b with a = sqrt(2) - 1, b = 1/(1 + sqrt(2)) are one.

    >>> a, b = sp.sqrt(2) - 1, 1 / (1 + sp.sqrt(2))
    >>> compare(iterated_log(0, a), iterated_log(0, b))
    0
    >>> growth(iterated_log(0, sp.Integer(-5)) * Monomial(exponents=((a, iterated_log(0)),)))
    1
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cmp_to_key, lru_cache

import sympy as sp

from divergence_lab.theory.expressions import constants

LEVELS = 4  # x, log x, log log x, log log log x


class NoTail(Exception):
    """The function could not be described on [X, oo); another X, or a shorter series, may do."""


class NoRule(NoTail):
    """A function in it is not known here: no other X will do."""


@dataclass(frozen=True)
class Monomial:
    """x^p0 (log x)^p1 ... * exp(sum c*m); `exponents` pairs (c, m), c != 0, the m to infinity and
    none of them an iterated logarithm, largest first.
    """

    powers: tuple[sp.Expr, ...] = (sp.S.Zero,) * LEVELS
    exponents: tuple[tuple[sp.Expr, Monomial], ...] = ()

    def __mul__(self, other: Monomial) -> Monomial:
        powers = tuple(_plain(a + b) for a, b in zip(self.powers, other.powers))
        if not self.exponents or not other.exponents:
            return Monomial(powers, self.exponents or other.exponents)
        return Monomial(
            powers,
            tuple((c, m) for m, c in added((m, c) for c, m in (*self.exponents, *other.exponents))),
        )

    def __pow__(self, r: sp.Expr) -> Monomial:
        if is_zero(r):
            return ONE
        return Monomial(
            tuple(_plain(r * p) for p in self.powers), tuple((r * c, m) for c, m in self.exponents)
        )


ONE = Monomial()


def iterated_log(k: int, power: sp.Expr = sp.S.One) -> Monomial:
    """The k-times iterated logarithm to a power; k = 0 is x itself."""
    if k >= LEVELS:
        raise NoTail("logarithms are iterated too deeply")
    return Monomial(tuple(power if i == k else sp.S.Zero for i in range(LEVELS)))


def sign_of(number: sp.Expr) -> int:
    """The sign of an exact constant. Raises NoTail where it is not decided."""
    sign = constants.sign_of(number)
    if sign is None:
        raise NoTail(f"the sign of {number} is not decided")
    return sign


def is_zero(number: sp.Expr) -> bool:
    """Is the exact constant 0?"""
    return number == 0 or sign_of(number) == 0


def _plain(power: sp.Expr) -> sp.Expr:
    """The same power, 0 written as 0."""
    return power if power.is_Rational or not is_zero(power) else sp.S.Zero


def added(terms: Iterable[tuple[Monomial, sp.Expr]]) -> list[tuple[Monomial, sp.Expr]]:
    """The terms (m, c) largest first, with equal monomials added, however they are written, and
    without those that cancel.
    """
    gathered: dict[Monomial, sp.Expr] = {}
    for m, c in terms:
        gathered[m] = gathered.get(m, sp.S.Zero) + c
    merged: list[tuple[Monomial, sp.Expr]] = []
    for m, c in sorted(gathered.items(), key=_BY_GROWTH, reverse=True):
        if merged and compare(m, merged[-1][0]) == 0:
            m, before = merged.pop()
            c = sp.expand(before + c)
        merged.append((m, c))
    return [(m, c) for m, c in merged if not is_zero(c)]


def compare(a: Monomial, b: Monomial) -> int:
    """1 if a outgrows b, -1 if b outgrows a, 0 if they are equal."""
    if a.exponents != b.exponents:
        return growth(a * b**sp.S.NegativeOne)
    pairs = zip(a.powers, b.powers)
    return next((sign for p, q in pairs if p != q and (sign := sign_of(p - q))), 0)


@lru_cache(maxsize=20_000)
def growth(m: Monomial) -> int:
    """1 if m -> oo, -1 if m -> 0, 0 if m = 1: the sign of the leading term of log m."""
    k = next((k for k, power in enumerate(m.powers) if not is_zero(power)), None)
    if m.exponents and (k is None or outgrows_log(m.exponents[0][1], k)):
        return sign_of(m.exponents[0][0])
    return 0 if k is None else sign_of(m.powers[k])


def outgrows_log(m: Monomial, k: int) -> bool:
    """Does m, which tends to infinity, outgrow log L_k?

    The last of these logarithms is outgrown by every such m: m = L_k^p..., p > 0, does, and e^n
    does as n is one of them or outgrows it.
    """
    return k + 1 == LEVELS or compare(m, iterated_log(k + 1)) > 0


_BY_GROWTH = cmp_to_key(lambda one, other: compare(one[0], other[0]))
