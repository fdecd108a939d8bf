"""What a loss changes, in one row: python figures/two_modes.py

A target with two modes, a model that can only be one bump: the best it can do under each of the
paper's four losses. Draws from two_modes/data.json, which figures/computing/save.py makes.
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from divergence_lab.report.palette import CLASSES, PAGE, PRINT, TARGET
from divergence_lab.report.redrawing import redraw
from divergence_lab.results.storage import ResultError

HERE = Path(__file__).resolve().parent


def draw(content: dict) -> Figure:
    grid, target = np.array(content["grid"]), np.array(content["target"])
    step = grid[1] - grid[0]
    with mpl.rc_context(PRINT):
        figure = Figure(figsize=(PAGE, 1.85), layout="constrained")
        panels = figure.subplots(1, len(content["losses"]), sharey=True)
        for axes, one in zip(panels, content["losses"], strict=True):
            word, colour = CLASSES[one["zero_forcing"], one["zero_avoiding"]]
            bell = np.exp(-(((grid - one["centre"]) / one["width"]) ** 2) / 2)
            bell /= bell.sum()
            axes.fill_between(grid, target / step, color=TARGET, linewidth=0)
            axes.plot(grid, bell / step, color=colour, linewidth=1.8)
            name = textwrap.fill(one["divergence_name"], 22)
            axes.set_title(f"{one['loss']}\n{name}", linespacing=1.1)
            says = f"{word}\n{what_it_does(grid, bell)}"
            axes.text(
                0.98, 0.97, says, transform=axes.transAxes, ha="right", va="top", color=colour
            )
            axes.set(xticks=[], yticks=[], xlim=(-6, 6), ylim=(0, 0.66))
            axes.grid(visible=False)
        panels[0].set_ylabel("grey: target\nline: best single bump")
    return figure


def what_it_does(grid: np.ndarray, bell: np.ndarray) -> str:
    """What a reader sees, from the share that the smaller mode is given."""
    smaller = min(bell[grid < 0.2].sum(), bell[grid >= 0.2].sum())
    if smaller < 0.03:
        return "keeps one mode"
    return "leans to one mode" if smaller < 0.2 else "covers both modes"


def read() -> dict:
    try:
        return json.loads((HERE / "two_modes" / "data.json").read_text())
    except FileNotFoundError as missing:
        raise ResultError(
            f"{missing.filename} is missing: run figures/computing/save.py"
        ) from missing


if __name__ == "__main__":
    redraw(draw(read()), HERE / "two_modes")
