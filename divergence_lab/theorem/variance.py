"""The noise of a sampled gradient, exactly: every trajectory is listed (docs/propositions.md, P31).

    v(tau) = gradient of sum_o weight g(x) along tau,   G = E[v],   C = E[v v'] - G G'

A batch of B trajectories has the mean G and the covariance C/B. At the critical batch,
trace(C)/|G|^2, its noise is as large as its signal.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from divergence_lab.gflownet.listed import exact, flow, sampling
from divergence_lab.gflownet.objectives import Objective, refuse_of_the_released_code
from divergence_lab.gflownet.policies.policy import Policy
from divergence_lab.gflownet.samplers import Sampler
from divergence_lab.graphs.dag import PointedDAG
from divergence_lab.theorem import behaviours
from divergence_lab.theorem.objects import TRAJECTORY_LIMIT

ON_POLICY = Sampler()


@dataclass(frozen=True, eq=False)
class Noise:
    """`mean` [D], the expected gradient, and `covariance` [D, D] of one trajectory's gradient."""

    mean: Tensor
    covariance: Tensor

    @property
    def trace(self) -> float:
        """E|v - G|^2 of one trajectory."""
        return float(self.covariance.trace())

    @property
    def critical_batch(self) -> float:
        """trace(C) / |G|^2; infinite where the expected gradient is 0 and the noise is not."""
        signal = float(self.mean @ self.mean)
        return self.trace / signal if signal else float("inf") if self.trace else 0.0


@dataclass(frozen=True, eq=False)
class Sampled:
    """What is trained: a loss of residuals, an objective, a policy and P_B.

    `moved`: the parameters that the gradient is taken in; log Z has a learning rate of its own.
    """

    loss: Callable[[Tensor], Tensor]
    objective: Objective
    policy: Policy[PointedDAG]
    backward: str = "uniform"
    moved: Sequence[str] = ("rows",)


def batch_gradients(
    trained: Sampled, parameters: Mapping[str, Tensor], walked: sampling.Trajectories
) -> Float64[Tensor, "M D"]:
    """The gradient of mean_B sum_O weight g(x) of M batches `walked` [M, T, B], at one point:
    `parameters` with M = 1. Every batch is a member of its own.
    """
    count = len(walked.index)
    leaves = {
        key: value.expand(count, *value.shape[1:]).clone().requires_grad_(key in trained.moved)
        for key, value in parameters.items()
    }
    graph = trained.policy.space
    model = flow.flow(trained.policy, leaves, trained.objective, trained.backward)
    found = flow.residuals_along(graph, trained.objective, model, walked)
    total = (found.weight * trained.loss(found.x)).sum() / walked.index.shape[-1]
    moved = [leaves[key] for key in trained.moved]
    grads = torch.autograd.grad(total, moved, allow_unused=True, materialize_grads=True)
    return torch.cat([grad.reshape(count, -1) for grad in grads], dim=1)


def gradient_noise(
    trained: Sampled, parameters: Mapping[str, Tensor], sampler: Sampler = ON_POLICY
) -> Noise:
    """G and C of one trajectory drawn by `sampler`, at `parameters` (M = 1, float64).

    Raises EnumerationError where there are too many trajectories, ObjectiveError for an objective
    whose residuals depend on the rest of a batch (vargrad, mean-...).
    """
    refuse_of_the_released_code(trained.objective, "the noise of one trajectory")
    graph = trained.policy.space
    listed = exact.enumerate_trajectories(graph, TRAJECTORY_LIMIT)
    alone = sampling.Trajectories(
        listed.index[0].T[..., None], listed.terminal[0][:, None], listed.width
    )
    gradients = batch_gradients(trained, parameters, alone)
    with torch.no_grad():
        model = flow.flow(trained.policy, dict(parameters), trained.objective, trained.backward)
        law = behaviours.law(graph, sampler, model, listed)
    return weighted_noise(gradients, law)


def weighted_noise(gradients: Float64[Tensor, "J D"], law: Float64[Tensor, " J"]) -> Noise:
    """G = sum law v, C = sum law (v - G)(v - G)'."""
    mean = law @ gradients
    apart = gradients - mean
    return Noise(mean, (law[:, None] * apart).T @ apart)
