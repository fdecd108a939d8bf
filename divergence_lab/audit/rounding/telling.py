"""What rounding does, as problems and notes; and what was not looked for."""

from collections.abc import Sequence

import numpy as np
import torch

from divergence_lab.audit import identifying, probing
from divergence_lab.audit.problems import Problem
from divergence_lab.audit.rounding.jumps import jumps
from divergence_lab.audit.rounding.precision import DTYPES, Lost, Reference, lost_digits
from divergence_lab.audit.stretches import Stretch


def in_every_dtype(
    looked_at: probing.Subject,
    points: np.ndarray,
    gauge: float,
    runs: Sequence[Stretch],
    found: identifying.Found | None,
    surrogate: bool | None,
) -> dict[str, tuple[Lost, ...] | None]:
    """dtype -> where digits are lost; None where the callable does not run in it, and for the
    best dtype where there is no loss to compare with.
    """
    told: dict[str, tuple[Lost, ...] | None] = {}
    others = [run for run in runs if run.state not in ("fine", "lost")]
    for name, kind in DTYPES.items():
        if (found is None and kind == looked_at.dtypes[0]) or not probing.runs_in(looked_at, kind):
            told[name] = None
            continue
        offset = probing.values(looked_at, np.zeros(1), kind)[0]
        value = surrogate is False and gauge == 0 and abs(offset) < 1e-5 and looked_at.fed_residual
        exact = Reference(found.loss, others, value) if found else Reference(None, (), False)
        told[name] = tuple(lost_digits(looked_at, points, kind, gauge, exact))
    return told


def lost_in(
    in_dtypes: dict[str, tuple[Lost, ...] | None],
    runs: Sequence[Stretch],
    dtype: torch.dtype,
    plain: bool,
) -> list[Problem]:
    """The lost digits of the dtype that is audited, up to where no gradient is left; of a term that
    does not stand in the loss those near 0.
    """
    name = str(dtype).removeprefix("torch.")
    gone = [run for run in runs if run.state in ("dead", "not finite")]
    told = []
    for one in in_dtypes[name] or ():
        low, high = one.low, one.high
        if not plain and (low > 1 or high < -1):  # `lost_far_out` tells of these
            continue
        if low > 0:
            high = min((run.low for run in gone if low < run.low < high), default=high)
        elif high < 0:
            low = max((run.high for run in gone if low < run.high < high), default=low)
        if one.kind == "cancellation":
            detail = f"digits are lost in {name}: {one.detail}"
            told.append(Problem(one.kind, low, high, detail))
    return told


def told_jumps(
    looked_at: probing.Subject,
    points: np.ndarray,
    runs: Sequence[Stretch],
    found: identifying.Found | None,
) -> tuple[list[Problem], list[str]]:
    """(jumps of g', a kink at 0 as a note)."""
    problems, notes = [], []
    for place, told, kink in jumps(looked_at, points, runs, found):
        if kink:
            notes.append(f"a kink at 0, which is allowed: {told}; 0 is its subgradient there")
        else:
            problems.append(Problem("not_differentiable", place, place, told))
    return problems, notes


def not_checked(
    looked_at: probing.Subject,
    found: identifying.Found | None,
    errors: tuple[float, float | None] | None,
    constant: bool,
) -> list[str]:
    """What was not looked for: nothing of this reads as passed."""
    told = []
    if found is None and not constant:
        told.append("cancellation: there is no effective loss to compare with")
    if errors is None:
        why = "no effective loss" if found is None else "no formula of f in torch"
        told.append(f"the gradient on simplices: {why}")
    return told


def not_looked_for(observed: np.ndarray) -> list[str]:
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
