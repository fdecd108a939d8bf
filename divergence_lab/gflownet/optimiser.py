"""Adam for an ensemble: clipping, bad gradients and step counts of one member never touch
another.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from divergence_lab.gflownet import devices
from divergence_lab.gflownet.kernels import adam, availability
from divergence_lab.gflownet.policies.policy import Parameters
from divergence_lab.graphs import constants

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
LARGE = 1e30  # beyond this norm, squares and quotients in float32 need more care


@dataclass(frozen=True, eq=False)
class Ensemble:
    """All parameters of all members in one tensor `values` [M, N], N numbers each, updated in
    place.

    `parameters`: its named parts with a leading axis M, views that gradients are taken of.  `mean`,
    `square` [M, N]: Adam's moments.  `count` [M, 1]: updates made.  `finite` [M, 1]: no gradient of
    the member has been infinite or NaN.  `parts`: of each named part, every member's values, mean,
    square and count, as views for torch's own Adam.
    """

    shapes: Mapping[str, tuple[int, ...]]
    values: Tensor
    parameters: Mapping[str, Tensor]
    mean: Tensor
    square: Tensor
    count: Tensor
    finite: Tensor
    parts: tuple[tuple[Sequence[Tensor], ...], ...]

    def state(self) -> dict[str, Tensor]:
        return {key: getattr(self, key) for key in ("values", "mean", "square", "count", "finite")}


def ensemble(parameters: Mapping[str, Tensor]) -> Ensemble:
    """The parameters, each with a leading axis M, laid side by side with fresh moments."""
    values = torch.cat(
        [tensor.detach().reshape(len(tensor), -1) for tensor in parameters.values()], dim=1
    )
    shapes = {key: tuple(tensor.shape[1:]) for key, tensor in parameters.items()}
    mean, square = torch.zeros_like(values), torch.zeros_like(values)
    count = torch.zeros(values.shape[0], 1, dtype=values.dtype, device=values.device)
    kept = [unpack(shapes, table) for table in (values, mean, square)]
    return Ensemble(
        shapes=shapes,
        values=values,
        parameters={key: part.detach().requires_grad_() for key, part in kept[0].items()},
        mean=mean,
        square=square,
        count=count,
        finite=torch.ones(values.shape[0], 1, dtype=torch.bool, device=values.device),
        parts=tuple(
            (*(parts[key].unbind() for parts in kept), count[:, 0].unbind()) for key in shapes
        ),
    )


def unpack(shapes: Mapping[str, tuple[int, ...]], values: Tensor) -> dict[str, Tensor]:
    """[M, N] -> the named parameters, as views."""
    sizes = [torch.Size(shape).numel() for shape in shapes.values()]
    parts = values.split(sizes, dim=1)
    return {
        key: part.view(-1, *shape) for (key, shape), part in zip(shapes.items(), parts, strict=True)
    }


def gradients(
    total: Tensor, parameters: Parameters, upstream: Tensor | None = None
) -> tuple[Tensor, ...]:
    """d total / d parameters, each with a leading axis M; 0 where the total does not depend on
    them.  `upstream`: of a tensor, the gradient of the sum of its products with these numbers.
    """
    leaves = tuple(parameters.values())
    return torch.autograd.grad(total, leaves, upstream, materialize_grads=True)


@torch.no_grad()
def adam_step(
    members: Ensemble,
    gradient: Sequence[Tensor],
    rates: Tensor,
    max_norm: float,
    weight_decay: float = 0.0,
) -> None:
    """Adam (Kingma, Ba 2015) on each member's gradient clipped to Euclidean norm max_norm.

    `weight_decay` times each parameter but log Z is added to the clipped gradient, as
    torch.optim.Adam does. `gradient`: one tensor for each of `members.parameters`; overwritten.
    rates [M, 2]: of all parameters but the last, and of the last, log Z.  A member with a gradient
    that is not finite is left as it is, moments included, and marked.  On a CPU by torch's own
    Adam, which reads and writes memory once; on a GPU by kernels of our own; elsewhere by whole
    tensors, with no look at a number.
    """
    device = members.values.device
    if devices.may_look(device):
        _member_by_member(members, gradient, rates, max_norm, weight_decay)
    elif adam.applies(members.values) and _kernels_agree(device):
        _in_kernels(members, _side_by_side(gradient), rates, max_norm, weight_decay)
    else:
        _all_at_once(members, _side_by_side(gradient), rates, max_norm, weight_decay)


def _side_by_side(gradient: Sequence[Tensor]) -> Tensor:
    """[M, N], the order of `values`."""
    return torch.cat([part.reshape(part.shape[0], -1) for part in gradient], dim=1)


def _member_by_member(
    members: Ensemble,
    gradient: Sequence[Tensor],
    rates: Tensor,
    max_norm: float,
    weight_decay: float,
) -> None:
    """torch's fused Adam, one call for all parts of all members that share a learning rate."""
    # it takes memory as it lies
    gradient = [part.contiguous() for part in gradient]
    moving = _clip_parts(members, gradient, max_norm)
    members.count[sorted(moving)] += 1
    apart = [(*views, part.unbind()) for views, part in zip(members.parts, gradient, strict=True)]
    for chosen, column, shrink in (
        (apart[:-1], rates[:, 0], weight_decay),
        (apart[-1:], rates[:, 1], 0.0),
    ):
        of_rate: dict[float, list[int]] = {}
        for member, rate in enumerate(column.tolist()):
            if member in moving:
                of_rate.setdefault(rate, []).append(member)
        for rate, same in of_rate.items():
            _fused_adam(chosen, same, rate, shrink)


def _clip_parts(members: Ensemble, gradient: Sequence[Tensor], max_norm: float) -> set[int]:
    """Each member's gradient cut to norm max_norm, in place; the members whose gradient is
    finite, the others being marked.
    """
    norm = torch.stack(
        [torch.linalg.vector_norm(part.view(len(part), -1), dim=1) for part in gradient]
    )
    norm = torch.linalg.vector_norm(norm.double(), dim=0)
    moving = set(range(len(norm)))
    if not bool((norm < LARGE).all()):  # NaN too
        rare = (~(norm < LARGE)).nonzero()[:, 0]
        clipped = _side_by_side([part[rare] for part in gradient])
        usable = _clip(clipped, max_norm)
        for part, instead in zip(gradient, unpack(members.shapes, clipped).values(), strict=True):
            part[rare] = instead
        members.finite[rare] = members.finite[rare] & usable
        moving -= set(rare[~usable[:, 0]].tolist())
        norm[rare] = 0.0
    if bool((norm > max_norm).any()):
        keep = (max_norm / norm.clamp(min=1e-300)).clamp(max=1.0)
        for part in gradient:
            part.mul_(keep.to(part.dtype).view(-1, *[1] * (part.dim() - 1)))
    return moving


def _fused_adam(
    parts: Sequence[tuple[Sequence[Tensor], ...]], same: Sequence[int], rate: float, shrink: float
) -> None:
    """One call for these parts of these members, which share a learning rate."""
    values, mean, square, count, slope = (
        [part[place][member] for part in parts for member in same] for place in range(5)
    )
    torch._fused_adam_(  # pyright: ignore[reportPrivateImportUsage] (what torch.optim.Adam calls)
        values,
        slope,
        mean,
        square,
        [],
        count,
        lr=rate,
        beta1=BETA_1,
        beta2=BETA_2,
        weight_decay=shrink,
        eps=EPSILON,
        amsgrad=False,
        maximize=False,
    )


def _clip(gradient: Tensor, max_norm: float) -> Tensor:
    """Each row [N] brought to norm max_norm in place, or to 0 where it is not finite; [M, 1]
    whether it is.
    """
    # divided by its largest component first: a finite gradient has a finite norm, however large
    largest = torch.linalg.vector_norm(gradient, ord=torch.inf, dim=1, keepdim=True)
    usable = largest.isfinite()
    size = torch.where(usable & (largest > 0), largest, 1.0)
    scaled = gradient.div_(size)
    norm = torch.linalg.vector_norm(scaled, dim=1, keepdim=True).double() * size
    keep = (max_norm / norm.clamp(min=1e-300)).clamp(max=1.0) * size
    scaled.mul_(torch.where(usable, keep, 0.0).to(gradient.dtype))
    scaled.masked_fill_(~usable, 0.0)  # 0 times NaN is NaN
    return usable


def _all_at_once(
    members: Ensemble, gradient: Tensor, rates: Tensor, max_norm: float, weight_decay: float = 0.0
) -> None:
    """gradient [M, N], overwritten; nothing here waits for the device."""
    usable = _clip(gradient, max_norm)
    members.finite.logical_and_(usable)
    moves = usable.to(gradient.dtype)
    if weight_decay:
        gradient[:, :-1].addcmul_(members.values[:, :-1], moves, value=weight_decay)
    members.count.add_(moves)
    count = members.count.double().clamp(min=1.0)  # 1 - b2^n in float32 has four digits at first
    members.mean.lerp_(gradient, moves * (1 - BETA_1))
    members.square.mul_(BETA_2**moves).addcmul_(gradient, gradient, value=1 - BETA_2)
    # rate mean / (1 - b1^n) over sqrt(square / (1 - b2^n)) + epsilon, with what is one number a
    # member taken out
    root = (1 - BETA_2**count).sqrt()
    rates = (rates * root / (1 - BETA_1**count)).to(gradient.dtype)
    step = torch.sqrt(members.square, out=gradient).add_((EPSILON * root).to(gradient.dtype))
    torch.div(members.mean, step, out=step)
    _move(members.values, step, rates * moves)


def _in_kernels(
    members: Ensemble, gradient: Tensor, rates: Tensor, max_norm: float, weight_decay: float = 0.0
) -> None:
    """As `_all_at_once`, without its tensors in between."""
    numbers = constants.constant(
        members,
        f"numbers of Adam, {max_norm}, {weight_decay}",
        lambda: np.array([max_norm, weight_decay, BETA_1, BETA_2, EPSILON]),
        gradient.device,
        torch.float64,
    )
    table = (members.values, members.mean, members.square)
    moves = adam.step(gradient, table, members.count, rates, numbers)
    members.count.add_(moves)
    members.finite.logical_and_(moves)


@cache
def _kernels_agree(device: torch.device) -> bool:
    """Whether the kernels run here, and do as torch does; where not, a warning says why."""
    start = torch.linspace(-2.0, 2.0, 3 * 5000, device=device).view(3, -1)
    rates = torch.tensor([[0.1, 0.3], [0.02, 0.1], [0.1, 0.1]], device=device)
    made = []
    try:
        for way in (_in_kernels, _all_at_once):
            members = ensemble({"a": start.clone(), "log_z": start[:, 0].clone()})
            for size in (1.0, 1e33, math.nan):
                slope = _side_by_side([start.sin(), start[:, 0]])
                slope[1] *= size
                way(members, slope, rates, 2.0, 0.01)
            made.append(torch.cat([*members.state().values()], dim=1))
        if availability.close(*made):
            return True
        why = "they do not agree with torch"
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # Triton's errors have no base class of their own
        why = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    warnings.warn(
        f"the kernels for Adam fail here, torch's own take their place, which is slower: {why}",
        stacklevel=2,
    )
    return False


def _move(values: Tensor, step: Tensor, rates: Tensor) -> None:
    """values -= rate * step, in one pass."""
    values[:, :-1].addcmul_(step[:, :-1], rates[:, :1], value=-1)
    values[:, -1:].addcmul_(step[:, -1:], rates[:, 1:], value=-1)


@torch.no_grad()
def natural_step(
    members: Ensemble, gradient: Sequence[Tensor], often: Tensor, rates: Tensor, momentum: float
) -> None:
    """Each component divided by how often its state, or edge, is visited, at most 1 in size; then
    heavy ball.

    For a tabular softmax policy this is the natural gradient (the Fisher information is d(s) (diag
    P_F - P_F P_F')): with quadratic TB and rate 1 it is soft policy iteration.  `often` [M, N]; 0
    leaves a component as it is.  rates [M, 2] as in `adam_step`.  A member with a gradient that is
    not finite is left as it is and marked.
    """
    together = _side_by_side(gradient)
    usable = together.isfinite().all(dim=1, keepdim=True)
    members.finite.logical_and_(usable)
    step = torch.where(often > 0, together / often, 0.0).clamp_(-1.0, 1.0)
    step = torch.where(usable, step, 0.0)
    members.mean.mul_(momentum).add_(step)
    moves = usable.to(together.dtype)
    members.count.add_(moves)
    _move(members.values, members.mean, rates * moves)
