"""For which parameters is the gradient that of the divergence? python figures/theorem_table.py

Relative errors of `verify` for Linex(1) on a 2x3 grid: the divergence alone, what theory says instead, and two controls that must
be off. Draws from theorem_table/data.json, which figures/computing/save.py makes.
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

import divergence_lab as dl
from divergence_lab.palette import STYLE
from divergence_lab.results import ResultError

HERE = Path(__file__).resolve().parent
COLUMNS = {"divergence_alone_error": "$D_f$ alone", "max_gradient_error": "what\ntheory says", "flipped_sign_error": "control:\nsign flipped",
           "live_weights_error": "control:\nlive weights"}


def draw(rows: list[dict]) -> Figure:
    table = np.array([[row[key] if row[key] is not None else np.nan for key in COLUMNS] for row in rows], dtype=float)
    logs = np.log10(np.clip(table, 1e-16, None))
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(6.4, 0.9 + 0.21 * len(rows)), layout="constrained")
        axes = figure.subplots()
        colours = mpl.colormaps["cividis"].copy()
        colours.set_bad("white")
        image = axes.imshow(np.ma.masked_invalid(logs), aspect="auto", cmap=colours, vmin=-16, vmax=0)
        for at, row in enumerate(table):
            for column, error in enumerate(row):
                shown = "not applicable" if np.isnan(error) else "0" if error == 0 else f"{error:.0e}"
                axes.text(column, at, shown, ha="center", va="center", fontsize=7,
                          color="black" if np.isnan(error) or logs[at, column] > -6 else "white")
        axes.set_xticks(range(len(COLUMNS)), COLUMNS.values())
        axes.xaxis.tick_top()
        axes.set_yticks(range(len(rows)), [f"{row['objective']}: {row['parameters']}" for row in rows], fontsize=7)
        axes.tick_params(length=0)
        for at in range(1, len(rows)):
            if rows[at]["objective"] != rows[at - 1]["objective"]:
                axes.axhline(at - 0.5, color="white", linewidth=2)
        figure.colorbar(image, label="relative error of the gradient, log10", shrink=0.6)
    return figure


def read() -> list[dict]:
    try:
        return json.loads((HERE / "theorem_table" / "data.json").read_text())
    except FileNotFoundError as missing:
        raise ResultError(f"{missing.filename} is missing: run figures/computing/save.py") from missing


if __name__ == "__main__":
    dl.plots.save(draw(read()), HERE / "theorem_table")
