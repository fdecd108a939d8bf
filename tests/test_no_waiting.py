"""A training step off the CPU never waits for the device, in any objective, sampler or kind of
space.

No GPU is needed: on torch's "meta" device every operation goes the way of a GPU, and has no numbers
to look at. What would make a GPU wait is refused: a number or a shape that depends on values, and a
copy between CPU and device.
"""

import contextlib
import itertools
from pathlib import Path

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from divergence_lab.bridge import to_torch
from divergence_lab.gflownet import devices
from divergence_lab.graphs import hypergrid
from divergence_lab.graphs.spaces.bits import bits
from divergence_lab.graphs.texts import space_from_text
from divergence_lab.theory.catalogue.named import PAPER_LOSSES
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.training import settings
from divergence_lab.training.arguments import Arguments
from divergence_lab.training.loop import train
from divergence_lab.training.schedules import anneal_linex
from divergence_lab.training.settings import make_run
from divergence_lab.training.stepping import make_step, start_progress, tensors_of

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
        tensors = [
            one
            for one in torch.utils._pytree.tree_leaves((args, kwargs))
            if isinstance(one, torch.Tensor)
        ]
        by_index = name.startswith(("aten.index.Tensor", "aten.index_put"))
        masks = (torch.bool, torch.uint8)
        if by_index and any(one.dtype in masks for one in args[1] if one is not None):
            raise Waited(f"{name} by a mask: its shape depends on values")
        if name.startswith(("aten._to_copy", "aten.copy_")):
            devices = {one.device.type for one in tensors} | {
                torch.device((kwargs or {}).get("device") or "meta").type
            }
            if len(devices) > 1:
                raise Waited(f"{name} between devices {devices}")
        return function(*args, **(kwargs or {}))


class NoConstants(TorchFunctionMode):
    """Refuses constants made on the CPU and sent to the device, which `NoWaiting` does not see."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if (
            (
                function in (torch.tensor, torch.as_tensor, torch.asarray)
                and kwargs.get("device") is not None
            )
            and torch.device(kwargs["device"]).type != "cpu"
            and not isinstance(args[0], torch.Tensor)
        ):
            raise Waited(f"{function.__name__}: a constant is sent to the device")
        return function(*args, **kwargs)


def prepared(space, **given):
    run = make_run(LOSSES, space, Arguments(seeds=2, batch=4, **given))
    return run, start_progress(run, 1)


def never_waits(monkeypatch, space, **given):
    monkeypatch.setattr(settings, "find_device", lambda name: torch.device("meta"))
    _inputs, advance = make_step(*prepared(space, **given))
    advance(0.1)  # constants of the space are sent to the device once
    with NoWaiting() as watched, NoConstants():
        advance(0.2)
    assert watched.calls > 20


@pytest.mark.parametrize(
    "objective",
    [
        "tb",
        "vargrad",
        "db",
        "subtb(0.9)",
        "fm",
        "fl-db",
        "modified-subtb(0.9)",
        "tied-db",
        "mean-tied-db",
        "mean-exit-fm",
    ],
)
@pytest.mark.parametrize(
    ("policy", "evaluate"), [("tabular", "auto"), ("mlp", "all states"), ("mlp", "visited")]
)
def test_a_step_on_a_listed_graph(monkeypatch, objective, policy, evaluate):
    never_waits(monkeypatch, hypergrid(2, 3), objective=objective, policy=policy, evaluate=evaluate)


CLIPPED = (
    "Piecewise((-50*x - 1250, x < -50), (x**2/2, x < 50), (50*x - 1250, True))",
    "Piecewise((exp(x) - x - 1, x < 50), ((exp(50) - 1)*(x - 50) + exp(50) - 51, True))",
)


@pytest.mark.parametrize("objective", ["tb", "vargrad", "db", "subtb(0.9)", "fm"])
@pytest.mark.parametrize("evaluate", ["all states", "visited"])
@pytest.mark.parametrize("backward", ["uniform", "learned"])
@pytest.mark.parametrize("names", [PAPER_LOSSES, CLIPPED], ids=["the paper's", "clipped"])
def test_a_step_is_at_most_120_kernels(monkeypatch, objective, evaluate, backward, names):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "benchmarks"))
    import kernels_of_a_step

    losses = {name: to_torch(loss(name)) for name in names}
    chosen = {"objective": objective, "evaluate": evaluate, "backward": backward}
    found = kernels_of_a_step.counted(losses, hypergrid(4, 4), policy="mlp", **chosen)
    assert 50 < found.total() <= 120, found
    # a walk, and Adam's two, are kernels of our own
    assert found["our walk"] + found["our walk by table"] == 1 and found["our Adam"] == 2


@pytest.mark.parametrize(
    ("sampler", "backward"),
    [
        ("epsilon:0.1", "learned"),
        ("tempered:2", "maxent"),
        ("backward", "uniform"),
        ("mixture:0.5", "learned"),
        ("replay:0.5", "maxent"),
        ("mixture:0.3,replay:0.3", "learned"),
    ],
)
@pytest.mark.parametrize(("policy", "evaluate"), [("tabular", "auto"), ("mlp", "visited")])
def test_a_step_of_every_sampler(monkeypatch, sampler, backward, policy, evaluate):
    chosen = {"sampler": sampler, "backward": backward, "policy": policy, "evaluate": evaluate}
    # not all states of this graph are terminal, and log R of unfinished ones is a table of its own
    never_waits(monkeypatch, bits(4, 2), objective="fl-db", **chosen)


@pytest.mark.parametrize("objective", ["tb", "db", "fm", "subtb(0.9)", "vargrad", "modified-db"])
@pytest.mark.parametrize("policy", ["tabular", "mlp"])
def test_an_exact_step(monkeypatch, objective, policy):
    never_waits(monkeypatch, hypergrid(2, 3), objective=objective, policy=policy, exact=True)


@pytest.mark.parametrize(
    "text", ["generated:hypergrid:3x4", "generated:bits:6x2", "generated:sets:5x2"]
)
@pytest.mark.parametrize(
    ("objective", "backward"),
    [
        ("tb", "maxent"),
        ("db", "uniform"),
        ("subtb(0.9)", "learned"),
        ("fm", "uniform"),
        ("fl-db", "learned"),
    ],
)
def test_a_step_on_a_generated_space(monkeypatch, text, objective, backward):
    chosen = {"objective": objective, "backward": backward, "policy": "mlp"}
    never_waits(monkeypatch, space_from_text(text), sampler="replay:0.5", **chosen)


def test_losses_of_every_kind_step_without_waiting(monkeypatch):
    # kinks, pieces, series near 0 and special functions
    names = (
        "linex(1/2)",
        "shifted_cosh",
        "huber(1)",
        "log_cosh",
        "absolute",
        "jeffreys",
        "Piecewise((x**2, x < 1), (2*x - 1, True))",
    )
    losses = {name: to_torch(loss(name)) for name in names}
    losses["moving"] = anneal_linex(1.0, 0.0)
    monkeypatch.setitem(globals(), "LOSSES", losses)
    never_waits(monkeypatch, hypergrid(2, 3))


GPU_WAYS = [
    ("tb", {}),
    ("subtb(0.9)", {"sampler": "replay:0.5"}),
    ("fm", {"evaluate": "visited", "policy": "mlp"}),
    (
        "db",
        {
            "evaluate": "visited",
            "policy": "mlp",
            "backward": "learned",
            "sampler": "mixture:0.3,replay:0.3",
        },
    ),
    ("db", {"exact": True}),
    ("tb", {"exact": True, "policy": "mlp"}),
]


@pytest.mark.parametrize(("objective", "given"), GPU_WAYS)
def test_the_way_of_a_gpu_gives_the_numbers_of_the_cpu(monkeypatch, objective, given):
    given = {"steps": 12, "seeds": 2, "batch": 4, "evaluations": 3, "progress": False, **given}
    chosen = {
        "objective": objective,
        "dtype": torch.float64,
        "learning_rate": [0.01, 0.03],
        **given,
    }
    here = train(LOSSES, hypergrid(2, 3), **chosen, device="cpu")
    monkeypatch.setattr(devices, "may_look", lambda device: False)
    there = train(LOSSES, hypergrid(2, 3), **chosen, device="cpu")
    torch.testing.assert_close(
        torch.tensor(there.terminal), torch.tensor(here.terminal), rtol=0, atol=1e-10
    )
    for name in here.metrics:
        pair = (torch.tensor(found.metrics[name]) for found in (there, here))
        torch.testing.assert_close(*pair, rtol=1e-8, atol=1e-8)


class Replayed:
    """A recording in the place of a CUDA graph: the operations of one call, made again on the
    same tensors.
    """

    def __init__(self, call):
        self.graph = make_fx(lambda: call() or torch.zeros(()), tracing_mode="real")()

    def replay(self):
        with torch.no_grad():  # gradients are among the operations
            self.graph()


@pytest.mark.parametrize(("objective", "given"), GPU_WAYS)
def test_a_recorded_step_is_replayed_with_new_inputs(monkeypatch, objective, given):
    """Nothing that changes from step to step may be a number in the recording: rates, the step,
    the noise.
    """
    monkeypatch.setattr(devices, "may_look", lambda device: False)
    found = {}
    for way in ("plain", "recorded"):
        run, state = prepared(
            hypergrid(2, 3), device="cpu", dtype=torch.float64, objective=objective, **given
        )
        inputs, advance = make_step(run, state)
        generator = torch.Generator().manual_seed(0)
        for step in range(7):
            inputs.noise.uniform_(generator=generator)
            inputs.step.fill_(step)
            torch.mul(run.rates, 1 - step / 10, out=inputs.rates)
            if way == "recorded" and step == 3:
                saved = {name: tensor.clone() for name, tensor in tensors_of(state).items()}
                advance = Replayed(lambda: make_step(run, state)[1](0.0)).replay
                # unlike a GPU's, this recording made the step too
                for name, tensor in tensors_of(state).items():
                    tensor.copy_(saved[name])
                advance()
            elif way == "recorded" and step > 3:
                advance()
            else:
                advance(0.0)
        found[way] = {name: tensor.clone() for name, tensor in tensors_of(state).items()}
    for name in ("values", "mean", "count", "visited", "buffer"):
        torch.testing.assert_close(
            found["recorded"][name], found["plain"][name], rtol=0, atol=1e-12
        )


def test_a_step_is_recorded_after_a_few_and_then_replayed(monkeypatch):
    log = recording(monkeypatch)
    advance = devices.repeated(lambda: log.append("call"), torch.device("cuda"))
    for _ in range(devices.WARM + 3):
        advance()
    assert log == ["call"] * devices.WARM + ["record"] + ["replay"] * 3


def test_where_recording_fails_every_step_is_made_and_a_warning_says_why(monkeypatch):
    log = recording(monkeypatch, fails=True)
    advance = devices.repeated(lambda: log.append("call"), torch.device("cuda"))
    with pytest.warns(
        UserWarning, match="cannot be recorded as a CUDA graph.*operation not permitted"
    ) as caught:
        for _ in range(devices.WARM + 3):
            advance()
    assert log == ["call"] * devices.WARM + ["record"] + ["call"] * 3 and len(caught) == 1


class MadeUpCuda:
    """Streams by number, each of the device in use when it was made, and what is current; a
    recording begins on its stream, and ends on it, or fails and leaves it current.
    """

    def __init__(self, monkeypatch, fails=False):
        self.device, self.current, self.recorded, self.ended = 0, ("default", 0), [], []
        made = itertools.count()

        @contextlib.contextmanager
        def graph(cuda_graph, pool=None, stream=None):
            # as torch: one stream for all devices, made for the first recording
            self.own = getattr(self, "own", None) or ("own", self.device)
            before, self.current = self.current, stream or self.own
            yield
            if fails:
                raise RuntimeError("operation not permitted when stream is capturing")
            self.current = before

        for name, stands in (
            ("CUDAGraph", object),
            ("Stream", lambda: (next(made), self.device)),
            ("graph", graph),
            ("graph_pool_handle", lambda: (0, 7)),
            ("current_device", lambda: self.device),
            ("current_stream", lambda: self.current),
            ("set_stream", lambda stream: setattr(self, "current", stream)),
        ):
            monkeypatch.setattr(torch.cuda, name, stands)
        end = lambda *of: self.ended.append(of)  # noqa: E731
        monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", end)

    def launch(self):
        if self.current[1] == self.device and self.current[0] != "default":
            self.recorded.append(self.device)


def test_a_second_device_is_recorded_too(monkeypatch):
    made_up = MadeUpCuda(monkeypatch)
    devices.record(made_up.launch)
    made_up.device, made_up.current = 1, ("default", 1)
    devices.record(made_up.launch)
    assert made_up.recorded == [0, 1] and made_up.ended == []


def test_a_recording_that_fails_leaves_stream_and_memory_as_they_were(monkeypatch):
    made_up = MadeUpCuda(monkeypatch, fails=True)
    with pytest.raises(RuntimeError, match="not permitted"):
        devices.record(made_up.launch)
    assert made_up.current == ("default", 0) and made_up.ended == [(0, (0, 7))]


def test_nothing_is_recorded_on_a_cpu():
    def call():
        pass

    assert devices.repeated(call, torch.device("cpu")) is call


def recording(monkeypatch, fails=False):
    """A made-up torch.cuda that writes down what it is asked for."""
    log = []

    class Stream:
        def __init__(self, device=None):
            pass

        def wait_stream(self, other):
            pass

    class Graph:
        def replay(self):
            log.append("replay")

    def record(call):
        log.append("record")
        if fails:
            raise RuntimeError("operation not permitted when stream is capturing\nand more")
        return Graph()

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream())
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    monkeypatch.setattr(devices, "record", record)
    return log


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
