"""Which penalties a loss of a symmetric divergence can have.

    g(x) = int_0^x (x - u) m(du)      g(-y) = int_0^y (y - u) e^{-u} m(du)      x, y > 0

with one measure m >= 0, since g''(u) = e^u g''(-u). So sum_i c_i g(x_i) >= 0 for every such g
whenever the same sum of the kernels is >= 0 at every u >= 0 (Proposition 3 gives the measure). A
linear program proposes such a c with sum_i c_i v_i < 0; interval arithmetic proves that the sum of
the kernels is not negative.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import sympy as sp
from flint import arb

from divergence_lab.theory.design import mixtures
from divergence_lab.theory.design.wishes import DesignError, Wishes
from divergence_lab.theory.expressions import constants, write, x
from divergence_lab.theory.expressions.balls import ball, ball_of_constant

GRID = 400
# of the kernels on the grid: what is found is proved afterwards
NEAR_ENOUGH, CLEARLY = 1e-9, sp.Rational(1, 10**4)
DEPTH = 24


def refuse_asymmetric(wishes: Wishes) -> None:
    """Raises DesignError where the penalties are proved to be those of no symmetric divergence."""
    if len(wishes.penalties) < 2:
        return
    found = _proposed(wishes.penalties)
    if found is None or not _is_proof(found, wishes.penalties):
        return
    used = [
        (c, at, value) for c, (at, value) in zip(found, wishes.penalties, strict=True) if c != 0
    ]
    terms = [(f"{write(abs(c))}*" if abs(c) != 1 else "") + f"g({write(at)})" for c, at, _ in used]
    signs = ["-" if c < 0 else "+" for c, _, _ in used]
    total = " ".join(part for pair in zip(signs, terms, strict=True) for part in pair)
    named = ", ".join(f"g({write(at)}) = {write(value)}" for _, at, value in used)
    raise DesignError(
        f"symmetric divergence and the penalties {named} clash: g''(x) = e^x g''(-x) makes "
        f"{total.removeprefix('+ ')} at least 0 for every convex loss"
    )


def _proposed(penalties: Sequence[tuple[sp.Expr, sp.Expr]]) -> list[sp.Expr] | None:
    """c with sum c_i v_i < 0 and no negative sum of kernels at the points of a grid."""
    places = [mixtures.rational(at) for at, _ in penalties]
    farthest = max(range(len(places)), key=lambda i: abs(places[i]))
    grid = [abs(places[farthest]) * k / (GRID - 1) for k in range(GRID)]
    columns = [_kernel(at, value, grid) for at, (_, value) in zip(places, penalties, strict=True)]
    below = [[-entry for entry in row] for row in zip(*columns, strict=True)]
    sides = [[int(k == j) for k in range(len(places))] for j in range(len(places))]
    # c = z - 1, 0 <= z <= 2
    found = mixtures.least([1] * len(places), below + sides, [*map(sum, below), *[2] * len(places)])
    if found is None or (reached := sum(found) - len(places)) > -CLEARLY:
        return None
    c = [float(z - 1) / float(value) for z, (_, value) in zip(found, penalties, strict=True)]
    c[farthest] -= float(reached / 2 / penalties[farthest][1])  # room between the grid's points
    nothing = mixtures.NOTHING * max(map(abs, c))
    return [sp.S.Zero if abs(w) < nothing else mixtures.rational(w, 1e-3) for w in c]


def _kernel(at: sp.Rational, value: sp.Expr, grid: Sequence[sp.Rational]) -> list[sp.Rational]:
    """What curvature at each point of the grid adds to g(at), over the value of the penalty."""
    weights = [1.0 if at > 0 else math.exp(-u) for u in grid]
    return [
        mixtures.rational(max(abs(float(at)) - float(u), 0.0) * weight / float(value), NEAR_ENOUGH)
        for u, weight in zip(grid, weights, strict=True)
    ]


def _is_proof(c: Sequence[sp.Expr], penalties: Sequence[tuple[sp.Expr, sp.Expr]]) -> bool:
    """sum c_i v_i < 0 exactly, and the sum of the kernels is >= 0 on every stretch between
    sizes.
    """
    if constants.sign_of(sum(w * value for w, (_, value) in zip(c, penalties, strict=True))) != -1:
        return False
    terms = [
        (abs(at), w * (abs(at) - x) * (1 if at > 0 else sp.exp(-x)))
        for w, (at, _) in zip(c, penalties, strict=True)
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
