"""The elementary facts that a certificate may claim, each with its proof by balls and tails. The
trusted checker's core.

    sign        f >= 0 on an interval, ends included as limits    balls inside, tails at both ends
    limit       f -> L at oo, -oo or from one side of a point      tails
    integral    int^oo f diverges or converges                     the leading monomial of f
    identity    f = 0 on an interval                               exact algebra
    value       the sign of f at one point                         one ball

Every function returns nothing when the fact is proved and raises Rejected with the reason when it
is not: that may mean false, or only not provable here.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import sympy as sp
from flint import arb

from divergence_lab.theory.checker.facts import (
    monomials,
    normal_form,
    scales,
    structure,
    tail_functions,
    tails,
)
from divergence_lab.theory.expressions import balls, constants, precision
from divergence_lab.theory.expressions.unified import (
    collected,
    in_letters,
    in_single_powers,
    polylogarithms_expanded,
    unified,
)

# Boxes of a cover: few for each form of the function at first, then all.
FEW_BOXES, MAX_BOXES = 1_000, 20_000
# Where a box so small, against its distance from 0, is not proved, f touches 0 or is below it: by
# then rounding decides, and no number of boxes helps.
TOUCHING = 2.0**-32
DECISIONS = (sp.Abs, sp.sign, sp.Max, sp.Min, sp.Piecewise)
# The points at which an identity is tried first lie within this of an end of the interval.
REACH = 7
SHARES = ((4, 11), (5, 7))


Answer = TypeVar("Answer")


class Rejected(Exception):
    """The claim was not proved."""


class Refuted(Rejected):
    """The claim was proved wrong; `at`: at a point, where one shows it."""

    def __init__(self, reason: str, at: sp.Expr | None = None):
        super().__init__(reason)
        self.at = at


class TooFewBoxes(Rejected):
    """More boxes might prove it."""


def at_end(
    f: sp.Expr,
    x: sp.Symbol,
    end: sp.Expr,
    side: int,
    ask: Callable[[int, tails.HalfLine, tails.Tail], Answer],
) -> Answer:
    """`ask(X, half-line, tail)` of f at oo, at -oo, or at a finite point from the right (side 1) or
    left (-1).

    Near a point c the argument is c + side/y with y -> oo, so a tail covers 0 < |x - c| <= 1/X.
    """
    try:
        if end in (sp.oo, -sp.oo):
            return tail_functions.describe(f, x, end, ask)
        return tail_functions.describe(f.xreplace({x: end + side / x}), x, sp.oo, ask)
    except monomials.NoTail as reason:
        raise Rejected(f"{f} near {end}: {reason}") from None


def _reach(end: sp.Expr, side: int, X: int) -> arb:
    """Where the tail at that end stops: what lies further inside is left to the cover."""
    return arb(side * -X) if end in (sp.oo, -sp.oo) else balls.ball_of_constant(end) + arb(side) / X


def prove_nonnegative(f: sp.Expr, x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> None:
    """f >= 0 on (low, high): by its structure, or by tails at both ends and a cover by balls in
    between, of f(x/s) on (s low, s high) where f lives at another scale than 1.
    """
    forms = [f, *structure.forms_of_one_sign(f, x, low, high)]
    if any(structure.structural_sign(form, x, low, high) == 1 for form in forms):
        return
    forms = [(form, s) for s in scales.scales_of(f, x) for form in dict.fromkeys(forms[1:])]
    reasons = []
    for boxes in (FEW_BOXES, MAX_BOXES):
        too_few = []
        for form, s in forms:
            try:
                _prove_by_cover(form.xreplace({x: x / s}), x, s * low, s * high, boxes)
                return
            except Refuted as refuted:
                raise Refuted(
                    str(refuted), None if refuted.at is None else refuted.at / s
                ) from None
            except TooFewBoxes as failure:
                too_few.append((form, s))
                reasons.append(failure)
            except Rejected as failure:
                reasons.append(failure)
        forms = too_few
    raise reasons[-1]


def _prove_by_cover(f: sp.Expr, x: sp.Symbol, low: sp.Expr, high: sp.Expr, boxes: int) -> None:
    cuts = []
    for end, side in ((low, 1), (high, -1)):
        sign, X = at_end(f, x, end, side, lambda X, line, tail: (line.sign(tail), X))
        if sign < 0:
            raise Refuted(f"{f} is negative near {end}")
        cuts.append(_reach(end, side, X))
    _cover(f, x, arb(cuts[0].lower()), arb(cuts[1].upper()), boxes)


def _cover(f: sp.Expr, x: sp.Symbol, low: arb, high: arb, boxes: int) -> None:
    """f >= 0 on [low, high] by adaptive bisection; each box by its ball or by the mean value
    form.
    """
    if not low < high:
        return
    slope = sp.diff(f, x)
    with precision.bits(64):
        pending, count = [(low, high)], 0
        while pending:
            a, b = pending.pop()
            count += 1
            if b - a < TOUCHING * (abs(a) + abs(b)):
                raise Rejected(f"{f} comes too near to 0 at {a.str(5, radius=False)}")
            if count > boxes:
                raise TooFewBoxes(f"{f} >= 0 near {a.str(5, radius=False)} needs too many boxes")
            box = a.union(b)
            if balls.ball(f, x, box) >= 0:
                continue
            middle = middle_of(a, b)
            value = balls.ball(f, x, middle)
            if value < 0:
                raise Refuted(
                    f"{f} is negative at {middle.str(8, radius=False)}", exact_point(middle)
                )
            if b - a < 2 and value + balls.ball(slope, x, box) * (box - middle) >= 0:
                continue
            pending += [(middle, b), (a, middle)]


def exact_point(point: arb) -> sp.Rational:
    """The middle of a ball, m 2^e, as a number."""
    mantissa, exponent = (int(part) for part in point.man_exp())
    return sp.Integer(mantissa) * sp.Integer(2) ** exponent


def middle_of(a: arb, b: arb) -> arb:
    """The middle, geometric where the interval spans orders of magnitude."""
    if a > 0 and b > 4 * a:
        return arb((a * b).sqrt().mid())
    if b < 0 and a < 4 * b:
        return arb(-(a * b).sqrt().mid())
    if a <= 0 <= b and b - a > 8:
        return arb(1) if b > -a else arb(-1)
    return arb(((a + b) / 2).mid())


def prove_finite(f: sp.Expr, x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> None:
    """f is a finite real number on all of (low, high), and analytic: tails exist at both ends,
    balls are finite in between.

    A ball of a root is finite where its radicand only reaches 0, and sqrt(x^2 - 10 x + 25) has a
    kink there: radicands must be positive. So must what is under an acosh, less 1; and nothing may
    be decided by cases.
    """
    if f.has(*DECISIONS):
        raise Rejected(f"{f} is decided by cases")
    if structure.is_analytic(f, x, low, high):
        return
    radicands = [e.base for e in f.atoms(sp.Pow) if e.has(x) and not e.exp.is_Integer]
    radicands += [e.args[0] - 1 for e in f.atoms(sp.acosh) if e.has(x)]
    cuts = []
    for end, side in ((low, 1), (high, -1)):
        if value_by_continuity(f, x, end, side) is not None:
            cuts.append(balls.ball_of_constant(end))
        else:
            cuts.append(_reach(end, side, at_end(f, x, end, side, lambda X, line, tail: X)))
    pending, count = [(arb(cuts[0].lower()), arb(cuts[1].upper()))], 0
    while pending:
        a, b = pending.pop()
        count += 1
        box = a.union(b)
        if not a < b or (
            balls.ball(f, x, box).is_finite()
            and all(balls.ball(base, x, box) > 0 for base in radicands)
        ):
            continue
        if count > MAX_BOXES:
            raise Rejected(f"{f} could not be enclosed near {a.str(6, radius=False)}")
        middle = middle_of(a, b)
        pending += [(middle, b), (a, middle)]


def value_by_continuity(f: sp.Expr, x: sp.Symbol, end: sp.Expr, side: int) -> sp.Expr | None:
    """f(end), when f is seen to be continuous on a short closed interval from a finite end to that
    side: a finite ball.

    A ball of a root says nothing where its radicand reaches 0, nor does one of a function that may
    break.
    """
    if side == 0 or end.is_infinite or f.has(sp.sign, sp.Piecewise):
        return None
    start = balls.ball_of_constant(end)
    box = start.union(start + arb(side) / 64)
    if any(
        not balls.ball(e.base, x, box) > 0
        for e in f.atoms(sp.Pow)
        if e.has(x) and not e.exp.is_Integer
    ):
        return None
    return at_point(f, x, end) if balls.ball(f, x, box).is_finite() else None


def at_point(f: sp.Expr, x: sp.Symbol, point: sp.Expr) -> sp.Expr:
    """f(point), with zeta where SymPy writes polylog(3, -1) by an eta of which it knows less."""
    value = f.xreplace({x: point})
    return value.rewrite(sp.zeta) if value.has(sp.dirichlet_eta) else value


def limit_of(f: sp.Expr, x: sp.Symbol, end: sp.Expr, side: int = 0) -> sp.Expr | None:
    """The limit of f at an end as oo, -oo, or an exact number; None when only a ball for it is
    known.

    Raises Rejected when f is not described there.
    """
    value = value_by_continuity(f, x, end, side)
    return (
        value
        if value is not None
        else at_end(f, x, end, side, lambda X, line, tail: limit_of_tail(line, tail))
    )


def limit_of_tail(line: tails.HalfLine, tail: tails.Tail) -> sp.Expr | None:
    """As `limit_of`, of what a tail describes."""
    leading = tail.terms[0][0] if tail.terms else tail.size
    if leading is not None and monomials.growth(leading) > 0:
        return sp.oo if line.sign(tail) > 0 else -sp.oo
    if tail.size is not None and monomials.growth(tail.size) >= 0:
        return None
    return sp.Add(*(c for m, c in tail.terms if monomials.growth(m) == 0))


def prove_limit(f: sp.Expr, x: sp.Symbol, end: sp.Expr, limit: sp.Expr) -> None:
    """f -> limit at end, limit an exact number, oo or -oo."""
    found = limit_of(f, x, end)
    if found is None:
        raise Rejected(f"the limit of {f} at {end} is bounded, its value not known")
    if not equal_constants(found, limit):
        raise Rejected(f"the limit of {f} at {end} is {found}, not {limit}")


def prove_bounded(f: sp.Expr, x: sp.Symbol, end: sp.Expr) -> None:
    """f stays bounded at oo or -oo: |f| <= C m with a monomial m that does not grow."""

    def grows(X: int, line: tails.HalfLine, tail: tails.Tail) -> bool:
        leading = [m for m, _ in tail.terms[:1]] + ([] if tail.size is None else [tail.size])
        return any(monomials.growth(m) > 0 for m in leading)

    if at_end(f, x, end, 0, grows):
        raise Rejected(f"{f} is not seen to stay bounded at {end}")


def equal_constants(a: sp.Expr, b: sp.Expr) -> bool:
    """Two exact numbers, or infinities, are proved to be equal.

    False says nothing: `constants.equal` may say that they differ.
    """
    return constants.equal(a, b) is True


def integral_diverges(f: sp.Expr, x: sp.Symbol) -> bool:
    """Whether int^oo f(v) dv = oo, by comparison (Proposition 16): f lies between positive
    multiples of one monomial (or below one, for convergence), and the integrals of monomials are
    known.
    """
    return at_end(f, x, sp.oo, 0, lambda X, line, tail: _tail_diverges(f, line, tail))


def _tail_diverges(f: sp.Expr, line: tails.HalfLine, tail: tails.Tail) -> bool:
    leading = tail.terms[0][0] if tail.terms else tail.size
    if leading is None or not _monomial_diverges(leading):
        return False  # absolutely convergent: |f| <= C * monomial
    if line.sign(tail) > 0:
        return True
    raise Rejected(f"{f} is negative near oo: its integral tends to -oo")


def _monomial_diverges(m: monomials.Monomial) -> bool:
    """int^oo m, by n_k = m L_0 L_1 ... L_k, as dx = L_0 ... L_k d(log L_k): it diverges where some
    n_k does not tend to 0, and converges where n_k < L_k^-s for some s > 0.
    """
    for k in range(monomials.LEVELS):
        m = m * monomials.iterated_log(k)
        if monomials.growth(m) >= 0:
            return True
        fastest = [inner for _, inner in m.exponents[:1]]
        if not monomials.is_zero(m.powers[k]) or any(
            monomials.outgrows_log(inner, k) for inner in fastest
        ):
            return False
    raise Rejected("the integrand lies at the end of the ladder of comparisons")


def prove_sign_at(f: sp.Expr, x: sp.Symbol, point: sp.Expr, sign: str) -> None:
    """f(point) < 0, > 0 or != 0, by one ball."""
    value = balls.ball_at_point(f, x, point)
    holds = {"<0": value < 0, ">0": value > 0, "!=0": value < 0 or value > 0}.get(sign)
    if not holds:
        raise Rejected(f"{f} {sign} at {point}: the value is {value.str(6)}")


@lru_cache(maxsize=2_000)  # the two sides of 0 mostly have one formula
def is_identity(f: sp.Expr, x: sp.Symbol) -> bool:
    """f = 0 by exact algebra; False: only not shown in this way."""
    f = unified(f)
    if f == 0 or sp.expand(f) == 0 or normal_form.vanishes(f, x) or _is_zero_collected(f, x):
        return True
    return f.has(sp.gamma) and sp.gammasimp(f) == 0


def _is_zero_collected(f: sp.Expr, x: sp.Symbol) -> bool:
    """f = 0 with equal terms added, or with letters for its constants."""
    f = collected(f)
    if f == 0 or collected(in_single_powers(f)) == 0:
        return True
    form, meaning = in_letters(f)
    return len(meaning) > 0 and normal_form.vanishes(form, x)


def prove_zero(f: sp.Expr, x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> None:
    """f = 0 on (low, high), where it is analytic: by exact algebra, whatever its values look like.

    Agreement in any number of digits at any number of points is no proof: 10^-290 (e^x - x - 1)
    decides a verdict. Two values come first only because they are the quickest way to see what is
    not 0, and to say where.
    """
    f = unified(polylogarithms_expanded(f))
    if f == 0 or sp.expand(f) == 0:
        return
    if low == -sp.oo:
        a, b = (
            (arb(-REACH), arb(REACH))
            if high == sp.oo
            else (balls.ball_of_constant(high) - REACH, balls.ball_of_constant(high))
        )
    else:
        a = balls.ball_of_constant(low)
        b = a + REACH if high == sp.oo else balls.ball_of_constant(high)
    with precision.bits(balls.PRECISION_BITS):
        for share in SHARES:
            point = arb((a + (b - a) * share[0] / share[1]).mid())
            value = balls.ball(f, x, point)
            if value.is_finite() and not value.contains(0):
                raise Refuted(f"{f} is not 0: at {point.str(8, radius=False)} it is {value.str(6)}")
    if not is_identity(f, x):
        raise Rejected(f"{f} is not shown to be 0")
