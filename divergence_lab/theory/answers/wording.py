"""The steps of a proof as mathematics, in LaTeX (in plain text a step is its `claim`); the
numbers at the ends in words; what is too long to be read, in short.
"""

import itertools
import re
from collections.abc import Callable, Sequence

import sympy as sp

from divergence_lab.theory.checker.certificate import Step
from divergence_lab.theory.checker.families.signs import is_finite
from divergence_lab.theory.checker.rules.table import RULES
from divergence_lab.theory.expressions import constants, parse, x
from divergence_lab.theory.expressions.parsing import parse_number
from divergence_lab.theory.verdicts.parameter_numbers import Cases, Number
from divergence_lab.theory.verdicts.verdict import Verdicts


def step_in_latex(step: Step) -> str:
    """One step as a LaTeX formula, without dollar signs."""
    return RULES[step.rule].latex(dict(step.data))


def times(factor: str, divergence: str) -> str:
    """A multiple of a named divergence; a name that is a sum is put in brackets.

    >>> times("1/2", "forward KL plus half Neyman chi-square")
    '1/2 x (forward KL plus half Neyman chi-square)'
    """
    if factor == "1":
        return divergence
    return f"{factor} x ({divergence})" if " plus " in divergence else f"{factor} x {divergence}"


def no_generator(verdicts: Verdicts) -> str:
    """What stands in place of a closed form of f, and what can be had all the same."""
    if verdicts.broken:
        return "none is looked for: g is not real and continuous on the whole line"
    if not verdicts.pieces:  # its parameters have no value, or g was not confirmed
        return "no closed form found"
    return "no closed form found (values of f can still be enclosed: --at)"


def ends_of(verdicts: Verdicts) -> list[tuple[str, Number]]:
    """f(0+), f'(oo), g''(0) by name: none of them where g is no function on the line, and g'' from
    either side of 0 where the two differ.
    """
    if verdicts.broken:
        return []
    curvature = {"g''(0)": verdicts.curvature_at_zero}
    if verdicts.curvature_at_zero is None:
        curvature = _curvatures_beside_zero(verdicts) or curvature
    ends = {"f(0+)": verdicts.f_at_zero, "f'(oo)": verdicts.slope_at_infinity, **curvature}
    return [*ends.items()]


def _curvatures_beside_zero(verdicts: Verdicts) -> dict[str, Number]:
    """g''(0-) and g''(0+) where both are finite, and g' does not jump between them."""
    beside = [part for end in ("high", "low") for part in verdicts.pieces if part[end] == "0"]
    found = [parse(part[name], x) for name in ("slope", "curvature") for part in beside]
    if len(found) != 4 or not all(is_finite(f, at=(x, sp.S.Zero)) for f in found):
        return {}
    before, after, *curvatures = (f.subs(x, 0) for f in found)
    if not constants.equal(before, after):
        return {}
    return dict(zip(("g''(0-)", "g''(0+)"), curvatures, strict=True))


def ends_in_words(ends: Sequence[tuple[str, Number]], shown: Callable[[sp.Expr], str]) -> list[str]:
    """The numbers of `ends_of` as lines of text: one for all, or, where one of them has cases, one
    for each.
    """
    if not ends:
        return []
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


LONG_NUMBER = 40  # digits


def readable(lines: Sequence[str]) -> list[str]:
    """The lines with a letter for every root that has no closed form, which a last line explains,
    and with the first digits of long numbers. Nothing is lost: --json has all of it.

    >>> readable(["x > Root(x**3 - x - 1, 1, 2)"])
    ['x > r1', '  where         r1 = 1.324718, the zero of x**3 - x - 1 between 1 and 2']
    """
    text = "\n".join(lines)
    prefix = next(p for p in ("r", "z", "root") if not re.search(rf"\b{p}\d+\b", text))
    for count in itertools.count(1):
        if (root := _first_root(text)) is None:
            break
        function, low, high = root.removeprefix("Root(")[:-1].rsplit(", ", 2)
        text = text.replace(root, f"{prefix}{count}") + (
            f"\n  {'where' if count == 1 else '':<13} {prefix}{count} = "
            f"{float(parse_number(root)):.7g}, the zero of {function} between {low} and {high}"
        )
    return [
        line
        if line.startswith("  f(") and " +- " in line
        else re.sub(rf"\d{{{LONG_NUMBER},}}", _in_short, line)
        for line in text.split("\n")
    ]


def _in_short(number: re.Match[str]) -> str:
    return f"{number[0][:8]}...({len(number[0])} digits)"


def _first_root(text: str) -> str | None:
    """The first Root(...) of a text, one that has no other inside."""
    at = text.rfind("Root(")
    if at < 0:
        return None
    depth = 0
    for end in range(at + 4, len(text)):
        depth += (text[end] == "(") - (text[end] == ")")
        if depth == 0:
            return text[at : end + 1]
    return None
