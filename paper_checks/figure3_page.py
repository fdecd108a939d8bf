"""The page and the figure of figure3_hypergrid.py, from its committed curves.csv and about.json alone."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from divergence_lab.plots import COLOURS, DASHES, STYLE, save

NAMES = {"window_l1": "L1 of the last samples", "tv": "exact total variation"}
PAPER_ENV, PAPER_STEPS = "hypergrid:4x20", 50_000
CLOSE = 0.05  # mean final values that differ by no more are called almost the same


@dataclass(frozen=True, eq=False)
class Curves:
    """`at` [K] trajectories; `values[metric][loss]` [N, K], one row a seed."""

    about: dict[str, Any]
    at: np.ndarray
    values: dict[str, dict[str, np.ndarray]]


def read(folder: Path) -> dict[str, Curves]:
    """The curves of every case."""
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
                table = values[name].setdefault(row["loss"], np.full((about[case]["seeds"], len(at)), np.nan))
                table[int(row["seed"]), place[int(row["trajectories"])]] = float(row[name])
        found[case] = Curves(about[case], np.array(at), values)
    return found


def areas(curves: Curves, metric: str) -> dict[str, np.ndarray]:
    """The mean of the curve over the trajectories, [N] for each loss, from the first moment at which it is defined."""
    known = np.isfinite(next(iter(curves.values[metric].values()))).all(axis=0)
    at = curves.at[known]
    return {
        loss: np.trapezoid(values[:, known], at, axis=1) / (at[-1] - at[0])
        for loss, values in curves.values[metric].items()
    }


def slowest(curves: Curves, metric: str) -> tuple[str, dict[str, int]]:
    """'yes', 'no' or 'not clear': is the quadratic loss slower than every other one, seed by seed; in how many seeds."""
    found = areas(curves, metric)
    quadratic = found["quadratic"]
    beaten = {loss: int((area < quadratic).sum()) for loss, area in found.items() if loss != "quadratic"}
    if all(number == len(quadratic) for number in beaten.values()):
        return "yes", beaten
    return ("no" if any(number == 0 for number in beaten.values()) else "not clear"), beaten


def draw(found: dict[str, Curves]) -> Figure:
    """A column for each case, L1 above and exact total variation below; mean and range over the seeds."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.5 * len(found) + 0.8, 5.2), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(2, len(found), squeeze=False, sharey="row")
        for column, curves in enumerate(found.values()):
            for row, metric in enumerate(NAMES):
                axes = grid[row, column]
                for index, (loss, values) in enumerate(curves.values[metric].items()):
                    style = {"color": COLOURS[index], "linestyle": DASHES[index]}
                    axes.fill_between(curves.at / 1e3, values.min(axis=0), values.max(axis=0), color=COLOURS[index],
                                      alpha=0.15, linewidth=0)
                    axes.plot(curves.at / 1e3, values.mean(axis=0), label=loss, **style)
                if metric == "window_l1":
                    axes.axhline(curves.about["sampling_floor"], color="#555555", linewidth=0.8)
                axes.set(ylim=(0, 2 if metric == "window_l1" else 1))
            grid[0, column].set_title(f"{curves.about['env']}\n{curves.about['objective'].upper()}")
            grid[1, column].set_xlabel("thousand trajectories")
        grid[0, 0].set_ylabel("L1, last samples\n(grey: perfect sampler)")
        grid[1, 0].set_ylabel("total variation (exact)")
        figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=min(4, 2 * len(found)))
    return figure


def _cell(values: np.ndarray) -> str:
    return f"{values.mean():.3f} ± {values.std(ddof=1):.3f}"


def words(case: str, curves: Curves) -> list[str]:
    """Whether Figure 3's ordering holds in this case, in plain words with the numbers behind them."""
    lines = []
    for metric, name in NAMES.items():
        answer, beaten = slowest(curves, metric)
        found = areas(curves, metric)
        order = sorted(found, key=lambda loss: found[loss].mean())
        seeds = curves.about["seeds"]
        shown = ", ".join(f"{loss} in {number} of {seeds}" for loss, number in beaten.items())
        lines.append(f"- {name}: quadratic slowest: **{answer}** (smaller area than quadratic, same seed: {shown}). "
                     f"By mean area, fastest first: {', '.join(order)}.")
    final = {loss: values[:, -1].mean() for loss, values in curves.values["tv"].items()}
    spread = max(final.values()) - min(final.values())
    same = "almost the same" if spread <= CLOSE else "not the same"
    steps, whole = curves.about["steps"], curves.about["planned"]
    if curves.about["env"].startswith(PAPER_ENV):
        whole = PAPER_STEPS
    lines.append(f"- The last total variations are {same}: the means differ by up to {spread:.3f}"
                 + (f" (after {steps:,} of {whole:,} steps: nothing is said about the end)." if steps < whole else "."))
    return lines


def render(found: dict[str, Curves], figure: str) -> str:
    """The page as text."""
    seeds = sorted({curves.about["seeds"] for curves in found.values()})
    one = next(iter(found.values())).about
    lines = [
        "# Figure 3: the hyper-grid", "",
        "The paper claims that the quadratic loss is the slowest of the four and that the final L1 distances are almost the",
        "same. Its readers add that Linex(1) and Linex(1/2) are the fastest. Settings, and where the released code differs from the text:",
        "`python paper_checks/figure3_hypergrid.py --help`. Every number below is computed from the committed results.", "",
        f"![L1 and total variation against trajectories]({figure}.png)", "",
        f"*Mean and range of {' or '.join(map(str, seeds))} seeds. Grey: the L1 distance that a perfect sampler would score with as many samples.*", "",
        "## What was run", "",
        "| space, objective | seeds | steps run | of planned | trajectories | window | perfect sampler's L1 | its mean over states | TV moved by the clamp | s a step, all members |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]  # fmt: skip
    for curves in found.values():
        a = curves.about
        lines.append(
            f"| {a['env']}, {a['objective']} | {a['seeds']} | {a['steps']:,} | {a['planned']:,} | {16 * a['steps']:,} "
            f"| {a['window']:,} | {a['sampling_floor']:.3f} | {a['sampling_floor'] / a['states']:.3g} | {a['tv_of_clamp']:.1g} | {a['seconds_a_step']:.3f} |"
        )
    full = [curves.about for curves in found.values() if curves.about["env"].startswith(PAPER_ENV)]
    complete = [a for a in full if a["steps"] >= PAPER_STEPS]
    if len(complete) < 4:
        lines += ["", f"The paper's figure is four objectives on hypergrid:4x20 with 800,000 trajectories each. {len(complete)} of these are here, so the",
                  "figure as a whole is **not reproduced** here: what follows asks the same question of what was run. The preset `paper` runs it."]
    if full:
        hours = np.mean([a["seconds_a_step"] for a in full]) * PAPER_STEPS * 8 / 3600
        lines += ["", f"That preset (8 ensembles of 20 runs, 50,000 steps each) would take about {hours:.0f} hours on this machine at the measured rate,",
                  "if trajectories did not grow. On a GPU it has not been measured; [an estimate from what a step does](time_on_a_gpu.md)."]
    lines += ["", f"Python {one['python']}, torch {one['torch']}, numpy {one['numpy']}; {one['device']} ({one['threads']} thread), shared with other work.", "",
              "## Does the ordering hold?", "",
              "Speed is the area under a curve over trajectories, divided by their number: smaller is faster. Runs of the same seed share",
              "their random numbers, so losses are compared seed by seed; yes means slower than each other loss in every seed, no that",
              "some loss is slower than it in every seed.", ""]  # fmt: skip
    for case, curves in found.items():
        lines += [f"### {curves.about['env']}, {curves.about['objective']}, {curves.at[-1]:,} trajectories", "", *words(case, curves), "",
                  "| loss | area, L1 | area, TV | last L1 | last L1 / states | last TV |", "|---|--:|--:|--:|--:|--:|"]  # fmt: skip
        l1, tv = areas(curves, "window_l1"), areas(curves, "tv")
        for loss in l1:
            last = curves.values["window_l1"][loss][:, -1]
            lines.append(f"| {loss} | {_cell(l1[loss])} | {_cell(tv[loss])} | {_cell(last)} | {last.mean() / curves.about['states']:.3g} "
                         f"| {_cell(curves.values['tv'][loss][:, -1])} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def write_page(folder: Path, page: Path) -> None:
    """The page, and its figure as SVG and PNG beside it."""
    found = read(folder)
    save(draw(found), page.with_suffix(""))
    page.write_text(render(found, page.stem))
