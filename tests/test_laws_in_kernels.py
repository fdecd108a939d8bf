"""A law's kernels give what torch gives, gradients too; in Triton's interpreter where there is no
GPU.
"""

import contextlib
import sys
import warnings
from types import SimpleNamespace

import pytest
import torch

import divergence_lab
from divergence_lab.gflownet import devices
from divergence_lab.gflownet.kernels import availability, laws
from divergence_lab.gflownet.listed import exact, visits
from divergence_lab.graphs.texts import graph_from_text
from tests.kernel_graphs import DEVICE, GRAPHS, needs_triton

pytestmark = needs_triton
CLOSE = {torch.float32: 1e-6, torch.float64: 1e-12}


def tables(graph, dtype, spread=2.0, n_members=2):
    """Logits and what comes from above, drawn on the CPU."""
    draw = torch.Generator().manual_seed(7)
    shape = (n_members, graph.n_actions, graph.n_states)
    logits, upstream = (torch.randn(shape, generator=draw, dtype=torch.float64) for _ in range(2))
    return (spread * logits).to(dtype), upstream.to(dtype)


@pytest.mark.parametrize("dtype", CLOSE, ids=str)
@pytest.mark.parametrize("name", GRAPHS)
def test_kernels_give_the_visits_and_the_gradients_of_torch(name, dtype):
    graph = GRAPHS[name]()
    logits, upstream = tables(graph, dtype)
    expected = visits._forward(graph, logits)
    gradient = visits._backward(graph, expected, upstream)
    found = laws.forward(graph, logits.to(DEVICE))
    slope = laws.backward(graph, found, upstream.to(DEVICE))
    assert found.dtype == slope.dtype == dtype
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=CLOSE[dtype])
    scale = max(1.0, float(gradient.abs().max()))
    torch.testing.assert_close(slope.cpu(), gradient, rtol=0, atol=CLOSE[dtype] * scale)
    # what is not allowed is exactly 0, forward and backward
    shut = torch.tensor(graph.child < 0)
    assert not found.cpu()[:, shut].any() and not slope.cpu()[:, shut].any()


def test_the_same_input_gives_the_same_bits():
    graph = GRAPHS["random 0"]()
    logits, upstream = (table.to(DEVICE) for table in tables(graph, torch.float32))
    first, second = (laws.forward(graph, logits) for _ in range(2))
    assert torch.equal(first, second)
    first, second = (laws.backward(graph, first, upstream) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("spread", [0.0, 60.0])
def test_far_logits_and_states_that_are_never_reached(spread):
    graph = GRAPHS["random 0"]()
    logits, upstream = tables(graph, torch.float32, spread, n_members=3)
    logits[1] = torch.log_softmax(logits[1], dim=0).nan_to_num(neginf=-torch.inf)
    logits[2, :, :] = logits[2].masked_fill(torch.tensor(graph.child < 0), -torch.inf)
    expected = visits._forward(graph, logits)
    gradient = visits._backward(graph, expected, upstream)
    found = laws.forward(graph, logits.to(DEVICE))
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=1e-6)
    slope = laws.backward(graph, found, upstream.to(DEVICE))
    torch.testing.assert_close(slope.cpu(), gradient, rtol=0, atol=2e-6)


def test_a_member_that_is_not_a_number_spoils_no_other():
    graph = graph_from_text("hypergrid:2x4")
    logits, _ = tables(graph, torch.float32)
    logits[0, 0, 3] = torch.nan
    found = laws.forward(graph, logits.to(DEVICE)).cpu()
    assert found[0].isnan().any()
    torch.testing.assert_close(found[1], visits._forward(graph, logits)[1], rtol=0, atol=1e-6)


def test_tables_that_lie_in_memory_otherwise():
    graph = graph_from_text("hypergrid:2x5")
    logits, upstream = (table.to(DEVICE) for table in tables(graph, torch.float64))
    turned = logits.mT.contiguous().mT
    torch.testing.assert_close(laws.forward(graph, turned), laws.forward(graph, logits))
    shared = upstream[:1, :, :1].expand_as(logits)
    torch.testing.assert_close(
        laws.backward(graph, turned, shared), laws.backward(graph, logits, shared.contiguous())
    )


def test_what_is_recorded_serves_other_tables_of_the_same_shape():
    """On a GPU the later passes are replayed; each reads and writes the tables of its own call."""
    graph = graph_from_text("hypergrid:1x3")
    for call in range(devices.WARM + 3):
        logits, upstream = tables(graph, torch.float64, spread=1.0 + call)
        expected = visits._forward(graph, logits)
        found = laws.forward(graph, logits.to(DEVICE))
        slope = laws.backward(graph, found, upstream.to(DEVICE))
        torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=1e-12)
        gradient = visits._backward(graph, expected, upstream)
        torch.testing.assert_close(slope.cpu(), gradient, rtol=0, atol=1e-12)


def test_a_wrong_table_of_edges_is_noticed(monkeypatch):
    """The negative control of the tests above."""
    graph = graph_from_text("hypergrid:2x4")
    logits, upstream = tables(graph, torch.float64)
    expected = visits._forward(graph, logits)
    right = laws._incoming(graph, torch.device(DEVICE))
    wrong = right.clone()
    wrong[1, graph.n_states - 1] = -1
    monkeypatch.setattr(laws, "_incoming", lambda *_: wrong)
    assert (laws.forward(graph, logits.to(DEVICE)).cpu() - expected).abs().max() > 1e-3
    child = laws._child(graph, torch.device(DEVICE)).clone()
    child[0, 0] = child[1, 0]
    monkeypatch.setattr(laws, "_child", lambda *_: child)
    slope = laws.backward(graph, expected.to(DEVICE), upstream.to(DEVICE)).cpu()
    assert (slope - visits._backward(graph, expected, upstream)).abs().max() > 1e-3


@pytest.fixture
def kernels(monkeypatch):
    """Kernels are used wherever they can be; gives the number of passes so far."""
    passes = []
    for direction in ("forward", "backward"):
        pass_through = getattr(laws, direction)

        def counted(*given, pass_through=pass_through, direction=direction):
            passes.append(direction)
            return pass_through(*given)

        monkeypatch.setattr(laws, direction, counted)
    monkeypatch.setattr(availability, "usable", lambda device: True)
    return passes


def test_laws_and_their_gradients_go_through_the_kernels(kernels, monkeypatch):
    graph = graph_from_text("hypergrid:2x4")
    logits = tables(graph, torch.float64)[0].to(DEVICE).requires_grad_()
    weight = torch.linspace(-1, 1, graph.n_states, dtype=torch.float64, device=DEVICE)

    def law_and_slope():
        law = exact.terminal_distribution(graph, logits)
        return law, torch.autograd.grad((law * weight).sum(), logits)[0]

    law, slope = law_and_slope()
    assert kernels == ["forward", "backward"]
    monkeypatch.setattr(availability, "usable", lambda device: False)
    expected, expected_slope = law_and_slope()
    assert len(kernels) == 2
    torch.testing.assert_close(law, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(slope, expected_slope, rtol=0, atol=1e-12)


def test_exact_training_and_its_evaluations_go_through_the_kernels(kernels, monkeypatch):
    graph = graph_from_text("hypergrid:2x3")
    losses = {"quadratic": divergence_lab.to_torch(divergence_lab.loss("quadratic"))}
    given = dict(seeds=2, steps=3, exact=True, objective="db", evaluations=2, progress=False)
    ours = divergence_lab.train(losses, graph, device=DEVICE, **given)
    assert kernels.count("backward") == 0 < kernels.count("forward")
    monkeypatch.setattr(availability, "usable", lambda device: False)
    theirs = divergence_lab.train(losses, graph, device=DEVICE, **given)
    assert abs(ours.terminal - theirs.terminal).max() < 1e-5


def test_what_fails_is_told_once_and_goes_on_in_torch(kernels, monkeypatch):
    graph = graph_from_text("hypergrid:2x3")
    logits = tables(graph, torch.float64)[0].to(DEVICE)

    def broken(*_):
        raise OSError("no C compiler\nand more of it")

    monkeypatch.setattr(laws, "forward", broken)
    with pytest.warns(UserWarning, match="kernel for laws fails here.*OSError: no C compiler$"):
        found = visits.visits(graph, logits)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = visits.visits(graph, logits)
    assert torch.equal(found, again)
    torch.testing.assert_close(found.cpu(), visits._forward(graph, logits.cpu()))


def test_what_does_not_agree_with_torch_at_its_first_use_is_not_used(kernels, monkeypatch):
    graph = graph_from_text("hypergrid:2x3")
    logits = tables(graph, torch.float64)[0].to(DEVICE)
    wrong = lambda graph, logits: visits._forward(graph, logits) * 1.001  # noqa: E731
    monkeypatch.setattr(laws, "forward", wrong)
    with pytest.warns(UserWarning, match="kernel for laws fails here.*does not agree with torch"):
        found = visits.visits(graph, logits)
    assert torch.equal(found, visits._forward(graph, logits))
    assert torch.equal(visits.visits(graph, logits), found)


def test_kernels_are_for_gpus_and_for_tables_that_fit_a_tile(monkeypatch):
    graph = graph_from_text("hypergrid:2x3")
    logits, _ = tables(graph, torch.float32)
    assert not laws.applies(graph, logits)
    monkeypatch.setattr(availability, "usable", lambda device: True)
    assert laws.applies(graph, logits) and not laws.applies(graph, logits.half())
    assert not laws.applies(graph_from_text("tree:1100x1"), logits)


class MadeUpTable:
    """Four members' table on a GPU that is not there."""

    def __init__(self, n_members=4, dtype=torch.float32, device="cuda:0"):
        self.n_members, self.dtype, self.device = n_members, dtype, torch.device(device)

    def __len__(self):
        return self.n_members


def test_where_triton_is_missing_nothing_goes_through_kernels(monkeypatch):
    graph, table = graph_from_text("hypergrid:2x3"), MadeUpTable()
    monkeypatch.setattr(availability, "_installed", availability._installed.__wrapped__)
    assert laws.applies(graph, table)
    monkeypatch.setitem(sys.modules, "triton", None)  # as if it were not installed
    assert not laws.applies(graph, table)


@pytest.fixture
def gpu(monkeypatch):
    """A made-up GPU: what is launched, recorded and replayed on it, its stream, whether it is
    recording a whole step.
    """
    made_up = SimpleNamespace(done=[], stream=0, recording=False, fails=False)

    def record(call):
        if made_up.fails:
            raise RuntimeError("operation not permitted")
        made_up.done.append("record")
        return SimpleNamespace(replay=lambda: made_up.done.append("replay"))

    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: made_up.recording)
    monkeypatch.setattr(
        torch.cuda, "current_stream", lambda device: SimpleNamespace(cuda_stream=made_up.stream)
    )
    monkeypatch.setattr(laws, "_addresses", lambda tensors: [])
    monkeypatch.setattr(laws, "_fill", lambda addresses, tensors: made_up.done.append("fill"))
    monkeypatch.setattr(devices, "record", record)

    def passed(graph, direction="forward", **given):
        made_up.done.clear()
        launch = lambda addresses: made_up.done.append("launch")  # noqa: E731
        laws._through(graph, direction, launch, (MadeUpTable(**given),))
        return made_up.done[:]

    made_up.passed = passed
    return made_up


def test_one_recording_for_each_graph_shape_and_device(gpu):
    graph = graph_from_text("hypergrid:2x3")
    others = (
        dict(direction="backward"),
        dict(n_members=5),
        dict(dtype=torch.float64),
        dict(device="cuda:1"),
    )
    for given in ({}, *others):  # each kind is warmed up, then recorded once, then replayed
        for _ in range(devices.WARM):
            assert gpu.passed(graph, **given) == ["fill", "launch"]
        assert gpu.passed(graph, **given) == ["fill", "record", "replay"]
    for given in ({}, *others):
        assert gpu.passed(graph, **given) == ["fill", "replay"]
    gpu.stream = 1  # the addresses of a call on one stream are not written amid that of another
    assert gpu.passed(graph) == ["fill", "launch"]
    gpu.stream = 0
    assert gpu.passed(graph_from_text("hypergrid:2x3:paper")) == ["fill", "launch"]
    gpu.recording = True  # the step that is being recorded takes the launches in
    assert gpu.passed(graph) == ["launch"]


def test_what_cannot_be_recorded_is_told_once_and_runs_level_by_level(gpu):
    graph, gpu.fails = graph_from_text("hypergrid:2x4"), True
    for _ in range(devices.WARM):
        gpu.passed(graph)
    with pytest.warns(UserWarning, match="cannot be recorded.*level by level"):
        assert gpu.passed(graph) == ["fill", "launch"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert gpu.passed(graph) == ["fill", "launch"]


def test_recordings_are_few_and_the_oldest_goes():
    kept = laws.OrderedDict()
    first = laws._passes(kept, 0)
    for key in range(1, laws.KEPT):
        laws._passes(kept, key)
    assert laws._passes(kept, 0) is first
    laws._passes(kept, "one more")
    assert len(kept) == laws.KEPT and 1 not in kept and 0 in kept
