"""The trusted core: a tail must contain the function at every point of its half-line, whatever
was put in.
"""

import mpmath
import pytest
import sympy as sp
from flint import arb, ctx
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from divergence_lab.theory.checker.facts import proofs
from divergence_lab.theory.checker.facts.monomials import NoTail
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.facts.tail_functions import expand_tail
from divergence_lab.theory.checker.facts.tails import HalfLine
from divergence_lab.theory.expressions.balls import ball, ball_of_constant
from divergence_lab.theory.expressions.parsing import parse
from divergence_lab.theory.expressions.symbols import x

_LEAVES = st.sampled_from(
    [
        "x",
        "1",
        "2",
        "1/3",
        "x**2",
        "sqrt(x)",
        "exp(x)",
        "exp(-x)",
        "log(x)",
        "1/x",
        "exp(2*x)",
        "x*log(x)",
        "exp(-x**2/2)",
        "log(log(x))",
        "x**(1/3)",
        "exp(-sqrt(log(x)))",
        "exp(log(x)/log(log(x)))",
        "exp(sqrt(log(log(x))))",
    ]
)


def _grow(children):
    unary = st.sampled_from(
        [
            "exp(1/({}))",
            "log(1+({})**2)",
            "sqrt(1+({})**2)",
            "1/(1+({})**2)",
            "tanh({})",
            "atan({})",
            "asinh({})",
            "erf({})",
            "log(1+exp({}))",
            "cosh(1/(1+({})**2))",
            "sinh(1/(2+({})**2))",
        ]
    )
    return st.one_of(
        st.tuples(unary, children).map(lambda p: p[0].format(p[1])),
        st.tuples(children, st.sampled_from("+-*/"), children).map(
            lambda p: f"(({p[0]}){p[1]}({p[2]}))"
        ),
    )


expressions = st.recursive(_LEAVES, _grow, max_leaves=4)


@settings(max_examples=100, deadline=None)
@given(expressions, st.integers(0, 12))
@example("exp(1/(exp(-x**2/2)))", 3)
def test_a_tail_contains_its_function_on_the_whole_half_line(text, steps):
    assume(contains(text, steps))


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(expressions, st.integers(0, 12))
def test_two_thousand_tails(text, steps):
    assume(contains(text, steps))


def contains(text, steps, shift=0):
    """Is there a tail, and a value to hold it against? Then it must contain it."""
    try:
        f = parse(text, x)
        line = HalfLine(30)
        tail = expand_tail(line, f, x)
    except (NoTail, ValueError):
        return False
    before, ctx.prec = ctx.prec, 4000
    try:
        point = arb(30) + arb(steps) ** 2 * 7
        logs = [point, point.log(), point.log().log(), point.log().log().log()]

        def at(m):
            value = arb(1)
            for base, power in zip(logs, m.powers):
                value *= base ** ball(power, x, arb(0))
            for c, inner in m.exponents:
                value *= (ball(c, x, arb(0)) * at(inner)).exp()
            return value

        true = ball(f, x, point)
        if not (true.is_finite() and (true == 0 or true.rel_accuracy_bits() > 400)):
            return False  # a tower of exponentials outgrows the digits
        stated = arb(0)
        for m, c in tail.terms:
            stated += ball(c, x, arb(0)) * at(m)
        if tail.size is not None:
            stated += at(tail.size) * tail.bound
        true *= 1 + shift
        assert stated.overlaps(true), (text, tail.terms, tail.bound)
        if tail.size is None:
            assert abs(stated - true) <= arb(10) ** -50 * (1 + abs(true))
        return True
    finally:
        ctx.prec = before


@pytest.mark.parametrize("step", (0, 1, 5))
@pytest.mark.parametrize(
    "text",
    [
        "gamma(x)",
        "gamma(1+x**2)",
        "log(gamma(x))",
        "log(gamma(2+x**2))",
        "log(gamma(2+exp(-x)))",
        "gamma(1/x)",
        "gamma(-2+1/x)",
        "gamma(5/2+1/x)",
        "1/gamma(x)",
        "log(gamma(exp(x/20)))",
        "log(gamma(1/x))",
        "polygamma(0, x)",
        "polygamma(0, x**2+1)",
        "polygamma(0, 1/x)",
        "polygamma(0, 3/2+1/x)",
        "polygamma(1, x)",
        "polygamma(2, x+1/x)",
        "polygamma(3, -1+1/x)",
        "polygamma(5, sqrt(x))",
        "polylog(3, -exp(x/3))",
        "polylog(3, -exp(-x))",
        "polylog(4, -x)",
        "polylog(7, -x**2)",
        "polylog(3, -1-1/x)",
        "polylog(3, 1/x)",
        "polylog(5, 1/2+1/x)",
        "polylog(2, 1-1/x)",
        "polylog(2, 1/(1+exp(-x)))",
        "polylog(2, exp(-1/x))",
        "x*polylog(2, 1-1/sqrt(x))",
    ],
)
def test_tails_of_gamma_and_polylogarithms(text, step):
    assert contains(text, step)
    with pytest.raises(AssertionError):
        contains(text, step, shift=arb("0.05"))


@pytest.mark.parametrize(
    "text",
    [
        "gamma(-x)",
        "log(gamma(-x))",
        "polylog(3, x)",
        "polygamma(0, -x)",
        "polylog(2, 1+1/x)",
        "polylog(2, 1+exp(-x))",
    ],
)
def test_no_tail_where_the_function_has_poles_or_no_value(text):
    with pytest.raises(NoTail):
        expand_tail(HalfLine(30), parse(text, x), x)


@pytest.mark.parametrize(
    "text, end, limit",
    [
        ("x", sp.oo, sp.oo),
        ("exp(x) - 1", -sp.oo, -1),
        ("tanh(x)", -sp.oo, -1),
        ("log(1 + exp(x)) - log(2)", -sp.oo, -sp.log(2)),
        ("-log(1 - x)", -sp.oo, -sp.oo),
        ("-log(1 + log(1 - x))", -sp.oo, -sp.oo),
        ("x/(1 + x**2)", sp.oo, 0),
        ("sqrt(x**2 + x) - x", sp.oo, sp.Rational(1, 2)),
        ("atan(x)", sp.oo, sp.pi / 2),
        ("erf(x) - 1", -sp.oo, -2),
        ("exp(x)/x - exp(x)/(x + 1) - exp(x)/x**2", sp.oo, -sp.oo),
        ("x**2*exp(-x**2/2)", sp.oo, 0),
        ("(1 + 1/x)**x", sp.oo, sp.E),
        ("gamma(1+x**2)/exp(x**2*log(x**2))", sp.oo, 0),
        ("log(gamma(2+x**2))/(x**2*log(x))", sp.oo, 2),
        ("gamma(exp(x))*exp(x)", -sp.oo, 1),
        ("polygamma(0, x) - log(x)", sp.oo, 0),
        ("(polygamma(0, x) - log(x))*x", sp.oo, -sp.Rational(1, 2)),
        ("polylog(3, -exp(x))/x**3", sp.oo, -sp.Rational(1, 6)),
        ("polylog(4, -exp(x)) + x**4/24 + pi**2*x**2/12", sp.oo, -7 * sp.pi**4 / 360),
        ("exp(-sqrt(log(x)))*log(x)**9", sp.oo, 0),
        ("exp(sqrt(log(x)))/log(x)**9", sp.oo, sp.oo),
        ("exp(sqrt(log(x)))*x**(-1/1000)", sp.oo, 0),
        ("x**(1/log(log(x)))/exp(sqrt(log(x)))", sp.oo, sp.oo),
        ("exp(2*log(log(x)))/log(x)**2", sp.oo, 1),
        ("exp(sqrt(log(log(x))))/log(log(x))**5", sp.oo, sp.oo),
        ("exp(sqrt(log(x)+1)-sqrt(log(x)))", sp.oo, 1),
        ("log(2+log(2+log(2+x)))/log(log(log(x)))", sp.oo, 1),
        ("log(1+log(1+log(1+x**2)))", -sp.oo, sp.oo),
    ],
)
def test_limits(text, end, limit):
    found = proofs.limit_of(parse(text, x), x, end)
    assert found == limit or sp.simplify(found - limit) == 0
    proofs.prove_limit(parse(text, x), x, end, sp.sympify(limit))
    with pytest.raises(Rejected):
        proofs.prove_limit(parse(text, x), x, end, sp.Integer(7))


@pytest.mark.parametrize(
    "text, diverges",
    [
        ("1/x", True),
        ("1/x**2", False),
        ("1/(x*log(x))", True),
        ("1/(x*log(x)**2)", False),
        ("1/(x*log(x)*log(log(x)))", True),
        ("1/(x*log(x)*log(log(x))**2)", False),
        ("exp(-x)*(exp(x)/x)", True),
        ("exp(-x)*exp(x)/x**2", False),
        ("exp(-sqrt(x))", False),
        ("1 - tanh(x)", False),
        ("x**(-11/10)", False),
        ("x**(-9/10)", True),
        ("log(x)/x", True),
        ("log(x)/x**2", False),
        ("1/sqrt(1 + x**2)", True),
        ("(1 + 1/x)/x", True),
        ("exp(-x)*x**100", False),
        ("1", True),
        ("exp(-sqrt(log(x)))", True),
        ("exp(-sqrt(log(x)))/x", False),
        ("exp(sqrt(log(x)))/x", True),
        ("exp(-sqrt(log(x)))/x**(999/1000)", True),
        ("exp(sqrt(log(x)))/x**(1001/1000)", False),
        ("exp(-sqrt(log(log(x))))/x", True),
        ("exp(-sqrt(log(log(x))))/(x*log(x))", False),
        ("exp(sqrt(log(log(x))))/(x*log(x))", True),
        ("exp(sqrt(log(log(x))))/(x*log(x)**2)", False),
        ("exp(-sqrt(log(log(x))))/(x*log(x)**(1/2))", True),
        ("exp(-2*log(log(x)))/x", False),
        ("exp(-log(log(x)))/x", True),
        ("exp(-log(log(x))**2)/x", False),
        ("x**(-1-1/log(log(x)))", False),
    ],
)
def test_integrals_at_infinity(text, diverges):
    assert proofs.integral_diverges(parse(text, x), x) is diverges


@pytest.mark.parametrize(
    "text, low, high",
    [
        ("x**2", "-oo", "0"),
        ("exp(x) - 1 - x", "-oo", "0"),
        ("exp(x) - 1 - x", "0", "oo"),
        ("x - log(1 + x)", "0", "oo"),
        ("1 - tanh(x)**2", "0", "oo"),
        ("x - tanh(x)", "0", "oo"),
        ("sinh(x) - x", "0", "oo"),
        ("sqrt(x)", "0", "oo"),
        ("log(1 + exp(x)) - log(2) - x/2", "0", "oo"),
        ("x*atan(x)", "-oo", "0"),
        ("2 + x/(1 + x**2)", "-oo", "oo"),
    ],
)
def test_signs_are_proved(text, low, high):
    ends = [
        {"oo": sp.oo, "-oo": -sp.oo}.get(end, sp.Integer(0) if end == "0" else None)
        for end in (low, high)
    ]
    f = parse(text, x)
    if f.has(sp.tanh):
        f = sp.simplify(f.rewrite(sp.exp)) if text.startswith("1") else f
    proofs.prove_nonnegative(f, x, *ends)
    with pytest.raises(Rejected):
        proofs.prove_nonnegative(-f, x, *ends)


@pytest.mark.parametrize(
    "text",
    [
        "x - 10",
        "x**2 - 1/1000",
        "1 - x**2/10000",
        "exp(x) - 1 - x - x**2",
        "Abs(x - 3) - 1/10**6",
        "x**2 - 1/10**9",
        "(x - 5)**2 - 1/10**7",
    ],
)
def test_what_is_negative_somewhere_is_never_proved(text):
    with pytest.raises(Rejected):
        proofs.prove_nonnegative(parse(text, x), x, sp.S.Zero, sp.oo)


def test_identities():
    proofs.prove_zero(parse("sinh(x)**2 + 1 - cosh(x)**2", x), x, -sp.oo, sp.oo)
    with pytest.raises(Rejected):
        proofs.prove_zero(parse("sinh(x)**2 + 1 - cosh(x)**2 + x/10**20", x), x, -sp.oo, sp.oo)


@pytest.mark.parametrize(
    "zero",
    [
        "atan(exp(x)) + atan(exp(-x)) - pi/2",
        "atan((1 + exp(x))/(2 + exp(-x))) + atan((2*exp(x) + 1)/(exp(x) + exp(2*x))) - pi/2",
        "exp(asinh(x)) - x - sqrt(1 + x**2)",
        "exp(-2*asinh(x)) - (sqrt(1 + x**2) - x)**2",
        "sinh(asinh(x)) - x",
        "1/(1 + exp(1000*x)) + 1/(1 + exp(-1000*x)) - 1",
    ],
)
def test_identities_of_functions(zero):
    proofs.prove_zero(parse(zero, x), x, -sp.oo, sp.oo)
    for wrong in (f"{zero} + 1/10**30", f"{zero} + x/10**40", f"{zero} + exp(-x**2)/10**40"):
        with pytest.raises(Rejected):
            proofs.prove_zero(parse(wrong, x), x, -sp.oo, sp.oo)


@pytest.mark.parametrize(
    "wrong",
    [
        "atan(x) + atan(1/x) - pi/2",  # -pi left of 0
        "atan(exp(x) - 1/2) + atan(1/(exp(x) - 1/2)) - pi/2",  # -pi left of -log 2
        "atan(x*exp(x)) + atan(exp(-x)/x) - pi/2",
    ],
)
def test_arctangents_of_numbers_of_both_signs_are_not_joined(wrong):
    assert not proofs.is_identity(parse(wrong, x), x)


@settings(max_examples=200, deadline=None)
@given(
    st.floats(-20, 20),
    st.floats(0, 3),
    st.sampled_from(
        [
            "exp(x)",
            "x**2*exp(-x)",
            "tanh(x)",
            "log(1+x**2)",
            "erf(x)*x",
            "Abs(x - 1)",
            "Max(x, 1 - x)",
            "atan(x)/(1+x**2)",
        ]
    ),
)
def test_balls_contain_the_function(middle, radius, text):
    f = parse(text, x)
    box = arb(middle, radius)
    enclosed = ball(f, x, box)
    assume(enclosed.is_finite())
    function = sp.lambdify(x, f, "mpmath")
    for k in range(5):
        point = mpmath.mpf(middle) + radius * (k - 2) / 2
        value = function(point)
        assert (
            float(enclosed.lower()) - 1e-12 * (1 + abs(value))
            <= value
            <= float(enclosed.upper()) + 1e-12 * (1 + abs(value))
        )


def test_constants():
    assert ball_of_constant(sp.log(2) - sp.Rational(7, 10)) < 0 and ball_of_constant(sp.pi - 3) > 0
