"""Gathers what the poster draws from the saved data of the other figures: python
figures/computing/poster.py

Nothing is trained; formulas are derived anew. Run it after `save.py` and `learned_laws.py`.
"""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import sympy as sp

import divergence_lab as dl
from divergence_lab.report.plots import median_seed
from divergence_lab.results.result import Result
from divergence_lab.results.storage import write_atomically

FIGURES = Path(__file__).resolve().parents[1]
CHOSEN = ("quadratic", "linex(1)", "linex(1/2)", "shifted_cosh")  # one of each class
# relative error below which a gradient is that of D_f alone; what is not is off by more than a
# tenth
EXACT = 1e-12
GROUPS = {
    "P_F logits": "$P_F$ logits",
    "log Z": r"$\log Z$ or $\log F(s_0)$",
    "log F(s0)": r"$\log Z$ or $\log F(s_0)$",
    "interior log F": r"interior $\log F$",
    "P_B logits": "$P_B$ logits",
    "all together": "all together",
    "shared trunk": "shared trunk",
    "edge flows": "edge flows",
    "edge flows, outflow held": "edge flows, outflow held",
}
ON_MAP, LONGEST = 2, 13  # names in a field; letters on a line of it


def read(name: str) -> list | dict:
    return json.loads((FIGURES / name / "data.json").read_text())


def chosen(rows: list[dict]) -> list[dict]:
    return [next(row for row in rows if row["loss"] == name) for name in CHOSEN]


def curves() -> dict:
    saved = read("catalogue_curves")
    return {
        "x": saved["x"],
        "losses": [
            {
                **row,
                "g_formula": sp.latex(dl.loss(row["loss"]).expression),
                "f_formula": sp.latex(dl.derive(dl.loss(row["loss"])).divergence.generator),
            }
            for row in chosen(saved["losses"])
        ],
    }


def bells() -> dict:
    saved = read("mode_seeking")
    return {**saved, "losses": chosen(saved["losses"])}


def fields() -> dict:
    """The first names of each field, the chosen four before others and names that fit on a line
    before longer ones, and how many more there are.
    """
    figure = runpy.run_path(str(FIGURES / "map_of_losses.py"))
    found: dict[tuple[int, int], list[dict]] = {}
    for row in sorted(
        read("map_of_losses"),
        key=lambda row: (row["loss"] not in CHOSEN, len(row["loss"]) > LONGEST),
    ):
        found.setdefault((figure["step"](row["right"]), figure["step"](row["left"])), []).append(
            row
        )
    rows = [
        {
            "column": column,
            "line": line,
            "names": [row["loss"] for row in here[:ON_MAP]],
            "more": max(0, len(here) - ON_MAP),
            "zero_forcing": here[0]["zero_forcing"],
            "zero_avoiding": here[0]["zero_avoiding"],
        }
        for (column, line), here in sorted(found.items())
    ]
    return {"words": figure["WORDS"], "fields": rows}


def laws() -> dict:
    result = dl.load(FIGURES / "learned_laws")
    content = {
        "env": result.config["env"],
        "steps": int(result.steps[-1]),
        "target": as_grid(result, result.target),
        "losses": [],
    }
    for name in CHOSEN:
        index = result.losses.index(name)
        seed = median_seed(result, index)
        content["losses"].append(
            {
                "loss": name,
                "law": as_grid(result, result.terminal[index, seed]),
                "tv": float(result.metrics["tv"][index, seed, -1]),
            }
        )
    return content


def as_grid(result: Result, law: np.ndarray) -> list[list[float]]:
    """[X] -> [rows x_2, columns x_1], to six places."""
    cells = np.zeros(result.coordinates.max(axis=0) + 1)
    cells[tuple(result.coordinates.T)] = law
    return cells.T.round(6).tolist()


def theorem() -> dict:
    saved = read("theorem_table")
    errors = {
        (row["objective"], GROUPS[row["parameters"]]): row["divergence_alone_error"]
        for row in saved
        if row["parameters"] in GROUPS
    }
    off = [error for error in errors.values() if error >= EXACT]
    assert min(off) > 0.1  # nothing lies between yes and no
    return {
        "objectives": list(dict.fromkeys(row["objective"] for row in saved)),
        "groups": list(dict.fromkeys(GROUPS.values())),
        "alone": [
            [objective, group, error < EXACT] for (objective, group), error in errors.items()
        ],
        "exact": max(error for error in errors.values() if error < EXACT),
        "off": min(off),
    }


def main() -> None:
    content = {
        "curves": curves(),
        "bells": bells(),
        "map": fields(),
        "laws": laws(),
        "theorem": theorem(),
    }
    (FIGURES / "poster").mkdir(exist_ok=True)
    write_atomically(FIGURES / "poster" / "data.json", json.dumps(content, indent=1).encode())


if __name__ == "__main__":
    main()
