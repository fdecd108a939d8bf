"""The audit: a torch callable in, the loss it really is, its divergence, its verdicts and its
problems out.

residual "target/model": x = log p_B - log p_F, g = the callable
residual "model/target": g(x) = callable(-x)
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from divergence_lab.audit import identifying, looking, probing, simplices, subjects, variants
from divergence_lab.audit.claims import Claims, claims_of, contradictions
from divergence_lab.audit.identification import splines
from divergence_lab.audit.identification.ends import hockey_stick, if_it_goes_on
from divergence_lab.audit.placed.outcome import outcome, with_open_batch
from divergence_lab.audit.placed.penalties import look_at
from divergence_lab.audit.placed.rounding import lost_far_out
from divergence_lab.audit.placed.standing import read_standing, refuse_where_it_cannot_stand
from divergence_lab.audit.placed.terms import identify_in_place, open_batch, vanishes_in_place
from divergence_lab.audit.presets.named import find_preset, is_preset
from divergence_lab.audit.problems import (
    at_zero,
    besides_the_residual,
    class_changes,
    far_problems,
    gathered,
    is_surrogate,
)
from divergence_lab.audit.result import Audit, Other
from divergence_lab.audit.rounding.precision import DTYPES
from divergence_lab.audit.rounding.telling import (
    in_every_dtype,
    lost_in,
    not_checked,
    not_looked_for,
    told_jumps,
)
from divergence_lab.audit.stretches import Stretch, grid, stretches, up_to_others, with_narrow
from divergence_lab.audit.subjects.feeding import roles_of
from divergence_lab.graphs.ambient import plain_torch
from divergence_lab.inputs import is_number, shown
from divergence_lab.theory.answers.derivation import Derivation, derive
from divergence_lab.theory.divergence.loss import GAUGE_UNSEEN
from divergence_lab.theory.expressions import write
from divergence_lab.theory.verdicts.verdict import UNDECIDED, Verdict

RANGE = (-100.0, 100.0)
# Shown as samples of g', so that what was not identified can at least be looked at.
SHOWN = (
    -50.0,
    -20.0,
    -10.0,
    -5.0,
    -2.0,
    -1.0,
    -0.5,
    -0.1,
    0.1,
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    20.0,
    50.0,
)


@plain_torch()
def audit(
    thing: Callable[..., Any] | str,
    residual: str | None = None,
    range: tuple[float, float] = RANGE,
    dtype: str = "float64",
    budget: float = 20.0,
    feed: Sequence[str] | None = None,
    summed: bool = False,
    bind: Mapping[str, Any] | None = None,
    item: str | None = None,
    placement: str | None = None,
    sampler: str = "on",
    baseline: str | None = None,
    clip_ratio: tuple[float, float] | None = None,
    per: str | None = None,
) -> Audit:
    """Which divergence does this torch loss minimise? The callable is run; a text "module:callable"
    is imported first; "preset:NAME" brings its own residual, placement, baseline and per.

    residual: what the callable receives, "target/model" (log p_B - log p_F) or "model/target".
    range: the least and the largest residual looked at, in nats, at most 10000 in size. dtype: in
    which it is run, "float64", "float32", "bfloat16" or "float16".
    feed: what its arguments are, in turn (residual, log_pf, log_pb, pf, pb, mask, log_z=0).
    summed: the callable holds the weights p itself and is summed over objects. bind: keyword
    arguments that are fixed. item: which part of a tuple or dict that it returns is trained.
    placement: where the callable stands, "loss", "reward" (held, times grad log p_F) or "weighted"
    (times p_F/sg(p_F)). sampler: who draws, "on", "backward", "power:B", "mixture:E". baseline:
    what training subtracts from it, "none", "mean" (of the batch; "mean:8" of 8 draws) or
    "leave-one-out". clip_ratio: the range of the held importance weights. per: what it is taken
    of, "sequence" or "token". budget: processor seconds for the derivation. Raises AuditError (an
    InputError) with one line.

        >>> import divergence_lab as dl
        >>> found = dl.audit(lambda residual: residual.exp() - residual - 1)
        >>> found.effective_loss, found.divergence, found.under_the_other_sign.divergence
        ('exp(x) - x - 1', 'forward KL', 'Neyman chi-square')
        >>> dl.audit(lambda residual: -residual, placement="reward").divergence
        'reverse KL'
    """
    own = find_preset(str(thing)) if is_preset(thing) else None
    residual = residual or (own.residual if own else "target/model")
    low, high = _checked(range, residual, dtype, budget)
    standing = read_standing(
        placement or (own.placement if own else "loss"),
        sampler,
        baseline or (own.baseline if own else "none"),
        clip_ratio,
        per or (own.per if own else "sequence"),
    )
    if own is not None:
        call, name = own.call, str(thing).strip()
    elif isinstance(thing, str):
        call, name = subjects.load(thing, bind), thing.strip()
    else:
        name = getattr(thing, "__qualname__", None) or type(thing).__qualname__
        call = subjects.as_callable(thing, name, None, bind)
    looked_at = look_at(call, name, residual, feed, summed, item, standing)
    refuse_where_it_cannot_stand(name, standing, looked_at.centred, looked_at.summed)
    looked_at = replace(looked_at, standing=standing)
    if not probing.runs_in(looked_at, DTYPES[dtype]):
        works = ", ".join(str(kind).removeprefix("torch.") for kind in looked_at.dtypes)
        raise subjects.AuditError(f"{name} does not run in {dtype}: say --dtype {works}")
    before = probing.slopes(looked_at, np.array(looking.ALONE), looked_at.dtypes[0])
    audited = _audited(looked_at, call, residual, DTYPES[dtype], low, high, budget)
    looking.refuse_where_it_moved(looked_at, before)
    if not standing.open_batch or audited.because or audited.effective_loss is None:
        return audited
    return with_open_batch(audited, open_batch(looked_at, low, high), budget)


def _checked(
    ends: Sequence[float], residual: str, dtype: str, budget: float
) -> tuple[float, float]:
    if dtype not in DTYPES:
        raise subjects.AuditError(f"--dtype {str(dtype)[:20]!r}: say {', '.join(DTYPES)}")
    if residual not in ("target/model", "model/target"):
        raise subjects.AuditError(
            f"--residual {str(residual)[:30]!r}: say target/model (log p_B - log p_F) or "
            "model/target"
        )
    if not is_number(budget, 0) or not budget > 0:
        raise subjects.AuditError(
            f"--budget {shown(str(budget))} is not a positive number of seconds"
        )
    try:
        low, high = (float(end) if is_number(end) else math.nan for end in ends)
    except (TypeError, ValueError):
        low = high = math.nan
    if math.isnan(low) or math.isnan(high):
        raise subjects.AuditError("--range: give two numbers, as in --range -100,100")
    if not -1e4 <= low <= -2 * identifying.CORE or not 2 * identifying.CORE <= high <= 1e4:
        raise subjects.AuditError(
            f"--range {low:g},{high:g}: the audit needs residuals on both sides of 0, "
            "from at most -1 "
            "to at least 1, and none beyond 10000"
        )
    return low, high


def _audited(
    looked_at: probing.Subject,
    call: Callable[..., Any],
    residual: str,
    dtype: torch.dtype,
    low: float,
    high: float,
    budget: float,
) -> Audit:
    identified, gauge, coarse = identify_in_place(looked_at, low, high)
    derivation = derive(identified.loss, budget=budget) if identified else None
    points = grid(low, high, dtype)
    points = with_narrow(looked_at, points, dtype, gauge, identified)
    runs = stretches(looked_at, points, dtype, gauge, identified)
    best = looked_at.dtypes[0]
    sure = runs if dtype == best else stretches(looked_at, points, best, gauge, identified)
    identified = up_to_others(identified, [*runs, *sure])
    unknown = _why_unknown(runs, gauge)
    vanishes = identified is None and vanishes_in_place(looked_at, low, high)
    stands = outcome(looked_at.standing, identified, derivation, runs, gauge, unknown, vanishes)
    identified, derivation = (identified, derivation) if stands.bound else (None, None)
    forcing, avoiding = _verdicts(
        derivation, stands.because if stands.because and not stands.bound else unknown
    )
    going_on = (None, None)
    if identified is None and looked_at.standing.plain:
        going_on = if_it_goes_on(points, probing.slopes(looked_at, points, dtype) - gauge)
    constant = gauge != 0 and {run.state for run in runs} == {"dead"}
    surrogate = is_surrogate(looked_at, identified, dtype, gauge)
    clip, clip_note = variants.without_clip(identified, surrogate, low, high, derivation, budget)
    shipped = variants.as_shipped(looked_at, identified, coarse, low, high, budget / 2)
    strictly = variants.strict_class(shipped, low, high)
    in_dtypes = in_every_dtype(looked_at, points, gauge, sure, identified, surrogate)
    jumping, kinks = told_jumps(looked_at, points, runs, identified)
    verdicts = (forcing.holds, avoiding.holds)
    changes = class_changes(looked_at, runs, dtype, identified, verdicts, strictly)
    if sure is not runs:  # what differs by less than this dtype holds is another loss, too
        finer = class_changes(looked_at, sure, best, identified, verdicts, strictly)
        changes += [p for p in finer if not any(q.low < p.high and p.low < q.high for q in changes)]
    problems = [
        *at_zero(looked_at, dtype, gauge),
        *besides_the_residual(looked_at, points),
        *lost_in(in_dtypes, runs, dtype, looked_at.standing.plain),
        *lost_far_out(looked_at, points, dtype),
        *gathered(far_problems(looked_at, runs, dtype, gauge, identified)),
        *clip,
        *gathered(jumping),
        *gathered(changes),
    ]
    errors = (
        simplices.gradient_errors(looked_at, identified, derivation.divergence)
        if identified and derivation
        else None
    )
    claims = claims_of(call, roles_of(looked_at.call, looked_at.arguments))
    divergence = derivation.divergence if derivation else None
    name = divergence.name if divergence else None
    factor = write(divergence.factor) if divergence and divergence.factor is not None else None
    if identified and name is None:
        name, factor = hockey_stick(identified.loss) or (name, factor)
    other = variants.under_the_other_sign(looked_at, identified, derivation, low, high, budget / 2)
    shown = np.array([point for point in SHOWN if low <= point <= high])
    return Audit(
        looked_at.name,
        residual,
        str(dtype).removeprefix("torch."),
        looked_at.feed,
        looked_at.summed,
        looked_at.reduction,
        (low, high),
        write(identified.loss.expression) if identified else None,
        identified.loss.name if identified else None,
        name,
        factor,
        write(divergence.generator) if divergence and divergence.generator is not None else None,
        forcing,
        avoiding,
        gauge,
        surrogate,
        bool(identified and identified.fitted),
        (identified.low, identified.high) if identified else None,
        other,
        str(claims) if claims else None,
        None
        if not claims or identified is None
        else not contradictions(
            claims, write(identified.loss.expression), name, factor, forcing.holds, avoiding.holds
        ),
        (
            *(
                note
                for note in _notes(
                    claims, name, factor, forcing, avoiding, identified, gauge, surrogate, other
                )
                if not (stands.because and note.endswith(stands.because))  # it is told as such
            ),
            *looked_at.notes,
            *stands.notes,
            *clip_note,
            *kinks,
            *(
                []
                if identified or constant
                else not_looked_for(probing.slopes(looked_at, points, dtype))
            ),
        ),
        tuple(problems),
        errors[0] if errors else None,
        1e-4 if coarse else 1e-7 if identified and identified.fitted else 1e-9,
        errors[1] if errors else None,
        tuple(zip(shown.tolist(), probing.slopes(looked_at, shown, dtype).tolist())),
        ()
        if identified or constant
        else splines.spline_generator(points, probing.slopes(looked_at, points, dtype) - gauge),
        shipped,
        going_on,
        tuple(not_checked(looked_at, identified, errors, constant)),
        tuple(in_dtypes.items()),
        looked_at.standing,
        stands.zero_gradient,
        stands.because,
    )


# --- the parts


def _why_unknown(runs: Sequence[Stretch], gauge: float) -> str:
    if gauge != 0 and {run.state for run in runs} == {"dead"}:
        return (
            f"the gradient is {gauge:.4g} at every residual: on-policy, the expected "
            "gradient is 0 where |p_F| does not "
            "depend on the parameters moved (the policy in TB; in DB given its flows), "
            "so the callable minimises nothing"
        )
    if any(run.state == "wrong" and run.low <= 0 <= run.high for run in runs):
        return (
            "the gradient has the wrong sign next to 0, so the callable is no loss there and "
            "has no divergence"
        )
    return (
        "no loss of the catalogue, no family with fitted parameters and no sum of two "
        "terms has this gradient; "
        "samples on a bounded range say nothing of the two ends, on which the verdicts rest"
    )


def _verdicts(derivation: Derivation | None, because: str) -> tuple[Verdict, Verdict]:
    if derivation is None:
        unknown = Verdict(None, UNDECIDED, because)
        return unknown, unknown
    return derivation.verdicts.zero_forcing, derivation.verdicts.zero_avoiding


def _notes(
    claims: Claims | None,
    divergence: str | None,
    factor: str | None,
    forcing: Verdict,
    avoiding: Verdict,
    found: identifying.Found | None,
    gauge: float,
    surrogate: bool | None,
    other: Other,
) -> list[str]:
    loss = write(found.loss.expression) if found else None
    told = contradictions(claims, loss, divergence, factor, forcing.holds, avoiding.holds)
    if (
        told
        and other.effective_loss
        and not contradictions(
            claims,
            other.effective_loss,
            other.divergence,
            other.factor,
            other.zero_forcing,
            other.zero_avoiding,
        )
    ):
        told.append("with the other sign of the residual it would be what is documented")
    if found is None:
        told.append(f"no effective loss: {forcing.because}")
    elif found.fitted:
        told.append("a number in the effective loss was fitted: it is not known exactly")
    if surrogate:
        told.append("a surrogate: the value it returns is not g, only its gradient is that of g")
    if gauge:
        told.append(f"the straight part {gauge:.6g}*x was set aside: {GAUGE_UNSEEN}")
    return told
