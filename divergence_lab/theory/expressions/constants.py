"""Is an exact constant positive, negative or 0? Decided, or said not to be: looks prove nothing.
Part of the trusted checker.

    sqrt(2) - 1 and 1/(1 + sqrt(2))      are one number, and so are log(8)/3 and log(2)

That a constant is not 0 is shown by a ball alone. That it is 0 is shown

* for algebraic numbers by a bound that no other such number reaches: |a| >= e^(-d h) for a != 0 of
  degree d and absolute logarithmic height h (Liouville), with h(a + b) <= h(a) + h(b) + log 2, h(a
  b) <= h(a) + h(b), h(1/a) = h(a), h(a^r) = |r| h(a);
* for others by writing them as a sum of products of algebraic numbers, exponentials and further
  constants, in which the algebraic factors of equal products add up to 0. Exponents and arguments
  are compared in the same way.

Where neither does, the answer is None: never "different".
"""

import math
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache

import mpmath
import sympy as sp
from flint import arb

from divergence_lab.theory.expressions import balls, precision
from divergence_lab.theory.expressions.symbols import x

MAX_BITS = 40_000  # of precision; a bound below 2^-MAX_BITS is not awaited
DENOMINATOR = 10**6  # of a rational number that a constant is recognised as
MAX_OPERATIONS = 2_000  # of a constant that is not algebraic
_HYPERBOLIC = (sp.sinh, sp.cosh, sp.tanh, sp.coth, sp.sech, sp.csch)
_ODD = (sp.erf, sp.erfi, sp.atan)
DIGITS = 60  # of logarithms among which a relation is sought
LARGEST = 60  # coefficient in it


@lru_cache(maxsize=20_000)
def sign_of(number: sp.Expr) -> int | None:
    """1, -1 or 0, the sign of an exact real constant; None where it is not decided.

    >>> sign_of(sp.sqrt(3 + 2 * sp.sqrt(2)) - 1 - sp.sqrt(2))
    0
    """
    if number.is_Rational:
        return int(sp.sign(number))
    if number.free_symbols or (not number.is_Number and number.has(sp.oo, -sp.oo, sp.zoo, sp.nan)):
        return None
    seen = balls.ball_of_constant(number)  # not finite where a part is not
    if seen > 0 or seen < 0:
        return 1 if seen > 0 else -1
    if not seen.is_finite():
        return None
    if seen == 0:  # exactly, as the ball of 0^p, p > 0, is
        return 0
    algebraic = _algebraic(number)
    if algebraic is not None:
        return _sign_of_algebraic(number, algebraic.smallest)
    finer = _ball_with(number, 4 * balls.PRECISION_BITS)
    if finer > 0 or finer < 0:
        return 1 if finer > 0 else -1
    return 0 if finer.is_finite() and _vanishes(number) else None


def equal(a: sp.Expr, b: sp.Expr) -> bool | None:
    """Are two exact constants, oo and -oo among them, the same? None where it is not decided."""
    infinite = [c in (sp.oo, -sp.oo) for c in (a, b)]
    if any(infinite):
        other = b if infinite[0] else a
        return (
            a == b
            if all(infinite)
            else False
            if balls.ball_of_constant(other).is_finite()
            else None
        )
    if a == b:
        return True if balls.ball_of_constant(a).is_finite() else None
    sign = sign_of(a - b)
    return None if sign is None else sign == 0


def as_rational(c: sp.Expr) -> sp.Rational | None:
    """The rational number that the constant is shown to be, or None."""
    seen = balls.ball_of_constant(c)
    if not seen.is_finite():
        return None
    if seen.contains(0):
        return sp.S.Zero if sign_of(c) == 0 else None
    mantissa, exponent = (int(part) for part in seen.mid().man_exp())
    if abs(exponent) > 4 * balls.PRECISION_BITS:
        return None
    near = Fraction(mantissa) * Fraction(2) ** exponent
    guess = near.limit_denominator(DENOMINATOR)
    number = sp.Rational(guess.numerator, guess.denominator)
    return (
        number
        if seen.contains(balls.ball_of_constant(number)) and sign_of(c - number) == 0
        else None
    )


def _ball_with(number: sp.Expr, count: int) -> arb:
    with precision.bits(count):
        return balls.ball(number, sp.Dummy(), arb(0))


# --- algebraic numbers


@dataclass(frozen=True)
class _Algebraic:
    """A bound of the height of an algebraic number, and the radicals (base, q) whose degrees
    multiply to one of its degree.
    """

    height: float
    radicals: frozenset[tuple[sp.Expr, int]] = frozenset()

    @property
    def smallest(self) -> float:
        """-log2 of a bound that the number exceeds in absolute value unless it is 0."""
        return math.prod(q for _, q in self.radicals) * self.height / math.log(2) * (1 + 1e-9) + 1


@lru_cache(maxsize=20_000)
def _algebraic(e: sp.Expr) -> _Algebraic | None:
    """What is known of a number that is made of rational ones by + - * / and roots; None for any
    other.
    """
    if e.is_Rational:
        return _Algebraic(math.log(max(abs(int(e.p)), int(e.q))) * (1 + 1e-12))
    if e.is_Add or e.is_Mul:
        parts = [_algebraic(part) for part in e.args]
        if None in parts:
            return None
        height = sum(part.height for part in parts) + (math.log(len(parts)) if e.is_Add else 0)
        return _Algebraic(height, frozenset().union(*(part.radicals for part in parts)))
    if isinstance(e, sp.Pow) and e.exp.is_Rational and (base := _algebraic(e.base)) is not None:
        p, q = abs(int(e.exp.p)), int(e.exp.q)
        return _Algebraic(base.height * p / q, base.radicals | ({(e.base, q)} if q > 1 else set()))
    return None


def _sign_of_algebraic(number: sp.Expr, smallest: float) -> int | None:
    if smallest > MAX_BITS:
        return None
    bits = 2 * balls.PRECISION_BITS
    while bits < 4 * (smallest + 4 * balls.PRECISION_BITS):
        seen = _ball_with(number, bits)
        if seen > 0 or seen < 0:
            return 1 if seen > 0 else -1
        if abs(seen) < arb(2) ** -(int(smallest) + 2):
            return 0
        bits *= 2
    return None


# --- other constants


def _vanishes(number: sp.Expr) -> bool:
    """The constant is 0, by algebra with its exponentials, logarithms and other parts as
    unknowns (False: not shown).
    """
    given, number = number, number.rewrite(sp.exp) if number.has(*_HYPERBOLIC) else number
    number = sp.expand_log(number.rewrite(sp.zeta) if number.has(sp.dirichlet_eta) else number)
    number = number.replace(
        lambda e: isinstance(e, sp.asinh | sp.acosh | sp.atanh), lambda e: e.rewrite(sp.log)
    )
    if sp.count_ops(number) > MAX_OPERATIONS:
        return False
    try:
        roots = number.atoms(balls.Root)
        if any(_vanishes_at(r, given) or _is_the_root(r, number) for r in roots):
            return True
        return number == 0 or _Form().vanishes(number)
    except (_NoForm, sp.PolynomialError, NotImplementedError):
        return False


def _vanishes_at(root: balls.Root, number: sp.Expr) -> bool:
    """number = n(r) with n = q u by exact algebra, u the function of which r is the zero, and q has
    a value at r.
    """
    above, below = sp.fraction(sp.together(number.xreplace({root: x}).rewrite(_HYPERBOLIC, sp.exp)))
    function = sp.fraction(sp.together(root.function.rewrite(_HYPERBOLIC, sp.exp)))[0]
    quotient, rest = sp.cancel(sp.expand(above) / sp.expand(function)).as_numer_denom()
    with precision.bits(balls.PRECISION_BITS):
        at = balls.ball(root, x, arb(0))
        divisors = [balls.ball(f, x, at) for f in (below, rest)]
        return balls.ball(quotient, x, at).is_finite() and all(d < 0 or d > 0 for d in divisors)


def _is_the_root(root: balls.Root, number: sp.Expr) -> bool:
    """number = +-(r - c), and c lies where r is the only zero of its function, and is a zero of it:
    r = -s, with the zero s on the other side of an even function.
    """
    other = sp.expand(root - number if number.coeff(root) == 1 else root + number)
    if other.has(root):
        return False
    at = balls.ball_of_constant(other)
    if not (balls.ball_of_constant(root.low) < at < balls.ball_of_constant(root.high)):
        return False
    value = root.function.xreplace({x: other})
    return any(_vanishes_at(r, value) for r in value.atoms(balls.Root)) or (
        not value.has(balls.Root) and sign_of(value) == 0
    )


class _NoForm(Exception):
    """A part has no place in the form."""


@dataclass
class _Form:
    """Unknowns for the parts of a constant: what each stands for, and u^(1/q) for a u that is no
    algebraic number.
    """

    numbers: dict[sp.Symbol, sp.Expr] = field(default_factory=dict)
    exponents: dict[sp.Symbol, sp.Expr] = field(default_factory=dict)
    logarithms: dict[sp.Symbol, sp.Expr] = field(default_factory=dict)
    others: dict[sp.Symbol, sp.Expr] = field(default_factory=dict)
    roots: list[tuple[sp.Symbol, int, sp.Expr]] = field(default_factory=list)

    def vanishes(self, number: sp.Expr) -> bool:
        """Terms with equal exponents and equal further parts have algebraic factors that add up
        to 0.
        """
        for e in sorted(number.atoms(sp.log), key=lambda e: (not e.args[0].is_Rational, str(e))):
            self.in_unknowns(e)  # those of primes first: others are written by them
        numerator = sp.expand(sp.fraction(sp.together(self.in_unknowns(number)))[0])
        for root, q, base in reversed(self.roots):
            if numerator.has(root):
                above, below = sp.fraction(sp.together(base))
                remainder = sp.rem(numerator, sp.expand(below * root**q - above), root)
                numerator = sp.expand(sp.fraction(sp.together(remainder))[0])
        groups: list[tuple[sp.Expr, sp.Expr, list[sp.Expr]]] = []
        for term in sp.Add.make_args(numerator):
            factor, exponent, rest = self._parts_of(term)
            for there, others, factors in groups:
                if others == rest and (ratio := _algebraic_power(exponent - there)) is not None:
                    factors.append(factor * ratio)
                    break
            else:
                groups.append((exponent, rest, [factor]))
        return all(sign_of(sp.Add(*factors)) == 0 for _, _, factors in groups)

    def _parts_of(self, term: sp.Expr) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
        """(algebraic factor, exponent of e, the rest) of a product."""
        factor, exponent, rest = sp.S.One, sp.S.Zero, sp.S.One
        for part in sp.Mul.make_args(term):
            base, power = part.as_base_exp()
            if base in self.exponents:
                exponent += power * self.exponents[base]
            elif base in self.numbers:
                factor *= self.numbers[base] ** power
            elif part.is_Rational:
                factor *= part
            else:
                rest *= part
        exponent, left = sp.expand(exponent), []
        for part in sp.Add.make_args(exponent):  # e^(u + log(2)/3) is 2^(1/3) e^u
            rate, inner = part.as_coeff_Mul()
            if (
                isinstance(inner, sp.log)
                and rate.is_Rational
                and _algebraic(inner.args[0]) is not None
            ):
                factor *= inner.args[0] ** rate
            else:
                left.append(part)
        return factor, sp.Add(*left), rest

    def in_unknowns(self, e: sp.Expr) -> sp.Expr:
        """e in the unknowns."""
        if e.is_Rational:
            return e
        if _algebraic(e) is not None:
            return self._symbol(self.numbers, e)
        if e == sp.E or isinstance(e, sp.exp):
            return self._symbol(self.exponents, sp.S.One if e == sp.E else e.args[0])
        if not e.args:
            return self._symbol(self.others, e)
        if e.is_Add or e.is_Mul:
            return e.func(*(self.in_unknowns(part) for part in e.args))
        if isinstance(e, sp.Pow) and e.exp.is_Integer:
            return self.in_unknowns(e.base) ** e.exp
        if (
            isinstance(e, sp.Pow)
            and e.exp.is_Rational
            and not (e.base == sp.E or isinstance(e.base, sp.exp))
        ):
            return self._root(e.base, int(e.exp.q)) ** e.exp.p
        if isinstance(e, sp.Pow):
            return self._symbol(self.exponents, sp.expand(e.exp * sp.expand_log(sp.log(e.base))))
        if isinstance(e, sp.log):
            return self._log(e.args[0])
        if isinstance(e, sp.Function) and all(isinstance(part, sp.Expr) for part in e.args):
            return self._function(e)
        raise _NoForm

    def _symbol(self, meanings: dict[sp.Symbol, sp.Expr], e: sp.Expr) -> sp.Symbol:
        """The unknown that stands for e."""
        symbol = next((symbol for symbol, known in meanings.items() if known == e), None)
        if symbol is None:
            symbol = sp.Dummy()
            meanings[symbol] = e
        return symbol

    def _function(self, e: sp.Expr) -> sp.Expr:
        """The unknown for a function of numbers, or for the same function of equal numbers."""
        for symbol, known in self.others.items():
            if known.func == e.func and len(known.args) == len(e.args) > 0:
                if all(_same(a, b) for a, b in zip(known.args, e.args)):
                    return symbol
                if isinstance(e, _ODD) and _same(known.args[0], -e.args[0]):
                    return -symbol
        return self._symbol(self.others, e)

    def _root(self, base: sp.Expr, q: int) -> sp.Symbol:
        found = next(
            (root for root, n, _ in self.roots if n == q and _same(self.others[root], base)), None
        )
        if found is None:
            inner = self.in_unknowns(base)
            found = sp.Dummy()
            self.others[found] = base
            self.roots.append((found, q, inner))
        return found

    def _log(self, u: sp.Expr) -> sp.Expr:
        """log u by logarithms of primes, of other algebraic numbers and of what is neither."""
        if u.is_Rational and u > 0:
            powers = {sp.Integer(n): k for n, k in sp.factorrat(u, limit=10_000).items() if n != 1}
            return sp.Add(*(k * self._symbol(self.logarithms, n) for n, k in powers.items()))
        if u.is_Mul and all(balls.ball_of_constant(part) > 0 for part in u.args):
            return sp.Add(*(self._log(part) for part in u.args))
        if u == sp.E or isinstance(u, sp.exp):
            return self.in_unknowns(sp.S.One if u == sp.E else u.args[0])
        if isinstance(u, sp.Pow) and balls.ball_of_constant(u.base) > 0:
            return self.in_unknowns(u.exp) * self._log(u.base)
        if _algebraic(u) is None and u.is_Add:
            if not (product := sp.factor(sp.together(u))).is_Add:
                return self._log(product)
            if (largest := _largest(u)) != 1:
                rest = sp.expand(u / largest)
                return self._log(largest) + self._function(sp.log(rest, evaluate=False))
        if _algebraic(u) is None:
            return self._function(sp.log(u, evaluate=False))
        return self._by_known_logarithms(u) or self._symbol(self.logarithms, u)

    def _by_known_logarithms(self, u: sp.Expr) -> sp.Expr | None:
        """log u = sum n_i/n log u_i over known ones: guessed from digits, proved by u^n = prod
        u_i^(n_i).
        """
        if not self.logarithms or u in self.logarithms.values():
            return next((s for s, v in self.logarithms.items() if v == u), None)
        with mpmath.workdps(DIGITS):
            values = [
                mpmath.log(mpmath.mpf(sp.N(v, DIGITS + 5)._mpf_))
                for v in (u, *self.logarithms.values())
            ]
            found = mpmath.pslq(
                values, maxcoeff=LARGEST, maxsteps=10_000, tol=mpmath.mpf(10) ** (10 - DIGITS)
            )
        if not found or found[0] == 0:
            return None
        product = sp.Mul(
            u ** found[0], *(v**n for v, n in zip(self.logarithms.values(), found[1:]))
        )
        if sign_of(product - 1) != 0:
            return None
        return sp.Add(*(sp.Rational(-n, found[0]) * s for s, n in zip(self.logarithms, found[1:])))


def _algebraic_power(exponent: sp.Expr) -> sp.Expr | None:
    """e^exponent, where it is shown to be 1 or a rational power of an algebraic number."""
    if _same(exponent, sp.S.Zero):
        return sp.S.One
    for e in exponent.atoms(sp.log):
        if _algebraic(e.args[0]) is not None and (rate := as_rational(exponent / e)) is not None:
            return e.args[0] ** rate
    return None


def _largest(total: sp.Expr) -> sp.Expr:
    """The term of a sum that has the largest value, however the sum is written; 1 where it is not
    seen.
    """
    terms = [(balls.ball_of_constant(term), term) for term in sp.Add.make_args(total)]
    value, largest = max(terms, key=lambda pair: float(pair[0].mid()))
    alone = all(value > other for other, term in terms if term != largest)
    return largest if alone and value > 0 else sp.S.One


def _same(a: sp.Expr, b: sp.Expr) -> bool:
    return a == b or sign_of(a - b) == 0
