"""What the kinds of verdict say of a formula that is no loss: it jumps, is unbounded or not real
somewhere (Proposition 25). Part of the trusted checker.

Valid, convex and of bounded gradient are only functions that are finite and continuous on the line.
What f does at 0 and oo is read off g' far out, and even and symmetric are identities between values
where there are any.
"""

from collections.abc import Callable

from divergence_lab.theory.checker.facts.parts import read_number, same_point
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.kinds.kind import Steps, need
from divergence_lab.theory.checker.rules.of_a_formula import bend_in_words, mirrored
from divergence_lab.theory.checker.rules.of_no_loss import OF_NO_LOSS
from divergence_lab.theory.checker.rules.rule import Data

Say = Callable[[bool, Steps], str]


def by_fault(words: str) -> Say:
    """No, by the one step that shows the formula to be no loss, with words after the reason."""

    def say(holds: bool, steps: Steps) -> str:
        need(not holds and len(steps) == 1, "of a function that is no loss a no has one step")
        return _fault(steps[0]) + words

    return say


def _fault(step: Data) -> str:
    rule = OF_NO_LOSS.get(step["rule"])
    if rule is None or rule.because is None:
        raise Rejected("that it is no loss is not shown")
    return rule.because(step)


def by_end(rule: str, end: str, value: str, proved: Say) -> Say:
    """By the step of this rule, as of a loss (`proved`), or no: g is not real far out, so f has no
    `value`.
    """

    def say(holds: bool, steps: Steps) -> str:
        need(len(steps) == 1 and steps[0].get("end") == end, f"what g does at {end} is missing")
        step = steps[0]
        if step["rule"] == rule:
            return proved(holds, steps)
        need(step["rule"] == "not real far out" and not holds, "the step says something else")
        side = ">" if end == "oo" else "<"
        return f"g is not a real number for x {side} {step['start']}, so {value} does not exist"

    return say


def say_even(holds: bool, steps: Steps) -> str:
    """g(-x) = g(x) wherever one of them has a value."""
    need(len(steps) == 1, "one step is enough")
    step = steps[0]
    need((step["rule"] == "same formula") is holds, "the step says something else")
    return "g is even" if holds else f"g is not even: {_difference(step)}"


def _difference(step: Data) -> str:
    need(step["rule"] in ("mirror", "one side"), "no difference between both sides is shown")
    words = "differ" if step["rule"] == "mirror" else "are not both real numbers"
    return f"g({step['at']}) and g({mirrored(step)}) {words}"


def say_symmetric(holds: bool, steps: Steps) -> str:
    """t f(1/t) is not f: by one point, or by a break of f that t f(1/t) does not have."""
    need(not holds and bool(steps), "of a function that is no loss only a no is known")
    step = steps[0]
    if step["rule"] in ("gap", "unbounded", "own value"):
        return _break_alone(steps)
    need(len(steps) == 1, "one point is enough")
    if step["rule"] == "own slopes":
        return (
            f"f(t) and t f(1/t) differ beside t = 1, where the slopes of their difference are "
            f"{step['total']}"
        )
    if step["rule"] == "mirrored bend":
        return f"the divergence is not symmetric: {bend_in_words(step)}"
    need(step["rule"] == "one side", "the step says something else")
    return f"f(t) and t f(1/t) are not the same function: {_difference(step)}"


def _break_alone(steps: Steps) -> str:
    """f breaks at t = e^c, and t f(1/t) does not: g jumps at c = 0, or is smooth around -c."""
    first, at = steps[0], read_number(steps[0]["at"])
    if at == 0:
        need(len(steps) == 1 and first["rule"] == "gap", "only a jump at 0 has no counterpart")
        return f"{_fault(first)}, so f jumps at t = 1 one way, and t f(1/t) the other way"
    need(
        len(steps) == 2
        and steps[1]["rule"] == "smooth"
        and same_point(read_number(steps[1]["at"]), -at),
        "that g is smooth around the mirror image is missing",
    )
    return f"{_fault(first)}, and it is smooth around x = {steps[1]['at']}"
