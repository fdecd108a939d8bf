"""The map of losses by their two tails: python figures/map_of_losses.py

Across: how |g'| grows where the model has too little (x -> oo). Up: where it has too much (x -> -oo). The class of a loss is the region it
lies in. Growth is read off g' far out; the classes are verdicts of `decide`. Draws from map_of_losses/data.json, which
figures/computing/save.py makes.
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import divergence_lab as dl
from divergence_lab.palette import CLASSES, STYLE
from divergence_lab.results import ResultError

HERE = Path(__file__).resolve().parent
STEPS = ("falls", "bounded", "slow", "exponential", "e^|x|/|x| or faster")
WORDS = ("falls to 0", "bounded", "unbounded,\nbelow exponential", "exponential,\nbelow $e^{|x|}/|x|$", "$e^{|x|}/|x|$\nor faster")
SHOWN = 7  # names in a field; the rest are counted


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
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(9.6, 6.4), layout="constrained")
        axes = figure.subplots()
        for column in range(5):
            for line in range(5):
                forcing, avoiding = line >= 2, column >= 4
                here = fields.get((column, line), [])
                # the region says what the verdicts say, or the figure is not drawn
                assert all((row["zero_forcing"], row["zero_avoiding"]) == (forcing, avoiding) for row in here), here
                _, colour = CLASSES[forcing, avoiding]
                axes.add_patch(Rectangle((column - 0.5, line - 0.5), 1, 1, facecolor=colour, alpha=0.13, linewidth=0))
                names = [row["loss"] + ("" if row["convex"] else "*") for row in here]
                more = [f"and {len(names) - SHOWN} more"] if len(names) > SHOWN else []
                axes.text(column, line, "\n".join("\n".join(textwrap.wrap(name, 24)) for name in names[:SHOWN] + more), ha="center", va="center",
                          fontsize=7)
        for (forcing, avoiding), (word, colour) in CLASSES.items():
            at = 4.47 if avoiding else -0.47 if forcing else 3.47
            axes.text(at, 4.47 if forcing else -0.47, word, color=colour, weight="bold", fontsize=11, ha="left" if at < 0 else "right", va="top" if forcing else "bottom")
        axes.axhline(1.5, color="black", linewidth=1)
        axes.axvline(3.5, color="black", linewidth=1)
        axes.set(xlim=(-0.5, 4.5), ylim=(-0.5, 4.5), xlabel="growth of $|g'(x)|$ as $x\\to\\infty$: the model has too little, a mode is dropped",
                 ylabel="growth of $|g'(x)|$ as $x\\to-\\infty$: the model has too much")
        axes.set_xticks(range(5), WORDS)
        axes.set_yticks(range(5), WORDS, rotation=90, va="center", multialignment="center")
        axes.tick_params(length=0)
        figure.text(0.995, 0.005, "* not convex: data processing fails", ha="right", fontsize=7)
    return figure


def read() -> list[dict]:
    try:
        return json.loads((HERE / "map_of_losses" / "data.json").read_text())
    except FileNotFoundError as missing:
        raise ResultError(f"{missing.filename} is missing: run figures/computing/save.py") from missing


if __name__ == "__main__":
    dl.plots.save(draw(read()), HERE / "map_of_losses")
