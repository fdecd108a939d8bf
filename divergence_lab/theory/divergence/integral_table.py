"""Antiderivatives from the table: Gaussians, half-integer powers and rational functions times an
exponential.

    int y^n e^{ay^2 + by} dy      erf or erfi, by completing the square and by parts
    int y^p e^{by} dy             p half an odd integer: erf or erfi of sqrt(|b| y)
    int y^p e^{by} dy             any p > -1, b < 0: the incomplete gamma function
    int e^{by}/(y + d)^k dy       Ei, after partial fractions with real linear denominators
    int y^n L(y) e^{by} dy        by parts, L the logarithm, erf or erfi of a polynomial

SymPy's `integrate` finds few of these and none quickly. Finds; confirms nothing.
"""

import sympy as sp

from divergence_lab.theory.expressions import x
from divergence_lab.theory.expressions.pieces import Piece, positive_argument


class NotInTable(ValueError):
    """A term of the integrand has none of the forms above."""


def antiderivative(piece: Piece) -> sp.Expr:
    """A(x) with A' = the piece's expression. Raises NotInTable."""
    signed, back = positive_argument(x, piece)
    y = sp.Symbol("~y", positive=True)
    if (
        back is None
    ):  # the piece straddles 0: no sign is known, but none of the rules below needs one
        signed, back = y, (y, x)
    orientation = -1 if signed == -y else 1
    integrand = sp.expand(
        sp.powsimp(sp.expand(piece.expression.rewrite((sp.sinh, sp.cosh), sp.exp).subs(x, signed)))
    )
    by_exponent: dict[sp.Expr, sp.Expr] = {}
    for term in sp.Add.make_args(integrand):
        numerator, denominator = sp.fraction(term)
        if denominator.is_Add:  # SymPy hides common exponentials in expanded denominators
            term = numerator / sp.factor(denominator)
        factor, exponent = _split(term, y)
        by_exponent[exponent] = by_exponent.get(exponent, sp.S.Zero) + factor
    total = sum(
        (_integrate(sp.together(factor), exponent, y) for exponent, factor in by_exponent.items()),
        sp.S.Zero,
    )
    return (orientation * total).subs(*back)


def _split(term: sp.Expr, y: sp.Symbol) -> tuple[sp.Expr, sp.Expr]:
    """term = factor * e^{exponent}, the factor without exponentials of y."""
    factor, exponent = sp.S.One, sp.S.Zero
    for part in sp.Mul.make_args(term):
        if isinstance(part, sp.exp) and part.has(y):
            exponent += part.args[0]
        else:
            factor *= part
    return factor, sp.expand(exponent)


def _integrate(factor: sp.Expr, exponent: sp.Expr, y: sp.Symbol) -> sp.Expr:
    if not exponent.is_polynomial(y) or sp.Poly(exponent, y).degree() > 2:
        raise NotInTable(f"e^({exponent})")
    if _special(factor, y):
        return sum(
            (_by_parts(term, exponent, y) for term in sp.Add.make_args(sp.expand(factor))),
            sp.S.Zero,
        )
    a, b, c = (sp.Poly(exponent, y).coeff_monomial(power) for power in (y**2, y, 1))
    scale = sp.exp(c)
    if factor.is_polynomial(y):
        return scale * sum(
            weight * _gauss(int(n), a, b, y) for (n,), weight in sp.Poly(factor, y).terms()
        )
    if a != 0:
        raise NotInTable(f"{factor} times a Gaussian")
    if factor.is_rational_function(y):
        return scale * sum(
            _partial_fraction(part, b, y) for part in sp.Add.make_args(sp.apart(factor, y))
        )
    total = sp.S.Zero
    for term in sp.Add.make_args(sp.expand(factor)):
        weight, rest = term.as_independent(y, as_Add=False)
        base, power = rest.as_base_exp()
        if base == y and (2 * power).is_integer and b != 0:
            total += weight * _half_power(power, b, y)
        elif base == y and b.is_negative and (power + 1).is_positive:
            total -= weight * sp.uppergamma(power + 1, -b * y) / (-b) ** (power + 1)
        else:
            raise NotInTable(f"{term} e^({b}*{y})")
    return scale * total


def _gauss(n: int, a: sp.Expr, b: sp.Expr, y: sp.Symbol) -> sp.Expr:
    """int y^n e^{ay^2 + by} dy."""
    power = sp.exp(a * y**2 + b * y)
    if a == 0:
        if b == 0:
            return y ** (n + 1) / (n + 1)
        return power / b if n == 0 else y**n * power / b - n * _gauss(n - 1, a, b, y) / b
    if n == 0:
        middle = sp.exp(-(b**2) / (4 * a))
        if a.is_negative:
            return sp.sqrt(sp.pi / -a) / 2 * middle * sp.erf((-2 * a * y - b) / (2 * sp.sqrt(-a)))
        if a.is_positive:
            return sp.sqrt(sp.pi / a) / 2 * middle * sp.erfi((2 * a * y + b) / (2 * sp.sqrt(a)))
        raise NotInTable(f"the sign of {a} is not known")
    before = (n - 1) * _gauss(n - 2, a, b, y) if n > 1 else sp.S.Zero
    return (y ** (n - 1) * power - b * _gauss(n - 1, a, b, y) - before) / (2 * a)


def _by_parts(term: sp.Expr, exponent: sp.Expr, y: sp.Symbol) -> sp.Expr:
    """int L(y) P(y) e^{by + c} dy = L H - int L' H, with H = int P e^{by + c} = Q e^{by + c} for
    a polynomial Q.
    """
    special = _special(term, y)
    if not special:
        return _integrate(term, exponent, y)
    logarithm = special.pop()
    polynomial = term / logarithm
    if (
        not polynomial.is_polynomial(y)
        or not logarithm.args[0].is_polynomial(y)
        or sp.Poly(exponent, y).degree() > 1
    ):
        raise NotInTable(f"{term} e^({exponent})")
    whole = _integrate(polynomial, exponent, y)
    factor, rest = _split(sp.diff(logarithm, y), y)
    quotient = sp.cancel(sp.expand(whole * sp.exp(-exponent)))
    return logarithm * whole - sum(
        (
            _integrate(sp.together(factor * part), sp.expand(exponent + rest), y)
            for part in sp.Add.make_args(sp.expand(quotient))
        ),
        sp.S.Zero,
    )


def _special(factor: sp.Expr, y: sp.Symbol) -> set[sp.Expr]:
    return {e for e in factor.atoms(sp.log, sp.erf, sp.erfi) if e.has(y)}


def _half_power(p: sp.Expr, b: sp.Expr, y: sp.Symbol) -> sp.Expr:
    """int y^p e^{by} dy, p half an odd integer above -1."""
    if p == -sp.S.Half:
        if b.is_positive:
            return sp.sqrt(sp.pi / b) * sp.erfi(sp.sqrt(b * y))
        if b.is_negative:
            return sp.sqrt(sp.pi / -b) * sp.erf(sp.sqrt(-b * y))
        raise NotInTable(f"the sign of {b} is not known")
    if not p > 0:
        raise NotInTable(f"y^({p}) is not integrable at 0")
    return y**p * sp.exp(b * y) / b - p / b * _half_power(p - 1, b, y)


def _partial_fraction(part: sp.Expr, b: sp.Expr, y: sp.Symbol) -> sp.Expr:
    """int part e^{by} dy, part a polynomial or c/(uy + v)^k."""
    numerator, denominator = sp.fraction(sp.together(part))
    if not denominator.has(y):
        return sum(
            weight / denominator * _gauss(int(n), sp.S.Zero, b, y)
            for (n,), weight in sp.Poly(numerator, y).terms()
        )
    weight, factors = sp.factor_list(denominator, y)
    if numerator.has(y) or len(factors) != 1 or sp.degree(factors[0][0], y) != 1:
        raise NotInTable(f"1/({denominator})")
    ((linear, k),) = factors
    u, v = sp.Poly(linear, y).all_coeffs()
    return numerator / (weight * u**k) * _pole(int(k), v / u, b, y)


def _pole(k: int, d: sp.Expr, b: sp.Expr, y: sp.Symbol) -> sp.Expr:
    """int e^{by}/(y + d)^k dy."""
    if k == 1:
        return sp.log(y + d) if b == 0 else sp.exp(-b * d) * sp.Ei(b * (y + d))
    head = -sp.exp(b * y) / ((k - 1) * (y + d) ** (k - 1))
    return head if b == 0 else head + b / (k - 1) * _pole(k - 1, d, b, y)
