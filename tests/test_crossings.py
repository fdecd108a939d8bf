"""Kinks where two functions cross in no closed form: found, written, read and proved (P24)."""

import copy
import pickle

import mpmath
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from divergence_lab.theory.checker.documents import check
from divergence_lab.theory.checker.facts import crossings
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.divergence.values import value
from divergence_lab.theory.expressions import constants
from divergence_lab.theory.expressions.balls import Root, ball_of_constant
from divergence_lab.theory.expressions.ordering import CannotSplit
from divergence_lab.theory.expressions.parsing import parse, parse_number
from divergence_lab.theory.expressions.points import all_zeros
from divergence_lab.theory.expressions.printing import write
from divergence_lab.theory.expressions.symbols import x
from divergence_lab.theory.expressions.syntax import ExpressionError
from tests.forgeries import resealed
from tests.test_points import entry_of

R = "Root(exp(x) - x**2 - x - 1, 17/10, 9/5)"


# --- the number


def test_a_root_is_a_number_like_any_other():
    root = parse_number(R)
    assert root.is_positive and root.free_symbols == set() and (x + root).subs(x, 1) == 1 + root
    assert parse_number(write(root)) == root == pickle.loads(pickle.dumps(root))
    with mpmath.workdps(70):
        exact = mpmath.findroot(lambda v: mpmath.exp(v) - 1 - v - v**2, 1.8)
        assert abs(mpmath.mpf(root.evalf(60)._mpf_) - exact) < mpmath.mpf(10) ** -58
    assert ball_of_constant(root).rad() < 1e-30


@pytest.mark.parametrize(
    "text",
    [
        "Root(x**2, -1, 1)",  # around 0
        "Root(exp(x) - x**2 - x - 1, 1, 9/5)",  # the slope changes its sign
        "Root(exp(x) - x**2 - x - 1, 18/10, 19/10)",  # no zero
        "Root(exp(x) - x**2 - x - 1, 9/5, 17/10)",
        "Root(1/(x - 1), 1/2, 3/2)",  # a pole
        "Root(atan(1/(x - 1)), 1/2, 3/2)",  # a jump
        "Root(Abs(x - 1), 1/2, 2)",
        "Root(sign(x - 1), 1/2, 2)",
        "Root(x - a, 1/2, 2)",
        "Root((x - 1)**3, 1/2, 2)",
        "Root(x - sqrt(2), 1, sqrt(3))",
        "Root(x - 1, 1/2)",
        "Root(2, 1, 2)",
    ],
)
def test_what_isolates_no_zero_is_no_number(text):
    with pytest.raises(ExpressionError):
        parse_number(text)


def test_what_is_zero_at_a_root_is_decided_and_nothing_else():
    root = parse_number(R)
    u = sp.exp(root) - 1 - root - root**2
    other = parse_number("Root(2*x**2 + 2*x - 2*exp(x) + 2, 17/10, 2)")
    for number in (u, root * u, u * sp.exp(-root) / (1 + root), 3 * u - sp.expand(2 * u)):
        assert constants.sign_of(number) == 0
    assert constants.sign_of(root - other) == 0
    left, right = (
        parse_number(f"Root(cosh(x) - 1 - x**2, {ends})") for ends in ("-3, -14/5", "29/10, 3")
    )
    assert constants.sign_of(left + right) == 0 and constants.sign_of(left - right) == -1
    tiny = sp.Rational(1, 10**200)
    for number in (u + tiny, u - tiny, root - other + tiny, left + right + tiny):
        assert constants.sign_of(number) != 0
    assert constants.sign_of(root - root.evalf(30)) != 0


# --- all zeros


KNOWN = {  # with the number of zeros
    "exp(x) - x - 1 - x**2": 2,
    "exp(x) + x - 1": 1,
    "exp(x) - x - 1 - x**2/2": 1,
    "x**5 - 4*x + 1": 3,
    "tanh(x) - x/3": 3,
    "cosh(x) - 1 - x**2": 3,
    "log(1 + x**2) - x/3": 3,
    "log(1 + exp(x)) - x**2": 2,
    "exp(2*x) - 10*x*exp(x) + x**2": 2,
    "x**2*exp(-x) - 1/10": 3,
    "atan(x) - x/2": 3,
    "sqrt(2)*exp(x) - pi - x": 2,
    "exp(x) + 1": 0,
    "x**2 + exp(x)": 0,
    "exp(x - 1) - x": 1,
    "(exp(x) - 2)**2": 1,
}


@pytest.mark.parametrize("text", KNOWN)
def test_all_zeros_are_found(text):
    u = parse(text, x)
    zeros = all_zeros(u)
    assert len(zeros) == KNOWN[text] and zeros == sorted(zeros, key=float)
    assert all(constants.sign_of(sp.sympify(u.xreplace({x: zero}))) == 0 for zero in zeros)


@pytest.mark.parametrize("text", ["exp(-x**2) - x", "sin(x) - x/2", "gamma(2 + x**2) - 3 - x"])
def test_others_are_refused(text):
    with pytest.raises(CannotSplit):
        all_zeros(parse(text, x))


small = st.integers(-6, 6)


@settings(max_examples=25, deadline=None)
@given(st.lists(small, min_size=3, max_size=3), small, small, st.sampled_from(["1", "1/2", "-2"]))
def test_zeros_of_drawn_sums_are_those_that_a_scan_sees(coefficients, c, d, rate):
    a, b, e = coefficients
    u = a * x**2 + b * x + e + c * sp.exp(sp.Rational(rate) * x) + d * x * sp.exp(x)
    if not sp.sympify(u).has(x):
        return
    found = [float(zero) for zero in all_zeros(u)]
    f = sp.lambdify(x, u, "mpmath")
    with mpmath.workdps(40):
        points = [mpmath.mpf(k) / 37 - mpmath.mpf(1) / 1009 for k in range(-1500, 1500)]
        values = [f(p) for p in points]
        changes = [
            float(p) for p, v, w in zip(points, values, values[1:], strict=False) if v * w < 0
        ]
    assert all(any(abs(p - zero) < 0.05 for zero in found) for p in changes)
    for zero in all_zeros(u):
        assert constants.sign_of(sp.sympify(u.xreplace({x: zero}))) == 0


# --- losses


KINDS = ("validity", "convex", "zero_forcing", "zero_avoiding", "symmetric", "even")
LOSSES = {
    "Max(x**2/2, exp(x) - x - 1)": "yyyyyn",
    "Min(exp(x) - x - 1, x**2)": "ynnnnn",
    "Max(exp(x) - 1, -x)": "yynynn",
    "Max(1 - exp(x), x, x**2 - 2)": "ynynnn",
    "Max(exp(x) - 1 - x, x**2/2, Abs(x)/3)": "yyyynn",
    "Max(cosh(x) - 1, x**2)": "yyyyny",
    "Piecewise((x**2, x < 0), (exp(x) - x - 1, exp(x) - x - 1 < x**2), (x**2, True))": "ynynnn",
}


@pytest.mark.parametrize("text", LOSSES)
def test_losses_with_such_kinks_are_decided(text):
    entry = entry_of(text)
    assert "".join("yn"[not entry[kind]["holds"]] for kind in KINDS) == LOSSES[text]
    assert all(entry[kind]["holds"] is not None for kind in KINDS)
    assert check(entry) == []


@pytest.mark.parametrize(
    "new",
    [
        "Root(exp(x) - x**2 - x - 1, 3/2, 2)",  # the same zero, and still not what was stated
        "Root(exp(x) - x**2 - x - 1 - 1/10**9, 17/10, 9/5)",
        "Root(exp(x) - x**2 - x - 11/10, 17/10, 9/5)",
        "17932821329007610/10000000000000000",
        "Root(exp(x) - x**2 - x - 1, 9/5, 19/10)",
    ],
)
def test_a_kink_in_another_place_is_rejected(new):
    entry = entry_of("Min(exp(x) - x - 1, x**2)")
    root = str(write(next(iter(loss("Min(exp(x) - x - 1, x**2)").pieces.kinks))))
    forged = copy.deepcopy(entry)
    (step,) = forged["convex"]["steps"]
    assert step["at"] == root
    step["at"] = new
    if new.startswith("Root(exp(x) - x**2 - x - 1, 3/2"):
        forged["pieces"][0]["low"] = new
    verdict = resealed(forged["convex"], "convex")
    assert check({**forged, "convex": verdict})


def test_values_across_such_a_kink_are_right():
    entry = loss("Min(exp(x) - x - 1, x**2)")
    found = value(entry, sp.Integer(8), 25)
    with mpmath.workdps(40):
        r = mpmath.findroot(lambda v: mpmath.exp(v) - 1 - v - v**2, 1.8)
        slopes = (lambda v: mpmath.exp(v) - 1, lambda v: 2 * v)
        parts = [
            mpmath.quad(lambda v, s=s: s(v) * mpmath.exp(-v), [a, b])
            for s, a, b in zip(slopes, (0, r), (r, mpmath.log(8)), strict=True)
        ]
        assert abs(8 * sum(parts) - mpmath.mpf(found.value)) < mpmath.mpf(10) ** -22


def test_a_root_of_a_polynomial_is_one_too():
    kinks = loss("x**2 + Abs(x**3 - x - 1)/9").pieces.kinks
    assert [type(kink) for kink in kinks] == [Root]


# --- crossings of any smooth functions, by balls and tails


ANY = {  # with the zeros, as mpmath finds them
    "exp(x) - 1 - x - x*asinh(x)": (0, 1.3382995215925539),
    "exp(-x**2) - x": (0.6529186404192048,),
    "erf(x) - x": (-0.6174468790806071, 0, 0.6174468790806071),
    "log(1 + x**2) - exp(x) + x + 1": (-3.619356598636799, 0, 0.9623744955019501),
    "sqrt(1 + exp(x)) - x**2": (-1.0760960362707386, 1.5440134607216613, 8.612830122782048),
    "exp(-x**2) + x/3 - 1": (0, 0.3547474276529819, 2.999628945468813),
    "sin(x) - x/2": (-1.895494267033981, 0, 1.895494267033981),
    "x*tanh(x) - asinh(x)**2": (-6.965687645159341, 0, 6.965687645159341),
    "exp(x) - atan(x) + 2": (),
    "exp(x) - 10**9*(1 + atan(x)**2)": (21.9251235,),
}


@pytest.mark.parametrize("text", ANY)
def test_all_zeros_of_smooth_functions_are_found(text):
    zeros = crossings.all_zeros(parse(text, x))
    assert [float(zero) for zero in zeros] == pytest.approx(ANY[text], abs=1e-4)
    assert all(constants.sign_of(sp.sympify(parse(text, x).xreplace({x: z}))) == 0 for z in zeros)


@pytest.mark.parametrize(
    "text", ["(exp(-x**2) - x)**2", "sin(x)", "1/(exp(-x**2) - x)", "sqrt(x - exp(-x**2))"]
)
def test_a_zero_that_is_touched_and_what_is_not_smooth_are_refused(text):
    with pytest.raises(CannotSplit):
        crossings.all_zeros(parse(text, x))


SMOOTH = {
    "Max(x*asinh(x), exp(x) - 1 - x)": "yyyynn",
    "Max(x**2, 1 - exp(-x**2) + x)": "ynynnn",
    "Min(log(1 + x**2), exp(x) - x - 1)": "ynnnnn",
    "Piecewise((x**2, exp(-x**2) < x), (exp(x) - 1 - x, True))": "nnnnnn",
    "Abs(exp(-x**2) - 1 + x)": "ynnnnn",
    "Max(1 - exp(-x**2), Abs(x)/3)": "ynnnny",
}


@pytest.mark.parametrize("text", SMOOTH)
def test_losses_that_cross_anywhere_are_decided(text):
    entry = entry_of(text)
    assert all(entry[kind]["holds"] is not None for kind in KINDS)
    assert check(entry) == []
    assert "".join("yn"[not entry[kind]["holds"]] for kind in KINDS) == SMOOTH[text]


def test_a_zero_that_is_left_out_is_no_piece():
    entry = copy.deepcopy(entry_of("Max(1 - exp(-x**2), Abs(x)/3)"))
    for place in range(1, len(entry["pieces"]) - 1):
        pieces = copy.deepcopy(entry["pieces"])
        gone = pieces.pop(place)
        pieces[place - 1]["high"] = gone["high"]
        assert check({**entry, "pieces": pieces})
