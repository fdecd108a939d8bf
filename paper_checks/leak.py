"""Data that never leave a set: what a learned log Z does there (docs/propositions.md, P28).

    python paper_checks/leak.py                       the quick preset: that it runs
    python paper_checks/leak.py --preset standard     committed; a few minutes
    python paper_checks/leak.py --page                only the page, from the committed results

Trajectory balance on the 8 x 8 grid with the paper's constants, a table, trajectories drawn backward
from the target, which puts 0.9988 of its mass on four modes. Every law is exact.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import presets
from leak_page import write_page

import divergence_lab as dl
from divergence_lab.gflownet.listed.exact import log_partition, target_distribution
from divergence_lab.graphs.texts import graph_from_text
from divergence_lab.results.provenance import environment
from divergence_lab.results.storage import write_atomically
from divergence_lab.training.arguments import find_device

CHECK, ENV = "leak", "hypergrid:2x8:paper"
LOSSES = ("quadratic", "linex(1)", "linex(1/2)", "shifted_cosh")
HELD = 1e-30  # a learning rate at which nothing moves
SIZES = {
    "quick": {"seeds": 2, "steps": 30},
    "standard": {"seeds": 5, "steps": 2_000},
    "paper": {"seeds": 10, "steps": 10_000},
}


def ways() -> dict[str, dict[str, Any]]:
    """What is changed of the plain backward run in each way."""
    true = log_partition(graph_from_text(ENV))
    return {
        "log Z learned": {"sampler": "backward"},
        "log Z learned, from the truth": {"sampler": "backward", "initial_log_z": true},
        "log Z held at the truth": {
            "sampler": "backward",
            "initial_log_z": true,
            "learning_rate_log_z": HELD,
        },
        "a tenth on-policy": {"sampler": "mixture:0.9"},
    }


def rows_of(way: str, changed: dict[str, Any], size: dict[str, int], device: str) -> list[dict]:
    """One row a loss and seed: total variation, log Z, and the model's mass on the modes."""
    graph = graph_from_text(ENV)
    target, true = target_distribution(graph), log_partition(graph)
    modes = np.isin(graph.terminal_states, graph.modes)
    result = dl.train(
        {name: dl.to_torch(dl.loss(name)) for name in LOSSES},
        graph,
        batch=16,
        evaluations=2,
        device=device,
        **size,
        **changed,
    )
    return [
        {
            "way": way,
            "loss": loss,
            "seed": seed,
            "tv": f"{result.metrics['tv'][row, column, -1]:.6g}",
            "log_z": f"{result.metrics['log_z'][row, column, -1]:.6g}",
            "log_z_true": f"{true:.6g}",
            "on_modes": f"{result.terminal[row, column][modes].sum():.6g}",
            "target_on_modes": f"{target[modes].sum():.6g}",
        }
        for row, loss in enumerate(result.losses)
        for column, seed in enumerate(result.seeds)
    ]


def save(rows: list[dict], about: dict, folder: Path) -> None:
    """runs.csv and about.json, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(folder / "runs.csv", text.getvalue().encode())
    write_atomically(folder / "about.json", (json.dumps(about, indent=1) + "\n").encode())


def main(argv: list[str] | None = None) -> int:
    chosen = presets.arguments(__doc__, argv)
    results = presets.folder(CHECK, chosen.preset, chosen.out)
    quick = chosen.preset == "quick" and not chosen.page
    if not (chosen.page or chosen.gather):
        size = SIZES[chosen.preset]
        rows = [
            row
            for way, changed in ways().items()
            for row in rows_of(way, changed, size, chosen.device)
        ]
        where = environment(find_device(chosen.device))
        kept = {key: where[key] for key in ("python", "torch", "numpy", "device", "threads")}
        save(rows, {**size, "env": ENV, **kept}, results)
    committed = results if quick or chosen.out else presets.folder(CHECK, "standard")
    page = results / "leak.md" if quick or chosen.out else Path(__file__).with_suffix(".md")
    write_page(committed, page, quick or bool(chosen.out))
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
