"""Loss -> divergence: against the paper, against mpmath's quadrature, against the golden table."""

import mpmath
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from divergence_lab.theory.divergence import closed_form as room
from divergence_lab.theory.divergence import integrals
from divergence_lab.theory.divergence.closed_form import (
    NotConfirmed,
    confirm,
    divergence,
    dual_loss,
)
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.divergence.values import value
from divergence_lab.theory.expressions.parsing import parse
from divergence_lab.theory.expressions.pieces import Piece
from divergence_lab.theory.expressions.symbols import t, x
from tests.strategies import PAPER, golden, needs_golden


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_four(name):
    text, called, factor, f, *_ = PAPER[name]
    for written in (name, text):
        found = divergence(loss(written))
        assert sp.simplify(found.generator - parse(f, t)) == 0
        assert (found.name, found.factor) == (called, sp.sympify(factor))
        assert found.confirmed >= 8


def by_quadrature(g_prime, ratio: float) -> mpmath.mpf:
    """f(t) = t int_1^t g'(log s)/s^2 ds, as the paper writes it, by an independent library."""
    with mpmath.workdps(40):
        ratio = mpmath.mpf(ratio)
        points = sorted(
            {
                mpmath.mpf(1),
                ratio,
                *(p for p in (1 / mpmath.e, mpmath.e) if min(1, ratio) < p < max(1, ratio)),
            },
            reverse=bool(ratio < 1),
        )
        return ratio * mpmath.quad(lambda s: g_prime(mpmath.log(s)) / s**2, points)


@pytest.mark.parametrize(
    "text, g_prime",
    [
        ("x**2/2", lambda v: v),
        ("exp(x) - x - 1", lambda v: mpmath.exp(v) - 1),
        ("log(cosh(x))", mpmath.tanh),
        ("sqrt(1 + x**2) - 1", lambda v: v / mpmath.sqrt(1 + v**2)),
        ("log(1 + x**2)/2", lambda v: v / (1 + v**2)),
        ("Piecewise((x**2/2, Abs(x) <= 1), (Abs(x) - 1/2, True))", lambda v: max(-1, min(1, v))),
        ("Abs(x)**(3/2)", lambda v: mpmath.sign(v) * 1.5 * mpmath.sqrt(abs(v))),
        ("x**4", lambda v: 4 * v**3),
    ],
)
def test_enclosed_values_agree_with_another_library(text, g_prime):
    found = divergence(loss(text))
    for ratio in ("1/50", "1/3", "2", "30"):
        enclosed = value(found.loss, sp.Rational(ratio), 25)
        expected = by_quadrature(g_prime, mpmath.mpf(sp.Rational(ratio).p) / sp.Rational(ratio).q)
        assert abs(mpmath.mpf(enclosed.value) - expected) < mpmath.mpf("1e-14") * (
            1 + abs(expected)
        )
        assert mpmath.mpf(enclosed.radius) < mpmath.mpf("1e-22") * (1 + abs(expected))


@needs_golden
@pytest.mark.parametrize(
    "row",
    [r for r in golden() if "polylog" not in r["g"] and "alpha" not in r["g"]],
    ids=lambda r: r["name"],
)
def test_golden_values(row):
    found = divergence(loss(row["g"]))
    for ratio, expected in row["values"].items():
        enclosed = value(found.loss, sp.Rational(ratio), 27)
        with mpmath.workdps(40):
            assert abs(mpmath.mpf(enclosed.value) - mpmath.mpf(expected)) <= mpmath.mpf(
                enclosed.radius
            ) + mpmath.mpf(10) ** -25 * (1 + abs(mpmath.mpf(expected)))


@pytest.mark.parametrize("name", PAPER)
def test_a_wrong_closed_form_is_never_confirmed(name):
    entry = loss(name)
    right = divergence(entry).generator
    assert confirm(entry, right) >= 8
    for wrong in (
        right + sp.Rational(1, 10**12),
        right * (1 + sp.Rational(1, 10**9)),
        right + (t - 1) / 10**9,
        t * right.subs(t, 1 / t) + (0 if name != "linex(1/2)" else t - 1),
    ):
        with pytest.raises(NotConfirmed):
            confirm(entry, wrong)


def test_a_wrong_integral_of_sympy_is_caught(monkeypatch):
    monkeypatch.setattr(room, "_closed_form", lambda entry, deadline: t**2 - 1)
    found = room.search_divergence(loss("x**2/2"), 20.0)
    assert found.generator is None and "does not agree" in found.tried[0]


@settings(max_examples=15, deadline=None)
@given(st.tuples(*[st.integers(0, 3)] * 4).filter(any), st.sampled_from(["1/7", "3", "11/10"]))
def test_f_is_linear_in_g(weights, ratio):
    texts = [row[0] for row in PAPER.values()]
    mixed = loss(" + ".join(f"{w}*({text})" for w, text in zip(weights, texts, strict=True)))
    ratio = sp.Rational(ratio)
    parts = sum(w * parse(row[3], t) for w, row in zip(weights, PAPER.values(), strict=True)).subs(
        t, ratio
    )
    found = divergence(mixed)
    assert sp.simplify(found.generator.subs(t, ratio) - parts) == 0
    assert (
        abs(mpmath.mpf(value(found.loss, ratio, 20).value) - mpmath.mpf(str(sp.N(parts, 25))))
        < 1e-17
    )


@pytest.mark.parametrize(
    "text, swapped",
    [
        ("x**2/2", "exp(x) - x - 1"),
        ("exp(x) - x - 1", "x**2/2"),
        ("linex(1/2)", "linex(1/2)"),
        ("linex(2)", "linex(-1)"),
        ("Abs(x)", "Abs(x)"),
        ("linex(-2)", "linex(3)"),
    ],
)
def test_the_loss_of_the_swapped_divergence(text, swapped):
    dual = dual_loss(divergence(loss(text)))
    for point in (-2, 1, 3):
        assert sp.simplify((dual - loss(swapped).expression).subs(x, point)) == 0


def test_the_mirror_is_not_the_swap():
    dual = dual_loss(divergence(loss("linex(1)")))
    assert sp.simplify(dual - loss("linex(-1)").expression) != 0


def test_no_closed_form_still_has_values():
    found = divergence(loss("log(1 + x**2)/2"))
    assert found.generator is None and found.tried
    assert (
        value(found.loss, sp.Integer(1), 10).value in ("0", "0e-10")
        or float(value(found.loss, sp.Integer(1), 10).value) == 0
    )
    assert float(value(found.loss, sp.Integer(2), 30).radius) < 1e-28


def test_the_search_ends_with_its_budget():
    found = divergence(loss("x*atan(x)*exp(x/3) + log(1 + x**2)*x**2"), budget=1.0)
    assert found.generator is None


P = sp.Symbol("p", positive=True)


@pytest.mark.parametrize(
    ("integrand", "found"),
    [
        ((1 + sp.exp(x)) ** P * sp.exp(x), True),
        ((1 + 2 * sp.exp(2 * x)) ** P * sp.exp(4 * x) + sp.exp(x), True),
        ((1 + sp.exp(x)) ** P * sp.exp(-(P + 1) * x), True),
        ((sp.exp(x) + 3) ** (P - 1), False),
        (P * (sp.exp(x) + 1) ** (P - 1) * sp.exp(x) - (sp.exp(x) + 1) ** P, False),
        ((1 + sp.exp(2 * x)) ** P * sp.exp(x), False),
    ],
)
def test_incomplete_beta_functions_are_not_searched_for(integrand, found):
    """And nothing is lost: where there is a closed form it is found."""
    tried = integrals.integrate_in_exponential in integrals._attempts(sp.expand(integrand))
    assert tried == found
    if found:
        grown = integrals.integrate_in_exponential(Piece(sp.S.Zero, sp.oo, integrand))
        difference = (sp.diff(grown, x) - integrand).subs({P: 0.3, x: 0.7})
        assert abs(sp.N(difference)) < 1e-9


def test_two_incomplete_beta_functions_may_cancel():
    power = (1 + sp.exp(x)) ** P
    both = sp.expand(power * sp.exp(3 * x / 2) + power * sp.exp(x / 2))
    assert integrals.integrate_in_exponential in integrals._attempts(both)
