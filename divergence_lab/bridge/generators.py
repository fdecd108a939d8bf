"""Generators f in torch, for checks of the theorem: f itself, or the integral that defines it,
from g alone.
"""

import itertools
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from divergence_lab.bridge.formula import formula
from divergence_lab.bridge.torch_loss import to_torch
from divergence_lab.theory.divergence import closed_form, loss
from divergence_lab.theory.expressions import t


def generator_to_torch(divergence: closed_form.Divergence) -> Callable[[Tensor], Tensor]:
    """f(t), t = target/model = e^x, as float64 torch operations: for checks, not for training.

    The closed form where there is one; otherwise f(t) = t I_1(log t), see `integral_to_torch`.
    Neither uses the identity f - t f' = -g' that the gradient theorem rests on, so the theorem can
    be checked with it. Elementwise, any shape, differentiable through its own formula. Raises
    NotRepresentable.

        >>> import torch
        >>> from divergence_lab import divergence, loss
        >>> f = generator_to_torch(divergence(loss("x**2/2")))  # reverse KL: t - 1 - log t
        >>> round(f(torch.tensor(2.0, dtype=torch.float64)).item(), 4)
        0.3069
    """
    if divergence.generator is not None:
        return formula(divergence.generator, t)
    integral = integral_to_torch(divergence.loss, 1.0)
    return lambda ratio: ratio * integral(ratio.log())


def integral_to_torch(loss: loss.Loss, power: float) -> Callable[[Tensor], Tensor]:
    """I_a(u) = int_0^u g'(v) e^{-a v} dv = e^{-a u} g(u) + a int_0^u g(v) e^{-a v} dv, a = `power`,
    from g alone.

    Gauss-Legendre quadrature between the kinks of g, 200 nodes each: good to about 1e-12 for |u| <=
    30. Elementwise, float64, differentiable; raises NotRepresentable as `to_torch` does.

        >>> import torch
        >>> from divergence_lab import loss
        >>> integral = integral_to_torch(loss("x**2/2"), 1.0)  # 1 - (1 + u) e^-u
        >>> round(integral(torch.tensor(1.0, dtype=torch.float64)).item(), 4)
        0.2642
    """
    g = to_torch(loss)
    nodes, weights = (
        torch.tensor(a, dtype=torch.float64) for a in np.polynomial.legendre.leggauss(200)
    )
    nodes, weights = (nodes + 1) / 2, weights / 2
    # denser at the end nearest to 0, where g may have a root as sqrt|x| has one
    nodes, weights = nodes**4, 4 * nodes**3 * weights
    kinks = sorted(float(kink) for kink in loss.pieces.kinks if kink != 0)
    stretches = list(itertools.pairwise([-math.inf, *kinks, math.inf]))

    def integral(u: Tensor) -> Tensor:
        total = torch.exp(-power * u) * g(u)
        if power == 0:
            return total
        for low, high in stretches:
            start = min(
                max(0.0, low), high
            )  # its end nearest to 0; where u does not come so far, the length is 0
            length = (u.clamp(low, high) - start).unsqueeze(-1)
            inside = start + length * nodes.to(u.device)
            values = g(inside) * torch.exp(-power * inside)
            total = total + power * (length * values * weights.to(u.device)).sum(-1)
        return total

    return integral
