"""Do the steps of a certificate give its verdict? Part of the trusted checker: every step is proved
already.

Each function below says what a yes needs and what a no needs, as the propositions in the docs do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import sympy as sp

from divergence_lab.theory.checker.facts import proofs
from divergence_lab.theory.checker.facts.decided import inner_point
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.expressions import constants
from divergence_lab.theory.expressions.balls import ball_of_constant
from divergence_lab.theory.expressions.parsing import parse_number
from divergence_lab.theory.expressions.symbols import x


@dataclass(frozen=True)
class Part:
    """g on (low, high), with its slope and curvature, as the certificate states them and the
    checker confirmed them.
    """

    low: sp.Expr
    high: sp.Expr
    loss: sp.Expr | None
    slope: sp.Expr
    curvature: sp.Expr


def number(text: str) -> sp.Expr:
    """An exact number, oo or -oo, from its text."""
    return {"oo": sp.oo, "-oo": -sp.oo}.get(text) or parse_number(text)


def same_point(a: sp.Expr, b: sp.Expr) -> bool:
    """Two ends of pieces are proved to be the same number, however they are written."""
    return a == b or (a.is_finite and b.is_finite and proofs.equal_constants(a, b))


def slopes_at(kink: sp.Expr, parts: Sequence[Part]) -> tuple[sp.Expr, sp.Expr]:
    """g' just before and just after a kink, exact or infinite."""
    before = next(p for p in parts if same_point(p.high, kink))
    after = next(p for p in parts if same_point(p.low, kink))
    found = proofs.limit_of(before.slope, x, kink, -1), proofs.limit_of(after.slope, x, kink, 1)
    if None in found:
        raise Rejected(f"the slopes at {kink} are not known")
    return found


def _need(condition: bool, why: str) -> None:
    if not condition:
        raise Rejected(f"the steps do not give the verdict: {why}")


def _only(steps: Sequence[Mapping], *allowed: tuple[str, str | None, str | None]) -> None:
    """Every step is (rule, of, sign), one of those: the sentence is made of all of them, so a
    true one that is beside the point makes it false.
    """
    _need(
        all((s["rule"], s.get("of"), s.get("sign")) in allowed for s in steps),
        "a step has nothing to do with it",
    )


def _covers(
    parts: Sequence[Part], steps: Sequence[Mapping], rule: str, of: str, sign: str | None = None
) -> bool:
    """Each part has a step of the rule about this function on its interval."""
    proved = [
        (number(s["low"]), number(s["high"]))
        for s in steps
        if s["rule"] == rule and s["of"] == of and s.get("sign") == sign
    ]
    return all(
        any(same_point(p.low, low) and same_point(p.high, high) for low, high in proved)
        for p in parts
    )


def _sides(parts: Sequence[Part]) -> tuple[Sequence[Part], Sequence[Part]]:
    """The pieces before and after 0, where the certificate breaks."""
    after = next(i for i, p in enumerate(parts) if p.low == 0)
    return parts[:after], parts[after:]


def _witness(steps: Sequence[Mapping], of: str) -> Mapping:
    _need(
        len(steps) == 1 and steps[0]["rule"] == "witness" and steps[0]["of"] == of,
        f"a witness of {of} is missing",
    )
    return steps[0]


def _valid(holds: bool, steps: Sequence[Mapping], parts: Sequence[Part]) -> None:
    left, right = _sides(parts)
    if holds:
        _only(steps, ("sign", "slope", "<= 0"), ("sign", "slope", ">= 0"))
        _need(
            _covers(left, steps, "sign", "slope", "<= 0"),
            "g' <= 0 before 0 is not proved everywhere",
        )
        _need(
            _covers(right, steps, "sign", "slope", ">= 0"),
            "g' >= 0 after 0 is not proved everywhere",
        )
        for part in (left[-1], right[0]):
            proofs.prove_sign_at(
                part.slope, x, inner_point(part.low, part.high), "!=0"
            )  # analytic: one point is enough
        return
    if steps and steps[0]["rule"] == "constant":
        _need(
            len(steps) == 1 and 0 in (number(steps[0]["low"]), number(steps[0]["high"])),
            "the constant piece is not beside 0",
        )
        return
    step = _witness(steps, "slope")
    sign = step["sign"].replace(" ", "")
    wrong = "<0" if ball_of_constant(number(step["at"])) > 0 else ">0"
    _need(sign == wrong, "the slope has the right sign there")


def _convex(holds: bool, steps: Sequence[Mapping], parts: Sequence[Part]) -> None:
    jumps = {
        number(s["at"]): _sign_of_jump(number(s["jump"])) for s in steps if s["rule"] == "jump"
    }
    if holds:
        _only(steps, ("sign", "curvature", ">= 0"), ("jump", None, None))
        _need(
            _covers(parts, steps, "sign", "curvature", ">= 0"), "g'' >= 0 is not proved everywhere"
        )
        _need(
            all(_at(jumps, p.low) in (0, 1) for p in parts[1:]),
            "an upward jump of g' is not proved at every break",
        )
    elif jumps:
        _need(len(steps) == 1 and set(jumps.values()) == {-1}, "no jump is downward")
    else:
        _need(
            _witness(steps, "curvature")["sign"].replace(" ", "") == "<0",
            "g'' is not negative there",
        )


def _sign_of_jump(jump: sp.Expr) -> int | None:
    return (1 if jump == sp.oo else -1) if jump.is_infinite else constants.sign_of(jump)


def _at(found: Mapping[sp.Expr, sp.Expr], point: sp.Expr) -> sp.Expr | None:
    return next((value for place, value in found.items() if same_point(place, point)), None)


def _zero_forcing(holds: bool, steps: Sequence[Mapping], parts: Sequence[Part]) -> None:
    _need(
        len(steps) == 1
        and steps[0]["rule"] == "limit"
        and steps[0]["of"] == "slope"
        and steps[0]["end"] == "-oo",
        "the limit of g' at -oo is missing",
    )
    _need((steps[0]["limit"] == "-oo") is holds, "the limit says the opposite")


def _zero_avoiding(holds: bool, steps: Sequence[Mapping], parts: Sequence[Part]) -> None:
    _need(
        len(steps) == 1 and steps[0]["rule"] == "integral" and steps[0]["of"] == "weighted slope",
        "the integral of g'(x) e^(-x) is missing",
    )
    limit = number(
        steps[0]["limit"]
    )  # of g'(x) e^(-x) times the scale: where it is negative the integral is -oo
    falls = limit == -sp.oo or bool(ball_of_constant(limit) < 0)
    _need((steps[0]["diverges"] == "true" and not falls) is holds, "the integral says the opposite")


def _even(holds: bool, steps: Sequence[Mapping], parts: Sequence[Part]) -> None:
    if not holds:
        _witness(steps, "odd part")
        return
    _only(steps, ("identity", "odd part", None))
    _need(
        _covers(_sides(parts)[1], steps, "identity", "odd part"),
        "g'(x) = -g'(-x) is not proved everywhere",
    )


def _symmetric(holds: bool, steps: Sequence[Mapping], parts: Sequence[Part]) -> None:
    jumps = {number(s["at"]): number(s["jump"]) for s in steps if s["rule"] == "jump"}
    if not holds:
        if jumps:
            _only(steps, ("jump", None, None))
            _need(
                any(
                    constants.equal(sp.exp(-k / 2) * j, sp.exp(k / 2) * other) is False
                    for k, j in jumps.items()
                    if (other := _at(jumps, -k)) is not None
                ),
                "the jumps are not shown to differ from what symmetry needs",
            )
        elif steps and steps[0]["rule"] == "witness" and steps[0]["of"] == "kink at 0":
            _need(len(steps) == 1, "one witness is enough")
        else:
            _witness(steps, "asymmetry")
        return
    _only(steps, ("identity", "asymmetry", None), ("jump", None, None))
    _need(
        _covers(_sides(parts)[1], steps, "identity", "asymmetry"),
        "g''(x) = e^x g''(-x) is not proved everywhere",
    )
    for part in parts[1:]:
        here, there = _at(jumps, part.low), _at(jumps, -part.low)
        _need(
            None not in (here, there),
            f"the jump of g' at {part.low} or its mirror image is missing",
        )
        _need(
            proofs.equal_constants(sp.exp(-part.low / 2) * here, sp.exp(part.low / 2) * there),
            "the jumps are not symmetric",
        )
    before, after = slopes_at(sp.S.Zero, parts)
    _need(proofs.equal_constants(before, -after), "the slopes at 0 are not opposite")


def _bounded_gradient(holds: bool, steps: Sequence[Mapping], parts: Sequence[Part]) -> None:
    limits = {s["end"]: s["limit"] for s in steps if s["rule"] == "limit"}
    _only(steps, ("limit", "slope", None) if limits else ("jump", None, None))
    if holds:
        _need(
            set(limits) == {"oo", "-oo"} and not {"oo", "-oo"} & set(limits.values()),
            "a finite limit is missing",
        )
        for part in parts:
            proofs.prove_finite(part.slope, x, part.low, part.high)
            for end, side in ((part.low, 1), (part.high, -1)):
                _need(
                    not end.is_finite
                    or (found := proofs.limit_of(part.slope, x, end, side)) is None
                    or found.is_finite,
                    f"g' is not bounded near {end}",
                )
    elif limits:
        _need(bool({"oo", "-oo"} & set(limits.values())), "no limit is infinite")
    else:
        _need(
            len(steps) == 1 and steps[0]["rule"] == "jump" and steps[0]["jump"] == "oo",
            "no slope is infinite",
        )


VERDICTS: Mapping[str, Callable[[bool, Sequence[Mapping], Sequence[Part]], None]] = {
    "validity": _valid,
    "convex": _convex,
    "data_processing": _convex,
    "zero_forcing": _zero_forcing,
    "zero_avoiding": _zero_avoiding,
    "even": _even,
    "symmetric": _symmetric,
    "bounded_gradient": _bounded_gradient,
}
