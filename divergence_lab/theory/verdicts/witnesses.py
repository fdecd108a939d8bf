"""Points and scales that may settle a cell of parameters, as expressions in them: proposals for
the checker.
"""

from __future__ import annotations

from collections.abc import Iterator

import sympy as sp

from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, patient, within
from divergence_lab.theory.checker.families.ranges import Ranges
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions.balls import ball_of_constant
from divergence_lab.theory.expressions.ordering import CannotSplit, is_less
from divergence_lab.theory.expressions.parsing import parse_number
from divergence_lab.theory.expressions.symbols import x
from divergence_lab.theory.verdicts.verdict import Verdict, refine

SOLVE_SECONDS = 2.0
MOST = 12
NUMBERS = tuple(
    sp.Rational(n, d) for n, d in ((1, 1), (2, 1), (1, 2), (5, 1), (1, 8), (10, 1), (50, 1))
)


def points_of_difference(loss: Loss, ranges: Ranges) -> Iterator[sp.Expr]:
    """Where an identity that fails may be seen to fail: x > 0 with rational powers of e, or at
    the scale of a parameter.
    """
    for parameter in loss.parameters:
        if ranges[parameter.name][0].is_nonnegative:
            yield from (2 * parameter, 2 / parameter, parameter / 2, 1 / (2 * parameter))
    yield from (sp.log(3), sp.S.One)


def wrong_signs(kind: str, loss: Loss, ranges: Ranges, sample: Verdict) -> Iterator[sp.Expr]:
    """Where g'' < 0, or where g' has the wrong sign: the witness of a plain verdict, then points
    beside the zeros.
    """
    yield from (parse_number(dict(s.data)["at"]) for s in sample.steps if s.rule == "witness")
    function = refine(loss.pieces).derivative()
    function = function.derivative() if kind == "convex" else function
    free = [p for p in loss.parameters if ranges[p.name][0] != ranges[p.name][1]]
    fixed = {p: ranges[p.name][0] for p in loss.parameters if p not in free}
    candidates: list[tuple[sp.Expr, sp.Expr]] = []
    for piece in function.pieces:
        f = piece.expression.subs(fixed)
        points = [
            s * n * c
            for n in NUMBERS
            for c in (sp.S.One, *free, *(1 / p for p in free))
            for s in (1, -1)
        ]
        for zero in _zeros(f):
            points[:0] = [2 * zero, zero + 1, zero - 1, zero / 2]
        candidates += [
            (point, -f if kind == "convex" or not is_less(piece.low, sp.S.Zero) else f)
            for point in points
            if _is_on(point, piece, free, ranges)
        ]
    seen = 0
    for point, f in candidates:
        if seen < MOST and all(
            ball_of_constant(f.subs(x, point).subs(values)) > 0 for values in _corners(free, ranges)
        ):
            seen += 1
            yield point


def _zeros(f: sp.Expr) -> list[sp.Expr]:
    try:
        plain = sp.Symbol("~x")
        found = within(
            patient(SOLVE_SECONDS),
            sp.solve,
            sp.fraction(sp.factor(sp.together(f)))[0].subs(x, plain),
            plain,
        )
    except (OutOfTime, SearchFailed):
        return []
    return [zero for zero in found if isinstance(zero, sp.Expr) and not zero.has(sp.I)]


def _corners(free: list[sp.Symbol], ranges: Ranges) -> list[dict[sp.Symbol, sp.Expr]]:
    """Four values across the range of each free parameter."""
    return [{p: _across(*ranges[p.name], share) for p in free} for share in NUMBERS[:4]]


def _across(low: sp.Expr, high: sp.Expr, share: sp.Expr) -> sp.Expr:
    if low.is_finite:
        return low + ((high - low) / (1 + share) if high.is_finite else share)
    return high - share if high.is_finite else share - 1


def _is_on(point: sp.Expr, piece, free: list[sp.Symbol], ranges: Ranges) -> bool:
    for values in _corners(free, ranges):
        here, low, high = (e.subs(values) for e in (point, piece.low, piece.high))
        try:
            if not here.is_real or not is_less(low, here) or not is_less(here, high):
                return False
        except CannotSplit:
            return False
    return True


def scales(loss: Loss, ranges: Ranges) -> Iterator[sp.Expr]:
    """k and 1/k (or -k and -1/k) for each parameter of one sign."""
    for parameter in loss.parameters:
        low, high = ranges[parameter.name]
        if low != high and low == 0:
            yield from (parameter, 1 / parameter)
        elif low != high and high == 0:
            yield from (-parameter, -1 / parameter)
