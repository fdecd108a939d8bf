"""What a function does for all x >= X: truncated transseries with guaranteed remainders. Part of
the trusted checker.

**Idea.** A tail is a finite sum of exact terms c m, largest first, and a remainder

    r(x) in m_r(x) * [low, high]   for every x >= X

where a monomial m (`monomials`) is a product of powers of x, log x, log log x, log log log x and
of exponentials of other monomials, such as e^{2x} x^{-1} (log x)^{1/2} or e^{-sqrt(log x)}. They
differ and coefficients are not 0, so a tail says more than a limit: signs, bounds and comparisons
hold on the whole half-line, not "eventually". Every rule keeps that promise or raises NoTail;
nothing is sampled, and no symbolic limit is taken. SymPy holds the exact coefficients, Arb the
bounds. Remainders are compared by sup m <= m(X), once m is shown to fall on [X, oo).

**Sources.** Transseries: van der Hoeven, Transseries and Real Differential Algebra, Springer 2006;
the order of monomials: Gruntz, On Computing Limits in a Symbolic Manipulation System, ETH 1996.
Remainders are those of Taylor, with Lagrange's bound. Used by Propositions 3 and 16 (docs).

**Example.** sqrt(1 + 1/x) on [1000, oo) begins with 1 + 1/(2x) - 1/(8x^2), it is positive there,
and so is the difference to 1; a bound that leaves the sign of the remainder open would say so:

    >>> from divergence_lab.theory.checker.facts.tail_functions import expand_tail
    >>> line, x = HalfLine(1000), sp.Symbol("x")
    >>> tail = expand_tail(line, sp.sqrt(1 + 1 / x), x)
    >>> [(m.powers[0], c) for m, c in tail.terms[:3]]
    [(0, 1), (-1, 1/2), (-2, -1/8)]
    >>> line.sign(expand_tail(line, sp.sqrt(1 + 1 / x) - 1, x))
    1

**How to debug.** Ask `expand_tail` for the parts of a function, from the leaves up, and look at
`terms`, `size` and `bound`. "X is too small" means that another half-line may do: `describe` tries
those of HALF_LINES. "only a remainder of unknown sign is left" means that all kept terms cancelled.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sympy as sp
from flint import arb

from divergence_lab.theory.checker.facts.monomials import (
    LEVELS,
    ONE,
    Monomial,
    NoRule,
    NoTail,
    added,
    compare,
    growth,
    is_zero,
    iterated_log,
    sign_of,
)
from divergence_lab.theory.expressions.balls import ball, ball_of_constant

KEEP = 9  # exact terms kept; smaller ones go into the remainder
# Terms of the series of log(1+d), exp(d), (1+d)^r: where d falls as slowly as 1/log log x, long
# ones have remainders that are small only where x is beyond all numbers.
ORDER, SHORT = 7, 3
DEPTH = 6  # how deep the monotonicity of a monomial is unfolded


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
    """All tails at one X; every statement is for every x >= X. `order`: terms of a series."""

    def __init__(self, X: int, order: int = ORDER):
        self.X, self.order = arb(X), order
        self.values = [self.X]
        for _ in range(LEVELS - 1):
            self.values.append(self.values[-1].log())
        if not self.values[-1] > 0:
            raise NoTail("X is too small for the iterated logarithms")
        self._decreasing: dict[Monomial, bool] = {}

    # --- monomials on [X, oo)

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

    def variable(self) -> Tail:
        return Tail(((iterated_log(0), sp.S.One),))

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

    def times(self, a: Tail, number: sp.Expr) -> Tail:
        return self.scale(a, ONE, number)

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
        rests = [(m, ball_of_constant(c)) for m, c in a.terms]
        whole = self.build([], [*rests, *([(a.size, a.bound)] if a.size else [])])
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
                total = self.add(total, self.times(power, coefficient))
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
            return Tail((), a.size**r, a.bound ** ball_of_constant(r))
        m, c, d, bound = self.relative(a)
        if sign_of(c) < 0 and not r.is_Integer:
            raise NoTail("a root of a negative number")
        coefficients = [sp.binomial(r, k) for k in range(self.order)]
        size = self.order + abs(ball_of_constant(r))
        rest = abs(ball_of_constant(sp.binomial(r, self.order))) * (1 - bound) ** -size
        return self.scale(self.series(coefficients, d, rest), m**r, c**r)

    def log(self, a: Tail) -> Tail:
        if not a.terms:
            if a.size is None or not a.bound > 0:
                raise NoTail("the logarithm of a tail whose sign is not known")
            return self.add(self.log_monomial(a.size), Tail((), ONE, a.bound.log()))
        m, c, d, bound = self.relative(a)
        if sign_of(c) < 0:
            raise NoTail("the logarithm of a negative number")
        coefficients = [sp.S.Zero, *(sp.Rational((-1) ** (k + 1), k) for k in range(1, self.order))]
        small = self.series(coefficients, d, 1 / ((1 - bound) * self.order))
        return self.add(self.add(self.log_monomial(m), self.constant(sp.log(c))), small)

    def log_monomial(self, m: Monomial) -> Tail:
        terms = [(iterated_log(k + 1), power) for k, power in enumerate(m.powers) if power != 0]
        return self.build([*terms, *((inner, c) for c, inner in m.exponents)], [])

    def exp(self, a: Tail) -> Tail:
        large, small, constant = ONE, [], sp.S.Zero
        for m, c in a.terms:
            if growth(m) > 0:
                k = next((k for k in range(1, LEVELS) if compare(m, iterated_log(k)) == 0), None)
                large = large * (iterated_log(k - 1, c) if k else Monomial(exponents=((c, m),)))
            elif growth(m) == 0:
                constant += c
            else:
                small.append((m, c))
        if a.size is not None and growth(a.size) > 0:
            raise NoTail("the exponential of a tail that is not known well enough")
        factor = sp.exp(constant)
        if a.size is not None and growth(a.size) == 0:
            d, ball = self.lump(Tail(tuple(small), a.size, a.bound))
            return Tail((), large, ball_of_constant(factor) * (ball * self.sup(d)).exp())
        d = Tail(tuple(small), a.size, a.bound)
        size, ball = self.lump(d)
        bound = arb(abs(ball).upper()) * self.sup(size)
        coefficients = [1 / sp.factorial(k) for k in range(self.order)]
        rest = bound.exp() / ball_of_constant(sp.factorial(self.order))
        return self.scale(self.series(coefficients, d, rest), large, factor)

    # --- functions of a tail

    def towards(self, a: Tail) -> int | None:
        """1 or -1 when a tends to oo or -oo, None when it stays bounded."""
        leading = a.terms[0][0] if a.terms else a.size
        return self.sign(a) if leading is not None and growth(leading) > 0 else None

    def near_constant(self, a: Tail, function: Callable[[sp.Expr], sp.Expr]) -> Tail:
        """function(c + d) = sum_k function^(k)(c) d^k/k! + Lagrange's remainder, for an argument
        that stays bounded.
        """
        constant = sp.Add(*(c for m, c in a.terms if growth(m) == 0))
        rest = Tail(tuple((m, c) for m, c in a.terms if growth(m) != 0), a.size, a.bound)
        size, reach = self.lump(rest)
        if growth(size) > 0:
            raise NoTail("the argument of a function is not known well enough")
        if reach == 0:
            return self.constant(_with_zeta(function(constant)))
        hull = ball_of_constant(constant) + reach * arb(0).union(self.sup(size))
        derivatives = derivatives_of(function(_Y), self.order)
        bound = abs(ball(derivatives[self.order], _Y, hull)) / ball_of_constant(
            sp.factorial(self.order)
        )
        coefficients = [
            _with_zeta(d.subs(_Y, constant)) / sp.factorial(k)
            for k, d in enumerate(derivatives[: self.order])
        ]
        if not bound.is_finite() or not all(ball_of_constant(c).is_finite() for c in coefficients):
            raise NoTail(f"{function.__name__} is not smooth near {constant}")
        exact = [c if not is_zero(c) else sp.S.Zero for c in coefficients]
        return self.series(exact, rest, arb(bound.upper()))

    def no_rule(self, name: str) -> NoRule:
        return NoRule(f"no rule for {name}")


_Y = sp.Symbol("~y", real=True)


def _with_zeta(number: Any) -> sp.Expr:
    """SymPy writes polylog(3, -1) by an eta of which it does not know that it is finite."""
    return number.rewrite(sp.zeta) if number.has(sp.dirichlet_eta) else number


@lru_cache(maxsize=200)  # those of tanh are long, and met at every point
def derivatives_of(f: sp.Expr, order: int) -> tuple[sp.Expr, ...]:
    """f, f', ... up to this order, in ~y"""
    found = [f]
    for _ in range(order):
        found.append(sp.expand_func(sp.diff(found[-1], _Y)))
    return tuple(found)
