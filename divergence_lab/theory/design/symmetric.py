"""Which penalties a loss of a symmetric divergence can have, and trade-offs between them.

    g(x) = int_0^x (x - u) m(du)      g(-y) = int_0^y (y - u) e^{-u} m(du)      x, y > 0

with one measure m >= 0, since g''(u) = e^u g''(-u). So sum_i c_i g(x_i) >= 0 for every such g
whenever the same sum K of the kernels is >= 0 at every u >= 0 (Proposition 3 gives the measure). A
linear program over places u, to which those join where K is negative until there are none, proposes
such a c with sum_i c_i v_i < 0; interval arithmetic proves that K is not negative. If there is no
such c, masses at these places give the penalties.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import sympy as sp
from flint import arb

from divergence_lab.theory.design import mixtures
from divergence_lab.theory.design.wishes import DesignError, Wishes
from divergence_lab.theory.expressions import constants, write, x
from divergence_lab.theory.expressions.balls import ball, ball_of_constant

# sum_k a_k g(x_k) as the pairs (a_k, x_k)
Total = Sequence[tuple[sp.Expr, sp.Expr]]
Penalties = tuple[tuple[sp.Expr, sp.Expr], ...]
# Places in each stretch between two sizes: to begin with, and where K is looked at; how often.
FEW, MANY, ROUNDS = 4, 24, 30
# K is taken to be above 0 from here on, in units of its largest part; places are known so well.
NEGATIVE, NEAR_ENOUGH = -1e-8, 1e-9
# What is farther off than this share of the tolerance is refused, if that is proved.
CLEARLY = sp.Rational(4, 5)
# Roundings of c, the shortest first.
ROUNDINGS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8)
DEPTH = 30


def refuse_asymmetric(wishes: Wishes, tolerance: sp.Rational) -> None:
    """Raises DesignError where the penalties are proved to be those of no symmetric divergence,
    and not within the relative tolerance of such.
    """
    asked = wishes.penalties
    if not wishes.symmetric or wishes.even or _missed(asked) <= CLEARLY * tolerance:
        return
    for pair in wishes.penalties:  # as few as clash
        rest = tuple(other for other in asked if other is not pair)
        if _missed(rest) > CLEARLY * tolerance:
            asked = rest
    found = _proved(asked)
    if found is None:
        return
    terms = [(c, f"g({write(at)})") for c, (at, _) in zip(found, asked, strict=True) if c != 0]
    named = ", ".join(
        f"g({write(at)}) = {write(value)}"
        for c, (at, value) in zip(found, asked, strict=True)
        if c != 0
    )
    raise DesignError(
        f"symmetric divergence and the penalties {named} clash: g''(x) = e^x g''(-x) makes "
        f"{in_words(terms)} at least 0 for every convex loss"
    )


def in_words(terms: Sequence[tuple[sp.Expr, str]]) -> str:
    """ "2*g(1) - g(-3)" of [(-1, "g(-3)"), (2, "g(1)")]."""
    parts = [
        f"{'-' if c < 0 else '+'} {'' if abs(c) == 1 else f'{write(abs(c))}*'}{name}"
        for c, name in sorted(terms, key=lambda term: bool(term[0] < 0))
    ]
    return " ".join(parts).removeprefix("+ ")


def places_for(penalties: Penalties) -> list[sp.Rational]:
    """Places at which masses give the penalties, where any m does."""
    return _separated(penalties)[1] if penalties else []


def _missed(penalties: Penalties) -> Any:
    """The least relative error that must be made in one of the penalties at least."""
    return -sum(_separated(penalties)[0]) if len(penalties) > 1 else sp.S.Zero


@lru_cache(maxsize=64)
def _separated(penalties: Penalties) -> tuple[list[sp.Rational], list[sp.Rational]]:
    """With g(x_i)/v_i as totals."""
    return separated([[(1 / value, at)] for at, value in penalties], [1] * len(penalties))


def _proved(penalties: Penalties) -> list[Any] | None:
    """c with sum c_i v_i < 0 and no negative sum of kernels."""
    found, _ = _separated(penalties)
    room = -sum(found) / 2 / sum(1 for c in found if c != 0)
    for near in ROUNDINGS:
        c = [
            mixtures.rational((w + room) / float(value), near) if w != 0 else sp.S.Zero
            for w, (_, value) in zip(map(float, found), penalties, strict=True)
        ]
        total = sum(w * value for w, (_, value) in zip(c, penalties, strict=True))
        if constants.sign_of(total) == -1 and is_never_negative(
            [(w, at) for w, (at, _) in zip(c, penalties, strict=True)]
        ):
            return c
    return None


# --- the linear program


def separated(totals: Sequence[Total], gains: Sequence[int]) -> tuple[list[Any], list[Any]]:
    """(c, places): c of least sum c_i gains_i where sum |c_i| <= 1 and the kernels of sum_i c_i
    totals_i are not negative, found with those at the places.
    """
    kernels = [[(float(a), mixtures.rational(at)) for a, at in total] for total in totals]
    sizes: list[Any] = sorted({abs(at) for kernel in kernels for _, at in kernel})
    ends, count = [sp.S.Zero, *sizes], len(totals)
    places = [low + (high - low) * k / FEW for low, high in pairwise(ends) for k in range(FEW)]
    places.append(sizes[-1])
    both = [*gains, *(-gain for gain in gains)]
    c = [sp.S.Zero] * count
    for _ in range(ROUNDS):
        at = [
            [mixtures.rational(k, NEAR_ENOUGH) for k in _at(kernels, u, sizes[-1])] for u in places
        ]
        below = [[*(-k for k in row), *row] for row in at]
        found = mixtures.least(both, [*below, [1] * 2 * count], [*[0] * len(below), 1])
        if found is None:
            break
        c = [a - b for a, b in zip(found[:count], found[count:], strict=True)]
        lower = _where_negative(kernels, list(map(float, c)), ends)
        if not lower:
            break
        places = sorted({*places, *lower})
    return c, places


def _at(
    kernels: Sequence[Sequence[tuple[float, sp.Rational]]],
    u: sp.Rational | float,
    largest: sp.Rational,
) -> list[float]:
    """What curvature at u adds to each total, over the largest of them; at the largest size the
    limit.
    """
    weight, point = math.exp(-float(u)), float(u)
    found = [
        math.fsum(
            a * (1.0 if at > 0 else weight) * max(float(abs(at)) - point, 0.0)
            if point < float(largest)
            else a * (1.0 if at > 0 else weight) * (abs(at) == largest)
            for a, at in kernel
        )
        for kernel in kernels
    ]
    size = max(map(abs, found))
    return [entry / size for entry in found] if size else found


def _where_negative(
    kernels: Sequence[Sequence[tuple[float, sp.Rational]]],
    c: Sequence[float],
    ends: Sequence[sp.Rational],
) -> list[sp.Rational]:
    """The lowest places of sum c_i kernels_i, where it is below 0."""

    def height(u: float) -> float:
        return math.fsum(w * k for w, k in zip(c, _at(kernels, u, ends[-1]), strict=True))

    found = []
    for low, high in pairwise(map(float, ends)):
        step = (high - low) / MANY
        row = [height(low + step * k) for k in range(MANY)]
        for k, here in enumerate(row):
            beside = [row[j] for j in (k - 1, k + 1) if 0 <= j < MANY]
            if here > min(beside):
                continue
            a, b = max(low, low + step * (k - 1)), min(high - step / 1e3, low + step * (k + 1))
            for _ in range(30):
                third = (b - a) / 3
                a, b = (a, b - third) if height(a + third) < height(b - third) else (a + third, b)
            if a > 0 and height((a + b) / 2) < NEGATIVE:
                found.append(mixtures.rational((a + b) / 2, 1e-7 * step / b))
    return found


# --- the proof


def is_never_negative(total: Total) -> bool:
    """sum c_i g(x_i) >= 0 for every convex g of a symmetric divergence, proved: the sum of the
    kernels is >= 0 on every stretch between sizes.
    """
    terms = [
        (abs(at), c * (abs(at) - x) * (1 if at > 0 else sp.exp(-x))) for c, at in total if c != 0
    ]
    ends = [sp.S.Zero, *sorted({size for size, _ in terms}, key=float)]
    *inner, (low, high) = pairwise(ends)
    last = sp.cancel(sum(term for size, term in terms if size == high) / (high - x))
    # the last stretch: (high - x)(a + b e^{-x}) is of one sign where it is at both ends
    return all(constants.sign_of(last.subs(x, end)) in (0, 1) for end in (low, high)) and all(
        _positive(sp.Add(*(f for size, f in terms if constants.sign_of(size - b) != -1)), a, b)
        for a, b in inner
    )


def _positive(f: sp.Expr, low: sp.Expr, high: sp.Expr, depth: int = DEPTH) -> bool:
    """f > 0 on [low, high], by enclosures on ever smaller parts."""
    box = ball_of_constant(low).union(ball_of_constant(high))
    if ball(f, x, arb(box)) > 0:
        return True
    middle = (low + high) / 2
    return (
        depth > 0
        and not ball(f, x, ball_of_constant(middle)) <= 0
        and _positive(f, low, middle, depth - 1)
        and _positive(f, middle, high, depth - 1)
    )
