"""How long `--preset paper` would take on a GPU: kernels and multiplications of a training step, counted, not timed.

    python paper_checks/time_on_a_gpu.py

On torch's "meta" device every operation goes the way of a GPU and computes nothing, so a step can be counted on any
machine.  A step is recorded once as a CUDA graph and replayed, but for molecules, whose rewards are computed on the CPU:
their kernels are launched one by one.  The time of a step is about

    kernels * (REPLAYED or LAUNCHED) + floating-point operations / OPERATIONS_A_SECOND

These constants are assumptions, typical of small kernels and of float32 products on a data-centre GPU, and no GPU was at
hand to measure them: read the result as an order of magnitude.  Evaluations and rewards of molecules are not in it.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

import divergence_lab as dl
from divergence_lab import settings, training
from divergence_lab.graphs.bits import generated_bits
from divergence_lab.measuring import prepared

sys.path.insert(0, str(Path(__file__).resolve().parent))
import figure3_hypergrid  # noqa: E402
import figure5_molecules  # noqa: E402
import tables3_4_bits  # noqa: E402
from figure5_sampled import BATCH, EPSILON, MAX_BLOCKS, RATE  # noqa: E402

REPLAYED, LAUNCHED, OPERATIONS_A_SECOND = 4e-6, 10e-6, 10e12
# these only look at a tensor in another way: no kernel
VIEWS = ("view", "expand", "select", "slice", "transpose", "permute", "unsqueeze", "squeeze", "split", "unbind", "detach",
         "alias", "as_strided", "t.", "_unsafe_view", "movedim", "unfold", "diagonal", "empty", "lift_fresh")  # fmt: skip


class Kernels(TorchDispatchMode):
    """Counts the operations that would launch a kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if not str(function).removeprefix("aten.").startswith(VIEWS):
            self.count += 1
        return function(*args, **(kwargs or {}))


def counted(losses: dict, space: Any, **given: Any) -> tuple[int, float]:
    """(kernels, floating-point operations) of one training step of all members."""
    with mock.patch.object(settings, "_device", lambda name: torch.device("meta")):
        run = prepared(space, losses, device="cuda", **given)
        state = training._start(run, 1)
        _, advance = training._advancing(run, state)
        advance(0.1)  # constants of the space are made
        with Kernels() as kernels:
            advance(0.2)
        with FlopCounterMode(display=False) as flops:
            advance(0.3)
    return kernels.count, float(flops.get_total_flops())


def cases():
    """(check, what, steps, how often, seconds a kernel, kernels, operations)."""
    for case in figure3_hypergrid.PRESETS["paper"]:
        if case.env.endswith("paper"):  # the other reading takes as long
            given = figure3_hypergrid.settings(case)
            losses, graph = given.pop("losses"), given.pop("graph")
            yield "Figure 3", f"hyper-grid, {case.objective}", case.steps, 2, REPLAYED, *counted(losses, graph, **given)
    (part,) = tables3_4_bits.PRESETS["paper"]
    losses = {name: dl.to_torch(dl.loss(name)) for name in part.losses}
    for name in part.objectives:
        space = generated_bits(part.n_bits, part.word, seed=0, name="bits")
        found = counted(losses, space, seeds=[0], **tables3_4_bits.settings(part, name))
        yield "Tables 3 and 4", f"120 bits, {name}", part.steps, part.seeds, REPLAYED, *found
    yield from molecules()


def molecules():
    from divergence_lab.graphs.block_trees import generated_molecules

    size = figure5_molecules.SIZES["paper"]
    # rewards, which are asked of the CPU, are left out
    space = replace(generated_molecules(MAX_BLOCKS, None), log_reward=lambda states: states.double().sum(dim=-1))
    for objective in figure5_molecules.OBJECTIVES:
        losses = figure5_molecules.losses(objective)
        found = counted(
            losses, space, objective=objective, policy="mpnn", width=size["width"], depth=size["depth"], batch=BATCH,
            sampler=f"epsilon:{EPSILON}", seeds=size["net_seeds"], steps=size["steps"], learning_rate=RATE,
        )  # fmt: skip
        yield "Figure 5", f"molecules, {objective}", size["steps"], 1, LAUNCHED, *found


def page(rows) -> str:
    lines = [
        "# How long the paper preset would take on a GPU", "",
        "    python paper_checks/time_on_a_gpu.py", "",
        "Counted on a CPU: kernels and floating-point operations of one training step of all losses and seeds that train",
        f"together, the way a GPU goes. Assumed, not measured: {REPLAYED * 1e6:.0f} µs a kernel replayed in a CUDA graph, "
        f"{LAUNCHED * 1e6:.0f} µs launched (molecules, whose",
        f"rewards are computed on the CPU), and {OPERATIONS_A_SECOND / 1e12:.0f} TFLOP/s in float32. So the hours are an order of magnitude. "
        "Not in them: evaluations and",
        "the rewards of molecules.", "",
        "| check | case | steps | runs one after another | kernels a step | GFLOP a step | ms a step | hours |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    total = 0.0
    for check, what, steps, times, seconds, kernels, operations in rows:
        step = kernels * seconds + operations / OPERATIONS_A_SECOND
        hours = step * steps * times / 3600
        total += hours
        numbers = (f"{steps:,}", times, f"{kernels:,}", f"{operations / 1e9:.1f}", f"{step * 1e3:.1f}", f"{hours:.1f}")
        lines.append(f"| {check} | {what} | {' | '.join(map(str, numbers))} |")
    return "\n".join([*lines, "", f"Together about {total:.0f} hours of one GPU.", ""])


def main() -> int:
    place = Path(__file__).with_suffix(".md")
    place.write_text(page(list(cases())))
    print(place.read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
