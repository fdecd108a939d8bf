"""Search for a proof that a function is no loss: that it jumps, is unbounded near a point, or is
not real at one.

What looks wrong may be harmless (a removable pole, a value too large to enclose), so only what the
checker proves counts.
"""

import functools
import math
from collections.abc import Iterable

import sympy as sp

from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, patient, within
from divergence_lab.theory.checker.certificate import Step, step
from divergence_lab.theory.checker.facts.proofs import Rejected, limit_of
from divergence_lab.theory.checker.replay import prove_of_formula
from divergence_lab.theory.divergence import domain, loss
from divergence_lab.theory.expressions import CannotSplit, ExpressionError, balls, pieces, write, x
from divergence_lab.theory.expressions.points import value_of

ROOT_SECONDS = 1.0
# A break point found exactly lies this close to where the enclosures gave up.
NEAR = 1e-6
WIDTHS = (sp.Rational(1, 8), sp.Rational(1, 128), sp.Rational(1, 10**4), sp.Rational(1, 10**6))


@functools.lru_cache(maxsize=16)
def why_no_loss(loss: loss.Loss, fault: domain.Fault) -> Step | None:
    """The step that the checker has proved, or None: it may be a loss all the same."""
    text = write(loss.expression)
    for proposal in _proposals(loss, fault):
        try:
            prove_of_formula(
                text, [{"rule": proposal.rule, "claim": proposal.claim, **dict(proposal.data)}]
            )
            return proposal
        except (Rejected, ExpressionError):
            continue
    return None


def _proposals(loss: loss.Loss, fault: domain.Fault) -> Iterable[Step]:
    try:
        if fault.kind in ("jump", "own value"):
            yield from _jump(loss, fault)
        if fault.kind == "not real":
            yield from _not_real(fault.near)
        yield from _unbounded(loss, fault.near)
        yield from _poles(loss, fault.near)
        if fault.kind == "not enclosed":
            yield from _not_real(fault.near)
    except (CannotSplit, OutOfTime, SearchFailed, sp.PolynomialError, NotImplementedError):
        return


def _beside(at: sp.Expr, loss: loss.Loss) -> tuple[pieces.Piece, pieces.Piece]:
    """The pieces on either side of a point."""
    if at == 0:
        left, right = loss.pieces.split_at_zero()
        return left.pieces[-1], right.pieces[0]
    index = loss.pieces.kinks.index(at)
    return loss.pieces.pieces[index], loss.pieces.pieces[index + 1]


def _jump(loss: loss.Loss, fault: domain.Fault) -> Iterable[Step]:
    left, right = _beside(fault.near, loss)
    try:
        before, after = (
            limit_of(piece.expression, x, fault.near, side)
            for piece, side in ((left, -1), (right, 1))
        )
    except Rejected:
        return
    if before is None or after is None:
        return
    texts = {
        "at": write(fault.near),
        "low": write(left.low),
        "high": write(right.high),
        "left": write(left.expression),
        "right": write(right.expression),
    }
    yield step("gap", **texts, jump=write(sp.simplify(after - before)))
    value = value_of(loss.expression, x, fault.near)
    if value is not None:
        yield step("own value", **texts, value=write(value), limit=write(before))


def _not_real(near: sp.Expr) -> Iterable[Step]:
    below, above = sp.Integer(math.floor(near)), sp.Integer(math.ceil(near))
    points = (
        below - 1,
        above + 1,
        below,
        above,
        *(near + side * width for width in WIDTHS for side in (1, -1)),
        near,
        *map(sp.Integer, domain.FAR),
    )
    for point in dict.fromkeys(points):
        yield step("not real", at=write(point))


def _unbounded(loss: loss.Loss, near: sp.Expr) -> Iterable[Step]:
    for piece in loss.pieces.pieces:
        for point in _special_points(piece, near):
            for side, end in ((-1, piece.low), (1, piece.high)):
                if point == end:
                    continue
                try:
                    limit = limit_of(piece.expression, x, point, side)
                except Rejected:
                    continue
                if limit is not None and limit.is_infinite:
                    yield step(
                        "unbounded",
                        at=write(point),
                        end=write(end),
                        f=write(piece.expression),
                        limit=write(limit),
                    )


def _special_points(piece: pieces.Piece, near: sp.Expr) -> list[sp.Expr]:
    """Exact points close to `near` where a denominator, a logarithm or a root of the piece has
    its zero.
    """
    points = [
        end for end in (piece.low, piece.high) if end.is_finite and abs(float(end - near)) < NEAR
    ]
    inner = {e.base for e in piece.expression.atoms(sp.Pow) if e.base.has(x)}
    inner |= {e.args[0] for e in piece.expression.atoms(sp.log, sp.Ei)}
    inner |= {1 - e.args[0] ** 2 for e in piece.expression.atoms(sp.atanh)}
    for function in sorted(inner, key=sp.count_ops):
        try:
            roots = within(patient(ROOT_SECONDS), _real_zeros, function)
        except (OutOfTime, SearchFailed):
            continue
        points += [r for r in roots if abs(float(r - near)) < NEAR and _within(r, piece)]
    return list(dict.fromkeys(points))


def _real_zeros(function: sp.Expr) -> list[sp.Expr]:
    zeros = sp.solveset(function, x, sp.S.Reals)
    return list(zeros) if isinstance(zeros, sp.FiniteSet) else []


def _within(point: sp.Expr, piece: pieces.Piece) -> bool:
    value = balls.ball_of_constant(point)
    return (piece.low == -sp.oo or not value < balls.ball_of_constant(piece.low)) and (
        piece.high == sp.oo or not value > balls.ball_of_constant(piece.high)
    )


def _poles(loss: loss.Loss, near: sp.Expr) -> Iterable[Step]:
    for piece in loss.pieces.pieces:
        if not _within(near, piece):
            continue
        shifted = piece.expression.replace(
            lambda e: isinstance(e, sp.gamma) and e.has(x), lambda e: _shifted(e, near)
        )
        numerator, denominator = sp.together(shifted).as_numer_denom()
        if not denominator.has(x):
            continue
        centre = sp.nsimplify(float(near), rational=True, tolerance=1e-9)
        for width in WIDTHS:
            yield step(
                "pole",
                low=write(centre - width),
                high=write(centre + width),
                numerator=write(numerator),
                denominator=write(denominator),
            )


def _shifted(e: sp.Expr, near: sp.Expr) -> sp.Expr:
    """gamma(u) = gamma(u + n)/(u (u + 1) ... (u + n - 1)), with u + n > 0 near the point."""
    argument = e.args[0]
    n = max(0, math.ceil(-float(argument.subs(x, near)) + 1))
    return sp.gamma(argument + n) / sp.Mul(*(argument + k for k in range(n)))
