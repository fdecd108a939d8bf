"""What a torch loss computes, as data: a list of steps that torch, a source text and the analysis
of rounding all read.

    expm1(x/2)*2  ->  (("mul", X, (0.5,)), ("expm1", 0), ("mul", 1, (2.0,)))

A step is (operation, argument, ...); an argument is the number of an earlier step, X for the
residual, or (c,) for a constant: 2 and 2.0 are equal in Python, a step and a constant must never
be. Nothing in it is code, so it can be pickled, compared and sent anywhere.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

import sympy as sp

from divergence_lab.bridge.verified.arithmetic import parts_of
from divergence_lab.inputs import InputError
from divergence_lab.theory.expressions import x

X = "x"  # the argument that stands for the residual
LARGEST_POWER = 2000
LARGE = 2.0**20  # a coefficient whose power may be 0 where the term is none


class NotRepresentable(InputError):
    """The loss can't be evaluated in torch with the promised accuracy.

    One line that says where it fails, or which parameter has no value.
    """


def without_value(expression: sp.Expr) -> NotRepresentable:
    """The error that names the parameters to be set."""
    names = ", ".join(sorted(map(str, expression.free_symbols)))
    return NotRepresentable(
        f"the parameter {names} has no value: set it, e.g. loss(text, values={{...}})"
    )


def linear_in_x(u: sp.Expr) -> tuple[sp.Expr, sp.Expr] | None:
    """(a, b) with u = a x + b, a not 0; else None."""
    if u.is_polynomial(x) and sp.Poly(u, x).degree() == 1:
        return cast(tuple[sp.Expr, sp.Expr], (u.coeff(x, 1), u.coeff(x, 0)))
    return None


def arguments_of(e: sp.Basic) -> tuple[sp.Expr, ...]:
    """`e.args`, which for the expressions of a loss are expressions."""
    return cast(tuple[sp.Expr, ...], e.args)


def replaced(e: sp.Expr, what: Callable, how: Callable) -> sp.Expr:
    """`e.replace`, whose answer is an expression again."""
    return cast(sp.Expr, e.replace(what, how))


class _ZeroAtZero(sp.Function):
    """A function that is 0 at 0."""

    @classmethod
    def eval(cls, *args: sp.Expr) -> Any:
        (u,) = args
        return sp.S.Zero if u == 0 else None


class expm1(_ZeroAtZero):
    """e^u - 1."""

    nargs = 1


class log1p(_ZeroAtZero):
    """log(1 + u)."""

    nargs = 1


class linex(_ZeroAtZero):
    """e^u - 1 - u."""

    nargs = 1


class away(sp.Function):
    """u - p for a constant p, accurate next to p where p is no binary number."""

    nargs = 2

    @classmethod
    def eval(cls, *args: sp.Expr) -> Any:
        u, p = args
        return None if u.has(x) else u - p


def spelled_out(expression: sp.Expr) -> sp.Expr:
    """Without the functions above, which are written for their rounding."""
    for name, meaning in (
        (away, lambda u, p: u - p),
        (expm1, lambda u: sp.exp(u) - 1),
        (log1p, lambda u: sp.log(1 + u)),
        (linex, lambda u: sp.exp(u) - 1 - u),
    ):
        expression = cast(sp.Expr, expression.replace(name, meaning))
    return expression


@dataclass(frozen=True)
class Program:
    """`steps`; `rounded`: those of its constants that are not exactly what the formula has."""

    steps: tuple[tuple, ...]
    rounded: frozenset[float] = frozenset()


UNARY = {
    sp.exp: "exp",
    sp.log: "log",
    sp.sinh: "sinh",
    sp.cosh: "cosh",
    sp.tanh: "tanh",
    sp.asinh: "asinh",
    sp.atanh: "atanh",
    sp.atan: "atan",
    sp.erf: "erf",
    sp.erfc: "erfc",
    sp.Abs: "abs",
    sp.sign: "sign",
    sp.sin: "sin",
    sp.cos: "cos",
    expm1: "expm1",
    log1p: "log1p",
    linex: "linex",
}
_INVERSES = {sp.coth: "tanh", sp.sech: "cosh", sp.csch: "sinh"}


def measures(program: Program) -> bool:
    """From an end, exactly: x - p."""
    return any(
        name == "away" or (name == "sub" and first == X and isinstance(others[0], tuple))
        for name, first, *others in program.steps
    )


def compiled(expression: sp.Expr, halves: bool = False) -> Program:
    """The expression in x as steps, in the order of its parts.

    `halves`: a factor e^u as e^(u/2) twice, after all divisions, for it would leave the range of
    numbers before the product does. Raises NotRepresentable where a function has none.
    """
    builder = _Builder(halves)
    last = builder.step_of(expression)
    if not isinstance(last, int):
        last = builder.add("add", X, 0.0) if last == X else builder.add("fill", last)
    return Program(builder.upto(last), frozenset(builder.rounded))


def polynomial(coefficients: list[float], start: int) -> Program:
    """x^start (c_0 + c_1 x + ...), by Horner; in x^2 where every other coefficient is 0."""
    builder, stride = _Builder(), 1
    if not any(coefficients[1::2]):
        coefficients, stride = coefficients[::2], 2
    while len(coefficients) > 1 and coefficients[-1] == 0:
        coefficients = coefficients[:-1]
    variable = builder.power(X, stride)
    total = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        total = builder.add("mul", variable, total)
        total = builder.add("add", total, coefficient) if coefficient else total
    # x^59 alone would be 0 too early, and x^2 where 10^30 x^2 is a number
    if start > 8 or (start > 1 and abs(coefficients[0]) > LARGE):
        total, start = builder.add("mul", X, total), start - 1
    if start:
        total = builder.add("mul", builder.power(X, start), total)
    if isinstance(total, float):
        total = builder.add("fill", total)
    return Program(builder.upto(total))


def at_the_size(program: Program, parity: int) -> Program:
    """The program at |x|, with the sign of x if `parity` is -1: the same roundings."""
    moved = [
        (name, *(0 if a == X else a + 1 if isinstance(a, int) else a for a in arguments))
        for name, *arguments in program.steps
    ]
    last = len(moved)
    sign = [("sign", X), ("mul", last, last + 1)] if parity < 0 else []
    return Program((("abs", X), *moved, *sign), program.rounded)


def _is_high(factor: sp.Expr) -> bool:
    return (
        isinstance(factor, sp.Pow)
        and isinstance(factor.exp, sp.Integer)
        and 8 <= int(factor.exp) <= LARGEST_POWER
    )


# a step's number, X, or a constant
Argument = int | str | float


def _fraction(product: sp.Expr) -> tuple[list[sp.Expr], list[sp.Expr]]:
    """The factors above and below the line."""
    above: list[sp.Expr] = []
    below: list[sp.Expr] = []
    for factor in sp.Mul.make_args(product):
        turned = isinstance(factor, sp.Pow) and not factor.exp.has(x) and factor.exp.is_negative
        (below if turned else above).append(1 / factor if turned else factor)
    return above, below


class _Builder:
    """Steps, each once."""

    def __init__(self, halves: bool = False) -> None:
        self.halves = halves
        self.steps: list[tuple] = []
        self.known: dict[tuple, int] = {}
        self.of: dict[sp.Expr, Argument] = {}
        self.rounded: set[float] = set()

    def add(self, *step) -> int:
        step = tuple((part,) if isinstance(part, float) else part for part in step)
        if step not in self.known:
            self.known[step] = len(self.steps)
            self.steps.append(step)
        return self.known[step]

    def upto(self, last: int) -> tuple[tuple, ...]:
        """The steps that `last` needs, which comes last."""
        needed, stack = set(), [last]
        while stack:
            k = stack.pop()
            if k not in needed:
                needed.add(k)
                stack += [a for a in self.steps[k][1:] if isinstance(a, int)]
        place = {old: new for new, old in enumerate(sorted(needed))}
        return tuple(
            (self.steps[k][0], *(place[a] if isinstance(a, int) else a for a in self.steps[k][1:]))
            for k in sorted(needed)
        )

    def number(self, value: sp.Expr) -> float:
        if value.free_symbols:
            raise without_value(value)
        try:
            found = float(value)
        except (TypeError, OverflowError):
            found = math.nan
        if not math.isfinite(found):
            raise NotRepresentable(
                f"the constant {str(value)[:60]} is no number of double precision"
            )
        if not (value.is_Rational and sp.Rational(found) == value):
            self.rounded.add(found)
        return found

    def step_of(self, e: sp.Expr) -> Argument:
        if e == x:
            return X
        if not e.has(x):
            return self.number(e)
        if e not in self.of:
            self.of[e] = self._new(e)
        return self.of[e]

    def _new(self, e: sp.Expr) -> Argument:
        if isinstance(e, sp.Add):
            return self._sum(e)
        if isinstance(e, sp.Mul):
            return self._product(e)
        if isinstance(e, sp.Pow):
            return self._power(e)
        *order, inner = arguments_of(e)
        if isinstance(e, away):
            if order[0] != x or (parts := parts_of(inner)) is None:
                raise NotRepresentable(f"{str(e)[:60]} has no torch version")
            return self.add("away" if len(parts) > 1 else "sub", self.step_of(order[0]), *parts)
        if isinstance(e, sp.polylog) and order[0] == 2:
            return self.add("dilog", self.step_of(inner))
        if e.func in _INVERSES:
            return self.add("div", 1.0, self.add(_INVERSES[e.func], self.step_of(inner)))
        name = UNARY.get(e.func)
        if name is None:
            raise NotRepresentable(f"{e.func.__name__} has no torch version")
        return self.add(name, self.step_of(inner))

    def _sum(self, e: sp.Add) -> Argument:
        constant, rest = e.as_independent(x, as_Add=True)
        terms = [term.as_coeff_Mul() for term in sp.Add.make_args(rest)]
        # the first is not subtracted, where there is a choice
        terms.sort(key=lambda term: not term[0].is_positive)
        total = self._times(*terms[0])
        for coefficient, part in terms[1:]:
            negative = bool(coefficient.is_negative)
            step = self._times(-coefficient if negative else coefficient, part)
            total = self.add("sub" if negative else "add", total, step)
        return total if constant == 0 else self.add("add", total, self.number(constant))

    def _times(self, coefficient: sp.Expr, part: sp.Expr) -> Argument:
        if coefficient == 1:
            return self.step_of(part)
        if part.is_Mul or (self.halves and isinstance(part, sp.exp)):
            return self.step_of(sp.Mul(coefficient, part))
        return self.add("mul", self.step_of(part), self.number(coefficient))

    def _product(self, e: sp.Mul) -> Argument:
        constant, rest = e.as_independent(x, as_Add=False)
        above, below = _fraction(rest)
        if self.halves and any(isinstance(factor, sp.exp) for factor in above):
            return self._by_halves(constant, above, below)
        high = next((factor for factor in above if _is_high(factor)), None)
        if high is not None and abs(constant) > 1:  # (60 x) x^58: x^59 would be 0 too early
            above.remove(high)
            base, power = high.as_base_exp()
            first = self.add("mul", self.step_of(base), self.number(constant))
            first = self.add("mul", self.step_of(base ** (power - 1)), first)
            total = self._multiplied(above, first)
            constant = sp.S.One
        elif above:
            total = self._multiplied(above[1:], self.step_of(above[0]))
        else:
            total, constant = self.number(constant), sp.S.One
        if below:
            divisor = self._multiplied(below[1:], self.step_of(below[0]))
            total = self.add("div", total, divisor)
        return total if constant == 1 else self.add("mul", total, self.number(constant))

    def _by_halves(self, constant: sp.Expr, above: list[sp.Expr], below: list[sp.Expr]) -> Argument:
        powers, others = sp.sift(above, lambda factor: isinstance(factor, sp.exp), binary=True)
        total = self._multiplied(others, self.number(constant))
        if below:
            total = self.add("div", total, self._multiplied(below[1:], self.step_of(below[0])))
        halves = (sp.exp(arguments_of(factor)[0] / 2) for factor in powers for _ in range(2))
        return self._multiplied(halves, total)

    def _multiplied(self, factors: Iterable[sp.Expr], total: Argument) -> Argument:
        for factor in factors:
            total = self.add("mul", self.step_of(factor), total)
        return total

    def _power(self, e: sp.Pow) -> Argument:
        base, exponent = e.base, e.exp
        if exponent.has(x):
            return (
                self.step_of(sp.exp(exponent * sp.log(base), evaluate=False))
                if base.has(x)
                else self.add("exp", self.step_of(exponent * sp.log(base)))
            )
        if exponent.is_negative:
            return self.add("div", 1.0, self.step_of(base**-exponent))
        below = self.step_of(base)
        if isinstance(exponent, sp.Integer) and int(exponent) <= LARGEST_POWER:
            return self.power(below, int(exponent))
        if isinstance(exponent, sp.Rational) and exponent.q == 2 and exponent <= 8:
            root = self.add("sqrt", below)
            whole = int(exponent - sp.Rational(1, 2))
            return root if whole == 0 else self.add("mul", self.power(below, whole), root)
        return self.add("pow", below, self.number(exponent))

    def power(self, step: Argument, n: int) -> Argument:
        """step^n by squaring: every product is correctly rounded, on every device."""
        if n == 1:
            return step
        half = self.power(step, n // 2)
        square = self.add("mul", half, half)
        return self.add("mul", square, step) if n % 2 else square
