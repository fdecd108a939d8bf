"""The sign of an expression in parameters, for all their values at once. Part of the trusted
checker.

**Idea.** Symbols stand for every value that their assumptions allow; a cell of parameters is
written by positive symbols first, such as a = 1/(1 + z) for 0 < a < 1 (`ranges.over_range`). The
question is then whether an expression has one sign wherever its symbols are positive. What shows
it:

    polynomials     all coefficients have one sign, or no root in (0, oo) by Sturm's count
    products        factors that have one; log u against u = 1; odd functions by their argument
    c e^u + c'      as c (e^u - 1) + (c + c'): e^u - 1 has the sign of u
    a - b           both positive: the sign of log(a/b)
    f(z)            its slope has one sign, and a limit at 0 or oo leaves no other

An expression is tried in several forms (`forms`), the cheapest first; values at a few samples come
before all, since two signs that are seen end the search at once. `sign` answers 1, -1 or 0, or
raises Unsigned with the expression; it never guesses: a sample proves only that there is no answer.

**Sources.** Sturm's theorem (SymPy's count_roots); balls of Arb for numbers; Proposition 20 (docs).

**Example.**

    >>> a, z = sp.symbols("a z", positive=True)
    >>> sign(z**2 - z + 1), sign(sp.exp(-a * z) - 1), sign(sp.log(1 + a) - a)
    (1, -1, -1)
    >>> sign(a - z)  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    ...
    Unsigned: the sign of a - z is not known for all parameters
    >>> is_nonnegative((a - z) ** 2), is_zero(sp.exp(a) ** 2 - sp.exp(2 * a))
    (True, True)

**How to debug.** `seen_at_samples(e)` gives the signs at samples: {1, -1} means that there is no
one sign. With one sign seen, go through `forms_of(e)` and ask `_seen(form, 4)` for its factors and
terms: the first None is the part for which a rule is missing.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import sympy as sp

from divergence_lab.theory.checker.facts.proofs import Rejected, limit_of
from divergence_lab.theory.checker.families.forms import (
    MAX_OPERATIONS,
    SAMPLES,
    SHORT,
    factored,
    forms_of,
    seen_at_samples,
    sign_of_polynomial,
    simplified,
)
from divergence_lab.theory.expressions import balls, constants
from divergence_lab.theory.expressions.unified import unified

_SAME_SIGN = (sp.sinh, sp.tanh, sp.asinh, sp.atan, sp.erf, sp.erfi)


class Unsigned(Rejected):
    """The sign of `expression` is not the same for all parameters, or was not seen to be."""

    def __init__(self, expression: sp.Expr):
        super().__init__(f"the sign of {expression} is not known for all parameters")
        self.expression = expression


def sign(e: sp.Expr) -> int:
    """1, -1 or 0, the sign of e for all values of its symbols. Raises Unsigned."""
    found = _sign(e)
    if found is None:
        raise Unsigned(e)
    return found


def is_nonnegative(e: sp.Expr) -> bool:
    """e >= 0 for all values of its symbols, as one of its forms shows (False: not shown)."""
    if -1 in seen_at_samples(e):
        return False
    return (
        any(map(_is_nonnegative_form, forms_of(e)))
        or _sign_by_slope(e) == 1
        or any(map(_is_nonnegative_form, simplified(e)))
        or _sign_of_factors(e) == 1
        or _sign_of_terms(e) == 1
    )


def _is_nonnegative_form(form: sp.Expr) -> bool:
    return bool(form.is_nonnegative) or _seen(form, 4) == 1 or form == 0


def is_zero(e: sp.Expr) -> bool:
    """e = 0 for all values of its symbols, by SymPy's normal forms, equal constants written
    alike (False: not shown).
    """
    if not e.free_symbols:
        return constants.sign_of(e) == 0
    e = unified(e)
    if e == 0 or (grown := unified(sp.expand(e))) == 0 or unified(sp.powsimp(grown)) == 0:
        return True
    values = dict(zip(sorted(e.free_symbols, key=str), SAMPLES))
    seen = balls.ball_of_constant(e.subs(values))
    if seen > 0 or seen < 0:  # the quickest way to see what is not 0
        return False
    return sp.count_ops(e) < 4 * MAX_OPERATIONS and (
        sp.powsimp(sp.expand(e.rewrite(sp.exp))) == 0 or sp.simplify(e) == 0
    )


_ENTIRE = (sp.exp, sp.sinh, sp.cosh, sp.tanh, sp.asinh, sp.atan, sp.erf, sp.Abs)


def is_finite(
    e: sp.Expr, moving: sp.Symbol | None = None, at: tuple[sp.Symbol, sp.Expr] | None = None
) -> bool:
    """e is a finite real number for all values of its symbols, as its structure shows; so it is
    continuous in them.

    `moving`: it is analytic in this symbol as well. `at`, (x, c): this is asked at x = c, where e
    must be real on one side.
    """
    if e.is_Symbol:
        return True
    if not e.free_symbols:
        return bool(balls.ball_of_constant(e).is_finite())
    if not all(is_finite(part, moving, at) for part in e.args):
        return False
    moves = moving is not None and e.has(moving)
    if e.is_Add or e.is_Mul or isinstance(e, _ENTIRE):
        return not (isinstance(e, sp.Abs) and moves)

    def here(part: sp.Expr) -> sp.Expr:
        return part if at is None else part.subs(*at)

    try:
        if isinstance(e, sp.log):
            return sign(here(e.args[0])) == 1
        if isinstance(e, sp.polylog):
            return bool(e.args[0].is_Integer) and sign(here(1 - e.args[1])) == 1
        if isinstance(e, sp.Ei):
            return sign(here(e.args[0])) != 0
        if e.is_Pow and e.exp.is_Integer:
            return bool(e.exp.is_positive) or sign(here(e.base)) != 0
        if e.is_Pow and moves and e.base.has(moving):  # a root that reaches 0 may have a kink there
            return sign(here(e.base)) == 1
        return e.is_Pow and (
            sign(here(e.base)) == 1 or (is_nonnegative(here(e.base)) and sign(here(e.exp)) == 1)
        )
    except Unsigned:
        return (
            e.is_Pow
            and not (moves and e.base.has(moving))
            and bool(here(e.exp).is_positive)
            and is_nonnegative(here(e.base))
        )


@lru_cache(maxsize=20_000)
def _sign(e: sp.Expr) -> int | None:
    if not e.free_symbols:
        return constants.sign_of(e)
    if {1, -1} <= seen_at_samples(e):
        return None
    if (found := _sign_in_forms(forms_of(e))) is not None:
        return found
    if is_zero(e):
        return 0
    ways = (
        _sign_of_factors,
        _sign_of_terms,
        _sign_by_slope,
        lambda e: _sign_in_forms(simplified(e)),
    )
    return next((found for way in ways if (found := way(e)) is not None), None)


def _sign_of_terms(e: sp.Expr) -> int | None:
    """The sign that all terms of a sum have, each by all that is known of signs."""
    if not e.is_Add or len(frozenset().union(*map(seen_at_samples, e.args))) != 1:
        return None
    signs = set()
    for term in e.args:
        signs.add(_sign(term))
        if len(signs) > 1 or None in signs:
            return None
    return signs.pop()


def _sign_of_factors(e: sp.Expr) -> int | None:
    """The sign of a product, each factor by all that is known of signs."""
    longest = min(SHORT // 2, sp.count_ops(e) - 1)
    for form in forms_of(e):
        factors = sp.Mul.make_args(form)
        if form.is_Mul or form.is_Pow:
            signs = [_sign_of_power(*factor.as_base_exp(), longest) for factor in factors]
            if None not in signs:
                return int(sp.prod(signs))
    return None


def _sign_of_power(base: Any, exponent: Any, longest: int) -> int | None:
    found = _seen(base**exponent, 4)
    if found is None and sp.count_ops(base) < longest and (known := _sign(base)) is not None:
        found = 1 if known == 1 else known**exponent if exponent.is_Integer and known else None
    return found


def _sign_in_forms(forms: Iterable[sp.Expr]) -> int | None:
    return next((found for form in forms if (found := _seen(form, 4)) is not None), None)


_TRANSCENDENTAL = (sp.exp, sp.log, sp.sinh, sp.cosh, sp.tanh)


def _sign_by_slope(e: sp.Expr, depth: int = 2) -> int | None:
    """The sign of a function that moves away from 0, or towards it, all the way, as one of its
    positive symbols grows: it must be finite, and so continuous, all the way too, for
    exp(atan(1/(z - 1000))) - 1 falls from a limit below 0 and is positive beyond 1000.
    """
    if (
        depth == 0
        or sp.count_ops(e) > SHORT
        or not any(part.free_symbols for part in e.atoms(*_TRANSCENDENTAL))
    ):
        return None
    ways = (
        _sign_along(e, z, depth)
        for z in sorted(e.free_symbols, key=str)
        if z.is_positive and is_finite(e, z)
    )
    return next((way for way in ways if way is not None), None)


def _sign_along(e: sp.Expr, z: Any, depth: int) -> int | None:
    """The sign of e by that of its slope in z, and the end from which e moves, or to which."""
    if e.free_symbols != {z} and _sign_at_end(e, z, sp.S.Zero) is None:
        return None
    slope = factored(sp.together(sp.diff(e, z)))
    if {1, -1} <= seen_at_samples(slope):
        return None
    way = _sign_in_forms(forms_of(slope)) or _sign_by_slope(slope, depth - 1)
    if way is None:
        return None
    ends = ((sp.S.Zero, way), (sp.oo, -way))
    return next((sign for end, sign in ends if _sign_at_end(e, z, end) in (0, sign)), None)


def _sign_at_end(e: sp.Expr, z: sp.Symbol, end: sp.Expr) -> int | None:
    """The sign of the limit of e at z = 0 or oo, for all values of the other symbols; None where
    it is not known.
    """
    if end == 0 and is_finite(e, at=(z, end)):  # every part of it is: 0*zoo is no 0
        return _sign(e.subs(z, end))
    if e.free_symbols != {z}:
        return None
    try:
        value = limit_of(e, z, end, 1 if end == 0 else 0)
    except Rejected:
        return None
    if value is None or value.free_symbols:
        return None
    return int(sp.sign(value)) if value.is_infinite else constants.sign_of(value)


@lru_cache(maxsize=20_000)  # one sum is met thousands of times, by way of its parts
def _seen(e: sp.Expr, depth: int) -> int | None:
    """The strict sign of e as its structure shows it, 0 for the number 0, None when not seen."""
    if not e.free_symbols:
        return constants.sign_of(e)
    if e.is_positive or e.is_negative:
        return 1 if e.is_positive else -1
    if depth == 0:
        return None
    if e.is_Mul:
        product = 1
        for part in e.args:
            found = _seen(part, depth - 1)
            if found is None:
                return None
            product *= found
        return product
    if e.is_Pow:
        base = _seen(e.base, depth - 1)
        if base == 1 or (e.exp.is_Integer and e.exp % 2 == 0 and base == -1):
            return 1
        return base if e.exp.is_Integer and base == -1 else None
    if isinstance(e, sp.exp | sp.cosh):
        return 1
    if isinstance(e, _SAME_SIGN):
        return _seen(e.args[0], depth - 1)
    if isinstance(e, sp.log):
        above = _seen(factored(sp.together(e.args[0] - 1)), depth - 1)
        return above if above in (0, 1) or _seen(e.args[0], depth - 1) == 1 else None
    return _sign_of_sum(e, depth) if e.is_Add else None


def _sign_of_sum(e: sp.Expr, depth: int) -> int | None:
    signs = {_seen(term, depth - 1) for term in e.args}
    if len(signs) == 1 and None not in signs:
        return signs.pop()
    if (combined := _one_logarithm(e)) is not None:
        return _seen(combined, depth - 1)
    if len(e.args) == 2 and (found := _sign_of_two(*e.args, depth)) is not None:
        return found
    numerator, denominator = sp.fraction(sp.together(e))
    if denominator != 1 and denominator.free_symbols:
        parts = [_seen(factored(part), depth - 1) for part in (numerator, denominator)]
        return None if None in parts else parts[0] * parts[1]
    found = sign_of_polynomial(numerator)
    if found is None:
        return _sign_beside_one(e, depth)
    below = constants.sign_of(denominator)
    return None if below is None else found * below


def _sign_of_two(a: sp.Expr, b: sp.Expr, depth: int) -> int | None:
    """a + b, of opposite signs, has the sign of a where log(-a/b) > 0; seen where that logarithm
    is no sum any more.
    """
    sign_a, sign_b = _seen(a, depth - 1), _seen(b, depth - 1)
    if sign_a is None or sign_a != -(sign_b or 0) or sp.count_ops(a + b) > MAX_OPERATIONS:
        return None
    quotient = sp.powsimp(sp.cancel(sp.together(-a / b)))
    if sp.count_ops(quotient) > SHORT:
        return None
    logarithm = factored(sp.expand_log(sp.log(quotient)))
    above = (
        None
        if logarithm.has(sp.zoo, sp.nan)
        else _seen(logarithm, depth - 2)
        if depth > 1
        else None
    )
    return None if above is None else above * sign_a


def _one_logarithm(e: sp.Expr) -> sp.Expr | None:
    """sum q_i log(a_i) as log(prod a_i^{q_i}), all a_i > 0 and q_i whole numbers; None for other
    sums.
    """
    product = sp.S.One
    for term in e.args:
        q, rest = term.as_independent(*e.free_symbols, as_Add=False)
        if not isinstance(rest, sp.log) or not q.is_Integer or _sign(rest.args[0]) != 1:
            if term.free_symbols or not isinstance(term, sp.log):
                return None
            q, rest = sp.S.One, term
        product *= rest.args[0] ** q
    return sp.log(factored(sp.together(product)))


def _sign_beside_one(e: sp.Expr, depth: int) -> int | None:
    """As below for e itself, or for e divided by one of its exponentials."""
    powers = [
        p
        for term in e.args
        for p in sp.Mul.make_args(term)
        if isinstance(p, sp.exp) and p.free_symbols
    ]
    for divisor in (sp.S.One, *powers[:3]):
        quotient = e if divisor == 1 else sp.powsimp(sp.expand(e / divisor))
        product = factored(quotient) if divisor != 1 else quotient
        found = _sign_of_exponentials(quotient, depth) if quotient.is_Add else None
        if found is None and not product.is_Add:
            found = _seen(product, depth - 1)
        if found is not None:
            return found
    return None


def _sign_of_exponentials(e: sp.Expr, depth: int) -> int | None:
    """Sums with c e^u written as c (e^u - 1) + c: e^u - 1 has the sign of u."""
    constant, signs = sp.S.Zero, set()
    for term in e.args:
        power = next(
            (p for p in sp.Mul.make_args(term) if isinstance(p, sp.exp) and p.free_symbols), None
        )
        if power is None:
            constant += term
            continue
        coefficient = term / power
        constant += coefficient
        parts = [_seen(factored(part), depth - 1) for part in (coefficient, power.args[0])]
        signs.add(None if None in parts else parts[0] * parts[1])
    if not signs or None in signs:
        return None
    rest = factored(sp.together(constant))
    if rest != 0:
        signs.add(_seen(rest, depth - 1))
    signs.discard(0)
    return signs.pop() if len(signs) == 1 else None
