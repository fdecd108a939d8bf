"""The page and the figure of leak.py, from its committed runs.csv and about.json alone."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from saying import points_of, say

from divergence_lab.report.plots import COLOURS, MARKERS, STYLE, save
from divergence_lab.results.metrics import leak_bounds
from divergence_lab.results.storage import write_atomically

LEARNED, HELD, SHARE = "log Z learned", "log Z held at the truth", "a tenth on-policy"


@dataclass(frozen=True, eq=False)
class Runs:
    """The rows of runs.csv, and what is to be known about them."""

    rows: list[dict[str, str]]
    about: dict

    def of(self, column: str, **where: str) -> np.ndarray:
        """One column [N] of the rows with these values."""
        some = [r for r in self.rows if all(r[key] == value for key, value in where.items())]
        return np.array([float(row[column]) for row in some])

    def names(self, column: str) -> list[str]:
        """The different values of a column, in order."""
        return list(dict.fromkeys(row[column] for row in self.rows))


def read(folder: Path) -> Runs:
    """All that is committed."""
    with open(folder / "runs.csv", newline="") as file:
        return Runs(list(csv.DictReader(file)), json.loads((folder / "about.json").read_text()))


def predicted(runs: Runs, **where: str) -> np.ndarray:
    """1 - Z*/Z of each run, P28's limit; 0 where Z is below Z*."""
    true = runs.of("log_z_true", **where)[0]
    return leak_bounds(runs.of("log_z", **where), float(true))[0]


def draw(runs: Runs) -> Figure:
    """Left: total variation against P28's limit, a dot a run; right: by way and loss."""
    ways, losses = runs.names("way"), runs.names("loss")
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.0, 3.6), layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2)
        left.plot((0, 1), (0, 1), color="#555555", linewidth=0.8)
        for k, loss in enumerate(losses):
            style = {"color": COLOURS[k], "marker": MARKERS[k], "linestyle": "none"}
            for way in ways[:2]:
                where = {"way": way, "loss": loss}
                left.plot(
                    predicted(runs, **where),
                    runs.of("tv", **where),
                    fillstyle="full" if way == LEARNED else "none",
                    label=loss if way == LEARNED else None,
                    **style,
                )
            for row, way in enumerate(ways):
                tv = runs.of("tv", way=way, loss=loss)
                right.plot(tv, np.full(len(tv), row + 0.16 * (k - 1.5)), markersize=4, **style)
        left.set(xlabel="1 - Z*/Z", ylabel="total variation (exact)", xlim=(0, 1), ylim=(0, 1))
        right.set(xlabel="total variation (exact)", yticks=range(len(ways)), xlim=(0, 1))
        right.set_yticklabels(ways)
        right.invert_yaxis()
        figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


def findings(runs: Runs) -> list[str]:
    """What the runs say, with the conditions of each sentence."""
    losses = runs.names("loss")
    gap = np.abs(predicted(runs, way=LEARNED) - runs.of("tv", way=LEARNED))
    learned = {loss: runs.of("tv", way=LEARNED, loss=loss) for loss in losses}
    held = {loss: runs.of("tv", way=HELD, loss=loss) for loss in losses}
    share = {loss: runs.of("tv", way=SHARE, loss=loss) for loss in losses}
    least = runs.of("target_on_modes") - runs.of("on_modes")
    return [
        say(
            "With log Z learned every loss ends far from the target: mean total variations "
            + ", ".join(f"{loss} {values.mean():.3f}" for loss, values in learned.items())
            + f". P28's limit, 1 - Z*/Z of the log Z that each run ended at, is off by {gap.mean():.3f} in the mean and by {gap.max():.3f} at most.",
            min(values.min() for values in learned.values()) > 0.3,
        ),
        say(
            "With log Z held at the truth the same data teach all four: "
            + ", ".join(f"{loss} {values.mean():.3f}" for loss, values in held.items())
            + ".",
            max(values.max() for values in held.values()) < 0.2,
        ),
        say(
            "So does a tenth of on-policy trajectories, which see where the mass leaks to: "
            + ", ".join(f"{loss} {values.mean():.3f}" for loss, values in share.items())
            + ".",
            max(values.max() for values in share.values()) < 0.2,
        ),
        say(
            "TV >= (target's mass on the modes) - (model's), which needs no limit, holds in all "
            f"{len(runs.rows)} runs.",
            (runs.of("tv") >= least - 1e-5).all(),
        ),
    ]


def render(runs: Runs, short: bool = False) -> str:
    """The page as text; a `short` run need not carry its sentences."""
    about = runs.about
    lines = [
        "# A log Z that leaks",
        "",
        f"Trajectory balance on {about['env']}, trajectories drawn backward from the target, {about['seeds']} seeds, "
        f"{about['steps']:,} steps of 16, a table, Adam at 0.03",
        "(log Z at 0.1, starting at its upper bound unless said otherwise). Made by `python "
        "paper_checks/leak.py --preset standard`; laws are exact.",
        "",
        "Such data never leave the modes, but for a thousandth. Where the residuals vanish on them, Z P_F = p_B there, for "
        "any Z above Z*: the policy has Z*/Z of its",
        "mass on them and the rest where nothing looks. [Proposition 28](../docs/propositions.md#p28) says with which "
        "conditions this decides the total variation, whatever the loss.",
        "",
        points_of(lambda: findings(runs), short),
        "",
        "![Total variation against the limit, and by way](leak.png)",
        "",
        "*Left: a mark is a run; full: log Z from its upper bound, open: from the truth. Right: all ways.*",
        "",
        "| way | loss | total variation | log Z - log Z* | 1 - Z*/Z | model's mass on the modes |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for way in runs.names("way"):
        for loss in runs.names("loss"):
            where = {"way": way, "loss": loss}
            off = runs.of("log_z", **where) - runs.of("log_z_true", **where)
            cells = [
                runs.of("tv", **where),
                off,
                predicted(runs, **where),
                runs.of("on_modes", **where),
            ]
            shown = " | ".join(f"{v.mean():.3f} ± {v.std(ddof=1):.3f}" for v in cells)
            lines.append(f"| {way} | {loss} | {shown} |")
    lines += [
        "",
        f"Python {about['python']}, torch {about['torch']}, numpy {about['numpy']}; {about['device']}.",
    ]
    return "\n".join(lines) + "\n"


def write_page(folder: Path, page: Path, short: bool) -> None:
    """The page, and its figure as SVG and PNG beside it."""
    runs = read(folder)
    save(draw(runs), page.with_suffix(""))
    write_atomically(page, render(runs, short).encode())
