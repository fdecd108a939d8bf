"""Distances and divergences of laws p and q over the last axis, in float64; infinite where they
are.

Every argument is an array [.., X] of probabilities; the answer has shape [..].
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln, xlog1py, xlogy
from scipy.stats import binom, rankdata

from divergence_lab.inputs import InputError


def l1(p: ArrayLike, q: ArrayLike) -> np.ndarray:
    """sum |p - q|, from 0 to 2."""
    p, q = _laws(p, q)
    return np.abs(p - q).sum(axis=-1)


def sampling_floor(p: ArrayLike, samples: int) -> np.ndarray:
    """E sum |p^ - p| for the empirical law p^ of `samples` independent draws from p: what a perfect
    sampler scores, in the mean.  Another law can score less (`expected_l1`).

    De Moivre: E|X - np| = 2 (m+1) C(n, m+1) p^(m+1) (1-p)^(n-m) with m = floor(np), for X binomial.
    """
    p = _float64(p)
    m = np.floor(samples * p)
    ways = gammaln(samples + 1) - gammaln(m + 2) - gammaln(np.maximum(samples - m, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.exp(np.log(m + 1) + ways + xlogy(m + 1, p) + xlog1py(samples - m, -p))
    # a state with all the mass, or none, is never missed
    return np.where((p > 0) & (p < 1), 2 * terms / samples, 0.0).sum(axis=-1)


def expected_l1(p: ArrayLike, q: ArrayLike, samples: int) -> np.ndarray:
    """E sum |q^ - p| for the empirical law q^ of `samples` independent draws from q: what a sampler
    of q scores against the target p.  It can be below `sampling_floor(p)`.

    E|X - c| = 2 E max(X - c, 0) + c - nq, X binomial, c = np; with m = floor(c),
    E max(X - c, 0) = nq P(B(n-1, q) >= m) - c P(X > m).
    """
    p, q = _laws(p, q)
    n, c = samples, samples * p
    m = np.floor(c)
    above = n * q * binom.sf(m - 1, n - 1, q) - c * binom.sf(m, n, q)
    return (2 * above + c - n * q).sum(axis=-1) / n


def total_variation(p: ArrayLike, q: ArrayLike) -> np.ndarray:
    """sum |p - q| / 2, from 0 to 1."""
    return l1(p, q) / 2


def leak_bounds(log_z: ArrayLike, log_z_true: float, seen: float = 1.0) -> tuple[np.ndarray, ...]:
    """Least and greatest total variation of a model with Z P = p_B on a set that has the share
    `seen` of the target: seen (1 - Z*/Z) and 1 - seen Z*/Z, Z at least Z*.

        >>> low, high = leak_bounds(1.0, 0.0)
        >>> round(float(low), 3), float(low) == float(high)
        (0.632, True)
    """
    share = np.minimum(np.exp(log_z_true - _float64(log_z)), 1.0)
    return seen * (1 - share), 1 - seen * share


def unseen(chances: ArrayLike, batch: int) -> np.ndarray:
    """prod_{k < n} (1 - q_k)^B, n = 0 .. N, [.., N + 1]: the chance that the first n batches of B
    draws have seen nothing of an event. q_k [.., N]: its chance at step k as long as it was not.

    A loss acts on it through q_k alone: (1 - q)^(B n) under every loss while the policy stays as it
    is.

        >>> unseen([0.5, 0.5, 0.0], 2).tolist()
        [1.0, 0.25, 0.0625, 0.0625]
    """
    q = _float64(chances)
    with np.errstate(divide="ignore"):
        logs = np.cumsum(xlog1py(batch, -q), axis=-1)
    return np.exp(np.concatenate([np.zeros_like(q[..., :1]), logs], axis=-1))


def kl(p: ArrayLike, q: ArrayLike) -> np.ndarray:
    """KL(p||q) = sum p log(p/q) - p + q in nats; oo where p > 0 = q."""
    p, q = _laws(p, q)
    with np.errstate(divide="ignore", invalid="ignore"):
        # a difference of logarithms, because p/q can overflow; -p + q vanishes for equal masses and
        # keeps every term at least 0, but for rounding
        terms = np.where(p > 0, p * (np.log(p) - np.log(q)) - p + q, q)
    return np.maximum(terms.sum(axis=-1), 0.0)


def jensen_shannon(p: ArrayLike, q: ArrayLike) -> np.ndarray:
    """(KL(p||m) + KL(q||m)) / 2 with m = (p + q)/2, in nats, from 0 to log 2."""
    p, q = _laws(p, q)
    middle = (p + q) / 2
    return (kl(p, middle) + kl(q, middle)) / 2


def hellinger(p: ArrayLike, q: ArrayLike) -> np.ndarray:
    """sqrt(sum (sqrt p - sqrt q)^2 / 2), from 0 to 1."""
    p, q = _laws(p, q)
    return np.sqrt(((np.sqrt(p) - np.sqrt(q)) ** 2).sum(axis=-1) / 2)


def chi2(p: ArrayLike, q: ArrayLike) -> np.ndarray:
    """Pearson's chi^2(p||q) = sum (p - q)^2 / q; oo where p > 0 = q.  Neyman's is chi2(q, p)."""
    return f_divergence(lambda t: (t - 1) ** 2, p, q, f_at_zero=1.0, slope_at_infinity=np.inf)


def spearman(a: ArrayLike, b: ArrayLike) -> np.ndarray:
    """Correlation of ranks, ties given their mean rank: [.., X] and [.., X] -> [..]; NaN where
    all are equal.
    """
    a, b = (rankdata(_float64(values), axis=-1) for values in (a, b))
    a, b = (ranks - ranks.mean(axis=-1, keepdims=True) for ranks in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (a * b).sum(axis=-1) / np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1))


def f_divergence(
    f: Callable[[np.ndarray], np.ndarray],
    p: ArrayLike,
    q: ArrayLike,
    *,
    f_at_zero: float,
    slope_at_infinity: float,
) -> np.ndarray:
    """D_f(p||q) = sum q f(p/q), with q f(0+) where p = 0 < q, p f'(oo) where q = 0 < p, 0 where
    both are.

    `f` is evaluated at finite positive ratios only; its two limits are given, because they may be
    infinite.
    """
    p, q = np.broadcast_arrays(*_laws(p, q))
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        ratio = p / q
        usable = (ratio > 0) & np.isfinite(ratio)
        terms = np.where(usable, q * f(np.where(usable, ratio, 1.0)), 0.0)
    terms = np.where((ratio == 0) & (q > 0), _times(q, f_at_zero), terms)
    terms = np.where((ratio == np.inf) & (p > 0), _times(p, slope_at_infinity), terms)
    return terms.sum(axis=-1)


def _times(mass: np.ndarray, limit: float) -> np.ndarray:
    return (
        np.where(mass > 0, mass, 1.0) * limit
    )  # 1 stands in for masses of 0, where 0 * oo is not wanted


def _laws(p: ArrayLike, q: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays [.., X]; InputError where they are not over the same X states."""
    p, q = _float64(p), _float64(q)
    if not p.ndim or not q.ndim or p.shape[-1] != q.shape[-1]:
        raise InputError(
            f"two laws over the same states are compared along the last axis; these have the "
            f"shapes {p.shape} and {q.shape}"
        )
    return p, q


def _float64(values: ArrayLike) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)
