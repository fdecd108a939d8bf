"""Identities that hold exactly on a line of parameters, such as a + b = 1. Part of the trusted checker."""

from __future__ import annotations

import sympy as sp

from divergence_lab.theory.cell_proofs import refined
from divergence_lab.theory.parameter_signs import is_zero, sign
from divergence_lab.theory.pieces import CannotSplit, Pieces, split
from divergence_lab.theory.proofs import Rejected
from divergence_lab.theory.symbols import x


def holds_on_line(kind: str, loss: sp.Expr, equation: sp.Expr, solved: sp.Symbol) -> None:
    """The loss is even, or its divergence symmetric, exactly where the equation is 0 (Proposition 21).

    For two sides that are sums of c x^n e^{rx}, n = 0, 1, ...: the difference of g'' has two terms, whose rates differ
    by a multiple of the equation. Raises Rejected.
    """
    slope = sp.diff(equation, solved)
    if slope == 0 or slope.free_symbols:
        raise Rejected(f"{equation} is not solved for {solved}")
    value = solved - equation / slope
    slopes, curvature = _exponential_sides(loss)
    left, right = curvature.pieces
    weight = sp.S.One if kind == "even" else sp.exp(x)
    difference = right.expression - weight * left.expression.xreplace({x: -x})
    at_zero = [p.expression.subs(x, 0) for p in slopes.pieces]
    if not is_zero(sum(at_zero)) or not is_zero(difference.subs(solved, value)):
        raise Rejected(f"it does not hold everywhere on {equation} = 0")
    terms = _terms(difference)
    if len(terms) != 2:
        raise Rejected(f"{difference} does not have two terms")
    (c, n, r), (_, m, q) = terms
    factor = sp.simplify((r - q) / equation)
    if n != m or factor.free_symbols or factor == 0 or sign(c) == 0:
        raise Rejected(f"the two rates do not differ by a multiple of {equation}")


def _exponential_sides(loss: sp.Expr) -> tuple[Pieces, Pieces]:
    """g' and g'' on both sides of 0, where g is a sum of c x^n e^{rx} on each: finite and, at 0, continuous."""
    try:
        merged = split(loss, x)
    except CannotSplit as reason:
        raise Rejected(str(reason)) from None
    if not set(merged.kinks) <= {sp.S.Zero}:
        raise Rejected("the loss has kinks away from 0")
    pieces = refined(merged)
    for piece in pieces.pieces:
        _terms(piece.expression)
        if not is_zero(piece.expression.subs(x, 0)):
            raise Rejected("g(0) is not 0 from both sides")
    slopes = pieces.derivative()
    return slopes, slopes.derivative()


def _terms(f: sp.Expr) -> list[tuple[sp.Expr, sp.Expr, sp.Expr]]:
    """(c, n, r) for f = sum c x^n e^{rx} with different (n, r), n a whole number. Raises Rejected."""
    found: dict[tuple[sp.Expr, sp.Expr], sp.Expr] = {}
    written = f.rewrite((sp.sinh, sp.cosh), sp.exp)
    for term in sp.Add.make_args(sp.expand(sp.powsimp(sp.expand(written)))):
        c, n, r = sp.S.One, sp.S.Zero, sp.S.Zero
        for factor in sp.Mul.make_args(sp.powsimp(term)):
            base, power = factor.as_base_exp()
            if not factor.has(x):
                c *= factor
            elif base == x and power.is_Integer and power > 0:
                n += power
            elif isinstance(factor, sp.exp) and factor.args[0].is_polynomial(x) and sp.degree(factor.args[0], x) == 1:
                r += sp.diff(factor.args[0], x)
                c *= sp.exp(factor.args[0].subs(x, 0))
            else:
                raise Rejected(f"{term} is not c x^n e^(rx)")
        r = sp.expand(r)
        found[n, r] = found.get((n, r), sp.S.Zero) + c
    return [(c, n, r) for (n, r), c in found.items() if not is_zero(c)]
