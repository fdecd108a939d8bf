"""A SymPy expression as plain torch operations, differentiable, with nothing done about rounding:
for checks.

Training never uses it: see `torch_loss` for what is verified.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING

import sympy as sp

from divergence_lab.bridge.verified.programs import NotRepresentable, arguments_of, without_value

if TYPE_CHECKING:
    from torch import Tensor  # its methods are all that is needed: no torch is imported here

    Evaluate = Callable[[Tensor], Tensor]


def _erfi(z: Tensor) -> Tensor:
    # the power series: its terms have one sign, so nothing cancels, and some z^2 of them count;
    # from |z| = 26.7 on erfi leaves float64
    largest = min(27.0, z.detach().abs().nan_to_num(0.0).amax().item()) if z.numel() else 0.0
    total, term = z.new_zeros(z.shape), z.clone()
    for k in range(60 + int(largest * (largest + 12))):
        total = total + term / (2 * k + 1)
        term = term * z * z / (k + 1)
    return total * (2 / math.sqrt(math.pi))


def _polylog(order: int, z: Tensor) -> Tensor:
    # Li_1 = -log(1 - z); Li_2 for z <= 0 by Bernoulli numbers in u = -log(1 - z), |u| <= log 2 once
    # z < -1 is inverted
    if order == 1:
        return -(-z).log1p()
    far = z < -1
    u = -(-(1 / z).where(far, z)).log1p()
    series = (
        sum(float(sp.bernoulli(k) / sp.factorial(k + 1)) * u ** (k + 1) for k in range(2, 21, 2))
        + u
        - u**2 / 4
    )
    inverted = -(math.pi**2) / 6 - (-z.masked_fill(~far, -1.0)).log() ** 2 / 2 - series
    return inverted.where(far, series).masked_fill(z > 0, math.nan)


# by the name of the tensor's method
_METHODS = {
    sp.exp: "exp",
    sp.log: "log",
    sp.sinh: "sinh",
    sp.cosh: "cosh",
    sp.tanh: "tanh",
    sp.asinh: "asinh",
    sp.acosh: "acosh",
    sp.atanh: "atanh",
    sp.atan: "atan",
    sp.erf: "erf",
    sp.erfc: "erfc",
    sp.Abs: "abs",
    sp.sign: "sign",
}
_FUNCTIONS: dict[type, Evaluate] = {
    sp.coth: lambda z: 1 / z.tanh(),
    sp.sech: lambda z: 1 / z.cosh(),
    sp.csch: lambda z: 1 / z.sinh(),
    sp.erfi: _erfi,
    **{kind: operator.methodcaller(name) for kind, name in _METHODS.items()},
}


def formula(expression: sp.Expr, variable: sp.Symbol) -> Evaluate:
    """`expression` as plain torch operations, with nothing done about rounding.

    Elementwise, on float64 tensors of any shape. Raises NotRepresentable where a parameter has no
    value or a function has no torch version.

        >>> import sympy, torch
        >>> x = sympy.Symbol("x")
        >>> formula(x**2 / 2, x)(torch.tensor([3.0], dtype=torch.float64)).item()
        4.5
    """
    if expression == variable:
        return lambda z: z
    if not expression.has(variable):
        if expression.free_symbols:
            raise without_value(expression)
        number = float(expression)
        return lambda z: z.new_full(z.shape, number)
    if isinstance(expression, sp.Piecewise):
        return _piecewise(expression, variable)
    if isinstance(expression, sp.Add | sp.Mul):
        return _folded(expression, variable)
    if isinstance(expression, sp.Pow):
        return _power(expression, variable)
    inner = formula(arguments_of(expression)[-1], variable)
    if isinstance(expression, sp.polylog) and expression.args[0] in (1, 2):
        order = 1 if expression.args[0] == 1 else 2
        return lambda z: _polylog(order, inner(z))
    function = _FUNCTIONS.get(expression.func)
    if function is None:
        raise NotRepresentable(f"{expression.func.__name__} has no torch version")
    return lambda z: function(inner(z))


def _folded(expression: sp.Add | sp.Mul, variable: sp.Symbol) -> Evaluate:
    """A sum, or a product: its parts from left to right, its constant last."""
    adding = isinstance(expression, sp.Add)
    constant, rest = expression.as_independent(variable, as_Add=adding)
    kind, fold, neutral = (sp.Add, operator.add, 0) if adding else (sp.Mul, operator.mul, 1)
    parts = [formula(part, variable) for part in kind.make_args(rest)]
    number = float(constant)

    def folded(z: Tensor) -> Tensor:
        total = reduce(fold, (part(z) for part in parts))
        return total if number == neutral else fold(total, number)

    return folded


def _power(expression: sp.Pow, variable: sp.Symbol) -> Evaluate:
    base = formula(expression.base, variable)
    if expression.exp.has(variable):
        exponent = formula(expression.exp, variable)
        return lambda z: base(z) ** exponent(z)
    power = int(expression.exp) if expression.exp.is_Integer else float(expression.exp)
    return lambda z: base(z) ** power


def _piecewise(expression: sp.Piecewise, variable: sp.Symbol) -> Evaluate:
    *cases, (last, _) = [arguments_of(case) for case in expression.args]
    otherwise = formula(last, variable)
    held = [(formula(value, variable), _condition(holds, variable)) for value, holds in cases]

    def choose(z: Tensor) -> Tensor:
        answer = otherwise(z)
        for value, holds in reversed(held):
            answer = value(z).where(holds(z), answer)
        return answer

    return choose


_COMPARISONS = {
    sp.StrictLessThan: operator.lt,
    sp.LessThan: operator.le,
    sp.StrictGreaterThan: operator.gt,
    sp.GreaterThan: operator.ge,
}


def _condition(condition: sp.Basic, variable: sp.Symbol) -> Evaluate:
    if isinstance(condition, sp.And | sp.Or):
        both = operator.and_ if isinstance(condition, sp.And) else operator.or_
        parts = [_condition(part, variable) for part in condition.args]
        return lambda z: reduce(both, (part(z) for part in parts))
    left, right = (formula(side, variable) for side in arguments_of(condition))
    compare = _COMPARISONS[type(condition)]
    return lambda z: compare(left(z), right(z))
