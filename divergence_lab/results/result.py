"""What a training run leaves: frozen arrays, its configuration and its provenance; save and
load.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from divergence_lab.inputs import InputError
from divergence_lab.results import metrics as divergences
from divergence_lab.results import summary

METRICS = ("tv", "kl_forward", "kl_reverse", "log_z", "modes_found")
WINDOW_METRICS = (*METRICS, "window_l1")  # of a run that keeps a window of its last samples
SAMPLED_METRICS = (
    "log_z",
    "log_z_bound",
    "mean_log_reward",
    "modes_found",
)  # of a space too large to list


class NeverMoved(UserWarning):
    """Members whose parameters are at the end what they were at the start."""


@dataclass(frozen=True, eq=False)
class Result:
    """L rows x N seeds, trained together; the letter K counts the evaluated steps.

    A row is a loss at one learning rate, `losses` [L] at `learning_rates` [L]; `steps` [K] are
    gradient steps, `seconds` those of the training, evaluations included. `metrics[name]` [L, N, K]
    for the names in METRICS (and `window_l1`); `terminal` [L, N, X]: the exact learned law at the
    end; `target` [X]; `log_z` [L, N] learned; `modes_found` [L, N]; `finite` [L, N]: every gradient
    and every metric of the run was finite, except divergences that are truly infinite, and its
    parameters moved, unless it stood at the target from the start. `moved` [L, N]: any parameter is
    another than at the start. `terminal_states` [X] are state numbers of the graph, `coordinates`
    [X, D] theirs on a hyper-grid (else None). In a generated space the metrics are SAMPLED_METRICS,
    and what would need its states listed is None.

        >>> import divergence_lab as dl
        >>> half_square = {"half square": lambda x: x**2 / 2}
        >>> result = dl.train(half_square, dl.hypergrid(2, 3), seeds=3, steps=5, exact=True)
        >>> result.losses, result.seeds, result.metrics["tv"].shape[:2]
        (('half square',), (0, 1, 2), (1, 3))
        >>> bool(abs(result.terminal.sum(axis=-1) - 1).max() < 1e-12)
        True
    """

    losses: tuple[str, ...]
    learning_rates: tuple[float, ...]
    seeds: tuple[int, ...]
    steps: np.ndarray
    metrics: Mapping[str, np.ndarray]
    terminal: np.ndarray | None
    target: np.ndarray | None
    terminal_states: np.ndarray | None
    coordinates: np.ndarray | None
    log_z_true: float | None
    finite: np.ndarray
    moved: np.ndarray
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    seconds: float
    trajectories_per_second: float

    def __post_init__(self) -> None:
        for array in (
            self.steps,
            self.terminal,
            self.target,
            self.terminal_states,
            self.coordinates,
            self.finite,
            self.moved,
            *self.metrics.values(),
        ):
            if array is not None:
                array.setflags(write=False)
        for name in ("metrics", "config", "environment"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    @property
    def objective(self) -> str:
        return self.config["objective"]

    @property
    def log_z(self) -> np.ndarray:
        return self.metrics["log_z"][..., -1]

    @property
    def modes_found(self) -> np.ndarray:
        return self.metrics["modes_found"][..., -1].astype(np.int64)

    def summary(self) -> str:
        """What each loss learned, over its seeds: mean (least to greatest), as text."""
        return f"{summary.headline(self)}\n{summary.text_of(summary.rows_of(self))}"

    def to_pandas(self) -> Any:
        """A DataFrame of pandas, one row for each loss, learning rate, seed and evaluated step, one
        column for each metric. MissingPackage where pandas is not installed.
        """
        return summary.frame_of(self)

    def plot(self) -> Any:
        """The figure `plots.convergence`: exact total variation against steps, one line a loss.
        InputError for a space too large to list, which has none.
        """
        from divergence_lab import plots  # the package's face: drawing stands above results

        if "tv" not in self.metrics:
            raise InputError(
                f"{self.config['env']} is too large for an exact law: plot a column of "
                "to_pandas(), such as log_z"
            )
        return plots.convergence(self)

    def _repr_html_(self) -> str:
        return summary.html_of(self)

    def __repr__(self) -> str:
        return self.summary()


def runs(result: Result) -> list[dict[str, Any]]:
    """One record per (loss, learning rate, seed), with the keys of `train --json`; None for what
    is not known.
    """
    return [
        {
            "objective": result.objective,
            "loss": loss,
            "seed": seed,
            "steps": int(result.steps[-1]),
            **{
                name: _last(result, name, row, column)
                for name in ("tv", "kl_forward", "kl_reverse")
            },
            "log_z": float(result.log_z[row, column]),
            "log_z_true": result.log_z_true,
            "modes_found": int(result.modes_found[row, column]),
            "finite": bool(result.finite[row, column]),
            "moved": bool(result.moved[row, column]),
            "learning_rate": result.learning_rates[row],
            **{
                name: _last(result, name, row, column)
                for name in SAMPLED_METRICS
                if name not in METRICS and name in result.metrics
            },
        }
        for row, loss in enumerate(result.losses)
        for column, seed in enumerate(result.seeds)
    ]


def never_moved(result: Result) -> list[str]:
    """A line for each row in which members stood still, and not at the target."""
    return [
        f"{result.objective}, {loss}: the parameters of "
        f"seed{'s' if len(still) > 1 else ''} {', '.join(map(str, still))} never "
        "moved: every gradient was 0, too small or not finite"
        for loss, counts in zip(result.losses, result.moved | result.finite, strict=True)
        if (still := [seed for seed, one in zip(result.seeds, counts, strict=True) if not one])
    ]


def _last(result: Result, name: str, row: int, column: int) -> float | None:
    return float(result.metrics[name][row, column, -1]) if name in result.metrics else None


def law_metrics(terminal: np.ndarray, target: np.ndarray) -> dict[str, np.ndarray]:
    """tv, kl_forward = KL(target||terminal) and kl_reverse = KL(terminal||target): [.., X] ->
    [..].
    """
    return {
        "tv": divergences.total_variation(terminal, target),
        "kl_forward": divergences.kl(target, terminal),
        "kl_reverse": divergences.kl(terminal, target),
    }
