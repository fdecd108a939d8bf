"""Is the loss what a term k(x) makes of itself where it stands? Part of the trusted checker.

    loss        g' = k'
    reward      g' = -k
    weighted    g' = k' - k

times mu/p_F under a sampler mu, up to a constant: the gauge, which `as_given` keeps
(Proposition 29). What the placement says of a gradient that vanishes, and of one that is no
f-divergence's, follows from the verdicts, word for word.
"""

from collections.abc import Mapping
from typing import Any

import sympy as sp

from divergence_lab.theory.checker.facts import proofs
from divergence_lab.theory.checker.facts.parts import Part
from divergence_lab.theory.checker.fields import samplers
from divergence_lab.theory.checker.fields.losses import Subject
from divergence_lab.theory.expressions import x

FIELDS = ("placement", "term", "zero_gradient", "because")
LEADS = {
    "loss": "a term in the loss acts as the loss with g' = k'",
    "reward": "a penalty held in the reward acts as the loss with g' = -k",
    "weighted": "a term times p_F/sg(p_F) acts as the loss with g' = k' - k",
}


def why(
    placement: str, weight: str, zero: bool, valid: Any, convex: Any, reason: str
) -> str | None:
    """Why a placed term minimises no f-divergence, in one sentence; None where that is not so, or
    not known. `valid`, `convex`: what the verdicts say; `reason`: the sentence of validity.

    >>> why("loss", "p_F", True, False, True, "g is constant")[:45]
    "a term in the loss acts as the loss with g' ="
    """
    lead = LEADS[placement] + ("" if weight == "p_F" else f", times {_in_brackets(weight)}/p_F")
    if zero:
        return (
            f"{lead}, a constant here: the expected gradient is 0, for E[grad log p_F] = 0 under "
            "p_F"
        )
    if valid is False and convex is False:
        return f"{lead}, and minimises no f-divergence (f is not convex): {reason}"
    return None


def _in_brackets(weight: str) -> str:
    return f"({weight})" if " " in weight else weight


def check_placement(entry: Mapping[str, Any], subject: Subject) -> None:
    """The loss is that of `term` where it stands, under the sampler; what follows is said so."""
    if all(entry.get(name) is None for name in FIELDS):  # no term was placed
        return
    kind = entry.get("placement")
    if kind not in LEADS:
        raise proofs.Refuted("there is no such placement")
    if entry["sampled_loss"] is not None:
        raise proofs.Refuted("a term was placed, and no loss")
    sampler, numbers = samplers.read_sampler(entry, subject)
    if sampler == "learned_backward":
        raise proofs.Refuted("a term is placed where the model learns, not p_B")
    term = subject.read(entry["term"])
    gauge = subject.read(entry["gauge"]["slope"], sp.Dummy())
    k = sum(numbers) if sampler == "powers" else sp.S.One
    term = term.subs(x, x / k)
    pieces = [subject.smooth(term, part) for part in subject.parts]
    for value, part in zip(pieces, subject.parts):
        slope = _slope(kind, sampler, numbers, value, k)
        subject.vanishes(part.slope + gauge - slope, part)
    subject.need_limits(term, pieces)
    _check_zero(entry, subject)
    said = why(
        kind,
        entry["weighted_by"],
        entry["zero_gradient"],
        entry["valid"],
        entry["convex"]["holds"],
        entry["validity"]["because"],
    )
    if entry["because"] != said:
        raise proofs.Refuted("because is not what the placement and the verdicts say")


def _slope(kind: str, sampler: str, numbers: list[sp.Expr], value: sp.Expr, k: Any) -> sp.Expr:
    """The slope of the placed term on a piece of the loss, in the residual of the loss."""
    slope = k * sp.diff(value, x)
    placed = {"loss": slope, "reward": -value, "weighted": slope - value}[kind]
    return samplers.weighed(placed, sampler, numbers) / k


def _check_zero(entry: Mapping[str, Any], subject: Subject) -> None:
    """`zero_gradient`: is g' = 0 everywhere once its gauge is taken off?"""
    if not isinstance(entry["zero_gradient"], bool):
        raise proofs.Refuted("the gradient vanishes, or it does not")
    if entry["zero_gradient"]:
        for part in subject.parts:
            subject.vanishes(part.slope, part)
    elif not any(_differs_from_zero(part, subject) for part in subject.parts):
        raise proofs.Rejected("that the gradient does not vanish is not shown")


def _differs_from_zero(part: Part, subject: Subject) -> bool:
    try:
        subject.vanishes(part.slope, part)
    except proofs.Refuted:
        return True
    except proofs.Rejected:
        return False
    return False
