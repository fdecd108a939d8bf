"""Is f = 0? Exactly, for rational functions of x, e^{x/q}, logarithms, roots and other functions.
The trusted checker's own.

    f becomes a quotient of polynomials in building blocks; when its numerator is the polynomial 0,
    f is 0

The blocks need not be independent: that only costs proofs, never makes a false one. A root r =
u^{1/d} is reduced by r^d = u, which holds wherever u > 0, and u^(a + b) = u^a u^b. A logarithm is
read as log|u|, which it is wherever it is real: the sum of those of the factors of u.
"""

import math
from typing import Any

import sympy as sp

from divergence_lab.theory.expressions.unified import polylogarithms_expanded

# Beyond this many operations SymPy's expansion takes longer than a proof is worth here.
MAX_OPERATIONS = 1500
# Powers of a block beyond this degree are blocks of their own: x^(1 + 10^-12) must not become
# r^(10^12 + 1).
MAX_DEGREE = 200


class _NoForm(Exception):
    """A part has no place in the normal form."""


class _Blocks:
    def __init__(self, f: sp.Expr, x: sp.Symbol):
        self.x = x
        self.symbols: dict[object, sp.Symbol] = {}
        self.relations: list[tuple[sp.Symbol, int, sp.Expr]] = []
        self.units: dict[sp.Expr, sp.Rational] = {}  # e^{1000x}, e^{2000x} are powers of e^{1000x}
        self.exponents: dict[sp.Symbol, sp.Expr] = {}
        for power in f.atoms(sp.exp, sp.Pow, type(sp.E)):
            for rate, monomial in _exponent(power, x):
                self.units[monomial] = self.units.get(monomial, rate).gcd(rate)
        self.degrees: dict[sp.Expr, int] = {}  # sqrt(u) and u^(1/3) are powers of u^(1/6)
        for power in f.atoms(sp.Pow):
            if power.exp.is_Rational:
                self.degrees[power.base] = math.lcm(self.degrees.get(power.base, 1), power.exp.q)
        parts = math.lcm(*(d for base, d in self.degrees.items() if base.has(x)))
        if parts <= MAX_DEGREE:  # e^{x/2} stands before sqrt(e^x + e^{2x})
            self.units = {monomial: unit / parts for monomial, unit in self.units.items()}

    def symbol(self, key: object) -> sp.Symbol:
        return self.symbols.setdefault(key, sp.Dummy(f"b{len(self.symbols)}"))

    def of(self, e: Any) -> sp.Expr:
        if e.is_Rational:
            return e
        if e != sp.E and not e.args:
            return self.symbol(e)
        if isinstance(e, sp.log):
            return self.logarithm(e.args[0])
        if e.is_Add or e.is_Mul:
            return e.func(*(self.of(part) for part in e.args))
        terms = _exponent(e, self.x)
        if terms:
            return sp.Mul(*(self.exponential(rate, monomial) for rate, monomial in terms))
        if isinstance(e, sp.Pow) and e.exp.is_Integer:
            return self.of(e.base) ** e.exp
        if isinstance(e, sp.Pow):
            before, base = self.split_off_exponentials(sp.cancel(self.of(e.base)), e.exp)
            degree = self.degrees.get(e.base, 1)
            content, primitive = base.as_content_primitive()
            if e.exp.is_Rational and base.free_symbols and content != 1 and content > 0:
                root = self.power(primitive, e.exp, sp.S.One, degree)
                return before * self.of(content**e.exp) * root
            return before * sp.Mul(*(self.power(base, *term, degree) for term in _terms(e.exp)))
        if isinstance(e, sp.atan):
            return self.arctangent(sp.cancel(self.of(e.args[0])))
        if isinstance(e, sp.Function) and all(isinstance(part, sp.Expr) for part in e.args):
            return self.symbol((e.func, *(sp.cancel(self.of(part)) for part in e.args)))
        raise _NoForm

    def split_off_exponentials(self, base: sp.Expr, rate: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
        """(b^(n rate), base/b^n) for the blocks b = e^u > 0 that base has as factors, as whole
        powers: sqrt(1 + e^(-2x)) = e^(-x) sqrt(e^(2x) + 1).
        """
        before = sp.S.One
        above, below = sp.fraction(sp.together(base))
        for block in self.exponents:
            n = sum(
                side * min((m for (m,) in sp.Poly(part, block).monoms()), default=0)
                for part, side in ((above, 1), (below, -1))
                if part.has(block)
            )
            if n and rate.is_Rational and (n * rate).is_Integer:
                before, base = before * block ** (n * rate), sp.cancel(base / block**n)
        return before, base

    def exponential(self, rate: sp.Rational, monomial: sp.Expr) -> sp.Expr:
        """e^(rate * monomial)."""
        unit = self.units.get(monomial, rate)
        if abs(rate / unit) > MAX_DEGREE:
            block, degree, exponent = self.symbol(("exp", rate * monomial)), 1, rate * monomial
        else:
            block, degree, exponent = self.symbol(("exp", monomial)), rate / unit, unit * monomial
        self.exponents[block] = exponent
        return block**degree

    def arctangent(self, u: sp.Expr) -> sp.Expr:
        """atan u = pi/2 - atan(1/u) for u > 0: one of the two for both."""
        above, below = sp.fraction(u)
        if self.is_positive(above) and self.is_positive(below):
            inverse = sp.cancel(below / above)
            if sp.default_sort_key(inverse) < sp.default_sort_key(u):
                return self.of(sp.pi) / 2 - self.symbol((sp.atan, inverse))
        return self.symbol((sp.atan, u))

    def is_positive(self, u: sp.Expr) -> bool:
        """A polynomial in exponentials, all of its coefficients positive numbers."""
        if not u.free_symbols:
            return bool(u.is_Rational and u > 0)
        if not u.free_symbols <= self.exponents.keys():
            return False
        return all(c.is_Rational and c > 0 for c in sp.Poly(u, *self.exponents).coeffs())

    def logarithm(self, argument: sp.Expr) -> sp.Expr:
        """log|u|, which is log u where that is real, as the sum of those of the factors of u."""
        total = sp.S.Zero
        for part, side in zip(sp.fraction(sp.together(self.of(argument))), (1, -1)):
            content, factors = sp.factor_list(part)
            if not content.is_Rational:
                raise _NoForm
            total += side * self.of_rational(content)
            for factor, power in factors:
                total += side * power * self.logarithm_of_factor(factor)
        return total

    def logarithm_of_factor(self, factor: sp.Expr) -> sp.Expr:
        """log|u|; log|p + q r| = log|N| - log|-p + q r| where N = p^2 - q^2 r^2 is a number, so
        that log(sqrt(x^2 + 1) - x) is -log(sqrt(x^2 + 1) + x).
        """
        if factor in self.exponents:
            return self.of(self.exponents[factor])
        for root, degree, base in self.relations:
            if degree != 2 or sp.degree(factor, root) != 1:
                continue
            q, p = sp.Poly(factor, root).all_coeffs()
            norm = sp.cancel(p**2 - q**2 * base)
            if norm.is_Rational and norm != 0 and (p / q).could_extract_minus_sign():
                ((other, _),) = sp.factor_list(q * root - p)[1]  # the sign that factors have
                return self.of_rational(norm) - self.symbol(("log", other))
        return self.symbol(("log", factor))

    def of_rational(self, number: sp.Rational) -> sp.Expr:
        """log|number| by the logarithms of its primes."""
        powers = sp.factorrat(abs(number)).items()
        return sp.Add(*(power * self.symbol(("log", prime)) for prime, power in powers))

    def power(self, base: sp.Expr, rate: sp.Rational, monomial: sp.Expr, degree: int) -> sp.Expr:
        """base^(rate * monomial), by roots of this degree where it will do."""
        if monomial != 1:
            whole, rest = (rate, monomial) if rate.is_Integer else (sp.S.One, rate * monomial)
            return self.symbol(("power", base, sp.cancel(self.of(rest)))) ** whole
        if rate.is_Integer:
            return base**rate
        degree = math.lcm(degree, rate.q)
        if degree > MAX_DEGREE:
            whole = sp.floor(rate)
            return base**whole * self.symbol(("power", base, rate - whole))
        root = self.symbol(("root", base, degree))
        if all(known != root for known, _, _ in self.relations):
            self.relations.append((root, degree, base))
        return root ** (rate * degree)


def _exponent(e: sp.Expr, x: sp.Symbol) -> list[tuple[sp.Rational, sp.Expr]]:
    """e = exp(sum rate * monomial): [(rate, monomial), ...]; [] when e is no exponential.

    E and 2**x are ones too.
    """
    if e == sp.E:
        return [(sp.S.One, sp.S.One)]
    if isinstance(e, sp.exp):
        exponent = e.args[0]
    elif isinstance(e, sp.Pow) and e.exp.has(x) and not e.base.has(x):
        exponent = e.exp * sp.expand_log(sp.log(e.base))
    else:
        return []
    return _terms(exponent)


def _terms(exponent: sp.Expr) -> list[tuple[sp.Rational, sp.Expr]]:
    """[(rational rate, monomial), ...] of an exponent; the number in it is a multiple of 1."""
    terms = []
    for term in sp.Add.make_args(sp.expand(exponent)):
        rate, monomial = term.as_coeff_Mul()
        terms.append((rate, monomial) if rate.is_Rational else (sp.S.One, term))
    return terms


def oscillations_added(f: sp.Expr) -> sp.Expr:
    """Products of sines and cosines as sums: 2 cos a cos b = cos(a - b) + cos(a + b), and so on.

    >>> x = sp.Symbol("x", real=True)
    >>> oscillations_added(2 * sp.cos(x) ** 2 - 2 * sp.sin(x) ** 2 + 2)
    2*cos(2*x) + 2
    """
    done, pending = [], [*sp.Add.make_args(sp.expand(f))]
    while pending:
        term = pending.pop()
        waves = [w for p in sp.Mul.make_args(term) for w in _waves_of(p)]
        if len(waves) < 2 or len(pending) > MAX_OPERATIONS:
            done.append(term)
        else:
            rest = term / (waves[0] * waves[1])
            pending += [rest * part / 2 for part in _product(*waves[:2])]
    return sp.Add(*(term.replace(sp.sin, _sine).replace(sp.cos, _cosine) for term in done))


def _waves_of(factor: sp.Expr) -> list[sp.Expr]:
    base, power = factor.as_base_exp()
    whole = isinstance(base, sp.sin | sp.cos) and power.is_Integer and 0 < power <= MAX_DEGREE
    return [base] * int(power) if whole else []


def _product(one: sp.Expr, other: sp.Expr) -> list[sp.Expr]:
    """2 * one * other as two terms."""
    if isinstance(other, sp.sin) and isinstance(one, sp.cos):
        one, other = other, one
    minus, plus = one.args[0] - other.args[0], one.args[0] + other.args[0]
    if isinstance(one, sp.cos):
        return [sp.cos(minus), sp.cos(plus)]
    if isinstance(other, sp.cos):
        return [sp.sin(plus), sp.sin(minus)]
    return [sp.cos(minus), -sp.cos(plus)]


def _sine(u: sp.Expr) -> sp.Expr:
    return sp.sin(sp.expand(u))


def _cosine(u: sp.Expr) -> sp.Expr:
    return sp.cos(sp.expand(u))


def vanishes(f: sp.Expr, x: sp.Symbol) -> bool:
    """True only when f is 0 wherever it is finite, by exact algebra; False says nothing."""
    f = polylogarithms_expanded(f)
    if f.has(sp.sin, sp.cos):
        f = oscillations_added(f)
    if any(e.has(sp.asinh) for e in f.atoms(sp.exp, sp.sinh, sp.cosh, sp.tanh)):
        f = f.replace(sp.asinh, lambda u: sp.log(u + sp.sqrt(u**2 + 1)))
    if f.has(sp.sinh, sp.cosh, sp.tanh, sp.coth, sp.sech, sp.csch):
        f = f.rewrite(sp.exp)
    if f.has(sp.Abs, sp.sign, sp.Max, sp.Min, sp.Piecewise) or sp.count_ops(f) > MAX_OPERATIONS:
        return False
    try:
        blocks = _Blocks(f, x)
        numerator = sp.expand(sp.fraction(sp.together(blocks.of(f)))[0])
        for root, degree, base in reversed(blocks.relations):
            if numerator.has(root):
                above, below = sp.fraction(sp.together(base))
                numerator = sp.expand(
                    sp.rem(numerator, sp.expand(below * root**degree - above), root)
                )
                numerator = sp.expand(sp.fraction(sp.together(numerator))[0])
        return numerator == 0
    except (_NoForm, sp.PolynomialError, NotImplementedError):
        return False
