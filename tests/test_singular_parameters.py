"""Values of parameters at which a formula has none: the limit where there is one, else left out;
the checker proves either.
"""

import json
import re

import pytest
import sympy as sp

from divergence_lab.theory.answers.derivation import derive, to_json
from divergence_lab.theory.checker.certificate import cites, seal
from divergence_lab.theory.checker.documents import check_one
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.families.continuation import NoValue, value_or_limit
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.expressions.symbols import x
from divergence_lab.theory.expressions.syntax import ExpressionError
from divergence_lab.theory.verdicts.parameters import ask_for_parameters
from divergence_lab.theory.verdicts.plain import ask_one

BELOW, ABOVE, BOTH = (-1,), (1,), (-1, 1)
# loss, assumptions, where, from which sides, the limit by hand (None: there is none)
LIMITS = [
    ("c*(sqrt(1+(x/c)**2)-1)", ("c >= 0",), {"c": 0}, ABOVE, sp.Abs(x)),
    ("c*(sqrt(1+(x/c)**2)-1)", (), {"c": 0}, BELOW, -sp.Abs(x)),
    ("c*(sqrt(1+(x/c)**2)-1)", (), {"c": 0}, BOTH, None),
    ("Abs(c)*(sqrt(1+(x/c)**2)-1)", (), {"c": 0}, BOTH, sp.Abs(x)),
    ("c**2*(sqrt(1+(x/c)**2)-1)", (), {"c": 0}, BOTH, 0),
    ("s*log(1+exp(x/s))", ("s >= 0",), {"s": 0}, ABOVE, sp.Abs(x) / 2),
    ("c*log((1+exp(x**2/c))/2)", ("c >= 0",), {"c": 0}, ABOVE, x**2),
    ("(cosh(k*x)-1)/k**2", (), {"k": 0}, BOTH, x**2 / 2),
    ("exp(a*x)/a**2-x/a-1/a**2", (), {"a": 0}, BOTH, x**2 / 2),
    ("barron(alpha)", (), {"alpha": 0}, BOTH, sp.log(x**2 / 2 + 1)),
    ("barron(alpha)", (), {"alpha": 2}, BOTH, x**2 / 2),
    ("split_linex(a,b)", (), {"a": 0, "b": 0}, BOTH, x**2 / 2),
    ("(1-exp(-k*x**2))/k", (), {"k": 0}, BOTH, x**2),
    ("c*log(1+x**2/c**2)", ("c >= 0",), {"c": 0}, ABOVE, 0),
    ("x*tanh(x/c)", ("c >= 0",), {"c": 0}, ABOVE, sp.Abs(x)),
    ("x**2*exp(-1/c**2)", (), {"c": 0}, BOTH, 0),
    ("(b**x-x*log(b)-1)/log(b)**2", ("b > 0",), {"b": 1}, BOTH, x**2 / 2),
    ("c*(sqrt(1+(x/c)**2)-1)+b*x**2", ("c >= 0",), {"c": 0, "b": 0}, BOTH[1:], sp.Abs(x)),
    ("c*(exp(Abs(x)/(c**2+c))-1)", (), {"c": 0}, BELOW, 0),
    ("c*(exp(Abs(x)/(c**2+c))-1)", (), {"c": 0}, ABOVE, None),
    ("c*(exp(Abs(x)/(c**2+c))-1)", (), {"c": -1}, BOTH, None),
    ("x**2/(x**2+c**2)", ("c >= 0",), {"c": 0}, ABOVE, None),  # 1 off 0
    ("1-exp(-x**2/c)", ("c >= 0",), {"c": 0}, ABOVE, None),
    ("x**2/(a-1)", (), {"a": 1}, BOTH, None),
    ("x**2*tanh(1/c)", (), {"c": 0}, BOTH, None),
    ("Abs(x)**(1/p)", ("p > 0",), {"p": 0}, ABOVE, None),
    (
        "x**2*b/(b+c)",
        ("b >= 0", "c >= 0"),
        {"b": 0, "c": 0},
        ABOVE,
        None,
    ),  # 0 and x^2 one after the other
    ("x**2*c/(c+(x-1)**2)", ("c >= 0",), {"c": 0}, ABOVE, None),  # 1 at x = 1, 0 elsewhere
    ("x**2*sqrt(c)/(c+Abs(x-1))", ("c >= 0",), {"c": 0}, ABOVE, None),
    ("x**2*(1/(c+(x-1)**2)-1/(2*c+(x-1)**2))", ("c >= 0",), {"c": 0}, ABOVE, None),
    ("x**2+c*Abs(x-1)/(c+Abs(x-1))", ("c >= 0",), {"c": 0}, ABOVE, x**2),
    # what has no value at x = 1 vanishes in one place, and stands in another
    ("(x**2*sqrt(c)+(x-1)**2)/(c+Abs(x-1))-1/(1+c)", ("c >= 0",), {"c": 0}, ABOVE, None),
    ("x**2*sqrt(c)/(c+Abs(x-1))+(x-1)**2/(c+Abs(x-1))-1/(1+c)", ("c >= 0",), {"c": 0}, ABOVE, None),
    ("log(1+x**2)+Abs(x-1)**c-1", ("c >= 0",), {"c": 0}, ABOVE, None),  # 0^0 at x = 1
    (
        "x**2+d*x**4/sqrt(c)",
        ("c >= 0", "d >= 0"),
        {"c": 0, "d": 0},
        ABOVE,
        None,
    ),  # x^2 along d = 0 alone
    ("k*(cosh(a*x)-1)/a**2+x**2", ("k >= 0",), {"a": 0, "k": 0}, ABOVE, x**2),
    ("a*b*(sqrt(1+(x/b)**2)-1)", ("a >= 0", "b >= 0"), {"a": 0, "b": 0}, ABOVE, 0),
]


@pytest.mark.parametrize(("text", "assumptions", "where", "sides", "limit"), LIMITS)
def test_limits_of_families(text, assumptions, where, sides, limit):
    entry = loss(text, assumptions)
    points = {s: sp.Integer(where[s.name]) for s in entry.parameters}
    ask = (entry.expression, points, dict.fromkeys(where, sides))
    if limit is None:
        with pytest.raises(NoValue):
            value_or_limit(*ask)
        return
    found = value_or_limit(*ask)
    for at in (sp.Rational(-7, 3), sp.Rational(1, 5), sp.Integer(3)):
        assert sp.simplify(found.subs(x, at) - sp.sympify(limit).subs(x, at)) == 0


@pytest.mark.parametrize("text", ["(exp(a*x)-exp(b*x))/sinh(a-b)", "x**2/2 + sin"])
def test_what_is_not_shown_is_not_said(text):
    if "sin" in text:
        family, (a, b) = (
            x**2 + sp.Symbol("a", real=True) * sp.sin(x / sp.Symbol("a", real=True)),
            (sp.Symbol("a", real=True), None),
        )
    else:
        entry = loss(text)
        family, (a, b) = entry.expression, entry.parameters
    with pytest.raises(Rejected) as failure:
        value_or_limit(
            family, {s: sp.S.One if b else sp.S.Zero for s in (a, b) if s is not None}, {}
        )
    assert not isinstance(failure.value, NoValue)


def _entry(text, *assumptions):
    return json.loads(json.dumps(to_json(derive(loss(text, assumptions), budget=60))))


def test_a_family_is_continued_and_a_value_left_out():
    entry = _entry("c*(sqrt(1+(x/c)**2)-1)", "c >= 0")
    assert (entry["validity"]["holds"], entry["symmetric"]["condition"], entry["left_out"]) == (
        True,
        "c = 0",
        [],
    )
    assert check_one(entry) == []
    entry = _entry("c*(sqrt(1+(x/c)**2)-1)")
    assert (entry["validity"]["condition"], entry["left_out"]) == ("c > 0", ["c = 0"])
    assert check_one(entry) == []
    assert check_one({**entry, "left_out": []})[0].where == "left_out"


# g'(0) is finite off a value of a parameter, or exists by what is assumed: the same is taken off as
# once it has a value
GAUGES = [
    ("x+Abs(x)**p", ("p > 1",), ("3/2", "2")),
    ("log(1+exp(x/b))", (), ("-1", "2")),
    ("exp(x/b)+Abs(x)**3", ("b >= 0",), ("1/2", "2")),
]


@pytest.mark.parametrize(("text", "assumptions", "values"), GAUGES)
def test_a_family_says_what_its_members_say(text, assumptions, values):
    family = loss(text, assumptions)
    (symbol,) = family.parameters
    for kind in ("validity", "even", "symmetric"):
        verdict = ask_for_parameters(kind, family, 30)
        assert verdict.holds is not None or verdict.condition, (kind, verdict)
        for value in values:
            said = verdict.holds
            if verdict.condition:
                condition = re.sub(r"(?<![<>!=])=(?!=)", "==", verdict.condition)
                said = bool(eval(condition, {symbol.name: sp.Rational(value)}))
            assert said is ask_one(kind, loss(text, (), {symbol.name: value})).holds, (
                f"{kind} at {value}: {verdict.condition}"
            )


def test_the_checker_refuses_to_leave_out_what_has_a_limit():
    entry = _entry("c*(sqrt(1+(x/c)**2)-1)", "c >= 0")
    verdict = entry["zero_forcing"]
    assert [step["rule"] for step in verdict["steps"]] == ["cell", "cell"]
    verdict["steps"][0] = {
        "rule": "undefined",
        "parameter": "c",
        "at": "0",
        "claim": "for c = 0 the formula has no value, and the family no limit",
    }
    verdict["cites"] = cites("zero_forcing", verdict["steps"])
    verdict["seal"] = seal(verdict)
    assert [failure.why for failure in check_one(entry)] == [
        f"{verdict['steps'][0]['claim']}: it has one"
    ]


# a break point that moves with c >= 0: at c = 0 it is the end of the range, where the family is
# continued (by hand)
@pytest.mark.parametrize(
    ("text", "kind", "holds", "condition"),
    [
        ("Min(x**2/c, Abs(x))", "convex", None, "c = 0"),
        ("Min(x**2, c)", "validity", None, "c > 0"),
        ("Max(x**2, c*Abs(x))", "even", True, None),
    ],
)
def test_break_points_that_move_with_a_parameter(text, kind, holds, condition):
    verdict = ask_for_parameters(kind, loss(text, ("c >= 0",)), 20)
    assert (verdict.holds, verdict.condition) == (holds, condition)


@pytest.mark.parametrize(
    ("text", "assumptions", "values", "words"),
    [
        ("linex(a)", ("a > 1",), {"a": "1/2"}, "contradicts what was assumed of a"),
        ("linex(a)", ("a != 1",), {"a": "1"}, "contradicts"),
        (
            "Abs(x-a)+x**2",
            (),
            {},
            "whether 0 < a depends on the parameters: state it with --assume",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(text, assumptions, values, words):
    with pytest.raises(ExpressionError, match=words):
        loss(text, assumptions, values)


@pytest.mark.parametrize(
    ("text", "assumptions", "slope"),
    [
        ("x+Abs(x)**p+Abs(x)**q", ("p > 1", "q > 1"), "1"),
        ("a*log(1+exp(x/b))", ("a >= 0", "b >= 0"), "a/(2*b)"),
        ("x+Abs(x)**p", ("p > 0",), "0"),
    ],
)
def test_the_gauge_of_a_family(text, assumptions, slope):
    assert str(loss(text, assumptions).gauge[1]) == slope


def test_a_line_of_parameters_without_a_limit_is_left_out():
    entry = _entry("x**2/(a-b)**2 + Abs(x)", "a > 0", "b > 0")
    assert (entry["even"]["holds"], entry["validity"]["holds"]) == (True, True)
    assert entry["left_out"] == ["a = b"]
    assert check_one(entry) == []
    assert check_one({**entry, "left_out": []})[0].where == "left_out"


def test_a_limit_with_the_other_parameter_held_is_not_taken():
    a, b = sp.symbols("a b", positive=True)
    powers = x**2 * (sp.Abs(x) ** a - sp.Abs(x) ** b) / (a - b)  # not analytic at x = 0
    with pytest.raises(Rejected) as failure:
        value_or_limit(powers, {b: a}, {"b": BOTH})
    assert not isinstance(failure.value, NoValue)
    analytic = value_or_limit(x**2 * (a**2 - b**2) / (a - b), {b: a}, {"b": BOTH})
    assert sp.simplify(analytic - 2 * a * x**2) == 0
    with pytest.raises(NoValue):
        value_or_limit(x**2 / (a - b), {b: a}, {"b": BOTH})


@pytest.mark.parametrize(
    ("text", "assumptions", "there"),
    [
        ("Abs(x+c**2)-c**2", (), "c = 0"),  # |x| there, and a hinge with x left out elsewhere
        ("Abs(x+Max(c,0))-Max(c,0)+cosh(x)", (), "c = 0"),
        ("Abs(x-log(1+c))+x**2", ("c >= 0",), "c = 0"),
        ("Abs(x-a*b)+x**2", ("a >= 0", "b > 0"), "a = 0"),
    ],
)
def test_no_straight_part_is_left_out_where_a_kink_comes_to_zero(text, assumptions, there):
    with pytest.raises(ExpressionError, match=f"at {re.escape(there)} a kink comes to 0"):
        loss(text, assumptions)


def test_a_kink_that_comes_to_zero_without_a_slope_is_no_obstacle():
    for text in ("huber(c)", "Max(0,Abs(x)-c**2)", "(abs(x+c**2)-c**2)*(1-exp(-c))+x**2"):
        loss(text)
    assert loss("Abs(x+c**2)-c**2", ("c > 0",)).gauge == (0, 1)
    assert loss("c*Abs(x)+x**2").gauge == (0, 0)
