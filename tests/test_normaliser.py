"""The learned normaliser and the direction of the policy gradient, against brute force and
finite differences.
"""

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.inequalities.normaliser import biases_log_z, optimal_log_z
from divergence_lab.theory.inequalities.wrong_log_z import keeps_direction, repelling_residuals

R = sp.Rational
HUBER = "Piecewise((x**2/2, Abs(x) < 1), (Abs(x) - 1/2, True))"
GENERATORS = {  # f(t) and g'(x) by hand
    "quadratic": (lambda t: t - np.log(t) - 1, lambda v: v),
    "linex(1)": (lambda t: t * np.log(t) - t + 1, lambda v: np.exp(v) - 1),
    "linex(1/2)": (lambda t: 2 * (np.sqrt(t) - 1) ** 2, lambda v: 2 * (np.exp(v / 2) - 1)),
    "shifted_cosh": (lambda t: t * np.log(t) - t / 2 + 1 / (2 * t), lambda v: 2 * np.sinh(v)),
    "Abs(x)": (lambda t: abs(t - 1), np.sign),
}
vectors = st.integers(2, 4).flatmap(
    lambda n: st.tuples(
        *(
            st.lists(st.fractions(R(1, 20), 4, max_denominator=20), min_size=n, max_size=n)
            for _ in range(2)
        )
    )
)


def linex_optimum(alpha, target, law):
    """(Z, min_Z D_f) in closed form: Z = (E_P w^a)^(1/a), D = (Z - Z*)/(a - 1) (Proposition 13)."""
    p = target
    total = sp.Add(*p)
    if alpha == 0:
        # not evaluated: SymPy would gather the rational powers under one root, with integers of
        # thousands of digits
        z = sp.exp(
            sp.Add(*(m * sp.log(v / m) for v, m in zip(p, law)), evaluate=False), evaluate=False
        )
        return z, sp.Add(total, sp.Mul(-1, z, evaluate=False), evaluate=False)
    if alpha == 1:
        return total, sp.Add(*(v * sp.log(v / (total * m)) for v, m in zip(p, law)))
    z = sp.Add(*(m * (v / m) ** alpha for v, m in zip(p, law))) ** (1 / alpha)
    return z, (z - total) / (alpha - 1)


def exactly(values):
    return [R(v.numerator, v.denominator) for v in values]


@pytest.mark.parametrize("name", GENERATORS)
@settings(max_examples=6, deadline=None)
@given(vectors)
def test_the_optimum_is_the_minimum_of_the_divergence(name, pair):
    target, law = exactly(pair[0]), exactly(pair[1])
    found = optimal_log_z(loss(name), target, law)
    p, q = (np.array([float(v) for v in values]) for values in (target, law))
    q = q / q.sum()

    def profile(z):
        return float((np.exp(z) * q * GENERATORS[name][0](p / (np.exp(z) * q))).sum())

    low, high = np.log(p / q).min(), np.log(p / q).max()
    grid = np.linspace(low - 1, high + 1, 400)
    start = grid[np.argmin([profile(z) for z in grid])]
    best = minimize_scalar(
        profile, bounds=(start - 0.05, start + 0.05), method="bounded", options={"xatol": 1e-12}
    )
    assert found.guaranteed and best.fun - 1e-6 < float(found.profile.mid()) < best.fun + 1e-9
    assert float(found.log_z.lower()) - 1e-4 <= best.x <= float(found.log_z.upper()) + 1e-4
    assert abs(float(found.log_z_true.mid()) - np.log(p.sum())) < 1e-12


@pytest.mark.parametrize("alpha", ["-1", "0", "1/2", "1", "2", "3"])
@pytest.mark.parametrize(
    "target, law", [([R(1), R(2), R(1, 2)], [R(1), R(1), R(2)]), ([R(3), R(1)], [R(1), R(4)])]
)
def test_linex_in_closed_form(target, law, alpha):
    law = [v / sum(law) for v in law]
    z, profile = linex_optimum(R(alpha), target, law)
    found = optimal_log_z(loss("quadratic" if alpha == "0" else f"linex({alpha})"), target, law)
    log_z = float(mp.log(mp.mpf(str(sp.N(z, 30)))))
    assert abs(float(found.log_z.mid()) - log_z) < 1e-12
    assert abs(float(found.profile.mid()) - float(sp.N(profile, 20))) < 1e-12
    bias = log_z - float(np.log(float(sum(target))))  # below Z* for alpha < 1, above for alpha > 1
    assert bias == pytest.approx(0, abs=1e-14) or (bias < 0) is bool(R(alpha) < 1)


def test_the_minimisers_of_the_median_loss_fill_an_interval():
    """Two equal weights: every log Z between the two log-ratios is a median."""
    found = optimal_log_z(loss("Abs(x)"), [R(1), R(4)], [R(1, 2), R(1, 2)])
    assert float(found.log_z.lower()) == pytest.approx(np.log(2), abs=1e-9)
    assert float(found.log_z.upper()) == pytest.approx(np.log(8), abs=1e-9)


def test_a_redescending_loss_is_searched_but_not_guaranteed():
    target, law = [R(1, 10), R(3)], [R(1, 2), R(1, 2)]
    found = optimal_log_z(loss("1 - exp(-x**2/2)"), target, law)
    assert not found.guaranteed
    f = [
        mp.quad(lambda v: v * mp.exp(-v * v / 2 - v), [0, mp.log(2 * mp.mpf(float(p))) - z])
        * mp.mpf(float(p))
        for z in (mp.mpf(float(found.log_z.mid())),)
        for p in target
    ]
    assert abs(sum(f) - float(found.profile.mid())) < 1e-9
    with pytest.raises(ValueError, match="positive"):
        optimal_log_z(loss("quadratic"), [0, 1], [R(1, 2), R(1, 2)])


@pytest.mark.parametrize(
    "name, direction",
    [
        ("quadratic", "down"),
        ("linex(1/2)", "down"),
        ("linex(2)", "up"),
        ("shifted_cosh", "down"),
        (HUBER, "down"),
        ("Abs(x)", "either"),
        ("x**4", "either"),
        ("1 - exp(-x**2/2)", "either"),
    ],
)
def test_which_losses_bias_log_z(name, direction):
    found = biases_log_z(loss(name))
    assert found.holds is True and found.direction == direction
    assert sum(found.law) == 1 and sum(found.target) == 1
    bias = float(found.optimum.bias.mid())
    assert abs(bias) > 0.01
    if direction != "either":
        assert (bias < 0) is (direction == "down")
        assert found.optimum.bias < 0 if bias < 0 else found.optimum.bias > 0


@settings(max_examples=10, deadline=None)
@given(vectors, st.sampled_from(["quadratic", "linex(1/2)", "shifted_cosh", HUBER]))
def test_biased_down_means_never_above(pair, name):
    found = optimal_log_z(loss(name), exactly(pair[0]), exactly(pair[1]))
    assert float(found.bias.lower()) <= 1e-9


def test_only_linex_1_keeps_the_normaliser():
    assert biases_log_z(loss("linex(1)")).holds is False
    assert biases_log_z(loss("3*(exp(x) - x - 1)")).holds is False
    assert biases_log_z(loss("exp(x) - x - 1 + x**2/1000")).holds is True  # nearly, and yet
    assert (
        biases_log_z(loss("linex(alpha)")).holds is None
        and biases_log_z(loss("x**3")).holds is None
    )


@pytest.mark.parametrize(
    "name", ["quadratic", "linex(1)", "linex(1/3)", "linex(-2)", "linex(alpha)"]
)
def test_linex_keeps_the_direction(name):
    assert keeps_direction(loss(name)).holds is True


@pytest.mark.parametrize(
    "name",
    [
        "shifted_cosh",
        "log(cosh(x))",
        HUBER,
        "Abs(x)",
        "log(1 + x**2)",
        "x**4",
        "Piecewise((x**2/2, x < 0), (exp(x) - x - 1, True))",
        "exp(x) - x - 1 + x**2/2",
    ],
)
def test_other_losses_bend_it(name):
    found = keeps_direction(loss(name))
    assert found.holds is False and found.cosine < 1


@pytest.mark.parametrize("name", ["quadratic", "linex(1)", "linex(1/2)", "shifted_cosh"])
def test_direction_by_finite_differences(name):
    """The softmax-logit gradient of the surrogate at log Z and log Z + c on three outcomes."""
    draw = np.random.default_rng(1)
    f, worst = GENERATORS[name][0], 1.0

    def surrogate(p, z, logits):
        q = np.exp(z) * np.exp(logits) / np.exp(logits).sum()
        return (q * f(p / q)).sum()

    for _ in range(20):
        p, logits, offset = np.exp(draw.normal(size=3)), draw.normal(size=3), draw.normal() * 2
        a, b = (
            np.array(
                [
                    (surrogate(p, z, logits + e) - surrogate(p, z, logits - e)) / 2e-5
                    for e in 1e-5 * np.eye(3)
                ]
            )
            for z in (0.0, offset)
        )
        worst = min(worst, a @ b / np.sqrt((a @ a) * (b @ b)))
    assert bool(worst > 1 - 1e-6) is (name != "shifted_cosh")


def test_the_witness_cosine_is_what_it_says():
    found = keeps_direction(loss("shifted_cosh"))
    v = np.array([2 * np.sinh(float(r)) for r in found.residuals])
    w = np.array([2 * np.sinh(float(r - found.offset)) for r in found.residuals])
    v, w = v - v.mean(), w - w.mean()
    assert float(found.cosine.mid()) == pytest.approx(v @ w / np.sqrt((v @ v) * (w @ w)), abs=1e-10)


@pytest.mark.parametrize(
    "name, edge",
    [("1 - exp(-x**2/2)", 1.0), ("log(1 + x**2)/2", 1.0), ("x**2/(2*(1 + x**2))", 3**-0.5)],
)
def test_where_the_correct_policy_repels(name, edge):
    found = repelling_residuals(loss(name))
    assert found.holds is True and not found.undecided and not found.jumps
    left, right = found.stretches
    assert left.low == (-np.inf, -np.inf) and right.high == (np.inf, np.inf)
    assert left.high[0] <= -edge <= left.high[1] and right.low[0] <= edge <= right.low[1]
    assert left.high[1] - left.high[0] < 1e-9


def test_repulsion_is_the_hessian_on_the_simplex():
    """Welsch at a common residual u: a strict local maximum for |u| = 1.5, a minimum for |u| =
    0.8.
    """
    p = np.array([0.2, 0.3, 0.5])

    def f(t):
        u = mp.log(t)
        return t * mp.quad(lambda v: v * mp.exp(-v * v / 2 - v), [0, u])

    for u, sign in ((1.5, -1), (-1.5, -1), (0.8, 1), (-0.8, 1)):
        m = np.exp(-u)

        def surrogate(step, m=m):
            law = [mp.mpf(v) + s for v, s in zip(p, step)]
            return sum(m * q * f(mp.mpf(a) / (m * q)) for a, q in zip(p, law))

        for direction in (np.array([1, -1, 0]), np.array([1, 1, -2]), np.array([-1, 0, 1])):
            h = mp.mpf("1e-6")
            second = (
                surrogate(h * direction) - 2 * surrogate(0 * direction) + surrogate(-h * direction)
            ) / h**2
            curvature = (1 - u * u) * np.exp(-u * u / 2)
            assert float(second) == pytest.approx(
                m * curvature * sum(d * d / v for d, v in zip(direction, p)), rel=1e-3
            )
            assert mp.sign(second) == sign


@pytest.mark.parametrize("name", ["quadratic", "linex(1)", HUBER, "Abs(x)", "x**4", "log(cosh(x))"])
def test_convex_losses_never_repel(name):
    found = repelling_residuals(loss(name))
    assert found.holds is False and not found.stretches and not found.undecided


def test_repulsion_at_a_downward_jump_and_next_to_a_kink():
    broken = repelling_residuals(
        loss("Piecewise((-2*x - 1, x < -1), (-x, x < 0), (2*x, x < 1), (x + 1, True))")
    )
    assert broken.holds is True and broken.jumps == (1,) and not broken.stretches
    root = repelling_residuals(loss("sqrt(Abs(x))"))
    assert [s.low for s in root.stretches] == [(-np.inf, -np.inf), (0.0, 0.0)]
    assert repelling_residuals(loss("linex(alpha)")).holds is None
