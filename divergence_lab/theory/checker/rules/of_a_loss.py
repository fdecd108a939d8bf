"""Rules on a loss without parameters, by its confirmed pieces. Part of the trusted checker."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import sympy as sp

from divergence_lab.theory.checker.facts import proofs, structure
from divergence_lab.theory.checker.facts.parts import Part, read_number, same_point, slopes_at
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.families import ranges, signs
from divergence_lab.theory.checker.rules.rule import (
    RELATIONS,
    Data,
    Rule,
    by_name,
    function_latex,
    interval_latex,
    keys,
    number_latex,
    sign_in_words,
)
from divergence_lab.theory.expressions import parse, x
from divergence_lab.theory.expressions.balls import ball_of_constant

Parts = Sequence[Part]


# --- what a step speaks of


@dataclass(frozen=True)
class Derived:
    """A function derived from the loss: in words, in LaTeX, and on a piece. `of_both`: it compares
    the piece with its mirror image.
    """

    words: str
    latex: str
    of_one: Callable[[Part], sp.Expr] | None = None
    of_both: Callable[[Part, Part], sp.Expr] | None = None


# What `of` may name.
SUBJECTS = {
    "slope": Derived("g'(x)", "g'(x)", lambda part: part.slope),
    "curvature": Derived("g''(x)", "g''(x)", lambda part: part.curvature),
    "weighted slope": Derived(
        "g'(x) e^(-x)", "g'(x)\\,e^{-x}", lambda part: part.slope * sp.exp(-x)
    ),
    "odd part": Derived(
        "g'(x) + g'(-x)",
        "g'(x) + g'(-x)",
        of_both=lambda part, mirrored: part.slope + mirrored.slope.xreplace({x: -x}),
    ),
    "asymmetry": Derived(
        "g''(x) - e^x g''(-x)",
        "g''(x) - e^{x} g''(-x)",
        of_both=lambda part, mirrored: (
            part.curvature - sp.exp(x) * mirrored.curvature.xreplace({x: -x})
        ),
    ),
    "kink at 0": Derived("g'(0+) + g'(0-)", "g'(0^+) + g'(0^-)"),
}


def _words(step: Data) -> str:
    """g'(x) = exp(x) - 1"""
    return f"{SUBJECTS[step['of']].words} = {step['f']}"


def _latex(step: Data) -> str:
    return f"{SUBJECTS[step['of']].latex} = {function_latex(step['f'])}"


def _subject(of: str, part: Part, parts: Parts) -> sp.Expr:
    """The function that `of` names, on the piece."""
    subject = SUBJECTS[of]
    if subject.of_one is not None:
        return subject.of_one(part)
    mirrored = next(
        (p for p in parts if same_point(p.low, -part.high) and same_point(p.high, -part.low)), None
    )
    if mirrored is None:
        raise Rejected(f"the piece ({part.low}, {part.high}) has no mirror image among the pieces")
    if subject.of_both is None:
        raise Rejected(f"nothing is called {of}")
    return subject.of_both(part, mirrored)


@lru_cache(maxsize=5_000)
def read_function(text: str) -> sp.Expr:
    """A function of x, from its text."""
    return parse(text, x)


def _read_subject(step: Data, part: Part, parts: Parts) -> sp.Expr:
    """The function that the step states; it is proved to be the one that it names, on the piece."""
    f = read_function(step["f"])
    difference = f - _subject(step["of"], part, parts)
    proofs.prove_zero(difference, x, part.low, part.high)
    return f


def _part_of(step: Data, parts: Parts) -> Part:
    """The piece whose interval the step names."""
    for part in parts:
        low, high = read_number(step["low"]), read_number(step["high"])
        if same_point(part.low, low) and same_point(part.high, high):
            return part
    raise Rejected(f"({step['low']}, {step['high']}) is not a piece of the loss")


def _end_part(end: str, parts: Parts) -> Part:
    if end not in ("oo", "-oo"):
        raise Rejected(f"{end} is not an end of the line")
    return parts[-1] if end == "oo" else parts[0]


# --- signs


def _prove_sign(step: Data, parts: Parts) -> None:
    part = _part_of(step, parts)
    f = _read_subject(step, part, parts)
    if step["sign"] not in (">= 0", "<= 0"):
        raise Rejected(f"no sign is written {step['sign']}")
    proofs.prove_nonnegative(f if step["sign"] == ">= 0" else -f, x, part.low, part.high)


def _sign_is_enclosed(step: Data, parts: Parts) -> bool:
    part, f = _part_of(step, parts), read_function(step["f"])
    return not _is_seen(f if step["sign"] == ">= 0" else -f, part.low, part.high)


@lru_cache(maxsize=2_000)  # asked when a proof is proposed, and when it is replayed
def _is_seen(f: sp.Expr, low: sp.Expr, high: sp.Expr) -> bool:
    """f >= 0 on the piece as its terms and factors show, with x or e^x written by a positive
    symbol over it.
    """
    if structure.structural_sign(f, x, low, high) == 1:
        return True
    forms = [f.xreplace({x: ranges.over_interval(low, high, _Y)})]
    in_powers = sp.powsimp(sp.expand(f.rewrite(sp.exp))).subs(
        sp.exp(x), ranges.over_interval(sp.exp(low), sp.exp(high), _Y)
    )
    if not in_powers.has(x):
        forms.append(in_powers)
    return any(signs.is_nonnegative(form) for form in forms)


_Y = sp.Symbol("~y", positive=True)


def _prove_witness(step: Data, parts: Parts) -> None:
    point = read_number(step["at"])
    if step["of"] == "kink at 0":
        f = read_function(step["f"])
        before, after = slopes_at(sp.S.Zero, parts)
        if point != 0 or not proofs.equal_constants(before + after, f):
            raise Rejected("the slopes at 0 do not add up to this")
    else:
        part = next((p for p in parts if _is_inside(point, p)), None)
        if part is None:
            raise Rejected(f"{point} is inside no piece")
        f = _read_subject(step, part, parts)
    proofs.prove_sign_at(f, x, point, step["sign"].replace(" ", ""))


def _is_inside(point: sp.Expr, part: Part) -> bool:
    value = ball_of_constant(point)
    return (part.low == -sp.oo or bool(value > ball_of_constant(part.low))) and (
        part.high == sp.oo or bool(value < ball_of_constant(part.high))
    )


# --- kinks and ends


def _prove_jump(step: Data, parts: Parts) -> None:
    kink, stated = read_number(step["at"]), read_number(step["jump"])
    if not any(same_point(kink, p.low) for p in parts):
        raise Rejected(f"{kink} is no break point")
    before, after = slopes_at(kink, parts)
    jump = after - before
    if jump.is_infinite or stated.is_infinite:
        if jump != stated:
            raise Rejected(f"the jump at {kink} is {jump}")
    elif not proofs.equal_constants(jump, stated):
        raise Rejected(f"the jump at {kink} is {jump}")


def _jump_in_words(step: Data) -> str:
    if step["jump"] == "0":
        return f"g' does not jump at x = {step['at']}"
    return f"g' jumps by {step['jump']} at x = {step['at']}"


def _jump_in_latex(step: Data) -> str:
    at = number_latex(step["at"])
    return f"g'({at}^+) - g'({at}^-) = {number_latex(step['jump'])}"


def _prove_limit(step: Data, parts: Parts) -> None:
    f = _read_subject(step, _end_part(step["end"], parts), parts)
    proofs.prove_limit(f, x, read_number(step["end"]), read_number(step["limit"]))


def _prove_bounded(step: Data, parts: Parts) -> None:
    f = _read_subject(step, _end_part(step["end"], parts), parts)
    proofs.prove_bounded(f, x, read_number(step["end"]))


def _prove_integral(step: Data, parts: Parts) -> None:
    f = _read_subject(step, parts[-1], parts)
    scale = read_function(step["scale"])
    diverges = {"true": True, "false": False}[step["diverges"]]
    if proofs.integral_diverges(1 / scale, x) is not diverges:
        raise Rejected(f"int^oo 1/({scale}) does not do that")
    limit = read_number(step["limit"])
    proofs.prove_limit(f * scale, x, sp.oo, limit)
    falls = limit == -sp.oo or (limit.is_finite and bool(ball_of_constant(limit) < 0))
    if proofs.integral_diverges(-f if falls else f, x) is not diverges:
        raise Rejected(f"int^oo {f} does not do that")


def _integral_in_words(step: Data) -> str:
    scale, finite = step["scale"], "infinite" if step["diverges"] == "true" else "finite"
    inverse = f"1/{scale}" if scale.isalnum() else f"1/({scale})"
    return (
        f"{_words(step)}, times {scale}, tends to {step['limit']} as x -> oo, and "
        f"int^oo {inverse} dx is {finite}"
    )


def _integral_in_latex(step: Data) -> str:
    scale = function_latex(step["scale"])
    outcome = "= \\infty" if step["diverges"] == "true" else "< \\infty"
    return (
        f"{_latex(step)} = h(x), \\quad h(x) \\cdot {scale} \\to {number_latex(step['limit'])} "
        f"\\quad (x \\to \\infty), \\quad \\int^\\infty \\frac{{dx}}{{{scale}}} {outcome}"
    )


# --- identities


def _prove_identity(step: Data, parts: Parts) -> None:
    part = _part_of(step, parts)
    f = _read_subject(step, part, parts)
    proofs.prove_zero(f, x, part.low, part.high)


def _identity_in_words(step: Data) -> str:
    shown = SUBJECTS[step["of"]].words if step["f"] == "0" else _words(step)
    return f"{shown} is 0 on ({step['low']}, {step['high']})"


def _identity_in_latex(step: Data) -> str:
    shown = SUBJECTS[step["of"]].latex if step["f"] == "0" else _latex(step)
    return f"{shown} = 0, \\quad {interval_latex(step)}"


def _prove_constant(step: Data, parts: Parts) -> None:
    part = _part_of(step, parts)
    if step["of"] != "slope":
        raise Rejected("only the slope is said to be constant")
    proofs.prove_zero(part.slope, x, part.low, part.high)


OF_A_LOSS = by_name(
    Rule(  # f >= 0 (or <= 0) on (low, high)
        "sign",
        keys("of f low high sign"),
        lambda s: f"{_words(s)} is {sign_in_words(s)} on ({s['low']}, {s['high']})",
        lambda s: f"{_latex(s)} {RELATIONS[s['sign']]}, \\quad {interval_latex(s)}",
        _prove_sign,
        is_enclosed=_sign_is_enclosed,
    ),
    Rule(  # g' jumps by that much at a kink
        "jump", keys("at jump"), _jump_in_words, _jump_in_latex, _prove_jump
    ),
    Rule(  # f < 0, f > 0 or f != 0 at one point
        "witness",
        keys("of f at sign"),
        lambda s: f"{_words(s)} is {sign_in_words(s)} at x = {s['at']}",
        lambda s: (
            f"{_latex(s)} {RELATIONS[s['sign']]} \\quad \\text{{at }} x = {number_latex(s['at'])}"
        ),
        _prove_witness,
        is_enclosed=lambda step, parts: step["of"] != "kink at 0",
    ),
    Rule(  # f tends to that limit at oo or -oo
        "limit",
        keys("of f end limit"),
        lambda s: f"{_words(s)} tends to {s['limit']} as x -> {s['end']}",
        lambda s: (
            f"{_latex(s)} \\to {number_latex(s['limit'])} \\quad (x \\to {number_latex(s['end'])})"
        ),
        _prove_limit,
    ),
    Rule(  # f stays bounded at oo or -oo, where it may oscillate
        "bounded",
        keys("of f end"),
        lambda s: f"{_words(s)} stays bounded as x -> {s['end']}",
        lambda s: f"{_latex(s)} = O(1) \\quad (x \\to {number_latex(s['end'])})",
        _prove_bounded,
    ),
    Rule(  # f*scale tends to the limit, so int^oo f diverges or converges with int^oo 1/scale
        "integral",
        keys("of f scale limit diverges"),
        _integral_in_words,
        _integral_in_latex,
        _prove_integral,
        propositions=(16,),
    ),
    Rule(  # f = 0 on (low, high)
        "identity", keys("of f low high"), _identity_in_words, _identity_in_latex, _prove_identity
    ),
    Rule(  # the slope is 0 there: g does not fall or rise
        "constant",
        keys("of low high"),
        lambda s: f"{SUBJECTS[s['of']].words} is 0 on ({s['low']}, {s['high']})",
        lambda s: f"{SUBJECTS[s['of']].latex} = 0, \\quad {interval_latex(s)}",
        _prove_constant,
    ),
)
