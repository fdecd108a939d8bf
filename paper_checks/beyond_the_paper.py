"""Beyond the paper: more losses, annealed losses, losses x exploration, sensitivity to alpha and
the learning rate.

    python paper_checks/beyond_the_paper.py                       the quick preset: that everything runs
    python paper_checks/beyond_the_paper.py --preset standard     committed; what was killed goes on, what is done is kept
    python paper_checks/beyond_the_paper.py --page                only the page, from the committed results

What the reviewers of the paper asked for, on spaces whose laws are exact: the total variation, both
KL divergences and the modes come from dynamic programming, not from samples. Each point of the
grids below is a job of a sweep (`divergence-lab sweep`), so it is run once and resumed where it was
killed.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import presets
from beyond_page import write_page

from divergence_lab.graphs.texts import graph_from_text
from divergence_lab.results.storage import load, write_atomically
from divergence_lab.training.sweeps import Job, is_done, jobs, sweep

CHECK = "beyond_the_paper"
FOUR = ["quadratic", "linex(1)", "linex(1/2)", "shifted_cosh"]
# found by: divergence-lab design --left-growth quadratic --right-growth exponential:1/2
# --bounded-second-moment --count 1
DESIGNED = "Piecewise((x**2/2, x < 0), (4*exp(x/2) - 2*x - 4, True))"
MORE = [
    "jeffreys",
    "jsd",
    "triangular",
    "absolute",
    "neyman",
    "log_cosh",
    "huber(1)",
    "quadratic_linex",
    DESIGNED,
]
ANNEALED = [
    "linex(1)",
    "shifted_cosh",
    "quadratic",
    "linex(1) into shifted_cosh",
    "linex(1) then shifted_cosh at 0.3",
    "shifted_cosh into linex(1)",
    "linex(1->0)",
    "linex(0->1)",
]
ALPHAS = ["-1", "-1/2", "0", "1/4", "1/2", "3/4", "1", "3/2", "2"]
RATES = [0.003, 0.01, 0.03, 0.1, 0.3]
SAMPLERS = ["on", "epsilon:0.1", "tempered:2", "replay:0.5", "mixture:0.25", "backward"]
SPACES = ["hypergrid:2x8:paper", "bits:6x2"]
SIZES: Mapping[str, dict[str, Any]] = {
    "quick": {"seeds": 2, "steps": 30, "batch": 16, "evaluations": 4},
    "standard": {"seeds": 5, "steps": 2_000, "batch": 16, "evaluations": 40},
    "paper": {"seeds": 10, "steps": 10_000, "batch": 16, "evaluations": 40},
}


def sections(size: Mapping[str, Any]) -> dict[str, list[Job]]:
    """The jobs of each section."""
    both = {"env": SPACES, "objective": ["tb", "db"]}
    alphas = ["quadratic" if alpha == "0" else f"linex({alpha})" for alpha in ALPHAS]
    return {
        "losses": jobs({**size, "losses": FOUR + MORE}, both),
        "annealing": jobs({**size, "losses": ANNEALED}, both),
        "exploration": jobs({**size, "losses": FOUR}, {**both, "sampler": SAMPLERS}),
        "sensitivity": jobs(
            {**size, "losses": alphas, "env": SPACES[0], "learning_rate": RATES},
            {"objective": ["tb", "db"]},
        ),
    }


def rows_of(section: str, job: Job, folder: Path) -> list[dict[str, Any]]:
    """One row for every member: final values, and `area`, the mean total variation over the run."""
    result = load(folder / job.name)
    modes = len(graph_from_text(job.settings["env"]).modes)
    found = []
    for row, loss in enumerate(result.losses):
        for column, seed in enumerate(result.seeds):
            curves = {name: values[row, column] for name, values in result.metrics.items()}
            area = np.trapezoid(curves["tv"], result.steps) / result.steps[-1]
            found.append(
                {
                    "section": section,
                    "env": job.settings["env"],
                    "objective": result.objective,
                    "sampler": job.settings.get("sampler", "on"),
                    "loss": loss,
                    "learning_rate": result.learning_rates[row],
                    "seed": seed,
                    **{
                        name: f"{curves[name][-1]:.5g}"
                        for name in ("tv", "kl_forward", "kl_reverse")
                    },
                    "modes_found": int(curves["modes_found"][-1]),
                    "modes": modes,
                    "area": f"{area:.5g}",
                    "finite": int(result.finite[row, column]),
                }
            )
    return found


def gather(
    todo: Mapping[str, Sequence[Job]], folder: Path
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """All rows of the jobs that are done, and what is to be known about them."""
    planned = sum(map(len, todo.values()))
    todo = {section: [job for job in of if is_done(job, folder)] for section, of in todo.items()}
    rows = [
        row for section, of in todo.items() for job in of for row in rows_of(section, job, folder)
    ]
    results = [load(folder / job.name) for of in todo.values() for job in of]
    first = results[0]
    kept = ("python", "torch", "numpy", "scipy", "platform", "device", "device_name", "threads")
    return rows, {
        **{key: first.environment[key] for key in kept},
        "seeds": len(first.seeds),
        "steps": int(first.steps[-1]),
        "batch": first.config["batch"],
        "runs": len(rows),
        "jobs": len(results),
        "planned": planned,
        "seconds": round(sum(one.seconds for one in results)),
    }


def save(rows: list[dict[str, Any]], about: Mapping[str, Any], folder: Path) -> None:
    """runs.csv and about.json, each whole or not at all."""
    import io

    folder.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(folder / "runs.csv", text.getvalue().encode())
    write_atomically(folder / "about.json", (json.dumps(dict(about), indent=1) + "\n").encode())


def main(argv: list[str] | None = None, size: Mapping[str, Any] | None = None) -> int:
    chosen = presets.arguments(__doc__, argv)
    results = presets.folder(CHECK, chosen.preset, chosen.out)
    quick = chosen.preset == "quick" and not chosen.page
    if not chosen.page:
        todo = sections(size or SIZES[chosen.preset])
        runs = (
            presets.HERE.parent / "runs" / "paper" / CHECK / chosen.preset
            if chosen.out is None
            else results
        )
        # the first space first: a run that is stopped then has every section
        order = sorted(
            (job for of in todo.values() for job in of),
            key=lambda job: SPACES.index(job.settings["env"]),
        )
        try:
            sweep(order, runs, cluster="none", device=chosen.device)
        except KeyboardInterrupt:
            print(
                "stopped; the jobs that are done are kept, and the same command goes on",
                file=sys.stderr,
            )
        save(*gather(todo, runs), results)
    # a page drawn alone shows what is committed, which the quick preset never is
    whole = quick or (chosen.preset != "quick" and (results / "runs.csv").exists())
    committed = results if whole else presets.folder(CHECK, "standard")
    page = results / f"{CHECK}.md" if quick else Path(__file__).with_suffix(".md")
    write_page(committed, page)
    print(page.read_text() if quick else page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
