"""Every entry of the catalogue: its verdicts and its divergence against what was derived on
paper.
"""

import pytest
import sympy as sp

from divergence_lab.theory.catalogue import named as catalogue
from divergence_lab.theory.catalogue.named import (
    DIVERGENCES,
    LOSSES,
    generator,
    holds_at,
    lookup,
    name_of,
)
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.divergence.recognition import recognise
from divergence_lab.theory.expressions.parsing import FUNCTIONS
from divergence_lab.theory.expressions.symbols import t, x
from divergence_lab.theory.expressions.syntax import ExpressionError
from divergence_lab.theory.verdicts.decision import decide

VERDICTS = (
    "valid",
    "convex",
    "zero_forcing",
    "zero_avoiding",
    "symmetric",
    "even",
    "bounded_gradient",
)

ROWS = [(entry, at) for entry in LOSSES for at in entry.examples or ("",)]


def text_of(entry, at):
    return entry.name + (f"({at})" if at else "")


def values_of(entry, at):
    given = [part.strip() for part in at.split(",")] if at else list(entry.parameters.values())
    return dict(zip(entry.parameters, given, strict=True))


@pytest.mark.parametrize("entry, at", ROWS, ids=[text_of(*row) for row in ROWS])
def test_verdicts_are_those_derived_on_paper(entry, at):
    verdicts = decide(loss(text_of(entry, at)))
    expected = {
        name: holds_at(getattr(entry.expected, name), values_of(entry, at)) for name in VERDICTS
    }
    found = {name: getattr(verdicts, name) for name in VERDICTS}
    wrong = {
        name: v.because
        for name, v in found.items()
        if v.holds is not None and v.holds != expected[name]
    }
    undecided = {name: v.because for name, v in found.items() if v.holds is None}
    assert not wrong and not undecided


@pytest.mark.parametrize("entry, at", ROWS, ids=[text_of(*row) for row in ROWS])
def test_the_named_divergence(entry, at):
    name, factor = recognise(loss(text_of(entry, at)))
    assert name == entry.divergences.get(at, entry.divergences.get(""))
    assert (factor is None) == (name is None)


def test_there_are_many_and_no_two_are_the_same():
    assert len(LOSSES) >= 45 and len(DIVERGENCES) >= 20
    for entries in (LOSSES, DIVERGENCES):
        assert len({entry.name for entry in entries}) == len(entries)
    for entry in LOSSES:
        assert entry.reference and entry.use
        assert entry.name not in FUNCTIONS, "cosh(x/2) would be read as a family at a parameter"
        if None not in entry.parameters.values():
            assert name_of(lookup(entry.name)[1]) == lookup(entry.name)[0]


@pytest.mark.parametrize(
    "text, name",
    [
        ("2*cosh(x) - 2", "shifted_cosh"),
        ("log(cosh(x/2))", "softplus_centred"),
        ("x**2/2 - x + exp(x) - 1", "jeffreys"),
        ("Max(x, -x)", "absolute"),
        ("Piecewise((-x - 1/2, x < -1), (x - 1/2, x > 1), (x**2/2, True))", "huber(1)"),
        ("(1 + x**2)**(1/2) - 1", "pseudo_huber(1)"),
        ("exp(x) - x - 1.0000000001", "linex(1)"),
        ("x**2", None),
        ("exp(x) - x - 1 + x**4/10000000000", None),
        ("alpha*x**2/2", None),
    ],
)
def test_a_formula_is_given_its_name(text, name):
    assert loss(text).name == name  # the gauge, here -1e-10, is taken off first


@pytest.mark.parametrize("entry", DIVERGENCES, ids=lambda entry: entry.name)
def test_divergences_are_normalised(entry):
    f = generator(entry)
    parameters = {symbol: sp.Rational(2, 7) for symbol in f.free_symbols - {t}}
    f = f.subs(parameters)
    assert sp.simplify(f.subs(t, 1)) == 0
    if entry.name != "total variation":
        assert sp.simplify(sp.limit(sp.diff(f, t), t, 1)) == 0
    for ratio in ("1/9", "2/3", "7/5", "12"):
        assert sp.N(f.subs(t, sp.Rational(ratio)), 20) > 0


@pytest.mark.parametrize("entry", DIVERGENCES, ids=lambda entry: entry.name)
def test_a_divergence_and_its_loss_say_the_same(entry):
    family = next(row for row in LOSSES if row.name == entry.loss.partition("(")[0])
    text = entry.loss.replace(f"({entry.parameter})", "(2/7)") if entry.parameter else entry.loss
    name, _ = recognise(loss(text))
    assert name == (f"{entry.name} with {entry.parameter} = 2/7" if entry.parameter else entry.name)
    inside = entry.loss.partition("(")[2].rstrip(")")
    for verdict in ("zero_forcing", "zero_avoiding", "symmetric"):
        here, there = getattr(entry, verdict), getattr(family.expected, verdict)
        if entry.parameter or isinstance(there, bool):
            assert here == there
        else:
            assert here == holds_at(there, values_of(family, inside))


@pytest.mark.parametrize(
    "condition, values, holds",
    [
        (True, {}, True),
        ("alpha <= 0", {"alpha": "0"}, True),
        ("alpha <= 0", {"alpha": "1/9"}, False),
        ("a + b == 1", {"a": "1/3", "b": "2/3"}, True),
        ("a > 0 and b < 0", {"a": "1", "b": "1"}, False),
    ],
)
def test_conditions(condition, values, holds):
    assert holds_at(condition, values) is holds


@pytest.mark.parametrize(
    "text, message",
    [
        ("huber(-1)", "needs delta > 0"),
        ("expectile(1)", "needs tau > 0 and tau < 1"),
        ("split_linex(1)", "takes the parameters"),
        ("split_linex(0, 1)", "a_minus != 0"),
        ("linex(x)", "can't be x"),
        ("cosh_rate()", "takes"),
        ("huber(1, 2)", "takes the parameter delta"),
        ("barron", "takes the parameter alpha"),
        ("linex(__import__)", "reserved"),
        ("linex(1), x", "without commas"),
    ],
)
def test_wrong_parameters_are_refused_in_one_line(text, message):
    with pytest.raises(ExpressionError, match=message) as refused:
        loss(text)
    assert "\n" not in str(refused.value)


def test_a_family_brings_its_own_assumptions():
    entry = loss("huber(d)")
    assert entry.assumptions == ("d > 0",) and entry.parameters[0].is_positive
    assert loss("linex(alpha)").assumptions == ()
    assert loss("huber(d)", values={"d": "1"}).expression.subs(x, 3) == sp.Rational(5, 2)


def test_special_parameter_values():
    assert (
        loss("linex(0)").expression
        == loss("cressie_read(-1)").expression
        == loss("barron(2)").expression
        == x**2 / 2
    )
    assert catalogue.PAPER_LOSSES == ("quadratic", "linex(1)", "linex(1/2)", "shifted_cosh")
