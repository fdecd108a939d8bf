"""The learned law of a space too large to list, estimated at chosen terminal states."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from divergence_lab.gflownet.objectives import objective
from divergence_lab.gflownet.policies.policy import Parameters, Policy
from divergence_lab.gflownet.visited.residuals import steps_along
from divergence_lab.gflownet.visited.walks import walk_back
from divergence_lab.graphs.generated import GeneratedDAG

_TB = objective("tb")


@torch.no_grad()
def log_terminal(
    policy: Policy[GeneratedDAG],
    parameters: Parameters,
    terminal: Int[Tensor, "X D"],
    uniforms: Float[Tensor, "N T-1 X"],
    backward: str = "uniform",
) -> Float[Tensor, "M X"]:
    """log of (1/N) sum_n P_F(tau_n) / P_B(tau_n|x), tau_n drawn by P_B from x: an unbiased estimate
    of P_T(x).

    The uniforms, in [0, 1), are shared by all members.  By Jensen its logarithm is too small in the
    mean.  Dropout is off.
    """
    n_members, n_rounds = len(parameters["log_z"]), len(uniforms)
    ends = terminal.expand(n_members, -1, -1)
    log_reward = policy.space.log_reward(ends)
    found = []
    for noise in uniforms:
        walked = walk_back(policy, parameters, backward, ends, noise.expand(n_members, -1, -1))
        steps = steps_along(policy, parameters, _TB, backward, walked)
        found.append(log_reward - steps.increment.sum(dim=1))
    return torch.logsumexp(torch.stack(found), dim=0) - math.log(n_rounds)
