"""Verdicts: the paper's table, the golden table, families whose answers are known by
construction.
"""

import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from divergence_lab.theory.divergence.closed_form import divergence
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.verdicts.decision import decide
from divergence_lab.theory.verdicts.verdict import Verdict
from tests.strategies import PAPER, golden, needs_golden


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_table(name):
    *_, at_zero, slope, forcing, avoiding = PAPER[name]
    entry = loss(name)
    verdicts = decide(entry, divergence(entry).generator)
    assert verdicts.zero_forcing.holds is forcing and verdicts.zero_avoiding.holds is avoiding
    assert verdicts.valid.holds is True and verdicts.convex.holds is True
    assert (verdicts.f_at_zero, verdicts.slope_at_infinity) == (
        sp.sympify(at_zero),
        sp.sympify(slope),
    )
    for verdict in (verdicts.zero_forcing, verdicts.zero_avoiding, verdicts.convex):
        assert verdict.because and verdict.status in ("proved", "enclosed") and verdict.steps


@needs_golden
@pytest.mark.parametrize(
    "row",
    [r for r in golden() if "polylog" not in r["g"] and "alpha" not in r["g"]],
    ids=lambda r: r["name"],
)
def test_golden_verdicts(row):
    entry = loss(row["g"])
    verdicts = decide(entry, divergence(entry).generator)
    got = (
        verdicts.zero_forcing.holds,
        verdicts.zero_avoiding.holds,
        verdicts.convex.holds,
        verdicts.symmetric.holds,
        verdicts.valid.holds,
    )
    assert got == (
        row["zero_forcing"],
        row["zero_avoiding"],
        row["convex"],
        row["symmetric_divergence"],
        row["quasi_convex"],
    )
    assert (
        sp.simplify(verdicts.f_at_zero - sp.sympify(row["f_at_0"])) == 0
        or verdicts.f_at_zero == sp.oo
    )


@settings(max_examples=25, deadline=None)
@given(
    st.fractions(-3, 3, max_denominator=4).filter(lambda a: a != 0),
    st.integers(1, 5),
    st.booleans(),
)
def test_linex_family(alpha, factor, mirrored):
    """Zero-forcing iff alpha <= 0, zero-avoiding iff alpha >= 1; a factor changes nothing, the
    mirror flips alpha.
    """
    sign = -1 if mirrored else 1
    text = f"{factor}*(exp({alpha * sign}*x) - {alpha * sign}*x - 1)"
    verdicts = decide(loss(text))
    assert verdicts.zero_forcing.holds is (alpha * sign <= 0)
    assert verdicts.zero_avoiding.holds is (alpha * sign >= 1)
    assert verdicts.symmetric.holds is (alpha * sign == sp.Rational(1, 2))
    assert verdicts.convex.holds is True and verdicts.bounded_gradient.holds is False


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(list(PAPER)), st.sampled_from(list(PAPER)), st.integers(1, 4), st.integers(1, 4)
)
def test_sums_take_the_larger_boundary_value(a, b, wa, wb):
    verdicts = decide(loss(f"{wa}*({PAPER[a][0]}) + {wb}*({PAPER[b][0]})"))
    assert verdicts.zero_forcing.holds is (PAPER[a][6] or PAPER[b][6])
    assert verdicts.zero_avoiding.holds is (PAPER[a][7] or PAPER[b][7])


@pytest.mark.parametrize(
    "text, forcing, avoiding",
    [
        ("Piecewise((x**2/2, x < 0), (exp(x) - x - 1, True))", True, True),
        ("Piecewise((exp(x) - x - 1, x < 0), (x**2/2, True))", False, False),
        ("sqrt(1 + x**2) - 1", False, False),
        ("x**4/4", True, False),
        ("Abs(x)**3", True, False),
        ("Abs(x)**(3/2)", True, False),
        ("x**2*exp(x**2)", True, True),
        ("cosh(x/2) - 1", True, False),
        ("Piecewise((x**2/2, Abs(x) < 3), (3*Abs(x) - 9/2, True))", False, False),
    ],
)
def test_ends(text, forcing, avoiding):
    verdicts = decide(loss(text))
    assert (verdicts.zero_forcing.holds, verdicts.zero_avoiding.holds) == (forcing, avoiding)


@pytest.mark.parametrize(
    "text, why",
    [
        ("-x**2", "rises before 0"),
        ("x**3", "before 0"),
        ("x**2*exp(-x)", "after 0"),
        ("Max(x, 0)**2", "constant"),
        ("1/(5 - x)", "not finite near x = 5"),
        ("log(x + 10)", "not a real number"),
        ("1/(x**2 - 4)", "not finite"),
        ("Piecewise((x**2, x < 1), (x + 1, True))", "jumps at x = 1"),
    ],
)
def test_what_is_no_valid_loss(text, why):
    verdict = decide(loss(text)).valid
    assert verdict.holds is False and why in verdict.because


@pytest.mark.parametrize(
    "text, convex",
    [
        ("1 - exp(-x**2/2)", False),
        ("log(1 + x**2)", False),
        ("sqrt(Abs(x))", False),
        ("Abs(x)", True),
        ("log(cosh(x))", True),
        ("x*atan(x)", True),
    ],
)
def test_convexity(text, convex):
    assert decide(loss(text)).convex.holds is convex


def test_pinball_is_not_symmetric_between_unequal_masses():
    verdict = decide(loss("Piecewise((-x/4, x < 0), (3*x/4, True))")).symmetric
    assert verdict.holds is False and "equal mass" in verdict.because


def test_nothing_is_guessed_of_a_function_too_large_to_enclose():
    """Its values are no finite balls beyond some x; tails, and a positive factor taken out,
    decide it all the same.
    """
    verdicts = decide(
        loss("exp(exp(x))")
    )  # g' = e^x e^(e^x) - e with the gauge taken off: strictly convex, g'(0) = 0
    assert (verdicts.valid.holds, verdicts.convex.holds) == (True, True)
    assert (verdicts.zero_forcing.holds, verdicts.zero_avoiding.holds) == (False, True)
    assert (verdicts.even.holds, verdicts.symmetric.holds, verdicts.bounded_gradient.holds) == (
        False,
        False,
        False,
    )
    taller = decide(
        loss("exp(exp(exp(x)))")
    )  # the same is true of it; what is not proved is left open
    expected = {
        "valid": True,
        "convex": True,
        "zero_forcing": False,
        "zero_avoiding": True,
        "bounded_gradient": False,
    }
    assert all(getattr(taller, name).holds in (None, truth) for name, truth in expected.items())
    for verdict in (taller.valid, taller.zero_forcing, taller.zero_avoiding):
        assert verdict.because and (verdict.status == "undecided") == (verdict.holds is None)


def test_parameters_without_values_are_undecided_not_guessed():
    verdicts = decide(loss("linex(alpha)"), budget=5.0)
    assert verdicts.zero_forcing.holds is None and verdicts.zero_forcing.because
    assert decide(loss("linex(alpha)", values={"alpha": "-1/2"})).zero_forcing.holds is True


def test_an_undecided_verdict_has_no_truth_value():
    with pytest.raises(ValueError, match="not a plain yes or no"):
        bool(Verdict(None, "undecided", "nothing was found"))
    assert Verdict(True, "proved", "so") and not Verdict(False, "proved", "so")


@pytest.mark.parametrize(
    ("text", "forcing", "avoiding"),
    [
        ("x**3", "-oo", False),
        ("-x**2", "-oo", False),
        ("x - exp(x)", "-1", "-oo"),
        ("exp(x) - 1 - x - x**2/2", "-oo", "oo"),
    ],
)
def test_losses_that_fall_at_an_end_are_decided_too(text, forcing, avoiding):
    """f(0+) = -g'(-oo) and f'(oo) = int g' e^(-x) may be -oo where g is not valid: neither
    forces nor avoids zeros.
    """
    verdicts = decide(loss(text))
    assert verdicts.valid.holds is False and verdicts.zero_forcing.holds is False
    assert str(verdicts.f_at_zero) == forcing
    assert verdicts.zero_avoiding.holds is (avoiding == "oo")
    assert avoiding != "-oo" or "= -oo" in verdicts.zero_avoiding.because


@pytest.mark.parametrize(
    ("text", "rule"), [("gamma(1 + x)", "pole"), ("polylog(2, exp(x))", "not real")]
)
def test_special_functions_that_are_no_loss(text, rule):
    verdict = decide(loss(text)).valid
    assert verdict.holds is False and [step.rule for step in verdict.steps] == [rule]


@pytest.mark.parametrize(
    ("text", "slope"),
    [
        ("exp(999*x/1000) + x**2", "1000001/1000"),  # falls like e^(-x/1000)
        ("Piecewise((x**2/2, x < 0), (exp(x)/(x + 1)**2 - 1 + x, True))", "1"),
    ],
)  # falls like 1/x^2
def test_the_far_slope_of_integrands_that_fall_slowly(text, slope):
    """By parts: int g' e^{-x} = [g e^{-x}] + int g e^{-x}."""
    entry = loss(text)
    assert str(decide(entry, divergence(entry).generator).slope_at_infinity) == slope
