"""The sampler changes the class: python figures/sampler_chart.py

Loss by sampler: zero-forcing and zero-avoiding of the divergence whose gradient training follows when objects are drawn so, and
whether it is convex. Draws from sampler_chart/data.json, which figures/computing/save.py makes.
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import divergence_lab as dl
from divergence_lab.palette import CLASSES, STYLE
from divergence_lab.results import ResultError

HERE = Path(__file__).resolve().parent
WEIGHTS = {"on": "$p_F$\n(on-policy)", "mixture:1/10": "$0.9\\,p_F+0.1\\,p_B$", "power:1/2": "$p_F^{1/2}p_B^{1/2}$", "backward": "$p_B$\n(backward)",
           "power:-1/2": "$p_F^{3/2}p_B^{-1/2}$"}


def draw(rows: list[dict]) -> Figure:
    losses = list(dict.fromkeys(row["loss"] for row in rows))
    samplers = list(dict.fromkeys(row["sampler"] for row in rows))
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(7.4, 0.8 + 0.36 * len(losses)), layout="constrained")
        axes = figure.subplots()
        for row in rows:
            at = samplers.index(row["sampler"]), losses.index(row["loss"])
            decided = row["zero_forcing"] is not None and row["zero_avoiding"] is not None
            word, colour = CLASSES[row["zero_forcing"], row["zero_avoiding"]] if decided else ("undecided", "#7F7F7F")
            axes.add_patch(Rectangle((at[0] - 0.48, at[1] - 0.44), 0.96, 0.88, facecolor=colour, alpha=0.28 if row["convex"] else 0.1,
                                     edgecolor=colour, linestyle="-" if row["convex"] else ":"))
            axes.text(*at, word + ("" if row["convex"] else "\nnot convex"), ha="center", va="center", fontsize=7.5)
        axes.set(xlim=(-0.5, len(samplers) - 0.5), ylim=(len(losses) - 0.5, -0.5))
        axes.set_xticks(range(len(samplers)), [WEIGHTS[one] for one in samplers])
        axes.xaxis.tick_top()
        axes.set_yticks(range(len(losses)), losses)
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_xlabel("how often an object is drawn; dotted frames: the divergence is not convex, so data processing fails", fontsize=8)
    return figure


def read() -> list[dict]:
    try:
        return json.loads((HERE / "sampler_chart" / "data.json").read_text())
    except FileNotFoundError as missing:
        raise ResultError(f"{missing.filename} is missing: run figures/computing/save.py") from missing


if __name__ == "__main__":
    dl.plots.save(draw(read()), HERE / "sampler_chart")
