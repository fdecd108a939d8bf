"""A SymPy expression as plain torch operations, differentiable, with nothing done about rounding:
for checks.

Training never uses it: see `torch_loss` for what is verified.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import sympy as sp
import torch
from torch import Tensor

from divergence_lab.bridge.verified.programs import NotRepresentable


def _torch_erfi(z: Tensor) -> Tensor:
    # erfi(z) = 2/sqrt(pi) e^{z^2} D(z) with Dawson's D; torch has no Dawson function, so only the
    # range in which the series converges quickly is evaluated, and the checks below refuse the
    # rest.
    total, term = torch.zeros_like(z), z.clone()
    for k in range(60):
        total = total + term / (2 * k + 1)
        term = term * z * z / (k + 1)
    return total * (2 / math.sqrt(math.pi))


def _polylog(order: int, z: Tensor) -> Tensor:
    # Li_1 = -log(1 - z); Li_2 for z <= 0 by Bernoulli numbers in u = -log(1 - z), |u| <= log 2 once
    # z < -1 is inverted
    if order == 1:
        return -torch.log1p(-z)
    u = -torch.log1p(-torch.where(z < -1, 1 / z, z))
    series = (
        sum(float(sp.bernoulli(k) / sp.factorial(k + 1)) * u ** (k + 1) for k in range(2, 21, 2))
        + u
        - u**2 / 4
    )
    inverted = -(math.pi**2) / 6 - torch.log(-torch.where(z < -1, z, -1.0)) ** 2 / 2 - series
    return torch.where(z > 0, torch.nan, torch.where(z < -1, inverted, series))


_FUNCTIONS: dict[type, Callable[[Tensor], Tensor]] = {
    sp.exp: torch.exp,
    sp.log: torch.log,
    sp.sinh: torch.sinh,
    sp.cosh: torch.cosh,
    sp.tanh: torch.tanh,
    sp.coth: lambda z: 1 / torch.tanh(z),
    sp.sech: lambda z: 1 / torch.cosh(z),
    sp.csch: lambda z: 1 / torch.sinh(z),
    sp.asinh: torch.asinh,
    sp.acosh: torch.acosh,
    sp.atanh: torch.atanh,
    sp.atan: torch.atan,
    sp.erf: torch.erf,
    sp.erfc: torch.erfc,
    sp.erfi: _torch_erfi,
    sp.Abs: torch.abs,
    sp.sign: torch.sign,
}


def formula(expression: sp.Expr, variable: sp.Symbol) -> Callable[[Tensor], Tensor]:
    """`expression` as plain torch operations, with nothing done about rounding.

    Raises NotRepresentable.
    """
    if expression == variable:
        return lambda z: z
    if not expression.has(variable):
        if expression.free_symbols:
            names = ", ".join(sorted(map(str, expression.free_symbols)))
            raise NotRepresentable(
                f"the parameter {names} has no value: set it, e.g. loss(text, values={{...}})"
            )
        number = float(expression)
        return lambda z: torch.full_like(z, number)
    if isinstance(expression, sp.Piecewise):
        return _piecewise(expression, variable)
    if expression.is_Add or expression.is_Mul:
        constant, rest = expression.as_independent(variable, as_Add=expression.is_Add)
        parts = [formula(part, variable) for part in expression.func.make_args(rest)]
        number, adding = float(constant), expression.is_Add

        def combine(z: Tensor) -> Tensor:
            total = parts[0](z)
            for part in parts[1:]:
                total = total + part(z) if adding else total * part(z)
            if adding:
                return total + number if number else total
            return total * number if number != 1 else total

        return combine
    if expression.is_Pow:
        base = formula(expression.base, variable)
        if expression.exp.has(variable):
            exponent = formula(expression.exp, variable)
            return lambda z: base(z) ** exponent(z)
        power = float(expression.exp)
        if expression.exp.is_Integer:
            return lambda z: base(z) ** int(power)
        return lambda z: base(z) ** power
    if expression.func is sp.polylog and expression.args[0] in (1, 2):
        order, inner = int(expression.args[0]), formula(expression.args[1], variable)
        return lambda z: _polylog(order, inner(z))
    function = _FUNCTIONS.get(expression.func)
    if function is None:
        raise NotRepresentable(f"{expression.func.__name__} has no torch version")
    inner = formula(expression.args[0], variable)
    return lambda z: function(inner(z))


def _piecewise(expression: sp.Piecewise, variable: sp.Symbol) -> Callable[[Tensor], Tensor]:
    cases = [
        (formula(value, variable), _condition(condition, variable))
        for value, condition in expression.args
    ]

    def choose(z: Tensor) -> Tensor:
        answer = cases[-1][0](z)
        for value, holds in reversed(cases[:-1]):
            answer = torch.where(holds(z), value(z), answer)
        return answer

    return choose


def _condition(condition, variable: sp.Symbol) -> Callable[[Tensor], Tensor]:
    if condition == sp.true:
        return lambda z: torch.ones_like(z, dtype=torch.bool)
    if isinstance(condition, sp.And | sp.Or):
        parts = [_condition(part, variable) for part in condition.args]
        join = torch.logical_and if isinstance(condition, sp.And) else torch.logical_or

        def joined(z: Tensor) -> Tensor:
            answer = parts[0](z)
            for part in parts[1:]:
                answer = join(answer, part(z))
            return answer

        return joined
    left, right = formula(condition.lhs, variable), formula(condition.rhs, variable)
    compare = {
        sp.StrictLessThan: torch.lt,
        sp.LessThan: torch.le,
        sp.StrictGreaterThan: torch.gt,
        sp.GreaterThan: torch.ge,
    }[type(condition)]
    return lambda z: compare(left(z), right(z))
