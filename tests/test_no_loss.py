"""What is said of a formula that is no loss, and the reasons: P25."""

import contextlib
import copy
import re

import mpmath
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from divergence_lab.theory.answers.wording import ends_in_words, ends_of, no_generator
from divergence_lab.theory.checker.documents import check
from divergence_lab.theory.checker.facts.imaginary import prove_not_real
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.replay import MALFORMED, prove_of_formula
from divergence_lab.theory.checker.sentences import because_of
from divergence_lab.theory.divergence.loss import Loss, loss
from divergence_lab.theory.expressions import ExpressionError, write
from divergence_lab.theory.expressions.parsing import parse
from divergence_lab.theory.expressions.symbols import x
from divergence_lab.theory.verdicts.plain import ask_one, decide_plain
from divergence_lab.theory.verdicts.verdict import KINDS
from tests.forgeries import resealed
from tests.test_points import entry_of

NO_LOSSES = {  # why, and zero-forcing, zero-avoiding, symmetric, even
    "0**Abs(x) + x**2": ("it is 0 there, and tends to -1", "ynny"),
    "0**Abs(x - 1) + x**2": ("jumps at x = 1: it is 2 there, and tends to 1", "ynnn"),
    "Piecewise((1, Eq(x, 0)), (x**2, True))": ("it is 0 there, and tends to -1", "ynny"),
    "Piecewise((2, x == 0), (sinh(x)/x, True))": ("it is 0 there, and tends to -1", "yyny"),
    "Heaviside(x)": ("jumps at x = 0, by 1", "nnnn"),
    "sign(x)**2": ("it is 0 there, and tends to 1", "nnny"),
    "x**2 + exp(x)*Heaviside(x - 1)": ("jumps at x = 1, by E", "yynn"),
    "log(1 + x)": ("not a real number", "nnnn"),
    "sqrt(1 - x**2)": ("not a real number", "nnny"),
    "1/(x**2 - 2)": ("not finite near x = -sqrt(2)", "nnny"),
    "x**2 + log((x - 1)**2)": ("not finite near x = 1", "ynnn"),
    "exp(1/x)": ("not finite near x = 0", "nnnn"),
    "x**(3/2)": ("not a real number", "nnnn"),
}


@pytest.mark.parametrize("text", NO_LOSSES)
def test_all_verdicts_on_what_is_no_loss_are_decided(text):
    why, answers = NO_LOSSES[text]
    entry = entry_of(text)
    assert all(entry[kind]["holds"] is False for kind in ("validity", "convex", "bounded_gradient"))
    assert why in entry["why_invalid"]
    assert "".join("yn"[not entry[kind]["holds"]] for kind in KINDS[2:6]) == answers
    assert all(entry[kind]["holds"] is not None for kind in KINDS)
    assert check(entry) == []


NO_FUNCTION = ("log(x)", "1/x", "sign(x)**2")


@pytest.mark.parametrize("text", NO_FUNCTION)
def test_what_verdicts_say_of_the_ends_is_not_contradicted_below_them(text):
    verdicts = decide_plain(loss(text))
    assert verdicts.broken and ends_of(verdicts) == [] and ends_in_words([], write) == []
    assert "none is looked for" in no_generator(verdicts) and "--at" not in no_generator(verdicts)


@pytest.mark.parametrize("text", ["x**3", "-x**2", "x - x"])
def test_a_function_that_is_no_valid_loss_has_its_ends(text):
    verdicts = decide_plain(Loss(parse(text, x)))
    assert not verdicts.broken and verdicts.valid.holds is False
    assert [name for name, value in ends_of(verdicts) if value is not None] == [*NUMBERS]
    assert "--at" in no_generator(verdicts)


NUMBERS = ("f(0+)", "f'(oo)", "g''(0)")
weights = st.fractions(min_value=sp.Rational(1, 9), max_value=9, max_denominator=9)


@settings(max_examples=8, deadline=None)
@given(weights, weights)
def test_where_the_curvature_differs_on_the_sides_of_0_both_are_told(left, right):
    text = f"Piecewise(({left}*x**2/2, x < 0), ({right}*(exp(x) - x - 1), True))"
    found = dict(ends_of(decide_plain(loss(text))))
    if left == right:
        assert found["g''(0)"] == sp.Rational(left) and len(found) == 3
    else:
        assert "g''(0)" not in found
        assert [found["g''(0-)"], found["g''(0+)"]] == [sp.Rational(left), sp.Rational(right)]


def test_a_curvature_is_not_told_across_a_jump_of_the_slope():
    assert dict(ends_of(decide_plain(loss("Abs(x) + x**2*Heaviside(x)"))))["g''(0)"] == sp.oo


@pytest.mark.parametrize("text", ["x*log(x)", "a/x"])
def test_a_loss_without_a_value_at_0_is_named(text):
    with pytest.raises(ExpressionError, match=re.escape(f"'{text}' has no")):
        loss(text)


@pytest.mark.parametrize("text", ["Piecewise((1, Eq(x, 0)), (sinh(x)/x, True))", "0**0*x**2"])
def test_the_limit_as_the_value_is_no_value_of_its_own(text):
    assert ask_one("zero_forcing", loss(text)).holds is True


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["0**Abs(x - 1) + x**2", "log(1 + x)", "x**2 + Heaviside(x - 1)"])
def test_the_opposite_answer_is_rejected(text, kind):
    entry = entry_of(text)
    forged = copy.deepcopy(entry[kind])
    forged["holds"] = not forged["holds"]
    assert check({**entry, kind: resealed(forged, kind)})


@pytest.mark.parametrize("text", ["x**2 + log((x - 1)**2)", "sign(x)**2", "0**Abs(x - 1) + x**2"])
def test_a_changed_datum_is_rejected(text):
    entry = entry_of(text)
    for kind in KINDS:
        for place, step in enumerate(entry[kind]["steps"]):
            for key in step.keys() - {"rule", "claim", "at", "start", "low", "high", "end"}:
                forged = copy.deepcopy(entry[kind])
                forged["steps"][place][key] += " + 1"
                verdict = resealed(forged, kind)
                with contextlib.suppress(*MALFORMED):
                    verdict["because"] = because_of(kind, verdict["holds"], None, verdict["steps"])
                assert check({**entry, kind: resealed(verdict, kind)}), (kind, key)


FALSE = [
    ("x**2", {"rule": "own value", "at": "0", "low": "-oo", "high": "oo", "left": "x**2",
              "right": "x**2", "value": "1", "limit": "0"}),
    ("x**2", {"rule": "own value", "at": "0", "low": "-oo", "high": "oo", "left": "x**2",
              "right": "x**2", "value": "0", "limit": "0"}),
    ("log(1 + x)", {"rule": "not real far out", "start": "0", "end": "oo"}),
    ("log(1 + x)", {"rule": "not real far out", "start": "0", "end": "-oo"}),
    ("log(1 + x)", {"rule": "far slope", "start": "-2", "end": "-oo", "f": "1/(x + 1)",
                    "limit": "0"}),
    ("log((1 + x)**2)", {"rule": "not real far out", "start": "-2", "end": "-oo"}),
    ("1/(x - 5)", {"rule": "far slope", "start": "3", "end": "oo", "f": "-1/(x - 5)**2",
                   "limit": "0"}),
    ("exp(x)/(x + 1)**2", {"rule": "mirror", "at": "0"}),
    ("1/(x**2 - 2)", {"rule": "mirror", "at": "1"}),
    ("1/(x**2 - 2)", {"rule": "one side", "at": "1"}),
    ("exp(x)/(x + 1)", {"rule": "same formula"}),
    ("Piecewise((0, x < -1), (x**2, x < 1), (0, True))", {"rule": "same formula"}),
    ("x**2 + Heaviside(x - 1)", {"rule": "smooth", "at": "1"}),
    ("0**Abs(x - 1)", {"rule": "smooth", "at": "1"}),
    ("Abs(x - 1)", {"rule": "mirrored bend", "at": "1", "f": "0"}),
    ("exp(x) + x**2/2 - exp(x)", {"rule": "limit", "of": "slope", "f": "x", "end": "oo",
                                  "limit": "oo"}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "step"), FALSE, ids=lambda value: str(value)[:40])
def test_what_is_not_so_of_a_formula_is_rejected(text, step):
    from divergence_lab.theory.checker.certificate import claim_of

    data = {key: value for key, value in step.items() if key != "rule"}
    with pytest.raises(MALFORMED):
        prove_of_formula(text, [{**step, "claim": claim_of(step["rule"], data)}])


@pytest.mark.parametrize(
    "text",
    ["sqrt(1 - x)", "log(-x)*x + 3", "(1 - x)**(2/3) + x**2", "atanh(x)", "x**2 + sqrt(3 - x)/x"],
)
def test_an_imaginary_part_is_seen_as_mpmath_sees_it(text):
    f = parse(text, x)
    prove_not_real(f, x, sp.Integer(5), sp.oo)
    value = sp.lambdify(x, f, "mpmath")(mpmath.mpf(37))
    assert abs(mpmath.im(value)) > 1e-6


@pytest.mark.parametrize(
    "text", ["sqrt(x)", "log(-x) - log(-2*x)", "sqrt(1 - x)**2", "(log(-x) - log(x))**2",
             "atan(sqrt(1 - x))", "sqrt(-x)*sqrt(1 - x)"],
)  # fmt: skip
def test_what_is_real_or_not_followed_is_not_called_so(text):
    with pytest.raises(Rejected):
        prove_not_real(parse(text, x), x, sp.Integer(5), sp.oo)
