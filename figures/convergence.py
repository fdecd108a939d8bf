"""How fast nine losses near the target, class by class: python figures/convergence.py

The exact total variation to the target over the steps of a short run on four hidden cells: the
median of the seeds as a line, their range as a band; the losses of other classes are drawn in grey.
Draws from convergence/data.json, which figures/computing/learned_laws.py writes; trains nothing.
The class words are verdicts of `decide`, taken now.
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

import divergence_lab as dl
from divergence_lab.report.palette import CLASSES, COLUMN, DASHES, MARKERS, PRINT
from divergence_lab.report.redrawing import redraw
from divergence_lab.results.storage import ResultError

HERE = Path(__file__).resolve().parent


def draw(content: dict) -> Figure:
    steps = np.array(content["steps"])
    curves = {name: np.array(tv) for name, tv in content["losses"].items()}
    classes = {name: class_of(name) for name in curves}
    with mpl.rc_context(PRINT):
        figure = Figure(figsize=(COLUMN, 4), layout="constrained")
        panels = figure.subplots(2, 2, sharex=True, sharey=True)
        for axes, (word, colour) in zip(panels.ravel(), CLASSES.values(), strict=True):
            here = [name for name in curves if classes[name] == (word, colour)]
            for name in (name for name in curves if name not in here):
                axes.plot(steps, np.median(curves[name], axis=0), color="#CCCCCC", linewidth=0.7)
            for at, name in enumerate(here):
                seeds = curves[name]
                axes.fill_between(
                    steps,
                    seeds.min(axis=0),
                    seeds.max(axis=0),
                    color=colour,
                    alpha=0.15,
                    linewidth=0,
                )
                axes.plot(
                    steps,
                    np.median(seeds, axis=0),
                    color=colour,
                    linestyle=DASHES[at],
                    marker=MARKERS[at],
                    markersize=3,
                    markevery=(2 * at, 10),
                    label=name,
                )
            axes.set_title(word, color=colour, weight="bold")
            axes.legend(
                loc="upper right",
                ncols=2 if len(here) > 2 else 1,
                handlelength=2.6,
                borderaxespad=0,
                labelspacing=0.2,
                columnspacing=0.8,
                handletextpad=0.4,
                fontsize=6.2,
            )
            axes.set(ylim=(0, 1.42), yticks=(0, 0.2, 0.4, 0.6, 0.8, 1), xlim=(0, steps[-1]))
        seeds = len(next(iter(curves.values())))
        figure.supxlabel(
            f"training steps of {content['batch']} trajectories\nline: median of {seeds} "
            "seeds, band: their range; grey: other classes",
            fontsize=7,
        )
        figure.supylabel("total variation to the target (exact)", fontsize=7)
    return figure


def class_of(name: str) -> tuple[str, str]:
    """The word and the colour of the class, by verdicts taken now."""
    verdicts = dl.decide(dl.loss(name))
    return CLASSES[bool(verdicts.zero_forcing), bool(verdicts.zero_avoiding)]


def read() -> dict:
    try:
        return json.loads((HERE / "convergence" / "data.json").read_text())
    except FileNotFoundError as missing:
        raise ResultError(
            f"{missing.filename} is missing: run figures/computing/learned_laws.py"
        ) from missing


if __name__ == "__main__":
    redraw(draw(read()), HERE / "convergence")
