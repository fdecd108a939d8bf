"""Trains what learned_laws, convergence and the poster draw: python
figures/computing/learned_laws.py

Nine losses x five seeds on a CPU, into figures/learned_laws/. It is the run of

    divergence-lab train quadratic 'linex(1)' 'linex(1/2)' shifted_cosh jeffreys jsd triangular
    absolute log_cosh \\
        --env hypergrid:2x12:paper --seeds 5 --steps 500 --device cpu --out figures/learned_laws

but with fewer evaluations, so that the folder stays small, and without the checkpoint. 500 steps
are few on purpose: at the end of a long run the laws differ less than the eye can see. The curves
of the run are written once more, for figures/convergence.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import divergence_lab as dl
from divergence_lab.graphs.texts import space_from_text
from divergence_lab.results.result import Result
from divergence_lab.results.storage import save, write_atomically

LOSSES = (
    "quadratic",
    "linex(1)",
    "linex(1/2)",
    "shifted_cosh",
    "jeffreys",
    "jsd",
    "triangular",
    "absolute",
    "log_cosh",
)
FOLDER = Path(__file__).resolve().parents[1] / "learned_laws"


def main(steps: int = 500, folder: Path = FOLDER) -> None:
    losses = {name: dl.to_torch(dl.loss(name)) for name in LOSSES}
    result = dl.train(
        losses,
        space_from_text("hypergrid:2x12:paper"),
        seeds=5,
        steps=steps,
        device="cpu",
        evaluations=25,
    )
    save(result, folder, overwrite=True)
    write_curves(result, folder.with_name("convergence"))


def write_curves(result: Result, folder: Path) -> None:
    """Total variation [seed, evaluation] of each loss, and the steps of the evaluations."""
    content = {
        "batch": result.config["batch"],
        "steps": result.steps.tolist(),
        "losses": {
            name: tv.round(6).tolist() for name, tv in zip(result.losses, result.metrics["tv"])
        },
    }
    folder.mkdir(exist_ok=True)
    write_atomically(folder / "data.json", json.dumps(content).encode())


if __name__ == "__main__":
    main()
