"""Ranges of parameters, cut into parts, and intervals written by a positive symbol. Part of the
trusted checker.

The parameters come in an order, and an end of a range may depend on those that come before: b > 0
and then a < b, a = b, a > b (Proposition 20).
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp

from divergence_lab.theory.checker.facts.proofs import Rejected, equal_constants
from divergence_lab.theory.checker.families.signs import Unsigned, is_finite, sign
from divergence_lab.theory.expressions import ordering, pieces
from divergence_lab.theory.expressions.parsing import read_assumptions, read_relations
from divergence_lab.theory.expressions.symbols import x

Range = tuple[sp.Expr, sp.Expr]
Ranges = Mapping[str, Range]
Forms = Mapping[sp.Symbol, sp.Expr]  # parameters in the symbols of a cell
Bounds = Sequence[tuple[str, sp.Expr]]  # (">=", 0), ...


class Unordered(Unsigned):
    """Two ends of ranges have no order that is the same on this cell of the parameters before."""

    def __init__(self, expression: sp.Expr, ranges: Ranges):
        super().__init__(expression)
        self.ranges = ranges


@dataclass(frozen=True)
class Assumed:
    """What is assumed of the parameters of a loss: of each a range between `numbers`, and
    `relations` between them, (d, ">") for d > 0, d linear.
    """

    symbols: Mapping[str, Any]
    numbers: Mapping[str, Bounds]
    relations: Sequence[tuple[sp.Expr, str]]


def read_assumed(loss: sp.Expr, assumptions: Sequence[str]) -> Assumed:
    """The parameters of a loss in x, and what texts such as "a > b" assume of them."""
    symbols = {str(s): s for s in loss.free_symbols - {x}}
    return Assumed(symbols, read_assumptions(assumptions), read_relations(assumptions, symbols))


def parts_of(bounds: Bounds, cuts: Sequence[sp.Expr], before: Forms) -> list[Range]:
    """The range that the assumptions on one parameter leave, cut at these points: (a, b) open,
    (a, a) a point.

    `before`: the parameters on which bounds and cuts may depend. Raises Unsigned where their order
    is not the same for all of these.
    """

    def order(a: sp.Expr, b: sp.Expr) -> int:
        return _order(a, b, before)

    low, high = _tightest(bounds, order)
    if order(low, high) >= 0:
        closed = order(low, high) == 0 and _is_allowed(low, bounds, order)
        return [(low, low)] if closed else []
    ordered: list[sp.Expr] = []
    for cut in (*cuts, *(bound for relation, bound in bounds if relation == "!=")):
        inside = order(low, cut) < 0 and order(cut, high) < 0
        if inside and all(order(cut, other) for other in ordered):
            ordered.insert(sum(order(other, cut) < 0 for other in ordered), cut)
    parts = [] if low == -sp.oo else [(low, low)]
    for a, b in itertools.pairwise([low, *ordered, high]):
        parts += [(a, b)] if b == sp.oo else [(a, b), (b, b)]
    return [(a, b) for a, b in parts if a != b or _is_allowed(a, bounds, order)]


def _order(a: sp.Expr, b: sp.Expr, before: Forms) -> int:
    """-1, 0 or 1 as a lies to b, for all parameters before. Raises Unsigned."""
    if a == b:
        return 0
    if a.is_infinite or b.is_infinite:
        return -1 if a == -sp.oo or b == sp.oo else 1
    if not (a.free_symbols or b.free_symbols):
        return 0 if equal_constants(a, b) else -1 if ordering.is_less(a, b) else 1
    return sign(put_in(a - b, before))


def put_in(e: sp.Expr, forms: Forms) -> Any:
    """e in the symbols of a cell."""
    return e.xreplace(dict(forms))


def _tightest(bounds: Bounds, order: Callable[[sp.Expr, sp.Expr], int]) -> Range:
    low, high = -sp.oo, sp.oo
    for relation, bound in bounds:
        if relation[0] == ">" and order(low, bound) < 0:
            low = bound
        elif relation[0] == "<" and order(bound, high) < 0:
            high = bound
    return low, high


def _is_allowed(point: sp.Expr, bounds: Bounds, order: Callable[[sp.Expr, sp.Expr], int]) -> bool:
    """No strict bound leaves the point out."""
    return not any(relation in (">", "<", "!=") and order(point, b) == 0 for relation, b in bounds)


def grid(
    names: Sequence[str], cuts: Mapping[str, Sequence[sp.Expr]], assumed: Assumed
) -> list[dict[str, Range]]:
    """Every cell, in order: of each parameter the parts that `parts_of` leaves, on the cell of
    those before it.

    Raises Unordered where the order of two ends is not the same on such a cell, Rejected where a
    bound is not a finite number there.
    """
    bounds = bounds_in_order(names, assumed)
    cells: list[dict[str, Range]] = [{}]
    for name in names:
        cells = [
            {**cell, name: part}
            for cell in cells
            for part in _parts_on(cell, bounds[name], cuts.get(name, ()), assumed.symbols)
        ]
    return cells


def _parts_on(
    cell: Ranges, bounds: Bounds, cuts: Sequence[sp.Expr], symbols: Mapping[str, Any]
) -> list[Range]:
    """`parts_of` on a cell of the parameters before, at those of the cuts that depend on no
    others and are finite numbers there: 1/(a - 1) is no cut at a = 1.
    """
    before = written_positive(cell, symbols)

    def is_an_end(e: sp.Expr) -> bool:
        return e.free_symbols <= before.keys() and is_finite(put_in(e, before))

    usable = sorted(  # of equal ends the first is written, by search and checker alike
        filter(is_an_end, cuts),
        key=lambda cut: (len(cut.free_symbols), sp.count_ops(cut), str(cut)),
    )
    for _, bound in bounds:
        if not is_an_end(bound):
            raise Rejected(f"{bound} is not a finite end for all parameters before it")
    try:
        return parts_of(bounds, usable, before)
    except Unsigned as unknown:
        raise Unordered(unknown.expression, cell) from None


def written_positive(ranges: Ranges, symbols: Mapping[str, Any]) -> dict[sp.Symbol, sp.Expr]:
    """Each parameter by a positive symbol z, of a name that no parameter can have (a + z, b - z,
    a + (b - a)/(1 + z)), a real one, or its value; the ends in the symbols of those before.

    The same values, in sums: low < b < a for a > low is b > low and a > b.
    """
    written: dict[sp.Symbol, sp.Expr] = {}
    for name, (low, high) in turned(ranges, symbols).items():
        a, b, symbol = put_in(low, written), put_in(high, written), symbols[name]
        written[symbol] = a if low == high else over_range(symbol, a, b)[0]
    return written


def turned(ranges: Ranges, symbols: Mapping[str, Any]) -> dict[str, Range]:
    """The same cell, with low < a and low < b < a as low < b and b < a: of those two in this
    order.
    """
    found: dict[str, Range] = dict(ranges)
    for name, (low, high) in ranges.items():
        larger = str(high) if high.is_Symbol else ""
        if not low.free_symbols and found.get(larger) == (low, sp.oo):
            smaller = {name: (low, sp.oo)}
            rest = {n: ends for n, ends in found.items() if n != name}
            rest[larger] = symbols[name], sp.oo
            found = {**smaller, **rest}
    return found


def sides_of(ranges: Ranges, assumed: Assumed) -> dict[str, tuple[int, ...]]:
    """From which sides the assumptions let each parameter that has one value come to it: -1 from
    below, 1 from above.
    """
    found, before, bounds = {}, {}, bounds_in_order(list(ranges), assumed)
    for name, (low, high) in ranges.items():
        if low == high:
            every = _parts_on(before, bounds[name], [low], assumed.symbols)
            parts = [part for part in every if part[0] != part[1]]
            found[name] = (-1,) * any(b == low for _, b in parts) + (1,) * any(
                a == low for a, _ in parts
            )
        before[name] = low, high
    return found


def bounds_in_order(names: Sequence[str], assumed: Assumed) -> dict[str, list[tuple[str, sp.Expr]]]:
    """What is assumed of each parameter, by numbers and by those before it in this order. A
    relation with a parameter that is not here says nothing.
    """
    bounds = {name: list(assumed.numbers.get(name, ())) for name in names}
    for difference, relation in assumed.relations:
        here = [name for name in names if difference.has(assumed.symbols[name])]
        if len(here) < len(difference.free_symbols):
            continue
        last = assumed.symbols[here[-1]]
        slope = difference.diff(last)
        turned = relation if slope.is_positive else relation.translate(str.maketrans("<>", "><"))
        bounds[last.name].append((turned, sp.expand(last - difference / slope)))
    return bounds


def over_interval(low: sp.Expr, high: sp.Expr, y: sp.Expr) -> sp.Expr:
    """Every number of (low, high), by one positive y."""
    if low == -sp.oo:
        return high - y
    return low + (y if high == sp.oo else (high - low) / (1 + y))


def over_piece(piece: pieces.Piece, y: sp.Expr) -> sp.Expr:
    """x by a positive number over the whole of the piece."""
    return over_interval(piece.low, piece.high, y)


def over_range(
    symbol: sp.Symbol, low: sp.Expr, high: sp.Expr
) -> tuple[sp.Expr, sp.Symbol, sp.Expr]:
    """(form, z, back): the parameter by a positive symbol z, of a name that no parameter can
    have, over all of low < p < high (a real one where neither is finite): p = form(z), z =
    back(p).
    """
    z = sp.Symbol(symbol.name + "~", positive=True)
    if low != -sp.oo and high != sp.oo:
        return low + (high - low) / (1 + z), z, (high - symbol) / (symbol - low)
    if low != -sp.oo or high != sp.oo:
        return (low + z, z, symbol - low) if low != -sp.oo else (high - z, z, high - symbol)
    z = sp.Symbol(symbol.name + "~", real=True)
    return z, z, symbol
