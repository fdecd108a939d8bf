"""The verdicts on a loss, each with its reason and its proof: valid, convex, zero-forcing,
zero-avoiding, ...

    zero-forcing   <=>  f(0+) = oo    <=>  g'(x) -> -oo as x -> -oo                 (Proposition 3)
    zero-avoiding  <=>  f'(oo) = oo   <=>  int_0^oo g'(x) e^{-x} dx = oo            (Proposition 3)

This room searches: SymPy's limits and simplifications, samples, guesses. What it proposes is shown
only after the checker, which shares no code with it, has proved it from balls and tails. Answers
are three-valued; what could not be proved is undecided and says why.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import sympy as sp

from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, clock
from divergence_lab.theory.checker.certificate import Step, cites, seal, step
from divergence_lab.theory.checker.facts.parts import Part, read_number
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.kinds import table
from divergence_lab.theory.checker.replay import check_verdict, read_parts, status_of
from divergence_lab.theory.checker.sentences import because_of
from divergence_lab.theory.divergence.domain import Fault, fault
from divergence_lab.theory.divergence.loss import Loss, jump
from divergence_lab.theory.expressions import constants
from divergence_lab.theory.expressions.enclosure import NotEvaluable, value_at
from divergence_lab.theory.expressions.ordering import CannotSplit, is_less, with_mirror_images
from divergence_lab.theory.expressions.pieces import Piece, Pieces
from divergence_lab.theory.expressions.printing import write
from divergence_lab.theory.expressions.symbols import x
from divergence_lab.theory.expressions.syntax import ExpressionError
from divergence_lab.theory.verdicts import boundary, signs
from divergence_lab.theory.verdicts.boundary import Undecided
from divergence_lab.theory.verdicts.far_slope import slope_at_infinity
from divergence_lab.theory.verdicts.no_loss import why_no_loss
from divergence_lab.theory.verdicts.sign_regions import negative_points

PROVED, ENCLOSED, UNDECIDED = "proved", "enclosed", "undecided"
# The kinds that have a proof of their own.
KINDS = tuple(name for name, kind in table.KINDS.items() if kind.proved_as is None)
# They are asked in this order, the quick ones first: what one of them leaves of the time, the later
# ones have.
QUICK_FIRST = (
    "zero_forcing",
    "zero_avoiding",
    "bounded_gradient",
    "even",
    "symmetric",
    "validity",
    "convex",
)


@dataclass(frozen=True)
class Verdict:
    """`holds`: True, False, or None (undecided, or it depends on parameters: then `condition` says
    when).

    `status`: "proved" (symbolic), "enclosed" (interval arithmetic) or "undecided"; `because`: one
    sentence; `steps`: the proof.
    """

    holds: bool | None
    status: str
    because: str
    condition: str | None = None
    steps: tuple[Step, ...] = ()

    def __bool__(self) -> bool:
        if self.holds is None:
            raise ValueError(
                f"this verdict is not a plain yes or no ({self.because}); look at .holds "
                "and .condition"
            )
        return self.holds


@dataclass(frozen=True)
class Verdicts:
    """All verdicts on one loss, and f(0+), f'(oo), g''(0) where they are known exactly.

    `valid`: g(0) = 0, g falls before 0 and rises after it. `pieces`: g split at its kinks, their
    mirror images and 0, as every proof refers to them.
    """

    valid: Verdict
    convex: Verdict
    zero_forcing: Verdict
    zero_avoiding: Verdict
    symmetric: Verdict
    even: Verdict
    bounded_gradient: Verdict
    f_at_zero: sp.Expr | None
    slope_at_infinity: sp.Expr | None
    curvature_at_zero: sp.Expr | None
    pieces: tuple[dict[str, str], ...] = ()


def cites_of(kind: str, verdict: Verdict) -> list[str]:
    """The propositions that the proof of a verdict of this kind rests on: ["P3", "P16"]; none
    for an undecided one.
    """
    return cites(kind, _as_data(verdict))


def in_words(kind: str, verdict: Verdict) -> Verdict:
    """A decided verdict with the sentence that its steps give, as the checker writes it."""
    return dataclasses.replace(
        verdict, because=because_of(kind, verdict.holds, verdict.condition, _as_data(verdict))
    )


def _as_data(verdict: Verdict) -> list[dict[str, str]]:
    return [{"rule": s.rule, **dict(s.data)} for s in verdict.steps]


def verdict_to_json(verdict: Verdict, kind: str) -> dict:
    """The VERDICT object of the contract, with the propositions it rests on and a seal over its
    content.
    """
    content = {
        "holds": verdict.holds,
        "condition": verdict.condition,
        "status": verdict.status,
        "because": verdict.because,
        "steps": [{"rule": s.rule, "claim": s.claim, **dict(s.data)} for s in verdict.steps],
    }
    content["cites"] = cites_of(kind, verdict)
    return {**content, "seal": seal(content)}


def decide_plain(loss: Loss, generator: sp.Expr | None = None, budget: float = 20.0) -> Verdicts:
    """Every verdict on a loss without free parameters, each question within `budget` processor
    seconds.

    `generator` is the confirmed closed form of f if there is one; only the number f'(oo) is read
    off it.
    """
    found = {kind: ask_one(kind, loss, budget) for kind in KINDS}
    return Verdicts(
        *(found[kind] for kind in KINDS),
        *numbers(loss, generator, found["zero_forcing"], found["zero_avoiding"], budget),
        texts_of_pieces(loss),
    )


def ask_one(kind: str, loss: Loss, budget: float = 20.0) -> Verdict:
    """One verdict (of KINDS) on a loss without parameters."""
    question = _prepared(loss)
    if isinstance(question, Verdict):
        return question
    if isinstance(question, Fault):
        shown = why_no_loss(loss, question) if kind == "validity" else None
        return (
            _undecided(
                "nothing is claimed of a function that may not be finite and "
                f"continuous: {question.what}"
            )
            if shown is None
            else in_words(kind, _no(ENCLOSED, shown))
        )
    return question.ask(kind, SEARCHES[kind], budget)


def texts_of_pieces(loss: Loss) -> tuple[dict[str, str], ...]:
    """g split at its kinks, their mirror images and 0, as the certificates state it; none where
    that is not confirmed.
    """
    question = _prepared(loss)
    return question.texts if isinstance(question, _Question) else ()


def numbers(
    loss: Loss, generator: sp.Expr | None, forcing: Verdict, avoiding: Verdict, budget: float
) -> tuple[sp.Expr | None, sp.Expr | None, sp.Expr | None]:
    """f(0+) = -g'(-oo), as the certificate of zero-forcing says it, f'(oo) and g''(0), where
    they are known.
    """
    if not isinstance(_prepared(loss), _Question):
        return None, None, None
    at_zero, _, _ = known_ends(forcing, avoiding)
    falls = avoiding.holds is False and dict(avoiding.steps[0].data)["diverges"] == "true"
    slope = (
        -sp.oo if falls else slope_at_infinity(loss, generator, avoiding.holds, clock() + budget)
    )
    return at_zero, slope, boundary.curvature_at_zero(loss)


def known_ends(forcing: Verdict, avoiding: Verdict) -> tuple[sp.Expr | None, sp.Expr | None, None]:
    """f(0+) and f'(oo) as far as the certificates of these verdicts say them, without any
    search.
    """
    steps = dict(forcing.steps[0].data) if forcing.holds is not None and forcing.steps else {}
    return (
        -_limit_of(forcing) if "limit" in steps else None,
        sp.oo if avoiding.holds else None,
        None,
    )


@functools.lru_cache(maxsize=16)
def _prepared(loss: Loss) -> _Question | Fault | Verdict:
    """The loss ready for questions, its pieces confirmed by the checker; or what is wrong with
    it, or an undecided verdict.
    """
    try:
        broken = fault(loss)
        if broken is not None:
            return broken
        pieces = refine(loss.pieces)
        slopes = refine(loss.derivative) if loss.slope is not None else pieces.derivative()
        try:
            return _question(loss, pieces, signs.tidy(slopes), signs.tidy(slopes.derivative()))
        except (
            Rejected
        ):  # the checker does not follow the tidier form: as they were differentiated, then
            return _question(loss, pieces, slopes, slopes.derivative())
    except (Rejected, ExpressionError, OutOfTime, NotEvaluable) as reason:
        return _undecided(f"the pieces of g could not be confirmed: {reason}")


def _question(loss: Loss, pieces: Pieces, slope: Pieces, curvature: Pieces) -> _Question:
    texts = tuple(_piece_texts(pieces, slope, curvature))
    return _Question(
        loss, slope, curvature, read_parts({"loss": write(loss.expression), "pieces": texts}), texts
    )


def refine(pieces: Pieces) -> Pieces:
    """The pieces broken at 0 as well, and at the mirror image of every kink."""
    ends = [-sp.oo, *with_mirror_images(pieces.kinks), sp.oo]
    refined = []
    for low, high in itertools.pairwise(ends):
        home = next(
            p
            for p in pieces.pieces
            if not is_less(low, p.low)
            and (p.high == sp.oo or (high != sp.oo and not is_less(p.high, high)))
        )
        refined.append(Piece(low, high, home.expression))
    return Pieces(tuple(refined), pieces.variable)


def _piece_texts(pieces: Pieces, slopes: Pieces, curvatures: Pieces) -> Iterable[dict[str, str]]:
    for g, slope, curvature in zip(pieces.pieces, slopes.pieces, curvatures.pieces):
        yield {
            "low": write(g.low),
            "high": write(g.high),
            "loss": None if g.expression.has(sp.Integral) else write(g.expression),
            "slope": write(slope.expression),
            "curvature": write(curvature.expression),
        }


def _undecided(because: str) -> Verdict:
    return Verdict(None, UNDECIDED, because)


@dataclass(frozen=True)
class _Question:
    """One loss under questioning: its slope and curvature by piece, and what the checker made of
    the pieces.
    """

    loss: Loss
    slope: Pieces
    curvature: Pieces
    parts: list[Part]
    texts: tuple[dict[str, str], ...]

    def ask(
        self, kind: str, search: Callable[[_Question, float], Iterable[Verdict]], budget: float
    ) -> Verdict:
        """The first proposal of the search that the checker proves."""
        reasons = []
        try:
            for proposal in search(self, clock() + budget):
                try:
                    proposal = in_words(
                        kind,
                        dataclasses.replace(
                            proposal, status=status_of(_as_data(proposal), self.parts)
                        ),
                    )
                    check_verdict(kind, verdict_to_json(proposal, kind), self.parts)
                    return proposal
                except (Rejected, ExpressionError) as reason:
                    reasons.append(f"a proof was proposed but not verified: {reason}")
        except (Undecided, OutOfTime, SearchFailed, CannotSplit, NotEvaluable) as reason:
            reasons.append(str(reason) or "the processor time for it was over")
        return _undecided("; ".join(dict.fromkeys(reasons)) or "no proof was found")

    def sides(self, function: Pieces) -> list[tuple[Piece, bool]]:
        """Each piece, and whether it lies right of 0."""
        return [(piece, not is_less(piece.low, sp.S.Zero)) for piece in function.pieces]


def _yes(status: str, *steps: Step) -> Verdict:
    """A proposal: its sentence is written from its steps when the checker has accepted them."""
    return Verdict(True, status, "", steps=steps)


def _no(status: str, *steps: Step) -> Verdict:
    return Verdict(False, status, "", steps=steps)


def _on(piece: Piece) -> dict[str, str]:
    return {"low": write(piece.low), "high": write(piece.high)}


def _limit_of(verdict: Verdict) -> sp.Expr:
    return read_number(dict(verdict.steps[0].data)["limit"])


# --- does g fall and rise?


def _valid(q: _Question, deadline: float) -> Iterable[Verdict]:
    steps, status = [], PROVED
    for piece, right in q.sides(q.slope):
        if piece.expression == 0 and 0 in (piece.low, piece.high):
            yield _no(PROVED, step("constant", of="slope", **_on(piece)))
            return
        found = signs.nonnegative(_outwards(piece, right))
        if found.holds is False:
            yield _falls_back(piece, right, found.witness)
            return
        status = status if found.holds else ENCLOSED
        steps.append(
            step(
                "sign",
                of="slope",
                f=write(piece.expression),
                **_on(piece),
                sign=">= 0" if right else "<= 0",
            )
        )
    yield _yes(status, *steps)
    for piece, right in q.sides(
        q.slope
    ):  # that was not proved: perhaps it is not so, in a narrow place or far out
        for point in negative_points(_outwards(piece, right)):
            yield _falls_back(piece, right, point)


def _outwards(slope: Piece, right: bool) -> Piece:
    """g' as it must not be negative: itself right of 0, -g' left of it."""
    return slope if right else Piece(slope.low, slope.high, -slope.expression)


def _falls_back(slope: Piece, right: bool, point: sp.Expr) -> Verdict:
    return _no(
        ENCLOSED,
        step(
            "witness",
            of="slope",
            f=write(slope.expression),
            at=write(point),
            sign="< 0" if right else "> 0",
        ),
    )


def _convex(q: _Question, deadline: float) -> Iterable[Verdict]:
    steps, status = [], PROVED
    for kink in q.slope.kinks:
        size = _jump(q, kink)
        here = step("jump", at=write(kink), jump=write(size))
        if size.is_negative or (size.is_finite and value_at(size, x, sp.S.Zero, 30) < 0):
            yield _no(PROVED, here)
            return
        steps.append(here)
    for piece in q.curvature.pieces:
        found = signs.nonnegative(piece)
        if found.holds is False:
            yield _bends_down(piece, found.witness)
            return
        status = status if found.holds else ENCLOSED
        steps.append(
            step("sign", of="curvature", f=write(piece.expression), **_on(piece), sign=">= 0")
        )
    yield _yes(status, *steps)
    for piece in q.curvature.pieces:
        for point in negative_points(piece):
            yield _bends_down(piece, point)


def _bends_down(curvature: Piece, point: sp.Expr) -> Verdict:
    return _no(
        ENCLOSED,
        step("witness", of="curvature", f=write(curvature.expression), at=write(point), sign="< 0"),
    )


def _jump(q: _Question, kink: sp.Expr) -> sp.Expr:
    """g'(kink+) - g'(kink-). A root may hide a kink: sqrt(x^2 + x^4) has one at 0."""
    index = q.slope.kinks.index(kink)
    sides = [
        boundary.beside(q.slope.pieces[index + after], kink, 1 if after else -1) for after in (0, 1)
    ]
    if all(value.is_finite for value in sides):
        return sp.simplify(sides[1] - sides[0])
    size = jump(q.loss, kink) if kink in q.loss.derivative.kinks else sides[1] - sides[0]
    if size is sp.nan:
        raise Undecided(f"the slopes beside x = {kink} are not known")
    return size


# --- the two ends


def _zero_forcing(q: _Question, deadline: float) -> Iterable[Verdict]:
    f = q.slope.pieces[0].expression
    for limit in boundary.limits(f, -sp.oo, deadline):
        here = step("limit", of="slope", f=write(f), end="-oo", limit=write(limit))
        yield Verdict(limit == -sp.oo, PROVED, "", steps=(here,))


def _zero_avoiding(q: _Question, deadline: float) -> Iterable[Verdict]:
    f = q.slope.pieces[-1].expression * sp.exp(-x)
    for scale, limit, diverges in boundary.comparisons(f, deadline):
        here = step(
            "integral",
            of="weighted slope",
            f=write(f),
            scale=write(scale),
            limit=write(limit),
            diverges="true" if diverges else "false",
        )
        falls = diverges and (limit == -sp.oo or limit.is_negative)
        yield Verdict(diverges and not falls, PROVED, "", steps=(here,))


def _bounded_gradient(q: _Question, deadline: float) -> Iterable[Verdict]:
    for kink in q.slope.kinks:
        if _jump(q, kink) == sp.oo:
            yield _no(PROVED, step("jump", at=write(kink), jump="oo"))
            return
    steps = []
    for piece, end in ((q.slope.pieces[0], -sp.oo), (q.slope.pieces[-1], sp.oo)):
        limit = next(iter(boundary.limits(piece.expression, end, deadline)))
        here = step(
            "limit", of="slope", f=write(piece.expression), end=write(end), limit=write(limit)
        )
        if limit.is_infinite:
            yield _no(PROVED, here)
            return
        steps.append(here)
    yield _yes(PROVED, *steps)


# --- identities


def _even(q: _Question, deadline: float) -> Iterable[Verdict]:
    yield _identity(q.slope, "odd part", lambda mirrored: mirrored, ())


def _symmetric(q: _Question, deadline: float) -> Iterable[Verdict]:
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
            yield _no(PROVED, *steps)
            return
    below, above = (
        boundary.beside(q.slope.pieces[i], sp.S.Zero, side)
        for i, side in zip(_beside_zero(q.slope), (-1, 1))
    )
    if below.is_finite and above.is_finite and constants.equal(below, -above) is False:
        yield _no(
            PROVED,
            step(
                "witness", of="kink at 0", f=write(sp.simplify(below + above)), at="0", sign="!= 0"
            ),
        )
        return
    yield _identity(q.curvature, "asymmetry", lambda mirrored: -sp.exp(x) * mirrored, tuple(steps))


def _beside_zero(function: Pieces) -> tuple[int, int]:
    index = next(i for i, piece in enumerate(function.pieces) if piece.low == 0)
    return index - 1, index


def _identity(function: Pieces, of: str, transform, before: tuple[Step, ...]) -> Verdict:
    """h(x) + transform(h(-x)) = 0 for all x > 0, or a point where it is not."""
    steps = list(before)
    for piece in function.pieces:
        if is_less(piece.low, sp.S.Zero):
            continue
        mirrored = next(p for p in function.pieces if p.high == -piece.low)
        difference = piece.expression + transform(mirrored.expression.xreplace({x: -x}))
        sample = (
            piece.low + sp.Rational(3, 7) if piece.high == sp.oo else (piece.low + piece.high) / 2
        )
        for point in (sample, piece.low + (sample - piece.low) / 3):
            ball = value_at(difference, x, point, 30)
            if ball > 0 or ball < 0:
                return _no(
                    ENCLOSED,
                    step("witness", of=of, f=write(difference), at=write(point), sign="!= 0"),
                )
        steps.append(step("identity", of=of, f=write(difference), **_on(piece)))
    return _yes(PROVED, *steps)


SEARCHES: dict[str, Callable] = {
    "validity": _valid,
    "convex": _convex,
    "zero_forcing": _zero_forcing,
    "zero_avoiding": _zero_avoiding,
    "symmetric": _symmetric,
    "even": _even,
    "bounded_gradient": _bounded_gradient,
}
