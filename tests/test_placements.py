"""Where a term stands decides what it minimises: the nine cells, samplers, and forged documents."""

import copy
import json

import pytest

from divergence_lab.cli.main import main
from divergence_lab.theory.answers.placements import TERMS, place, read_term
from divergence_lab.theory.answers.questions import check
from divergence_lab.theory.divergence.weightings import weighting
from divergence_lab.theory.expressions import ExpressionError, write

NINE = {
    ("k1", "loss"): ("0", None, True),
    ("k2", "loss"): ("x**2/2", "reverse KL", False),
    ("k3", "loss"): ("exp(x) - x - 1", "forward KL", False),
    ("k1", "reward"): ("x**2/2", "reverse KL", False),
    ("k2", "reward"): ("-x**3/6", None, False),
    ("k3", "reward"): ("x**2/2 + x - exp(x) + 1", None, False),
    ("k1", "weighted"): ("x**2/2", "reverse KL", False),
    ("k2", "weighted"): ("x**2/2 - x**3/6", None, False),
    ("k3", "weighted"): ("x**2/2", "reverse KL", False),
}


@pytest.fixture
def derive(capsys):
    def ask(*words):
        code = main(["derive", *words, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return ask


@pytest.mark.parametrize("placement", ["loss", "reward", "weighted"])
def test_the_nine_cells(derive, placement):
    _, rows = derive(*TERMS, "--placement", placement)
    for name, row in zip(TERMS, rows):
        loss, divergence, zero = NINE[name, placement]
        assert (row["loss"], row["divergence"]) == (loss, divergence)
        assert row["placement"] == placement and row["zero_gradient"] is zero
        assert (row["because"] is None) == (divergence is not None)
    assert [report.failures for report in check(rows)] == [()] * 3
    assert [report.not_verified for report in check(rows)] == [()] * 3


@pytest.mark.parametrize(
    "term, placement, sampler, loss",
    [
        # the constant of k is a push once draws are not the model's: -x from p_B un-learns it
        ("-x", "loss", "backward", "x - exp(x) + 1"),
        ("x", "loss", "backward", "exp(x) - x - 1"),
        ("-1", "reward", "backward", "exp(x) - x - 1"),
        ("-1", "reward", "on", "0"),
        ("exp(x)", "weighted", "on", "0"),
        ("-sign(x)", "reward", "on", "Piecewise((-x, x < 0), (x, True))"),
    ],
)
def test_constants_of_a_term_count(term, placement, sampler, loss):
    found = place(read_term(term, placement), weighting(sampler))
    assert write(found.expression) == loss


@pytest.mark.parametrize(
    "field, value",
    [
        ("placement", "weighted"),
        ("placement", "rewards"),
        ("term", "-x - x**3"),
        ("zero_gradient", True),
        ("zero_gradient", 0),
        ("because", "it minimises everything"),
        ("sampler", "backward"),
        ("sampled_loss", "x**2/2"),
        ("gauge", {"constant": "0", "slope": "1"}),
    ],
)
def test_a_forged_placement_is_refused(derive, field, value):
    _, (row,) = derive("k1", "--placement", "reward")
    forged = {**copy.deepcopy(row), field: value}
    (report,) = check([forged])
    assert report.failures, field


@pytest.mark.parametrize(
    "change",
    [
        {"sampled_loss": "exp(x) - x - 1"},
        {"gauge": {"constant": "0", "slope": "0"}, "as_given": None},
        {"gauge": {"constant": "-1/2", "slope": "2"}},
        {"sampler": "powers:1,1", "weighted_by": "p_F p_B"},
    ],
)
def test_the_straight_part_of_a_sampled_loss_cannot_be_left_out(derive, change):
    _, (row,) = derive("exp(x) - 1", "--sampler", "backward")
    assert row["divergence"] == "Pearson chi-square" and not check([row])[0].failures
    (report,) = check([{**row, **change}])
    assert report.failures, change


def test_a_straight_part_on_policy_is_the_gauge_and_no_more(derive):
    _, (row,) = derive("exp(x) - 1")
    assert row["sampled_loss"] == row["loss"] and row["gauge"]["slope"] == "1"
    assert not check([row])[0].failures


def test_a_gradient_that_vanishes_cannot_be_said_to_live(derive):
    _, (row,) = derive("k1", "--placement", "loss")
    (report,) = check([{**row, "zero_gradient": False}])
    assert report.failures or "zero_gradient" in report.not_verified


@pytest.mark.parametrize("words", [("k1", "rewards"), ("k1", "somewhere")])
def test_an_unknown_placement_is_named(words):
    with pytest.raises(ExpressionError, match="placement"):
        read_term(*words)
