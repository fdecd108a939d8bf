"""Kinks are split exactly, and derivatives are taken piece by piece."""

import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from divergence_lab.theory.divergence.loss import jump, loss
from divergence_lab.theory.expressions.ordering import CannotSplit
from divergence_lab.theory.expressions.parsing import parse
from divergence_lab.theory.expressions.pieces import split
from divergence_lab.theory.expressions.symbols import x
from divergence_lab.theory.expressions.syntax import ExpressionError


@pytest.mark.parametrize(
    "text, kinks",
    [
        ("x**2", ()),
        ("Abs(x)", (0,)),
        ("Max(x - 1, 0) + Max(-x - 2, 0)", (-2, 1)),
        ("Abs(x**2 - 2)", (-sp.sqrt(2), sp.sqrt(2))),
        ("Abs(exp(x) - 2)", (sp.log(2),)),
        ("Max(x, -x, 2*Abs(x) - 1)", (-1, 0, 1)),
        ("Abs(x)**2", ()),
        ("sign(x)*x", (0,)),
        ("Piecewise((x**2/2, Abs(x) <= 1), (Abs(x) - 1/2, True))", (-1, 1)),
        ("Abs(Abs(x) - 1)", (-1, 0, 1)),
    ],
)
def test_kinks(text, kinks):
    assert split(parse(text, x), x).kinks == tuple(map(sp.sympify, kinks))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-4, 4), st.integers(1, 3)), min_size=1, max_size=4),
    st.fractions(-6, 6),
)
def test_pieces_equal_the_expression_everywhere(terms, point):
    expression = sum(weight * sp.Abs(x - kink) for kink, weight in terms) + sp.Max(x, 1 - x)
    point = sp.Rational(point.numerator, point.denominator)
    pieces = split(expression, x)
    for piece in pieces.pieces:
        if piece.low <= point <= piece.high:
            assert sp.simplify(piece.expression.subs(x, point) - expression.subs(x, point)) == 0


def test_jumps_of_the_derivative():
    assert jump(loss("Abs(x)"), sp.S.Zero) == 2
    assert jump(loss("Piecewise((-x/4, x < 0), (3*x/4, True))"), sp.S.Zero) == 1
    assert jump(loss("sqrt(Abs(x))"), sp.S.Zero) == sp.oo


def test_roots_stay_real_on_the_left():
    assert loss("Abs(x)**(3/2)").derivative.pieces[0].expression == -3 * sp.sqrt(-x) / 2


def test_what_decides_may_change_its_sign_where_it_has_no_value():
    """1/(x + 1) + b (x + 1) is negative before -1, of which a sample beside 2 says nothing."""
    bent = parse("(x + 1)**2*Abs(1/(x + 1) + b*(x + 1)*Max(1, (x + 1)/3))", x, ("b > 0",))
    first = split(bent, x).pieces[0]
    assert first.high == -1 and sp.cancel(first.expression.subs(x, -2)).is_positive


def test_a_kink_that_cannot_be_located_is_refused():
    with pytest.raises(CannotSplit):
        split(parse("Max(exp(-x**2), x**2/2)", x), x)
    with pytest.raises(ExpressionError, match="could not be found"):
        loss("Abs((exp(-x**2) - x)**2 - Max(x, 3)*tan(x))")


@pytest.mark.parametrize(
    "text, gauge, rest",
    [
        ("x**2/2 + 3*x + 2", (2, 3), "x**2/2"),
        ("cosh(x)", (1, 0), "cosh(x) - 1"),
        ("exp(x)", (1, 1), "exp(x) - x - 1"),
        ("Abs(x) + 5", (5, 0), "Abs(x)"),
    ],
)
def test_gauge_is_removed_and_kept(text, gauge, rest):
    found = loss(text)
    assert found.gauge == tuple(map(sp.sympify, gauge))
    assert sp.simplify(found.expression - parse(rest, x)) == 0


@pytest.mark.parametrize(
    "text", ["3", "sin(1/x)", "linex", "linex(1, 2)", "quadratic(3)", "linex(1/0)", "linex(oo)"]
)
def test_what_is_no_loss_is_refused(text):
    with pytest.raises(ExpressionError):
        loss(text)


def test_catalogue_names_are_recognised_from_formulas():
    assert loss("exp(x) - x - 1").name == "linex(1)"
    assert loss("linex(0)").expression == x**2 / 2
    assert loss("linex(alpha)", values={"alpha": "1"}).expression == loss("linex(1)").expression


@pytest.mark.parametrize(
    "text",
    [
        "Piecewise((x**2, x < 1), (7, x <= 1), (x**2, True))",
        "x**2 + sign(x-1)**2",
        "x**2 + sign(x+2)*sign(x+2) - 1",
        "Max(x**2, 3*Piecewise((0, x < -1), (1, x <= -1), (0, True)))",
    ],
)
def test_a_value_at_a_single_point_is_no_piece(text):
    """Almost everywhere it is x^2 or so, but g is not continuous there: the break is kept."""
    assert loss(text).pieces.kinks


@pytest.mark.parametrize(
    "text",
    [
        "x**2*sign(x-1)**2*0 + x**2",
        "Piecewise((x**2, x < 1), (1, x <= 1), (x**2, True))",
        "Piecewise((x**2, x <= 1), (2*x-1, True))",
        "x*Abs(x)",
        "x**2 + (x-1)*sign(x-1)",
        "x**2 + sign(x-1)",
        "x**2 + Max(0, sqrt(3+2*sqrt(2))*x - log(8)/2)",
        "x**2 + Max(0, x + sqrt(2)-1 - 1/(1+sqrt(2)))",
    ],
)
def test_a_value_at_a_point_that_fits_is_fine(text):
    assert loss(text).pieces
