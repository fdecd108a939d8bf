"""Loss -> torch callable: the one place where theory meets tensors.

    value    g(x)          gradient  g'(x) * upstream          elementwise, any shape, float32 or float64

SymPy's formula, written down in floating point, loses all digits near 0 (exp(x) - x - 1 is 0.0 at 1e-4 in float32) and
overflows far out (log(cosh(200)) is inf). So three ranges are told apart, and where they meet is measured when the
callable is built, by comparison with 40-digit enclosures:

    |x| small      the Taylor polynomial of g and of g' around 0, where the formula cancels
    in between     the formula, evaluated in float64
    far out        a straight line with the slope g'(x_end), from the last point x_end where the formula is right and
                   |g'| <= 1e35 (float32) or 1e250 (float64): g' keeps its sign and its order of magnitude, and stays
                   finite; it is never clamped inside the exponential, which would make it 0 or turn its sign
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import sympy as sp
import torch
from flint import acb
from torch import Tensor

from divergence_lab.loss_terms import power_exponential_terms
from divergence_lab.theory.divergence import Divergence
from divergence_lab.theory.enclosure import digits, evaluator
from divergence_lab.theory.loss import Loss
from divergence_lab.theory.pieces import Piece, Pieces
from divergence_lab.theory.symbols import t, x

# Relative error asked of the formula in float64 before it is trusted at a point.
FORMULA_TOLERANCE = 1e-11
# |g'| may reach this; beyond it g continues as a straight line. Chosen so that g(1000) is still finite in float32.
LARGEST_SLOPE = {torch.float32: 1e35, torch.float64: 1e250}
# Terms of the Taylor polynomial and the largest |x| at which it is used.
TAYLOR_TERMS = 14
TAYLOR_RADIUS = 0.125
# Points at which the formula is checked: 1e-8 ... 1e5 on either side.
CHECK_POINTS = tuple(10.0 ** (k / 8) for k in range(-64, 41))


class NotRepresentable(ValueError):
    """The loss can't be evaluated in torch with the promised accuracy; the message says where it fails."""


# --- SymPy expression -> torch operations ---------------------------------------------------------------------

def _torch_erfi(z: Tensor) -> Tensor:
    # erfi(z) = 2/sqrt(pi) e^{z^2} D(z) with Dawson's D; torch has no Dawson function, so only the range in which the
    # series converges quickly is evaluated, and the checks below refuse the rest.
    total, term = torch.zeros_like(z), z.clone()
    for k in range(60):
        total = total + term / (2 * k + 1)
        term = term * z * z / (k + 1)
    return total * (2 / math.sqrt(math.pi))


def _polylog(order: int, z: Tensor) -> Tensor:
    # Li_1 = -log(1 - z); Li_2 for z <= 0 by Bernoulli numbers in u = -log(1 - z), |u| <= log 2 once z < -1 is inverted
    if order == 1:
        return -torch.log1p(-z)
    u = -torch.log1p(-torch.where(z < -1, 1 / z, z))
    series = sum(float(sp.bernoulli(k) / sp.factorial(k + 1)) * u ** (k + 1) for k in range(2, 21, 2)) + u - u**2 / 4
    inverted = -math.pi**2 / 6 - torch.log(-torch.where(z < -1, z, -1.0)) ** 2 / 2 - series
    return torch.where(z > 0, torch.nan, torch.where(z < -1, inverted, series))


_FUNCTIONS: dict[type, Callable[[Tensor], Tensor]] = {
    sp.exp: torch.exp, sp.log: torch.log, sp.sinh: torch.sinh, sp.cosh: torch.cosh, sp.tanh: torch.tanh,
    sp.coth: lambda z: 1 / torch.tanh(z), sp.sech: lambda z: 1 / torch.cosh(z), sp.csch: lambda z: 1 / torch.sinh(z),
    sp.asinh: torch.asinh, sp.acosh: torch.acosh, sp.atanh: torch.atanh, sp.atan: torch.atan, sp.erf: torch.erf,
    sp.erfc: torch.erfc, sp.erfi: _torch_erfi, sp.Abs: torch.abs, sp.sign: torch.sign,
}


def formula(expression: sp.Expr, variable: sp.Symbol) -> Callable[[Tensor], Tensor]:
    """`expression` as plain torch operations, with nothing done about rounding. Raises NotRepresentable."""
    if expression == variable:
        return lambda z: z
    if not expression.has(variable):
        if expression.free_symbols:
            names = ", ".join(sorted(map(str, expression.free_symbols)))
            raise NotRepresentable(f"the parameter {names} has no value: set it, e.g. loss(text, values={{...}})")
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
    cases = [(formula(value, variable), _condition(condition, variable)) for value, condition in expression.args]

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
    compare = {sp.StrictLessThan: torch.lt, sp.LessThan: torch.le,
               sp.StrictGreaterThan: torch.gt, sp.GreaterThan: torch.ge}[type(condition)]
    return lambda z: compare(left(z), right(z))


# --- one stable function: formula, Taylor polynomial, straight line -------------------------------------------

@dataclass(frozen=True)
class _Side:
    """One half-line: below |x| = near the Taylor coefficients are used, beyond |x| = far the straight line."""
    formula: Callable[[Tensor], Tensor]
    coefficients: tuple[float, ...]
    near: float
    far: float


def _evaluate(side: _Side, z: Tensor) -> Tensor:
    """The function within |x| <= far (z already cut there)."""
    answer = side.formula(z)
    if side.near > 0:
        series = torch.full_like(z, side.coefficients[-1])
        for coefficient in reversed(side.coefficients[:-1]):
            series = series * z + coefficient
        answer = torch.where(z.abs() <= side.near, series, answer)
    return answer


def _coefficients(piece: Piece, terms: int = TAYLOR_TERMS) -> tuple[float, ...] | None:
    """Taylor coefficients at 0 of the smooth piece beside it; None where it is not smooth there."""
    expression, values, factorial = piece.expression, [], 1
    for k in range(terms):
        value = expression.subs(x, 0)
        if not value.is_finite or not value.is_real:
            return None
        values.append(float(value / factorial))
        expression, factorial = sp.diff(expression, x), factorial * (k + 1)
    return tuple(values)


def _truth(expression: Pieces, point: float) -> float | None:
    """The function at a binary number, to double precision, by ball arithmetic; None where it is not finite."""
    for piece in expression.pieces:
        if piece.high == sp.oo or point < float(piece.high):
            with digits(60 + int(abs(point)) if abs(point) < 2000 else 60):
                ball = evaluator(piece.expression, x)(acb(point), False)
                return float(ball.real.mid()) if ball.is_finite() else None
    raise AssertionError("the last piece reaches infinity")


def _stable(function: Pieces, sign: int) -> _Side:
    """Where the formula of `function` is right on the half-line of `sign`, and what stands in near 0."""
    plain = formula(function.as_expression(), x)
    points = [sign * point for point in CHECK_POINTS]
    with torch.no_grad():
        computed = plain(torch.tensor(points, dtype=torch.float64)).tolist()
    truth = [_truth(function, point) for point in points]
    right = [wanted is not None and math.isfinite(got) and abs(got - wanted) <= FORMULA_TOLERANCE * abs(wanted)
             for got, wanted in zip(computed, truth)]
    if not any(right):
        raise NotRepresentable(f"{function.as_expression()} can't be evaluated in double precision for x "
                               f"{'>' if sign > 0 else '<'} 0")
    first = next(i for i in range(len(right)) if all(right[i:i + 4]))
    last = next((i for i in range(first, len(right)) if not right[i]), len(right)) - 1
    near, coefficients = 0.0, ()
    if first > 0:
        left, after = function.split_at_zero()
        beside = after.pieces[0] if sign > 0 else left.pieces[-1]
        end = abs(float(beside.high if sign > 0 else beside.low)) if (beside.high if sign > 0 else beside.low).is_finite \
            else math.inf
        near = min(TAYLOR_RADIUS, end)
        found = _coefficients(beside)
        if found is None or CHECK_POINTS[first] > near:
            raise NotRepresentable(f"{function.as_expression()} cancels for |x| below {CHECK_POINTS[first]:.1g} and has "
                                   "no Taylor expansion at 0 that could stand in")
        coefficients = found
        while near >= CHECK_POINTS[first] and not _series_is_right(function, coefficients, sign * near):
            near /= 2
        if near < CHECK_POINTS[first]:
            raise NotRepresentable(f"{function.as_expression()} cancels for |x| below {CHECK_POINTS[first]:.1g}, and its "
                                   "Taylor expansion at 0 is not accurate that far")
    return _Side(plain, coefficients, near, CHECK_POINTS[last])


def _series_is_right(function: Pieces, coefficients: tuple[float, ...], end: float) -> bool:
    """The polynomial agrees with the function at the end of its stretch and on the way there."""
    for point in (end, 0.8 * end, 0.5 * end):
        wanted = _truth(function, point)
        got = math.fsum(c * point**k for k, c in enumerate(coefficients))
        if wanted is None or abs(got - wanted) > FORMULA_TOLERANCE * abs(wanted):
            return False
    return True


def _both_sides(function: Pieces) -> tuple[_Side, _Side]:
    """Left and right half-line; one serves both where the expression is the same and its series is right on both."""
    left, right = _stable(function, -1), _stable(function, 1)
    if left.coefficients == right.coefficients or (left.near == 0 and not function.kinks) \
            or (right.near == 0 and not function.kinks):
        wider = left if left.near >= right.near else right
        if all(_series_is_right(function, wider.coefficients, end) for end in (-wider.near, wider.near) if end):
            left, right = (dataclasses.replace(wider, far=side.far) for side in (left, right))
    return left, right


def _last_below(function: Pieces, sign: int, bound: float, far: float) -> float:
    """The largest |x| <= far, on a fine grid, up to which |function| <= bound."""
    def small(point: float) -> bool:
        value = _truth(function, sign * point)
        return value is not None and abs(value) <= bound
    if small(far):
        return far
    low, high = 0.0, far
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if small(middle) else (low, middle)
    return low


# --- the callable --------------------------------------------------------------------------------------------

@dataclass(frozen=True, eq=False)
class TorchLoss:
    """g as a torch function: `torch_loss(residual)` returns g(residual) elementwise, with g' as its gradient.

    residual: x = log p_B - log p_F, any shape, float32 or float64 (the answer has its dtype; the arithmetic inside is
    float64). Relative error below 1e-6 in float32 for 1e-6 <= |x| <= 80 while |g'| <= 1e35, below 1e-9 in float64.
    `ends[dtype]` = (x_left, x_right): beyond these g continues as a straight line with the slope it has there.
    `terms` (c, n, a): g(x) = sum c x^n e^{ax}, where it is such a sum; else None.  `gives_gradient`: who needs g' alone
    may ask `gradient` for it.
    """

    gives_gradient: ClassVar[bool] = True
    loss: Loss
    values: tuple[_Side, _Side]
    slopes: tuple[_Side, _Side]
    ends: dict[torch.dtype, tuple[float, float]]
    kink_at_zero: bool
    terms: tuple[tuple[float, int, float], ...] | None = None

    def __call__(self, residual: Tensor) -> Tensor:
        return _Function.apply(residual, self)

    def gradient(self, residual: Tensor) -> Tensor:
        """g'(residual), elementwise, without autograd."""
        low, high = self.ends_for(residual.dtype)
        inside = residual.detach().double().clamp(low, high)
        slope = self._pick(self.slopes, inside)
        if self.kink_at_zero:
            slope = torch.where(inside == 0, 0.0, slope)  # the subgradient of a minimum
        return slope.to(residual.dtype)

    def value(self, residual: Tensor) -> Tensor:
        """g(residual), elementwise, without autograd."""
        low, high = self.ends_for(residual.dtype)
        exact = residual.detach().double()
        inside = exact.clamp(low, high)
        answer = self._pick(self.values, inside)
        beyond = exact - inside
        answer = torch.where(beyond == 0, answer, answer + self._pick(self.slopes, inside) * beyond)
        limit = torch.finfo(residual.dtype).max
        return answer.clamp(-limit, limit).to(residual.dtype)

    def ends_for(self, dtype: torch.dtype) -> tuple[float, float]:
        if dtype not in self.ends:
            raise TypeError(f"residuals must be float32 or float64, not {dtype}: convert them with .float()")
        return self.ends[dtype]

    @staticmethod
    def _pick(sides: tuple[_Side, _Side], z: Tensor) -> Tensor:
        left, right = sides
        if left.formula is right.formula:
            return _evaluate(right, z)
        return torch.where(z < 0, _evaluate(left, z), _evaluate(right, z))


class _Function(torch.autograd.Function):
    """Forward g, backward g': the gradient never passes through the formula of g."""

    generate_vmap_rule = True

    @staticmethod
    def forward(residual: Tensor, torch_loss: TorchLoss) -> Tensor:
        return torch_loss.value(residual)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        residual, ctx.torch_loss = inputs
        ctx.save_for_backward(residual)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, upstream: Tensor):
        (residual,) = ctx.saved_tensors
        return upstream * ctx.torch_loss.gradient(residual), None


def to_torch(loss: Loss) -> TorchLoss:
    """The loss as a torch callable; accuracy is checked against enclosures at 105 points a side before it is returned.

    Raises NotRepresentable (a ValueError) when a parameter has no value or the accuracy can't be reached.
    """
    if loss.parameters:
        names = ", ".join(map(str, loss.parameters))
        raise NotRepresentable(f"the parameter {names} has no value: set it with --set, or loss(text, values={{...}})")
    values, slopes = _both_sides(loss.pieces), _both_sides(loss.derivative)
    reach = [min(value.far, slope.far) for value, slope in zip(values, slopes)]
    ends = {}
    for dtype, bound in LARGEST_SLOPE.items():
        left, right = (_last_below(loss.derivative, sign, bound, far) for sign, far in zip((-1, 1), reach))
        ends[dtype] = (-left, right)
    return TorchLoss(loss, values, slopes, ends, sp.S.Zero in loss.derivative.kinks, power_exponential_terms(loss))


def generator_to_torch(divergence: Divergence) -> Callable[[Tensor], Tensor]:
    """f(t) as float64 torch operations, differentiable through its own formula: for checks, not for training.

    The closed form where there is one; otherwise f(t) = t I_1(log t), see `integral_to_torch`. Neither uses the
    identity f - t f' = -g' that the gradient theorem rests on, so the theorem can be checked with it.
    """
    if divergence.generator is not None:
        return formula(divergence.generator, t)
    integral = integral_to_torch(divergence.loss, 1.0)
    return lambda ratio: ratio * integral(ratio.log())


def integral_to_torch(loss: Loss, power: float) -> Callable[[Tensor], Tensor]:
    """I_a(u) = int_0^u g'(v) e^{-a v} dv = e^{-a u} g(u) + a int_0^u g(v) e^{-a v} dv, a = `power`, from g alone.

    Gauss-Legendre quadrature between the kinks of g, 200 nodes each: good to about 1e-12 for |u| <= 30. Elementwise,
    float64, differentiable; raises NotRepresentable as `to_torch` does.
    """
    g = to_torch(loss)
    nodes, weights = (torch.tensor(a, dtype=torch.float64) for a in np.polynomial.legendre.leggauss(200))
    nodes, weights = (nodes + 1) / 2, weights / 2
    kinks = sorted(float(kink) for kink in loss.pieces.kinks if kink != 0)
    stretches = list(itertools.pairwise([-math.inf, *kinks, math.inf]))

    def integral(u: Tensor) -> Tensor:
        total = torch.exp(-power * u) * g(u)
        if power == 0:
            return total
        for low, high in stretches:
            start = min(max(0.0, low), high)  # its end nearest to 0; where u does not come so far, the length is 0
            length = (u.clamp(low, high) - start).unsqueeze(-1)
            inside = start + length * nodes.to(u.device)
            values = g(inside) * torch.exp(-power * inside)
            total = total + power * (length * values * weights.to(u.device)).sum(-1)
        return total
    return integral
