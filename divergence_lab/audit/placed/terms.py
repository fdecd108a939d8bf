"""Which loss does a callable act as where it stands? Its slope in place, by formulas where it is
no loss, and by the formula of k itself where that tells more.

    k(x) = a + b x +- (a loss)      found by its own gradient, held against its values
"""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import sympy as sp
import torch

from divergence_lab.audit import identifying, observing, probing, stretches
from divergence_lab.audit.identification.numbers import snap
from divergence_lab.audit.placed.standing import Standing, weight_of
from divergence_lab.audit.subjects.loading import AuditError
from divergence_lab.theory.answers.placements import slope_in_place
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.divergence.weightings import loss_of_slope
from divergence_lab.theory.expressions import CannotSplit, ExpressionError, Pieces, parse, x
from divergence_lab.theory.expressions.pieces import split

# A constant of k below this is rounding.
NOTHING = 1e-12


def identify_in_place(
    subject: probing.Subject, low: float, high: float
) -> tuple[identifying.Found | None, float, bool]:
    """(the loss as which the callable acts, its gauge, was it computed in float32?)."""
    standing = subject.standing
    if standing.plain:
        return observing.identify_callable(subject, low, high)
    bare = replace(subject, standing=replace(standing, sampler="on", clip=None))
    found, gauge, coarse = observing.identify_callable(bare, low, high)
    if found is not None and standing.placement == "reward" and not standing.reweighted:
        return found, gauge, coarse
    slope, fitted = None, False
    if found is not None:
        straight = 0 if gauge == 0 else snap(gauge, _loose(coarse))[0]
        slope, fitted = found.loss.derivative.map(lambda h: h + straight), found.fitted
    elif (known := term_of(subject, low, high)) is not None:
        term, fitted = known
        slope = slope_in_place(term, standing.placement, _share(standing))
    acts = None if slope is None else _loss(_weighed(slope, standing))
    if acts is None or acts.expression == 0:
        return None, observing.gauge_of(subject, subject.dtypes[0]), coarse
    return _held_against(acts, subject, low, high, fitted, coarse)


def vanishes_in_place(subject: probing.Subject, low: float, high: float) -> bool:
    """Is the slope of a weighted term constant by its formula? Rounding hides it in numbers."""
    standing = subject.standing
    known = term_of(subject, low, high) if standing.placement == "weighted" else None
    if known is None:
        return False
    acts = _loss(_weighed(slope_in_place(known[0], "weighted", _share(standing)), standing))
    return acts is not None and acts.expression == 0


def _share(standing: Standing) -> sp.Expr:
    """c of k' - c k, exactly."""
    part = Fraction(standing.share).limit_denominator(10**7)
    return sp.Rational(part.numerator, part.denominator)


def open_batch(subject: probing.Subject, low: float, high: float) -> Loss | None:
    """The loss of a weighted term less the mean of its batch of K > 1, for every K; None where k
    was not found as a formula.
    """
    known = term_of(subject, low, high)
    if known is None:
        return None
    size = parse("K", x, ("K > 1",))
    slope = slope_in_place(known[0], "weighted", 1 - 1 / size)
    try:
        return loss_of_slope(_weighed(slope, subject.standing), ("K > 1",))
    except (ExpressionError, CannotSplit):
        return None


def _loose(coarse: bool) -> float:
    return 1e-4 if coarse else 1e-8


def _weighed(slope: Pieces, standing: Standing) -> Pieces:
    weight = weight_of(standing)
    return slope if weight == 1 else split(slope.as_expression() * weight, x)


def _loss(slope: Pieces) -> Loss | None:
    try:
        return loss_of_slope(slope)
    except (ExpressionError, CannotSplit):
        return None


def _held_against(
    acts: Loss, subject: probing.Subject, low: float, high: float, fitted: bool, coarse: bool
) -> tuple[identifying.Found | None, float, bool]:
    """The loss with the stretch around 0 on which its slope is the one observed; None where it is
    not even beside 0.
    """
    dtype = subject.dtypes[0]
    points = stretches.grid(low, high, dtype)
    gauge = float(acts.gauge[1])
    with np.errstate(all="ignore"):
        bare = probing.slopes(subject, points, dtype) - gauge
        noise = 1e-12 + probing.rounding(subject, points, dtype)
        exact = identifying.exact_slopes(acts.derivative, points)
        matched = _agree(exact, bare, noise, coarse, gauge)
    near = np.abs(points) <= identifying.CORE
    if not matched[near].all():
        return None, observing.gauge_of(subject, subject.dtypes[0]), coarse
    left, right = np.flatnonzero(~matched & (points < 0)), np.flatnonzero(~matched & (points > 0))
    first, last = left[-1] + 1 if len(left) else 0, right[0] if len(right) else len(points)
    held = identifying.Found(acts, gauge, float(points[first]), float(points[last - 1]), fitted)
    return held, gauge, coarse


def _agree(
    exact: np.ndarray, seen: np.ndarray, noise: np.ndarray, coarse: bool, gauge: float
) -> np.ndarray:
    """Within the accuracy of the samples, and of what cancels in them near 0."""
    loose = 3e-5 if coarse else 1e-7
    return np.abs(exact - seen) <= loose * (np.abs(exact) + 1e-3 * abs(gauge)) + noise


def term_of(subject: probing.Subject, low: float, high: float) -> tuple[sp.Expr, bool] | None:
    """(k(x) as a formula, was a number in it fitted?); None where it was not found, or where what
    the callable returns is not what its gradient belongs to.
    """
    raw = replace(subject, standing=Standing())
    try:
        found, slope, coarse = observing.identify_callable(raw, low, high)
        dtype = raw.dtypes[0]
        points = stretches.grid(max(low, -30.0), min(high, 30.0), dtype)
        observed = probing.slopes(raw, points, dtype)
        value = float(probing.values(raw, np.zeros(1), dtype)[0])
    except AuditError:  # it has no gradient of its own
        return None
    loose = _loose(coarse)
    sign, shape, fitted = 1, sp.S.Zero, False
    if found is None:
        found = _negative(points, observed, slope, coarse)
        sign = -1
    if found is not None:
        shape, fitted = found.loss.expression, found.fitted
        points = points[(points >= found.low) & (points <= found.high)]
    elif np.abs(observed - slope).max() > loose * max(1.0, abs(slope)):
        return None
    numbers = [(sp.S.Zero, True) if abs(v) < NOTHING else snap(v, loose) for v in (value, slope)]
    term = numbers[0][0] + numbers[1][0] * x + sign * shape
    if not _has_these_values(term, raw, points, dtype, loose):
        return None
    return term, fitted or not all(simple for _, simple in numbers)


def _negative(
    points: np.ndarray, observed: np.ndarray, slope: float, coarse: bool
) -> identifying.Found | None:
    """The loss of which k is the negative, its straight part aside."""
    accuracy = observing.ACCURACY[torch.float32 if coarse else torch.float64]
    return identifying.identify(points, -observed, -slope, accuracy)


def _has_these_values(
    term: sp.Expr, subject: probing.Subject, points: np.ndarray, dtype: torch.dtype, loose: float
) -> bool:
    chosen = points[:: max(1, len(points) // 40)]
    seen = probing.values(subject, chosen, dtype)
    exact = identifying.exact_slopes(split(term, x), chosen)
    size = np.maximum(np.abs(exact), 1e-6)
    return bool(np.all(np.abs(seen - exact) <= 10 * loose * size + 1e-9))
