"""The laws that nine losses learned in a short run: python figures/learned_laws.py

The target is four cells of a 12x12 grid, hidden behind rewards of 1e-6. Each map is the exact law of the terminal state after only 500
steps, where losses still differ; after 5000, `main(5000, folder)` of the script below, none is further than 0.01 from the target.
Draws from learned_laws/, a run that figures/computing/learned_laws.py makes; trains nothing. The class words are verdicts of
`decide`, taken now.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure, SubFigure

import divergence_lab as dl
from divergence_lab.palette import CLASSES, DASHES, MARKERS, STYLE
from divergence_lab.plots import median_seed, save
from divergence_lab.results import Result

HERE = Path(__file__).resolve().parent


def draw(result: Result) -> Figure:
    verdicts = [dl.decide(dl.loss(name)) for name in result.losses]
    classes = [CLASSES[bool(one.zero_forcing), bool(one.zero_avoiding)] for one in verdicts]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.4, 4.5), layout="constrained")
        maps, curves = figure.subfigures(1, 2, width_ratios=(1.9, 1))
        draw_laws(maps, result, classes)
        axes = curves.subplots()
        draw_convergence(axes, result, classes)
        curves.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3, handlelength=3, columnspacing=1)
    return figure


def draw_laws(figure: SubFigure, result: Result, classes: list[tuple[str, str]]) -> None:
    """The target and, for each loss, the exact law of the seed with the median total variation."""
    panels = figure.subplots(2, 5)
    seeds = [median_seed(result, index) for index in range(len(result.losses))]
    laws = [result.target, *(result.terminal[index, seed] for index, seed in enumerate(seeds))]
    norm = PowerNorm(0.5, vmin=0, vmax=2 * result.target.max())  # a law with more on one cell is drawn at the end of the scale
    for index, (axes, law) in enumerate(zip(panels.ravel(), laws, strict=True)):
        cells = np.zeros(result.coordinates.max(axis=0) + 1)
        cells[tuple(result.coordinates.T)] = law
        image = axes.imshow(cells.T, origin="lower", cmap="cividis", norm=norm)
        axes.set(xticks=(0, len(cells) - 1), yticks=(0, len(cells) - 1))
        axes.grid(visible=False)
        if index == 0:
            axes.set_title("target\n", fontsize=9)
            continue
        name, (word, colour) = result.losses[index - 1], classes[index - 1]
        axes.set_title(f"{name}\n", fontsize=9)
        axes.text(0.5, 1.03, word, transform=axes.transAxes, ha="center", va="bottom", color=colour, fontsize=8, weight="bold")
        axes.set_xlabel(f"TV {result.metrics['tv'][index - 1, seeds[index - 1], -1]:.2f}", fontsize=9, labelpad=0)
    figure.supxlabel("$x_1$ (cell)", fontsize=8)
    figure.supylabel("$x_2$ (cell)", fontsize=8)
    figure.colorbar(image, ax=panels, shrink=0.7, pad=0.01, extend="max", ticks=(0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4), label="probability (square-root scale)")
    figure.suptitle(f"Exact laws after only {result.steps[-1]} steps, the seed of median TV; TV: total variation to the target", fontsize=9)


def draw_convergence(axes: Axes, result: Result, classes: list[tuple[str, str]]) -> None:
    """Colour tells the class; dash and marker tell the losses of one class apart."""
    met: Counter[str] = Counter()
    for name, curves, (word, colour) in zip(result.losses, result.metrics["tv"], classes, strict=True):
        at = met[word]
        met[word] += 1
        axes.fill_between(result.steps, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.15, linewidth=0)
        axes.plot(result.steps, np.median(curves, axis=0), color=colour, linestyle=DASHES[at], marker=MARKERS[at], markersize=4,
                  markevery=(at, 5), label=name)
    axes.set(ylim=(0, 1), xlim=(0, result.steps[-1]), ylabel="total variation to the target (exact)",
             xlabel=f"training steps of {result.config['batch']} trajectories\nmedian and range of {len(result.seeds)} seeds",
             title="Who nears the target first")


if __name__ == "__main__":
    save(draw(dl.load(HERE / "learned_laws")), HERE / "learned_laws")
