"""The laws that nine losses learned in a short run: python figures/learned_laws.py

The target is four cells of a 12x12 grid, hidden behind rewards of 1e-6. Each map is the exact law
of the terminal state after only 500 steps, where losses still differ; after 5000, `main(5000,
folder)` of the script below, none is further than 0.01 from the target. Draws from learned_laws/, a
run that figures/computing/learned_laws.py makes; trains nothing. The class words are verdicts of
`decide`, taken now.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

import divergence_lab as dl
from divergence_lab.report.palette import CLASSES, COLUMN, PRINT
from divergence_lab.report.plots import median_seed
from divergence_lab.report.redrawing import redraw
from divergence_lab.results.result import Result

HERE = Path(__file__).resolve().parent


def draw(result: Result) -> Figure:
    """The target and, for each loss, the exact law of the seed with the median total variation."""
    with mpl.rc_context({**PRINT, "axes.grid": False}):
        figure = Figure(figsize=(COLUMN, 3.7), layout="constrained")
        cut = figure.add_gridspec(3, 4)
        panels = [figure.add_subplot(cut[at // 4, at % 4]) for at in range(len(result.losses) + 1)]
        seeds = [median_seed(result, index) for index in range(len(result.losses))]
        laws = [result.target, *(result.terminal[index, seed] for index, seed in enumerate(seeds))]
        norm = PowerNorm(
            0.5, vmin=0, vmax=2 * result.target.max()
        )  # a law with more on one cell is drawn at the end of the scale
        for index, (axes, law) in enumerate(zip(panels, laws, strict=True)):
            cells = np.zeros(result.coordinates.max(axis=0) + 1)
            cells[tuple(result.coordinates.T)] = law
            image = axes.imshow(cells.T, origin="lower", cmap="cividis", norm=norm)
            axes.set(xticks=(0, len(cells) - 1), yticks=(0, len(cells) - 1))
            axes.tick_params(
                length=1.5, labelleft=index % 4 == 0, labelbottom=index >= len(panels) - 4
            )
            if index == 0:
                axes.set_title("target\n", fontsize=7)
                continue
            name, (word, colour) = result.losses[index - 1], class_of(result.losses[index - 1])
            axes.set_title(f"{name}\n", fontsize=7)
            axes.text(
                0.5,
                1.04,
                word,
                transform=axes.transAxes,
                ha="center",
                va="bottom",
                color=colour,
                fontsize=6.5,
                weight="bold",
            )
            axes.set_xlabel(
                f"TV {result.metrics['tv'][index - 1, seeds[index - 1], -1]:.2f}", labelpad=1
            )
        corner = figure.add_subplot(cut[2, 2:])
        corner.set_axis_off()
        scale = corner.inset_axes((0.1, 0.45, 0.85, 0.14))
        figure.colorbar(
            image,
            cax=scale,
            orientation="horizontal",
            extend="max",
            ticks=(0, 0.05, 0.2, 0.4),
            format="%g",
            label="probability\n(square-root scale)",
        )
        figure.supxlabel("$x_1$ (cell); TV: total variation to the target", fontsize=7)
        figure.supylabel("$x_2$ (cell)", fontsize=7)
        figure.suptitle(
            f"Exact laws after only {result.steps[-1]} steps,\nof {len(result.seeds)} "
            "seeds the one with the median TV"
        )
    return figure


def class_of(name: str) -> tuple[str, str]:
    """The word and the colour of the class, by verdicts taken now."""
    verdicts = dl.decide(dl.loss(name))
    return CLASSES[bool(verdicts.zero_forcing), bool(verdicts.zero_avoiding)]


if __name__ == "__main__":
    redraw(draw(dl.load(HERE / "learned_laws")), HERE / "learned_laws")
