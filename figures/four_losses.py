"""Four losses, from their curves to the laws they learn: python figures/four_losses.py

Draws four_losses.svg and four_losses.png from the saved results in four_losses/; trains nothing.
These are of

    divergence-lab train quadratic 'linex(1)' 'linex(1/2)' shifted_cosh --env hypergrid:2x8 --seeds
    5 \\
        --out figures/four_losses
    the same with --steps 200 --out figures/four_losses/short

without the checkpoint, each on a CPU. At the end of the first run all laws look like the target, so
the laws shown are those of the short one. It is a run of its own: its learning rates fall to 0
within its 200 steps.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import sympy as sp
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

import divergence_lab as dl
from divergence_lab.report.palette import COLOURS, DASHES, MARKERS, PAGE, PRINT
from divergence_lab.report.plots import median_seed
from divergence_lab.report.redrawing import redraw
from divergence_lab.results.result import Result
from divergence_lab.theory.expressions.symbols import x

HERE = Path(__file__).resolve().parent
SIZE = (PAGE, 3.0)  # inches
RESIDUALS = np.linspace(-4, 4, 401)


def draw(result: Result, short: Result) -> Figure:
    with mpl.rc_context(PRINT):
        figure = Figure(figsize=SIZE, layout="constrained")
        curves, laws = figure.subfigures(1, 2, width_ratios=(1.7, 1.1))
        left, middle = curves.subplots(1, 2)
        draw_losses(left, result.losses)
        draw_convergence(middle, result)
        curves.legend(
            *left.get_legend_handles_labels(), loc="outside upper left", ncols=2, handlelength=3.5
        )
        draw_laws(laws, short)
    return figure


def style(index: int) -> dict:
    """Colour, dash and marker together, so that each loss survives a grey print."""
    return {
        "color": COLOURS[index],
        "linestyle": DASHES[index],
        "marker": MARKERS[index],
        "markersize": 3,
    }


def divergence_name(name: str) -> str:
    """The divergence of the loss `name` in words, derived now, with its factor where that is not
    1.
    """
    found = dl.divergence(dl.loss(name))
    return str(found) if found.factor == 1 else f"{found.factor} \N{MULTIPLICATION SIGN} {found}"


def draw_losses(axes: Axes, losses: tuple[str, ...]) -> None:
    for index, name in enumerate(losses):
        g = sp.lambdify(x, dl.loss(name).expression, "numpy")
        label = f"{name} \N{RIGHTWARDS ARROW} {divergence_name(name)}"
        axes.plot(RESIDUALS, g(RESIDUALS), label=label, markevery=(12 * index, 50), **style(index))
    axes.set(
        title="The loss on the residual",
        ylim=(0, 8),
        xticks=range(-4, 5, 2),
        ylabel="loss $g(x)$",
        xlabel=r"residual $x=\log p_B-\log p_F$ (nats)"
        "\n"
        r"model has too much $\leftarrow\,\rightarrow$ too little",
    )


def draw_convergence(axes: Axes, result: Result) -> None:
    for index, curves in enumerate(result.metrics["tv"]):
        axes.fill_between(
            result.steps,
            curves.min(axis=0),
            curves.max(axis=0),
            color=COLOURS[index],
            alpha=0.2,
            linewidth=0,
        )
        axes.plot(result.steps, np.median(curves, axis=0), markevery=(2 * index, 8), **style(index))
    axes.set(
        title="The learned law nears the target",
        yscale="log",
        ylabel="total variation to the target (exact)",
        xlabel=f"training steps of {result.config['batch']} trajectories\n"
        f"median and range of {len(result.seeds)} seeds",
    )


def draw_laws(figure: SubFigure, result: Result) -> None:
    """The target and, for each loss, the exact law of the seed with the median total variation."""
    grid = figure.subplots(2, 3)
    panels = [grid[0, 0], *grid[:, 1:].ravel()]
    seeds = [median_seed(result, index) for index in range(len(result.losses))]
    laws = [result.target, *(result.terminal[index, seed] for index, seed in enumerate(seeds))]
    tv = [result.metrics["tv"][index, seed, -1] for index, seed in enumerate(seeds)]
    titles = [
        "target",
        *(f"{name}\nTV {value:.2f}" for name, value in zip(result.losses, tv, strict=True)),
    ]
    top = max(law.max() for law in laws)
    for axes, law, title in zip(panels, laws, titles, strict=True):
        image = axes.imshow(as_grid(result, law), origin="lower", cmap="cividis", vmin=0, vmax=top)
        axes.set_title(title, fontsize=7)
        axes.set(xticks=(0, 7), yticks=(0, 7))
        axes.grid(visible=False)
    for axes in (grid[0, 0], *grid[1, 1:]):
        axes.set_xlabel("$x_1$ (cell)")
    for axes in (grid[0, 0], grid[1, 1]):
        axes.set_ylabel("$x_2$ (cell)")
    grid[1, 0].set_axis_off()
    scale = grid[1, 0].inset_axes((-0.1, 0.5, 0.95, 0.09))
    figure.colorbar(image, cax=scale, orientation="horizontal", label="probability")
    figure.suptitle(
        f"Exact laws after a separate run of only {result.steps[-1]} steps\n"
        "TV: total variation to the target",
        fontsize=7,
    )


def as_grid(result: Result, law: np.ndarray) -> np.ndarray:
    """[X] -> [rows x_2, columns x_1]."""
    cells = np.zeros(result.coordinates.max(axis=0) + 1)
    cells[tuple(result.coordinates.T)] = law
    return cells.T


if __name__ == "__main__":
    saved = HERE / "four_losses"
    redraw(draw(dl.load(saved), dl.load(saved / "short")), HERE / "four_losses", dpi=300)
