"""Where a callable k stands, who draws, and what training subtracts and clips, in numbers.

    slope in place    w(x) (k', -k, or k' - c k)        w = mu/p_F, c = 1 or 1 - 1/K

(Propositions 29 and 30.) The draws and their weights are held constant.
"""

import math
from dataclasses import dataclass

import numpy as np
import sympy as sp
from torch import Tensor

from divergence_lab.audit.subjects.loading import AuditError
from divergence_lab.inputs import did_you_mean, is_number, shown
from divergence_lab.theory.answers.placements import PLACEMENTS
from divergence_lab.theory.divergence.weightings import Weighting, weighting
from divergence_lab.theory.expressions import ExpressionError, x

BASELINES = ("none", "mean", "leave-one-out")
# Where the size of the batch is left open, numbers are looked at with this many draws.
EXAMPLE_BATCH = 4


@dataclass(frozen=True)
class Standing:
    """`placement`: "loss", "reward" or "weighted". `sampler`: who draws, "on" (the model),
    "backward", "power:B", "mixture:E". `baseline`: what training subtracts from k, "none", "mean"
    (over the batch, the draw itself included; `batch`: of how many, None where that is open) or
    "leave-one-out". `clip`: the range of the held importance weights p_F/mu. `per`: what k is
    taken of, "sequence" or "token".
    """

    placement: str = "loss"
    sampler: str = "on"
    baseline: str = "none"
    batch: int | None = None
    clip: tuple[float, float] | None = None
    per: str = "sequence"

    @property
    def plain(self) -> bool:
        """Is it a loss, averaged over the model's own draws?"""
        return self.placement == "loss" and not self.reweighted

    @property
    def reweighted(self) -> bool:
        """Do draws count differently than those of p_F do, by a function of the residual?"""
        return self.sampler != "on" and self.clip != (0.0, math.inf)

    @property
    def open_batch(self) -> bool:
        """Does what is minimised depend on the size of a batch that is not known?"""
        return self.placement == "weighted" and self.baseline == "mean" and not self.batch

    @property
    def share(self) -> float:
        """c in k' - c k, of a weighted term."""
        if self.placement != "weighted" or self.baseline != "mean":
            return 1.0
        return 1 - 1 / (self.batch or EXAMPLE_BATCH)

    @property
    def weighting(self) -> Weighting:
        """The sampler's weighting."""
        return weighting(self.sampler)


IN_LOSS = Standing()


def read_standing(
    placement: str = "loss",
    sampler: str = "on",
    baseline: str = "none",
    clip_ratio: tuple[float, float] | None = None,
    per: str = "sequence",
) -> Standing:
    """The standing that these words name; `baseline` may be "mean:8". Raises AuditError."""
    _one_of("--placement", placement, PLACEMENTS)
    _one_of("--per", per, ("token", "sequence"))
    kind, _, size = str(baseline).partition(":")
    _one_of("--baseline", kind, BASELINES)
    if size and (kind != "mean" or not size.isdigit() or not 2 <= int(size) < 10**6):
        raise AuditError(f"--baseline {shown(str(baseline))}: say mean:8 for a batch of 8")
    try:
        drawn = weighting(str(sampler))
    except ExpressionError as reason:
        raise AuditError(f"--{reason}") from None
    if drawn.kind in ("powers", "learned_backward"):
        raise AuditError(f"--sampler {shown(sampler)}: say on, backward, power:B or mixture:E")
    if any(number.free_symbols for number in drawn.numbers):
        raise AuditError(f"--sampler {shown(sampler)}: give its parameter a number")
    return Standing(
        placement,
        str(sampler).strip(),
        kind,
        int(size) if size else None,
        None if clip_ratio is None else _range_of_ratios(clip_ratio),
        per,
    )


def refuse_where_it_cannot_stand(
    name: str, standing: Standing, centred: str | None, summed: bool
) -> None:
    """What depends on its batch, or holds its weights itself, is a loss on the model's own draws.

    Raises AuditError.
    """
    if standing.plain or not (centred or summed):
        return
    why = "centres the residual in its batch" if centred else "holds its weights itself (--summed)"
    raise AuditError(
        f"{name} {why}: it is audited in the loss, on the model's own draws, so leave out "
        "--placement, --sampler and --clip-ratio"
    )


def _one_of(option: str, word: str, words: tuple[str, ...]) -> None:
    if word not in words:
        near = did_you_mean(str(word), words)
        raise AuditError(f"{option} {shown(str(word))} is none of {', '.join(words)}{near}")


def _range_of_ratios(ends: tuple[float, float]) -> tuple[float, float]:
    try:
        low, high = (float(end) if is_number(end) or end == math.inf else math.nan for end in ends)
    except (TypeError, ValueError):
        low = high = math.nan
    if not 0 <= low < high:
        raise AuditError(
            "--clip-ratio: give the least and the largest weight p_F/mu, as in --clip-ratio "
            "0.8,1.2 (0,inf clips nothing)"
        )
    return low, high


def weight_of(standing: Standing) -> sp.Expr:
    """w(x) = mu/p_F; with a clip of the weights p_F/mu to [LO, HI], min(max(1, LO mu/p_F),
    HI mu/p_F).

    >>> weight_of(Standing(sampler="backward"))
    exp(x)
    >>> weight_of(Standing(sampler="backward", clip=(0.0, 2.0)))
    Min(1, 2*exp(x))
    """
    if not standing.reweighted:
        return sp.S.One
    drawn = standing.weighting
    (number,) = drawn.numbers
    law = sp.exp(number * x) if drawn.kind == "power" else 1 - number + number * sp.exp(x)
    if standing.clip is None:
        return law
    low, high = (sp.Rational(repr(end)) if math.isfinite(end) else sp.oo for end in standing.clip)
    least = sp.Max(1, low * law) if low != 0 else sp.S.One
    return least if high == sp.oo else sp.Min(least, high * law)


def weights_at(standing: Standing, points: np.ndarray) -> np.ndarray:
    """w at residuals, in float64."""
    if not standing.reweighted:
        return np.ones_like(points)
    drawn = standing.weighting
    number = float(drawn.numbers[0])
    with np.errstate(over="ignore"):
        law = np.exp(number * points)
        if drawn.kind == "mixture":
            law = 1 - number + number * np.exp(points)
    if standing.clip is None:
        return law
    low, high = standing.clip
    return np.minimum(np.maximum(1.0, low * law), high * law)


def slopes_in_place(
    standing: Standing, points: np.ndarray, slopes: np.ndarray, values: np.ndarray
) -> np.ndarray:
    """g' of the loss as which the callable acts: `slopes` are k', `values` are k (which do not
    count in a loss).
    """
    with np.errstate(all="ignore"):
        if standing.placement == "reward":
            slopes = -values
        elif standing.placement == "weighted":
            slopes = slopes - standing.share * values
        return slopes * weights_at(standing, points)


def surrogate(standing: Standing, value: Tensor, log_pf: Tensor, residual: float) -> Tensor:
    """What is differentiated for one draw of residual x: w k, w sg(k) log p_F, or w (p_F/sg(p_F))
    (k - (1 - c) sg(k)).
    """
    weight = float(weights_at(standing, np.array([residual]))[0])
    if standing.placement == "reward":
        return weight * value.detach() * log_pf
    if standing.placement == "weighted":
        ratio = (log_pf - log_pf.detach()).exp()
        return weight * ratio * (value - (1 - standing.share) * value.detach())
    return weight * value
