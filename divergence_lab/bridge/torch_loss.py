"""Loss -> torch callable: the verified programs of `ranges`, run by torch.

    value    g(x)
    gradient g'(x) * upstream

Elementwise, any shape, any floating dtype. The arithmetic inside is float64 whatever the dtype of
the residual; only the answer is rounded to it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import ClassVar

import torch
from torch import Tensor

from divergence_lab.bridge import terms as terms_of
from divergence_lab.bridge.verified import arithmetic, polynomials, programs, ranges, stretches
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.divergence.reading import as_loss
from divergence_lab.theory.expressions import x

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)

_LINEX_BELOW, _LINEX = (
    arithmetic.LINEX_SERIES["double"][0],
    arithmetic.linex_coefficients(arithmetic.LINEX_SERIES["double"][1]),
)
_DILOGARITHM = arithmetic.dilogarithm_coefficients()


_RESIDUAL = programs.compiled(x)


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
    odd = list(range(2, arithmetic.DILOG_TERMS, 2))
    total = square * _DILOGARITHM[odd[-1]]
    for k in odd[-2::-1]:
        total = (total + _DILOGARITHM[k]) * square
    return (total + _DILOGARITHM[0] + u * _DILOGARITHM[1]) * u


OPERATIONS: dict[str, Callable] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "pow": torch.pow,
    "sqrt": torch.sqrt,
    "abs": torch.abs,
    "exp": torch.exp,
    "log": torch.log,
    "expm1": torch.expm1,
    "log1p": torch.log1p,
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "tanh": torch.tanh,
    "asinh": torch.asinh,
    "atanh": torch.atanh,
    "atan": torch.atan,
    "erf": torch.erf,
    "erfc": torch.erfc,
    "sin": torch.sin,
    "cos": torch.cos,
    "linex": exponential_rest,
    "dilog": dilogarithm,
    "away": lambda z, *parts: reduce(torch.sub, parts, z),
    "sign": lambda z: torch.where(z.isnan(), z, torch.sign(z)),  # torch's sign of NaN is 0
    "div": lambda a, b: b.reciprocal() if isinstance(a, float) and a == 1.0 else a / b,
}


def run(program: programs.Program, z: Tensor) -> Tensor:
    """The program's last step at the float64 residuals z."""
    found: list[Tensor] = []
    for name, *places in program.steps:
        given = [
            a[0] if isinstance(a, tuple) else z if a == programs.X else found[a] for a in places
        ]
        # a number everywhere but at NaN
        found.append(z.clamp(*given, *given) if name == "fill" else OPERATIONS[name](*given))
    return found[-1]


def constant_on(
    source: programs.Program | polynomials.Table, low: float, high: float
) -> float | None:
    """The number that a program gives on low <= x < high, made of numbers and the sign of x; None
    if there is none.
    """
    sign = 1.0 if low > 0 else -1.0 if high <= 0 else None
    found: list[float | None] = []
    for name, *places in source.steps if isinstance(source, programs.Program) else ():
        known = [
            a[0] if isinstance(a, tuple) else None if a == programs.X else found[a] for a in places
        ]
        if name == "fill":
            found.append(known[0])
        elif name == "sign" and places == [programs.X]:
            found.append(sign)
        else:
            numbers = [one for one in known if one is not None]
            product = math.prod(numbers) if name == "mul" and len(numbers) == 2 else None
            found.append(product)
    return found[-1] if found else None


def _inside(z: Tensor, low: float, high: float) -> Tensor:
    """low <= z < high."""
    if low == -math.inf:
        return z < high
    return z >= low if high == math.inf else z.clamp(low, math.nextafter(high, low)) == z


@dataclass(frozen=True, eq=False)
class _Function:
    """A function by its ranges, ready for torch. A number needs no tensor of its own, and is put
    in where it stands; of the other sources the first stands wherever nothing else does.
    """

    sources: tuple[tuple[programs.Program | polynomials.Table, stretches.Spans], ...]
    on_device: dict = field(default_factory=dict, repr=False)

    @cached_property
    def is_the_residual(self) -> bool:
        return len(self.sources) == 1 and self.sources[0][0] == _RESIDUAL

    @cached_property
    def _in_order(self) -> tuple[tuple[programs.Program | polynomials.Table, list, list], ...]:
        """Each source, where it is to be evaluated, and (low, high, number) where it is one."""
        found = []
        for source, places in self.sources:
            numbers = [(*place, constant_on(source, *place)) for place in places]
            known = [one for one in numbers if one[2] is not None]
            found.append((source, [one[:2] for one in numbers if one[2] is None], known))
        # NaN goes through the first
        return tuple(sorted(found, key=lambda one: not one[1]))

    @cached_property
    def is_level_at_the_ends(self) -> bool:
        """It is a number far out on either side, whatever the residual."""
        ends = [
            end for *_, known in self._in_order for low, high, _ in known for end in (low, high)
        ]
        return {-math.inf, math.inf} <= {*ends}

    def __call__(self, z: Tensor) -> Tensor:
        (first, _, known), *others = self._in_order
        answer = self._evaluated(first, z)
        for source, places, more in others:
            known = known + more
            if places:
                found = self._evaluated(source, z)
                for low, high in places:
                    answer = torch.where(_inside(z, low, high), found, answer)
        for low, high, number in known:
            answer = torch.where(_inside(z, low, high), self._number(number, z), answer)
        return answer

    def _evaluated(self, source: programs.Program | polynomials.Table, z: Tensor) -> Tensor:
        if not isinstance(source, programs.Program):
            return self._polynomials(source, z)
        return z if source == _RESIDUAL else run(source, z)

    def _number(self, number: float, z: Tensor) -> Tensor | float:
        """Off the CPU torch would send it at each use."""
        if z.device.type == "cpu" or type(z) is not Tensor:
            return number
        key = z.device, number
        if key not in self.on_device:
            self.on_device[key] = torch.tensor(number, dtype=torch.float64, device=z.device)
        return self.on_device[key]

    def _polynomials(self, table: polynomials.Table, z: Tensor) -> Tensor:
        edges, middles, scales, rows = self._constants(table, z)
        # vmap can't index by a single number
        place = torch.bucketize(z.contiguous(), edges, right=True)[..., None]
        t, row = (z - middles[place][..., 0]) * scales[place][..., 0], rows[place][..., 0, :]
        total = row[..., -1]
        for k in range(rows.shape[-1] - 2, -1, -1):
            total = total * t + row[..., k]
        return total

    def _constants(self, table: polynomials.Table, z: Tensor) -> tuple[Tensor, ...]:
        """The table on the device of z, sent once."""
        # made while torch traces, a tensor is no number, and must not outlive the trace
        kept = self.on_device if type(z) is Tensor else {}
        if z.device not in kept:
            made = tuple(
                torch.tensor(part, dtype=torch.float64, device=z.device)
                for part in (table.edges[1:-1], table.middles, table.scales, table.rows)
            )
            if type(made[0]) is not Tensor:
                return made
            kept[z.device] = made
        return kept[z.device]

    def __reduce__(self) -> tuple:
        return _Function, (self.sources,)


def refuse_dtype(residual: Tensor) -> None:
    """TypeError for residuals that are not floating point numbers."""
    if residual.dtype not in DTYPES:
        raise TypeError(
            f"residuals must be floating point numbers, not {residual.dtype}: "
            "convert them with .float()"
        )


@dataclass(frozen=True, eq=False)
class TorchLoss(ranges.Verified[tuple[_Function, _Function]]):
    """`torch_loss(residual)` = g(residual) elementwise, with g'(residual) as its gradient.

    residual: x = log p_B - log p_F, any shape, float64, float32, float16 or bfloat16 (the answer
    has its dtype; the arithmetic inside is float64); else TypeError.

    Relative error below 2e-6 in float32 and 1e-10 in float64 where 1e-6 <= |x| <= 80 and g and g'
    are normal numbers of the dtype: verified when it was built, see docs/losses_in_torch.md. Finite
    everywhere, at infinite residuals too. A second derivative is refused. It can be pickled and
    copied: what it computes is data.

        value, gradient  g and g', without autograd
        reach            (x_left, x_right): beyond these g is a straight line
        early_reach      the same for answers in single precision or less, as is the second of
                         `values` and `slopes`
        terms            (c, n, a) with g(x) = sum c x^n e^{ax}, where it is such a sum (small a by
                         their series) and does not cancel; else None
        gives_gradient   who needs g' alone may ask `gradient` for it

        >>> import torch
        >>> from divergence_lab import loss
        >>> half = to_torch(loss("x**2/2"))
        >>> half(torch.tensor([3.0])).item(), half.gradient(torch.tensor([3.0])).item()
        (4.5, 3.0)
        >>> half.terms
        ((0.5, 2, 0.0),)
    """

    gives_gradient: ClassVar[bool] = True
    terms: tuple[tuple[float, int, float], ...] | None = None

    def __call__(self, residual: Tensor) -> Tensor:
        if not isinstance(residual, Tensor):
            raise TypeError(
                f"residuals must be a tensor, not {type(residual).__name__}: convert "
                "them with torch.as_tensor(...)"
            )
        return _Autograd.apply(residual, self)

    def gradient(self, residual: Tensor) -> Tensor:
        """g'(residual), elementwise, without autograd."""
        refuse_dtype(residual)
        limit = torch.finfo(residual.dtype).max
        wide = residual.detach().double()
        slope = self.wide_gradient(wide, residual.dtype != torch.float64)
        return slope.clamp(-limit, limit).to(residual.dtype)

    def wide_gradient(self, wide: Tensor, narrow: bool) -> Tensor:
        """g' in float64 of residuals in float64, which may be infinite; `narrow`: good for answers
        in single precision, and sooner had.
        """
        if self.slopes[narrow].is_the_residual:
            return wide
        inside = wide
        if not self.slopes[narrow].is_level_at_the_ends:
            inside = wide.clamp(*(self.early_reach if narrow else self.reach))
        slope = self.slopes[narrow](inside)
        if self.kink_at_zero:
            slope = torch.where(wide == 0, 0.0, slope)  # the subgradient of a minimum
        return slope

    def value(self, residual: Tensor) -> Tensor:
        """g(residual), elementwise, without autograd."""
        inside, narrow = self._inside(residual), residual.dtype != torch.float64
        answer, limit = self.values[narrow](inside), torch.finfo(residual.dtype).max
        for end, value, slope, beyond in zip(
            self.reach, self.end_values, self.end_slopes, ranges.BEYOND
        ):
            # where g is as large as a number may be at its end already, it is cut in any case
            if abs(end) < limit and abs(value) < limit:
                answer = answer + (residual.detach().double() - end).clamp(*beyond) * slope
        return answer.clamp(-limit, limit).to(residual.dtype)

    def _inside(self, residual: Tensor) -> Tensor:
        refuse_dtype(residual)
        reach = self.reach if residual.dtype == torch.float64 else self.early_reach
        return residual.detach().double().clamp(*reach)  # infinite ones, too


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
    def backward(ctx, upstream: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride] (torch's own way)
        (residual,) = ctx.saved_tensors
        return upstream * _Slope.apply(residual, ctx.torch_loss), None


class _Slope(torch.autograd.Function):
    """g', which can't be differentiated again: autograd would take it for a constant."""

    generate_vmap_rule = True

    @staticmethod
    def forward(residual: Tensor, torch_loss: TorchLoss) -> Tensor:
        return torch_loss.gradient(residual)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        pass

    @staticmethod
    def backward(ctx, upstream: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride] (torch's own way)
        raise RuntimeError(ranges.NO_SECOND_DERIVATIVE)


def to_torch(loss: Loss | str | TorchLoss, budget: float = 60.0) -> TorchLoss:
    """g(x), x = log p_B - log p_F, as a torch callable whose gradient is g'(x).

    Before it is returned it is verified over its whole range, by enclosures: see TorchLoss for what
    is promised, and docs/losses_in_torch.md for how. Nothing in it is sampled.

    loss: a `Loss` or its text, with a value for every parameter; a torch loss is returned as it is.
    budget: processor seconds to verify it.

    Raises NotRepresentable (a ValueError) when a parameter has no value or the accuracy can't be
    reached, ExpressionError for what is no loss.

        >>> import torch
        >>> linex = to_torch("exp(x) - x - 1")
        >>> x = torch.tensor([0.0, 1e-4, 1.0], requires_grad=True)
        >>> [f"{value:.4g}" for value in linex(x).tolist()]
        ['0', '5e-09', '0.7183']
        >>> linex(x).sum().backward()
        >>> [f"{slope:.4g}" for slope in x.grad.tolist()]
        ['0', '0.0001', '1.718']
    """
    if isinstance(loss, TorchLoss):
        return loss
    loss = as_loss(loss)
    built, terms = terms_of.built(loss, budget)
    values, slopes = (
        (_Function(stretches.by_source(function)), _Function(stretches.by_source(function.early)))
        for function in (built.values, built.slopes)
    )
    return TorchLoss(
        loss,
        values,
        slopes,
        built.reach,
        built.early_reach,
        built.end_values,
        built.end_slopes,
        built.kink_at_zero,
        terms,
    )
