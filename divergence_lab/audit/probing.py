"""The gradient of a torch callable as numbers, in our residual x = log p_B - log p_F, whatever the
callable receives.

    slope(x) = -d/d log p_F  of what it returns for one object  (weighted by p_F, held constant)
    slope(x) = -(1/p_F) d/d log p_F  (`summed`: the weights are inside the callable)

The slope is g' of the loss that the callable really is: for a function h of log p_F - log p_B it is
-h'(-x), the slope of the effective loss h(-x); for a surrogate s.detach()*x it is s.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from divergence_lab.audit.placed.standing import IN_LOSS, Standing, slopes_in_place, weights_at
from divergence_lab.audit.subjects.answers import taken
from divergence_lab.audit.subjects.feeding import PLAIN, Argument, Layout, bound, offered
from divergence_lab.audit.subjects.loading import AuditError, guarded

SIGNS = {"target/model": 1.0, "model/target": -1.0}
CHUNK = 512


@dataclass(frozen=True)
class Subject:
    """What is audited: `call(*arguments)`, fed with the tensors that `feed` names, in that order.

    `sign`: +1 if the residual it receives is log(target/model), -1 if log(model/target). `summed`:
    the callable holds the weights itself and is summed over objects. `reduction`: "none", "sum" or
    "mean", found by looking. `item`: which part of what it returns. `centred`: "mean" or "others",
    where the residual is centred by the mean of the batch, or of the others in it. `notes`: what
    was seen when it was looked at. `blurred`: log p_F itself moves the gradient a little, as a
    small number inside a logarithm lets it. `standing`: where it stands, whose draws it is averaged
    over.
    """

    call: Callable[..., Any]
    name: str
    sign: float
    arguments: tuple[Argument, ...]
    summed: bool
    dtypes: tuple[torch.dtype, ...] = ()
    reduction: str = "none"
    item: str | None = None
    layout: Layout = PLAIN
    centred: str | None = None
    notes: tuple[str, ...] = ()
    blurred: bool = False
    standing: Standing = IN_LOSS

    @property
    def feed(self) -> tuple[str, ...]:
        """What its arguments are, in turn, as `--feed` has them."""
        return tuple(argument.text for argument in self.arguments)

    @property
    def fed_residual(self) -> bool:
        """Is the residual all that it is fed, constants and a mask aside?"""
        words = {one.fed for one in self.arguments if isinstance(one.fed, str)}
        return words <= {"residual", "mask"}


def feed_arguments(subject: Subject, log_pf: Tensor, log_pb: Tensor) -> list[Tensor]:
    """The tensors the callable receives; gradients flow into log_pf."""
    words = {argument.fed for argument in subject.arguments}
    told = {
        "residual": subject.sign * (log_pb - log_pf) if "residual" in words else log_pf,
        "log_pf": log_pf,
        "log_pb": log_pb,
        "pf": log_pf.exp() if "pf" in words else log_pf,
        "pb": log_pb.exp() if "pb" in words else log_pb,
    }
    return _laid_out(subject, told)


def _laid_out(subject: Subject, told: dict[str, Tensor]) -> list[Tensor]:
    if subject.layout.rows:
        told = {word: v.unsqueeze(1) if v.dim() == 1 else v for word, v in told.items()}
    like = next(iter(told.values())).detach()
    return [offered(argument, subject.layout, told, like) for argument in subject.arguments]


def run(subject: Subject, arguments: Sequence[Tensor]) -> Tensor:
    """What the callable returns, a tensor that carries a gradient. Raises AuditError."""
    return taken(subject.name, returned(subject, arguments), subject.item)


def returned(subject: Subject, arguments: Sequence[Tensor]) -> Any:
    """All that the callable returns. Raises AuditError."""
    shape = "[batch, 1]" if subject.layout.rows else "1-d"
    with guarded(
        f"calling {subject.name}",
        f"it was fed {', '.join(subject.feed)} as {shape} tensors: say with --feed what its "
        "arguments are, and fix others with --bind",
    ):
        positional, named = bound(subject.call, subject.arguments, arguments)
        return subject.call(*positional, **named)


def slopes(
    subject: Subject, points: np.ndarray, dtype: torch.dtype, level: float = 0.0
) -> np.ndarray:
    """g'(x) at each point as the callable's gradient gives it in `dtype`, where it stands; float64
    array, may hold inf and nan.
    """
    parts = [
        chunk(subject, points[i : i + CHUNK], dtype, level)[0] for i in range(0, len(points), CHUNK)
    ]
    raw = np.concatenate(parts) if parts else np.zeros(0)
    if subject.standing.plain:
        return raw
    value = raw if subject.standing.placement == "loss" else values(subject, points, dtype)
    return slopes_in_place(subject.standing, points, raw, value)


def rounding(subject: Subject, points: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    """How far the slope of a weighted term is off where k' and k are large and nearly equal."""
    if subject.standing.placement != "weighted":
        return np.zeros(len(points))
    size = np.abs(values(subject, points, dtype)) * weights_at(subject.standing, points)
    return 8 * torch.finfo(dtype).eps * size


def values(subject: Subject, points: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    """What the callable returns at each point, one call a point (a reduction hides the terms of
    a batch).
    """
    if subject.reduction == "none":
        return chunk(subject, points, dtype, 0.0)[1]
    return np.array([chunk(subject, np.array([point]), dtype, 0.0)[1][0] for point in points])


def chunk(
    subject: Subject,
    points: np.ndarray,
    dtype: torch.dtype,
    level: float = 0.0,
    passed: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """(slopes, values) at points [n], or at rows [n, 2] of a callable that takes rows: one call.

    passed: the gradient that comes back to the callable, and is divided out again.
    """
    x = torch.tensor(np.ascontiguousarray(points), dtype=dtype)
    if subject.centred:  # a batch whose mean is 0, however many are looked at
        x = torch.cat([x, -x])
    with torch.enable_grad():
        if subject.fed_residual:  # the residual is the leaf: nothing is rounded on the way
            leaf = (subject.sign * x).requires_grad_()
            arguments, outer = _laid_out(subject, {"residual": leaf}), subject.sign
        else:
            leaf = torch.full_like(x, level).requires_grad_()
            arguments, outer = feed_arguments(subject, leaf, level + x), -1.0
        answer = run(subject, arguments)
        with guarded(
            f"the gradient of {subject.name}", "return a tensor that autograd can differentiate"
        ):
            (gradient,) = torch.autograd.grad(passed * answer.sum(), leaf, allow_unused=True)
    # a backward may return a leaf itself
    gradient = torch.zeros_like(x) if gradient is None else gradient.detach() / passed
    slope = outer * gradient.double() * _per_object(subject, x.numel(), level)
    count = len(points)
    return slope[:count].numpy(), answer.detach().double().reshape(-1)[:count].numpy()


def _per_object(subject: Subject, batch: int, level: float) -> float:
    """What makes the gradient of a batch that of one object."""
    factor = float(np.exp(-level)) if subject.summed else 1.0
    if subject.reduction == "mean":
        factor *= batch
    if subject.centred == "others":
        factor *= (batch - 1) / batch
    return factor


def runs_in(subject: Subject, dtype: torch.dtype) -> bool:
    """Does the callable come back with a gradient in this dtype?"""
    try:
        return chunk(subject, np.array([-1.0, 0.5]), dtype, 0.0)[0].shape == (2,)
    except AuditError:
        return False


def swapped_sign(subject: Subject) -> Subject:
    """The same callable, fed the other sign of the residual."""
    return replace(subject, sign=-subject.sign)
