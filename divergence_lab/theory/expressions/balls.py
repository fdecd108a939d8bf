"""Real balls for the trusted checker: an expression on an interval, enclosed. Its own evaluator,
shared with no search.

ball(expression, variable, box)   contains  expression(v)  for every v in box, or is not finite
"""

import operator
from collections.abc import Callable
from functools import lru_cache, reduce
from typing import Any

import sympy as sp
from flint import acb, arb, ctx
from mpmath.libmp import from_man_exp

from divergence_lab.theory.expressions.precision import bits
from divergence_lab.theory.expressions.symbols import x

PRECISION_BITS = 128
# In turn, until a number is known to ACCURATE bits: those of sinh(1e-30) - 1e-30 cancel 200.
BITS, ACCURATE = (PRECISION_BITS, 4 * PRECISION_BITS, 16 * PRECISION_BITS), 40
_NO_VARIABLE = sp.Dummy()
MAX_STEPS = 400  # of narrowing a ball around a zero

_FUNCTIONS = {
    sp.exp: arb.exp,
    sp.log: arb.log,
    sp.sinh: arb.sinh,
    sp.cosh: arb.cosh,
    sp.tanh: arb.tanh,
    sp.asinh: arb.asinh,
    sp.acosh: arb.acosh,
    sp.atanh: arb.atanh,
    sp.atan: arb.atan,
    sp.erf: arb.erf,
    sp.erfc: arb.erfc,
    sp.erfi: arb.erfi,
    sp.sin: arb.sin,
    sp.cos: arb.cos,
    sp.coth: arb.coth,
    sp.sech: arb.sech,
    sp.csch: arb.csch,
    sp.zeta: arb.zeta,
    sp.dirichlet_eta: lambda s: (1 - arb(2) ** (1 - s)) * s.zeta(),
    sp.Abs: abs,
    sp.sign: lambda u: _sign(u),
    sp.Ei: lambda u: _ei(u),
    sp.gamma: lambda u: _gamma(u),
}
DECISIONS = (sp.Abs, sp.sign, sp.Max, sp.Min, sp.Piecewise)
_CONSTANTS = {
    sp.pi: arb.pi,
    sp.E: arb.const_e,
    sp.EulerGamma: arb.const_euler,
    sp.Catalan: arb.const_catalan,
}


class Root(sp.AtomicExpr):
    """The only zero of `function`, smooth in x, between two rational numbers on one side of 0.

    A number like any other for SymPy. It exists, and only once: the signs at both ends differ, and
    the slope is enclosed, away from 0, on all of [low, high] (Proposition 24). Raises ValueError
    where that is not seen.

        >>> Root(sp.exp(x) - 1 - x - x**2, sp.Rational(179, 100), sp.Rational(9, 5)).evalf(20)
        1.7932821329007610076
    """

    is_number = is_real = is_finite = True
    is_zero = False
    __slots__ = ("function", "high", "low")

    def __new__(cls, function: sp.Expr, low: sp.Rational, high: sp.Rational) -> "Root":
        if function.free_symbols != {x} or not (low.is_Rational and high.is_Rational):
            raise ValueError("a root is of a function of x, between two rational numbers")
        if function.has(*DECISIONS) or not (0 <= low < high or low < high <= 0):
            raise ValueError("a root is of a smooth function, on one side of 0")
        with bits(PRECISION_BITS):
            ends = [ball(function, x, ball_of_constant(end)) for end in (low, high)]
            whole = ball_of_constant(low).union(ball_of_constant(high))
            slope, range_ = ball(sp.diff(function, x), x, whole), ball(function, x, whole)
        if not (ends[0] < 0 < ends[1] or ends[1] < 0 < ends[0]):
            raise ValueError("the function has no different signs at both ends")
        if not (slope > 0 or slope < 0) or not (slope.is_finite() and range_.is_finite()):
            raise ValueError("the slope of the function is not seen to keep its sign")
        self = super().__new__(cls)
        self.function, self.low, self.high = function, low, high
        return self

    def _hashable_content(self) -> tuple:
        return self.function, self.low, self.high

    def __getnewargs__(self) -> tuple:
        return self.function, self.low, self.high

    def _eval_is_positive(self) -> bool:
        return bool(self.low >= 0)

    def _eval_evalf(self, prec: int) -> sp.Float:
        mantissa, exponent = (int(n) for n in _zero(self, prec + 20).mid().man_exp())
        return sp.Float._new(from_man_exp(mantissa, exponent, prec, "n"), prec)

    def _sympystr(self, printer) -> str:
        low, high = (printer._print(end) for end in (self.low, self.high))
        return f"Root({printer._print(self.function)}, {low}, {high})"

    def _latex(self, printer) -> str:
        low, high = (printer._print(end) for end in (self.low, self.high))
        zero = f"{printer._print(self.function)} = 0"
        return f"\\operatorname{{Root}}\\left({zero},\\ {low} < x < {high}\\right)"


@lru_cache(maxsize=2_000)
def _zero(root: Root, precision: int) -> arb:
    """The root, enclosed: by Newton's step on a ball, N(B) = m - f(m)/f'(B), or by halves."""
    slope = sp.diff(root.function, x)
    with bits(precision + 20):
        low, high = ball_at(root.low), ball_at(root.high)
        rises = bool(ball(root.function, x, high) > 0)
        box = low.union(high)
        for _ in range(MAX_STEPS):
            middle = arb(box.mid())
            value = ball(root.function, x, middle)
            newton = middle - value / ball(slope, x, box)
            narrower = box.intersection(newton) if newton.is_finite() else box
            if not narrower.rad() < box.rad() * 0.75:
                if not (value < 0 or value > 0):
                    return narrower
                below = bool(value < 0) == rises  # the zero lies above the middle
                half = middle.union(box.upper()) if below else arb(box.lower()).union(middle)
                narrower = box.intersection(half)
                if not narrower.rad() < box.rad():
                    return narrower
            box = narrower
    return box


def ball_at(number: sp.Rational) -> arb:
    """A rational number at the precision in force."""
    return arb(int(number.p)) / int(number.q)


def ball(expression: Any, variable: sp.Symbol, box: arb) -> arb:
    """The range of `expression` on `box`, enclosed; not finite where it may be undefined or is
    not known here.
    """
    values: list[arb] = []
    for step in _program(expression, variable):
        values.append(step(values, box))
    return values[-1]


Step = Callable[[list[arb], arb], arb]  # from the balls of earlier parts, and the box


@lru_cache(maxsize=2_000)
def _program(expression: Any, variable: sp.Symbol) -> tuple[Step, ...]:
    """The parts of an expression from the leaves up, each once however often it occurs: a cover
    asks for the same function on thousands of boxes.
    """
    steps: list[Step] = []
    places: dict[Any, int] = {}

    def place(part: Any) -> int:
        if part not in places:
            step = _step(part, variable, place)
            places[part] = len(steps)
            steps.append(step)
        return places[part]

    place(expression)
    return tuple(steps)


def _step(e: Any, variable: sp.Symbol, place: Callable[[Any], int]) -> Step:
    """How e is enclosed; `place` says where its parts stand among the balls before it."""
    if e == variable:
        return lambda values, box: box
    if e.is_Rational:
        p, q = arb(int(e.p)), int(e.q)
        return lambda values, box: p / q
    if e.args and variable is not _NO_VARIABLE and not e.has(variable):
        # found once for a precision, however many boxes there are
        return lambda values, box: _constant(e, ctx.prec)
    if e in _CONSTANTS:
        constant = _CONSTANTS[e]
        return lambda values, box: constant()
    if isinstance(e, Root):
        return lambda values, box: _zero(e, ctx.prec)
    if isinstance(e, sp.Piecewise):
        return lambda values, box: _piecewise(e, variable, box)
    if not e.args:
        return lambda values, box: arb.nan()
    if e.is_Add or e.is_Mul or isinstance(e, sp.Max | sp.Min):
        return _step_of_many(e, [place(part) for part in e.args])
    return _step_of_power(e, place) if e.is_Pow else _step_of_function(e, place)


@lru_cache(maxsize=2_000)
def _constant(e: Any, precision: int) -> arb:
    """What depends on no variable, at the precision in force, which is this one."""
    return ball(e, _NO_VARIABLE, arb(0))


def _step_of_many(e: Any, places: list[int]) -> Step:
    two: Callable[[arb, arb], arb]
    if e.is_Add:
        two = operator.add
    elif e.is_Mul:
        two = operator.mul
    else:
        two = arb.max if isinstance(e, sp.Max) else arb.min
    if len(places) == 2:
        i, j = places
        return lambda values, box: two(values[i], values[j])
    return lambda values, box: reduce(two, [values[i] for i in places])


def _step_of_power(e: Any, place: Callable[[Any], int]) -> Step:
    if isinstance(e.base, sp.gamma) and e.exp.is_negative:
        inner, power = place(e.base.args[0]), place(e.exp)
        # the ends of gamma lie too far apart for one ball
        return lambda values, box: (values[power] * log_gamma(values[inner])).exp()
    base = place(e.base)
    if e.exp.is_Integer:
        n = int(e.exp)
        return lambda values, box: _whole_power(values[base], n)
    power, positive = place(e.exp), bool(e.exp.is_positive)
    return lambda values, box: _power(values[base], values[power], positive)


def _step_of_function(e: Any, place: Callable[[Any], int]) -> Step:
    if isinstance(e, sp.log) and isinstance(e.args[0], sp.gamma):
        under = place(e.args[0].args[0])
        return lambda values, box: log_gamma(values[under])
    inner = place(e.args[-1])
    if isinstance(e, sp.polygamma):
        order = int(e.args[0])
        return lambda values, box: _polygamma(order, values[inner])
    if isinstance(e, sp.polylog):
        first = place(e.args[0])
        return lambda values, box: _polylog(values[first], values[inner])
    function = _FUNCTIONS.get(e.func)
    if function is None or len(e.args) > 1:
        return lambda values, box: arb.nan()
    return lambda values, box: function(values[inner])


def _sign(u: arb) -> arb:
    return arb(1) if u > 0 else arb(-1) if u < 0 else arb(0) if u == 0 else arb(0, 1)


def _ei(u: arb) -> arb:
    return u.ei() if u > 0 or u < 0 else arb.nan()


def _polylog(order: arb, u: arb) -> arb:
    return u.polylog(order) if u < 1 else arb.nan()


# gamma falls up to the first of these and rises from the second on; between them it is above LEAST.
_TURN = arb("1.46163214496"), arb("1.46163214497")
_LEAST = arb("0.88560319441")


def _gamma(u: arb) -> arb:
    """gamma, convex for u > 0: between its ends, or its least value and the larger end."""
    if not u > 0:
        return u.gamma()
    ends = arb(u.lower()).gamma().union(arb(u.upper()).gamma())
    return ends if u > _TURN[1] or u < _TURN[0] else ends.union(_LEAST)


def log_gamma(u: arb) -> arb:
    """log gamma for u > 0, where it does not overflow as gamma does."""
    if not u > 0:
        return arb.nan()
    ends = arb(u.lower()).lgamma().union(arb(u.upper()).lgamma())
    return ends if u > _TURN[1] or u < _TURN[0] else ends.union(_LEAST.log())


def _polygamma(order: int, u: arb) -> arb:
    """The derivatives of log gamma are monotone for u > 0; elsewhere u is no more than a point."""
    if not u > 0:
        return acb(u).polygamma(acb(order)).real
    return (
        acb(arb(u.lower()))
        .polygamma(acb(order))
        .real.union(acb(arb(u.upper())).polygamma(acb(order)).real)
    )


def _piecewise(expression: sp.Piecewise, variable: sp.Symbol, box: arb) -> arb:
    """The first piece whose condition is certain; not finite where a condition before it is not
    decided.
    """
    for value, condition in expression.args:
        truth = decide_condition(condition, variable, box)
        if truth is None:
            return arb.nan()
        if truth:
            return ball(value, variable, box)
    return arb.nan()


def decide_condition(condition, variable: sp.Symbol, box: arb) -> bool | None:
    """Does the condition hold on the whole box? None when that is not certain."""
    if condition in (sp.true, sp.false):
        return condition == sp.true
    if isinstance(condition, sp.And | sp.Or):
        parts = [decide_condition(part, variable, box) for part in condition.args]
        if isinstance(condition, sp.And):
            return False if False in parts else None if None in parts else True
        return True if True in parts else None if None in parts else False
    difference = ball(condition.lhs, variable, box) - ball(condition.rhs, variable, box)
    if difference == 0:  # exactly at the threshold
        return isinstance(condition, sp.LessThan | sp.GreaterThan)
    if difference < 0 or difference > 0:
        return bool(difference < 0) == isinstance(condition, sp.StrictLessThan | sp.LessThan)
    return None


def _whole_power(base: arb, n: int) -> arb:
    if n < 0:
        return 1 / _whole_power(base, -n)
    if n % 2 == 0 and base.contains(0):  # an even power is not negative
        return arb(0).union(arb(abs(base).upper()) ** n)
    if base > 0 or base < 0:
        # monotone: the ends give the range, far tighter than the product of balls
        return (arb(base.lower()) ** n).union(arb(base.upper()) ** n)
    return base**n


def _power(base: arb, power: arb, positive: bool) -> arb:
    """base^power, the exponent no whole number; `positive`: it is known to be so exactly."""
    if base > 0:
        return base**power
    reaches_zero = base >= 0 or (base.contains(0) and not base < 0)
    if (positive or power > 0) and reaches_zero:
        # 0^p = 0: the ball that reaches 0 is enclosed by its upper end (the part below 0 is not in
        # the domain, and belongs to the rounding of an end point at 0)
        return arb(0).union(arb(base.upper()) ** power)
    return arb.nan()


@lru_cache(maxsize=20_000)
def ball_of_constant(number: sp.Expr) -> arb:
    """An exact constant, enclosed; what cancels in it is met by more bits."""
    return ball_at_point(number, _NO_VARIABLE, sp.S.Zero)


def is_finite_constant(number: sp.Expr) -> bool:
    """An exact constant is a finite real number, as its ball shows: SymPy may not know."""
    return bool(ball_of_constant(number).is_finite())


def ball_at_point(expression: sp.Expr, variable: sp.Symbol, point: sp.Expr) -> arb:
    """The value at an exact point, with as many bits as what cancels in it needs."""
    value = arb.nan()
    for count in BITS:
        with bits(count):
            value = ball(expression, variable, ball(point, _NO_VARIABLE, arb(0)))
        if value.is_exact() or value.rel_accuracy_bits() > ACCURATE:
            break
    return value


_NO_VARIABLE = sp.Dummy()
