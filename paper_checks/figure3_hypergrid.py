"""Figure 3 of the paper: how fast each loss learns the hyper-grid, with error bands.

    python paper_checks/figure3_hypergrid.py                      the quick preset: that everything runs
    python paper_checks/figure3_hypergrid.py --preset standard    what a CPU can do; goes on from where it was stopped
    python paper_checks/figure3_hypergrid.py --preset paper --device cuda
    python paper_checks/figure3_hypergrid.py --page               only the page, from the committed results of both
    python paper_checks/figure3_hypergrid.py --preset standard --as released --only 2x8    as the released code does it

Settings of the paper and of its released code: MLP 2 x 256, learned P_B, 16 trajectories a step,
Adam at 1e-3 (log Z at 0.1), on-policy, no decay. The traps of the released code, which its text
does not tell of, are switches:

    gradient-clip    gradients clipped to norm 1000 (TB, FM) or 10 (DB, SubTB)
    clamp            log R clamped at -12 (TB, SubTB)
    residual-clip    residuals clipped at 50 inside the gradient (TB, FM)

`--without clamp,residual-clip` leaves out those named; results and page then have a name of their
own. The metric is the L1 distance between the target and the empirical law of the last samples
(80,000 in the paper), as a sum; the code's is the mean over states, a column of its own. Beside it
the exact total variation of the learned law at the same moments.

Where this departs from the released code, unless `--as released` is given: DB and FM sum over the
transitions or states of a trajectory, where the code takes the mean over those of the whole batch. A
step has the same direction, but its gradient is longer by their number, 5 to 40 a trajectory on the
paper's grid, and meets the clip earlier. log F of the source is a number of its own, learned as log Z
is at 0.1, not an output of the network at 1e-3. FM takes R(s) as the flow of a stop, as the paper
writes, where the code learns it. (`--as released` departs in one place still: where only the stop is
left, F(s) is R(s) and this stop is no step.)

`--as mean`: the mean over the batch and nothing else of these. `--as written`: the text's reading of the reward, x/H, and none of the traps. Results and page of
these ways have names of their own, and the page of the default way shows all side by side.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import presets
from figure3_page import write_page
from figure3_ways import TRAPS, WAYS, other_ways

import divergence_lab as dl
from divergence_lab.gflownet.listed.exact import target_distribution
from divergence_lab.graphs.dag import clamp_log_reward
from divergence_lab.graphs.texts import graph_from_text
from divergence_lab.results.metrics import sampling_floor, total_variation
from divergence_lab.results.provenance import environment
from divergence_lab.results.storage import ResultError, load, write_atomically
from divergence_lab.theory.divergence.transforms import clip
from divergence_lab.training import checkpoints
from divergence_lab.training.arguments import find_device
from divergence_lab.training.loop import train

CHECK = "figure3_hypergrid"
LOSSES = ("quadratic", "linex(1)", "linex(1/2)", "shifted_cosh")
OBJECTIVES = ("fm", "db", "tb", "subtb(0.9)")
CLIP_NORM = {"tb": 1000.0, "fm": 1000.0, "db": 10.0, "subtb(0.9)": 10.0}
CLAMPED = ("tb", "subtb(0.9)")  # log R at least -12
RESIDUAL_CLIPPED = ("tb", "fm")  # |x| at most 50 inside g'
LOG_REWARD_LOW, RESIDUAL_HIGH = -12.0, 50
METRICS = ("window_l1", "tv")
LEAST = 0.1  # of the planned steps
TRAINED = {  # the objective of each way, where it is not that of the case
    "released": {"db": "mean-tied-db", "subtb(0.9)": "tied-subtb(0.9)", "fm": "mean-exit-fm"},
    "mean": {"db": "mean-db", "fm": "mean-fm"},
}


@dataclass(frozen=True)
class Case:
    """One ensemble: 4 losses x `seeds`; stopped after `minutes`, if given, at a moment of
    evaluation.
    """

    env: str
    objective: str
    steps: int
    window: int
    seeds: int = 5
    evaluations: int = 20
    minutes: float | None = None

    @property
    def name(self) -> str:
        return f"{self.env}_{self.objective}".replace(":", "_").replace("(", "").replace(")", "")


PRESETS: Mapping[str, tuple[Case, ...]] = {
    "quick": tuple(Case("hypergrid:2x8:paper", o, 60, 320, 2, 4) for o in OBJECTIVES),
    # from cheap to dear: what is stopped has its first cases, and goes on when it is started again
    "standard": (
        *(
            Case("hypergrid:2x8:paper", o, 3_000, 8_000, evaluations=30)
            for o in ("tb", "db", "subtb(0.9)", "fm")
        ),
        *(
            Case("hypergrid:2x20:paper", o, 5_000, 16_000, evaluations=25)
            for o in ("tb", "db", "subtb(0.9)", "fm")
        ),
        # the first tenth of the paper's run, at its size
        *(Case("hypergrid:4x20:paper", o, 5_000, 80_000) for o in ("tb", "db", "subtb(0.9)", "fm")),
        *(
            Case("hypergrid:2x20:paper_text", o, 5_000, 16_000, evaluations=25)
            for o in ("tb", "db")
        ),
    ),
    "paper": tuple(
        Case(f"hypergrid:4x20:{reward}", o, 50_000, 80_000)
        for reward in ("paper", "paper_text")
        for o in OBJECTIVES
    ),
}


class _TimeIsUp(Exception):
    pass


def settings(case: Case, traps: Collection[str] = TRAPS, way: str = "here") -> dict[str, Any]:
    """The arguments of `train` for this case, with these traps of the released code, in one of
    WAYS.
    """
    graph = graph_from_text(case.env)
    if "clamp" in traps and case.objective in CLAMPED:
        graph = clamp_log_reward(graph, LOG_REWARD_LOW)
    losses = {name: dl.loss(name) for name in LOSSES}
    if "residual-clip" in traps and case.objective in RESIDUAL_CLIPPED:
        losses = {name: clip(loss, RESIDUAL_HIGH) for name, loss in losses.items()}
    return {
        "losses": {name: dl.to_torch(loss) for name, loss in losses.items()},
        "graph": graph,
        "objective": TRAINED.get(way, {}).get(case.objective, case.objective),
        "backward": "learned",
        "seeds": case.seeds,
        "steps": case.steps,
        "batch": 16,
        "policy": "mlp",
        "width": 256,
        "depth": 2,
        "learning_rate": 1e-3,
        "learning_rate_log_z": 0.1,
        "decay": 0.0,
        "max_grad_norm": CLIP_NORM[case.objective] if "gradient-clip" in traps else None,
        "initial_log_z": 0.0,
        "initial_log_flow": 0.0,
        "stop_logit": 0.0,
        "window": case.window,
        "evaluations": case.evaluations,
    }


def run(
    case: Case, folder: Path, device: str, traps: Collection[str] = TRAPS, way: str = "here"
) -> None:
    """Train until the end or until its minutes are over; goes on from the last checkpoint, and
    never starts over.
    """
    place = folder / case.name
    try:
        load(place)
        return
    except ResultError:
        pass
    until = time.monotonic() + 60 * (case.minutes or 1e6)

    def look(step: int, steps: int) -> None:
        if sys.stderr.isatty():
            print(
                f"\r{case.name}: {step:,} of {steps:,} steps\033[K",
                end="",
                file=sys.stderr,
                flush=True,
            )
        if time.monotonic() > until and step < steps:
            raise _TimeIsUp

    given = settings(case, traps, way)
    with contextlib.suppress(_TimeIsUp):
        train(
            given.pop("losses"),
            given.pop("graph"),
            out=place,
            resume=True,
            device=device,
            progress=look,
            **given,
        )


def gather(
    cases: tuple[Case, ...],
    folder: Path,
    device: str,
    traps: Collection[str] = TRAPS,
    way: str = "here",
) -> tuple[list[dict], dict]:
    """Rows (case, loss, seed, trajectories, window_l1, tv), and what is to be known about each
    case.

    A case of which less than LEAST has been run says nothing yet, and is left out.
    """
    rows, about = [], {}
    for case in cases:
        path = folder / case.name / "metrics.csv"
        if not path.exists():
            continue
        found: dict[tuple, dict[str, float]] = {}
        with open(path, newline="") as file:
            for line in csv.DictReader(file):
                if line["metric"] in METRICS:
                    key = (line["loss"], int(line["seed"]), int(line["step"]))
                    found.setdefault(key, {})[line["metric"]] = float(line["value"])
        if max((step for _, _, step in found), default=0) < LEAST * case.steps:
            continue
        rows += [
            {
                "case": case.name,
                "loss": loss,
                "seed": seed,
                "trajectories": 16 * step,
                **{name: f"{values[name]:.6g}" for name in METRICS},
            }
            for (loss, seed, step), values in found.items()
        ]
        steps = max(step for _, _, step in found)
        about[case.name] = _about(case, folder / case.name, steps, device, traps, way)
    return rows, about


def _about(
    case: Case, place: Path, steps: int, device: str, traps: Collection[str], way: str
) -> dict[str, Any]:
    given = settings(case, traps, way)
    graph, true = given["graph"], graph_from_text(case.env)
    content, _ = checkpoints.read_file(place / checkpoints.NAME)
    if (place / "environment.json").exists():  # finished, here or on another machine
        where = json.loads((place / "environment.json").read_text())
    else:
        where = environment(find_device(device))
    where = {
        key: value
        for key, value in where.items()
        if key not in ("commit", "seconds", "trajectories_per_second")
    }
    return {
        "env": case.env,
        "objective": case.objective,
        "seeds": case.seeds,
        "steps": steps,
        "planned": case.steps,
        "window": case.window,
        "states": graph.n_states,
        "way": WAYS[way],
        "trained": given["objective"],
        "traps": list(traps),
        "sampling_floor": float(sampling_floor(target_distribution(graph), case.window)),
        "tv_of_clamp": float(
            total_variation(target_distribution(graph), target_distribution(true))
        ),
        "seconds_a_step": content["seconds"] / max(1, content["step"]),
        **where,
    }


def save(rows: list[dict], about: dict, folder: Path) -> None:
    """curves.csv and about.json, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [",".join(rows[0]), *(",".join(str(value) for value in row.values()) for row in rows)]
    # names of losses hold no commas
    write_atomically(folder / "curves.csv", ("\n".join(lines) + "\n").encode())
    write_atomically(folder / "about.json", (json.dumps(about, indent=1) + "\n").encode())


def main(argv: list[str] | None = None, cases: tuple[Case, ...] | None = None) -> int:
    chosen = presets.arguments(__doc__, argv, _more)
    way = chosen.way
    traps = tuple(trap for trap in TRAPS if trap not in chosen.without and way != "written")
    name = CHECK + f"_as_{way}" * (way != "here")
    name += ("_without_" + "_".join(chosen.without).replace("-", "_")) * bool(chosen.without)
    results = presets.folder(name, chosen.preset, chosen.out)
    if not chosen.page:
        runs = (
            results
            if chosen.preset == "quick"
            else presets.HERE.parent / "runs" / "paper" / name / chosen.preset
        )
        runs = chosen.runs or runs
        started, cases = time.monotonic(), _chosen(cases or PRESETS[chosen.preset], chosen)
        if not cases:
            print(f"the preset {chosen.preset} has no such case", file=sys.stderr)
            return 2
        for case in cases[-1:] if chosen.gather else cases:
            if not chosen.gather:
                run(case, runs, chosen.device, traps, way)
            rows, about = gather(cases, runs, chosen.device, traps, way)
            if not rows:
                print(f"nothing was run in {runs} so far", file=sys.stderr)
                return 2
            save(rows, about, results)
            print(f"{case.name}: {time.monotonic() - started:.0f} s so far", flush=True)
    alone = chosen.out is not None or (chosen.preset == "quick" and not chosen.page)
    # what the quick preset left is never committed
    sources = (
        [results] if alone else [presets.folder(name, preset) for preset in ("standard", "paper")]
    )
    sources = [folder for folder in sources if (folder / "about.json").exists()]
    if not sources:
        print(
            f"{presets.HERE / 'results' / name} holds no results; run --preset standard",
            file=sys.stderr,
        )
        return 2
    page = (results if alone else presets.HERE) / f"{name}.md"
    write_page(
        sources, page, {} if alone or name != CHECK else other_ways(presets.HERE / "results")
    )
    print(page.read_text() if chosen.preset == "quick" and not chosen.page else page)
    return 0


def _chosen(cases: tuple[Case, ...], chosen: argparse.Namespace) -> tuple[Case, ...]:
    """Those that were asked for, in the order of --objective; of those as written only the text's
    reading of the reward.
    """
    if chosen.way == "written":
        text = [replace(case, env=case.env.removesuffix("_text") + "_text") for case in cases]
        cases = tuple(dict.fromkeys(text))
    return tuple(
        case
        for wished in chosen.objective or [None]
        for case in cases
        if wished in (None, case.objective) and f":{chosen.only or ''}" in case.env
    )


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--as",
        dest="way",
        choices=tuple(WAYS),
        default="here",
        help="how it is run: as released, with its mean alone, as the text says (as here)",
    )
    parser.add_argument("--only", metavar="SIZE", help="only the grids of this size, such as 2x8")
    parser.add_argument(
        "--without",
        type=presets.some_of(TRAPS),
        default=(),
        metavar="TRAPS",
        help=f"leave out some of {', '.join(TRAPS)}",
    )
    parser.add_argument(
        "--objective",
        type=_objectives,
        metavar="O,...",
        help=f"only these, in this order: some of {', '.join(OBJECTIVES)}",
    )
    parser.add_argument(
        "--runs", type=Path, metavar="DIR", help="the folder of the runs and their checkpoints"
    )


def _objectives(text: str) -> list[str]:
    wished = text.split(",")
    if wrong := [word for word in wished if word not in OBJECTIVES]:
        raise argparse.ArgumentTypeError(f"{wrong[0]!r} is none of {', '.join(OBJECTIVES)}")
    return wished


if __name__ == "__main__":
    sys.exit(main())
