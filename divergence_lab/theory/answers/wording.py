"""The steps of a proof as mathematics, in LaTeX (in plain text a step is its `claim`); the
numbers at the ends in words.
"""

from collections.abc import Callable, Sequence

import sympy as sp

from divergence_lab.theory.checker.certificate import Step
from divergence_lab.theory.checker.rules.table import RULES
from divergence_lab.theory.verdicts.parameter_numbers import Cases, Number


def step_in_latex(step: Step) -> str:
    """One step as a LaTeX formula, without dollar signs."""
    return RULES[step.rule].latex(dict(step.data))


def ends_in_words(ends: Sequence[tuple[str, Number]], shown: Callable[[sp.Expr], str]) -> list[str]:
    """f(0+), f'(oo), g''(0) as lines of text: one for all, or, where one of them has cases, one
    for each.
    """
    parts = []
    for label, number in ends:
        cases = number.cases if isinstance(number, Cases) else ((None, number),)
        parts.append(
            f"{label} = "
            + ", ".join(
                ("unknown" if value is None else shown(value))
                + (f" if {condition}" if condition else "")
                for condition, value in cases
            )
        )
    if not any(isinstance(number, Cases) for _, number in ends):
        parts = [", ".join(parts)]
    return [f"  {'' if k else 'ends':<13} {part}" for k, part in enumerate(parts)]
