"""What a function does for all x >= X: truncated transseries with guaranteed remainders. Part of
the trusted checker.

A monomial is a product of powers of x, log x, log log x, log log log x and of exponentials of
larger monomials, such as e^{2x} x^{-1} (log x)^{1/2} or e^{-x^2/2}. A tail is a finite sum of exact
terms c*m, largest first, and a remainder

    r(x) in m_r(x) * [low, high]   for every x >= X,

with different monomials and coefficients that are not 0, so it says more than a limit: signs,
bounds and comparisons hold on the whole half-line, not "eventually". Every rule below keeps that
promise or raises NoTail; nothing is sampled, and no symbolic limit is taken. SymPy holds the exact
coefficients, Arb the bounds. Whether two monomials are equal, or a coefficient is 0, is decided by
their values (`constants`), never by how they are written: x^a and x^b with a = sqrt(2) - 1, b =
1/(1 + sqrt(2)) are one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import sympy as sp
from flint import arb

from divergence_lab.theory.expressions import constants
from divergence_lab.theory.expressions.balls import ball_of_constant

LEVELS = 4  # x, log x, log log x, log log log x
KEEP = 9  # exact terms kept; smaller ones go into the remainder
ORDER = 7  # terms of the series of log(1+d), exp(d), (1+d)^r
DEPTH = 6  # how deep the monotonicity of a monomial is unfolded


class NoTail(Exception):
    """The function could not be described on [X, oo) (another X may do, or a function is not
    known here).
    """


@dataclass(frozen=True)
class Monomial:
    """x^p0 (log x)^p1 ... * exp(sum c*m); `exponents` pairs (c, m), c != 0, the m to infinity,
    largest first.
    """

    powers: tuple[sp.Expr, ...] = (sp.S.Zero,) * LEVELS
    exponents: tuple[tuple[sp.Expr, Monomial], ...] = ()

    def __mul__(self, other: Monomial) -> Monomial:
        powers = tuple(_plain(a + b) for a, b in zip(self.powers, other.powers))
        if not self.exponents or not other.exponents:
            return Monomial(powers, self.exponents or other.exponents)
        return Monomial(
            powers,
            tuple((c, m) for m, c in added((m, c) for c, m in (*self.exponents, *other.exponents))),
        )

    def __pow__(self, r: sp.Expr) -> Monomial:
        if is_zero(r):
            return ONE
        return Monomial(
            tuple(_plain(r * p) for p in self.powers), tuple((r * c, m) for c, m in self.exponents)
        )


ONE = Monomial()


def level(k: int, power: sp.Expr = sp.S.One) -> Monomial:
    """The k-times iterated logarithm to a power; k = 0 is x itself."""
    if k >= LEVELS:
        raise NoTail("logarithms are iterated too deeply")
    return Monomial(tuple(power if i == k else sp.S.Zero for i in range(LEVELS)))


def sign_of(number: sp.Expr) -> int:
    """The sign of an exact constant. Raises NoTail where it is not decided."""
    sign = constants.sign_of(number)
    if sign is None:
        raise NoTail(f"the sign of {number} is not decided")
    return sign


def is_zero(number: sp.Expr) -> bool:
    """Is the exact constant 0?"""
    return number == 0 or sign_of(number) == 0


def _plain(power: sp.Expr) -> sp.Expr:
    """The same power, 0 written as 0."""
    return power if power.is_Rational or not is_zero(power) else sp.S.Zero


def added(terms: Iterable[tuple[Monomial, sp.Expr]]) -> list[tuple[Monomial, sp.Expr]]:
    """The terms (m, c) largest first, with equal monomials added, however they are written, and
    without those that cancel.
    """
    gathered: dict[Monomial, sp.Expr] = {}
    for m, c in terms:
        gathered[m] = gathered.get(m, sp.S.Zero) + c
    merged: list[tuple[Monomial, sp.Expr]] = []
    for m, c in sorted(gathered.items(), key=_by_growth, reverse=True):
        if merged and compare(m, merged[-1][0]) == 0:
            m, before = merged.pop()
            c = sp.expand(before + c)
        merged.append((m, c))
    return [(m, c) for m, c in merged if not is_zero(c)]


def compare(a: Monomial, b: Monomial) -> int:
    """1 if a outgrows b, -1 if b outgrows a, 0 if they are equal."""
    return 0 if a == b else growth(a * b**sp.S.NegativeOne)


@lru_cache(maxsize=20_000)
def growth(m: Monomial) -> int:
    """1 if m -> oo, -1 if m -> 0, 0 if m = 1."""
    if m.exponents:
        return sign_of(m.exponents[0][0])
    return next((sign_of(p) for p in m.powers if not is_zero(p)), 0)


@dataclass(frozen=True)
class Tail:
    """sum of c*m over `terms`, largest first, plus a remainder in `bound` * `size` (size None:
    no remainder).
    """

    terms: tuple[tuple[Monomial, sp.Expr], ...]
    size: Monomial | None = None
    bound: arb | None = None

    def __post_init__(self):
        if self.bound is not None and not self.bound.is_finite():
            raise NoTail("a remainder is too large to hold at X")


class HalfLine:
    """All tails at one X; every statement is for every x >= X."""

    def __init__(self, X: int):
        self.X = arb(X)
        self.values = [self.X]
        for _ in range(LEVELS - 1):
            self.values.append(self.values[-1].log())
        if not self.values[-1] > 0:
            raise NoTail("X is too small for the iterated logarithms")
        self._decreasing: dict[Monomial, bool] = {}

    # --- monomials on [X, oo)
    # --------------------------------------------------------------------------------

    def at_X(self, m: Monomial) -> arb:
        """m(X), enclosed."""
        value = arb(1)
        for base, power in zip(self.values, m.powers):
            if power != 0:
                value *= base ** ball_of_constant(power)
        for coefficient, inner in m.exponents:
            value *= (ball_of_constant(coefficient) * self.at_X(inner)).exp()
        if not value.is_finite():
            raise NoTail("a monomial is too large to hold at X")
        return value

    def sup(self, m: Monomial) -> arb:
        """An upper bound of m on [X, oo): m(X), once m was shown to be decreasing there."""
        if growth(m) == 0:
            return arb(1)
        if growth(m) > 0 or not self.is_decreasing(m):
            raise NoTail("a monomial that should be small is not decreasing yet at X")
        return arb(self.at_X(m).upper())

    def is_decreasing(self, m: Monomial, depth: int = 0) -> bool:
        """x d/dx log m < 0 on [X, oo): its largest negative term outweighs all positive ones
        there.
        """
        if m in self._decreasing:
            return self._decreasing[m]
        if depth > DEPTH:
            raise NoTail("the monotonicity of a monomial is too deep to unfold")
        ordered = self._log_derivative(m)
        answer = bool(ordered) and sign_of(ordered[0][1]) < 0
        if answer:
            lead, coefficient = ordered[0]
            share = arb(0)
            for other, weight in ordered[1:]:
                if sign_of(weight) > 0:
                    ratio = other * lead**sp.S.NegativeOne
                    if growth(ratio) >= 0 or not self.is_decreasing(ratio, depth + 1):
                        answer = False
                        break
                    share += abs(
                        ball_of_constant(weight) / ball_of_constant(coefficient)
                    ) * self.at_X(ratio)
            answer = answer and bool(share < 1)
        self._decreasing[m] = answer
        return answer

    def _log_derivative(self, m: Monomial) -> list[tuple[Monomial, sp.Expr]]:
        """x d/dx log m as exact terms, largest first: p_k / (L_1 ... L_k) and c * x dm_j/dx."""
        terms: list[tuple[Monomial, sp.Expr]] = []
        for k, power in enumerate(m.powers):
            if power != 0:
                below = Monomial(
                    tuple(sp.S.NegativeOne if 1 <= i <= k else sp.S.Zero for i in range(LEVELS))
                )
                terms.append((below, power))
        for coefficient, inner in m.exponents:
            terms += [
                (inner * factor, coefficient * weight)
                for factor, weight in self._log_derivative(inner)
            ]
        return added(terms)

    # --- building and combining tails
    # ------------------------------------------------------------------------

    def constant(self, number: sp.Expr) -> Tail:
        return Tail(()) if is_zero(number) else Tail(((ONE, number),))

    def build(
        self, terms: list[tuple[Monomial, sp.Expr]], rests: list[tuple[Monomial, arb]]
    ) -> Tail:
        """A tail from any terms and remainders: equal monomials added, small terms moved into
        one remainder.
        """
        largest = None
        for monomial, _ in rests:
            if largest is None or compare(monomial, largest) > 0:
                largest = monomial
        kept = []
        for monomial, coefficient in added(terms):
            above = largest is None or compare(monomial, largest) > 0
            if above and len(kept) < KEEP:
                kept.append((monomial, coefficient))
            else:
                rests = [*rests, (monomial, ball_of_constant(coefficient))]
                largest = monomial if above else largest
        if not rests:
            return Tail(tuple(kept))
        total = arb(0)
        for monomial, bound in rests:
            ratio = monomial * largest**sp.S.NegativeOne
            total += bound if growth(ratio) == 0 else bound * arb(0).union(self.sup(ratio))
        return Tail(tuple(kept), largest, total)

    def add(self, a: Tail, b: Tail) -> Tail:
        rests = [(t.size, t.bound) for t in (a, b) if t.size is not None]
        return self.build([*a.terms, *b.terms], rests)

    def scale(self, a: Tail, m: Monomial, c: sp.Expr) -> Tail:
        return Tail(
            tuple((m * n, c * d) for n, d in a.terms),
            None if a.size is None else m * a.size,
            None if a.size is None else ball_of_constant(c) * a.bound,
        )

    def multiply(self, a: Tail, b: Tail) -> Tail:
        terms = [(m * n, c * d) for m, c in a.terms for n, d in b.terms]
        rests = []
        for one, other in ((a, b), (b, a)):
            if one.size is not None:
                rests += [(one.size * n, one.bound * ball_of_constant(d)) for n, d in other.terms]
        if a.size is not None and b.size is not None:
            rests.append((a.size * b.size, a.bound * b.bound))
        return self.build(terms, rests)

    def lump(self, a: Tail) -> tuple[Monomial, arb]:
        """The whole tail as one remainder: a in m * ball."""
        whole = self.build(
            [], [*((m, _ball(c)) for m, c in a.terms), *([(a.size, a.bound)] if a.size else [])]
        )
        return (ONE, arb(0)) if whole.size is None else (whole.size, whole.bound)

    def relative(self, a: Tail) -> tuple[Monomial, sp.Expr, Tail, arb]:
        """a = c m (1 + d) with an exact leading term: (m, c, d, an upper bound of |d|, below
        1/2).
        """
        if not a.terms:
            raise NoTail("no exact leading term")
        m, c = a.terms[0]
        d = self.scale(Tail(a.terms[1:], a.size, a.bound), m**sp.S.NegativeOne, 1 / c)
        size, ball = self.lump(d)
        if growth(size) > 0:
            raise NoTail("the remainder is as large as the leading term")
        bound = arb(abs(ball).upper()) * self.sup(size)
        if not bound < 0.5:
            raise NoTail("X is too small: the leading term does not lead yet")
        return m, c, d, bound

    def sign(self, a: Tail) -> int:
        """The sign of a on all of [X, oo); 0 only when a is exactly 0."""
        if not a.terms:
            if a.size is None:
                return 0
            if a.bound > 0:
                return 1
            if a.bound < 0:
                return -1
            raise NoTail("only a remainder of unknown sign is left")
        return sign_of(self.relative(a)[1])

    def series(self, coefficients: list[sp.Expr], d: Tail, rest: arb) -> Tail:
        """sum_k a_k d^k + R, |R| <= rest * |d|^n, n the number of coefficients."""
        total, power = Tail(()), self.constant(sp.S.One)
        for coefficient in coefficients:
            if coefficient != 0:
                total = self.add(total, self.scale(power, ONE, coefficient))
            power = self.multiply(power, d)
        size, ball = self.lump(d)
        n = len(coefficients)
        if ball == 0:
            return total
        return self.add(
            total, Tail((), size ** sp.Integer(n), arb(abs(ball).upper()) ** n * arb(0, 1) * rest)
        )

    def power(self, a: Tail, r: sp.Expr) -> Tail:
        if r.is_Integer and r >= 0:
            product = self.constant(sp.S.One)
            for _ in range(int(r)):
                product = self.multiply(product, a)
            return product
        if not a.terms and a.size is not None and a.bound > 0:
            return Tail((), a.size**r, a.bound ** _ball(r))
        m, c, d, bound = self.relative(a)
        if sign_of(c) < 0 and not r.is_Integer:
            raise NoTail("a root of a negative number")
        coefficients = [sp.binomial(r, k) for k in range(ORDER)]
        rest = abs(_ball(sp.binomial(r, ORDER))) * (1 - bound) ** -(ORDER + abs(_ball(r)))
        return self.scale(self.series(coefficients, d, rest), m**r, c**r)

    def log(self, a: Tail) -> Tail:
        if not a.terms:
            if a.size is None or not a.bound > 0:
                raise NoTail("the logarithm of a tail whose sign is not known")
            return self.add(self.log_monomial(a.size), Tail((), ONE, a.bound.log()))
        m, c, d, bound = self.relative(a)
        if sign_of(c) < 0:
            raise NoTail("the logarithm of a negative number")
        coefficients = [sp.S.Zero, *(sp.Rational((-1) ** (k + 1), k) for k in range(1, ORDER))]
        small = self.series(coefficients, d, 1 / ((1 - bound) * ORDER))
        return self.add(self.add(self.log_monomial(m), self.constant(sp.log(c))), small)

    def log_monomial(self, m: Monomial) -> Tail:
        terms = [(level(k + 1), power) for k, power in enumerate(m.powers) if power != 0]
        return self.build([*terms, *((inner, c) for c, inner in m.exponents)], [])

    def exp(self, a: Tail) -> Tail:
        large, small, constant = ONE, [], sp.S.Zero
        for m, c in a.terms:
            if growth(m) > 0:
                k = next((k for k in range(1, LEVELS) if compare(m, level(k)) == 0), None)
                if k is None and compare(m, level(1)) < 0:
                    raise NoTail("the exponential of something slower than log x")
                large = large * (level(k - 1, c) if k else Monomial(exponents=((c, m),)))
            elif growth(m) == 0:
                constant += c
            else:
                small.append((m, c))
        if a.size is not None and growth(a.size) > 0:
            raise NoTail("the exponential of a tail that is not known well enough")
        factor = sp.exp(constant)
        if a.size is not None and growth(a.size) == 0:
            d, ball = self.lump(Tail(tuple(small), a.size, a.bound))
            return Tail((), large, _ball(factor) * (ball * self.sup(d)).exp())
        d = Tail(tuple(small), a.size, a.bound)
        size, ball = self.lump(d)
        bound = arb(abs(ball).upper()) * self.sup(size)
        coefficients = [1 / sp.factorial(k) for k in range(ORDER)]
        return self.scale(
            self.series(coefficients, d, bound.exp() / _ball(sp.factorial(ORDER))), large, factor
        )


def _ball(number: sp.Expr) -> arb:
    return ball_of_constant(number)


class _ByGrowth:
    """Orders pairs (monomial, anything) by how fast the monomial grows."""

    def __init__(self, pair):
        self.monomial = pair[0]

    def __lt__(self, other: _ByGrowth) -> bool:
        return compare(self.monomial, other.monomial) < 0


_by_growth = _ByGrowth
