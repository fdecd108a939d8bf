"""The map of losses by their two tails: python figures/map_of_losses.py

Across: how |g'| grows where the model has too little (x -> oo). Up: where it has too much (x ->
-oo). The class of a loss is the region it lies in. Growth is read off g' far out; the classes are
verdicts of `decide`. Draws from map_of_losses/data.json, which figures/computing/save.py makes.
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from divergence_lab.report.palette import CLASSES, PAGE, PRINT
from divergence_lab.report.redrawing import redraw
from divergence_lab.results.storage import ResultError

HERE = Path(__file__).resolve().parent
STEPS = ("falls", "bounded", "slow", "exponential", "e^|x|/|x| or faster")
WORDS = (
    "falls to 0",
    "bounded",
    "unbounded,\nbelow exp.",
    "exp., below\n$e^{|x|}/|x|$",
    "$e^{|x|}/|x|$\nor faster",
)
SHOWN = 6  # names in a field; the rest are counted
HEIGHTS = (1.0, 1.1, 1.1, 0.6, 1.1)  # of the lines, as many names as they hold


def step(growth: str) -> int:
    if growth in STEPS:
        return STEPS.index(growth)
    if growth == "below 1":
        return 3
    return 4 if float(growth) > 0.99 else 3


def draw(rows: list[dict]) -> Figure:
    fields: dict[tuple[int, int], list[dict]] = {}
    for row in rows:
        fields.setdefault((step(row["right"]), step(row["left"])), []).append(row)
    ends = np.cumsum((0, *HEIGHTS))
    with mpl.rc_context({**PRINT, "axes.grid": False}):
        figure = Figure(figsize=(PAGE, 4.3), layout="constrained")
        axes = figure.subplots()
        for column in range(5):
            for line in range(5):
                forcing, avoiding = line >= 2, column >= 4
                here = fields.get((column, line), [])
                # the region says what the verdicts say, or the figure is not drawn
                assert all(
                    (row["zero_forcing"], row["zero_avoiding"]) == (forcing, avoiding)
                    for row in here
                ), here
                _, colour = CLASSES[forcing, avoiding]
                axes.add_patch(
                    Rectangle(
                        (column - 0.5, ends[line]),
                        1,
                        HEIGHTS[line],
                        facecolor=colour,
                        alpha=0.13,
                        linewidth=0,
                    )
                )
                axes.text(
                    column,
                    ends[line] + HEIGHTS[line] / 2,
                    "\n".join(shown(here)),
                    ha="center",
                    va="center",
                    fontsize=6,
                    linespacing=1.15,
                )
        for (forcing, avoiding), (word, colour) in CLASSES.items():  # in fields that hold no loss
            column, line = (
                (4, 3)
                if forcing and avoiding
                else (2, 4)
                if forcing
                else (4, 0)
                if avoiding
                else (2.5, 0)
            )
            axes.text(
                column,
                ends[line] + HEIGHTS[line] / 2,
                word,
                color=colour,
                weight="bold",
                fontsize=7.5,
                ha="center",
                va="center",
            )
        axes.axhline(ends[2], color="black", linewidth=0.8)
        axes.axvline(3.5, color="black", linewidth=0.8)
        axes.set(
            xlim=(-0.5, 4.5),
            ylim=(0, ends[-1]),
            ylabel="growth of $|g'(x)|$ as $x\\to-\\infty$: the model has too much",
            xlabel="growth of $|g'(x)|$ as $x\\to\\infty$: the model has too little\n"
            "* not convex: data processing fails.   A full field names six of its losses; the "
            "figure catalogue_curves has all",
        )
        axes.set_xticks(range(5), WORDS, fontsize=6.5)
        axes.set_yticks(
            (ends[1:] + ends[:-1]) / 2,
            WORDS,
            rotation=90,
            va="center",
            multialignment="center",
            fontsize=6.5,
        )
        axes.tick_params(length=0)
    return figure


def shown(rows: list[dict]) -> list[str]:
    """The first names of a field, a line each, and how many more there are."""
    names = [row["loss"] + ("" if row["convex"] else "*") for row in rows]
    return names[:SHOWN] + ([f"and {len(names) - SHOWN} more"] if len(names) > SHOWN else [])


def read() -> list[dict]:
    try:
        return json.loads((HERE / "map_of_losses" / "data.json").read_text())
    except FileNotFoundError as missing:
        raise ResultError(
            f"{missing.filename} is missing: run figures/computing/save.py"
        ) from missing


if __name__ == "__main__":
    redraw(draw(read()), HERE / "map_of_losses")
