"""Identities that hold exactly on a line of parameters, such as a + b = 1.

Part of the trusted checker.
"""

import sympy as sp

from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.families import cells, signs
from divergence_lab.theory.checker.families.exponential_terms import exponential_terms, has_sign
from divergence_lab.theory.checker.kinds.identities import identities
from divergence_lab.theory.expressions import CannotSplit, Pieces, split, x
from divergence_lab.theory.expressions.ordering import are_equal


def holds_on_line(kind: str, loss: sp.Expr, equation: sp.Expr, solved: sp.Symbol) -> None:
    """The loss is even, or its divergence symmetric, exactly where the equation is 0 (Proposition
    21).

    Either all that has to vanish does so there, and one part of it is the equation times what is
    never 0 (its part 1). Or, for two sides that are sums of c x^n e^{rx}, n = 0, 1, ...: the
    difference of g'' has a term whose rate differs from all others, or by a multiple of the
    equation (its part 2). Raises Rejected.
    """
    slope = sp.diff(equation, solved)
    if slope.free_symbols or not has_sign(slope):
        raise Rejected(f"{equation} is not solved for {solved}")
    value = solved - equation / slope
    if _is_a_multiple(kind, loss, equation, {solved: value}):
        return
    slopes, curvature = _exponential_sides(loss)
    left, right = curvature.pieces
    weight = sp.S.One if kind == "even" else sp.exp(x)
    difference = right.expression - weight * left.expression.xreplace({x: -x})
    at_zero = [p.expression.subs(x, 0) for p in slopes.pieces]
    if not signs.is_zero(sum(at_zero)) or not signs.is_zero(difference.subs(solved, value)):
        raise Rejected(f"it does not hold everywhere on {equation} = 0")
    terms = exponential_terms(difference)
    if not any(_differs_elsewhere(place, terms, equation) for place in range(len(terms))):
        raise Rejected(f"the rates of {difference} do not differ by multiples of {equation}")


def without_value(loss: sp.Expr) -> dict[str, list[sp.Expr]]:
    """Values of single parameters at which the formula may have none: zeros of what is linear in
    one and divided by, or under a root or logarithm.
    """
    found: dict[str, list[sp.Expr]] = {}
    for e in loss.atoms(sp.Pow, sp.log):
        part = e.args[0]
        if len(part.free_symbols) == 1 and not part.has(x):
            (symbol,) = part.free_symbols
            slope = sp.diff(part, symbol)
            if not slope.free_symbols and has_sign(slope):
                found.setdefault(str(symbol), []).append(sp.expand(symbol - part / slope))
    return found


def _differs_elsewhere(
    place: int, terms: list[tuple[sp.Expr, sp.Expr, sp.Expr]], equation: sp.Expr
) -> bool:
    """The coefficient of this term is never 0, and where the equation is not 0 no other term has
    its rate.
    """
    c, n, r = terms[place]
    if not has_sign(c):
        return False
    for k, (_, m, q) in enumerate(terms):
        if k != place and n == m:
            factor = sp.simplify((r - q) / equation)
            if (factor.free_symbols or not has_sign(factor)) and not has_sign(r - q):
                return False
    return True


def _is_a_multiple(
    kind: str, loss: sp.Expr, equation: sp.Expr, solution: dict[sp.Symbol, sp.Expr]
) -> bool:
    """All that has to vanish does so where the equation is 0, and one part is the equation times
    what is never 0.
    """
    positive = {
        s: sp.Symbol(s.name + "~", positive=True)
        for s in loss.free_symbols
        if s.is_positive and s != x
    }
    back = {z: s for s, z in positive.items()}
    try:
        numbers, functions = identities(kind, loss.xreplace(positive))
    except Rejected:
        return False
    parts = [e.xreplace(back) for e in [*numbers, *(f for _, f in functions)]]
    if not all(signs.is_zero(part.subs(solution)) for part in parts):
        return False
    at_points = [*numbers, *(f.subs(x, cells.inner_point_of(piece)) for piece, f in functions)]
    for e in at_points:
        factor = sp.simplify(e.xreplace(back) / equation)
        try:
            if signs.is_finite(factor) and signs.sign(factor) != 0:
                return True
        except Rejected:
            continue
    return False


def _exponential_sides(loss: sp.Expr) -> tuple[Pieces, Pieces]:
    """g' and g'' on both sides of 0, where g is a sum of c x^n e^{rx} on each: finite and, at 0,
    continuous.
    """
    try:
        merged = split(loss, x)
    except CannotSplit as reason:
        raise Rejected(str(reason)) from None
    if not all(are_equal(kink, sp.S.Zero) for kink in merged.kinks):
        raise Rejected("the loss has kinks away from 0")
    pieces = cells.refined(merged)
    for piece in pieces.pieces:
        exponential_terms(piece.expression)
        if not signs.is_zero(piece.expression.subs(x, 0)):
            raise Rejected("g(0) is not 0 from both sides")
    slopes = pieces.derivative()
    return slopes, slopes.derivative()
