"""New losses from old ones, against the definitions: gradients of weighted losses, swapped
arguments, boundary values.
"""

import dataclasses
import json

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from divergence_lab.theory.answers.derivation import derive, to_json
from divergence_lab.theory.answers.placements import place, read_term
from divergence_lab.theory.checker.documents import check_one
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.divergence.transforms import clip, mirror, swap, weighted_sum
from divergence_lab.theory.divergence.values import enclose
from divergence_lab.theory.divergence.weightings import on_policy_equivalent, weighting
from divergence_lab.theory.expressions.parsing import parse
from divergence_lab.theory.expressions.symbols import x
from divergence_lab.theory.expressions.syntax import ExpressionError
from divergence_lab.theory.verdicts.decision import decide

R = sp.Rational
RATIOS = [R(1, 50), R(1, 3), R(9, 10), R(7, 5), R(6), R(80)]
PINBALL = "Piecewise((-x/4, x < 0), (3*x/4, True))"
HUBER = "Piecewise((x**2/2, Abs(x) < 1), (Abs(x) - 1/2, True))"


def f(entry, ratio) -> mp.mpf:
    return mp.mpf(enclose(entry, sp.sympify(ratio), 20).mid().str(18, radius=False))


def under(entry, text):
    return on_policy_equivalent(entry, weighting(text))


def slope(entry, point) -> float:
    """g'(point) by mpmath's own differentiation of g: independent of the pieces of g'."""
    g = sp.lambdify(x, entry.expression, "mpmath")
    return mp.diff(g, mp.mpf(str(sp.N(point, 30))))


@pytest.mark.parametrize(
    "name", ["quadratic", "linex(1)", "linex(1/2)", "shifted_cosh", PINBALL, HUBER, "Abs(x)"]
)
def test_swap_exchanges_the_arguments_for_any_masses(name):
    entry, swapped = loss(name), swap(loss(name))
    for ratio in RATIOS:  # D_f(p||q) with (p, q) = (t, 1): q f(p/q) = p f*(q/p)
        assert mp.almosteq(
            f(swapped, ratio), mp.mpf(str(sp.N(ratio, 25))) * f(entry, 1 / ratio), 1e-13
        )


@settings(max_examples=8, deadline=None)
@given(st.fractions(-2, 2, max_denominator=3).filter(lambda a: a not in (0, 1)))
def test_the_swap_of_linex_is_not_its_mirror(alpha):
    entry = loss(f"linex({alpha})")
    swapped, mirrored = swap(entry), mirror(entry)
    assert sp.expand(swapped.expression - loss(f"linex({1 - alpha})").expression) == 0
    assert sp.expand(mirrored.expression - loss(f"linex({-alpha})").expression) == 0
    assert sp.expand(swapped.expression - mirrored.expression) != 0


def test_the_mirror_recomputes_the_verdicts():
    before, after = decide(loss("linex(1)")), decide(mirror(loss("linex(1)")))
    assert (before.zero_forcing.holds, before.zero_avoiding.holds) == (False, True)
    assert (after.zero_forcing.holds, after.zero_avoiding.holds) == (True, False)
    steep = mirror(
        loss("linex(1/2)")
    )  # neither before; the mirror is zero-forcing: so the two are not exchanged
    assert decide(steep).zero_forcing.holds is True and decide(steep).zero_avoiding.holds is False
    assert mirror(loss(PINBALL)).expression.subs(x, 2) == loss(PINBALL).expression.subs(x, -2)


def test_mirror_equals_swap_only_for_lines_with_a_kink_at_zero():
    for ratio in RATIOS:
        assert mp.almosteq(f(mirror(loss(PINBALL)), ratio), f(swap(loss(PINBALL)), ratio), 1e-13)
    assert not mp.almosteq(f(mirror(loss("quadratic")), 3), f(swap(loss("quadratic")), 3), 1e-3)


def test_sums_add_divergences():
    total = weighted_sum([(R(1, 3), loss("quadratic")), (2, loss("linex(1)"))])
    for ratio in RATIOS:
        assert mp.almosteq(
            f(total, ratio), f(loss("quadratic"), ratio) / 3 + 2 * f(loss("linex(1)"), ratio), 1e-13
        )
    with pytest.raises(ValueError, match="not positive"):
        weighted_sum([(-1, loss("quadratic"))])
    with pytest.raises(ValueError, match="at least one"):
        weighted_sum([])


@pytest.mark.parametrize("name", ["quadratic", "linex(1)", "shifted_cosh"])
def test_clipping_ends_both_classes(name):
    c = R(3, 2)
    entry, clipped = loss(name), clip(loss(name), c)
    for point in (-4, -1, 1, 5):
        expected = slope(entry, max(-c, min(c, sp.Integer(point))))
        assert mp.almosteq(slope(clipped, point), expected, 1e-9)
    for ratio in (R(1, 3), R(4)):
        assert mp.almosteq(f(clipped, ratio), f(entry, ratio), 1e-13)
    verdicts = decide(clipped)
    assert verdicts.zero_forcing.holds is False and verdicts.zero_avoiding.holds is False
    assert verdicts.convex.holds is True
    far = sp.Integer(10) ** 30
    assert mp.almosteq(f(clipped, 1 / far), -slope(entry, -c), 1e-9)
    limit = mp.quad(lambda v: slope(entry, v) * mp.exp(-v), [0, 1.5]) + slope(entry, c) * mp.exp(
        -1.5
    )
    assert mp.almosteq(f(clipped, far) / mp.mpf(10) ** 30, limit, 1e-7)


def test_clipping_commutes_with_the_swap_and_the_quadratic_becomes_huber():
    assert sp.simplify(clip(loss("quadratic"), 1).expression.subs(x, 3) - R(5, 2)) == 0
    one, other = swap(clip(loss("quadratic"), 1)), clip(swap(loss("quadratic")), 1)
    for ratio in RATIOS:
        assert mp.almosteq(f(one, ratio), f(other, ratio), 1e-13)
    with pytest.raises(ValueError, match="positive"):
        clip(loss("quadratic"), -1)
    kinked = clip(loss(HUBER), 2)  # a bound beyond the kinks changes nothing
    assert all(
        sp.simplify((kinked.expression - loss(HUBER).expression).subs(x, v)) == 0
        for v in (-3, -R(1, 2), R(1, 2), 3)
    )


@pytest.mark.parametrize("name", ["quadratic", "linex(1)", "shifted_cosh", HUBER])
@pytest.mark.parametrize(
    "a, b", [("1", "0"), ("0", "1"), ("3/2", "-1/2"), ("1/2", "1/4"), ("0", "2"), ("2", "-1/2")]
)
def test_weights_by_powers_have_the_gradient_that_they_promise(name, a, b):
    """d/dlog q of D_f~(p^k || q^k) must be -q^a p^b g'(log p/q), by numeric differentiation in
    q.
    """
    a, b = R(a), R(b)
    k = a + b
    entry, tilde = loss(name), under(loss(name), f"powers:{a},{b}")
    generator = sp.lambdify(x, tilde.expression, "mpmath")

    def potential(
        log_q, log_p
    ):  # Q f~(P/Q) from g~ alone: f~(e^u) = g~(u) + e^u int_0^u g~ e^{-v} dv
        u = k * (log_p - log_q)
        cuts = sorted(
            {0, u, *(v for v in (-k, k) if min(0, u) < v < max(0, u))}, reverse=bool(u < 0)
        )
        return mp.exp(k * log_q) * (
            generator(u) + mp.exp(u) * mp.quad(lambda v: generator(v) * mp.exp(-v), cuts)
        )

    k = mp.mpf(str(sp.N(k, 20)))
    for log_p, log_q in ((mp.mpf("0.3"), mp.mpf("-0.9")), (mp.mpf("-0.7"), mp.mpf("1.1"))):
        got = mp.diff(lambda v, log_p=log_p: potential(v, log_p), log_q, h=mp.mpf("1e-5"))
        weight = mp.exp(float(a) * log_q + float(b) * log_p)
        assert mp.almosteq(got, -weight * slope(entry, log_p - log_q), 1e-6)


WEIGHTS = {  # mu by q = p_F and p = p_B
    "backward": lambda q, p: p,
    "mixture:1/3": lambda q, p: 2 * q / 3 + p / 3,
    "power:-1/2": lambda q, p: q**1.5 * p**-0.5,
    "powers:1/2,1/2": lambda q, p: (q * p) ** 0.5,
    "learned_backward:1/2": lambda q, p: (q * p) ** 0.5,
}


@pytest.mark.parametrize("sampler", WEIGHTS)
@pytest.mark.parametrize("text", ["x", "exp(x) - 1", "x**2/2 - 3*x", "Max(x, -1) + 2"])
def test_the_straight_part_of_a_loss_counts_under_a_sampler(sampler, text):
    """The gradient of sum sg(mu) g on a simplex, of g as it was typed, is that of the divergence;
    with the straight part set aside before weighting it is not.
    """
    typed = loss(text)
    equivalent = under(typed, sampler)
    bare = under(dataclasses.replace(typed, gauge=(sp.S.Zero, sp.S.Zero)), sampler)
    slope = sp.lambdify(x, sp.diff(parse(text, x), x), "numpy")
    rng = np.random.default_rng(5)
    q, p = (w / w.sum() for w in rng.dirichlet(np.ones(4), 2) + 0.05)
    learned = p if sampler.startswith("learned") else q
    sign = 1 if sampler.startswith("learned") else -1
    per_log = sign * WEIGHTS[sampler](q, p) * slope(np.log(p / q)) * np.ones(4)
    wanted = per_log - learned * per_log.sum()  # in the logits of the law that learns
    found, without = (_gradient(entry, q, p, sampler) for entry in (equivalent, bare))
    assert np.abs(found - wanted).max() < 1e-8
    assert np.abs(without - wanted).max() > 1e-3


def test_a_straight_part_under_powers_that_are_not_normalised_is_refused():
    with pytest.raises(ExpressionError, match="counts"):
        under(loss("exp(x) - 1"), "powers:1/2,1")
    with pytest.raises(ExpressionError, match="counts"):
        place(read_term("k1", "loss"), weighting("powers:1/2,1"))
    assert under(loss("exp(x) - 1"), "powers:1/3,2/3").gauge[1] == 1


def _gradient(entry, q, p, sampler):
    """D_f(p || q) differentiated by the logits of the law that learns, by differences."""

    def total(logits):
        law = np.exp(logits) / np.exp(logits).sum()
        top, under_it = (law, q) if sampler.startswith("learned") else (p, law)
        return sum(
            low * float(f(entry, sp.Rational(str(high / low)))) for high, low in zip(top, under_it)
        )

    at = np.log(p if sampler.startswith("learned") else q)
    steps = 1e-5 * np.eye(4)
    return np.array([(total(at + s) - total(at - s)) / 2e-5 for s in steps])


def test_sampler_rules():
    """Zero-avoiding from the exponent of p_F alone, zero-forcing from that of p_B alone."""
    assert decide(under(loss("quadratic"), "backward")).zero_avoiding.holds is True
    assert decide(under(loss("quadratic"), "backward")).zero_forcing.holds is False
    both = decide(under(loss("linex(-2)"), "backward"))
    assert both.zero_avoiding.holds is True and both.zero_forcing.holds is True


def test_a_share_of_backward_samples_makes_the_quadratic_both():
    threshold = sp.E**2 / (1 + sp.E**2)
    for share, convex in ((R(1, 10), True), (R(88, 100), True), (R(95, 100), False)):
        assert bool(share < threshold) is convex
        verdicts = decide(under(loss("quadratic"), f"mixture:{share}"))
        assert verdicts.zero_forcing.holds is True and verdicts.zero_avoiding.holds is True
        assert verdicts.convex.holds is convex
    just_above = decide(
        under(loss("quadratic"), "mixture:0.89")
    ).convex  # negative only on a short stretch
    assert just_above.holds is not True
    mixed, entry = under(loss("linex(1)"), "mixture:1/3"), loss("linex(1)")
    for ratio in RATIOS:
        backward = mp.mpf(str(sp.N(ratio * entry.expression.subs(x, sp.log(ratio)), 25)))
        assert mp.almosteq(f(mixed, ratio), 2 * f(entry, ratio) / 3 + backward / 3, 1e-13)


@pytest.mark.parametrize("name", ["quadratic", "linex(1)", "linex(1/2)", HUBER])
@pytest.mark.parametrize("b", ["0", "1", "1/3"])
def test_backward_parameters(name, b):
    """k_b(1) = 0 and t k_b'(t) = t^b g'(log t); k_0(t) = g(log t)."""
    equivalent = under(loss(name), f"learned_backward:{b}")
    for ratio in (R(1, 5), R(4, 5), R(17, 10), R(9)):
        h = R(1, 10**6)
        got = (
            (f(equivalent, ratio + h) - f(equivalent, ratio - h))
            / mp.mpf("2e-6")
            * mp.mpf(float(ratio))
        )
        expected = mp.mpf(float(ratio)) ** mp.mpf(float(R(b))) * slope(loss(name), sp.log(ratio))
        assert mp.almosteq(got, expected, 1e-6, 1e-9)
        if b == "0":
            assert mp.almosteq(
                f(equivalent, ratio),
                mp.mpf(str(sp.N(loss(name).expression.subs(x, sp.log(ratio)), 25))),
                1e-12,
            )


@pytest.mark.parametrize("name", ["log(cosh(x))", "Abs(x) - log(1 + Abs(x))", "x**2/(1 + Abs(x))"])
def test_a_swap_without_closed_form_is_an_integral(name):
    entry, swapped = loss(name), swap(loss(name))
    assert swapped.expression.has(sp.Integral)
    for ratio in RATIOS:
        assert mp.almosteq(
            f(swapped, ratio), mp.mpf(str(ratio.evalf(30))) * f(entry, 1 / ratio), 1e-12, 1e-14
        )
    before, after = decide(entry), decide(swapped)
    assert (before.zero_forcing.holds, before.zero_avoiding.holds) == (
        after.zero_avoiding.holds,
        after.zero_forcing.holds,
    )


def test_what_is_not_found_is_none():
    assert swap(loss("sqrt(1 + x**2) - 1"), budget=1.0) is None


def test_a_loss_without_closed_form_under_a_sampler():
    """h stays an integral: its slope, and with it the verdicts, are explicit."""
    entry = under(loss("sqrt(1 + x**2) - 1"), "power:1/2")
    assert entry.expression.has(sp.Integral)
    for ratio in ("1/3", "3"):
        with mp.workdps(30):
            u = mp.log(mp.mpf(sp.Rational(ratio).p) / sp.Rational(ratio).q)
            expected = mp.exp(u) * mp.quad(
                lambda v: mp.exp(v / 2) * v / mp.sqrt(1 + v**2) * mp.exp(-v), [0, u]
            )
            assert mp.almosteq(
                mp.mpf(enclose(entry, sp.Rational(ratio), 25).mid().str(25, radius=False)),
                expected,
                1e-18,
            )
    verdicts = decide(entry)
    assert verdicts.zero_avoiding.holds is False and verdicts.zero_forcing.holds is False


@pytest.mark.parametrize(
    ("text", "chosen", "forcing", "avoiding"),
    [
        ("quadratic", "power:b", "b <= 0", "b >= 1"),
        ("quadratic", "mixture:e", True, True),
        ("linex(1)", "power:b", "b < 0", "b >= 0"),
        ("Abs(x)", "mixture:share", False, True),
    ],
)
def test_numbers_of_a_sampler_may_be_parameters(text, chosen, forcing, avoiding):
    """Section by section what the propositions say for every share: both, or exactly when."""
    verdicts = decide(on_policy_equivalent(loss(text), weighting(chosen)), budget=30)
    for verdict, wanted in ((verdicts.zero_forcing, forcing), (verdicts.zero_avoiding, avoiding)):
        assert (verdict.condition if isinstance(wanted, str) else verdict.holds) == wanted, (
            verdict.because
        )


def test_weights_read_as_one_would_write_them():
    assert [
        weighting(text).weight
        for text in (
            "power:1",
            "power:0",
            "power:1/2",
            "powers:1,2",
            "mixture:e",
            "learned_backward:0",
        )
    ] == [
        "p_B",
        "p_F",
        "p_F^(1/2) p_B^(1/2)",
        "p_F p_B^(2)",
        "(1 - e) p_F + e p_B",
        "p_F, p_B learning",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "mixture:2",
        "mixture:e/2",
        "power:x",
        "power:1/0",
        "powers:1,-1",
        "powers:a,1/2",
        "power",
        "",
        "power:1,2",
        "power:__import__('os')",
        "learned_backward",
    ],
)
def test_a_sampler_that_is_none_is_refused(text):
    with pytest.raises(ExpressionError):
        weighting(text)


def test_kinked_losses_without_closed_form_are_decided_under_a_sampler():
    """sqrt(v)*exp(v) has no integral that was found: g stays two integrals, one on each side,
    and is decided by its slope.
    """
    entry = on_policy_equivalent(loss("Abs(x)**(3/2)"), weighting("mixture:1/10"))
    assert entry.expression.has(sp.Integral)
    verdicts = decide(entry)
    assert (
        verdicts.zero_forcing.holds
        and verdicts.zero_avoiding.holds
        and verdicts.valid.holds
        and verdicts.convex.holds
    )
    document = json.loads(json.dumps(to_json(derive(entry))))
    assert check_one(document) == []
