"""The page and the figure of figure3_hypergrid.py, from its committed curves.csv and about.json
alone.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from divergence_lab.report.plots import COLOURS, DASHES, STYLE, save
from divergence_lab.results.storage import write_atomically

NAMES = {"window_l1": "L1 of the last samples", "tv": "exact total variation"}
PAPER_ENV, PAPER_STEPS = "hypergrid:4x20:paper", 50_000
OBJECTIVES = 4
SHOWN = {
    "quadratic": "Quadratic",
    "linex(1)": "Linex(1)",
    "linex(1/2)": "Linex(1/2)",
    "shifted_cosh": "Shifted-Cosh",
}
CLOSE = 0.05  # mean final values that differ by no more are called almost the same


@dataclass(frozen=True, eq=False)
class Curves:
    """`at` [K] trajectories; `values[metric][loss]` [N, K], one row a seed."""

    about: dict[str, Any]
    at: np.ndarray
    values: dict[str, dict[str, np.ndarray]]


def read(*folders: Path) -> dict[str, Curves]:
    """The curves of every case; of one that lies in several folders, as presets do, the longest."""
    found: dict[str, Curves] = {}
    for folder in folders:
        for case, curves in _read(folder).items():
            if case not in found or curves.at[-1] > found[case].at[-1]:
                found[case] = curves
    return found


def _read(folder: Path) -> dict[str, Curves]:
    about = json.loads((folder / "about.json").read_text())
    with open(folder / "curves.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    found = {}
    for case in about:
        of = [row for row in rows if row["case"] == case]
        at = sorted({int(row["trajectories"]) for row in of})
        place = {number: column for column, number in enumerate(at)}
        values = {name: {} for name in NAMES}
        for row in of:
            for name in NAMES:
                table = values[name].setdefault(
                    row["loss"], np.full((about[case]["seeds"], len(at)), np.nan)
                )
                table[int(row["seed"]), place[int(row["trajectories"])]] = float(row[name])
        found[case] = Curves(about[case], np.array(at), values)
    return found


def areas(curves: Curves, metric: str) -> dict[str, np.ndarray]:
    """The mean of the curve over the trajectories, [N] for each loss, from the first moment at
    which it is defined.
    """
    known = np.isfinite(next(iter(curves.values[metric].values()))).all(axis=0)
    at = curves.at[known]
    return {
        loss: np.trapezoid(values[:, known], at, axis=1) / (at[-1] - at[0])
        for loss, values in curves.values[metric].items()
    }


def slowest(curves: Curves, metric: str) -> tuple[str, dict[str, int]]:
    """'yes', 'no' or 'not clear': is the quadratic loss slower than every other one, seed by
    seed; in how many seeds.
    """
    found = areas(curves, metric)
    quadratic = found["quadratic"]
    beaten = {
        loss: int((area < quadratic).sum()) for loss, area in found.items() if loss != "quadratic"
    }
    if all(number == len(quadratic) for number in beaten.values()):
        return "yes", beaten
    return ("no" if any(number == 0 for number in beaten.values()) else "not clear"), beaten


def spaces(found: dict[str, Curves]) -> list[str]:
    """The spaces that were run, the paper's own first."""
    return sorted(
        dict.fromkeys(curves.about["env"] for curves in found.values()),
        key=lambda env: not env.startswith(PAPER_ENV),
    )


def image(figure: str, env: str) -> str:
    """The name of the picture of one space."""
    return f"{figure}_{env.removeprefix('hypergrid:').replace(':', '_')}"


def draw(found: dict[str, Curves], env: str) -> Figure:
    """A column for each objective, L1 above and exact total variation below; mean and range over
    the seeds.
    """
    found = {case: curves for case, curves in found.items() if curves.about["env"] == env}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.5 * len(found) + 0.8, 5.2), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(2, len(found), squeeze=False, sharex="col", sharey="row")
        for column, curves in enumerate(found.values()):
            for row, metric in enumerate(NAMES):
                axes = grid[row, column]
                for index, (loss, values) in enumerate(curves.values[metric].items()):
                    style = {"color": COLOURS[index], "linestyle": DASHES[index]}
                    axes.fill_between(
                        curves.at / 1e3,
                        values.min(axis=0),
                        values.max(axis=0),
                        color=COLOURS[index],
                        alpha=0.15,
                        linewidth=0,
                    )
                    axes.plot(
                        curves.at / 1e3, values.mean(axis=0), label=SHOWN.get(loss, loss), **style
                    )
                if metric == "window_l1":
                    axes.axhline(curves.about["sampling_floor"], color="#555555", linewidth=0.8)
                axes.set(ylim=(0, 2.02 if metric == "window_l1" else 1.01))
            grid[0, column].set_title(curves.about["objective"].upper())
            grid[1, column].set_xlabel("thousand trajectories")
        grid[0, 0].set_ylabel("L1, last samples\n(grey: perfect sampler)")
        grid[1, 0].set_ylabel("total variation (exact)")
        figure.legend(
            *grid[0, 0].get_legend_handles_labels(),
            loc="outside upper center",
            ncols=min(4, 2 * len(found)),
        )
    return figure


def _cell(values: np.ndarray) -> str:
    return f"{values.mean():.3f} ± {values.std(ddof=1):.3f}"


def words(curves: Curves) -> list[str]:
    """Whether Figure 3's ordering holds in this case, in plain words with the numbers behind
    them.
    """
    lines = []
    for metric, name in NAMES.items():
        answer, beaten = slowest(curves, metric)
        found = areas(curves, metric)
        order = sorted(found, key=lambda loss: found[loss].mean())
        seeds = curves.about["seeds"]
        shown = ", ".join(f"{loss} in {number} of {seeds}" for loss, number in beaten.items())
        lines.append(
            f"- {name}: quadratic slowest: **{answer}** (smaller area than quadratic, "
            f"same seed: {shown}). "
            f"By mean area, fastest first: {', '.join(order)}."
        )
    steps, whole = curves.about["steps"], curves.about["planned"]
    if curves.about["env"].startswith(PAPER_ENV):  # both readings
        whole = PAPER_STEPS
    for metric, name in {
        "window_l1": "values of the paper's metric, L1,",
        "tv": "total variations",
    }.items():
        final = [values[:, -1].mean() for values in curves.values[metric].values()]
        spread = max(final) - min(final)
        same = "almost the same" if spread <= CLOSE else "not the same"
        lines.append(
            f"- The last {name} are {same}: the means differ by up to {spread:.3f}"
            + (
                f" (after {steps:,} of {whole:,} steps: nothing is said about the end)."
                if steps < whole
                else "."
            )
        )
    return lines


def ordering(found: dict[str, Curves]) -> list[str]:
    """A line a case: is the quadratic loss the slowest, and which is the fastest."""
    lines = [
        "| space, objective | seeds | steps | quadratic slowest, L1 | quadratic slowest, TV "
        "| by mean area of TV, fastest first |",
        "|---|--:|--:|---|---|---|",
    ]
    for curves in found.values():
        a, area = curves.about, areas(curves, "tv")
        order = " < ".join(
            SHOWN.get(loss, loss) for loss in sorted(area, key=lambda loss: area[loss].mean())
        )
        answers = " | ".join(slowest(curves, metric)[0] for metric in NAMES)
        lines.append(
            f"| {a['env']}, {a['objective']} | {a['seeds']} | {a['steps']:,} | {answers} "
            f"| {order} |"
        )
    return lines


def render(found: dict[str, Curves], figure: str) -> str:
    """The page as text."""
    found = dict(sorted(found.items(), key=lambda item: spaces(found).index(item[1].about["env"])))
    one = next(iter(found.values())).about
    lines = [
        "# Figure 3: the hyper-grid",
        "",
        "The paper claims that the quadratic loss is the slowest of the four and that "
        "the final L1 distances are almost the",
        "same. Its readers add that Linex(1) and Linex(1/2) are the fastest. Settings, "
        "and where they depart from the released code:",
        "`python paper_checks/figure3_hypergrid.py --help`. Every number below is "
        "computed from the committed results.",
        "",
        f"The released code's traps that are on: {', '.join(one['traps']) or 'none'}.",
        "",
    ]
    for env in spaces(found):
        seeds = sorted(
            {curves.about["seeds"] for curves in found.values() if curves.about["env"] == env}
        )
        lines += [
            f"![L1 and total variation against trajectories on {env}]({image(figure, env)}.png)",
            "",
            f"*{env}: mean and range of {' or '.join(map(str, seeds))} seeds. "
            "Grey: the L1 distance that a perfect sampler would score with as "
            "many samples.*",
            "",
        ]
    lines += [
        "## What was run",
        "",
        "| space, objective | seeds | steps run | of planned | trajectories | window | "
        "perfect sampler's L1 | its mean over states | TV moved by the clamp |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for curves in found.values():
        a = curves.about
        lines.append(
            f"| {a['env']}, {a['objective']} | {a['seeds']} | {a['steps']:,} | "
            f"{a['planned']:,} | {16 * a['steps']:,} "
            f"| {a['window']:,} | {a['sampling_floor']:.3f} | "
            f"{a['sampling_floor'] / a['states']:.3g} | {a['tv_of_clamp']:.1g} |"
        )
    full = {
        a["objective"]: a["steps"]
        for a in (curves.about for curves in found.values())
        if a["env"] == PAPER_ENV
    }
    complete = sum(steps >= PAPER_STEPS for steps in full.values())
    if complete < OBJECTIVES:
        ran = ", ".join(f"{objective} {steps:,}" for objective, steps in full.items()) or "none"
        lines += [
            "",
            f"The paper's figure is four objectives on {PAPER_ENV}, {PAPER_STEPS:,} steps "
            f"(800,000 trajectories) each. Steps run here: {ran}.",
            "So the figure as a whole is **not reproduced**: what follows asks the "
            "same question of what was run. The preset `paper` runs it;",
            "[how long that would take on a GPU](time_on_a_gpu.md).",
        ]
    lines += [
        "",
        f"Python {one['python']}, torch {one['torch']}, numpy {one['numpy']}; "
        f"{one['device']} ({one['threads']} thread), shared with other work.",
        "",
        "## Does the ordering hold?",
        "",
        "Speed is the area under a curve over trajectories, divided by their "
        "number: smaller is faster. Runs of the same seed share",
        "their random numbers, so losses are compared seed by seed; yes means "
        "slower than each other loss in every seed, no that",
        "some loss is slower than it in every seed.",
        "",
        *ordering(found),
        "",
    ]
    for curves in found.values():
        lines += [
            f"### {curves.about['env']}, {curves.about['objective']}, {curves.at[-1]:,} "
            "trajectories",
            "",
            *words(curves),
            "",
            "| loss | area, L1 | area, TV | last L1 | last L1 / states | last TV |",
            "|---|--:|--:|--:|--:|--:|",
        ]
        l1, tv = areas(curves, "window_l1"), areas(curves, "tv")
        for loss in l1:
            last = curves.values["window_l1"][loss][:, -1]
            lines.append(
                f"| {loss} | {_cell(l1[loss])} | {_cell(tv[loss])} | {_cell(last)} | "
                f"{last.mean() / curves.about['states']:.3g} "
                f"| {_cell(curves.values['tv'][loss][:, -1])} |"
            )
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def write_page(folders: Sequence[Path], page: Path) -> None:
    """The page, and a figure for each space as SVG and PNG beside it."""
    found = read(*folders)
    for env in spaces(found):
        save(draw(found, env), page.with_name(image(page.stem, env)))
    write_atomically(page, render(found, page.stem).encode())
