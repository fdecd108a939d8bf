"""The parts of the page that take seconds or must not come too often: threads, which end when the
choice has changed.

Each waits until the sliders rest, so that dragging shares the processor with nothing, and publishes
what it has.
"""

import functools
import threading
import time
from collections.abc import Callable
from html import escape

import marimo as mo

from divergence_lab.app import background, verdict_table
from divergence_lab.app.learned import BATCH, SIDE, UNITS, Learned
from divergence_lab.report import drawing
from divergence_lab.report.typeset import sentence
from divergence_lab.theory.answers.derivation import Derivation
from divergence_lab.theory.expressions import write, write_latex

REST_SECONDS = 0.5
UNFIT = (
    ValueError,
    ArithmeticError,
)  # a loss that torch can't compute, or not as accurately as is promised


def told(target: Callable[..., None]) -> Callable[..., None]:
    """A thread's target whose failure the reader sees: the page would stand at "pending" for
    ever.
    """

    @functools.wraps(target)
    def run(*arguments: object) -> None:
        try:
            target(*arguments)
        except Exception as failure:  # whatever it is, the reader must see it; the log has the rest
            mo.output.replace(
                mo.Html(
                    drawing.message(
                        "This page failed here, which is a defect of ours: "
                        f"{type(failure).__name__}: {failure}"
                    )
                )
            )
            raise

    return run


def begin(target: Callable[..., None], *arguments: object) -> None:
    """Start a target with them, and with what tells it that nobody waits for its answer any more:
    the choice has changed, or the reader has left (a session's own thread ends then).
    """
    session = threading.current_thread()

    def unwanted() -> bool:
        return thread.should_exit or not session.is_alive()

    thread = mo.Thread(target=target, args=(unwanted, *arguments))
    thread.start()


def _wanted(unwanted: Callable[[], bool]) -> Callable[[], None]:
    def wanted() -> None:
        if unwanted():
            raise background.Stopped

    return wanted


@told
def explain(
    unwanted: Callable[[], bool], text: str, with_verdicts: bool, name: str = "", other: str = ""
) -> None:
    """What `begin` starts: the divergence, the verdicts where they are asked for, those of the loss
    of that name beside them, then the source text.
    """
    wanted = _wanted(unwanted)
    time.sleep(REST_SECONDS)
    try:
        found = background.derivation(text, wanted)
    except background.Stopped:
        return
    except ValueError as reason:
        if not unwanted():
            mo.output.replace(mo.Html(drawing.message(str(reason))))
        return
    known = facts(found, with_verdicts)
    if unwanted():
        return
    mo.output.replace(known)
    try:
        if other:
            known = mo.vstack([known, beside(name, background.derivation(other, wanted))])
            mo.output.replace(known)
        torch = mo.md(f"```python\n{background.torch_text(text, wanted)}```")
    except background.Stopped:
        return
    except UNFIT as reason:
        torch = mo.Html(drawing.message(f"Not as torch: {reason}"))
    latex = mo.md(f"```latex\n{background.latex_text(found)}```")
    if not unwanted():  # a code block has a button that copies it
        texts = mo.accordion({"Copy as torch": torch, "Copy as LaTeX": latex}, multiple=True)
        mo.output.replace(mo.vstack([known, texts]))


@told
def train(unwanted: Callable[[], bool], text: str) -> None:
    """What `begin` starts: a small GFlowNet, its progress, then the learned law beside the
    target.
    """
    time.sleep(REST_SECONDS)

    def report(step: int, steps: int) -> None:
        if unwanted():
            raise background.Stopped
        mo.output.replace(
            mo.Html(
                f'<p id="training" class="answer">Training a table, then a network that is too '
                f"small: step {step} of {steps} "
                f'<progress value="{step}" max="{steps}"></progress></p>'
            )
        )

    try:
        if not unwanted():
            answer = laws(background.learn(text, report))
            if not unwanted():
                mo.output.replace(answer)
    except background.Stopped:
        return
    except UNFIT as reason:
        if not unwanted():
            mo.output.replace(mo.Html(drawing.message(f"No training: {reason}")))


def beside(name: str, found: Derivation) -> mo.Html:
    """The same of the second loss, under its name."""
    return mo.vstack([mo.Html(f"<h3>Beside it: {escape(name)}</h3>"), facts(found, True)])


def facts(found: Derivation, with_verdicts: bool) -> mo.Html:
    """The divergence by name and formula."""
    f, name, factor = found.divergence.generator, found.divergence.name, found.divergence.factor
    times = "" if factor in (None, 1) else f"{write(factor)} times "
    if found.verdicts.valid.holds is False:
        known = f"Minimises no divergence: {sentence(found.verdicts.valid.because)}."
    elif name:
        known = f"Minimises <b>{times}{name}</b>."
    else:
        known = "Minimises a divergence that has no name in the catalogue."
    checked = (
        f"Its f was confirmed at {found.divergence.confirmed} ratios." if f is not None else ""
    )
    formula = (
        mo.md(f"$$f(t) = {write_latex(f)}$$")
        if f is not None
        else mo.md("No closed form of $f$ was found in time.")
    )
    table = (
        [mo.Html(verdict_table.table(verdict_table.of_derivation(found)))] if with_verdicts else []
    )
    return mo.vstack(
        [
            *table,
            mo.Html(f'<p id="derived" class="answer" style="margin:8px 0 0">{known} {checked}</p>'),
            formula,
        ]
    )


def laws(found: Learned) -> mo.Html:
    """What training does at two capacities: the target and both learned laws as heat maps, and
    how they came there.
    """
    curve = drawing.chart(
        "total variation while training",
        [
            drawing.Curve("table", found.steps, found.total_variation),
            drawing.Curve(f"{UNITS} units", found.steps, found.small_total_variation),
        ],
        (0, found.steps[-1]),
        (0, 1),
        "step",
    )
    parts = [
        drawing.heat_map("target law", found.target),
        drawing.heat_map("learned by a table", found.law),
        drawing.heat_map(f"learned by {UNITS} hidden units", found.small_law),
        curve,
    ]
    inside = "".join(f"<div>{part}</div>" for part in parts)
    return mo.Html(
        f'<div id="training" class="answer"><p style="margin:0 0 8px">{SIDE}x{SIDE} '
        f"hyper-grid, trajectory balance, {found.steps[-1]} "
        f"steps of {BATCH} trajectories. A table can learn the target: total variation "
        f"{found.total_variation[-1]:.3f}, "
        f"{found.modes[0]} of {found.modes[1]} modes found. A network of {UNITS} hidden units "
        f"is too small for it, so the loss decides what is given up: total variation "
        f"{found.small_total_variation[-1]:.3f}, {found.small_modes} of {found.modes[1]} modes "
        "found. The deeper the square, the "
        'more probable (depth ∝ √p).</p><div style="display:grid;gap:16px;'
        f'grid-template-columns:repeat(auto-fit,minmax(220px,1fr))">{inside}</div></div>'
    )
