"""A loss at another scale, g(s x) c, has the verdicts of g: they speak of signs, limits and
symmetry alone.
"""

import random

import mpmath as mp
import pytest
import sympy as sp

import divergence_lab as dl
from divergence_lab.theory.checker.facts import proofs, scales, structure
from divergence_lab.theory.expressions import x
from divergence_lab.theory.verdicts import plain

UNSEEN_BY_SCALE = ("validity", "convex", "zero_forcing", "even", "bounded_gradient")
LOSSES = (
    "(exp(s*x) - 1)**2",
    "s*x*tanh(s*x)",
    "log(1 + exp(s*x))",
    "(s*x)**6/30 - (s*x)**4/3 + 2*(s*x)**2",
    "1 - exp(-(s*x)**2)",
    "(s*x)**2/(1 + (s*x)**2)",
)
SCALES = ("1/10**30", "10**40")


@pytest.mark.parametrize("text", LOSSES)
def test_a_scale_changes_no_verdict(text):
    def answers(scale: str) -> dict[str, bool | None]:
        loss = dl.loss(text.replace("s*x", f"({scale})*x"))
        return {kind: plain.ask_one(kind, loss).holds for kind in UNSEEN_BY_SCALE}

    usual = answers("1")
    assert None not in usual.values()
    assert all(answers(scale) == usual for scale in SCALES)


@pytest.mark.parametrize("scale", [sp.Rational(1, 10**30), sp.Integer(10) ** 40])
def test_a_function_that_dips_is_refuted_at_its_scale(scale):
    u = scale * x
    almost = (u**2 - 2) ** 2 + sp.Rational(1, 10**9)  # above 0, nearly touching it
    proofs.prove_nonnegative(almost, x, sp.S.Zero, sp.oo)
    with pytest.raises(proofs.Rejected):
        proofs.prove_nonnegative(almost - sp.Rational(1, 10**8), x, sp.S.Zero, sp.oo)
    with pytest.raises(proofs.Rejected):
        proofs.prove_nonnegative(sp.exp(-u) - sp.Rational(1, 3), x, sp.S.Zero, sp.oo)


def test_the_point_of_a_refutation_is_one_of_the_function_itself():
    dips = (sp.exp(x / 10**30) - 2) ** 2 + sp.sinh(x / 10**30) / 10 - sp.Rational(1, 5)
    with pytest.raises(proofs.Refuted) as refuted:
        proofs.prove_nonnegative(dips, x, sp.S.Zero, sp.oo)
    assert refuted.value.at is None or dips.subs(x, refuted.value.at).evalf(40) < 0


def test_scales_are_positive_and_few():
    mixed = sp.exp(x / 10**9) + sp.log(1 + 10**50 * x**2) + sp.tanh(10**7 * x) + x
    found = scales.scales_of(mixed, x)
    assert len(found) == scales.MAX_SCALES + 1 and found[-1] == 1
    assert all(s.is_Rational and s > 0 for s in found)


# --- a hair more or less than tangent: e^u, cosh u, sinh u beside their Taylor polynomials


@pytest.mark.parametrize("weight", ["1", "10**(-80)", "10**40"])
@pytest.mark.parametrize("hair", ["10**(-30)", "10**(-12)"])
def test_a_hair_decides(weight, hair):
    for sign, holds in (("-", True), ("+", False)):
        entry = dl.loss(f"{weight}*(cosh(x) - 1 - (1/2 {sign} {hair})*x**2)")
        assert plain.ask_one("validity", entry).holds is holds
        assert plain.ask_one("convex", entry).holds is holds


def drawn_sum(source):
    terms = [
        sp.Rational(source.randint(-6, 6), source.randint(1, 3)) * h
        for h in (
            source.choice((sp.exp, sp.cosh, sp.sinh))(
                sp.Rational(source.choice((-2, 1, 1, 3)), 2) * x
            )
            for _ in range(source.randint(1, 3))
        )
    ]
    hair = sp.Rational(source.choice((-1, 0, 1)), 10 ** source.choice((1, 9, 30)))
    f = sp.Add(*terms)
    order = source.randint(0, 4)
    taylor = sum(f.diff(x, k).subs(x, 0) * x**k / sp.factorial(k) for k in range(order))
    return f - sp.expand(taylor) + hair * x ** source.randint(0, 3)


def test_signs_beside_taylor_polynomials_are_those_of_values():
    source, seen = random.Random(5), 0
    points = [mp.mpf(10) ** k * n for k in range(-12, 2) for n in (1, 3)]
    with mp.workdps(120):
        for _ in range(150):
            f, right = drawn_sum(source), source.random() < 0.5
            ends = (sp.S.Zero, sp.oo) if right else (-sp.oo, sp.S.Zero)
            found = structure.structural_sign(f, x, *ends)
            if found is None or not f.has(x):
                continue
            seen += 1
            value = sp.lambdify(x, f, "mpmath")
            assert all(found * value(p if right else -p) >= -(mp.mpf(10) ** -90) for p in points), f
    assert seen > 40
