"""What a user of SymPy would type to find f, f(0+) and f'(oo) of a loss.

A module of its own, for the killable process.
"""

from __future__ import annotations

import sympy as sp


def derive_plainly(g: sp.Expr, x: sp.Symbol) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """(f, f(0+), f'(oo)) with f(t) = t int_1^t g'(log s)/s^2 ds by `integrate` and both ends by
    `limit`, nothing else.

    Raises ValueError when one of them stays unevaluated.
    """
    s, t = sp.Symbol("s", positive=True), sp.Symbol("t", positive=True)
    f = t * sp.integrate(sp.diff(g, x).subs(x, sp.log(s)) / s**2, (s, 1, t))
    if f.has(sp.Integral):
        raise ValueError("f stays an integral")
    ends = sp.limit(f, t, 0), sp.limit(f / t, t, sp.oo)
    if any(end.has(sp.Limit, sp.nan, sp.AccumBounds) for end in ends):
        raise ValueError("a limit stays unevaluated")
    return f, *ends
