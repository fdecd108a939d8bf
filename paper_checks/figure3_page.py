"""The page and the figure of figure3_hypergrid.py, from its committed curves.csv and about.json
alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from figure3_numbers import (
    LEARNED,
    NAMES,
    SHOWN,
    Curves,
    against_quadratic,
    areas,
    cell,
    comparisons,
    fastest,
    in_seeds,
    read,
    slowest,
)
from figure3_ways import HERE, null_models, side_by_side
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from paired import MARGIN

from divergence_lab.report.plots import COLOURS, DASHES, STYLE, save
from divergence_lab.results.storage import write_atomically

PAPER_ENV, PAPER_STEPS = "hypergrid:4x20:paper", 50_000
OBJECTIVES = 4
CLOSE = 0.05  # mean final values that differ by no more are called almost the same


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
        shown = ", ".join(
            f"{loss} in {in_seeds(one)}, by {-one.mean:.3f} ± {one.deviation:.3f}"
            for loss, one in beaten.items()
        )
        first, times = fastest(curves, metric)
        lines.append(
            f"- {name}: quadratic slowest: **{answer}** (smaller area than quadratic, "
            f"same seed: {shown}). "
            f"By mean area, fastest first: {', '.join(order)}; {first} is the first in "
            f"{times} of {seeds} seeds."
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
        "| pairs of which neither learned | by mean area of TV, fastest first (in how many seeds) |",
        "|---|--:|--:|---|---|--:|---|",
    ]
    for curves in found.values():
        a, area = curves.about, areas(curves, "tv")
        first, times = fastest(curves, "tv")
        order = " < ".join(
            SHOWN.get(loss, loss) + f" ({times})" * (loss == first)
            for loss in sorted(area, key=lambda loss: area[loss].mean())
        )
        answers = " | ".join(slowest(curves, metric)[0] for metric in NAMES)
        beaten = against_quadratic(curves, "tv").values()
        neither = f"{sum(one.neither for one in beaten)} of {sum(one.seeds for one in beaten)}"
        lines.append(
            f"| {a['env']}, {a['objective']} | {a['seeds']} | {a['steps']:,} | {answers} "
            f"| {neither} | {order} |"
        )
    return lines


def render(
    found: dict[str, Curves], figure: str, others: Mapping[str, dict[str, Curves]] = {}
) -> str:
    """The page as text; `others`: the same cases run in other ways, shown beside these."""
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
        f"How it was run: {one.get('way', HERE)}. The released code's traps that are on: "
        f"{', '.join(one['traps']) or 'none'}.",
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
        f"some loss is slower than it in every seed. Two areas within {MARGIN:.0%} of each other "
        f"are a tie; where both runs end above a total variation of {LEARNED},",
        "neither has learned and neither is faster. "
        f"This page looks at {comparisons(found)} comparisons (cases x losses x metrics). Five of "
        f"five seeds is p = {2 ** (1 - 5):g} in a two-sided",
        "sign test, so single cells show little: read what holds in many of them.",
        "",
        *ordering(found),
        "",
        *null_models(spaces(found)),
        *(["## Run in other ways", "", *side_by_side({HERE: found, **others}), ""] * bool(others)),
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
                f"| {loss} | {cell(l1[loss])} | {cell(tv[loss])} | {cell(last)} | "
                f"{last.mean() / curves.about['states']:.3g} "
                f"| {cell(curves.values['tv'][loss][:, -1])} |"
            )
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def write_page(
    folders: Sequence[Path], page: Path, others: Mapping[str, Sequence[Path]] = {}
) -> None:
    """The page, and a figure for each space as SVG and PNG beside it; `others`: a name and the
    folders of each other way of running it.
    """
    found = read(*folders)
    for env in spaces(found):
        save(draw(found, env), page.with_name(image(page.stem, env)))
    beside = {name: read(*places) for name, places in others.items()}
    write_atomically(page, render(found, page.stem, beside).encode())
