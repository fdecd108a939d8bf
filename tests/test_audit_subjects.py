"""Callables as people ship them: where they lie, what they are fed, what they return and keep."""

import functools
import itertools
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from divergence_lab.audit import AuditError, audit
from divergence_lab.audit.looking import subject
from divergence_lab.audit.observing import gauge_of
from divergence_lab.audit.probing import slopes
from divergence_lab.audit.problems import besides_the_residual
from divergence_lab.audit.subjects import as_callable, load
from divergence_lab.audit.subjects.loading import read_bound

X = np.array([-3.0, -0.4, 0.2, 1.5])


def slope_of(call, residual="target/model", **options):
    """g' at X of what the callable is found to be."""
    return slopes(subject(call, "it", residual, **options), X, torch.float64)


def square(x):
    return x**2 / 2


def in_place(x):
    x *= 0.5
    return 2 * x**2


def clamped_in_place(x):
    x.clamp_(-5, 5)
    return x**2 / 2


def by_name_only(*, log_pf, log_pb):
    return (log_pf - log_pb) ** 2 / 2


def of_four(log_z, log_pf, log_reward, log_pb):
    return (log_z + log_pf - log_reward - log_pb) ** 2 / 2


def with_a_mask(log_pf, log_pb, response_mask):
    terms = (log_pf - log_pb) ** 2 / 2 * response_mask
    return (terms.sum(dim=1) / response_mask.sum(dim=1)).mean()


def with_a_boolean_mask(x, mask):
    return x[mask].square().mean() / 2


def with_a_number_mask(x, mask):
    return (x**2 / 2 * (1 - (1 - mask))).sum(-1).mean()


def of_a_sequence(log_pf, log_pb):
    return (log_pf.sum(1) - log_pb.sum(1)) ** 2 / 2


def steps_of_a_row(x):
    batch, _ = x.shape
    return (x**2 / 2).sum() / batch


def one_at_a_time(x):
    if x > 0:
        return x**2 / 2
    return (-x) ** 2 / 2


def variance(x):
    return x.var() / 2


def log_variance(x):
    return (x - x.mean()).pow(2).mean() / 2


def held_mean(x):
    return (x - x.detach().mean()) ** 2 / 2


def leave_one_out(x):
    count = len(x)
    others = (x.detach().sum() - x.detach()) / max(count - 1, 1)
    return (x - others) ** 2 / 2


def pair(x):
    loss = (x**2).mean() / 2
    return loss, {"loss": loss.item()}


RIGHT = [
    in_place,
    clamped_in_place,
    by_name_only,
    with_a_boolean_mask,
    with_a_number_mask,
    steps_of_a_row,
    one_at_a_time,
    variance,
    log_variance,
    held_mean,
    leave_one_out,
    pair,
    lambda x: {"all": (x**2).sum() / 2},
    torch.compile(square, backend="aot_eager"),
    functools.partial(lambda x, k: k * x**2, k=0.5),
]


@pytest.mark.parametrize("call", RIGHT, ids=lambda call: getattr(call, "__name__", "other"))
def test_a_quadratic_is_one_however_it_is_written(call):
    assert slope_of(as_callable(call, "it")) == pytest.approx(X, rel=1e-9)


@pytest.mark.parametrize("call", [of_four, with_a_mask, of_a_sequence, by_name_only])
def test_arguments_are_found_by_their_names(call):
    assert slope_of(call, "model/target") == pytest.approx(X, rel=1e-9)


@pytest.mark.parametrize(
    "call, feed, message",
    [
        (lambda x: torch.softmax(x, -1) * x, None, "not elementwise"),
        (lambda x: x - x.mean(1, keepdim=True), None, "mixes the steps"),
        (lambda x: (x - x.detach().mean()) ** 4, None, "not elementwise"),
        (lambda x: x / x.detach().std() * x, None, "not elementwise"),
        (lambda x: [v**2 for v in x], None, "--item"),
        (lambda x: (x**2).mean().item(), None, "not a torch tensor"),
        (lambda x: (x**2, -(x**2)), None, "--item"),
        (square, ("x=7?",), "log_z=0"),
        (of_four, ("log_pf", "log_pb"), "--feed"),
    ],
)
def test_what_is_refused(call, feed, message):
    with pytest.raises(AuditError, match=message) as raised:
        subject(call, "it", "target/model", feed)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("residual", ["model/target", "target/model"])
def test_one_name_of_ours_tells_the_other(residual):
    """log_pb first, and something else: it is log_pb, whatever the order of --residual."""
    k3 = lambda log_pb, other: (log_pb - other).exp() - (log_pb - other)  # noqa: E731
    assert slope_of(k3, residual) == pytest.approx(np.expm1(X))
    of_masses = lambda pf, pb: (pf - pb).abs() / 2  # noqa: E731
    found = subject(of_masses, "it", residual, summed=True)
    assert found.feed == ("pf", "pb")


# --- what else decides the gradient


def told_besides(call, **options):
    found = subject(call, "it", "model/target", **options)
    return [(p.kind, p.detail) for p in besides_the_residual(found, np.linspace(-50, 50, 100))]


def test_numbers_inside_logarithms_and_clamps_of_log_p_are_told():
    """Fed log p_F = 0 they are squared errors; those of long trajectories die."""

    def with_a_small_number(log_pf, log_pb):
        return ((log_pf.exp() + 1e-12).log() - (log_pb.exp() + 1e-12).log()) ** 2 / 2

    def clamped(log_pf, log_pb):
        return (log_pf.clamp(min=-25) - log_pb.clamp(min=-25)) ** 2 / 2

    ((kind, detail),) = told_besides(with_a_small_number)
    assert kind == "class_changed" and "below log p_F = -2" in detail
    ((kind, detail),) = told_besides(clamped)
    assert kind == "dead_gradient" and "below log p_F = -2" in detail
    assert told_besides(lambda log_pf, log_pb: (log_pf - log_pb) ** 2) == []
    with pytest.raises(AuditError, match="no function of"):
        told_besides(lambda log_pf, log_pb: (log_pf - log_pb) ** 2 + 0.01 * log_pf**2)


def test_a_small_number_in_a_logarithm_does_not_hide_the_loss():
    found = audit(
        lambda log_pf, log_pb: ((log_pf.exp() + 1e-8).log() - (log_pb.exp() + 1e-8).log()) ** 2,
        "model/target",
        range=(-15, 15),
    )
    assert (found.divergence, found.factor) == ("reverse KL", "2")
    assert found.holds_on[0] > -12 and any("log p_F" in p.detail for p in found.problems)


class Bent(torch.autograd.Function):
    """Squared error whose backward does something to the gradient that is passed to it."""

    @staticmethod
    def forward(ctx, x, bend):
        ctx.save_for_backward(x)
        ctx.bend = bend
        return x**2 / 2

    @staticmethod
    def backward(ctx, out):
        (x,) = ctx.saved_tensors
        return ctx.bend(out, x), None


@pytest.mark.parametrize(
    "bend",
    [lambda out, x: x, lambda out, x: (out * x).clamp(-20, 20), lambda out, x: out.sign() * x],
)
def test_a_backward_that_bends_what_is_passed_is_told(bend):
    ((kind, detail),) = told_besides(lambda x: Bent.apply(x, bend))
    assert kind == "class_changed" and "not proportional" in detail
    assert told_besides(lambda x: Bent.apply(x, lambda out, x: 3 * out * x)) == []


def test_where_the_straight_part_is_at_a_kink():
    def gauge(call):
        return gauge_of(subject(call, "it", "target/model"), torch.float64)

    assert gauge(lambda x: x.abs() + 2 * x) == 2  # total variation on the model's own draws
    assert gauge(lambda x: torch.sqrt(x * x) + 2 * x) == pytest.approx(2)  # nan at 0 itself
    assert gauge(lambda x: F.relu(x) + x) == 1
    assert gauge(lambda x: torch.maximum(0.9 * x, -0.1 * x)) == 0  # a kink that is a loss as it is
    assert gauge(torch.abs) == 0
    assert gauge(lambda x: 2 * x - x.abs()) == 0  # it falls: no straight part makes it a loss


def test_a_clip_of_a_centred_residual_is_no_quadratic():
    with pytest.raises(AuditError, match="not elementwise"):
        subject(lambda x: F.huber_loss(x, x.mean().expand_as(x), delta=8.0), "it", "target/model")


def test_arguments_are_fed_as_told():
    told = ("log_z=0", "log_pf", "log_reward=0", "log_pb")
    found = subject(of_four, "of_four", "model/target", told)
    assert found.feed == told
    assert slopes(found, X, torch.float64) == pytest.approx(X)
    by_name = ("ref=log_pb", "policy=log_pf")
    assert slope_of(
        lambda policy, ref: (ref - policy).exp() - (ref - policy), feed=by_name
    ) == pytest.approx(np.expm1(X))


def test_a_part_of_what_is_returned_is_chosen():
    many = lambda x: {"kl": x.exp() - x, "all": (x**2 / 2, [x**4])}  # noqa: E731
    assert slope_of(many, item="kl") == pytest.approx(np.expm1(X))
    assert slope_of(many, item="all.0") == pytest.approx(X)
    assert slope_of(many, item="all.1.-1") == pytest.approx(4 * X**3)
    with pytest.raises(AuditError, match=r"no such part; it has kl, all"):
        subject(many, "it", "target/model", item="loss")


# --- options that are fixed, and files


def with_option(x, delta, weight=1.0):
    return weight * F.huber_loss(x, torch.zeros_like(x), reduction="none", delta=delta)


def test_options_are_bound():
    assert read_bound(["delta=2.0", "reduction=none", "flag=True"]) == {
        "delta": 2.0,
        "reduction": "none",
        "flag": True,
    }
    bound = as_callable(with_option, "it", None, {"delta": 1.0, "weight": 2.0})
    assert slope_of(bound) == pytest.approx(2 * X.clip(-1, 1))
    huber = load("torch.nn.functional:huber_loss(delta=1.0)")
    assert slope_of(huber, "model/target") == pytest.approx(X.clip(-1, 1))
    made = load("torch.nn:HuberLoss", {"delta": 0.5, "reduction": "sum"})
    assert slope_of(made) == pytest.approx(X.clip(-0.5, 0.5))
    for wrong in ({"deltta": 1.0}, {"x y": 1}):
        with pytest.raises(AuditError, match="--bind"):
            as_callable(with_option, "it", None, wrong)
    with pytest.raises(AuditError, match="--bind"):
        read_bound(["delta"])
    with pytest.raises(AuditError, match="by name"):
        load("torch.nn.functional:huber_loss(2.0)")


def test_files_are_named_by_their_path(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "json.py").write_text(
        "from beside_it import half\ndef f(x):\n    return half * x**2\n"
    )
    (tmp_path / "beside_it.py").write_text("half = 0.5\n")
    inner = tmp_path / "some_package" / "losses"
    inner.mkdir(parents=True)
    for folder in (inner, inner.parent):
        (folder / "__init__.py").write_text("")
    (inner / "one.py").write_text("from ..base import f\n")
    (inner.parent / "base.py").write_text("def f(x):\n    return x**2 / 2\n")
    for file in (tmp_path / "json.py", inner / "one.py"):
        assert slope_of(load(f"{file}:f")) == pytest.approx(X)
    with pytest.raises(AuditError, match="no_such.py' is not a file"):
        load("no_such.py:f")
    with pytest.raises(AuditError, match="did you mean f"):
        load(f"{inner / 'one.py'}:ff")


# --- what is kept between calls


class Counting(nn.Module):
    """Warm-up: another loss after some calls."""

    def __init__(self, until):
        super().__init__()
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))
        self.until = until

    def forward(self, x):
        self.calls += 1
        return x**2 / 2 if self.calls <= self.until else x.exp() - x


def counting_outside():
    calls = 0

    def f(x):
        nonlocal calls
        calls += 1
        return x**2 / 2 if calls < 50_000 else x.abs()

    return f


class Recording:
    """Counts and records, and that is all."""

    def __init__(self):
        self.calls, self.last = 0, 0.0

    def __call__(self, x):
        self.calls += 1
        loss = x**2 / 2
        self.last = float(loss.detach().mean()) + self.calls
        return loss


class Scheduled:
    """Its schedule counts, two objects away."""

    def __init__(self):
        self.schedule = Recording()

    def __call__(self, x):
        self.schedule(x)
        return x**2 / 2 if self.schedule.calls < 5000 else x**4


class CountingInTheClass:
    """The count is kept in the class, not in the instance."""

    calls = 0

    def __call__(self, x):
        type(self).calls += 1
        return x**2 / 2 if self.calls < 50_000 else x.abs()


class CountingInASlot:
    """A number of NumPy in a slot."""

    __slots__ = ("calls",)

    def __init__(self):
        self.calls = np.zeros((), dtype=np.int64)

    def __call__(self, x):
        self.calls = np.int64(self.calls + 1)
        return x**2 / 2 if self.calls < 50_000 else x.abs()


def counting_by_name(x, *, kept={"calls": 0}):  # noqa: B006
    kept["calls"] += 1
    return x**2 / 2 if kept["calls"] < 50_000 else x.abs()


@pytest.mark.parametrize(
    "call",
    [
        Counting(1000),
        counting_outside(),
        Scheduled(),
        CountingInTheClass(),
        CountingInASlot(),
        counting_by_name,
    ],
)
def test_state_that_counts_calls_is_refused(call):
    with pytest.raises(AuditError, match="calls changes with every call"):
        subject(call, "it", "target/model")


def test_a_turn_during_the_audit_is_seen_wherever_the_count_is_kept():
    calls = itertools.count()  # it can't be set to another value
    hidden = lambda x: x**2 / 2 if next(calls) < 60 else x.abs()  # noqa: E731
    with pytest.raises(AuditError, match="some hundred calls"):
        audit(hidden, range=(-2, 2), budget=1)


def test_what_only_records_is_no_state():
    assert slope_of(Recording()) == pytest.approx(X)


def test_randomness_is_refused_or_said():
    with pytest.raises(AuditError, match="is random"):
        subject(lambda x: F.dropout(x, 0.5) ** 2, "it", "target/model")
    drawing = subject(lambda x: x**2 / 2 + 0 * torch.rand(()), "it", "target/model")
    assert any("draws random numbers" in note for note in drawing.notes)
    assert subject(square, "it", "target/model").notes == ()


def test_parameters_of_its_own_are_said():
    class Learned(nn.Module):
        def __init__(self):
            super().__init__()
            self.log_scale = nn.Parameter(torch.zeros(()))

        def forward(self, x):
            return x**2 / 2 * self.log_scale.exp()

    assert any("log_scale" in note for note in subject(Learned(), "it", "target/model").notes)


def test_centring_by_the_batch_keeps_reverse_kl_only():
    found = audit(log_variance)
    assert (found.divergence, found.factor) == ("reverse KL", "1")
    assert found.max_gradient_error < 1e-12 and found.problems == ()
    assert any("1 - 1/K" in note for note in found.notes)


def test_a_jax_function_is_taken_as_one_of_torch():
    jax = pytest.importorskip("jax", reason="JAX is not installed: pip install jax")
    k3 = lambda x: jax.numpy.mean(jax.numpy.exp(x) - x - 1)  # noqa: E731
    assert slope_of(jax.jit(k3)) == pytest.approx(np.expm1(X), rel=1e-12)
