"""What a callable minimises where it stands, and in one sentence why it minimises no f-divergence.

(Propositions 29 and 30: importance weights, baselines, tokens.)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from divergence_lab.audit import identifying, result, stretches
from divergence_lab.audit.placed.standing import EXAMPLE_BATCH, Standing
from divergence_lab.theory.answers.derivation import Derivation, derive
from divergence_lab.theory.checker.fields.placements import why
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions import write, x


@dataclass(frozen=True)
class Outcome:
    """`zero_gradient`: the expected gradient vanishes. `because`: why no f-divergence is minimised.
    `bound`: is the gradient that of the effective loss, in expectation? `notes`: what else follows
    from where it stands.
    """

    zero_gradient: bool
    because: str | None
    bound: bool
    notes: tuple[str, ...] = ()


def outcome(
    standing: Standing,
    found: identifying.Found | None,
    derivation: Derivation | None,
    runs: Sequence[stretches.Stretch],
    gauge: float,
    unknown: str,
    vanishes: bool = False,
) -> Outcome:
    """What follows, of the loss found and of the stretches of its slope; `unknown` says why none
    was found. `vanishes`: the slope is known to be constant, whatever its numbers look like.
    """
    dead = vanishes or {run.state for run in runs} == {"dead"}
    reason = _no_function_of_the_residual(standing, derivation, dead)
    if reason is None and standing.per == "token" and standing.placement == "reward":
        reason = _of_later_tokens(found, gauge, dead)
    if reason is not None:
        return Outcome(False, reason, False)
    if dead:
        return Outcome(True, _sentence(standing, True, None), True)
    if derivation is not None:
        return Outcome(False, _sentence(standing, False, derivation), True, _notes(standing))
    wrong = any(run.state == "wrong" and run.low <= 0 <= run.high for run in runs)
    return Outcome(False, unknown if wrong else None, True, _notes(standing))


def _sentence(standing: Standing, zero: bool, derivation: Derivation | None) -> str | None:
    weight = standing.weighting.weight if standing.reweighted else "p_F"
    if derivation is None:
        return why(standing.placement, weight, zero, None, None, "")
    valid, convex = derivation.verdicts.valid, derivation.verdicts.convex
    return why(standing.placement, weight, zero, valid.holds, convex.holds, valid.because)


def _no_function_of_the_residual(
    standing: Standing, derivation: Derivation | None, dead: bool
) -> str | None:
    """Why the gradient is not sum p_F h(x) grad log p_F for any function h of the residual."""
    if standing.sampler == "on" and standing.clip not in (None, (0.0, math.inf)):
        name = derivation.divergence.name if derivation else None
        bare = "it vanishes" if dead else f"it is that of {name}" if name else "it is on-policy"
        return (
            "the weights p_F/b of draws from an older policy b are clipped to "
            f"[{standing.clip[0]:g}, {standing.clip[1]:g}]: the gradient depends on b and is that "
            f"of no divergence between p_B and p_F; where no weight is clipped {bare}"
        )
    if standing.reweighted and standing.baseline != "none" and standing.placement != "loss":
        return (
            "a baseline is subtracted under draws that are not the model's: E[grad log p_F] is "
            "not 0 there, and what it adds depends on the policy, not on the residual"
        )
    if standing.reweighted and standing.placement == "reward" and standing.per == "token":
        return (
            "penalties of later tokens count under draws that are not the model's: how often "
            "they are met is not the model's own"
        )
    return None


def _of_later_tokens(found: identifying.Found | None, gauge: float, dead: bool) -> str | None:
    """A penalty on each token is met again in the return of all tokens before it: exact for
    k = -c x alone, by the chain rule of KL.
    """
    if (
        found is not None
        and gauge == 0
        and found.loss.expression.coeff(x, 2) * x**2 == (found.loss.expression)
    ):
        return None
    if found is None and dead and gauge == 0:
        return None
    return (
        "a penalty on each token counts in the return of all tokens before it, and only for "
        "k = -c x (c > 0) do these add up to a divergence, the reverse KL of whole sequences"
        + ("; a constant one prices the length" if dead else "")
    )


def _notes(standing: Standing) -> tuple[str, ...]:
    told = []
    if standing.per == "token" and standing.placement != "reward":
        drawn = "p_F" if standing.sampler == "on" else standing.weighting.weight
        told.append(
            "per token: the divergence is between p_B(.|s) and p_F(.|s) in every state s, "
            f"weighted by how often draws from {drawn} pass there, which is held; it is not that "
            "of whole sequences"
        )
    if standing.baseline != "none" and standing.placement == "loss":
        told.append(
            "a baseline that is held has no gradient in a loss; a callable that centres the "
            "residual itself (VarGrad) is audited as it is"
        )
    elif standing.baseline == "leave-one-out":
        told.append("the leave-one-out mean changes nothing in expectation")
    elif standing.baseline == "mean" and standing.placement == "reward":
        told.append(
            "the mean of a batch of K, the draw itself included, multiplies the expected gradient "
            "by 1 - 1/K"
        )
    return tuple(told)


def with_open_batch(audited: result.Audit, loss: Loss | None, budget: float) -> result.Audit:
    """The audit of a weighted term less the mean of its batch, for every size K > 1 of it."""
    told = f"K is the size of the batch; numbers were looked at with K = {EXAMPLE_BATCH}"
    nothing = result.Other(None, None, None, None, None)
    if loss is None:
        return replace(
            audited,
            effective_loss=None,
            divergence=None,
            factor=None,
            generator=None,
            under_the_other_sign=nothing,
            notes=(*audited.notes, f"{told}: give it, --baseline mean:{EXAMPLE_BATCH}"),
        )
    known = derive(loss, budget=budget)
    found, verdicts = known.divergence, known.verdicts
    return replace(
        audited,
        effective_loss=write(loss.expression),
        loss_name=None,
        divergence=found.name,
        factor=None if found.factor is None else write(found.factor),
        generator=None if found.generator is None else write(found.generator),
        zero_forcing=verdicts.zero_forcing,
        zero_avoiding=verdicts.zero_avoiding,
        because=_sentence(audited.standing, audited.zero_gradient, known),
        under_the_other_sign=nothing,
        notes=(*audited.notes, told),
    )
