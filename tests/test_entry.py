"""What a caller may hand over or have set in torch: it is right, or one line says what to do."""

import contextlib
import functools
import json
import warnings

import numpy as np
import pytest
import torch

import divergence_lab as dl
from divergence_lab.cli.main import main
from divergence_lab.graphs import ambient
from divergence_lab.inputs import InputError
from divergence_lab.results.result import NeverMoved
from divergence_lab.training import loop as training
from divergence_lab.training import schedule_texts, sizes
from divergence_lab.training.schedules import then

SMALL = {"seeds": 2, "steps": 10, "batch": 8, "evaluations": 1, "device": "cpu", "progress": False}


@contextlib.contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


AMBIENT = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "device": lambda: torch.device("meta"),
    "float64": lambda: default_dtype(torch.float64),
    "float16": lambda: default_dtype(torch.float16),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
}
WAYS = [
    {},
    {"exact": True},
    {"policy": "mlp", "evaluate": "visited", "objective": "fm"},
    {"sampler": "mixture:0.25,replay:0.25"},
]


def half_square(x):
    return x**2 / 2


@pytest.mark.parametrize("ambient", AMBIENT)
def test_what_the_caller_set_in_torch_plays_no_role(ambient):
    """The same laws to the bit; tables of a graph that were made there serve everybody
    afterwards.
    """
    for way in WAYS:
        plain = dl.train({"q": half_square}, dl.hypergrid(2, 3), **SMALL, **way)
        graph = dl.hypergrid(2, 3)
        with AMBIENT[ambient]():
            inside = dl.train({"q": half_square}, graph, **SMALL, **way)
            set_still = (
                torch.is_grad_enabled(),
                torch.is_inference_mode_enabled(),
                torch.get_default_dtype(),
            )
        after = dl.train({"q": half_square}, graph, **SMALL, **way)
        for one in (inside, after):
            np.testing.assert_array_equal(one.terminal, plain.terminal)
            np.testing.assert_array_equal(one.log_z, plain.log_z)
        with AMBIENT[ambient]():
            assert set_still == (
                torch.is_grad_enabled(),
                torch.is_inference_mode_enabled(),
                torch.get_default_dtype(),
            )


ROUGH = {
    "medium": lambda: torch.set_float32_matmul_precision("medium"),
    "allow_tf32": lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", True),
    "tf32": lambda: setattr(torch.backends.cuda.matmul, "fp32_precision", "tf32"),
}


@pytest.mark.parametrize("rough", ROUGH)
def test_products_are_not_cut_short_whatever_the_caller_has_set(rough):
    def said():
        kinds = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)
        with contextlib.suppress(RuntimeError):  # what the newer names set, this one cannot say
            return torch.get_float32_matmul_precision(), *(kind.fp32_precision for kind in kinds)
        return None, *(kind.fp32_precision for kind in kinds)

    try:
        ROUGH[rough]()
        before = said()
        with ambient.plain_torch():
            assert said() == ("highest", "ieee", "ieee")
        assert said() == before != ("highest", "ieee", "ieee")
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("ambient", ["inference_mode", "device"])
def test_verify_and_audit_take_no_notice_either(ambient):
    def asked():
        (row,) = dl.verify({"q": dl.loss("quadratic")}, "hypergrid:2x2")
        found = dl.audit(lambda x: x**2 / 2)
        return (
            row["holds"],
            row["max_gradient_error"] < 1e-9,
            row["controls_fail"],
            found.divergence,
            found.problems,
        )

    plain = asked()
    with AMBIENT[ambient]():
        assert asked() == plain == (True, True, True, "reverse KL", ())


def test_a_gpu_that_is_full_is_told_in_one_line(monkeypatch, capsys):
    def full(run):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nMore of it")

    monkeypatch.setattr(sizes, "refuse_what_does_not_fit", full)
    assert main(["train", "quadratic", "--env", "hypergrid:2x3", "--steps", "1"]) == 2
    printed = capsys.readouterr()
    assert printed.err == "divergence-lab train: there is not enough memory: ask for less at once\n"

    def otherwise(run):
        raise RuntimeError("our own mistake")

    monkeypatch.setattr(sizes, "refuse_what_does_not_fit", otherwise)
    with pytest.raises(RuntimeError, match="our own"):
        main(["train", "quadratic", "--env", "hypergrid:2x3", "--steps", "1"])


def test_target_states_made_in_inference_mode_can_be_drawn_from():
    space = dl.space_from_text("generated:hypergrid:2x4")
    with torch.inference_mode():
        states = torch.cartesian_prod(torch.arange(4), torch.arange(4))
        found = dl.train(
            {"q": half_square},
            space,
            policy="mlp",
            sampler="backward",
            target_states=states,
            **SMALL,
        )
    assert found.finite.all() and found.moved.all()


def in_inference_mode():
    with torch.inference_mode():
        return torch.tensor(2.0)


KEPT = in_inference_mode()
NO_GRADIENT = "has no gradient: it is constant, or computed where autograd does not look"
BAD = {
    "detached": (lambda x: (x**2).detach(), NO_GRADIENT),
    "by numpy": (lambda x: torch.from_numpy(x.detach().numpy() ** 2), NO_GRADIENT),
    "constant": (torch.ones_like, NO_GRADIENT),
    "of a parameter": (
        lambda x, scale=torch.nn.Parameter(torch.ones(1)): scale * torch.ones_like(x),
        NO_GRADIENT,
    ),
    "no_grad": (torch.no_grad()(lambda x: x**2), NO_GRADIENT),
    "an array": (lambda x: x.detach().numpy() ** 2, "returns a ndarray; return a tensor"),
    "a number": (lambda x: 3.0, "returns a float; return a tensor"),
    "nothing": (lambda x: None, "returns None; return a tensor"),
    "integers": (lambda x: (x**2).long(), "returns int64; give real floating-point numbers"),
    "booleans": (lambda x: x > 0, "returns bool; give real"),
    "complex": (lambda x: (x + 0j) ** 2, "returns complex64; give real"),
    "mean": (lambda x: (x**2).mean(), "must return one value per residual"),
    "turned": (lambda x: (x**2).T, "must return one value per residual"),
    "elsewhere": (lambda x: (x**2).to("meta"), "returns a tensor on meta for residuals on cpu"),
    "raises": (
        lambda x: x * (1 / 0),
        "raised ZeroDivisionError: division by zero; it is called as",
    ),
    "more arguments": (lambda x, delta: x * delta, "missing 1 required .* bind what else it needs"),
    "in place": (lambda x: x.mul_(2) ** 2, "let it begin with x = x.clone"),
    "in place, unseen": (
        lambda x: x.data.mul_(2) ** 2 + x**2,
        "changes its argument in place: let it begin with x = x.clone",
    ),
    "sparse": (lambda x: (x**2).to_sparse(), "returns a sparse tensor; give a dense one"),
    "inference": (lambda x: KEPT * x**2, "made under torch.inference_mode"),
    "breaks backward": (
        lambda x: Breaks.apply(x),
        "the gradient of loss 'breaks backward' raised ValueError: no way back",
    ),
    "misspelt": ("quadratik", "no loss is called 'quadratik'; did you mean 'quadratic'?"),
    "a list": ([half_square], "a loss is a text such as 'linex.1.' .* this is a list"),
    "later": (then(half_square, lambda x: x.detach()), NO_GRADIENT),
    "a\rname": (half_square, "is not printable text"),
}


class Breaks(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * x

    @staticmethod
    def backward(ctx, upstream):
        raise ValueError("no way back")


@pytest.mark.parametrize("name", BAD)
def test_a_loss_that_nothing_can_learn_from_is_refused_in_one_line(name):
    loss, message = BAD[name]
    with pytest.raises(InputError, match=message) as caught:
        dl.train({"good": half_square, name: loss}, dl.hypergrid(2, 3), **SMALL)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"losses": []}, "there is no loss: give at least one, such as 'quadratic'"),
        ({"losses": 3}, "a loss is a text such as .* this is an int"),
        ({"losses": ["quadratic", "Quadratic"]}, "two losses are called 'quadratic'"),
        (
            {"graph": 3},
            "the environment is an int; give a text such as 'hypergrid:2x8', or a graph",
        ),
        ({"dtype": torch.float16}, "dtype is torch.float16; use torch.float32 or torch.float64"),
        ({"seeds": True}, "seeds is True"),
        ({"seeds": "3"}, "seeds is '3'"),
        ({"seeds": [0.5]}, "seeds is .0.5."),
        ({"seeds": [0, 2**64]}, "different whole numbers from 0 to 2..64 - 1"),
        ({"steps": True}, "steps is True"),
    ],
)
def test_other_arguments_of_the_wrong_kind_are_named(given, message):
    with pytest.raises(InputError, match=message):
        dl.train(**{"losses": {"q": half_square}, "graph": dl.hypergrid(2, 3), **SMALL, **given})


def test_what_looks_odd_and_is_right_is_taken():
    """float64 for float32, a module, a partial, a gradient that dies far out: they train, and
    move.
    """
    losses = {
        "float64": lambda x: x.double() ** 2 / 2,
        "half": lambda x: x.half() ** 2 / 2,
        "module": torch.nn.HuberLoss(reduction="none"),
        "partial": functools.partial(
            torch.nn.functional.huber_loss, target=torch.zeros(()), reduction="none", delta=2.0
        ),
        "clamped": lambda x: x.clamp(-3, 3) ** 2,
    }
    losses["module"] = functools.partial(losses["module"], target=torch.zeros(()))
    with warnings.catch_warnings():
        warnings.simplefilter("error", NeverMoved)
        warnings.filterwarnings("ignore", "Using a target size")
        found = dl.train(losses, dl.hypergrid(2, 3), initial_log_z=2.0, **SMALL)
    assert found.finite.all() and found.moved.all()
    np.testing.assert_allclose(
        found.terminal[0],
        dl.train({"q": half_square}, dl.hypergrid(2, 3), initial_log_z=2.0, **SMALL).terminal[0],
        atol=1e-5,
    )


STILL = {"flat": lambda x: 0 * x, "dead": lambda x: torch.relu(x - 1e3) ** 2, "q": half_square}


@pytest.mark.parametrize("way", [*WAYS, {"policy": "mlp"}])
def test_a_member_that_never_moved_is_told(way, tmp_path):
    with pytest.warns(NeverMoved, match="the parameters of seeds 0, 1 never moved") as caught:
        found = dl.train(STILL, dl.hypergrid(2, 3), **SMALL, **way, out=tmp_path)
    assert [str(one.message).split(":")[0].split(", ")[1] for one in caught] == ["flat", "dead"]
    assert {one.filename for one in caught} == {__file__}
    assert found.moved.tolist() == found.finite.tolist() == [[False] * 2, [False] * 2, [True] * 2]
    assert np.array_equal(dl.load(tmp_path).moved, found.moved)


def test_one_that_stands_at_the_target_from_the_start_is_not():
    graph = dl.from_edges([("a", "b")], {"b": 0.5})
    with warnings.catch_warnings():
        warnings.simplefilter("error", NeverMoved)
        found = dl.train({"q": half_square}, graph, **SMALL)
    assert not found.moved.any() and found.finite.all()


def test_a_run_that_goes_on_says_it_of_the_whole(tmp_path):
    """What moved before the stop has moved, and what never did has not."""
    halves = {**SMALL, "steps": 4}
    whole = training.checkpoints.write
    stopped = []

    def stop_after_two(folder, config, losses, step, seconds, tensors):
        whole(folder, config, losses, step, seconds, tensors)
        stopped.append(step)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, "CHECKPOINT_SECONDS", -1.0)
        patch.setattr(training.checkpoints, "write", stop_after_two)
        dl.train(STILL, dl.hypergrid(2, 3), **halves, out=tmp_path)
    with pytest.warns(NeverMoved):
        found = dl.train(STILL, dl.hypergrid(2, 3), **halves, out=tmp_path, resume=True)
    assert stopped == [0] and found.moved.tolist() == [[False] * 2, [False] * 2, [True] * 2]


def test_the_command_says_who_never_moved(monkeypatch, capsys):
    command = [
        "train",
        "quadratic",
        "--env",
        "hypergrid:2x3",
        "--steps",
        "3",
        "--seeds",
        "2",
        "--device",
        "cpu",
    ]
    assert main([*command, "--json"]) == 0
    printed = capsys.readouterr()
    assert [run["moved"] for run in json.loads(printed.out)["runs"]] == [
        True,
        True,
    ] and printed.err == ""
    monkeypatch.setattr(schedule_texts, "read_schedules", lambda texts, read: STILL)
    assert main([*command, "--json"]) == 0
    printed = capsys.readouterr()
    runs = json.loads(printed.out)["runs"]
    assert [(run["moved"], run["finite"]) for run in runs] == [(False, False)] * 4 + [
        (True, True)
    ] * 2
    assert (
        printed.err.count("\n") == 2
        and "divergence-lab train: tb, flat: the parameters of seeds 0, 1 never moved"
        in printed.err
    )
    assert main(command) == 0
    assert capsys.readouterr().out.count("never moved") == 4
