"""A loss by its smooth pieces, as a certificate states them. Part of the trusted checker."""

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from divergence_lab.theory.checker.facts import proofs
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.expressions import x
from divergence_lab.theory.expressions.parsing import parse_number

INFINITIES = {"oo": sp.oo, "-oo": -sp.oo}


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


def read_number(text: str) -> sp.Expr:
    """An exact number, oo or -oo, from its text."""
    return INFINITIES.get(text) or parse_number(text)


def same_point(a: sp.Expr, b: sp.Expr) -> bool:
    """Two ends of pieces are proved to be the same number, however they are written."""
    return a == b or proofs.equal_constants(a, b)


def slopes_at(kink: sp.Expr, parts: Sequence[Part]) -> tuple[sp.Expr, sp.Expr]:
    """g' just before and just after a kink, exact or infinite."""
    before = next(p for p in parts if same_point(p.high, kink))
    after = next(p for p in parts if same_point(p.low, kink))
    below = proofs.limit_of(before.slope, x, kink, -1)
    above = proofs.limit_of(after.slope, x, kink, 1)
    if below is None or above is None:
        raise Rejected(f"the slopes at {kink} are not known")
    return below, above


def sides_of_zero(parts: Sequence[Part]) -> tuple[Sequence[Part], Sequence[Part]]:
    """The pieces before and after 0, where the certificate breaks."""
    after = next(i for i, p in enumerate(parts) if p.low == 0)
    return parts[:after], parts[after:]
