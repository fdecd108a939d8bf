"""Proposition 27 by enumeration of all batches: which losses keep the policy's direction when the
batch says what log Z is.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

P = np.array([0.55, 0.3, 0.1, 0.05])
TARGET = np.array([0.2, 0.3, 0.1, 0.9])
X = np.log(TARGET / P)
SLOPES = {
    "quadratic": lambda x: x,
    "linex(1)": np.expm1,
    "linex(1/2)": lambda x: 2 * np.expm1(x / 2),
    "linex(-1)": lambda x: -np.expm1(-x),
    "shifted_cosh": lambda x: 2 * np.sinh(x),
    "log_cosh": np.tanh,
}
ALPHA = {"quadratic": 0.0, "linex(1)": 1.0, "linex(1/2)": 0.5, "linex(-1)": -1.0}
STATISTICS = {"mean": np.mean, "median": np.median, "largest": np.max}


def direction(weights: np.ndarray) -> np.ndarray:
    """-E[weight * grad log P] in the logits of a softmax: -(P weight - P sum P weight)."""
    return -(P * weights - P * (P * weights).sum())


def fixed(slope, log_z: float = 0.0) -> np.ndarray:
    return direction(slope(X - log_z))


def centred(slope, batch: int, statistic, own: bool) -> np.ndarray:
    """The expected gradient over all batches, centred by a statistic of the others or of all."""
    total = np.zeros(4)
    for picks in product(range(4), repeat=batch):
        chance, x = P[list(picks)].prod(), X[list(picks)]
        for at, one in enumerate(picks):
            c = statistic(x if own else np.delete(x, at))
            score = -P + (np.arange(4) == one)
            total -= chance * slope(x[at] - c) * score / batch
    return total


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("name", ALPHA)
def test_leave_one_out_keeps_the_direction_of_linex_and_quadratic(name, statistic):
    slope, a = SLOPES[name], ALPHA[name]
    for batch in (2, 3, 4):
        found = centred(slope, batch, STATISTICS[statistic], own=False)
        others = list(product(range(4), repeat=batch - 1))
        scale = sum(
            P[list(o)].prod() * np.exp(-a * STATISTICS[statistic](X[list(o)])) for o in others
        )
        np.testing.assert_allclose(found, scale * fixed(slope), atol=1e-12)


@pytest.mark.parametrize("name", ALPHA)
def test_with_the_sample_in_the_mean_alpha_shrinks(name):
    a = ALPHA[name]
    for batch in (2, 3, 4):
        found = centred(SLOPES[name], batch, np.mean, own=True)
        b = a * (1 - 1 / batch)
        less = fixed(lambda x, b=b: np.expm1(b * x) / b if b else x)
        scale = (1 - 1 / batch) * (P * np.exp(-a * X / batch)).sum() ** (batch - 1)
        np.testing.assert_allclose(found, scale * less, atol=1e-12)
        # control: it is not its own direction, but for the quadratic loss
        assert (cosine(found, fixed(SLOPES[name])) > 1 - 1e-9) == (name == "quadratic")


@pytest.mark.parametrize("name", ["shifted_cosh", "log_cosh"])
def test_other_losses_are_bent_by_one_over_k(name):
    """Control of the first test, and the bound of (3)."""
    slope, mean = SLOPES[name], (P * X).sum()
    limit, variance = fixed(slope, mean), (P * (X - mean) ** 2).sum()
    width = np.ptp(X)
    at, step = np.linspace(-width, width, 2001, retstep=True)
    curved = np.abs(np.diff(slope(at), 2)).max() / step**2
    size = (P * np.linalg.norm(np.eye(4) - P, axis=1)).sum()
    gaps = {}
    for batch in (2, 3, 4, 5):
        found = centred(slope, batch, np.mean, own=False)
        gaps[batch] = np.linalg.norm(found - limit)
        assert 1e-4 < gaps[batch] <= 1.01 * curved * variance * size / (2 * (batch - 1))
    assert gaps[5] < gaps[2]
    assert cosine(centred(slope, 2, np.mean, own=False), fixed(slope)) < 1 - 1e-4
