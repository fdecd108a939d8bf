"""The sentence `because` of a verdict, made from the steps of its proof alone. Part of the trusted
checker.

The search writes its verdicts with it, and the checker refuses any other sentence: whoever reads it
reads what was proved. An undecided verdict has no steps, and its sentence is the search's own: it
claims nothing, and the checker does not show it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import sympy as sp

from divergence_lab.theory.checker.conclusions import number, same_point
from divergence_lab.theory.checker.conditions import condition_of, read_ranges
from divergence_lab.theory.expressions import constants
from divergence_lab.theory.expressions.balls import PRECISION_BITS, ball, ball_of_constant
from divergence_lab.theory.expressions.parsing import parse
from divergence_lab.theory.expressions.precision import bits
from divergence_lab.theory.expressions.printing import write
from divergence_lab.theory.expressions.symbols import x

Steps = Sequence[Mapping[str, str]]
PREFIX = {"data_processing": "data processing holds exactly for convex g: "}
# What a yes says of all parameters, or of those that a condition names.
_FOR_PARAMETERS = {
    "validity": "g falls before 0 and rises after it",
    "convex": "g'' is not negative and g' jumps nowhere down, so g and f are convex,",
    "zero_forcing": "f(0+) = -g'(-oo) = oo",
    "zero_avoiding": "f'(oo) = int g'(x) e^(-x) dx = oo",
    "even": "g(-x) = g(x)",
    "symmetric": "t f(1/t) = f(t)",
    "bounded_gradient": "g' is bounded",
}


def because_of(kind: str, holds: bool | None, condition: str | None, steps: Steps) -> str:
    """Why a decided verdict of this kind is what it is.

    Raises LookupError, ValueError or Rejected for steps that give none.
    """
    kind, prefix = ("convex" if kind == "data_processing" else kind), PREFIX.get(kind, "")
    if steps[0]["rule"] in ("cell", "undefined", "line"):
        return prefix + _with_parameters(kind, holds, condition, steps)
    return prefix + (
        _NO_LOSS[steps[0]["rule"]](steps[0])
        if steps[0]["rule"] in _NO_LOSS
        else _PLAIN[kind](holds, steps)
    )


def _with_parameters(kind: str, holds: bool | None, condition: str | None, steps: Steps) -> str:
    where = (
        f"exactly when {condition}"
        if holds is None
        else f"for {'every' if holds else 'no'} value of the parameters"
    )
    gone = [step["rule"] == "undefined" for step in steps]
    aside = (
        (
            f"; for {condition_of([read_ranges(step) for step in steps], gone)} the formula "
            "has no value, and the family no limit"
        )
        if any(gone)
        else ""
    )
    return f"{_FOR_PARAMETERS[kind]} {where}{aside}"


# --- without parameters


def _validity(holds: bool, steps: Steps) -> str:
    if holds:
        return "g falls before 0 and rises after it"
    step = steps[0]
    if step["rule"] == "constant":
        side, word = ("after", "rise") if number(step["low"]) == 0 else ("before", "fall")
        return f"g does not {word} {side} 0: it is constant there, so a wrong model can have loss 0"
    words, sign = (
        ("falls after", "negative") if step["sign"] == "< 0" else ("rises before", "positive")
    )
    return f"g {words} 0: g' is {sign} at x = {step['at']}"


def _convex(holds: bool, steps: Steps) -> str:
    if holds:
        signs = [s for s in steps if s["rule"] == "sign"]
        forms = list(dict.fromkeys(s["f"] for s in signs))
        shown = (
            forms[0]
            if len(forms) == 1
            else " and ".join(f"{s['f']} on ({s['low']}, {s['high']})" for s in signs)
        )
        kinks = (
            " and g' jumps upwards at its kinks"
            if any(
                s["rule"] == "jump" and not same_point(number(s["jump"]), sp.S.Zero) for s in steps
            )
            else ""
        )
        return f"g'' = {shown} is not negative{kinks}, so g and f are convex"
    lost = "so neither g nor f is convex, and data processing fails"
    if steps[0]["rule"] == "jump":
        return (
            f"g' jumps down by {write(-number(steps[0]['jump']))} at x = {steps[0]['at']}, {lost}"
        )
    return f"g'' is negative at x = {steps[0]['at']}, {lost}"


def _zero_forcing(holds: bool, steps: Steps) -> str:
    limit = number(steps[0]["limit"])
    if limit == -sp.oo:
        return "f(0+) = -g'(-oo) = oo: mass where the target has none costs without bound"
    if limit == sp.oo:
        return (
            "g' tends to oo at -oo, so f(0+) = -oo: mass where the target has none is "
            "rewarded, which no valid loss "
            "does"
        )
    return f"f(0+) = -g'(-oo) = {write(-limit)} is finite"


def _zero_avoiding(holds: bool, steps: Steps) -> str:
    outcome = "= oo" if holds else "= -oo" if steps[0]["diverges"] == "true" else "is finite"
    return (
        f"f'(oo) = int g'(x) e^(-x) dx {outcome}, by comparison with "
        f"{write(1 / parse(steps[0]['scale'], x))}"
    )


def _bounded_gradient(holds: bool, steps: Steps) -> str:
    if steps[0]["rule"] == "jump":
        return f"g' is unbounded near x = {steps[0]['at']}"
    if holds:
        return "g' is finite everywhere, with finite limits: " + " and ".join(
            f"{s['limit']} at {s['end']}" for s in steps
        )
    last = next(s for s in steps if s["limit"] in ("oo", "-oo"))
    return f"the gradient is unbounded: g'({last['end']}) = {last['limit']}"


def _even(holds: bool, steps: Steps) -> str:
    return "g is even" if holds else f"g is not even: g'(x) + g'(-x) is {_value(steps[-1])}"


def _symmetric(holds: bool, steps: Steps) -> str:
    if holds:
        return "e^(-x/2) g''(x) is even, so swapping the two laws changes nothing"
    step = steps[-1]
    if step["rule"] == "jump":
        jumps = {number(s["at"]): number(s["jump"]) for s in steps}
        kink = next(
            k
            for k, j in jumps.items()
            for other, i in jumps.items()
            if same_point(other, -k)
            and constants.equal(sp.exp(-k / 2) * j, sp.exp(k / 2) * i) is False
        )
        return (
            f"the kink of g at x = {write(kink)} has no counterpart of the right weight at "
            f"{write(-kink)}"
        )
    if step["of"] == "kink at 0":
        return (
            f"the slopes of g at 0 add up to {step['f']}, not to 0: f(t) - t f(1/t) = "
            f"({step['f']})*(t - 1) near 1, which is 0 "
            "only between laws of equal mass"
        )
    return f"the divergence is not symmetric: g''(x) - e^x g''(-x) is {_value(step)}"


def _value(step: Mapping[str, str]) -> str:
    """A witness in four digits."""
    with bits(PRECISION_BITS):
        value = ball(parse(step["f"], x), x, ball_of_constant(number(step["at"])))
    return f"{value.str(4, radius=False)} at x = {step['at']}"


_PLAIN: Mapping[str, Callable[[bool, Steps], str]] = {
    "validity": _validity,
    "convex": _convex,
    "zero_forcing": _zero_forcing,
    "zero_avoiding": _zero_avoiding,
    "even": _even,
    "symmetric": _symmetric,
    "bounded_gradient": _bounded_gradient,
}
_NO_LOSS: Mapping[str, Callable[[Mapping[str, str]], str]] = {
    "gap": lambda step: f"g jumps at x = {step['at']}, by {step['jump']}",
    "unbounded": lambda step: f"g is not finite near x = {step['at']}",
    "pole": lambda step: f"g is not finite near a point between {step['low']} and {step['high']}",
    "not real": lambda step: f"g is not a real number at x = {step['at']}",
}
