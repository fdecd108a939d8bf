"""Two environments whose policies have two parameters and cannot reach the target, all of it enumerated.

line    161 places, a target of two bumps, drawn in one step by a bell: theta = (mean, log width)
tree    64 leaves of a binary tree, drawn in six steps: at level l after k ones, one more has the
        log-odds a + b (2k - l), theta = (a, b); the target prefers two leaves, of which one depends
        on the order of ones, which this policy cannot see

log Z is held at the truth, so that p and q are laws. A sampler is the law mu of what training draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from divergence_lab.report.single_bump import POINTS, two_bumps

DEPTH, LIKED = 6, ("111111", "000111")
EPSILON, TEMPERATURE, SHARE = 0.2, 2.0, 0.25


@dataclass(frozen=True, eq=False)
class Environment:
    """`log_p` [X]; `log_q` of theta [.., 2]; `drawn` of theta and (epsilon, temperature): the law
    of a policy that is noisy or flattened at every step; a box of theta; starts [N, 2] in it.
    """

    name: str
    log_p: Tensor
    log_q: Callable[[Tensor], Tensor]
    drawn: Callable[[Tensor, float, float], Tensor]
    box: tuple[tuple[float, float], tuple[float, float]]
    starts: Tensor


def line() -> Environment:
    points, log_p = (torch.tensor(values, dtype=torch.float64) for values in (POINTS, two_bumps()))

    def log_q(theta: Tensor) -> Tensor:
        mean, log_width = theta[..., :1], theta[..., 1:]
        return torch.log_softmax(-((points - mean) ** 2) * torch.exp(-2 * log_width) / 2, dim=-1)

    def drawn(theta: Tensor, epsilon: float, temperature: float) -> Tensor:
        law = torch.softmax(log_q(theta) / temperature, dim=-1)
        return (1 - epsilon) * law + epsilon / len(points)

    starts = torch.tensor(list(product((-3.0, -1.0, 1.0, 3.0), (0.0, 0.7))), dtype=torch.float64)
    return Environment("line", log_p, log_q, drawn, ((-4.0, 4.0), (-0.9, 1.4)), starts)


def tree() -> Environment:
    digits = torch.tensor(list(product((0, 1), repeat=DEPTH)))
    before = digits.cumsum(dim=1) - digits  # ones so far
    lean = (2 * before - torch.arange(DEPTH)).double()
    sign = (2 * digits - 1).double()
    liked = torch.tensor([[int(digit) for digit in leaf] for leaf in LIKED])
    apart = (digits[:, None] != liked).sum(dim=-1).double() + torch.tensor([0.0, 0.4])
    log_p = torch.log_softmax(-1.5 * apart.amin(dim=1), dim=0)

    def odds(theta: Tensor) -> Tensor:
        return sign * (theta[..., None, :1] + theta[..., None, 1:] * lean)

    def log_q(theta: Tensor) -> Tensor:
        return logsigmoid(odds(theta)).sum(dim=-1)

    def drawn(theta: Tensor, epsilon: float, temperature: float) -> Tensor:
        step = torch.sigmoid(odds(theta) / temperature)
        return ((1 - epsilon) * step + epsilon / 2).prod(dim=-1)

    starts = torch.tensor(list(product((-1.0, 0.0, 1.0), (-0.5, 0.0, 0.5))), dtype=torch.float64)
    return Environment("tree", log_p, log_q, drawn, ((-3.0, 3.0), (-2.0, 2.0)), starts)


Law = Callable[[Environment, Tensor, Tensor], Tensor]

# The law of what is drawn, from the environment, theta and log q; not normalised where that is a
# positive factor. The names of the first kind are weightings of divergence_lab.theory.
WEIGHTED: dict[str, Law] = {
    "on": lambda env, theta, log_q: log_q.exp(),
    "power:1/2": lambda env, theta, log_q: ((log_q + env.log_p) / 2).exp(),
    "backward": lambda env, theta, log_q: env.log_p.exp().expand_as(log_q),
    "mixture:1/4": lambda env, theta, log_q: (1 - SHARE) * log_q.exp() + SHARE * env.log_p.exp(),
    "powers:1/2,0": lambda env, theta, log_q: torch.softmax(log_q / TEMPERATURE, dim=-1),
}
STEPWISE: dict[str, Law] = {
    "epsilon:0.2": lambda env, theta, log_q: env.drawn(theta, EPSILON, 1.0),
    "tempered:2": lambda env, theta, log_q: env.drawn(theta, 0.0, TEMPERATURE),
}
SAMPLERS = WEIGHTED | STEPWISE


def field(env: Environment, theta: Tensor, law: Law, slope: Callable[[Tensor], Tensor]) -> Tensor:
    """The expected gradient sum mu g'(x) grad x in theta [.., 2], draws held constant."""
    log_q = env.log_q(theta)
    mu = law(env, theta, log_q).detach()
    pull = slope((env.log_p - log_q).detach())
    return torch.autograd.grad(-(mu * pull * log_q).sum(), theta, create_graph=False)[0]


def total_variation(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).abs().sum(dim=-1) / 2
