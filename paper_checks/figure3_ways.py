"""Two more parts of the page of figure3_hypergrid.py: laws that learned nothing on its metric, and
other ways of running the same case.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from figure3_numbers import NAMES, SHOWN, Curves, cell, slowest

NULLS = Path(__file__).resolve().parent / "results" / "null_models" / "grids.json"
HERE = "as this package does it"
WAYS = {
    "here": HERE,
    "released": "as released",
    "mean": "with the released mean alone",
    "written": "as written",
}
TRAPS = ("gradient-clip", "clamp", "residual-clip")


def other_ways(results: Path) -> dict[str, list[Path]]:
    """What each other way that was run is called, and the folders of its results."""
    found: dict[str, list[Path]] = {}
    for path in sorted(results.glob("figure3_hypergrid_*/*/about.json")):
        about = next(iter(json.loads(path.read_text()).values()))
        way = about.get("way", HERE)
        missing = [trap for trap in TRAPS if trap not in about["traps"]]
        if missing and way != WAYS["written"]:
            way += f", without {' and '.join(missing)}"
        found.setdefault(way, []).append(path.parent)
    return found


def null_models(envs: Sequence[str]) -> list[str]:
    """What laws that are not the target score on the paper's metric, exactly."""
    grids = {grid["env"]: grid for grid in json.loads(NULLS.read_text())}
    shown = [grids[env] for env in envs if env in grids]
    if not shown:
        return []
    lines = [
        "## What the metric rewards",
        "",
        "The mean of L1 over samples that are drawn independently from a law, exact "
        "(`python paper_checks/null_models.py`), beside that law's total variation.",
        "A perfect sampler does not have the least value: a law that drops the background scores less, "
        "because the noise of rare states counts.",
        "",
        "| space | samples | law | mean L1 | total variation |",
        "|---|--:|---|--:|--:|",
    ]
    for grid in shown:
        lines += [
            f"| {grid['env']} | {grid['samples']:,} | {row['law']} | {row['l1']:.4f} "
            f"| {abs(row['tv']):.4f} |"
            for row in grid["rows"]
        ]
    lifted = shown[0]
    if not lifted["states_lifted"]:
        return [*lines, ""]
    lines += [
        "",
        f"The clamp of log R at -12 lifts the {lifted['states_lifted']:,} lowest states of "
        f"{lifted['env']} {lifted['clamp_lifts']:.1f}-fold, which moves little mass; what it does "
        "to training is not told by that.",
        "",
    ]
    return lines


def side_by_side(ways: Mapping[str, dict[str, Curves]]) -> list[str]:
    """Does the ranking hold, a line for each case and each way of running it that there is."""
    cases = {
        (curves.about["env"].split(":")[1], curves.about["objective"])
        for name, found in ways.items()
        if name != HERE
        for curves in found.values()
    }
    lines = [
        "| grid, objective | way | seeds | steps | quadratic slowest, L1 | TV | quadratic: "
        "last TV | Linex(1) | Linex(1/2) | Shifted-Cosh |",
        "|---|---|--:|--:|---|---|--:|--:|--:|--:|",
    ]
    for size, objective in sorted(cases):
        for name, found in ways.items():
            for curves in found.values():
                a = curves.about
                if (a["env"].split(":")[1], a["objective"]) != (size, objective):
                    continue
                answers = " | ".join(slowest(curves, metric)[0] for metric in NAMES)
                last = " | ".join(cell(curves.values["tv"][loss][:, -1]) for loss in SHOWN)
                lines.append(
                    f"| {size}, {objective} | {name} | {a['seeds']} | {a['steps']:,} "
                    f"| {answers} | {last} |"
                )
    return lines
