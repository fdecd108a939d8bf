"""Adam for an ensemble: clipping, bad gradients and step counts of one member never touch another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True, eq=False)
class Ensemble:
    """All parameters of all members in one tensor `values` [M, N], N numbers each, updated in place.

    `mean`, `square` [M, N]: Adam's moments.  `count` [M, 1]: updates made.  `finite` [M, 1]: no gradient of
    the member has been infinite or NaN.  `scratch` [M, N] holds nothing between steps.  One tensor, because each
    small operation costs more than its work.
    """

    shapes: Mapping[str, tuple[int, ...]]
    values: Tensor
    mean: Tensor
    square: Tensor
    count: Tensor
    finite: Tensor
    scratch: Tensor

    def state(self) -> dict[str, Tensor]:
        return {key: getattr(self, key).detach() for key in ("values", "mean", "square", "count", "finite")}


def ensemble(parameters: Mapping[str, Tensor]) -> Ensemble:
    """The parameters, each with a leading axis M, laid side by side with fresh moments."""
    values = torch.cat([tensor.reshape(len(tensor), -1) for tensor in parameters.values()], dim=1)
    return Ensemble(
        shapes={key: tuple(tensor.shape[1:]) for key, tensor in parameters.items()},
        values=values.requires_grad_(),
        mean=torch.zeros_like(values, requires_grad=False),
        square=torch.zeros_like(values, requires_grad=False),
        count=torch.zeros(values.shape[0], 1, dtype=values.dtype, device=values.device),
        finite=torch.ones(values.shape[0], 1, dtype=torch.bool, device=values.device),
        scratch=torch.zeros_like(values, requires_grad=False),
    )


def unpack(shapes: Mapping[str, tuple[int, ...]], values: Tensor) -> dict[str, Tensor]:
    """[M, N] -> the named parameters, as views."""
    sizes = [torch.Size(shape).numel() for shape in shapes.values()]
    parts = values.split(sizes, dim=1)
    return {key: part.reshape(-1, *shape) for (key, shape), part in zip(shapes.items(), parts, strict=True)}


@torch.no_grad()
def adam_step(
    members: Ensemble, gradient: Tensor, rates: Tensor, max_norm: float, weight_decay: float = 0.0
) -> None:
    """Adam (Kingma, Ba 2015) on each member's gradient clipped to Euclidean norm max_norm.

    `weight_decay` times each parameter but log Z is added to the clipped gradient, as torch.optim.Adam does.

    rates [M, 2]: of all parameters but the last, and of the last, log Z.  A member with a gradient that is not
    finite is left as it is, moments included, and marked.  `gradient` and `members.scratch` are overwritten:
    passes over memory, and above all fresh memory, are what Adam costs.
    """
    # divided by its largest component first: a finite gradient has a finite norm, however large
    largest = torch.linalg.vector_norm(gradient, ord=torch.inf, dim=1, keepdim=True)
    usable = largest.isfinite()
    members.finite.logical_and_(usable)
    moves = usable.to(gradient.dtype)
    size = torch.where(usable & (largest > 0), largest, 1.0)
    scaled = gradient.div_(size)
    norm = torch.linalg.vector_norm(scaled, dim=1, keepdim=True).double() * size
    keep = (max_norm / norm.clamp(min=1e-300)).clamp(max=1.0) * size
    clipped = scaled.mul_(torch.where(usable, keep, 0.0).to(gradient.dtype))
    clipped.masked_fill_(~usable, 0.0)  # 0 times NaN is NaN
    if weight_decay:
        clipped[:, :-1].addcmul_(members.values[:, :-1], moves, value=weight_decay)

    members.count.add_(moves)
    count = members.count.clamp(min=1.0)
    members.mean.lerp_(clipped, moves * (1 - BETA_1))
    members.square.mul_(BETA_2**moves).addcmul_(clipped, clipped, value=1 - BETA_2)
    # rate mean / (1 - b1^n) over sqrt(square / (1 - b2^n)) + epsilon, with what is one number a member taken out
    root = (1 - BETA_2**count).sqrt()
    rates = rates * root / (1 - BETA_1**count)
    step = torch.sqrt(members.square, out=members.scratch).add_(EPSILON * root)
    torch.div(members.mean, step, out=step)
    _move(members.values, step, rates * moves)


def _move(values: Tensor, step: Tensor, rates: Tensor) -> None:
    """values -= rate * step, in one pass."""
    values[:, :-1].addcmul_(step[:, :-1], rates[:, :1], value=-1)
    values[:, -1:].addcmul_(step[:, -1:], rates[:, 1:], value=-1)


@torch.no_grad()
def natural_step(members: Ensemble, gradient: Tensor, often: Tensor, rates: Tensor, momentum: float) -> None:
    """Each component divided by how often its state, or edge, is visited, at most 1 in size; then heavy ball.

    For a tabular softmax policy this is the natural gradient (the Fisher information is d(s) (diag P_F - P_F P_F')):
    with quadratic TB and rate 1 it is soft policy iteration.  `often` [M, N]; 0 leaves a component as it is.  rates
    [M, 2] as in `adam_step`.  A member with a gradient that is not finite is left as it is and marked.
    """
    usable = gradient.isfinite().all(dim=1, keepdim=True)
    members.finite.logical_and_(usable)
    step = torch.where(often > 0, gradient / often, 0.0).clamp_(-1.0, 1.0)
    step = torch.where(usable, step, 0.0)
    members.mean.mul_(momentum).add_(step)
    moves = usable.to(gradient.dtype)
    members.count.add_(moves)
    _move(members.values, members.mean, rates * moves)
