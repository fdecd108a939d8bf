"""Best constants and Pinsker's inequality: known values, brute force on random measures, and
what must not be claimed.
"""

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from flint import arb
from hypothesis import given, settings
from hypothesis import strategies as st

from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.divergence.values import enclose
from divergence_lab.theory.expressions.pieces import Piece, Pieces
from divergence_lab.theory.expressions.symbols import x
from divergence_lab.theory.inequalities.bounds import best_constant
from divergence_lab.theory.inequalities.pinsker import pinsker
from divergence_lab.theory.inequalities.sufficient_bounds import slope_constant
from divergence_lab.theory.verdicts.integral_sign import (
    combined,
    outwards,
    prove_integral_nonnegative,
    why_not_valid,
)

R = sp.Rational
HUBER = "Piecewise((x**2/2, Abs(x) < 1), (Abs(x) - 1/2, True))"
JSD = "-polylog(2, -exp(x))/2 - pi**2/24 - x*log(2)/2"
TRIANGULAR = "4*log((exp(x) + 1)/2) + 4/(exp(x) + 1) - x - 2"

# f(t) by hand, for brute force
GENERATORS = {
    "quadratic": lambda t: t - np.log(t) - 1,
    "linex(1)": lambda t: t * np.log(t) - t + 1,
    "linex(1/2)": lambda t: 2 * (np.sqrt(t) - 1) ** 2,
    "linex(2)": lambda t: (t - 1) ** 2 / 2,
    "shifted_cosh": lambda t: t * np.log(t) - t / 2 + 1 / (2 * t),
    "Abs(x)": lambda t: abs(t - 1),
    JSD: lambda t: (t * np.log(t) - (t + 1) * np.log((t + 1) / 2)) / 2,
    TRIANGULAR: lambda t: (t - 1) ** 2 / (t + 1),
    HUBER: lambda t: np.where(
        abs(np.log(t)) < 1,
        t - np.log(t) - 1,
        np.where(t > 1, t - 1 / np.e * t - 1, 1 - (np.e - 1) * t),
    ),
}
KNOWN = [
    (JSD, TRIANGULAR, sp.log(2) / 2),
    (TRIANGULAR, JSD, 4),
    ("linex(1)", "linex(2)", 2),
    ("linex(1/2)", "linex(1)", 2),
    ("quadratic", "shifted_cosh", R(1, 2)),
    ("linex(1)", "shifted_cosh", 1),
    (HUBER, "Abs(x)", 1),
    ("linex(1/2)", HUBER, 2 * sp.E / (sp.E - 1)),
    ("quadratic", "quadratic", 1),
    ("linex(2)", "linex(1)", sp.oo),
    ("Abs(x)", "quadratic", sp.oo),
    ("x**4", "quadratic", sp.oo),
]


# Losses with kinks: (g1, g2, sup f1/f2).
KINKED = [
    ("Abs(x)", "Piecewise((-x/4, x < 0), (7*x/4, True))", 4.0),  # slopes 1 and 1/4 left of 0
    ("x**2/2", "Piecewise((5*x**2, x < 1), (5 + (x-1)/100 + 5*(x-1)**2, True))", 0.16683),
    ("Piecewise((x**2/2, x < 1), (1/2 + 3*(x-1), True))", "x**2/2 + Max(x-2, 0)", None),
    ("Abs(x) + Max(x-1, 0)", "Piecewise((-x/8, x < 0), (3*x, x < 1), (3 + 4*(x-1), True))", 8.0),
    ("x**2", "x**2 + Max(x-1, 0)", 1.0),
    ("x**2 - Max(x-1, 0)/2", "x**2 - Max(x-1, 0)", None),
    ("x**2 - Max(x-1, 0)", "x**2 - Max(x-1, 0)/2", 1.0),
]


def best_of(first, second):
    """sup f1/f2 by quadrature at many ratios, from the text alone."""
    slopes = [
        sp.lambdify(x, sp.diff(sp.sympify(text, {"x": x}), x), "numpy") for text in (first, second)
    ]
    largest = 0.0
    for side in (1, -1):
        y = np.linspace(0, 30, 600_001)[1:] - 2.5e-5
        one, other = (np.cumsum(side * slope(side * y) * np.exp(-side * y)) for slope in slopes)
        largest = max(largest, np.nanmax((one / other)[200:]))
    return largest


@pytest.mark.parametrize("first, second, best", KINKED)
def test_constants_of_kinked_losses_against_brute_force(first, second, best):
    brute = best_of(first, second)
    assert best is None or abs(brute / best - 1) < 1e-3
    for found in (f(loss(first), loss(second)) for f in (best_constant, slope_constant)):
        assert not found.holds or found.high >= brute * (1 - 1e-6)


def kinked(draw, falling):
    """(text, slopes at 0, atoms, density) of a valid loss: g' is piecewise linear, and may fall
    at a kink.
    """
    kinks = [R(int(k)) for k in draw.choice([-2, -1, 1, 2, 3], size=2, replace=False)]
    jumps = [R(int(draw.integers(-1 if falling else 0, 4)), 4) for _ in kinks]
    slopes = [R(int(draw.integers(1 if falling else 0, 5)), 2) for _ in range(2)]
    density = R(int(draw.integers(1, 5)))
    text = f"Piecewise((-({slopes[0]})*x, x < 0), ({slopes[1]}*x, True)) + {density}*x**2/2"
    for k, size in zip(kinks, jumps):
        text += f" + ({size})*Max({'x-' if k > 0 else '-x-'}{abs(k)}, 0)"
    return text, slopes, dict(zip(kinks, jumps)), density


@pytest.mark.parametrize("seed", range(8))
def test_random_kinked_losses_against_brute_force(seed):
    """sup g1'/g2' by hand: g' is linear between kinks, so g1'/g2' is largest beside one of them
    or far out; and no constant below sup f1/f2.
    """
    draw = np.random.default_rng(seed)
    one, other = kinked(draw, seed % 2 == 1), kinked(draw, seed % 2 == 1)
    found, brute = slope_constant(loss(one[0]), loss(other[0])), best_of(one[0], other[0])
    best = best_constant(loss(one[0]), loss(other[0]))
    ratios = [slope(one, at, side) / slope(other, at, side) for at, side in beside(one, other)]
    largest = sp.oo if any(ratio.is_infinite for ratio in ratios) else max(ratios)
    if largest == sp.oo:
        assert found.holds is False
    else:
        assert found.certified and found.exact == largest
        assert found.high >= brute * (1 - 1e-6)
    assert not best.holds or brute * (1 - 1e-6) <= best.high


def slope(entry, at, side):
    """|g'| beside a point, by hand; in the limit of 0 and of oo the coefficient that leads."""
    _, slopes, kinks, density = entry
    if at in (sp.oo, -sp.oo):
        return density
    right = at > 0 or (at == 0 and side > 0)
    passed = [
        size
        for k, size in kinks.items()
        if (k > 0) == right and (abs(k) < abs(at) or (k == at and (side > 0) == right))
    ]
    return slopes[1 if right else 0] + density * abs(at) + sum(passed)


def beside(one, other):
    """0, every kink and both ends, each with the side it is looked at from."""
    points = {sp.S.Zero, *one[2], *other[2]}
    return [(at, side) for at in points for side in (-1, 1)] + [(sp.oo, -1), (-sp.oo, 1)]


@pytest.mark.parametrize("first, second, expected", KNOWN)
def test_known_constants(first, second, expected):
    found = best_constant(loss(first), loss(second))
    assert found.certified and (found.exact == expected or sp.simplify(found.exact - expected) == 0)
    assert found.holds is (expected != sp.oo)
    if expected != sp.oo:
        assert found.low <= float(expected) <= found.high < found.low * (1 + 1e-8)


@pytest.mark.parametrize(
    "first, second",
    [
        (HUBER, "linex(1/2)"),
        (JSD, TRIANGULAR),
        ("quadratic", "shifted_cosh"),
        ("linex(1/2)", HUBER),
        (HUBER, "Abs(x)"),
    ],
)
def test_brute_force_on_random_measures(first, second):
    """No pair of measures exceeds the constant, equal masses or not, and some pair comes close
    to it.
    """
    found = best_constant(loss(first), loss(second))
    draw = np.random.default_rng(3)
    p, q = np.exp(draw.normal(scale=4, size=(2, 20_000, 3)))
    one, other = ((q * GENERATORS[name](p / q)).sum(-1) for name in (first, second))
    assert (one <= found.high * other * (1 + 1e-9) + 1e-9).all()
    line = np.exp(np.linspace(-60, 60, 100_001)[np.abs(np.linspace(-60, 60, 100_001)) > 1e-2])
    best = np.nanmax(GENERATORS[first](line) / GENERATORS[second](line))
    assert found.low * (1 - 1e-3) < best < found.high * (1 + 1e-6)


def test_an_interior_maximum_is_enclosed():
    found = best_constant(loss(HUBER), loss("linex(1/2)"))
    assert found.exact is None and found.certified and found.low < 1.19610560 < found.high + 1e-7
    assert found.high - found.low < 1e-8
    ratio = [
        float((enclose(loss(HUBER), t, 20) / enclose(loss("linex(1/2)"), t, 20)).mid())
        for t in (R(1, 3), R(7, 20))
    ]
    assert max(ratio) <= found.high


def test_the_sufficient_bounds_are_never_smaller():
    first, second = loss(HUBER), loss("linex(1/2)")
    best, slopes = (f(first, second) for f in (best_constant, slope_constant))
    assert best.high < slopes.low and slopes.certified
    assert sp.simplify(slopes.exact - sp.exp(R(1, 2)) / (2 * (sp.exp(R(1, 2)) - 1))) == 0


@settings(max_examples=6, deadline=None)
@given(
    st.fractions(R(1, 5), 5, max_denominator=5),
    st.sampled_from(["quadratic", "linex(1)", "shifted_cosh", HUBER]),
)
def test_multiples(factor, name):
    scaled = loss(f"{factor}*({loss(name).expression})")
    assert best_constant(scaled, loss(name)).exact == R(factor.numerator, factor.denominator)


def test_what_is_no_loss_or_has_parameters_is_undecided():
    for text in ("linex(alpha)", "-x**2", "Max(x, 0)**2", "x**3"):
        for first, second in ((text, "quadratic"), ("quadratic", text)):
            found = best_constant(loss(first), loss(second))
            assert found.holds is None and not found.certified and found.high is None
    assert why_not_valid(loss("quadratic")) is None and "constant" in why_not_valid(
        loss("Max(x, 0)**2")
    )


def _excess(c, side=1) -> Pieces:
    """c F2 - F1 of forward KL against reverse KL on one side."""
    a, b = (outwards(loss(name).derivative, side) for name in ("linex(1/2)", "linex(1)"))
    return combined(a, b, lambda u, v: c * v - u)


def test_the_prover_refuses_what_is_false():
    """sup of Hellinger over KL is 2, at t -> 0, and 1 on t > 1: one hair below must be refused."""
    prove_integral_nonnegative(_excess(R(2), -1))
    prove_integral_nonnegative(_excess(R(1), 1))
    for c, side in ((R(19999, 10000), -1), (R(9999, 10000), 1), (R(1, 2), -1)):
        with pytest.raises(Rejected):
            prove_integral_nonnegative(_excess(c, side))
    dip = Pieces(
        (Piece(sp.S.Zero, sp.oo, sp.exp(-x) * (1 - 2 * x + x**2 * R(9, 10))),), x
    )  # 0.8 > 0 at oo; dips inside?
    values = [
        mp.quad(lambda v: mp.exp(-v) * (1 - 2 * v + mp.mpf("0.9") * v * v), [0, y])
        for y in np.linspace(0.05, 12, 200)
    ]
    assert min(values) > 0
    prove_integral_nonnegative(dip)
    below = Pieces(
        (Piece(sp.S.Zero, sp.oo, sp.exp(-x) * (1 - 4 * x + 2 * x**2)),), x
    )  # below 0 near 1, 1 at oo
    with pytest.raises(Rejected):
        prove_integral_nonnegative(below)


# --- Pinsker


@pytest.mark.parametrize(
    "name, constant",
    [
        ("quadratic", R(1, 2)),
        ("linex(1)", R(1, 2)),
        ("linex(1/2)", R(1, 2)),
        ("linex(2)", R(1, 2)),
        ("linex(-1)", R(1, 2)),
        ("x**2/2 + exp(x) - x - 1", 1),
        ("shifted_cosh", 1),
        (JSD, R(1, 8)),
        (TRIANGULAR, R(1, 2)),
    ],
)
def test_pinsker_holds(name, constant):
    found = pinsker(loss(name))
    assert found.holds is True and found.constant == constant and 0 <= found.a <= 1
    if name in GENERATORS:
        draw = np.random.default_rng(0)
        p, q = draw.dirichlet([0.4, 0.4, 0.4], size=(2, 20_000)) + 1e-12
        p, q = p / p.sum(-1, keepdims=True), q / q.sum(-1, keepdims=True)
        total = (q * GENERATORS[name](p / q)).sum(-1)
        assert (total >= float(constant) * abs(p - q).sum(-1) ** 2 * (1 - 1e-6) - 1e-9).all()


@pytest.mark.parametrize(
    "name, least",
    [
        ("log(cosh(x))", 0.3931),
        (HUBER, 0.4088),
        ("linex(3)", 0.463),
        ("linex(-2)", 0.463),
        ("1 - exp(-x**2/2)", 0.0881),
    ],
)
def test_pinsker_fails_with_a_witness(name, least):
    entry = loss(name)
    found = pinsker(entry)
    assert found.holds is False and found.constant == R(1, 2)
    p, q = found.witness.p, found.witness.q
    slope = (
        sp.lambdify(x, sp.diff(loss(name).expression, x), "mpmath")
        if name != HUBER
        else lambda v: max(-1, min(1, v))
    )

    def f(t):  # by quadrature, not by the enclosures that the witness was made with
        u = mp.log(t)
        return t * mp.quad(
            lambda v: slope(v) * mp.exp(-v),
            sorted({0, u, *(k for k in (-1, 1) if min(0, u) < k < max(0, u))}, reverse=bool(u < 0)),
        )

    p, q = mp.mpf(int(p.p)) / int(p.q), mp.mpf(int(q.p)) / int(q.q)
    ratio = (q * f(p / q) + (1 - q) * f((1 - p) / (1 - q))) / (4 * (p - q) ** 2)
    assert abs(ratio - mp.mpf(float(found.witness.ratio.mid()))) < 1e-6
    assert ratio < least + 1e-3 and found.witness.ratio < arb(1) / 2


def test_pinsker_where_the_criterion_does_not_speak():
    split = pinsker(loss("Piecewise((x**2/2, x < 0), (exp(x) - x - 1, True))"))  # g''' jumps at 0
    assert split.holds is None and split.witness is None
    assert pinsker(loss("Abs(x)")).holds is None and pinsker(loss("linex(alpha)")).holds is None
    assert pinsker(loss("x**3")).holds is None
    assert pinsker(loss("x**4")).holds is True and pinsker(loss("x**4")).constant == 0
