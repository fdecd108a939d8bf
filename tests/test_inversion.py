"""Generator -> loss, and back: f-GAN's table as it is printed, the whole catalogue both ways,
and what is refused.
"""

import argparse
import json

import mpmath
import pytest
import sympy as sp

from divergence_lab.cli import theory as cli_theory
from divergence_lab.theory.answers.derivation import to_json
from divergence_lab.theory.answers.inverse import derive_inverse
from divergence_lab.theory.catalogue import named as catalogue
from divergence_lab.theory.divergence import inversion
from divergence_lab.theory.divergence.closed_form import divergence
from divergence_lab.theory.divergence.inversion import invert, invert_expression, normalise
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.divergence.recognition import recognise
from divergence_lab.theory.divergence.values import enclose, pieces_at
from divergence_lab.theory.expressions.enclosure import exact, value_at
from divergence_lab.theory.expressions.parsing import parse
from divergence_lab.theory.expressions.pieces import split
from divergence_lab.theory.expressions.precision import digits
from divergence_lab.theory.expressions.symbols import t, x
from divergence_lab.theory.expressions.syntax import ExpressionError
from divergence_lab.theory.verdicts.decision import decide
from tests.strategies import golden, needs_golden

POINTS = tuple(sp.Rational(n, 9) for n in (-29, -11, -2, 4, 13, 31))


def same_values(a, b, points=POINTS):
    """Two functions in pieces agree to 25 digits, relative to their size."""
    for point in points:
        with digits(50):
            difference = pieces_at(a, point, 40) - pieces_at(b, point, 40)
        assert abs(difference) < 1e-25 * (1 + abs(pieces_at(a, point, 40))), point


# f-GAN, Table 1 (un-normalised as printed, u = t) and others: text, divergence, factor, gauge, loss
TABLE = [
    ("Abs(t - 1)/2", "total variation", "1", ("0", "0"), "Abs(x)/2"),
    ("t*log(t)", "forward KL", "1", ("0", "1"), "exp(x) - x - 1"),
    ("-log(t)", "reverse KL", "1", ("0", "-1"), "x**2/2"),
    ("(t - 1)**2", "Pearson chi-square", "1", ("0", "0"), "(exp(2*x) - 2*x - 1)/2"),
    ("t**2 - 1", "Pearson chi-square", "1", ("0", "2"), "(exp(2*x) - 2*x - 1)/2"),
    ("(1 - t)**2/t", "Neyman chi-square", "1", ("0", "0"), "2*(exp(-x) + x - 1)"),
    ("(sqrt(t) - 1)**2", "squared Hellinger", "1", ("0", "0"), "2*exp(x/2) - x - 2"),
    ("(t - 1)*log(t)", "Jeffreys", "1", ("0", "0"), "x**2/2 + exp(x) - x - 1"),
    (
        "-(t + 1)*log((1 + t)/2) + t*log(t)",
        "GAN",
        "1",
        ("0", "0"),
        "-polylog(2, -exp(x)) - pi**2/12 - x*log(2)",
    ),
    (
        "t*log(t)/4 - (1 - 1/4 + t/4)*log(1 - 1/4 + t/4)",
        "skewed Jensen-Shannon with w = 1/4",
        "1",
        ("0", "0"),
        "skewed_jsd(1/4)",
    ),
    ("t*log(t) - (t + 1)*log(t + 1)", "GAN", "1", ("-2*log(2)", "-log(2)"), "gan"),
    (
        "(t**(3/2) - 1 - 3*(t - 1)/2)*4/3",
        "alpha-divergence with alpha = 3/2",
        "1",
        ("0", "0"),
        "linex(3/2)",
    ),
    (
        "(t**(-1/2) - 1 + (t - 1)/2)*4/3",
        "alpha-divergence with alpha = -1/2",
        "1",
        ("0", "0"),
        "linex(-1/2)",
    ),
    ("(t*log(2*t/(1 + t)) + log(2/(1 + t)))/2", "Jensen-Shannon", "1", ("0", "0"), "jsd"),
    ("(t - 1)**2/(t + 1)", "triangular discrimination", "1", ("0", "0"), "triangular"),
    ("(t - 1)**2/(2*t + 2)", "Le Cam", "1", ("0", "0"), "le_cam"),
    ("(t - 1)**2/(t/4 + 3/4)", "Vincze-Le Cam with w = 1/4", "1", ("0", "0"), "vincze_le_cam(1/4)"),
    ("log(2/(1 + t))", "reverse K-divergence", "1", ("0", "-1/2"), "reverse_k"),
    (
        "-log(9*t/10 + 1/10)",
        "reverse skew divergence with w = 9/10",
        "1",
        ("0", "-9/10"),
        "reverse_skew(9/10)",
    ),
    (
        "(t + 1)*log((t + 1)/(2*sqrt(t)))/2",
        "arithmetic-geometric mean",
        "1",
        ("0", "0"),
        "arithmetic_geometric",
    ),
    ("Max(t - 1, 0)", "total variation", "1", ("0", "1/2"), "Abs(x)/2"),
    ("Abs(t - 1) + 7*t", "total variation", "2", ("7", "7"), "Abs(x)"),
    (
        "Piecewise(((1 - t)/4, t < 1), (3*(t - 1)/4, True))",
        "asymmetric total variation with tau = 3/4",
        "1",
        ("0", "0"),
        "pinball(3/4)",
    ),
    (
        "Piecewise((t - log(t) - 1, t < 1), ((t - log(t) - 1)/3, True))",
        "asymmetric reverse KL with tau = 1/4",
        "2/3",
        ("0", "0"),
        "Piecewise((x**2/2, x < 0), (x**2/6, True))",
    ),
    (
        "Piecewise((1 - (E - 1)*t, t < exp(-1)), (t - log(t) - 1, t <= E), ((1 - "
        "exp(-1))*t - 1, True))",
        None,
        None,
        ("0", "0"),
        "huber(1)",
    ),
    ("24*t - 4*log(t)**3 - 12*log(t)**2 - 24*log(t) - 24", None, None, ("0", "0"), "x**4"),
    ("t**2*log(t)", None, None, ("0", "1"), "(x/2 + 1/4)*exp(2*x) - x - 1/4"),
    ("1 - t + 2*t*atan(t) - pi*t/2", None, None, ("0", "0"), "log(cosh(x))"),
]


@pytest.mark.parametrize(
    "text, name, factor, gauge, expected", TABLE, ids=[row[0] for row in TABLE]
)
def test_known_generators(text, name, factor, gauge, expected):
    found = invert(text)
    assert found.closed and found.confirmed >= 10
    assert [sp.simplify(a - parse(b, x)) for a, b in zip(found.gauge, gauge)] == [0, 0]
    same_values(found.loss.pieces, loss(expected).pieces)
    recognised = recognise(found.loss)
    assert recognised[0] == name
    assert factor is None or sp.simplify(recognised[1] - parse(factor, x)) == 0


@pytest.mark.parametrize("entry", catalogue.DIVERGENCES, ids=lambda entry: entry.name)
def test_every_named_divergence_by_name_and_back(entry):
    """f -> g -> f: the enclosed divergence of the loss is the generator, at ratios on both sides
    of 1.
    """
    values = {entry.parameter: "2/7"} if entry.parameter else {}
    found = invert(entry.name.upper() if not values else entry.name, values=values)
    assert found.closed and found.gauge == (0, 0)
    f = catalogue.generator(entry).subs(
        {sp.Symbol(name, real=True): sp.Rational(value) for name, value in values.items()}
    )
    pieces = split(f, t, sp.S.Zero, sp.oo)
    for ratio in ("1/40", "1/3", "11/10", "30"):
        with digits(50):
            back = enclose(found.loss, sp.Rational(ratio), 35)
            assert abs(back - pieces_at(pieces, sp.Rational(ratio), 40)) < 1e-25 * (1 + abs(back))


# One example of each family is enough here; the others differ in a number.
ROWS = [
    entry.name + (f"({entry.examples[0]})" if entry.examples else "")
    for entry in catalogue.LOSSES
    if entry.expected.valid is True
]


@pytest.mark.parametrize("name", ROWS)
def test_the_catalogue_there_and_back(name):
    """g -> f -> g, wherever f was found in closed form."""
    entry = loss(name)
    f = divergence(entry).generator
    if f is None:
        pytest.skip("no closed form of f")
    found = invert_expression(f)
    assert found.gauge == (0, 0)
    same_values(found.loss.pieces, entry.pieces)
    if found.closed and not entry.expression.has(
        sp.Piecewise, sp.Abs, sp.sign, sp.polylog, sp.log, sp.Ei
    ):
        assert sp.simplify((found.loss.expression - entry.expression).rewrite(sp.exp)) == 0


@needs_golden
@pytest.mark.parametrize(
    "row", [r for r in golden() if r["f"] and "alpha" not in r["g"]], ids=lambda row: row["name"]
)
def test_golden_generators(row):
    found = invert(row["f"])
    f = split(normalise(parse(row["f"], t))[0], t, sp.S.Zero, sp.oo)
    for ratio, expected in row["values"].items():
        with mpmath.workdps(40), digits(40):
            enclosed = mpmath.mpf(pieces_at(f, sp.Rational(ratio), 35).str(35, radius=False))
            back = mpmath.mpf(enclose(found.loss, sp.Rational(ratio), 30).str(30, radius=False))
            scale = 1 + abs(mpmath.mpf(expected))
            assert (
                max(abs(enclosed - mpmath.mpf(expected)), abs(back - mpmath.mpf(expected)))
                < mpmath.mpf("1e-25") * scale
            )
    if not any(word in row["g"] for word in ("Si(", "Ci(")):
        same_values(found.loss.pieces, split(parse(row["g"], x), x))


def test_parameters_stay_symbolic():
    found = invert("(t**alpha - 1 - alpha*(t - 1))/(alpha*(alpha - 1))")
    assert sp.simplify(found.loss.expression - loss("linex(alpha)").expression) == 0
    assert sp.simplify(invert("t**alpha").gauge[1]) == sp.Symbol("alpha", real=True)
    assert invert("t**alpha", values={"alpha": "2"}).loss.expression.free_symbols == {x}


@pytest.mark.parametrize(
    "name", ["skewed Jensen-Shannon", "Vincze-Le Cam", "skew divergence", "reverse skew divergence"]
)
def test_a_named_family_needs_no_assumptions_and_stays_real(name):
    """The family brings 0 < w < 1 along; g is found for all w at once, without an imaginary part
    that cancels.
    """
    found = invert(name)
    assert (
        found.closed
        and found.loss.assumptions == ("w > 0", "w < 1")
        and not found.loss.expression.has(sp.I)
    )
    assert found.confirmed >= 30
    (w,) = found.loss.parameters
    for share in ("1/5", "1/2", "7/8"):
        same_values(
            split(found.loss.expression.subs(w, sp.Rational(share)), x),
            invert(name, values={"w": share}).loss.pieces,
        )


@pytest.mark.slow
def test_a_family_without_its_assumptions_has_its_name_and_no_verdict():
    bare = invert("w*t*log(t) - (1 - w + w*t)*log(1 - w + w*t)")
    verdicts = decide(bare.loss, None, 5.0)  # no function for w > 1: nothing holds for all w
    assert verdicts.valid.holds is not True and verdicts.convex.holds is not True
    found = invert("3*w*t*log(t) - 3*(1 - w + w*t)*log(1 - w + w*t)", ("w > 0", "w < 1"))
    assert (
        found.closed
        and found.loss.expression.has(sp.polylog)
        and recognise(found.loss)[0] == "skewed Jensen-Shannon with parameter w"
    )


# --- without a closed form of g


@pytest.mark.parametrize("text", ["sqrt(1 + t + t**3)", "t*atan(t)**2"])
def test_a_loss_may_stay_an_integral(text):
    found = invert(text, budget=2)
    assert not found.closed and found.loss.expression.has(sp.Integral) and found.confirmed >= 10
    f = normalise(parse(text, t))[0]
    numeric = sp.lambdify(t, f, "mpmath")
    for point in POINTS:
        with digits(45):
            # g(x) = f(e^x) - int_0^x f(e^v) dv, by another library; and g' = t f' - f
            with mpmath.workdps(40):
                at = mpmath.mpf(point.p) / point.q
                expected = numeric(mpmath.exp(at)) - mpmath.quad(
                    lambda v: numeric(mpmath.exp(v)), [0, at / 2, at]
                )
                enclosed = mpmath.mpf(
                    value_at(found.loss.expression, x, point, 35).str(35, radius=False)
                )
                assert abs(enclosed - expected) < mpmath.mpf("1e-25") * (1 + abs(expected))
            slope = pieces_at(found.loss.derivative, point, 35)
            ratio = sp.exp(point)
            assert (slope - exact((t * sp.diff(f, t) - f).subs(t, ratio))).contains(0)
    with digits(45):
        assert abs(enclose(found.loss, sp.Integer(7), 30) - exact(f.subs(t, 7))) < 1e-25


def test_a_wrong_integral_of_g_is_never_returned(monkeypatch):
    right = inversion.integrals.integral_from_zero
    monkeypatch.setattr(
        inversion.integrals,
        "integral_from_zero",
        lambda slopes, deadline: right(slopes, deadline).map(lambda g: g + x**2 / 10**12),
    )
    found = inversion.read_inversion("t*log(t)", (), {}, 20.0)
    assert not found.closed and found.loss.expression.has(sp.Integral)


def test_generators_beyond_every_power():
    found = invert("exp(t)")
    same_values(found.loss.derivative, split(parse("(exp(x) - 1)*exp(exp(x))", x), x))


# --- what is refused, the gauge


@pytest.mark.parametrize(
    "text, message",
    [
        ("3", "does not depend on t"),
        ("2*t - 5", "always 0"),
        ("1/(t - 1)", "a finite real number at t = 1"),
        ("log(t - 2)", "."),
        ("x**2", "in t"),
        ("t +", "not an expression"),
        ("Piecewise((t, t < 1), (t + 1, True))", "jumps"),
        ("log(t - 1/2)", "not a real number at t = 1/7; a generator"),
        ("sqrt(t - 1)", "not a real number at t = 1/7"),
        ("t*log(t) + sqrt(3 - t)", "not a real number at t = 50/7"),
        ("__import__('os')", "."),
        ("t*log(t", "not an expression"),
        ("log(2 - t)", "not a real number at t = 50/7"),
    ],
)
def test_refused(text, message):
    with pytest.raises(ExpressionError, match=message) as refused:
        invert(text, budget=3)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text, gauge",
    [
        ("Max(t - 1, 0)", ("0", "1/2")),
        ("Abs(t - 1) + (t - 1)/2", ("0", "0")),
        ("Abs(t - 1) + 2*(t - 1)", ("0", "2")),
        ("Abs(t - 1) + t**2", ("1", "2")),
        ("5 + 2*(t - 1) + (t - 1)**2", ("5", "2")),
    ],
)
def test_the_gauge_at_a_kink_keeps_zero_between_the_slopes(text, gauge):
    normalised, found = normalise(parse(text, t))
    assert found == tuple(parse(part, t) for part in gauge)
    rest = parse(text, t) - found[0] - found[1] * (t - 1) - normalised
    assert all(sp.simplify(rest.subs(t, ratio)) == 0 for ratio in (sp.Rational(1, 3), 1, 4))


# --- the commands


def parser():
    made = argparse.ArgumentParser()
    commands = made.add_subparsers(dest="command")

    def command(name, run, summary, example, *options):
        added = commands.add_parser(name, help=summary)
        added.set_defaults(run=run)
        for names, settings in options:
            added.add_argument(*names, **settings)

    cli_theory.add_commands(command)
    return made


def run(capsys, *arguments):
    options = parser().parse_args(arguments)
    assert options.run(options) == 0
    return capsys.readouterr().out


def test_invert_prints_the_objects_of_derive_and_the_gauge(capsys):
    first, second = json.loads(
        run(capsys, "invert", "t*log(t)", "a*(t - 1)**2", "--set", "a=1/2", "--at", "0.1", "--json")
    )
    assert (first["given"], first["normalised"]) == ("t*log(t)", "t*log(t) - t + 1")
    assert first["gauge"] == {"constant": "0", "slope": "1"}
    assert (first["name"], first["divergence"], first["factor"]) == ("linex(1)", "forward KL", "1")
    assert first["values"][0]["f"].startswith("0.66974149070059543159")
    assert second["divergence"] == "Pearson chi-square" and second["factor"] == "1/2"
    assert set(to_json(derive_inverse(invert("-log(t)")))) <= set(first)


def test_invert_as_text(capsys):
    assert "t - 1 was taken off f" in run(capsys, "invert", "t*log(t)")
    assert "3*(t - 1) + 2 was taken" in run(capsys, "invert", "t*log(t) + 2*t")
    with pytest.raises(ExpressionError, match="no generator has"):
        run(capsys, "invert", "t*log(t)", "--set", "b=1")


def test_catalogue_as_json_and_as_text(capsys):
    rows = json.loads(run(capsys, "catalogue", "--json"))
    by_name = {row["name"]: row for row in rows}
    assert len(rows) == len(catalogue.LOSSES) + len(catalogue.DIVERGENCES)
    assert by_name["linex"]["zero_forcing"] == {"holds": None, "condition": "alpha <= 0"}
    assert by_name["quadratic"]["zero_forcing"] == {"holds": True, "condition": None}
    assert by_name["reverse KL"]["kind"] == "divergence" and by_name["linex"]["kind"] == "loss"
    text = run(capsys, "catalogue")
    assert all(f"{row['name']}" in text for row in rows) and "zero-forcing if alpha <= 0" in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("(t**alpha - 1)/(alpha*(alpha - 1))", "alpha-divergence with parameter alpha"),
        ("4/(1 - a**2)*(1 - t**((1 + a)/2))", "alpha-divergence with alpha = a/2 + 1/2"),
        ("(t**(l + 1) - t)/(l*(l + 1))", "alpha-divergence with alpha = l + 1"),
    ],
)
def test_families_are_normalised_whatever_their_parametrisation(text, name):
    """g'(0) = 0, as f'(1) = 0, although the slope that is taken off depends on the parameter."""
    found = invert(text)
    assert found.closed and sp.simplify(sp.diff(found.loss.expression, x).subs(x, 0)) == 0
    assert recognise(found.loss)[0] == name


@pytest.mark.parametrize(
    ("text", "g"),
    [
        ("exp(t)", "exp(exp(x)) - Ei(exp(x)) - E + Ei(1)"),
        ("sqrt(1 + t**2)", "sqrt(2)*x/2 + asinh(exp(-x)) - asinh(1)"),
    ],
)
def test_the_second_way_to_a_closed_form(text, g):
    """g = f(e^x) - int_1^{e^x} f(s)/s ds, by hand."""
    found = invert(text, budget=20).loss.expression
    for point in (-2, 1):
        assert abs(sp.N(found.subs(x, point) - parse(g, x).subs(x, point), 30)) < 1e-25


@pytest.mark.parametrize(
    "text, slope",
    [
        ("Abs(t - 1)", "1"),
        ("(1 + t**3)**(1/3)", "1 - 2**(1/3)/2"),
        ("sqrt(1 + t**2) - sqrt(2)", "1 - sqrt(2)/2"),
        ("Max(t - 1, 0)", "1/2"),
    ],
)
def test_the_slope_at_infinity_is_exact_where_f_has_kinks_or_roots(text, slope):
    inversion = invert(text)
    found = to_json(derive_inverse(inversion))
    assert sp.simplify(parse(found["slope_at_infinity"], x) - parse(slope, x)) == 0
    assert found["valid"] is True and found["symmetric"]["holds"] is True
