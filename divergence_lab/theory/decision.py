"""Every verdict on a loss, whether or not it has free parameters."""

from __future__ import annotations

import sympy as sp

from divergence_lab.theory.loss import Loss
from divergence_lab.theory.parameters import ask_for_parameters, decide_for_parameters
from divergence_lab.theory.verdict import Verdict, Verdicts, ask_one, decide_plain


def decide(loss: Loss, generator: sp.Expr | None = None, budget: float = 10.0) -> Verdicts:
    """Every verdict on `loss`, each question within `budget` seconds; with parameters, the exact conditions.

    `generator` is the confirmed closed form of f if there is one; only the number f'(oo) is read off it.
    """
    return decide_for_parameters(loss, budget) if loss.parameters else decide_plain(loss, generator, budget)


def decide_one(kind: str, loss: Loss, budget: float) -> Verdict:
    """One verdict, of `verdict.KINDS`."""
    return (ask_for_parameters if loss.parameters else ask_one)(kind, loss, budget)
