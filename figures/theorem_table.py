"""For which parameters is the gradient that of the divergence? python figures/theorem_table.py

Relative errors of `verify` for Linex(1) on a 2x3 grid: the divergence alone, what theory says
instead, and two controls that must be off. Draws from theorem_table/data.json, which
figures/computing/save.py makes.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from divergence_lab.report.palette import COLUMN, PRINT
from divergence_lab.report.redrawing import redraw
from divergence_lab.results.storage import ResultError

HERE = Path(__file__).resolve().parent
COLUMNS = {
    "divergence_alone_error": "$D_f$\nalone",
    "max_gradient_error": "what\ntheory\nsays",
    "flipped_sign_error": "control:\nsign\nflipped",
    "live_weights_error": "control:\nlive\nweights",
}


def draw(rows: list[dict]) -> Figure:
    table = np.array(
        [[row[key] if row[key] is not None else np.nan for key in COLUMNS] for row in rows],
        dtype=float,
    )
    logs = np.log10(np.clip(table, 1e-16, None))
    with mpl.rc_context({**PRINT, "axes.grid": False}):
        figure = Figure(figsize=(COLUMN, 1.0 + 0.125 * len(rows)), layout="constrained")
        axes = figure.subplots()
        colours = mpl.colormaps["cividis"].copy()
        colours.set_bad("white")
        image = axes.imshow(
            np.ma.masked_invalid(logs), aspect="auto", cmap=colours, vmin=-16, vmax=0
        )
        for at, row in enumerate(table):
            for column, error in enumerate(row):
                shown = (
                    "n/a"
                    if np.isnan(error)
                    else f"{error:.1g}"
                    if error > 0.01 or error == 0
                    else f"{error:.0e}"
                )
                axes.text(
                    column,
                    at,
                    shown,
                    ha="center",
                    va="center",
                    fontsize=6,
                    color="black" if np.isnan(error) or logs[at, column] > -6 else "white",
                )
        axes.set_xticks(range(len(COLUMNS)), COLUMNS.values())
        axes.xaxis.tick_top()
        axes.set_yticks(range(len(rows)), [formula(row["parameters"]) for row in rows], fontsize=6)
        axes.tick_params(length=0)
        names = [row["objective"] for row in rows]
        for name in dict.fromkeys(names):
            first = names.index(name)
            axes.axhline(first - 0.5, color="white", linewidth=2)
            axes.annotate(
                name,
                (0, first + (names.count(name) - 1) / 2),
                (-92, 0),
                ("axes fraction", "data"),
                "offset points",
                rotation=90,
                ha="center",
                va="center",
                weight="bold",
            )
        figure.colorbar(
            image,
            label="relative error of the gradient, $\\log_{10}$",
            orientation="horizontal",
            aspect=40,
            pad=0.01,
            ticks=range(-16, 1, 4),
        )
    return figure


def formula(parameters: str) -> str:
    """A group of parameters as text with formulas."""
    return re.sub(
        r"P_[FB]|log Z|log F(\(s0\))?|F = Z d_F",
        lambda found: (
            "$"
            + found[0].replace("log", "\\log").replace("s0", "s_0").replace("Z d", "Z\\,d")
            + "$"
        ),
        parameters,
    )


def read() -> list[dict]:
    try:
        return json.loads((HERE / "theorem_table" / "data.json").read_text())
    except FileNotFoundError as missing:
        raise ResultError(
            f"{missing.filename} is missing: run figures/computing/save.py"
        ) from missing


if __name__ == "__main__":
    redraw(draw(read()), HERE / "theorem_table")
