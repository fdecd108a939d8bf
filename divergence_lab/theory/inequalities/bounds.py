"""Inequalities between divergences: the best constant in D_f1 <= c D_f2, sup_t f1(t)/f2(t)
(Proposition 11).

A constant is found by sampling and by exact limits at x = 0 and at both ends; that it is an upper
bound is then proved for every ratio by balls and tails, or the answer says that it was not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, nextafter

import sympy as sp
from flint import arb

from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, bounded
from divergence_lab.theory.checker.facts import monomials, proofs
from divergence_lab.theory.divergence.closed_form import divergence
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions import (
    CannotSplit,
    Pieces,
    digits,
    enclosure,
    ordering,
    pieces,
    t,
    x,
)
from divergence_lab.theory.verdicts.integral_sign import (
    combined,
    leading_ratio,
    outwards,
    prove_integral_nonnegative,
    rest_of_integral,
    tail_of,
    vanishes,
    why_not_valid,
)

SAMPLES = tuple(
    sp.Rational(n, 16)
    for n in (
        1,
        2,
        4,
        6,
        9,
        12,
        16,
        20,
        25,
        30,
        36,
        42,
        50,
        60,
        72,
        88,
        108,
        132,
        160,
        200,
        256,
        340,
        450,
        640,
    )
)
# What an upper bound found by sampling is enlarged by before it is proved.
SLACKS = (sp.Rational(1, 10**9), sp.Rational(1, 10**6), sp.Rational(1, 10**3), sp.Rational(1, 20))
REFINEMENTS = 24


@dataclass(frozen=True)
class Constant:
    """The least c with a <= c b, between `low` and `high` (high None: no upper bound was proved).

    `exact`: its exact value when that was found and proved, oo included. `where`: the ratio at
    which it is approached. `certified`: `low` and `high` are both proved; `holds` is False when no
    finite c exists and None when undecided.
    """

    holds: bool | None
    exact: sp.Expr | None
    low: float | None
    high: float | None
    where: str
    certified: bool
    because: str


def best_constant(first: Loss, second: Loss, budget: float = 20.0) -> Constant:
    """The least c with D_f1(p || q) <= c D_f2(p || q) for all finite measures: sup_t f1(t)/f2(t)
    (Proposition 11), within `budget` processor seconds.

    Where both losses are smooth at 0 it is the least for probability vectors too; with a kink at 0
    a smaller one may do for those.

    Undecided with a reason where a loss has parameters, is not known to be valid, or the budget
    ends.

        >>> import divergence_lab as dl
        >>> found = best_constant(dl.loss("linex(1)"), dl.loss("linex(2)"))
        >>> found.exact, found.where
        (2, 't -> 0')
    """
    try:
        return bounded(budget, search_constant, first, second)
    except (OutOfTime, SearchFailed) as failure:
        return undecided(str(failure) or f"not found within {budget:g} s of processor time")


def search_constant(first: Loss, second: Loss) -> Constant:
    """As `best_constant`, for as long as it takes."""
    refused = refusal(first, second)
    if refused:
        return refused
    try:
        return _best(first, second)
    except (proofs.Rejected, monomials.NoTail, enclosure.NotEvaluable, CannotSplit) as reason:
        return undecided(str(reason))


def refusal(first: Loss, second: Loss) -> Constant | None:
    """Why nothing is said of these two, if so: P11 speaks of valid losses."""
    for loss in (first, second):
        if loss.parameters:
            return undecided(f"{loss} has parameters without values")
        fault = why_not_valid(loss)
        if fault:
            return undecided(f"{loss} is not known to be a valid loss: {fault}")
    return None


def undecided(because: str) -> Constant:
    """No constant is known."""
    return Constant(None, None, None, None, "nowhere", False, because)


def infinite(because: str, where: str = "") -> Constant:
    """No finite constant serves."""
    return Constant(False, sp.oo, inf, inf, where, True, because)


def down(ball: arb) -> float:
    """A float below the ball."""
    return nextafter(float(ball.lower()), -inf)


def up(ball: arb) -> float:
    """A float above the ball."""
    return nextafter(float(ball.upper()), inf)


# --- the best constant


def _best(first: Loss, second: Loss) -> Constant:
    # Between symmetric divergences t < 1 says all, and there the limits are exact: f(0+) =
    # -g'(-oo).
    mirrored = _symmetric(first) and _symmetric(second)
    sides = {
        side: (outwards(first.derivative, side), outwards(second.derivative, side))
        for side in ((-1,) if mirrored else (1, -1))
    }
    candidates: list[tuple[arb, sp.Expr | None, str, int]] = []
    complete = True
    for side, (a, b) in sides.items():
        end = "t -> oo" if side > 0 else "t -> 0"
        limits = [
            (leading_ratio(a.pieces[0].expression, b.pieces[0].expression, sp.S.Zero), "t -> 1"),
            (_limit_outwards(a, b, first, second, side), end),
        ]
        for limit, where in limits:
            if limit == sp.oo:
                return infinite(f"f1/f2 -> oo as {where}", where)
            complete = complete and limit is not None
            if limit is not None:
                candidates.append((enclosure.exact(limit), limit, where, side))
        candidates += [
            (value, None, f"t = e^({float(side * y):.6g})", side)
            for y, value in _largest_ratio(a, b)
        ]
    value, limit, where, side = largest(candidates)
    low = down(value)
    at_infinity = where in ("t -> oo", "t -> 0")
    if limit is not None and _bounded_by(limit, sides, side if at_infinity else None):
        return Constant(
            True,
            sp.simplify(limit),
            low,
            up(value),
            where,
            True,
            f"f1 <= {limit} f2 at every ratio, and f1/f2 -> {limit} as {where}",
        )
    for slack in SLACKS:
        bound = sp.Rational(up(value)) * (1 + slack)
        if _bounded_by(bound, sides, None):
            return Constant(
                True,
                None,
                low,
                up(enclosure.exact(bound)),
                where,
                True,
                f"f1 <= {float(bound):.10g} f2 at every ratio, and f1/f2 = {low:.10g} at {where}",
            )
    missing = "" if complete else " (a limit of f1/f2 at an end was not found)"
    return Constant(
        None,
        None,
        low,
        None,
        where,
        False,
        f"f1/f2 reaches {low:.10g} at {where}; that it stays below was not proved{missing}",
    )


def largest(candidates: list[tuple]) -> tuple:
    """The candidate (value, exact value or None, ...) with the largest value; an exact one where
    it may be as large.
    """
    top = max(candidates, key=lambda c: float(c[0].lower()))
    return next((c for c in candidates if c[1] is not None and c[0].overlaps(top[0])), top)


def _symmetric(loss: Loss) -> bool:
    """g''(x) = e^x g''(-x), proved, for a loss without kinks (False may mean unknown)."""
    if any(kink != 0 for kink in loss.derivative.kinks):
        return False
    left, right = loss.derivative.split_at_zero()
    slopes = (left.pieces[-1].expression + right.pieces[0].expression).subs(x, 0)
    if vanishes(pieces.Piece(sp.S.Zero, sp.S.One, slopes)):
        curved = [side.derivative().pieces[0].expression for side in (left, right)]
        return vanishes(
            pieces.Piece(sp.S.Zero, sp.oo, curved[1] - sp.exp(x) * curved[0].subs(x, -x))
        )
    return False


def _bounded_by(c: sp.Expr, sides, exact_at: int | None) -> bool:
    """f1 <= c f2 on both sides; `exact_at`: the side on whose far end f1/f2 -> c exactly, both
    limits being finite.
    """
    try:
        for side, (a, b) in sides.items():
            h = combined(a, b, lambda u, v: sp.expand(c * v - u))
            finite = side == exact_at and not any(
                proofs.integral_diverges(g.pieces[-1].expression, x) for g in (a, b)
            )
            prove_integral_nonnegative(h, vanishes_at_infinity=finite)
    except (proofs.Rejected, monomials.NoTail):
        return False
    return True


def _limit_outwards(a: Pieces, b: Pieces, first: Loss, second: Loss, side: int) -> sp.Expr | None:
    """lim f1/f2 at t -> oo (side 1) or t -> 0 (side -1), exact; None when it is finite but not
    known exactly.
    """
    diverges = [proofs.integral_diverges(g.pieces[-1].expression, x) for g in (a, b)]
    if diverges == [True, True]:
        return leading_ratio(a.pieces[-1].expression, b.pieces[-1].expression, sp.oo)
    if diverges == [True, False]:
        return sp.oo
    if diverges == [False, True]:
        return sp.S.Zero
    if side < 0:
        return None
    slopes = [_slope_at_infinity(loss, g) for loss, g in ((first, a), (second, b))]
    return None if None in slopes else sp.simplify(slopes[0] / slopes[1])


def _slope_at_infinity(loss: Loss, g: Pieces) -> sp.Expr | None:
    """f'(oo) = lim f/t from the closed form of f, if there is one and the enclosed integral
    contains the limit.
    """
    generator = divergence(loss).generator
    if generator is None:
        return None
    last = generator.args[-1][0] if isinstance(generator, sp.Piecewise) else generator
    try:
        slope = proofs.limit_of(sp.expand(last / t), t, sp.oo)
    except proofs.Rejected:
        return None
    with digits(40):
        return (
            slope
            if slope is not None and _whole_integral(g).contains(enclosure.exact(slope))
            else None
        )


def _whole_integral(g: Pieces) -> arb:
    """int_0^oo g of a convergent integral, enclosed."""
    X, line, tail, _ = tail_of(g.pieces[-1].expression, sp.oo)
    rest = rest_of_integral(line, tail)
    total = _partial(g, [sp.Integer(X)])[0]
    return total + rest * arb(0, 1)


def _partial(g: Pieces, points: list[sp.Expr]) -> list[arb]:
    """int_0^y g at increasing points y."""
    values, low, total = [], sp.S.Zero, arb(0)
    for point in points:
        for piece in g.pieces:
            a = low if ordering.is_less(piece.low, low) else piece.low
            b = point if ordering.is_less(point, piece.high) else piece.high
            if ordering.is_less(a, b):
                total = total + enclosure.integral(piece.expression, x, a, b, 30)
        values.append(total)
        low = point
    return values


def _largest_ratio(a: Pieces, b: Pieces) -> list[tuple[sp.Expr, arb]]:
    """(y, F1(y)/F2(y)) at about the largest value, enclosed."""
    points = ordering.in_order([*SAMPLES, *a.kinks, *b.kinks])

    def ratio(y: sp.Expr) -> arb:
        one, other = _partial(a, [y])[0], _partial(b, [y])[0]
        return one / other if other > 0 else arb.nan()

    with digits(40):
        seen = [
            (y, u / v) for y, u, v in zip(points, _partial(a, points), _partial(b, points)) if v > 0
        ]
        return climbed(seen, ratio)


def climbed(
    seen: list[tuple[sp.Expr, arb]], ratio: Callable[[sp.Expr], arb]
) -> list[tuple[sp.Expr, arb]]:
    """The largest of the sampled values, improved by golden-section steps between its
    neighbours.
    """
    seen = [(y, value) for y, value in seen if value.is_finite()]
    if not seen:
        return []
    best = max(range(len(seen)), key=lambda i: float(seen[i][1].mid()))
    found = [seen[best]]
    if 0 < best < len(seen) - 1:
        low, high = float(seen[best - 1][0]), float(seen[best + 1][0])
        for _ in range(REFINEMENTS):
            y1, y2 = (sp.Rational(low + w * (high - low)) for w in (0.382, 0.618))
            r1, r2 = ratio(y1), ratio(y2)
            found += [(y, r) for y, r in ((y1, r1), (y2, r2)) if r.is_finite()]
            if r1 > r2:
                high = float(y2)
            elif r2 > r1:
                low = float(y1)
            else:
                break
    return [max(found, key=lambda pair: float(pair[1].lower()))]
