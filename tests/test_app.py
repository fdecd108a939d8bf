"""The numbers of the loss designer: the slider family against the theory engine, the fit against
another optimiser.
"""

import threading
import time
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import cumulative_simpson
from scipy.optimize import minimize

from divergence_lab.app import background, pictures, with_torch
from divergence_lab.app.family import Member, answers, f_at_zero, slope_at_infinity
from divergence_lab.report import single_bump
from divergence_lab.report.free_loss import FreeLoss
from divergence_lab.theory.answers.derivation import derive
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.divergence.values import enclose

# each condition met, missed, and at its border
TAILS = [(0, 0), (1, 1), ("1/2", "1/2"), (-1, 1), (0, "19/20"), ("1/20", 1), (1, -1)]
members = pytest.mark.parametrize(
    "member", [Member(Fraction(a), Fraction(b), Fraction(2)) for a, b in TAILS], ids=str
)


@members
def test_the_conditions_of_the_family_are_what_the_engine_proves(member):
    verdicts = derive(loss(member.text), budget=20).verdicts
    for name, holds in answers(member).items():
        assert getattr(verdicts, name).holds is holds, name
    for mine, proved in (
        (f_at_zero(member), verdicts.f_at_zero),
        (slope_at_infinity(member), verdicts.slope_at_infinity),
    ):
        assert proved == (sp.oo if mine is None else sp.Rational(str(mine)))


@members
def test_closed_forms_and_panels_agree_with_enclosures(member):
    ratios = [sp.Rational(n, 7) for n in (1, 5, 9, 60)]
    truth = np.array([float(enclose(loss(member.text), ratio).mid()) for ratio in ratios])
    t = np.array([float(ratio) for ratio in ratios])
    for shape in (member, FreeLoss(member.text, loss(member.text))):
        assert np.allclose(t * shape.integral(np.log(t)), truth, rtol=1e-10)
    mirrored = Member(-member.left + 1, member.right, member.curvature)
    if mirrored != member:
        assert not np.allclose(t * mirrored.integral(np.log(t)), truth, rtol=1e-3), (
            "another tail is another f"
        )


@members
def test_no_other_optimiser_finds_a_better_bump(member):
    found = single_bump.best_fit(member.integral)

    def cost(at):
        return float(
            single_bump.divergences(member.integral, np.array(at[0]), np.array(np.exp(at[1])))
        )

    for start in ((found.mean, np.log(found.width)), (-1.6, -0.5), (2.1, -0.5), (0.0, 0.7)):
        other = minimize(cost, start, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-10})
        assert found.divergence <= other.fun * (1 + 1e-5)


def test_reverse_kl_seeks_and_forward_kl_covers_with_the_moments_of_the_target():
    seeking = single_bump.best_fit(Member(Fraction(0), Fraction(0)).integral)
    covering = single_bump.best_fit(Member(Fraction(1), Fraction(1)).integral)
    assert seeking.right_mass < 0.01 < 0.3 < covering.right_mass
    p = np.exp(single_bump.LOG_TARGET)
    mean = (p * single_bump.POINTS).sum()
    assert (covering.law() * single_bump.POINTS).sum() == pytest.approx(
        mean, abs=2e-3
    )  # moments match at the optimum
    assert single_bump.words(seeking).startswith("Mode-seeking") and single_bump.words(
        covering
    ).startswith("Mode-covering")


@pytest.mark.parametrize("text", ["exp(x**4) - 1", "-x**2/2"])
def test_a_fit_that_is_infinite_or_negative_is_refused(text):
    with pytest.raises(single_bump.NoFit, match="no best bump"):
        single_bump.best_fit(FreeLoss(text, loss(text)).integral)


def test_panels_follow_growth_beyond_every_exponential():
    """I(u) = int_0^u v e^{v^2/2 - v} dv against Simpson's rule in small steps, and the fit
    against another optimiser.
    """
    found = FreeLoss("exp(x**2/2) - 1", loss("exp(x**2/2) - 1"))
    v = np.linspace(0, 20, 200_001)
    sides = [
        cumulative_simpson(v * np.exp(v**2 / 2 - sign * v), x=v, initial=0) for sign in (1, -1)
    ]

    def dense(u):
        return np.where(u >= 0, np.interp(u, v, sides[0]), np.interp(-u, v, sides[1]))

    u = np.linspace(-12, 12, 49)
    assert np.allclose(found.integral(u), dense(u), rtol=1e-6)
    best = single_bump.best_fit(found.integral)

    def cost(at):
        return float(single_bump.divergences(dense, np.array(at[0]), np.array(np.exp(at[1]))))

    for start in ((best.mean, np.log(best.width)), (-1.6, -0.5), (0.0, 0.7)):
        other = minimize(cost, start, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-10})
        assert best.divergence <= other.fun * (1 + 1e-5)


def test_a_power_beyond_double_precision_is_still_a_loss_for_torch():
    import torch

    from divergence_lab.bridge import to_torch

    assert to_torch(loss("x**1000"))(torch.tensor([1.0, 0.5])).tolist() == pytest.approx([1.0, 0.0])


def test_training_ends_at_the_first_report_after_the_page_has_moved_on():
    from divergence_lab.app.background import STEPS, Stopped, learn

    reports = []

    def report(step, steps):
        reports.append((step, steps))
        raise Stopped

    with pytest.raises(Stopped):
        learn("x**2/2", report)
    ((step, steps),) = reports
    assert step < STEPS / 4 and steps == STEPS


def test_what_many_ask_is_computed_once_and_what_nobody_wants_not_at_all():
    asked, together = [], threading.Barrier(8)

    @background.in_turn(eager=False, turns=background.Turns())
    def question(text, wanted):
        wanted()
        asked.append(text)
        return text.upper()

    def ask(found):
        together.wait()
        found.append(question("a"))

    found = []
    threads = [threading.Thread(target=ask, args=(found,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["A"] * 8 and asked == ["a"]

    def gone():
        raise background.Stopped

    with pytest.raises(background.Stopped):
        question("b", gone)
    assert question("a", gone) == "A" and question("b") == "B" and asked == ["a", "b"]
    for number in range(3 * background.MOST_KNOWN):
        question(str(number))
    assert question("a") == "A" and asked.count("a") == 2


def test_a_long_answer_keeps_no_slider_waiting():
    """Somebody's derivation takes as long as it likes: pictures of a member wait for no turn."""
    with background.TURNS.turn(eager=False):
        assert pictures.of_member(Member(Fraction(0), Fraction(1), Fraction(1))).fit


def test_the_eager_come_first():
    turns, order = background.Turns(), []

    def ask(name, eager):
        with turns.turn(eager):
            order.append(name)

    with turns.turn(eager=False):
        threads = []
        for name in ("a", "b", "typed"):
            threads.append(threading.Thread(target=ask, args=(name, name == "typed")))
            threads[-1].start()
        while turns.eager == 0:
            time.sleep(0.01)
    for thread in threads:
        thread.join()
    assert order[0] == "typed" and sorted(order) == ["a", "b", "typed"]


@pytest.mark.slow
def test_torch_is_asked_elsewhere(monkeypatch):
    """What is trained is what training here gives, with its progress; a refusal is a ValueError."""
    seen = []
    monkeypatch.setattr(background, "STEPS", 20)
    found = background.learn("x**2/2", lambda step, steps: seen.append((step, steps)))
    *_, here = with_torch.learn("x**2/2", 20)
    np.testing.assert_array_equal(found.law, here.law)
    assert seen[0] == (0, 20) and seen[-1] == (20, 20) and found.modes == here.modes
    assert "import torch" in background.torch_text("x**2/2")
    with pytest.raises(ValueError, match="polylog"):
        background.torch_text("polylog(3, -exp(x))")
    assert "align" in background.latex_text(derive(loss("x**2/2"), budget=15))
