"""Ranges of parameters, cut into parts, and intervals written by a positive symbol. Part of the
trusted checker.
"""

import itertools
from collections.abc import Mapping, Sequence

import sympy as sp

from divergence_lab.theory.checker.facts.proofs import equal_constants
from divergence_lab.theory.expressions import ordering, pieces

Ranges = Mapping[str, tuple[sp.Expr, sp.Expr]]


def parts_of(
    bounds: Sequence[tuple[str, sp.Expr]], cuts: Sequence[sp.Expr]
) -> list[tuple[sp.Expr, sp.Expr]]:
    """The range that the assumptions on one parameter leave, cut at these points: (a, b) open,
    (a, a) a point.
    """
    low, high, ends, without = -sp.oo, sp.oo, set(), []
    for relation, bound in bounds:
        if relation == "!=":
            without.append(bound)
        elif (relation[0] == ">" and ordering.is_less(low, bound)) or (
            relation[0] == "<" and ordering.is_less(bound, high)
        ):
            low, high = (bound, high) if relation[0] == ">" else (low, bound)
        if relation in (">=", "<="):
            ends.add(bound)
    # a bound that another assumption makes strict does not belong to the range
    ends -= {bound for relation, bound in bounds if relation in (">", "<", "!=")}
    ordered: list[sp.Expr] = []
    for cut in (*cuts, *without):
        inside = ordering.is_less(low, cut) and ordering.is_less(cut, high)
        if inside and not any(equal_constants(cut, other) for other in ordered):
            ordered.insert(sum(ordering.is_less(other, cut) for other in ordered), cut)
    parts = [(low, low)] if low in ends else []
    for a, b in itertools.pairwise([low, *ordered, high]):
        parts.append((a, b))
        if b != high and b not in without:
            parts.append((b, b))
    return parts + ([(high, high)] if high in ends else [])


def sides_of(
    bounds: Mapping[str, Sequence[tuple[str, sp.Expr]]], ranges: Ranges
) -> dict[str, tuple[int, ...]]:
    """From which sides the assumptions let each parameter that has one value come to it: -1 from
    below, 1 from above.
    """
    found = {}
    for name, (low, high) in ranges.items():
        if low == high:
            parts = [part for part in parts_of(bounds.get(name, ()), [low]) if part[0] != part[1]]
            found[name] = (-1,) * any(b == low for _, b in parts) + (1,) * any(
                a == low for a, _ in parts
            )
    return found


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
    if low.is_finite and high.is_finite:
        return low + (high - low) / (1 + z), z, (high - symbol) / (symbol - low)
    if low.is_finite or high.is_finite:
        return (low + z, z, symbol - low) if low.is_finite else (high - z, z, high - symbol)
    z = sp.Symbol(symbol.name + "~", real=True)
    return z, z, symbol
