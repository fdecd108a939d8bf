"""What the committed curves of figure3_hypergrid.py say: areas, and losses compared seed by seed."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from paired import Paired, paired

NAMES = {"window_l1": "L1 of the last samples", "tv": "exact total variation"}
SHOWN = {
    "quadratic": "Quadratic",
    "linex(1)": "Linex(1)",
    "linex(1/2)": "Linex(1/2)",
    "shifted_cosh": "Shifted-Cosh",
}
LEARNED = 0.9  # a run that ends at a larger total variation has learned nothing of the modes


@dataclass(frozen=True, eq=False)
class Curves:
    """`at` [K] trajectories; `values[metric][loss]` [N, K], one row a seed."""

    about: dict[str, Any]
    at: np.ndarray
    values: dict[str, dict[str, np.ndarray]]


def read(*folders: Path) -> dict[str, Curves]:
    """The curves of every case; of one that lies in several folders, as presets do, the longest."""
    found: dict[str, Curves] = {}
    for folder in folders:
        for case, curves in _read(folder).items():
            if case not in found or curves.at[-1] > found[case].at[-1]:
                found[case] = curves
    return found


def _read(folder: Path) -> dict[str, Curves]:
    about = json.loads((folder / "about.json").read_text())
    with open(folder / "curves.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    found = {}
    for case in about:
        of = [row for row in rows if row["case"] == case]
        at = sorted({int(row["trajectories"]) for row in of})
        place = {number: column for column, number in enumerate(at)}
        values = {name: {} for name in NAMES}
        for row in of:
            for name in NAMES:
                table = values[name].setdefault(
                    row["loss"], np.full((about[case]["seeds"], len(at)), np.nan)
                )
                table[int(row["seed"]), place[int(row["trajectories"])]] = float(row[name])
        found[case] = Curves(about[case], np.array(at), values)
    return found


def areas(curves: Curves, metric: str) -> dict[str, np.ndarray]:
    """The mean of the curve over the trajectories, [N] for each loss, from the first moment at
    which it is defined.
    """
    known = np.isfinite(next(iter(curves.values[metric].values()))).all(axis=0)
    at = curves.at[known]
    return {
        loss: np.trapezoid(values[:, known], at, axis=1) / (at[-1] - at[0])
        for loss, values in curves.values[metric].items()
    }


def against_quadratic(curves: Curves, metric: str) -> dict[str, Paired]:
    """The area of each other loss against that of the quadratic one, seed by seed; where both end
    above LEARNED neither is the faster.
    """
    found = areas(curves, metric)
    learned = {loss: values[:, -1] < LEARNED for loss, values in curves.values["tv"].items()}
    return {
        loss: paired(area, found["quadratic"], learned[loss] | learned["quadratic"])
        for loss, area in found.items()
        if loss != "quadratic"
    }


def slowest(curves: Curves, metric: str) -> tuple[str, dict[str, Paired]]:
    """'yes': the quadratic loss is slower than every other one in every seed, by more than MARGIN;
    'no': some loss is slower than it in every seed; else 'not clear'.
    """
    beaten = against_quadratic(curves, metric)
    if all(one.smaller == one.seeds for one in beaten.values()):
        return "yes", beaten
    slower = any(one.larger == one.seeds for one in beaten.values())
    return ("no" if slower else "not clear"), beaten


def fastest(curves: Curves, metric: str) -> tuple[str, int]:
    """The loss with the smallest mean area, and in how many seeds it has the smallest."""
    found = areas(curves, metric)
    first = min(found, key=lambda loss: found[loss].mean())
    least = np.min(list(found.values()), axis=0)
    return first, int((found[first] == least).sum())


def in_seeds(one: Paired) -> str:
    """In how many seeds the first is smaller, and what the others are."""
    rest = [f"{one.ties} tied"] * (one.ties > 0) + [f"{one.neither} not learned"] * (
        one.neither > 0
    )
    return f"{one.smaller} of {one.seeds}" + (f" ({', '.join(rest)})" if rest else "")


def comparisons(found: dict[str, Curves]) -> int:
    """How many pairs of curves are compared on this page: cases x other losses x metrics."""
    return sum(len(curves.values["tv"]) - 1 for curves in found.values()) * len(NAMES)


def cell(values: np.ndarray) -> str:
    """mean ± standard deviation over seeds."""
    return f"{values.mean():.3f} ± {values.std(ddof=1):.3f}"
