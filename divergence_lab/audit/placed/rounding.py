"""Digits that a weighted term loses far out, where k' and k are large and nearly equal."""

import numpy as np
import torch

from divergence_lab.audit import probing
from divergence_lab.audit.problems import Problem
from divergence_lab.audit.rounding.precision import LOST


def lost_far_out(subject: probing.Subject, points: np.ndarray, dtype: torch.dtype) -> list[Problem]:
    """The residuals on each side of 0 at which k' - k may be off by more than a hundredth."""
    with np.errstate(all="ignore"):
        size = np.abs(probing.slopes(subject, points, dtype))
        lost = probing.rounding(subject, points, dtype) > LOST * size
    told = []
    for side in (points < 0, points > 0):
        where = points[side & lost & (np.abs(points) > 1)]
        if len(where):
            told.append(
                Problem(
                    "cancellation",
                    float(f"{where.min():.4g}"),
                    float(f"{where.max():.4g}"),
                    "the gradient of a weighted term is k' - k, and both are large and nearly "
                    f"equal there: its digits are lost in {str(dtype).removeprefix('torch.')}",
                )
            )
    return told
