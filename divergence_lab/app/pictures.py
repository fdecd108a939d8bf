"""The three pictures that follow the sliders: g, f, and the best single bump for a target with
two modes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from divergence_lab.app import background, family
from divergence_lab.report import drawing, free_loss, single_bump
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.expressions import ExpressionError
from divergence_lab.theory.expressions.syntax import shown

RESIDUALS = np.linspace(-4.0, 4.0, 161)
RATIOS = np.concatenate([np.geomspace(1e-6, 0.05, 20), np.linspace(0.05, 4.0, 120)[1:]])
SECONDS = 10.0


class Shape(Protocol):
    """Anything that knows g and I(u) = f(e^u) e^{-u} at float points."""

    def value(self, points: np.ndarray) -> np.ndarray: ...
    def integral(self, points: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class Numbers:
    """g on RESIDUALS, f on RATIOS, the best bump, or else why there is none."""

    g: np.ndarray
    f: np.ndarray
    fit: single_bump.NarrowFit | None
    no_fit: str = ""


def numbers(shape: Shape) -> Numbers:
    """All that is drawn of a loss."""
    with np.errstate(over="ignore", invalid="ignore"):
        g, f = shape.value(RESIDUALS), RATIOS * shape.integral(np.log(RATIOS))
    try:
        return Numbers(g, f, single_bump.best_fit(shape.integral))
    except single_bump.NoFit as reason:
        return Numbers(g, f, None, str(reason))


@background.in_turn(eager=True)
def typed(text: str, wanted: Callable[[], None]) -> Numbers:
    """The same of a loss that was typed. Raises ExpressionError with one clear line."""
    wanted()
    return background.answer(
        SECONDS,
        _typed,
        text,
        f"its curves took longer than {SECONDS:g} s of processor time: try a simpler loss",
        "its curves could not be computed",
    )


def _typed(text: str) -> Numbers:
    read = loss(text)
    if read.parameters:
        names = ", ".join(str(parameter) for parameter in read.parameters)
        raise ExpressionError(
            f"{shown(text)}: the curves need numbers: write one in place of {names}"
        )
    found = numbers(free_loss.FreeLoss(text, read))
    if (broken := single_bump.why_no_f(read)) is None:
        return found
    return Numbers(found.g, np.full_like(found.f, np.nan), None, broken)


def charts(found: Numbers, other: Numbers | None = None, name: str = "") -> tuple[str, str, str]:
    """The three as SVG, those of another loss of that name beside them."""
    g_top, f_top = (
        drawing.nice_top(float(np.nanmax(y[np.isfinite(y)], initial=0.0)))
        for y in (found.g[np.abs(RESIDUALS) <= 3], found.f[RATIOS >= 0.1])
    )
    p = np.exp(single_bump.LOG_TARGET)
    step = single_bump.POINTS[1] - single_bump.POINTS[0]
    laws = [drawing.Curve("target", single_bump.POINTS, p / step, filled=True)]
    both = {"bump": found, name: other}
    laws += [
        drawing.Curve(label, single_bump.POINTS, one.fit.law() / step)
        for label, one in both.items()
        if one and one.fit
    ]
    beside = [] if other is None else [other]
    return (
        drawing.chart(
            "loss g(x)",
            [
                drawing.Curve("g", RESIDUALS, found.g),
                *(drawing.Curve(name, RESIDUALS, one.g) for one in beside),
            ],
            (-4, 4),
            (0, g_top),
            "residual x = log(target/model)",
        ),
        drawing.chart(
            "generator f(t)",
            [
                drawing.Curve("f", RATIOS, found.f),
                *(drawing.Curve(name, RATIOS, one.f) for one in beside),
            ],
            (0, 4),
            (0, f_top),
            "ratio t = target/model",
        ),
        drawing.chart("the best single bump, as densities", laws, (-5, 5), (0, 0.8), "state"),
    )


def caption(found: Numbers, other: Numbers | None = None, name: str = "") -> str:
    """What the third picture shows, a sentence for each loss."""
    first = (
        single_bump.words(found.fit)
        if found.fit
        else f"{found.no_fit[0].upper()}{found.no_fit[1:]}."
    )
    return first if other is None else f"{first} {name}: {caption(other)}"


def of_member(member: family.Member) -> Numbers:
    """The numbers of a member of the slider family: milliseconds."""
    return numbers(member)
