"""From wished properties to losses in closed form, each wish proved.

    g'' >= 0 is free to choose:  g = sum_i w_i b_i,  w_i >= 0,  b_i of known closed form       (building_blocks)

`derive` decides every verdict anew; growth, curvature, penalties and the second moment of the score
are proved here by the checker's own core, from pieces that the checker confirmed. What is not
proved is not returned.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sympy as sp

from divergence_lab.theory.answers.derivation import Derivation, derive, to_json
from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, clock, within
from divergence_lab.theory.checker.conclusions import Part
from divergence_lab.theory.checker.facts.proofs import Rejected, equal_constants, limit_of
from divergence_lab.theory.checker.replay import read_parts
from divergence_lab.theory.design.blocks import Block, allowed, blocks, hockey_sticks, needs
from divergence_lab.theory.design.mixtures import (
    cheapest,
    exact_weights,
    readable_weights,
    without_each,
)
from divergence_lab.theory.design.wishes import (
    ONLY_ABSOLUTE,
    DesignError,
    Growth,
    Wishes,
    read_wishes,
    wished,
)
from divergence_lab.theory.divergence.loss import Loss, from_expression
from divergence_lab.theory.expressions.balls import ball, ball_of_constant
from divergence_lab.theory.expressions.ordering import CannotSplit
from divergence_lab.theory.expressions.pieces import split
from divergence_lab.theory.expressions.printing import write
from divergence_lab.theory.expressions.symbols import x
from divergence_lab.theory.expressions.syntax import ExpressionError

if TYPE_CHECKING:
    import numpy as np

TOLERANCE = sp.Rational(1, 1000)
# How many candidates are put to the proof for each loss that is asked for.
TRIES = 8
# The search ends after so many budgets; with a loss in hand after one.
PATIENCE = 6


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
    """

    loss: Loss
    derivation: Derivation
    met: tuple[Met, ...]


def design(
    zero_forcing: bool | None = None,
    zero_avoiding: bool | None = None,
    symmetric: bool = False,
    even: bool = False,
    bounded_gradient: bool = False,
    bounded_second_moment: bool = False,
    curvature: object = None,
    penalties: Mapping[object, object] | None = None,
    left_growth: str | None = None,
    right_growth: str | None = None,
    count: int = 3,
    budget: float = 20.0,
    tolerance: object = TOLERANCE,
) -> list[Designed]:
    """Up to `count` convex losses that meet every wish, the one with the shortest formula first.

    zero_forcing, zero_avoiding: True, False (not), None (either). `symmetric` is of the divergence,
    `even` of g. bounded_second_moment: g'(x)^2 e^{-x} is bounded on x > 0, the second moment of the
    score at a mode that the model has dropped. curvature: g''(0). penalties: {x: g(x)}, met exactly
    where the weights come out rational, else within the relative `tolerance`. Growths of g:
    "linear", "quadratic", "power:3", "exponential:1/2". Numbers are texts, ints, floats (read as
    written) or SymPy numbers. `budget`: processor seconds for the proofs of each loss; no new one
    is begun after that if one is found, nor after six times that if none is.

    Raises DesignError (a ValueError) that names two wishes that clash and why, or says what could
    not be met.

        >>> import divergence_lab as dl
        >>> (found,) = dl.design(zero_forcing=True, zero_avoiding=True, symmetric=True, count=1)
        >>> print(found.loss.expression, found.derivation.divergence, sep=": ")
        x**2/2 - x + exp(x) - 1: Jeffreys
    """
    if count < 1:
        raise DesignError(f"count is {count}: ask for at least one loss")
    wishes = read_wishes(
        zero_forcing,
        zero_avoiding,
        symmetric,
        even,
        bounded_gradient,
        bounded_second_moment,
        curvature,
        penalties,
        left_growth,
        right_growth,
    )
    return design_for(wishes, count, budget, tolerance)


def design_for(
    wishes: Wishes, count: int = 3, budget: float = 20.0, tolerance: object = TOLERANCE
) -> list[Designed]:
    """As `design`, for wishes that were read."""
    tolerance = sp.Rational(str(tolerance))
    if not 0 < tolerance < 1:
        raise DesignError(f"the tolerance {tolerance} is not between 0 and 1")
    offered = _mixed(wishes, count, tolerance) if wishes.penalties else _single(wishes)
    found: list[Designed] = []
    began = clock()
    for expression in itertools.islice(_unlike(offered), TRIES * count):
        if clock() - began > budget * (1 if found else PATIENCE):
            break
        proved = prove(expression, wishes, budget, tolerance)
        if proved is not None:
            found.append(proved)
        if len(found) == count:
            break
    if not found:
        raise DesignError(
            "no loss on offer was found and proved to meet these wishes, though no "
            "contradiction between them is "
            "known: leave one out, raise --budget, or, with penalties, widen the tolerance"
        )
    return sorted(found, key=lambda entry: len(write(entry.loss.expression)))


# --- candidates


def _single(wishes: Wishes) -> Iterator[sp.Expr]:
    """Single blocks and sums of two, cheapest first, scaled to the wished curvature."""
    usable = [block for block in blocks(wishes) if allowed(block, wishes)]
    tests = needs(wishes)
    enough = {
        block
        for block in usable
        if _complete((block,), tests) and (wishes.curvature is None or _round(block))
    }
    sums = sorted(
        ((a, b) for a, b in itertools.combinations(usable, 2)),
        key=lambda pair: pair[0].cost + pair[1].cost,
    )
    for members in itertools.chain(((block,) for block in usable), sums):
        if len(members) > 1 and not enough.isdisjoint(members):
            continue  # the shorter sum was offered already
        if _complete(members, tests):
            whole = sp.Add(*(block.expression for block in members))
            if wishes.curvature is None:
                yield whole
                continue
            below, above = (sum(curvatures(block)[side] for block in members) for side in (0, 1))
            if below == above and below.is_finite and below.is_positive:
                yield sp.expand(wishes.curvature / below * whole)


def _round(block: Block) -> bool:
    """Has g'' one value at 0, finite and not 0?"""
    below, above = curvatures(block)
    return bool(below == above and below.is_finite and below.is_positive)


def _complete(members: Sequence[Block], tests: Iterable) -> bool:
    return all(any(test(block) for block in members) for test in tests)


def curvatures(block: Block) -> tuple[sp.Expr, sp.Expr]:
    """(g''(0-), g''(0+)) of a block; oo where there is none."""
    left, right = Loss(block.expression).curvature.split_at_zero()
    values = (left.pieces[-1].expression.subs(x, 0), right.pieces[0].expression.subs(x, 0))
    return tuple(
        sp.nsimplify(v) if v.is_Float else sp.simplify(v) if v.is_finite else sp.oo for v in values
    )


def _mixed(wishes: Wishes, count: int, tolerance: sp.Rational) -> Iterator[sp.Expr]:
    """Sums of blocks that meet the penalties, found by linear programs with ever more blocks
    left out.
    """
    usable = [block for block in blocks(wishes, fine=True) if allowed(block, wishes)]
    whole = len(usable)
    usable += [
        block
        for block in hockey_sticks([at for at, _ in wishes.penalties], wishes)
        if allowed(block, wishes)
    ]
    table = Table(usable, wishes)
    tests = needs(wishes)
    local = frozenset(range(whole, len(usable)))
    # the prettiest answer is a sum of blocks that are each of the wished class, the last resort one
    # with local blocks
    partial = frozenset(i for i in range(whole) if not _complete((usable[i],), tests))
    starts = [
        banned for banned in (partial | local, local) if table.solve(banned, tests) is not None
    ] or [frozenset()]
    if table.solve(starts[-1], tests) is None:
        raise DesignError(
            "no sum of the losses on offer has these penalties together with the other "
            "wishes: bring the "
            "penalties nearer to those of x^2/2, or leave a wish out"
        )
    pending, seen = starts, set()
    while pending and len(seen) < 6 * count:
        banned = pending.pop(0)
        if banned in seen:
            continue
        seen.add(banned)
        found = table.solve(banned, tests)
        if found is None:
            continue
        support = [i for i, weight in enumerate(found) if weight > 0]
        pending += without_each(support, banned)
        weights = table.tidy(support, [found[i] for i in support], tolerance)
        if weights is not None:
            yield shortest(sp.Add(*(w * usable[i].expression for w, i in zip(weights, support))))


class Table:
    """The numeric wishes as linear equations in the weights of the blocks: rows of penalties,
    then of curvatures.
    """

    def __init__(self, usable: Sequence[Block], wishes: Wishes):
        self.blocks, self.curvature = usable, wishes.curvature
        self.points = [at for at, _ in wishes.penalties]
        self.targets = [value for _, value in wishes.penalties] + (
            [wishes.curvature] * 2 if wishes.curvature is not None else []
        )
        self.exact = [self._column(block) for block in usable]

    def _column(self, block: Block) -> list[sp.Expr]:
        column = [block.expression.subs(x, at) for at in self.points]
        return column if self.curvature is None else column + list(curvatures(block))

    def solve(self, banned: frozenset[int], tests: Sequence) -> np.ndarray | None:
        """The cheapest weights, 0 for what is banned; None where there are none."""
        import numpy as np

        here = [i for i, column in enumerate(self.exact) if i not in banned and sp.oo not in column]
        if not here:
            return None
        targets = np.array([float(value) for value in self.targets])
        rows = (
            np.array([[float(sp.N(value, 20)) for value in self.exact[i]] for i in here]).T
            / targets[:, None]
        )
        size = np.maximum(
            rows.max(axis=0), 1e-12
        )  # a block counts by what it does, not by how it is scaled
        masks = [np.array([bool(test(self.blocks[i])) for i in here], dtype=bool) for test in tests]
        found = cheapest(
            rows / size, np.ones(len(targets)), np.array([self.blocks[i].cost for i in here]), masks
        )
        if found is None:
            return None
        weights = np.zeros(len(self.exact))
        weights[here] = found / size
        return weights

    def tidy(
        self, support: Sequence[int], weights: Sequence[float], tolerance: sp.Rational
    ) -> list[sp.Expr] | None:
        """Readable weights: exact where they are rational, else the roundest within the
        tolerance, curvature exact.
        """
        columns = [self.exact[i] for i in support]
        exact = exact_weights(sp.Matrix(columns).T, sp.Matrix(self.targets))
        if exact is not None:
            return exact
        penalties = len(self.points)

        def good(rounded: list[sp.Rational]) -> list[sp.Expr] | None:
            if self.curvature is not None:
                for j, column in sorted(enumerate(columns), key=lambda entry: -weights[entry[0]]):
                    if column[-1] == column[-2] and column[-1].is_positive:
                        missing = self.curvature - sum(w * c[-1] for w, c in zip(rounded, columns))
                        rounded[j] = sp.nsimplify(rounded[j] + missing / column[-1])
                        break
                if not all(w.is_positive for w in rounded) or any(
                    sp.simplify(sum(w * c[k] for w, c in zip(rounded, columns)) - self.curvature)
                    != 0
                    for k in (-1, -2)
                ):
                    return None
            for k in range(penalties):
                got = float(sp.N(sum(w * c[k] for w, c in zip(rounded, columns)), 20))
                if abs(got / float(self.targets[k]) - 1) > 0.99 * float(tolerance):
                    return None
            return rounded

        return readable_weights(weights, good)


def shortest(expression: sp.Expr) -> sp.Expr:
    """The shortest to read of: as it is, expanded, and piece by piece."""
    forms = [expression, sp.expand(expression)]
    try:
        pieces = split(expression, x)
        if len(pieces.pieces) > 1:
            forms.append(pieces.map(sp.expand).merged().as_expression())
    except CannotSplit:
        pass
    return min(forms, key=lambda form: len(write(form)))


def _unlike(offered: Iterable[sp.Expr]) -> Iterator[sp.Expr]:
    """Each expression once."""
    seen = set()
    for expression in offered:
        key = sp.expand(expression)
        if key not in seen:
            seen.add(key)
            yield expression


# --- proofs


def prove(
    expression: sp.Expr, wishes: Wishes, budget: float = 20.0, tolerance: sp.Rational = TOLERANCE
) -> Designed | None:
    """The loss with every wish proved; None when one of them is not met, or not proved within
    the budget.
    """
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
        met += within(budget, _others, write(loss.expression), verdicts.pieces, wishes, tolerance)
    except (OutOfTime, SearchFailed):
        return None
    return Designed(loss, derivation, tuple(met))


def _others(
    text: str, pieces: Sequence[Mapping[str, str]], wishes: Wishes, tolerance: sp.Rational
) -> list[Met]:
    """The wishes that no verdict is about, proved from pieces that the checker confirms.

    Raises Rejected.
    """
    parts = read_parts({"loss": text, "pieces": pieces})
    met = []
    if wishes.bounded_second_moment:
        limit = limit_of(parts[-1].slope ** 2 * sp.exp(-x), x, sp.oo)
        if limit is None or not limit.is_finite:
            raise Rejected(f"g'(x)^2 e^(-x) tends to {limit}")
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
    if wishes.curvature is not None:
        met.append(_prove_curvature(parts, wishes.curvature))
    return met + [_prove_penalty(parts, at, value, tolerance) for at, value in wishes.penalties]


def _prove_growth(g: sp.Expr, side: int, growth: Growth) -> Met:
    size = side * x
    scale = {"linear": size, "power": size**growth.rate, "exponential": sp.exp(growth.rate * size)}[
        growth.kind
    ]
    limit = limit_of(sp.expand(g / scale), x, side * sp.oo)
    if limit is None or not limit.is_finite or not ball_of_constant(limit) > 0:
        raise Rejected(f"g(x)/({write(scale)}) tends to {limit}")
    where = "right" if side > 0 else "left"
    return Met(
        f"{where} growth {growth}",
        "proved",
        f"g(x)/({write(scale)}) tends to {write(limit)} at {write(side * sp.oo)}",
        write(limit),
    )


def _prove_curvature(parts: Sequence[Part], wanted: sp.Expr) -> Met:
    """g' is continuous at 0 and g'' has the wished limit from both sides."""
    beside = next((a, b) for a, b in itertools.pairwise(parts) if b.low == 0)
    for part, side in zip(beside, (-1, 1)):
        slope, value = (
            limit_of(part.slope, x, sp.S.Zero, side),
            limit_of(part.curvature, x, sp.S.Zero, side),
        )
        if slope is None or not slope.is_finite or not equal_constants(slope, sp.S.Zero):
            raise Rejected("g has a kink at 0")
        if value is None or not value.is_finite or not equal_constants(value, wanted):
            raise Rejected(f"g''(0) is {value} from one side")
    return Met(
        f"curvature {write(wanted)}",
        "proved",
        f"g''(x) tends to {write(wanted)} at 0 from both sides, and g'(0) = 0",
        write(wanted),
    )


def _prove_penalty(
    parts: Sequence[Part], at: sp.Expr, wanted: sp.Expr, tolerance: sp.Rational
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
    value = ball(part.loss, x, point)
    if not abs(value - ball_of_constant(wanted)) <= ball_of_constant(tolerance * wanted):
        raise Rejected(f"g({at}) is {value}")
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
