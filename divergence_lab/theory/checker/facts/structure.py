"""Signs that the terms and factors of a function show, and functions of the same sign. Part of the
trusted checker.
"""

import math
from typing import Any

import sympy as sp

from divergence_lab.theory.expressions import constants
from divergence_lab.theory.expressions.balls import ball_of_constant
from divergence_lab.theory.expressions.symbols import Node

MAX_FORMS = 3
OSCILLATING = (sp.sin, sp.cos)


def structural_sign(f: Node, x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> int | None:
    """1 when f, finite there, is >= 0 on (low, high) as its terms and factors show, -1 when <=
    0; None: not seen.
    """
    if f == x:
        return 1 if low.is_nonnegative else -1 if high.is_nonpositive else None
    if not f.has(x):
        value = ball_of_constant(f)
        return 1 if value >= 0 else -1 if value <= 0 else None
    if isinstance(f, sp.exp | sp.cosh):
        return 1
    if isinstance(f, sp.sinh | sp.tanh | sp.asinh | sp.atan | sp.erf | sp.erfi):
        return structural_sign(f.args[0], x, low, high)
    if f.is_Pow and f.exp.is_Integer:
        return 1 if f.exp % 2 == 0 else structural_sign(f.base, x, low, high)
    if f.is_Pow:
        return 1 if structural_sign(f.base, x, low, high) == 1 else None
    if isinstance(f, sp.log) and not isinstance(f.args[0], sp.gamma):
        return structural_sign(f.args[0] - 1, x, low, high)
    if isinstance(f, sp.gamma | sp.polygamma | sp.log) and f.has(sp.gamma, sp.polygamma):
        return _sign_of_gamma(f, x, low, high)
    if f.is_Mul:
        signs = [structural_sign(part, x, low, high) for part in f.args]
        return None if None in signs else math.prod(sign or 0 for sign in signs)
    return _sign_of_sum(f, x, low, high) if f.is_Add else None


def _sign_of_gamma(f: Node, x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> int | None:
    """gamma(u) > 0 and (-1)^(m+1) polygamma(m, u) > 0, m >= 1, for u > 0; log gamma(u) and its
    slope polygamma(0, u) for u >= 2.
    """
    m = f.args[0] if isinstance(f, sp.polygamma) else None
    u = f.args[0].args[0] if isinstance(f, sp.log) else f.args[-1]
    least = 2 if isinstance(f, sp.log) or m == 0 else 0
    if structural_sign(u - least, x, low, high) != 1:
        return None
    return 1 if m in (None, 0) else (-1) ** (int(m) + 1)


def _sign_of_sum(f: Node, x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> int | None:
    """All terms have one sign, as they are or with c e^u as c (e^u - 1) + c: e^u - 1 has the
    sign of u.
    """
    plain = {structural_sign(term, x, low, high) for term in f.args}
    if len(plain) == 1:
        return plain.pop()
    if f.has(*OSCILLATING):
        return _sign_beside_oscillations(f, x, low, high)
    constant, signs = sp.S.Zero, set()
    for term in f.args:
        coefficient, rest = term.as_independent(x, as_Add=False)
        if rest == 1:
            constant += coefficient
            continue
        power = isinstance(rest, sp.exp)
        constant += coefficient if power else 0
        parts = [
            structural_sign(part, x, low, high)
            for part in (coefficient, rest.args[0] if power else rest)
        ]
        signs.add(None if None in parts else math.prod(parts))
    if constant != 0:
        signs.add(structural_sign(constant, x, low, high))
    if len(signs) == 1 and None not in signs:
        return signs.pop()
    return _sign_beside_taylor(f, x, low, high)


TAYLOR = 4  # orders of e^u, cosh u and sinh u that are tried


def _sign_beside_taylor(f: Node, x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> int | None:
    """sum c_i h_i(u_i) + the rest, h_i one of exp, cosh, sinh, as c_i (h_i - T) + c_i T with the
    Taylor polynomial T of order n at 0: h_i - T has the sign of u, or none but that of c_i.
    """
    terms = [(term.as_independent(x, as_Add=False), term) for term in f.args]
    if not any(isinstance(h, _TAYLOR) for (_, h), _ in terms):
        return None
    for n in range(TAYLOR):
        rest, signs = sp.S.Zero, set()
        for (c, h), term in terms:
            if not isinstance(h, _TAYLOR):
                rest += term
                continue
            u: Any = h.args[0]
            rest += c * sum((u**k / sp.factorial(k) for k in _TAYLOR_POWERS[h.func](n)), sp.S.Zero)
            odd = isinstance(h, sp.sinh) or (isinstance(h, sp.exp) and n % 2 == 0)
            parts: list[Any] = [structural_sign(c, x, low, high)]
            parts += [structural_sign(u, x, low, high)] if odd else []
            signs.add(None if None in parts else math.prod(parts))
        rest = sp.expand(rest)
        if rest != 0 and len(signs) == 1 and None not in signs:
            signs.add(structural_sign(rest, x, low, high))
        if len(signs) == 1 and None not in signs:
            return signs.pop()
    return None


_TAYLOR = (sp.exp, sp.cosh, sp.sinh)
_TAYLOR_POWERS = {
    sp.exp: lambda n: range(n + 1),
    sp.cosh: lambda n: range(0, n + 1, 2),
    sp.sinh: lambda n: range(1, n + 1, 2),
}


def _sign_beside_oscillations(f: Node, x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> int | None:
    """c + sum c_i sin u_i or cos u_i + the rest, with |c| >= sum |c_i| and a rest of c's sign."""
    constant, swing, signs = sp.S.Zero, sp.S.Zero, set()
    for term in f.args:
        coefficient, rest = term.as_independent(x, as_Add=False)
        if rest == 1:
            constant += coefficient
        elif isinstance(rest, OSCILLATING):
            swing += sp.Abs(coefficient)
        else:
            signs.add(structural_sign(term, x, low, high))
    way = constants.sign_of(constant)
    if not way or constants.sign_of(way * constant - swing) not in (0, 1):
        return None
    return way if signs <= {way} else None


def forms_of_one_sign(f: Node, x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> list[sp.Expr]:
    """Functions of the same sign as f: without the factors whose sign is seen; that, divided by
    exponentials in it, and so without their violent growth; and f itself.
    """
    signs = [(part, structural_sign(part, x, low, high)) for part in sp.Mul.make_args(f)]
    sign = math.prod(seen for _, seen in signs if seen is not None)
    unseen = sign * sp.Mul(*(part for part, seen in signs if seen is None))
    powers = sorted((e for e in unseen.atoms(sp.exp) if e.has(x)), key=str)
    towers = [e for e in powers if e.args[0].has(sp.exp)]
    towers += [e for e in unseen.atoms(sp.gamma) if structural_sign(e, x, low, high) == 1]
    others = [e for e in powers if e not in towers][:MAX_FORMS]
    return list(
        dict.fromkeys(
            [
                *(sp.expand(unseen / tower) for tower in towers),
                unseen,
                f,
                *(sp.expand(unseen / power) for power in others),
            ]
        )
    )


_ENTIRE = (sp.exp, sp.sinh, sp.cosh, sp.tanh, sp.asinh, sp.atan, sp.erf, sp.erfi, *OSCILLATING)


def is_analytic(f: Node, x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> bool:
    """f is seen to be finite, real and analytic on the open interval; False: not seen."""
    if f == x:
        return True
    if not f.has(x):
        return ball_of_constant(f).is_finite()
    if not all(is_analytic(part, x, low, high) for part in f.args):
        return False
    whole_power = f.is_Pow and f.exp.is_Integer and f.exp > 0
    if f.is_Add or f.is_Mul or whole_power or isinstance(f, _ENTIRE):
        return True
    if f.is_Pow or isinstance(f, sp.log | sp.gamma | sp.polygamma):
        base = f.args[-1] if isinstance(f, sp.polygamma) else f.args[0]
        sign = strict_sign(base, x, low, high)
        return sign == 1 or (sign == -1 and f.is_Pow and bool(f.exp.is_Integer))
    return False


def strict_sign(f: Node, x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> int | None:
    """1 or -1 when f, finite there, is seen to be positive or negative on the open interval."""
    if f == x:
        return 1 if low.is_nonnegative else -1 if high.is_nonpositive else None
    if not f.has(x):
        value = ball_of_constant(f)
        return 1 if value > 0 else -1 if value < 0 else None
    if isinstance(f, sp.exp | sp.cosh):
        return 1
    if isinstance(f, sp.sinh | sp.tanh | sp.asinh | sp.atan | sp.erf | sp.erfi):
        return strict_sign(f.args[0], x, low, high)
    if f.is_Mul:
        signs = [strict_sign(part, x, low, high) for part in f.args]
        return None if None in signs else math.prod(sign or 0 for sign in signs)
    if f.is_Pow:
        base = strict_sign(f.base, x, low, high)
        return base if base != -1 else (-1) ** int(f.exp) if f.exp.is_Integer else None
    if isinstance(f, sp.log) and f.args[0].is_Add:
        return strict_sign(f.args[0] - 1, x, low, high)
    return _strict_sign_of_sum(f, x, low, high) if f.is_Add else None


def _strict_sign_of_sum(f: Node, x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> int | None:
    """Every term has that sign or is 0, and one is not 0."""
    for term in f.args:
        sign = strict_sign(term, x, low, high)
        if sign is not None:
            agree = (structural_sign(sign * other, x, low, high) == 1 for other in f.args)
            return sign if all(agree) else None
    return None
