"""The page and the figure of off_policy.py, from its committed off_policy.json alone."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from saying import listed, points_of, say

from divergence_lab.report.plots import COLOURS, DASHES, MARKERS, STYLE, save
from divergence_lab.results.storage import write_atomically

WITH = ("on", "power:1/2", "backward", "mixture:1/4", "powers:1/2,0")
NOISY, FLAT = "epsilon:0.2", "tempered:2"
EXACT, SYMMETRIC = 1e-4, 1e-6  # of total variation; of a derivative by differences
SHOWN = {
    "on": "on-policy",
    "power:1/2": "sqrt(p_F p_B)",
    "backward": "p_B",
    "mixture:1/4": "3/4 p_F + 1/4 p_B",
    "powers:1/2,0": "sqrt(p_F)",
    NOISY: "a fifth of noise in every step",
    FLAT: "every step at temperature 2",
}
NEVER = "never renewed"

Rows = list[dict[str, Any]]


def of(rows: Rows, **where: str) -> Rows:
    return [row for row in rows if all(row[key] == value for key, value in where.items())]


def worst(rows: Rows, name: str) -> float:
    """The largest number of a column over all starts and rows."""
    return max(max(row[name]) for row in rows)


def span(values: list[float], digits: int = 2) -> str:
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"


def agreement(ends: Rows) -> str:
    rows = [row for row in ends if row["sampler"] in WITH]
    starts = sum(len(row["to_own"]) for row in rows)
    return say(
        f"Where theory gives a divergence, training ends in one of its minimisers: {len(rows)} cases ({len(WITH)} samplers, four losses, two environments), {starts} starts, the learned law at a total variation of "
        f"{worst(rows, 'to_own'):.1g} or less from the nearest minimiser that a direct search found. None of these policies reaches its target: they end at {span([row['to_target'] for row in rows])} from it.",
        worst(rows, "to_own") < EXACT,
        min(row["to_target"] for row in rows) > 0.05,
    )


def sampler_counts(ends: Rows) -> str:
    rows = [row for row in ends if row["sampler"] in WITH[1:]]
    far = [min(row["to_on_policy"]) for row in rows]
    return say(
        f"Control: held against the loss's own divergence, as if the sampler did not count, the same laws are {span(far, 3)} off (the best start of each of {len(rows)} cases).",
        min(far) > 10 * EXACT,
    )


def several(ends: Rows) -> str:
    rows = [row for row in ends if row["sampler"] in WITH and row["minimisers"] > 1]
    least = {(r["sampler"], r["loss"]): sum(v < EXACT for v in r["to_the_least"]) for r in rows}
    on = least["on", "quadratic"]
    return say(
        f"Which minimiser is a matter of the start: {len(rows)} of these divergences have more than one, all on the line, among them reverse KL on-policy (a bump each, and a bell over both), where {on} of {len(rows[0]['to_own'])} "
        "starts end in the least. The theorem speaks of stationary points.",
        all(row["environment"] == "line" for row in rows),
        0 < on < len(rows[0]["to_own"]),
    )


def flattened(ends: Rows) -> str:
    line, tree = (of(ends, environment=name, sampler=FLAT) for name in ("line", "tree"))
    return say(
        f"A tempered policy that acts in one step is a power of p_F, and ends where that has its minimisers ({worst(line, 'to_own'):.1g} off); its norm depends on the parameters, so its expected gradient is no function's (its derivative "
        f"is unsymmetric by {span([row['curl'] for row in line])} of its size), but a multiple of one. Tempered at each of six steps it ends {span([min(row['to_own']) for row in tree], 3)} off that: measured, and no divergence of ours predicts it.",
        worst(line, "to_own") < EXACT,
        min(min(row["to_own"]) for row in tree) > 10 * EXACT,
    )


def noisy(ends: Rows) -> str:
    line, tree = (of(ends, environment=name, sampler=NOISY) for name in ("line", "tree"))
    rows = [row for row in ends if row["sampler"] in WITH[:-1]]
    return say(
        f"Noise in one step has the gradient of a function, which knows the noise's law too (P33.2); noise in every step that of none: on the tree its derivative is unsymmetric by {span([row['curl'] for row in tree])} of its size "
        f"(on the line, and for the samplers with a divergence of p and q themselves: below {SYMMETRIC:g}). Its laws end {span([min(row['to_on_policy']) for row in line + tree])} from the on-policy minimisers: measured.",
        max(row["curl"] for row in line + rows) < SYMMETRIC,
        min(row["curl"] for row in tree) > 0.01,
    )


def drift(replay: Rows) -> str:
    sizes = [b for b in dict.fromkeys(row["buffer"] for row in replay) if b != NEVER]
    way = {b: [row["on_the_way"] for row in of(replay, buffer=b)] for b in sizes}
    end = {b: [max(row["to_on_policy"]) for row in of(replay, buffer=b)] for b in [*sizes, NEVER]}
    *short, long = sizes
    typical = [float(np.median(way[b])) for b in sizes]
    return say(
        "Replay of half a batch makes a detour and ends where on-policy training does. At its farthest the path is "
        + listed(f"{v:.3f} (the last {int(b):,})" for v, b in zip(typical, sizes, strict=True))
        + f" from the on-policy one (batches in the buffer; total variation, medians of {len(way[long])} cases). It ends {max(max(end[b]) for b in short):.1g} or less from an on-policy minimiser with up to {int(short[-1]):,} batches; "
        f"with {int(long):,}, half of the run, it has not arrived everywhere ({span(end[long], 4)}). Control: a buffer that is never renewed ends {span(end[NEVER])} off.",
        all(a < b for a, b in pairwise(typical[:-1])),
        typical[-1] >= 0.95 * typical[-2],
        max(max(end[b]) for b in short) < 10 * EXACT,
        min(end[NEVER]) > 100 * EXACT,
    )


def findings(content: dict[str, Any]) -> list[str]:
    """What the results say, with the conditions of each sentence."""
    ends = content["ends"]
    return [
        *(one(ends) for one in (agreement, sampler_counts, several, flattened, noisy)),
        drift(content["replay"]),
    ]


def draw(content: dict[str, Any]) -> Figure:
    """Left: distance to the own and to the on-policy minimisers; right: replay's drift."""
    ends, replay = content["ends"], content["replay"]
    names, losses = list(SHOWN), list(dict.fromkeys(row["loss"] for row in ends))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 3.6), layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2)
        for k, loss in enumerate(losses):
            for row in of(ends, loss=loss):
                place = names.index(row["sampler"]) + 0.16 * (k - 1.5)
                style = {"color": COLOURS[k], "marker": MARKERS[k], "linestyle": "none"}
                own = row["to_own"] or []
                left.plot(np.maximum(own, 1e-8), [place] * len(own), markersize=4, **style)
                near = max(min(row["to_on_policy"]), 1e-8)
                left.plot(near, place, markersize=6, fillstyle="none", **style)
        left.set(xscale="log", xlabel="total variation", yticks=range(len(names)))
        left.set_yticklabels(list(SHOWN.values()))
        left.invert_yaxis()
        sizes = [b for b in dict.fromkeys(row["buffer"] for row in replay) if b != NEVER]
        for k, loss in enumerate(losses):
            for dash, name in zip(DASHES, ("line", "tree"), strict=False):
                rows = of(replay, loss=loss, environment=name)[: len(sizes)]
                values = [row["on_the_way"] for row in rows]
                right.plot(
                    [int(b) for b in sizes],
                    values,
                    color=COLOURS[k],
                    marker=MARKERS[k],
                    linestyle=dash,
                    markersize=4,
                    label=f"{loss}, {name}",
                )
        right.set(xscale="log", yscale="log", xlabel="batches in the buffer", ylim=(8e-3, 6))
        right.set_ylabel("largest total variation on the way")
        right.legend(fontsize=6.5, ncols=2, handlelength=3.5)
    return figure


def table(ends: Rows) -> list[str]:
    lines = [
        "| environment | sampler | loss | minimisers | to the nearest, worst start | starts in the least | to on-policy's, best start | asymmetry |",
        "|---|---|---|--:|--:|--:|--:|--:|",
    ]
    for row in ends:
        own = row["to_own"]
        told = [
            "-" if own is None else f"{row['minimisers']}",
            "-" if own is None else f"{max(own):.1g}",
            "-" if own is None else f"{sum(v < EXACT for v in row['to_the_least'])} of {len(own)}",
            f"{min(row['to_on_policy']):.3f}",
            f"{row['curl']:.2g}",
        ]
        lines.append(
            f"| {row['environment']} | {SHOWN[row['sampler']]} | {row['loss']} | {' | '.join(told)} |"
        )
    return lines


def render(content: dict[str, Any], short: bool = False) -> str:
    """The page as text; a `short` run need not carry its sentences."""
    lines = [
        "# Off-policy: where training ends when the policy cannot reach the target",
        "",
        f"Expected gradients, {content['steps']:,} steps, log Z at the truth. The line: 161 places, two bumps, a bell of two parameters that is drawn in one step. The tree: 64 leaves, six steps, a policy of two parameters that cannot "
        "see the order",
        "of its steps. Made by `python paper_checks/off_policy.py --preset standard`. [Proposition 33](../docs/propositions.md#p33) says which divergence a loss descends under a sampler, and where there is none; the direct search "
        "for its least value",
        "uses f and a grid, no gradient and no training.",
        "",
        points_of(lambda: findings(content), short),
        "",
        "![Distances to the minimisers, and replay's drift](off_policy.png)",
        "",
        "*Left: full: from a learned law to the nearest minimiser of its own divergence, a mark a start (1e-8: rounding); open: to the on-policy one. Right: replay, a line a loss and environment.*",
        "",
        *table(content["ends"]),
    ]
    return "\n".join(lines) + "\n"


def write_page(folder: Path, page: Path, short: bool) -> None:
    """The page, and its figure as SVG and PNG beside it."""
    content = json.loads((folder / "off_policy.json").read_text())
    save(draw(content), page.with_suffix(""))
    write_atomically(page, render(content, short).encode())
