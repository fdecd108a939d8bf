"""Divergences by hand, with zeros; and against each other."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from divergence_lab.inputs import InputError
from divergence_lab.results.metrics import (
    chi2,
    f_divergence,
    hellinger,
    jensen_shannon,
    kl,
    l1,
    total_variation,
)

# 0, or large enough that ratios and their squares neither overflow nor vanish
masses = st.floats(0, 1).map(lambda mass: mass if mass > 1e-100 else 0.0)
laws = arrays(np.float64, (2, 5), elements=masses).filter(lambda a: (a.sum(axis=1) > 0.1).all())
laws = laws.map(lambda a: a / a.sum(axis=1, keepdims=True))


@pytest.mark.parametrize(
    "distance", [l1, kl, hellinger, jensen_shannon, chi2], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("other", [[1.0], 1.0, [0.5, 0.5]])
def test_laws_over_other_states_are_not_compared(distance, other):
    with pytest.raises(InputError, match=r"these have the shapes \(3,\) and"):
        distance([0.2, 0.3, 0.5], other)


def test_by_hand():
    p, q = [0.5, 0.5, 0.0], [0.25, 0.5, 0.25]
    assert l1(p, q) == 0.5 and total_variation(p, q) == 0.25
    assert kl(p, q) == pytest.approx(0.5 * math.log(2))
    assert kl(q, p) == math.inf
    assert chi2(p, q) == pytest.approx(0.25 + 0.25) and chi2(q, p) == math.inf
    assert hellinger([1, 0], [0, 1]) == 1.0
    assert jensen_shannon([1, 0], [0, 1]) == pytest.approx(math.log(2))
    assert kl(p, p) == 0 and chi2(p, p) == 0 and jensen_shannon(p, p) == 0


def test_leading_axes_broadcast():
    assert kl(np.full((2, 3, 4), 0.25), np.full(4, 0.25)).shape == (2, 3)
    assert chi2(np.full((2, 3, 4), 0.25), np.full(4, 0.25)).shape == (2, 3)


@given(laws)
def test_f_divergence_agrees_with_the_named_ones(pair):
    p, q = pair
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        forward = f_divergence(
            lambda t: t * np.log(t) - t + 1, p, q, f_at_zero=1.0, slope_at_infinity=np.inf
        )
        reverse = f_divergence(
            lambda t: t - 1 - np.log(t), p, q, f_at_zero=np.inf, slope_at_infinity=1.0
        )
        half = f_divergence(
            lambda t: (1 - np.sqrt(t)) ** 2 / 2, p, q, f_at_zero=0.5, slope_at_infinity=0.5
        )
    variation = f_divergence(
        lambda t: np.abs(t - 1) / 2, p, q, f_at_zero=0.5, slope_at_infinity=0.5
    )
    np.testing.assert_allclose(forward, kl(p, q), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(reverse, kl(q, p), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(half, hellinger(p, q) ** 2, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(variation, total_variation(p, q), rtol=1e-9, atol=1e-12)


@given(laws)
def test_inequalities(pair):
    p, q = pair
    assert 2 * total_variation(p, q) ** 2 <= kl(p, q) + 1e-12
    assert 0 <= jensen_shannon(p, q) <= math.log(2) + 1e-12
    assert np.isclose(jensen_shannon(p, q), jensen_shannon(q, p))
    assert hellinger(p, q) ** 2 <= total_variation(p, q) + 1e-12
    assert kl(p, q) <= np.log1p(chi2(p, q)) + 1e-9


def test_ratios_beyond_floats():
    assert kl([1.0, 0.0], [1e-310, 1.0]) == pytest.approx(310 * math.log(10), rel=1e-9)
    assert chi2([1.0, 0.0], [1e-310, 1.0]) == math.inf
    assert (
        f_divergence(np.sqrt, [1e-310, 1.0], [1.0, 1e-10], f_at_zero=0.0, slope_at_infinity=0.0)
        < 2e-5
    )


def test_both_zero_counts_nothing():
    value = f_divergence(
        lambda t: t - 1 - np.log(t), [1, 0], [1, 0], f_at_zero=np.inf, slope_at_infinity=np.inf
    )
    assert value == 0
