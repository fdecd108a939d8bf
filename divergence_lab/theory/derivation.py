"""Everything theory says of one loss, as one record and as the JSON that `derive` prints."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp

from divergence_lab.theory.decision import decide
from divergence_lab.theory.divergence import Divergence, divergence, dual_loss
from divergence_lab.theory.domain import fault
from divergence_lab.theory.enclosure import NotEvaluable
from divergence_lab.theory.expressions import ExpressionError, parse_number, write
from divergence_lab.theory.loss import Loss
from divergence_lab.theory.values import Value, value
from divergence_lab.theory.verdict import Verdicts, verdict_to_json


@dataclass(frozen=True)
class Derivation:
    """A loss, its divergence, the verdicts, the loss of the swapped divergence, and enclosed values of f."""
    loss: Loss
    divergence: Divergence
    verdicts: Verdicts
    dual_loss: sp.Expr | None
    values: tuple[Value, ...]


def derive(loss: Loss, at: Sequence[sp.Expr] = (), digits: int = 30, budget: float = 10.0) -> Derivation:
    """Derive and decide everything about `loss`; each question ends within `budget` seconds.

    `at`: exact ratios t > 0 at which f is enclosed to `digits` digits. Raises ExpressionError when values are
    asked of a loss whose parameters have no value or that is not finite.
    """
    found = divergence(loss, budget)
    verdicts = decide(loss, found.generator, budget)
    if at and (broken := fault(loss)):
        raise ExpressionError(f"{write(loss.expression)}: no value of f: {broken.what}")
    try:
        values = tuple(value(loss, ratio, digits) for ratio in at)
    except NotEvaluable as reason:
        raise ExpressionError(f"{write(loss.expression)}: no value of f: {reason}; --set gives parameters a value") from None
    return Derivation(loss, found, verdicts, dual_loss(found, budget), values)


def read_ratios(text: str) -> tuple[sp.Expr, ...]:
    """"0.1,2,e" style lists of ratios: exact positive numbers."""
    ratios = tuple(parse_number(part, "the ratio") for part in text.split(","))
    for ratio in ratios:
        if not ratio.is_positive:
            raise ExpressionError(f"the ratio {ratio} is not positive: f is defined for t > 0")
    return ratios


def to_json(derivation: Derivation) -> dict[str, Any]:
    """The object of `derive --json` (the command-line contract); every expression is text in SymPy syntax."""
    loss, found, verdicts = derivation.loss, derivation.divergence, derivation.verdicts
    constant, slope = loss.gauge
    return {
        "name": loss.name,
        "loss": write(loss.expression),
        "loss_derivative": write(loss.derivative.as_expression()),
        "parameters": [parameter.name for parameter in loss.parameters],
        "assumptions": list(loss.assumptions),
        "gauge": {"constant": write(constant), "slope": write(slope)},
        "generator": _text(found.generator),
        "divergence": found.name,
        "factor": _text(found.factor),
        "confirmed_values": found.confirmed,
        "tried": list(found.tried),
        "valid": verdicts.valid.holds,
        "why_invalid": None if verdicts.valid.holds else verdicts.valid.because,
        "validity": verdict_to_json(verdicts.valid),
        "pieces": list(verdicts.pieces),
        "convex": verdict_to_json(verdicts.convex),
        "data_processing": verdict_to_json(dataclasses.replace(
            verdicts.convex, because=f"data processing holds exactly for convex g: {verdicts.convex.because}")),
        "zero_forcing": verdict_to_json(verdicts.zero_forcing),
        "zero_avoiding": verdict_to_json(verdicts.zero_avoiding),
        "symmetric": verdict_to_json(verdicts.symmetric),
        "even": verdict_to_json(verdicts.even),
        "bounded_gradient": verdict_to_json(verdicts.bounded_gradient),
        "f_at_zero": _text(verdicts.f_at_zero),
        "slope_at_infinity": _text(verdicts.slope_at_infinity),
        "curvature_at_zero": _text(verdicts.curvature_at_zero),
        "dual_loss": _text(derivation.dual_loss),
        "values": [{"t": v.ratio, "f": v.value, "radius": v.radius} for v in derivation.values],
    }


def _text(expression: sp.Expr | None) -> str | None:
    return None if expression is None else write(expression)
