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
    the member has been infinite or NaN.  One tensor, because each small operation costs more than its work.
    """

    shapes: Mapping[str, tuple[int, ...]]
    values: Tensor
    mean: Tensor
    square: Tensor
    count: Tensor
    finite: Tensor

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
    )


def unpack(shapes: Mapping[str, tuple[int, ...]], values: Tensor) -> dict[str, Tensor]:
    """[M, N] -> the named parameters, as views."""
    sizes = [torch.Size(shape).numel() for shape in shapes.values()]
    parts = values.split(sizes, dim=1)
    return {key: part.reshape(-1, *shape) for (key, shape), part in zip(shapes.items(), parts, strict=True)}


@torch.no_grad()
def adam_step(members: Ensemble, gradient: Tensor, rates: Tensor, max_norm: float) -> None:
    """Adam (Kingma, Ba 2015) on each member's gradient clipped to Euclidean norm max_norm; rates [N].

    A member with a gradient that is not finite is left as it is, moments included, and marked.
    """
    largest = gradient.abs().amax(dim=1, keepdim=True)
    usable = largest.isfinite()
    members.finite.logical_and_(usable)
    # divided by its largest entry first, a gradient of 1e35 has a norm; float32 could not hold its square
    direction = torch.where(usable, gradient / largest.clamp(min=torch.finfo(largest.dtype).tiny), 0.0)
    norm = torch.linalg.vector_norm(direction, dim=1, keepdim=True).clamp(min=1.0)
    clipped = direction * torch.where(usable, torch.minimum(largest, max_norm / norm), 0.0)

    moves = usable.to(gradient.dtype)
    members.count.add_(moves)
    members.mean.lerp_(clipped, moves * (1 - BETA_1))
    members.square.lerp_(clipped.square_(), moves * (1 - BETA_2))
    count = members.count.clamp(min=1.0)
    scale = (members.square / (1 - BETA_2**count)).sqrt_().add_(EPSILON)
    members.values.sub_(rates * (moves / (1 - BETA_1**count)) * members.mean / scale)
