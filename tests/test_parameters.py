"""Verdicts with parameters, their exact conditions, and the numbers at the ends; each
certificate is checked as well.
"""

import json

import pytest
import sympy as sp

from divergence_lab.theory.answers.derivation import derive, to_json
from divergence_lab.theory.answers.wording import ends_in_words
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.families.continuation import NoValue
from divergence_lab.theory.checker.families.exponential_terms import never_vanishes
from divergence_lab.theory.checker.families.ranges import read_assumed
from divergence_lab.theory.checker.kinds.in_cells import holds_in_cell, prove_line
from divergence_lab.theory.checker.kinds.lines import holds_on_line
from divergence_lab.theory.checker.parametric import check_parametric
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.expressions.parsing import parse
from divergence_lab.theory.expressions.printing import write
from divergence_lab.theory.expressions.symbols import x
from divergence_lab.theory.expressions.syntax import ExpressionError
from divergence_lab.theory.verdicts.parameter_numbers import numbers_for_parameters
from divergence_lab.theory.verdicts.parameters import ask_for_parameters
from divergence_lab.theory.verdicts.verdict import verdict_to_json

SECONDS = 40.0
HUBER_OF_A_SQUARE = "Piecewise((x**2/2, Abs(x) < c**2), (c**2*(Abs(x) - c**2/2), True))"
# loss, assumptions, verdict, holds, condition: all derived by hand
KNOWN = [
    ("a*x**2 + b*(exp(x) - x - 1)", ("a > 0", "b > 0"), "symmetric", None, "a - b/2 = 0"),
    ("Piecewise((a*x**2, x < 0), (b*x**2, True))", ("a > 0", "b > 0"), "even", None, "a - b = 0"),
    ("Piecewise((a*x**2, x < 0), (b*x**2, True))", ("a > 0", "b > 0"), "symmetric", False, None),
    ("Piecewise((-a*x, x < 0), (b*x, True))", ("a > 0", "b > 0"), "symmetric", None, "a - b = 0"),
    ("a*exp(x) + b*exp(-x)", ("a > 0", "b > 0"), "symmetric", False, None),
    ("x**2 + a*x**3", (), "zero_forcing", None, "a <= 0"),
    ("x**2 + a*x**4", (), "validity", None, "a >= 0"),
    ("a*(exp(x) - x - 1)", (), "zero_avoiding", None, "a > 0"),
    ("a*x**2/2 + (1 - a)*(exp(x) - x - 1)", (), "validity", None, "0 <= a <= 1"),
    ("a*x**2/2 + (1 - a)*(exp(x) - x - 1)", (), "zero_avoiding", None, "a < 1"),
    ("(1 + x**2)**a - 1", ("a > 0",), "convex", None, "a >= 1/2"),
    ("quantile_huber(q)", (), "even", None, "q = 1/2"),
    ("sqrt(d**2 + x**2) - d", ("d > 0",), "bounded_gradient", True, None),
    # pieces that are empty for a value of the parameter inside its range
    ("Max(0, Abs(x) - c**2)", (), "validity", None, "c = 0"),
    (HUBER_OF_A_SQUARE, (), "validity", None, "c != 0"),
    (HUBER_OF_A_SQUARE, (), "symmetric", None, "c = 0"),
    # of a jump that SymPy doesn't know to be finite
    ("x**2 - Max(0, x - 1)/(exp(b) - 1)", ("b > 0",), "convex", False, None),
]


@pytest.mark.parametrize(("text", "assumptions", "kind", "holds", "condition"), KNOWN)
def test_exact_conditions(text, assumptions, kind, holds, condition):
    entry = loss(text, assumptions)
    found = ask_for_parameters(kind, entry, SECONDS)
    assert (found.holds, found.condition) == (holds, condition), found.because
    check_parametric(kind, verdict_to_json(found, kind), write(entry.expression), entry.assumptions)


@pytest.mark.parametrize(
    ("text", "assumptions", "kind", "equation", "solved"),
    [
        ("a*x**2 + b*(exp(x) - x - 1)", ("a > 0", "b > 0"), "symmetric", "a - b", "a"),
        (
            "Piecewise((a*x**2, x < 0), (b*x**2, True))",
            ("a > 0", "b > 0"),
            "symmetric",
            "a - b",
            "a",
        ),
        ("Piecewise((a*x**2, x < 0), (b*x**2, True))", (), "even", "a*b - b**2", "a"),
        ("a*exp(x) + b*exp(-x)", ("a > 0", "b > 0"), "even", "a + b", "a"),
    ],
)
def test_a_wrong_equation_is_refused(text, assumptions, kind, equation, solved):
    expression = loss(text, assumptions).expression
    symbols = {s.name: s for s in expression.free_symbols}
    with pytest.raises(Rejected):
        holds_on_line(kind, expression, sp.sympify(equation, symbols), symbols[solved])


# Off the equation, on it, or at a = 0 the formula has no value, or its limit says something else.
TWO_RATES = "Piecewise((exp(-a*x) + a*x - 1, x < 0), (exp(b*x) - b*x - 1, True))"


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        (TWO_RATES, True),
        (f"x**2/(a - b)**2 + {TWO_RATES}", False),
        (f"x**2/(c - 1)**2 + {TWO_RATES}", False),
        (f"x**2 + exp(-1/c**2)*{TWO_RATES}", False),
        (f"(cosh(c*x) - 1)/c**2 + {TWO_RATES}", True),
    ],
)
def test_an_equation_says_what_holds_where_the_formula_has_no_value_too(text, holds):
    assumptions = ("a > 0", "b > 0")
    expression = loss(text, assumptions).expression
    a, b = (next(s for s in expression.free_symbols if s.name == name) for name in "ab")
    ask = ("even", expression, a - b, a, read_assumed(expression, assumptions))
    if holds:
        prove_line(*ask)
        return
    with pytest.raises(Rejected):
        prove_line(*ask)


def test_terms_that_cannot_cancel():
    a, b = sp.symbols("a b", positive=True)
    assert never_vanishes(a * sp.exp(x) + b * sp.exp(-x) - a - b * sp.exp(2 * x))
    assert not never_vanishes(a * sp.exp(a * x) - b * sp.exp(b * x))  # at a = b it is 0
    assert not never_vanishes((a - b) * x * sp.exp(x))
    with pytest.raises(Rejected):
        never_vanishes(a * sp.sqrt(x))


def test_a_cell_with_both_answers_is_not_proved():
    expression = loss("a*x**2/2 + (1 - a)*(exp(x) - x - 1)").expression
    assert holds_in_cell("validity", expression, {"a": (sp.S.One, sp.oo)}) is False
    assert holds_in_cell("validity", expression, {"a": (sp.S.Zero, sp.S.One)}) is True
    with pytest.raises((Rejected, NoValue)):
        holds_in_cell("validity", expression, {"a": (sp.Rational(1, 2), sp.Integer(2))})


@pytest.mark.parametrize(
    ("text", "assumptions", "at_zero", "slope", "curvature"),
    [
        ("huber(c)", (), "c", "1 - exp(-c)", "1"),
        ("sqrt(d**2 + x**2) - d", ("d > 0",), "1", None, "1/d"),
        ("pinball(q)", (), "1 - q", "q", "oo"),
        (
            "expectile(q)",
            (),
            "oo",
            "2*q",
            {
                "cases": [
                    {"condition": "q != 1/2", "value": None},
                    {"condition": "q = 1/2", "value": "1"},
                ]
            },
        ),
    ],
)
def test_numbers_at_the_ends(text, assumptions, at_zero, slope, curvature):
    """By hand: f(0+) = -g'(-oo); f'(oo) = int g' e^{-x}."""
    entry = json.loads(json.dumps(to_json(derive(loss(text, assumptions), budget=SECONDS))))
    assert (
        sp.simplify(parse(entry["f_at_zero"], x) - parse(at_zero, x)) == 0
        if at_zero != "oo"
        else entry["f_at_zero"] == "oo"
    )
    assert (entry["slope_at_infinity"], entry["curvature_at_zero"]) == (slope, curvature)


@pytest.mark.parametrize(
    "assumptions", [("a > 0", "a < 0"), ("a > 3", "a < 1"), ("a >= 2", "a <= 2")]
)
def test_assumptions_that_leave_nothing_are_refused(assumptions):
    with pytest.raises(ExpressionError, match="contradict"):
        loss("linex(a)", assumptions)


def test_the_swapped_loss_of_a_family_is_one_formula():
    found = derive(loss("linex(a)"), budget=SECONDS).dual_loss
    assert not found.has(sp.Piecewise)
    (a,) = found.free_symbols - {x}
    assert sp.simplify(found - (sp.exp((1 - a) * x) - (1 - a) * x - 1) / (1 - a) ** 2) == 0


# by hand: |x|^p has f(0+) = lim p |x|^(p-1), g''(0) = lim p (p-1) |x|^(p-2)
KINKS = [
    ("Abs(x)**p", ("p > 0",), "f_at_zero", [("p < 1", "0"), ("p = 1", "1"), ("p > 1", "oo")]),
    (
        "Abs(x)**p",
        ("p > 0",),
        "curvature_at_zero",
        [("p < 2", "oo"), ("p = 2", "2"), ("p > 2", "0")],
    ),
    ("Abs(x)**a", ("a > 2",), "curvature_at_zero", "0"),
    ("Abs(x)**p + Abs(x)**q", ("p > 2", "q > 2"), "curvature_at_zero", "0"),
    (
        "log(1+Abs(x))**p",
        ("p > 0",),
        "curvature_at_zero",
        [("p < 2", "oo"), ("p = 2", "2"), ("p > 2", "0")],
    ),
    (
        "exp(x)-x-1+k*Abs(x)",
        (),
        "curvature_at_zero",
        [("k < 0", "-oo"), ("k = 0", "1"), ("k > 0", "oo")],
    ),
    ("Abs(x)**p + x**2", ("p > 3",), "curvature_at_zero", "2"),
    ("(x**2)**(p/2)", ("p > 2",), "curvature_at_zero", "0"),
    (
        "Piecewise(((1-tau)*Abs(x)**p, x<0), (tau*Abs(x)**p, True))",
        ("tau > 0", "tau < 1", "p > 0"),
        "curvature_at_zero",
        [
            ("p < 2", "oo"),
            ("p = 2 and tau != 1/2", None),
            ("p = 2 and tau = 1/2", "1"),
            ("p > 2", "0"),
        ],
    ),
    (
        "c*(sqrt(1+(x/c)**2)-1)",
        ("c >= 0",),
        "curvature_at_zero",
        [("c = 0", "oo"), ("c > 0", "1/c")],
    ),
    ("linex(alpha)", (), "f_at_zero", [("alpha <= 0", "oo"), ("alpha > 0", "1/alpha")]),
    (
        "linex(alpha)",
        (),
        "slope_at_infinity",
        [("alpha < 1", "-1/(alpha - 1)"), ("alpha >= 1", "oo")],
    ),
    (
        "(cosh(k*x)-1)/k**2",
        (),
        "slope_at_infinity",
        [("k <= -1 or k >= 1", "oo"), ("-1 < k < 1", "-1/(k**2 - 1)")],
    ),
]


@pytest.mark.parametrize(("text", "assumptions", "what", "expected"), KINKS)
def test_numbers_that_depend_on_parameters_have_cases(text, assumptions, what, expected):
    numbers = dict(
        zip(
            ("f_at_zero", "slope_at_infinity", "curvature_at_zero"),
            numbers_for_parameters(loss(text, assumptions), None),
        )
    )
    found = numbers[what]
    if isinstance(expected, str):
        assert write(found) == expected
    else:
        assert [
            (condition, None if value is None else write(value)) for condition, value in found.cases
        ] == expected


def test_cases_in_words():
    numbers = numbers_for_parameters(loss("Abs(x)**p", ("p > 0",)), None)
    assert ends_in_words([("f(0+)", numbers[0]), ("g''(0)", numbers[2])], write) == [
        "  ends          f(0+) = 0 if p < 1, 1 if p = 1, oo if p > 1",
        "                g''(0) = oo if p < 2, 2 if p = 2, 0 if p > 2",
    ]
    assert ends_in_words([("f(0+)", sp.oo), ("g''(0)", None)], write) == [
        "  ends          f(0+) = oo, g''(0) = unknown"
    ]
