"""The page and the figure of small_models.py, from its committed small_models.json alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from saying import listed, points_of, say

from divergence_lab.report.plots import COLOURS, DASHES, MARKERS, STYLE, save
from divergence_lab.results.storage import write_atomically

CLASSES = ("zero-forcing", "neither", "zero-avoiding", "both")
SHOWN = ("quadratic", "log_cosh", "linex(1/2)", "linex(1)", "shifted_cosh")
COVER = "0.25"
Rows = list[dict[str, Any]]


def covers(content: dict[str, Any], row: dict[str, Any], share: str = COVER) -> bool:
    """Does the exact minimiser give every mode this share of its own mass?"""
    (modes,) = (p["modes"] for p in content["problems"] if p["name"] == row["problem"])
    return row["covered"][share] == modes


def some(rows: Rows, **where: Any) -> Rows:
    """The rows with these values."""
    return [row for row in rows if all(row[key] == value for key, value in where.items())]


def solved(content: dict[str, Any]) -> Rows:
    """The rows with a minimiser, of the problems that all losses were tried on."""
    rows = [row for row in content["rows"] if row["covered"]]
    most = max(len(some(rows, problem=p["name"])) for p in content["problems"])
    many = {p["name"] for p in content["problems"] if len(some(rows, problem=p["name"])) > most / 2}
    return [row for row in rows if row["problem"] in many]


def said_by_tails(row: dict[str, Any]) -> bool | None:
    """Will all modes be covered?  Zero-forcing alone: no; zero-avoiding: yes; neither: unknown."""
    answers = {"zero-forcing": False, "zero-avoiding": True, "both": True}
    return answers.get(row["tails"])


def said_by_prices(row: dict[str, Any]) -> bool:
    """Is f dearer where a mode is dropped than where a valley is filled, at the target's ratio?"""
    return row["price_of_a_mode"] > row["price_of_a_valley"]


def hardest(content: dict[str, Any]) -> list[str]:
    """The last problem of each family that has more than one: that with the highest modes."""
    kept = list(dict.fromkeys(row["problem"] for row in solved(content)))
    families = [name.split(",")[0] for name in kept]
    last = dict(zip(families, kept, strict=True))
    return [name for family, name in last.items() if families.count(family) > 1]


def ranked(rows: Rows, problem: str) -> Rows:
    """For this target and capacity: all losses, those whose minimiser is nearest first."""
    return sorted(
        (row for row in some(rows, problem=problem) if row["covered"]), key=lambda row: row["tv"]
    )


# --- the figure


def draw(content: dict[str, Any]) -> Figure:
    """What the smaller mode keeps, by distance and by height; how many losses of a class cover."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.4, 4.8), layout="constrained")
        FigureCanvasAgg(figure)
        left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 1.25))
        _kept(left, content, "bump", "distance between the two bumps")
        _kept(middle, content, "product", "log height of the modes")
        left.set_ylabel("smaller mode: mass of the model / target")
        _classes(right, content)
        figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=3)
        figure.legend(*right.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure


def _kept(axes: Axes, content: dict[str, Any], family: str, label: str) -> None:
    names = [p["name"] for p in content["problems"] if p["name"].startswith(family)]
    at = [float(name.split()[-1]) for name in names]
    for k, loss in enumerate(SHOWN):
        kept = []
        for name in names:
            (row,) = some(content["rows"], problem=name, loss=loss)
            (masses,) = (p["masses"] for p in content["problems"] if p["name"] == name)
            kept.append(min(np.array(row["on_modes"]) / np.array(masses)))
        style = {"color": COLOURS[k], "linestyle": DASHES[k], "marker": MARKERS[k]}
        axes.plot(at, kept, markersize=5, label=loss, **style)
    axes.set(xlabel=label, ylim=(-0.03, 1.05), title=f"{family}, exact minimiser")


def _classes(axes: Axes, content: dict[str, Any]) -> None:
    rows = solved(content)
    names = list(dict.fromkeys(row["problem"] for row in rows))
    for k, tails in enumerate(CLASSES):
        shares = [
            np.mean([covers(content, row) for row in some(rows, problem=name, tails=tails)])
            for name in names
        ]
        place = np.arange(len(names)) + 0.2 * (k - 1.5)
        axes.plot(shares, place, MARKERS[k], color=COLOURS[k + 4], markersize=4, label=tails)
    axes.set(yticks=range(len(names)), xlim=(-0.05, 1.05), title="by tails")
    axes.set_xlabel("share of the losses that cover all modes")
    axes.set_yticklabels(names, fontsize=7)
    axes.invert_yaxis()


# --- the sentences


def right(content: dict[str, Any], rows: Rows, rule: Any, share: str = COVER) -> tuple[int, int]:
    """How often a rule that says anything is right."""
    told = [row for row in rows if rule(row) is not None]
    return sum(rule(row) == covers(content, row, share) for row in told), len(told)


def share_of(pair: tuple[int, int]) -> str:
    """12 of 16 (75%)"""
    return f"{pair[0]} of {pair[1]} ({pair[0] / pair[1]:.0%})"


def by_class(content: dict[str, Any], rows: Rows) -> dict[str, tuple[int, int]]:
    """(covers all modes, all), a class each."""
    return {
        tails: (sum(covers(content, row) for row in of), len(of))
        for tails in CLASSES
        for of in [some(rows, tails=tails)]
    }


def statistics(content: dict[str, Any]) -> list[str]:
    """How often the tails say what the exact minimiser does."""
    rows = solved(content)
    told = [row for row in rows if said_by_tails(row) is not None]
    each = {
        t: right(content, some(rows, tails=t), said_by_tails) for t in CLASSES if t != "neither"
    }
    all_told = right(content, told, said_by_tails)
    yes = sum(covers(content, row) for row in told)
    always = (max(yes, len(told) - yes), len(told))
    hard = [row for row in rows if row["problem"] in hardest(content)]
    far = {t: right(content, some(hard, tails=t), said_by_tails) for t in each}
    others = [share_of(right(content, told, said_by_tails, one)) for one in ("0.1", "0.5")]
    silent = by_class(content, rows)["neither"]
    prices = [right(content, part, said_by_prices) for part in (rows, told, hard)]
    return [
        say(
            "A mode counts as covered where the exact minimiser gives it a quarter of its own mass. Zero-forcing alone, read as \u201ca mode is lost\u201d, is right in "
            f"{share_of(each['zero-forcing'])} of the pairs of a loss and a problem; zero-avoiding alone, read as \u201call are covered\u201d, in {share_of(each['zero-avoiding'])}; both together, read so too, in {share_of(each['both'])}. "
            f"That makes {share_of(all_told)}; who always says the same is right in {share_of(always)}. With a tenth or a half in place of a quarter it is {others[0]} and {others[1]}.",
            each["zero-avoiding"][0] / each["zero-avoiding"][1] > each["both"][0] / each["both"][1],
            all_told[0] > always[0],
        ),
        say(
            f"Of a loss that is neither, tails say nothing: all modes are covered in {share_of(silent)} of these pairs.",
            0.2 < silent[0] / silent[1] < 0.8,
        ),
        say(
            f"On the hardest problem of a family ({listed(hardest(content))}) zero-forcing alone is right in {share_of(far['zero-forcing'])} and zero-avoiding alone in {share_of(far['zero-avoiding'])}, near P34's limit. "
            f"With both, of which the limit says nothing, all modes are covered in {share_of(far['both'])}.",
            far["zero-forcing"][0] * each["zero-forcing"][1]
            >= each["zero-forcing"][0] * far["zero-forcing"][1],
            far["both"][0] < far["both"][1],
        ),
        say(
            "A rule that looks at the ratio which occurs, h the log height of the modes: all are covered if f(e^h)/e^h, the price of a mode that is lost, exceeds f(e^-h), that of a valley that is filled. "
            f"It speaks of every loss and is right in {share_of(prices[0])}: in {share_of(prices[1])} where tails speak, and in {share_of(prices[2])} on the hardest problems."
        ),
    ]


def exceptions(content: dict[str, Any]) -> list[str]:
    """log-cosh, and others that tails are wrong about."""
    rows = solved(content)
    lost = {
        loss: [row["problem"] for row in some(rows, loss=loss) if not covers(content, row)]
        for loss in ("quadratic", "log_cosh", "shifted_cosh", "linex(1)")
    }
    both = [name for name in lost["log_cosh"] if name in lost["quadratic"]]
    hard = hardest(content)
    flat = [row for row in rows if row["tails"] == "neither" and row["problem"] in hard]
    drops = sorted({row["loss"] for row in flat if not covers(content, row)})
    keeps = sorted({row["loss"] for row in flat if covers(content, row)})
    return [
        say(
            f"log_cosh is neither zero-forcing nor zero-avoiding, and loses a mode in {len(lost['log_cosh'])} of the {len({row['problem'] for row in rows})} problems that all losses were tried on, quadratic in {len(lost['quadratic'])}; in {len(both)} of them both do. "
            f"shifted_cosh, which is both, loses one in {len(lost['shifted_cosh'])}; linex(1), zero-avoiding, in {len(lost['linex(1)'])}.",
            len(both) > 0,
            len(lost["shifted_cosh"]) > len(lost["linex(1)"]),
        ),
        say(
            f"Of the losses that are neither, {len(drops)} lose a mode in at least one of the hardest problems and {len(keeps)} cover all in at least one: the class holds both kinds.",
            len(drops) > 0,
            len(keeps) > 0,
        ),
    ]


def training(content: dict[str, Any]) -> list[str]:
    """What training finds beside the exact minimiser."""
    rows = [row for row in content["rows"] if "expected" in row and row["covered"]]
    sentences = []
    for way in ("expected", "sampled"):
        found = [
            (count == row["covered"][COVER], excess <= 0.01 + 0.02 * abs(row["value"]))
            for row in rows
            for count, excess in zip(row[way]["covered"], row[way]["excess"], strict=True)
        ]
        same, near = (sum(pair[k] for pair in found) for k in (0, 1))
        sentences.append((way, same, near, len(found)))
    bumps = [r for r in rows if r["loss"] == "quadratic" and r["problem"].startswith("bump")]
    kept = [r["problem"] for r in bumps if min(r["expected"]["covered"]) > r["covered"][COVER]]
    stuck = f"With {listed(kept)} every run of the quadratic loss stays over both bumps, where it began, though one alone is nearer by its own divergence."
    shown = [
        f"{way} gradients end within 0.01 + 2% of the least divergence in {share_of((near, runs))} of the runs, and with as many modes covered in {share_of((same, runs))}"
        for way, same, near, runs in sentences
    ]
    return [
        say(
            f"Training ({content['steps']:,} steps of Adam at {content['rate']}, clip 10, {content['seeds']} nearly uniform starts, the five losses of the figure): {'; '.join(shown)}. "
            f"{stuck} The start and the path decide which local minimum is reached, and a divergence knows nothing of either.",
            all(near < runs for _, _, near, runs in sentences),
        )
    ]


def search(content: dict[str, Any]) -> list[str]:
    """How sure the exact minima are."""
    rows = [row for row in content["rows"] if row["covered"]]
    once = sum(row["reached"] == 1 for row in rows)
    missing = len(content["rows"]) - len(rows)
    return [
        say(
            f"The search: {content['starts']} random starts and one from the best model of each choice of modes; in {len(rows) - once} of {len(rows)} cases at least two ended at the least value. "
            f"{missing} cases have none: their divergence is beyond float64 from every start. What is called the exact minimiser is the least that was found; the tests hold that of one and of two parameters against a fine grid."
        )
    ]


# --- the tables


def class_table(content: dict[str, Any]) -> list[str]:
    """Tail class x problem: how many cover all modes."""
    rows = solved(content)
    lines = [f"| problem | {' | '.join(CLASSES)} |", "|---|" + "--:|" * len(CLASSES)]
    for name in dict.fromkeys(row["problem"] for row in rows):
        found = by_class(content, some(rows, problem=name))
        lines.append(f"| {name} | {' | '.join(f'{a} of {n}' for a, n in found.values())} |")
    return lines


def loss_table(content: dict[str, Any]) -> list[str]:
    """The losses that were trained: mass on the modes, and what training covers."""
    lines = [f"| problem | {' | '.join(SHOWN)} |", "|---|" + "---|" * len(SHOWN)]
    for problem in content["problems"]:
        cells = []
        for loss in SHOWN:
            (row,) = some(content["rows"], problem=problem["name"], loss=loss)
            mass = " ".join(f"{value:.2f}".removeprefix("0") for value in row["on_modes"])
            seeds = [f"{np.mean(row[way]['covered']):.1f}" for way in ("expected", "sampled")]
            cells.append(f"{mass}; **{row['covered'][COVER]}**, {', '.join(seeds)}")
        lines.append(f"| {problem['name']} ({problem['modes']}) | {' | '.join(cells)} |")
    return lines


def choice_table(content: dict[str, Any]) -> list[str]:
    """For each target and capacity: the losses whose minimiser is nearest, with the evidence."""
    rows = solved(content)
    lines = [
        "| target and capacity | nearest in total variation | TV | nearest that covers all | TV | its critical batch at the start |",
        "|---|---|--:|---|--:|--:|",
    ]
    for name in dict.fromkeys(row["problem"] for row in rows):
        best = ranked(rows, name)
        full = [row for row in best if covers(content, row)]
        first = ", ".join(row["loss"] for row in best[:3])
        cells = [first, f"{best[0]['tv']:.3f}"]
        if full:
            top = full[:3]
            cells += [", ".join(row["loss"] for row in top), f"{top[0]['tv']:.3f}"]
            cells.append(f"{top[0]['critical_start']:.3g}")
        else:
            cells += ["none", "", ""]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def findings(content: dict[str, Any]) -> list[str]:
    """What the numbers say."""
    return [*statistics(content), *exceptions(content), *training(content), *search(content)]


def render(content: dict[str, Any], short: bool = False) -> str:
    """The page as text; a `short` run need not carry its sentences."""
    losses = len({row["loss"] for row in content["rows"]})
    return (
        "\n".join(
            [
                "# Models that are too small",
                "",
                f"Which modes survive where the model can't be the target: {len(content['problems'])} problems (`paper_checks/small_families.py`: one bell for two bumps, independent rows and columns, a log-table of rank 1, tied logits,",
                f"one row of logits for a whole grid), {losses} losses (those of the catalogue, each family at its first examples, but for those that are another times a factor), each divergence minimised over the family in float64. Made by `python paper_checks/small_models.py --preset",
                "standard`. [Proposition 34](../docs/propositions.md#p34): at bounded ratios the tails of a loss say nothing, since beyond the largest ratio they can be exchanged; in the limit of high modes they say half.",
                "",
                points_of(lambda: findings(content), short),
                "",
                "![What the smaller mode keeps, and which classes cover](small_models.png)",
                "",
                "*Left and middle: the least share of its own mass that a mode keeps. Right: by tails; marks of one problem are set apart.*",
                "",
                "Losses whose exact minimiser covers all modes:",
                "",
                *class_table(content),
                "",
                "The model's mass on each mode at the exact minimum; **modes covered** there, and in the mean over seeds after training by expected and by sampled gradients (number of modes in brackets):",
                "",
                *loss_table(content),
                "",
                "## A chooser",
                "",
                "For a target and a capacity, the losses by the total variation of their exact minimiser (`ranked`), and the first that covers all modes:",
                "",
                *choice_table(content),
                "",
                "What it does not know: whether training gets there (above), the optimiser, exploration, log Z learned beside the model, draws that are not on-policy, and every target and family that is not in the table.",
            ]
        )
        + "\n"
    )


def write_page(folder: Path, page: Path, short: bool) -> None:
    """The page, and its figure as SVG and PNG beside it."""
    content = json.loads((folder / "small_models.json").read_text())
    save(draw(content), page.with_suffix(""))
    write_atomically(page, render(content, short).encode())
