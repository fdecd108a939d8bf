"""Losses that change while a run goes on: one after another, one into another, a parameter that moves."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Loss = Callable[[Tensor], Tensor]
SHAPES = ("cosine", "linear")
SERIES_BELOW = 0.25  # |u| at which (e^u - 1 - u)/u^2 goes over to its series
SERIES_TERMS = 12


class ScheduleError(ValueError):
    """A schedule that cannot be used; the message says what to do."""


@dataclass(frozen=True, eq=False)
class Schedule:
    """`at(fraction)` is the loss in force after that fraction (0 to 1) of the run's steps."""

    name: str
    at: Callable[[float], Loss]

    def __call__(self, residual: Tensor) -> Tensor:
        """The loss at the start of the run."""
        return self.at(0.0)(residual)


def then(first: Loss, second: Loss, at: float = 0.5, *, name: str = "then") -> Schedule:
    """g = first before the fraction `at` of the run, second from there on."""
    _check_fraction(at, "at")
    return Schedule(name, lambda fraction: first if fraction < at else second)


def blend(first: Loss, second: Loss, *, shape: str = "cosine", name: str = "blend") -> Schedule:
    """g = (1 - w) first + w second with w from 0 to 1 over the run: its divergence is the same mixture of the two."""
    weight = _ramp(shape)

    def at(fraction: float) -> Loss:
        share = weight(fraction)
        return lambda x: (1 - share) * first(x) + share * second(x)

    return Schedule(name, at)


def anneal_linex(start: float, stop: float, *, shape: str = "cosine", name: str | None = None) -> Schedule:
    """Linex(alpha) with alpha from `start` to `stop` over the run; from 1 to 0: forward KL to reverse KL."""
    weight = _ramp(shape)

    def at(fraction: float) -> Loss:
        alpha = start + (stop - start) * weight(fraction)
        return lambda x: linex(x, alpha)

    return Schedule(name or f"linex({start:g}->{stop:g})", at)


def linex(x: Tensor, alpha: float) -> Tensor:
    """g(x) = (e^{alpha x} - alpha x - 1)/alpha^2, and x^2/2 at alpha = 0, with g' = (e^{alpha x} - 1)/alpha.

    Any shape.  Relative error a few units in the last place for all alpha and x: near alpha x = 0 by series.
    """
    return _Linex.apply(x, alpha)


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
        return x**2 * torch.where(u.abs() < SERIES_BELOW, series, (torch.expm1(apart) - apart) / apart**2)

    @staticmethod
    def backward(ctx, upstream: Tensor):
        (x,) = ctx.saved_tensors
        slope = torch.expm1(ctx.alpha * x) / ctx.alpha if ctx.alpha else x
        return upstream * slope, None


def _ramp(shape: str) -> Callable[[float], float]:
    """From 0 to 1: linear, or (1 - cos(pi fraction))/2, which starts and ends slowly."""
    if shape not in SHAPES:
        raise ScheduleError(f"the shape {shape!r} is not known; use one of {', '.join(SHAPES)}")
    return (lambda fraction: fraction) if shape == "linear" else lambda fraction: (1 - math.cos(math.pi * fraction)) / 2


def _check_fraction(value: float, name: str) -> None:
    if not 0 < value < 1:
        raise ScheduleError(f"{name} is {value!r}; give a fraction of the run between 0 and 1")
