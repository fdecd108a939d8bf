"""What one training step and one exact law consist of: python benchmarks/one_step.py --device cuda

A line of JSON for each: kernels and the microseconds that they take on a GPU, whose names and times
stand below, the longest first; and the milliseconds of a step, or a law, as it is made in a run
(recorded).  On a CPU, where this can be tried, torch's operations stand for kernels.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from divergence_lab.bench.compare import BATCH, SEEDS
from divergence_lab.bench.measuring import in_turns, law_calls, our_training
from divergence_lab.bridge import to_torch
from divergence_lab.graphs.texts import graph_from_text
from divergence_lab.theory.catalogue.named import PAPER_LOSSES
from divergence_lab.theory.divergence.loss import loss

LONGEST = 8  # names that are told
OBJECTIVES = ("tb", "db", "subtb(0.9)", "fm")
LAWS = (("4x20", 1), ("4x20", 20), ("4x32", 1), ("4x64", 1))


def kernels(call: Callable[[], None], device: str) -> dict[str, Any]:
    """How many, and how long they take, by name."""
    on_gpu = device == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as seen:
        call()
    wanted = DeviceType.CUDA if on_gpu else DeviceType.CPU
    events = [event for event in seen.events() or () if event.device_type == wanted]
    times, numbers = Counter(), Counter(event.name for event in events)
    for event in events:
        times[event.name] += event.self_device_time_total if on_gpu else event.self_cpu_time_total
    longest = [[name[:80], numbers[name], round(us)] for name, us in times.most_common(LONGEST)]
    return {"kernels": len(events), "microseconds": round(times.total()), "longest": longest}


def main(argv: list[str] | None = None) -> int:
    """Print what each consists of; 1 where one of them fails, which keeps no other from it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="small sizes: to see that it runs")
    chosen = parser.parse_args(argv)
    steps = [(size, "tb") for size in ("2x8", "4x8")] + [("4x20", one) for one in OBJECTIVES]
    failed = 0
    for measure, *of in (
        *((step, *of) for of in ([("2x4", "tb")] if chosen.quick else steps)),
        *((laws, *of) for of in ([("2x4", 1)] if chosen.quick else LAWS)),
    ):
        try:
            measure(*of, chosen.device)
        except Exception:  # what breaks one measurement must not keep the others from running
            print(traceback.format_exc(), flush=True)
            failed = 1
    return failed


def step(size: str, objective: str, device: str) -> None:
    """One training step of the paper's losses on this hyper-grid."""
    graph = graph_from_text(f"hypergrid:{size}")
    losses = {name: to_torch(loss(name)) for name in PAPER_LOSSES}
    stop_logit = math.log((graph.n_actions - 1) / (graph.max_steps - 1))
    run = our_training(
        graph, losses, policy="mlp", batch=BATCH, seeds=SEEDS, device=device,
        objective=objective, stop_logit=stop_logit, initial_log_z=0.0,
    )  # fmt: skip
    run(1)
    found = kernels(lambda: run(1), device)  # not yet recorded
    run(5)
    milliseconds = in_turns({"": lambda: run(10)}, 3)[""] / 10 * 1e3
    told(what=f"step {objective}", on=size, milliseconds=milliseconds, **found)


def laws(size: str, members: int, device: str) -> None:
    """The law of given logits, then the same with its gradient."""
    calls = law_calls(graph_from_text(f"hypergrid:{size}"), torch.device(device), members)
    for what, call in zip(("law", "law with gradient"), calls, strict=True):
        for _ in range(5):
            call()
        found = kernels(call, device)
        milliseconds = in_turns({"": call}, 15)[""] * 1e3
        told(what=what, on=size, members=members, milliseconds=milliseconds, **found)


def told(milliseconds: float, **more: Any) -> None:
    """One line, at once."""
    print(json.dumps({**more, "milliseconds": round(milliseconds, 4)}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
