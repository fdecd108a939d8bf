"""Torch losses next to kinks: at the numbers beside one, and at it, where a formula ends."""

import functools
import math

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp

from divergence_lab.bridge import NotRepresentable, to_torch
from divergence_lab.bridge.export import export
from divergence_lab.bridge.torch_loss import run
from divergence_lab.bridge.verified import arithmetic as arithmetic_of
from divergence_lab.bridge.verified.arithmetic import DOUBLE, SINGLE, are_parts_of, parts_of
from divergence_lab.bridge.verified.programs import Program, away, compiled
from divergence_lab.bridge.verified.ranges import ranges
from divergence_lab.bridge.verified.rounding import error_on
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.expressions.symbols import x
from tests.torch_hunt import (
    hunt_with_refusals,
    with_a_kink_at_a_number,
    with_a_kink_between_numbers,
)

POINTS = st.one_of(
    st.fractions(-50, 50, max_denominator=99).map(sp.Rational),
    st.integers(2, 60).map(sp.log),
    st.integers(2, 60).map(lambda n: -sp.sqrt(n)),
    st.integers(1, 60).map(lambda n: sp.pi / n),
).filter(lambda p: sp.Rational(float(p)) != p)
OUTWARDS = st.lists(st.tuples(st.integers(-3, 3), st.floats(-9, 2)), min_size=1, max_size=6)


@settings(max_examples=60)
@given(POINTS, OUTWARDS)
def test_the_distance_from_a_point_between_two_numbers_is_right(p, steps):
    """Within 4 half units in both precisions, at the numbers next to p and farther out; the bound
    of `error_on` says no less. Without the last part it is not, and that is seen.
    """
    parts = parts_of(p)
    program = Program((("away", "x", *((part,) for part in parts)),))
    assert program == compiled(away(x, p)) and are_parts_of(p, parts)
    with mp.workdps(60):
        exact = sp.lambdify((), p, "mpmath")()
        for kind, arithmetic in ((np.float64, DOUBLE), (np.float32, SINGLE)):
            next_to = [kind(float(p))]
            for way in (-np.inf, np.inf):
                next_to.append(np.nextafter(next_to[0], kind(way)))
            farther = [kind(float(p) + sign * 10.0**power) for sign, power in steps]
            for point in [*next_to, *farther]:
                true = mp.mpf(float(point)) - exact
                got = functools.reduce(np.subtract, map(kind, parts), point)
                assert abs(mp.mpf(float(got)) - true) <= 4 * arithmetic.half * abs(true)
                bound = error_on(program, float(point), float(point), arithmetic)
                assert bound.low <= true <= bound.high and bound.relative >= 4 * arithmetic.half
        # SymPy's float(p) may be the next number but one
        at = math.fsum(parts[:-1])
        nearest = torch.tensor([at], dtype=torch.float64)
        (got,) = run(program, nearest).tolist()
        assert abs(got - (at - exact)) <= 1e-15 * abs(got)
        (without,) = run(Program((program.steps[0][:-1],)), nearest).tolist()
        assert without == 0
    *firsts, last = parts
    for wrong in (last * (1 + 2.0**-50), -last, math.nextafter(at, 99.0) - at):
        assert not are_parts_of(p, (*firsts, wrong))
    assert not are_parts_of(p, (math.nextafter(parts[0], 99.0), *parts[1:]))


def test_a_kink_between_two_numbers_is_refused_if_its_last_part_is_wrong(monkeypatch):
    text = "Abs(x - 1/3)**(3/2)"
    check = functools.partial(ranges, loss(text).derivative)
    assert check()
    monkeypatch.setattr(arithmetic_of, "are_parts_of", lambda p, parts: False)
    with pytest.raises(NotRepresentable, match="near x = 0.3333"):
        check()


def test_a_kink_between_two_numbers_is_no_reason_to_refuse():
    hunt_with_refusals(with_a_kink_between_numbers, 5, 4, 0)


@pytest.mark.slow
def test_many_kinks_between_two_numbers_are_no_reason_to_refuse():
    hunt_with_refusals(with_a_kink_between_numbers, 900, 40, 1)


@pytest.mark.parametrize(
    "text, point, value, slope",
    [
        ("x**2*log(Abs(x))", 0.0, 0.0, 0.0),
        ("Abs(x)*log(Abs(x))**2", 0.0, 0.0, 0.0),  # its slopes are -oo and oo
        ("x*atan(1/x)", 0.0, 0.0, 0.0),
        ("sqrt(Abs(x - 1)) - 1", 1.0, -0.5, 0.0),
        ("(x - 1)*Abs(x - 1)**(-2/3) + 1", 1.0, 2 / 3, math.inf),
        ("-(x - 1)*Abs(x - 1)**(-2/3) - 1", 1.0, -2 / 3, -math.inf),
        ("(x - 2)**2*log(Abs(x - 2))", 2.0, 4 + 4 * math.log(2), None),
        ("x + 1 - 1/exp(1) + exp(-1/Abs(x - 1)) - 1", 1.0, None, None),
        ("Abs(x + 3/2)**Abs(x + 3/2)", -1.5, None, 0.0),
    ],
)
def test_where_a_formula_has_no_number_its_limit_stands(text, point, value, slope):
    """In torch and in its exported text; an infinite slope is the largest number of the dtype."""
    made = to_torch(text)
    exec(export(text), names := {})
    for dtype in (torch.float64, torch.float32):
        at = torch.tensor([point, -point], dtype=dtype)
        for found, wanted in ((made.value, value), (made.gradient, slope)):
            got = found(at)
            exported = names["value" if found == made.value else "gradient"](at)
            assert torch.isfinite(got).all() and torch.equal(got, exported)
            if wanted is not None:
                largest = torch.finfo(dtype).max
                expected = max(-largest, min(largest, wanted))
                assert got[0].item() == pytest.approx(expected, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(
    "text, end",
    [
        ("x**2*(1 + (x - 2000)*log(Abs(x - 2000)))", 2000),
        ("sqrt(Abs(x - 800))*log(Abs(x - 800))*cosh(x)", 707),
        ("x**2*(1 - (x + 2000)*log(Abs(x + 2000)))", -2000),
        ("Abs(x - 1000001)**(1/2)*log(Abs(x - 1000001))", 1_000_000),
    ],
)
def test_no_number_stands_by_itself_where_the_line_has_begun(text, end):
    made = to_torch(text)
    assert math.copysign(1, end) * made.reach[end > 0] <= abs(end)
    points = torch.tensor([end * k for k in (1.0, 1.01, 1.5, 3, 1e6, math.inf)]).double()
    values, found = made.value(points), made.gradient(points)
    assert torch.isfinite(values).all() and torch.isfinite(found).all()
    # it goes on as it ends, by one slope
    assert found.tolist() == pytest.approx([made.end_slopes[end > 0]] * 6, rel=1e-9)


def test_a_kink_at_a_number_is_no_reason_to_refuse():
    hunt_with_refusals(with_a_kink_at_a_number, 6, 4, 0)


@pytest.mark.slow
def test_many_kinks_at_numbers_are_no_reason_to_refuse():
    hunt_with_refusals(with_a_kink_at_a_number, 901, 40, 1)
