"""The residuals cut into stretches on which a callable's gradient is fine, dead, wrong or off."""

import itertools
from dataclasses import dataclass, replace

import numpy as np
import torch

from divergence_lab.audit import identifying, probing
from divergence_lab.audit.rounding import noise

# Relative deviation of the gradient that counts, far from 0; near 0, and for the value, a hundredth
# counts.
DEVIATION = {torch.float64: 1e-5, torch.float32: 1e-2, torch.float16: 2e-2, torch.bfloat16: 6e-2}
PER_SIDE = 400
# So many residuals at most are asked whether it is rounding that puts them off.
MOST_DOUBTFUL = 400
# So many residuals on each side are looked at for narrow stretches.
MANY = 10_000


@dataclass(frozen=True)
class Stretch:
    """Neighbouring residuals of one state: "fine", "dead", "wrong", "not finite", "off" (another
    gradient), "lost" (the digits are).
    """

    state: str
    low: float
    high: float
    first: float
    last: float


def grid(low: float, high: float, dtype: torch.dtype) -> np.ndarray:
    """Residuals from low to high, dense near 0, all exact in `dtype`."""
    return _points(low, high, dtype, 61, PER_SIDE, 20)


def dense(low: float, high: float, dtype: torch.dtype) -> np.ndarray:
    """As `grid`, with some five times as many."""
    return _points(low, high, dtype, 296, 5 * PER_SIDE, 40)


def _points(
    low: float, high: float, dtype: torch.dtype, middle: int, far: int, near: int
) -> np.ndarray:
    closest = identifying.CLOSEST if dtype == torch.float64 else identifying.NEAREST
    sides = []
    for sign, end in ((-1, -low), (1, high)):
        inner = np.geomspace(closest, identifying.NEAREST, near)
        core = np.linspace(identifying.NEAREST, min(3.0, end), middle)
        outer = np.linspace(3.0, end, far)[1:] if end > 3 else np.zeros(0)
        sides.append(sign * np.concatenate([inner, core, outer]))
    return noise.rounded(np.concatenate(sides), dtype)


def with_narrow(
    subject: probing.Subject,
    points: np.ndarray,
    dtype: torch.dtype,
    gauge: float,
    found: identifying.Found | None,
) -> np.ndarray:
    """The points, and of many more between them those at which the callable seems to be another
    loss: a narrow stretch is seen so, and then looked at as the others are.
    """
    numbers = identifying.numbers_of(found.loss) if found else None
    if numbers is None or not (subject.standing.plain or subject.reduction == "none"):
        return points  # the values of a reduction take one call each
    sides = [np.linspace(identifying.NEAREST, end, MANY) for end in (-points[0], points[-1])]
    more = noise.rounded(np.concatenate([-sides[0], sides[1]]), dtype)
    with np.errstate(all="ignore"):
        best = subject.dtypes[0]
        seen, named = probing.slopes(subject, more, best) - gauge, numbers(more)
        allowed = 10 * DEVIATION[best] * np.abs(named) + 1e-9 * abs(gauge)
        allowed += probing.rounding(subject, more, best)
        off = np.flatnonzero(np.isfinite(named) & ~(np.abs(seen - named) <= allowed))
    starts = off[np.flatnonzero(np.diff(off, prepend=-9) > 1)]
    ends = off[np.flatnonzero(np.diff(off, append=len(more) + 9) > 1)]
    return np.union1d(points, more[np.concatenate([starts, ends])][:MOST_DOUBTFUL])


def up_to_others(found: identifying.Found | None, runs: list[Stretch]) -> identifying.Found | None:
    """The loss on what is left of its stretch where narrow stretches of another one lie in it."""
    if found is None:
        return None
    middles = np.array([(run.low + run.high) / 2 for run in runs])
    alive = identifying.exact_slopes(found.loss.derivative, middles) != 0
    others = [
        run
        for run, lives in zip(runs, alive, strict=True)
        if run.state not in ("fine", "lost") and (run.state != "dead" or lives)
    ]
    ends = [run.high for run in others if found.low < run.high <= -identifying.CORE]
    starts = [run.low for run in others if identifying.CORE <= run.low < found.high]
    return replace(found, low=max([found.low, *ends]), high=min([found.high, *starts]))


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
    if found is not None:
        named = _with_lost(subject, points, named, dtype, gauge, found)
    cuts = [0, *(i for i in range(1, len(points)) if named[i] != named[i - 1]), len(points)]
    edges = [float(points[0])]
    for i in cuts[1:-1]:
        a, b = float(points[i - 1]), float(points[i])
        if a < 0 < b:
            edges.append(0.0)
        elif named[i - 1] == "lost" or named[i] == "lost":  # digits are lost little by little
            edges.append(float(f"{(a + b) / 2:.3g}"))
        else:
            edges.append(_edge(subject, a, b, named[i - 1], dtype, gauge, found))
    edges.append(float(points[-1]))
    return [
        Stretch(named[i], edges[k], edges[k + 1], float(points[i]), float(points[j - 1]))
        for k, (i, j) in enumerate(itertools.pairwise(cuts))
    ]


def _with_lost(
    subject: probing.Subject,
    points: np.ndarray,
    named: list[str],
    dtype: torch.dtype,
    gauge: float,
    found: identifying.Found,
) -> list[str]:
    """The state "lost" where a gradient is off by rounding alone, and where it is off farther out
    on that side.
    """
    told = np.array(named, dtype=object)
    doubtful = np.flatnonzero(np.isin(told, ("off", "wrong", "dead")))
    if not len(doubtful):
        return named
    lost = _lost_to_rounding(subject, points, told, doubtful, dtype, gauge, found)
    for sign in (-1, 1):
        on_side = lost[points[lost] * sign > 0]
        if not len(on_side):
            continue
        # it sets in little by little
        nearest = 0.9 * float(np.abs(points[on_side]).min())
        beyond = doubtful[(points[doubtful] * sign > 0) & (np.abs(points[doubtful]) >= nearest)]
        told[_before_dead_end(told, beyond, sign)] = "lost"
    return told.tolist()


def _lost_to_rounding(
    subject: probing.Subject,
    points: np.ndarray,
    told: np.ndarray,
    doubtful: np.ndarray,
    dtype: torch.dtype,
    gauge: float,
    found: identifying.Found,
) -> np.ndarray:
    """Those of the doubtful ones at which the best dtype is fine, or neighbours differ as much."""
    best = subject.dtypes[0]
    if dtype != best:
        moving = doubtful[told[doubtful] != "dead"]
        fine = np.array(states(subject, points[moving], best, gauge, found), dtype=object)
        return moving[fine == "fine"]
    shown = doubtful[:: max(1, len(doubtful) // MOST_DOUBTFUL)]
    truth = identifying.exact_slopes(found.loss.derivative, points[shown])
    deviation = probing.slopes(subject, points[shown], dtype) - gauge - truth
    return shown[noise.is_rounding(subject, points[shown], deviation, dtype)]


def _before_dead_end(told: np.ndarray, beyond: np.ndarray, sign: int) -> np.ndarray:
    """Those of the outer residuals that do not belong to a last stretch with no gradient at all."""
    outward = beyond if sign > 0 else beyond[::-1]
    alive = np.flatnonzero(told[outward] != "dead")
    return outward[: alive[-1] + 1] if len(alive) else outward[:0]


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
        middle = float(noise.rounded(np.array([(a + b) / 2]), dtype)[0])
        if not a < middle < b:
            break
        same = states(subject, np.array([middle]), dtype, gauge, found)[0] == state
        a, b = (middle, b) if same else (a, middle)
    return float(f"{(a + b) / 2:.5g}")
