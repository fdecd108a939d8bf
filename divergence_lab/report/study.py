"""What the report is written from: derivations and the theorem per loss, one training run of all
losses at two learning rates, and the best single bump under each divergence.
"""

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import sympy as sp
import torch
from torch import Tensor

from divergence_lab.bridge import TorchLoss, generator_to_torch
from divergence_lab.graphs import dag, texts
from divergence_lab.report.free_loss import FreeLoss
from divergence_lab.report.single_bump import NarrowFit, NoFit, best_fit
from divergence_lab.results import metrics
from divergence_lab.results.result import Result
from divergence_lab.theorem.verification import verify
from divergence_lab.theory.answers.derivation import Derivation, derive
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.training.loop import train

ENVIRONMENT = "hypergrid:2x8"
THEOREM_ENVIRONMENT = "hypergrid:2x4"
SEEDS = 5
RATES = (0.03, 0.1)  # the default of a table, and one that is three times as fast
CONVERGED = 0.02
FAR = 3.0  # nats: the residual at which slopes are compared
QUICK_STEPS = 500


@dataclass(frozen=True)
class Study:
    """Everything the page is written from. `both` is the run at both learning rates, `result` its
    part at the first, `at_rates` a part for each; `bumps`: the best single bump of each loss, or
    why there is none; `slopes`: g' at -FAR and FAR; `divergences`: of the exact learned laws.
    """

    derivations: Mapping[str, Derivation]
    theorem: list[dict[str, Any]]
    bumps: Mapping[str, NarrowFit | str]
    slopes: Mapping[str, tuple[float, float]]
    both: Result
    divergences: Mapping[str, Mapping[str, list[float]]]
    quick: bool

    @property
    def at_rates(self) -> dict[float, Result]:
        return {rate: at_rate(self.both, rate) for rate in RATES}

    @property
    def result(self) -> Result:
        return at_rate(self.both, RATES[0])


def run_study(
    losses: Mapping[str, Loss],
    torch_losses: Mapping[str, TorchLoss],
    folder: Path | None,
    *,
    env: str = ENVIRONMENT,
    quick: bool = False,
    device: str = "auto",
    budget: float = 20.0,
    overwrite: bool = False,
) -> Study:
    """Derive and decide each loss, verify the theorem, train all together, compare exact laws."""
    graph = grid(env)
    derivations = {}
    for name, loss in losses.items():
        say(f"deriving {name}")
        derivations[name] = derive(loss, budget=budget)
    say(f"verifying the gradient theorem on {THEOREM_ENVIRONMENT}")
    theorem = verify(
        losses,
        THEOREM_ENVIRONMENT,
        budget=budget,
        divergences={name: derivation.divergence for name, derivation in derivations.items()},
    )
    shapes = {name: FreeLoss(name, loss) for name, loss in losses.items()}
    bumps = {name: bump(shape) for name, shape in shapes.items()}
    slopes = {name: _slopes(shape) for name, shape in shapes.items()}
    rates = " and ".join(f"{rate:g}" for rate in RATES)
    say(f"training {len(losses)} losses x {SEEDS} seeds on {env}, at learning rates {rates}")
    length = {"steps": QUICK_STEPS} if quick else {}
    kept = {"out": folder, "resume": folder is not None and not overwrite, "overwrite": overwrite}
    both = train(
        torch_losses, graph, seeds=SEEDS, learning_rate=RATES, device=device, **kept, **length
    )
    table = exact_divergences(at_rate(both, RATES[0]), derivations)
    return Study(derivations, theorem, bumps, slopes, both, table, quick)


def grid(env: str) -> dag.PointedDAG:
    """The two-dimensional hyper-grid of that name. Raises EnvironmentTextError for any other."""
    graph = texts.graph_from_text(env)
    if graph.coordinates is None or graph.coordinates.shape[1] != 2:
        raise texts.EnvironmentTextError(
            f"the report draws two-dimensional grids, not {env}; take hypergrid:2x8 or "
            "hypergrid:2x12:paper"
        )
    return graph


def say(what: str) -> None:
    """A line of progress, where somebody watches."""
    if sys.stderr.isatty():
        print(f"{what} ...", file=sys.stderr)


def at_rate(result: Result, rate: float) -> Result:
    """The rows of one learning rate: a loss each."""
    rows = [row for row, one in enumerate(result.learning_rates) if one == rate]
    return replace(
        result,
        losses=tuple(result.losses[row] for row in rows),
        learning_rates=(rate,) * len(rows),
        metrics={name: values[rows] for name, values in result.metrics.items()},
        terminal=None if result.terminal is None else result.terminal[rows],
        finite=result.finite[rows],
        moved=result.moved[rows],
    )


def bump(shape: FreeLoss) -> NarrowFit | str:
    """The single bump with the least D_f to a target with two modes, or why there is none."""
    try:
        return best_fit(shape.integral)
    except NoFit as reason:
        return str(reason)


def _slopes(shape: FreeLoss) -> tuple[float, float]:
    left, right = shape.slope(np.array([-FAR, FAR]))
    return float(left), float(right)


# --- comparison

# What the table compares: divergence from the target p to the learned law q, each over the terminal
# states.
MEASURES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "total variation": metrics.total_variation,
    "forward KL": metrics.kl,
    "reverse KL": lambda p, q: metrics.kl(q, p),
    "Jensen-Shannon": metrics.jensen_shannon,
    "Hellinger": metrics.hellinger,
    "Pearson chi-square": metrics.chi2,
    "Neyman chi-square": lambda p, q: metrics.chi2(q, p),
}
OWN = "its own D_f"


def exact_divergences(
    result: Result, derivations: Mapping[str, Derivation]
) -> dict[str, dict[str, list[float]]]:
    """loss -> measure -> its value for each seed: D(target || learned law), exact over all
    terminal states.
    """
    table: dict[str, dict[str, list[float]]] = {}
    assert result.terminal is not None and result.target is not None
    for index, name in enumerate(result.losses):
        learned = result.terminal[index]
        table[name] = {
            label: measure(result.target, learned).tolist() for label, measure in MEASURES.items()
        }
        verdicts = derivations[name].verdicts
        table[name][OWN] = metrics.f_divergence(
            on_arrays(generator_to_torch(derivations[name].divergence)),
            result.target,
            learned,
            f_at_zero=_number(verdicts.f_at_zero),
            slope_at_infinity=_number(verdicts.slope_at_infinity),
        ).tolist()
    return table


def on_arrays(function: Callable[[Tensor], Tensor]) -> Callable[[np.ndarray], np.ndarray]:
    """A function of tensors as one of arrays."""
    return lambda values: function(torch.from_numpy(np.ascontiguousarray(values))).detach().numpy()


def _number(exact: sp.Expr | None) -> float:
    return math.nan if exact is None else float(exact)


def converged(result: Result) -> np.ndarray:
    """[L, N]: the total variation of the exact learned law ended below CONVERGED, with every
    number finite.
    """
    return (result.metrics["tv"][..., -1] < CONVERGED) & result.finite
