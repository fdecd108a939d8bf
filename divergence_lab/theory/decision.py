"""Every verdict on a loss, whether or not it has free parameters."""

from __future__ import annotations

import sympy as sp

from divergence_lab.theory.loss import Loss
from divergence_lab.theory.parameters import decide_for_parameters
from divergence_lab.theory.verdict import Verdicts, decide_plain


def decide(loss: Loss, generator: sp.Expr | None = None, budget: float = 10.0, total: float | None = None) -> Verdicts:
    """Every verdict on `loss`, each question within `budget` seconds; with parameters, the exact conditions.

    `generator` is the confirmed closed form of f if there is one; only the number f'(oo) is read off it. `total`:
    seconds for all verdicts together, kept by a loss with parameters, where any of them may take its whole budget.
    """
    return decide_for_parameters(loss, budget, total) if loss.parameters else decide_plain(loss, generator, budget)
