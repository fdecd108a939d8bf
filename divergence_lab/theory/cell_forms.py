"""A loss written in the symbols of a cell of parameters. Part of the trusted checker.

A parameter with an open range becomes a positive symbol, one with a value that value; where the formula degenerates at
a value the loss is its limit, if there is one. A scale by one parameter can be taken out (Proposition 19).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import sympy as sp

from divergence_lab.theory import germs
from divergence_lab.theory.balls import ball_of_constant
from divergence_lab.theory.parameter_signs import is_finite, is_zero, sign
from divergence_lab.theory.pieces import CannotSplit, Piece, Pieces, split
from divergence_lab.theory.proofs import Rejected
from divergence_lab.theory.symbols import x

Ranges = Mapping[str, tuple[sp.Expr, sp.Expr]]
_Y = sp.Symbol("~y", positive=True)


class NoValue(Rejected):
    """The formula has no value at these parameters, and no limit that would be a loss."""


def positive_form(loss: sp.Expr, ranges: Ranges) -> dict[sp.Symbol, sp.Expr]:
    """Each parameter by a positive symbol z, of a name that no parameter can have (a + z, b - z, a + (b - a)/(1 + z)), a real one, or its value."""
    written = {}
    for symbol in loss.free_symbols - {x}:
        low, high = ranges[symbol.name]
        z = sp.Symbol(symbol.name + "~", positive=True)
        if low == high:
            written[symbol] = low
        elif low.is_finite:
            written[symbol] = low + ((high - low) / (1 + z) if high.is_finite else z)
        else:
            written[symbol] = high - z if high.is_finite else sp.Symbol(symbol.name + "~", real=True)
    return written


def at_points(loss: sp.Expr, written: Mapping, ranges: Ranges) -> sp.Expr:
    """The loss in the symbols of the cell; where the formula degenerates at a point, its limit from both sides."""
    return _at_points(loss, tuple(written.items()), tuple(ranges.items()))


@lru_cache(maxsize=200)
def _at_points(loss: sp.Expr, forms: tuple, cell: tuple) -> sp.Expr:
    written, ranges = dict(forms), dict(cell)
    points = {s: v for s, v in written.items() if ranges[s.name][0] == ranges[s.name][1]}
    others = {s: v for s, v in written.items() if s not in points}
    expression = loss.subs(points)
    if not expression.has(sp.zoo, sp.nan, sp.oo):
        return expression.subs(others)
    try:
        pieces = split(loss.subs(others), x)
    except CannotSplit as reason:
        raise Rejected(str(reason)) from None
    if any(kink.free_symbols & set(points) for kink in pieces.kinks):
        raise NoValue("the kinks move with the parameter: what is left at its limit is not known")
    limits = []
    for side, part in zip((-1, 1), pieces.split_at_zero()):
        for piece in part.pieces:
            g = piece.expression.subs(x, side * _Y)
            for symbol, value in points.items():
                g = _limit_in(g, symbol, value)
            limits.append(Piece(piece.low, piece.high, g.subs(_Y, side * x)))
    return Pieces(tuple(limits), x).merged().as_expression()


def _limit_in(g: sp.Expr, symbol: sp.Symbol, value: sp.Expr) -> sp.Expr:
    """lim g as symbol -> value, from both sides alike, and borne out close by."""
    real = sp.Symbol(symbol.name, real=True)
    g = g.subs(symbol, real)
    try:
        found = {sp.simplify(_one_sided(g, real, value, side)) for side in (1, -1)}
    except (NotImplementedError, ValueError) as reason:
        raise Rejected(f"the limit of {g} at {symbol} = {value}: {reason}") from None
    limit = found.pop()
    if found or limit.has(sp.zoo, sp.nan, sp.oo, sp.AccumBounds, sp.Limit):
        raise NoValue(f"{g} has no limit at {symbol} = {value}")
    symbols = sorted(g.free_symbols - {real}, key=str)
    for shift in (0, 1):  # near the limit the formula must be near it
        samples = {s: sp.Rational(5 + 3 * k + 2 * shift, 4) for k, s in enumerate(symbols)}
        near = (g.subs(real, value + sp.Rational(1, 10**12)) - limit).subs(samples)
        if not abs(ball_of_constant(near)) < 1e-6:
            raise Rejected(f"the limit of {g} at {symbol} = {value} is not borne out")
    return limit


def _one_sided(g: sp.Expr, symbol: sp.Symbol, value: sp.Expr, side: int) -> sp.Expr:
    try:
        return germs.limit_of(g, symbol, value, side)
    except Rejected:
        return sp.limit(g, symbol, value, "+" if side > 0 else "-")


def without_scale(g: sp.Expr, u: sp.Expr) -> sp.Expr:
    """G with g(x/u) = c G(x), c > 0 and u > 0 for all parameters: g at u = 1, up to the factor."""
    if sign(u) != 1 or len(u.free_symbols) != 1:
        raise Rejected(f"{u} is not a positive scale by one parameter")
    (z,) = u.free_symbols
    one = sp.solve(u - 1, z)
    if len(one) != 1 or not one[0].is_positive or not is_zero(u.subs(z, one[0]) - 1):
        raise Rejected(f"where {u} is 1 is not known")
    moved, core = g.subs(x, x / u), g.subs(z, one[0])
    left, right = ([sp.simplify(p.expression) for p in split(f, x).pieces] for f in (moved, core))
    if len(left) != len(right) or split(moved, x).kinks != split(core, x).kinks:
        raise Rejected(f"g(x/({u})) and g at {u} = 1 have other pieces")
    factor = sp.simplify(left[-1] / right[-1])
    if factor.has(x) or not is_finite(factor) or sign(factor) != 1 or not all(is_zero(a - factor * b) for a, b in zip(left, right)):
        raise Rejected(f"g(x/({u})) is not a positive multiple of g at {u} = 1")
    return core
