"""A training step off the CPU never waits for the device, in any objective, sampler or kind of space.

No GPU is needed: on torch's "meta" device every operation goes the way of a GPU, and has no numbers to look at. What
would make a GPU wait is refused: a number or a shape that depends on values, and a copy between CPU and device.
"""

import inspect

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from divergence_lab import settings, training
from divergence_lab.graphs import hypergrid
from divergence_lab.graphs.environments import space_from_text
from divergence_lab.settings import prepare
from divergence_lab.training import train

LOSSES = {"quadratic": lambda x: x**2 / 2, "linex(1)": lambda x: torch.expm1(x) - x}
LOOKS = {
    "aten._local_scalar_dense",
    "aten.item",
    "aten.is_nonzero",
    "aten.nonzero",
    "aten.masked_select",
    "aten._unique2",
    "aten.equal",
    "aten.repeat_interleave.Tensor",
}


class Waited(AssertionError):
    pass


class NoWaiting(TorchDispatchMode):
    """Refuses what would wait; counts everything else."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = str(function)
        self.calls += 1
        if any(name == look or name.startswith(look + ".") for look in LOOKS):
            raise Waited(f"{name} looks at values")
        tensors = [one for one in torch.utils._pytree.tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
        if name.startswith(("aten.index.Tensor", "aten.index_put")):
            if any(one.dtype in (torch.bool, torch.uint8) for one in args[1] if one is not None):
                raise Waited(f"{name} by a mask: its shape depends on values")
        if name.startswith(("aten._to_copy", "aten.copy_")):
            devices = {one.device.type for one in tensors} | {torch.device((kwargs or {}).get("device") or "meta").type}
            if len(devices) > 1:
                raise Waited(f"{name} between devices {devices}")
        return function(*args, **(kwargs or {}))


class NoConstants(TorchFunctionMode):
    """Refuses constants made on the CPU and sent to the device, which `NoWaiting` does not see."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in (torch.tensor, torch.as_tensor, torch.asarray) and kwargs.get("device") is not None:
            if torch.device(kwargs["device"]).type != "cpu" and not isinstance(args[0], torch.Tensor):
                raise Waited(f"{function.__name__}: a constant is sent to the device")
        return function(*args, **kwargs)


def prepared(monkeypatch, space, **given):
    monkeypatch.setattr(settings, "_device", lambda name: torch.device("meta"))
    defaults = {name: entry.default for name, entry in inspect.signature(train).parameters.items()}
    run = prepare({**defaults, "losses": LOSSES, "graph": space, "seeds": 2, "batch": 4, **given})
    return run, training._start(run, 1)


def one_step(run, state, step):
    if run.config["exact"]:
        training._update_exactly(run, state, step, 0.5)
        return
    noise = torch.empty(2, run.space.max_steps, run.config["batch"], device="meta")
    training._update(run, state, noise, step, 0.5)


ENUMERATED = [
    {"objective": objective, "policy": policy, **more}
    for objective in ("tb", "vargrad", "db", "subtb(0.9)", "fm", "fl-db", "fl-subtb(0.9)", "modified-db")
    for policy, more in (("tabular", {}), ("mlp", {}), ("mlp", {"evaluate": "visited"}))
]
SAMPLERS = [
    {"sampler": sampler, "policy": policy, **more, "backward": backward}
    for sampler in ("epsilon:0.1", "tempered:2", "backward", "mixture:0.5", "replay:0.5", "mixture:0.3,replay:0.3")
    for policy, more in (("tabular", {}), ("mlp", {"evaluate": "visited"}))
    for backward in ("uniform", "learned", "maxent")
]
EXACT = [
    {"objective": objective, "exact": True, "policy": policy}
    for objective in ("tb", "db", "fm", "subtb(0.9)", "vargrad", "modified-db")
    for policy in ("tabular", "mlp")
]


def written(given):
    return " ".join(str(value) for value in given.values())


@pytest.mark.parametrize("given", ENUMERATED + SAMPLERS + EXACT, ids=written)
def test_a_step_on_a_listed_graph(monkeypatch, given):
    run, state = prepared(monkeypatch, hypergrid(2, 3), **given)
    one_step(run, state, 0)  # tables are moved to the device once
    with NoWaiting() as watched, NoConstants():
        one_step(run, state, 1)
    assert watched.calls > 20


@pytest.mark.parametrize("text", ["generated:hypergrid:3x4", "generated:bits:6x2", "generated:sets:5x2"])
@pytest.mark.parametrize("objective", ["tb", "db", "subtb(0.9)", "fm", "fl-db"])
@pytest.mark.parametrize("backward", ["uniform", "learned", "maxent"])
def test_a_step_on_a_generated_space(monkeypatch, text, objective, backward):
    run, state = prepared(
        monkeypatch, space_from_text(text), policy="mlp", objective=objective, backward=backward, sampler="replay:0.5"
    )
    one_step(run, state, 0)
    with NoWaiting(), NoConstants():
        one_step(run, state, 1)


@pytest.mark.parametrize(
    "waits",
    [
        lambda x: x.sum().item(),
        lambda x: bool((x > 0).all()),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: x + torch.tensor([1.0, 2.0], device=x.device),
        lambda x: x + torch.zeros(2).to(x.device),
        lambda x: x.cpu(),
        lambda x: x.unique(),
    ],
)
def test_what_waits_is_refused(waits):
    x = torch.empty(2, device="meta")
    with pytest.raises(Waited), NoWaiting(), NoConstants():
        waits(x)
