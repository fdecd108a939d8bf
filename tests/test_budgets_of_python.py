"""What Python asks ends with its budget of processor time, as what the command line asks does; and
what is wrong with an argument is one line.
"""

import pytest

import divergence_lab as dl
from divergence_lab.inputs import InputError
from divergence_lab.theory.answers import check
from divergence_lab.theory.answers.derivation import to_json
from divergence_lab.theory.budget.asking import clock
from divergence_lab.theory.divergence import invert
from divergence_lab.theory.expressions.syntax import ExpressionError
from divergence_lab.theory.inequalities import compare

NESTED = "exp(" * 12 + "x" + ")" * 12
DEAR = [NESTED, "(1+x+a+b+c)**40"]
ALLOWANCE = 2.0  # processor seconds of this process beside the search


@pytest.mark.parametrize("text", DEAR)
def test_a_dear_text_is_given_up_within_the_budget(text):
    began = clock()
    with pytest.raises(ExpressionError, match="within 1 s of processor time") as caught:
        dl.loss(text, budget=1.0)
    assert clock() - began < 1.0 + ALLOWANCE and "\n" not in str(caught.value)
    with pytest.raises(ExpressionError):
        invert(text.replace("x", "t"), budget=1.0)
    assert clock() - began < 2.0 + 2 * ALLOWANCE


def test_what_sympy_cannot_read_is_an_error_of_the_text():
    for text in ("Ei(sinh((x+1e300)))", "gamma(x+10**300)+atan(erf(x))"):
        with pytest.raises(ExpressionError) as caught:
            dl.loss(text, budget=5.0)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("budget", [True, 0, -1.0, float("nan"), float("inf"), "20", None])
def test_a_budget_is_a_positive_number(budget):
    square = dl.loss("x**2/2")
    for ask in (
        lambda: dl.loss("x**2", budget=budget),
        lambda: dl.divergence(square, budget=budget),
        lambda: dl.to_torch(square, budget=budget),
        lambda: invert("t*log(t)", budget=budget),
    ):
        with pytest.raises(InputError, match="is not a positive number of seconds"):
            ask()


def test_the_others_end_too():
    square, other = dl.loss("x**2/2"), dl.loss("exp(x) - x - 1")
    began = clock()
    assert dl.divergence(square, budget=0.01).generator is None
    with pytest.raises(InputError, match="raise|larger budget"):
        dl.to_torch(other, budget=0.001)
    with pytest.raises(InputError):
        dl.design(zero_forcing=True, symmetric=True, budget=0.01)
    compare(square, other, budget=0.01)  # what is answered at once stands
    (report,) = check(to_json(dl.derive(square, budget=5.0)), budget=0.001)
    assert report.failures[0].where == "budget"
    assert clock() - began < 25


def test_the_same_answers_come_back():
    square = dl.loss("x**2/2")
    assert dl.loss("x**2/2") == square and dl.divergence(square).loss is square
    assert dl.to_torch(square).loss is square
    (report,) = check(to_json(dl.derive(square)))
    assert not report.failures and not report.not_verified
