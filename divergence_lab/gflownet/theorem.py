"""The theorem, checked with no sampling: weighted loss and f-divergence have the same gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from divergence_lab.gflownet.exact import enumerate_trajectories, log_partition
from divergence_lab.gflownet.objectives import tb
from divergence_lab.gflownet.policies import tabular
from divergence_lab.gflownet.sampling import gather_steps, with_sink
from divergence_lab.graphs.dag import PointedDAG

TOLERANCE = 1e-9


@dataclass(frozen=True)
class TheoremCheck:
    """Errors are max |difference| / max |component of either gradient|, over theta_F and log Z together.

    `flipped_sign_error` is the control: the same with g(-x) in place of g(x), the slip of a residual taken as
    model/target.  It is of order 0.1 to 2 for a loss that is not even, and 0 for an even one.
    """

    max_gradient_error: float
    flipped_sign_error: float
    holds: bool


def check_tb(
    graph: PointedDAG,
    loss: Callable[[Tensor], Tensor],
    generator: Callable[[Tensor], Tensor],
    *,
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> TheoremCheck:
    """grad sum_tau mu g(x) = grad sum_tau p_F f(p_B/p_F), with mu = p_F(tau) = Z P_F(tau) held constant.

    p_B = R P_B; x = log(p_B/p_F); `loss` is g(x), `generator` is f(t), both elementwise in torch.  Float64,
    all trajectories enumerated, tabular logits ~ N(0, 1) and log Z at N(0, 1) from the true one.  Needs
    f(t) - t f'(t) = -g'(log t), with g'(0) = f'(1) = 0 for the component along log Z.
    """
    walked = enumerate_trajectories(graph)
    start = tabular(graph, scale=1.0, initial_log_z=log_partition(graph)).init([seed], dtype=torch.float64)
    noise = torch.randn(1, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)
    logits = start["logits"].requires_grad_()
    log_z = (start["log_z"] + noise).requires_grad_()

    log_pf = tabular(graph).log_pf({"logits": logits})
    residual = tb(graph, log_pf, log_z, walked)
    log_model = log_z[:, None] + gather_steps(with_sink(log_pf), walked)
    weight = log_model.detach().exp()

    def gradient(objective: Tensor) -> Tensor:
        parts = torch.autograd.grad(objective.sum(), [logits, log_z], retain_graph=True)
        return torch.cat([part.flatten() for part in parts])

    exact = gradient(log_model.exp() * generator(residual.exp()))
    error = _relative_error(gradient(weight * loss(residual)), exact)
    flipped = _relative_error(gradient(weight * loss(-residual)), exact)
    return TheoremCheck(error, flipped, error <= tolerance)


def _relative_error(gradient: Tensor, exact: Tensor) -> float:
    difference = float((gradient - exact).abs().max())
    largest = max(float(gradient.abs().max()), float(exact.abs().max()))
    return difference / largest if difference else 0.0
