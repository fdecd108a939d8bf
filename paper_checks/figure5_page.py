"""The page and figures of figure5_molecules.py, from committed results alone."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from divergence_lab.report import plots
from divergence_lab.results.storage import write_atomically

LOSSES = ("Quadratic", "Linex(1)", "Linex(1/2)", "Shifted-Cosh")
OBJECTIVES = ("tb", "db", "subtb(0.99)", "fm")
SAME = 0.01  # losses whose values differ by less, relatively, are called equal
FORCING = ("Quadratic", "Shifted-Cosh")
PRESETS = ("standard", "paper")  # from short to long
SAMPLED = ("sampled", "sampled-as-released", "sampled-qed", "sampled-qed-as-released")
PAPER_STEPS = 50_000
METRICS = (
    ("mean_reward", "mean R"),
    ("similarity", "similarity"),
    ("best_mass", "mass of the best"),
    ("best_similarity", "similarity of the best"),
    ("best_found", "best found"),
    ("tv", "TV"),
    ("kl_forward", "KL(target‖model)"),
    ("kl_reverse", "KL(model‖target)"),
)

Curves = dict[
    tuple[str, str, str], dict[int, np.ndarray]
]  # (objective, loss, metric) -> step -> values of the seeds


def write(results: Path, page: Path) -> None:
    """Write `page` and its figures from the folders of presets below `results`: the exact part
    of the longest one, all sampled.
    """
    write_atomically(page, text(results, draw=True).encode())


def text(results: Path, draw: bool = False) -> str:
    """The page; with `draw`, its figures are written beside the results."""
    every = [results / preset for preset in PRESETS]
    folders = [folder for folder in every if (folder / "exact.json").exists()]
    if not folders:
        return "# Figure 5: molecules\n\nNot run: no results are committed.\n"
    about = json.loads((folders[-1] / "exact.json").read_text())
    sampled, exact = (
        read(folders[-1] / "exact.csv", "sampled"),
        read(folders[-1] / "exact.csv", "exact"),
    )
    if draw:
        _figure(sampled, about, folders[-1] / "exact_space")
    files = [
        folder / f"{name}.json"
        for folder in every
        for name in SAMPLED
        if (folder / f"{name}.json").exists()
    ]
    nets = (
        "\n\n".join(_sampled(path, draw) for path in files)
        or "Not run. The command is the one above with `--parts sampled`."
    )
    # the paper's reward is sEH
    longest = max(
        (
            json.loads(path.read_text())["about"]["steps"]
            for path in files
            if "qed" not in path.name
        ),
        default=0,
    )
    return render(about, sampled, exact, nets, folders[-1].name, longest >= PAPER_STEPS)


def read(path: Path, training: str) -> Curves:
    """The rows of exact.csv of one way of training."""
    found: dict = defaultdict(lambda: defaultdict(dict))
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            if row["training"] == training:
                key = (row["objective"], row["loss"], row["metric"])
                found[key][int(row["step"])][int(row["seed"])] = float(row["value"])
    return {
        key: {
            step: np.array([seeds[n] for n in sorted(seeds)])
            for step, seeds in sorted(steps.items())
        }
        for key, steps in found.items()
    }


def last(curves: Curves, objective: str, loss: str, metric: str, part: float = 1.0) -> np.ndarray:
    """The values of the seeds at the last step evaluated within this part of the run."""
    steps = curves[objective, loss, metric]
    end = max(steps)
    return steps[max(step for step in steps if step <= part * end)]


def there(curves: Curves) -> list[str]:
    """The objectives that were run."""
    return [objective for objective in OBJECTIVES if (objective, LOSSES[0], "tv") in curves]


def verdicts(curves: Curves, objective: str, part: float) -> tuple[str, str]:
    """Do both zero-forcing losses have a higher mean reward, and both Linex losses a lower
    similarity?
    """
    return _orders(
        *(
            {loss: last(curves, objective, loss, name, part) for loss in LOSSES}
            for name in ("mean_reward", "similarity")
        )
    )


def _orders(reward: dict[str, np.ndarray], alike: dict[str, np.ndarray]) -> tuple[str, str]:
    """Of the values of the seeds, [N] for each loss: the means decide; in how many seeds it
    holds is said beside.
    """
    others = [loss for loss in LOSSES if loss not in FORCING]

    def holds(high: dict, low: dict) -> np.ndarray:
        return np.min([high[loss] for loss in FORCING], axis=0) > np.max(
            [low[loss] for loss in others], axis=0
        )

    return _word(holds, reward), _word(holds, alike)


def _word(holds, values: dict[str, np.ndarray]) -> str:
    mean = {loss: of_seeds.mean() for loss, of_seeds in values.items()}
    if max(mean.values()) - min(mean.values()) < SAME * max(mean.values()):
        return f"no: all four within {SAME:.0%}"
    order = " > ".join(sorted(mean, key=mean.get, reverse=True))
    each = holds(values, values)
    seeds = f" ({each.sum()} of {each.size} seeds)" if each.size > 1 else ""
    return f"{'yes' if holds(mean, mean) else 'no'}{seeds}: {order}"


def render(about: dict, sampled: Curves, exact: Curves, net: str, preset: str, whole: bool) -> str:
    """The page as text: `preset` is that of the exact part, `whole` whether a sampled run had
    the paper's length.
    """
    settings, target, env = about["settings"], about["target"], about["environment"]
    lines = [
        "# Figure 5: molecules",
        "",
        "Written by `python paper_checks/figure5_molecules.py --page` from the files below",
        "`results/figure5_molecules`; those of the exact space were made by `... "
        f"--preset {preset} --data DIR`, DIR a folder with the published",
        "blocks and weights.",
        "",
        "The paper claims (Figure 5; no table): zero-forcing losses (Quadratic, "
        "Shifted-Cosh) reach a higher mean reward;",
        "Linex(1) and Linex(1/2) give less similar molecules; among the best molecules "
        "Linex(1/2) is the most robust.",
        "",
        "## The exact space",
        "",
        f"{about['space']}: all {about['molecules']:,} molecules of 2 to 4 blocks of 12 "
        f"published entries, {about['states']:,} states,",
        f"{about['edges']:,} edges, {about['trajectories']:,} trajectories, log Z = "
        f"{about['log_z']:.4f}. Reward: {about['reward']}. A state is a",
        "molecule with its free stems; actions that lead to the same molecule are one. "
        "Where no stem is left, the published network's value",
        "depends on the block that came first (here by up to "
        f"{about['stemless_spread']:.2f} in raw); the mean is taken, which departs from",
        "the published reward there and nowhere else. Uniform P_B, one table for all states.",
        "",
        "No number below is an estimate: every law is computed over all states. mean R = "
        "Σ q R, similarity = Σ q(x) q(y) s(x, y)",
        f"({about['fingerprint']}), the best are the {about['best_count']} molecules "
        f"({about['best_share']:.0%}) of highest R, best found is how",
        f"many of these turn up in {about['draws']} draws. A law equal to the target has "
        "the last line of each table, whatever the loss.",
        "",
        f"### Sampled training: {settings['sampled']['seeds']} seeds, "
        f"{settings['sampled']['steps']} steps of {settings['sampled']['batch']} "
        "trajectories,"
        f" {settings['sampled']['sampler']}",
        "",
        f"Adam, learning rate {settings['sampled']['learning_rate']} (log Z "
        f"{settings['sampled']['learning_rate_log_z']}), constant. Mean (standard "
        "deviation) over seeds, at the end.",
        "",
        *_table(sampled, target, True),
        "",
        "### Exact training: expected gradients, no seeds",
        "",
        f"Natural gradient, {settings['exact']['steps']} steps, on-policy. Nothing is "
        "random, so one run a line.",
        "",
        *_table(exact, target, False),
        "",
        "## Does Figure 5 show?",
        "",
        "Order of the losses by mean over seeds, all of the zero-forcing ones against "
        "all of the others; in brackets in how many seeds, which",
        "share their random numbers, the claim holds.",
        "",
        "| training | objective | when | zero-forcing: higher mean R | Linex: lower similarity |",
        "|---|---|---|---|---|",
    ]
    for name, curves, parts in (
        ("sampled", sampled, (0.3, 1.0)),
        ("exact", exact, (0.02, 0.2, 1.0)),
    ):
        for objective in there(curves):
            for part in parts:
                step = max(
                    s
                    for s in curves[objective, LOSSES[0], "tv"]
                    if s <= part * max(curves[objective, LOSSES[0], "tv"])
                )
                lines.append(
                    f"| {name} | {objective} | step {step} | "
                    f"{' | '.join(verdicts(curves, objective, part))} |"
                )
    lines += [
        "",
        "An order says nothing about how far apart the losses are: see the deviations "
        "above. At convergence every law is the target",
        "(exact training with TB, DB and SubTB), and the four losses cannot differ. A "
        "low similarity early in training goes with a low mean",
        "reward, both near those of the untrained policy: in the figure all losses climb "
        "nearly one line under DB and FM, so that the",
        "order there is one of speed. Under TB the zero-forcing losses lie above the "
        "Linex ones at equal mean reward. Exact training whose TV",
        "stays large (see the table) went unstable at the default rate, and says nothing "
        "about a divergence.",
        "",
        "![Exact mean reward against exact similarity of the learned law while it "
        f"trains](results/figure5_molecules/{preset}/exact_space.png)",
        "",
        "## Sampled: 2 to 8 of all 105 blocks, message-passing policy",
        "",
        net,
        "",
        "## The paper's settings",
        "",
        "Run: see above."
        if whole
        else (
            "Not run: 50,000 steps, 4 seeds, on a GPU. `python "
            "paper_checks/figure5_molecules.py --preset paper --data DIR --device cuda` "
            "stands ready;"
        ),
        ""
        if whole
        else "how long it would take is [estimated from what a step does](time_on_a_gpu.md).",
        "",
        f"Device: {env['device']}; Python {env['python']}, torch {env['torch']}, numpy "
        f"{env['numpy']}; "
        f"{sum(about['seconds'].values()):.0f} s of training in all.",
        "",
    ]
    return "\n".join(lines)


def _table(curves: Curves, target: dict, several: bool) -> list[str]:
    lines = [
        "| objective | loss | " + " | ".join(title for _, title in METRICS) + " |",
        "|---|---|" + "---:|" * len(METRICS),
    ]
    for objective in OBJECTIVES:
        if objective not in there(curves):
            lines.append(f"| {objective} | not run |" + " |" * len(METRICS))
            continue
        for loss in LOSSES:
            cells = []
            for name, _ in METRICS:
                values = last(curves, objective, loss, name)
                cells.append(
                    f"{values.mean():.4g}" + (f" ({values.std(ddof=1):.1g})" if several else "")
                )
            finite = "" if last(curves, objective, loss, "finite").all() else " (not finite)"
            lines.append(f"| {objective} | {loss}{finite} | {' | '.join(cells)} |")
    lines.append("| | target | " + " | ".join(f"{target[name]:.4g}" for name, _ in METRICS) + " |")
    return lines


def _sampled(path: Path, draw: bool) -> str:
    content = json.loads(path.read_text())
    about, runs = content["about"], content["runs"]
    names = [key for key in runs[0] if key not in ("objective", "loss", "seed", "steps", "finite")]
    norm = about.get("max_grad_norm", 10.0)
    cut = "never cut, as released" if norm is None else f"cut at norm {norm} (released: never)"
    lines = [
        "**As released**: the losses that the released code really uses (FM, TB and DB train the "
        "quadratic loss under every name), SubTB's residuals clipped at 10, no gradient cut.",
        "",
    ] * about["as_released"]
    lines += [
        f"{about['space']}; {about['net_seeds']} seeds, {about['steps']} steps of "
        f"{about['batch']} (the paper: 50,000), width {about['width']}, {about['depth']} "
        "rounds,",
        f"learning rate {about['learning_rate']}, of log Z "
        f"{about['learning_rate_log_z']}; log Z of TB starts at "
        f"{about['initial_log_z_of_tb']:g}; gradients {cut}. Of all molecules drawn while training;",
        f"top: the {about['keep']} best different ones. Mean (standard deviation).",
        "",
        "| objective | loss | " + " | ".join(names) + " |",
        "|---|---|" + "---:|" * len(names),
    ]
    of = {
        (o, loss): [run for run in runs if run["objective"] == o and run["loss"] == loss]
        for o in OBJECTIVES
        for loss in LOSSES
    }
    for (objective, loss), mine in of.items():
        if mine:
            values = [np.array([run[name] for run in mine], dtype=float) for name in names]
            spread = [f" ({v.std(ddof=1):.1g})" if len(v) > 1 else "" for v in values]
            lines.append(
                f"| {objective} | {loss} | "
                + " | ".join(f"{v.mean():.4g}{s}" for v, s in zip(values, spread, strict=True))
                + " |"
            )
    lines += [
        "",
        "Figure 5's orders in these runs, by mean over seeds; in brackets in how many of them:",
        "",
        "| objective | zero-forcing: higher mean R | Linex: lower similarity | the "
        "same of the top: R | similarity |",
        "|---|---|---|---|---|",
    ]
    for objective in OBJECTIVES:
        seeds = {
            name: {
                loss: np.array(
                    [run[name] for run in sorted(of[objective, loss], key=lambda run: run["seed"])]
                )
                for loss in LOSSES
            }
            for name in ("mean_reward", "similarity", "top_reward", "top_similarity")
        }
        cells = [
            _orders(seeds["mean_reward"], seeds["similarity"]),
            _orders(seeds["top_reward"], seeds["top_similarity"]),
        ]
        lines.append(f"| {objective} | {' | '.join(cell for pair in cells for cell in pair)} |")
    lines += [
        "",
        "![Mean reward against similarity of all molecules drawn, and of the "
        f"top](results/figure5_molecules/{path.parent.name}/{path.stem}.png)",
        "",
        "*A point is one run; compare with the paper's Figure 5. To the right: "
        "higher reward; down: more diverse.*",
    ]
    if draw:
        _sampled_figure(of, about, path.with_suffix(""))
    return "\n".join(lines)


def _sampled_figure(of: dict, about: dict, path: Path) -> None:
    with mpl.rc_context(plots.STYLE):
        figure = Figure(figsize=(9.6, 5.0), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(2, len(OBJECTIVES))
        for column, objective in enumerate(OBJECTIVES):
            for row, (reward, alike) in enumerate(
                (("mean_reward", "similarity"), ("top_reward", "top_similarity"))
            ):
                axes = grid[row, column]
                for index, loss in enumerate(LOSSES):
                    x, y = ([run[name] for run in of[objective, loss]] for name in (reward, alike))
                    axes.plot(
                        x,
                        y,
                        marker=plots.MARKERS[index],
                        color=plots.COLOURS[index],
                        linestyle="none",
                        label=loss,
                        fillstyle="none",
                        markeredgewidth=1.5,
                    )
                axes.locator_params(axis="x", nbins=4)
                axes.set_xlabel("mean R" if row == 0 else f"mean R of the best {about['keep']}")
            grid[0, column].set_title(objective.upper())
        grid[0, 0].set_ylabel("similarity of all drawn")
        grid[1, 0].set_ylabel(f"similarity of the best {about['keep']}")
        figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
        plots.save(figure, path)


def _figure(curves: Curves, about: dict, path: Path) -> None:
    with plots._figure(7.4, 5.6) as figure:
        figure.set_layout_engine("constrained")
        FigureCanvasAgg(figure)
        grid = Figure.subplots(figure, 2, 2)
        for axes, objective in zip(grid.ravel(), OBJECTIVES, strict=True):
            if objective not in there(curves):
                axes.set(title=f"{objective.upper()}: not run")
                continue
            for index, loss in enumerate(LOSSES):
                steps = curves[objective, loss, "mean_reward"]
                reward = np.array([steps[step].mean() for step in steps])
                alike = np.array(
                    [curves[objective, loss, "similarity"][step].mean() for step in steps]
                )
                axes.plot(
                    reward,
                    alike,
                    label=loss,
                    marker=plots.MARKERS[index],
                    markersize=4,
                    color=plots.COLOURS[index],
                    linestyle=plots.DASHES[index],
                )
            axes.set(
                xlim=(0, 1.1 * about["target"]["mean_reward"]),
                ylim=(0.1, 1.1 * about["target"]["similarity"]),
            )
            target = about["target"]
            axes.plot(
                target["mean_reward"],
                target["similarity"],
                "k*",
                markersize=11,
                label="target",
                linestyle="none",
            )
            axes.set(
                title=objective.upper(),
                xlabel="mean reward of the law (exact)",
                ylabel="similarity of two draws (exact)",
            )
        shown = grid.ravel()[[OBJECTIVES.index(objective) for objective in there(curves)]]
        handles, labels = shown[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=5)
        plots.save(figure, path)
