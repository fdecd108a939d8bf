"""Losses that are sums of powers times exponentials: their terms, which exact expected losses
need.
"""

import dataclasses
import math
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
    not known to be.
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
            if base == x and isinstance(exponent, sp.Integer) and int(exponent) > 0:
                power += int(exponent)
            elif linear is not None:
                rate += linear[0]
                coefficient *= sp.exp(linear[1])
            elif factor != 1:
                return None
        found[power, rate] = found.get((power, rate), sp.S.Zero) + coefficient
    terms = tuple((float(c), n, float(a)) for (n, a), c in found.items() if c != 0)
    return terms if _confirmed(loss, terms) else None


def _confirmed(loss: Loss, terms: Terms) -> bool:
    """The sum agrees with enclosures of g at a few residuals."""
    for point in (-3.7, -1.1, 0.9, 2.3):
        truth = float(value_at(loss.expression, x, sp.Rational(str(point))).mid())
        try:
            parts = [c * point**n * math.exp(a * point) for c, n, a in terms]
        except OverflowError:
            return False
        if not abs(math.fsum(parts) - truth) <= 1e-12 * max(map(abs, parts), default=0.0):
            return False
    return True
