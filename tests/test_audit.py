"""The audit: right subjects are cleared, wrong ones are found out, all by looking at gradients."""

import functools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import huber_loss, kl_div, logsigmoid, relu, smooth_l1_loss, softplus

from divergence_lab.audit import AuditError, audit

ROOT = Path(__file__).resolve().parents[1]


# Stand-ins for the losses of torchgfn 2.4.1 (written anew; same formulas, same clamps, same
# claims).


class LinexLoss:
    """Linex loss.

    - ``alpha = 1``: corresponds to the **forward KL** divergence. **Zero-avoiding**.

    - ``alpha = 0.5``: the **Hellinger** distance. Neither zero-forcing nor zero-avoiding.
    """

    def __init__(self, alpha=1.0):
        self.alpha = alpha

    def __call__(self, residuals):
        a = self.alpha
        return (torch.exp((a * residuals).clamp(-80.0, 80.0)) - a * residuals - 1.0) / a**2


class ShiftedCoshLoss:
    """Simultaneously **zero-forcing** and **zero-avoiding**."""

    def __call__(self, residuals):
        r = residuals.clamp(-80.0, 80.0)
        return torch.exp(r) + torch.exp(-r) - 2.0


class SquaredLoss(torch.nn.Module):
    """Corresponds to the **reverse KL** divergence. This is **zero-forcing** (mode-seeking)."""

    def forward(self, residuals):
        return residuals.pow(2)


def half_squared(residuals):
    return 0.5 * residuals.pow(2)


def kinds(found):
    return [problem.kind for problem in found.problems]


def at(found, kind):
    return [(problem.low, problem.high) for problem in found.problems if problem.kind == kind]


def name(found):
    return found.divergence, found.factor


# --- the findings measured on torchgfn


def check_linex(found):
    assert name(found) == ("Neyman chi-square", "1/2")
    assert found.loss_name == "linex(-1)"
    assert found.zero_forcing.holds is True and found.zero_avoiding.holds is False
    assert found.under_the_other_sign.divergence == "forward KL"
    assert (
        "forward KL" in found.documented
        and "zero-avoiding" in found.documented
        and found.documented_holds is False
    )
    assert at(found, "wrong_sign_gradient") == [(-100.0, -80.0)] == at(found, "class_changed")
    (wrong,) = (p for p in found.problems if p.kind == "wrong_sign_gradient")
    assert "g' = 1;" in wrong.detail  # the loss is fed -x: its own gradient is -1
    assert found.max_gradient_error < 1e-13


def check_cosh(found):
    assert found.loss_name == "shifted_cosh"
    assert (
        found.zero_forcing.holds is True
        and found.zero_avoiding.holds is True
        and found.documented_holds is True
    )
    assert (
        at(found, "dead_gradient") == [(-100.0, -80.0), (80.0, 100.0)] == at(found, "class_changed")
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_linex_with_its_sign_slipped_and_its_exponent_clamped(dtype):
    found = audit(LinexLoss(1.0), "model/target", dtype=dtype)
    check_linex(found)
    assert ("cancellation" in kinds(found)) == (dtype == "float32")


def test_the_dead_ends_of_a_clamped_cosh():
    check_cosh(audit(ShiftedCoshLoss, "model/target", dtype="float64"))


@pytest.mark.parametrize("subject, factor", [(SquaredLoss, "2"), (half_squared, "1")])
@pytest.mark.parametrize("residual", ["target/model", "model/target"])
def test_right_losses_are_cleared(subject, factor, residual):
    found = audit(subject, residual)
    assert (
        name(found) == ("reverse KL", factor)
        and found.problems == ()
        and found.documented_holds in (True, None)
    )
    assert found.max_gradient_error < 1e-13 and found.gradient_check


def test_the_docstring_of_another_parameter_is_not_held_against_it():
    found = audit(LinexLoss(0.5), "target/model", (-50, 50), "float64")
    assert name(found) == ("squared Hellinger", "2")
    assert (
        "Hellinger" in found.documented and found.documented_holds is True and found.problems == ()
    )


@pytest.mark.parametrize(
    "cls, check", [("LinexLoss", check_linex), ("ShiftedCoshLoss", check_cosh)]
)
def test_torchgfn_itself(cls, check):
    pytest.importorskip(
        "gfn.gflownet.losses", reason="torchgfn is not installed: pip install torchgfn==2.4.1"
    )
    check(audit(f"gfn.gflownet.losses:{cls}", "model/target"))


@pytest.mark.parametrize("cls, factor", [("SquaredLoss", "2"), ("HalfSquaredLoss", "1")])
def test_the_right_losses_of_torchgfn_are_cleared(cls, factor):
    pytest.importorskip(
        "gfn.gflownet.losses", reason="torchgfn is not installed: pip install torchgfn==2.4.1"
    )
    found = audit(f"gfn.gflownet.losses:{cls}", "model/target")
    assert name(found) == ("reverse KL", factor) and found.problems == ()


# --- estimators of KL and preference losses


def test_k1_trains_nothing():
    found = audit(lambda log_r: -log_r)
    assert found.effective_loss is None and found.zero_forcing.holds is None
    assert "minimises nothing" in found.zero_forcing.because
    assert at(found, "dead_gradient") == [(-100.0, 100.0)]
    assert found.to_json()["effective_loss"] is None


def test_k2_is_reverse_kl():
    assert name(audit(lambda log_r: (log_r**2 / 2).mean())) == ("reverse KL", "1")


def test_k3_estimates_one_kl_and_minimises_the_other():
    def k3(log_r):
        """Low-variance estimator of the reverse KL."""
        return log_r.exp() - 1 - log_r

    found = audit(k3, dtype="float64", range=(-30, 30))
    assert name(found) == ("forward KL", "1") and found.documented_holds is False
    assert found.under_the_other_sign.divergence == "Neyman chi-square"


def test_the_argument_order_of_kl_div():
    forward = audit(
        "torch.nn.functional:kl_div",
        "model/target",
        feed=("log_pf", "pb"),
        summed=True,
        dtype="float64",
    )
    assert name(forward) == ("forward KL", "1") and forward.zero_avoiding.holds is True
    reverse = audit(kl_div, "model/target", feed=("log_pb", "pf"), summed=True, dtype="float64")
    assert name(reverse) == ("reverse KL", "1") and reverse.zero_forcing.holds is True
    assert forward.max_gradient_error < 1e-13 and reverse.max_gradient_error < 1e-13
    with pytest.raises(AuditError, match="no function of log p_B - log p_F"):
        audit(kl_div, "model/target", feed=("log_pf", "pb"))


F_DPO = {  # f'(u) of u = policy/reference as a reward, in surrogate form: the divergence of f-DPO
    "reverse KL": lambda y: (y + 1).detach() * y,
    "forward KL": lambda y: (-torch.exp(-y)).detach() * y,
    "Jensen-Shannon": lambda y: (np.log(2) + logsigmoid(y)).detach() * y / 2,
}


@pytest.mark.parametrize(
    "divergence",
    [
        pytest.param(name, marks=pytest.mark.slow) if name == "Jensen-Shannon" else name
        for name in F_DPO
    ],
)
def test_f_dpo_penalties_in_surrogate_form(divergence):
    found = audit(F_DPO[divergence], "model/target", (-30, 30), "float64")
    assert (
        name(found) == (divergence, "1")
        and found.surrogate is True
        and found.max_gradient_error < 1e-12
    )


def test_the_dpo_loss_has_no_resting_point():
    found = audit(lambda margin: -logsigmoid(0.5 * margin), dtype="float64", range=(-30, 30))
    assert "not_zero_at_zero" in kinds(found) and found.gauge == pytest.approx(-0.25)
    assert (
        found.effective_loss is not None
        and found.zero_forcing.holds is False
        and found.zero_avoiding.holds is False
    )


# --- kinds of problems


def test_a_clipped_residual_changes_the_class():
    found = audit(lambda x: x.clamp(-5, 5) ** 2 / 2)
    assert name(found) == ("reverse KL", "1")
    assert at(found, "dead_gradient") == [(-100.0, -5.0), (5.0, 100.0)]
    assert at(found, "class_changed") == [(-100.0, -5.0)]


def test_a_clipped_gradient_changes_the_class():
    found = audit(
        lambda x: (torch.expm1(x).clamp(-0.99, 400) + 0 * x).detach() * x, dtype="float64"
    )
    assert found.divergence == "forward KL"
    assert any(low == pytest.approx(np.log(401), abs=1e-3) for low, _ in at(found, "class_changed"))


def test_overflow_kinks_and_values_at_zero():
    overflowing = audit(lambda x: torch.exp(x) - x - 1, dtype="float32")
    assert at(overflowing, "not_finite")[0][0] == pytest.approx(88.7, abs=0.1)
    absolute = audit(torch.abs)
    assert absolute.problems == () and name(absolute) == ("total variation", "2")
    assert any("a kink at 0, which is allowed" in note for note in absolute.notes)
    assert at(audit(lambda x: torch.sqrt(x**2), dtype="float64"), "not_finite") == [(0.0, 0.0)]
    assert at(audit(lambda x: torch.cosh(x), dtype="float64"), "not_zero_at_zero") == [(0.0, 0.0)]


def test_a_maximised_loss_has_no_divergence():
    found = audit(lambda x: -(x**2))
    assert found.effective_loss is None and "wrong sign" in found.zero_forcing.because
    assert at(found, "wrong_sign_gradient") == [(-100.0, 0.0), (0.0, 100.0)] or at(
        found, "wrong_sign_gradient"
    ) == [(-100.0, 100.0)]


@pytest.mark.parametrize(
    "call", [lambda x: 1 - torch.exp(-(x**2) / 2), lambda x: torch.tanh(x) ** 2]
)
def test_rounding_where_the_gradient_falls_off_is_no_jump(call):
    found = audit(call)
    # it underflows, and 1 - tanh(x)**2 has lost its digits before
    assert set(kinds(found)) <= {"dead_gradient", "cancellation"} and "dead_gradient" in kinds(
        found
    )


# (as shipped, what it is fed, g' up to the gauge, where, zero-forcing, zero-avoiding as shipped)
HELD_OUT = [
    pytest.param(
        lambda x: torch.log(torch.cosh(x)), 1, np.tanh, 100, False, False, marks=pytest.mark.slow
    ),
    (lambda x: x + softplus(-2 * x) - np.log(2), 1, np.tanh, 100, False, False),
    (
        lambda x: huber_loss(x, torch.zeros_like(x), delta=0.3),
        1,
        lambda x: np.clip(x, -0.3, 0.3),
        100,
        False,
        False,
    ),
    (
        lambda x: smooth_l1_loss(x, torch.zeros_like(x), beta=5.0, reduction="sum"),
        1,
        lambda x: np.clip(x / 5, -1, 1),
        100,
        False,
        False,
    ),
    (lambda x: torch.exp(x.clamp(max=20)) - x - 1, 1, np.expm1, 100, False, False),
    (lambda x: torch.exp(x.clamp(-30, 30)) - x - 1, -1, lambda x: -np.expm1(-x), 100, False, False),
    (
        lambda x: 8 * (torch.exp(x / 2) - x / 2 - 1),
        1,
        lambda x: 4 * np.expm1(x / 2),
        100,
        False,
        False,
    ),
    (lambda x: x**2 / 2 + 3 * x, 1, lambda x: x, 100, True, False),
    (torch.exp, 1, np.expm1, 40, False, True),
    (lambda x: torch.exp(x) - x.detach() - 1, 1, np.expm1, 40, False, True),
    (lambda x: x.detach() * x, -1, lambda x: x, 100, True, False),
    (
        functools.partial(lambda x, a, k: k * (torch.exp(a * x) - a * x - 1), a=2.0, k=0.25),
        1,
        lambda x: np.expm1(2 * x) / 2,
        40,
        False,
        True,
    ),
    (
        lambda x: torch.where(x < 0, 2 * x**2, x**2 / 2),
        1,
        lambda x: np.where(x < 0, 4 * x, x),
        100,
        True,
        False,
    ),
    (
        lambda x: torch.where(x < 0, x**2 / 2, torch.exp(x) - x - 1),
        1,
        lambda x: np.where(x < 0, x, np.expm1(x)),
        40,
        True,
        True,
    ),
    (lambda x: torch.clamp(x**2, max=25), 1, lambda x: 2 * x, 100, False, False),
    (lambda x: x**2 / 2 + 1e-3 * x**4, 1, lambda x: x + 4e-3 * x**3, 100, True, False),
    (lambda x: (torch.exp(x) - 1) ** 2 / 2, 1, lambda x: np.exp(x) * np.expm1(x), 20, False, True),
    (lambda x: x.detach().clamp(-3, 3) * x, 1, lambda x: np.clip(x, -3, 3), 100, False, False),
    (lambda x: (x + 0).mul_(2) ** 2, 1, lambda x: 8 * x, 100, True, False),
    (lambda x: x**2 / 2 + 0.1 * torch.sin(5 * x), 1, None, 100, None, None),
    (lambda x: x**2 / 2 - 1e-4 * torch.cos(x), 1, None, 100, None, None),
    (
        lambda x: relu(x.abs() - 0.5) ** 2,
        1,
        lambda x: 2 * np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
        100,
        True,
        False,
    ),
    (lambda x: (x.half() ** 2).double(), 1, None, 100, None, None),
    (lambda x: torch.exp(x).detach() - x - 1, 1, None, 40, None, None),
]


@pytest.mark.parametrize("call, sign, slope, end, forcing, avoiding", HELD_OUT)
def test_held_out_losses_are_named_rightly_or_not_at_all(call, sign, slope, end, forcing, avoiding):
    from divergence_lab.audit.identifying import exact_slopes
    from divergence_lab.theory.divergence.loss import loss

    found = audit(call, "target/model" if sign > 0 else "model/target", (-end, end), budget=5)
    assert (found.effective_loss is None) == (slope is None)
    if slope is None:
        assert found.zero_forcing.holds is None is found.zero_avoiding.holds
        return
    points = np.concatenate([-np.geomspace(0.06, 40, 25), np.geomspace(0.06, 40, 25)])
    points = points[(points >= found.holds_on[0]) & (points <= found.holds_on[1])]
    assert exact_slopes(loss(found.effective_loss).derivative, points) == pytest.approx(
        slope(points), rel=1e-9
    )
    assert found.gradient_check and found.max_gradient_error < 1e-6
    changed = [p.detail for p in found.problems if p.kind == "class_changed"]
    for held, shipped, word in (
        (found.zero_forcing.holds, forcing, "zero-forcing"),
        (found.zero_avoiding.holds, avoiding, "zero-avoiding"),
    ):
        assert held is shipped or any(word in told for told in changed)


def test_nothing_is_guessed_where_nothing_matches():
    found = audit(
        lambda x: x**2 / 2 + torch.log1p(x**4) * torch.sigmoid(x), dtype="float64", range=(-20, 20)
    )
    document = found.to_json()
    assert document["effective_loss"] is None and document["divergence"] is None
    assert (
        document["zero_forcing"]["status"] == "undecided" and document["max_gradient_error"] is None
    )
    assert len(document["slopes"]) > 10 and all(row["f"] > 0 for row in document["spline"])


# --- families with fitted parameters


@pytest.mark.parametrize(
    "call, wanted",
    [
        (lambda x: torch.exp(0.75 * x) - 0.75 * x - 1, "-3*x/4 + exp(3*x/4) - 1"),
        (lambda x: torch.cosh(0.4 * x) - 1, "cosh(2*x/5) - 1"),
        (lambda x: x.abs() ** 2.5, "Abs(x)**(5/2)"),
        (lambda x: huber_loss(x, torch.zeros_like(x), delta=3.5), "huber(7/2)"),
        (lambda x: torch.where(x < 0, 3 * x**2, x**2), None),
        (lambda x: x**2 + torch.exp(x) - x, None),
    ],
)
def test_families_are_fitted_and_snapped(call, wanted):
    from divergence_lab.theory.divergence.loss import loss

    found = audit(call, dtype="float64", range=(-20, 20))
    assert found.holds_on == (-20.0, 20.0) and not found.fitted and found.max_gradient_error < 1e-8
    if wanted:
        assert loss(found.effective_loss).expression.equals(loss(wanted).expression), (
            found.effective_loss
        )


@pytest.mark.parametrize(
    "reduce, word", [(torch.mean, "mean"), (torch.sum, "sum"), (lambda v: v, "none")]
)
def test_reductions_are_seen(reduce, word):
    found = audit(lambda x: reduce(x**2 / 2))
    assert found.reduction == word and name(found) == ("reverse KL", "1")


# --- negative controls, conventions, docstrings


def test_an_almost_linex_is_not_called_linex():
    found = audit(
        lambda x: (torch.exp(1.02 * x) - 1.02 * x - 1) / 1.02**2, range=(-20, 20), budget=2
    )
    assert found.divergence != "forward KL" and found.loss_name != "linex(1)"
    assert "51" in found.effective_loss and found.max_gradient_error < 1e-12


def test_a_sign_flip_changes_the_answer_and_fails_the_gradient():
    right, wrong = (
        audit(lambda x: torch.expm1(x) - x, residual, (-30, 30))
        for residual in ("target/model", "model/target")
    )
    assert (right.divergence, wrong.divergence) == ("forward KL", "Neyman chi-square")
    assert right.under_the_other_sign.divergence == wrong.divergence
    assert right.zero_avoiding.holds and wrong.zero_forcing.holds and not wrong.zero_avoiding.holds
    assert right.max_gradient_error < 1e-13 and right.flipped_sign_error > 0.1


def test_the_other_order_of_kl_div_is_the_other_kl():
    found = audit(kl_div, feed=("log_pf", "pb"), summed=True)
    assert (
        found.divergence == "forward KL" and found.under_the_other_sign.divergence == "reverse KL"
    )


@pytest.mark.parametrize(
    "text, divergence, factor",
    [
        ("torch.nn:MSELoss", "reverse KL", "2"),
        ("torch.nn:HuberLoss(delta=2.0)", None, None),
        ("torch.nn:SmoothL1Loss(beta=0.5)", None, None),
        ("torch.nn.functional:softplus", "K-divergence", "1"),
    ],
)
def test_the_losses_of_torch(text, divergence, factor):
    found = audit(text)
    assert (found.divergence, found.factor) == (divergence, factor) and found.gradient_check
    assert set(kinds(found)) <= {"not_zero_at_zero"}  # softplus has a straight part
    assert (
        found.zero_forcing.holds is (divergence == "reverse KL")
        and found.zero_avoiding.holds is False
    )


def test_divergences_as_callables_that_hold_their_weights():
    def jensen_shannon(pf, pb):
        middle = (pf + pb) / 2
        return (pf * (pf / middle).log() + pb * (pb / middle).log()) / 2

    found = audit(jensen_shannon, feed=("pf", "pb"), summed=True, budget=5)
    assert name(found) == ("Jensen-Shannon", "1") and found.gradient_check


def test_a_generator_taken_for_a_loss_is_not_its_divergence():
    def forward_kl(log_pb, log_pf):
        """Forward KL."""
        ratio = (log_pb - log_pf).exp()
        return ratio * ratio.log() - ratio + 1

    found = audit(forward_kl, range=(-30, 30))
    assert found.effective_loss == "x*exp(x) - exp(x) + 1" and found.divergence is None
    assert found.documented == "forward KL" and found.documented_holds is False


def test_the_residual_clipped_in_a_surrogate():
    found = audit(lambda x: torch.expm1(x.detach().clamp(-5, 5)) * x)
    assert found.surrogate and found.zero_avoiding.holds is False
    assert at(found, "class_changed") == [(-100.0, -5.0), (5.0, 100.0)]


def test_a_callable_that_computes_in_float32_inside():
    found = audit(lambda x: x.float() ** 2 / 2)
    assert (
        name(found) == ("reverse KL", "1")
        and 1e-10 < found.max_gradient_error < 1e-5
        and found.gradient_check
    )


def narrow(x):
    return torch.where((x > 5) & (x < 5.05), 1.05 * x**2 / 2, x**2 / 2)


@pytest.mark.parametrize("dtype", ["float64", pytest.param("bfloat16", marks=pytest.mark.slow)])
def test_a_narrow_stretch_ends_what_holds(dtype):
    """Between two residuals that are compared as a matter of course, in every dtype."""
    found = audit(narrow, range=(-60, 60), dtype=dtype)
    assert found.divergence == "reverse KL" and found.holds_on == (-60, pytest.approx(5, abs=0.04))
    ((low, high),) = at(found, "class_changed")
    assert low == pytest.approx(5, abs=0.04) and high == pytest.approx(5.05, abs=0.04)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_half_a_percent_is_another_loss_in_every_dtype(dtype):
    found = audit(
        lambda x: torch.where((x > 2) & (x < 3), 1.005 * x**2, x**2) / 2, range=(-9, 9), dtype=dtype
    )
    ((low, high),) = at(found, "class_changed")
    assert low == pytest.approx(2, abs=0.1) and high == pytest.approx(3, abs=0.1)


@pytest.mark.slow
def test_a_narrow_stretch_is_seen_where_a_term_stands_in_the_reward():
    found = audit(
        lambda r: torch.where((r > 5) & (r < 5.1), -r - 0.5, -r),
        placement="reward",
        range=(-30, 30),
    )
    assert found.divergence == "reverse KL" and at(found, "class_changed")


def test_a_parameter_at_its_pole_is_no_traceback():
    """A fit may step onto w = 1, where a formula divides by 0."""
    from divergence_lab.audit.identification.families import FAMILIES
    from divergence_lab.audit.identifying import fitted

    z = np.concatenate([np.linspace(-0.9, -0.1, 20), np.linspace(0.1, 0.9, 20)])
    for family in FAMILIES:
        poles = functools.partial(family.__class__, family.formula, family.slope)
        pinned = poles((1.0, 2.0), (1.0,) if family.more else (), family.flat)
        assert len(list(fitted(pinned, z, 1e9 * np.sign(z) * np.exp(z), 1e-10))) <= 1


def test_a_side_on_which_nothing_is_finite_has_no_loss():
    """The branch that is not taken has no derivative, and its nan is passed on."""
    found = audit(lambda x: torch.where(x > 0, torch.sqrt(x), x**2 / 2), range=(-9, 9))
    assert found.effective_loss is None and (-9, 0) in at(found, "not_finite")


def test_nothing_is_imported_before_it_is_asked_for(tmp_path, monkeypatch):
    (tmp_path / "loud_losses.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(AuditError, match="--residual"):
        audit("loud_losses:f", "wrong")
    with pytest.raises(AuditError, match="importing loud_losses failed.*imported"):
        audit("loud_losses:f")


def test_the_room_is_callable_by_its_public_name():
    import divergence_lab.audit

    assert divergence_lab.audit(half_squared).divergence == "reverse KL"
