"""Rates side by side in one run: ours, the libraries named, and the goal that each number is held
against.

Contenders take turns, block by block, so that whatever else the machine does meets all of them; a
number is the median over blocks.  Compiling and the first iterations are left out.
"""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from divergence_lab.bench import peers
from divergence_lab.bench.measuring import (
    MEMORY,
    bytes_per_state_and_member,
    describe,
    in_turns,
    law_calls,
    our_training,
    prepared,
    share_of_peak,
    wait,
)
from divergence_lab.bridge import to_torch
from divergence_lab.gflownet.listed.exact import terminal_distribution
from divergence_lab.gflownet.policies.policy import mlp
from divergence_lab.graphs import ambient, texts
from divergence_lab.inputs import read_input
from divergence_lab.theory.catalogue.named import PAPER_LOSSES
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.training import loop as training
from divergence_lab.training.arguments import find_device

SEEDS, BATCH = 5, 16
MEMBERS = SEEDS * len(PAPER_LOSSES)
SWEEP = ("2x8", "4x8", "4x20")
# how many times faster than the peer that makes the 20 runs one after the other
CPU_GOALS = {
    "torchgfn": {"2x8": 15.0, "4x8": 8.0, "4x20": 5.0},
    "gfnx": {"2x8": 5.0, "4x8": 3.0, "4x20": 5.0},
}
TOGETHER = "gfnx, all in one jit"  # 20 seeds under vmap, at its default precision
GPU_GOALS = {"torchgfn": {"4x8": 50.0}, TOGETHER: dict.fromkeys(SWEEP, 1.5)}
LAW_RATE, LAW_SECONDS, LAW_GRADIENT, LAW_RATIO = 30e6, 0.8, 4.0, {"cpu": 50.0, "cuda": 25.0}
# exact training of tables to TV < TV_GOAL: objective, loss, the steps allowed
TV_GOAL = 0.01
EXACT = (("tb", "quadratic", 75), ("db", "linex(1)", 300))
LAW_SIZES = ("4x32", "4x64")
CROSSOVER_SIDES = (4, 5, 6, 8, 10, 12)


@dataclass(frozen=True)
class Row:
    """One measured number.  `ratio` = how many times less than `theirs`; `goal` is held against
    `judged`.

    `against` names the contender of `theirs`; `judged` is 'ratio' or 'ours', `bound` 'at least' or
    'at most'.
    """

    what: str
    environment: str
    ours: float
    unit: str
    against: str | None = None
    theirs: float | None = None
    ratio: float | None = None
    goal: float | None = None
    judged: str = "ratio"
    bound: str = "at least"
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        value = self.ratio if self.judged == "ratio" else self.ours
        if self.goal is None or value is None:
            return None
        return value >= self.goal if self.bound == "at least" else value <= self.goal


@dataclass(frozen=True)
class Bench:
    """`rows` as measured; `missing`: a line for each peer that is not installed; `machine`:
    where it ran.
    """

    rows: tuple[Row, ...]
    missing: tuple[str, ...]
    machine: Mapping[str, Any]
    seconds: float


@ambient.plain_torch()
def bench(
    against: Sequence[str] = ("torchgfn", "gfnx"),
    *,
    device: str = "auto",
    quick: bool = False,
    progress: Callable[[str], None] = lambda _: None,
    keep: Path | None = None,
) -> Bench:
    """Measure everything beside the peers in `against`.  `quick`: small sizes, to see that it runs.

    `keep`: a file that takes a line of JSON for each thing measured as soon as it is; what stands
    there already is not measured again.  What raises is then raised at the end, after all that can
    be measured.
    """
    started = time.monotonic()
    chosen = find_device(device)
    lines = {name: peers.missing(name, chosen.type) for name in dict.fromkeys(against)}
    present = [name for name, line in lines.items() if line is None]
    rows: list[Row] = []
    failed: list[Exception] = []
    of = [chosen.type, quick, present]
    kept = _kept(keep, of)
    losses = {name: to_torch(loss(name)) for name in PAPER_LOSSES}

    few = slice(1 if quick else None)
    for label, measure, *arguments in (
        *((f"sweep {size}", sweep, size, present, losses, quick) for size in SWEEP[few]),
        *(
            (f"sweep {size}, long trajectories", long_sweep, size, present, losses)
            for size in ((), SWEEP[2:], SWEEP)[0 if quick else 1 if chosen.type == "cpu" else 2]
        ),
        ("exact law beside the peers", law_beside, "4x4" if quick else "4x20", present),
        *((f"exact law {size}", law_alone, size) for size in (("4x8",) if quick else LAW_SIZES)),
        *((f"exact training {size}", exact_training, size, losses) for size in SWEEP[:2][few]),
        *((f"memory: {case}", memory_of, case) for case in list(MEMORY)[few]),
        *((f"crossover 4x{side}", crossover, side, losses) for side in CROSSOVER_SIDES[few]),
    ):
        progress(label)
        if label not in kept:
            try:
                kept[label] = measure(*arguments, chosen)
            except Exception as error:  # told at the end; what was measured is kept
                if keep is None:
                    raise
                error.add_note(f"while measuring {label}")
                failed.append(error)
                continue
            _keep(keep, {"label": label, "of": of, "rows": [asdict(row) for row in kept[label]]})
        rows += kept[label]
    if failed:
        raise failed[0] if len(failed) == 1 else ExceptionGroup("not measured", failed)
    if quick:  # the goals are for other sizes
        rows = [replace(row, goal=None) for row in rows]
    machine = {**describe(chosen), "peers": {name: peers.versions(name) for name in present}}
    seconds = time.monotonic() - started
    return Bench(tuple(rows), tuple(line for line in lines.values() if line), machine, seconds)


def _keep(keep: Path | None, line: dict[str, Any]) -> None:
    """Add the line to the file, after the end of one that was cut off."""
    if keep is not None:
        cut = keep.exists() and not read_input(keep).endswith("\n")
        with open(keep, "a") as file:
            file.write("\n" * cut + json.dumps(line) + "\n")


def _kept(keep: Path | None, of: list) -> dict[str, list[Row]]:
    """label -> rows, of those lines of the file that were measured on this device, in these
    sizes, beside these peers.
    """
    kept = {}
    for line in read_input(keep).splitlines() if keep is not None and keep.exists() else ():
        try:
            measured = json.loads(line)
            if measured["of"] == of:
                kept[measured["label"]] = [Row(**row) for row in measured["rows"]]
        except (ValueError, LookupError, TypeError, RecursionError):  # cut off, or not ours
            continue
    return kept


# --- training


def sweep(
    size: str, present: Sequence[str], losses: Mapping[str, Any], quick: bool, device: torch.device
) -> list[Row]:
    """ms an iteration of 20 members (4 losses x 5 seeds), against 20 times one of the peer's single
    run.

    All start alike: logits near 0, log Z at 0.
    """
    n, rounds = (5, 3) if quick else (25, 5)
    rows = _training_rows(f"sweep of {MEMBERS}", size, present, losses, device, 0.0, n, rounds)
    return _with_goals(rows, CPU_GOALS if device.type == "cpu" else GPU_GOALS)


def _with_goals(rows: list[Row], goals: Mapping[str, Mapping[str, float]]) -> list[Row]:
    return [
        replace(row, goal=goals.get(row.against or "", {}).get(row.environment)) for row in rows
    ]


def long_sweep(
    size: str, present: Sequence[str], losses: Mapping[str, Any], device: torch.device
) -> list[Row]:
    """The same from the start that `train` takes by default, of trajectories about as long as
    they can be.
    """
    graph = texts.graph_from_text(f"hypergrid:{size}")
    stop_logit = math.log((graph.n_actions - 1) / (graph.max_steps - 1))
    rows = _training_rows(
        f"sweep of {MEMBERS}, long start", size, present, losses, device, stop_logit, 10, 3
    )
    return rows if device.type == "cpu" else _with_goals(rows, {TOGETHER: GPU_GOALS[TOGETHER]})


def _training_rows(
    what: str,
    size: str,
    present: Sequence[str],
    losses: Mapping[str, Any],
    device: torch.device,
    stop_logit: float,
    n: int,
    rounds: int,
) -> list[Row]:
    dimensions, side = map(int, size.split("x"))
    graph = texts.graph_from_text(f"hypergrid:{size}")
    given = {"policy": "mlp", "batch": BATCH, "seeds": SEEDS, "device": device.type}
    start = {"stop_logit": stop_logit, "initial_log_z": 0.0}
    runs: dict[str, Callable[[int], None]] = {
        "ours": our_training(graph, losses, **given, **start),
        **{
            name: peers.peer(name).training(dimensions, side, BATCH, device.type, stop_logit)
            for name in present
        },
    }
    if device.type == "cuda":
        for name in present:
            runs |= _together(name, dimensions, side, stop_logit)
    seconds_of = in_turns({name: (lambda run=run: run(n)) for name, run in runs.items()}, rounds)
    ours = seconds_of.pop("ours") / n * 1e3
    share = share_of_peak(runs["ours"], ours / 1e3) if device.type == "cpu" else ""
    rows = []
    for name, seconds in seconds_of.items():
        each = seconds / n * 1e3
        theirs = MEMBERS * each if name in present else each  # all members in one call
        note = f"{each:.1f} ms a run" if name in present else f"{MEMBERS} seeds"
        note += f"; {share}" if share else ""
        rows.append(Row(what, size, ours, "ms", name, theirs, theirs / ours, note=note))
    return rows or [Row(what, size, ours, "ms", note=share)]


def _together(name: str, dimensions: int, side: int, stop_logit: float) -> dict[str, Any]:
    """The peer's runs of as many seeds in one call, at each precision that it has."""
    peer, called = peers.peer(name), TOGETHER.replace("gfnx", name)
    return {
        called if precision == "default" else f"{called}, {precision} precision": peer.together(
            dimensions, side, BATCH, stop_logit, MEMBERS, precision
        )
        for precision in getattr(peer, "PRECISIONS", ())
    }


# --- the exact law


def law_alone(size: str, device: torch.device) -> list[Row]:
    """States a second, or seconds where the space is large, and the same with a gradient."""
    graph = texts.graph_from_text(f"hypergrid:{size}")
    forward, gradient = law_calls(graph, device)
    large = graph.n_states > 2**22
    rounds = 5 if large else 15
    alone, both = in_turns({"": forward}, rounds)[""], in_turns({"": gradient}, rounds)[""]
    if large:
        row = _at_most("exact law", size, alone, "s", LAW_SECONDS)
    else:
        rate = graph.n_states / alone
        note = f"{alone * 1e3:.1f} ms"
        row = Row("exact law", size, rate, "states/s", goal=LAW_RATE, judged="ours", note=note)
    times, note = both / alone, f"{both * 1e3:.1f} ms"
    return [row, _at_most("the same with gradient", size, times, "times", LAW_GRADIENT, note)]


def law_beside(size: str, present: Sequence[str], device: torch.device) -> list[Row]:
    """ms of one law: from logits; from tables of logits on all sides; with an MLP 2x256 on all
    sides.
    """
    dimensions, side = map(int, size.split("x"))
    graph = texts.graph_from_text(f"hypergrid:{size}")
    policy = mlp(graph)
    parameters = policy.init([0], device)

    def with_mlp() -> None:
        with torch.no_grad():
            terminal_distribution(graph, policy.rows(parameters, None)[:, : graph.n_actions])
        wait(device)

    calls = {
        "logits": law_calls(graph, device)[0],
        "mlp": with_mlp,
        **{
            f"{name} {kind}": peers.peer(name).law(dimensions, side, kind, device.type)
            for name in present
            for kind in ("tabular", "mlp")
        },
    }
    milliseconds = {name: seconds * 1e3 for name, seconds in in_turns(calls, 5).items()}
    if not present:
        return [
            Row("law from logits", size, milliseconds["logits"], "ms"),
            Row("law of an MLP", size, milliseconds["mlp"], "ms"),
        ]
    rows = []
    for what, ours, kind, goal, note in (
        (
            "law from logits",
            "logits",
            "mlp",
            LAW_RATIO[device.type],
            "the peer's call evaluates its MLP too",
        ),
        ("law from logits, both", "logits", "tabular", None, "like for like"),
        ("law of an MLP, both", "mlp", "mlp", None, "like for like"),
    ):
        for name in present:
            theirs, own = milliseconds[f"{name} {kind}"], milliseconds[ours]
            rows.append(Row(what, size, own, "ms", name, theirs, theirs / own, goal, note=note))
    return rows


# --- exact training, memory, crossover


def exact_training(size: str, losses: Mapping[str, Any], device: torch.device) -> list[Row]:
    """Steps of exact gradients until the total variation is below TV_GOAL; oo where it stays
    above.
    """
    graph = texts.graph_from_text(f"hypergrid:{size}")
    rows = []
    for objective, name, allowed in EXACT:
        result = training.train(
            {name: losses[name]},
            graph,
            objective=objective,
            exact=True,
            seeds=1,
            steps=allowed,
            evaluations=2 * allowed,  # every step
            device=device.type,
            progress=False,
        )
        tv = result.metrics["tv"][0, 0]
        below = np.nonzero(tv < TV_GOAL)[0]
        steps = float(result.steps[below[0]]) if below.size else math.inf
        note = f"TV {tv[-1]:.1e} after {allowed}"
        rows.append(
            _at_most(f"exact {objective}, {name}", size, steps, "steps", float(allowed), note)
        )
    return rows


def memory_of(case: str, device: torch.device) -> list[Row]:
    """Bytes per state and member at the peak; the goal is what the documentation states."""
    (size, stated), measured = MEMORY[case], bytes_per_state_and_member(case, device.type)
    note = "per state and member"
    return [_at_most(f"memory: {case}", size, measured, "bytes", float(stated), note)]


def crossover(side: int, losses: Mapping[str, Any], device: torch.device) -> list[Row]:
    """ms an iteration of 4 members in the way chosen automatically, against the other way."""
    graph = texts.graph_from_text(f"hypergrid:4x{side}")
    given = {"policy": "mlp", "batch": BATCH, "seeds": 1, "device": device.type}
    runs = {
        way: our_training(graph, losses, **given, evaluate=way) for way in ("all states", "visited")
    }
    n = 5 if graph.n_states < 5000 else 2
    seconds_of = in_turns({way: (lambda run=run: run(n)) for way, run in runs.items()}, 3)
    chosen = prepared(graph, losses, **given).config["evaluate"]
    (other,) = set(seconds_of) - {chosen}
    ours, theirs = seconds_of[chosen] / n * 1e3, seconds_of[other] / n * 1e3
    note = (
        f"chosen: {chosen}; {graph.n_states / (BATCH * graph.max_steps):.2f} states per "
        "possible visit"
    )
    return [Row("crossover", f"4x{side}", ours, "ms", other, theirs, theirs / ours, note=note)]


def _at_most(what: str, size: str, ours: float, unit: str, goal: float, note: str = "") -> Row:
    return Row(what, size, ours, unit, goal=goal, judged="ours", bound="at most", note=note)
