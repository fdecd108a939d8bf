"""Where a smooth function is negative, as enclosed intervals: tails at both ends, bisection by
balls in between.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, isfinite, nextafter

import sympy as sp

from divergence_lab.theory.checker.facts import proofs
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.expressions import digits, enclosure, pieces, x
from divergence_lab.theory.verdicts.integral_sign import enclosed_range, tail_of

NARROWEST = sp.Rational(1, 2**36)
MAX_BOXES = 6_000


@dataclass(frozen=True)
class Stretch:
    """An open interval; each end lies between the two numbers given for it (both infinite at an
    infinite end).
    """

    low: tuple[float, float]
    high: tuple[float, float]


def negative_stretches(piece: pieces.Piece) -> tuple[list[Stretch], list[Stretch]]:
    """(where the expression is < 0, where its sign is not known) on the open piece. Raises
    Rejected.

    Between them and outside them it is > 0, up to the enclosures of their ends.
    """
    if piece.expression == 0:
        return [], []
    with digits(30):
        (a, first), (b, last) = _end(piece, 1), _end(piece, -1)
        signs = [(piece.low, a, first), *_bisected(piece.expression, a, b), (b, piece.high, last)]
    runs = [[low, high, sign] for low, high, sign in signs[:1]]
    for low, high, sign in signs[1:]:
        if sign == runs[-1][2]:
            runs[-1][1] = high
        else:
            runs.append([low, high, sign])
    negative, unknown = [], []
    for i, (low, high, sign) in enumerate(runs):
        # An unknown run narrows no further than NARROWEST: between different known signs it
        # encloses an end.
        before = runs[i - 1] if i else None
        after = runs[i + 1] if i + 1 < len(runs) else None
        if sign < 0:
            earliest = before[0] if before and before[2] == 0 else low
            latest = after[1] if after and after[2] == 0 else high
            negative.append(Stretch((_down(earliest), _up(low)), (_down(high), _up(latest))))
        elif sign == 0 and not (before and after and before[2] * after[2] < 0):
            unknown.append(Stretch((_down(low), _up(low)), (_down(high), _up(high))))
    return negative, unknown


def negative_points(piece: pieces.Piece) -> Iterable[sp.Expr]:
    """Points at which the expression is negative: where the checker's own cover ends, and inside
    stretches, enclosed, on which it is.
    """
    try:
        proofs.prove_nonnegative(piece.expression, x, piece.low, piece.high)
    except proofs.Refuted as reason:
        if reason.at is not None:
            yield reason.at
    except Rejected:
        pass
    try:
        stretches, _ = negative_stretches(piece)
    except Rejected:
        return
    for stretch in stretches:
        low, high = stretch.low[1], stretch.high[0]
        low = low if isfinite(low) else min(2 * high, -1.0) if isfinite(high) else -1.0
        high = high if isfinite(high) else max(2 * low, 1.0)
        for scale in (1, 10, 1000, 10**6, 10**12):
            middle = sp.Rational(round((low + high) / 2 * scale), scale)
            if low < middle < high:
                yield middle
                break


def _end(piece: pieces.Piece, side: int) -> tuple[sp.Expr, int]:
    """A point inside the piece, and the sign of the expression from there to the low (side 1) or
    high (-1) end.
    """
    end = piece.low if side > 0 else piece.high
    if end.is_infinite:
        moved = piece.expression if end == sp.oo else piece.expression.subs(x, -x)
        X, _, _, sign = tail_of(moved, sp.oo)
        return (sp.Integer(X) if end == sp.oo else -sp.Integer(X)), sign
    X, _, _, sign = tail_of(piece.expression, end, side)
    return end + sp.Rational(side, X), sign


def _bisected(function: sp.Expr, low: sp.Expr, high: sp.Expr) -> list[tuple[sp.Expr, sp.Expr, int]]:
    """(a, b, sign) from left to right over [low, high]; sign 0 where it is not known on a very
    narrow interval.
    """
    if not enclosure.exact(low) < enclosure.exact(high):
        return []
    slope, pending, found = sp.diff(function, x), [(low, high)], []
    for _ in range(MAX_BOXES):
        if not pending:
            return found
        a, b = pending.pop()
        seen = enclosed_range(function, slope, a, b)
        sign = 0 if seen is None else 1 if seen > 0 else -1 if seen < 0 else 0
        if sign or enclosure.exact(b - a) < enclosure.exact(NARROWEST):
            found.append((a, b, sign))
        else:
            middle = sp.Rational(float((enclosure.exact(a) + enclosure.exact(b)).mid()) / 2)
            if b - a > 4 and not (a < 1 < b or a < -1 < b):
                middle = (
                    sp.Rational(float(sp.sign(a) * sp.sqrt(abs(a * b)))) if a * b > 0 else middle
                )
            elif b - a > 4:
                middle = sp.Integer(1 if a < 1 < b else -1)
            pending += [(middle, b), (a, middle)]
    raise Rejected(f"the sign of {function} needs too many intervals")


def _down(number: sp.Expr) -> float:
    return float(number) if _is_float(number) else nextafter(float(number), -inf)


def _up(number: sp.Expr) -> float:
    return float(number) if _is_float(number) else nextafter(float(number), inf)


def _is_float(number: sp.Expr) -> bool:
    return bool(number.is_infinite) or sp.Rational(float(number)) == number
