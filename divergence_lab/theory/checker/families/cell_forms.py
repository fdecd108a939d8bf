"""A loss written in the symbols of a cell of parameters. Part of the trusted checker.

A parameter with an open range becomes a positive symbol, one with a value that value; where the
formula has no value there, `continuation` says what the limit of the family is. A scale by one
parameter can be taken out (Proposition 19).
"""

from collections.abc import Mapping
from functools import lru_cache

import sympy as sp

from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.families import continuation, signs
from divergence_lab.theory.checker.families.ranges import (
    Ranges,
    over_range,
    turned,
    written_positive,
)
from divergence_lab.theory.expressions import split, x


def positive_form(loss: sp.Expr, ranges: Ranges) -> dict[sp.Symbol, sp.Expr]:
    """The parameters of the loss as `ranges.written_positive` writes them on this cell."""
    symbols = {str(s): s for s in loss.free_symbols - {x}}
    return written_positive({n: ends for n, ends in ranges.items() if n in symbols}, symbols)


def in_parameters(written: Mapping[sp.Symbol, sp.Expr], ranges: Ranges) -> dict[sp.Symbol, sp.Expr]:
    """The symbols of `positive_form` in terms of the parameters."""
    symbols = {s.name: s for s in written}
    here = turned({name: ranges[name] for name in ranges if name in symbols}, symbols)
    backs = (over_range(symbols[n], low, high) for n, (low, high) in here.items() if low != high)
    return {z: back for _, z, back in backs}


def at_points(
    loss: sp.Expr, written: Mapping, ranges: Ranges, sides: continuation.Sides = None
) -> sp.Expr:
    """The loss in the symbols of the cell; where its formula has no value at a point, the limit
    of the family from the sides given.
    """
    if sides is None:
        sides = {}
    return _at_points(
        loss,
        tuple(written.items()),
        tuple(ranges.items()),
        tuple((name, tuple(s)) for name, s in sides.items()),
    )


@lru_cache(maxsize=200)
def _at_points(loss: sp.Expr, forms: tuple, cell: tuple, sides: tuple) -> sp.Expr:
    written, ranges = dict(forms), dict(cell)
    points = {s: v for s, v in written.items() if ranges[s.name][0] == ranges[s.name][1]}
    inside = loss.subs({s: v for s, v in written.items() if s not in points})
    return continuation.value_or_limit(inside, points, dict(sides)) if points else inside


def without_scale(g: sp.Expr, u: sp.Expr) -> sp.Expr:
    """G with g(x/u) = c G(x), c > 0 and u > 0 for all parameters: g at u = 1, up to the factor."""
    if signs.sign(u) != 1 or len(u.free_symbols) != 1:
        raise Rejected(f"{u} is not a positive scale by one parameter")
    if g.has(sp.Integral):
        raise Rejected("no scale is taken out of an integral")
    (z,) = u.free_symbols
    one = sp.solve(u - 1, z)
    if len(one) != 1 or not one[0].is_positive or not signs.is_zero(u.subs(z, one[0]) - 1):
        raise Rejected(f"where {u} is 1 is not known")
    moved, core = g.subs(x, x / u), g.subs(z, one[0])
    left, right = ([sp.simplify(p.expression) for p in split(f, x).pieces] for f in (moved, core))
    if len(left) != len(right) or split(moved, x).kinks != split(core, x).kinks:
        raise Rejected(f"g(x/({u})) and g at {u} = 1 have other pieces")
    factor = sp.simplify(left[-1] / right[-1])
    if (
        factor.has(x)
        or not signs.is_finite(factor)
        or signs.sign(factor) != 1
        or not all(signs.is_zero(a - factor * b) for a, b in zip(left, right))
    ):
        raise Rejected(f"g(x/({u})) is not a positive multiple of g at {u} = 1")
    return core
