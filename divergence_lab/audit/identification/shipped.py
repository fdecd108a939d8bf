"""The loss as it is shipped: the segments of both sides as one formula in x, held against every
residual.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import sympy as sp

from divergence_lab.audit import identifying
from divergence_lab.audit.identification.numbers import edge_between
from divergence_lab.audit.identification.segments import Segment, piece_at, side
from divergence_lab.theory.divergence.loss import Loss, from_expression
from divergence_lab.theory.expressions import CannotSplit, ExpressionError, Pieces, x
from divergence_lab.theory.expressions.pieces import Piece

_AHEAD = 40


@dataclass(frozen=True)
class Shipped:
    """The loss with all its pieces, on low <= x <= high; `fitted`: a number in it is known to nine
    digits only.
    """

    loss: Loss
    low: float
    high: float
    fitted: bool


def as_shipped(
    points: np.ndarray,
    slopes: np.ndarray,
    core: identifying.Found | None,
    tolerance: float,
    slope_at: Callable[[float], float],
) -> Shipped | None:
    """The loss of these slopes (the gauge taken off), in pieces; None where no formula is found for
    the slopes next to 0.

    core: the loss that was found around 0, if any. slope_at: the callable's slope at any residual,
    with which edges are found.
    """
    halves = []
    for sign in (-1.0, 1.0):
        outward = np.flatnonzero(points * sign > 0)
        outward = outward if sign > 0 else outward[::-1]
        halves.append(_half(points[outward], slopes[outward], core, tolerance))
    if not all(halves):
        return None
    left, right = halves
    segments = _joined([*left[::-1], *right])
    edges = [_edge(a, b, tolerance, slope_at) for a, b in itertools.pairwise(segments)]
    segments = _continued(segments, edges, tolerance)
    found = _as_loss(segments, [edge for edge, _ in edges])
    if found is None:
        return None
    fitted = not all(s.exact for s in segments) or not all(known for _, known in edges)
    return _confirmed(found, points, slopes, tolerance, fitted)


def _half(
    points: np.ndarray, slopes: np.ndarray, core: identifying.Found | None, tolerance: float
) -> list[Segment]:
    """The segments of one side, from 0 outward; the core's own pieces first."""
    if core is None or not len(points):
        return side(points, slopes, tolerance)
    end = core.high if points[0] > 0 else core.low
    count = int(np.sum(np.abs(points) <= abs(end)))
    # up to where the next of the denser points begins to differ
    more = slice(count, count + _AHEAD)
    truth = identifying.exact_slopes(core.loss.derivative, points[more])
    with np.errstate(all="ignore"):
        good = identifying.close(truth, slopes[more], tolerance)
    count += len(good) if good.all() else int(np.argmin(good))
    return [
        *_of_core(core, float(points[count - 1])),
        *side(points[count:], slopes[count:], tolerance),
    ]


def _of_core(core: identifying.Found, end: float) -> list[Segment]:
    first, last = min(0.0, end), max(0.0, end)
    segments = []
    for slope in core.loss.derivative.pieces:
        low, high = max(first, _float(slope.low)), min(last, _float(slope.high))
        if low >= high:
            continue
        value = piece_at(core.loss.pieces, (low + high) / 2)
        numbers = partial(_numbers_of, slope.expression)
        segments.append(Segment(low, high, slope.expression, value, numbers, not core.fitted))
    return segments if end > 0 else segments[::-1]


def _float(end: sp.Expr) -> float:
    return float(end) if end.is_finite else math.copysign(math.inf, float(sp.sign(end)))


def _numbers_of(slope: sp.Expr, points: np.ndarray) -> np.ndarray:
    line = Pieces((Piece(-sp.oo, sp.oo, slope),), x)
    return identifying.exact_slopes(line, points)


# --- edges


def _joined(segments: list[Segment]) -> list[Segment]:
    """Neighbours with the same formula as one."""
    made = segments[:1]
    for one in segments[1:]:
        last = made[-1]
        if last.slope == one.slope:
            made[-1] = replace(one, low=last.low, exact=last.exact and one.exact)
        else:
            made.append(one)
    return made


def _edge(
    a: Segment, b: Segment, tolerance: float, slope_at: Callable[[float], float]
) -> tuple[sp.Expr, bool]:
    """Where a ends and b begins, as an exact number; False where only nine digits are known."""
    if a.high <= 0 <= b.low:
        return sp.S.Zero, True
    last = _last_match(a, a.high, b.low, tolerance, slope_at)
    first = _last_match(b, b.low, a.high, tolerance, slope_at)
    low, high = min(first, last), max(first, last)
    room = 1e-8 * max(1.0, abs(low), abs(high))
    return edge_between(low - room, high + room)


def _last_match(
    one: Segment, start: float, end: float, tolerance: float, slope_at: Callable[[float], float]
) -> float:
    """From a residual at which the segment is right towards one at which it need not be: the last
    at which it is.
    """
    start, far = float(start), float(end)
    if _matches(one, far, tolerance, slope_at):
        return far
    for _ in range(60):
        middle = (start + far) / 2
        if not min(start, far) < middle < max(start, far):
            break
        if _matches(one, middle, tolerance, slope_at):
            start = middle
        else:
            far = middle
    return start


def _matches(
    one: Segment, point: float, tolerance: float, slope_at: Callable[[float], float]
) -> bool:
    seen, named = slope_at(point), float(one.numbers(np.array([point]))[0])
    return bool(abs(seen - named) <= 10 * tolerance * max(abs(seen), 1e-300))


# --- one formula


def _continued(
    segments: list[Segment], edges: Sequence[tuple[sp.Expr, bool]], tolerance: float
) -> list[Segment]:
    """A constant that goes on from where its neighbour nearer to 0 stops, as an exact number."""
    made = list(segments)
    for index, (edge, _) in enumerate(edges):
        inner, outer = (index, index + 1) if edge > 0 else (index + 1, index)
        one = made[outer]
        if one.exact or one.slope.has(x):
            continue
        reached = made[inner].slope.subs(x, edge)
        if abs(float(reached) - float(one.slope)) <= 100 * tolerance * abs(float(one.slope)):
            made[outer] = replace(one, slope=reached, value=reached * x, exact=True)
    return made


def _as_loss(segments: Sequence[Segment], edges: Sequence[sp.Expr]) -> Loss | None:
    """The segments as one continuous function that is 0 at 0."""
    middle = next(i for i, high in enumerate([*edges, sp.oo]) if high > 0)
    made: dict[int, sp.Expr] = {middle: _from_zero(segments[middle].value)}
    for index in range(middle, len(edges)):
        made[index + 1] = _going_on(made[index], segments[index + 1].value, edges[index])
    for index in range(middle, 0, -1):
        made[index - 1] = _going_on(made[index], segments[index - 1].value, edges[index - 1])
    rows = [(made[index], x < edge) for index, edge in enumerate(edges)]
    whole = sp.Piecewise(*rows, (made[len(edges)], True)) if rows else made[0]
    try:
        return from_expression(whole)
    except (ExpressionError, CannotSplit):
        return None


def _from_zero(value: sp.Expr) -> sp.Expr:
    return value - value.subs(x, 0)


def _going_on(inner: sp.Expr, outer: sp.Expr, edge: sp.Expr) -> sp.Expr:
    return outer + sp.simplify(inner.subs(x, edge) - outer.subs(x, edge))


def _confirmed(
    found: Loss, points: np.ndarray, slopes: np.ndarray, tolerance: float, fitted: bool
) -> Shipped | None:
    loose = max(tolerance, 1e-8) if fitted else tolerance
    truth = identifying.exact_slopes(found.derivative, points)
    edges = [float(kink) for kink in found.derivative.kinks]
    at_edge = np.any([np.abs(points - e) <= 1e-6 * max(1, abs(e)) for e in edges], axis=0)
    with np.errstate(all="ignore"):
        matched = identifying.close(truth, slopes, loose) | (at_edge if edges else False)
    if not matched[np.abs(points) <= identifying.CORE].all():
        return None
    run = points[identifying.unbroken(points, matched)]
    return Shipped(found, float(run[0]), float(run[-1]), fitted)
