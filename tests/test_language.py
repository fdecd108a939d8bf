"""Spellings that researchers use, catalogue names within expressions, and what oscillates."""

import mpmath
import pytest
import sympy as sp

from divergence_lab.theory.checker.facts import proofs, structure
from divergence_lab.theory.checker.facts.normal_form import oscillations_added
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.replay import read_parts
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.expressions.parsing import parse
from divergence_lab.theory.expressions.symbols import x
from divergence_lab.theory.expressions.syntax import ExpressionError
from divergence_lab.theory.verdicts.decision import decide


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("abs(x) + max(x, 0) - min(x, 1)", "Abs(x) + Max(x, 0) - Min(x, 1)"),
        ("|x| + |x - |x||/2*|3*x|", "Abs(x) + Abs(x - Abs(x))/2*Abs(3*x)"),
        ("|x|**3", "Abs(x)**3"),
        ("log1p(x**2) + expm1(x)", "log(1 + x**2) + exp(x) - 1"),
        ("softplus(x) + sigmoid(2*x)", "log(1 + exp(x)) + 1/(1 + exp(-2*x))"),
        ("relu(x)**2", "Max(x, 0)**2"),
        ("clip(x, -1, 2)", "Min(Max(x, -1), 2)"),
        ("Heaviside(x - 1)", "(1 + sign(x - 1))/2"),
        ("log10(1 + x**2)", "log(1 + x**2)/log(10)"),
        ("tan(x)", "sin(x)/cos(x)"),
        ("acosh(cosh(x - 1))", "Abs(x - 1)"),
    ],
)
def test_other_spellings(text, plain):
    assert parse(text, x) == parse(plain, x)


@pytest.mark.parametrize(
    "text", ["|x", "x||", "||", "clip(x)", "abs()", "|x|y|", "sin", "linex + x**2", "x^2"]
)
def test_what_is_misspelt_is_refused_in_one_line(text):
    with pytest.raises(ExpressionError) as caught:
        loss(text)
    assert "\n" not in str(caught.value) and "zoo" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("quadratic + linex(1)/2", "x**2/2 + (exp(x) - x - 1)/2"),
        ("Max(quadratic, huber(1))", "x**2/2"),
        ("2*quadratic", "x**2"),
        ("log_cosh + quadratic", None),
    ],
)
def test_catalogue_names_stand_within_expressions(text, plain):
    if plain is None:
        with pytest.raises(ExpressionError):
            loss("no_such_loss(1) + quadratic")
        return
    found, wanted = (loss(t).pieces for t in (text, plain))
    assert [sp.expand(p.expression) for p in found.pieces] == [
        sp.expand(p.expression) for p in wanted.pieces
    ]


def test_a_parameter_within_a_name_has_the_assumption_of_its_family_everywhere():
    found = loss("d*quadratic + huber(d)")
    assert found.assumptions == ("d > 0",) and all(d.is_positive for d in found.parameters)
    assert loss("quadratic + x**2*a").parameters == (sp.Symbol("a", real=True),)


@pytest.mark.parametrize(
    ("text", "answers"),  # valid, convex, zero-forcing, zero-avoiding, even
    [
        ("x**2 + sin(x)**2", "yyyny"),
        ("x**2 + x*sin(x)/3", "ynyny"),
        ("Piecewise((1 - cos(x), Abs(x) <= pi), (2, True))", "ynnny"),
        ("x**2 + cos(3*x)/9", "yyyny"),
    ],
)
def test_losses_that_oscillate_are_decided_where_something_outgrows_it(text, answers):
    found = decide(loss(text))
    verdicts = (found.valid, found.convex, found.zero_forcing, found.zero_avoiding, found.even)
    assert "".join("?" if v.holds is None else "ny"[v.holds] for v in verdicts) == answers


def test_what_falls_back_is_shown_and_what_has_no_limit_stays_open_unless_bounded():
    found = decide(loss("1 - cos(x)"))
    assert found.valid.holds is False and found.zero_forcing.holds is False
    assert decide(loss("x**2*(2 + sin(x))")).zero_forcing.holds is None


def test_a_sum_is_not_negative_beside_oscillations_only_where_it_outweighs_them():
    def sign(text):
        return structure.structural_sign(parse(text, x), x, -sp.oo, sp.oo)

    assert sign("2 + 2*cos(2*x)") == 1 and sign("3 + cos(x) - 2*sin(x) + x**2") == 1
    assert sign("-1 - cos(x)") == -1
    for text in (
        "1 + 2*cos(x)",
        "1 + cos(x) + sin(x)",
        "2 + cos(x) + x**3",
        "cos(x)",
        "2 - x*cos(x)",
    ):
        assert sign(text) is None
    with pytest.raises(Rejected):
        proofs.prove_nonnegative(parse("1999/1000 + 2*cos(x)", x), x, -sp.oo, sp.oo)


def test_an_oscillation_beside_a_point_is_refused_by_the_checker():
    g = parse("x*sin(1/x)", x)
    piece = {"loss": str(g), "slope": str(sp.diff(g)), "curvature": str(sp.diff(g, x, 2))}
    pieces = [{"low": "-oo", "high": "0", **piece}, {"low": "0", "high": "oo", **piece}]
    with pytest.raises(Rejected, match="oscillates beside 0"):
        read_parts({"loss": str(g), "pieces": pieces})


@pytest.mark.parametrize(
    "text",
    [
        "sin(x)**3*cos(2*x)**2",
        "cos(x)*cos(x - 1)*sin(2*x + 3)",
        "(sin(x) + 2*cos(3*x))**4 - x*sin(x)**2",
    ],
)
def test_products_of_oscillations_are_the_same_sums(text):
    f = parse(text, x)
    g = oscillations_added(f)
    assert not any(w.is_Pow and isinstance(w.base, sp.sin | sp.cos) for w in g.atoms(sp.Pow))
    for point in (0.3, -2.1, 17.0):
        a, b = (sp.lambdify(x, h, "mpmath")(mpmath.mpf(point)) for h in (f, g))
        assert abs(a - b) < 1e-12
    assert proofs.is_identity(sp.sin(x) ** 2 + sp.cos(x) ** 2 - 1, x)
    assert not proofs.is_identity(
        sp.sin(x) ** 2 + sp.cos(x) ** 2 - sp.Rational(10**9 + 1, 10**9), x
    )
