"""Sums of c x^n e^{rx} with parameters in c and r, term by term. Part of the trusted checker."""

from __future__ import annotations

import sympy as sp

from divergence_lab.theory.parameter_signs import Unsigned, is_zero, sign
from divergence_lab.theory.proofs import Rejected
from divergence_lab.theory.symbols import x


def terms_of(f: sp.Expr) -> list[tuple[sp.Expr, sp.Expr, sp.Expr]]:
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


def never_vanishes(f: sp.Expr) -> bool:
    """f is not 0 on any interval, whatever the parameters: one term has a coefficient that is never 0, and stays
    different from all others (Proposition 17, part 3). False: not shown. Raises Rejected where f is no such sum."""
    terms = terms_of(f)
    return any(_has_sign(c) and all(n != m or _has_sign(r - q) for k, (_, m, q) in enumerate(terms) if k != place)
               for place, (c, n, r) in enumerate(terms))


def _has_sign(e: sp.Expr) -> bool:
    try:
        return sign(e) != 0
    except Unsigned:
        return False
