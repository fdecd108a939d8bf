"""When no formula fits: f in numbers, from a spline through sampled slopes.

f(e^u) = e^u int_0^u g'(v) e^{-v} dv,      a monotone cubic spline (PCHIP) through g'(v) e^{-v}
"""

import math

import numpy as np
from scipy.interpolate import PchipInterpolator

RATIOS = (0.05, 0.2, 0.5, 2.0, 5.0, 20.0)


def spline_generator(points: np.ndarray, slopes: np.ndarray) -> tuple[tuple[float, float], ...]:
    """(t, f(t)) at a few ratios inside the sampled range; accurate to a few digits, and no proof
    of anything.
    """
    near = np.abs(points) <= 1.1 * math.log(max(RATIOS))
    if near.sum() < 16 or not np.isfinite(slopes[near]).all():
        return ()
    z, s = np.insert(points[near], np.searchsorted(points[near], 0.0), 0.0), slopes[near]
    s = np.insert(
        s, np.searchsorted(points[near], 0.0), 0.0
    )  # g'(0) = 0: the gauge was removed, a kink has 0 between
    curve = PchipInterpolator(z, s * np.exp(-z))
    return tuple(
        (ratio, float(f"{ratio * float(curve.integrate(0.0, math.log(ratio))):.4g}"))
        for ratio in RATIOS
        if z[0] <= math.log(ratio) <= z[-1]
    )
