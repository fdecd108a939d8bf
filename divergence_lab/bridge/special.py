"""Coefficients of two functions that torch and JAX have not.

e^u - 1 - u          Li_2(z),  -1 <= z <= 0
"""

from __future__ import annotations

import math
from fractions import Fraction

from divergence_lab.bridge.verified.arithmetic import DILOG_TERMS


def linex_coefficients(terms: int) -> list[float]:
    """e^u - 1 - u = u^2 (1/2! + u/3! + ...)."""
    return [1 / math.factorial(k + 2) for k in range(terms)]


def dilogarithm_coefficients() -> list[float]:
    """Li_2(z) = -u - u^2/4 - sum B_2k u^(2k+1)/(2k+1)!, u = log(1 - z): the coefficients of u,
    u^2, ...
    """
    bernoulli = [Fraction(1)]
    for n in range(1, DILOG_TERMS):
        terms = (math.comb(n + 1, k) * bernoulli[k] for k in range(n))
        bernoulli.append(-sum(terms, Fraction(0)) / (n + 1))
    return [
        float((-1 if k != 1 else 1) * bernoulli[k] / math.factorial(k + 1))
        for k in range(DILOG_TERMS)
    ]
