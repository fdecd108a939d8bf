"""Names as people write them, in derive and in invert; what is no name gets the nearest, and what
is written stays what it says.
"""

import pytest
import sympy as sp

from divergence_lab.theory.catalogue import named as catalogue
from divergence_lab.theory.catalogue.spelling import with_divergence_names, with_loss_names
from divergence_lab.theory.divergence.inversion import read_generator
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.expressions import ExpressionError, parse, t

LOSSES = [
    ("Linex(1)", "linex(1)"),
    ("LINEX( 1/2 )", "linex(1/2)"),
    ("linex(alpha=1/2)", "linex(1/2)"),
    ("Huber", "huber(1)"),
    ("Huber(2)", "huber(2)"),
    ("Shifted-Cosh", "shifted_cosh"),
    ("shifted cosh", "shifted_cosh"),
    ("Pseudo-Huber(1)", "pseudo_huber(1)"),
    ("log-cosh", "log_cosh"),
    ("LogCosh", "log_cosh"),
    ("Smooth L1", "smooth_l1(1/2)"),
    ("MSE", "quadratic"),
    ("quantile(1/2)", "pinball(1/2)"),
    ("Geman-McClure", "geman_mcclure"),
]


@pytest.mark.parametrize("text, name", LOSSES, ids=[row[0] for row in LOSSES])
def test_a_loss_in_another_spelling(text, name):
    assert catalogue.lookup(text)[0] == name
    assert loss(text).expression == loss(name).expression


@pytest.mark.parametrize("entry", catalogue.LOSSES, ids=lambda entry: entry.name)
def test_every_loss_is_read_in_capitals_and_with_hyphens(entry):
    written = entry.name.title().replace("_", "-")
    if entry.name in ("quadratic_linex", "linex_quadratic"):  # a hyphen between two losses is minus
        assert with_loss_names(written) == entry.name.replace("_", "-")
    else:
        assert with_loss_names(written) == entry.name
    assert with_loss_names(entry.name.upper()) == entry.name


def test_names_stand_within_expressions():
    assert loss("Linex(1) + Quadratic").name == "jeffreys"
    assert loss("2*Huber(1)").expression == 2 * loss("huber(1)").expression
    assert loss("quadratic-linex(1)").expression == parse(
        "x**2/2 - exp(x) + x + 1", sp.Symbol("x", real=True)
    )


def test_a_parameter_that_is_stated_keeps_its_name():
    found = loss("Power*x**2", ["Power > 0"])
    assert [parameter.name for parameter in found.parameters] == ["Power"]
    assert with_divergence_names("TV*t**2", ["TV"])[1] == {}
    f, _ = read_generator("TV*t**2", ["TV > 0"])
    assert [s.name for s in f.free_symbols - {t}] == ["TV"]


DIVERGENCES = [
    ("jensen shannon", "Jensen-Shannon"),
    ("TV", "total variation"),
    ("Hellinger", "squared Hellinger"),
    ("pearson chi2", "Pearson chi-square"),
    ("FORWARD KL", "forward KL"),
    ("kl reverse", "reverse KL"),
    ("le-cam", "Le Cam"),
    ("alpha-divergence(1)", "forward KL"),
    ("alpha-divergence(0)", "reverse KL"),
]


@pytest.mark.parametrize("text, name", DIVERGENCES, ids=[row[0] for row in DIVERGENCES])
def test_a_divergence_in_another_spelling(text, name):
    entry = next(entry for entry in catalogue.DIVERGENCES if entry.name == name)
    assert read_generator(text)[0] == catalogue.generator(entry)


@pytest.mark.parametrize("entry", catalogue.DIVERGENCES, ids=lambda entry: entry.name)
def test_every_divergence_is_read_as_invert_writes_it(entry):
    value = f" with {entry.parameter} = 2/7" if entry.parameter else ""
    expected = catalogue.generator(entry)
    if entry.parameter:
        expected = expected.subs(sp.Symbol(entry.parameter, real=True), sp.Rational(2, 7))
    for text in (entry.name + value, entry.name.upper() + value.replace(" with", "  WITH")):
        assert sp.simplify(read_generator(text)[0] - expected) == 0
    if entry.parameter:
        assert sp.simplify(read_generator(entry.name + "(2/7)")[0] - expected) == 0


def test_a_family_takes_the_name_of_the_users_parameter():
    f, assumed = read_generator("Vincze-Le Cam(s)")
    assert assumed == ("s > 0", "s < 1")
    assert [s.name for s in f.free_symbols - {t}] == ["s"]
    f, _ = read_generator("Jeffreys + 2*total variation")
    assert sp.simplify(f - parse("(t - 1)*log(t) + Abs(t - 1)", t)) == 0


REFUSED_LOSSES = [
    ("quadratc", "no loss is called 'quadratc'; did you mean 'quadratic'?"),
    ("linx(1)", "did you mean 'linex'?"),
    ("Tukey", "no loss is called 'Tukey'"),
    ("reverse KL", "is a divergence; its loss is quadratic"),
    ("total variation", "is a divergence; its loss is absolute"),
    ("KL", "may be the divergence 'forward KL' or 'reverse KL'"),
    ("ln(x)", "write log(u)"),
    ("arctan(x)", "write atan(u)"),
    ("Exp(x) - x", "did you mean 'exp'?"),
    ("pow(x, 2)", "write u**v"),
    ("a*b", "does not depend on x"),
    ("huber(-1)", "huber needs delta > 0"),
]


@pytest.mark.parametrize("text, message", REFUSED_LOSSES, ids=[row[0] for row in REFUSED_LOSSES])
def test_what_is_no_loss_is_refused_with_the_nearest_name(text, message):
    with pytest.raises(ExpressionError) as refusal:
        loss(text)
    assert message in str(refusal.value)


REFUSED_GENERATORS = [
    ("Jefreys", "did you mean 'Jeffreys'?"),
    ("quadratic", "is a loss, not a generator"),
    ("linex(1)", "is a loss, not a generator"),
    ("KL", "may be 'forward KL' or 'reverse KL': name one of them"),
    ("t + 2*KL", "may be 'forward KL' or 'reverse KL'"),
    ("chi2", "may be 'Pearson chi-square' or 'Neyman chi-square'"),
    ("hockey stick", "no divergence is called"),
    ("ln(t)*t", "write log(u)"),
    ("Jeffreys(1)", "takes no parameter"),
    ("skew divergence(2)", "needs w > 0 and w < 1, not w = 2"),
    ("a*b", "does not depend on t"),
]


@pytest.mark.parametrize(
    "text, message", REFUSED_GENERATORS, ids=[row[0] for row in REFUSED_GENERATORS]
)
def test_what_is_no_generator_is_refused_with_the_nearest_name(text, message):
    with pytest.raises(ExpressionError) as refusal:
        read_generator(text)
    assert message in str(refusal.value)
