"""Each wish proved of a loss.

`derive` decides every verdict anew; growth, curvature, penalties and the second moment of the score
are proved by the checker's own core, from pieces that the checker confirmed.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp

from divergence_lab.theory.answers.derivation import Derivation, derive, to_json
from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, within
from divergence_lab.theory.checker.facts import parts, proofs
from divergence_lab.theory.checker.replay import read_parts
from divergence_lab.theory.design.clashes import ONLY_ABSOLUTE
from divergence_lab.theory.design.wishes import TOLERANCE, Growth, Wishes, wished
from divergence_lab.theory.divergence.loss import Loss, from_expression
from divergence_lab.theory.expressions import CannotSplit, ExpressionError, parse, write, x
from divergence_lab.theory.expressions.balls import ball_of_constant
from divergence_lab.theory.expressions.syntax import syntax_tree


@dataclass(frozen=True)
class Met:
    """A wish, that it is met ("proved", "enclosed"), and why in one sentence.

    `achieved`: the number, where one was wished.
    """

    wish: str
    status: str
    because: str
    achieved: str | None = None


@dataclass(frozen=True)
class Designed:
    """A loss that meets every wish: itself, all that `derive` says of it, and each wish with its
    proof.

    Made by `design` and by the fits.

        >>> import divergence_lab as dl
        >>> (entry,) = dl.design(zero_forcing=True, count=1)
        >>> entry.loss.expression, [met.status for met in entry.met]
        (x**2/2, ['proved'])
    """

    loss: Loss
    derivation: Derivation
    met: tuple[Met, ...]


def prove(
    expression: sp.Expr, wishes: Wishes, budget: float = 20.0, tolerance: sp.Rational = TOLERANCE
) -> Designed | None:
    """The loss with every wish proved; None when one of them is not met, or not proved within
    the budget.
    """
    if not can_be_read_back(expression):
        return None
    try:
        loss = from_expression(expression)
        derivation = derive(loss, budget=budget)
    except (ExpressionError, CannotSplit):
        return None
    verdicts = derivation.verdicts
    if (
        verdicts.valid.holds is not True
        or verdicts.convex.holds is not True
        or any(part != 0 for part in loss.gauge)
    ):
        return None
    met = []
    for words, name, wanted in wished(wishes):
        verdict = getattr(verdicts, name)
        if verdict.holds is not wanted:
            return None
        only = f" ({ONLY_ABSOLUTE})" if name == "even" and wishes.symmetric else ""
        met.append(Met(words, verdict.status, verdict.because + only))
    try:
        met += within(
            budget, prove_other_wishes, write(loss.expression), verdicts.pieces, wishes, tolerance
        )
    except (OutOfTime, SearchFailed):
        return None
    return Designed(loss, derivation, tuple(met))


def can_be_read_back(expression: sp.Expr) -> bool:
    """Is what is printed of it within the limits of the language?"""
    try:
        return syntax_tree(write(expression)) is not None
    except ExpressionError:
        return False


def prove_other_wishes(
    text: str, pieces: Sequence[Mapping[str, str]], wishes: Wishes, tolerance: sp.Rational
) -> list[Met]:
    """The wishes that no verdict is about, proved from pieces that the checker confirms.

    Raises Rejected.
    """
    parts = read_parts({"loss": text, "pieces": pieces})
    met = []
    if wishes.bounded_second_moment:
        limit = proofs.limit_of(parts[-1].slope ** 2 * sp.exp(-x), x, sp.oo)
        if limit is None or not limit.is_finite:
            raise proofs.Rejected(f"g'(x)^2 e^(-x) tends to {limit}")
        met.append(
            Met(
                "bounded second moment",
                "proved",
                "g'(x)^2 e^(-x) is bounded on x > 0: g' is bounded on bounded sets, and "
                "the limit at oo is "
                f"{write(limit)}",
                write(limit),
            )
        )
    for side, growth in ((-1, wishes.left_growth), (1, wishes.right_growth)):
        if growth is not None:
            met.append(_prove_growth(parts[0 if side < 0 else -1].loss, side, growth))
    if wishes.smooth:
        met.append(_prove_smooth(parts))
    if wishes.max_terms is not None:
        met.append(_prove_terms(parse(text, x), wishes.max_terms))
    if wishes.curvature is not None:
        met.append(_prove_curvature(parts, wishes.curvature))
    return met + [_prove_penalty(parts, at, value, tolerance) for at, value in wishes.penalties]


def _prove_growth(g: sp.Expr, side: int, growth: Growth) -> Met:
    size = side * x
    scale = {"linear": size, "power": size**growth.rate, "exponential": sp.exp(growth.rate * size)}[
        growth.kind
    ]
    limit = proofs.limit_of(sp.expand(g / scale), x, side * sp.oo)
    if limit is None or not limit.is_finite or not ball_of_constant(limit) > 0:
        raise proofs.Rejected(f"g(x)/({write(scale)}) tends to {limit}")
    where = "right" if side > 0 else "left"
    return Met(
        f"{where} growth {growth}",
        "proved",
        f"g(x)/({write(scale)}) tends to {write(limit)} at {write(side * sp.oo)}",
        write(limit),
    )


def _prove_curvature(parts: Sequence[parts.Part], wanted: sp.Expr) -> Met:
    """g' is continuous at 0 and g'' has the wished limit from both sides."""
    beside = next((a, b) for a, b in itertools.pairwise(parts) if b.low == 0)
    for part, side in zip(beside, (-1, 1)):
        slope, value = (
            proofs.limit_of(part.slope, x, sp.S.Zero, side),
            proofs.limit_of(part.curvature, x, sp.S.Zero, side),
        )
        if slope is None or not slope.is_finite or not proofs.equal_constants(slope, sp.S.Zero):
            raise proofs.Rejected("g has a kink at 0")
        if value is None or not value.is_finite or not proofs.equal_constants(value, wanted):
            raise proofs.Rejected(f"g''(0) is {value} from one side")
    return Met(
        f"curvature {write(wanted)}",
        "proved",
        f"g''(x) tends to {write(wanted)} at 0 from both sides, and g'(0) = 0",
        write(wanted),
    )


def _prove_smooth(parts: Sequence[parts.Part]) -> Met:
    """g, g' and g'' have the same limits from both sides wherever two pieces meet."""
    for before, after in itertools.pairwise(parts):
        for name in ("loss", "slope", "curvature"):
            left, right = (
                proofs.limit_of(getattr(part, name), x, after.low, side)
                for part, side in ((before, -1), (after, 1))
            )
            if (
                left is None
                or right is None
                or not (left.is_finite and right.is_finite)
                or not proofs.equal_constants(left, right)
            ):
                raise proofs.Rejected(f"the {name} jumps from {left} to {right} at {after.low}")
    return Met(
        "smooth",
        "proved",
        "g, g' and g'' are continuous: from both sides they have the same limits at "
        + ", ".join(write(part.low) for part in parts[1:]),
    )


def terms_of(expression: sp.Basic) -> int:
    """How many summands a formula has, those of all pieces of a Piecewise together.

    >>> terms_of(sp.exp(x) - x - 1)
    3
    """
    if isinstance(expression, sp.Piecewise):
        return sum(terms_of(case.args[0]) for case in expression.args)
    if expression.has(sp.Piecewise) or expression.is_Add:
        return sum(terms_of(part) for part in expression.args)
    return 1


def _prove_terms(expression: sp.Expr, most: int) -> Met:
    count = terms_of(expression)
    if count > most:
        raise proofs.Rejected(f"the formula has {count} terms")
    return Met(f"at most {most} terms", "proved", f"the formula has {count}", str(count))


def _prove_penalty(
    parts: Sequence[parts.Part], at: sp.Expr, wanted: sp.Expr, tolerance: sp.Rational
) -> Met:
    """g(at) is the wished number: exactly, or enclosed within the relative tolerance."""
    point = ball_of_constant(at)
    part = next(
        p for p in parts if p.high == sp.oo or point < ball_of_constant(p.high) or p.high == at
    )
    exact = part.loss.xreplace({x: at})
    wish = f"g({write(at)}) = {write(wanted)}"
    if (exact.is_Rational or exact == wanted) and exact == wanted:
        return Met(wish, "proved", f"{wish} exactly", write(wanted))
    value = ball_of_constant(exact)
    if not abs(value - ball_of_constant(wanted)) <= ball_of_constant(tolerance * wanted):
        raise proofs.Rejected(f"g({at}) is {value}")
    shown = value.str(12, radius=False)
    return Met(
        wish,
        "enclosed",
        f"g({write(at)}) = {shown}..., within a relative {write(tolerance)} of {write(wanted)}",
        shown,
    )


def designed_to_json(entry: Designed) -> dict[str, Any]:
    """The object of `derive --json`, and under "wishes" each wish with its status, its reason
    and the number achieved.
    """
    return {
        **to_json(entry.derivation),
        "wishes": [
            {
                "wish": met.wish,
                "status": met.status,
                "because": met.because,
                "achieved": met.achieved,
            }
            for met in entry.met
        ],
    }
