"""The audit: a torch callable in, the loss it really is, its divergence, its verdicts and its
problems out.

residual "target/model": x = log p_B - log p_F, g = the callable
residual "model/target": g(x) = callable(-x)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy as sp
import torch

from divergence_lab.audit.claims import Claims, claims_of, contradictions
from divergence_lab.audit.identifying import CORE, Found, identify
from divergence_lab.audit.probing import Subject, slopes, subject
from divergence_lab.audit.problems import (
    Problem,
    Stretch,
    at_zero,
    cancellation,
    class_changes,
    far_problems,
    grid,
    is_surrogate,
    jumps,
    stretches,
)
from divergence_lab.audit.simplices import gradient_errors
from divergence_lab.audit.splines import spline_generator
from divergence_lab.audit.subjects import AuditError, load, prepare
from divergence_lab.graphs.ambient import plain_torch
from divergence_lab.theory.answers.derivation import Derivation, derive
from divergence_lab.theory.divergence.loss import GAUGE_UNSEEN, from_expression
from divergence_lab.theory.expressions.printing import write
from divergence_lab.theory.expressions.symbols import x
from divergence_lab.theory.verdicts.verdict import UNDECIDED, Verdict, verdict_to_json

RANGE = (-100.0, 100.0)
DTYPES = {"float32": torch.float32, "float64": torch.float64}
# Relative accuracy of sampled gradients, by what they are really computed in.
ACCURACY = {torch.float32: 3e-6, torch.float64: 1e-10}
# More stretches of a kind than this are told as one.
MANY = 6
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
_SWAPPED = {"log_pf": "log_pb", "log_pb": "log_pf", "pf": "pb", "pb": "pf", "residual": "residual"}


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
class Audit:
    """What a callable minimises: D_f = `factor` x `divergence` of the loss `effective_loss`, None
    where not identified.

    `gauge`: the straight part b x of the callable that was set aside. `surrogate`: its value is not
    g, only its gradient is. `spline`: (t, f(t)) by a spline through sampled slopes where no loss
    was identified. `holds_on`: the stretch around 0 on which it is the effective loss.
    `max_gradient_error`: on random simplices, relative to the largest component;
    `flipped_sign_error`: the same under the other sign.
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


@plain_torch()
def audit(
    thing: Callable[..., Any] | str,
    residual: str = "target/model",
    range: tuple[float, float] = RANGE,
    dtype: str = "float64",
    budget: float = 20.0,
    feed: Sequence[str] | None = None,
    summed: bool = False,
) -> Audit:
    """Which divergence does this torch loss minimise? The callable is run; a text "module:callable"
    is imported first.

    residual: what the callable receives, "target/model" (log p_B - log p_F) or "model/target".
    feed: what its arguments are, in turn (residual, log_pf, log_pb, pf, pb). summed: the callable
    holds the weights p itself and is summed over objects. budget: seconds for the derivation.
    Raises AuditError (a ValueError) with one line.
    """
    low, high = _checked(range, residual, dtype, budget)
    if isinstance(thing, str):
        call, name = load(thing), thing.strip()
    else:
        name = getattr(thing, "__qualname__", None) or type(thing).__qualname__
        call = prepare(thing, name)
    looked_at = subject(call, name, residual, feed, summed)
    if DTYPES[dtype] not in looked_at.dtypes:
        works = ", ".join(str(kind).removeprefix("torch.") for kind in looked_at.dtypes)
        raise AuditError(f"{name} does not run in {dtype}: say --dtype {works}")
    return _audited(looked_at, call, residual, DTYPES[dtype], low, high, budget)


def _checked(
    ends: Sequence[float], residual: str, dtype: str, budget: float
) -> tuple[float, float]:
    if dtype not in DTYPES:
        raise AuditError(f"--dtype {str(dtype)[:20]!r}: say float32 or float64")
    if residual not in ("target/model", "model/target"):
        raise AuditError(
            f"--residual {str(residual)[:30]!r}: say target/model (log p_B - log p_F) or "
            "model/target"
        )
    if not budget > 0:
        raise AuditError(f"--budget {budget:g} is not a positive number of seconds")
    try:
        low, high = (float(end) for end in ends)
    except (TypeError, ValueError):
        raise AuditError("--range: give two numbers, as in --range -100,100") from None
    if not -1e4 <= low <= -2 * CORE or not 2 * CORE <= high <= 1e4:
        raise AuditError(
            f"--range {low:g},{high:g}: the audit needs residuals on both sides of 0, "
            "from at most -1 "
            "to at least 1, and none beyond 10000"
        )
    return low, high


def _audited(
    looked_at: Subject,
    call: Callable[..., Any],
    residual: str,
    dtype: torch.dtype,
    low: float,
    high: float,
    budget: float,
) -> Audit:
    found, gauge, coarse = _identified(looked_at, low, high)
    derivation = derive(found.loss, budget=budget) if found else None
    points = grid(low, high, dtype)
    runs = stretches(looked_at, points, dtype, gauge, found)
    forcing, avoiding = _verdicts(derivation, _why_unknown(runs, gauge))
    constant = gauge != 0 and {run.state for run in runs} == {"dead"}
    surrogate = is_surrogate(looked_at, found, dtype, gauge)
    clip, clip_note = _clip(found, surrogate, low, high, derivation, budget)
    problems = [
        *at_zero(looked_at, dtype, gauge),
        *cancellation(looked_at, found, dtype, gauge, surrogate),
        *_gathered(far_problems(looked_at, runs, dtype, gauge, found)),
        *clip,
        *jumps(looked_at, points, runs, found),
        *class_changes(looked_at, runs, dtype, forcing.holds, avoiding.holds),
    ]
    errors = (
        gradient_errors(looked_at, found, derivation.divergence) if found and derivation else None
    )
    claims = claims_of(call)
    divergence = derivation.divergence if derivation else None
    name = divergence.name if divergence else None
    factor = write(divergence.factor) if divergence and divergence.factor is not None else None
    other = _other_sign(looked_at, found, derivation, low, high, budget / 2)
    shown = np.array([point for point in SHOWN if low <= point <= high])
    return Audit(
        looked_at.name,
        residual,
        str(dtype).removeprefix("torch."),
        looked_at.feed,
        looked_at.summed,
        looked_at.reduction,
        (low, high),
        write(found.loss.expression) if found else None,
        found.loss.name if found else None,
        name,
        factor,
        write(divergence.generator) if divergence and divergence.generator is not None else None,
        forcing,
        avoiding,
        gauge,
        surrogate,
        bool(found and found.fitted),
        (found.low, found.high) if found else None,
        other,
        str(claims) if claims else None,
        None
        if not claims or found is None
        else not contradictions(
            claims, write(found.loss.expression), name, factor, forcing.holds, avoiding.holds
        ),
        (
            *_notes(claims, name, factor, forcing, avoiding, found, gauge, surrogate, other),
            *clip_note,
            *([] if found or constant else _not_looked_for(slopes(looked_at, points, dtype))),
        ),
        tuple(problems),
        errors[0] if errors else None,
        1e-4 if coarse else 1e-9,
        errors[1] if errors else None,
        tuple(zip(shown.tolist(), slopes(looked_at, shown, dtype).tolist())),
        ()
        if found or constant
        else spline_generator(points, slopes(looked_at, points, dtype) - gauge),
    )


# --- the parts


def _identified(looked_at: Subject, low: float, high: float) -> tuple[Found | None, float, bool]:
    """(the loss, the gauge, was it computed in float32?), from the best gradients the callable
    has.
    """
    dtype = looked_at.dtypes[0]
    points = grid(low, high, dtype)
    observed = slopes(looked_at, points, dtype)
    gauge = _gauge(looked_at, dtype)
    # a callable may accept float64 and compute in float32 inside: then each slope is a float32
    # number
    finite = observed[np.isfinite(observed)]
    coarse = dtype == torch.float32 or (not _exact_line(points, observed) and _all_float32(finite))
    return (
        identify(points, observed, gauge, ACCURACY[torch.float32 if coarse else torch.float64]),
        gauge,
        coarse,
    )


def _all_float32(numbers: np.ndarray) -> bool:
    with np.errstate(over="ignore"):
        return len(numbers) > 0 and bool(
            np.all(numbers.astype(np.float32).astype(np.float64) == numbers)
        )


def _exact_line(points: np.ndarray, observed: np.ndarray) -> bool:
    """Few different slopes (|x|, a constant) are float32 numbers without having been computed in
    float32.
    """
    return len(np.unique(observed)) < 8 or bool(np.all(observed == points))


def _gauge(looked_at: Subject, dtype: torch.dtype) -> float:
    """g'(0) where g' is continuous there: the straight part b x.

    A kink at 0 is part of the loss: 0.
    """
    (middle,) = slopes(looked_at, np.zeros(1), dtype)
    around = slopes(looked_at, np.array([-0.5, -1e-2, -1e-3, 1e-3, 1e-2, 0.5]), dtype)
    if not math.isfinite(middle) or not np.isfinite(around[1:5]).all():
        return 0.0
    if abs(middle) <= 1e-6 * np.abs(around[[1, 4]]).max():
        return 0.0
    wide, narrow = abs(around[4] - around[1]), abs(around[3] - around[2])
    return float(middle) if narrow <= 0.5 * wide or wide <= 1e-6 * abs(middle) else 0.0


def _why_unknown(runs: Sequence[Stretch], gauge: float) -> str:
    if gauge != 0 and {run.state for run in runs} == {"dead"}:
        return (
            f"the gradient is {gauge:.4g} at every residual: on-policy, the expected "
            "gradient is 0 where |p_F| does not "
            "depend on the parameters moved (the policy in TB; in DB given its flows), "
            "so the callable minimises nothing"
        )
    at_zero = [run for run in runs if run.low <= 0 <= run.high]
    if any(run.state == "wrong" for run in at_zero):
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


def _clip(
    found: Found | None,
    surrogate: bool | None,
    low: float,
    high: float,
    derivation: Derivation | None,
    budget: float,
) -> tuple[list[Problem], list[str]]:
    """The loss found is another one with g' held constant beyond two residuals: what it would be
    without that.

    A problem where it looks like a clipped residual (a surrogate, or two different slopes); a note
    where it is a loss in its own right, as Huber's.
    """
    pieces = found.loss.derivative.pieces if found else ()
    inner = [piece for piece in pieces if piece.expression.has(x)]
    if (
        len(pieces) < 3
        or pieces[0] in inner
        or pieces[-1] in inner
        or len({piece.expression for piece in inner}) != 1
    ):
        return [], []
    bare = from_expression(sp.integrate(inner[0].expression, x))
    without = derive(bare, budget=budget / 2).verdicts
    words = [
        word
        for word, now, then in (
            ("zero-forcing", derivation.verdicts.zero_forcing, without.zero_forcing),
            ("zero-avoiding", derivation.verdicts.zero_avoiding, without.zero_avoiding),
        )
        if then.holds and now.holds is False
    ]
    if not words:
        return [], []
    left, right = float(pieces[0].high), float(pieces[-1].low)
    told = (
        f"g' stops at x = {left:g} and x = {right:g}, as that of "
        f"{write(bare.expression)} with a clipped residual; "
        f"without the clip the loss would be {' and '.join(words)}, as shipped it is not"
    )
    symmetric = sp.simplify(pieces[0].expression + pieces[-1].expression) == 0
    if surrogate or not symmetric:
        return [
            Problem("class_changed", low, left, told),
            Problem("class_changed", right, high, told),
        ], []
    return [], [told]


def _gathered(problems: list[Problem]) -> list[Problem]:
    """Many stretches of a kind told as one."""
    told = []
    for kind in dict.fromkeys(problem.kind for problem in problems):
        rows = [problem for problem in problems if problem.kind == kind]
        if len(rows) > MANY:
            near = min(rows, key=lambda row: min(abs(row.low), abs(row.high)))
            rows = [
                Problem(
                    kind,
                    rows[0].low,
                    rows[-1].high,
                    f"{len(rows)} separate stretches; the nearest to 0 is "
                    f"from {near.low:g} to {near.high:g}: {near.detail}",
                )
            ]
        told += rows
    return told


def _other_sign(
    looked_at: Subject,
    found: Found | None,
    derivation: Derivation | None,
    low: float,
    high: float,
    budget: float,
) -> Other:
    """g(-x) where the residual is fed; the loss found anew with model and target swapped where
    these are fed.
    """
    if looked_at.feed == ("residual",):
        mirrored = from_expression(found.loss.expression.subs(x, -x)) if found else None
    else:
        swapped = replace(
            looked_at, feed=tuple(_SWAPPED[word] for word in looked_at.feed), sign=-looked_at.sign
        )
        try:
            again, _, _ = _identified(
                subject(
                    swapped.call, swapped.name, _word(swapped.sign), swapped.feed, swapped.summed
                ),
                low,
                high,
            )
        except AuditError:  # swapped, it need not be a loss at all: nothing is said of it
            again = None
        mirrored = again.loss if again else None
    if mirrored is None:
        return Other(None, None, None, None, None)
    even = derivation is not None and mirrored.expression == derivation.loss.expression
    known = derivation if even else derive(mirrored, budget=budget)
    factor = known.divergence.factor
    return Other(
        write(mirrored.expression),
        known.divergence.name,
        None if factor is None else write(factor),
        known.verdicts.zero_forcing.holds,
        known.verdicts.zero_avoiding.holds,
    )


def _word(sign: float) -> str:
    return "target/model" if sign > 0 else "model/target"


def _notes(
    claims: Claims | None,
    divergence: str | None,
    factor: str | None,
    forcing: Verdict,
    avoiding: Verdict,
    found: Found | None,
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
        told.append(
            "a number in the effective loss was fitted, to nine digits: it is not known exactly"
        )
    if surrogate:
        told.append("a surrogate: the value it returns is not g, only its gradient is that of g")
    if gauge:
        told.append(f"the straight part {gauge:.6g}*x was set aside: {GAUGE_UNSEEN}")
    return told


def _not_looked_for(observed: np.ndarray) -> list[str]:
    """What says nothing of digits that are lost, where there is no effective loss to hold the
    callable against.
    """
    told = [
        "whether digits are lost near 0 (cancellation) was not looked for: there is no "
        "effective loss to compare with"
    ]
    known = observed[np.isfinite(observed)]
    with np.errstate(over="ignore"):
        if len(np.unique(known)) >= 8 and np.all(
            known.astype(np.float16).astype(np.float64) == known
        ):
            told.append(
                "every gradient is a float16 number: it is computed in float16 somewhere "
                "inside, and digits are lost; "
                "compute in the dtype of the residual, and no loss is hidden by rounding"
            )
    return told


def to_json(found: Audit) -> dict[str, Any]:
    """The object of `audit --json`: the keys of the contract first, then what else is known."""
    return {
        "effective_loss": found.effective_loss,
        "divergence": found.divergence,
        "zero_forcing": verdict_to_json(found.zero_forcing, "zero_forcing"),
        "zero_avoiding": verdict_to_json(found.zero_avoiding, "zero_avoiding"),
        "under_the_other_sign": {
            "divergence": found.under_the_other_sign.divergence,
            "factor": found.under_the_other_sign.factor,
            "effective_loss": found.under_the_other_sign.effective_loss,
            "zero_forcing": found.under_the_other_sign.zero_forcing,
            "zero_avoiding": found.under_the_other_sign.zero_avoiding,
        },
        "documented": found.documented,
        "documented_holds": found.documented_holds,
        "problems": [
            {"kind": p.kind, "from": p.low, "to": p.high, "detail": p.detail}
            for p in found.problems
        ],
        "max_gradient_error": found.max_gradient_error,
        "factor": found.factor,
        "generator": found.generator,
        "loss_name": found.loss_name,
        "notes": list(found.notes),
        "gauge": found.gauge,
        "surrogate": found.surrogate,
        "fitted": found.fitted,
        "holds_on": list(found.holds_on) if found.holds_on else None,
        "flipped_sign_error": found.flipped_sign_error,
        "slopes": [
            {"x": point, "slope": slope if math.isfinite(slope) else str(slope)}
            for point, slope in found.slopes
        ],
        "spline": [{"t": ratio, "f": value} for ratio, value in found.spline],
        "callable": found.name,
        "residual": found.residual,
        "dtype": found.dtype,
        "range": list(found.range),
        "feed": list(found.feed),
        "summed": found.summed,
        "reduction": found.reduction,
    }
