"""Where a gradient, or the value, has lost its digits: at every residual, in every dtype that the
callable runs in.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from divergence_lab.audit import identifying, probing, stretches
from divergence_lab.audit.rounding import noise
from divergence_lab.theory.divergence.loss import Loss

DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
# Relative error that counts as lost digits: one per cent, or eight units of the last place.
LOST, UNITS = 1e-2, 8
# Smaller residuals than this are no residuals of training.
SMALLEST = 1e-6
GAP = 3


@dataclass(frozen=True)
class Lost:
    """On low <= x <= high the `kind`, "cancellation" or "not_finite", in this dtype; `detail`: the
    worst residual, what is computed there and what is right.
    """

    dtype: str
    kind: str
    low: float
    high: float
    detail: str


@dataclass(frozen=True)
class Reference:
    """What is exact: the loss, outside of `others`, the stretches on which something else runs; or
    the callable in its best dtype. `value`: is the value compared, too?
    """

    loss: Loss | None
    others: Sequence[stretches.Stretch]
    value: bool


def lost_digits(
    subject: probing.Subject, points: np.ndarray, dtype: torch.dtype, gauge: float, exact: Reference
) -> list[Lost]:
    """The stretches on which digits are lost, nearest to 0 first. Points: those of the range."""
    size = np.geomspace(SMALLEST, identifying.NEAREST, 48)
    near = noise.rounded(np.concatenate([-size[::-1], size]), dtype)
    line = noise.rounded(np.concatenate([points, near]), dtype)
    line = line[line != 0]
    for other in exact.others:
        line = line[(line < other.low) | (line > other.high)]
    rows = []
    for what, places, seen, right in _pairs(subject, line, near, dtype, gauge, exact):
        rows += _of_one(what, places, seen, right, dtype)
    return _merged(rows)


def _pairs(
    subject: probing.Subject,
    line: np.ndarray,
    near: np.ndarray,
    dtype: torch.dtype,
    gauge: float,
    exact: Reference,
) -> list[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """(what, residuals, as computed, right)."""
    seen = probing.slopes(subject, line, dtype) - gauge
    if exact.loss is None:
        best = subject.dtypes[0]
        right = probing.slopes(subject, line, best) - gauge
        return [
            ("gradient", line, seen, np.where(np.abs(right) > 1e-9 * abs(gauge), right, np.nan))
        ]
    rows = [("gradient", line, seen, identifying.exact_slopes(exact.loss.derivative, line))]
    if exact.value:
        values = probing.values(subject, near, dtype)
        rows.append(("value", near, values, identifying.exact_slopes(exact.loss.pieces, near)))
    return rows


def _of_one(
    what: str, line: np.ndarray, seen: np.ndarray, right: np.ndarray, dtype: torch.dtype
) -> list[Lost]:
    """The stretches of one quantity."""
    info = torch.finfo(dtype)
    with np.errstate(all="ignore"):
        error = np.abs(seen - right) / np.abs(right)
    far = max(stretches.DEVIATION[dtype], UNITS * info.eps)
    allowed = np.where(np.abs(line) < identifying.NEAREST, max(LOST, UNITS * info.eps), far)
    # smaller numbers than the dtype holds in full are no loss of digits
    held = np.isfinite(right) & (np.abs(right) > info.tiny)
    states = np.select(
        [held & ~np.isfinite(seen), held & (error > allowed)], ["not_finite", "cancellation"], ""
    )
    name = str(dtype).removeprefix("torch.")
    told = []
    for low, high in _runs(line, states):
        inside = slice(low, high + 1)
        worst = low + int(np.nanargmax(np.where(np.isfinite(error[inside]), error[inside], -1.0)))
        detail = (
            f"the {what} at x = {line[worst]:.3g} is {seen[worst]:.4g}, exactly it is "
            f"{right[worst]:.4g}"
        )
        told.append(Lost(name, str(states[low]), float(line[low]), float(line[high]), detail))
    return told


def _runs(line: np.ndarray, states: np.ndarray) -> list[tuple[int, int]]:
    """First and last index of each stretch of one state that is told."""
    for gap in range(1, GAP + 1):  # a few right ones among wrong ones are luck
        lucky = (states[: -1 - gap] != "") & (states[1 + gap :] == states[: -1 - gap])
        same_side = line[: -1 - gap] * line[1 + gap :] > 0
        for index in np.flatnonzero(lucky & same_side):
            states[index : index + gap + 1] = states[index]
    cuts = [0, *(int(i) for i in np.flatnonzero(states[1:] != states[:-1]) + 1), len(line)]
    return [
        (first, after - 1)
        for first, after in itertools.pairwise(cuts)
        if first < after and states[first]
    ]


def _merged(rows: list[Lost]) -> list[Lost]:
    """Both sides of 0, and gradient and value, as one; stretches farther out as one each side."""
    told: list[Lost] = []
    for kind in ("cancellation", "not_finite"):
        for belongs in (_is_near, _is_left, _is_right):
            group = [row for row in rows if row.kind == kind and belongs(row)]
            if group:
                low, high = min(row.low for row in group), max(row.high for row in group)
                details = "; ".join(dict.fromkeys(_worst(group, belongs)))
                told.append(Lost(group[0].dtype, kind, _short(low), _short(high), details))
    return told


def _worst(group: list[Lost], belongs: object) -> list[str]:
    if belongs is _is_near:
        first = {row.detail.split(" at ")[0]: row.detail for row in group}
        return list(first.values())
    nearest = min(group, key=lambda row: min(abs(row.low), abs(row.high)))
    return [nearest.detail]


def _is_near(row: Lost) -> bool:
    return min(abs(row.low), abs(row.high)) <= 1.05 * identifying.NEAREST


def _is_left(row: Lost) -> bool:
    return row.high < 0 and not _is_near(row)


def _is_right(row: Lost) -> bool:
    return row.low > 0 and not _is_near(row)


def _short(number: float) -> float:
    return float(f"{number:.3g}")
