"""The whole story on one page, for a wall: python figures/poster.py

Draws from poster/data.json, which figures/computing/poster.py gathers from the saved data of the
other figures.
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle

import divergence_lab as dl
from divergence_lab.report.palette import CLASSES, DASHES, STYLE, TARGET
from divergence_lab.report.redrawing import redraw

HERE = Path(__file__).resolve().parent
SIZE = (16.5, 11.7)  # inches: A3 lying
TYPE = {
    **STYLE,
    "font.size": 12,
    "axes.titlesize": 13,
    "axes.labelsize": 12,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
}
HEADING = 14
USE = (
    ("derive", "divergence-lab derive 'x**2/2'", "which divergence is this loss?"),
    (
        "design",
        "divergence-lab design --zero-forcing --zero-avoiding",
        "which loss has these properties?",
    ),
    (
        "audit",
        "divergence-lab audit torch.nn:HuberLoss --residual target/model",
        "what does a shipped loss minimise?",
    ),
)


STATEMENT = (
    "A loss $g$ on the residual $x=\\log p_B-\\log p_F$, target",
    "over model, averaged over the objects that the",
    "model draws (draws held), has the gradient in $p_F$ of",
    "an f-divergence, $D_f(p_B\\Vert p_F)=\\sum p_F\\,f(p_B/p_F)$.",
    "Each of $g$ and $f$ gives the other:",
)
PRICES = {
    (True, False): (
        "$f(0^+)=-g'(-\\infty)=\\infty$",
        "mass where the target has none",
        "costs without bound: the best",
        "law has none there",
    ),
    (False, True): (
        "$f'(\\infty)=\\int_0^\\infty g'(x)\\,e^{-x}\\,dx=\\infty$",
        "no mass where the target has",
        "some costs without bound: the",
        "best law leaves no state out",
    ),
}
# (column, line) of fields without a loss, where the word of the class is written
FREE = {(True, False): (2, 4), (True, True): (4, 3), (False, False): (2, 0), (False, True): (4, 0)}


def read() -> dict:
    try:
        return json.loads((HERE / "poster" / "data.json").read_text())
    except FileNotFoundError as missing:
        raise dl.ResultError(
            f"{missing.filename} is missing: run figures/computing/poster.py"
        ) from missing


def draw(content: dict) -> Figure:
    with mpl.rc_context(TYPE):
        figure = Figure(figsize=SIZE, layout="constrained")
        page = figure.subfigures(
            3, 3, width_ratios=(0.012, 1, 0.012), height_ratios=(0.012, 1, 0.012)
        )[1, 1]  # a margin for printers
        head, upper, lower, foot = page.subfigures(4, 1, height_ratios=(2.35, 4.2, 4.45, 0.8))
        draw_head(head)
        curves, bells = upper.subfigures(1, 2, width_ratios=(1.45, 1))
        draw_curves(curves, content["curves"])
        draw_bells(bells, content["bells"])
        losses, laws, theorem = lower.subfigures(1, 3, width_ratios=(1.35, 0.95, 1))
        draw_map(losses, content["map"])
        draw_laws(laws, content["laws"], content["curves"]["losses"])
        draw_theorem(theorem, content["theorem"])
        draw_foot(foot)
    return figure


def class_of(row: dict) -> tuple[str, str]:
    return CLASSES[row["zero_forcing"], row["zero_avoiding"]]


def heading(figure: SubFigure, text: str) -> None:
    figure.suptitle(text, x=0.01, ha="left", fontsize=HEADING, weight="bold")


def draw_head(figure: SubFigure) -> None:
    figure.text(
        0.01,
        0.96,
        "What a GFlowNet's regression loss really minimises",
        fontsize=32,
        weight="bold",
        va="top",
    )
    for at, line in enumerate(STATEMENT):
        figure.text(0.01, 0.58 - 0.12 * at, line, fontsize=13)
    figure.text(0.325, 0.32, r"$f''(t)=\frac{g''(\log t)}{t^{2}}$", fontsize=40, va="center")
    for left, (key, lines) in zip((0.57, 0.785), PRICES.items(), strict=True):
        word, colour = CLASSES[key]
        figure.add_artist(
            mpl.lines.Line2D((left - 0.008,) * 2, (0.05, 0.66), color=colour, linewidth=3)
        )
        figure.text(left, 0.58, word, color=colour, weight="bold", fontsize=16)
        for at, line in enumerate(lines):
            figure.text(left, 0.44 - 0.12 * at, line, fontsize=13)


def draw_curves(figure: SubFigure, content: dict) -> None:
    heading(figure, "1  Four losses and the generators of their divergences")
    xs = np.array(content["x"])
    axes = figure.subplot_mosaic([["g", "f"], ["names", "names"]], height_ratios=(1.75, 1.1))
    names = axes["names"]
    names.set_axis_off()
    for at, row in enumerate(content["losses"]):
        word, colour = class_of(row)
        for side in "gf":
            axes[side].plot(xs, row[side], color=colour, linestyle=DASHES[at], linewidth=2.4)
        factor = "" if row["factor"] == "1" else f"{row['factor']} \N{MULTIPLICATION SIGN} "
        line = 0.95 - 0.28 * at
        names.plot([0, 0.05], [line, line], color=colour, linestyle=DASHES[at], linewidth=2.4)
        divergence = factor + row["divergence"].replace(" plus ", "\nplus ")
        generator = row["f_formula"].replace(r"t \log", r"t\,\log")
        for place, text, size in (
            (0.06, row["loss"], 11.5),
            (0.2, f"$g={row['g_formula']}$", 13),
            (0.41, f"$f={generator}$", 13),
            (0.66, divergence, 10.5),
        ):
            names.text(place, line, text, color=colour, va="center", fontsize=size, linespacing=1.2)
        names.text(
            1, line, word, color=colour, va="center", ha="right", weight="bold", fontsize=11.5
        )
    names.set(xlim=(0, 1), ylim=(0, 1))
    axes["g"].set(
        ylim=(0, 6),
        xlim=(-3, 3),
        ylabel="loss $g(x)$",
        xlabel="residual $x$:  model has too much $\\leftarrow\\;\\rightarrow$ too little",
    )
    axes["f"].set(
        ylim=(0, 6), xlim=(-3, 3), ylabel="generator $f(t)$", xlabel=r"$\log t$,  $t=p_B/p_F$"
    )


def draw_bells(figure: SubFigure, content: dict) -> None:
    heading(figure, "2  The one bell nearest to two modes")
    grid, target = np.array(content["grid"]), np.array(content["target"])
    step = grid[1] - grid[0]
    panels = figure.subplots(2, 2, sharex=True, sharey=True)
    for axes, one in zip(panels.ravel(), content["losses"], strict=True):
        word, colour = class_of(one)
        bell = np.exp(-(((grid - one["centre"]) / one["width"]) ** 2) / 2)
        axes.fill_between(grid, target / step, color=TARGET, linewidth=0)
        axes.plot(grid, bell / bell.sum() / step, color=colour, linewidth=2.6)
        axes.text(
            0.98,
            0.97,
            f"{one['loss']}\nwidth {one['width']:.2f}",
            transform=axes.transAxes,
            ha="right",
            va="top",
            fontsize=11,
        )
        axes.text(
            0.98,
            0.62,
            word,
            transform=axes.transAxes,
            ha="right",
            va="top",
            color=colour,
            weight="bold",
            fontsize=11,
        )
        axes.set(yticks=[], xticks=(-5, 0, 5), xlim=(-6, 6))
        axes.grid(visible=False)
    figure.supxlabel("outcome; grey: the target, line: the best bell under $D_f$", fontsize=12)
    figure.supylabel("density", fontsize=12)


def draw_map(figure: SubFigure, content: dict) -> None:
    heading(figure, "3  Two tails of $g$ decide the class")
    axes = figure.subplots()
    for column in range(5):
        for line in range(5):
            _, colour = CLASSES[line >= 2, column >= 4]
            axes.add_patch(
                Rectangle(
                    (column - 0.5, line - 0.5), 1, 1, facecolor=colour, alpha=0.15, linewidth=0
                )
            )
    for field in content["fields"]:
        # the region says what the verdicts say, or the poster is not drawn
        assert (field["zero_forcing"], field["zero_avoiding"]) == (
            field["line"] >= 2,
            field["column"] >= 4,
        ), field
        more = [f"+{field['more']} more"] if field["more"] else []
        names = [name.replace("split_linex(", "split_linex\n(") for name in field["names"]]
        axes.text(
            field["column"],
            field["line"],
            "\n".join(names + more),
            ha="center",
            va="center",
            fontsize=8.8,
            linespacing=1.3,
        )
    for key, (column, line) in FREE.items():
        word, colour = CLASSES[key]
        axes.text(
            column,
            line,
            word.replace("-", "-\n"),
            color=colour,
            weight="bold",
            fontsize=14,
            ha="center",
            va="center",
        )
    axes.axhline(1.5, color="black", linewidth=1)
    axes.axvline(3.5, color="black", linewidth=1)
    axes.set(
        xlim=(-0.5, 4.5),
        ylim=(-0.5, 4.5),
        xlabel="growth of $|g'|$ as $x\\to\\infty$",
        ylabel="growth of $|g'|$ as $x\\to-\\infty$",
    )
    words = [
        word.replace("below exponential", "below exp.").replace("exponential", "exp.")
        for word in content["words"]
    ]
    axes.set_xticks(range(5), words, fontsize=10)
    axes.set_yticks(range(5), words, fontsize=10)
    axes.tick_params(length=0)
    axes.grid(visible=False)


def draw_laws(figure: SubFigure, content: dict, losses: list[dict]) -> None:
    heading(figure, f"4  Laws learned in {content['steps']} steps")
    panels = figure.subplots(2, 3)
    target = np.array(content["target"])
    norm = PowerNorm(
        0.5, vmin=0, vmax=2 * target.max()
    )  # a law with more on one cell is drawn at the end of the scale
    shown = [(panels[0, 0], target, "target", "", "black")]
    for axes, one, row in zip(
        [panels[0, 1], panels[0, 2], panels[1, 1], panels[1, 2]],
        content["losses"],
        losses,
        strict=True,
    ):
        _, colour = class_of(row)
        shown.append((axes, np.array(one["law"]), f"{one['loss']}", f"TV {one['tv']:.2f}", colour))
    for axes, law, name, tv, colour in shown:
        image = axes.imshow(law, origin="lower", cmap="cividis", norm=norm)
        axes.set_title(name, color=colour, weight="bold", fontsize=11)
        axes.set_xlabel(tv, fontsize=11)
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)
    panels[1, 0].set_axis_off()
    bar = panels[1, 0].inset_axes((0, 0.55, 1, 0.1))
    figure.colorbar(
        image, cax=bar, orientation="horizontal", extend="max", ticks=(0, 0.05, 0.25), format="%g"
    )
    bar.set_title("probability", fontsize=11)
    bar.tick_params(labelsize=10)
    figure.supxlabel(
        f"{content['env']}, exact; TV: total variation\nto the target, the seed of median TV",
        fontsize=10.5,
    )


def draw_theorem(figure: SubFigure, content: dict) -> None:
    heading(figure, "5  Is the gradient that of $D_f$ alone?")
    axes = figure.subplots()
    columns, rows = content["objectives"], content["groups"]
    for objective, group, alone in content["alone"]:
        at, line = columns.index(objective), rows.index(group)
        axes.add_patch(
            Rectangle(
                (at - 0.47, line - 0.45),
                0.94,
                0.9,
                facecolor="#00224E" if alone else "#FDE737",
                linewidth=0,
            )
        )
        axes.text(
            at,
            line,
            "yes" if alone else "no",
            ha="center",
            va="center",
            color="white" if alone else "black",
            fontsize=11,
        )
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    axes.set_xticks(
        range(len(columns)),
        [name.replace("(", "\n(").replace("-", "-\n") for name in columns],
        fontsize=10,
    )
    axes.xaxis.tick_top()
    axes.set_yticks(
        range(len(rows)),
        [row.replace(", ", ",\n").replace(" or ", "\nor ") for row in rows],
        fontsize=10,
    )
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    exact, off = 10 ** np.ceil(np.log10(content["exact"])), np.floor(10 * content["off"]) / 10
    axes.set_xlabel(
        "exact gradients on a 2x3 grid, linex(1)\n"
        f"yes: off by less than {exact:.0e}; no: by more than {off:.1f}\n"
        "blank: no group of its own there",
        fontsize=10,
    )


def draw_foot(figure: SubFigure) -> None:
    figure.add_artist(mpl.lines.Line2D((0.01, 0.99), (0.98, 0.98), color="black", linewidth=1))
    for at, (word, command, question) in zip((0.01, 0.26, 0.63), USE, strict=True):
        figure.text(at, 0.82, f"{word}: {question}", fontsize=13, weight="bold", va="top")
        figure.text(at, 0.42, command, fontsize=11, family="DejaVu Sans Mono", va="top")


if __name__ == "__main__":
    redraw(draw(read()), HERE / "poster", dpi=100)
