"""What a function with parameters does near +oo, for each value of the parameters. Part of the
trusted checker.

A germ is a finite sum of terms c*m, largest first, and O(r): for each value of the parameters there
is an X beyond which |f - sum c m| <= C r. Monomials are those of `tails`, with exponents and rates
that may depend on parameters. The order of two monomials and the sign of a leading coefficient must
be the same for all parameters, as `parameter_signs` shows; otherwise Unsigned is raised, and NoGerm
where a function is not described (Proposition 20).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import sympy as sp

from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.families.signs import seen_at_samples, sign
from divergence_lab.theory.expressions.constants import unified

LEVELS = 3  # x, log x, log log x
ORDERS = (2, 5)  # terms of a series: where few leave the answer open, more are taken
_order = ORDERS[-1]


class NoGerm(Rejected):
    """The function is not described near +oo."""


def _plain(e: sp.Expr) -> sp.Expr:
    """A form in which equal exponents mostly look equal.

    Looks decide nothing: `compare` and `reduced` ask for the sign.
    """
    return (
        e
        if e.is_Rational or e.is_Symbol
        else sp.cancel(sp.together(e))
        if e.free_symbols
        else sp.expand(e)
    )


@dataclass(frozen=True)
class Monomial:
    """x^p0 (log x)^p1 (log log x)^p2 exp(sum c*m), each m a monomial that outgrows log x."""

    powers: tuple[sp.Expr, ...] = (sp.S.Zero,) * LEVELS
    exponents: tuple[tuple[sp.Expr, Monomial], ...] = ()

    def __mul__(self, other: Monomial) -> Monomial:
        gathered = list(self.exponents)
        for c, m in other.exponents:
            place = next((i for i, (_, n) in enumerate(gathered) if n == m), None)
            if place is None:
                gathered.append((c, m))
            else:
                gathered[place] = (_plain(gathered[place][0] + c), m)
        return Monomial(
            tuple(_plain(a + b) for a, b in zip(self.powers, other.powers)),
            tuple((c, m) for c, m in gathered if c != 0),
        )

    def to(self, r: sp.Expr) -> Monomial:
        """The monomial to the power r."""
        return Monomial(
            tuple(_plain(r * p) for p in self.powers),
            tuple((_plain(r * c), m) for c, m in self.exponents),
        )


ONE = Monomial()


def level(k: int, power: sp.Expr = sp.S.One) -> Monomial:
    """The k-times iterated logarithm to a power."""
    if k >= LEVELS:
        raise NoGerm("logarithms are iterated too deeply")
    return Monomial(tuple(power if i == k else sp.S.Zero for i in range(LEVELS)))


@lru_cache(maxsize=20_000)
def reduced(m: Monomial) -> Monomial:
    """The same monomial: equal exponents added, those that are 0 for all parameters dropped."""
    kept: list[tuple[sp.Expr, Monomial]] = []
    for c, inner in m.exponents:
        place = next(
            (i for i, (_, n) in enumerate(kept) if growth(n * inner.to(sp.S.NegativeOne)) == 0),
            None,
        )
        if place is None:
            kept.append((c, inner))
        else:
            kept[place] = (kept[place][0] + c, inner)
    kept = [(c, inner) for c, inner in kept if sign(c) != 0]
    return Monomial(m.powers, tuple(kept))


@lru_cache(maxsize=20_000)
def growth(m: Monomial) -> int:
    """1 if m -> oo for all parameters, -1 if m -> 0, 0 if m = 1. Raises Unsigned."""
    m = reduced(m) if m.exponents else m
    if m.exponents:
        leading = m.exponents[0]
        for pair in m.exponents[1:]:
            if growth(pair[1] * leading[1].to(sp.S.NegativeOne)) > 0:
                leading = pair
        return sign(leading[0])
    return next((s for s in map(sign, m.powers) if s), 0)


def compare(a: Monomial, b: Monomial) -> int:
    """1 if a outgrows b, -1 if b outgrows a, 0 if they are equal."""
    return 0 if a == b else growth(a * b.to(sp.S.NegativeOne))


@dataclass(frozen=True)
class Germ:
    """sum of c*m over `terms`, largest first, and O(rest); rest None: nothing more."""

    terms: tuple[tuple[Monomial, sp.Expr], ...] = ()
    rest: Monomial | None = None


def build(terms: list[tuple[Monomial, sp.Expr]], rests: list[Monomial]) -> Germ:
    """The germ with these terms, ordered and added up."""
    rest = None
    for m in rests:
        rest = m if rest is None or compare(m, rest) > 0 else rest
    ordered: list[tuple[Monomial, sp.Expr]] = []
    for m, c in terms:
        if rest is not None and compare(m, rest) <= 0:
            continue
        place = 0
        while place < len(ordered) and (order := compare(ordered[place][0], m)) > 0:
            place += 1
        if place < len(ordered) and order == 0:
            ordered[place] = (m, ordered[place][1] + c)
        else:
            ordered.insert(place, (m, c))
    ordered = [(m, c) for m, c in ordered if not _cancels(c)]
    if len(ordered) > _order + 1:
        rest = ordered[_order + 1][0]
    return Germ(tuple(ordered[: _order + 1]), rest)


@lru_cache(maxsize=20_000)
def _cancels(c: sp.Expr) -> bool:
    """c = 0 as expanding it shows; what is not 0 at some parameters need not be expanded."""
    return c == 0 or (not (c.free_symbols and seen_at_samples(c)) and sp.expand(c) == 0)


def constant(c: sp.Expr) -> Germ:
    """The germ of a function that does not depend on x."""
    return Germ() if c == 0 else Germ(((ONE, c),))


def add(a: Germ, b: Germ) -> Germ:
    """a + b"""
    return build([*a.terms, *b.terms], [g.rest for g in (a, b) if g.rest is not None])


def multiply(a: Germ, b: Germ) -> Germ:
    """a b"""
    rests = [
        one.rest * m
        for one, other in ((a, b), (b, a))
        if one.rest is not None
        for m, _ in other.terms
    ]
    rests += [a.rest * b.rest] if a.rest is not None and b.rest is not None else []
    return build([(m * n, c * d) for m, c in a.terms for n, d in b.terms], rests)


def scale(a: Germ, m: Monomial, c: sp.Expr) -> Germ:
    """c m a"""
    return Germ(tuple((m * n, c * d) for n, d in a.terms), None if a.rest is None else m * a.rest)


def stripped(a: Germ) -> Germ:
    """a without leading terms whose coefficient is 0 for all parameters: then the leading sign
    is known.
    """
    terms = list(a.terms)
    while terms and sign(terms[0][1]) == 0:
        terms.pop(0)
    return Germ(tuple(terms), a.rest)


def leading(a: Germ) -> tuple[Monomial, sp.Expr, Germ]:
    """(m, c, d): a = c m (1 + d), d -> 0."""
    a = stripped(a)
    if not a.terms:
        raise NoGerm("no leading term is known")
    m, c = a.terms[0]
    return m, c, scale(Germ(a.terms[1:], a.rest), m.to(sp.S.NegativeOne), 1 / c)


def _size(d: Germ) -> Monomial | None:
    return d.terms[0][0] if d.terms else d.rest


def series(coefficients: list[sp.Expr], d: Germ) -> Germ:
    """sum a_k d^k + O(d^n), d -> 0, n the number of coefficients."""
    size = _size(d)
    if size is None:
        return constant(coefficients[0])
    if growth(size) >= 0:
        raise NoGerm("a remainder that should vanish does not")
    total, power = Germ(), constant(sp.S.One)
    for c in coefficients:
        total = add(total, scale(power, ONE, c)) if c != 0 else total
        power = multiply(power, d)
    return add(total, Germ((), size.to(sp.Integer(len(coefficients)))))


def power_of(a: Germ, r: sp.Expr) -> Germ:
    """a^r"""
    if r.is_Integer and 0 <= r <= 4:
        product = constant(sp.S.One)
        for _ in range(int(r)):
            product = multiply(product, a)
        return product
    m, c, d = leading(a)
    if sign(c) < 0 and not r.is_Integer:
        raise NoGerm("a root of a negative number")
    binomials, b = [], sp.S.One
    for k in range(_order):
        binomials.append(b)
        b = _plain(b * (r - k) / (k + 1))
    return scale(series(binomials, d), m.to(r), c**r)


def exp(a: Germ) -> Germ:
    """e^a"""
    large, small, fixed = ONE, [], sp.S.Zero
    for m, c in a.terms:
        order = growth(m)
        if order > 0:
            k = next((k for k in range(1, LEVELS) if compare(m, level(k)) == 0), None)
            if k is None and compare(m, level(1)) < 0:
                raise NoGerm("the exponential of something slower than log x")
            large = large * (level(k - 1, c) if k else Monomial(exponents=((c, m),)))
        elif order == 0:
            fixed += c
        else:
            small.append((m, c))
    if a.rest is not None and growth(a.rest) >= 0:
        raise NoGerm("the exponential of something that is not known well enough")
    d = Germ(tuple(small), a.rest)
    return scale(series([1 / sp.factorial(k) for k in range(_order)], d), large, sp.exp(fixed))


def log(a: Germ) -> Germ:
    """log a"""
    m, c, d = leading(a)
    if sign(c) < 0:
        raise NoGerm("the logarithm of a negative number")
    m = reduced(m) if m.exponents else m
    terms = [(level(k + 1), p) for k, p in enumerate(m.powers) if p != 0] + [
        (inner, c) for c, inner in m.exponents
    ]
    small = series([sp.S.Zero, *(sp.Rational((-1) ** (k + 1), k) for k in range(1, _order))], d)
    return add(build(terms, []), add(constant(sp.log(c)), small))


# --- what is asked of a germ


def limit(a: Germ) -> sp.Expr:
    """lim a at +oo: oo, -oo or an expression in the parameters. Raises NoGerm or Unsigned."""
    a = (
        a if a.terms and growth(a.terms[0][0]) == 0 else stripped(a)
    )  # a constant is the limit, whatever its sign
    if a.terms and (order := growth(a.terms[0][0])) >= 0:
        _m, c = a.terms[0]
        return sp.oo * sign(c) if order > 0 else c
    if not a.terms and a.rest is not None and growth(a.rest) >= 0:
        raise NoGerm("only a bound near +oo is known")
    return sp.S.Zero


def integral_diverges(a: Germ) -> bool:
    """int^oo a = oo (True), or it converges absolutely or is -oo (False), for all parameters
    (Proposition 16).
    """
    a = stripped(a)
    m = _size(a)
    if m is None or not _monomial_diverges(reduced(m)):
        return False
    if not a.terms:
        raise NoGerm("the integral is not known to tend to oo")
    return sign(a.terms[0][1]) > 0


def _monomial_diverges(m: Monomial) -> bool:
    if m.exponents:
        return growth(m) > 0
    for power in m.powers:
        if excess := sign(power + 1):
            return excess > 0
    raise NoGerm("the integrand lies at the end of the ladder of comparisons")


# --- expressions


def of(e: sp.Expr, x: sp.Symbol) -> Germ:
    """The germ of e near x = +oo, by recursion over its parts."""
    if e == x:
        return Germ(((level(0), sp.S.One),))
    if not e.has(x):
        return constant(e)
    if e.is_Add or e.is_Mul:
        parts = [of(part, x) for part in e.args]
        total = parts[0]
        for part in parts[1:]:
            total = add(total, part) if e.is_Add else multiply(total, part)
        return total
    if e.is_Pow:
        base = of(e.base, x)
        return exp(multiply(of(e.exp, x), log(base))) if e.exp.has(x) else power_of(base, e.exp)
    if isinstance(e, sp.polylog) and e.args[0] == 2:
        return _dilogarithm(of(e.args[1], x))
    rule = _RULES.get(e.func)
    if rule is None:
        raise NoGerm(f"{e.func.__name__} is not described near +oo")
    return rule(of(e.args[0], x))


def _towards(a: Germ) -> int | None:
    """1 or -1 when a tends to oo or -oo, None when it stays bounded."""
    a = stripped(a)
    if not a.terms and a.rest is not None and growth(a.rest) >= 0:
        raise NoGerm("the argument of a function is not known")
    return None if not a.terms else sign(a.terms[0][1]) if growth(a.terms[0][0]) > 0 else None


def _near_constant(function, a: Germ) -> Germ:
    """function(c + d), d -> 0, by Taylor's formula; the function is smooth on the whole line."""
    y, terms = sp.Dummy(real=True), [(m, c, growth(m)) for m, c in a.terms]
    c = sp.Add(*(c for _, c, order in terms if order == 0))
    d = Germ(tuple((m, c) for m, c, order in terms if order < 0), a.rest)
    derivative, coefficients = function(y), []
    for k in range(_order - 1):
        coefficients.append(derivative.subs(y, c) / sp.factorial(k))
        derivative = sp.diff(derivative, y)
    return series(coefficients, d)


def _negated(a: Germ) -> Germ:
    return scale(a, ONE, sp.S.NegativeOne)


def _odd(function, at_infinity):
    def rule(a: Germ) -> Germ:
        towards = _towards(a)
        if towards is None:
            return _near_constant(function, a)
        return at_infinity(a) if towards > 0 else _negated(at_infinity(_negated(a)))

    return rule


def _hyperbolic(parity: int):
    def at_infinity(a: Germ) -> Germ:
        return scale(add(exp(a), scale(exp(_negated(a)), ONE, sp.Integer(parity))), ONE, sp.S.Half)

    return at_infinity


def _tanh(a: Germ) -> Germ:  # 1 - 2/(e^{2a} + 1)
    down = power_of(add(exp(scale(a, ONE, sp.Integer(2))), constant(sp.S.One)), sp.S.NegativeOne)
    return add(constant(sp.S.One), scale(down, ONE, sp.Integer(-2)))


def _asinh(a: Germ) -> Germ:  # log(a + sqrt(a^2 + 1))
    return log(add(a, power_of(add(multiply(a, a), constant(sp.S.One)), sp.S.Half)))


def _atan(a: Germ) -> Germ:  # pi/2 - 1/a + O(1/a^3)
    inverse = power_of(a, sp.S.NegativeOne)
    return add(
        constant(sp.pi / 2), add(_negated(inverse), Germ((), _size(inverse).to(sp.Integer(3))))
    )


def _erf(a: Germ) -> Germ:  # 1 - e^{-a^2}/(a sqrt(pi)) (1 + O(1/a^2))
    square = multiply(a, a)
    lead = multiply(exp(_negated(square)), power_of(a, sp.S.NegativeOne))
    inverse = _size(power_of(square, sp.S.NegativeOne))
    near = Germ(((ONE, 1 / sp.sqrt(sp.pi)),), inverse)
    return add(constant(sp.S.One), _negated(multiply(lead, near)))


def _dilogarithm(a: Germ) -> Germ:
    """Li2(-y) = -pi^2/6 - log(y)^2/2 + O(1/y) as y -> oo, Li2(d) = sum d^k/k^2 near 0."""
    if _towards(a) == -1:
        y = _negated(a)
        square = scale(multiply(log(y), log(y)), ONE, -sp.S.Half)
        return add(
            add(constant(-(sp.pi**2) / 6), square), Germ((), _size(power_of(y, sp.S.NegativeOne)))
        )
    if _towards(a) == 1 or _size(a) is None or growth(_size(a)) >= 0:
        raise NoGerm("the dilogarithm is not described near this value")
    return series([sp.S.Zero, *(sp.Rational(1, k * k) for k in range(1, _order))], a)


_RULES = {
    sp.exp: exp,
    sp.log: log,
    sp.sinh: _odd(sp.sinh, _hyperbolic(-1)),
    sp.tanh: _odd(sp.tanh, _tanh),
    sp.cosh: lambda a: _near_constant(sp.cosh, a) if _towards(a) is None else _hyperbolic(1)(a),
    sp.asinh: _odd(sp.asinh, _asinh),
    sp.atan: _odd(sp.atan, _atan),
    sp.erf: _odd(sp.erf, _erf),
}


def limit_of(f: sp.Expr, x: sp.Symbol, end: sp.Expr, side: int = 0) -> sp.Expr:
    """lim f at oo, at -oo or at a finite end from the right (side 1) or left (-1), for all
    parameters.
    """
    moved = {sp.oo: x, -sp.oo: -x}.get(end)
    return _ask(f.subs(x, end + side / x if moved is None else moved), x, limit) if f.has(x) else f


def diverges(f: sp.Expr, x: sp.Symbol) -> bool:
    """int^oo f = oo, or not: it converges or is -oo, for all parameters."""
    return _ask(f, x, integral_diverges)


def _ask(f: sp.Expr, x: sp.Symbol, question: Callable[[Germ], sp.Expr | bool]) -> sp.Expr | bool:
    """What is asked of the germ of f at +oo, with as many terms as the answer needs."""
    global _order
    # x of the half-line is positive: roots of squares and powers of products show their form
    y = sp.Symbol("~half", positive=True)
    f = unified(sp.powsimp(sp.powdenest(f.subs(x, y))))
    for _order in ORDERS:
        try:
            return question(of(f, y))
        except NoGerm as failure:
            reason = failure
        finally:
            _order = ORDERS[-1]
    raise reason
