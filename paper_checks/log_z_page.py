"""The page and the figure of log_z.py, from its committed log_z.json alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from saying import listed, points, say

from divergence_lab.report.plots import COLOURS, DASHES, MARKERS, STYLE, save
from divergence_lab.results.storage import write_atomically

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
            for k, (loss, of) in enumerate(content["angles"].items()):
                axes.plot(
                    content["batches"],
                    of[way],
                    color=COLOURS[k],
                    linestyle=DASHES[k],
                    marker=MARKERS[k],
                    markersize=4,
                    label=loss,
                )
            axes.set(xlabel="K, draws of a batch", title=f"centred, {way}", ylim=(-0.5, None))
        others[0].set_ylabel("degrees off the gradient at log Z*")
        others[1].legend(fontsize=7)
    return figure


def findings(content: dict[str, Any]) -> list[str]:
    """What the results say, with the conditions of each sentence."""
    rows, angles = content["biases"], content["angles"]
    gaps = [np.abs(np.array(row["learned"]) - row["predicted"]).max() for row in rows]
    signs = all(
        np.sign(np.mean(r["learned"])) == np.sign(r["predicted"]) for r in rows if r["alpha"] != 1
    )
    bent = {loss: angles[loss]["leave-one-out"] for loss in angles if loss not in KEPT}
    own = {loss: angles[loss]["with the sample"] for loss in angles}
    return [
        say(
            f"With the policy held, the learned log Z of {len(rows[0]['learned'])} seeds and {len(rows)} losses is within {max(gaps):.3f} of Renyi's formula; the "
            f"biases themselves go from {min(r['predicted'] for r in rows):.2f} to {max(r['predicted'] for r in rows):.2f}. Below alpha = 1 log Z is too small, above it too "
            "large, at alpha = 1 right.",
            max(gaps) < 0.1 * max(abs(r["predicted"]) for r in rows),
            signs,
        ),
        say(
            f"Leave-one-out keeps the direction of {listed(KEPT)} for every K (to {EXACT:g} degrees), and bends "
            + listed(
                f"{loss} by {of[0]:.1f} degrees at K = {content['batches'][0]} and {of[-1]:.1f} at K = {content['batches'][-1]}"
                for loss, of in bent.items()
            )
            + ": their limit is the gradient at the mean of log w, which is not log Z*.",
            max(max(angles[loss]["leave-one-out"]) for loss in KEPT) < EXACT,
            min(min(of) for of in bent.values()) > 0.1,
        ),
        say(
            "With the sample in the mean the quadratic loss alone keeps it: at "
            f"K = {content['batches'][0]} Linex(1) is {own['linex(1)'][0]:.1f} degrees off, because it takes the direction of Linex(1/2), and "
            f"{own['linex(1)'][-1]:.1f} at K = {content['batches'][-1]}.",
            max(own["quadratic"]) < EXACT,
            all(min(of) > 0.1 for loss, of in own.items() if loss != "quadratic"),
        ),
    ]


def render(content: dict[str, Any]) -> str:
    """The page as text."""
    lines = [
        "# log Z: where it settles, and what centring by the batch does",
        "",
        f"Made by `python paper_checks/log_z.py --preset standard`. Left: trajectory balance on {content['env']} with an untrained policy that never "
        f"moves, {content['steps']:,} steps of {content['batch']}",
        "sampled trajectories; [Proposition 13](../docs/propositions.md#p13) says that log Z settles at log Z* + ((a-1)/a) R_a(pi||P) under "
        "Linex(a). Right: the expected policy gradient",
        "when log Z is replaced by the mean of log w over a batch's other draws, or over all of them, four outcomes, every batch "
        "enumerated; [Proposition 27](../docs/propositions.md#p27) says",
        "which losses keep their direction.",
        "",
        points(findings(content)),
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
    for loss, ways in content["angles"].items():
        for way, values in ways.items():
            lines.append(f"| {loss} | {way} | " + " | ".join(f"{v:.2f}" for v in values) + " |")
    return "\n".join(lines) + "\n"


def write_page(folder: Path, page: Path) -> None:
    """The page, and its figure as SVG and PNG beside it."""
    content = json.loads((folder / "log_z.json").read_text())
    save(draw(content), page.with_suffix(""))
    write_atomically(page, render(content).encode())
