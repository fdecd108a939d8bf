"""What a kind of verdict is, and what the kinds share. Part of the trusted checker."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import sympy as sp

from divergence_lab.theory.checker.facts.parts import Part, read_number, same_point
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.families.cells import Cell
from divergence_lab.theory.expressions import balls, parse, precision, x

Steps = Sequence[Mapping[str, str]]
Parts = Sequence[Part]
V = TypeVar("V")


@dataclass(frozen=True)
class Kind:
    """One kind of verdict: its `name` in `derive --json`, and the `propositions` of the docs that
    say what a yes and a no need.

    Without parameters: `conclude(holds, steps, parts)` raises Rejected unless the steps, each
    proved already, give the verdict; `say(holds, steps)` is the sentence that they give. With
    parameters: `decide_in_cell(cell, witness)` is the answer for all parameters of a cell, or at a
    point where a sign is wrong; `for_parameters` is what a yes says of them.

    `shown_at_a_point`: one point can disprove it. `scale_free`: it is the same for g(x/u), u > 0.
    `of_zero`: it holds for g = 0. `compares_sides`: it is an identity between the two sides of 0.
    `say_of_formula(holds, steps)`: the sentence that the steps, each proved already, give of a
    formula that may be no loss (Proposition 25); raises Rejected where they do not give it.
    `proved_as`: the kind of the same proof (Proposition 5), `prefix` what its sentence says before.
    """

    name: str
    propositions: tuple[int, ...]
    conclude: Callable[[bool, Steps, Parts], None]
    say: Callable[[bool, Steps], str]
    decide_in_cell: Callable[[Cell, sp.Expr | None], bool]
    for_parameters: str
    say_of_formula: Callable[[bool, Steps], str]
    shown_at_a_point: bool = False
    scale_free: bool = False
    of_zero: bool = False
    compares_sides: bool = False
    proved_as: str | None = None
    prefix: str = ""


# --- do the steps give the verdict?


def need(condition: bool, why: str) -> None:
    """Raises Rejected where the condition is not met."""
    if not condition:
        raise Rejected(f"the steps do not give the verdict: {why}")


def need_only(steps: Steps, *allowed: tuple[str, str | None, str | None]) -> None:
    """Every step is (rule, of, sign), one of those: the sentence is made of all of them, so a
    true one that is beside the point makes it false.
    """
    need(
        all((s["rule"], s.get("of"), s.get("sign")) in allowed for s in steps),
        "a step has nothing to do with it",
    )


def need_witness(steps: Steps, of: str) -> Mapping[str, str]:
    """The only step, a witness of this function."""
    need(
        len(steps) == 1 and steps[0]["rule"] == "witness" and steps[0]["of"] == of,
        f"a witness of {of} is missing",
    )
    return steps[0]


def covers(parts: Parts, steps: Steps, rule: str, of: str, sign: str | None = None) -> bool:
    """Each part has a step of the rule about this function on its interval."""
    proved = [
        (read_number(s["low"]), read_number(s["high"]))
        for s in steps
        if s["rule"] == rule and s["of"] == of and s.get("sign") == sign
    ]
    return all(
        any(same_point(p.low, low) and same_point(p.high, high) for low, high in proved)
        for p in parts
    )


def at_point(values: Mapping[sp.Expr, V], point: sp.Expr) -> V | None:
    """The value that is given for a point, however that is written."""
    return next((value for place, value in values.items() if same_point(place, point)), None)


def value_in_words(step: Mapping[str, str]) -> str:
    """A witness in four digits."""
    with precision.bits(balls.PRECISION_BITS):
        value = balls.ball(parse(step["f"], x), x, balls.ball_of_constant(read_number(step["at"])))
    return f"{value.str(4, radius=False)} at x = {step['at']}"
