"""Generators with parameters whose loss is an integral: verdicts for all parameters, held against
the plain ones at values, and documents that the checker accepts as they are and refuses changed.
"""

import mpmath
import pytest
import sympy as sp

from divergence_lab.cli.theory import inversion_to_json
from divergence_lab.theory.answers.inverse import derive_inverse
from divergence_lab.theory.checker.documents import examine
from divergence_lab.theory.checker.facts.decided import read_loss
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.families import cells
from divergence_lab.theory.divergence.inversion import invert
from divergence_lab.theory.expressions import ExpressionError, parse, split, x
from divergence_lab.theory.verdicts import parameters, plain

KINDS = ("validity", "convex", "zero_forcing", "zero_avoiding", "symmetric", "even")
FAMILIES = [
    ("Abs(t - 1)**p", ["p > 1"], "p", ("3/2", "2", "7/2")),
    ("exp(-a*t)", ["a > 0"], "a", ("1/3", "2")),
    ("(1 + t**a)**(1/a)", ["a > 1"], "a", ("3/2", "2", "5")),
    ("-log(w + (1 - w)*t)", ["w > 0", "w < 1"], "w", ("1/3", "4/5")),
]


@pytest.mark.parametrize("text, assumed, name, values", FAMILIES, ids=[row[0] for row in FAMILIES])
def test_a_verdict_for_all_parameters_is_that_at_each_value(text, assumed, name, values):
    family = invert(text, assumed).loss
    found = {kind: parameters.searched(kind, family, 30.0) for kind in KINDS}
    for value in values:
        single = invert(text, assumed, {name: value}).loss
        for kind, verdict in found.items():
            if verdict.condition is None:
                assert plain.ask_one(kind, single).holds is verdict.holds, (kind, value)


@pytest.mark.parametrize("p", [1.5, 2.5, 4.0])
def test_the_loss_of_vajda_is_the_integral_that_gives_the_divergence_back(p):
    """f(t) = t int_0^{log t} g'(v) e^(-v) dv, by quadrature of mpmath."""
    loss = invert("Abs(t - 1)**p", ["p > 1"]).loss
    for v in (-1.3, -0.2, 0.4, 1.1):
        piece = loss.derivative.pieces[v > 0].expression
        (symbol,) = piece.free_symbols - {x}
        slope = sp.lambdify(x, piece.subs(symbol, sp.Rational(p)), "mpmath")
        total = mpmath.quad(lambda u, slope=slope: slope(u) * mpmath.exp(-u), [0, v])
        assert abs(mpmath.exp(v) * total - abs(mpmath.exp(v) - 1) ** p) < 1e-8


def document(text, *assumed):
    inversion = invert(text, assumed)
    return inversion_to_json(inversion, derive_inverse(inversion))


def test_the_checker_reads_integrals_with_parameters_and_refuses_what_was_changed():
    entry = document("exp(-a*t)", "a > 0")
    assert entry["validity"]["holds"] and entry["convex"]["holds"]
    report = examine(entry)
    assert not report.failures and set(report.not_verified) <= {"divergence", "factor"}
    loss = entry["loss"]
    for forged in (
        loss.replace("(v, 0, x)", "(v, 1, x)"),
        loss.replace("exp(-a)", "exp(a)"),
        loss + " + x",
        f"2*{loss}",
        f"Piecewise(({loss}, x < 1), ({loss}, True))",
    ):
        assert forged != loss and examine({**entry, "loss": forged}).failures, forged
    assert examine({**entry, "assumptions": []}).failures  # at a < 0 it is another family
    for field, value in (
        ("f_at_zero", "1"),
        ("slope_at_infinity", "a"),
        ("generator", "exp(-a*t)"),
        ("loss_derivative", "exp(-a)"),
    ):
        report = examine({**entry, field: value})
        assert field in [f.where for f in report.failures] or field in report.not_verified


@pytest.mark.parametrize(
    "text",
    [
        "Integral(exp(-a*v), (v, 1, x))",
        "x + Integral(exp(-a*v), (v, 0, x))",
        "Piecewise((Integral(v, (v, 0, x)), x < 1), (Integral(a*v, (v, 0, x)), True))",
        "Piecewise((Integral(v, (v, 0, 1)), x < 0), (Integral(a*v, (v, 0, x)), True))",
    ],
)
def test_other_integrals_are_not_read(text):
    with pytest.raises((Rejected, ExpressionError)):
        read_loss(text, x)


@pytest.mark.parametrize("integrand", ["1/v", "log(a + v)", "(v - 1)**(-2)", "Abs(v)**(-1/2)"])
def test_an_integrand_that_may_have_no_value_is_no_slope(integrand):
    """1/v is not bounded beside 0, log(a + v) has no value everywhere left of 0."""
    a = parse("a", x, ["a > 0"])
    g = read_loss(f"Integral({integrand}, (v, 0, x))", x, ["a > 0"])
    with pytest.raises(Rejected):
        for piece in cells.refined(split(g.subs(a, sp.Symbol("a~", positive=True)), x)).pieces:
            cells.prove_finite(piece, True)


def test_a_parameter_is_not_taken_for_the_variable_of_the_integral():
    with pytest.raises(ExpressionError, match="give the parameter v another name"):
        invert("exp(-v*t)", ["v > 0"])
    assert invert("v*t*log(t)", ["v > 0"]).closed


def test_what_depends_on_the_parameters_at_one_is_said():
    with pytest.raises(ExpressionError, match="depends on the parameters: --assume"):
        invert("Abs(t - 1)**p")
    with pytest.raises(ExpressionError, match="it tends to -oo there"):
        invert("1/(t - 1)")
