"""A mode that is seldom seen, as small as it can be: two outcomes, the mode with the chance q.

theta = log(q/(1-q)) is the one parameter, p = (target, 1 - target) the two masses of p_B. A batch of B
draws sees the mode k times, and its gradient in theta is

    -(k/B) g'(x) (1-q) + (1 - k/B) g'(y) q,    x, y: the residuals of the mode and of the rest.

Fitted: log Z follows the rest, so that y = 0 and x = log(target/(1-target)) - theta; without a visit
nothing moves. Held: log Z is 0, the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from scipy.stats import binom

from divergence_lab.results.metrics import unseen

Slope = Callable[[np.ndarray], np.ndarray]
SLOPES: Mapping[str, Slope] = {
    "quadratic": lambda x: x,
    "linex(1/2)": lambda x: 2 * np.expm1(x / 2),
    "linex(1)": np.expm1,
    "shifted_cosh": lambda x: 2 * np.sinh(x),
}
CURVATURES = np.array([[1.0], [1.0], [1.0], [2.0]])  # g''(0)
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
BATCH, START, TARGET = 16, 1e-3, 0.5
GROWN = TARGET / 2  # the mode has taken off when the policy has half of it


@dataclass(frozen=True)
class Way:
    """How a loss is trained; how many of the batch's draws come from the target; whether log Z is
    held at the truth; and a noise in the gradient, in units of g''(0), as residuals of the rest that
    are small and differ give it to every loss.
    """

    optimiser: str
    clip: float
    rate: float
    from_target: int = 0
    held: bool = False
    noise: float = 0.0


@dataclass(frozen=True, eq=False)
class Times:
    """Batches until the mode's first visit and until it has taken off [L, N], 0: not within the
    run; and q after the batch in which it took off.
    """

    visited: np.ndarray
    grown: np.ndarray
    reached: np.ndarray


def slopes(x: np.ndarray) -> np.ndarray:
    """g' of each loss at its row of x [L, ..]; beyond 700 exp would overflow."""
    return np.stack(
        [slope(row) for slope, row in zip(SLOPES.values(), x.clip(-700, 700), strict=True)]
    )


def pull(theta: np.ndarray, visits: np.ndarray, way: Way) -> np.ndarray:
    """Minus the batch's gradient, cut to the length of the clip."""
    q, share = expit(theta), visits / BATCH
    if way.held:
        x, y = np.log(TARGET) - np.log(q), np.log1p(-TARGET) - np.log1p(-q)
    else:
        x, y = logit(TARGET) - theta, np.zeros_like(theta)
    return np.clip(share * (1 - q) * slopes(x) - (1 - share) * q * slopes(y), -way.clip, way.clip)


def run(
    way: Way,
    visits: Callable[[np.ndarray], np.ndarray],
    runs: int,
    most: int,
    rng: np.random.Generator | None = None,
) -> Times:
    """All losses and runs at once, until all have taken off, or `most` batches.

    `visits` of q [L, N] says how often each of these batches sees the mode; `rng` draws the noise.
    """
    theta = np.full((len(SLOPES), runs), logit(START))
    mean, square = np.zeros_like(theta), np.zeros_like(theta)
    times = Times(*(np.zeros(theta.shape, dtype=kind) for kind in (int, int, float)))
    for step in range(1, most + 1):
        seen = visits(expit(theta))
        times.visited[(times.visited == 0) & (seen > 0)] = step
        force = pull(theta, seen, way)
        if rng and way.noise:
            force = force + way.noise * CURVATURES * rng.standard_normal(theta.shape)
        if way.optimiser == "adam":
            mean += (1 - BETA_1) * (force - mean)
            square += (1 - BETA_2) * (force**2 - square)
            size = np.sqrt(square / (1 - BETA_2**step)) + EPSILON
            force = mean / (1 - BETA_1**step) / size
        theta = theta + way.rate * force
        now = (times.grown == 0) & (expit(theta) >= GROWN)
        times.grown[now], times.reached[now] = step, expit(theta)[now]
        if times.grown.all():
            break
    return times


def drawn(rng: np.random.Generator, way: Way) -> Callable[[np.ndarray], np.ndarray]:
    """Visits by chance, as training has them."""
    own = BATCH - way.from_target
    return lambda q: rng.binomial(own, q) + rng.binomial(way.from_target, TARGET, q.shape)


def expected_visits() -> Callable[[np.ndarray], np.ndarray]:
    """Visits when the expected number of them passes the next whole number: no chance at all."""
    owed = np.zeros(())

    def visits(q: np.ndarray) -> np.ndarray:
        nonlocal owed
        owed = owed + BATCH * q
        seen = np.minimum(np.floor(owed), BATCH)
        owed = owed - seen
        return seen

    return visits


def chance_unseen(way: Way, batches: int) -> np.ndarray:
    """The chance that none of the first n batches saw the mode, n = 0, 1, .. batches: [L, n].

    The policy is followed through the one history without a visit; where nothing moves without one,
    the chance is (1-q)^(B n).
    """
    held: list[np.ndarray] = []

    def none(q: np.ndarray) -> np.ndarray:
        held.append(q[:, 0])
        return np.zeros_like(q)

    run(way, none, 1, batches)
    own = np.stack([*held, *[held[-1]] * (batches - len(held))], axis=-1)
    return unseen(own, BATCH - way.from_target) * unseen(np.full(batches, TARGET), way.from_target)


def expected_batches(way: Way, points: int = 4_000) -> np.ndarray:
    """E[batches until the mode has taken off] [L] under SGD, log Z fitted.

    u(theta) = 1 + sum_k Bin(k; B, q) u(theta + step_k), 0 from GROWN on: solved from there down, u
    linear between points.
    """
    grid = np.linspace(logit(START), logit(GROWN), points + 1)
    chances = binom.pmf(np.arange(BATCH + 1), BATCH, expit(grid)[:, None])
    u = np.zeros((len(SLOPES), points + 1))
    rows = np.arange(len(SLOPES))[:, None]
    for i in range(points, -1, -1):
        here = np.full((len(SLOPES), BATCH), grid[i])
        there = here + way.rate * pull(here, np.arange(1, BATCH + 1)[None], way)
        place = ((there - grid[0]) / (grid[1] - grid[0])).clip(max=points)
        if place.min() < i + 1 and i < points:
            raise ValueError(f"steps of {way} are shorter than the grid's; take more points")
        low = np.minimum(place.astype(int), points - 1)
        later = u[rows, low] + (place - low) * (u[rows, low + 1] - u[rows, low])
        later = np.where(place < points, later, 0.0)
        u[:, i] = (1 + later @ chances[i, 1:]) / (1 - chances[i, 0])
    return u[:, 0]
