"""What a loss makes of a model that is too small: the best single bell for a target with two bumps.

    minimise over (mean, width):  D_f(p || q) = sum q f(p/q) = sum p I(log p - log q)

p and q live on a grid of points; q is a normal law cut to it. The search is a grid over both
parameters that is refined around its best point: no start to choose, no local minimum to fall into.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from divergence_lab.inputs import InputError
from divergence_lab.report.free_loss import FreeLoss
from divergence_lab.theory.divergence import domain
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.divergence.loss import loss as read

POINTS = np.linspace(-5.0, 5.0, 161)
MEANS = np.linspace(-4.0, 4.0, 33)
WIDTHS = np.geomspace(0.35, 4.0, 15)
ROUNDS = 7
CENTRES, SHARES, BUMP_WIDTH = (-1.6, 2.1), (0.65, 0.35), 0.6


class NoFit(InputError):
    """The divergence can't be followed in floating-point numbers; the message says why."""


@dataclass(frozen=True, eq=False)
class NarrowFit:
    """The best bell: mean, width, its D_f, and the model's mass on the two sides of the valley.

    `log_target`: log p on POINTS, [161].
    """

    mean: float
    width: float
    divergence: float
    left_mass: float
    right_mass: float
    log_target: np.ndarray

    @property
    def points(self) -> np.ndarray:
        """The outcomes: places on a line, [161]."""
        return POINTS

    def law(self) -> np.ndarray:
        """q on POINTS."""
        return np.exp(log_model(np.array(self.mean), np.array(self.width)))


def two_bumps(
    centres: tuple[float, float] = CENTRES, shares: tuple[float, float] = SHARES
) -> np.ndarray:
    """log p [161] on POINTS: two bumps of width 0.6, the shares of their mass in any unit."""
    left, right = (
        np.log(share) - ((POINTS - centre) / BUMP_WIDTH) ** 2 / 2
        for centre, share in zip(centres, shares)
    )
    both = np.logaddexp(left, right)
    return both - np.logaddexp.reduce(both)


LOG_TARGET = two_bumps()


def narrow_fit(
    loss: str | Loss, centres: tuple[float, float] = CENTRES, shares: tuple[float, float] = SHARES
) -> NarrowFit:
    """argmin over (mean, width) of D_f(p || q): the best single bell q for a target p of two bumps.

        loss     as text, or a `Loss`, with a value for every parameter
        centres  of the two bumps, left before right, within -4 to 4; each has the width 0.6
        shares   of their mass, in any unit

    Both laws live on 161 points from -5 to 5, so that every divergence is finite: what the bell
    does is decided by f at the ratios that occur here, not by f(0) or f'(oo). Raises NoFit, and
    ExpressionError for a loss that can't be read.

        >>> seeking, covering = narrow_fit("quadratic"), narrow_fit("linex(1)")
        >>> f"{seeking.mean:.1f} {seeking.width:.1f}, {covering.mean:.1f} {covering.width:.1f}"
        '-1.6 0.6, -0.3 1.9'
    """
    if not -4 <= centres[0] < centres[1] <= 4 or min(shares) <= 0:
        raise NoFit(
            f"two bumps need centres from -4 to 4, left before right, and shares above 0; "
            f"these are {centres} and {shares}"
        )
    entry = read(loss) if isinstance(loss, str) else loss
    if entry.parameters:
        names = ", ".join(str(parameter) for parameter in entry.parameters)
        raise NoFit(f"a bell needs numbers: write one in place of {names}")
    if (broken := why_no_f(entry)) is not None:
        raise NoFit(broken)
    return best_fit(
        FreeLoss(str(loss), entry).integral, two_bumps(centres, shares), sum(centres) / 2
    )


def why_no_f(loss: Loss) -> str | None:
    """Why there is no f to follow: g jumps, is unbounded or is not real somewhere."""
    broken = domain.fault(loss)
    return None if broken is None or not broken.certain else f"no best bump: {broken.what}"


def log_model(mean: np.ndarray, width: np.ndarray) -> np.ndarray:
    """log q [.., 161] of normal laws cut to the grid."""
    logs = -(((POINTS - mean[..., None]) / width[..., None]) ** 2) / 2
    top = logs.max(axis=-1, keepdims=True)
    return logs - top - np.log(np.exp(logs - top).sum(axis=-1, keepdims=True))


def divergences(
    integral: Callable[[np.ndarray], np.ndarray],
    mean: np.ndarray,
    width: np.ndarray,
    log_target: np.ndarray = LOG_TARGET,
) -> np.ndarray:
    """D_f(p||q) for each model; inf where a term overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        terms = np.exp(log_target) * integral(log_target - log_model(mean, width))
    return np.nan_to_num(terms.sum(axis=-1), nan=np.inf, posinf=np.inf, neginf=np.inf)


def best_fit(
    integral: Callable[[np.ndarray], np.ndarray],
    log_target: np.ndarray = LOG_TARGET,
    valley: float = sum(CENTRES) / 2,
) -> NarrowFit:
    """The model with the least D_f; means within 4, widths from 0.35 to 4. Raises NoFit."""
    means, logs = MEANS, np.log(WIDTHS)
    for _ in range(ROUNDS):
        grid = np.meshgrid(means, np.exp(logs), indexing="ij")
        found = divergences(integral, grid[0], grid[1], log_target)
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
    left = float(law[valley > POINTS].sum())
    return NarrowFit(*best, left, 1 - left, log_target)


def manner(fit: NarrowFit) -> str:
    """mode-seeking, in between, or mode-covering: by the mass on the side that gets less of it."""
    smaller = min(fit.left_mass, fit.right_mass)
    return "mode-seeking" if smaller < 0.03 else "in between" if smaller < 0.2 else "mode-covering"


def words(fit: NarrowFit) -> str:
    """What the picture shows, in one sentence."""
    smaller, kind = min(fit.left_mass, fit.right_mass), manner(fit)
    side = "left" if fit.left_mass > fit.right_mass else "right"
    does = {
        "mode-seeking": f"settles on the {side} mode and gives the other {smaller:.1%} of its mass",
        "in between": f"leans to one mode and gives the other {smaller:.0%} of its mass",
        "mode-covering": (
            f"spreads over both modes ({fit.left_mass:.0%} left, {fit.right_mass:.0%} right)"
        ),
    }
    return f"{kind.capitalize()}: the bump {does[kind]}."
