"""Equal constants in an expression written alike. Part of the trusted checker."""

from fractions import Fraction
from functools import lru_cache

import sympy as sp

from divergence_lab.theory.expressions import balls, constants

DENOMINATOR = 10**6  # of a rational number that a constant is recognised as


@lru_cache(maxsize=2_000)
def unified(e: sp.Expr) -> sp.Expr:
    """e with equal constants in it written alike, up to sign, and rational ones as such: x^a - x^b
    is 0 where a = b.

    >>> z = sp.Symbol("z", positive=True)
    >>> unified(z ** (sp.sqrt(2) - 1) - z ** (1 / (1 + sp.sqrt(2))))
    0
    """
    found: set[sp.Expr] = set()
    _collect(e, found)
    written: dict[sp.Expr, sp.Expr] = {}
    for c in sorted(found, key=lambda c: (sp.count_ops(c), str(c))):
        rational = _as_rational(c)
        written[c] = (
            rational
            if rational is not None
            else next(
                (
                    s * known
                    for known in written.values()
                    for s in (1, -1)
                    if _meets(c, s * known) and constants.sign_of(c - s * known) == 0
                ),
                c,
            )
        )
    return e if all(c == known for c, known in written.items()) else _rewritten(e, written)


def _collect(e: sp.Basic, found: set[sp.Expr]) -> None:
    """The constants of e that are not rational, the largest ones; those of a sum or product
    together.
    """
    if isinstance(e, sp.Expr) and not e.free_symbols:
        if not e.is_Rational and not e.is_infinite and balls.ball_of_constant(e).is_finite():
            found.add(e)
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


def _rewritten(e: sp.Basic, written: dict[sp.Expr, sp.Expr]) -> sp.Basic:
    if e in written:
        return written[e]
    fixed, rest = _parts(e)
    if not rest:
        return e
    parts = [
        *([] if fixed is None else [_rewritten(fixed, written)]),
        *(_rewritten(part, written) for part in rest),
    ]
    return e if fixed is None and all(a is b for a, b in zip(parts, e.args)) else e.func(*parts)


def _meets(a: sp.Expr, b: sp.Expr) -> bool:
    return bool(balls.ball_of_constant(a).overlaps(balls.ball_of_constant(b)))


def _as_rational(c: sp.Expr) -> sp.Rational | None:
    seen = balls.ball_of_constant(c)
    if seen.contains(0):
        return sp.S.Zero if constants.sign_of(c) == 0 else None
    mantissa, exponent = (int(part) for part in seen.mid().man_exp())
    if abs(exponent) > 4 * balls.PRECISION_BITS:
        return None
    near = Fraction(mantissa) * Fraction(2) ** exponent
    guess = near.limit_denominator(DENOMINATOR)
    number = sp.Rational(guess.numerator, guess.denominator)
    return (
        number
        if seen.contains(balls.ball_of_constant(number)) and constants.sign_of(c - number) == 0
        else None
    )
