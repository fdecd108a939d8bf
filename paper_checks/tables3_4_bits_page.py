"""The page and the figure of tables3_4_bits.py, from its committed results alone."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from statistics import median

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from divergence_lab.report.plots import COLOURS, DASHES, MARKERS, STYLE, save
from divergence_lab.results.storage import write_atomically

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "tables3_4_bits"
PAGE = HERE / "tables3_4_bits.md"
NAMES = {
    "quadratic": "Quadratic",
    "linex(1)": "Linex(1)",
    "linex(1/2)": "Linex(1/2)",
    "shifted_cosh": "Shifted-Cosh",
}
SHOWN = {**NAMES, "linex(-1)": "Linex(-1)"}
# Table 3: runs of 5 that found all 60 modes within 250,000 steps, and the median of their steps
TABLE_3 = {
    "TB": ("1/5, -", "5/5, 98.0k", "5/5, 111.2k", "4/5, 92.2k"),
    "DB": ("5/5, 13.4k", "5/5, 10.8k", "5/5, 11.7k", "0/5, -"),
    "STB": ("4/5, 50.6k", "5/5, 20.3k", "5/5, 55.9k", "5/5, 90.0k"),
}
# Table 4: Spearman's correlation, mean (standard deviation), collapsed runs left out
TABLE_4 = {
    "DB": (".7907(.0175)", ".7464(.0107)", ".7580(.0132)", ".8213(.0094)"),
    "TB": (".8081(.0159)", ".7421(.0216)", ".7454(.0021)", ".8122(.0145)"),
    "STB": (".8088(.0169)", ".7517(.0246)", ".7711(.0190)", ".8132(.0149)"),
}
FULL_STEPS, FULL_SEEDS = 250_000, 5
NULLS = HERE / "results" / "null_models" / "bits.json"


def read(name: str, preset: str) -> list[dict[str, str]]:
    """The records of one table of one preset; none where it was not run."""
    path = RESULTS / preset / f"{name}.csv"
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def chosen(rows: list[dict[str, str]], **wanted: str) -> list[dict[str, str]]:
    """The rows with these values."""
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def spread(rows: list[dict[str, str]], column: str, digits: int = 3) -> str:
    """mean (standard deviation over seeds) of a column."""
    values = [float(row[column]) for row in rows]
    if not values:
        return "not run"
    return f"{np.mean(values):.{digits}f}" + (
        f" ({np.std(values, ddof=1):.{digits}f})" if len(values) > 1 else ""
    )


def claims(paper: list[dict[str, str]]) -> list[str]:
    """Tables 3 and 4 at the full size and length: claimed beside recomputed, which is 'not run'
    unless it was.
    """
    lines = [
        "| | loss | Table 3, claimed | recomputed | Table 4, claimed | recomputed | "
        "seeds x steps behind it |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in ("TB", "DB", "STB"):
        for k, (loss, shown) in enumerate(NAMES.items()):
            rows = chosen(paper, objective=name, loss=loss, bits="120x8")
            rows = [row for row in rows if int(row["steps"]) == FULL_STEPS]
            found = [int(row["all_modes_by_step"]) for row in rows if row["all_modes_by_step"]]
            ours = (
                f"{len(found)}/{len(rows)}, {median(found):,.0f}"
                if found
                else f"0/{len(rows)}, -"
                if rows
                else "not run"
            )
            behind = f"{len(rows)} x {FULL_STEPS:,}" if rows else "0"
            lines.append(
                f"| {name} | {shown} | {TABLE_3[name][k]} | {ours} | {TABLE_4[name][k]} "
                f"| {spread(rows, 'spearman', 4)} | {behind} |"
            )
    return lines


def null_models() -> list[str]:
    """What product laws that know no mode score in Table 4, exactly."""
    rows = json.loads(NULLS.read_text())
    laws = [key for key in rows[0] if key not in ("seed", "strings")]
    shown = [f"scale {law}" if law[0].isdigit() else law for law in laws]
    lines = [
        "## What Table 4's correlation needs",
        "",
        f"Spearman's correlation with R on the {rows[0]['strings']:,} test strings, exact, of product "
        "laws of 15 independent words, h(w) ~ Σ exp(-scale d(w, v))",
        "over the five words v that modes are made of (`python paper_checks/null_models.py`). Such a law "
        "gives all 5^15 strings of these words the same chance:",
        "it knows no mode. 2 is the scale of log R; the others are flatter. Beside them the target itself, "
        "and a law that has the modes and nothing else.",
        "",
        f"| seed of the modes | {' | '.join(shown)} |",
        "|--:|" + "--:|" * len(laws),
    ]
    for row in rows:
        cells = " | ".join(f"{row[law]:.3f}" for law in laws)
        lines.append(f"| {row['seed']} | {cells} |")
    return lines


def measured(rows: list[dict[str, str]]) -> list[str]:
    """What was run at smaller size or length: one line an objective and loss, with its seeds and
    steps.
    """
    lines = [
        "| | bits | loss | seeds x steps | modes | all found | test strings | Spearman, "
        "test strings | Spearman, all strings | total variation | mean log R |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for part in dict.fromkeys(row["part"] for row in rows):
        for name in dict.fromkeys(row["objective"] for row in chosen(rows, part=part)):
            for loss, shown in SHOWN.items():
                some = chosen(rows, part=part, objective=name, loss=loss)
                if not some:
                    continue
                one = some[0]
                found = [int(row["all_modes_by_step"]) for row in some if row["all_modes_by_step"]]
                exact = ("spearman_all_strings", "tv") if one["tv"] else ()
                cells = [spread(some, key) for key in exact] or ["not listed", "not listed"]
                modes = (
                    f"{np.mean([int(row['modes_found']) for row in some]):.1f} of {one['n_modes']}"
                )
                lines.append(
                    f"| {name}, {part} | {one['bits']} | {shown} | {len(some)} x "
                    f"{int(one['steps']):,} | {modes} | "
                    f"{len(found)}/{len(some)}, "
                    f"{f'{median(found):,.0f}' if found else '-'} | "
                    f"{int(one['test_strings']):,} | {spread(some, 'spearman')} | "
                    f"{' | '.join(cells)} | "
                    f"{spread(some, 'mean_log_reward', 2)} |"
                )
    return lines


def probed(rows: list[dict[str, str]]) -> list[str]:
    """Gradients before the first step and after the last one."""
    lines = [
        "| | loss | | gradient norm | batches clipped | largest pull | x: 5%, 50%, 95% | "
        "Adam's step |",
        "|---|---|---|---|---|---|---|---|",
    ]

    def middle(some: list[dict[str, str]], key: str) -> float:
        return median(float(row[key]) for row in some)

    for part in dict.fromkeys(row["part"] for row in rows):
        for name in dict.fromkeys(row["objective"] for row in chosen(rows, part=part)):
            for loss, shown in SHOWN.items():
                some = chosen(rows, part=part, objective=name, loss=loss)
                for prefix, when in (("start_", "start"), ("", "end")):
                    if not some:
                        continue
                    quantiles = ", ".join(
                        f"{middle(some, f'{prefix}x_{q}'):.1f}" for q in (5, 50, 95)
                    )
                    step = "" if prefix else f"{middle(some, 'adam_step'):.2f}"
                    clipped = np.mean([float(row[f"{prefix}clipped"]) for row in some])
                    lines.append(
                        f"| {name}, {part} | {shown} | {when} | "
                        f"{middle(some, f'{prefix}gradient_norm'):.3g} | {clipped:.0%} | "
                        f"{middle(some, f'{prefix}largest_pull'):.0%} | {quantiles} | {step} |"
                    )
    return lines


def figure(curves: list[dict[str, str]], part: str, n_modes: str) -> Figure:
    """Figure 4's way of drawing: modes found over steps, a panel an objective, a line a loss,
    bands over seeds.
    """
    names = [name for name in ("TB", "DB", "STB") if chosen(curves, part=part, objective=name)]
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(2.4 + 2.6 * len(names), 5.0), layout="constrained")
        FigureCanvasAgg(drawn)
        panels = drawn.subplots(2, len(names), sharex=True, sharey="row", squeeze=False)
        for column, name in enumerate(names):
            some = chosen(curves, part=part, objective=name)
            seeds = sorted({row["seed"] for row in some})
            for k, (loss, shown) in enumerate(NAMES.items()):
                of_loss = [chosen(some, loss=loss, seed=seed) for seed in seeds]
                steps = [int(row["step"]) for row in of_loss[0]]
                for row, key in enumerate(("modes_found", "mean_log_reward")):
                    lines = np.array([[float(one[key]) for one in run] for run in of_loss])
                    panel = panels[row, column]
                    panel.fill_between(
                        steps,
                        lines.min(axis=0),
                        lines.max(axis=0),
                        color=COLOURS[k],
                        alpha=0.15,
                        linewidth=0,
                    )
                    panel.plot(
                        steps,
                        lines.mean(axis=0),
                        color=COLOURS[k],
                        linestyle=DASHES[k],
                        marker=MARKERS[k],
                        markersize=4,
                        label=shown,
                    )
            panels[0, column].set_title(
                f"{name}, {some[0]['bits']} bits, {len(seeds)} seed{'s' * (len(seeds) > 1)}"
            )
            panels[1, column].set_xlabel("steps (16 trajectories each)")
        panels[0, 0].set_ylabel(f"modes found so far (of {n_modes})")
        panels[1, 0].set_ylabel("mean log R of fresh trajectories")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside upper center", ncols=2 if len(names) == 1 else 4)
    return drawn


def write() -> None:
    """tables3_4_bits.md and, for every part that was run with all losses, a figure beside its
    results.
    """
    standard, paper = read("runs", "standard"), read("runs", "paper")
    lines = [
        "# Tables 3 and 4, Figure 4: bit sequences",
        "",
        "Made by `python paper_checks/tables3_4_bits.py --page` from the CSV files below "
        "`results/tables3_4_bits`.",
        "",
        "## The paper's size: 120 bits in words of 8, 60 modes, up to 250,000 steps, 5 seeds",
        "",
        "Claimed: Table 3 (runs that found all modes, median steps) and Table 4 "
        "(Spearman's correlation, collapsed runs",
        "left out). Recomputed: from runs of that size and length alone, none left out; "
        "steps are those of evaluations, up to 2% of the run apart.",
        "",
        *claims(paper),
        "",
        "To run it: `python paper_checks/tables3_4_bits.py --preset paper --device "
        "cuda`, which can be stopped and goes on.",
        "",
        *null_models(),
    ]
    for preset, rows in (("standard", standard), ("paper", paper)):
        if not rows:
            continue
        longest = max(int(row["steps"]) for row in rows)
        about = json.loads((RESULTS / preset / "environment.json").read_text())
        lines += [
            "",
            f"## What was run: preset {preset}",
            "",
            f"On {about['device']} ({about['threads']} "
            f"thread{'s' * (about['threads'] != 1)}), Python {about['python']}, "
            f"torch {about['torch']}. Numbers are means over seeds, standard deviations "
            "in brackets. *Modes*: those that some",
            "string came within N/4 bits of. *All found*: in how many runs, and the "
            "median of their steps, as evaluations saw it. *Spearman*: of P_T and R,",
            "on test strings made as the released code makes its 7,200, P_T estimated "
            "from 10 backward trajectories a string; and on all strings, with the exact "
            "law,",
            "as is the total variation. *Mean log R*: of 256 fresh trajectories."
            + (
                (
                    f" No run has the paper's {FULL_STEPS:,} steps, and nothing here says "
                    "what these would do."
                )
                if longest < FULL_STEPS
                else ""
            ),
            "",
            *measured(rows),
            "",
            "### Gradients",
            "",
            "Dropout off, medians over 8 fresh batches of each seed, before the first "
            "step and after the last. *Gradient norm*",
            "of the objective as the released code scales it, which clips at 1,000 (or "
            "at what the name of the part says).",
            "*Largest pull*: the share of one residual in the sum of |g'(x)| over a "
            "batch. *Adam's step*: root mean square over",
            "all parameters, as a share of the learning rate; small where gradients of "
            "one batch have little to do with the next.",
            "",
            *probed(rows),
        ]
        curves = read("curves", preset)
        for part in dict.fromkeys(row["part"] for row in rows):
            if {row["loss"] for row in chosen(rows, part=part)} != set(NAMES):
                continue
            name = "figure4_" + "".join(c if c.isalnum() else "_" for c in part.replace(", ", "_"))
            save(
                figure(curves, part, chosen(rows, part=part)[0]["n_modes"]), RESULTS / preset / name
            )
            lines += [
                "",
                f"![{part}: modes found over steps](results/tables3_4_bits/{preset}/{name}.png)",
                "",
            ]
            lines += [
                f"*{part.capitalize()}: as the paper's Figure 4. Lines: means; bands: "
                "least to greatest over seeds.*"
            ]
    write_atomically(PAGE, ("\n".join(lines) + "\n").encode())
