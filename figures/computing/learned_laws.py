"""Trains what figures/learned_laws.py and figures/poster.py draw: python figures/computing/learned_laws.py

Nine losses x five seeds on a CPU, into figures/learned_laws/. It is the run of

    divergence-lab train quadratic 'linex(1)' 'linex(1/2)' shifted_cosh jeffreys jsd triangular absolute log_cosh \\
        --env hypergrid:2x12:paper --seeds 5 --steps 500 --device cpu --out figures/learned_laws

but with fewer evaluations, so that the folder stays small, and without the checkpoint. 500 steps are few on purpose:
at the end of a long run the laws differ less than the eye can see.
"""

from __future__ import annotations

from pathlib import Path

import divergence_lab as dl
from divergence_lab.graphs.environments import space_from_text
from divergence_lab.results import save

LOSSES = ("quadratic", "linex(1)", "linex(1/2)", "shifted_cosh", "jeffreys", "jsd", "triangular", "absolute", "log_cosh")
FOLDER = Path(__file__).resolve().parents[1] / "learned_laws"


def main(steps: int = 500, folder: Path = FOLDER) -> None:
    losses = {name: dl.to_torch(dl.loss(name)) for name in LOSSES}
    save(dl.train(losses, space_from_text("hypergrid:2x12:paper"), seeds=5, steps=steps, device="cpu", evaluations=25), folder)


if __name__ == "__main__":
    main()
