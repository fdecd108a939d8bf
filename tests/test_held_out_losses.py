"""Losses that no catalogue holds, with their verdicts derived by hand, and families with the
conditions derived by hand.

Each is written as a researcher might write it; many are such that one point in a thousand, or one
term in the far tail, turns the answer.
"""

import mpmath
import pytest
import sympy as sp

from divergence_lab.theory.answers.derivation import derive
from divergence_lab.theory.checker.parametric import check_parametric
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.divergence.values import value
from divergence_lab.theory.expressions.printing import write
from divergence_lab.theory.verdicts import plain
from divergence_lab.theory.verdicts.decision import search_verdicts
from divergence_lab.theory.verdicts.ends import curvature_at_zero
from divergence_lab.theory.verdicts.parameters import ask_for_parameters
from divergence_lab.theory.verdicts.verdict import verdict_to_json

NAMES = (
    "valid",
    "convex",
    "zero_forcing",
    "zero_avoiding",
    "symmetric",
    "even",
    "bounded_gradient",
)
# loss, and a 1 or 0 for each of NAMES
KNOWN = [
    # dips and falls that few points show
    ("x**2/2 - exp(-1000*(x - 3)**2)", "0010000"),  # falls just below 3
    ("x**2/2 - exp(-1000*(x - 3)**2)/100", "1010000"),  # the same dip, too shallow to turn g' round
    ("x**2/2 - exp(-10**6*(x - 3)**2)/100", "0010000"),  # a dip one in a thousand wide
    ("x**2/2 - 1e-6*x**4", "0000010"),  # falls from 500 on
    ("x**2*exp(-Abs(x)/100)", "0000011"),  # falls from 200 on
    ("x**2 - exp(x - 50)", "0010000"),  # falls from 54 on
    ("x**2 - Abs(x)/1000000", "0010010"),  # falls next to 0
    ("cosh(x) - 1 - 1.0001*x**2/2", "0011010"),  # falls next to 0
    ("x**2/2 - log(cosh(x))", "1110010"),  # flat at 0, and convex
    # squares that touch 0
    ("(x + 3)**4", "1110000"),
    ("x**2 + 4*x**3 + 4.5*x**4", "1010000"),
    ("x**2*(x - 50)**2", "0010000"),
    ("x**4/(1 + x**4)", "1000011"),
    ("log(1 + exp(x**2))", "1110010"),
    # rates that differ little from 1, or much
    ("exp(0.999*x)", "1100000"),
    ("exp(1.001*x)", "1101000"),
    ("exp(100*x)", "1101000"),
    ("x**1000", "1110010"),
    # kinks that a root hides
    ("sqrt(x**2 + x**4)", "1110010"),
    ("acosh(1 + x**2)", "1000011"),
    ("sqrt(1 - exp(-x**2))", "1000011"),
    # tails between logarithms and powers: exp(-sqrt(log x)), x^(-1/log log x), log log log x
    ("Piecewise((x**2/2, x<0), ((exp(x)-x-1)*exp(-sqrt(log(1+x))), True))", "1111000"),
    ("Piecewise((x**2/2, x<0), ((exp(x)-x-1)/(1+x)*exp(-sqrt(log(1+x))), True))", "1110000"),
    pytest.param(
        "Piecewise((x**2/2, x<0), ((exp(x)-x-1)/(1+x)*exp(-sqrt(log(1+log(1+x)))), True))",
        "1111000",
        marks=pytest.mark.slow,  # 10 s
    ),
    ("exp(x)*(1+Abs(x))**(-1-1/sqrt(log(3+Abs(x)))) + 2*x**2", "0010000"),
    ("x**2*exp(-sqrt(log(1+x**2)))", "1110010"),
    ("Abs(x)*exp(sqrt(log(1+Abs(x))))", "1110010"),
    ("Abs(x)*exp(-sqrt(log(1+Abs(x))))", "1000011"),
    ("Abs(x)*log(2+log(2+log(2+Abs(x)))) - Abs(x)*log(2+log(2+log(2)))/2", "1110010"),
    ("log(1+log(1+log(1+x**2)))", "1000011"),
    ("Piecewise((-x*log(1+log(1+log(1-x))), x<0), (x**2, True))", "1110000"),
    # gamma and polylogarithms
    ("gamma(1+x**2) - 1 + x**2", "1111010"),
    ("1/gamma(1+x**2)", "0000011"),
    ("log(gamma(2+x**2)) + x**2", "1110010"),
    ("gamma(2+exp(x))", "1101000"),
    ("gamma(exp(x))", "1111000"),
    ("polylog(3, -exp(x)) + x**2", "0010000"),
    ("x**2 - polylog(3, -exp(x))", "1110000"),
    # scales far from 1
    ("Piecewise((x**2, x<10**50), (2*10**50*x-10**100, True))", "1110000"),
    ("log(1+1e-30*x**2)", "1000011"),
    ("1e-290*(exp(2*x)-2*x-1) + 1e250*(exp(-x/1000)+x/1000-1)", "1111000"),
    ("1e300*x**2", "1110010"),
    ("cosh(x)-1-0.5000000000000000000000001*x**2", "0011010"),
    ("x**6/30 - x**4/3 + 2*x**2 - 5e-21*x**2", "1010010"),
    ("x**2*exp(-1e-40*Abs(x))", "0000011"),
    ("(exp(1e-25*x)-1e-25*x-1)*1e50", "1100000"),
    ("x**2 - 1e-50*Abs(x)", "0010010"),
    ("1e40*log(cosh(1e-20*x))", "1100011"),
    ("sqrt(1e-40+x**2)-1e-20", "1100011"),
    # near 0, and far out on the left, where enclosures are wide
    ("sqrt(exp(x)-x-1)", "1000000"),
    ("x*log(x+sqrt(1+x**2))/log(2+x**2)", "1000011"),
    # growth at the border
    ("Piecewise((x**2, x < 0), (exp(x)/((x + 20)*log(x + 20)) - 1/(20*log(20)), True))", "1111000"),
    (
        "Piecewise((x**2, x < 0), (exp(x)/((x + 20)*log(x + 20)**2) - 1/(20*log(20)**2), True))",
        "1110000",
    ),
    ("Piecewise((x**2, x < 0), (exp(x - sqrt(1 + x)) - exp(-1), True))", "1110000"),
    ("Piecewise((-x*log(log(E - x)), x < 0), (x**2, True))", "1110000"),
    ("exp(sqrt(1 + x**2))", "1111010"),
    ("exp(Abs(x))/(1 + Abs(x))", "1111010"),
    # pieces
    (
        "Piecewise((x**2/2, Abs(x) <= 1), (Abs(x) - 1/2, Abs(x) <= 2), (3/2 + 2*(Abs(x) "
        "- 2) - (x**2 - 4)/4, Abs(x) <= 4), "
        "(5/2, True))",
        "1000011",
    ),
    ("Max(2*x, -x, x**2)", "1110000"),
    ("Min(x**2, Abs(x))", "1000011"),
    ("Abs(x) + 4*exp(x/2) - 2*x - 4", "1100100"),
    ("exp(3*x/2) + 9*exp(-x/2)", "1111100"),
    ("exp(2*x) + 3*exp(-x)", "1111000"),
    ("x*(exp(x) - 1)", "1001000"),
]
FAMILIES = [
    ("barron(alpha)", (), "zero_forcing", None, "alpha > 1"),
    ("barron(alpha)", (), "validity", True, None),
    ("exp(a*x) - a*x - 1", (), "symmetric", None, "a = 0 or a = 1/2"),
    ("exp(k*x) + exp(-m*x)", ("k > 0", "m > 0"), "even", None, "k - m = 0"),
    ("exp(k*x) + exp(-m*x)", ("k > 0", "m > 0"), "symmetric", False, None),
    ("x**2/2 + a*(exp(b*x) - b*x - 1)", ("a > 0", "b > 0"), "symmetric", None, "a = 1 and b = 1"),
    ("Piecewise((a*x**2, x < 0), (b*x**2, True))", (), "symmetric", None, "a = 0 and b = 0"),
    ("vincze_le_cam(w)", (), "even", False, None),
    ("skew(w)", (), "convex", True, None),
    ("skew(w)", (), "even", None, "w = 1/2"),
    ("exp(x) + k*Abs(x)", (), "validity", None, "k >= 1"),
    (
        "Piecewise((-a*x - a**2/2, x < -a), (x**2/2, x < b), (b*x - b**2/2, True))",
        ("a > 0", "b > 0"),
        "convex",
        True,
        None,
    ),
    ("Abs(x)*k + x**2", (), "validity", None, "k >= 0"),
    ("k*Abs(x)**p", ("k > 0", "p > 0"), "zero_forcing", None, "p > 1"),
]


@pytest.fixture(autouse=True)
def verdicts_only(monkeypatch):
    """No digits of f'(oo): verdicts do not rest on it."""
    monkeypatch.setattr(plain.ends, "slope_at_infinity", lambda *_: None)


@pytest.mark.parametrize(("text", "bits"), KNOWN)
def test_verdicts_derived_by_hand(text, bits):
    found = search_verdicts(loss(text), None, 20.0)
    assert {name: getattr(found, name).holds for name in NAMES} == {
        name: bit == "1" for name, bit in zip(NAMES, bits)
    }


@pytest.mark.parametrize(("text", "assumptions", "kind", "holds", "condition"), FAMILIES)
def test_conditions_derived_by_hand(text, assumptions, kind, holds, condition):
    entry = loss(text, assumptions)
    found = ask_for_parameters(kind, entry, 40.0)
    assert (found.holds, found.condition) == (holds, condition), found.because
    check_parametric(kind, verdict_to_json(found, kind), write(entry.expression), entry.assumptions)


@pytest.mark.parametrize("name", ["y", "y_", "s"])
def test_a_parameter_may_have_any_name(name):
    """The symbols that theory brings in for its own use are none of the user's."""
    for kind, condition in (("zero_forcing", "{} < 0"), ("zero_avoiding", "{} >= 1")):
        found = ask_for_parameters(kind, loss(f"exp({name}*x) - {name}*x - 1"), 40.0)
        assert found.condition == condition.format(name), found.because


@pytest.mark.parametrize(
    ("text", "curvature"),
    [
        ("Abs(x)**3", 0),
        ("x**2*exp(-Abs(x)/100)", 2),
        ("Abs(x)**(3/2)", sp.oo),
        ("sqrt(x**2 + x**4)", sp.oo),
        ("Abs(x)", sp.oo),
        ("Piecewise((x**2, x < 0), (x**2/4, True))", None),
    ],
)
def test_curvature_at_a_break_point(text, curvature):
    """g''(0) is there where both sides agree, and infinite at a kink."""
    assert curvature_at_zero(loss(text)) == curvature


def test_closed_forms_with_kinks_that_move():
    """By hand: reverse KL between e^-delta and e^delta, linear outside; the swapped loss is
    linex(1), clipped.
    """
    found = derive(loss("huber(delta)"), budget=40.0)
    t = sp.Symbol("t", positive=True)
    delta = found.loss.parameters[0]
    expected = [delta + t - t * sp.exp(delta), t - 1 - sp.log(t), t - delta - t * sp.exp(-delta)]
    assert [sp.expand(f - g) for (f, _), g in zip(found.divergence.generator.args, expected)] == [
        0,
        0,
        0,
    ]
    assert found.dual_loss is not None


@pytest.mark.parametrize(
    "text",
    [
        "x**2/2 - exp(-1000*(x - 3)**2)/100",
        "acosh(1 + x**2)",
        "sqrt(Abs(x)) + x**2/10",
        "Max(2*x, -x, x**2)",
        "(x + 3)**4",
    ],
)
@pytest.mark.parametrize("ratio", ["30"])
def test_values_against_quadrature(text, ratio):
    """f(t) = g(u) + t int_0^u g e^{-v} dv by mpmath, from the text alone."""
    enclosed = value(loss(text), sp.Rational(ratio), 25)
    x = sp.Symbol("x", real=True)
    g = sp.lambdify(x, sp.sympify(text, {"x": x}, rational=True), "mpmath")
    with mpmath.workdps(40):
        start, h = g(mpmath.mpf(0)), mpmath.mpf(10) ** -15
        below, above = (start - g(-h)) / h, (g(h) - start) / h
        slope = (
            mpmath.nint((below + above) / 2) if abs(below - above) < 1e-6 else 0
        )  # the gauge, a whole number here
        t = mpmath.mpf(sp.Rational(ratio).p) / sp.Rational(ratio).q
        u = mpmath.log(t)
        points = sorted(
            {
                mpmath.mpf(0),
                u,
                *(
                    mpmath.mpf(p) / 40
                    for p in range(-80, 137)
                    if min(0, u) < mpmath.mpf(p) / 40 < max(0, u)
                ),
            }
        )
        integral = mpmath.quad(lambda v: (g(v) - start - slope * v) * mpmath.exp(-v), points) * (
            1 if u > 0 else -1
        )
        expected = g(u) - start - slope * u + t * integral
        assert abs(mpmath.mpf(enclosed.value) - expected) < mpmath.mpf(
            enclosed.radius
        ) + mpmath.mpf(10) ** -18 * (1 + abs(expected))
