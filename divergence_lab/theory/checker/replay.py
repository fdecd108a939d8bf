"""Verdicts on a loss without parameters, replayed step by step. Part of the trusted checker.

The stated pieces are checked against the loss, every step is proved by `proofs` (balls and tails),
then the steps together must give the verdict, and its sentence must be what they say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import sympy as sp

from divergence_lab.theory.checker.certificate import claim_of, flaw
from divergence_lab.theory.checker.conclusions import VERDICTS, Part, number, same_point, slopes_at
from divergence_lab.theory.checker.disproofs import prove_no_loss
from divergence_lab.theory.checker.facts import proofs
from divergence_lab.theory.checker.facts.decided import prove_equal, slope_of_integrals
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.families.signs import is_nonnegative
from divergence_lab.theory.checker.sentences import because_of
from divergence_lab.theory.expressions.balls import ball_of_constant
from divergence_lab.theory.expressions.ordering import CannotSplit
from divergence_lab.theory.expressions.parsing import parse
from divergence_lab.theory.expressions.symbols import x
from divergence_lab.theory.expressions.syntax import ExpressionError

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
    """All that can be said of a function without pieces: that it is no loss, by one step.

    The rest is undecided.
    """
    _check_form(kind, verdict)
    if kind != "validity" or verdict["holds"] is None:
        if verdict["holds"] is not None:
            raise Rejected("the pieces of g are missing, so nothing is proved of it")
        check_verdict(kind, verdict, [])
        return
    if (verdict["holds"], verdict["status"], verdict["condition"]) != (
        False,
        "enclosed",
        None,
    ) or len(verdict["steps"]) != 1:
        raise Rejected("without pieces only a no is known, by one step")
    (step,) = verdict["steps"]
    _check_words(step)
    prove_no_loss(loss, step)
    check_sentence(kind, verdict)


# --- reading


@lru_cache(maxsize=5_000)
def _function(text: str) -> sp.Expr:
    return parse(text, x)


def read_parts(entry: Mapping[str, Any]) -> list[Part]:
    """The pieces of the loss, checked: they cover the line, break at 0, equal the loss, join
    continuously, g(0) = 0.

    A loss without a closed form is stated as Integral(...) and given by its slope: g(x) = int_0^x
    of it, so it is continuous and g(0) = 0 as soon as the slope is finite on every piece and
    bounded at the breaks.
    """
    whole = None if "Integral(" in entry["loss"] else _function(entry["loss"])
    parts = [
        Part(
            number(p["low"]),
            number(p["high"]),
            None if whole is None else _function(p["loss"]),
            _function(p["slope"]),
            _function(p["curvature"]),
        )
        for p in entry["pieces"]
    ]
    if (
        not parts
        or parts[0].low != -sp.oo
        or parts[-1].high != sp.oo
        or sp.S.Zero not in [p.low for p in parts]
        or any(p.high.is_infinite for p in parts[:-1])
    ):
        raise Rejected("the pieces do not cover the line with a break at 0")
    for p, after in zip(parts, [*parts[1:], None]):
        if (
            p.low.is_finite
            and p.high.is_finite
            and not ball_of_constant(p.low) < ball_of_constant(p.high)
        ):
            raise Rejected(f"the piece ({p.low}, {p.high}) is empty")
        if after is not None and not same_point(p.high, after.low):
            raise Rejected(f"the pieces leave a gap between {p.high} and {after.low}")
        proofs.prove_zero(sp.diff(p.slope, x) - p.curvature, x, p.low, p.high)
        if whole is None:
            prove_equal(slope_of_integrals(entry["loss"], x), p.slope, x, p.low, p.high)
            proofs.prove_finite(p.slope, x, p.low, p.high)
            limits = [
                proofs.limit_of(p.slope, x, end, side)
                for end, side in ((p.low, 1), (p.high, -1))
                if end.is_finite
            ]
            if any(limit is not None and not limit.is_finite for limit in limits):
                raise Rejected(f"the slope is not bounded beside {p.low} or {p.high}")
            continue
        prove_equal(whole, p.loss, x, p.low, p.high)
        proofs.prove_zero(sp.diff(p.loss, x) - p.slope, x, p.low, p.high)
        proofs.prove_finite(p.loss, x, p.low, p.high)
        if after is not None:
            ends = [
                proofs.limit_of(f, x, p.high, side) for f, side in ((p.loss, -1), (after.loss, 1))
            ]
            if (
                None in ends
                or not all(e.is_finite for e in ends)
                or not proofs.equal_constants(*ends)
            ):
                raise Rejected(f"g is not continuous at {p.high}")
            if p.high == 0 and not proofs.equal_constants(ends[0], sp.S.Zero):
                raise Rejected("g(0) is not 0")
    return parts


# --- verdicts


def check_verdict(kind: str, verdict: Mapping[str, Any], parts: Sequence[Part]) -> None:
    """Prove every step and the conclusion. Undecided verdicts claim nothing. Raises Rejected."""
    _check_form(kind, verdict)
    if verdict["condition"] is not None:
        raise Rejected("there are no parameters that a condition could speak of")
    if verdict["holds"] is None:
        if verdict["status"] != "undecided" or verdict["steps"]:
            raise Rejected("an undecided verdict must not carry a proof")
        return
    if verdict["holds"] not in (True, False) or verdict["status"] not in ("proved", "enclosed"):
        raise Rejected("the verdict is neither yes nor no, or has no such status")
    steps = verdict["steps"]
    for position, step in enumerate(steps):
        try:
            _check_words(step)
            RULES[step["rule"]](step, parts)
        except Rejected as reason:
            raise Rejected(f"step {position + 1} ({step['rule']}): {reason}") from None
    if verdict["status"] != (status := status_of(steps, parts)):
        raise Rejected(f"the verdict is {status}, not {verdict['status']}")
    VERDICTS[kind](verdict["holds"], steps, parts)
    check_sentence(kind, verdict)


def status_of(steps: Sequence[Mapping[str, str]], parts: Sequence[Part]) -> str:
    """ "enclosed" where a step rests on balls: a value at a point, or a sign that is not seen
    symbolically; else "proved".
    """
    return "enclosed" if any(_is_enclosed(step, parts) for step in steps) else "proved"


def _is_enclosed(step: Mapping[str, str], parts: Sequence[Part]) -> bool:
    if step["rule"] == "sign":
        part, f = _part_of(step, parts), _function(step["f"])
        return not _is_seen(f if step["sign"] == ">= 0" else -f, part)
    return step["rule"] == "witness" and step["of"] != "kink at 0"


def _is_seen(f: sp.Expr, part: Part) -> bool:
    """f >= 0 on the piece as its terms and factors show, with x or e^x written by a positive
    symbol over it.
    """
    if proofs.structural_sign(f, x, part.low, part.high) == 1:
        return True
    ends = (part.low, part.high), (sp.exp(part.low), sp.exp(part.high))
    forms = [f.xreplace({x: over(*ends[0])})]
    if (in_powers := sp.powsimp(sp.expand(f.rewrite(sp.exp))).subs(sp.exp(x), over(*ends[1]))).has(
        x
    ) is False:
        forms.append(in_powers)
    return any(is_nonnegative(form) for form in forms)


def over(low: sp.Expr, high: sp.Expr) -> sp.Expr:
    """Every number of (low, high), by one positive symbol."""
    if low == -sp.oo:
        return high - _Y
    return low + _Y if high == sp.oo else low + (high - low) / (1 + _Y)


_Y = sp.Symbol("~y", positive=True)


def _check_form(kind: str, verdict: Mapping[str, Any]) -> None:
    if (found := flaw(kind, verdict)) is not None:
        raise Rejected(found)


def check_sentence(kind: str, verdict: Mapping[str, Any]) -> None:
    """A decided verdict says what its steps say, and nothing else."""
    if verdict["because"] != because_of(
        kind, verdict["holds"], verdict["condition"], verdict["steps"]
    ):
        raise Rejected("because is not what the steps say")


def _check_words(step: Mapping[str, str]) -> None:
    data = {key: value for key, value in step.items() if key not in ("rule", "claim")}
    if step.get("claim") != claim_of(step["rule"], data):
        raise Rejected("its words do not fit its data")


def _part_of(step: Mapping[str, str], parts: Sequence[Part]) -> Part:
    """The piece whose interval the step names."""
    for part in parts:
        if same_point(part.low, number(step["low"])) and same_point(
            part.high, number(step["high"])
        ):
            return part
    raise Rejected(f"({step['low']}, {step['high']}) is not a piece of the loss")


def _subject(of: str, part: Part, parts: Sequence[Part]) -> sp.Expr:
    """The function that `of` names, on the piece."""
    if of == "slope":
        return part.slope
    if of == "curvature":
        return part.curvature
    if of == "weighted slope":
        return part.slope * sp.exp(-x)
    mirrored = next(
        (p for p in parts if same_point(p.low, -part.high) and same_point(p.high, -part.low)), None
    )
    if mirrored is None:
        raise Rejected(f"the piece ({part.low}, {part.high}) has no mirror image among the pieces")
    if of == "odd part":
        return part.slope + mirrored.slope.xreplace({x: -x})
    if of == "asymmetry":
        return part.curvature - sp.exp(x) * mirrored.curvature.xreplace({x: -x})
    raise Rejected(f"nothing is called {of}")


def _same(stated: sp.Expr, part: Part, expected: sp.Expr) -> None:
    proofs.prove_zero(stated - expected, x, part.low, part.high)


def _prove_sign(step: Mapping[str, str], parts: Sequence[Part]) -> None:
    part, f = _part_of(step, parts), _function(step["f"])
    _same(f, part, _subject(step["of"], part, parts))
    if step["sign"] not in (">= 0", "<= 0"):
        raise Rejected(f"no sign is written {step['sign']}")
    proofs.prove_nonnegative(f if step["sign"] == ">= 0" else -f, x, part.low, part.high)


def _prove_jump(step: Mapping[str, str], parts: Sequence[Part]) -> None:
    kink, stated = number(step["at"]), number(step["jump"])
    if not any(same_point(kink, p.low) for p in parts):
        raise Rejected(f"{kink} is no break point")
    before, after = slopes_at(kink, parts)
    jump = after - before
    if jump.is_infinite or stated.is_infinite:
        if jump != stated:
            raise Rejected(f"the jump at {kink} is {jump}")
    elif not proofs.equal_constants(jump, stated):
        raise Rejected(f"the jump at {kink} is {jump}")


def _prove_witness(step: Mapping[str, str], parts: Sequence[Part]) -> None:
    f = _function(step["f"])
    if step["of"] == "kink at 0":
        before, after = slopes_at(sp.S.Zero, parts)
        if number(step["at"]) != 0 or not proofs.equal_constants(before + after, f):
            raise Rejected("the slopes at 0 do not add up to this")
    else:
        point = number(step["at"])
        part = next((p for p in parts if _inside(point, p)), None)
        if part is None:
            raise Rejected(f"{point} is inside no piece")
        _same(f, part, _subject(step["of"], part, parts))
    proofs.prove_sign_at(f, x, number(step["at"]), step["sign"].replace(" ", ""))


def _inside(point: sp.Expr, part: Part) -> bool:
    value = ball_of_constant(point)
    return (part.low == -sp.oo or bool(value > ball_of_constant(part.low))) and (
        part.high == sp.oo or bool(value < ball_of_constant(part.high))
    )


def _end_part(end: str, parts: Sequence[Part]) -> Part:
    if end not in ("oo", "-oo"):
        raise Rejected(f"{end} is not an end of the line")
    return parts[-1] if end == "oo" else parts[0]


def _prove_limit(step: Mapping[str, str], parts: Sequence[Part]) -> None:
    part, f = _end_part(step["end"], parts), _function(step["f"])
    _same(f, part, _subject(step["of"], part, parts))
    proofs.prove_limit(f, x, number(step["end"]), number(step["limit"]))


def _prove_integral(step: Mapping[str, str], parts: Sequence[Part]) -> None:
    part, f = parts[-1], _function(step["f"])
    _same(f, part, _subject(step["of"], part, parts))
    scale = _function(step["scale"])
    diverges = {"true": True, "false": False}[step["diverges"]]
    if proofs.integral_diverges(1 / scale, x) is not diverges:
        raise Rejected(f"int^oo 1/({scale}) does not do that")
    proofs.prove_limit(f * scale, x, sp.oo, number(step["limit"]))
    limit = number(step["limit"])
    falls = limit == -sp.oo or (limit.is_finite and bool(ball_of_constant(limit) < 0))
    if proofs.integral_diverges(-f if falls else f, x) is not diverges:
        raise Rejected(f"int^oo {f} does not do that")


def _prove_identity(step: Mapping[str, str], parts: Sequence[Part]) -> None:
    part, f = _part_of(step, parts), _function(step["f"])
    _same(f, part, _subject(step["of"], part, parts))
    proofs.prove_zero(f, x, part.low, part.high)


def _prove_constant(step: Mapping[str, str], parts: Sequence[Part]) -> None:
    part = _part_of(step, parts)
    if step["of"] != "slope":
        raise Rejected("only the slope is said to be constant")
    proofs.prove_zero(part.slope, x, part.low, part.high)


RULES: Mapping[str, Callable[[Mapping[str, str], Sequence[Part]], None]] = {
    "sign": _prove_sign,
    "jump": _prove_jump,
    "witness": _prove_witness,
    "limit": _prove_limit,
    "integral": _prove_integral,
    "identity": _prove_identity,
    "constant": _prove_constant,
}
