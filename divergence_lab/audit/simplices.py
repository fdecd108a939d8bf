"""The callable's autograd gradient on random simplices against the exact gradient of the divergence
found.

    grad sum_o sg(p_F(o)) loss(x(o))   against   grad sum_o p_F(o) f(p_B(o)/p_F(o)),
    p_F = Z softmax(theta)

Parameters: theta and log Z. The divergence's side differentiates the closed form of f, it does not
use g.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from divergence_lab.audit import identifying, probing
from divergence_lab.bridge import NotRepresentable, generator_to_torch
from divergence_lab.theory.divergence.closed_form import Divergence

OBJECTS, DRAWS = 7, 8
# Residuals on the simplices are at most this large, and inside the stretch in which the loss was
# found.
FARTHEST = 4.0


def gradient_errors(
    subject: probing.Subject, found: identifying.Found, divergence: Divergence, seed: int = 0
) -> tuple[float, float | None] | None:
    """(largest error over the largest component, the same with the residual's sign flipped); None
    without a torch f.

    The straight part (the gauge b) is the divergence's b (sum p_B - sum p_F). The flipped error is
    None for a callable that is not fed with the residual.
    """
    # autograd through a closed form of several pieces may give nan (the piece not taken is
    # infinite): then the integral
    for known in (divergence, replace(divergence, generator=None)):
        try:
            errors = _errors(subject, found, generator_to_torch(known), seed)
        except NotRepresentable:
            continue
        if math.isfinite(errors[0]):
            return errors[0], errors[1] if errors[1] is not None and math.isfinite(
                errors[1]
            ) else None
    return None


def _errors(
    subject: probing.Subject,
    found: identifying.Found,
    generator: Callable[[Tensor], Tensor],
    seed: int,
) -> tuple[float, float | None]:
    random = np.random.default_rng(seed)
    low, high = 0.9 * max(found.low, -FARTHEST), 0.9 * min(found.high, FARTHEST)
    dtype = subject.dtypes[0]
    flipped = replace(subject, sign=-subject.sign) if "residual" in subject.feed else None
    worst: tuple[list[float], list[float]] = ([], [])
    for _ in range(DRAWS):
        theta = torch.tensor(random.normal(size=OBJECTS), dtype=dtype, requires_grad=True)
        log_z = torch.tensor(random.normal(), dtype=dtype, requires_grad=True)
        residual = torch.tensor(random.uniform(low, high, OBJECTS), dtype=dtype)
        parameters = (theta, log_z)
        with torch.enable_grad():
            log_pf = log_z + torch.log_softmax(theta, 0)
            log_pb = (log_pf + residual).detach()
            exact = _gradient(
                _divergence(generator, log_pf.double(), log_pb.double(), found.gauge), parameters
            )
            seen = [
                _gradient(_weighted(one, log_pf, log_pb), parameters)
                for one in (subject, flipped)
                if one
            ]
        size = max(float(exact.abs().max()), 1e-300)
        for index, gradient in enumerate(seen):
            worst[index].append(float((gradient - exact).abs().max()) / size)
    return tuple(
        float(np.max(errors)) if errors else None for errors in worst
    )  # np.max keeps nan, max() loses it


def _divergence(
    generator: Callable[[Tensor], Tensor], log_pf: Tensor, log_pb: Tensor, gauge: float
) -> Tensor:
    pf, pb = log_pf.exp(), log_pb.exp()
    return (pf * generator(pb / pf)).sum() + gauge * (pb - pf).sum()


def _weighted(subject: probing.Subject, log_pf: Tensor, log_pb: Tensor) -> Tensor:
    """sum_o sg(p_F) loss, one object a call: a mean over the batch would be one over other
    weights.
    """
    total = torch.zeros((), dtype=torch.float64)
    for pf, pb in zip(log_pf.split(1), log_pb.split(1)):
        told = probing.run(subject, probing.feed_arguments(subject, pf, pb)).double().sum()
        total = total + (told if subject.summed else pf.detach().double().exp().sum() * told)
    return total


def _gradient(value: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
    return torch.cat(
        [
            part.double().reshape(-1)
            for part in torch.autograd.grad(value, parameters, retain_graph=True)
        ]
    )
