"""What a function with parameters does near +oo, for each value of the parameters. Part of the
trusted checker.

**Idea.** A germ is a finite sum of terms c m, largest first, and O(r):

    for each value of the parameters there is an X with  |f - sum c m| <= C r  for all x >= X

The monomials m are powers of x, log x, log log x and exponentials of larger monomials, with
exponents and rates that may depend on parameters (`monomials`). A germ is built from the leaves of
an expression up: sums, products, powers, exponentials, logarithms. Its leading term gives limits
and, compared with 1/x, 1/(x log x), ..., whether an integral diverges. Everything rests on the
order of two monomials and on the sign of a leading coefficient; each must be the same for all
parameters, as `signs` shows. Otherwise Unsigned is raised, with the expression in question, and
NoGerm where a function is not described. Near a finite point c the same is done in 1/(x - c).

**Sources.** Hardy fields and their comparison classes as in Gruntz, On Computing Limits in a
Symbolic Manipulation System, ETH 1996; the proof that these rules hold is Proposition 20 (docs). A
*tail* (`facts/tails`) is the same for one function without parameters, with X and C known.

**Example.** Linex, g' = (e^{a x} - 1)/a with a > 0, at both ends; the integral of g' e^{-x}
diverges or not as a stands to 1, so for a > 0 alone there is no answer, and for a = 1 + b there is:

    >>> a, b = sp.symbols("a b", positive=True)
    >>> x = sp.Symbol("x", real=True)
    >>> slope = (sp.exp(a * x) - 1) / a
    >>> limit_of(slope, x, sp.oo), limit_of(slope, x, -sp.oo)
    (oo, -1/a)
    >>> diverges((slope * sp.exp(-x)).subs(a, 1 + b), x)
    True
    >>> diverges(slope * sp.exp(-x), x)  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    ...
    Unsigned: the sign of a - 1 is not known for all parameters

**How to debug.** `expand_germ(f, x)` shows the terms; call it on the parts of f, from the leaves
up, to see which one fails. x should be positive there, as the half-line is: `limit_of` and
`diverges` replace it. Where all terms cancel, only O(r) is left ("no leading term is known"): two
terms of each series are tried first, then five (ORDERS).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sympy as sp

from divergence_lab.theory.checker.facts.expansions import SHARED, Rule, expand, negated, odd
from divergence_lab.theory.checker.families import monomials, signs
from divergence_lab.theory.checker.families.forms import seen_at_samples
from divergence_lab.theory.expressions.unified import unified

ORDERS = (2, 5)  # terms of a series: where few leave the answer open, more are taken


@dataclass(frozen=True)
class Germ:
    """sum of c*m over `terms`, largest first, and O(rest); rest None: nothing more."""

    terms: tuple[tuple[monomials.Monomial, sp.Expr], ...] = ()
    rest: monomials.Monomial | None = None


@lru_cache(maxsize=20_000)
def _cancels(c: sp.Expr) -> bool:
    """c = 0 as expanding it shows; what is not 0 at some parameters need not be expanded."""
    return c == 0 or (not (c.free_symbols and seen_at_samples(c)) and sp.expand(c) == 0)


def _scale(a: Germ, m: monomials.Monomial, c: sp.Expr) -> Germ:
    """c m a"""
    return Germ(tuple((m * n, c * d) for n, d in a.terms), None if a.rest is None else m * a.rest)


def _stripped(a: Germ) -> Germ:
    """a without leading terms whose coefficient is 0 for all parameters: then the leading sign
    is known.
    """
    terms = list(a.terms)
    while terms and signs.sign(terms[0][1]) == 0:
        terms.pop(0)
    return Germ(tuple(terms), a.rest)


def leading(a: Germ) -> tuple[monomials.Monomial, sp.Expr, Germ]:
    """(m, c, d): a = c m (1 + d), d -> 0."""
    a = _stripped(a)
    if not a.terms:
        raise monomials.NoGerm("no leading term is known")
    m, c = a.terms[0]
    return m, c, _scale(Germ(a.terms[1:], a.rest), m**sp.S.NegativeOne, 1 / c)


def _size(d: Germ) -> monomials.Monomial | None:
    return d.terms[0][0] if d.terms else d.rest


@dataclass(frozen=True)
class Germs:
    """The arithmetic of germs, with `order` terms of each series."""

    order: int

    def build(
        self, terms: list[tuple[monomials.Monomial, sp.Expr]], rests: list[monomials.Monomial]
    ) -> Germ:
        """The germ with these terms, ordered and added up."""
        rest = None
        for m in rests:
            rest = m if rest is None or monomials.compare(m, rest) > 0 else rest
        ordered: list[tuple[monomials.Monomial, sp.Expr]] = []
        for m, c in terms:
            if rest is not None and monomials.compare(m, rest) <= 0:
                continue
            place = 0
            while place < len(ordered) and (order := monomials.compare(ordered[place][0], m)) > 0:
                place += 1
            if place < len(ordered) and order == 0:
                ordered[place] = (m, ordered[place][1] + c)
            else:
                ordered.insert(place, (m, c))
        ordered = [(m, c) for m, c in ordered if not _cancels(c)]
        if len(ordered) > self.order + 1:
            rest = ordered[self.order + 1][0]
        return Germ(tuple(ordered[: self.order + 1]), rest)

    def variable(self) -> Germ:
        return Germ(((monomials.iterated_log(0), sp.S.One),))

    def constant(self, number: sp.Expr) -> Germ:
        return Germ() if number == 0 else Germ(((monomials.ONE, number),))

    def add(self, a: Germ, b: Germ) -> Germ:
        return self.build([*a.terms, *b.terms], [g.rest for g in (a, b) if g.rest is not None])

    def multiply(self, a: Germ, b: Germ) -> Germ:
        rests = [
            one.rest * m
            for one, other in ((a, b), (b, a))
            if one.rest is not None
            for m, _ in other.terms
        ]
        rests += [a.rest * b.rest] if a.rest is not None and b.rest is not None else []
        return self.build([(m * n, c * d) for m, c in a.terms for n, d in b.terms], rests)

    def times(self, a: Germ, number: sp.Expr) -> Germ:
        return _scale(a, monomials.ONE, number)

    def series(self, coefficients: list[sp.Expr], d: Germ) -> Germ:
        """sum a_k d^k + O(d^n), d -> 0, n the number of coefficients."""
        size = _size(d)
        if size is None:
            return self.constant(coefficients[0])
        if monomials.growth(size) >= 0:
            raise monomials.NoGerm("a remainder that should vanish does not")
        total, power = Germ(), self.constant(sp.S.One)
        for c in coefficients:
            total = self.add(total, self.times(power, c)) if c != 0 else total
            power = self.multiply(power, d)
        return self.add(total, Germ((), size ** sp.Integer(len(coefficients))))

    def power(self, a: Germ, exponent: sp.Expr) -> Germ:
        if exponent.is_Integer and 0 <= exponent <= 4:
            product = self.constant(sp.S.One)
            for _ in range(int(exponent)):
                product = self.multiply(product, a)
            return product
        m, c, d = leading(a)
        if signs.sign(c) < 0 and not exponent.is_Integer:
            raise monomials.NoGerm("a root of a negative number")
        binomials, b = [], sp.S.One
        for k in range(self.order):
            binomials.append(b)
            b = monomials.plain(b * (exponent - k) / (k + 1))
        return _scale(self.series(binomials, d), m**exponent, c**exponent)

    def exp(self, a: Germ) -> Germ:
        large, small, fixed = monomials.ONE, [], sp.S.Zero
        for m, c in a.terms:
            order = monomials.growth(m)
            if order > 0:
                large = large * _exp_of_large(m, c)
            elif order == 0:
                fixed += c
            else:
                small.append((m, c))
        if a.rest is not None and monomials.growth(a.rest) >= 0:
            raise monomials.NoGerm("the exponential of something that is not known well enough")
        d = Germ(tuple(small), a.rest)
        coefficients = [1 / sp.factorial(k) for k in range(self.order)]
        return _scale(self.series(coefficients, d), large, sp.exp(fixed))

    def log(self, a: Germ) -> Germ:
        m, c, d = leading(a)
        if signs.sign(c) < 0:
            raise monomials.NoGerm("the logarithm of a negative number")
        m = monomials.reduced(m) if m.exponents else m
        terms = [(monomials.iterated_log(k + 1), p) for k, p in enumerate(m.powers) if p != 0]
        terms += [(inner, rate) for rate, inner in m.exponents]
        coefficients = (sp.Rational((-1) ** (k + 1), k) for k in range(1, self.order))
        small = self.series([sp.S.Zero, *coefficients], d)
        return self.add(self.build(terms, []), self.add(self.constant(sp.log(c)), small))

    def towards(self, a: Germ) -> int | None:
        a = _stripped(a)
        if not a.terms and a.rest is not None and monomials.growth(a.rest) >= 0:
            raise monomials.NoGerm("the argument of a function is not known")
        return (
            None
            if not a.terms
            else signs.sign(a.terms[0][1])
            if monomials.growth(a.terms[0][0]) > 0
            else None
        )

    def near_constant(self, a: Germ, function: Callable[[sp.Expr], sp.Expr]) -> Germ:
        """function(c + d), d -> 0; the function is smooth on the whole line."""
        y, terms = sp.Dummy(real=True), [(m, c, monomials.growth(m)) for m, c in a.terms]
        c = sp.Add(*(c for _, c, order in terms if order == 0))
        d = Germ(tuple((m, c) for m, c, order in terms if order < 0), a.rest)
        derivative, coefficients = function(y), []
        for k in range(self.order - 1):
            coefficients.append(derivative.subs(y, c) / sp.factorial(k))
            derivative = sp.diff(derivative, y)
        return self.series(coefficients, d)

    def no_rule(self, name: str) -> monomials.NoGerm:
        return monomials.NoGerm(f"{name} is not described near +oo")


def _exp_of_large(m: monomials.Monomial, c: sp.Expr) -> monomials.Monomial:
    """e^{c m}, m -> oo: a power where m is log x, log log x, ..."""
    k = next(
        (
            k
            for k in range(1, monomials.LEVELS)
            if monomials.compare(m, monomials.iterated_log(k)) == 0
        ),
        None,
    )
    if k is None and monomials.compare(m, monomials.iterated_log(1)) < 0:
        raise monomials.NoGerm("the exponential of something slower than log x")
    return monomials.iterated_log(k - 1, c) if k else monomials.Monomial(exponents=((c, m),))


def _atan(world: Germs, a: Germ) -> Germ:  # pi/2 - 1/a + O(1/a^3)
    inverse = world.power(a, sp.S.NegativeOne)
    rest = Germ((), _size(inverse) ** sp.Integer(3))
    return world.add(world.constant(sp.pi / 2), world.add(negated(world, inverse), rest))


def _erf(world: Germs, a: Germ) -> Germ:  # 1 - e^{-a^2}/(a sqrt(pi)) (1 + O(1/a^2))
    square = world.multiply(a, a)
    lead = world.multiply(world.exp(negated(world, square)), world.power(a, sp.S.NegativeOne))
    inverse = _size(world.power(square, sp.S.NegativeOne))
    near = Germ(((monomials.ONE, 1 / sp.sqrt(sp.pi)),), inverse)
    return world.add(world.constant(sp.S.One), negated(world, world.multiply(lead, near)))


def _dilogarithm(world: Germs, a: Germ) -> Germ:
    """Li2(-y) = -pi^2/6 - log(y)^2/2 + O(1/y) as y -> oo, Li2(d) = sum d^k/k^2 near 0."""
    if world.towards(a) == -1:
        y = negated(world, a)
        square = world.times(world.multiply(world.log(y), world.log(y)), -sp.S.Half)
        rest = Germ((), _size(world.power(y, sp.S.NegativeOne)))
        return world.add(world.add(world.constant(-(sp.pi**2) / 6), square), rest)
    if world.towards(a) == 1 or _size(a) is None or monomials.growth(_size(a)) >= 0:
        raise monomials.NoGerm("the dilogarithm is not described near this value")
    return world.series([sp.S.Zero, *(sp.Rational(1, k * k) for k in range(1, world.order))], a)


_RULES: dict[type, Rule] = {
    **SHARED,
    (sp.polylog, 2): _dilogarithm,
    sp.atan: odd(sp.atan, _atan),
    sp.erf: odd(sp.erf, _erf),
}


# --- what is asked of a germ


def limit_of_germ(a: Germ) -> sp.Expr:
    """lim a at +oo: oo, -oo or an expression in the parameters. Raises NoGerm or Unsigned."""
    # a constant is the limit, whatever its sign
    a = a if a.terms and monomials.growth(a.terms[0][0]) == 0 else _stripped(a)
    if a.terms and (order := monomials.growth(a.terms[0][0])) >= 0:
        _m, c = a.terms[0]
        return sp.oo * signs.sign(c) if order > 0 else c
    if not a.terms and a.rest is not None and monomials.growth(a.rest) >= 0:
        raise monomials.NoGerm("only a bound near +oo is known")
    return sp.S.Zero


def sign_of_germ(a: Germ) -> int:
    """The sign of a near +oo, for all parameters. Raises NoGerm or Unsigned."""
    a = _stripped(a)
    if not a.terms and a.rest is not None:
        raise monomials.NoGerm("only a bound near +oo is known")
    return signs.sign(a.terms[0][1]) if a.terms else 0


def integral_of_germ_diverges(a: Germ) -> bool:
    """int^oo a = oo (True), or it converges absolutely or is -oo (False), for all parameters
    (Proposition 16).
    """
    a = _stripped(a)
    m = _size(a)
    if m is None or not _monomial_diverges(monomials.reduced(m)):
        return False
    if not a.terms:
        raise monomials.NoGerm("the integral is not known to tend to oo")
    return signs.sign(a.terms[0][1]) > 0


def _monomial_diverges(m: monomials.Monomial) -> bool:
    if m.exponents:
        return monomials.growth(m) > 0
    for power in m.powers:
        if excess := signs.sign(power + 1):
            return excess > 0
    raise monomials.NoGerm("the integrand lies at the end of the ladder of comparisons")


# --- expressions


def expand_germ(f: sp.Expr, x: sp.Symbol, order: int = ORDERS[-1]) -> Germ:
    """The germ of f near x = +oo, with so many terms of each series."""
    return expand(Germs(order), _RULES, f, x)


def limit_of(f: sp.Expr, x: sp.Symbol, end: sp.Expr, side: int = 0) -> sp.Expr:
    """lim f at oo, at -oo or at a finite end from the right (side 1) or left (-1), for all
    parameters.
    """
    return _ask(_moved(f, x, end, side), x, limit_of_germ) if f.has(x) else f


def sign_near(f: sp.Expr, x: sp.Symbol, end: sp.Expr, side: int = 0) -> int:
    """The sign of f near that end, for all parameters."""
    return _ask(_moved(f, x, end, side), x, sign_of_germ) if f.has(x) else signs.sign(f)


def _moved(f: sp.Expr, x: sp.Symbol, end: sp.Expr, side: int) -> sp.Expr:
    """f of an argument that tends to +oo as x does to the end."""
    moved = {sp.oo: x, -sp.oo: -x}.get(end)
    return f.subs(x, end + side / x if moved is None else moved)


def diverges(f: sp.Expr, x: sp.Symbol) -> bool:
    """int^oo f = oo, or not: it converges or is -oo, for all parameters."""
    return _ask(f, x, integral_of_germ_diverges)


def _ask(f: sp.Expr, x: sp.Symbol, question: Callable[[Germ], Any]) -> Any:
    """What is asked of the germ of f at +oo, with as many terms as the answer needs."""
    f = _on_half_line(f, x)
    reason = monomials.NoGerm("not tried")
    for order in ORDERS:
        try:
            return question(_germ(f, order))
        except monomials.NoGerm as failure:
            reason = failure
    raise reason


# x of the half-line is positive: roots of squares and powers of products show their form
_Y = sp.Symbol("~half", positive=True)


@lru_cache(maxsize=1_000)  # every verdict on a loss asks for the same few
def _on_half_line(f: sp.Expr, x: sp.Symbol) -> sp.Expr:
    return unified(sp.powsimp(sp.powdenest(f.subs(x, _Y))))


@lru_cache(maxsize=1_000)
def _germ(f: sp.Expr, order: int) -> Germ:
    return expand_germ(f, _Y, order)
