"""Results -> matplotlib figures. Draws what it is given: nothing here trains, derives or measures.

Every figure tells its lines apart by colour (Okabe and Ito's eight, safe for colour-blind readers),
by dash and by marker, so that it also survives a grey print.
"""

import contextlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from divergence_lab.inputs import InputError
from divergence_lab.outputs import write_atomically
from divergence_lab.report.palette import COLOURS, DASHES, MARKERS, STYLE
from divergence_lab.report.sheet import Sheet, need_result
from divergence_lab.report.teaching import areas as areas
from divergence_lab.report.teaching import bells as bells
from divergence_lab.report.teaching import curves as curves
from divergence_lab.report.teaching import dots as dots
from divergence_lab.report.teaching import film as film
from divergence_lab.report.teaching import flows as flows
from divergence_lab.report.teaching import scatters as scatters
from divergence_lab.report.teaching import words as words
from divergence_lab.results.result import Result


@contextlib.contextmanager
def _figure(width: float, height: float) -> Iterator[Figure]:
    with mpl.rc_context(STYLE):
        figure = Sheet(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure


def save(figure: Figure, path: str | Path, dpi: int = 200) -> tuple[Path, Path]:
    """Write `path`.svg and `path`.png (`dpi` dots an inch), each whole or not at all; returns both
    paths.
    """
    written = Path(path).with_suffix(".svg"), Path(path).with_suffix(".png")
    with mpl.rc_context(STYLE):
        for file, given in zip(written, ({"metadata": {"Date": None}}, {"dpi": dpi}), strict=True):
            drawn = io.BytesIO()
            figure.savefig(drawn, format=file.suffix[1:], **given)
            write_atomically(file, drawn.getvalue())
    return written


def wrapped(name: str, longest: int) -> str:
    """The name of a loss on lines of at most `longest` letters, where it can be broken: after
    `_` and before `(`.
    """
    lines = [""]
    for part in re.findall(r"\(.*|[^_(]+_?", name):
        if lines[-1] and len(lines[-1] + part) > longest:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _style(index: int) -> dict:
    return {"color": COLOURS[index % 8], "linestyle": DASHES[index % 8]}


def loss_and_generator(
    residuals: np.ndarray,
    losses: Mapping[str, np.ndarray],
    ratios: np.ndarray,
    generators: Mapping[str, np.ndarray],
) -> Figure:
    """g(x) against the residual beside f(t) against the ratio, one line a loss.

    residuals, ratios   x [K] in nats, and t = e^x [J] above 0
    losses, generators  name -> g(x) [K], and f(t) [J]
    """
    with _figure(7.4, 3.2) as figure:
        left, right = figure.subplots(1, 2)
        for axes, points, curves in ((left, residuals, losses), (right, ratios, generators)):
            for index, (name, values) in enumerate(curves.items()):
                axes.plot(points, values, label=name, **_style(index))
        left.set(
            xlabel=r"residual $x=\log p_B-\log p_F$ (nats)"
            "\n"
            r"model has too much $\leftarrow\,\rightarrow$ too little",
            ylabel="loss $g(x)$",
            title="Loss on the residual",
            ylim=(0, _robust_top(losses)),
        )
        right.set(
            xlabel=r"ratio $t=p_B/p_F$"
            "\n"
            r"model has too much $\leftarrow\,\rightarrow$ too little",
            ylabel="generator $f(t)$",
            xscale="log",
            title="Generator of the f-divergence",
            ylim=(0, _robust_top(generators)),
        )
        handles, labels = left.get_legend_handles_labels()
        figure.legend(
            handles,
            [_short(label, 40) for label in labels],
            loc="outside upper center",
            ncols=min(4, len(labels)),
        )
    return figure


def hockey_sticks(losses: Mapping[str, Mapping[str, tuple]]) -> Figure:
    """How much each loss weighs E_{e^|u|}(p_F || p_B), left, and E_{e^u}(p_B || p_F), right
    (Proposition 7): {name: {"model_exceeds" | "target_exceeds": (u >= 0, weights, atoms)}}.

    A single hockey stick (u, weight) of `atoms` is a stem with a marker.
    """
    with _figure(7.4, 3.2) as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        for index, (name, sides) in enumerate(losses.items()):
            for axes, side, sign in ((left, "model_exceeds", -1), (right, "target_exceeds", 1)):
                places, weights, atoms = sides[side]
                axes.plot([sign * u for u in places], weights, label=name, **_style(index))
                for u, weight in atoms:
                    axes.plot([sign * u] * 2, [0, weight], **_style(index))
                    axes.plot(
                        [sign * u],
                        [weight],
                        marker=MARKERS[index],
                        color=COLOURS[index],
                        clip_on=False,
                    )
        left.set(
            xlabel="residual $u<0$ (nats)",
            ylabel="weight",
            title="model has too much: $E_{e^{|u|}}(p_F\\|p_B)$",
            xlim=(-4, 0),
            ylim=np.clip(left.get_ylim(), -3, 3),
        )
        right.set(
            xlabel="residual $u>0$ (nats)",
            title="model has too little: $E_{e^u}(p_B\\|p_F)$",
            xlim=(0, 4),
        )
        handles, labels = left.get_legend_handles_labels()
        figure.legend(
            handles, [_short(label, 40) for label in labels], loc="outside upper center", ncols=2
        )
    return figure


def _robust_top(curves: Mapping[str, np.ndarray]) -> float:
    """An upper limit that shows every curve's middle instead of the steepest one's end."""
    return float(2.5 * np.median([np.nanmax(values) for values in curves.values()]) ** 0.75 + 0.5)


def convergence(result: Result, threshold: float | None = None) -> Figure:
    """Exact total variation against training steps: median over seeds, band from the least to
    the greatest.

    `result`: of a graph whose states are listed. `threshold`: a line at this total variation, 0 to
    1, below which a run counts as converged; None: no line.
    """
    need_result(result, "convergence")
    with _figure(6.2, 3.6) as figure:
        axes = figure.subplots()
        for index, name in enumerate(result.losses):
            curves = result.metrics["tv"][index]
            middle = np.median(curves, axis=0)
            axes.fill_between(
                result.steps,
                curves.min(axis=0),
                curves.max(axis=0),
                color=COLOURS[index % 8],
                alpha=0.15,
                linewidth=0,
            )
            axes.plot(
                result.steps,
                middle,
                label=_short(name, 40),
                marker=MARKERS[index % 8],
                markersize=4,
                markevery=(index, max(1, len(middle) // 9)),
                **_style(index),
            )
        if threshold is not None:
            axes.axhline(threshold, color="#555555", linewidth=0.8)
            axes.annotate(
                f"converged: below {threshold:g}",
                (0.995, threshold),
                xycoords=("axes fraction", "data"),
                ha="right",
                va="bottom",
                fontsize=7,
                color="#555555",
            )
        axes.set(
            yscale="log",
            xlabel=f"training steps (batch of {result.config['batch']} trajectories each)",
            ylabel="total variation to the target (exact)",
            title=f"{result.config['env']}: median of {len(result.seeds)} seeds; bands reach "
            "from the best to "
            "the worst",
        )
        axes.legend(loc="best")
    return figure


def learned_laws(result: Result, chosen: Sequence[int] | None = None) -> Figure:
    """The target beside the exact learned law of each loss, on a two-dimensional grid; one colour
    scale for all.

    `chosen` [L]: the position of the seed shown for each loss (default: the one whose total
    variation is the median). Raises ValueError for any other graph than a two-dimensional grid.
    """
    need_result(result, "learned_laws")
    if result.coordinates is None or result.coordinates.shape[1] != 2:
        raise InputError(
            "learned_laws draws two-dimensional grids; for other graphs plot "
            "result.terminal directly"
        )
    if chosen is None:
        chosen = [median_seed(result, index) for index in range(len(result.losses))]
    laws = [result.terminal[index, seed] for index, seed in enumerate(chosen)]
    off = [np.log(result.target) - np.log(np.maximum(law, 1e-300)) for law in laws]
    top = 1.1 * float(result.target.max())
    reach = float(np.clip(max(np.abs(o).max() for o in off), 1e-3, 5))
    with _figure(1.5 * (len(laws) + 1) + 1.0, 4.3) as figure:
        grid = figure.subplots(2, len(laws) + 1, squeeze=False)
        for axes, law in zip(grid[0], [result.target, *laws]):
            upper = axes.imshow(
                _as_grid(result, law).T, origin="lower", cmap="cividis", vmin=0, vmax=top
            )
        for axes, values in zip(grid[1, 1:], off):
            lower = axes.imshow(
                _as_grid(result, values).T, origin="lower", cmap="PuOr_r", vmin=-reach, vmax=reach
            )
        grid[0, 0].set_title("target")
        for index, (name, seed) in enumerate(zip(result.losses, chosen)):
            tv = result.metrics["tv"][index, seed, -1]
            grid[0, index + 1].set_title(
                f"{_short(name)}\nTV {tv:.2g} (seed {result.seeds[seed]})", fontsize=8
            )
        ticks = range(0, _side(result), max(1, (_side(result) - 1) // 3))
        for axes in grid.ravel():
            axes.grid(visible=False)
            axes.set(xticks=ticks, yticks=ticks)
        for axes in [grid[0, 0], *grid[1, 1:]]:
            axes.set_xlabel("$x_1$ (cell)")
        for axes in [grid[0, 0], grid[1, 1]]:
            axes.set_ylabel("$x_2$ (cell)")
        grid[1, 0].set_visible(False)
        figure.colorbar(upper, ax=list(grid[0]), label="probability")
        figure.colorbar(lower, ax=list(grid[1]), label="log(target / learned), nats")
    return figure


def _short(name: str, limit: int = 22) -> str:
    return name if len(name) <= limit else name[: limit - 1] + "\N{HORIZONTAL ELLIPSIS}"


def median_seed(result: Result, loss: int) -> int:
    """The position of the seed whose final total variation is the (lower) median of its loss."""
    final = result.metrics["tv"][loss, :, -1]
    return int(np.argsort(final, kind="stable")[(len(final) - 1) // 2])


def _side(result: Result) -> int:
    return int(result.coordinates.max()) + 1


def _as_grid(result: Result, law: np.ndarray) -> np.ndarray:
    grid = np.zeros((_side(result),) * 2)
    grid[tuple(result.coordinates.T)] = law
    return grid
