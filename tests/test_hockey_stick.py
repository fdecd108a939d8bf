"""The hockey-stick form reproduces D_f on random finite measures of unequal mass, against plain
quadrature.
"""

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from flint import arb
from hypothesis import given, settings
from hypothesis import strategies as st

from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.divergence.values import enclose
from divergence_lab.theory.expressions.enclosure import exact, integral
from divergence_lab.theory.expressions.ordering import CannotSplit, is_less
from divergence_lab.theory.expressions.precision import digits
from divergence_lab.theory.expressions.symbols import x
from divergence_lab.theory.inequalities.hockey_stick import hockey_stick_weights

R = sp.Rational
LOSSES = {
    "quadratic": "quadratic",
    "forward KL": "linex(1)",
    "cosh": "shifted_cosh",
    "absolute": "Abs(x)",
    "huber": "Piecewise((x**2/2, Abs(x) < 1), (Abs(x) - 1/2, True))",
    "pinball": "Piecewise((-x/4, x < 0), (3*x/4, True))",
    "log-cosh": "log(cosh(x))",
    "welsch": "1 - exp(-x**2/2)",
    "kinks off 0": "Max(Abs(x) - 1/2, 0) + Abs(x)/3 + Max(x - 2, 0)",
    "quadratic and linex": "Piecewise((x**2/2, x < 0), (exp(x) - x - 1, True))",
}
masses = st.lists(
    st.tuples(
        st.fractions(R(1, 40), 6, max_denominator=40), st.fractions(R(1, 40), 6, max_denominator=40)
    ),
    min_size=1,
    max_size=4,
)


def divergence_of(weights, p, q, precision=20):
    """D_f(p || q) put together again from its hockey sticks, enclosed; p and q exact and
    positive (Proposition 7).
    """
    total = arb(0)
    for a, b in zip(p, q, strict=True):
        a, b = sp.sympify(a), sp.sympify(b)
        if not (a.is_positive and b.is_positive):
            raise ValueError(f"the masses {a} and {b} must be positive")
        if a == b:
            continue
        larger, smaller = (a, b) if is_less(b, a) else (b, a)
        density, atoms = (
            (weights.target_exceeds, weights.target_atoms)
            if larger == a
            else (weights.model_exceeds, weights.model_atoms)
        )
        reach = sp.log(larger / smaller)
        for piece in density.pieces:
            if is_less(piece.low, reach) and piece.expression != 0:
                high = piece.high if is_less(piece.high, reach) else reach
                total += integral(
                    piece.expression * (larger - sp.exp(x) * smaller), x, piece.low, high, precision
                )
        with digits(precision + 10):
            for atom in atoms:
                if is_less(atom.u, reach):
                    total += exact(atom.weight) * (
                        exact(larger) - exact(atom.u).exp() * exact(smaller)
                    )
    return total


def by_quadrature(name: str, p, q) -> mp.mpf:
    """sum q f(p/q) with f(e^u) = e^u int_0^u g' e^{-v} dv, g' by hand, mpmath's own quadrature."""
    slopes = {
        "huber": lambda v: max(-1, min(1, v)),
        "absolute": mp.sign,
        "cosh": lambda v: 2 * mp.sinh(v),
        "pinball": lambda v: mp.mpf("0.75") if v > 0 else mp.mpf("-0.25"),
        "log-cosh": mp.tanh,
    }
    total = mp.mpf(0)
    for a, b in zip(p, q):
        u = mp.log(
            mp.mpf(int(a.numerator)) / int(a.denominator) * int(b.denominator) / int(b.numerator)
        )
        cuts = sorted(
            {0, u, *(k for k in (-1, 1) if min(0, u) < k < max(0, u))}, reverse=bool(u < 0)
        )
        mass = mp.mpf(int(a.numerator)) / int(a.denominator)
        total += mass * mp.quad(lambda v: slopes[name](v) * mp.exp(-v), cuts) if u else 0
    return total


@pytest.mark.parametrize("name", ["huber", "absolute", "cosh", "pinball", "log-cosh"])
def test_against_plain_quadrature(name):
    draw = np.random.default_rng(5)
    weights = hockey_stick_weights(loss(LOSSES[name]))
    for _ in range(4):
        p, q = ([R(int(v), 97) for v in draw.integers(1, 500, size=5)] for _ in range(2))
        assert sum(p) != sum(q)
        got = mp.mpf(divergence_of(weights, p, q).mid().str(18, radius=False))
        assert abs(got - by_quadrature(name, p, q)) < 1e-9


@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=6, deadline=None)
@given(pairs=masses)
def test_against_the_enclosed_generator(name, pairs):
    p, q = ([R(a.numerator, a.denominator) for a in side] for side in zip(*pairs))
    entry = loss(LOSSES[name])
    total = sum((enclose(entry, a / b, 25) * int(b.p) / int(b.q) for a, b in zip(p, q)), 0)
    difference = divergence_of(hockey_stick_weights(entry), p, q) - total
    assert difference.contains(0) and difference.rad() < 1e-12


def test_the_weights_of_known_losses():
    weights = hockey_stick_weights(loss("quadratic"))
    assert (
        weights.target_exceeds.as_expression() == sp.exp(-x)
        and weights.model_exceeds.as_expression() == 1
    )
    assert not weights.target_atoms and not weights.model_atoms
    pinball = hockey_stick_weights(loss(LOSSES["pinball"]))
    assert [(a.u, a.weight) for a in pinball.target_atoms] == [(0, R(3, 4))]
    assert [(a.u, a.weight) for a in pinball.model_atoms] == [(0, R(1, 4))]


def test_half_of_a_kink_to_each_side_is_wrong_between_unequal_masses():
    """The negative control: pinball's kink of size 1, halved, misses by (3/4 - 1/2)(|p| - |q|)."""
    p, q = [R(2), R(3)], [R(1), R(1, 2)]
    right = divergence_of(hockey_stick_weights(loss(LOSSES["pinball"])), p, q)
    halved = R(1, 2) * sum(abs(a - b) for a, b in zip(p, q))
    assert abs(float(right.mid()) - float(halved) - 0.25 * float(sum(p) - sum(q))) < 1e-12
    assert abs(float(right.mid()) - float(halved)) > 0.5


def test_one_integral_for_all_u_is_wrong():
    """(p - e^u q)_+ for u < 0 as well, weighted g'' e^{-u}: not D_f (it even diverges for the
    quadratic's tails).
    """
    p, q = mp.mpf(1), mp.mpf(3)
    wrong = mp.quad(lambda u: mp.exp(-u) * max(p - mp.exp(u) * q, 0), [-8, mp.log(p / q), 8])
    right = float(divergence_of(hockey_stick_weights(loss("quadratic")), [R(1)], [R(3)]).mid())
    assert abs(wrong - right) > 1


def test_no_weight_where_a_slope_is_infinite():
    with pytest.raises(CannotSplit, match="infinite at x = 0"):
        hockey_stick_weights(loss("sqrt(Abs(x))"))
    with pytest.raises(ValueError, match="positive"):
        divergence_of(hockey_stick_weights(loss("quadratic")), [R(0)], [R(1)])
