"""What does not fit into memory is refused before it is made, with its bytes; what fits is not."""

import json
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

import divergence_lab as dl
from divergence_lab import inputs
from divergence_lab.inputs import InputError, free_memory
from divergence_lab.training import settings, sizes
from divergence_lab.training.arguments import Arguments, changed

GRID = "hypergrid:2x8"
TOO_LARGE = [
    (GRID, {"batch": 10**9}, "its trajectories: take a smaller batch"),
    (GRID, {"seeds": 10**9}, "seeds=1000000000 needs about .* GiB"),
    (GRID, {"seeds": 10**18}, "ask for fewer seeds"),
    (GRID, {"seeds": range(10**10)}, "ask for fewer seeds"),
    (GRID, {"seeds": 10**6, "batch": 10**4}, "1,000,000 members"),
    (GRID, {"policy": "mlp", "width": 10**9}, "its parameters: take a smaller width"),
    (GRID, {"evaluations": 10**9, "steps": 10**9}, "its evaluations: ask for fewer"),
    (GRID, {"window": 10**9, "seeds": 10}, "the window: take a smaller window"),
    (GRID, {"objective": "subtb", "batch": 10**8}, "its trajectories"),
    (GRID, {"policy": "mlp", "evaluate": "visited", "batch": 10**9}, "its trajectories"),
    ("hypergrid:4x20", {"seeds": 10_000, "batch": 1}, "all states of the graph"),
    ("generated:bits:120x8", {"policy": "mlp", "batch": 10**6}, "its trajectories"),
    (GRID, {"sampler": dl.gflownet.samplers.Sampler(replay=0.5, capacity=10**9)}, "replay buffer"),
]


def half_square(x):
    return x**2 / 2


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("env", "given", "message"), TOO_LARGE)
def test_a_run_that_does_not_fit_is_refused_before_it_takes_memory(env, given, message):
    space = dl.space_from_text(env)
    before, began = free_memory(), time.process_time()
    with pytest.raises(InputError, match=message) as caught:
        dl.train({"q": half_square}, space, **{"seeds": 1, "device": "cpu", **given})
    assert " is free: " in str(caught.value) and "\n" not in str(caught.value)
    assert time.process_time() - began < 10
    assert free_memory() > before - 2**31


def test_a_graph_that_does_not_fit_is_refused_before_it_is_listed(monkeypatch):
    monkeypatch.setattr(inputs, "free_memory", lambda: 10**6)
    for text in ("hypergrid:4x20", "bits:16x4", "sets:20x8", "tree:2x18"):
        with pytest.raises(InputError, match="states, needs about .* take a smaller space"):
            dl.space_from_text(text)


def test_what_torch_keeps_of_a_gpu_for_later_is_free(monkeypatch):
    run = settings.make_run(
        {"q": half_square}, dl.hypergrid(2, 8), Arguments(seeds=2, device="cpu", steps=2)
    )
    run, held = replace(run, device=torch.device("cuda")), 0
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10_000, 2**30))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: held)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 3_000)
    with pytest.raises(InputError, match="is free"):
        sizes.refuse_what_does_not_fit(run)
    held = 2**29
    sizes.refuse_what_does_not_fit(run)


def test_the_depth_has_an_end():
    with pytest.raises(InputError, match="depth is 1000000000; give .* at most 1,000"):
        dl.train({"q": half_square}, dl.hypergrid(2, 3), policy="mlp", depth=10**9)


# environment, settings: runs of some hundred MiB
MEASURED = [
    (GRID, {"batch": 300_000}),
    (GRID, {"batch": 200_000, "objective": "subtb"}),
    ("hypergrid:2x64", {"batch": 20_000, "seeds": 2}),
    ("hypergrid:4x20", {"batch": 16, "seeds": 3}),
    (GRID, {"batch": 16, "policy": "mlp", "width": 5000}),
    ("generated:bits:120x8", {"batch": 100, "seeds": 2, "policy": "mlp"}),
]
PEAK = """
import json, sys
import divergence_lab as dl
from divergence_lab.inputs import kernel_field
env, given = json.loads(sys.argv[1])
space = dl.space_from_text(env)
dl.train({"q": lambda x: x**2 / 2}, dl.hypergrid(2, 3), seeds=1, steps=2, device="cpu")
before = kernel_field('/proc/self/status', 'VmHWM')
dl.train({"q": lambda x: x**2 / 2}, space, steps=2, evaluations=1, device="cpu", **given)
print(kernel_field('/proc/self/status', 'VmHWM') - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("env", "given"), MEASURED)
def test_the_estimate_is_near_what_a_run_takes(env, given):
    given = {"seeds": 1, **given}
    done = subprocess.run(
        [sys.executable, "-c", PEAK, json.dumps([env, given])],
        capture_output=True,
        text=True,
        check=True,
    )
    taken = int(done.stdout)
    arguments = changed(Arguments(), {"device": "cpu", "steps": 2, "evaluations": 1, **given})
    run = settings.make_run({"q": half_square}, dl.space_from_text(env), arguments)
    estimated = sum(sizes._parts(run).values())
    assert taken / 4 < estimated < 2 * taken, (estimated, taken)
