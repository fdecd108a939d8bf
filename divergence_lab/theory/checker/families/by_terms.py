"""Limits and integrals of sums whose terms can't be ordered for all parameters at once. Part of the
trusted checker.

    |x|^p + |x|^q -> oo as x -> oo, p, q > 0, whichever of the two is the larger

A germ has its terms in order. Where their order depends on the parameters, each term may have a
limit of its own: finite ones add up, and infinite ones of one sign decide. With integrals it is the
same.
"""

from collections.abc import Callable
from typing import Any

import sympy as sp

from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.families import germs, signs


def limit_of(f: sp.Expr, x: sp.Symbol, end: sp.Expr, side: int = 0) -> sp.Expr:
    """lim f at oo, at -oo or at a finite end from the right (side 1) or left (-1), for all
    parameters. Raises Rejected.
    """

    def whole() -> sp.Expr:
        return germs.limit_of(f, x, end, side)

    def by_terms(terms: tuple[sp.Expr, ...]) -> sp.Expr:
        limits = [germs.limit_of(term, x, end, side) for term in terms]
        infinite = {limit for limit in limits if limit.is_infinite}
        if len(infinite) > 1:
            raise Rejected(f"the terms of {f} tend to oo and to -oo")
        return infinite.pop() if infinite else sum(limits)

    return _either(f, whole, by_terms)


def sign_near(f: sp.Expr, x: sp.Symbol, end: sp.Expr, side: int = 0) -> int:
    """The sign of f near that end, for all parameters. Raises Rejected."""

    def by_terms(terms: tuple[sp.Expr, ...]) -> int:
        signs = {germs.sign_near(term, x, end, side) for term in terms} - {0}
        if len(signs) > 1:
            raise Rejected(f"the terms of {f} have two signs near {end}")
        return signs.pop() if signs else 0

    return _either(f, lambda: germs.sign_near(f, x, end, side), by_terms)


def diverges(f: sp.Expr, x: sp.Symbol) -> bool:
    """int^oo f = oo, or not: it converges or is -oo, for all parameters. Raises Rejected."""

    def by_terms(terms: tuple[sp.Expr, ...]) -> bool:
        ways = {germs.diverges(term, x) - germs.diverges(-term, x) for term in terms}
        if {1, -1} <= ways:
            raise Rejected(f"the integrals of the terms of {f} are oo and -oo")
        return 1 in ways

    return _either(f, lambda: germs.diverges(f, x), by_terms)


def _either(
    f: sp.Expr, whole: Callable[[], Any], by_terms: Callable[[tuple[sp.Expr, ...]], Any]
) -> Any:
    try:
        return whole()
    except Rejected as reason:
        terms = sp.Add.make_args(sp.expand(f))
        if len(terms) < 2:
            raise
        first = reason
    try:
        return by_terms(terms)
    except Rejected as second:
        raise (
            second
            if isinstance(second, signs.Unsigned)
            and len(getattr(first, "expression", f).free_symbols) > 1
            else first
        ) from None
