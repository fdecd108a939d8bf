"""The effective loss tested where it counts: autograd through the callable against the exact divergence.

    grad sum_o sg(p_F) loss(x)   against   grad D_f(p_B||p_F),     p_F = Z softmax(theta), p_B random, float64
"""

from __future__ import annotations

import numpy as np
import torch

from divergence_lab.audit.identifying import Found
from divergence_lab.audit.probing import Subject, feed_arguments, run
from divergence_lab.bridge import NotRepresentable, generator_to_torch
from divergence_lab.theory.divergence import Divergence

SIMPLICES = 8
OUTCOMES = 6
# Residuals stay within this, and within the stretch where the effective loss holds.
REACH = 3.0


def max_gradient_error(subject: Subject, found: Found, divergence: Divergence) -> float | None:
    """Largest |difference| over largest |component|, over random simplices; None where f can't be evaluated.

    With a gauge b != 0 only theta is compared: log Z is pushed by b.
    """
    dtype = subject.dtypes[0]
    try:
        generator = generator_to_torch(divergence)
    except NotRepresentable:
        return None
    reach = min(REACH, 0.9 * min(-found.low, found.high))
    worst = 0.0
    for seed in range(SIMPLICES):
        random = np.random.default_rng(seed)
        theta = torch.tensor(random.uniform(-0.4, 0.4, OUTCOMES) * reach / 2, dtype=torch.float64, requires_grad=True)
        log_z = torch.tensor(float(random.uniform(-0.2, 0.2)) * reach / 2, dtype=torch.float64, requires_grad=True)
        with torch.no_grad():
            shift = torch.tensor(random.uniform(-0.7, 0.7, OUTCOMES) * reach, dtype=torch.float64)
            log_pb = torch.log_softmax(theta, 0) + log_z + shift
        with torch.enable_grad():
            log_pf = torch.log_softmax(theta, 0) + log_z
            total = torch.zeros((), dtype=torch.float64)
            for one in range(OUTCOMES):  # one object a call, so that no mean over the batch enters
                term = run(subject, feed_arguments(subject, log_pf[one:one + 1].to(dtype),
                                                   log_pb[one:one + 1].to(dtype))).sum().double()
                total = total + (term if subject.summed else log_pf[one].exp().detach() * term)
            ours = torch.autograd.grad(total, (theta, log_z))
            p_f = (torch.log_softmax(theta, 0) + log_z).exp()
            exact = torch.autograd.grad((p_f * generator(log_pb.exp() / p_f)).sum(), (theta, log_z))
        count = 1 if found.gauge else 2
        a, b = (torch.cat([part.reshape(-1) for part in parts[:count]]) for parts in (ours, exact))
        largest = float(torch.max(a.abs().max(), b.abs().max()))
        error = float((a - b).abs().max()) / largest if largest > 0 else 0.0
        if not error <= worst:  # a nan counts as the worst
            worst = error
    return worst
