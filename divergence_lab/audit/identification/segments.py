"""g' of a callable as pieces: one formula here, another one beyond, each with exact numbers.

    g'(x) = g_1'(x) for x < c_1,  g_2'(x) for c_1 < x < c_2,  ...

From 0 outward, on each side: of the formulas that have the next slopes, the one that has the most
of them. Constants and straight lines first (clips, hinges, dead zones), then the catalogue's losses
and the families, with a constant added.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import sympy as sp

from divergence_lab.audit import identifying
from divergence_lab.audit.identification.families import FAMILIES
from divergence_lab.audit.identification.numbers import snap
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.expressions import CannotSplit, ExpressionError, Pieces, x

Slope = Callable[[np.ndarray], np.ndarray]
# A formula is looked for on the slopes up to this far beyond the edge, first on few of them.
WINDOWS = (0.02, 0.1, 0.3, 1.0, 3.0, 10.0, 40.0, math.inf)
# On narrower ones no parameter can be told.
WIDE = 0.3
FEWEST = 8
MOST = 8
_KINKED = re.compile("huber|clipped|Piecewise")


@dataclass(frozen=True)
class Segment:
    """`slope`: g' as a formula in x, on low < x < high; `value`: an antiderivative of it."""

    low: float
    high: float
    slope: sp.Expr
    value: sp.Expr
    numbers: Slope
    exact: bool


@dataclass(frozen=True)
class _Form:
    """A formula that may continue: numbers, and how it is written; `rank`: simpler ones first."""

    numbers: Slope
    write: Callable[[float, float, float], tuple[sp.Expr, sp.Expr, bool] | None]
    rank: int


def side(points: np.ndarray, slopes: np.ndarray, tolerance: float) -> list[Segment]:
    """The segments of one side of 0, points running outward, as far as formulas are found."""
    found: list[Segment] = []
    start = 0
    while start < len(points) and len(found) < MOST:
        one = _next(points[start:], slopes[start:], tolerance)
        if one is None:
            break
        segment, count = one
        found.append(segment)
        start += count
        # one number may stand at the edge itself
        start += 0 if start >= len(points) or _continues(points, slopes, start, tolerance) else 1
    return found


def _continues(points: np.ndarray, slopes: np.ndarray, start: int, tolerance: float) -> bool:
    return _next(points[start:], slopes[start:], tolerance) is not None


def _next(points: np.ndarray, slopes: np.ndarray, tolerance: float) -> tuple[Segment, int] | None:
    best: tuple[int, int, _Form] | None = None
    with np.errstate(all="ignore"):
        for form in _forms(points, slopes, tolerance):
            count = _matching(form.numbers(points), slopes, tolerance)
            if count >= min(FEWEST, len(points)) and (
                best is None or (count, -form.rank) > best[:2]
            ):
                best = (count, -form.rank, form)
            if best is not None and best[0] == len(points):
                break
    if best is None:
        return None
    count, _, form = best
    first, last = float(points[0]), float(points[count - 1])
    written = form.write(min(first, last), max(first, last), tolerance)
    if written is None:
        return None
    slope, value, exact = written
    ends = min(first, last), max(first, last)
    return Segment(*ends, slope, value, form.numbers, exact), count


def _matching(named: np.ndarray, slopes: np.ndarray, tolerance: float) -> int:
    """How many slopes from the first one on are the formula's; rounding of the largest part of a
    difference is allowed for.
    """
    size = np.maximum(np.abs(slopes), 1e-300)
    good = np.abs(named - slopes) <= 10 * tolerance * size
    return int(np.argmin(good)) if not good.all() else len(good)


def _forms(points: np.ndarray, slopes: np.ndarray, tolerance: float) -> Iterator[_Form]:
    distance = np.abs(points - points[0])
    for window in WINDOWS:
        inside = distance <= window
        if inside.sum() < FEWEST:
            continue
        z, s = points[inside], slopes[inside]
        yield from _straight(z, s)
        if window >= WIDE and len(z) >= 2 * FEWEST:
            yield from _named(z[::2], s[::2], tolerance)
            yield from _of_families(z[::2], s[::2], tolerance)
        if inside.all():
            return


# --- formulas


def _straight(z: np.ndarray, s: np.ndarray) -> Iterator[_Form]:
    if np.all(s == s[0]):
        yield _Form(lambda v: np.full_like(v, s[0]), partial(_write_line, 0.0, float(s[0])), 0)
        return
    a = float((s[-1] - s[0]) / (z[-1] - z[0]))
    # the constant where it is smallest loses no digits
    b = float(s[0] - a * z[0])
    yield _Form(lambda v: a * v + b, partial(_write_line, a, b), 1)


def _write_line(
    a: float, b: float, low: float, high: float, tolerance: float
) -> tuple[sp.Expr, sp.Expr, bool]:
    room = max(30 * tolerance, 1e-8)
    # where the line passes through 0 the constant is what rounding left of it
    b = 0.0 if abs(b) <= 1e-9 * abs(a) * max(abs(low), abs(high), 1) else b
    exact_a, simple_a = snap(a, room) if a else (sp.S.Zero, True)
    exact_b, simple_b = snap(b, room) if b else (sp.S.Zero, True)
    slope = exact_a * x + exact_b
    return slope, exact_a * x**2 / 2 + exact_b * x, simple_a and simple_b


def _named(z: np.ndarray, s: np.ndarray, tolerance: float) -> Iterator[_Form]:
    """Catalogue losses, scaled, with a constant added."""
    for rank, (text, slope) in enumerate(_smooth().items()):
        h = slope(z)
        fitted = _scale_and_constant(h, s, tolerance)
        if fitted is not None:
            c, b = fitted
            yield _Form(
                lambda v, slope=slope, c=c, b=b: c * slope(v) + b,
                partial(_write_named, text, (), c, b),
                10 + rank,
            )


def _of_families(z: np.ndarray, s: np.ndarray, tolerance: float) -> Iterator[_Form]:
    kept = (s != 0) & (np.abs(s) < identifying.LARGEST)
    if kept.sum() < FEWEST:
        return
    for family in FAMILIES:
        if _KINKED.search(family.formula):  # its pieces are found one by one
            continue
        for parameters, c in identifying.fitted(family, z[kept], s[kept], tolerance):
            yield _Form(
                lambda v, family=family, p=parameters, c=c: c * family.slope(*p, v),
                partial(_write_named, family.formula, parameters, c, 0.0),
                500,
            )


@cache
def _smooth() -> dict[str, Slope]:
    """The catalogue's losses without a kink but at 0: name -> g'."""
    return {
        text: slope
        for text, slope in identifying.catalogue_slopes().items()
        if set(loss(text).derivative.kinks) <= {sp.S.Zero}
    }


def _scale_and_constant(
    h: np.ndarray, s: np.ndarray, tolerance: float
) -> tuple[float, float] | None:
    usable = np.isfinite(h) & (np.abs(h) < identifying.LARGEST) & (np.abs(s) < identifying.LARGEST)
    if usable.sum() < FEWEST or np.ptp(h[usable]) == 0:
        return None
    h, s = h[usable], s[usable]
    weight = 1 / np.maximum(np.abs(s), 1e-300)
    for columns in (h[:, None], np.stack([h, np.ones_like(h)], axis=1)):
        size = np.abs(columns).max(axis=0)
        answer = np.linalg.lstsq(columns / size * weight[:, None], s * weight, rcond=None)[0] / size
        c, b = float(answer[0]), float(answer[1]) if len(answer) > 1 else 0.0
        if c != 0 and np.all(np.abs(c * h + b - s) <= 10 * tolerance * np.abs(s)):
            return c, b
    return None


def _write_named(
    text: str,
    parameters: tuple[float, ...],
    c: float,
    b: float,
    low: float,
    high: float,
    tolerance: float,
) -> tuple[sp.Expr, sp.Expr, bool] | None:
    room = max(30 * tolerance, 1e-8)
    snapped = [snap(value, room) for value in parameters]
    try:
        named = loss(identifying.filled(text, [number for number, _ in snapped]))
    except (ExpressionError, CannotSplit):
        return None
    slope = piece_at(named.derivative, (low + high) / 2)
    value = piece_at(named.pieces, (low + high) / 2)
    exact_c, simple_c = snap(c, room)
    exact_b, simple_b = snap(b, room) if b else (sp.S.Zero, True)
    simple = simple_c and simple_b and all(known for _, known in snapped)
    return exact_c * slope + exact_b, exact_c * value + exact_b * x, simple


def piece_at(function: Pieces, point: float) -> sp.Expr:
    """The formula of a function in pieces at a point inside one of them."""
    return next(p.expression for p in function.pieces if p.high == sp.oo or point < float(p.high))
