"""One verdict for all parameters of a cell, or at one point of it (Proposition 20). Part of the
trusted checker.

A scale is taken out first where the certificate names one (Proposition 19).
"""

from functools import lru_cache
from typing import Any

import sympy as sp

from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.families import cell_forms, cells, continuation, ranges, signs
from divergence_lab.theory.checker.kinds import lines
from divergence_lab.theory.checker.kinds.table import KINDS
from divergence_lab.theory.expressions import CannotSplit, x


def holds_in_cell(
    kind: str,
    loss: sp.Expr,
    ranges: ranges.Ranges,
    at: sp.Expr | None = None,
    scale: sp.Expr | None = None,
    sides: continuation.Sides | None = None,
) -> bool:
    """Whether the verdict holds for all parameters in the ranges (name -> (low, high), equal for a
    point).

    `at`: where a sign is wrong or an identity fails, as an expression in the parameters; `scale`: u
    > 0 such that g(x/u) is a positive factor times a function without one parameter; `sides`: from
    where a parameter at a point may come to it (both, if not said). Raises Rejected, with Unsigned
    for a sign that depends on the parameters, and NoValue.
    """
    ways = tuple((name, tuple(way)) for name, way in (sides or {}).items())
    return _holds(kind, loss, tuple(ranges.items()), at, scale, ways)


def prove_line(
    kind: str, loss: sp.Expr, equation: sp.Expr, solved: sp.Symbol, assumed: ranges.Assumed
) -> None:
    """The identity holds exactly where the equation is 0 (Proposition 21): wherever the formula has
    a value, and at single values of parameters where it has none, of the limit. Raises Rejected.
    """
    lines.holds_on_line(kind, loss, equation, solved)
    for cell in ranges.grid(sorted(assumed.symbols), lines.without_value(loss), assumed):
        written = cell_forms.positive_form(loss, cell)
        here = cell_forms.at_points(loss, written, cell, ranges.sides_of(cell, assumed))
        if all(low != high for low, high in cell.values()):
            cells.read_cell(here, False)  # it has a value, for all of them
        else:
            _prove_line_of_limit(kind, here, ranges.put_in(equation, written))


def _prove_line_of_limit(kind: str, limit: sp.Expr, equation: sp.Expr) -> None:
    try:
        on_line = signs.sign(equation) == 0
    except signs.Unsigned:
        symbols: list[Any] = sorted(equation.free_symbols, key=str)
        solved = next((s for s in symbols if not sp.diff(equation, s).free_symbols), None)
        if solved is None:
            raise
        lines.holds_on_line(kind, limit, equation, solved)
        return
    rules = KINDS[kind]
    cell = cells.read_cell(limit, True)
    if rules.decide_in_cell(cell, None) is not on_line:
        raise Rejected(f"it is not so of the limit {limit}")


# a verdict is proved once when it is found and again as the certificate that is shown
@lru_cache(maxsize=500)
def _holds(
    kind: str, loss: sp.Expr, cell: tuple, at: sp.Expr | None, scale: sp.Expr | None, sides: tuple
) -> bool:
    rules, ranges = KINDS[kind], dict(cell)
    written = cell_forms.positive_form(loss, ranges)
    expression = cell_forms.at_points(loss, written, ranges, dict(sides))
    witness = None if at is None else at.subs(written)
    unit = None if scale is None else sp.sympify(scale).subs(written)
    if not all(signs.is_finite(hint) for hint in (witness, unit) if hint is not None):
        raise Rejected("the point or the scale is not a finite number for all parameters")
    if unit is not None:
        if not rules.scale_free:
            raise Rejected(f"{kind} may depend on the scale")
        try:
            expression = cell_forms.without_scale(expression, unit)
        except CannotSplit as reason:
            raise Rejected(str(reason)) from None
    if not expression.has(x):
        if not signs.is_zero(expression):
            raise Rejected("g(0) is not 0")
        if witness is not None:
            raise Rejected("g is 0: no point shows anything")
        return rules.of_zero
    return rules.decide_in_cell(cells.read_cell(expression, rules.compares_sides), witness)
