"""The searches for what can be said of a formula that is no loss: what it does far out, and on both
sides of 0 (Proposition 25).

Each yields an answer and its steps; only what the checker proves is shown.
"""

import contextlib
import math
from collections.abc import Callable, Iterable, Mapping

import sympy as sp

from divergence_lab.theory.checker.certificate import Step, step
from divergence_lab.theory.checker.facts import proofs
from divergence_lab.theory.checker.facts.decided import decided
from divergence_lab.theory.checker.facts.parts import read_number
from divergence_lab.theory.checker.rules.of_a_formula import BESIDE, integral_of
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions import CannotSplit, balls, points, write, x
from divergence_lab.theory.expressions.printing import shortest
from divergence_lab.theory.verdicts import ends

Proposal = tuple[bool, tuple[Step, ...]]
# Where both sides of 0 are compared: seldom special points, and some further out.
POINTS = tuple(map(sp.Rational, ("4/7", "3/11", "9/5", "1/16", "31/7", "25/2")))


def _universal(loss: Loss, fault: Step) -> Iterable[Proposal]:
    """No: it would be finite and continuous."""
    yield False, (fault,)


# --- far out


def _starts(loss: Loss, side: int) -> Iterable[sp.Expr]:
    """Whole numbers beyond the last break on that side."""
    breaks = [float(kink) for kink in loss.pieces.kinks] or [0.0]
    last = side * (max(side * kink for kink in breaks))
    near = sp.Integer(math.floor(last) if side < 0 else math.ceil(last))
    for distance in (1, 8, 100):
        yield near + side * distance


def _zero_forcing(loss: Loss, fault: Step) -> Iterable[Proposal]:
    for start in _starts(loss, -1):
        with contextlib.suppress(proofs.Rejected):
            slope = sp.diff(decided(loss.expression, x, -sp.oo, start), x)
            for limit in ends.limits(slope, -sp.oo):
                texts = {"start": write(start), "end": "-oo", "f": write(slope)}
                yield limit == -sp.oo, (step("far slope", **texts, limit=write(limit)),)
        yield False, (step("not real far out", start=write(start), end="-oo"),)


def _zero_avoiding(loss: Loss, fault: Step) -> Iterable[Proposal]:
    for start in _starts(loss, 1):
        with contextlib.suppress(proofs.Rejected):
            slope = sp.diff(decided(loss.expression, x, start, sp.oo), x)
            value = integral_of(slope * sp.exp(-x))
            texts = {"start": write(start), "end": "oo", "f": write(slope)}
            yield value == "oo", (step("far integral", **texts, value=value),)
        yield False, (step("not real far out", start=write(start), end="oo"),)


# --- both sides of 0


def _even(loss: Loss, fault: Step) -> Iterable[Proposal]:
    for point in POINTS[:2]:
        yield False, (step("mirror", at=write(point)),)
    yield True, (step("same formula"),)
    if dict(fault.data).get("at", "0") != "0":  # a value of its own may be all that is not even
        yield False, (step("mirror", at=dict(fault.data)["at"]),)
    for point in POINTS:
        yield False, (step("mirror", at=write(point)),)
        for at in (point, -point):
            yield False, (step("one side", at=write(at)),)


def _symmetric(loss: Loss, fault: Step) -> Iterable[Proposal]:
    for point in POINTS:
        with contextlib.suppress(proofs.Rejected):
            yield False, (_mirrored_bend(loss.expression, point),)
    yield from _by_breaks(loss, fault)
    for point in POINTS:
        for at in (point, -point):
            yield False, (step("one side", at=write(at)),)


def _mirrored_bend(g: sp.Expr, at: sp.Expr) -> Step:
    """g''(x) - e^x g''(-x) near a point. Raises Rejected."""
    right, left = (
        sp.diff(decided(g, x, point - BESIDE, point + BESIDE), x, 2) for point in (at, -at)
    )
    difference = right - sp.exp(x) * left.xreplace({x: -x})
    value = balls.ball_at_point(difference, x, at)
    if not (value > 0 or value < 0):
        raise proofs.Rejected("g'' is symmetric there")
    return step("mirrored bend", at=write(at), f=write(difference))


def _by_breaks(loss: Loss, fault: Step) -> Iterable[Proposal]:
    data = dict(fault.data)
    if "at" not in data:
        return
    if data["at"] != "0":
        mirrored = write(-read_number(data["at"]))
        yield False, (fault, step("smooth", at=mirrored))
    elif fault.rule == "gap":
        yield False, (fault,)
    elif fault.rule == "own value":
        yield from _own_slopes(loss, data)


def _own_slopes(loss: Loss, data: Mapping[str, str]) -> Iterable[Proposal]:
    before, after = loss.pieces.split_at_zero()
    with contextlib.suppress(proofs.Rejected, CannotSplit):
        left, right = (
            proofs.limit_of(sp.diff(piece.expression, x), x, sp.S.Zero, side)
            for piece, side in ((before.pieces[-1], -1), (after.pieces[0], 1))
        )
        limit = proofs.limit_of(after.pieces[0].expression, x, sp.S.Zero, 1)
        value = points.value_of(loss.expression, x, sp.S.Zero)
        if left is not None and right is not None and limit is not None and value is not None:
            kept = {key: data[key] for key in ("at", "low", "high", "left", "right")}
            total = shortest(limit - value + left + right)
            yield False, (step("own slopes", **kept, total=write(total)),)


SEARCHES: Mapping[str, Callable[[Loss, Step], Iterable[Proposal]]] = {
    "zero_forcing": _zero_forcing,
    "zero_avoiding": _zero_avoiding,
    "bounded_gradient": _universal,
    "even": _even,
    "symmetric": _symmetric,
    "validity": _universal,
    "convex": _universal,
}
