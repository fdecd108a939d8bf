"""At a point where a formula has no value g is continued by its limit, or is no loss there: P23."""

import copy
import functools

import mpmath
import pytest
import sympy as sp

from divergence_lab.theory.answers.derivation import Derivation, to_json
from divergence_lab.theory.checker.documents import check, examine
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.replay import read_parts
from divergence_lab.theory.checker.sentences import because_of
from divergence_lab.theory.divergence.closed_form import Divergence
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.expressions.parsing import parse
from divergence_lab.theory.expressions.points import undefined_points, value_of
from divergence_lab.theory.expressions.symbols import x
from divergence_lab.theory.expressions.syntax import ExpressionError
from divergence_lab.theory.verdicts.decision import decide
from divergence_lab.theory.verdicts.plain import ask_one
from tests.forgeries import resealed


@functools.cache
def entry_of(text):
    """What `derive --json` prints of a loss, but for what needs a closed form of f."""
    entry = loss(text)
    return to_json(
        Derivation(entry, Divergence(entry, None, None, None, 0), decide(entry), None, (), None)
    )


KINDS = ("validity", "convex", "zero_forcing", "zero_avoiding", "even", "bounded_gradient")
CONTINUED = {  # the points, and the answers in the order of KINDS
    "log(sinh(x)/x)": ("0", "yynnyy"),
    "sinh(x)/x - 1": ("0", "yyyyyn"),
    "exp(-1/x**2)": ("0", "ynnnyy"),
    "x**2*log(x**2)": ("0", "nnynyn"),
    "Abs(x)*log(Abs(x))": ("0", "nnynyn"),
    "Piecewise((x**2, x < 0), (x**2*exp(-1/x), True))": ("0", "yyynnn"),
    "(x**2 - 1)/(x - 1) + x**2": ("1", "yyynyn"),
    "x**2 + exp(-1/(x - 1)**2)": ("1", "yyynnn"),
    "(exp(2*x) - 1)/(exp(x) - 1)": ("0", "yynynn"),
}


@pytest.mark.parametrize("text", CONTINUED)
def test_a_removable_point_is_continued_and_said(text):
    points, answers = CONTINUED[text]
    entry = entry_of(text)
    assert entry["continued"] == [f"x = {point}" for point in points.split()]
    assert "".join("yn"[not entry[kind]["holds"]] for kind in KINDS) == answers
    report = examine(entry)
    assert not report.failures and "continued" not in report.not_verified


@pytest.mark.parametrize(
    "text", ["log(sinh(x)/x)", pytest.param("x**2 + exp(-1/(x - 1)**2)", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("stated", [[], ["x = 2"], ["x = 0", "x = 1"], ["0"], ["x = oo"], [7]])
def test_what_is_said_of_such_points_is_checked(text, stated):
    entry = {**entry_of(text), "continued": stated}
    assert any(failure.where == "continued" for failure in check(entry))


def test_of_a_formula_with_a_value_everywhere_nothing_is_continued():
    entry = entry_of("x**2")
    assert entry["continued"] == [] and check(entry) == []
    assert check({**entry, "continued": ["x = 0"]})
    assert check({key: value for key, value in entry.items() if key != "continued"}) == []


@pytest.mark.parametrize(
    ("text", "rule", "why"),
    [
        ("exp(x)/(x + 1)**2", "unbounded", "near x = -1"),
        ("x**2 + log((x - 1)**2)", "unbounded", "near x = 1"),
        ("x**2/(exp(x) - 2)", "unbounded", "near x = log(2)"),
        ("1/(x**2 - 2)", "unbounded", "near x = -sqrt(2)"),
        ("x**2 + atan(1/(x - 1))", "gap", "jumps at x = 1, by pi"),
        ("x**2 + tanh(1/(x - 1))", "gap", "jumps at x = 1, by 2"),
        ("x**2 + Abs(x - 1)/(x - 1)", "gap", "jumps at x = 1, by 2"),
        ("log(1 + x)", "not real", "not a real number"),
    ],
)
def test_poles_and_jumps_are_no_loss_and_not_convex(text, rule, why):
    entry = entry_of(text)
    for kind in ("validity", "convex"):
        assert entry[kind]["holds"] is False and why in entry[kind]["because"]
        assert [step["rule"] for step in entry[kind]["steps"]] == [rule]
    assert entry["continued"] == [] and check(entry) == []


@pytest.mark.parametrize(
    ("key", "new"), [("at", "2"), ("jump", "1"), ("left", "x**2"), ("low", "3")]
)
def test_a_forged_jump_is_rejected(key, new):
    entry = entry_of("x**2 + atan(1/(x - 1))")
    forged = copy.deepcopy(entry)
    forged["convex"]["steps"][0][key] = new
    verdict = resealed(forged["convex"], "convex")
    verdict["because"] = because_of("convex", False, None, verdict["steps"])
    assert check({**forged, "convex": resealed(verdict, "convex")})


def test_a_jump_says_nothing_of_the_ends():
    entry = entry_of("x**2 + atan(1/(x - 1))")
    forged = copy.deepcopy(entry)
    forged["zero_forcing"] = resealed(
        {**copy.deepcopy(entry["convex"]), "because": "g jumps at x = 1, by pi"}, "zero_forcing"
    )
    assert [failure.where for failure in check(forged)] == ["zero_forcing"]


def test_what_has_no_known_limit_at_zero_is_refused_in_words():
    with pytest.raises(ExpressionError, match="no value at x = 0, where a loss is 0, and no limit"):
        loss("x**2 + sin(1/x)")


def test_a_value_of_its_own_is_rejected_by_the_checker_too():
    piece = {"slope": "2*x", "curvature": "2", "loss": "x**2"}
    pieces = [{"low": "-oo", "high": "0", **piece}, {"low": "0", "high": "oo", **piece}]
    read_parts({"loss": "x**2", "pieces": pieces})
    with pytest.raises(Rejected, match="value of its own"):
        read_parts({"loss": "x**2 + 1 - sign(x)**2", "pieces": pieces})


DRAWN = (
    "sinh({a}*(x - {c}))/(x - {c})",
    "(x - {c})**2*log(Abs(x - {c}))",
    "exp(-{a}/(x - {c})**2)",
    "(x - {c})/(exp({a}*(x - {c})) - 1)",
    "(1 - cosh({a}*(x - {c})))/(x - {c})**2",
    "atan({a}/(x - {c})**2)",
)


@pytest.mark.parametrize("form", DRAWN)
def test_points_of_drawn_formulas_are_found_and_their_limits_are_right(form):
    for a, c in ((1, 0), ("1/2", 2), (2, "-3/2"), (1, "sqrt(2)")):
        f = parse(form.format(a=a, c=f"({c})"), x)
        at = sp.sympify(c)
        assert value_of(f, x, at) is None
        if at != 0:
            assert undefined_points(f, x, -sp.oo, sp.oo) == [at]
        entry = loss(f"x**2*(1 + {form.format(a=a, c=f'({c})')})" if at == 0 else str(f + 3 * x**2))
        g = sp.lambdify(x, entry.expression, "mpmath")
        with mpmath.workdps(60):
            near = [g(mpmath.mpf(sp.N(at, 60)) + s * mpmath.mpf(10) ** -15) for s in (-1, 1)]
            assert abs(near[0] - near[1]) < 1e-10
        assert ask_one("zero_forcing", entry).holds is not None


@pytest.mark.parametrize(
    "text", ["c*x**2 + 0**Abs(x - 1)", "c*x**2 - sign(x - 1)**2 + 1", "c*x**2 + c*0**Abs(x)"]
)
def test_a_family_with_a_value_of_its_own_is_refused(text):
    with pytest.raises(ExpressionError, match="value of its own"):
        loss(text, ["c > 0"])


@pytest.mark.parametrize(
    "text",
    [
        "Piecewise((c*x**2, x < 1), (2*c*x - c, True))",
        "Max(x**2, c*Abs(x))",
        "Piecewise((x**2/(c + 1), x < 1), ((2*x - 1)/(c + 1), True))",
    ],
)
def test_a_family_that_is_continuous_has_none(text):
    assert len(loss(text, ["c > 0"]).derivative.pieces) >= 2


@pytest.mark.parametrize(
    "text",  # erfi and eta(3) beside polylogarithms
    [
        "polylog(3, -exp(x)) + x*erfi(x/2)*exp(-x)",
        "2*polylog(3, -exp(x)) + x/tanh(x) + x**2*exp(-x)",
    ],
)
def test_other_functions_beside_polylogarithms(text):
    entry = loss(text)
    assert entry.gauge[0].is_finite and not entry.gauge[0].has(sp.dirichlet_eta)
    assert not any(p.expression.has(sp.I) for p in entry.curvature.pieces)
    assert ask_one("zero_forcing", entry).holds is True
