"""A callable's gradients on a grid of residuals: which loss has them, and which straight part."""

import math

import numpy as np
import torch

from divergence_lab.audit import identifying, probing, stretches
from divergence_lab.audit.identification.shipped import Shipped, as_shipped
from divergence_lab.audit.rounding import noise

# Relative accuracy of sampled gradients, by what they are really computed in.
ACCURACY = {torch.float32: 3e-6, torch.float64: 1e-10}


def identify_callable(
    looked_at: probing.Subject, low: float, high: float
) -> tuple[identifying.Found | None, float, bool]:
    """(the loss, the gauge, was it computed in float32?), from the best gradients the callable
    has.
    """
    dtype = looked_at.dtypes[0]
    points = stretches.grid(low, high, dtype)
    observed = probing.slopes(looked_at, points, dtype)
    gauge = gauge_of(looked_at, dtype)
    # a callable may accept float64 and compute in float32 inside: then each slope is a float32
    # number
    finite = observed[np.isfinite(observed)]
    coarse = (
        dtype == torch.float32
        or looked_at.blurred
        or (not _exact_line(points, observed) and _all_float32(finite))
    )
    clear = _clear(looked_at, points, observed - gauge, dtype, coarse)
    found = identifying.identify(
        points[clear], observed[clear], gauge, ACCURACY[torch.float32 if coarse else torch.float64]
    )
    if found is None and looked_at.standing.plain:
        pieces = in_pieces(looked_at, low, high, None, gauge, coarse)
        if pieces is not None and min(-pieces.low, pieces.high) >= identifying.CORE:
            found = identifying.Found(pieces.loss, gauge, pieces.low, pieces.high, pieces.fitted)
    return found, gauge, coarse


def in_pieces(
    looked_at: probing.Subject,
    low: float,
    high: float,
    core: identifying.Found | None,
    gauge: float,
    coarse: bool,
) -> Shipped | None:
    """The loss as shipped, one formula here and another there; None where there are none."""
    dtype = looked_at.dtypes[0]
    points = stretches.dense(low, high, dtype)
    slopes = probing.slopes(looked_at, points, dtype) - gauge
    clear = _clear(looked_at, points, slopes, dtype, coarse) & np.isfinite(slopes)
    points, slopes = points[clear], slopes[clear]
    near = np.abs(points) <= identifying.CORE
    if np.any(slopes[near] * points[near] < 0) or np.all(slopes == 0):
        return None

    def slope_at(point: float) -> float:
        return float(probing.slopes(looked_at, np.array([point]), dtype)[0]) - gauge

    accuracy = ACCURACY[torch.float32 if coarse else torch.float64]
    return as_shipped(points, slopes, core, accuracy, slope_at)


def _clear(
    looked_at: probing.Subject,
    points: np.ndarray,
    slopes: np.ndarray,
    dtype: torch.dtype,
    coarse: bool,
) -> np.ndarray:
    """The residuals whose slopes have all their digits; those next to 0 may have lost some."""
    near = np.abs(points) < identifying.NEAREST
    if coarse:
        return ~near
    noisy = np.zeros(len(points), dtype=bool)
    size = np.abs(slopes[near])
    # a curved slope is dropped with the noisy ones: only kinks so near to 0 are looked for there
    noisy[near] = ~(
        (noise.spread(looked_at, points[near], dtype) <= ACCURACY[dtype] * size)
        & (noise.unevenness(looked_at, points[near], dtype) <= 10 * ACCURACY[dtype] * size)
    )
    return ~noisy


def _all_float32(numbers: np.ndarray) -> bool:
    with np.errstate(over="ignore"):
        return len(numbers) > 0 and bool(
            np.all(numbers.astype(np.float32).astype(np.float64) == numbers)
        )


def _exact_line(points: np.ndarray, observed: np.ndarray) -> bool:
    """Few different slopes (|x|, a constant) are float32 numbers without having been computed in
    float32.
    """
    return len(np.unique(observed)) < 8 or bool(np.all(observed == points))


def gauge_of(looked_at: probing.Subject, dtype: torch.dtype) -> float:
    """g'(0) where g' is continuous there: the straight part b x.

    A kink at 0 is part of the loss, and b is 0; but where g' rises through it and has one sign, as
    that of abs(x) + 2 x, what autograd gives at 0 is set aside.
    """
    (middle,) = probing.slopes(looked_at, np.zeros(1), dtype)
    if not math.isfinite(middle):  # that of sqrt(x**2) is nan at 0 itself
        middle = probing.slopes(looked_at, np.array([-1e-9, 1e-9]), dtype).mean()
    around = probing.slopes(looked_at, np.array([-0.5, -1e-2, -1e-3, 1e-3, 1e-2, 0.5]), dtype)
    if (
        not math.isfinite(middle)
        or not np.isfinite(around[1:5]).all()
        or abs(middle) <= 1e-6 * np.abs(around[[1, 4]]).max()
    ):
        return 0.0
    left, right = around[2], around[3]
    wide, narrow = abs(around[4] - around[1]), abs(right - left)
    smooth = narrow <= 0.5 * wide or wide <= 1e-6 * abs(middle)
    rises = left - 0.1 * narrow <= middle <= right + 0.1 * narrow
    return float(middle) if smooth or (left * right > 0 and rises) else 0.0
