"""How one number is measured: seconds in turns, bytes in processes of their own, and on what
machine.
"""

import math
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from divergence_lab.gflownet.listed.exact import terminal_distribution
from divergence_lab.graphs import dag, texts
from divergence_lab.results.provenance import environment
from divergence_lab.theory.budget import programs
from divergence_lab.training import arguments, loop, settings, stepping

# case -> (hyper-grid, bytes per state and member that the documentation states); A = 5, in float32
MEMORY = {
    "exact law": ("4x20", 50),
    "exact law with gradient": ("4x20", 100),
    "training, tabular": ("4x20", 200),
    "training, MLP 2x256, all states": ("4x8", 5_000),
}


def in_turns(contenders: Mapping[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """name -> median seconds of a call; contenders take turns, after one call each that does not
    count.
    """
    for call in contenders.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, call in contenders.items():
            started = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(found) for name, found in seconds.items()}


def prepared(graph: dag.PointedDAG, losses: Mapping[str, Any], **given: Any) -> settings.Run:
    """What `train(losses, graph, **given)` keeps fixed."""
    return settings.make_run(losses, graph, arguments.Arguments(**given))


def our_training(
    graph: dag.PointedDAG, losses: Mapping[str, Any], **given: Any
) -> Callable[[int], None]:
    """run(n): n more iterations of `train(losses, graph, **given)` without its evaluations."""
    # no decay, for a run without an end; each call draws its uniforms anew, as a resumed run does
    run = prepared(graph, losses, decay=0.0, **given)
    state = stepping.start_progress(run, 1)
    done = 0

    def iterate(n: int) -> None:
        nonlocal done
        part = replace(run, config={**run.config, "steps": done + n})
        with loop.one_thread_if_small(state.members.values):
            loop.run_steps(part, state, np.zeros(0, dtype=np.int64), done, 0.0, False, None)
        done += n
        wait(run.device)

    return iterate


def law_calls(
    graph: dag.PointedDAG, device: torch.device, members: int = 1
) -> tuple[Callable[[], None], Callable[[], None]]:
    """(the law, the law and the gradient of a linear function of it), from logits."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(members, graph.n_actions, graph.n_states, generator=generator).to(device)
    free = logits.clone().requires_grad_()
    weights = torch.rand(graph.terminal_states.size, generator=generator, dtype=torch.float64).to(
        device
    )

    def forward() -> None:
        with torch.no_grad():
            terminal_distribution(graph, logits)
        wait(device)

    def gradient() -> None:
        law = terminal_distribution(graph, free)
        torch.autograd.grad((law * weights.to(law.dtype)).sum(), free)
        wait(device)

    return forward, gradient


# --- matrix products


def share_of_peak(run: Callable[[int], None], seconds: float) -> str:
    """How much of the products that the cores could do in this time one iteration of `run` does."""
    share = product_flops(run) / (seconds * peak_flops())
    return f"{share:.0%} of the cores' peak in matrix products"


def product_flops(run: Callable[[int], None]) -> float:
    """Additions and multiplications in the matrix products of one iteration of `run`."""
    iterations = 3

    def grouped(one: tuple[int, ...], other: tuple[int, ...], *_: Any, **__: Any) -> int:
        """[N, K] with [G, K, J], rows by groups; [K, N] with [N, J] in groups of N, a gradient."""
        return 2 * math.prod(one) * other[-1]

    grouped_product = {torch.ops.aten._grouped_mm: grouped}
    with FlopCounterMode(display=False, custom_mapping=grouped_product) as counted:
        run(iterations)
    return counted.get_total_flops() / iterations


def peak_flops(size: int = 2048) -> float:
    """The most that the cores do a second: one large product in float32."""
    one, other = torch.rand(2, size, size).unbind()
    seconds = in_turns({"": lambda: torch.mm(one, other)}, 5)[""]
    return 2 * size**3 / seconds


# --- memory


def bytes_per_state_and_member(case: str, device: str) -> float:
    """(peak with M2 members - peak with M1) / ((M2 - M1) S): the program and what members share
    cancel.
    """
    few, many = (2, 6) if "law" in case else (4, 12)
    peaks = []
    for members in (few, many):
        asked = (__name__, "print_peak", case, str(members), device)
        words = programs.command(programs.__name__, "call_until_gone", str(os.getpid()), *asked)
        done = subprocess.run(
            words, env=programs.environment(), capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout))
    n_states = texts.graph_from_text(f"hypergrid:{MEMORY[case][0]}").n_states
    return (peaks[1] - peaks[0]) / ((many - few) * n_states)


def print_peak(case: str, members: str, device: str) -> None:
    """What a process of its own prints."""
    print(peak(case, int(members), device))


def peak(case: str, members: int, device: str) -> int:
    """Bytes that this process (on a GPU: torch on it) holds at the most, doing `case` for so
    many members.
    """
    graph = texts.graph_from_text(f"hypergrid:{MEMORY[case][0]}")
    if "law" in case:
        for call in law_calls(graph, torch.device(device), members)["gradient" in case :][:1]:
            call()
    else:
        given = {
            "policy": "mlp" if "MLP" in case else "tabular",
            "evaluate": "all states",
            "device": device,
        }
        our_training(graph, {"quadratic": _half_square}, batch=16, seeds=members, **given)(3)
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if (
        status.exists()
    ):  # Linux passes the parent's ru_maxrss on to a child; this line is the child's own
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource  # not everywhere

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _half_square(x: Tensor) -> Tensor:
    return x * x / 2


# --- the machine


def describe(device: torch.device) -> dict[str, Any]:
    """The machine as far as it says: CPU, cores this process may use, threads, versions, the GPU
    if used.
    """
    cpuinfo = Path("/proc/cpuinfo")
    models = (
        [
            line.partition(":")[2].strip()
            for line in cpuinfo.read_text().splitlines()
            if "model name" in line
        ]
        if cpuinfo.exists()
        else []
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        **environment(device),
        "cpu": models[0] if models else platform.processor() or platform.machine(),
        "cores": cores,
        "load": [round(value, 2) for value in os.getloadavg()]
        if hasattr(os, "getloadavg")
        else None,
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
    }


def wait(device: torch.device) -> None:
    """Until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()
