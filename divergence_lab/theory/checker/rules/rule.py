"""What a rule of proof is, and the words and formulas that steps share. Part of the trusted
checker.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sympy as sp

from divergence_lab.theory.checker.facts.parts import INFINITIES, Part
from divergence_lab.theory.expressions import parse, write_latex, x
from divergence_lab.theory.expressions.parsing import parse_number

Data = Mapping[str, str]  # of a step: all text


def _never(step: Data, parts: Sequence[Part]) -> bool:
    return False


@dataclass(frozen=True)
class Rule:
    """One rule: `name`, the `keys` that every step of it has, and what is made of them.

    `claim` is the step in words, `latex` as a formula; both come from its data alone, and the
    checker refuses a step whose words say something else. `replay(step, subject)` proves it or
    raises Rejected; the subject is what the group of rules speaks of. `propositions` are those of
    the docs that it rests on, `hints` what a step may say besides, with the propositions of that.
    `several`: the keys where it speaks of more than one parameter. `is_enclosed`: does a step rest
    on balls? `because`: the sentence of the verdict that one such step gives by itself.
    """

    name: str
    keys: frozenset[str]
    claim: Callable[[Data], str]
    latex: Callable[[Data], str]
    replay: Callable[[Data, Any], None]
    propositions: tuple[int, ...] = ()
    hints: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    several: frozenset[str] | None = None
    is_enclosed: Callable[[Data, Sequence[Part]], bool] = _never
    because: Callable[[Data], str] | None = None


def by_name(*rules: Rule) -> dict[str, Rule]:
    """A table of rules."""
    return {rule.name: rule for rule in rules}


def keys(text: str) -> frozenset[str]:
    """ "at jump" as a set."""
    return frozenset(text.split())


# --- words

_SIGNS = {"!= 0": "not 0", "< 0": "negative", "> 0": "positive"}


def sign_in_words(step: Data) -> str:
    """'< 0' as negative; '>= 0' as it is written."""
    return _SIGNS.get(step["sign"], step["sign"])


# --- LaTeX

RELATIONS = {">= 0": "\\ge 0", "<= 0": "\\le 0", "< 0": "< 0", "> 0": "> 0", "!= 0": "\\ne 0"}


def function_latex(text: str) -> str:
    """A function of x."""
    return write_latex(parse(text, x))


def expression_latex(text: str) -> str:
    """An expression in parameters alone."""
    return write_latex(parse(text, sp.Dummy()))


def number_latex(text: str) -> str:
    """An exact number, or an infinity."""
    return write_latex(INFINITIES.get(text) or parse_number(text))


def interval_latex(step: Data) -> str:
    """x in (low, high)"""
    return f"x \\in ({number_latex(step['low'])}, {number_latex(step['high'])})"
