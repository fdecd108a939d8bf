"""Where on the line a callable does not do what its effective loss says: dead, wrong sign, not
finite, cancellation, ...

Every residual of the range is compared with the exact g' of the effective loss; where a stretch
begins is found by bisection. What rounding does is looked for in `rounding`.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from divergence_lab.audit import identifying, probing, stretches
from divergence_lab.audit.rounding import noise
from divergence_lab.theory.divergence.loss import GAUGE_UNSEEN

# More stretches of a kind than this are told as one.
MANY = 6
# Levels of log p_F, as of longer and longer trajectories, and residuals that are looked at there;
# a relative change by this counts.
LEVELS, PLACES = (-3.5, -10.0, -20.0, -30.0, -50.0, -80.0), (-1.3, -0.2, 0.4, 1.7)
BY_LEVEL = 1e-2
# The part of a gradient that a mean over a large batch passes back.
PART = 2.0**-4
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


def gathered(problems: list[Problem]) -> list[Problem]:
    """Many stretches of a kind told as one."""
    told = []
    for kind in dict.fromkeys(problem.kind for problem in problems):
        rows = [problem for problem in problems if problem.kind == kind]
        if len(rows) > MANY:
            near = min(rows, key=lambda row: min(abs(row.low), abs(row.high)))
            rows = [
                Problem(
                    kind,
                    rows[0].low,
                    rows[-1].high,
                    f"{len(rows)} separate stretches; the nearest to 0 is "
                    f"from {near.low:g} to {near.high:g}: {near.detail}",
                )
            ]
        told += rows
    return told


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
        ends = noise.rounded(np.array([run.first, run.last]), dtype)
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
    found: identifying.Found | None,
    effective: tuple[bool | None, bool | None],
    shipped: tuple[bool | None, bool | None],
) -> list[Problem]:
    """Where another loss runs than the effective one, and whether it is still of its class.

    effective, shipped: (zero-forcing, zero-avoiding) of the effective loss and of the loss as it is
    shipped, where that was derived.
    """
    problems = []
    for left, held, strictly in zip((True, False), effective, shipped, strict=True):
        bad = [
            run
            for run in runs
            if run.state in ("dead", "wrong", "off") and (run.high <= 0 if left else run.low >= 0)
        ]
        if not bad:
            continue
        at_end = bad[0] is runs[0] if left else bad[-1] is runs[-1]
        last = bad[0] if left else bad[-1]
        if strictly is None and at_end:
            strictly = False if _saturates(subject, last, dtype, left) else None
        elif strictly is None:
            strictly = held
        problems += _changed(subject, bad, dtype, found, left, at_end, held, strictly)
    return problems


def _changed(
    subject: probing.Subject,
    bad: Sequence[stretches.Stretch],
    dtype: torch.dtype,
    found: identifying.Found | None,
    left: bool,
    at_end: bool,
    held: bool | None,
    strictly: bool | None,
) -> list[Problem]:
    """What is told of the stretches of one side."""
    low, high = min(run.low for run in bad), max(run.high for run in bad)
    word, number = ("zero-forcing", "f(0+)") if left else ("zero-avoiding", "f'(oo)")
    side, edge = ("below", high) if left else ("above", low)
    if at_end and held and strictly is False:
        return [
            Problem(
                "class_changed",
                low,
                high,
                f"clipped {side} x = {edge:g}: the gradient stops growing there, so {number} is "
                f"finite and the loss as shipped is strictly not {word}, unlike the effective "
                "loss between the problem ranges",
            )
        ]
    if strictly is None or held is None:
        kept = f"whether the loss as shipped is {word} is not established"
    else:
        still = " still" if strictly == held else ""
        kept = f"as shipped it is{still} {'' if strictly else 'not '}{word}"
    others = [run for run in bad if run.state == "off"]
    told = []
    for run in others:
        other = _other_loss(subject, run, dtype, found)
        told.append(Problem("class_changed", run.low, run.high, f"{other}; {kept}"))
    if not told and at_end and strictly is None:
        gone = f"{side} x = {edge:g} the gradient is not that of the effective loss; {kept}"
        return [Problem("class_changed", low, high, gone)]
    return told


def _other_loss(
    subject: probing.Subject,
    run: stretches.Stretch,
    dtype: torch.dtype,
    found: identifying.Found | None,
) -> str:
    ends = noise.rounded(np.array([run.first, run.last]), dtype)
    told = f"another loss runs here: g' is {_told(probing.slopes(subject, ends, dtype))}"
    if found is None:
        return told
    exact = _told(identifying.exact_slopes(found.loss.derivative, ends))
    return f"{told}, that of the effective loss {exact}"


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


# --- what else decides the gradient


def besides_the_residual(subject: probing.Subject, points: np.ndarray) -> list[Problem]:
    """Where log p_F itself decides, as with a small number added inside a logarithm; and what comes
    back from the callable that is not proportional to what is passed back to it.
    """
    told = [] if subject.fed_residual else _by_level(subject)
    told += [] if subject.standing.placement == "reward" else _by_what_is_passed(subject, points)
    return [Problem(kind, float(points[0]), float(points[-1]), detail) for kind, detail in told]


def _by_level(subject: probing.Subject) -> list[tuple[str, str]]:
    places, dtype = np.array(PLACES), subject.dtypes[0]
    right = probing.slopes(subject, places, dtype)
    size = np.abs(right)

    def off(level: float) -> np.ndarray:
        seen = probing.slopes(subject, places, dtype, level)
        return np.isfinite(right) & ~(np.abs(seen - right) <= BY_LEVEL * size)

    for above, below in itertools.pairwise(LEVELS):
        if not off(below).any():
            continue
        seen = probing.slopes(subject, places, dtype, below)
        worst = int(np.argmax(np.where(off(below), size, -1.0)))
        for _ in range(12):
            middle = (above + below) / 2
            above, below = (above, middle) if off(middle).any() else (middle, below)
        kind = "class_changed" if np.isfinite(seen).all() else "not_finite"
        return [
            (
                "dead_gradient" if not seen.any() else kind,
                f"below log p_F = {below:.4g} the gradient depends on log p_F itself: further down "
                f"g' is {seen[worst]:.4g} at x = {places[worst]:g}, not {right[worst]:.4g}",
            )
        ]
    return []


def _by_what_is_passed(subject: probing.Subject, points: np.ndarray) -> list[tuple[str, str]]:
    # nearer to 0, and of small slopes, rounding inside leaves no digits of a part
    places, dtype = points[np.abs(points) >= identifying.NEAREST], subject.dtypes[0]
    places = places[:: max(1, len(places) // 100)]
    whole, part = (probing.chunk(subject, places, dtype, passed=p)[0] for p in (1.0, PART))
    with np.errstate(all="ignore"):
        size = np.where(np.isfinite(whole), np.abs(whole), 0.0)
        off = (np.abs(whole - part) > BY_LEVEL * size) & (size > 1e-3 * size.max())
    if not off.any():
        return []
    first = int(np.argmin(np.where(off, np.abs(places), np.inf)))
    return [
        (
            "class_changed",
            "what comes back is not proportional to the gradient that is passed to the callable (a "
            "clip of gradients inside, or a backward that leaves that one out): a sixteenth of it "
            f"gives g' = {part[first]:.4g} at x = {places[first]:.4g}, the whole of it "
            f"{whole[first]:.4g}; so every mean or weight outside makes it another loss",
        )
    ]
