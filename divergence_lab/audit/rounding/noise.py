"""Is a deviation rounding, or another gradient? Rounding changes from one number to the next.

x, x (1 + 4 eps), x (1 + 8 eps), ...      x, x (1 + 1e-3/16), x (1 + 2e-3/16), ...

A gradient that is another one is nearly constant on the first and smooth on the second; one that
has lost its digits jumps about on one of them.
"""

import numpy as np
import torch

from divergence_lab.audit import probing

# Neighbours on each side of a point, and the steps between them in units of the last place.
SIDE, STEP = 8, 4
# A deviation is rounding where its neighbours' differ by more than this share of it.
SHARE = 0.1
WIDE = 1e-3


def rounded(points: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    """The points as `dtype` holds them, each once."""
    held = torch.tensor(np.ascontiguousarray(points), dtype=torch.float64).to(dtype)
    return np.unique(held.double().numpy())


def spread(subject: probing.Subject, points: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    """How much the gradient differs between the closest neighbours of each point; nan where one
    of them is not finite.
    """
    if not len(points):
        return np.zeros(0)
    eps = torch.finfo(dtype).eps
    offsets = 1 + STEP * eps * np.arange(-SIDE, SIDE + 1)
    around = points[:, None] * offsets[None, :]
    seen = probing.slopes(subject, around.reshape(-1), dtype).reshape(around.shape)
    with np.errstate(invalid="ignore"):
        return np.max(seen, axis=1) - np.min(seen, axis=1)


def is_rounding(
    subject: probing.Subject, points: np.ndarray, deviation: np.ndarray, dtype: torch.dtype
) -> np.ndarray:
    """For each point: is the deviation there that of rounding?"""
    with np.errstate(invalid="ignore"):
        least = SHARE * np.abs(deviation)
        return (spread(subject, points, dtype) > least) | (
            unevenness(subject, points, dtype) > least
        )


def unevenness(subject: probing.Subject, points: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    """The median second difference of the gradient just beyond each point."""
    if not len(points):
        return np.zeros(0)
    beyond = points[:, None] * (1 + WIDE * np.linspace(0, 1, 2 * SIDE + 1))[None, :]
    seen = probing.slopes(subject, beyond.reshape(-1), dtype).reshape(beyond.shape)
    with np.errstate(invalid="ignore"):
        return np.median(np.abs(np.diff(seen, n=2, axis=1)), axis=1)
