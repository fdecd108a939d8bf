"""Numbers known to some digits, as the exact ones that they most probably are.

Some q^2 (high - low)/3 fractions of denominator at most q lie between two numbers by chance. The
simplest one is taken for what was written where that is little; else the number stays as it was
seen, to so many digits.
"""

import math
from collections.abc import Callable

import sympy as sp

from divergence_lab.theory.design.mixtures import simplest

# A number is taken for an exact one that lies as near by chance no more often than this.
CHANCE = 0.01
# So many digits of a decimal may have been written.
MOST_DIGITS = 5
UNITS = (sp.log(2), 1 / sp.log(2), sp.sqrt(2), sp.pi)
# Of these no larger multiples and parts are written: 113 pi/355 is 1 to seven digits.
LARGEST_PART = 64


def snap(value: float, tolerance: float) -> tuple[sp.Expr, bool]:
    """(a simple exact number within the relative tolerance, True), or (its digits, False).

    >>> snap(0.33333333333, 1e-8), snap(0.693147180, 1e-8)
    ((1/3, True), (log(2), True))
    """
    sign, size = (1 if value > 0 else -1), abs(value)
    low, high = size * (1 - tolerance), size * (1 + tolerance)
    for part in (probable(low, high), *(_in_units(low, high, unit) for unit in UNITS)):
        if part is not None:
            return sign * part, True
    return sp.Rational(f"{value:.{9 if tolerance < 1e-6 else 6}g}"), False


def probable(low: float, high: float) -> sp.Expr | None:
    """The fraction or decimal between two positive numbers that is no chance."""
    part = _fraction(low, high)
    return part if part is not None else _decimal(low, high)


def _in_units(low: float, high: float, unit: sp.Expr) -> sp.Expr | None:
    part = _fraction(low / float(unit), high / float(unit))
    return part * unit if part is not None and max(part.p, part.q) <= LARGEST_PART else None


def _fraction(low: float, high: float) -> sp.Rational | None:
    part = simplest(low, high)
    return part if part.q**2 * (high - low) <= CHANCE else None


def _decimal(low: float, high: float) -> sp.Expr | None:
    middle = (low + high) / 2
    for count in range(1, MOST_DIGITS + 1):
        spacing = 10.0 ** (math.floor(math.log10(middle)) - count + 1)
        number = sp.Rational(f"{middle:.{count}g}")
        if low <= number <= high and high - low <= 2 * CHANCE * spacing:
            return number
    return None


def edge_between(low: float, high: float) -> tuple[sp.Expr, bool]:
    """An edge between two numbers of one sign: a fraction, a decimal, or the logarithm or the
    root of one; its digits and False where it is none of them.

    >>> edge_between(2.9999999, 3.0000001), edge_between(4.47213595, 4.47213596)
    ((3, True), (2*sqrt(5), True))
    """
    if low <= 0 <= high:
        return sp.S.Zero, True
    sign = 1 if low > 0 else -1
    a, b = sorted((abs(low), abs(high)))
    part = probable(a, b)
    if part is not None:
        return sign * part, True
    for wrap, inverse in ((sp.log, math.exp), (sp.sqrt, _square)):
        part = _through(inverse, *((a, b) if wrap is sp.sqrt else (low, high)))
        if part is not None:
            return (sign if wrap is sp.sqrt else 1) * wrap(part), True
    return sp.Rational(f"{(low + high) / 2:.9g}"), False


def _through(inverse: Callable[[float], float], low: float, high: float) -> sp.Rational | None:
    try:
        return _fraction(inverse(low), inverse(high))
    except OverflowError:
        return None


def _square(number: float) -> float:
    return number * number
