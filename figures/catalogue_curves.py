"""Ten losses and the generators of their divergences: python figures/catalogue_curves.py

Each panel: g(x) against the residual, and f(t) against log t on the same axis, so that the two can be compared. Draws from
catalogue_curves/data.json, which figures/computing/save.py makes.
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

import divergence_lab as dl
from divergence_lab.palette import CLASSES, STYLE
from divergence_lab.results import ResultError

HERE = Path(__file__).resolve().parent


def draw(content: dict) -> Figure:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 4.5), layout="constrained")
        panels = figure.subplots(2, 5, sharex=True, sharey=True)
        for axes, one in zip(panels.ravel(), content["losses"], strict=True):
            word, colour = CLASSES[one["zero_forcing"], one["zero_avoiding"]]
            axes.plot(content["x"], one["g"], color=colour, label="g(x)")
            axes.plot(content["x"], one["f"], color="black", linestyle="--", linewidth=1.1, label="f(t), t = e^x")
            factor = "" if one["factor"] == "1" else f"{one['factor']} x "
            axes.set_title(one["loss"] + "\n" + textwrap.fill(factor + one["divergence"], 24), fontsize=8)
            axes.text(0.5, 0.94, word, transform=axes.transAxes, ha="center", va="top", color=colour, fontsize=8, weight="bold",
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.85})
            axes.set(ylim=(0, 6), xlim=(-3, 3))
        for axes in panels[1]:
            axes.set_xlabel("residual $x=\\log t$ (nats)")
        for axes in panels[:, 0]:
            axes.set_ylabel("$g(x)$, $f(e^x)$")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        handles[0] = mpl.lines.Line2D([], [], color="#555555")
        figure.legend(handles, ["loss g(x), coloured by its class", "generator f(t) of its divergence"], loc="outside lower center", ncols=2)
    return figure


def read() -> dict:
    try:
        return json.loads((HERE / "catalogue_curves" / "data.json").read_text())
    except FileNotFoundError as missing:
        raise ResultError(f"{missing.filename} is missing: run figures/computing/save.py") from missing


if __name__ == "__main__":
    dl.plots.save(draw(read()), HERE / "catalogue_curves")
