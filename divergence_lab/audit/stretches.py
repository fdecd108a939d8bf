"""The residuals cut into stretches on which a callable's gradient is fine, dead, wrong or off."""

import itertools
from dataclasses import dataclass

import numpy as np
import torch

from divergence_lab.audit import identifying, probing

# Relative deviation of the gradient that counts, far from 0; near 0, and for the value, a hundredth
# counts.
DEVIATION = {torch.float32: 1e-2, torch.float64: 1e-5}
PER_SIDE = 400


@dataclass(frozen=True)
class Stretch:
    """Neighbouring residuals of one state: "fine", "dead", "wrong", "not finite", "off" (another
    gradient).
    """

    state: str
    low: float
    high: float
    first: float
    last: float


def grid(low: float, high: float, dtype: torch.dtype) -> np.ndarray:
    """Residuals from low to high, dense near 0, none below 0.05 in size, all exact in `dtype`."""
    sides = []
    for sign, end in ((-1, -low), (1, high)):
        near = np.linspace(identifying.NEAREST, min(3.0, end), 61)
        far = np.linspace(3.0, end, PER_SIDE)[1:] if end > 3 else np.zeros(0)
        sides.append(sign * np.concatenate([near, far]))
    return rounded(np.unique(np.concatenate(sides)), dtype)


def rounded(points: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    """The points as `dtype` holds them."""
    return (
        np.unique(points.astype(np.float32).astype(np.float64))
        if dtype == torch.float32
        else points
    )


# --- states along the line


def states(
    subject: probing.Subject,
    points: np.ndarray,
    dtype: torch.dtype,
    gauge: float,
    found: identifying.Found | None,
) -> list[str]:
    """The state of each residual."""
    observed = probing.slopes(subject, points, dtype)
    noise = 8 * torch.finfo(dtype).eps * abs(gauge)
    lost = probing.rounding(subject, points, dtype)
    truth = (
        identifying.exact_slopes(found.loss.derivative, points)
        if found
        else np.full(len(points), np.nan)
    )
    with np.errstate(all="ignore"):
        bare = observed - gauge
        allowed = DEVIATION[dtype] * np.abs(truth) + 2 * noise + lost
        # the first that is true names the state
        conditions = {
            "not finite": ~np.isfinite(observed),
            "fine": (lost > 0) & (lost >= np.abs(bare) / 8),  # too few digits to say more
            "dead": np.abs(bare) <= noise,
            "wrong": bare * points < 0,
            "off": np.isfinite(truth) & (np.abs(bare - truth) > allowed),
        }
    return np.select([*conditions.values()], [*conditions], "fine").tolist()


def stretches(
    subject: probing.Subject,
    points: np.ndarray,
    dtype: torch.dtype,
    gauge: float,
    found: identifying.Found | None,
) -> list[Stretch]:
    """The states in order, with their ends found by bisection."""
    named = states(subject, points, dtype, gauge, found)
    cuts = [0, *(i for i in range(1, len(points)) if named[i] != named[i - 1]), len(points)]
    edges = [float(points[0])]
    for i in cuts[1:-1]:
        a, b = float(points[i - 1]), float(points[i])
        edges.append(0.0 if a < 0 < b else _edge(subject, a, b, named[i - 1], dtype, gauge, found))
    edges.append(float(points[-1]))
    return [
        Stretch(named[i], edges[k], edges[k + 1], float(points[i]), float(points[j - 1]))
        for k, (i, j) in enumerate(itertools.pairwise(cuts))
    ]


def _edge(
    subject: probing.Subject,
    a: float,
    b: float,
    state: str,
    dtype: torch.dtype,
    gauge: float,
    found: identifying.Found | None,
) -> float:
    """Where the state of a ends, to six digits."""
    while b - a > 2e-7 * max(abs(a), abs(b)):
        middle = float(rounded(np.array([(a + b) / 2]), dtype)[0])
        if not a < middle < b:
            break
        same = states(subject, np.array([middle]), dtype, gauge, found)[0] == state
        a, b = (middle, b) if same else (a, middle)
    return float(f"{(a + b) / 2:.5g}")
