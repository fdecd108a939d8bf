"""Verdicts on a loss without parameters, replayed step by step. Part of the trusted checker.

The stated pieces are checked against the loss, every step is proved by its rule, then the steps
together must give the verdict, and its sentence must be what they say.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sympy as sp

from divergence_lab.theory.checker import certificate, sentences
from divergence_lab.theory.checker.facts import decided, proofs, structure
from divergence_lab.theory.checker.facts.parts import Part, read_number, same_point
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.kinds.table import KINDS
from divergence_lab.theory.checker.rules import of_a_loss
from divergence_lab.theory.checker.rules.table import WITHOUT_PIECES
from divergence_lab.theory.expressions import CannotSplit, ExpressionError, x
from divergence_lab.theory.expressions.balls import ball_of_constant, is_finite_constant
from divergence_lab.theory.expressions.points import value_of

# What a document that was tampered with may make of the steps of this checker: a rejection, never a
# crash.
MALFORMED = (
    Rejected,
    ExpressionError,
    CannotSplit,
    LookupError,
    TypeError,
    AttributeError,
    ValueError,
    ArithmeticError,
    NotImplementedError,
    StopIteration,
    RecursionError,
    sp.PolynomialError,
)


def check_without_pieces(kind: str, verdict: Mapping[str, Any], loss: str) -> None:
    """What is said of a function without pieces: of one that is no loss, by its formula
    (Proposition 25). The kind of the verdict says whether the steps, each proved, give it.
    """
    check_form(kind, verdict)
    if verdict["holds"] is None:
        check_verdict(kind, verdict, [])
        return
    if (verdict["status"], verdict["condition"]) != ("enclosed", None) or not verdict["steps"]:
        raise Rejected("without pieces an answer is enclosed, without a condition, by its steps")
    prove_of_formula(loss, verdict["steps"])
    check_sentence(kind, verdict)


def prove_of_formula(loss: str, steps: Sequence[Mapping[str, str]]) -> None:
    """Each step holds of the formula, given as text. Raises Rejected."""
    if "Integral(" in loss:
        raise Rejected("g is given by its slope alone")
    g = of_a_loss.read_function(loss)
    for step in steps:
        if step["rule"] not in WITHOUT_PIECES:
            raise Rejected(f"{step['rule']} is a rule about pieces, and there are none")
        certificate.check_words(step)
        WITHOUT_PIECES[step["rule"]].replay(step, g)


# --- reading


def read_parts(entry: Mapping[str, Any]) -> list[Part]:
    """The pieces of the loss, checked: they cover the line, break at 0, equal the loss, join
    continuously, g(0) = 0.

    A loss without a closed form is stated as Integral(...) and given by its slope: g(x) = int_0^x
    of it, so it is continuous and g(0) = 0 as soon as the slope is finite on every piece and
    bounded at the breaks.
    """
    whole = None if "Integral(" in entry["loss"] else of_a_loss.read_function(entry["loss"])
    parts = [
        Part(
            read_number(p["low"]),
            read_number(p["high"]),
            None if whole is None else of_a_loss.read_function(p["loss"]),
            of_a_loss.read_function(p["slope"]),
            of_a_loss.read_function(p["curvature"]),
        )
        for p in entry["pieces"]
    ]
    _check_cover(parts)
    for part, after in zip(parts, [*parts[1:], None]):
        _check_ends(part, after)
        proofs.prove_zero(sp.diff(part.slope, x) - part.curvature, x, part.low, part.high)
        if whole is not None:
            _check_piece(whole, part)
            if after is not None:
                _check_continuity(whole, part, after)
    if whole is None:
        _check_integrals(entry["loss"], parts)
    return parts


def _check_cover(parts: Sequence[Part]) -> None:
    if (
        not parts
        or parts[0].low != -sp.oo
        or parts[-1].high != sp.oo
        or sp.S.Zero not in [p.low for p in parts]
        or any(p.high.is_infinite for p in parts[:-1])
    ):
        raise Rejected("the pieces do not cover the line with a break at 0")


def _check_ends(part: Part, after: Part | None) -> None:
    if (
        -sp.oo != part.low
        and part.high != sp.oo
        and not ball_of_constant(part.low) < ball_of_constant(part.high)
    ):
        raise Rejected(f"the piece ({part.low}, {part.high}) is empty")
    if after is not None and not same_point(part.high, after.low):
        raise Rejected(f"the pieces leave a gap between {part.high} and {after.low}")


def _check_integrals(loss: str, parts: Sequence[Part]) -> None:
    """A loss that is written in integrals is int_0^x of the slopes of its pieces: on each it is a
    chain of integrals from 0 to x. The slopes are finite there, and bounded at the ends.
    """
    g, integrals = decided.read_integrals(loss, x)
    first = next(place for place, part in enumerate(parts) if part.low == 0)
    for place, part in enumerate(parts):
        _check_slope(part)
        terms = sp.Add.make_args(decided.decided(g, x, part.low, part.high))
        if any(term not in integrals for term in terms):
            raise Rejected(f"{loss} is more than integrals from {part.low} to {part.high}")
        way = parts[first : place + 1] if place >= first else parts[place:first][::-1]
        _check_chain([integrals[term] for term in terms], way)


def _check_chain(chain: list[decided.Integrated], way: Sequence[Part]) -> None:
    """Integrals, one after the other, over the pieces from 0 outwards; the last one goes to x."""
    current = None
    for part in way:
        start = part.low if part.low == 0 or ball_of_constant(part.low) > 0 else part.high
        if current is None or (current.high is not None and same_point(current.high, start)):
            current = next((one for one in chain if same_point(one.low, start)), None)
            if current is None:
                raise Rejected(f"no integral of the loss begins at {start}")
            chain.remove(current)
        decided.prove_equal(current.slope, part.slope, x, part.low, part.high)
    if chain or current is None or current.high is not None:
        raise Rejected("the integrals of the loss do not lead from 0 to x")


def _check_slope(part: Part) -> None:
    """The slope is finite on the piece, and bounded at its ends."""
    proofs.prove_finite(part.slope, x, part.low, part.high)
    limits = [
        proofs.limit_of(part.slope, x, end, side)
        for end, side in ((part.low, 1), (part.high, -1))
        if end not in (sp.oo, -sp.oo)
    ]
    if any(limit is not None and not is_finite_constant(limit) for limit in limits):
        raise Rejected(f"the slope is not bounded beside {part.low} or {part.high}")


def _check_piece(whole: sp.Expr, part: Part) -> None:
    decided.prove_equal(whole, part.loss, x, part.low, part.high)
    proofs.prove_zero(sp.diff(part.loss, x) - part.slope, x, part.low, part.high)
    proofs.prove_finite(part.loss, x, part.low, part.high)
    for end, side in ((part.low, 1), (part.high, -1)):
        if not end.is_infinite:
            _need_no_oscillation(part.loss, end, side)


def _need_no_oscillation(g: sp.Expr, end: sp.Expr, side: int) -> None:
    """No sine of what tends to oo beside a finite point: x sin(1/x) is continued by 0, but is not
    of bounded variation.
    """
    for e in g.atoms(*structure.OSCILLATING):
        limit = proofs.limit_of(e.args[0], x, end, side)
        if limit is None or not limit.is_finite:
            raise Rejected(f"g oscillates beside {end}")


def _check_continuity(whole: sp.Expr, part: Part, after: Part) -> None:
    """g has one limit from both sides, and where the formula has a value it is that: else g is
    continued there.
    """
    ends = [
        proofs.limit_of(f, x, part.high, side) for f, side in ((part.loss, -1), (after.loss, 1))
    ]
    if (
        None in ends
        or not all(is_finite_constant(e) for e in ends)
        or not proofs.equal_constants(*ends)
    ):
        raise Rejected(f"g is not continuous at {part.high}")
    value = value_of(whole, x, part.high)
    if value is not None and not proofs.equal_constants(value, ends[0]):
        raise Rejected(f"g has a value of its own at {part.high}")
    if part.high == 0 and not proofs.equal_constants(ends[0], sp.S.Zero):
        raise Rejected("g(0) is not 0")


# --- verdicts


def check_verdict(kind: str, verdict: Mapping[str, Any], parts: Sequence[Part]) -> None:
    """Prove every step and the conclusion. Undecided verdicts claim nothing. Raises Rejected."""
    check_form(kind, verdict)
    if verdict["condition"] is not None:
        raise Rejected("there are no parameters that a condition could speak of")
    if verdict["holds"] is None:
        if verdict["status"] != "undecided" or verdict["steps"]:
            raise Rejected("an undecided verdict must not carry a proof")
        return
    if verdict["holds"] not in (True, False) or verdict["status"] not in ("proved", "enclosed"):
        raise Rejected("the verdict is neither yes nor no, or has no such status")
    steps = verdict["steps"]
    for number, step in enumerate(steps, 1):
        with _in_step(number, step):
            certificate.check_words(step)
    prove_answer(kind, verdict["holds"], steps, parts)
    if verdict["status"] != (status := status_of(steps, parts)):
        raise Rejected(f"the verdict is {status}, not {verdict['status']}")
    check_sentence(kind, verdict)


def prove_answer(
    kind: str, holds: bool, steps: Sequence[Mapping[str, str]], parts: Sequence[Part]
) -> None:
    """Every step holds, and they give the answer, whatever the words. Raises Rejected."""
    for number, step in enumerate(steps, 1):
        with _in_step(number, step):
            of_a_loss.OF_A_LOSS[step["rule"]].replay(step, parts)
    KINDS[kind].conclude(holds, steps, parts)


@contextlib.contextmanager
def _in_step(number: int, step: Mapping[str, str]) -> Iterator[None]:
    try:
        yield
    except Rejected as reason:
        raise Rejected(f"step {number} ({step['rule']}): {reason}") from None


def status_of(steps: Sequence[Mapping[str, str]], parts: Sequence[Part]) -> str:
    """ "enclosed" where a step rests on balls: a value at a point, or a sign that is not seen
    symbolically; else "proved".
    """
    enclosed = any(of_a_loss.OF_A_LOSS[step["rule"]].is_enclosed(step, parts) for step in steps)
    return "enclosed" if enclosed else "proved"


def check_form(kind: str, verdict: Mapping[str, Any]) -> None:
    """The verdict is well formed, and its seal fits. Raises Rejected."""
    if (reason := certificate.flaw(kind, verdict)) is not None:
        raise Rejected(reason)


def check_sentence(kind: str, verdict: Mapping[str, Any]) -> None:
    """A decided verdict says what its steps say, and nothing else."""
    if verdict["because"] != sentences.because_of(
        kind, verdict["holds"], verdict["condition"], verdict["steps"]
    ):
        raise Rejected("because is not what the steps say")
