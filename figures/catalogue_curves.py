"""Every named loss and the generator of its divergence, on one page: python
figures/catalogue_curves.py

Each panel: g(x) against the residual, and f(t) against log t on the same axis, so that the two can
be compared. Losses with parameters stand at one example. Draws from catalogue_curves/data.json,
which figures/computing/save.py makes.
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from divergence_lab.report.palette import CLASSES, PAGE, PRINT
from divergence_lab.report.plots import wrapped
from divergence_lab.report.redrawing import redraw
from divergence_lab.results.storage import ResultError

HERE = Path(__file__).resolve().parent
ACROSS, HIGH = 8, 0.82  # panels in a row; inches of a row
TOP = 4
REASONS = {
    (True, False): "$f(0^+)=\\infty$: no mass where the target has none",
    (False, True): "$f'(\\infty)=\\infty$: drops no mode altogether",
    (True, True): "both are infinite",
    (False, False): "both are finite",
}


def draw(content: dict) -> Figure:
    groups = [
        (
            key,
            [
                one
                for one in content["losses"]
                if one["of_the_sheet"] and key == (one["zero_forcing"], one["zero_avoiding"])
            ],
        )
        for key in REASONS
    ]
    rows = [-(-len(losses) // ACROSS) for _, losses in groups]
    with mpl.rc_context(PRINT):
        figure = Figure(
            figsize=(PAGE, HIGH * sum(rows) + 0.24 * len(rows) + 0.45), layout="constrained"
        )
        figure.get_layout_engine().set(w_pad=0.01, h_pad=0.02, wspace=0.02, hspace=0.02)
        parts = figure.subfigures(
            len(groups) + 1, 1, height_ratios=[*(HIGH * one + 0.24 for one in rows), 0.45]
        )
        for part, (key, losses), lines in zip(parts, groups, rows):
            word, colour = CLASSES[key]
            part.suptitle(
                f"{word}, {len(losses)} losses",
                x=0.005,
                ha="left",
                color=colour,
                weight="bold",
                fontsize=9,
            )
            part.text(
                0.28,
                1 - 0.14 / (HIGH * lines + 0.24),
                REASONS[key],
                ha="left",
                va="baseline",
                fontsize=7.5,
            )
            panels = part.subplots(lines, ACROSS, sharex=True, sharey=True, squeeze=False)
            for axes, one in zip(panels.ravel(), losses):
                panel(axes, content["x"], one, colour)
            for axes in panels.ravel()[len(losses) :]:
                axes.set_axis_off()
        handles = [
            mpl.lines.Line2D([], [], color="#555555"),
            mpl.lines.Line2D([], [], color="black", linestyle="--", linewidth=0.9),
        ]
        parts[-1].legend(
            handles,
            ["loss $g(x)$ against the residual $x$ (nats)", "generator $f(t)$ against $\\log t$"],
            loc="upper left",
            ncols=2,
            handlelength=3,
            fontsize=7.5,
        )
        parts[-1].text(
            0.01,
            0.38,
            f"all axes: −3 to 3 across, 0 to {TOP} up; * not convex: data processing fails; "
            "† flat around 0: no valid loss",
            va="top",
            fontsize=7.5,
        )
    return figure


def panel(axes: Axes, xs: list[float], one: dict, colour: str) -> None:
    """One loss: its curve in the colour of its class, its generator dashed."""
    axes.plot(xs, one["g"], color=colour)
    axes.plot(xs, one["f"], color="black", linestyle="--", linewidth=0.9)
    axes.set_title(wrapped(one["loss"] + mark(one), 15), fontsize=6.5, linespacing=1.0)
    axes.set(ylim=(0, TOP), xlim=(-3, 3), xticks=(-2, 0, 2), yticks=(0, 2, 4))
    axes.tick_params(labelbottom=False, labelleft=False, length=1.5)


def mark(one: dict) -> str:
    return "†" if not one["valid"] else "" if one["convex"] else "*"


def read() -> dict:
    try:
        return json.loads((HERE / "catalogue_curves" / "data.json").read_text())
    except FileNotFoundError as missing:
        raise ResultError(
            f"{missing.filename} is missing: run figures/computing/save.py"
        ) from missing


if __name__ == "__main__":
    redraw(draw(read()), HERE / "catalogue_curves", dpi=300)
