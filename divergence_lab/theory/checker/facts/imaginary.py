"""A function that is not real on an interval: roots and logarithms of what is negative there.

Part of the trusted checker. With u < 0 the principal values are

    log u = log(-u) + i pi    u^r = (-u)^r (cos pi r + i sin pi r)
    atanh v = ... + i pi/2 for |v| > 1    asinh(i s) = ... + i pi/2 for s > 1

so a function made of them and of real ones by sums, products and powers is a polynomial in i.
"""

import sympy as sp

from divergence_lab.theory.checker.facts import decided, proofs
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.facts.structure import Node
from divergence_lab.theory.expressions import balls, constants

_I = sp.Dummy("i")  # stands for i, so that SymPy merges nothing


def prove_not_real(f: sp.Expr, x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> None:
    """The imaginary part of f, which has no decisions, has one sign on (low, high), single points
    apart. Raises Rejected.
    """
    part = imaginary_part(f, x, low, high)
    if not part.has(x):
        if constants.sign_of(part) in (0, None):
            raise Rejected(f"{f} is not seen to have an imaginary part")
        return
    proofs.prove_finite(part, x, low, high)
    point = decided.inner_point(low, high)
    value = balls.ball_at_point(part, x, point)
    if not (value > 0 or value < 0):
        raise Rejected(f"the imaginary part of {f} is not seen to differ from 0")
    proofs.prove_nonnegative(part if value > 0 else -part, x, low, high)


def imaginary_part(f: sp.Expr, x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> sp.Expr:
    """Im f, made of functions that are real on (low, high). Raises Rejected."""
    written = _in_i(f, x, low, high)
    powers = sp.Poly(sp.expand(written), _I).all_coeffs()[::-1]
    return sp.Add(*((-1) ** (k // 2) * c for k, c in enumerate(powers) if k % 2))


def _in_i(e: Node, x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> sp.Expr:
    """e as a polynomial in i with real coefficients."""
    if not e.has(x):
        if not balls.is_finite_constant(e):
            raise Rejected(f"{e} is not seen to be a real number")
        return e
    if not e.args:
        return e
    parts = [_in_i(part, x, low, high) for part in e.args]
    if e.is_Add or e.is_Mul or (e.is_Pow and e.exp.is_Integer and e.exp > 0):
        return e.func(*parts)
    if any(part.has(_I) for part in parts):
        return _of_a_number_in_i(e, parts[0], x, low, high)
    found = _of_a_negative_number(e, x, low, high)
    if found is None:
        proofs.prove_finite(e, x, low, high)
    return e if found is None else found


def _of_a_number_in_i(
    e: Node, inner: sp.Expr, x: sp.Symbol, low: sp.Expr, high: sp.Expr
) -> sp.Expr:
    """asinh(i s) = log(s + sqrt(s^2 - 1)) + i pi/2 for s > 1: what acosh is below its domain."""
    s = sp.expand(inner).coeff(_I, 1)
    if not isinstance(e, sp.asinh) or sp.expand(inner - _I * s) != 0 or s.has(_I):
        raise Rejected(f"{e} is not followed where its argument is not real")
    if not _is_negative(1 - s, x, low, high):
        raise Rejected(f"{s} is not seen to be greater than 1")
    return sp.log(s + sp.sqrt(s**2 - 1)) + _I * sp.pi / 2


def _of_a_negative_number(e: Node, x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> sp.Expr | None:
    """A logarithm or root of u < 0, an atanh of |v| > 1; None where e is none of these.

    atanh v = (log|1 + v| - log|1 - v|)/2 and half of i pi, whose sign matters to nothing here.
    """
    u = e.args[0]
    if isinstance(e, sp.log) and _is_negative(u, x, low, high):
        return sp.log(-u) + _I * sp.pi
    if e.is_Pow and e.exp.is_Rational and not e.exp.is_Integer and _is_negative(u, x, low, high):
        turn = sp.pi * e.exp
        return (-u) ** e.exp * (sp.cos(turn) + _I * sp.sin(turn))
    for way in (1, -1) if isinstance(e, sp.atanh) else ():
        if _is_negative(1 - way * u, x, low, high):
            return way * (sp.log(1 + way * u) - sp.log(way * u - 1) + _I * sp.pi) / 2
    return None


def _is_negative(u: Node, x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> bool:
    """u is seen to be negative on the interval, single points apart."""
    if not u.has(x):
        return constants.sign_of(u) == -1
    value = balls.ball_at_point(u, x, decided.inner_point(low, high))
    if not value < 0:
        return False
    proofs.prove_nonnegative(-u, x, low, high)
    return True
