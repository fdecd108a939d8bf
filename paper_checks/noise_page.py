"""The page and the figure of noise.py, from its committed noise.json alone."""

from __future__ import annotations

import json
from collections.abc import Callable
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

NAMES = {"tb": "TB", "db": "DB", "subtb": "SubTB(0.9)", "fm": "FM"}
NEAR = "near the optimum"


def of(rows: list[dict[str, Any]], key: str, **where: Any) -> np.ndarray:
    """One number of all rows with these values, in order."""
    return np.array([r[key] for r in rows if all(r[k] == v for k, v in where.items())])


def names(rows: list[dict[str, Any]], key: str) -> list[Any]:
    """The different values of a key, in order."""
    return list(dict.fromkeys(row[key] for row in rows))


def lines(axes: Axes, labels: list[str], x: list[float], y: Callable[[str], np.ndarray]) -> None:
    """A line each, told apart by colour, dash and marker."""
    for k, label in enumerate(labels):
        style = {"color": COLOURS[k], "linestyle": DASHES[k], "marker": MARKERS[k]}
        axes.plot(x, y(label), markersize=4, label=label, **style)


def draw(content: dict[str, Any]) -> Figure:
    """Left: size of the noise against how far a mode is dropped; middle: the critical batch there,
    the same for all losses; right: the critical batch towards the optimum.
    """
    dropped, approached = content["dropped"], content["approached"]
    losses, drops = names(dropped, "loss"), names(dropped, "drop")
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.2, 3.7), layout="constrained")
        FigureCanvasAgg(figure)
        left, middle, right = figure.subplots(1, 3)
        lines(left, losses, drops, lambda name: of(dropped, "exact", objective="tb", loss=name))
        left.set(xlabel="x = log(target/model) of the corner", ylabel="trace of the covariance")
        left.set(yscale="log", title="TB, size of the noise")
        for k, objective in enumerate(names(dropped, "objective")):
            for loss in losses:
                middle.plot(
                    drops,
                    of(dropped, "critical", objective=objective, loss=loss),
                    color=COLOURS[k],
                    linestyle=DASHES[k],
                    label=NAMES[objective] if loss == losses[0] else None,
                )
        middle.set(xlabel="x of the corner", ylabel="critical batch", yscale="log")
        middle.set(title="the same for all six losses")
        middle.legend(fontsize=7)
        distances = names(approached, "distance")
        lines(
            right,
            losses,
            distances,
            lambda name: of(approached, "critical", objective="tb", loss=name),
        )
        right.set(xlabel="distance from the optimum", ylabel="critical batch", xscale="log")
        right.set(yscale="log", title="TB, towards the optimum")
        figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=6)
    return figure


def agreement(content: dict[str, Any]) -> list[str]:
    """Exact against sampled noise, and the control."""
    rows = content["compared"]
    z, rms = of(rows, "z"), of(rows, "rms")
    far = [row for row in rows if row["point"] != NEAR]
    wrong, near = of(far, "control_rms"), of(rows, "control_rms", point=NEAR)
    return [
        say(
            f"{len(rows)} exact traces against {content['batches']:,} sampled batches of {content['batch']} each: the farthest is "
            f"{abs(z).max():.1f} standard errors off, {(abs(z) > 2).sum()} are beyond 2 (they are no independent numbers: the losses of a point see the "
            f"same draws). Over all entries of a covariance the root mean square is {rms.min():.2f} to {rms.max():.2f} standard errors.",
            abs(z).max() < 4,
            rms.max() < 2,
        ),
        say(
            f"The control, the same sum weighted by the target's law, is {wrong.min():.0f} to {wrong.max():.0f} standard errors off (root mean square) away from the optimum. "
            f"Near it the policy is the target, and the control can't fail: {near.min():.2f} to {near.max():.2f}.",
            wrong.min() > 3 * rms.max(),
        ),
    ]


def mode_alone(content: dict[str, Any]) -> list[str]:
    """What a dropped mode does to the noise."""
    rows = content["dropped"]
    spread = max(
        np.ptp(found) / found.min()
        for objective in NAMES
        for drop in names(rows, "drop")
        for found in [of(rows, "critical", objective=objective, drop=drop)]
    )
    at_four = {name: of(rows, "critical", objective=name, drop=4.0)[0] for name in NAMES}
    step = {name: of(rows, "critical", objective=name, drop=12.0)[0] for name in NAMES}
    before = {name: of(rows, "critical", objective=name, drop=11.0)[0] for name in NAMES}
    grows = [step[name] / before[name] for name in NAMES]

    def last(loss: str) -> float:
        found = [of(rows, "exact", objective="tb", loss=loss, drop=d)[0] for d in (10.0, 12.0)]
        return found[1] / found[0]

    ratios = {loss: last(loss) for loss in names(rows, "loss")}
    return [
        say(
            "Where the far corner alone is wrong, the critical batch does not depend on the loss: "
            + listed(f"{NAMES[name]} {value:,.0f}" for name, value in at_four.items())
            + " at x = 4 for each of the six losses (equal to the six digits that are kept), and e times as large for each unit of x. No loss makes a "
            "rare visit a clearer signal.",
            spread < 2e-6,
            all(abs(grow - np.e) < 0.02 for grow in grows),
        ),
        say(
            "The loss decides how large that noise is. From x = 10 to 12 the trace with TB is multiplied by "
            + listed(f"{value:.2f} ({loss})" for loss, value in ratios.items())
            + ": it is bounded for g' = O(e^(x/2)), and for no other. Linex(3/4) is not zero-avoiding, and unbounded all the same.",
            max(ratios["quadratic"], ratios["log_cosh"], ratios["linex(1/2)"]) < 1.05,
            min(ratios["linex(3/4)"], ratios["linex(1)"], ratios["shifted_cosh"]) > 2,
        ),
        with_a_share(content),
    ]


def with_a_share(content: dict[str, Any]) -> str:
    """What drawing from the target does."""
    rows, alone = content["backward"], content["dropped"]

    def at(loss: str, drop: float) -> float:
        return of(rows, "exact", loss=loss, drop=drop)[0]

    own = of(alone, "exact", objective="tb", loss="linex(1)", drop=12.0)[0]
    return say(
        f"With a tenth of the trajectories drawn from the target the noise at the corner grows as g'(x)^2 itself: log_cosh stays at {at('log_cosh', 12.0):.3f} from x = 8 on, and is zero-avoiding "
        f"there (P9); quadratic goes from {at('quadratic', 8.0):.1f} to {at('quadratic', 12.0):.1f}; Linex(1), which has {own:.1e} on-policy at x = 12, then has {at('linex(1)', 12.0):.1e}. Such draws "
        "make a flat loss zero-avoiding with bounded noise, and a steep one noisier.",
        abs(at("log_cosh", 12.0) / at("log_cosh", 8.0) - 1) < 0.01,
        at("linex(1)", 12.0) > 100 * own,
    )


def near_and_far(content: dict[str, Any]) -> list[str]:
    """Towards the optimum, and what it says of batch size and learning rate."""
    rows = content["approached"]
    spreads = {}
    for name in NAMES:
        found = of(rows, "critical", objective=name, distance=0.003)
        spreads[name] = (found.max() / found.min() - 1, found.min(), found.max())
    ratio = of(rows, "ratio", loss="shifted_cosh", distance=0.003)
    far = of(rows, "critical", objective="tb", distance=1.0)
    start = {
        name: of(content["compared"], "critical", objective=name, point="at the start")
        for name in NAMES
    }
    batch = content["batch"]
    return [
        say(
            "Towards the optimum, which this table can reach, the critical batches of the six losses agree (to "
            f"{max(s for s, _, _ in spreads.values()):.1%} at a distance of 0.003): "
            + listed(f"{NAMES[name]} {low:.1f}" for name, (_, low, _) in spreads.items())
            + f". The trace of Shifted-Cosh is {ratio.mean():.3f} times that of quadratic: g''(0)^2, a learning rate of twice the size and nothing else. At a distance of 1 they are apart: TB {far.min():.0f} to {far.max():.0f}.",
            max(s for s, _, _ in spreads.values()) < 0.01,
            abs(ratio - 4).max() < 0.001,
            far.max() > 5 * far.min(),
        ),
        say(
            "Batch size and learning rate: where G is the gradient of a function, as in the policy of TB, the step that is guaranteed to gain most is 1 + B*/B times smaller than that of the exact gradient, and gains as much less. With batches of "
            f"{batch} that factor is, at the start, "
            + listed(
                f"{1 + found.min() / batch:.1f} to {1 + found.max() / batch:.1f} ({NAMES[name]})"
                for name, found in start.items()
            )
            + ". Far above B* a larger batch gains little; far below it the rate has to shrink in proportion to the batch.",
            start["tb"].min() > start["db"].max(),
        ),
    ]


def table(content: dict[str, Any]) -> list[str]:
    """Critical batch and trace, point by point."""
    rows = content["compared"]
    where = names(rows, "point")
    heads = [f"{word}, {one}" for one in where for word in ("critical batch", "trace")]
    found = [f"| objective | loss | {' | '.join(heads)} |", "|---|---|" + "--:|" * len(heads)]
    for objective in NAMES:
        for loss in names(rows, "loss"):
            cells = []
            for one in where:
                chosen = {"objective": objective, "loss": loss, "point": one}
                cells += [of(rows, "critical", **chosen)[0], of(rows, "exact", **chosen)[0]]
            shown = " | ".join(f"{cell:.3g}" for cell in cells)
            found.append(f"| {NAMES[objective]} | {loss} | {shown} |")
    return found


def findings(content: dict[str, Any]) -> list[str]:
    """What the numbers say."""
    return [*agreement(content), *mode_alone(content), *near_and_far(content)]


def render(content: dict[str, Any], short: bool = False) -> str:
    """The page as text; a `short` run need not carry its sentences."""
    return (
        "\n".join(
            [
                "# The noise of a sampled gradient",
                "",
                f"A 4 x 4 grid with uniform P_B, {content['trajectories']} trajectories, a table of logits (and of log F where the objective has one) as parameters. G is the expected gradient of one trajectory, C its",
                "covariance: sums over all trajectories. B* = trace(C)/|G|^2 is the critical batch, at which noise and signal are equal. Made by `python paper_checks/noise.py --preset",
                "standard`. [Proposition 31](../docs/propositions.md#p31) has statements, conditions and proofs.",
                "",
                points_of(lambda: findings(content), short),
                "",
                "![Size of the noise and critical batch](noise.png)",
                "",
                "*Left and middle: the model is exact but for the far corner, which has e^-x of its share (in the middle DB and FM lie on one line). Right: the exact model, every number of the table moved by a normal one times the distance.*",
                "",
                "At the start the policy is uniform and every flow is Z*; at the second point the corner has e^-2 of its share and every number is moved by 0.3, at the third by 0.03.",
                "",
                *table(content),
                "",
                "What these numbers do not know: Adam and clipping, which act on each batch's gradient; exploration, since a mode that is never drawn sends no signal at all; and models that are too small,",
                "for which the noise does not vanish at the optimum and the critical batch is infinite there.",
            ]
        )
        + "\n"
    )


def write_page(folder: Path, page: Path, short: bool) -> None:
    """The page, and its figure as SVG and PNG beside it."""
    content = json.loads((folder / "noise.json").read_text())
    save(draw(content), page.with_suffix(""))
    write_atomically(page, render(content, short).encode())
