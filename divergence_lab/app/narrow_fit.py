"""The picture of mode-seeking and mode-covering: the best single bump for a target with two, under
D_f.

    minimise over (mean, width):  D_f(p || q) = sum q f(p/q) = sum p I(log p - log q)

p and q live on a grid of points; q is a normal law cut to it. The search is a grid over both
parameters that is refined around its best point: no start to choose, no local minimum to fall into.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

POINTS = np.linspace(-5.0, 5.0, 161)
MEANS = np.linspace(-4.0, 4.0, 33)
WIDTHS = np.geomspace(0.35, 4.0, 15)
ROUNDS = 7
LEFT = POINTS < 0.25  # of the valley between the two modes


def _target() -> np.ndarray:
    logs = [
        np.log(weight / width) - ((POINTS - centre) / width) ** 2 / 2
        for weight, centre, width in ((0.65, -1.6, 0.6), (0.35, 2.1, 0.6))
    ]
    return np.logaddexp(*logs) - np.logaddexp.reduce(np.logaddexp(*logs))


LOG_TARGET = _target()


class NoFit(ValueError):
    """The divergence can't be followed in floating-point numbers; the message says why."""


@dataclass(frozen=True)
class NarrowFit:
    """The best bump: mean, width, its D_f, and the model's mass on the two sides of the valley."""

    mean: float
    width: float
    divergence: float
    left_mass: float
    right_mass: float

    def law(self) -> np.ndarray:
        """q on POINTS."""
        return np.exp(log_model(np.array(self.mean), np.array(self.width)))


def log_model(mean: np.ndarray, width: np.ndarray) -> np.ndarray:
    """log q [.., 161] of normal laws cut to the grid."""
    logs = -(((POINTS - mean[..., None]) / width[..., None]) ** 2) / 2
    top = logs.max(axis=-1, keepdims=True)
    return logs - top - np.log(np.exp(logs - top).sum(axis=-1, keepdims=True))


def divergences(
    integral: Callable[[np.ndarray], np.ndarray], mean: np.ndarray, width: np.ndarray
) -> np.ndarray:
    """D_f(p||q) for each model; inf where a term overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        terms = np.exp(LOG_TARGET) * integral(LOG_TARGET - log_model(mean, width))
    return np.nan_to_num(terms.sum(axis=-1), nan=np.inf, posinf=np.inf, neginf=np.inf)


def best_fit(integral: Callable[[np.ndarray], np.ndarray]) -> NarrowFit:
    """The model with the least D_f; means within 4, widths from 0.35 to 4. Raises NoFit."""
    means, logs = MEANS, np.log(WIDTHS)
    for _ in range(ROUNDS):
        grid = np.meshgrid(means, np.exp(logs), indexing="ij")
        found = divergences(integral, *grid)
        i, j = np.unravel_index(np.argmin(found), found.shape)
        best = (float(grid[0][i, j]), float(grid[1][i, j]), float(found[i, j]))
        steps = (means[1] - means[0], logs[1] - logs[0])
        means = np.clip(best[0] + steps[0] * np.linspace(-1, 1, 7), MEANS[0], MEANS[-1])
        logs = np.clip(
            np.log(best[1]) + steps[1] * np.linspace(-1, 1, 7),
            np.log(WIDTHS[0]),
            np.log(WIDTHS[-1]),
        )
        if (
            means[1] == means[0] or logs[1] == logs[0]
        ):  # at an end of the range: open the window to the other side
            means, logs = (
                np.unique(axis)
                if np.unique(axis).size > 1
                else axis + np.array([0, *[1e-6] * (len(axis) - 1)]).cumsum()
                for axis in (means, logs)
            )
    if (
        not 0 <= best[2] < np.inf
    ):  # no f-divergence is negative: the numbers have broken, or this is no loss
        raise NoFit(
            "no best bump: this is no valid loss, or f grows too fast for floating-point numbers "
            f"(D_f >= 0 for a valid loss; the search ended at {best[2]:.3g})"
        )
    law = np.exp(log_model(np.array(best[0]), np.array(best[1])))
    return NarrowFit(*best, *(float(law[side].sum()) for side in (LEFT, ~LEFT)))


def words(fit: NarrowFit) -> str:
    """What the picture shows, in one sentence."""
    smaller = min(fit.left_mass, fit.right_mass)
    if smaller < 0.03:
        side = "left" if fit.left_mass > fit.right_mass else "right"
        return (
            f"Mode-seeking: the bump settles on the {side} mode and gives the other "
            f"{smaller:.1%} of its mass."
        )
    if smaller < 0.2:
        return (
            f"In between: the bump leans to one mode and gives the other {smaller:.0%} of its mass."
        )
    return (
        f"Mode-covering: the bump spreads over both modes ({fit.left_mass:.0%} left, "
        f"{fit.right_mass:.0%} right)."
    )
