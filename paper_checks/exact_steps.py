"""How many steps exact training takes until the total variation stays below 0.01: the table of
docs/training.md.

    python paper_checks/exact_steps.py      results/exact_steps.json; a few minutes

One seed, default settings, nothing drawn.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import numpy as np
import presets

import divergence_lab as dl
from divergence_lab.results.storage import write_atomically

PATH = presets.HERE / "results" / "exact_steps.json"
LOSSES = ("quadratic", "linex(1)", "linex(1/2)", "shifted_cosh")
BELOW, MOST = 0.01, 300
# side and dimensions of a grid -> steps that are looked at, for each objective
GRIDS = {"2x8": {"tb": 20, "db": MOST, "fm": MOST}, "4x8": {"tb": 20, "db": MOST, "fm": MOST}}


def steps_until(
    size: str, objective: str, steps: int, losses: Sequence[str] = LOSSES
) -> dict[str, int | None]:
    """The first step from which on the total variation is below BELOW; None: not within `steps`."""
    result = dl.train(
        {name: dl.to_torch(dl.loss(name)) for name in losses},
        dl.graph_from_text(f"hypergrid:{size}"),
        objective=objective,
        exact=True,
        seeds=1,
        steps=steps,
        evaluations=4 * steps,
        device="cpu",
    )
    assert (np.diff(result.steps) == 1).all()
    found = {}
    for row, loss in enumerate(result.losses):
        above = np.flatnonzero(result.metrics["tv"][row, 0] >= BELOW)
        last = int(result.steps[above[-1]])
        found[loss] = last + 1 if last < steps else None
    return found


def row(name: str, of: list[dict[str, int | None]]) -> str:
    """One line of the table: each grid's steps, loss by loss."""
    cells = [
        " / ".join("over 300" if one[loss] is None else str(one[loss]) for loss in LOSSES)
        for one in of
    ]
    return f"| {name} | {' | '.join(cells)} |"


def main() -> int:
    found = {
        size: {objective: steps_until(size, objective, most) for objective, most in of.items()}
        for size, of in GRIDS.items()
    }
    write_atomically(PATH, (json.dumps(found, indent=1) + "\n").encode())
    print(PATH)
    return 0


if __name__ == "__main__":
    sys.exit(main())
