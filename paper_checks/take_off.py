"""How soon a mode is seen, and what a loss makes of it (docs/propositions.md, P32).

    python paper_checks/take_off.py                       the quick preset: that it runs
    python paper_checks/take_off.py --preset standard     committed; a minute for the model, a quarter of an hour for the rest
    python paper_checks/take_off.py --preset standard --only model
    python paper_checks/take_off.py --page                only the page, from the committed results

model: two outcomes, four losses x hundreds of runs at once, SGD and Adam, with and without a clip, beside
what is predicted (take_off_model.py). grid, bits: runs of the other checks, with the visits to modes
counted, and with Adam's memory of squared gradients (beta_2) shortened from 0.999 to 0.9.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import figure3_hypergrid
import numpy as np
import presets
import tables3_4_bits
from take_off_model import (
    BATCH,
    SLOPES,
    START,
    TARGET,
    Way,
    chance_unseen,
    drawn,
    expected_batches,
    expected_visits,
    run,
)
from take_off_page import write_page

import divergence_lab as dl
from divergence_lab.gflownet import optimiser
from divergence_lab.graphs.spaces.bits import generated_bits
from divergence_lab.results.storage import write_atomically
from divergence_lab.training.loop import train

CHECK, SHORT, CLIP = "take_off", 0.9, 1.0
PARTS = ("model", "grid", "bits")
RATES = {"sgd": (0.1, 0.3, 1.0), "adam": (0.01, 0.03, 0.1)}
NOISES = (0.03, 0.1, 0.3)
AT = tuple(range(0, 301, 10))  # batches at which the share of runs without a visit is kept
MOST = 20_000
SIZES = {
    "quick": {"runs": 60, "rates": 1, "grid": (20, 2), "bits": (3, 1)},
    "standard": {"runs": 400, "rates": 3, "grid": (1_500, 5), "bits": (200, 3)},
    "paper": {"runs": 4_000, "rates": 3, "grid": (3_000, 5), "bits": (600, 5)},
}
GRID, TWO = "hypergrid:2x8:paper", ("quadratic", "shifted_cosh")


def ways(rates: int) -> dict[str, list[Way]]:
    """The ways that the prediction is for, the controls, of which it must fail, and Adam with noise."""
    plain = [
        Way(name, clip, rate)
        for name, some in RATES.items()
        for clip in (np.inf, CLIP)
        for rate in some[-rates:]
    ]
    return {
        "plain": plain,
        "one of the batch from the target": [Way("sgd", np.inf, 0.1, from_target=1)],
        "log Z held, Adam": [Way("adam", np.inf, 0.1, held=True)],
        "noise": [Way("adam", np.inf, 0.01, noise=noise) for noise in NOISES[-rates:]],
    }


def model(size: Mapping[str, Any]) -> dict[str, Any]:
    """Measured beside predicted times, for every way and loss."""
    rng = np.random.default_rng(0)
    rows = [
        row
        for kind, some in ways(size["rates"]).items()
        for way in some
        for row in rows_of(rng, kind, way, size["runs"])
    ]
    return {"runs": size["runs"], "start": START, "target": TARGET, "batch": BATCH, "rows": rows}


def rows_of(rng: np.random.Generator, kind: str, way: Way, runs: int) -> list[dict[str, Any]]:
    """One row a loss; means with their standard errors. Runs that never took off count as MOST."""
    times = run(way, drawn(rng, way), runs, MOST, rng)
    path = run(way, expected_visits(), 1, MOST).grown[:, 0]
    exact = way.optimiser == "sgd" and kind == "plain"
    growth = expected_batches(way) if exact else np.full(len(SLOPES), np.nan)
    chance = chance_unseen(way, 2_000)
    return [
        {
            "kind": kind,
            "loss": loss,
            "optimiser": way.optimiser,
            "clip": None if np.isinf(way.clip) else way.clip,
            "rate": way.rate,
            "noise": way.noise,
            "visited": mean_and_error(times.visited[k]),
            "visited_predicted": figures(chance[k].sum()),
            "unseen": [figures((times.visited[k] > n).mean()) for n in AT],
            "unseen_predicted": [figures(chance[k, n]) for n in AT],
            "grown": mean_and_error(np.where(times.grown[k] > 0, times.grown[k], MOST)),
            "grown_predicted": figures(growth[k]) if exact else None,
            "grown_on_the_mean_path": int(path[k]),
            "left_to_the_rest": figures(np.median(1 - times.reached[k])),
            "never": int((times.grown[k] == 0).sum()),
        }
        for k, loss in enumerate(SLOPES)
    ]


def figures(value: float) -> float:
    """Six significant figures."""
    return float(f"{value:.6g}")


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """The mean, and its standard error."""
    return figures(values.mean()), figures(values.std(ddof=1) / len(values) ** 0.5)


def follow(
    losses: Mapping[str, Any], space: Any, given: Mapping[str, Any], beta_2: float
) -> list[dict[str, Any]]:
    """One row a loss and seed: total variation or modes found, and how many draws so far ended in a
    mode.
    """
    drawn_modes: list[np.ndarray] = []

    def look(step: int, states: Any) -> None:
        drawn_modes.append(np.isin(states.cpu().numpy(), space.modes).sum(axis=-1))

    listed = isinstance(space, dl.PointedDAG)
    with mock.patch.object(optimiser, "BETA_2", beta_2):
        result = train(losses, space, on_drawn=look if listed else None, **given)
    return [
        {
            "beta_2": beta_2,
            "loss": loss,
            "seed": seed,
            "steps": result.steps.tolist(),
            **{
                name: [figures(v) for v in result.metrics[name][row, column]]
                for name in ("tv", "modes_found", "mean_log_reward")
                if name in result.metrics
            },
            **visits_of(np.array(drawn_modes)[:, row, column] if listed else None, result.steps),
        }
        for row, loss in enumerate(result.losses)
        for column, seed in enumerate(result.seeds)
    ]


def visits_of(each: np.ndarray | None, steps: np.ndarray) -> dict[str, Any]:
    """The first step that drew a mode, and how many draws did so before each evaluation."""
    if each is None:
        return {}
    total = np.concatenate([[0], np.cumsum(each)])
    first = int(np.argmax(each > 0)) if each.any() else None
    return {"first_visit": first, "visits": total[steps].tolist()}


def grid(size: Mapping[str, Any]) -> list[dict[str, Any]]:
    """DB on 8 x 8 with the released mean and no clip, at the short beta_2; figure3_hypergrid.py has
    the same runs at 0.999.
    """
    steps, seeds = size["grid"]
    case = figure3_hypergrid.Case(GRID, "db", steps, 8_000, seeds, 30)
    given = figure3_hypergrid.settings(case, ("clamp", "residual-clip"), "mean")
    losses = {name: g for name, g in given.pop("losses").items() if name in TWO}
    return follow(losses, given.pop("graph"), given, SHORT)


def bits(size: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The odd cell: DB with forward-looking flows on 120 bits, no clip, the short beta_2."""
    steps, seeds = size["bits"]
    part = tables3_4_bits.Part("no clip", 120, 8, ("DB",), seeds, steps, 4, clip=1e9)
    losses = {name: dl.to_torch(dl.loss(name)) for name in TWO}
    return [
        row
        for seed in range(seeds)
        for row in follow(
            losses,
            generated_bits(120, 8, seed=seed, name=f"generated:bits:120x8:seed{seed}"),
            {**tables3_4_bits.settings(part, "DB"), "seeds": [seed]},
            SHORT,
        )
    ]


RUN: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {"model": model, "grid": grid, "bits": bits}


def more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--only", type=presets.some_of(PARTS), default=PARTS, help="which of " + ",".join(PARTS)
    )


def main(argv: list[str] | None = None) -> int:
    chosen = presets.arguments(__doc__, argv, more)
    results = presets.folder(CHECK, chosen.preset, chosen.out)
    if not (chosen.page or chosen.gather):
        results.mkdir(parents=True, exist_ok=True)
        for part in chosen.only:
            text = json.dumps(RUN[part](SIZES[chosen.preset]), indent=None) + "\n"
            write_atomically(results / f"{part}.json", text.replace('}, {"', '},\n{"').encode())
    quick = chosen.preset == "quick" and not chosen.page
    committed = results if quick or chosen.out else presets.folder(CHECK, "standard")
    page = results / "take_off.md" if quick or chosen.out else Path(__file__).with_suffix(".md")
    write_page(committed, page, quick or bool(chosen.out))
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
