"""The page and the figure of take_off.py, from its committed results alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import take_off_paper
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from saying import points_of, say

from divergence_lab.report.plots import COLOURS, DASHES, MARKERS, STYLE, save
from divergence_lab.results.storage import write_atomically

PLAIN, SHARED, HELD = "plain", "one of the batch from the target", "log Z held, Adam"
NOISY = "noise"
LIMIT = 2.576  # standard errors: 99% of means lie within
NAMES = {"sgd": "SGD", "adam": "Adam"}


@dataclass(frozen=True, eq=False)
class Model:
    """The rows of model.json, and what is to be known about them."""

    rows: list[dict[str, Any]]
    about: dict[str, Any]

    def of(self, **where: Any) -> list[dict[str, Any]]:
        return [r for r in self.rows if all(r[key] == value for key, value in where.items())]

    @property
    def unmoved(self) -> float:
        """1/(1-(1-q)^B), by hand."""
        return 1 / -np.expm1(self.about["batch"] * np.log1p(-self.about["start"]))


def read(folder: Path) -> Model:
    """What is committed of the model."""
    content = json.loads((folder / "model.json").read_text())
    return Model(content.pop("rows"), content)


def off(rows: list[dict[str, Any]], name: str) -> np.ndarray:
    """Measured less predicted, in standard errors of the measured mean."""
    return np.array([(row[name][0] - row[f"{name}_predicted"]) / row[name][1] for row in rows])


def first_visits(model: Model) -> str:
    rows = model.of(kind=PLAIN)
    error = off(rows, "visited")
    pooled = np.mean([row["visited"][0] for row in rows])
    spread = np.sqrt(np.sum([row["visited"][1] ** 2 for row in rows])) / len(rows)
    return say(
        f"The first visit comes after the same number of batches under every loss, clip, optimiser and rate: predicted {model.unmoved:.1f} in the mean, measured {pooled:.1f} ± "
        f"{spread:.1f} over all {len(rows)} settings. Means beyond {LIMIT} standard errors of it: {int((abs(error) > LIMIT).sum())} of {len(rows)} (by chance one in a hundred), "
        f"the farthest at {abs(error).max():.1f}.",
        (abs(error) > LIMIT).sum() <= 3,
        abs(error).max() < 4,
        abs(pooled - model.unmoved) < 3 * spread,
        all(abs(row["visited_predicted"] - model.unmoved) < 1e-3 for row in rows),
    )


def answers(model: Model) -> str:
    rows = model.of(kind=PLAIN, optimiser="sgd")
    error = off(rows, "grown")
    slow = min(row["rate"] for row in rows)
    free = {row["loss"]: row for row in model.of(kind=PLAIN, optimiser="sgd", clip=None, rate=slow)}
    return say(
        f"The answer to a visit is the loss's. Under SGD the number of batches until the policy has half of the mode's mass is that of P32.3, with and without a clip: "
        f"the {len(rows)} measured means are at most {abs(error).max():.1f} standard errors off. At rate {slow:g} and without a clip they go from "
        f"{free['quadratic']['grown'][0]:,.0f} (quadratic) over {free['linex(1/2)']['grown'][0]:,.0f} (Linex(1/2)) to {free['linex(1)']['grown'][0]:.0f} (Linex(1)): one visit is enough.",
        abs(error).max() < 4,
        (abs(error) > LIMIT).sum() <= 2,
        free["linex(1)"]["grown"] == free["linex(1)"]["visited"],
        not any(row["never"] for row in rows),
    )


def overshoot(model: Model) -> str:
    rates = sorted({row["rate"] for row in model.of(kind=PLAIN, optimiser="sgd")})
    steep = [
        model.of(kind=PLAIN, optimiser="sgd", clip=None, rate=rates[-1], loss=loss)[0]
        for loss in ("linex(1)", "shifted_cosh")
    ]
    clipped = model.of(kind=PLAIN, optimiser="sgd", clip=1.0)
    return say(
        f"It can be too much: at rate {rates[-1]:g} and without a clip one visit under Linex(1) or Shifted-Cosh leaves the rest less than {1e-15:g}, which is then not seen again. With the clip "
        f"the rest keeps {min(row['left_to_the_rest'] for row in clipped):.2f} or more (medians).",
        max(row["left_to_the_rest"] for row in steep) < 1e-15,
        min(row["left_to_the_rest"] for row in clipped) > 0.5,
    )


def adam(model: Model) -> str:
    rows = model.of(kind=PLAIN, optimiser="adam")
    ratios, clipped = [], []
    for rate in sorted({row["rate"] for row in rows}):
        free = {
            row["loss"]: row["grown"][0] for row in rows if row["rate"] == rate and not row["clip"]
        }
        cut = [row["grown"][0] for row in rows if row["rate"] == rate and row["clip"]]
        ratios += [free[loss] / free["quadratic"] for loss in ("linex(1)", "shifted_cosh")]
        clipped.append(max(cut) / min(cut))
    path = np.array([row["grown"][0] / row["grown_on_the_mean_path"] for row in rows])
    return say(
        f"Adam turns the order round. It answers a first visit alike whatever its size, and remembers its square: without a clip Linex(1) and Shifted-Cosh need {min(ratios):.1f} to "
        f"{max(ratios):.1f} times as many batches as the quadratic loss, at every rate. With the clip all four are within {max(clipped) - 1:.0%} of each other. The path on which the expected number of visits "
        f"happens, which has no chance in it, is {1 - 1 / path.min():.0%} to {1 - 1 / path.max():.0%} shorter than the measured means.",
        min(ratios) > 1.5,
        max(clipped) < 1.15,
        1 < path.min() <= path.max() < 1.2,
    )


def controls(model: Model) -> list[str]:
    shared, held = model.of(kind=SHARED), model.of(kind=HELD)
    alone = [abs(row["visited"][0] - model.unmoved) / row["visited"][1] for row in shared + held]
    return [
        say(
            f"Control: with one draw of the batch from the target, which the policy's chance knows nothing of, the first visit comes after {np.mean([r['visited'][0] for r in shared]):.1f} batches, "
            f"and {model.unmoved:.1f} is wrong. With that draw counted {shared[0]['visited_predicted']:.2f} is predicted, {abs(off(shared, 'visited')).max():.1f} standard errors off at most.",
            min(alone[: len(shared)]) > 20,
            abs(off(shared, "visited")).max() < 4,
        ),
        say(
            f"Control: with log Z held at the truth the rest has too much mass from the start, and Adam takes it off at its full rate whatever the loss: the policy moves before the first visit, which comes after "
            f"{np.mean([r['visited'][0] for r in held]):.1f} batches. {model.unmoved:.1f} is wrong again; the product of (1-q_k)^B along that motion gives {held[0]['visited_predicted']:.1f}, under all four losses "
            f"({abs(off(held, 'visited')).max():.1f} standard errors off at most).",
            min(alone[len(shared) :]) > 20,
            abs(off(held, "visited")).max() < 4,
            np.ptp([row["visited_predicted"] for row in held]) < 0.1,
        ),
    ]


def findings(model: Model) -> list[str]:
    """What the small model says, with the conditions of each sentence."""
    return [first_visits(model), answers(model), overshoot(model), adam(model), *controls(model)]


def draw_unseen(axes: Axes, model: Model) -> None:
    """The share of runs without a visit, all settings, and the controls."""
    batches = np.arange(len(model.rows[0]["unseen"])) * 10
    kinds = ((PLAIN, COLOURS[0]), (SHARED, COLOURS[1]), (HELD, COLOURS[2]))
    for kind, colour in kinds:
        for k, row in enumerate(model.of(kind=kind)):
            label = f"{kind}: {len(model.of(kind=kind))} settings" if k == 0 else None
            axes.plot(batches, row["unseen"], color=colour, linewidth=0.5, alpha=0.6, label=label)
        axes.plot(batches, model.of(kind=kind)[0]["unseen_predicted"], "k--", linewidth=1.2)
    axes.set(xlabel="batches", ylabel="runs without a visit", ylim=(0, 1))
    axes.legend(fontsize=6.5)


def draw_growth(axes: Axes, model: Model) -> None:
    """Measured against predicted batches until the mode has taken off."""
    axes.plot((40, 4000), (40, 4000), color="#555555", linewidth=0.8)
    for k, loss in enumerate(dict.fromkeys(row["loss"] for row in model.rows)):
        for name in NAMES:
            rows = model.of(kind=PLAIN, loss=loss, optimiser=name)
            axes.plot(
                [row["grown_predicted"] or row["grown_on_the_mean_path"] for row in rows],
                [row["grown"][0] for row in rows],
                MARKERS[k],
                color=COLOURS[k],
                fillstyle="full" if name == "sgd" else "none",
                label=f"{loss}" if name == "sgd" else None,
            )
    axes.set(xscale="log", yscale="log", xlabel="predicted batches", ylabel="measured mean")
    axes.legend(fontsize=7)


def draw_memory(axes: Axes, rows: list[dict[str, Any]]) -> None:
    """Total variation of DB on 8 x 8 without a clip, by beta_2; that at 0.999 is Figure 3's."""
    for k, loss in enumerate(dict.fromkeys(row["loss"] for row in rows)):
        short = [(row["steps"], row["tv"]) for row in rows if row["loss"] == loss]
        long = take_off_paper.without_clip(loss)
        for style, beta, some in ((DASHES[0], 0.999, long), (DASHES[1], 0.9, short)):
            for number, (steps, tv) in enumerate(some):
                label = f"{loss}, beta_2 = {beta}" if number == 0 else None
                axes.plot(steps, tv, color=COLOURS[k], linestyle=style, linewidth=0.9, label=label)
    axes.set(xlabel="steps", ylabel="total variation", ylim=(0, 1))
    axes.legend(fontsize=6.5)


def draw(model: Model, grid: list[dict[str, Any]]) -> Figure:
    """Left: first visits; middle: taking off; right: Adam's memory on the grid."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.4, 3.4), layout="constrained")
        FigureCanvasAgg(figure)
        left, middle, right = figure.subplots(1, 3)
        draw_unseen(left, model)
        draw_growth(middle, model)
        draw_memory(right, grid)
    return figure


def table(model: Model) -> list[str]:
    """Every setting that the prediction is for."""
    lines = [
        "| optimiser | clip | rate | loss | first visit | until half of the mass | predicted |",
        "|---|--:|--:|---|--:|--:|--:|",
    ]
    for row in model.of(kind=PLAIN):
        exact = row["grown_predicted"]
        told = f"{exact:,.1f}" if exact else f"{row['grown_on_the_mean_path']:,} (mean path)"
        lines.append(
            f"| {NAMES[row['optimiser']]} | {row['clip'] or 'none'} | {row['rate']:g} | {row['loss']} | {row['visited'][0]:.1f} ± {row['visited'][1]:.1f} "
            f"| {row['grown'][0]:,.1f} ± {row['grown'][1]:.1f} | {told} |"
        )
    return lines


def render(model: Model, rest: dict[str, list[dict[str, Any]]], short: bool = False) -> str:
    """The page as text; a `short` run need not carry its sentences."""
    about = model.about
    lines = [
        "# Take-off: how soon a mode is seen, and what a loss makes of it",
        "",
        f"Two outcomes, a mode of half the target's mass that the policy draws with chance {about['start']:g}, batches of {about['batch']}; {about['runs']} runs of each setting. log Z follows "
        "what is found, so that",
        "nothing pulls until the mode is seen. Made by `python paper_checks/take_off.py --preset standard`. "
        "[Proposition 32](../docs/propositions.md#p32) says what is predicted: given the policy, the chance",
        "of the next visit is the same under every loss; how far the policy moves when it comes is not.",
        "",
        points_of(lambda: findings(model), short),
        "",
        "![First visits, taking off, and Adam's memory](take_off.png)",
        "",
        "*Left: share of runs without a visit, a line a setting; dashed: predicted. Middle: full: SGD against the exact mean; open: Adam against the path of expected visits. "
        "Right: DB on 8 x 8 without a clip, a line a run.*",
        "",
        "## Does it explain what the paper saw?",
        "",
        points_of(lambda: take_off_paper.findings(model.of(kind=NOISY), rest), short),
        "",
        "## All settings",
        "",
        "Batches, mean ± standard error; a mode has taken off when the policy has half of its mass.",
        "",
    ]
    return "\n".join([*lines, *table(model)]) + "\n"


def rest_of(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """What is committed beside the model."""
    return {
        name: json.loads((folder / f"{name}.json").read_text()) for name in take_off_paper.PARTS
    }


def write_page(folder: Path, page: Path, short: bool) -> None:
    """The page, and its figure as SVG and PNG beside it."""
    model = read(folder)
    rest = rest_of(folder)
    save(draw(model, rest["grid"]), page.with_suffix(""))
    write_atomically(page, render(model, rest, short).encode())
