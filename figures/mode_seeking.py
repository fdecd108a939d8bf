"""The best single bell under each divergence: python figures/mode_seeking.py

A target with two modes, a model that can only be one bell: the minimiser of D_f(p||q) over centre
and width. Draws from mode_seeking/data.json, which figures/computing/save.py makes.
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from divergence_lab.report.palette import CLASSES, COLUMN, PRINT, TARGET
from divergence_lab.report.redrawing import redraw
from divergence_lab.results.storage import ResultError

HERE = Path(__file__).resolve().parent


def draw(content: dict) -> Figure:
    grid, target = np.array(content["grid"]), np.array(content["target"])
    with mpl.rc_context(PRINT):
        figure = Figure(figsize=(COLUMN, 4.3), layout="constrained")
        panels = figure.subplots(5, 2, sharex=True, sharey=True)
        for axes, one in zip(
            panels.ravel(), sorted(content["losses"], key=lambda one: one["width"]), strict=True
        ):
            word, colour = CLASSES[one["zero_forcing"], one["zero_avoiding"]]
            bell = np.exp(-(((grid - one["centre"]) / one["width"]) ** 2) / 2)
            axes.fill_between(grid, target / (grid[1] - grid[0]), color=TARGET, linewidth=0)
            axes.plot(grid, bell / bell.sum() / (grid[1] - grid[0]), color=colour)
            axes.text(0.98, 0.97, one["loss"], transform=axes.transAxes, ha="right", va="top")
            axes.text(
                0.98,
                0.78,
                word,
                transform=axes.transAxes,
                ha="right",
                va="top",
                color=colour,
                weight="bold",
            )
            axes.text(
                0.98,
                0.59,
                f"width {one['width']:.2f}",
                transform=axes.transAxes,
                ha="right",
                va="top",
                fontsize=6.5,
            )
            axes.set(yticks=[], xticks=(-5, 0, 5), xlim=(-6, 6), ylim=(0, 0.62))
            axes.grid(visible=False)
        for axes in panels[-1]:
            axes.set_xlabel("outcome")
        figure.supylabel("density", fontsize=7)
        figure.suptitle(
            "Grey: the target. Line: the one bell nearest to it\nunder the divergence of "
            "the loss, narrow to wide"
        )
    return figure


def read() -> dict:
    try:
        return json.loads((HERE / "mode_seeking" / "data.json").read_text())
    except FileNotFoundError as missing:
        raise ResultError(
            f"{missing.filename} is missing: run figures/computing/save.py"
        ) from missing


if __name__ == "__main__":
    redraw(draw(read()), HERE / "mode_seeking")
