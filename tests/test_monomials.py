"""Which of two monomials grows faster, held against their logarithms at an x with log log log x =
2000.
"""

import collections

import mpmath
import pytest
import sympy as sp
from hypothesis import assume, given
from hypothesis import strategies as st

from divergence_lab.theory.checker.facts.monomials import (
    LEVELS,
    ONE,
    Monomial,
    added,
    compare,
    growth,
    iterated_log,
)

powers = st.sampled_from([sp.Integer(n) for n in (-2, -1, 0, 0, 1, 2)])
# Roots and squares of log x, log log x and log log log x, and of products of them.
slow = st.tuples(
    st.integers(1, LEVELS - 1), st.sampled_from([sp.S.Half, sp.Rational(1, 3), sp.Integer(2)])
).map(lambda pair: iterated_log(*pair))
exponents = st.lists(
    st.tuples(slow, st.sampled_from([sp.Integer(-1), sp.S.One, sp.Integer(2)])), max_size=2
).map(lambda terms: tuple((c, m) for m, c in added(terms)))
monomials = st.builds(
    lambda first, rest, above: Monomial((first, *rest), above),
    powers,
    st.tuples(*(LEVELS - 1) * [powers]),
    exponents,
)


@given(monomials, monomials)
def test_the_order_is_that_of_the_values(a, b):
    with mpmath.workdps(1000):
        nearer, difference = (log_of_ratio(a, b, logs_at(w)) for w in (500, 2000))
    # a small power of the slowest logarithm outgrows its logarithm far beyond what can be written
    assume(
        (nearer * difference > 0 and abs(difference) >= abs(nearer)) or nearer == difference == 0
    )
    assert compare(a, b) == mpmath.sign(difference)
    assert compare(b, a) == -compare(a, b)
    assert growth(a) == compare(a, ONE)


def logs_at(slowest):
    logs = [mpmath.mpf(slowest)]
    for _ in range(LEVELS - 2):
        logs.insert(0, mpmath.exp(logs[0]))
    return logs


def log_of_ratio(a, b, logs):
    """log(a/b) from log x, log log x, ... at a point; what both have cancels first."""
    slowest = mpmath.log(logs[-1])
    terms = [(p - q) * log for p, q, log in zip(a.powers, b.powers, [*logs, slowest])]
    shares = collections.Counter()
    for m, sign in ((a, 1), (b, -1)):
        for c, inner in m.exponents:
            shares[inner] += sign * c
    for inner, c in shares.items():
        roots = (log ** mpmath.mpmathify(p) for log, p in zip(logs, inner.powers[1:]))
        terms.append(c * mpmath.fprod(roots))
    return mpmath.fsum(mpmath.mpmathify(term) for term in terms if term != 0)


@pytest.mark.parametrize("k", range(1, LEVELS))
def test_an_exponential_of_a_slow_root_lies_between_powers_of_the_next_logarithm(k):
    """L_k^n < exp(sqrt(L_k)) < L_{k-1}^(1/n)."""
    between = Monomial(exponents=((sp.S.One, iterated_log(k, sp.S.Half)),))
    for n in (1, 10, 1000):
        assert compare(between, iterated_log(k, sp.Integer(n))) == 1
        assert compare(between, iterated_log(k - 1, sp.Rational(1, n))) == -1
