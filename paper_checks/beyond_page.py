"""The page and the figures of beyond_the_paper.py, from its committed runs.csv and about.json
alone.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from divergence_lab.report.plots import COLOURS, STYLE, save

REACHED = 0.05  # total variation below which a run counts as having learned the target
SECTIONS = {
    "losses": "More losses",
    "annealing": "Annealed losses",
    "exploration": "Losses x exploration",
    "sensitivity": "Sensitivity to alpha and the learning rate",
}


class Runs:
    """The rows of runs.csv; `values` picks a column [N], one number a seed, by the other
    columns.
    """

    def __init__(self, folder: Path) -> None:
        self.about: dict[str, Any] = json.loads((folder / "about.json").read_text())
        with open(folder / "runs.csv", newline="") as file:
            self.rows = list(csv.DictReader(file))

    def of(self, section: str) -> list[dict[str, str]]:
        return [row for row in self.rows if row["section"] == section]

    def distinct(self, section: str, *columns: str) -> list[tuple[str, ...]]:
        return list(
            dict.fromkeys(tuple(row[column] for column in columns) for row in self.of(section))
        )

    def values(self, section: str, column: str, **where: str) -> np.ndarray:
        of = [
            row
            for row in self.of(section)
            if all(row[key] == value for key, value in where.items())
        ]
        return np.array(
            [float(row[column]) for row in sorted(of, key=lambda row: int(row["seed"]))]
        )


def short(loss: str) -> str:
    return "designed" if loss.startswith("Piecewise") else loss


def code(text: str) -> str:
    return "`" + text.replace("|", "\\|") + "`"


def dots(runs: Runs, section: str, column: str = "area") -> Figure:
    """A column of each loss on a logarithmic axis: one dot a seed, a panel for each space and
    objective.
    """
    panels = runs.distinct(section, "env", "objective")
    losses = [loss for (loss,) in runs.distinct(section, "loss")]
    with mpl.rc_context(STYLE):
        figure = Figure(
            figsize=(2.4 * len(panels) + 1.6, 0.26 * len(losses) + 1.5), layout="constrained"
        )
        FigureCanvasAgg(figure)
        for number, (axes, (env, objective)) in enumerate(
            zip(figure.subplots(1, len(panels), squeeze=False, sharey=True)[0], panels)
        ):
            for row, loss in enumerate(losses):
                values = runs.values(section, column, env=env, objective=objective, loss=loss)
                axes.plot(
                    values,
                    np.full(len(values), row),
                    "o",
                    color=COLOURS[0],
                    markersize=4,
                    alpha=0.5,
                )
                axes.plot(
                    values.mean(), row, "|", color=COLOURS[1], markersize=9, markeredgewidth=2
                )
            axes.set(
                title=f"{env}, {objective.upper()}",
                yticks=range(len(losses)),
                yticklabels=[short(loss) for loss in losses],
            )
            if number == 0:
                axes.invert_yaxis()
            # on a line of its own each: laws of a small space are learned ten times better
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(lambda value, place: f"{value:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.tick_params(axis="x", labelsize=7)
        shown = {"area": "total variation, mean over the run", "tv": "total variation at the end"}[
            column
        ]
        figure.supxlabel(f"{shown}, logarithmic (dots: seeds; bar: their mean)", fontsize=9)
    return figure


def heat(runs: Runs, section: str, down: str, across: str) -> Figure:
    """The mean final total variation as a heat map for each space and objective."""
    panels = runs.distinct(section, "env", "objective")
    rows, columns = ([one for (one,) in runs.distinct(section, key)] for key in (down, across))
    with mpl.rc_context(STYLE):
        figure = Figure(
            figsize=(2.6 * len(panels) + 1.6, 0.36 * len(rows) + 1.9), layout="constrained"
        )
        FigureCanvasAgg(figure)
        every = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        for axes, (env, objective) in zip(every, panels):
            cells = [
                [
                    runs.values(
                        section, "tv", env=env, objective=objective, **{down: row, across: column}
                    )
                    for column in columns
                ]
                for row in rows
            ]
            table = np.array(
                [[cell.mean() if len(cell) else np.nan for cell in row] for row in cells]
            )
            image = axes.imshow(table, cmap="cividis_r", vmin=0, vmax=1, aspect="auto")
            for (i, j), value in np.ndenumerate(table):
                axes.text(
                    j,
                    i,
                    "" if np.isnan(value) else f"{value:.2f}",
                    ha="center",
                    va="center",
                    fontsize=6.5,
                    color="white" if value > 0.5 else "black",
                )
            axes.grid(visible=False)
            axes.set(
                title=f"{env}, {objective.upper()}",
                xticks=range(len(columns)),
                yticks=range(len(rows)),
                xlabel=across.replace("_", " "),
            )
            axes.set_xticklabels(columns, rotation=40, ha="right")
            axes.set_yticklabels([short(row) for row in rows])
        figure.colorbar(image, ax=list(every), label="final total variation")
    return figure


def _cell(values: np.ndarray) -> str:
    return f"{values.mean():.3f} ± {values.std(ddof=1):.3f}"


def loss_tables(runs: Runs, section: str) -> list[str]:
    """A table for each space and objective: speed, final law, modes; best area first."""
    lines = []
    for env, objective in runs.distinct(section, "env", "objective"):
        where = {"env": env, "objective": objective}
        losses = [loss for (loss,) in runs.distinct(section, "loss")]
        pick = lambda loss, column: runs.values(section, column, loss=loss, **where)  # noqa: E731
        losses.sort(key=lambda loss: pick(loss, "area").mean())
        base = pick("quadratic", "area")
        lines += [
            f"### {env}, {objective}",
            "",
            "| loss | TV, mean over the run | faster than quadratic | final TV | "
            "KL(target, law) | KL(law, target) | modes |",
            "|---|--:|--:|--:|--:|--:|--:|",
        ]
        for loss in losses:
            wins = (
                ""
                if loss == "quadratic"
                else f"{int((pick(loss, 'area') < base).sum())} of {len(base)}"
            )
            modes = int(pick(loss, "modes")[0])
            lines.append(
                f"| {short(loss)} | {_cell(pick(loss, 'area'))} | {wins} | "
                f"{_cell(pick(loss, 'tv'))} | {pick(loss, 'kl_forward').mean():.3g} "
                f"| {pick(loss, 'kl_reverse').mean():.3g} | "
                f"{pick(loss, 'modes_found').mean():.1f} of {modes} |"
            )
        lines.append("")
    return lines


def always_faster(runs: Runs, section: str, losses: Sequence[str]) -> list[str]:
    """Which of the losses beat the quadratic one in every seed, in how many of the panels."""
    panels, lines = runs.distinct(section, "env", "objective"), []
    for loss in losses:
        won = [
            bool(
                (
                    runs.values(section, "area", env=env, objective=objective, loss=loss)
                    < runs.values(section, "area", env=env, objective=objective, loss="quadratic")
                ).all()
            )
            for env, objective in panels
        ]
        lines.append((sum(won), short(loss)))
    return [f"{loss} ({number} of {len(panels)})" for number, loss in sorted(lines, reverse=True)]


def words_losses(runs: Runs) -> list[str]:
    """Who beats the quadratic loss, then all tables."""
    designed = next(
        loss for (loss,) in runs.distinct("losses", "loss") if loss.startswith("Piecewise")
    )
    losses = [loss for (loss,) in runs.distinct("losses", "loss") if loss != "quadratic"]
    return [
        f"*designed* is {code(designed)}, which `divergence-lab design --left-growth "
        "quadratic --right-growth",
        "exponential:1/2 --bounded-second-moment --count 1` finds.",
        "",
        (
            "Faster than the quadratic loss in every seed, in so many of the combinations of "
            "space and objective: "
        )
        + ", ".join(always_faster(runs, "losses", losses))
        + ".",
        "",
        *loss_tables(runs, "losses"),
    ]


def words_annealing(runs: Runs) -> list[str]:
    """Each schedule beside its two ends, seed by seed."""
    ends = {
        "linex(1) into shifted_cosh": ("linex(1)", "shifted_cosh"),
        "linex(1) then shifted_cosh at 0.3": ("linex(1)", "shifted_cosh"),
        "shifted_cosh into linex(1)": ("shifted_cosh", "linex(1)"),
        "linex(1->0)": ("linex(1)", "quadratic"),
        "linex(0->1)": ("quadratic", "linex(1)"),
    }
    lines = [
        "| schedule | space, objective | final TV | of its start alone | of its end "
        "alone | better than both, seeds |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for schedule, (start, stop) in ends.items():
        for env, objective in runs.distinct("annealing", "env", "objective"):
            tv, a, b = (
                runs.values("annealing", "tv", env=env, objective=objective, loss=loss)
                for loss in (schedule, start, stop)
            )
            better = int((tv < np.minimum(a, b)).sum())
            lines.append(
                f"| {code(schedule)} | {env}, {objective} | {_cell(tv)} | {a.mean():.3f} "
                f"| {b.mean():.3f} | {better} of {len(tv)} |"
            )
    return lines


def words_exploration(runs: Runs) -> list[str]:
    """For each sampler: the loss with the least final total variation, and whether Linex(1)
    still beats the quadratic.
    """
    lines = [
        "| space, objective | sampler | best loss (final TV) | linex(1) below quadratic, seeds |",
        "|---|---|---|--:|",
    ]
    losses = [loss for (loss,) in runs.distinct("exploration", "loss")]
    for env, objective, sampler in runs.distinct("exploration", "env", "objective", "sampler"):
        tv = {
            loss: runs.values(
                "exploration", "tv", env=env, objective=objective, sampler=sampler, loss=loss
            )
            for loss in losses
        }
        best = min(tv, key=lambda loss: tv[loss].mean())
        wins = int((tv["linex(1)"] < tv["quadratic"]).sum())
        lines.append(
            f"| {env}, {objective} | {sampler} | {best} ({_cell(tv[best])}) | {wins} of "
            f"{len(tv[best])} |"
        )
    lines += [
        "",
        "`backward`: log Z is learned from data that never leave the modes. What it exceeds the truth by",
        "[leaks](leak.md): these rows say nothing about the losses.",
    ]
    return lines


def words_sensitivity(runs: Runs) -> list[str]:
    """For each alpha: the best learning rate, and how many of the rates reach REACHED on
    average.
    """
    rates = [rate for (rate,) in runs.distinct("sensitivity", "learning_rate")]
    lines = [
        f"| objective | alpha | best rate (final TV) | rates with final TV below {REACHED} |",
        "|---|---|---|--:|",
    ]
    for objective, loss in runs.distinct("sensitivity", "objective", "loss"):
        tv = {
            rate: runs.values(
                "sensitivity", "tv", objective=objective, loss=loss, learning_rate=rate
            )
            for rate in rates
        }
        best = min(tv, key=lambda rate: tv[rate].mean())
        reached = sum(values.mean() < REACHED for values in tv.values())
        name = (
            "0 (quadratic)"
            if loss == "quadratic"
            else loss.removeprefix("linex(").removesuffix(")")
        )
        lines.append(
            f"| {objective} | {name} | {best} ({_cell(tv[best])}) | {reached} of {len(rates)} |"
        )
    return lines


def render(runs: Runs, name: str) -> str:
    """The page as text."""
    about = runs.about
    text = [
        "# Beyond the paper",
        "",
        f"{about['runs']:,} runs of {about['steps']:,} steps with {about['batch']} "
        f"trajectories, {about['seeds']} seeds each, tabular policies, uniform P_B,",
        "Adam at 0.03 (unless said otherwise; falling to 0 over the run), on-policy "
        "unless said otherwise. All laws and divergences are exact.",
        "± is the standard deviation over seeds; seeds are paired, since runs of the "
        "same seed share their random numbers.",
        "",
        f"Python {about['python']}, torch {about['torch']}, {about['device']} "
        f"({about['threads']} thread), {about['seconds']:,} s of training in all, shared "
        "with other work.",
        "",
        f"{about['jobs']} of {about['planned']} planned jobs are behind these tables"
        + (": the rest has not been run." if about["jobs"] < about["planned"] else "."),
        "",
        "    python paper_checks/beyond_the_paper.py --preset standard",
    ]
    told = {
        "losses": words_losses,
        "annealing": words_annealing,
        "exploration": words_exploration,
        "sensitivity": words_sensitivity,
    }
    for section, tell in told.items():
        text += ["", f"## {SECTIONS[section]}", ""]
        text += (
            [f"![{SECTIONS[section]}]({name}_{section}.png)", "", *tell(runs)]
            if runs.of(section)
            else ["Not run yet."]
        )
    return "\n".join(text).rstrip() + "\n"


def write_page(folder: Path, page: Path) -> None:
    """The page, and its four figures as SVG and PNG beside it."""
    runs, base = Runs(folder), page.with_suffix("")
    for section in filter(runs.of, SECTIONS):
        if section in ("losses", "annealing"):
            figure = dots(
                runs, section, "area" if section == "losses" else "tv"
            )  # what the tables below compare
        else:
            figure = heat(
                runs, section, "loss", "sampler" if section == "exploration" else "learning_rate"
            )
        save(figure, f"{base}_{section}")
    page.write_text(render(runs, page.stem))
