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

from divergence_lab.audit.subjects import AuditError, guarded, wanted_arguments

SIGNS = {"target/model": 1.0, "model/target": -1.0}
FEEDS = ("residual", "log_pf", "log_pb", "pf", "pb")
CHUNK = 512
# Residuals at which it is seen whether the callable treats each by itself; the second batch has far
# companions.
ALONE = (-1.3, -0.7, -0.2, 0.15, 0.4, 0.9, 1.7)
COMPANIONS = (2.6, -2.9, 0.05)
# Levels of log p_F: a loss of the residual alone does not notice them. The first one adds without
# rounding.
LEVELS = (0.0, -1.25, -3.5)
AGREEMENT = {torch.float32: 1e-4, torch.float64: 1e-9}


@dataclass(frozen=True)
class Subject:
    """What is audited: `call(*arguments)`, fed with the tensors that `feed` names, in that order.

    `sign`: +1 if the residual it receives is log(target/model), -1 if log(model/target). `summed`:
    the callable holds the weights itself and is summed over objects. `reduction`: "none", "sum" or
    "mean", found by looking.
    """

    call: Callable[..., Any]
    name: str
    sign: float
    feed: tuple[str, ...]
    summed: bool
    dtypes: tuple[torch.dtype, ...]
    reduction: str = "none"


def subject(
    call: Callable[..., Any],
    name: str,
    residual: str,
    feed: Sequence[str] | None = None,
    summed: bool = False,
) -> Subject:
    """The callable, looked at: what it takes, in which dtypes, how it reduces. Raises AuditError.

    feed: words of FEEDS; by default "residual", or, for a callable of two arguments, log p_B and
    log p_F in the order that `residual` names them.
    """
    if residual not in SIGNS:
        raise AuditError(
            f"--residual {residual!r}: say target/model (log p_B - log p_F) or model/target"
        )
    words = tuple(feed) if feed else _default_feed(call, residual)
    for word in words:
        if word not in FEEDS:
            raise AuditError(f"--feed {word[:30]!r}: choose from {', '.join(FEEDS)}, with commas")
    return _looked_at(Subject(call, name, SIGNS[residual], words, summed, ()))


def _default_feed(call: Callable[..., Any], residual: str) -> tuple[str, ...]:
    if (wanted_arguments(call) or 1) < 2:
        return ("residual",)
    return ("log_pb", "log_pf") if residual == "target/model" else ("log_pf", "log_pb")


def feed_arguments(subject: Subject, log_pf: Tensor, log_pb: Tensor) -> list[Tensor]:
    """The tensors the callable receives; gradients flow into log_pf."""
    offered = {
        "residual": lambda: subject.sign * (log_pb - log_pf),
        "log_pf": lambda: log_pf,
        "log_pb": lambda: log_pb,
        "pf": lambda: log_pf.exp(),
        "pb": lambda: log_pb.exp(),
    }
    return [offered[word]() for word in subject.feed]


def run(subject: Subject, arguments: Sequence[Tensor]) -> Tensor:
    """What the callable returns, a tensor that carries a gradient. Raises AuditError."""
    with guarded(
        f"calling {subject.name}",
        f"it was fed {', '.join(subject.feed)} as 1-d tensors: say with --feed what its "
        "arguments are",
    ):
        answer = subject.call(*arguments)
    if not isinstance(answer, Tensor):
        raise AuditError(
            f"{subject.name} returned a {type(answer).__name__}, not a torch tensor: a "
            "loss returns a tensor"
        )
    if not answer.requires_grad:
        raise AuditError(
            f"what {subject.name} returns carries no gradient (detached, or no function "
            "of its argument): "
            "return the tensor that training would call backward() on"
        )
    return answer


def slopes(
    subject: Subject, points: np.ndarray, dtype: torch.dtype, level: float = 0.0
) -> np.ndarray:
    """g'(x) at each point as the callable's gradient gives it in `dtype`; float64 array, may
    hold inf and nan.
    """
    parts = [
        _chunk(subject, points[i : i + CHUNK], dtype, level)[0]
        for i in range(0, len(points), CHUNK)
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


def values(subject: Subject, points: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    """What the callable returns at each point, one call a point (a reduction hides the terms of
    a batch).
    """
    if subject.reduction == "none":
        return _chunk(subject, points, dtype, 0.0)[1]
    return np.array([_chunk(subject, np.array([point]), dtype, 0.0)[1][0] for point in points])


def _chunk(
    subject: Subject, points: np.ndarray, dtype: torch.dtype, level: float
) -> tuple[np.ndarray, np.ndarray]:
    x = torch.tensor(np.ascontiguousarray(points), dtype=dtype)
    with torch.enable_grad():
        if subject.feed == (
            "residual",
        ):  # the residual itself is the leaf: nothing is rounded on the way
            leaf = (subject.sign * x).requires_grad_()
            arguments, outer = [leaf], subject.sign
        else:
            leaf = torch.full_like(x, level).requires_grad_()
            arguments, outer = feed_arguments(subject, leaf, level + x), -1.0
        answer = run(subject, arguments)
        with guarded(
            f"the gradient of {subject.name}", "return a tensor that autograd can differentiate"
        ):
            (gradient,) = torch.autograd.grad(answer.sum(), leaf, allow_unused=True)
    gradient = torch.zeros_like(x) if gradient is None else gradient
    slope = outer * gradient.double()
    if subject.summed:
        slope = slope / torch.exp(torch.tensor(level, dtype=torch.float64))
    if subject.reduction == "mean":
        slope = slope * len(points)
    return slope.numpy(), answer.detach().double().reshape(-1).numpy()


# --- what kind of callable is it?


def _looked_at(found: Subject) -> Subject:
    """The subject with its dtypes and its reduction.

    Raises AuditError for what is not elementwise in the residual.
    """
    usable, failure = [], None
    for dtype in (torch.float64, torch.float32):
        try:
            slopes(found, np.array(ALONE), dtype)
            usable.append(dtype)
        except AuditError as error:
            failure = failure or error
    if not usable:
        raise failure
    found = replace(found, dtypes=tuple(usable))
    dtype = usable[0]
    alone, again = (
        np.array([slopes(found, np.array([point]), dtype)[0] for point in ALONE]) for _ in range(2)
    )
    if not _same(alone, again, dtype):
        raise AuditError(
            f"{found.name} gives another gradient when called again with the same "
            "residual: audit it without "
            "randomness or state (dropout off, no running statistics)"
        )
    found = replace(found, reduction=_reduction(found, alone, dtype))
    _depends_on_the_residual_alone(found, dtype)
    return found


def _reduction(found: Subject, alone: np.ndarray, dtype: torch.dtype) -> str:
    count = len(ALONE)
    with torch.enable_grad():
        x = torch.tensor(ALONE, dtype=dtype)
        size = run(found, feed_arguments(found, torch.zeros_like(x).requires_grad_(), x)).numel()
    if size not in (1, count):
        raise AuditError(
            f"{found.name} returns {size} numbers for {count} residuals: it must return "
            "one for each, their "
            "mean or their sum"
        )
    together = slopes(found, np.array(ALONE), dtype)
    wider = slopes(found, np.array(ALONE + COMPANIONS), dtype)[:count]
    if _same(together, alone, dtype) and _same(wider, alone, dtype):
        return "none" if size == count else "sum"
    if _same(together * count, alone, dtype) and _same(
        wider * (count + len(COMPANIONS)), alone, dtype
    ):
        return "mean"
    worst = (
        int(np.nanargmax(np.abs(together - alone))) if np.isfinite(together - alone).any() else 0
    )
    raise AuditError(
        f"{found.name} is not elementwise: the gradient at x = {ALONE[worst]:g} is "
        f"{alone[worst]:.6g} alone and "
        f"{together[worst]:.6g} in a batch, neither the same nor 1/{count} of it; audit "
        "a function that treats "
        "each residual by itself"
    )


def _depends_on_the_residual_alone(found: Subject, dtype: torch.dtype) -> None:
    if found.feed == ("residual",):
        return
    first, *others = (slopes(found, np.array(ALONE), dtype, level) for level in LEVELS)
    for level, other in zip(LEVELS[1:], others):
        if not _same(first, other, dtype) or not np.isfinite(first).any():
            at = int(np.argmax(~np.isclose(first, other, rtol=1e-4, equal_nan=False)))
            raise AuditError(
                f"{found.name} fed {', '.join(found.feed)} is no function of log p_B - "
                "log p_F: at x = "
                f"{ALONE[at]:g} its slope is {first[at]:.4g} for log p_F = 0 and "
                f"{other[at]:.4g} for "
                f"{level:g}; say with --feed what its arguments are (pf, pb: "
                "probabilities), and --summed if "
                "it is summed over objects, not averaged over the model's samples"
            )


def _same(a: np.ndarray, b: np.ndarray, dtype: torch.dtype) -> bool:
    return np.allclose(a, b, rtol=AGREEMENT[dtype], atol=AGREEMENT[dtype], equal_nan=True)
