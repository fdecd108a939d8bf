"""At which scale a function lives: e^{x/1000} at 1000, log(1 + 10^50 x^2) at 10^-25. Part of the
trusted checker.

    f >= 0 on (a, b)   where and only where   f(x/s) >= 0 on (s a, s b),   s > 0

so any s will do, and a good one only saves boxes: a power of 10 near where terms of two sizes
meet, or the argument of a function is 1.
"""

from collections.abc import Iterator
from typing import Any

import sympy as sp

USUAL = 64  # scales between 1/64 and 64 are as good as 1
MAX_SCALES = 2
_POLYNOMIAL_SIZE = 40  # operations beyond which no polynomial is looked for


def scales_of(f: Any, x: sp.Symbol) -> list[sp.Expr]:
    """Numbers s > 0 for which f(x/s) may be easier to enclose than f(x), the likeliest first; 1 is
    the last.

    >>> x = sp.Symbol("x", real=True)
    >>> scales_of(sp.exp(x / 1000) - 1 - x / 1000, x)
    [1/1000, 1]
    >>> scales_of(sp.exp(x) - 1 - x, x)
    [1]
    """
    found = {s for e in f.atoms(sp.Function, sp.Add) for s in _scales_of_part(e, x)}
    odd = [s for s in found if not sp.Rational(1, USUAL) <= s <= USUAL]
    return [*sorted(odd, key=lambda s: (max(s, 1 / s), s))[-MAX_SCALES:][::-1], sp.S.One]


def _scales_of_part(e: Any, x: sp.Symbol) -> Iterator[sp.Expr]:
    """(|c|)^(1/n) for c x^n in the argument of a function, (|c/d|)^(1/(n - m)) for c x^n and d x^m
    in a sum.
    """
    inner = e if e.is_Add else e.args[0]
    if not inner.has(x) or sp.count_ops(inner) > _POLYNOMIAL_SIZE or not inner.is_polynomial(x):
        return
    terms = [(int(n), c) for (n,), c in sp.Poly(inner, x).terms() if not c.free_symbols]
    (n, c), (m, d) = terms[0], terms[-1] if e.is_Add else (0, sp.S.One)
    if n > m:
        size = sp.log(sp.Abs(c / d), 10).evalf() / (n - m)
        if size.is_finite:
            yield sp.Integer(10) ** sp.Integer(round(size))
