"""How long `--preset paper` would take on a GPU: kernels and multiplications of a training step,
counted, not timed.

    python paper_checks/time_on_a_gpu.py
    python paper_checks/time_on_a_gpu.py --measure    first measure the rate of one CPU core, which takes minutes

benchmarks/kernels_of_a_step.py counts the kernels; all steps of a walk by our own kernel are one of
them.  A step is recorded once as a CUDA graph and replayed, but for molecules,
whose rewards are computed on the CPU: their kernels are launched one by one.  The time of a step is
about

    kernels * (REPLAYED or LAUNCHED) + floating-point operations / OPERATIONS_A_SECOND

These constants are assumptions, typical of small kernels and of float32 products on a data-centre
GPU, and no GPU was at hand to measure them: read the result as an order of magnitude.  Evaluations
and rewards of molecules are not in it.

What is measured is the rate of this code on one core, in CPU time, so that other work on the
machine does not count, and from a start whose trajectories are about as long as they can be.  It is
kept in results/time_on_a_gpu.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch.utils.flop_counter import FlopCounterMode

import divergence_lab as dl
from divergence_lab.bench.measuring import prepared
from divergence_lab.gflownet.randomness import DROPOUT, random_bits, uniforms
from divergence_lab.graphs.spaces.bits import generated_bits
from divergence_lab.results.storage import write_atomically
from divergence_lab.training import settings
from divergence_lab.training.stepping import make_step, start_progress

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
import figure3_hypergrid
import figure5_molecules
import kernels_of_a_step
import tables3_4_bits
from figure5_sampled import BATCH, EPSILON, MAX_BLOCKS, RATE

MEASURED = Path(__file__).resolve().parent / "results" / "time_on_a_gpu" / "one_core.json"
STEPS, WARM = 3, 1  # measured, and before
REPLAYED, LAUNCHED, OPERATIONS_A_SECOND = 4e-6, 10e-6, 10e12


def counted(losses: dict, space: Any, **given: Any) -> tuple[int, float]:
    """(kernels, floating-point operations) of one training step of all members."""
    # operations the way of torch: kernels of our own make the same
    with mock.patch.object(settings, "find_device", lambda name: torch.device("meta")):
        run = prepared(space, losses, device="cuda", **given)
        _, advance = make_step(run, start_progress(run, 1))
        advance(0.1)  # constants of the space are made
        with FlopCounterMode(display=False) as operations:
            advance(0.2)
    kernels = kernels_of_a_step.counted(losses, space, **given).total()
    return kernels, float(operations.get_total_flops())


def measured(losses: dict, space: Any, **given: Any) -> float:
    """CPU seconds of one training step of all members on one thread: the mean of STEPS steps
    from the start.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    given = {name: value for name, value in given.items() if name != "stop_logit"}
    run = prepared(space, losses, device="cpu", **given)
    inputs, advance = make_step(run, start_progress(run, 1))
    noise = uniforms(
        run.config["seeds"], 0, (WARM + STEPS, *inputs.noise.shape[1:]), run.device, run.dtype
    )
    for step in range(WARM + STEPS):
        if step == WARM:
            started = time.process_time()
        inputs.noise.copy_(noise[:, step])
        inputs.step.fill_(step)
        inputs.rates.copy_(run.rates)
        if inputs.bits is not None:
            inputs.bits.copy_(
                random_bits(run.config["seeds"], DROPOUT + step, inputs.bits.shape[1:], run.device)
            )
        advance(0.0)
    torch.set_num_threads(before)
    return (time.process_time() - started) / STEPS


def cases(look=counted):
    """(check, what, steps, how often, seconds a kernel, *look(..)): look counts (kernels,
    operations), or measures.
    """
    for case in figure3_hypergrid.PRESETS["paper"]:
        if case.env.endswith("paper"):  # the other reading takes as long
            given = figure3_hypergrid.settings(case)
            losses, graph = given.pop("losses"), given.pop("graph")
            yield (
                "Figure 3",
                f"hyper-grid, {case.objective}",
                case.steps,
                2,
                REPLAYED,
                *look(losses, graph, **given),
            )
    (part,) = tables3_4_bits.PRESETS["paper"]
    losses = {name: dl.to_torch(dl.loss(name)) for name in part.losses}
    for name in part.objectives:
        space = generated_bits(part.n_bits, part.word, seed=0, name="bits")
        found = look(losses, space, seeds=[0], **tables3_4_bits.settings(part, name))
        yield "Tables 3 and 4", f"120 bits, {name}", part.steps, part.seeds, REPLAYED, *found
    yield from molecules(look)


def molecules(look=counted):
    from divergence_lab.graphs.molecules.generated import generated_molecules

    size = figure5_molecules.SIZES["paper"]
    # rewards, which are asked of the CPU, are left out
    space = replace(
        generated_molecules(MAX_BLOCKS, None), log_reward=lambda states: states.double().sum(dim=-1)
    )
    for objective in figure5_molecules.OBJECTIVES:
        losses = figure5_molecules.losses(objective)
        found = look(
            losses,
            space,
            objective=objective,
            policy="mpnn",
            width=size["width"],
            depth=size["depth"],
            batch=BATCH,
            sampler=f"epsilon:{EPSILON}",
            seeds=size["net_seeds"],
            steps=size["steps"],
            learning_rate=RATE,
        )
        yield "Figure 5", f"molecules, {objective}", size["steps"], 1, LAUNCHED, *found


def page(rows, rates: dict[str, float] | None = None) -> str:
    """The page as text; `rates`: CPU seconds a step by case, as measured."""
    rates = rates or {}
    lines = [
        "# How long the paper preset would take on a GPU",
        "",
        "    python paper_checks/time_on_a_gpu.py",
        "",
        "Counted on a CPU: kernels and floating-point operations of one training step of "
        "all losses and seeds that train",
        f"together, the way a GPU goes. Assumed, not measured: {REPLAYED * 1e6:.0f} µs a "
        "kernel replayed in a CUDA graph, "
        f"{LAUNCHED * 1e6:.0f} µs launched (molecules, whose",
        f"rewards are computed on the CPU), and {OPERATIONS_A_SECOND / 1e12:.0f} TFLOP/s "
        "in float32. So the hours are an order of magnitude. "
        "Not in them: evaluations and",
        "the rewards of molecules, which are measured to take 1.2 ms or more each on one core, those of molecules seen before next to nothing: at",
        "4 losses x 4 seeds x 200,000 molecules an hour and more for each objective.",
        "",
        "Measured (`--measure`): CPU seconds of a step on one core, without a GPU, with "
        "trajectories about as long as they can be, and the hours",
        "that the preset would take one core at that rate.",
        "",
        "| check | case | steps | runs one after another | kernels a step | GFLOP a step "
        "| GPU: ms a step | GPU: hours | one core, measured: s a step | hours |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    total = one_core = 0.0
    for check, what, steps, times, seconds, kernels, operations in rows:
        step = kernels * seconds + operations / OPERATIONS_A_SECOND
        hours = step * steps * times / 3600
        total += hours
        numbers = (
            f"{steps:,}",
            times,
            f"{kernels:,}",
            f"{operations / 1e9:.1f}",
            f"{step * 1e3:.1f}",
            f"{hours:.1f}",
        )
        slow = rates.get(what)
        one_core += 0.0 if slow is None else slow * steps * times / 3600
        shown = (
            ("not measured", "")
            if slow is None
            else (f"{slow:.2f}", f"{slow * steps * times / 3600:,.0f}")
        )
        lines.append(f"| {check} | {what} | {' | '.join(map(str, numbers + shown))} |")
    last = f"Together about {total:.0f} hours of one GPU" + (
        f", or {one_core:,.0f} hours of one core." if one_core else "."
    )
    return "\n".join([*lines, "", last, ""])


def main(argv: list[str] | None = None) -> int:
    if "--measure" in (sys.argv[1:] if argv is None else argv):
        rates = {}
        for _, what, *_, rate in cases(lambda *given, **more: (measured(*given, **more),)):
            rates[what] = float(f"{rate:.3g}")
            print(f"{what}: {rate:.3g} CPU s a step", file=sys.stderr, flush=True)
            MEASURED.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(MEASURED, (json.dumps(rates, indent=1) + "\n").encode())
    place = Path(__file__).with_suffix(".md")
    place.write_text(
        page(list(cases()), json.loads(MEASURED.read_text()) if MEASURED.exists() else None)
    )
    print(place.read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
