"""The page and the figure of log_z.py, from its committed log_z.json alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from saying import listed, points_of, say

from divergence_lab.report.plots import COLOURS, DASHES, MARKERS, STYLE, save
from divergence_lab.results.storage import write_atomically

WAYS = {"leave-one-out": "by leave-one-out", "with the sample": "with the sample in the mean"}
KEPT = ("quadratic", "linex(1)", "linex(1/2)")
EXACT = 1e-6  # degrees


def draw(content: dict[str, Any]) -> Figure:
    """Left: log Z - log Z* against alpha; middle and right: the angle against K."""
    rows = content["biases"]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 3.4), layout="constrained")
        FigureCanvasAgg(figure)
        left, *others = figure.subplots(1, 3)
        alphas = [row["alpha"] for row in rows]
        left.plot(alphas, [row["predicted"] for row in rows], "-", color="#555555", label="Renyi")
        for row in rows:
            values = row["learned"]
            left.plot([row["alpha"]] * len(values), values, "o", color=COLOURS[1], fillstyle="none")
        left.set(xlabel="alpha of Linex", ylabel="log Z - log Z*", title="log Z, policy held")
        left.legend()
        for axes, way in zip(others, ("leave-one-out", "with the sample"), strict=True):
            for k, (loss, of) in enumerate(content["directions"].items()):
                axes.plot(
                    content["batches"],
                    of[way]["degrees"],
                    color=COLOURS[k],
                    linestyle=DASHES[k],
                    marker=MARKERS[k],
                    markersize=4,
                    label=loss,
                )
            axes.set(xlabel="K, draws of a batch", title=f"centred, {way}", ylim=(-0.5, None))
            axes.set_xscale("log", base=2)
            axes.set_xticks(content["batches"], content["batches"])
        others[0].set_ylabel("degrees off the gradient at log Z*")
        others[1].legend(fontsize=7)
    return figure


def findings(content: dict[str, Any]) -> list[str]:
    """What the results say, with the conditions of each sentence."""
    return [*_of_log_z(content["biases"]), *_of_directions(content)]


def _of_log_z(rows: list[dict[str, Any]]) -> list[str]:
    gaps = [np.abs(np.array(row["learned"]) - row["predicted"]).max() for row in rows]
    others = [row for row in rows if row["alpha"] != 1]
    # the two agree at 1/2, and at 1
    far = [row for row in others if not 0 < row["alpha"] < 1]
    where = "alpha = " + listed(f"{row['alpha']:g}" for row in far)
    off = [np.abs(np.array(row["learned"]) - row["exchanged"]).min() for row in far]
    signs = all(np.sign(np.mean(r["learned"])) == np.sign(r["predicted"]) for r in others)
    return [
        say(
            f"With the policy held, the learned log Z of {len(rows[0]['learned'])} seeds and {len(rows)} losses is within {max(gaps):.3f} of Renyi's formula; the "
            f"biases themselves go from {min(r['predicted'] for r in rows):.2f} to {max(r['predicted'] for r in rows):.2f}. Below alpha = 1 log Z is too small, above it too "
            f"large, at alpha = 1 right. The control: with P and pi exchanged in the formula no run at {where} is nearer to it than {min(off):.3f}.",
            max(gaps) < 0.25 * min(abs(r["predicted"]) for r in others),
            signs,
            min(off) > 2 * max(gaps),
        )
    ]


def _of_directions(content: dict[str, Any]) -> list[str]:
    of, sizes = content["directions"], np.array(content["batches"])
    out, within = (
        {loss: np.array(ways[way]["degrees"]) for loss, ways in of.items()}
        for way in ("leave-one-out", "with the sample")
    )
    bent = {loss: values for loss, values in out.items() if loss not in KEPT}
    scaled = {
        (loss, way): sizes * np.array(values["gap"])
        for loss, ways in of.items()
        if loss not in KEPT
        for way, values in ways.items()
    }
    last = [values[-2:] for values in scaled.values()]
    return [
        say(
            f"Leave-one-out keeps the direction of {listed(KEPT)} for every K (to {EXACT:g} degrees), and bends "
            + listed(
                f"{loss} by {values[0]:.1f} degrees at K = {sizes[0]} and {values[-1]:.1f} at K = {sizes[-1]}"
                for loss, values in bent.items()
            )
            + ".",
            max(out[loss].max() for loss in KEPT) < EXACT,
            min(values.min() for values in bent.values()) > 0.1,
        ),
        say(
            "These two tend to the gradient at the mean of log w, which is not log Z*, as 1/K: K times the distance to it, in parts of it, goes to "
            + listed(
                f"{values[-1]:.2f} for {loss} {WAYS[way]} ({values[-2]:.2f} at K = {sizes[-2]})"
                for (loss, way), values in scaled.items()
            )
            + ".",
            all(abs(pair[1] / pair[0] - 1) < 0.03 for pair in last),
            min(pair.min() for pair in last) > 0.1,
        ),
        say(
            "With the sample in the mean the quadratic loss alone keeps its direction. Linex(a) takes that of Linex(a (1 - 1/K)) for every K (to "
            f"{EXACT:g} degrees): at K = {sizes[0]} Linex(1) is {within['linex(1)'][0]:.1f} degrees off, with the direction of Linex(1/2), and "
            f"at K = {sizes[-1]} {within['linex(1)'][-1]:.1f}.",
            max(within["quadratic"]) < EXACT,
            all(min(values) > 0.1 for loss, values in within.items() if loss != "quadratic"),
            max(max(values) for values in content["shrunk"].values()) < EXACT,
        ),
    ]


def render(content: dict[str, Any], short: bool = False) -> str:
    """The page as text; a `short` run need not carry its sentences."""
    lines = [
        "# log Z: where it settles, and what centring by the batch does",
        "",
        f"Made by `python paper_checks/log_z.py --preset standard`. Left: trajectory balance on {content['env']} with an untrained policy that never "
        f"moves, {content['steps']:,} steps of {content['batch']}",
        "sampled trajectories; [Proposition 13](../docs/propositions.md#p13) says that log Z settles at log Z* + ((a-1)/a) R_a(pi||P) under "
        "Linex(a). Right: the expected policy gradient",
        "when log Z is replaced by the mean of log w over a batch's other draws, or over all of them, four outcomes, every batch "
        "counted; [Proposition 27](../docs/propositions.md#p27) says",
        "which losses keep their direction.",
        "",
        points_of(lambda: findings(content), short),
        "",
        "![log Z against alpha, and angles against K](log_z.png)",
        "",
        "| alpha | log Z - log Z*, Renyi | learned: mean ± standard deviation over seeds |",
        "|--:|--:|--:|",
    ]
    for row in content["biases"]:
        values = np.array(row["learned"])
        lines.append(
            f"| {row['alpha']:g} | {row['predicted']:.4f} | {values.mean():.4f} ± {values.std(ddof=1):.4f} |"
        )
    lines += [
        "",
        "Degrees between the centred gradient and that at log Z*:",
        "",
        "| loss | centred | " + " | ".join(f"K = {k}" for k in content["batches"]) + " |",
        "|---|---|" + "--:|" * len(content["batches"]),
    ]
    for loss, ways in content["directions"].items():
        for way, of in ways.items():
            shown = " | ".join(f"{value:.2f}" for value in of["degrees"])
            lines.append(f"| {loss} | {way} | {shown} |")
    return "\n".join(lines) + "\n"


def write_page(folder: Path, page: Path, short: bool) -> None:
    """The page, and its figure as SVG and PNG beside it."""
    content = json.loads((folder / "log_z.json").read_text())
    save(draw(content), page.with_suffix(""))
    write_atomically(page, render(content, short).encode())
