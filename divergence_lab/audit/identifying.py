"""Which loss has this gradient?  From samples of g' to a formula with exact numbers, confirmed
where it was not fitted.

    g'(x) = c g_named'(x) + b        b is the gauge: see `loss.GAUGE_UNSEEN`

Candidates: every loss of the catalogue, the families at fitted parameters, two-term sums, one kind
left of 0 and another right of it. The fit sees every second residual; the others, compared with
30-digit enclosures, decide.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import sympy as sp
import torch
from flint import acb
from scipy.optimize import least_squares

from divergence_lab.audit.identification.families import BLOCKS, FAMILIES, SIDES, Block, Family
from divergence_lab.audit.identification.numbers import snap
from divergence_lab.bridge import NotRepresentable, formula
from divergence_lab.theory.catalogue.named import DIVERGENCES, LOSSES, generator
from divergence_lab.theory.divergence.loss import Loss, loss
from divergence_lab.theory.expressions import (
    CannotSplit,
    ExpressionError,
    Pieces,
    digits,
    t,
    write,
    x,
)
from divergence_lab.theory.expressions.enclosure import evaluator

# Fits are made on |x| up to these, so that what happens far out does not spoil what holds near
# agreement.
WINDOWS = (1.0, 3.0, 8.0, 30.0, np.inf)
# A loss must be recognised at least up to here, on both sides.
CORE = 0.5
# Closer to 0 the gradient may have lost its digits: these residuals are used where it has not.
NEAREST = 0.05
CLOSEST = 1e-4
# Of two candidates the one that explains more of the line; below this difference, the simpler one.
SHARE = 0.01
# A fit looks at no larger slopes: their squares would overflow.
LARGEST = 1e60
LEAST = 1e-7


@dataclass(frozen=True)
class Found:
    """The loss (its gauge removed), the gauge b, and the stretch (low, high) of residuals around
    0 where it holds.
    """

    loss: Loss
    gauge: float
    low: float
    high: float
    fitted: bool


@dataclass(frozen=True)
class _Candidate:
    text: str
    scale: float
    slope: Callable[[np.ndarray], np.ndarray]
    rank: int
    numbers: tuple[float, ...] = ()
    template: str | None = None


def identify(
    points: np.ndarray, observed: np.ndarray, gauge: float, tolerance: float
) -> Found | None:
    """The loss whose g' + gauge was observed, or None.

    `tolerance`: relative accuracy of the samples.
    """
    slopes = observed - gauge
    usable = np.isfinite(slopes) & (np.abs(points) >= CLOSEST)
    points, slopes = points[usable], slopes[usable]
    core = np.abs(points) <= CORE
    # on each side: of one on which nothing is finite no loss is known
    if (
        min((core & (points < 0)).sum(), (core & (points > 0)).sum()) < 4
        or not np.all(slopes[core] * points[core] >= 0)
        or np.all(slopes[core] == 0)
    ):
        return None
    ranked = []
    with np.errstate(all="ignore"):
        for candidate in _candidates(points, slopes, tolerance):
            matched = close(candidate.slope(points), slopes, tolerance)
            if matched[core].all():
                ranked.append((matched[unbroken(points, matched)].sum() / len(points), candidate))
    if not ranked:
        return None
    best = max(share for share, _ in ranked)
    ranked.sort(key=lambda row: (row[0] < best - SHARE, row[1].rank, -row[0]))
    first = None
    for share, candidate in ranked:
        if first is not None and share < best - SHARE:
            break
        found = _confirmed(candidate, points, slopes, gauge, tolerance)
        if found is not None and not found.fitted:
            return found
        first = first or found  # one with a number that is no simple one, if no other is
    return first


def close(a: np.ndarray, b: np.ndarray, tolerance: float) -> np.ndarray:
    """Where two slopes agree, to ten times the relative tolerance."""
    return np.abs(a - b) <= tolerance * 10 * np.maximum(np.abs(b), 1e-300)


def unbroken(points: np.ndarray, matched: np.ndarray) -> slice:
    """The unbroken stretch of matches around 0."""
    left, right = np.flatnonzero(~matched & (points < 0)), np.flatnonzero(~matched & (points > 0))
    return slice(left[-1] + 1 if len(left) else 0, right[0] if len(right) else len(points))


# --- candidates


def _candidates(points: np.ndarray, slopes: np.ndarray, tolerance: float) -> Iterator[_Candidate]:
    for window in WINDOWS:
        if window != np.inf and window > 2 * np.abs(points).max():
            continue
        inside = np.abs(points) <= window
        z, s = points[inside][::2], slopes[inside][::2]
        kept = (s != 0) & (np.abs(s) < LARGEST)
        z, s = z[kept], s[kept]
        for rank, (text, slope) in enumerate(catalogue_slopes().items()):
            scale = _scale(slope(z), s, tolerance)
            if scale is not None:
                yield _Candidate(text, scale, _scaled(slope, scale), rank)
        for family in FAMILIES:
            for parameters, scale in fitted(family, z, s, tolerance):
                yield _Candidate(
                    "",
                    scale,
                    _scaled(partial(family.slope, *parameters), scale),
                    200 + 20 * len(parameters),
                    parameters,
                    family.formula,
                )
        yield from _sums(z, s, tolerance)
        yield from _two_sides(z, s, tolerance)


def _scaled(
    slope: Callable[[np.ndarray], np.ndarray], scale: float
) -> Callable[[np.ndarray], np.ndarray]:
    return lambda z: scale * slope(z)


@cache
def catalogue_slopes() -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Every named loss without free parameters, and every example of a family: name -> g'."""
    texts = []
    for entry in LOSSES:
        values = list(entry.parameters.values())
        defaults = [", ".join(values)] if None not in values else []
        texts += [
            f"{entry.name}({inside})" if values else entry.name
            for inside in (*entry.examples, *defaults)
        ]
    slopes = {}
    for text in dict.fromkeys((*texts, *_generators_as_losses())):
        with contextlib.suppress(NotRepresentable):
            slopes[text] = _numpy(formula(loss(text).derivative.as_expression(), x))
    return slopes


def _generators_as_losses() -> list[str]:
    """g(x) = f(e^x) and f(e^-x) for every named f: a generator taken for a loss, which minimises
    not D_f.
    """
    return [
        write(generator(entry).subs(t, sp.exp(sign * x)))
        for entry in DIVERGENCES
        if entry.parameter is None
        for sign in (1, -1)
    ]


def numbers_of(one: Loss) -> Callable[[np.ndarray], np.ndarray] | None:
    """g' of a loss in float64, for looking at many residuals; None where torch has no formula."""
    try:
        return _numpy(formula(one.derivative.as_expression(), x))
    except NotRepresentable:
        return None


def _numpy(plain: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[np.ndarray], np.ndarray]:
    def slope(z: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return plain(torch.from_numpy(np.ascontiguousarray(z, dtype=np.float64))).numpy()

    return slope


def _scale(named: np.ndarray, slopes: np.ndarray, tolerance: float) -> float | None:
    """c > 0 with slopes = c named, at every point; None where there is none."""
    if len(slopes) < 6:
        return None
    ratio = slopes / named
    middle = float(np.median(ratio))
    return (
        middle if middle > 0 and np.all(np.abs(ratio - middle) <= 10 * tolerance * middle) else None
    )


def fitted(
    family: Family, z: np.ndarray, s: np.ndarray, tolerance: float
) -> Iterator[tuple[tuple[float, ...], float]]:
    """(parameters, scale) where the family has these slopes, at most one."""
    if len(s) < 6 or (family.flat and not (close(s[:-1], s[1:], tolerance)[[0, -1]].all())):
        return

    def misfit(parameters: Sequence[float]) -> np.ndarray:
        # NumPy's numbers: a parameter at its pole gives inf, where Python's would raise
        relative = family.slope(*(np.float64(p) for p in parameters), z) / s
        relative = np.where(np.isfinite(relative), relative, 1e6)
        total = float(relative @ relative)
        return 1 - relative * (relative.sum() / total) if total > 0 else np.ones_like(relative)

    with np.errstate(all="ignore"):
        starts = sorted(family.starts, key=lambda p: float(np.abs(misfit(p)).mean()))[:2]
        for start in starts:
            if np.abs(misfit(start)).mean() > 0.5:
                continue
            parameters = _least(misfit, start)
            if min(abs(p) for p in parameters) < LEAST:  # a rate of 0 is another family's line
                continue
            if np.max(np.abs(misfit(parameters))) <= 10 * tolerance:
                relative = family.slope(*parameters, z) / s
                yield parameters, float(relative.sum() / (relative @ relative))
                return


def _least(
    misfit: Callable[[Sequence[float]], np.ndarray], start: Sequence[float]
) -> tuple[float, ...]:
    answer = least_squares(
        misfit, list(start), x_scale="jac", xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=60
    )
    return tuple(np.float64(p) for p in answer.x)


def filled(template: str, numbers: Sequence[sp.Expr]) -> str:
    """A family's formula with its parameters; a name of the catalogue as it is."""
    named = dict(zip("pq", numbers, strict=False))
    return template.format(*numbers, **named) if numbers else template


def _sums(z: np.ndarray, s: np.ndarray, tolerance: float) -> Iterator[_Candidate]:
    """Two or three building blocks with positive weights."""
    if len(s) < 6:
        return
    columns = [block.slope(z) / s for block in BLOCKS]
    usable = [i for i, column in enumerate(columns) if np.isfinite(column).all()]
    for count in (2, 3):
        for chosen in itertools.combinations(usable, count):
            terms = np.stack([columns[i] for i in chosen], axis=1)
            size = np.abs(terms).max(axis=0)
            weights = np.linalg.lstsq(terms / size, np.ones(len(s)), rcond=None)[0] / size
            if np.all(weights * size > 1e-6) and np.all(
                np.abs(terms @ weights - 1) <= 10 * tolerance
            ):
                yield _sum([BLOCKS[i] for i in chosen], tuple(float(w) for w in weights))


def _sum(blocks: Sequence[Block], weights: tuple[float, ...]) -> _Candidate:
    return _Candidate(
        "",
        1.0,
        lambda v: np.sum([w * b.slope(v) for w, b in zip(weights, blocks, strict=True)], axis=0),
        200 + 50 * len(blocks),
        weights,
        " + ".join(f"({{{i}}})*{block.formula}" for i, block in enumerate(blocks)),
    )


def _two_sides(z: np.ndarray, s: np.ndarray, tolerance: float) -> Iterator[_Candidate]:
    """One family left of 0, another right of it."""
    fits = [
        [(family, *fit) for family in SIDES for fit in fitted(family, z[side], s[side], tolerance)]
        for side in (z < 0, z > 0)
    ]
    for (left, (p,), c), (right, (q,), d) in itertools.product(*fits):
        text = (
            f"Piecewise((({{0}})*({left.formula.replace('{p}', '({1})')}), x < 0), "
            f"(({{2}})*({right.formula.replace('{p}', '({3})')}), True))"
        )
        if "huber" in text:
            # a catalogue name can't stand inside a formula; huber as such is among the families
            continue
        yield _Candidate(
            "",
            1.0,
            lambda v, left=left, right=right, p=p, q=q, c=c, d=d: np.where(
                v < 0, c * left.slope(p, v), d * right.slope(q, v)
            ),
            400,
            (c, p, d, q),
            text,
        )


# --- the confirmation


def _confirmed(
    candidate: _Candidate, points: np.ndarray, slopes: np.ndarray, gauge: float, tolerance: float
) -> Found | None:
    """The candidate with exact numbers, held against every residual: the stretch around 0 where
    enclosures agree.
    """
    room = max(30 * tolerance, 1e-8)
    snapped = [snap(value, room) for value in (candidate.scale, *candidate.numbers)]
    scale, *numbers = (number for number, _ in snapped)
    exact = all(simple for _, simple in snapped)
    text = candidate.text
    try:
        if candidate.template is not None:
            text = filled(candidate.template, numbers)
        named = loss(text)
        found = named if scale == 1 else loss(f"({scale})*({named.expression})")
    except (ExpressionError, CannotSplit):
        return None
    truth = exact_slopes(found.derivative, points)
    loose = tolerance if exact else max(tolerance, 1e-8)
    with np.errstate(all="ignore"):
        matched = close(truth, slopes, loose)
    run = unbroken(points, matched)
    if not matched[np.abs(points) <= CORE].all():
        return None
    # the ends of the range are residuals like others: the stretch reaches them if they match
    return Found(found, gauge, float(points[run][0]), float(points[run][-1]), not exact)


def exact_slopes(function: Pieces, points: np.ndarray) -> np.ndarray:
    """A function in x at binary numbers, to double precision, from 30-digit balls; nan where it
    is not finite.
    """
    compiled = [
        (float(piece.high) if piece.high != sp.oo else np.inf, evaluator(piece.expression, x))
        for piece in function.pieces
    ]
    answers = np.full(len(points), np.nan)
    for index, point in enumerate(points):
        at = next(f for high, f in compiled if high == np.inf or point < high)
        with digits(60 + int(min(abs(point), 2000))):
            ball = at(acb(float(point)), False)
            if ball.is_finite():
                answers[index] = _to_float(ball)
    return answers


def _to_float(ball: acb) -> float:
    try:
        return float(ball.real.mid())
    except OverflowError:
        return float("inf") if ball.real > 0 else float("-inf")
