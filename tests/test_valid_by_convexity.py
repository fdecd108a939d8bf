"""A convex loss is valid by its slopes at 0; one whose slopes there have one sign is not."""

import pytest

from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.replay import check_verdict, status_of
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.verdicts import plain, verdict


def valid_by_the_proof_of_convexity(text):
    """The certificate of `convex` of this loss, stated as one of `validity`."""
    question = plain._prepared(loss(text))
    found = plain.ask_one("convex", question.loss)
    assert found.holds
    stated = verdict.in_words(
        "validity",
        verdict.Verdict(
            True, status_of(verdict.data_of(found), question.parts), "", None, found.steps
        ),
    )
    check_verdict("validity", verdict.verdict_to_json(stated, "validity"), question.parts)
    return stated


@pytest.mark.parametrize(
    "text", ["x**2/2", "exp(x) - x - 1", "Abs(x)", "Max(3*x, -x)", "x**4", "gamma(2+exp(x))"]
)
def test_convex_and_slopes_of_two_signs_at_zero_is_valid(text):
    assert valid_by_the_proof_of_convexity(text).because == (
        "g is convex and g'(0-) <= 0 <= g'(0+), so g falls before 0 and rises after it"
    )


@pytest.mark.parametrize(
    "text",
    [
        "Max(x, 3*x)",  # rises before 0
        "Max(-x, -3*x)",  # falls after it
        "Max(x, 0)",  # constant beside 0
        "Max(-x, 0)",
    ],
)
def test_slopes_of_one_sign_at_zero_are_refused(text):
    with pytest.raises(Rejected):
        valid_by_the_proof_of_convexity(text)


def test_a_missing_step_is_refused():
    question = plain._prepared(loss("Abs(x) + x**2"))
    found = plain.ask_one("convex", question.loss)
    for left_out in range(len(found.steps)):
        steps = found.steps[:left_out] + found.steps[left_out + 1 :]
        stated = verdict.Verdict(True, verdict.PROVED, "", None, steps)
        with pytest.raises(Rejected):
            check_verdict(
                "validity",
                verdict.verdict_to_json(verdict.in_words("validity", stated), "validity"),
                question.parts,
            )
