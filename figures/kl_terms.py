"""Where your KL term stands decides what it minimises. python figures/kl_terms.py

The slope g' of the loss as which k1, k2, k3 act in the loss, in the reward and weighted, and
what each minimises. Draws from kl_terms/data.json, which figures/computing/save.py makes.
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from divergence_lab.report.palette import COLOURS, PAGE, PRINT
from divergence_lab.report.redrawing import redraw
from divergence_lab.results.storage import ResultError

HERE = Path(__file__).resolve().parent
ROWS = {"k1": "$k_1=-x$", "k2": "$k_2=x^2/2$", "k3": "$k_3=e^x-x-1$"}
COLUMNS = {
    "loss": "in the loss\n$g'=k'$",
    "reward": "in the reward\n$g'=-k$",
    "weighted": "weighted\n$g'=k'-k$",
}
# what is minimised -> colour, line, word
REVERSE, FORWARD, NONE = (
    (COLOURS[0], "-", "reverse KL"),
    (COLOURS[1], "--", "FORWARD KL"),
    (COLOURS[7], ":", "no f-divergence"),
)
KINDS = {"reverse KL": REVERSE, "forward KL": FORWARD, None: NONE}
TOP = 3.2


def draw(cells: list[dict]) -> Figure:
    by_place = {(cell["term"], cell["placement"]): cell for cell in cells}
    with mpl.rc_context({**PRINT, "axes.grid": False}):
        figure = Figure(figsize=(PAGE, 4.5), layout="constrained")
        grid = figure.subplots(len(ROWS), len(COLUMNS), sharex=True, sharey=True)
        for row, term in enumerate(ROWS):
            for column, placement in enumerate(COLUMNS):
                _cell(grid[row][column], by_place[term, placement])
            grid[row][0].set_ylabel(ROWS[term], rotation=0, ha="right", va="center", fontsize=9)
        for column, words in enumerate(COLUMNS.values()):
            grid[0][column].set_title(words, fontsize=9)
            grid[-1][column].set_xlabel("residual $x=\\log(p_B/p_F)$")
        figure.suptitle("Where your KL term stands decides what it minimises", fontsize=11)
    return figure


def _cell(axes: Axes, cell: dict) -> None:
    x, slope = np.array(cell["x"]), np.array(cell["slope"])
    colour, dash, word = KINDS[cell["divergence"]]
    word = "no gradient at all" if cell["zero_gradient"] else word
    pushes = x * slope < 0
    axes.fill_between(x, slope, 0, where=pushes, color="#F3D9C0", linewidth=0)
    axes.axhline(0, color="#BBBBBB", linewidth=0.6)
    axes.axvline(0, color="#BBBBBB", linewidth=0.6)
    axes.plot(x, slope, color=colour, linestyle=dash, linewidth=1.8)
    axes.set_ylim(-TOP, TOP)
    axes.text(0.04, 0.94, word, transform=axes.transAxes, va="top", weight="bold", color=colour)
    if pushes.any():
        told = "shaded: pushes away\nfrom agreement"
        axes.text(0.97, 0.8, told, transform=axes.transAxes, ha="right", va="top", fontsize=6)


def read() -> list[dict]:
    try:
        return json.loads((HERE / "kl_terms" / "data.json").read_text())
    except FileNotFoundError as missing:
        raise ResultError(
            f"{missing.filename} is missing: run figures/computing/save.py"
        ) from missing


if __name__ == "__main__":
    redraw(draw(read()), HERE / "kl_terms")
