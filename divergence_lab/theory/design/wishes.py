"""What may be wished of a loss: verdicts, growths, curvature, penalties."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import sympy as sp

from divergence_lab.theory.expressions import ExpressionError, write

KINDS = ("linear", "power", "exponential")
# Relative, of penalties that can't be met exactly.
TOLERANCE = sp.Rational(1, 1000)


class DesignError(ExpressionError):
    """Wishes that clash, that can't be read, or that no loss on offer meets; the message names
    them.
    """


@dataclass(frozen=True)
class Growth:
    """How g grows at one end: like |x|, like |x|^rate (rate > 1), or like e^{rate |x|} (rate >
    0).
    """

    kind: str
    rate: sp.Expr = sp.S.One

    def __str__(self) -> str:
        if self.kind == "power" and self.rate == 2:
            return "quadratic"
        return self.kind if self.kind == "linear" else f"{self.kind}:{write(self.rate)}"

    def __lt__(self, other: Growth) -> bool:
        mine, theirs = KINDS.index(self.kind), KINDS.index(other.kind)
        return mine < theirs or (mine == theirs and bool(self.rate < other.rate))


LINEAR, QUADRATIC = Growth("linear"), Growth("power", sp.Integer(2))


@dataclass(frozen=True)
class Wishes:
    """What is wished of g; None and False mean "does not matter", except of zero-forcing and
    zero-avoiding, where False means "not". `curvature` is g''(0) > 0; `penalties` are pairs (x,
    g(x)), x != 0, g(x) > 0; growths are of g.
    """

    zero_forcing: bool | None = None
    zero_avoiding: bool | None = None
    symmetric: bool = False
    even: bool = False
    bounded_gradient: bool = False
    bounded_second_moment: bool = False
    curvature: sp.Expr | None = None
    penalties: tuple[tuple[sp.Expr, sp.Expr], ...] = field(default=())
    left_growth: Growth | None = None
    right_growth: Growth | None = None
    smooth: bool = False
    max_terms: int | None = None


def wished(wishes: Wishes) -> Iterable[tuple[str, str, bool]]:
    """(words, the verdict they are about, the wanted answer) for each wish that a verdict of
    `derive` settles.
    """
    for name, words in (("zero_forcing", "zero-forcing"), ("zero_avoiding", "zero-avoiding")):
        if (value := getattr(wishes, name)) is not None:
            yield words if value else f"not {words}", name, value
    for name, words in (
        ("symmetric", "symmetric divergence"),
        ("even", "even loss"),
        ("bounded_gradient", "bounded gradient"),
    ):
        if getattr(wishes, name):
            yield words, name, True
