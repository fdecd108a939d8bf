"""The searches for proofs of the verdicts on a loss without parameters, by the name of the kind.

Each yields proposals, the likeliest first: an answer and the steps of its proof. SymPy's
simplification, samples and guesses may propose; nothing is believed before the checker has replayed
it (`plain.ask`), which also says whether it is proved or enclosed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp

from divergence_lab.theory.checker.certificate import Step, step
from divergence_lab.theory.checker.facts import proofs
from divergence_lab.theory.checker.facts.parts import Part
from divergence_lab.theory.checker.facts.structure import OSCILLATING
from divergence_lab.theory.divergence.loss import Loss, jump
from divergence_lab.theory.expressions import (
    Pieces,
    balls,
    constants,
    enclosure,
    ordering,
    pieces,
    write,
    x,
)
from divergence_lab.theory.expressions.printing import shortest
from divergence_lab.theory.verdicts import ends, sign_regions, signs, verdict


@dataclass(frozen=True)
class Question:
    """One loss under questioning: its slope and curvature by piece, and what the checker made of
    the pieces.
    """

    loss: Loss
    slope: Pieces
    curvature: Pieces
    parts: list[Part]
    texts: tuple[dict[str, str], ...]

    def sides(self, function: Pieces) -> list[tuple[pieces.Piece, bool]]:
        """Each piece, and whether it lies right of 0."""
        return [(piece, not ordering.is_less(piece.low, sp.S.Zero)) for piece in function.pieces]


def _proposal(holds: bool, *steps: Step) -> verdict.Verdict:
    """The checker says whether it is proved or enclosed, and its steps give the sentence."""
    return verdict.Verdict(holds, verdict.PROVED, "", steps=steps)


def _on(piece: pieces.Piece) -> dict[str, str]:
    return {"low": write(piece.low), "high": write(piece.high)}


# --- does g fall and rise?


def _valid(q: Question) -> Iterable[verdict.Verdict]:
    steps = []
    for piece, right in q.sides(q.slope):
        if piece.expression == 0 and 0 in (piece.low, piece.high):
            yield _proposal(False, step("constant", of="slope", **_on(piece)))
            return
        point = signs.negative_point(_outwards(piece, right))
        if point is not None:
            yield _falls_back(piece, right, point)
            return
        steps.append((piece, ">= 0" if right else "<= 0"))
    yield from _by_signs("slope", (), steps)
    yield from (proposal for proposal in _convex(q) if proposal.holds)
    for piece, right in q.sides(
        q.slope
    ):  # that was not proved: perhaps it is not so, in a narrow place or far out
        for point in sign_regions.negative_points(_outwards(piece, right)):
            yield _falls_back(piece, right, point)


def _by_signs(
    of: str, before: Iterable[Step], signed: Sequence[tuple[pieces.Piece, str]]
) -> Iterable[verdict.Verdict]:
    """A yes by the sign on each piece, of the function as it is and then as one fraction: its
    numerator may lead where a sum of fractions that fall alike does not yet.
    """
    as_written = [piece.expression for piece, _ in signed]
    for functions in dict.fromkeys((tuple(as_written), tuple(map(_fraction, as_written)))):
        steps = (
            step("sign", of=of, f=write(f), **_on(piece), sign=sign)
            for f, (piece, sign) in zip(functions, signed)
        )
        yield _proposal(True, *before, *steps)


def _fraction(f: sp.Expr) -> sp.Expr:
    one: Any = sp.together(f)
    above, below = one.as_numer_denom()
    return min((above, sp.expand(above)), key=sp.count_ops) / below


def _outwards(slope: pieces.Piece, right: bool) -> pieces.Piece:
    """g' as it must not be negative: itself right of 0, -g' left of it."""
    return slope if right else pieces.Piece(slope.low, slope.high, -slope.expression)


def _falls_back(slope: pieces.Piece, right: bool, point: sp.Expr) -> verdict.Verdict:
    return _proposal(
        False,
        step(
            "witness",
            of="slope",
            f=write(slope.expression),
            at=write(point),
            sign="< 0" if right else "> 0",
        ),
    )


def _convex(q: Question) -> Iterable[verdict.Verdict]:
    steps: list[Step] = []
    unknown: ends.Undecided | None = None
    for kink in q.slope.kinks:
        try:
            size = _jump(q, kink)
        except (
            ends.Undecided
        ) as reason:  # then it is not shown to be convex, but perhaps not to be so
            unknown = reason
            continue
        here = step("jump", at=write(kink), jump=write(size))
        if size == -sp.oo or (size.is_finite and enclosure.value_at(size, x, sp.S.Zero, 30) < 0):
            yield _proposal(False, here)
            return
        steps.append(here)
    for piece in q.curvature.pieces:
        point = signs.negative_point(piece)
        if point is not None:
            yield _bends_down(piece, point)
            return
    if unknown is None:
        signed = [(piece, ">= 0") for piece in q.curvature.pieces]
        yield from _by_signs("curvature", steps, signed)
    for piece in q.curvature.pieces:
        for point in sign_regions.negative_points(piece):
            yield _bends_down(piece, point)
    if unknown is not None:
        raise unknown


def _bends_down(curvature: pieces.Piece, point: sp.Expr) -> verdict.Verdict:
    return _proposal(
        False,
        step("witness", of="curvature", f=write(curvature.expression), at=write(point), sign="< 0"),
    )


def _jump(q: Question, kink: sp.Expr) -> sp.Expr:
    """g'(kink+) - g'(kink-). A root may hide a kink: sqrt(x^2 + x^4) has one at 0."""
    index = q.slope.kinks.index(kink)
    sides = [
        ends.beside(q.slope.pieces[index + after], kink, 1 if after else -1) for after in (0, 1)
    ]
    if all(value.is_finite for value in sides):
        return shortest(sides[1] - sides[0])
    size = jump(q.loss, kink) if kink in q.loss.derivative.kinks else sides[1] - sides[0]
    if size is sp.nan:
        raise ends.Undecided(f"the slopes beside x = {kink} are not known")
    return size


# --- the two ends


def _zero_forcing(q: Question) -> Iterable[verdict.Verdict]:
    f = q.slope.pieces[0].expression
    for limit in ends.limits(f, -sp.oo):
        here = step("limit", of="slope", f=write(f), end="-oo", limit=write(limit))
        yield _proposal(limit == -sp.oo, here)
    yield _proposal(False, step("bounded", of="slope", f=write(f), end="-oo"))


def _zero_avoiding(q: Question) -> Iterable[verdict.Verdict]:
    f = q.slope.pieces[-1].expression * sp.exp(-x)
    for scale, limit, diverges in ends.comparisons(f):
        here = step(
            "integral",
            of="weighted slope",
            f=write(f),
            scale=write(scale),
            limit=write(limit),
            diverges="true" if diverges else "false",
        )
        falls = diverges and (limit == -sp.oo or limit.is_negative)
        yield _proposal(diverges and not falls, here)


def _bounded_gradient(q: Question) -> Iterable[verdict.Verdict]:
    for kink in q.slope.kinks:
        if (size := _jump(q, kink)) in (sp.oo, -sp.oo):
            yield _proposal(False, step("jump", at=write(kink), jump=write(size)))
            return
    steps = []
    for piece, end in ((q.slope.pieces[0], -sp.oo), (q.slope.pieces[-1], sp.oo)):
        if _oscillates_within_bounds(piece.expression, end):
            text = write(piece.expression)
            steps.append(step("bounded", of="slope", f=text, end=write(end)))
            continue
        limit = next(iter(ends.limits(piece.expression, end)))
        here = step(
            "limit", of="slope", f=write(piece.expression), end=write(end), limit=write(limit)
        )
        if limit.is_infinite:
            yield _proposal(False, here)
            return
        steps.append(here)
    yield _proposal(True, *steps)


def _oscillates_within_bounds(f: sp.Expr, end: sp.Expr) -> bool:
    """There may be no limit, but f stays bounded."""
    try:
        if f.has(*OSCILLATING):
            proofs.prove_bounded(f, x, end)
            return True
    except proofs.Rejected:
        pass
    return False


# --- identities


def _even(q: Question) -> Iterable[verdict.Verdict]:
    yield _identity(q.slope, "odd part", lambda mirrored: mirrored, ())


def _symmetric(q: Question) -> Iterable[verdict.Verdict]:
    """e^{-x/2} g''(x) even, atoms included, and g'(0+) = -g'(0-): then f(t) = t f(1/t)
    (Proposition 6).
    """
    jumps = {kink: _jump(q, kink) for kink in q.slope.kinks}
    steps = [step("jump", at=write(kink), jump=write(size)) for kink, size in jumps.items()]
    for kink, size in jumps.items():
        if (
            size.is_finite
            and constants.equal(sp.exp(-kink / 2) * size, sp.exp(kink / 2) * jumps[-kink]) is False
        ):
            yield _proposal(False, *steps)
            return
    below, above = (
        ends.beside(q.slope.pieces[i], sp.S.Zero, side)
        for i, side in zip(_beside_zero(q.slope), (-1, 1))
    )
    if below.is_finite and above.is_finite and constants.equal(below, -above) is False:
        yield _proposal(
            False,
            step("witness", of="kink at 0", f=write(shortest(below + above)), at="0", sign="!= 0"),
        )
        return
    yield _identity(q.curvature, "asymmetry", lambda mirrored: -sp.exp(x) * mirrored, tuple(steps))


def _beside_zero(function: Pieces) -> tuple[int, int]:
    index = next(i for i, piece in enumerate(function.pieces) if piece.low == 0)
    return index - 1, index


def _identity(function: Pieces, of: str, transform, before: tuple[Step, ...]) -> verdict.Verdict:
    """h(x) + transform(h(-x)) = 0 for all x > 0, or a point where it is not."""
    steps = list(before)
    for piece in function.pieces:
        if ordering.is_less(piece.low, sp.S.Zero):
            continue
        mirrored = next(p for p in function.pieces if p.high == -piece.low)
        difference = piece.expression + transform(mirrored.expression.xreplace({x: -x}))
        far = piece.low + sp.Rational(3, 7) * (1 + piece.low)
        sample = far if piece.high == sp.oo else (piece.low + piece.high) / 2
        for point in (sample, piece.low + (sample - piece.low) / 3):
            ball = balls.ball_at_point(difference, x, point)
            if ball > 0 or ball < 0:
                return _proposal(
                    False, step("witness", of=of, f=write(difference), at=write(point), sign="!= 0")
                )
        steps.append(step("identity", of=of, f=write(difference), **_on(piece)))
    return _proposal(True, *steps)


# The quick ones come first: what one of them leaves of the time, the later ones have.
SEARCHES: Mapping[str, Callable[[Question], Iterable[verdict.Verdict]]] = {
    "zero_forcing": _zero_forcing,
    "zero_avoiding": _zero_avoiding,
    "bounded_gradient": _bounded_gradient,
    "even": _even,
    "symmetric": _symmetric,
    "validity": _valid,
    "convex": _convex,
}
