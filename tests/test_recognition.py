"""A named divergence is known in every disguise, and nothing else is given its name."""

import pytest
import sympy as sp

from divergence_lab.theory.divergence import recognition
from divergence_lab.theory.divergence.inversion import normalise
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.divergence.recognition import (
    derivative_of_generator,
    recognise,
    recognise_slopes,
)
from divergence_lab.theory.expressions.identity import constant_ratio, simplified, vanishes
from divergence_lab.theory.expressions.parsing import parse
from divergence_lab.theory.expressions.symbols import t, x

# Generators in t and losses in x, each with its factor; the gauge may be anything.
DISGUISES = {
    "reverse KL": [
        ("-log(t)", "1"),
        ("log(1/t) + 5*t", "1"),
        ("3*(t - 1) - 3*log(t)", "3"),
        ("-log(sqrt(t))", "1/2"),
        ("x**2/2", "1"),
        ("(x + 1)**2", "2"),
        ("log(exp(x))**2", "2"),
        ("Abs(x)**2/7", "2/7"),
    ],
    "forward KL": [
        ("t*log(t)", "1"),
        ("t*log(t**2)/2 + 4", "1"),
        ("-t*log(1/t) - t", "1"),
        ("(t + 1)*log(t) - log(t)", "1"),
        ("sinh(x) + cosh(x)", "1"),
        ("(exp(x/2) - 1)*(exp(x/2) + 1) - x", "1"),
        ("2*exp(x)", "2"),
        ("Piecewise((exp(x) - x - 1, x < 0), (sinh(x) + cosh(x) - x - 1, True))", "1"),
    ],
    "squared Hellinger": [
        ("(1 - sqrt(t))**2", "1"),
        ("-sqrt(t)", "1/2"),
        ("t + 1 - 2*t**(1/2)", "1"),
        ("2 - 2*exp(log(t)/2)", "1"),
        ("4*exp(x/2) - 2*x", "2"),
        ("cosh(x/2) + sinh(x/2)", "1/2"),
    ],
    "Pearson chi-square": [
        ("t**2", "1"),
        ("(t - 1)*(t + 1)", "1"),
        ("exp(2*log(t))/2", "1/2"),
        ("t*(t - 3)", "1"),
        ("exp(2*x)", "2"),
        ("exp(x)*sinh(x) - x", "1"),
        ("4**(x/log(2))", "2"),
    ],
    "Neyman chi-square": [
        ("1/t", "1"),
        ("(1 - t)**2/t", "1"),
        ("(t**2 + 1)/t", "1"),
        ("exp(-log(t))", "1"),
        ("exp(-x)", "1/2"),
        ("cosh(x) - sinh(x) + x", "1/2"),
    ],
    "Jeffreys": [
        ("t*log(t) - log(t)", "1"),
        ("log(t**t) + log(1/t)", "1"),
        ("(1 - t)*log(1/t)/2", "1/2"),
        ("x**2/2 + exp(x)", "1"),
        ("x**2/2 + sinh(x) + cosh(x) - x", "1"),
        ("(t - 1)*(log(3*t) - log(3))", "1"),
    ],
    "total variation": [
        ("Abs(t - 1)/2", "1"),
        ("Max(t - 1, 1 - t)", "2"),
        ("Max(t - 1, 0)", "1"),
        ("Abs(1 - t) + t", "2"),
        ("Piecewise((1 - t, t < 1), (0, True))", "1"),
        ("Abs(x)", "2"),
        ("Max(x, -x)/2", "1"),
        ("Piecewise((-x, x < 0), (x, True))", "2"),
    ],
    "Jensen-Shannon": [
        ("(t*log(t) - (t + 1)*log((t + 1)/2))*2", "4"),
        ("t*log(t)/2 - (t + 1)*log(t + 1)/2", "1"),
        ("-log(1 + t)/2 - t*log(1 + 1/t)/2", "1"),
        ("(t*log(2*t/(1 + t)) - log((1 + t)/2))/2", "1"),
        ("-polylog(2, -exp(x))/2", "1"),
    ],
    "GAN": [
        ("t*log(t) - (t + 1)*log(t + 1)", "1"),
        ("t*log(t/(1 + t)) + log(1/(1 + t))", "1"),
        ("-(t + 1)*log((1 + t)/2) + t*log(t)", "1"),
        ("-polylog(2, -exp(x)) + x", "1"),
        ("-t*log(1 + 1/t) - log(1 + t)", "1"),
    ],
    "triangular discrimination": [
        ("(t - 1)**2/(t + 1)", "1"),
        ("(1 - t)**2/(1 + t) + t", "1"),
        ("4/(t + 1)", "1"),
        ("-4*t/(t + 1)", "1"),
        ("2*(t - 1)**2/(2*t + 2)", "1"),
        ("3*t - 9*t/(t + 1)", "9/4"),
    ],
    "Le Cam": [
        ("(t - 1)**2/(2*t + 2)", "1"),
        ("2/(t + 1)", "1"),
        ("-2*t/(1 + t)", "1"),
        ("(t + 1)/2 - 2*t/(t + 1)", "1"),
        ("1 - tanh(log(t)/2)", "1"),
    ],
    "K-divergence": [
        ("t*log(2*t/(1 + t))", "1"),
        ("t*log(t) - t*log(1 + t)", "1"),
        ("-t*log(1 + 1/t)", "1"),
        ("log(cosh(x/2))", "1"),
        ("log(1 + exp(x))", "1"),
        ("log(1 + exp(-x))", "1"),
        ("2*log(exp(x/2) + exp(-x/2))", "2"),
    ],
    "reverse K-divergence": [
        ("-log(1 + t)", "1"),
        ("log(2/(1 + t))", "1"),
        ("log(1/(3 + 3*t))", "1"),
        ("-log(1 + 2*t + t**2)", "2"),
        ("-log(cosh(log(t)/2)) - log(t)/2", "1"),
    ],
    "arithmetic-geometric mean": [
        ("(t + 1)*log((t + 1)/(2*sqrt(t)))/2", "1"),
        ("(t + 1)*(log(t + 1) - log(t)/2)", "2"),
        ("(t + 1)*log(cosh(log(t)/2))/2", "1"),
        ("(t + 1)*log((t + 1)**2/t)", "4"),
    ],
    "symmetric chi-square": [
        ("(t - 1)**2*(1 + 1/t)", "1"),
        ("t**2 - t - 1 + 1/t", "1"),
        ("t**2 + 1/t", "1"),
        ("exp(2*x)/2 + 2*exp(-x)", "1"),
    ],
    "cubic Vajda": [
        ("Abs(1 - t)**3", "1"),
        ("(t - 1)**2*Abs(t - 1)", "1"),
        ("Max((t - 1)**3, (1 - t)**3)", "1"),
        ("Piecewise((1 - 3*t + 3*t**2 - t**3, t < 1), ((t - 1)**3, True))", "1"),
    ],
    "forward KL plus half Neyman chi-square": [
        ("t*log(t) + 1/(2*t)", "1"),
        ("2*t*log(t) + 1/t", "2"),
        ("2*cosh(x)", "1"),
        ("exp(x) + exp(-x)", "1"),
        ("4*sinh(x/2)**2", "1"),
    ],
    "alpha-divergence with alpha = 3": [
        ("t**3", "6"),
        ("t**2*(t - 1)", None),
        ("(t - 1)*(t**2 + t + 1)", "6"),
        ("exp(3*x)", "9"),
        ("(t - 1)**2*(t + 2)", "6"),
        ("exp(3*log(t))", "6"),
    ],
    "alpha-divergence with alpha = sqrt(2)": [
        ("t**sqrt(2)", "2 - sqrt(2)"),
        ("exp(sqrt(2)*x)", "2"),
        ("exp(sqrt(2)*log(t)) + t", "2 - sqrt(2)"),
        ("sinh(sqrt(2)*x) + cosh(sqrt(2)*x)", "2"),
    ],
    "skewed Jensen-Shannon with w = 1/4": [
        ("t*log(t)/4 - (3 + t)/4*log((3 + t)/4)", "1"),
        ("t*log(t) - (3 + t)*log(3 + t)", "4"),
        ("t*log(t/(3 + t)) - 3*log(3 + t)", "4"),
        ("-polylog(2, -exp(x)/3)", "4/3"),
    ],
    "Vincze-Le Cam with w = 1/4": [
        ("4*(t - 1)**2/(t + 3)", "1"),
        ("1/(t + 3)", "1/64"),
        ("t/(t + 3) - t", None),
        ("(t - 1)**2/(3 + t)", "1/4"),
        ("(t**2 + 1)/(t + 3)", "5/32"),
    ],
    "skew divergence with w = 1/4": [
        ("t*log(t/(3*t/4 + 1/4))", "1"),
        ("t*log(t) - t*log(1 + 3*t)", "1"),
        ("-t*log(3 + 1/t)", "1"),
        ("log(1 + 3*exp(x))", "3"),
    ],
    "reverse skew divergence with w = 1/4": [
        ("-log(3 + t)", "1"),
        ("log(1/(t/4 + 3/4))", "1"),
        ("-2*log(6 + 2*t)", "2"),
        ("-log(9 + 6*t + t**2)", "2"),
    ],
    "asymmetric reverse KL with tau = 3/4": [
        ("Piecewise((x**2/4, x < 0), (3*x**2/4, True))", "1"),
        ("Piecewise((x**2, x < 0), (3*x**2, True))", "4"),
        ("2*x**2 + sign(x)*x**2", "4"),
        ("Max(x**2*sign(x)*3, x**2)", "4"),
    ],
}
CASES = [
    (name, text, factor)
    for name, rows in DISGUISES.items()
    for text, factor in rows
    if factor is not None
]


def name_and_factor(text):
    if "x" in text.replace("exp", "").replace("Max", ""):
        return recognise(loss(text))
    return recognise_slopes(derivative_of_generator(normalise(parse(text, t))[0]))


@pytest.mark.parametrize(
    "name, text, factor", CASES, ids=[f"{name}: {text}" for name, text, _ in CASES]
)
def test_every_disguise(name, text, factor):
    found, scale = name_and_factor(text)
    assert found == name
    assert sp.simplify(scale - parse(factor, x)) == 0


def test_every_name_has_four_disguises():
    from divergence_lab.theory.catalogue.named import DIVERGENCES

    seen = {
        name.partition(" with ")[0]: len([row for row in rows if row[1]])
        for name, rows in DISGUISES.items()
    }
    assert all(seen[entry.name] >= 4 for entry in DIVERGENCES)


@pytest.mark.parametrize(
    "text",
    [
        "1.0000000001*exp(x) - x - 1 + x**2/10000000000",
        "x**2/2 + x**3/10000000000",
        "4*exp(0.5000000001*x) - 2*x - 4 + x**2/10**9",
        "exp(x) + 1.0000000001*exp(-x) - 2",
        "log(1.0000000001 + exp(x)) + exp(-x)/10**10",
        "Abs(x) + x**2/10**10",
        "t*log(t) - (t + 1)*log((t + 1)/2) + (t - 1)**2/10**10",
        "(t - 1)**2/(t + 1) + (t - 1)**4/10**10",
        "(t - 1)*log(t)*(1 + 1/10**10) - log(t)/10**9",
        "Abs(t - 1)/2 + (t - 1)**2/10**10",
        "Abs(t - 1)**(3 + 1/10**9)",
        "Piecewise((x**2/2, x < 1), (x**2/2 + (x - 1)**2/10**10, True))",
        "-log(t) - (t - 1)**2/10**10",
        "t*log(t) - t + 1 + exp(-1000)*(t - 1)**2",
        "x**2/2 + exp(x - 600)",
        "x**2/2 + exp(x - 650)",
        "x**2/2 + x**3/10**290",
        "Abs(x)**(1 + 1/10**12)",
        "exp(x) - x - 1 + Max(x - 50, 0)**2",
        "log(cosh(x))",
        "x**4",
        "t**2*log(t)",
        "sqrt(1 + t**2)",
        "cosh(x/2)",
        "-x**2/2",
        "-t*log(t)",
        "-alpha**2*x**2/2",
    ],
)
def test_near_misses_have_no_name(text):
    assert name_and_factor(text) == (None, None)


@pytest.mark.parametrize(
    "text, name, factor",
    [
        (
            "t**(2 + 1/10**12)",
            "alpha-divergence with alpha = 2000000000001/1000000000000",
            "(2 + 1/10**12)*(1 + 1/10**12)",
        ),
        ("exp(1000*x)", "alpha-divergence with alpha = 1000", "10**6"),
        (
            "(t - 1)**2/(t + 1 + 1/10**12)",
            "Vincze-Le Cam with w = 1000000000000/2000000000001",
            "10**12/(2*10**12 + 1)",
        ),
    ],
)
def test_a_parameter_of_many_digits_is_read_off_at_once(text, name, factor):
    """x^(1 + 10^-12) is no root of degree 10^12, on which polynomial algebra would spend hours
    and all memory.
    """
    found, scale = name_and_factor(text)
    assert found == name and sp.simplify(scale - parse(factor, x)) == 0


@pytest.mark.parametrize(
    "text, name, factor",
    [
        ("(exp(alpha*x) - alpha*x - 1)/alpha**2", "alpha-divergence with parameter alpha", "1"),
        ("exp(2*alpha*x) - 2*alpha*x - 1", "alpha-divergence with parameter 2*alpha", "4*alpha**2"),
        ("alpha*x**2/2", "reverse KL", "alpha"),
        ("(exp(x) - x - 1)/alpha", "forward KL", "1/alpha"),
    ],
)
def test_parameters_stay_symbolic(text, name, factor):
    entry = loss(text, ["alpha > 0"])
    found, scale = recognise(entry)
    assert found == name and sp.simplify(scale - parse(factor, x, ["alpha > 0"])) == 0


@pytest.mark.parametrize(
    "text, assumptions, name, factor",
    [
        ("t**a", ["a > 1"], "alpha-divergence with alpha = a", "a*(a - 1)"),
        ("t**a", [], "alpha-divergence with alpha = a", "a*(a - 1)"),
        ("-t**a", ["a > 0", "a < 1"], "alpha-divergence with alpha = a", "a*(1 - a)"),
        ("k*t**a", [], "alpha-divergence with alpha = a", "a*k*(a - 1)"),
        ("-a*t*log(t)", [], "forward KL", "-a"),
        ("(b - a)*(t - 1)**2", ["b > a", "a > 0"], "Pearson chi-square", "b - a"),
        ("(t - 1)**2/(a*t + b)", ["a > 0", "b > 0"], "Vincze-Le Cam with w = a/(a + b)", None),
        (
            "-log(w + (1 - w)*t)",
            ["w > 0", "w < 1"],
            "reverse skew divergence with parameter 1 - w",
            "1",
        ),
        ("t**alpha", [], "alpha-divergence with parameter alpha", "alpha*(alpha - 1)"),
    ],
)  # fmt: skip
def test_a_multiple_that_is_positive_for_some_parameters(text, assumptions, name, factor):
    f = normalise(parse(text, t, assumptions))[0]
    found, scale = recognise_slopes(derivative_of_generator(f), tuple(assumptions))
    assert found == name
    assert factor is None or sp.simplify(scale - parse(factor, x, assumptions)) == 0


@pytest.mark.parametrize(
    "text, assumptions",
    [
        ("-a*t*log(t)", ["a > 0"]),
        ("-a**2*t*log(t)", []),
        ("(a - b)*(t - 1)**2", ["b > a", "a > 0"]),
        ("t**a", ["a > 0", "a < 1"]),
        ("t**a + (t - 1)**2/10**10", ["a > 3"]),
    ],
)
def test_what_is_no_positive_multiple_for_any_parameter_has_no_name(text, assumptions):
    f = normalise(parse(text, t, assumptions))[0]
    assert recognise_slopes(derivative_of_generator(f), tuple(assumptions)) == (None, None)


def test_agreement_without_a_proof_gives_no_name(monkeypatch):
    def fails(*_):
        raise recognition.OutOfTime

    monkeypatch.setattr(recognition.identity, "constant_ratio", lambda *_: None)
    monkeypatch.setattr(recognition, "within", fails)
    assert recognise(loss("exp(x) - x - 1")) == (None, None)


# --- the proofs


@pytest.mark.parametrize(
    "a, b, ratio",
    [
        ("sinh(x)", "exp(x) - exp(-x)", "1/2"),
        ("tanh(x/2)", "(exp(x) - 1)/(exp(x) + 1)", "1"),
        ("log((1 + exp(x))/2)", "log(1 + exp(-x)) + x - log(2)", "1"),
        ("log(1 + 2*exp(x) + exp(2*x))", "log(1 + exp(x))", "2"),
        ("x/sqrt(1 + x**2)", "x/sqrt(4 + 4*x**2)", "2"),
        ("asinh(x)", "log(x + sqrt(x**2 + 1))", "1"),
        ("sqrt(exp(x) + 2 + exp(-x))", "cosh(x/2)", "2"),
        ("4**x - 1", "(2**x - 1)*(2**x + 1)", "1"),
        ("x*log(2)", "log(2**x)", "1"),
        ("atan(-x) - 1", "1 + atan(x)", "-1"),
        ("log(2*sqrt(2) + 2*exp(x))", "log(2) + log(sqrt(2) + exp(x))", "1"),
    ],
)
def test_constant_ratios_are_proved(a, b, ratio):
    assert constant_ratio(parse(a, x), parse(b, x), sp.Rational(3, 7)) == parse(ratio, x)


@pytest.mark.parametrize(
    "a, b",
    [
        ("exp(x) - 1", "exp(x) - 1.0000000001"),
        ("x", "sinh(x)"),
        ("log(1 + exp(x))", "log(2 + exp(x))"),
        ("sqrt(1 + x**2)", "sqrt(2 + x**2)"),
        ("x**2", "x"),
    ],
)
def test_no_ratio_is_made_up(a, b):
    assert constant_ratio(parse(a, x), parse(b, x), sp.Rational(3, 7)) is None
    assert not vanishes(parse(a, x) - parse(b, x), sp.Rational(3, 7))


@pytest.mark.parametrize(
    "text",
    [
        "2*exp(x) - exp(x)*(1 + 1/exp(x)) + log(exp(-x))",
        "log(2*exp(x)/(1 + exp(x))) + log(1 + exp(x))",
        "(exp(2*x) - 1)/(exp(x) + 1)",
        "sqrt(x**2 + 2*x + 1) - x",
        "x*tanh(x)",
    ],
)
def test_a_simplified_form_is_equal_and_not_longer(text):
    expression, sample = parse(text, x), sp.Rational(3, 7)
    shorter = simplified(expression, sample)
    assert vanishes(shorter - expression, sample)
    assert sp.count_ops(shorter) <= sp.count_ops(expression)
