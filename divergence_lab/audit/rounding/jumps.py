"""Residuals at which g' jumps; steps of rounding are none."""

from collections.abc import Sequence

import numpy as np
import sympy as sp
import torch

from divergence_lab.audit import identifying, probing, stretches
from divergence_lab.audit.rounding import noise

# g' jumps where it still changes by this share of its size over a distance of about 1e-12.
JUMP = 1e-2
# A step is a jump where it is so many times larger than what rounding does beside it.
CLEAR = 10.0


def jumps(
    subject: probing.Subject,
    points: np.ndarray,
    runs: Sequence[stretches.Stretch],
    found: identifying.Found | None,
) -> list[tuple[float, str, bool]]:
    """(where, what, is it a kink at 0, which is allowed?) for each jump of g', the ends of
    stretches already reported aside.
    """
    a, b, at_a, at_b, size = _narrowed(subject, points)
    dtype = subject.dtypes[0]
    with np.errstate(all="ignore"):
        step = np.abs(at_b - at_a)
        jumping = (
            np.isfinite(at_a)
            & np.isfinite(at_b)
            & (step > np.maximum(JUMP * size, _steps(a, at_a, dtype)))
            & (step > 4 * probing.rounding(subject, b, dtype))
        )
    told = []
    for index in np.flatnonzero(jumping):
        place = float(f"{(a[index] + b[index]) / 2:.6g}") if abs(a[index]) > 1e-5 else 0.0
        if _known(place, runs, found) or _is_rounding(
            subject, np.array([a[index], b[index]]), float(step[index])
        ):
            continue
        kink = place == 0 and at_a[index] <= 0 <= at_b[index]
        told.append((place, f"g' jumps from {at_a[index]:.4g} to {at_b[index]:.4g}", kink))
    return told


def _narrowed(
    subject: probing.Subject, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Between each two points the half with the larger change, again and again."""
    dtype = subject.dtypes[0]
    a, b = points[:-1].copy(), points[1:].copy()
    at_a, at_b = probing.slopes(subject, a, dtype), probing.slopes(subject, b, dtype)
    size = np.maximum(np.abs(at_a), np.abs(at_b))
    with np.errstate(all="ignore"):
        for _ in range(44 if dtype == torch.float64 else 18):
            middle = a + (b - a) * 0.4871  # not the half: 0 and whole numbers shall not be hit
            at = probing.slopes(subject, middle, dtype)
            left = np.abs(at - at_a) > np.abs(at_b - at)
            b, at_b = np.where(left, middle, b), np.where(left, at, at_b)
            a, at_a = np.where(left, a, middle), np.where(left, at_a, at)
    return a, b, at_a, at_b, size


def _steps(points: np.ndarray, seen: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    """Steps of rounding in a gradient that falls off: 64 units of the largest slope nearer to 0,
    on the same side.
    """
    size = np.where(np.isfinite(seen), np.abs(seen), 0.0)
    largest = np.where(
        points < 0,
        np.maximum.accumulate(np.where(points < 0, size, 0.0)[::-1])[::-1],
        np.maximum.accumulate(np.where(points >= 0, size, 0.0)),
    )
    return 64 * torch.finfo(dtype).eps * largest


def _known(
    place: float, runs: Sequence[stretches.Stretch], found: identifying.Found | None
) -> bool:
    """Is it at the end of a stretch that is told or inside it, or 0 where g' is smooth?"""
    edges = [edge for run in runs if run.state != "fine" for edge in (run.low, run.high)]
    inside = any(run.state != "fine" and run.low < place < run.high for run in runs)
    smooth_at_zero = found is not None and sp.S.Zero not in found.loss.derivative.kinks
    return (
        inside
        or (place == 0 and smooth_at_zero)
        or any(abs(place - edge) <= 1e-4 * max(1, abs(edge)) for edge in edges)
    )


def _is_rounding(subject: probing.Subject, sides: np.ndarray, step: float) -> bool:
    """Does rounding make steps as large beside the two sides of this one?"""
    if abs(sides[0]) < 1e-5:
        return False
    away = sides * (1 + np.array([-1, 1]) * np.sign(sides) * 1e-9)
    beside = noise.spread(subject, away, subject.dtypes[0])
    return not bool(np.nanmax(beside) * CLEAR < step)
