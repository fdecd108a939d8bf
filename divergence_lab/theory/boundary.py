"""What f does at its two ends, straight from g', without a closed form of f.

    f(0+)   = -g'(-oo)                        whenever that limit exists
    f'(oo)  = int_0^oo g'(x) e^{-x} dx        finite or infinite

Limits are SymPy's, searched in a process that can be ended; an answer stands only when guaranteed enclosures of the
function far out agree with it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise

import sympy as sp
from flint import arb

from divergence_lab.theory.budget import OutOfTime, SearchFailed, within
from divergence_lab.theory.enclosure import NotEvaluable, digits, exact, value_at
from divergence_lab.theory.loss import Loss
from divergence_lab.theory.symbols import x

# How far out a limit is held against the function itself.
FAR = (10, 20, 40, 80, 160, 320)


class Undecided(Exception):
    """No answer that could be confirmed; the message says what was tried."""


@dataclass(frozen=True)
class Tail:
    """Behaviour of a function at one end: its limit there (an exact number, oo or -oo)."""
    function: sp.Expr
    end: sp.Expr
    limit: sp.Expr


def limit_at(function: sp.Expr, end: sp.Expr, deadline: float) -> Tail:
    """lim function(x), x -> end (oo or -oo), confirmed by enclosures far out. Raises Undecided."""
    if not function.has(x):
        return Tail(function, end, function)
    left = deadline - time.monotonic()
    try:
        if left <= 0:
            raise OutOfTime
        limit = within(left, sp.limit, function, x, end)
    except OutOfTime:
        raise Undecided(f"the limit of {function} at {end} took longer than the budget") from None
    except SearchFailed as failure:
        raise Undecided(f"the limit of {function} at {end} could not be found ({failure})") from None
    if not isinstance(limit, sp.Expr) or limit.has(sp.nan, sp.zoo, sp.AccumBounds, sp.Limit, sp.I):
        raise Undecided(f"{function} has no limit at {end} that SymPy can find")
    if not function.free_symbols - {x} and not _agrees(function, end, limit):
        raise Undecided(f"the limit {limit} of {function} at {end} is not borne out far out")
    return Tail(function, end, limit)


def _agrees(function: sp.Expr, end: sp.Expr, limit: sp.Expr) -> bool:
    """Is what the limit says seen in enclosures at |x| = 10 ... 320: growth, or a shrinking distance?"""
    sign = 1 if end == sp.oo else -1
    try:
        seen = [value_at(function, x, sp.Integer(sign * far), 400) for far in FAR]
    except NotEvaluable:
        return False
    if not all(ball.is_finite() for ball in seen):
        return False
    if limit.is_infinite:
        direction = 1 if limit == sp.oo else -1
        return all(direction * (b - a) > 0 for a, b in pairwise(seen[2:])) and direction * seen[-1] > 0
    with digits(410):
        distances = [abs(ball - exact(limit)) for ball in seen]
    tiny = arb(10) ** -100
    return all(b < a or b < tiny for a, b in pairwise(distances[2:]))


def value_at_zero(loss: Loss, deadline: float) -> Tail:
    """f(0+) = -g'(-oo): the tail of g' on the left."""
    return limit_at(loss.derivative.pieces[0].expression, -sp.oo, deadline)


@dataclass(frozen=True)
class Comparison:
    """Decides int^oo h by comparison: h(x)*scale(x) -> limit, where 1/scale has an infinite or a finite integral."""
    scale: sp.Expr
    limit: sp.Expr
    diverges: bool


# The ladder of scales, each with whether int^oo dx/scale diverges.
SCALES = (
    (x, True),
    (x ** sp.Rational(3, 2), False),
    (x * sp.log(x), True),
    (x * sp.log(x) ** 2, False),
)


def integral_diverges(loss: Loss, deadline: float) -> Comparison:
    """Does int_0^oo g'(x) e^{-x} dx diverge? By comparison with the ladder 1/x, x^(-3/2), 1/(x log x), ..."""
    h = sp.powsimp(sp.expand(loss.derivative.pieces[-1].expression.rewrite(sp.exp) * sp.exp(-x)))
    tried = []
    for scale, diverges in SCALES:
        limit = limit_at(sp.powsimp(sp.expand(h * scale)), sp.oo, deadline).limit
        if diverges and (limit.is_positive or limit == sp.oo):
            return Comparison(scale, limit, True)
        if not diverges and limit.is_finite and limit.is_nonnegative:
            return Comparison(scale, limit, False)
        tried.append(f"times {scale}: {limit}")
    raise Undecided("g'(x) e^(-x) fell between the scales of comparison (" + ", ".join(tried) + ")")
