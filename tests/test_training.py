"""Training: members that do not touch each other, exact resuming, and laws that are learned."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from divergence_lab.bridge import to_torch
from divergence_lab.gflownet import optimiser
from divergence_lab.gflownet.optimiser import adam_step, ensemble, unpack
from divergence_lab.graphs import hypergrid
from divergence_lab.inputs import InputError
from divergence_lab.results.result import METRICS
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.training import checkpoints
from divergence_lab.training import loop as training
from divergence_lab.training.arguments import Arguments
from divergence_lab.training.checkpoints import CheckpointError
from divergence_lab.training.loop import TrainingError, train
from divergence_lab.training.schedules import then
from divergence_lab.training.settings import make_run
from divergence_lab.training.stepping import make_step, start_progress
from tests.kernel_graphs import DEVICE, needs_triton
from tests.small_graphs import binary_tree, diamond, single_state, skips

LOSSES = {
    "quadratic": lambda x: x**2 / 2,
    "linex(1)": lambda x: torch.expm1(x) - x,
    "linex(1/2)": lambda x: 4 * torch.expm1(x / 2) - 2 * x,
    "shifted_cosh": lambda x: 2 * torch.cosh(x) - 2,
}
SMALL = {"seeds": 2, "steps": 40, "batch": 8, "evaluations": 5, "progress": False}


def assert_same(one, other, exactly=True, atol=1e-9):
    for name in METRICS:
        np.testing.assert_allclose(
            one.metrics[name], other.metrics[name], rtol=0, atol=0 if exactly else atol
        )
    np.testing.assert_allclose(one.terminal, other.terminal, rtol=0, atol=0 if exactly else atol)


@pytest.mark.parametrize("policy", ["tabular", "mlp"])
def test_a_member_is_the_single_run_with_its_seed(policy):
    settings = {**SMALL, "steps": 30, "dtype": torch.float64, "policy": policy}
    graph = hypergrid(2, 5)
    together = train(LOSSES, graph, **{**settings, "seeds": [4, 9, 2]})
    for row, name in enumerate(LOSSES):
        for column, seed in enumerate([4, 9, 2]):
            if policy == "mlp" and (row, column) not in [(0, 0), (1, 2), (3, 1)]:
                continue
            alone = train({name: LOSSES[name]}, graph, **{**settings, "seeds": [seed]})
            for metric in METRICS:
                np.testing.assert_allclose(
                    together.metrics[metric][row, column],
                    alone.metrics[metric][0, 0],
                    rtol=0,
                    atol=1e-9,
                )
            np.testing.assert_allclose(
                together.terminal[row, column], alone.terminal[0, 0], rtol=0, atol=1e-9
            )
    # control: members with different seeds, or losses, do differ
    assert np.abs(together.terminal[0, 0] - together.terminal[0, 1]).max() > 1e-6
    assert np.abs(together.terminal[0, 0] - together.terminal[1, 0]).max() > 1e-6


def test_the_same_seed_gives_the_same_run():
    assert_same(train(LOSSES, skips(), **SMALL), train(LOSSES, skips(), **SMALL))


@pytest.mark.parametrize(
    "graph", [single_state(), diamond(), binary_tree(3), skips()], ids=lambda g: g.name
)
def test_small_graphs_are_learned(graph):
    result = train(LOSSES, graph, seeds=2, steps=800, batch=32, learning_rate=0.1, progress=False)
    assert result.metrics["tv"][..., -1].max() < 0.01
    np.testing.assert_allclose(result.log_z, result.log_z_true, atol=0.02)
    assert result.finite.all() and (result.modes_found == graph.modes.size).all()


def test_the_report_grid_is_learned_by_every_loss():
    result = train(LOSSES, hypergrid(2, 8), steps=2000, progress=False)
    assert np.median(result.metrics["tv"][..., -1], axis=1).max() < 0.02
    np.testing.assert_allclose(result.log_z, result.log_z_true, atol=0.05)
    assert (result.modes_found == 4).all() and result.finite.all()
    np.testing.assert_allclose(result.terminal.sum(axis=-1), 1.0, atol=1e-12)
    assert (result.metrics["tv"][..., 0] > 0.5).all()


def test_the_mlp_learns():
    result = train(
        LOSSES, hypergrid(2, 4), seeds=2, steps=250, batch=32, policy="mlp", progress=False
    )
    assert result.metrics["tv"][..., -1].max() < 0.08
    assert (result.metrics["tv"][..., 0] > 0.3).all()


def test_a_member_that_is_not_finite_stops_alone():
    def breaks(x):
        return torch.where(x.detach().mean() > -100, x * torch.nan, x)

    alone = train({"quadratic": LOSSES["quadratic"]}, diamond(), **SMALL)
    beside = train({"quadratic": LOSSES["quadratic"], "breaks": breaks}, diamond(), **SMALL)
    np.testing.assert_array_equal(beside.terminal[0], alone.terminal[0])
    assert beside.finite.tolist() == [[True, True], [False, False]]
    # its updates were skipped: it is where it started, not lost
    np.testing.assert_array_equal(
        beside.metrics["log_z"][1, :, -1], beside.metrics["log_z"][1, :, 0]
    )
    assert np.isfinite(beside.terminal).all()


def test_gradients_at_the_edge_of_float32_do_not_break_a_run():
    def steep(x):
        return 1e30 * torch.expm1(x.clamp(max=10))

    result = train({"steep": steep}, hypergrid(2, 4), **SMALL, initial_log_z=0.0)
    assert result.finite.all() and np.isfinite(result.metrics["log_z"]).all()


def members_at(values):
    return ensemble({"a": values[:, :3].clone(), "b": values[:, 3].clone()})


def in_parts(gradient):
    return [gradient[:, :3].clone(), gradient[:, 3].clone()]


def as_on_a_gpu(members, gradient, rates, max_norm):
    with torch.no_grad():
        optimiser._all_at_once(members, optimiser._side_by_side(gradient), rates, max_norm)


def in_kernels(members, gradient, rates, max_norm):
    together = optimiser._side_by_side(gradient).to(DEVICE)
    there = dataclasses.replace(
        members, **{name: tensor.to(DEVICE) for name, tensor in members.state().items()}
    )
    with torch.no_grad():
        optimiser._in_kernels(there, together, rates.to(DEVICE), max_norm)
    for name, tensor in there.state().items():
        getattr(members, name).copy_(tensor)


STEPS = [
    pytest.param(adam_step, id="cpu"),
    pytest.param(as_on_a_gpu, id="elsewhere"),
    pytest.param(in_kernels, id="in kernels", marks=needs_triton),
]


@pytest.mark.parametrize("step_of", STEPS)
def test_adam_is_that_of_torch(step_of):
    start = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ours, theirs = members_at(start), [row.clone().requires_grad_() for row in start]
    # members with rates of their own, two of them alike, and log Z at its own
    rates = torch.tensor([[0.1, 0.3], [0.02, 0.3], [0.1, 0.7]], dtype=torch.float64)
    # one optimiser per member, with clipping by torch's own function: nothing is shared
    optimisers = [torch.optim.Adam([row], lr=1.0, foreach=False, fused=False) for row in theirs]
    generator = torch.Generator().manual_seed(1)
    previous = [row.detach().clone() for row in theirs]
    for step in range(20):
        gradient = torch.randn(3, 4, dtype=torch.float64, generator=generator) * 10 ** (step % 3)
        step_of(ours, in_parts(gradient), rates, 5.0)
        for row, optimiser_, part, before, rate in zip(
            theirs, optimisers, gradient, previous, rates, strict=True
        ):
            row.grad = part.clone()
            torch.nn.utils.clip_grad_norm_([row], 5.0)
            optimiser_.step()
            with torch.no_grad():
                row.copy_(before + rate[[0, 0, 0, 1]] * (row - before))
                before.copy_(row)
    learned = torch.stack([row.detach() for row in theirs])
    torch.testing.assert_close(ours.values, learned, atol=1e-6, rtol=0)
    assert (learned - start).abs().min() > 1e-3
    # what gradients are taken of is what moved
    torch.testing.assert_close(ours.parameters["a"].detach(), ours.values[:, :3], atol=0, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("elsewhere", STEPS[1:])
def test_all_ways_of_adam_agree_and_a_bad_gradient_touches_one_member_alone(elsewhere, dtype):
    start = torch.randn(5, 4, dtype=dtype, generator=torch.Generator().manual_seed(2))
    found = []
    for step_of in (adam_step, elsewhere):
        members = members_at(start)
        found.append(members)
        generator = torch.Generator().manual_seed(3)
        rates = torch.tensor(
            [[0.1, 0.2], [0.1, 0.2], [0.3, 0.2], [0.3, 0.4], [0.1, 0.4]], dtype=dtype
        )
        for step in range(12):
            gradient = 3 * torch.randn(5, 4, dtype=dtype, generator=generator)
            if step == 4:
                gradient[1, 2] = math.nan
            if step in (5, 6):
                gradient[3, 3] = math.inf
            if step == 8:
                gradient[0] *= 1e33  # squares that overflow float32; finite all the same
            step_of(members, in_parts(gradient), (1 - step / 20) * rates, 2.0)
    one, other = found
    for key in ("values", "mean", "square"):
        torch.testing.assert_close(
            getattr(one, key),
            getattr(other, key),
            rtol=2e-5 if dtype == torch.float32 else 1e-12,
            atol=1e-7,
        )
    for members in found:
        assert members.finite.flatten().tolist() == [True, False, True, False, True]
        assert members.count.flatten().tolist() == [12, 11, 12, 10, 12]


@pytest.mark.parametrize("step_of", STEPS)
def test_clipping_survives_overflow_and_skips_what_is_not_finite(step_of):
    members = members_at(torch.zeros(5, 4))
    gradient = torch.tensor(
        [
            [1e35, -1e35, 0, 0],
            [0.0, 0, 0, 0],
            [math.nan, 1, 1, 1],
            [1, math.inf, 0, 0],
            [3e38, 3e38, -3e38, 3e38],
        ]
    )
    step_of(members, in_parts(gradient), torch.full((5, 2), 0.1), 2.0)
    values = unpack(members.shapes, members.values)
    np.testing.assert_allclose(values["a"][0], [-0.1, 0.1, 0], rtol=1e-5)
    np.testing.assert_allclose(members.mean[0], [0.1 * 2**0.5, -0.1 * 2**0.5, 0, 0], rtol=1e-5)
    np.testing.assert_allclose(members.mean[4], [0.1, 0.1, -0.1, 0.1], rtol=1e-5)
    assert (members.values[1:4] == 0).all() and (members.mean[2:4] == 0).all()
    assert members.finite.flatten().tolist() == [True, True, False, False, True]
    assert members.count.flatten().tolist() == [1, 1, 0, 0, 1]


@needs_triton
def test_a_long_member_and_weight_decay_in_kernels():
    """Several blocks a member, the last one not full; log Z, the last number, does not decay."""
    start = torch.randn(3, 5001, generator=torch.Generator().manual_seed(4))
    found = []
    for way in (optimiser._all_at_once, optimiser._in_kernels):
        members = ensemble({"a": start[:, :-1].to(DEVICE), "log_z": start[:, -1].to(DEVICE)})
        slopes = torch.Generator().manual_seed(5)
        for _ in range(3):
            slope = torch.randn(3, 5001, generator=slopes).to(DEVICE)
            with torch.no_grad():
                way(members, slope, torch.full((3, 2), 0.1, device=DEVICE), math.inf, 0.05)
        found.append(members.values.cpu())
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-6)
    assert optimiser._kernels_agree(torch.device(DEVICE))


@needs_triton
def test_kernels_that_do_not_agree_with_torch_are_told_and_left(monkeypatch):
    monkeypatch.setattr(optimiser.adam, "step", lambda *given: torch.ones_like(given[2]))
    with pytest.warns(UserWarning, match="do not agree with torch"):
        assert not optimiser._kernels_agree.__wrapped__(torch.device(DEVICE))


class Recorded(TorchDispatchMode):
    """Every operation that reaches a device."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(str(function))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("policy", ["tabular", "mlp"])
def test_a_step_has_no_loop_over_members(policy):
    counts = []
    for seeds in (1, 6):
        run = prepared(hypergrid(2, 4), seeds=seeds, policy=policy)
        inputs, advance = make_step(run, start_progress(run, 1))
        inputs.noise.uniform_(generator=torch.Generator().manual_seed(0))
        advance(0.0)
        with Recorded() as recorded:
            advance(0.0)
        counts.append(len(recorded.names))
    assert counts[0] == counts[1] > 20


def prepared(graph, **given):
    return make_run(LOSSES, graph, Arguments(device="cpu", batch=4, **given))


class StopHere(Exception):
    pass


def stop_at(step):
    def progress(now, steps):
        if now >= step:
            raise StopHere

    return progress


@pytest.mark.parametrize("policy", ["tabular", "mlp"])
def test_an_interrupted_run_ends_with_the_same_numbers(tmp_path, monkeypatch, policy):
    # chunks of 3 steps, so that the interruption falls inside one
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(training.randomness, "chunk_length", lambda *_: 3)
    settings = {**SMALL, "policy": policy, "seeds": [3, 5]}
    whole = train(LOSSES, hypergrid(2, 4), **settings)
    with pytest.raises(StopHere):
        train(LOSSES, hypergrid(2, 4), **{**settings, "progress": stop_at(14)}, out=tmp_path)
    saved, _ = checkpoints.read_file(tmp_path / "checkpoint.pt")
    assert 0 < saved["step"] < 40
    seen = []
    resumed = train(
        LOSSES,
        hypergrid(2, 4),
        **{**settings, "progress": lambda step, _: seen.append(step)},
        out=tmp_path,
        resume=True,
    )
    assert seen and min(seen) > saved["step"]
    assert_same(whole, resumed)
    # once more: nothing is left to do, and the numbers stay
    assert_same(whole, train(LOSSES, hypergrid(2, 4), **settings, out=tmp_path, resume=True))
    assert not list(tmp_path.glob("*.part"))


def test_resuming_without_a_checkpoint_starts_afresh(tmp_path):
    assert_same(
        train(LOSSES, diamond(), **SMALL),
        train(LOSSES, diamond(), **SMALL, out=tmp_path, resume=True),
    )


def test_another_run_cannot_continue(tmp_path):
    train(LOSSES, diamond(), **SMALL, out=tmp_path)
    with pytest.raises(CheckpointError, match="batch is 8 there and 16 here"):
        train(LOSSES, diamond(), **{**SMALL, "batch": 16}, out=tmp_path, resume=True)
    with pytest.raises(CheckpointError, match="env is 'diamond' there and 'skips' here"):
        train(LOSSES, skips(), **SMALL, out=tmp_path, resume=True)
    with pytest.raises(CheckpointError, match="losses"):
        train({"quadratic": LOSSES["quadratic"]}, diamond(), **SMALL, out=tmp_path, resume=True)
    # names alone do not tell losses apart, nor schedules their moments
    with pytest.raises(CheckpointError, match="the loss 'quadratic' has other values there"):
        train(
            {**LOSSES, "quadratic": lambda x: x**4}, diamond(), **SMALL, out=tmp_path, resume=True
        )
    clipped = {
        end: {"a": lambda x, end=end: torch.nn.functional.huber_loss(x, 0 * x, "none", delta=end)}
        for end in (9.0, 20.0)  # alike as far as 9
    }
    train(clipped[9.0], diamond(), **SMALL, out=tmp_path / "clip")
    with pytest.raises(CheckpointError, match="the loss 'a' has other values there"):
        train(clipped[20.0], diamond(), **SMALL, out=tmp_path / "clip", resume=True)
    assert_same(
        train(LOSSES, diamond(), **SMALL),
        train(dict(LOSSES), diamond(), **SMALL, out=tmp_path, resume=True),
    )
    one, other = ({"a": then(*list(LOSSES.values())[:2], at)} for at in (0.33, 0.34))
    train(one, diamond(), **SMALL, out=tmp_path / "then")
    with pytest.raises(CheckpointError, match="the loss 'a'"):
        train(other, diamond(), **SMALL, out=tmp_path / "then", resume=True)
    header, tensors = checkpoints.read_file(tmp_path / "checkpoint.pt")
    del tensors["window"]
    kept = {name: tensors.pop(name) for name in [*tensors] if name.startswith("loss ")}
    losses = {name.removeprefix("loss "): values for name, values in kept.items()}
    checkpoints.write(tmp_path, header["config"], losses, 40, 1.0, tensors)
    with pytest.raises(
        CheckpointError, match="written by another version of this package .'window'"
    ):
        train(LOSSES, diamond(), **SMALL, out=tmp_path, resume=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"objective": "sac"}, "objective 'sac' is not known; use one of tb"),
        ({"policy": "recurrent"}, "policy 'recurrent' is not available; use one of tabular, mlp"),
        ({"device": "abacus"}, "device 'abacus' is not known"),
        ({"losses": {}}, "there is no loss"),
        (
            {"losses": {"mean": lambda x: (x**2).mean()}},
            "loss 'mean' must return one value per residual",
        ),
        ({"seeds": 0}, "seeds is 0"),
        ({"seeds": [1, 1]}, r"seeds is \[1, 1\]"),
        ({"seeds": [-1]}, r"seeds is \[-1\]"),
        ({"steps": 0}, "steps is 0"),
        ({"batch": 2.5}, "batch is 2.5"),
        ({"learning_rate": -1.0}, "learning_rate is -1.0"),
        ({"max_grad_norm": math.nan}, "max_grad_norm is nan"),
        ({"decay": -1.0}, "decay is -1.0"),
        ({"resume": True}, "give out=DIR"),
        ({"out": __file__}, "test_training.py' cannot be written .*; choose another"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        train(**{"losses": LOSSES, "graph": diamond(), **SMALL, **arguments})
    assert "\n" not in str(caught.value)


def test_missing_cuda_is_said():
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(TrainingError, match="'cuda' is not available here"):
        train(LOSSES, diamond(), **SMALL, device="cuda")


def test_threads_are_given_back():
    before = torch.get_num_threads()
    train(LOSSES, diamond(), **SMALL)
    assert torch.get_num_threads() == before


def test_progress_reaches_standard_error_only_when_asked(capsys):
    train(LOSSES, diamond(), **{**SMALL, "progress": True})
    captured = capsys.readouterr()
    assert "40/40" in captured.err and captured.out == ""
    train(LOSSES, diamond(), **{**SMALL, "progress": None})
    assert capsys.readouterr() == ("", "")


def test_defaults_start_residuals_below_zero_and_walks_long():
    graph = hypergrid(2, 8)
    result = train(LOSSES, graph, **{**SMALL, "steps": 1, "evaluations": 1})
    start = result.metrics["log_z"][..., 0]
    np.testing.assert_allclose(start, math.log(64 * 2.501), rtol=1e-6)
    assert (start > result.log_z_true).all()
    assert result.config["stop_logit"] == pytest.approx(math.log(2 / 14))
    assert result.config["learning_rates"] == [0.03] * 4


@pytest.mark.parametrize("step_of", STEPS)
@pytest.mark.parametrize("bad", [(0, 1, 2), (0, 2), (1,)])
def test_bad_gradients_of_all_members_of_a_rate_stop_nobody_else(step_of, bad):
    """Members 0 and 2 share a rate; where none of them can move, or nobody can, the step is made
    all the same.
    """
    members = members_at(torch.ones(3, 4, dtype=torch.float64))
    slope = torch.ones(3, 4, dtype=torch.float64)
    slope[list(bad), 1] = torch.nan
    parts = [part.clone() for part in unpack(members.shapes, slope).values()]
    step_of(
        members,
        parts,
        torch.tensor([[0.1, 0.1], [0.2, 0.2], [0.1, 0.1]], dtype=torch.float64),
        10.0,
    )
    for member in range(3):
        stayed = member in bad
        assert bool((members.values[member] == 1).all()) is stayed
        assert bool(members.finite[member]) is not stayed and members.count[member] == (
            0 if stayed else 1
        )


def test_a_loss_that_says_its_gradient_trains_as_it_does_without():
    """Asked for g' alone, or differentiated: the same steps.

    Control: with the gradient turned round, others.
    """

    class Turned:
        gives_gradient = True

        def __call__(self, residual):
            return asked(residual)

        def gradient(self, residual):
            return -asked.gradient(residual)

    asked = to_torch(loss("shifted_cosh"))
    given = {
        "objective": "db",
        "seeds": 2,
        "steps": 30,
        "batch": 8,
        "progress": False,
        "device": "cpu",
    }
    laws = [
        train({"mine": one}, hypergrid(2, 4), **given).terminal
        for one in (asked, lambda residual: asked(residual), Turned())
    ]
    np.testing.assert_allclose(laws[0], laws[1], rtol=1e-6)
    assert np.abs(laws[0] - laws[2]).max() > 1e-3
