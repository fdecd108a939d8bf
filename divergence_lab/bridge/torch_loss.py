"""Loss -> torch callable: the verified programs of `ranges`, run by torch.

    value    g(x)          gradient  g'(x) * upstream          elementwise, any shape, any floating dtype

The arithmetic inside is float64 whatever the dtype of the residual; only the answer is rounded to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from divergence_lab.bridge.programs import Program, X
from divergence_lab.bridge.ranges import Ranges, Table
from divergence_lab.bridge.rounding import DILOG_TERMS, LINEX_SERIES
from divergence_lab.bridge.special import dilogarithm_coefficients, linex_coefficients
from divergence_lab.bridge.stretches import by_source
from divergence_lab.bridge.verified import verified
from divergence_lab.loss_terms import power_exponential_terms
from divergence_lab.theory.loss import Loss

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)

_LINEX_BELOW, _LINEX = LINEX_SERIES["double"][0], linex_coefficients(LINEX_SERIES["double"][1])
_DILOGARITHM = dilogarithm_coefficients()


def exponential_rest(u: Tensor) -> Tensor:
    """e^u - 1 - u, near 0 by its series."""
    total = u * _LINEX[-1]
    for coefficient in _LINEX[-2:0:-1]:
        total = (total + coefficient) * u
    return torch.where(u.abs() < _LINEX_BELOW, (total + _LINEX[0]) * (u * u), torch.expm1(u) - u)


def dilogarithm(z: Tensor) -> Tensor:
    """Li_2(z) for -1 <= z <= 0, by a series in u = log(1 - z) <= log 2."""
    u = torch.log1p(-z)
    square = u * u
    odd = [k for k in range(2, DILOG_TERMS, 2)]
    total = square * _DILOGARITHM[odd[-1]]
    for k in odd[-2::-1]:
        total = (total + _DILOGARITHM[k]) * square
    return (total + _DILOGARITHM[0] + u * _DILOGARITHM[1]) * u


OPERATIONS: dict[str, Callable] = {
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "pow": torch.pow, "sqrt": torch.sqrt, "abs": torch.abs, "sign": torch.sign,
    "exp": torch.exp, "log": torch.log, "expm1": torch.expm1, "log1p": torch.log1p, "sinh": torch.sinh, "cosh": torch.cosh,
    "tanh": torch.tanh, "asinh": torch.asinh, "atanh": torch.atanh, "atan": torch.atan, "erf": torch.erf, "erfc": torch.erfc,
    "sin": torch.sin, "cos": torch.cos, "linex": exponential_rest, "dilog": dilogarithm,
    "div": lambda a, b: b.reciprocal() if isinstance(a, float) and a == 1.0 else a / b,
}


def run(program: Program, z: Tensor) -> Tensor:
    """The program's last step at the float64 residuals z."""
    found: list[Tensor] = []
    for name, *arguments in program.steps:
        if name == "fill":
            found.append(torch.full_like(z, arguments[0][0]))
            continue
        found.append(OPERATIONS[name](*(a[0] if isinstance(a, tuple) else z if a == X else found[a] for a in arguments)))
    return found[-1]


@dataclass(frozen=True, eq=False)
class _Function:
    """A function by its ranges, ready for torch: the first source stands wherever no later one does."""
    ranges: Ranges
    sources: tuple[tuple[Program | Table, tuple[tuple[float, float], ...]], ...]
    on_device: dict = field(default_factory=dict, repr=False)

    def __call__(self, z: Tensor) -> Tensor:
        answer = None
        for source, stretches in self.sources:
            found = run(source, z) if isinstance(source, Program) else self._polynomials(source, z)
            if answer is None:
                answer = found
                continue
            for low, high in stretches:
                inside = z < high if low == -float("inf") else z >= low if high == float("inf") else (z >= low) & (z < high)
                answer = torch.where(inside, found, answer)
        return answer

    def _polynomials(self, table: Table, z: Tensor) -> Tensor:
        edges, middles, rows = self._constants(table, z.device)
        place = torch.bucketize(z.contiguous(), edges, right=True)
        t, row = z - middles[place], rows[place]
        total = row[..., -1]
        for k in range(rows.shape[-1] - 2, -1, -1):
            total = total * t + row[..., k]
        return total

    def _constants(self, table: Table, device: torch.device) -> tuple[Tensor, ...]:
        if device not in self.on_device:
            self.on_device[device] = tuple(torch.tensor(part, dtype=torch.float64, device=device)
                                           for part in (table.edges[1:-1], table.middles, table.rows))
        return self.on_device[device]

    def __getstate__(self) -> dict:
        return {"ranges": self.ranges, "sources": self.sources, "on_device": {}}

    def __deepcopy__(self, memo: dict) -> _Function:
        return _Function(self.ranges, self.sources)


def function_of(found: Ranges) -> _Function:
    """The ranges, by source."""
    return _Function(found, by_source(found))


@dataclass(frozen=True, eq=False)
class TorchLoss:
    """g as a torch function: `torch_loss(residual)` returns g(residual) elementwise, with g' as its gradient.

    residual: x = log p_B - log p_F, any shape, float64, float32, float16 or bfloat16 (the answer has its dtype; the
    arithmetic inside is float64). Relative error below 2e-6 in float32 and 1e-10 in float64 where 1e-6 <= |x| <= 80 and g
    and g' are normal numbers of the dtype: verified when it was built, see docs/losses_in_torch.md. Finite everywhere.
    `reach` = (x_left, x_right): beyond these g goes on as a straight line with the slope it has there.
    `terms` (c, n, a): g(x) = sum c x^n e^{ax}, where it is such a sum; else None.  `gives_gradient`: who needs g' alone
    may ask `gradient` for it. It can be pickled and copied: what it computes is data.
    """

    gives_gradient: ClassVar[bool] = True
    loss: Loss
    values: _Function
    slopes: _Function
    reach: tuple[float, float]
    end_values: tuple[float, float]
    end_slopes: tuple[float, float]
    kink_at_zero: bool
    terms: tuple[tuple[float, int, float], ...] | None = None

    def __call__(self, residual: Tensor) -> Tensor:
        return _Autograd.apply(residual, self)

    def gradient(self, residual: Tensor) -> Tensor:
        """g'(residual), elementwise, without autograd."""
        inside = self._inside(residual)
        slope = self.slopes(inside)
        if self.kink_at_zero:
            slope = torch.where(inside == 0, 0.0, slope)  # the subgradient of a minimum
        limit = torch.finfo(residual.dtype).max
        return slope.clamp(-limit, limit).to(residual.dtype)

    def value(self, residual: Tensor) -> Tensor:
        """g(residual), elementwise, without autograd."""
        inside = self._inside(residual)
        answer = self.values(inside)
        for end, value, slope, cut in zip(self.reach, self.end_values, self.end_slopes, ("max", "min")):
            # where g is as large as a number may be at its end already, it is cut in any case
            if abs(end) < torch.finfo(residual.dtype).max and abs(value) < torch.finfo(residual.dtype).max:
                answer = answer + (residual.detach().double() - end).clamp(**{cut: 0.0}) * slope
        limit = torch.finfo(residual.dtype).max
        return answer.clamp(-limit, limit).to(residual.dtype)

    def _inside(self, residual: Tensor) -> Tensor:
        if residual.dtype not in DTYPES:
            raise TypeError(f"residuals must be floating point numbers, not {residual.dtype}: convert them with .float()")
        exact = residual.detach().double()
        return exact.clamp(*self.reach) if self._may_leave(residual.dtype) else exact

    def _may_leave(self, dtype: torch.dtype) -> bool:
        return min(-self.reach[0], self.reach[1]) < torch.finfo(dtype).max


class _Autograd(torch.autograd.Function):
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
    """The loss as a torch callable, verified over its whole range before it is returned.

    Raises NotRepresentable (a ValueError) when a parameter has no value or the accuracy can't be reached.
    """
    built = verified(loss)
    return TorchLoss(loss, function_of(built.values), function_of(built.slopes), built.reach, built.end_values,
                     built.end_slopes, built.kink_at_zero, power_exponential_terms(loss))
