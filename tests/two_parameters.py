"""Random families of losses in two parameters a and b, whose verdicts hang on which is larger, and
what is said of them held against values in high precision.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import mpmath as mp

from tests.families import Member

# Each is real and 0 at x = 0 for all a, b > 0.
PARTS = (
    "cosh(a*x)-cosh(b*x)",
    "(exp(a*x)-a*x-1)-(exp(b*x)-b*x-1)",
    "exp(a*x)+exp(b*x)-(a+b)*x-2",
    "exp(a*x)+exp(-b*x)-(a-b)*x-2",
    "(exp(a*x)-1)*(exp(b*x)-1)",
    "(a-b)*x**2",
    "a*x**2-b*x**4",
    "a*(exp(x)-x-1)-b*(exp(-x)+x-1)",
    "a*(exp(x)-x-1)+b*(exp(-x)+x-1)",
    "a*Abs(x)-b*Abs(x)",
    "a*Abs(x)+b*x**2",
    "a*x**2+b*(exp(x)-x-1)",
    "log(exp(a*x)+exp(-b*x))",
    "a*log(cosh(x))-b*x**2",
    "Piecewise((a*x**2, x < 0), (b*x**2, True))",
    "Piecewise((-a*x, x < 0), (b*x, True))",
    "Piecewise((exp(-a*x)-1, x < 0), (exp(b*x)-1, True))",
    "a*sqrt(1+x**2)-b*sqrt(1+x**2)",
    "(exp(a*x)-a*x-1)/(1+b*(exp(a*x)-a*x-1))",
    "a*x**2/2+b*(x*exp(x)-exp(x)+1)",
)
DIVIDED = {  # what has no value where b = a, and its limit there
    "x**2*(a**3-b**3)/(a-b)": "3*a**2*x**2",
    "x**2*(log(a)-log(b))/(a-b)": "x**2/a",
    "(cosh(a*x)-cosh(b*x))/(a-b)": "x*(exp(a*x)-exp(-a*x))/2",
    "(b*exp(a*x)-a*exp(b*x)+a-b)/(a-b)": "a*x*exp(a*x)-exp(a*x)+1",
    "(exp(a*x)/a-exp(b*x)/b+1/b-1/a)/(a-b)": "x*exp(a*x)/a-(exp(a*x)-1)/a**2",
    "(exp(-a*x)-exp(-b*x))/(b-a)+(exp(x)-1)": "x*exp(-a*x)+(exp(x)-1)",
}
ASSUMED = (("a > 0", "b > 0"), ("a > b", "b > 0"), ("a >= b", "b > 0"), ("a > 0", "b > 2*a"))
VALUES = [mp.mpf(n) / d for n, d in ((1, 3), (1, 2), (1, 1), (101, 100), (2, 1), (4, 1))]


@dataclass(frozen=True)
class Family:
    """A loss in x, a and b, the same where a = b, and what is assumed of the two."""

    text: str
    on_line: str
    assumptions: tuple[str, ...]

    def at(self, pair: Mapping[str, mp.mpf]) -> Member:
        return Member(self.on_line if pair["a"] == pair["b"] else self.text, pair)


def draw(source: random.Random, parts: Sequence[str]) -> Family:
    """One of the parts, or the sum of two."""
    text = source.choice(parts)
    on_line = DIVIDED.get(text, text)
    if source.random() < 0.3 and "Piecewise" not in text:
        more = source.choice(("x**2", "Abs(x)", "exp(x)-x-1", "2*(cosh(x)-1)"))
        text, on_line = f"{text} + {more}", f"{on_line} + {more}"
    return Family(text, on_line, source.choice(ASSUMED))


def is_true(condition: str, values: Mapping[str, mp.mpf]) -> bool:
    """A condition such as "a > b and a >= 1" at these parameters."""
    text = re.sub(r"(?<![<>!=])=(?!=)", "==", condition)
    text = re.sub(r"\b(\d+)\b", r"mp.mpf(\1)", text)
    return bool(eval(text, {**vars(mp), "mp": mp, "E": mp.e, **values}))


def parameters(family: Family, steps: list[dict]) -> Iterator[dict[str, mp.mpf]]:
    """Pairs on either side of a = b and of every number at which a cell ends, and on them."""
    numbers = {
        mp.mpf(text)
        for step in steps
        for text in re.findall(r"(?<![\w/.])\d+(?![\w/.])", step.get("ranges", ""))
    }
    beside = {n + o for n in numbers for o in (mp.mpf(0), mp.mpf(1) / 50, -mp.mpf(1) / 50)}
    for a, b in itertools.product(sorted({*VALUES, *beside}), VALUES):
        pair = {"a": a, "b": b}
        if all(is_true(text, pair) for text in family.assumptions):
            yield pair
