"""Which penalties a loss of a symmetric divergence can have.

    g(x) = int_0^x (x - u) m(du)      g(-y) = int_0^y (y - u) e^{-u} m(du)      x, y > 0

with one measure m >= 0, since g''(u) = e^u g''(-u). So sum_i c_i g(x_i) >= 0 for every such g
whenever the same sum of the kernels is >= 0 at every u >= 0 (Proposition 3 gives the measure). A
linear program proposes such a c with sum_i c_i v_i < 0; interval arithmetic proves that the sum of
the kernels is not negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import sympy as sp
from flint import arb

from divergence_lab.theory.design.mixtures import NOTHING, simplest
from divergence_lab.theory.design.wishes import DesignError, Wishes
from divergence_lab.theory.expressions import constants, write, x
from divergence_lab.theory.expressions.balls import ball, ball_of_constant

GRID = 400
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
    import numpy as np
    from scipy.optimize import linprog

    at = np.array([float(a) for a, _ in penalties])
    value = np.array([float(v) for _, v in penalties])
    size, farthest = np.abs(at), int(np.argmax(np.abs(at)))
    u = np.linspace(0, size[farthest], GRID)[:, None]
    kernels = np.maximum(size - u, 0) * np.where(at > 0, 1.0, np.exp(-u))
    answer = linprog(
        np.ones(len(at)), A_ub=-kernels / value, b_ub=np.zeros(GRID), bounds=(-1, 1), method="highs"
    )
    if not answer.success or answer.fun > -1e-4:
        return None
    c = answer.x / value
    c[farthest] -= answer.fun / (2 * value[farthest])  # room between the points of the grid
    nothing = NOTHING * np.abs(c).max()
    return [
        sp.S.Zero
        if abs(w) < nothing
        else sp.sign(w) * simplest(abs(w) * (1 - 1e-3), abs(w) * (1 + 1e-3))
        for w in c
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
