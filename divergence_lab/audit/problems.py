"""Where on the line a callable does not do what its effective loss says: dead, wrong sign, not
finite, cancellation, ...

Every residual of the range is compared with the exact g' of the effective loss; where a stretch
begins is found by bisection. Inside |x| < 0.05 lost digits are looked for instead.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sympy as sp
import torch

from divergence_lab.audit import identifying, probing, stretches
from divergence_lab.theory.divergence.loss import GAUGE_UNSEEN

LOST = 1e-2
# Smaller residuals than this are no residuals of training.
SMALLEST = 1e-6
# g' jumps where it still changes by this share of its size over a distance of about 1e-12.
JUMP = 1e-2
_PHRASE = {
    "dead": "the gradient is 0",
    "wrong": "the gradient has the wrong sign: it pushes away from agreement",
}
_KIND = {"dead": "dead_gradient", "wrong": "wrong_sign_gradient", "not finite": "not_finite"}


@dataclass(frozen=True)
class Problem:
    """One finding on the residuals low <= x <= high: `kind` is dead_gradient, wrong_sign_gradient,
    not_finite, cancellation, not_zero_at_zero, not_differentiable or class_changed; `detail` one
    sentence.

        >>> Problem("dead_gradient", 20.0, 100.0, "the gradient is 0").kind
        'dead_gradient'
    """

    kind: str
    low: float
    high: float
    detail: str


def far_problems(
    subject: probing.Subject,
    runs: Sequence[stretches.Stretch],
    dtype: torch.dtype,
    gauge: float,
    found: identifying.Found | None,
) -> list[Problem]:
    """Stretches in which the gradient is dead, has the wrong sign or is not finite."""
    problems = []
    for run in runs:
        if run.state not in _KIND:
            continue
        ends = stretches.rounded(np.array([run.first, run.last]), dtype)
        said = _PHRASE.get(run.state, "the gradient is not a finite number")
        if run.state == "dead" and gauge:
            said = f"the gradient is the constant {gauge:.4g}: {GAUGE_UNSEEN}"
        detail = f"{said} (g' = {_told(probing.slopes(subject, ends, dtype) + 0.0)}"
        if found is not None:
            exact = _told(identifying.exact_slopes(found.loss.derivative, ends))
            detail += f"; the effective loss has {exact}"
        problems.append(Problem(_KIND[run.state], run.low, run.high, detail + ")"))
    return problems


def _told(numbers: np.ndarray) -> str:
    """Those at the two ends of a stretch, or the one that is at both."""
    return " to ".join(dict.fromkeys(f"{number:.4g}" for number in numbers))


def class_changes(
    subject: probing.Subject,
    runs: Sequence[stretches.Stretch],
    dtype: torch.dtype,
    zero_forcing: bool | None,
    zero_avoiding: bool | None,
) -> list[Problem]:
    """Ends at which the callable, taken strictly, is not of the class of its effective loss."""
    problems = []
    for left in (True, False):
        bad = [
            run
            for run in runs
            if run.state in ("dead", "wrong", "off") and (run.high <= 0 if left else run.low >= 0)
        ]
        if not bad:
            continue
        low, high = min(run.low for run in bad), max(run.high for run in bad)
        at_end = bad[0] is runs[0] if left else bad[-1] is runs[-1]
        held = zero_forcing if left else zero_avoiding
        word, number = ("zero-forcing", "f(0+)") if left else ("zero-avoiding", "f'(oo)")
        side, edge = ("below", high) if left else ("above", low)
        if at_end and _saturates(subject, bad[0] if left else bad[-1], dtype, left):
            if held:
                problems.append(
                    Problem(
                        "class_changed",
                        low,
                        high,
                        (
                            f"clipped {side} x = {edge:g}: the gradient stops growing "
                            f"there, so {number} is finite and the loss as "
                            f"shipped is strictly not {word}, unlike the effective loss "
                            "between the problem ranges"
                        ),
                    )
                )
        elif at_end or any(run.state == "off" for run in bad):
            problems.append(
                Problem(
                    "class_changed",
                    low,
                    high,
                    (
                        f"{side} x = {edge:g} the gradient is not that of the effective "
                        f"loss: whether the loss as shipped is {word} "
                        "is not established"
                    ),
                )
            )
    return problems


def _saturates(
    subject: probing.Subject, run: stretches.Stretch, dtype: torch.dtype, left: bool
) -> bool:
    """Does |g'| no longer grow in this last stretch? Dead and wrong gradients count as bounded."""
    if run.state != "off":
        return True
    outer, inner = (run.first, run.last) if left else (run.last, run.first)
    if outer == inner:
        return False
    size = np.abs(probing.slopes(subject, np.array([inner, (inner + outer) / 2, outer]), dtype))
    return bool(size[2] <= size[1] * (1 + 1e-6) <= size[0] * (1 + 1e-5))


# --- near agreement


def at_zero(subject: probing.Subject, dtype: torch.dtype, gauge: float) -> list[Problem]:
    """What is wrong at x = 0 itself."""
    zero = np.zeros(1)
    slope, value = (
        float(probing.slopes(subject, zero, dtype)[0]),
        float(probing.values(subject, zero, dtype)[0]),
    )
    pushes = math.isfinite(slope) and slope != 0 and abs(slope) > 1e-6 * abs(gauge or 1.0)
    offset = math.isfinite(value) and abs(value) > 1e-5 and subject.fed_residual
    offset = offset and subject.standing.plain
    checks = (
        (
            not math.isfinite(slope) or not math.isfinite(value),
            "not_finite",
            f"at x = 0 the value is {value:g} and the gradient {slope:g}",
        ),
        (
            pushes and bool(gauge),
            "not_zero_at_zero",
            f"g'(0) = {slope:.6g}: the straight part {gauge:.6g}*x is set aside: {GAUGE_UNSEEN}. "
            "A learned log Z or log F(s) is pushed by it, and the variance grows",
        ),
        (
            pushes and not gauge,
            "not_zero_at_zero",
            f"the gradient at x = 0 is {slope:.6g}, not 0: agreement is no resting point",
        ),
        (offset, "not_zero_at_zero", f"g(0) = {value:.6g}: a constant that no gradient notices"),
    )
    return [Problem(kind, 0.0, 0.0, detail) for wrong, kind, detail in checks if wrong]


def is_surrogate(
    subject: probing.Subject, found: identifying.Found | None, dtype: torch.dtype, gauge: float
) -> bool | None:
    """Is the value something else than g, as in g'(x.detach())*x? None where g is not known."""
    if found is None or subject.summed or subject.centred or not subject.standing.plain:
        return None
    points = np.array([-0.5, -0.25, 0.25, 0.5])
    shift = probing.values(subject, np.zeros(1), dtype)[0]
    seen = probing.values(subject, points, dtype) - gauge * points - shift
    return bool(
        np.max(np.abs(seen - identifying.exact_slopes(found.loss.pieces, points)))
        > 1e-3 * np.max(np.abs(seen))
    )


def cancellation(
    subject: probing.Subject,
    found: identifying.Found | None,
    dtype: torch.dtype,
    gauge: float,
    surrogate: bool | None,
) -> list[Problem]:
    """The residuals near 0 at which the gradient, or the value, has lost all but two digits."""
    size = np.geomspace(SMALLEST, identifying.NEAREST, 48)
    points = stretches.rounded(np.concatenate([-size[::-1], size]), dtype)
    parts, low, high = [], 0.0, 0.0
    for what, seen, exact in _pairs(subject, found, dtype, gauge, surrogate, points):
        with np.errstate(all="ignore"):
            error = np.abs(seen - exact) / np.abs(exact)
        bad = (error > LOST) & np.isfinite(exact) & (exact != 0)
        if not bad.any():
            continue
        worst = int(np.argmax(np.where(bad, error, -1)))
        parts.append(
            f"the {what} at x = {points[worst]:.3g} is {seen[worst]:.4g}, exactly it is "
            f"{exact[worst]:.4g}"
        )
        low, high = min(low, float(points[bad].min())), max(high, float(points[bad].max()))
    if not parts:
        return []
    return [
        Problem(
            "cancellation",
            float(f"{low:.3g}"),
            float(f"{high:.3g}"),
            f"digits are lost near 0 in {str(dtype).removeprefix('torch.')}: {'; '.join(parts)}",
        )
    ]


def _pairs(
    subject: probing.Subject,
    found: identifying.Found | None,
    dtype: torch.dtype,
    gauge: float,
    surrogate: bool | None,
    points: np.ndarray,
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(what, as computed, exact): exact from the effective loss, else from the callable itself
    in float64.
    """
    seen = probing.slopes(subject, points, dtype) - gauge
    if found is not None:
        rows = [("gradient", seen, identifying.exact_slopes(found.loss.derivative, points))]
        offset = probing.values(subject, np.zeros(1), dtype)[0]
        if surrogate is False and gauge == 0 and abs(offset) < 1e-5 and subject.fed_residual:
            rows.append(
                (
                    "value",
                    probing.values(subject, points, dtype),
                    identifying.exact_slopes(found.loss.pieces, points),
                )
            )
        return rows
    if dtype == torch.float64 or torch.float64 not in subject.dtypes:
        return []
    exact = probing.slopes(subject, points, torch.float64) - gauge
    return [("gradient", seen, np.where(np.abs(exact) > 1e-9 * abs(gauge), exact, np.nan))]


# --- jumps of the gradient


def _noise(points: np.ndarray, seen: np.ndarray, dtype: torch.dtype) -> np.ndarray:
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


def jumps(
    subject: probing.Subject,
    points: np.ndarray,
    runs: Sequence[stretches.Stretch],
    found: identifying.Found | None,
) -> list[Problem]:
    """Residuals at which g' jumps, apart from the ends of stretches already reported."""
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
        jumping = (
            np.isfinite(at_a)
            & np.isfinite(at_b)
            & (np.abs(at_b - at_a) > np.maximum(JUMP * size, _noise(a, at_a, dtype)))
            & (np.abs(at_b - at_a) > 4 * probing.rounding(subject, b, dtype))
        )
    edges = [edge for run in runs if run.state != "fine" for edge in (run.low, run.high)]
    smooth_at_zero = found is not None and sp.S.Zero not in found.loss.derivative.kinks
    problems = []
    for index in np.flatnonzero(jumping):
        place = float(f"{(a[index] + b[index]) / 2:.6g}") if abs(a[index]) > 1e-5 else 0.0
        if (place == 0 and smooth_at_zero) or any(
            abs(place - edge) <= 1e-4 * max(1, abs(edge)) for edge in edges
        ):
            continue
        allowed = (
            "; a kink at 0 is allowed, 0 is its subgradient"
            if place == 0 and at_a[index] * at_b[index] < 0
            else ""
        )
        problems.append(
            Problem(
                "not_differentiable",
                place,
                place,
                f"g' jumps from {at_a[index]:.4g} to {at_b[index]:.4g}{allowed}",
            )
        )
    return problems
