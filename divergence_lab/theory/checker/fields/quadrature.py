"""f(t) from its defining integral and f'(oo), enclosed by the checker's own means. Part of the
trusted checker.

    f(e^u) = e^u int_0^u g'(v) e^{-v} dv        f'(oo) = int_0^oo g'(v) e^{-v} dv

Arb integrates; the evaluator for complex balls is the checker's own, as its real one in `balls` is.
Where g' is not bounded beside an end, int g' e^{-v} = [g e^{-v}] + int g e^{-v} is taken on that
piece.
"""

import operator
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import sympy as sp
from flint import acb, arb

from divergence_lab.theory.checker.facts import monomials, parts, proofs, tail_functions, tails
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.expressions import digits, x
from divergence_lab.theory.expressions.balls import ball, ball_of_constant

RATES = (
    sp.S.One,
    sp.S.Half,
    sp.Rational(1, 8),
    sp.Rational(1, 32),
    sp.Rational(1, 256),
    sp.Rational(1, 2048),
)
SHARPER = 5  # times as many digits where terms of the size 10^(2 count) cancel
REACHES = (100, 200, 400, 1000)


def enclose_value(parts: Sequence[parts.Part], ratio: sp.Expr, count: int) -> arb:
    """f(ratio), enclosed; not finite where that fails."""
    with digits(count):
        end = constant(sp.log(ratio))
        total = arb(0)
        first = next(i for i, part in enumerate(parts) if part.low == 0)
        for place, part in enumerate(parts):
            low, high = (
                arb("inf" if e == sp.oo else "-inf") if e.is_infinite else constant(e)
                for e in (part.low, part.high)
            )
            if end > 0 and place >= first and not low > end:
                total += piece_integral(part, low, high if high < end else end, count)
            elif end < 0 and place < first and not high < end:
                total -= piece_integral(part, low if low > end else end, high, count)
        return total * constant(ratio)


def enclose_slope_at_infinity(parts: Sequence[parts.Part], count: int) -> arb:
    """f'(oo), enclosed.

    Raises Rejected where the rest beyond X falls off too slowly to be bounded.
    """
    integrand = parts[-1].slope * sp.exp(-x)
    with digits(count):
        for X in REACHES:
            if not parts[-1].low.is_infinite and not ball_of_constant(parts[-1].low) < X:
                continue
            try:
                line = tails.HalfLine(X)
                rest = _rest(line, tail_functions.expand_tail(line, integrand, x))
            except monomials.NoTail:
                continue
            if rest < arb(10) ** -count:
                return enclose_value(parts, sp.exp(X), count) * (-arb(X)).exp() + arb(0, 1) * rest
    raise Rejected("the integral for f'(oo) falls off too slowly to be enclosed")


def _rest(line: tails.HalfLine, tail: tails.Tail) -> arb:
    """|int_X^oo| <= C m(X)/d where |integrand| <= C m on [X, oo) and m e^{d v} falls there."""
    size, bound = line.lump(tail)
    if not bound.is_finite():
        raise monomials.NoTail("the remainder has no bound")
    for rate in RATES:
        raised = size * monomials.Monomial(exponents=((rate, monomials.iterated_log(0)),))
        if monomials.growth(raised) < 0 and line.is_decreasing(raised):
            return arb((abs(bound) * line.at_X(size)).upper()) / constant(rate)
    raise monomials.NoTail("it falls off too slowly")


def piece_integral(part: parts.Part, a: arb, b: arb, count: int) -> arb:
    """int_a^b g'(v) e^{-v} dv within one piece."""
    if part.loss is not None and not all(
        value_at(part.loss, constant(end)).is_finite()
        for end in (part.low, part.high)
        if not end.is_infinite
    ):
        return beside_points(part, a, b, count)
    total = _integral(part.slope * sp.exp(-x), a, b, count)
    if total.is_finite() or part.loss is None:
        return total
    ends = [
        proofs.limit_of(part.loss, x, sp.S.Zero, side) if end == 0 else None
        for end, side in ((a, 1), (b, -1))
    ]
    left, right = (
        value_at(part.loss, end) if known is None else constant(known)
        for known, end in zip(ends, (a, b))
    )
    return right * (-b).exp() - left * (-a).exp() + _integral(part.loss * sp.exp(-x), a, b, count)


def beside_points(part: parts.Part, a: arb, b: arb, count: int) -> arb:
    """int_a^b g' e^{-v} dv where g has no value at an end: next to it, on d = 10^-count, by parts
    with |g| <= M, what is left of int g e^{-v} is at most M d e^{-v}. Raises Rejected.
    """
    with digits(SHARPER * count):
        total, width = arb(0), arb(10) ** -count
        for end, side in ((part.low, 1), (part.high, -1)):
            edge = a if side > 0 else b
            if end.is_infinite or not (edge - constant(end)).contains(0):
                continue
            inner = constant(end) + side * width
            limit = proofs.limit_of(part.loss, x, end, side)
            if limit is None or not limit.is_finite or not a < inner < b:
                return arb.nan()
            near = value_at(part.loss, inner) * (-inner).exp()
            rise = near - constant(limit) * (-edge).exp()
            rest = _largest(part.loss, end, side, count) * width * (1 - edge).exp() * arb(0, 1)
            total += side * rise + rest
            a, b = (inner, b) if side > 0 else (a, inner)
        return total + _integral(part.slope * sp.exp(-x), a, b, count)


def _largest(g: sp.Expr, end: sp.Expr, side: int, count: int) -> arb:
    """A bound of |g| within 10^-count of an end, on that side."""
    line = tails.HalfLine(10**count)
    try:
        size, bound = line.lump(
            tail_functions.expand_tail(line, g.xreplace({x: end + side / x}), x)
        )
        return arb((abs(bound) * line.sup(size)).upper())
    except monomials.NoTail as reason:
        raise Rejected(f"{g} near {end}: {reason}") from None


def _integral(f: sp.Expr, a: arb, b: arb, count: int) -> arb:
    if not a < b:
        return arb(0) if (b - a).contains(0) and a == b else arb.nan()
    tolerance, program = arb(10) ** -count, _program(f)
    found = acb.integral(
        lambda z, analytic: _run(program, z, analytic),
        acb(a),
        acb(b),
        rel_tol=tolerance,
        abs_tol=tolerance,
    )
    return found.real if found.imag.contains(0) else arb.nan()


def constant(number: sp.Expr) -> arb:
    """An exact constant at the precision in force."""
    return ball(number, x, arb(0))


def value_at(f: sp.Expr, point: arb) -> arb:
    """f at a real point, enclosed, at the precision in force."""
    found = evaluate(f, acb(point), False)
    return found.real if found.imag.contains(0) else arb.nan()


# --- complex balls

_NOTHING = acb(arb.nan(), arb.nan())


Step = Callable[[list[acb], acb, bool], acb]  # from the balls of earlier parts, and the argument


def evaluate(f: sp.Expr, z: acb, analytic: bool) -> acb:
    """The range of f on a complex ball, enclosed; not finite where, with `analytic`, f may not
    be analytic on it.
    """
    return _run(_program(f), z, analytic)


def _run(program: Sequence[Step], z: acb, analytic: bool) -> acb:
    values: list[acb] = []
    for step in program:
        values.append(step(values, z, analytic))
    return values[-1]


def _program(f: sp.Expr) -> list[Step]:
    """The parts of f from the leaves up, each once, its constants at the precision in force: an
    integral asks for the same function at thousands of points.
    """
    steps: list[Step] = []
    places: dict[Any, int] = {}

    def place(part: Any) -> int:
        if part not in places:
            step = _step(part, place)
            places[part] = len(steps)
            steps.append(step)
        return places[part]

    place(f)
    return steps


def _step(f: Any, place: Callable[[Any], int]) -> Step:
    """How f is enclosed; `place` says where its parts stand among the balls before it."""
    if f == x:
        return lambda values, z, analytic: z
    if not f.has(x):
        number = acb(constant(f))
        return lambda values, z, analytic: number
    if f.is_Add or f.is_Mul:
        parts, empty = [place(part) for part in f.args], acb(0 if f.is_Add else 1)
        join = operator.add if f.is_Add else operator.mul
        return lambda values, z, analytic: reduce(join, (values[i] for i in parts), empty)
    if isinstance(f, sp.Pow):
        return _step_of_power(f, place(f.base), place(f.exp))
    if isinstance(f, sp.log) and isinstance(f.args[0], sp.gamma):
        under = place(f.args[0].args[0])
        return lambda values, z, analytic: (
            values[under].lgamma() if values[under].real > 0 else _NOTHING
        )
    inner, first = place(f.args[-1]), f.args[0]
    if isinstance(f, sp.polygamma):
        order = acb(int(first))
        return lambda values, z, analytic: values[inner].polygamma(order)
    if isinstance(f, sp.polylog):
        return lambda values, z, analytic: _polylog(first, values[inner], analytic)
    function = _FUNCTIONS.get(f.func, lambda z, analytic: _NOTHING)
    return lambda values, z, analytic: function(values[inner], analytic)


def _step_of_power(f: Any, base: int, power: int) -> Step:
    if f.exp.is_Integer:
        n = int(f.exp)
        return lambda values, z, analytic: values[base] ** n
    if f.exp == sp.S.Half:
        return lambda values, z, analytic: values[base].sqrt(analytic=analytic)
    return lambda values, z, analytic: (
        (values[power] * values[base].log(analytic=analytic)).exp()
        if values[base] != 0
        else _NOTHING
    )


def _entire(name: str):
    return lambda z, analytic: getattr(z, name)()


def _log(z: acb, analytic: bool) -> acb:
    return z.log(analytic=analytic)


def _root(z: acb, analytic: bool) -> acb:
    return z.sqrt(analytic=analytic)


def _polylog(order: sp.Expr, z: acb, analytic: bool) -> acb:
    if analytic and not (z.real < 1 or z.imag > 0 or z.imag < 0):
        return _NOTHING
    return z.polylog(acb(constant(order)))


def _exponential_integral(z: acb, analytic: bool) -> acb:
    """Ei is analytic on either side of 0; left of it Ei(z) = -E1(-z), without the cut of the
    complex Ei.
    """
    return -(-z).expint(acb(1)) if z.real < 0 else z.ei() if z.real > 0 else _NOTHING


_FUNCTIONS = {
    sp.exp: _entire("exp"),
    sp.sinh: _entire("sinh"),
    sp.cosh: _entire("cosh"),
    sp.tanh: _entire("tanh"),
    sp.erf: _entire("erf"),
    sp.erfc: _entire("erfc"),
    sp.erfi: _entire("erfi"),
    sp.gamma: _entire("gamma"),
    sp.sin: _entire("sin"),
    sp.cos: _entire("cos"),
    sp.log: _log,
    sp.Ei: _exponential_integral,
    sp.asinh: lambda z, analytic: _log(z + _root(z * z + 1, analytic), analytic),
    sp.acosh: lambda z, analytic: _log(
        z + _root(z + 1, analytic) * _root(z - 1, analytic), analytic
    ),
    sp.atanh: lambda z, analytic: (_log(1 + z, analytic) - _log(1 - z, analytic)) / 2,
    sp.atan: lambda z, analytic: (
        (_log(1 + acb(0, 1) * z, analytic) - _log(1 - acb(0, 1) * z, analytic)) / acb(0, 2)
    ),
}
