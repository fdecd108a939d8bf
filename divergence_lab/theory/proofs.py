"""The elementary facts that a certificate may claim, each with its proof by balls and tails. The trusted checker's core.

    sign        f >= 0 on an interval, ends included as limits        balls inside, tails at both ends
    limit       f -> L at oo, -oo or from one side of a point          tails
    integral    int^oo f diverges or converges                         the leading monomial of f
    identity    f = 0 on an interval                                   SymPy's normal form, and balls at random points
    value       the sign of f at one point                             one ball

Every function returns nothing when the fact is proved and raises Rejected with the reason when it is not: that may
mean false, or only not provable here.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

import sympy as sp
from flint import arb, ctx

from divergence_lab.theory.balls import PRECISION_BITS, ball, ball_of_constant
from divergence_lab.theory.tail_functions import describe
from divergence_lab.theory.tails import LEVELS, HalfLine, NoTail, Tail, growth, is_zero, level

MAX_BOXES = 20_000
RANDOM_POINTS = 12
REACH = 7  # random points lie within this of an end of the interval


Answer = TypeVar("Answer")


class Rejected(Exception):
    """The claim was not proved."""


def at_end(f: sp.Expr, x: sp.Symbol, end: sp.Expr, side: int,
           ask: Callable[[int, HalfLine, Tail], Answer]) -> Answer:
    """`ask(X, half-line, tail)` of f at oo, at -oo, or at a finite point from the right (side 1) or left (-1).

    Near a point c the argument is c + side/y with y -> oo, so a tail covers 0 < |x - c| <= 1/X.
    """
    try:
        if end in (sp.oo, -sp.oo):
            return describe(f, x, end, ask)
        return describe(f.xreplace({x: end + side / x}), x, sp.oo, ask)
    except NoTail as reason:
        raise Rejected(f"{f} near {end}: {reason}") from None


def _reach(end: sp.Expr, side: int, X: int) -> arb:
    """Where the tail at that end stops: what lies further inside is left to the cover."""
    return arb(side * -X) if end in (sp.oo, -sp.oo) else ball_of_constant(end) + arb(side) / X


def prove_nonnegative(f: sp.Expr, x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> None:
    """f >= 0 on (low, high): tails at both ends, a cover by balls in between."""
    if f == 0:
        return
    cuts = []
    for end, side in ((low, 1), (high, -1)):
        sign, X = at_end(f, x, end, side, lambda X, line, tail: (line.sign(tail), X))
        if sign < 0:
            raise Rejected(f"{f} is negative near {end}")
        cuts.append(_reach(end, side, X))
    _cover(f, x, arb(cuts[0].lower()), arb(cuts[1].upper()))


def _cover(f: sp.Expr, x: sp.Symbol, low: arb, high: arb) -> None:
    """f >= 0 on [low, high] by adaptive bisection; each box by its ball or by the mean value form."""
    if not low < high:
        return
    slope = sp.diff(f, x)
    before, ctx.prec = ctx.prec, 64
    try:
        pending, count = [(low, high)], 0
        while pending:
            a, b = pending.pop()
            count += 1
            if count > MAX_BOXES:
                raise Rejected(f"{f} >= 0 near {a.str(5, radius=False)} needs too many boxes")
            box = a.union(b)
            if ball(f, x, box) >= 0:
                continue
            middle = _middle(a, b)
            if ball(f, x, middle) < 0:
                raise Rejected(f"{f} is negative at {middle.str(8, radius=False)}")
            if b - a < 2 and ball(f, x, middle) + ball(slope, x, box) * (box - middle) >= 0:
                continue
            pending += [(middle, b), (a, middle)]
    finally:
        ctx.prec = before


def _middle(a: arb, b: arb) -> arb:
    """The middle, geometric where the interval spans orders of magnitude."""
    if a > 0 and b > 4 * a:
        return arb((a * b).sqrt().mid())
    if b < 0 and a < 4 * b:
        return arb(-(a * b).sqrt().mid())
    if a <= 0 <= b and b - a > 8:
        return arb(1) if b > -a else arb(-1)
    return arb(((a + b) / 2).mid())


def prove_finite(f: sp.Expr, x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> None:
    """f is a finite real number on all of (low, high): tails exist at both ends, balls are finite in between."""
    cuts = []
    for end, side in ((low, 1), (high, -1)):
        cuts.append(_reach(end, side, at_end(f, x, end, side, lambda X, line, tail: X)))
    pending, count = [(arb(cuts[0].lower()), arb(cuts[1].upper()))], 0
    while pending:
        a, b = pending.pop()
        count += 1
        if not a < b or ball(f, x, a.union(b)).is_finite():
            continue
        if count > MAX_BOXES:
            raise Rejected(f"{f} could not be enclosed near {a.str(6, radius=False)}")
        middle = _middle(a, b)
        pending += [(middle, b), (a, middle)]


def limit_of(f: sp.Expr, x: sp.Symbol, end: sp.Expr, side: int = 0) -> sp.Expr | None:
    """The limit of f at an end as oo, -oo, or an exact number; None when only a ball for it is known.

    Raises Rejected when f is not described there.
    """
    return at_end(f, x, end, side, lambda X, line, tail: _limit_of_tail(line, tail))


def _limit_of_tail(line: HalfLine, tail: Tail) -> sp.Expr | None:
    leading = tail.terms[0][0] if tail.terms else tail.size
    if leading is not None and growth(leading) > 0:
        return sp.oo if line.sign(tail) > 0 else -sp.oo
    if tail.size is not None and growth(tail.size) >= 0:
        return None
    return next((c for m, c in tail.terms if growth(m) == 0), sp.S.Zero)


def prove_limit(f: sp.Expr, x: sp.Symbol, end: sp.Expr, limit: sp.Expr) -> None:
    """f -> limit at end, limit an exact number, oo or -oo."""
    found = limit_of(f, x, end)
    if found is None:
        raise Rejected(f"the limit of {f} at {end} is bounded, its value not known")
    if found == limit:
        return
    if found.is_infinite or limit.is_infinite or not equal_constants(found, limit):
        raise Rejected(f"the limit of {f} at {end} is {found}, not {limit}")


def equal_constants(a: sp.Expr, b: sp.Expr) -> bool:
    """Two exact numbers are equal: their balls meet, and SymPy's normal form of the difference is 0."""
    difference = a - b
    return bool(ball_of_constant(difference).contains(0)) and (difference == 0 or sp.simplify(difference) == 0)


def integral_diverges(f: sp.Expr, x: sp.Symbol) -> bool:
    """Whether int^oo f(v) dv = oo, by comparison (Proposition 16): f lies between positive multiples of one monomial
    (or below one, for convergence), and the integrals of monomials are known."""
    return at_end(f, x, sp.oo, 0, lambda X, line, tail: _tail_diverges(f, line, tail))


def _tail_diverges(f: sp.Expr, line: HalfLine, tail: Tail) -> bool:
    leading = tail.terms[0][0] if tail.terms else tail.size
    if leading is None or not _monomial_diverges(leading):
        return False  # absolutely convergent: |f| <= C * monomial
    if line.sign(tail) > 0:
        return True
    raise Rejected(f"{f} is negative near oo: its integral tends to -oo")


def _monomial_diverges(m) -> bool:
    """int^oo m: compare with 1/x^2, then walk the ladder 1/x, 1/(x log x), ... of exact powers."""
    if growth(m * level(0, sp.Integer(2))) < 0:
        return False
    if m.exponents:
        return growth(m * level(0)) > 0
    for k in range(LEVELS):
        excess = m.powers[k] + 1
        if not is_zero(excess):
            return bool(ball_of_constant(excess) > 0)
    raise Rejected("the integrand lies at the end of the ladder of comparisons")


def prove_sign_at(f: sp.Expr, x: sp.Symbol, point: sp.Expr, sign: str) -> None:
    """f(point) < 0, > 0 or != 0, by one ball."""
    before, ctx.prec = ctx.prec, PRECISION_BITS
    try:
        value = ball(f, x, ball_of_constant(point))
    finally:
        ctx.prec = before
    holds = {"<0": value < 0, ">0": value > 0, "!=0": value < 0 or value > 0}.get(sign)
    if not holds:
        raise Rejected(f"{f} {sign} at {point}: the value is {value.str(6)}")


def prove_zero(f: sp.Expr, x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> None:
    """f = 0 on (low, high): SymPy's normal form is 0, or f, analytic there, vanishes to 30 digits at random points.

    The second is evidence of the kind of polynomial identity testing, not a derivation; it is used where SymPy's
    simplification does not reach 0 on its own.
    """
    f = sp.expand_func(f) if f.has(sp.polylog) else f
    if f == 0 or sp.expand(f) == 0:
        return
    draw = random.Random(20)
    a = ball_of_constant(low) if low.is_finite else arb(-REACH)
    b = ball_of_constant(high) if high.is_finite else arb(REACH)
    if low == -sp.oo and high.is_finite:
        a = b - REACH
    if high == sp.oo and low.is_finite:
        b = a + REACH
    before, ctx.prec = ctx.prec, 6 * PRECISION_BITS
    try:
        for _ in range(RANDOM_POINTS):
            point = arb((a + (b - a) * arb(draw.randint(1, 10**6 - 1)) / 10**6).mid())
            value = ball(f, x, point)
            if not value.contains(0):
                raise Rejected(f"{f} is not 0: at {point.str(8, radius=False)} it is {value.str(6)}")
            if not value.rad() < 1e-30:
                raise Rejected(f"{f} at {point.str(8, radius=False)} is not known well enough")
    finally:
        ctx.prec = before
