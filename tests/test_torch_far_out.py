"""Torch losses whose insides leave the range of numbers before they do: e^{-oo} is 0, tanh(oo) 1,
and what is written over exponentials that fall needs neither.
"""

import itertools
import math
import random

import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp

from divergence_lab.bridge import NotRepresentable, to_torch
from divergence_lab.bridge.torch_loss import run
from divergence_lab.bridge.verified.arithmetic import DOUBLE, NOWHERE, SINGLE
from divergence_lab.bridge.verified.cover import sign_of
from divergence_lab.bridge.verified.far_out import far, in_front
from divergence_lab.bridge.verified.polynomials import Table
from divergence_lab.bridge.verified.programs import compiled, spelled_out
from divergence_lab.bridge.verified.ranges import TOLERANCE as EXACT
from divergence_lab.bridge.verified.ranges import functions_of, ranges
from divergence_lab.bridge.verified.rounding import error_on
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.expressions.symbols import x
from tests.torch_hunt import TOLERANCE, exact_at

LEVEL = [
    ("1 - exp(1 - exp(x**2))", 1.0),
    ("1 - exp(-x**2*exp(x**2))", 1.0),
    ("log(1 + exp(x**2)) - x**2", -math.log(2)),
    ("tanh(exp(x**2) - 1) + x**2", 1.0),
    ("atan(sinh(x))**2", math.pi**2 / 4),
    ("tanh(2*exp(x**2) - 2) - 1 + exp(-x**2)", 0.0),
    ("1 - 1/cosh(sinh(x))", 1.0),
    ("log(2 - exp(-sinh(x)**2))", math.log(2)),
    ("1 - exp(1 - cosh(sinh(x)))", 1.0),
]


@pytest.mark.parametrize("text, level", LEVEL[:2])
def test_what_is_level_is_so_where_its_insides_are_no_numbers(text, level):
    """Of powers of x and a number: what is left of it is the number, on either side."""
    made = to_torch(text)
    for dtype in (torch.float64, torch.float32):
        points = torch.tensor([-900.0, -75.0, -30.0, 30.0, 75.0, 300.0], dtype=dtype)
        square = points**2 if "+ x**2" in text else torch.zeros_like(points)
        torch.testing.assert_close(made.value(points), level + square)
        torch.testing.assert_close(made.gradient(points), 2 * square / points)


@pytest.mark.slow
@pytest.mark.parametrize("text, level", LEVEL[2:])
def test_all_that_is_level(text, level):
    test_what_is_level_is_so_where_its_insides_are_no_numbers(text, level)


# --- towers

GROWING = [
    "exp(x) - 1",
    "1 - exp(-x)",
    "sinh(x)",
    "x*exp(x**2)",
    "x**3",
    "sinh(x)*cosh(x)",
    "exp(x) - exp(-x/2)",
    "x + sinh(x)/2",
    "x*cosh(x)",
    "exp(x/3) - 1",
    "2*sinh(x/2)**3",
]
BOWLS = [
    "log(cosh({u}))",
    "tanh({u})**2",
    "asinh({u})**2",
    "atan({u})**2",
    "log(1 + ({u})**2)",
    "sqrt(1 + ({u})**2) - 1",
    "1 - exp(-({u})**2)",
    "({u})*erf({u})",
    "({u})*tanh({u})",
    "({u})*atan({u})",
    "1 - 1/cosh({u})",
    "({u})**2/(1 + ({u})**2)",
    "log(1 + exp({u})) - ({u})/2 - log(2)",
    "log(2 - exp(-({u})**2))",
    "log(1 + log(cosh({u})))",
    "sqrt(1 + log(cosh({u}))) - 1",
]
TOWERS = [
    f"{factor}({bowl})".format(u=u) for u in GROWING for bowl in BOWLS for factor in ("", "3*")
]
# enough for what cancels beside e^(25^2); e^(e^u) would take mpmath too many
DIGITS = 3000


def tower_faults(text: str, source: random.Random) -> list[str]:
    """g falls to 0 and rises, g' is one of its slopes: right up to 25, with the right sign
    farther out.
    """
    entry, made, found = loss(text), to_torch(text), []
    near = [source.choice((1, -1)) * 10 ** source.uniform(-5, math.log10(25)) for _ in range(8)]
    ends = [end * (1 - 1e-6) for end in made.reach if abs(end) < 25]
    near = torch.tensor([*near, *ends], dtype=torch.float32).tolist()
    far_away = [26.5, 27.0, 40.0, 80.0, 100.0, 300.0, 705.0, 720.0, 1000.0]
    with mp.workdps(DIGITS):
        wanted = [exact_at(one, near) for one in (entry.pieces, entry.derivative)]
        for dtype, tolerance in TOLERANCE.items():
            finfo = torch.finfo(dtype)
            # float32 is computed in float64, where a product next to the smallest number may fall
            # below it
            least = finfo.tiny * (300 if dtype == torch.float64 else 1)
            for name, function, exact in zip(("g", "g'"), (made.value, made.gradient), wanted):
                got = function(torch.tensor(near, dtype=dtype)).tolist()
                for point, one, true in zip(near, got, exact):
                    bound = max(tolerance * abs(true), least)
                    if abs(true) < finfo.max and not abs(one - true) <= bound:
                        found.append(f"{text} {dtype} {name}({point}) = {one}, not {mp.nstr(true)}")
                for way in (1, -1):
                    values = way * function(way * torch.tensor(far_away, dtype=dtype))
                    values = values if name == "g'" else way * values
                    if not (torch.isfinite(values).all() and (values >= 0).all()):
                        found.append(f"{text} {dtype} {name}, {way} far out: {values.tolist()}")
    return found


def hunt_for_towers(texts: list[str], seed: int, allowed: int) -> None:
    source, wrong, refused = random.Random(seed), [], []
    for text in texts:
        try:
            wrong += tower_faults(text, source)[:2]
        except NotRepresentable as reason:
            refused.append(str(reason))
    print(f"{len(texts)} towers, seed {seed}: {len(wrong)} faults, {len(refused)} refused")
    assert not wrong, "\n".join(wrong[:10])
    assert len(refused) <= allowed, "\n".join(refused)


def test_a_tower_is_no_reason_to_refuse():
    hunt_for_towers(["log(cosh(exp(x) - 1))", "asinh(x*exp(x**2))**2"], 3, 0)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(2))
def test_towers_are_no_reason_to_refuse(part):
    texts = random.Random(14).sample(TOWERS, len(TOWERS))
    hunt_for_towers(texts[20 * part : 20 * part + 20], part, 1)


# --- the bounds


INSIDE = [
    sp.exp(x),
    -sp.exp(x),
    sp.exp(x**2),
    -sp.exp(-x),
    sp.sinh(x),
    sp.cosh(2 * x),
    x * sp.exp(x),
]
OUTSIDE = [sp.exp, sp.tanh, sp.erf, sp.erfc, sp.atan, sp.cosh, sp.sinh, sp.Abs]


# of large numbers mpmath has neither
ENDS = {
    "erf": lambda u: mp.erf(u) if abs(u) < 99 else mp.sign(u),
    "erfc": lambda u: mp.erfc(u) if abs(u) < 99 else 1 - mp.sign(u),
}


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(INSIDE),
    st.sampled_from(INSIDE),
    st.sampled_from(OUTSIDE),
    st.floats(-800, 800),
    st.floats(0, 3),
    st.integers(0, 5),
)
def test_what_is_computed_beyond_the_largest_number_is_within_its_bound(
    one, other, function, low, width, kind
):
    """In torch, against mpmath; where a bound is stated nothing is infinite and no NaN."""
    inner = (one, one - other, one + 3, one / other, one * other, 1 / (1 + one))[kind]
    formula = function(inner)
    if not formula.has(x):
        return
    program = compiled(formula)
    for start, end in ((low, low), (low, low + width)):
        if start < 0 < end:
            continue
        bound = error_on(program, start, end, DOUBLE)
        if bound is NOWHERE:
            continue
        points = torch.tensor([start, (start + end) / 2, end], dtype=torch.float64)
        got = run(program, points)
        exact = sp.lambdify(x, formula, [ENDS, "mpmath"])
        with mp.workdps(700):
            for point, value in zip(points.tolist(), got.tolist()):
                if abs(point) > 20 and formula.has(sp.exp(x**2)):
                    continue  # mpmath would take e^(e^600) digits
                true = mp.re(exact(mp.mpf(point)))
                assert math.isfinite(value)
                slack = abs(true) * mp.mpf(2) ** -50 + DOUBLE.smallest
                assert bound.low - slack <= true <= bound.high + slack
                assert abs(value - true) <= bound.absolute
                if bound.relative < math.inf:
                    assert abs(value - true) <= bound.relative * abs(true) + bound.floor


def test_what_is_divided_by_something_huge_is_not_taken_for_0():
    """a/cosh(e^x) times 10^250 and more; and a divisor that may have either sign decides
    nothing.
    """
    for factor in (10**250, -(10**250), 10**300):
        small = sp.exp(-40 * x) / sp.cosh(sp.exp(x))
        bound = error_on(compiled(sp.Mul(factor, small, evaluate=False)), 7.0, 7.1, DOUBLE)
        assert bound is NOWHERE or (bound.absolute > 0 and bound.size > 0)
    either = sp.exp(x) / (sp.log(x) - sp.Rational(math.log(900.0)))
    assert error_on(compiled(sp.tanh(either)), 900.0, 900.0, DOUBLE) is NOWHERE


def test_what_underflows_on_the_way_is_no_zero():
    """Refused, or right: 10^300 times what no product in float64 holds is not 0."""
    with pytest.raises(NotRepresentable):
        to_torch("10**300*x**2*exp(-x**2)/cosh(x)")
    text, points = "10**290*x**2*exp(-x**2)*(1 - tanh(x)**2)", [-27.0, -26.5, 26.5, 27.0, 30.0]
    at, entry, made = torch.tensor(points, dtype=torch.float64), loss(text), to_torch(text)
    with mp.workdps(80):
        for pieces, found in ((entry.pieces, made.value), (entry.derivative, made.gradient)):
            for got, true in zip(found(at).tolist(), exact_at(pieces, points)):
                assert true != 0 and abs(got - true) <= 1e-10 * abs(true)


@pytest.mark.parametrize(
    "text",
    ["x**2 + tanh(10**30*x)*10**30*x/(1 + (10**30*x)**2)", "x**2/(1 + (10**110*tanh(x))**2)"],
)
def test_a_sign_that_is_not_known_near_0_is_not_guessed(text):
    with pytest.raises(NotRepresentable, match="sign of .* is not known near x"):
        to_torch(text)


def test_infinities_that_decide_nothing_have_no_bound():
    """oo - oo, 0 oo, oo/oo, log(oo) and oo itself."""
    e = sp.exp(sp.exp(x), evaluate=False)
    for formula in (
        e - sp.exp(x**2),
        e * sp.erfc(sp.exp(x)),
        sp.Mul(e, 1 / sp.cosh(sp.exp(x)), evaluate=False),
        sp.log(1 + e),
        sp.asinh(e),
        e,
        -e,
        sp.sin(e),
    ):
        assert error_on(compiled(formula), 30.0, 31.0, DOUBLE) is NOWHERE, formula


@pytest.mark.parametrize(
    "formula", [sp.log(sp.cosh(sp.exp(x) - 1)), sp.asinh(x * sp.exp(x**2)) ** 2]
)
@pytest.mark.parametrize("way", [far, in_front])
def test_a_tower_is_written_as_the_same_function(formula, way):
    for sign, at in itertools.product((1, -1), (0.5, 2.0)):
        written = spelled_out(way(formula, sign, towers=True) if way is far else way(formula, sign))
        with mp.workdps(60):
            here, there = (
                sp.lambdify(x, one, "mpmath")(mp.mpf(sign * at)) for one in (formula, written)
            )
            assert abs(here - there) < mp.mpf(10) ** -50 * abs(here)


# --- where the straight line begins


@pytest.mark.parametrize("arithmetic", [DOUBLE, SINGLE], ids=lambda one: one.name)
@pytest.mark.parametrize(
    "text",
    [
        "(exp(x**2) - 1)/(1 + x**2)",
        "3*(sqrt(1 + log(cosh(x*exp(x**2)))) - 1)",
        *(
            pytest.param(text, marks=pytest.mark.slow)
            for text in (
                "x**2*exp(x**2)/(1 + x**4)",
                "(cosh(3*x) - 1)/(1 + x**8)",
                "sinh(x**2)**2/(2 + x**6)",
                "(exp(x) - 1)**2*exp(4*x)/(1 + x**4)",
                "x**2*cosh(x)**5/(1 + cosh(x))",
                "asinh(x*exp(x**2))**2",
                "log(1 + exp(exp(x)))**2 - log(1 + exp(1))**2",
                "(exp(x**2) - 1 - x**2)/10**6",
                "log(cosh(x**3*exp(x**2)))",
            )
        ),
    ],
)
def test_up_to_80_the_straight_line_begins_where_the_numbers_end(text, arithmetic):
    """Not where a factor of g or g' leaves them, or a part inside."""
    for function in functions_of(loss(text)):
        reach = ranges(function, arithmetic, 1e-3).reach
        ends = [end * (1 + 2.1e-6) for end in reach if abs(end) < 80]
        with mp.workdps(DIGITS):
            for end, true in zip(ends, exact_at(function, ends)):
                assert abs(true) > arithmetic.largest, end


@pytest.mark.parametrize(
    "text, arithmetic",
    [
        pytest.param("x**2*exp(60*x - x**2)", DOUBLE, marks=pytest.mark.slow),
        pytest.param("x**2*exp(20*x - x**2)", SINGLE, marks=pytest.mark.slow),
        ("Piecewise((exp(x**2) - 1, x < 30), (x**2, True))", DOUBLE),
    ],
)
def test_what_comes_back_into_the_range_of_numbers_is_refused(text, arithmetic):
    """A straight line would stand there."""
    for function in functions_of(loss(text)):
        with pytest.raises(NotRepresentable, match="leaves the range .* again|near x = 15.89"):
            ranges(function, arithmetic, 1e-3 if arithmetic is SINGLE else EXACT)
    assert arithmetic is DOUBLE or to_torch(text).value(torch.tensor([20.0])).item() == 400.0


def test_a_factor_by_halves_is_the_same_number():
    """e^u c/D as (c/D e^(u/2)) e^(u/2): within its bound where e^u is no number, nothing else is
    asked of it.
    """
    formula = sp.exp(x**2) * x / (7 * (1 + x**8)) - 5 * sp.exp(x**2 - 9) + sp.exp(x) / 10**9
    program = compiled(formula, halves=True)
    points = torch.tensor([0.5, 3.0, 26.0, 26.7], dtype=torch.float64)
    exact = sp.lambdify(x, formula, "mpmath")
    with mp.workdps(60):
        for point, value in zip(points.tolist(), run(program, points).tolist()):
            bound = error_on(program, point, point, DOUBLE)
            assert abs(value - exact(mp.mpf(point))) <= bound.absolute < 1e-12 * bound.size
    assert error_on(compiled(formula), 26.7, 26.7, DOUBLE) is NOWHERE


@pytest.mark.parametrize("text", ["x*erfi(x)", "log(gamma(x**2 + 1)) + x**2", "x**2*erfi(x)**2"])
def test_polynomials_of_what_is_even_are_those_of_the_right_side(text):
    """And of what is odd, the gradient: the numbers on either side are the same to the last bit."""
    for function in functions_of(loss(text)):
        found = ranges(function)
        assert any(isinstance(one.source, Table) for one in found.stretches)
        assert found.reach[0] == -found.reach[1]
    made, entry = to_torch(text), loss(text)
    points = torch.tensor([1e-3, 0.7, 1.9, 3.1, 5.7, 9.3, 16.0, 18.7], dtype=torch.float64)
    with mp.workdps(400):
        exact = [exact_at(one, points.tolist()) for one in (entry.pieces, entry.derivative)]
        for function, parity, wanted in zip((made.value, made.gradient), (1, -1), exact):
            found = function(points)
            assert torch.equal(found, parity * function(-points))
            assert all(abs(a - b) <= 1e-10 * abs(b) for a, b in zip(found.tolist(), wanted))


# --- the sign down to 0 where there is no Taylor polynomial


@pytest.mark.parametrize(
    "text, sign, wanted",
    [
        ("sqrt(exp(x) - 1 - x)", 1, 1),
        ("x**2*exp(sqrt(x)) - x**2", 1, 1),
        ("x**2*exp(sqrt(-x)) - x**2", -1, 1),
        ("sin(x) - x", 1, -1),
        ("sin(x) - x", -1, 1),
        ("1/(cos(x) - 1)", 1, -1),
        ("(exp(x) - 1 - x - x**2/2)**3/x", -1, 1),
        ("(x**(1/3) - x)**3*x", 1, 1),
        ("sqrt(1 + 10**-100*x*exp(x)**2) - 1", 1, 1),
        ("x**2 - 10**-13", 1, 0),
        ("sqrt(x) - 1001*x", 1, 0),
        ("x*log(x)", 1, 0),
        ("exp(x) - 1 - x - 10**-300", 1, 0),
    ],
)
def test_the_sign_next_to_0_is_proved(text, sign, wanted):
    """10^-6 is as far as it reaches; 0 where it changes, or is not decided."""
    e = sp.sympify(text, locals={"x": x}, rational=True)
    assert sign_of(e, sign, DOUBLE.least, 1e-6) == wanted
    assert sign_of(-e, sign, DOUBLE.least, 1e-6) == -wanted
    assert sign_of(e.subs(x, -x), -sign, DOUBLE.least, 1e-6) == wanted
