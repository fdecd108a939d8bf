"""What an audit found, and its JSON."""

import math
from dataclasses import dataclass
from typing import Any

from divergence_lab.audit.placed.standing import IN_LOSS, Standing
from divergence_lab.audit.problems import Problem
from divergence_lab.audit.rounding.precision import Lost
from divergence_lab.theory.verdicts.verdict import Verdict, verdict_to_json


@dataclass(frozen=True)
class Other:
    """What the callable would minimise if it received the residual with the other sign (or its
    arguments swapped).
    """

    effective_loss: str | None
    divergence: str | None
    factor: str | None
    zero_forcing: bool | None
    zero_avoiding: bool | None


@dataclass(frozen=True)
class AsShipped:
    """The loss with the pieces that run outside the effective one's stretch, on low <= x <= high,
    and its verdicts; `fitted`: a number in it is known to nine digits only.
    """

    loss: str
    divergence: str | None
    factor: str | None
    zero_forcing: Verdict
    zero_avoiding: Verdict
    low: float
    high: float
    fitted: bool


@dataclass(frozen=True)
class Audit:
    """What a callable minimises: D_f = `factor` x `divergence` of the loss `effective_loss`, None
    where not identified.

    `gauge`: the straight part b x of the callable that was set aside. `surrogate`: its value is not
    g, only its gradient is. `spline`: (t, f(t)) by a spline through sampled slopes where no loss
    was identified. `holds_on`: the stretch around 0 on which it is the effective loss.
    `standing`: where the callable stands, who draws, what is subtracted and clipped;
    `zero_gradient`: the expected gradient vanishes; `because`: why no f-divergence is minimised.
    `as_shipped`: the loss in pieces where another one runs outside that stretch and formulas were
    found for it. `if_it_goes_on`: (zero-forcing, zero-avoiding) of a loss without a name, by the
    two ends of the range, where g' is constant or straight up to them. `not_checked`: what could
    not be looked for, and why. `in_dtypes`: where digits are lost in each dtype.
    `max_gradient_error`: on random simplices, relative to the largest component;
    `flipped_sign_error`: the same under the other sign.

        >>> import divergence_lab as dl
        >>> found = dl.audit(lambda residual: residual**2 / 2)
        >>> found.divergence, found.zero_forcing.holds, found.zero_avoiding.holds
        ('reverse KL', True, False)
    """

    name: str
    residual: str
    dtype: str
    feed: tuple[str, ...]
    summed: bool
    reduction: str
    range: tuple[float, float]
    effective_loss: str | None
    loss_name: str | None
    divergence: str | None
    factor: str | None
    generator: str | None
    zero_forcing: Verdict
    zero_avoiding: Verdict
    gauge: float
    surrogate: bool | None
    fitted: bool
    holds_on: tuple[float, float] | None
    under_the_other_sign: Other
    documented: str | None
    documented_holds: bool | None
    notes: tuple[str, ...]
    problems: tuple[Problem, ...]
    max_gradient_error: float | None
    gradient_tolerance: float
    flipped_sign_error: float | None
    slopes: tuple[tuple[float, float], ...]
    spline: tuple[tuple[float, float], ...]
    as_shipped: AsShipped | None
    if_it_goes_on: tuple[bool | None, bool | None]
    not_checked: tuple[str, ...]
    in_dtypes: tuple[tuple[str, tuple[Lost, ...] | None], ...]
    standing: Standing = IN_LOSS
    zero_gradient: bool = False
    because: str | None = None

    @property
    def gradient_check(self) -> bool | None:
        """Does the gradient on simplices agree? None where it was not compared."""
        return (
            None
            if self.max_gradient_error is None
            else self.max_gradient_error <= self.gradient_tolerance
        )

    def to_json(self) -> dict[str, Any]:
        """The object of `audit --json` (the command-line contract)."""
        return to_json(self)


def clip_in_json(clip: tuple[float, float] | None) -> list[float | str] | None:
    """The range of the weights; no end is "oo"."""
    return None if clip is None else [end if math.isfinite(end) else "oo" for end in clip]


def to_json(audit: Audit) -> dict[str, Any]:
    """The object of `audit --json`: the keys of the contract first, then what else is known.

    >>> import divergence_lab as dl
    >>> to_json(dl.audit(lambda residual: residual**2 / 2))["divergence"]
    'reverse KL'
    """
    return {
        "effective_loss": audit.effective_loss,
        "divergence": audit.divergence,
        "zero_forcing": verdict_to_json(audit.zero_forcing, "zero_forcing"),
        "zero_avoiding": verdict_to_json(audit.zero_avoiding, "zero_avoiding"),
        "under_the_other_sign": {
            "divergence": audit.under_the_other_sign.divergence,
            "factor": audit.under_the_other_sign.factor,
            "effective_loss": audit.under_the_other_sign.effective_loss,
            "zero_forcing": audit.under_the_other_sign.zero_forcing,
            "zero_avoiding": audit.under_the_other_sign.zero_avoiding,
        },
        "documented": audit.documented,
        "documented_holds": audit.documented_holds,
        "problems": [
            {"kind": p.kind, "from": p.low, "to": p.high, "detail": p.detail}
            for p in audit.problems
        ],
        "placement": audit.standing.placement,
        "zero_gradient": audit.zero_gradient,
        "because": audit.because,
        "max_gradient_error": audit.max_gradient_error,
        "sampler": audit.standing.sampler,
        "baseline": audit.standing.baseline,
        "clip_ratio": clip_in_json(audit.standing.clip),
        "per": audit.standing.per,
        "factor": audit.factor,
        "generator": audit.generator,
        "loss_name": audit.loss_name,
        "notes": list(audit.notes),
        "gauge": audit.gauge,
        "surrogate": audit.surrogate,
        "fitted": audit.fitted,
        "holds_on": list(audit.holds_on) if audit.holds_on else None,
        "flipped_sign_error": audit.flipped_sign_error,
        "as_shipped": _shipped_to_json(audit.as_shipped),
        "if_it_goes_on": {
            "zero_forcing": audit.if_it_goes_on[0],
            "zero_avoiding": audit.if_it_goes_on[1],
        },
        "not_checked": list(audit.not_checked),
        "in_dtypes": {name: _lost_to_json(lost) for name, lost in audit.in_dtypes},
        "slopes": [
            {"x": point, "slope": slope if math.isfinite(slope) else str(slope)}
            for point, slope in audit.slopes
        ],
        "spline": [{"t": ratio, "f": value} for ratio, value in audit.spline],
        "callable": audit.name,
        "residual": audit.residual,
        "dtype": audit.dtype,
        "range": list(audit.range),
        "feed": list(audit.feed),
        "summed": audit.summed,
        "reduction": audit.reduction,
    }


def _shipped_to_json(shipped: AsShipped | None) -> dict[str, Any] | None:
    if shipped is None:
        return None
    return {
        "loss": shipped.loss,
        "divergence": shipped.divergence,
        "factor": shipped.factor,
        "zero_forcing": verdict_to_json(shipped.zero_forcing, "zero_forcing"),
        "zero_avoiding": verdict_to_json(shipped.zero_avoiding, "zero_avoiding"),
        "from": shipped.low,
        "to": shipped.high,
        "fitted": shipped.fitted,
    }


def _lost_to_json(lost: tuple[Lost, ...] | None) -> list[dict[str, Any]] | None:
    """null: the callable does not run in that dtype."""
    if lost is None:
        return None
    return [
        {"kind": one.kind, "from": one.low, "to": one.high, "detail": one.detail} for one in lost
    ]
