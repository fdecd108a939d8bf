"""The sampler changes the class: python figures/sampler_chart.py

Loss by sampler: zero-forcing and zero-avoiding of the divergence whose gradient training follows
when objects are drawn so, and whether it is convex. Draws from sampler_chart/data.json, which
figures/computing/save.py makes.
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from divergence_lab.report.palette import CLASSES, COLUMN, PRINT
from divergence_lab.report.redrawing import redraw
from divergence_lab.results.storage import ResultError

HERE = Path(__file__).resolve().parent
WEIGHTS = {
    "on": "$p_F$\non-policy",
    "mixture:1/10": "$0.9\\,p_F$\n$+0.1\\,p_B$",
    "power:1/2": "$p_F^{1/2}p_B^{1/2}$",
    "backward": "$p_B$\nbackward",
    "power:-1/2": "$p_F^{3/2}p_B^{-1/2}$",
}


def draw(rows: list[dict]) -> Figure:
    losses = list(dict.fromkeys(row["loss"] for row in rows))
    samplers = list(dict.fromkeys(row["sampler"] for row in rows))
    with mpl.rc_context({**PRINT, "axes.grid": False}):
        figure = Figure(figsize=(COLUMN, 0.75 + 0.27 * len(losses)), layout="constrained")
        axes = figure.subplots()
        for row in rows:
            at = samplers.index(row["sampler"]), losses.index(row["loss"])
            decided = row["zero_forcing"] is not None and row["zero_avoiding"] is not None
            word, colour = (
                CLASSES[row["zero_forcing"], row["zero_avoiding"]]
                if decided
                else ("undecided", "#7F7F7F")
            )
            axes.add_patch(
                Rectangle(
                    (at[0] - 0.48, at[1] - 0.44),
                    0.96,
                    0.88,
                    facecolor=colour,
                    alpha=0.28 if row["convex"] else 0.1,
                    edgecolor=colour,
                    linestyle="-" if row["convex"] else ":",
                )
            )
            axes.text(
                *at,
                word.replace("-", "-\n") + ("" if row["convex"] else "*"),
                ha="center",
                va="center",
                fontsize=6.5,
                linespacing=1.0,
            )
        axes.set(xlim=(-0.5, len(samplers) - 0.5), ylim=(len(losses) - 0.5, -0.5))
        axes.set_xticks(range(len(samplers)), [WEIGHTS[one] for one in samplers])
        axes.xaxis.tick_top()
        axes.set_yticks(range(len(losses)), losses)
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_xlabel(
            "columns: how often an object is drawn\n($p_F$: by the model, $p_B$: by the target)\n"
            "* and dotted: not convex, so data processing fails"
        )
    return figure


def read() -> list[dict]:
    try:
        return json.loads((HERE / "sampler_chart" / "data.json").read_text())
    except FileNotFoundError as missing:
        raise ResultError(
            f"{missing.filename} is missing: run figures/computing/save.py"
        ) from missing


if __name__ == "__main__":
    redraw(draw(read()), HERE / "sampler_chart")
