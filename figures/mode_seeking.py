"""The best single bell under each divergence: python figures/mode_seeking.py

A target with two modes, a model that can only be one bell: the minimiser of D_f(p||q) over centre and width. Draws from
mode_seeking/data.json, which figures/computing/save.py makes.
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

import divergence_lab as dl
from divergence_lab.palette import CLASSES, STYLE, TARGET
from divergence_lab.results import ResultError

HERE = Path(__file__).resolve().parent


def draw(content: dict) -> Figure:
    grid, target = np.array(content["grid"]), np.array(content["target"])
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 3.9), layout="constrained")
        panels = figure.subplots(2, 5, sharex=True, sharey=True)
        for axes, one in zip(panels.ravel(), sorted(content["losses"], key=lambda one: one["width"]), strict=True):
            word, colour = CLASSES[one["zero_forcing"], one["zero_avoiding"]]
            bell = np.exp(-(((grid - one["centre"]) / one["width"]) ** 2) / 2)
            axes.fill_between(grid, target / (grid[1] - grid[0]), color=TARGET, linewidth=0)
            axes.plot(grid, bell / bell.sum() / (grid[1] - grid[0]), color=colour)
            axes.set_title(one["loss"], fontsize=9)
            axes.text(0.98, 0.94, word, transform=axes.transAxes, ha="right", va="top", color=colour, fontsize=8, weight="bold")
            axes.text(0.98, 0.82, f"width {one['width']:.2f}", transform=axes.transAxes, ha="right", va="top", fontsize=7)
            axes.set(yticks=[], xticks=(-5, 0, 5), xlim=(-6, 6))
            axes.grid(visible=False)
        for axes in panels[1]:
            axes.set_xlabel("outcome")
        for axes in panels[:, 0]:
            axes.set_ylabel("density")
        figure.suptitle("Grey: the target. Line: the one bell that is nearest to it under the loss's divergence, narrow to wide", fontsize=9)
    return figure


def read() -> dict:
    try:
        return json.loads((HERE / "mode_seeking" / "data.json").read_text())
    except FileNotFoundError as missing:
        raise ResultError(f"{missing.filename} is missing: run figures/computing/save.py") from missing


if __name__ == "__main__":
    dl.plots.save(draw(read()), HERE / "mode_seeking")
