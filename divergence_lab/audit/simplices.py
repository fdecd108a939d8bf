"""The callable's autograd gradient on random simplices against the exact gradient of the divergence
found.

    grad sum_o sg(p_F(o)) loss(x(o))   against   grad sum_o p_F(o) f(p_B(o)/p_F(o)),
    p_F = Z softmax(theta)

Parameters: theta and log Z. The divergence's side differentiates the closed form of f, it does not
use g.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from divergence_lab.audit import identifying, probing
from divergence_lab.audit.placed.standing import surrogate
from divergence_lab.audit.subjects.loading import guarded
from divergence_lab.bridge import NotRepresentable, generator_to_torch
from divergence_lab.theory.divergence.closed_form import Divergence

OBJECTS, DRAWS = 7, 8
_ADVICE = "return a tensor that autograd can differentiate"
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
    flipped = probing.swapped_sign(subject) if subject.fed_residual else None
    weighted = _over_pairs if subject.centred else _weighted
    worst: tuple[list[float], list[float]] = ([], [])
    for _ in range(DRAWS):
        theta = torch.tensor(random.normal(size=OBJECTS), dtype=dtype, requires_grad=True)
        log_z = torch.tensor(random.normal(), dtype=dtype, requires_grad=True)
        residual = torch.tensor(random.uniform(low, high, OBJECTS), dtype=dtype)
        # a callable that centres by its batch has no log Z: the policy's part is compared
        parameters = (theta,) if subject.centred else (theta, log_z)
        log_pb = (log_z + torch.log_softmax(theta, 0) + residual).detach()
        with torch.enable_grad(), guarded(f"the gradient of {subject.name}", _ADVICE):
            exact = _gradient(
                _divergence(generator, _log_pf(theta, log_z), log_pb.double(), found.gauge),
                parameters,
            )
            # a graph for each: a compiled callable allows one pass backward through its own
            seen = [
                _gradient(weighted(one, log_z + torch.log_softmax(theta, 0), log_pb), parameters)
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
    """sum_o sg(p_F) loss, where it stands, one object a call: a mean over the batch would be one
    over other weights.
    """
    total = torch.zeros((), dtype=torch.float64)
    for pf, pb in zip(log_pf.split(1), log_pb.split(1)):
        told = probing.run(subject, probing.feed_arguments(subject, pf, pb)).double().sum()
        told = surrogate(subject.standing, told, pf.double().sum(), float((pb - pf).detach().sum()))
        total = total + (told if subject.summed else pf.detach().double().exp().sum() * told)
    return total


def _over_pairs(subject: probing.Subject, log_pf: Tensor, log_pb: Tensor) -> Tensor:
    """The expected loss of a batch of two that is drawn from the policy, K/(K-1) = 2 times it: a
    quadratic centred by the batch has (1 - 1/K) of the divergence's gradient.

    Drawn with weights p_F, so Z times that of the normalised policy.
    """
    weight = torch.softmax(log_pf.detach().double(), 0)
    total = torch.zeros((), dtype=torch.float64)
    for i, j in itertools.product(range(len(log_pf)), repeat=2):
        pair = torch.tensor([i, j])
        told = probing.run(subject, probing.feed_arguments(subject, log_pf[pair], log_pb[pair]))
        one = told.double().sum() / (2.0 if told.numel() > 1 else 1.0)
        total = total + weight[i] * weight[j] * one
    factor = 2.0 if subject.centred == "mean" else 1.0
    return factor * float(log_pf.detach().exp().sum()) * total


def _log_pf(theta: Tensor, log_z: Tensor) -> Tensor:
    return (log_z + torch.log_softmax(theta, 0)).double()


def _gradient(value: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
    parts = torch.autograd.grad(value, parameters)
    return torch.cat([part.detach().double().reshape(-1) for part in parts])
