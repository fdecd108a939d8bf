"""Can a run learn from this callable, and from these rewards?  Asked once, before the run."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from divergence_lab.graphs import dag, generated
from divergence_lab.inputs import InputError
from divergence_lab.training.schedules import LossFunction, Schedule, gradient_of, losses_at

PROBES = (-4.0, -1.0, -0.1, 0.1, 1.0, 4.0)
FRACTIONS = (0.0, 0.5, 1.0)  # of the run, at which a loss that changes is looked at
LONGEST = 100  # letters of what a callable raised


class TrainingError(InputError):
    """An argument of `train` that cannot be used; the message names it and says what to do."""


def check_losses(
    losses: Any, device: torch.device, dtype: torch.dtype
) -> dict[str, LossFunction | Schedule]:
    """TrainingError for what is no loss in torch; else the losses by name.

    A loss is called as loss(x) and returns g(x), elementwise and real, on the device of x, with a
    gradient that autograd finds.  What it raises, and what it lacks, is told in one line.
    """
    if not isinstance(losses, Mapping) or not losses:
        raise TrainingError(f"losses is {_kind(losses)}; give at least one, as {{name: callable}}")
    for name, loss in losses.items():
        if not isinstance(name, str) or not name.isprintable():
            raise TrainingError(f"losses: the name {name!r} is not printable text; choose another")
        if not callable(loss):
            raise TrainingError(
                f"loss {name!r} is {_kind(loss)}, which torch cannot call; give a "
                "function of a tensor, such as "
                "divergence_lab.to_torch('quadratic')"
            )
        for one in losses_at(loss, FRACTIONS):
            _check(name, one, device, dtype)
    return dict(losses)


def _check(name: str, loss: Callable[..., Any], device: torch.device, dtype: torch.dtype) -> None:
    leaf = torch.tensor([[PROBES[:3], PROBES[3:]]], device=device, dtype=dtype, requires_grad=True)
    (x,) = (leaf * 1).unbind(0)  # in a run, too, residuals are computed, and one of several parts
    value = _called(name, loss, x)
    if x.device.type != "meta" and not torch.equal(
        x, leaf[0]
    ):  # through .data, which autograd does not see
        raise TrainingError(
            f"loss {name!r} changes its argument in place: let it begin with x = x.clone()"
        )
    if not isinstance(value, Tensor):
        raise TrainingError(
            f"loss {name!r} returns {_kind(value)}; return a tensor, computed in torch, "
            "so that it has a gradient"
        )
    if value.shape != x.shape:
        raise TrainingError(
            f"loss {name!r} must return one value per residual, not shape "
            f"{tuple(value.shape)} for {tuple(x.shape)}; do not "
            "average in it"
        )
    if not value.is_floating_point():
        raise TrainingError(
            f"loss {name!r} returns {str(value.dtype).removeprefix('torch.')}; give real "
            "floating-point numbers"
        )
    if value.layout != torch.strided:
        raise TrainingError(f"loss {name!r} returns a sparse tensor; give a dense one")
    if value.device != x.device:
        raise TrainingError(
            f"loss {name!r} returns a tensor on {value.device} for residuals on "
            f"{x.device}; keep it there"
        )
    if (slope := gradient_of(loss)) is not None:
        _called(name, slope, x)
    elif not _reaches(name, value, leaf):
        raise TrainingError(
            f"loss {name!r} has no gradient: it is constant, or computed where autograd "
            "does not look (detach, item, numpy, "
            "integers, no_grad); compute it from its argument in torch"
        )


def _called(name: str, loss: Callable[[Tensor], Any], x: Tensor) -> Any:
    try:
        return loss(x)
    except Exception as error:  # foreign code may raise anything
        advice = (
            (
                "; it is called as loss(x): bind what else it needs, as "
                "functools.partial(loss, delta=1.0) does"
            )
            if isinstance(error, TypeError)
            else "; made under torch.inference_mode, a tensor has no gradient: make it elsewhere"
            if "nference tensor" in str(error)
            else "; it changes its argument in place: let it begin with x = x.clone()"
            if "inplace" in str(error) or "in-place" in str(error)
            else "; it is called as loss(x) with a tensor of residuals"
        )
        raise TrainingError(f"loss {name!r} raised {_told(error)}{advice}") from error


def _reaches(name: str, value: Tensor, leaf: Tensor) -> bool:
    """Does autograd find a way from the value to the residuals, whatever the gradient is?"""
    if not value.requires_grad:
        return False
    try:
        return torch.autograd.grad(value.sum(), leaf, allow_unused=True)[0] is not None
    except Exception as error:  # a backward of the caller's own may raise anything
        raise TrainingError(f"the gradient of loss {name!r} raised {_told(error)}") from error


def _told(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:LONGEST]}{'...' if len(text) > LONGEST else ''}"


def _kind(thing: Any) -> str:
    if thing is None or isinstance(thing, dict):
        return "empty" if thing == {} else repr(thing)
    return f"a {type(thing).__name__}"


def with_clamped_rewards(space: generated.Space, low: float | None) -> generated.Space:
    """The space with max(log R, low); as it is where low is None, if no reward is 0."""
    if isinstance(space, dag.PointedDAG):
        if low is None:
            dag.refuse_zero_rewards(space)
            return space
        return dag.clamp_log_reward(space, low)
    if low is not None:
        raise TrainingError(
            "clamp_log_reward needs a graph whose states are listed: the target law is that of R"
        )
    return space
