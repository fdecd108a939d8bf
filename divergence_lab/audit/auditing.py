"""What does this torch loss really minimise?  audit(callable) -> one frozen record.

    samples of g'  ->  effective loss  ->  divergence and verdicts  ->  gradients on simplices, docstring, problems
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator

from divergence_lab.audit import problems as looking
from divergence_lab.audit.documentation import agrees, claims
from divergence_lab.audit.gradients import max_gradient_error
from divergence_lab.audit.identifying import Found, identify
from divergence_lab.audit.probing import Subject, slopes, subject
from divergence_lab.audit.problems import Problem
from divergence_lab.audit.subjects import AuditError, load, prepare
from divergence_lab.theory.derivation import Derivation, derive
from divergence_lab.theory.expressions import ExpressionError, write
from divergence_lab.theory.transforms import mirror
from divergence_lab.theory.verdict import UNDECIDED, Verdict, verdict_to_json

DTYPES = {"float32": torch.float32, "float64": torch.float64}
RANGE = (-100.0, 100.0)
# How far samples of g' can be trusted, relative: what a formula in this dtype loses for |x| >= 0.05.
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
WIDEST = 1e6
# The gradient check holds below this.
GRADIENT_TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}


@dataclass(frozen=True)
class Audit:
    """The answer, in our residual x = log p_B - log p_F throughout.

    `derivation`: of the effective loss; `other`: of g(-x), what the other sign convention would minimise; both None
    where no loss was identified, and `because` says why. `holds`: (low, high), where the effective loss is the
    callable. `gauge`: b, the straight part b*x set aside. `spline`: (residuals, slopes) of g' where no formula was found.
    `documented_holds`: False where the docstring claims something else than was found.
    """

    name: str
    residual: str
    range: tuple[float, float]
    dtype: str
    reduction: str
    fed: tuple[str, ...]
    derivation: Derivation | None
    other: Derivation | None
    because: str
    holds: tuple[float, float] | None
    gauge: float
    surrogate: bool | None
    fitted: bool
    documented: str | None
    documented_holds: bool | None
    problems: tuple[Problem, ...]
    max_gradient_error: float | None
    gradient_check: bool | None
    spline: tuple[tuple[float, ...], tuple[float, ...]] | None

    @property
    def zero_forcing(self) -> Verdict:
        """Of the effective loss; undecided without one."""
        return self.derivation.verdicts.zero_forcing if self.derivation else self._undecided()

    @property
    def zero_avoiding(self) -> Verdict:
        """Of the effective loss; undecided without one."""
        return self.derivation.verdicts.zero_avoiding if self.derivation else self._undecided()

    def _undecided(self) -> Verdict:
        return Verdict(None, UNDECIDED, self.because)


def audit(thing: Callable[..., Any] | str, residual: str = "target/model", range: tuple[float, float] = RANGE,
          dtype: str | torch.dtype = "float32", budget: float = 10.0, feed: Sequence[str] | None = None,
          summed: bool = False) -> Audit:
    """Which divergence D_f(p_B||p_F) does a torch loss minimise? Runs the callable; a text 'module:callable' is imported.

    residual: what the callable receives, "target/model" (log p_B - log p_F) or "model/target". range: the residuals
    looked at, x = log p_B - log p_F, with 0 inside. feed: the arguments by name (residual, log_pf, log_pb, pf, pb) where
    it takes several; summed: it is summed over objects, so the weights are its own, instead of averaged over samples
    of the model. budget: seconds for what theory says of the loss. Raises AuditError (a ValueError).
    """
    kind = _dtype(dtype)
    low, high = _range(range)
    called = load(thing) if isinstance(thing, str) else prepare(thing, _name_of(thing))
    name = thing.strip() if isinstance(thing, str) else _name_of(thing)
    asked = subject(called, name, residual, feed, summed)
    if kind not in asked.dtypes:
        raise AuditError(f"{name} does not take {dtype} residuals: audit it with --dtype "
                         f"{next(word for word, k in DTYPES.items() if k in asked.dtypes)}")
    exact = asked.dtypes[0]
    points = looking.grid(low, high, exact)
    observed = slopes(asked, points, exact)
    gauge = _gauge(asked, points, observed, exact)
    found = identify(points, observed, gauge, TOLERANCE[exact])
    main, other = (None, None) if found is None else _theory(found, budget)
    because = "" if found else _why_unknown(points, observed, gauge)
    seen, surrogate = _problems(asked, found, kind, gauge, (low, high), main)
    documented = claims(called)
    error = max_gradient_error(asked, found, main.divergence) if found else None
    verdicts = main.verdicts if main else None
    return Audit(
        name, residual, (low, high), str(kind).removeprefix("torch."), asked.reduction, asked.feed, main, other, because,
        (found.low, found.high) if found else None, gauge, surrogate, bool(found and found.fitted),
        str(documented) or None,
        agrees(documented, main.divergence.name, verdicts.zero_forcing.holds, verdicts.zero_avoiding.holds)
        if verdicts else None,
        seen, error, None if error is None else error <= GRADIENT_TOLERANCE[exact],
        None if found else _spline(points, observed - gauge))


def _dtype(dtype: str | torch.dtype) -> torch.dtype:
    found = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if found not in DTYPES.values():
        raise AuditError(f"--dtype {dtype}: say float32 or float64")
    return found


def _range(given: tuple[float, float]) -> tuple[float, float]:
    low, high = (float(end) for end in given)
    if not (-WIDEST <= low <= -1 and 1 <= high <= WIDEST):
        raise AuditError(f"--range {low:g},{high:g}: give LO,HI with LO <= -1 and HI >= 1, at most {WIDEST:g} in size")
    return low, high


def _name_of(thing: Any) -> str:
    return getattr(thing, "__name__", None) or type(thing).__name__


def _gauge(asked: Subject, points: np.ndarray, observed: np.ndarray, dtype: torch.dtype) -> float:
    """g'(0) where g' has no kink there, else 0."""
    beside = 1e-7 if dtype == torch.float64 else 1e-5
    below, zero, above = slopes(asked, np.array([-beside, 0.0, beside]), dtype)
    near = np.abs(observed[np.abs(points) <= 1])
    size = float(np.nanmax(np.where(np.isfinite(near), near, 0.0), initial=0.0))
    if not np.isfinite([below, zero, above]).all() or max(abs(below - zero), abs(above - zero)) > 1e-2 * size:
        return 0.0
    return float(zero) if abs(zero) > 8 * torch.finfo(dtype).eps * size else 0.0


def _theory(found: Found, budget: float) -> tuple[Derivation, Derivation | None]:
    main = derive(found.loss, budget=budget)
    try:
        return main, derive(mirror(found.loss), budget=budget)
    except ExpressionError:
        return main, None


def _why_unknown(points: np.ndarray, observed: np.ndarray, gauge: float) -> str:
    bare = observed - gauge
    core = np.abs(points) <= 1
    if np.all(np.abs(bare[core]) <= 1e-9 * max(abs(gauge), 1e-300)):
        return (f"the gradient is {gauge:.4g} at every residual near agreement: the expected policy gradient under on-policy "
                "sampling is 0, so the callable minimises nothing")
    if np.any(bare[core] * points[core] < 0):
        at = points[core][np.argmin(bare[core] * points[core])]
        return f"the gradient has the wrong sign at x = {at:.3g}, so the callable is no loss there and has no divergence"
    return ("no loss of the catalogue, no family with fitted parameters and no sum of two has this gradient; samples on a "
            "bounded range say nothing of the two ends, on which the verdicts rest")


def _problems(asked: Subject, found: Found | None, dtype: torch.dtype, gauge: float, ends: tuple[float, float],
              main: Derivation | None) -> tuple[tuple[Problem, ...], bool | None]:
    points = looking.grid(*ends, dtype)
    runs = looking.stretches(asked, points, dtype, gauge, found)
    surrogate = looking.is_surrogate(asked, found, asked.dtypes[0], gauge)
    listed = [*looking.far_problems(asked, runs, dtype, gauge, found)]
    if main is not None:
        listed += looking.class_changes(asked, runs, dtype, main.verdicts.zero_forcing.holds,
                                        main.verdicts.zero_avoiding.holds)
    listed += looking.at_zero(asked, dtype, gauge)
    listed += looking.cancellation(asked, found, dtype, gauge, surrogate)
    listed += looking.jumps(asked, points, runs, found)
    return tuple(listed), surrogate


def _spline(points: np.ndarray, slope: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Knots of a monotone-preserving cubic spline of g', thinned while it reproduces every sample to 1e-3."""
    usable = np.isfinite(slope)
    points, slope = points[usable], slope[usable]
    for step in (16, 8, 4, 2, 1):
        kept = np.unique(np.append(np.arange(0, len(points), step), len(points) - 1))
        if len(kept) < 4:
            continue
        curve = PchipInterpolator(points[kept], slope[kept])
        if step == 1 or np.all(np.abs(curve(points) - slope) <= 1e-3 * np.maximum(np.abs(slope), 1e-3)):
            return tuple(points[kept].tolist()), tuple(slope[kept].tolist())
    return None


# --- the JSON of the contract --------------------------------------------------------------------------------

def audit_to_json(found: Audit) -> dict[str, Any]:
    """The document of `audit --json`; verdicts carry their certificates."""
    main, other = found.derivation, found.other
    verdicts = main.verdicts if main else None

    def shown(kind: str) -> dict:
        return verdict_to_json(getattr(verdicts, kind) if verdicts else found.zero_forcing)
    return {
        "callable": found.name,
        "residual": found.residual,
        "fed": list(found.fed),
        "range": list(found.range),
        "dtype": found.dtype,
        "reduction": found.reduction,
        "surrogate": found.surrogate,
        "effective_loss": write(main.loss.expression) if main else None,
        "name": main.loss.name if main else None,
        "parameters_fitted": found.fitted,
        "gauge_slope": found.gauge,
        "holds_from": found.holds[0] if found.holds else None,
        "holds_to": found.holds[1] if found.holds else None,
        "why_unknown": found.because or None,
        "divergence": main.divergence.name if main else None,
        "factor": write(main.divergence.factor) if main and main.divergence.factor is not None else None,
        "generator": write(main.divergence.generator) if main and main.divergence.generator is not None else None,
        **{kind: shown(kind) for kind in ("zero_forcing", "zero_avoiding", "valid", "convex", "symmetric", "even",
                                          "bounded_gradient")},
        "under_the_other_sign": {
            "divergence": other.divergence.name if other else None,
            "factor": write(other.divergence.factor) if other and other.divergence.factor is not None else None,
            "effective_loss": write(other.loss.expression) if other else None,
            "zero_forcing": other.verdicts.zero_forcing.holds if other else None,
            "zero_avoiding": other.verdicts.zero_avoiding.holds if other else None,
        },
        "documented": found.documented,
        "documented_holds": found.documented_holds,
        "problems": [{"kind": p.kind, "from": p.low, "to": p.high, "detail": p.detail} for p in found.problems],
        "max_gradient_error": found.max_gradient_error,
        "spline": {"x": list(found.spline[0]), "slope": list(found.spline[1])} if found.spline else None,
    }
