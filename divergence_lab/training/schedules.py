"""Losses that change while a run goes on: one after another, one into another, a parameter that
moves.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from divergence_lab.inputs import InputError

LossFunction = Callable[[Tensor], Tensor]
Terms = tuple[tuple[float, int, float], ...]
SHAPES = ("cosine", "linear")
SERIES_BELOW = 0.25  # |u| at which (e^u - 1 - u)/u^2 goes over to its series
SERIES_TERMS = 12
TERMS_BELOW = 0.02  # |alpha|


class ScheduleError(InputError):
    """A schedule that cannot be used; the message says what to do."""


@dataclass(frozen=True, eq=False)
class Schedule:
    """`at(fraction)` is the loss in force after that fraction (0 to 1) of the run's steps."""

    name: str
    at: Callable[[float], LossFunction]

    def __call__(self, residual: Tensor) -> Tensor:
        """The loss at the start of the run."""
        return self.at(0.0)(residual)


@dataclass(frozen=True, eq=False)
class _InForce:
    """A loss in torch with its `terms`, which exact training needs."""

    function: LossFunction
    terms: Terms | None

    def __call__(self, residual: Tensor) -> Tensor:
        return self.function(residual)


def terms_of(loss: LossFunction | Schedule, fraction: float = 0.0) -> Terms | None:
    """(c, n, a) with g(x) = sum c x^n e^{ax}, if the loss says so (as those of `to_torch` do);
    else None.
    """
    if isinstance(loss, Schedule):
        loss = loss.at(fraction)
    return getattr(loss, "terms", None)


def losses_at(loss: Callable[..., Any], fractions: Sequence[float]) -> list[Callable[..., Any]]:
    """The losses in force after these fractions of a run; one, of a loss that does not change."""
    return [loss.at(at) for at in fractions] if isinstance(loss, Schedule) else [loss]


def gradient_of(loss: Callable[..., Any]) -> LossFunction | None:
    """g' of a loss that says it by itself, as those of `to_torch` do; else None."""
    return loss.gradient if getattr(loss, "gives_gradient", False) else None  # pyright: ignore[reportFunctionMemberAccess] gives_gradient says so


def wide_gradient_of(loss: Callable[..., Any]) -> Callable[[Tensor, bool], Tensor] | None:
    """g' of such a loss from residuals in float64; True for residuals that were float32."""
    gradient = gradient_of(loss)
    if gradient is None:
        return None
    by_gradient = lambda wide, single: gradient(wide.float() if single else wide).double()  # noqa: E731
    return getattr(loss, "wide_gradient", by_gradient)


def then(
    first: LossFunction, second: LossFunction, at: float = 0.5, *, name: str = "then"
) -> Schedule:
    """g = first before the fraction `at` of the run, second from there on."""
    if not 0 < at < 1:
        raise ScheduleError(f"at is {at!r}; give a fraction of the run between 0 and 1")
    return Schedule(name, lambda fraction: first if fraction < at else second)


def blend(
    first: LossFunction, second: LossFunction, *, shape: str = "cosine", name: str = "blend"
) -> Schedule:
    """g = (1 - w) first + w second with w from 0 to 1 over the run: its divergence is the same
    mixture of the two.
    """
    weight = _ramp(shape)

    def at(fraction: float) -> LossFunction:
        share = weight(fraction)
        before, after = terms_of(first), terms_of(second)
        terms = None
        if before is not None and after is not None:
            weighted = ((1 - share, before), (share, after))
            terms = tuple((c * w, n, a) for w, part in weighted for c, n, a in part)
        return _InForce(lambda x: (1 - share) * first(x) + share * second(x), terms)

    return Schedule(name, at)


def anneal_linex(
    start: float, stop: float, *, shape: str = "cosine", name: str | None = None
) -> Schedule:
    """Linex(alpha) with alpha from `start` to `stop` over the run; from 1 to 0: forward KL to
    reverse KL.
    """
    weight = _ramp(shape)

    def at(fraction: float) -> LossFunction:
        alpha = start + (stop - start) * weight(fraction)
        return _InForce(lambda x: linex(x, alpha), _linex_terms(alpha))

    return Schedule(name or f"linex({start:g}->{stop:g})", at)


def linex(x: Tensor, alpha: float) -> Tensor:
    """g(x) = (e^{alpha x} - alpha x - 1)/alpha^2, and x^2/2 at alpha = 0, with g' = (e^{alpha x} -
    1)/alpha.

    Any shape.  Relative error a few units in the last place for all alpha and x: near alpha x = 0
    by series.
    """
    return _Linex.apply(x, alpha)


def _linex_terms(alpha: float) -> Terms:
    """Linex(alpha) as c x^n e^{ax}; near alpha = 0 its series, where the closed form is a
    difference of large numbers.
    """
    if abs(alpha) < TERMS_BELOW:
        return tuple((alpha**k / math.factorial(k + 2), k + 2, 0.0) for k in range(SERIES_TERMS))
    return ((1 / alpha**2, 0, alpha), (-1 / alpha, 1, 0.0), (-1 / alpha**2, 0, 0.0))


class _Linex(torch.autograd.Function):
    """g' is given in closed form: differentiating the series or the formula would lose digits."""

    @staticmethod
    def forward(ctx, x: Tensor, alpha: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.alpha = alpha
        u = alpha * x
        series = torch.full_like(u, 1 / math.factorial(SERIES_TERMS + 2))
        for k in range(SERIES_TERMS - 1, -1, -1):
            series = series * u + 1 / math.factorial(k + 2)
        apart = torch.where(u.abs() < SERIES_BELOW, 1.0, u)
        return x**2 * torch.where(
            u.abs() < SERIES_BELOW, series, (torch.expm1(apart) - apart) / apart**2
        )

    @staticmethod
    def backward(ctx, upstream: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride] as torch documents it
        (x,) = ctx.saved_tensors
        slope = torch.expm1(ctx.alpha * x) / ctx.alpha if ctx.alpha else x
        return upstream * slope, None


def _ramp(shape: str) -> Callable[[float], float]:
    """From 0 to 1: linear, or (1 - cos(pi fraction))/2, which starts and ends slowly."""
    if shape not in SHAPES:
        raise ScheduleError(f"the shape {shape!r} is not known; use one of {', '.join(SHAPES)}")
    return (
        (lambda fraction: fraction)
        if shape == "linear"
        else lambda fraction: (1 - math.cos(math.pi * fraction)) / 2
    )
