"""The cells of parameters on which what stands beside the verdicts is checked. Part of the trusted
checker.

a formula      on every open cell that the assumptions leave: at single values by continuity
a number       on every cell: one text for all of them, or {"cases": [{"condition", "value"}, ...]}
nothing        on cells that are left out, where the formula has no value and the family no limit
"""

import ast
import itertools
import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sympy as sp

from divergence_lab.theory.checker.facts.decided import read_loss
from divergence_lab.theory.checker.facts.proofs import Refuted, Rejected, equal_constants
from divergence_lab.theory.checker.families import continuation, ranges
from divergence_lab.theory.checker.fields.losses import Subject, on_cell
from divergence_lab.theory.expressions import x
from divergence_lab.theory.expressions.balls import ball_of_constant
from divergence_lab.theory.expressions.parsing import parse_number, read_assumptions

MAX_CELLS = 400
_ORDER = {
    ast.Lt: operator.lt,
    ast.Gt: operator.gt,
    ast.LtE: operator.le,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def cells_of(
    loss: sp.Expr, assumptions: Sequence[str], cuts: Mapping[str, Sequence[sp.Expr]] = {}
) -> Iterator[dict[str, tuple]]:
    """Every cell that the assumptions leave, each parameter's range cut at the given points."""
    bounds = read_assumptions(assumptions)
    names = sorted(symbol.name for symbol in loss.free_symbols - {x})
    grid = [ranges.parts_of(bounds.get(name, ()), cuts.get(name, ()), {}) for name in names]
    cells = list(itertools.islice(itertools.product(*grid), MAX_CELLS + 1))
    if len(cells) > MAX_CELLS:
        raise Rejected("the parameters have too many cells")
    yield from (dict(zip(names, cell)) for cell in cells)


def _natural_cuts(loss: sp.Expr) -> dict[str, list[sp.Expr]]:
    """0, where a part of the formula that is linear in one parameter is 0, and where such an
    exponent of the residual is one of g, g' or g'' at 0: there many a sign changes.
    """
    cuts = {s.name: [sp.S.Zero] for s in loss.free_symbols - {x}}
    for e in loss.atoms(sp.Pow, sp.log, sp.Abs, sp.sign):
        part = e.base if e.is_Pow else e.args[0]
        orders = (0, 1, 2) if e.is_Pow and part.has(x) else ()
        for one in (part, *(e.exp - order for order in orders)):
            if len(one.free_symbols) == 1 and not one.has(x):
                (symbol,) = one.free_symbols
                slope = sp.diff(one, symbol)
                if (
                    slope.is_Rational
                    and slope != 0
                    and (zero := symbol - one / slope).expand().is_Rational
                ):
                    cuts[symbol.name].append(sp.expand(zero))
    return cuts


def open_subjects(text: str, assumptions: Sequence[str]) -> list[Subject]:
    """The loss on the cells in which no parameter has a single value."""
    loss = read_loss(text, x, assumptions)
    return [
        on_cell(text, assumptions, cell)
        for cell in cells_of(loss, assumptions, _natural_cuts(loss))
        if all(a != b for a, b in cell.values())
    ]


def subjects_with(
    stated: Any, text: str, assumptions: Sequence[str], left_out: Sequence[str]
) -> Iterator[tuple[str, Subject]]:
    """(what is stated there, the loss) on every cell; nothing where null is stated or the value
    is left out.
    """
    loss = read_loss(text, x, assumptions)
    cases = (
        [{"condition": "always", "value": stated}] if isinstance(stated, str) else stated["cases"]
    )
    if (
        not cases
        or any(set(case) != {"condition", "value"} for case in cases)
        or (not isinstance(stated, str) and set(stated) != {"cases"})
    ):
        raise Refuted("cases are a list of condition and value")
    trees = [(_tree(case["condition"]), case["value"]) for case in cases]
    cuts = _natural_cuts(loss)
    for condition in [*(case["condition"] for case in cases), *left_out]:
        for name, bound in _bounds(_tree(condition)):
            cuts.setdefault(name, []).append(bound)
    for cell in cells_of(loss, assumptions, cuts):
        point = {name: _inside(*ends) for name, ends in cell.items()}
        values = {value for tree, value in trees if tree is None or _holds(tree, point)}
        try:
            subject = on_cell(text, assumptions, cell)
        except continuation.NoValue:  # a cell that is left out
            if not isinstance(stated, str) and values - {None}:
                raise Refuted("a case has a value where the loss has none") from None
            continue
        if len(values) != 1:
            raise Refuted("the cases do not give one value for all parameters")
        if (value := values.pop()) is not None:
            yield value, subject


# --- conditions


def _tree(condition: str) -> ast.expr | None:
    """ "0 < a < 1 or b = 2" as a syntax tree; None for "always". Raises Refuted."""
    if condition == "always":
        return None
    if (
        len(condition) > 2_000
        or not condition.isascii()
        or not condition.isprintable()
        or "#" in condition
    ):
        raise Refuted("a condition is a short line of plain text")
    try:
        return ast.parse(re.sub(r"(?<![<>=!])=(?!=)", "==", condition), mode="eval").body
    except (SyntaxError, ValueError, MemoryError):
        raise Refuted("a condition is a comparison of parameters with numbers") from None


def _bounds(tree: ast.expr | None) -> list[tuple[str, sp.Expr]]:
    """The pairs (parameter, number) that a condition compares.

    Raises Rejected for any other condition.
    """
    if tree is None:
        return []
    if isinstance(tree, ast.BoolOp):
        return [pair for part in tree.values for pair in _bounds(part)]
    if not isinstance(tree, ast.Compare):
        raise Refuted("a condition compares parameters with numbers")
    sides = [tree.left, *tree.comparators]
    names = [side.id for side in sides if isinstance(side, ast.Name) and side.id not in ("pi", "E")]
    if len(names) != 1 or any(type(op) not in _ORDER for op in tree.ops):
        raise Rejected("a condition on more than one parameter")
    return [
        (names[0], parse_number(ast.unparse(side)))
        for side in sides
        if not (isinstance(side, ast.Name) and side.id == names[0])
    ]


def _holds(tree: ast.expr, point: Mapping[str, sp.Expr]) -> bool:
    if isinstance(tree, ast.BoolOp):
        parts = [_holds(part, point) for part in tree.values]
        return all(parts) if isinstance(tree.op, ast.And) else any(parts)
    sides = [
        point[side.id]
        if isinstance(side, ast.Name) and side.id in point
        else parse_number(ast.unparse(side))
        for side in [tree.left, *tree.comparators]
    ]
    return all(
        _ORDER[type(op)](_order(a, b), 0) for op, (a, b) in zip(tree.ops, itertools.pairwise(sides))
    )


def _order(a: sp.Expr, b: sp.Expr) -> int:
    """-1, 0 or 1 as a lies to b."""
    if equal_constants(a, b):
        return 0
    return -1 if ball_of_constant(a) < ball_of_constant(b) else 1


def _inside(low: sp.Expr, high: sp.Expr) -> sp.Expr:
    """A point of the range."""
    if low == high:
        return low
    if low == -sp.oo:
        return sp.S.Zero if high == sp.oo else high - 1
    return low + 1 if high == sp.oo else (low + high) / 2
