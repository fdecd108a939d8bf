"""Pictures for teaching: bells, areas, curves, dots, flows and words in boxes.

Each draws what it is given and returns a `Sheet`, which a notebook shows by itself. Colours are
told apart by colour-blind readers; dashes and markers serve a grey print.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Rectangle

from divergence_lab.inputs import InputError
from divergence_lab.report.palette import CLASSES, COLOURS, DASHES, MARKERS, TARGET
from divergence_lab.report.sheet import Sheet, need_result, need_something, sheet
from divergence_lab.results.result import Result

if TYPE_CHECKING:  # drawing needs no theory
    from divergence_lab.report.single_bump import NarrowFit

Character = tuple[bool, bool]  # zero-forcing, zero-avoiding


def bells(
    fits: "Mapping[str, NarrowFit]",
    characters: Mapping[str, Character] | None = None,
    columns: int = 3,
) -> Sheet:
    """The target and the best bell of each loss, a panel each, in the order given.

    characters: (zero-forcing, zero-avoiding) of each, for colour and word; None: one colour.
    """
    need_something(fits, "bells")
    rows, points = math.ceil(len(fits) / columns), next(iter(fits.values())).points
    density = 1 / (points[1] - points[0])
    with sheet(2.5 * columns, 1.75 * rows + 0.4) as figure:
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes in grid.ravel()[len(fits) :]:
            axes.set_visible(False)
        for axes, (name, fit) in zip(grid.ravel(), fits.items()):
            word, colour = CLASSES[characters[name]] if characters else ("", COLOURS[0])
            axes.fill_between(
                points, np.exp(fit.log_target) * density, color=TARGET, linewidth=0, label="target"
            )
            axes.plot(points, fit.law() * density, color=colour, linewidth=2.2, label="best bell")
            axes.set_title(name, fontweight="bold", color=colour, fontsize=8.5)
            said = f"{word}\nwidth {fit.width:.2f}".strip()
            axes.text(
                0.98, 0.96, said, transform=axes.transAxes, ha="right", va="top", fontsize=7.5
            )
            axes.set(xlim=(-5, 5), ylim=(0, 0.85), yticks=(0, 0.4, 0.8))
        grid[0, 0].legend(loc="upper left", fontsize=6.5, handlelength=1, borderpad=0)
        figure.supxlabel("outcome (position on the line)", fontsize=9)
        figure.supylabel("probability density", fontsize=9)
    return figure


def curves(
    at: np.ndarray | Sequence[np.ndarray],
    lines: Mapping[str, np.ndarray],
    *,
    xlabel: str,
    ylabel: str,
    title: str = "",
    breaks: float | None = None,
    **axes_settings: object,
) -> Sheet:
    """Lines over one axis: [K] each, or [N, K], then the median with a band from least to greatest.

    breaks         a line is broken where it jumps by more than this
    axes_settings  what matplotlib's `Axes.set` takes: yscale="log", ylim=(0, 1)
    """
    need_something(lines, "curves")
    with sheet(6.6, 3.3) as figure:
        axes = figure.subplots()
        for index, (name, values) in enumerate(lines.items()):
            colour, dash = COLOURS[index % 8], DASHES[index % 8]
            values = np.atleast_2d(np.asarray(values, dtype=float))
            middle = np.median(values, axis=0)
            if len(values) > 1:
                axes.fill_between(
                    at,
                    values.min(axis=0),
                    values.max(axis=0),
                    color=colour,
                    alpha=0.15,
                    linewidth=0,
                )
            if breaks is not None:
                middle[1:][np.abs(np.diff(middle)) > breaks] = np.nan
            axes.plot(at, middle, color=colour, linestyle=dash, label=name)
        axes.set(xlabel=xlabel, ylabel=ylabel, title=title, **axes_settings)
        if len(lines) > 1:
            axes.legend(loc="best")
    return figure


def areas(losses: Mapping[str, tuple[np.ndarray, np.ndarray]], v: np.ndarray) -> Sheet:
    """g'(v) e^{-v} of each loss with its area from 0, f(e^u)/e^u; and the price of a unit of mass.

    That price is f(t) for t < 1, which tends to f(0), and f(t)/t for t > 1, which tends to f'(oo).
    losses: name -> (g'(v), f(e^v)), [K] each on `v` [K].
    """
    need_something(losses, "areas")
    with sheet(2.7 * (len(losses) + 1), 2.9) as figure:
        panels = figure.subplots(1, len(losses) + 1)
        for index, (name, (slope, generator)) in enumerate(losses.items()):
            colour, dash = COLOURS[index], DASHES[index]
            height = slope * np.exp(-v)
            panels[index].plot(v, height, color=colour)
            panels[index].fill_between(v, height, color=colour, alpha=0.3, linewidth=0)
            panels[index].set(
                title=name,
                xlim=(-1, v.max()),
                xlabel="$v$",
                ylim=(-2, 2),
                ylabel="$g'(v)\\,e^{-v}$" if not index else "",
            )
            price = generator / np.maximum(1, np.exp(v))
            panels[-1].plot(v, price, color=colour, linestyle=dash, label=name)
        panels[-1].set(
            title="left $f(t)$, right $f(t)/t$",
            xlabel="$\\log t$",
            ylim=(0, 4),
            ylabel="price of a unit of mass",
        )
        panels[-1].legend(loc="upper center")
    return figure


def dots(
    panels: Mapping[str, Mapping[str, np.ndarray]],
    *,
    ylabel: str,
    title: str = "",
    baseline: tuple[str, Mapping[str, float]] | None = None,
) -> Sheet:
    """A panel each; in it, for each name, a dot for each value (a seed). One scale, from 0.

    `baseline`: its name in the legend, and the height of its line in each panel.
    """
    need_something(panels, "dots")
    name, heights = baseline or ("", {})
    with sheet(1.1 + 2.1 * len(panels), 3.0) as figure:
        row = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        for axes, (panel, groups) in zip(row, panels.items()):
            for place, values in enumerate(groups.values()):
                spread = place + np.linspace(-0.16, 0.16, len(values))
                axes.plot(
                    spread, np.sort(values), MARKERS[place % 8], color=COLOURS[place % 8],
                    markersize=5, alpha=0.85,
                )  # fmt: skip
            if panel in heights:
                axes.axhline(heights[panel], color="0.4", ls="--", lw=1, label=name)
            axes.set_xticks(range(len(groups)), groups, rotation=35, ha="right")
            axes.set(title=panel, xlim=(-0.6, len(groups) - 0.4))
            axes.grid(axis="x", visible=False)
        row[0].set_ylabel(ylabel)
        row[0].set_ylim(bottom=0)  # last: all panels share it, and have their dots by now
        if heights:
            row[-1].legend(loc="best")
        figure.suptitle(title, fontsize=9.5)
    return figure


def words(cells: Mapping[tuple[str, str], tuple[Character, str]], *, xlabel: str = "") -> Sheet:
    """A table of classes: (row, column) -> ((zero-forcing, zero-avoiding), a remark or nothing)."""
    need_something(cells, "words")
    rows, columns = (list(dict.fromkeys(key[axis] for key in cells)) for axis in (0, 1))
    with sheet(1.6 + 1.3 * len(columns), 0.9 + 0.5 * len(rows), {"axes.grid": False}) as figure:
        axes = figure.subplots()
        for (row, column), (character, remark) in cells.items():
            at = columns.index(column), rows.index(row)
            word, colour = CLASSES[character]
            axes.add_patch(
                Rectangle((at[0] - 0.47, at[1] - 0.43), 0.94, 0.86, facecolor=colour,
                          alpha=0.1 if remark else 0.28, linewidth=0)
            )  # fmt: skip
            axes.text(*at, f"{word}\n{remark}".strip(), ha="center", va="center", fontsize=8)
        axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5), xlabel=xlabel)
        axes.set_xticks(range(len(columns)), columns)
        axes.xaxis.tick_top()
        axes.set_yticks(range(len(rows)), rows)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    return figure


def film(runs: Mapping[str, Result]) -> Sheet:
    """Exact laws on a square grid: a column for each run, the target last, a row for each loss."""
    need_something(runs, "film")
    for run in runs.values():
        need_result(run, "film")
    first = next(iter(runs.values()))
    places, target = first.coordinates, first.target
    if places is None or target is None or places.shape[1] != 2:
        raise InputError("film draws runs on two-dimensional grids, such as hypergrid:2x8")
    side, top = places.max() + 1, 1.3 * target.max()

    def square(law: np.ndarray) -> np.ndarray:
        cells = np.zeros((side, side))
        cells[places[:, 1], places[:, 0]] = law
        return cells

    columns = len(runs) + 1
    wide = max(1.05, min(1.9, 5.7 / columns))
    with sheet(wide * columns + 0.9, 1.25 * len(first.losses), {"axes.grid": False}) as figure:
        grid = figure.subplots(len(first.losses), len(runs) + 1, squeeze=False)
        for row, name in enumerate(first.losses):
            seeds = {title: int(np.argsort(run.metrics["tv"][row, :, -1])[len(run.seeds) // 2])
                     for title, run in runs.items()}  # fmt: skip
            laws = [run.terminal[row, seeds[title]] for title, run in runs.items()]
            for axes, law, title in zip(grid[row], [*laws, target], [*runs, "target"]):
                image = axes.imshow(square(law), origin="lower", cmap="cividis", vmin=0, vmax=top)
                axes.set(xticks=(), yticks=(), title=title if row == 0 else "")
                if title in runs:
                    tv = runs[title].metrics["tv"][row, :, -1]
                    spread = f" ({tv.min():.2f} to {tv.max():.2f})" if len(tv) > 1 else ""
                    axes.set_xlabel(f"TV {tv[seeds[title]]:.3f}{spread}", fontsize=6.5, labelpad=2)
            grid[row, 0].set_ylabel(name, color=COLOURS[row], fontweight="bold")
        figure.colorbar(image, ax=grid, shrink=0.6, label="probability", extend="max")
    return figure


def flows(
    places: Mapping[str, tuple[float, float]],
    amounts: Mapping[tuple[str, str], float],
    stops: Mapping[str, float],
) -> Sheet:
    """A small graph: an arrow as thick as what flows along it, and what stops in each state."""
    need_something(amounts, "flows")
    with sheet(4.6, 3.2, {"axes.grid": False}) as figure:
        axes = figure.subplots()
        thick = {"arrowstyle": "-|>", "color": COLOURS[0]}
        for (start, end), amount in amounts.items():
            a, b = np.array(places[start], float), np.array(places[end], float)
            axes.annotate(
                "", a + 0.84 * (b - a), a + 0.16 * (b - a),
                arrowprops={**thick, "linewidth": 0.5 + 0.6 * amount},
            )  # fmt: skip
            beside = (a + b) / 2 + (0.06, 0.12 if b[1] > a[1] else -0.22)
            axes.text(*beside, f"{amount:g}", color=COLOURS[0], fontsize=10)
        for state, at in places.items():
            axes.plot(*at, "o", markersize=26, color="white", markeredgecolor="black")
            axes.text(*at, state, ha="center", va="center")
            axes.text(at[0], at[1] - 0.36, f"stop: {stops[state]:g}", ha="center", color=COLOURS[1])
        axes.set(xlim=(-0.3, 2.3), ylim=(-1.6, 1.3))
        axes.set_axis_off()
    return figure


def scatters(
    panels: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]], *, xlabel: str, ylabel: str
) -> Sheet:
    """Two vectors against each other, a dot a component, each panel with its diagonal.

    panels: title -> {name: (first [K], second [K])}; each pair is divided by its largest component.
    """
    need_something(panels, "scatters")
    with sheet(1.9 * len(panels), 2.4) as figure:
        row = figure.subplots(1, len(panels), sharey=True)
        for axes, (title, pairs) in zip(row, panels.items()):
            axes.plot([-1.1, 1.1], [-1.1, 1.1], color="#999999", linewidth=0.8)
            for index, (name, pair) in enumerate(pairs.items()):
                size = max(np.abs(side).max() for side in pair)
                axes.plot(
                    pair[0] / size, pair[1] / size, MARKERS[index], color=COLOURS[index],
                    markersize=3.5, alpha=0.75, linewidth=0, label=name,
                )  # fmt: skip
            axes.set(title=title, xticks=(-1, 0, 1), yticks=(-1, 0, 1), aspect="equal")
        row[0].set_ylabel(ylabel)
        row[0].legend(loc="upper left", fontsize=6.5, handletextpad=0.1, borderpad=0.1)
        figure.supxlabel(xlabel, fontsize=9)
    return figure
