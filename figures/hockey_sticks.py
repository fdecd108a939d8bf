"""How much each loss weighs "p exceeds c q": python figures/hockey_sticks.py

    D_f(p||q) = int_0^oo g''(u) e^(-u) E_{e^u}(p||q) du + int_0^oo g''(-u) E_{e^u}(q||p) du + atoms,
    E_c(p||q) = sum (p - c q)_+

(Proposition 7.) Draws from hockey_sticks/data.json, which figures/computing/save.py makes.
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from divergence_lab.report.palette import COLOURS, COLUMN, DASHES, PRINT
from divergence_lab.report.redrawing import redraw
from divergence_lab.results.storage import ResultError

HERE = Path(__file__).resolve().parent


def draw(content: dict) -> Figure:
    with mpl.rc_context(PRINT):
        figure = Figure(figsize=(COLUMN, 2.55), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        for axes, side, sign in ((left, "model_exceeds", -1), (right, "target_exceeds", 1)):
            for index, one in enumerate(content["losses"]):
                colour = COLOURS[index]
                axes.plot(
                    [sign * u for u in content["u"]],
                    one[side],
                    color=colour,
                    linestyle=DASHES[index],
                    label=one["loss"],
                )
                for u, weight in one[side + "_atoms"]:
                    axes.plot(
                        [sign * u, sign * u],
                        [0, weight],
                        color=colour,
                        linewidth=2,
                        solid_capstyle="butt",
                    )
                    axes.plot(
                        [sign * u], [weight], marker="o", markersize=4, color=colour, clip_on=False
                    )
        left.set(
            title="model has too much:\n$E_{e^{|u|}}(p_F\\|p_B)$",
            xlabel="residual $u<0$ (nats)",
            ylabel="weight",
            ylim=(0, 3),
            xlim=(-4, 0),
            xticks=range(-4, 1),
        )
        right.set(
            title="model has too little:\n$E_{e^u}(p_B\\|p_F)$",
            xlabel="residual $u>0$ (nats)",
            xlim=(0, 4),
            xticks=range(5),
        )
        figure.suptitle(
            "$E_c(p\\|q)=\\sum\\max(p-c\\,q,\\,0)$: by how much $p$ exceeds $c$ times $q$"
        )
        figure.legend(
            *left.get_legend_handles_labels(), loc="outside lower center", ncols=3, handlelength=3
        )
    return figure


def read() -> dict:
    try:
        return json.loads((HERE / "hockey_sticks" / "data.json").read_text())
    except FileNotFoundError as missing:
        raise ResultError(
            f"{missing.filename} is missing: run figures/computing/save.py"
        ) from missing


if __name__ == "__main__":
    redraw(draw(read()), HERE / "hockey_sticks")
