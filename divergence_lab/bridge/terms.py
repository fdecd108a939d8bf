"""Losses that are sums of powers times exponentials: their terms, which exact expected losses
need.
"""

import dataclasses
import math
from collections.abc import Iterator
from typing import cast

import sympy as sp

from divergence_lab.bridge.verified.programs import NotRepresentable, linear_in_x
from divergence_lab.bridge.verified.ranges import Verified, check_loss, verified
from divergence_lab.bridge.verified.stretches import Ranges
from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, bounded
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions import write, x
from divergence_lab.theory.expressions.enclosure import value_at

Terms = tuple[tuple[float, int, float], ...]
SMALL_RATE, SERIES_TERMS = 1e-3, 17  # the last power even: far out its sign is right, too
FAR, NOTHING = 1000.0, 46.0  # e^-46 = 1e-20
MOST_LOST = 1e6  # of the digits of g' in double precision


def built(loss: Loss, budget: float) -> tuple[Verified[Ranges], Terms | None]:
    """The loss by verified ranges, and its terms, within `budget` processor seconds.

    Raises NotRepresentable (a ValueError), TypeError for anything but a Loss.
    """
    check_loss(loss)
    try:
        found, terms = bounded(budget, build, loss)
    except (OutOfTime, SearchFailed) as failure:
        why = f"not verified within {budget:g} s of processor time: allow a larger budget"
        raise NotRepresentable(f"{write(loss.expression)}: {str(failure) or why}") from None
    return dataclasses.replace(found, loss=loss), terms


def build(loss: Loss) -> tuple[Verified[Ranges], Terms | None]:
    """As `built`, for as long as it takes."""
    return verified(loss), power_exponential_terms(loss)


def power_exponential_terms(loss: Loss) -> Terms | None:
    """(c, n, a) with g(x) = sum c x^n e^{ax}, n a whole number; None where g is no such sum, or
    its terms cancel more than `MOST_LOST` times.
    """
    if loss.pieces.kinks:
        return None
    found: dict[tuple[int, sp.Expr], sp.Expr] = {}
    for term in sp.Add.make_args(sp.expand(loss.expression.rewrite(sp.exp))):
        coefficient, rest = term.as_independent(x, as_Add=False)
        power, rate = 0, cast(sp.Expr, sp.S.Zero)
        for factor in sp.Mul.make_args(rest):
            base, exponent = factor.as_base_exp()
            linear = linear_in_x(exponent) if base == sp.E else None
            if linear is not None and not linear[0].is_real:  # cos(x) by exponentials
                return None
            if base == x and isinstance(exponent, sp.Integer) and int(exponent) > 0:
                power += int(exponent)
            elif linear is not None:
                rate += linear[0]
                coefficient *= sp.exp(linear[1])
            elif factor != 1:
                return None
        for key, part in _parts(coefficient, power, rate):
            found[key] = found.get(key, sp.S.Zero) + part
    try:
        terms = [(float(c), n, float(a)) for (n, a), c in found.items() if c != 0]
        return _without_tail(terms) if _keep_digits(loss, terms) else None
    except OverflowError:
        return None


def _parts(c: sp.Expr, n: int, a: sp.Expr) -> Iterator[tuple[tuple[int, sp.Expr], sp.Expr]]:
    """c x^n e^{ax}; by its series where a is small, which leaves of Linex(1/10^9) x^2/2 and little
    else, where 10^18 e^{x/10^9} - 10^9 x - 10^18 has no digits.
    """
    if a == 0 or abs(float(a)) >= SMALL_RATE:
        yield (n, a), c
        return
    for k in range(SERIES_TERMS):
        yield (n + k, sp.S.Zero), c * a**k / sp.factorial(k)


def _without_tail(terms: list[tuple[float, int, float]]) -> Terms:
    """Without the highest powers that add nothing up to |x| = FAR."""
    sizes = sorted((n, math.log(abs(c)) + n * math.log(FAR)) for c, n, a in terms if a == 0)
    largest, last = -math.inf, 0
    for n, size in sizes:
        if size > largest - NOTHING:
            last = n
        largest = max(largest, size)
    return tuple(term for term in terms if term[2] != 0 or term[1] <= last)


def _keep_digits(loss: Loss, terms: list[tuple[float, int, float]]) -> bool:
    """The terms' share of g' at -1 and 1 add up to the enclosed g', and lose few digits."""
    for point in (-1, 1):
        slope = value_at(loss.derivative.pieces[0].expression, x, sp.Integer(point))
        parts = [c * point ** (n + 1) * (n + a * point) * math.exp(a * point) for c, n, a in terms]
        size, truth = math.fsum(map(abs, parts)), float(slope.mid())
        if not (size <= MOST_LOST * abs(truth) and abs(math.fsum(parts) - truth) <= 1e-12 * size):
            return False
    return True
