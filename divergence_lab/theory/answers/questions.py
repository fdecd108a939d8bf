"""What the command line asks of theory, each question ended when its budget is over, from the text
on.

`derivation.derive` takes a loss that was read; here reading, weighting and inversion run in the
killable process too. A question that was ended has an answer all the same: `Unfinished`, in which
nothing is claimed.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp

from divergence_lab.theory.answers import derivation, inverse, placements
from divergence_lab.theory.budget import asking
from divergence_lab.theory.budget.asking import (
    OutOfTime,
    SearchFailed,
    clock,
    cut_short,
    end_searches,
    within,
)
from divergence_lab.theory.catalogue import named as catalogue
from divergence_lab.theory.checker.documents import Failure, Report, examine
from divergence_lab.theory.checker.fields.names import formulas
from divergence_lab.theory.divergence.inversion import Inversion, invert, read_generator
from divergence_lab.theory.divergence.loss import Loss, parameters_of, read_loss
from divergence_lab.theory.divergence.weightings import Weighting, on_policy_equivalent
from divergence_lab.theory.expressions import ExpressionError, t


class TooSlow(ExpressionError):
    """A loss that could not be read within its budget, where one is needed."""


@dataclass(frozen=True)
class Unfinished:
    """A question that its budget ended before anything was known: the text, and what was tried
    within it.
    """

    text: str
    because: str


@dataclass(frozen=True)
class Reading:
    """A loss as it was typed: what it is called, itself, the parameters that --set may give
    values, and the processor seconds that reading took.
    """

    text: str
    name: str
    loss: Loss
    parameters: tuple[str, ...]
    seconds: float = 0.0


def read(
    text: str, assumptions: Sequence[str], values: Mapping[str, str], budget: float
) -> Reading | Unfinished:
    """The loss that `text` names or writes; `values` may name parameters it does not have.

    Raises ExpressionError.
    """
    started = clock()
    try:
        found = _ask(budget, read_text, text, tuple(assumptions), dict(values))
    except (OutOfTime, SearchFailed) as reason:
        return _unfinished(text, "reading the loss and splitting it at its kinks", reason, budget)
    return Reading(text, *found, seconds=clock() - started)


def read_text(
    text: str, assumptions: tuple[str, ...], values: dict[str, str]
) -> tuple[str, Loss, tuple[str, ...]]:
    """(name, loss, parameters): the catalogue's name where one was typed, else the text itself."""
    parameters = parameters_of(text, assumptions)
    entry = read_loss(
        text, assumptions, {name: values[name] for name in parameters if name in values}
    )
    name = entry.name if entry.name and catalogue.lookup(text, assumptions) else text.strip()
    return name, entry, parameters


def read_placed(
    text: str, placement: str, assumptions: Sequence[str], values: Mapping[str, str], budget: float
) -> placements.Term | Unfinished:
    """The term that `text` names or writes, where it stands. Raises ExpressionError."""
    started = clock()
    try:
        found = _ask(
            budget, placements.read_term, text, placement, tuple(assumptions), dict(values)
        )
    except (OutOfTime, SearchFailed) as reason:
        return _unfinished(text, "reading the term", reason, budget)
    return replace(found, seconds=clock() - started)


def derive_read(
    reading: Reading | placements.Term,
    weighting: Weighting,
    at: Sequence[sp.Expr] = (),
    digits: int = 30,
    budget: float = 20.0,
) -> derivation.Derivation | Unfinished:
    """The derivation of the loss that a weighting makes of one; reading, weighting and derivation
    share the budget.
    """
    started = clock() - reading.seconds
    placed = isinstance(reading, placements.Term)
    if not placed and weighting.kind == "on":
        entry = reading.loss
    else:
        act = (placements.place, reading) if placed else (on_policy_equivalent, reading.loss)
        try:
            entry = _ask(_left(budget, started), *act, weighting)
        except (OutOfTime, SearchFailed) as reason:
            return _unfinished(
                reading.text,
                "the loss that acts the same"
                + (f", {reading.placement}," if placed else "")
                + f" when objects are weighted by {weighting.weight}",
                reason,
                budget,
            )
    return derivation.derive(entry, at, digits, budget, clock() - started)


def derive_all(
    readings: Sequence[Reading | placements.Term | Unfinished],
    weighting: Weighting,
    at: Sequence[sp.Expr] = (),
    digits: int = 30,
    budget: float = 20.0,
) -> list[derivation.Derivation | Unfinished]:
    """As `derive_read` for each, as many at a time as there are cores: every loss has the budget
    for itself.
    """

    def one(reading: Reading | placements.Term | Unfinished) -> derivation.Derivation | Unfinished:
        return (
            reading
            if isinstance(reading, Unfinished)
            else derive_read(reading, weighting, at, digits, budget)
        )

    at_a_time = min(len(readings), _cores())
    if at_a_time < 2:
        return [one(reading) for reading in readings]
    pool = ThreadPoolExecutor(at_a_time)
    try:
        return list(pool.map(one, readings))
    except BaseException:  # Ctrl-C, or a loss that is refused: the others need not be waited for
        pool.shutdown(wait=False, cancel_futures=True)
        end_searches()
        raise
    finally:
        pool.shutdown(wait=False)


def _cores() -> int:
    if not asking.CAN_FORK:  # all is computed here, one after the other
        return 1
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this platform
        return os.cpu_count() or 1


def invert_text(
    text: str,
    assumptions: Sequence[str],
    values: Mapping[str, str],
    at: Sequence[sp.Expr] = (),
    digits: int = 30,
    budget: float = 20.0,
) -> tuple[Inversion, derivation.Derivation] | Unfinished:
    """The loss of a generator and all that `derive` says of it. Raises ExpressionError."""
    started, before = clock(), cut_short()
    try:
        inversion = _ask(budget, invert, text, tuple(assumptions), dict(values), budget)
    except (OutOfTime, SearchFailed) as reason:
        return _unfinished(
            text, "reading the generator and its loss g'(x) = t f'(t) - f(t)", reason, budget
        )
    late = not inversion.closed and cut_short() > before
    found = inverse.derive_inverse(inversion, at, digits, budget, clock() - started)
    lost = derivation.not_found(["a closed form of g (there may be none)"] if late else (), budget)
    return inversion, replace(found, lost=(*lost, *found.lost))


def parameters_of_generator(
    text: str, assumptions: Sequence[str], budget: float
) -> tuple[str, ...] | None:
    """The names of the parameters in a generator; None when it could not be read in time."""
    try:
        return _ask(budget, read_parameters, text, tuple(assumptions))
    except (OutOfTime, SearchFailed):
        return None


def read_parameters(text: str, assumptions: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the parameters in a generator."""
    return tuple(
        sorted(symbol.name for symbol in read_generator(text, assumptions)[0].free_symbols - {t})
    )


def check(document: Any, budget: float = 60.0) -> list[Report]:
    """What the checker finds of each object in the output of `derive --json` (a list, or one),
    each within `budget` processor seconds.

        >>> import divergence_lab as dl
        >>> document = derivation.to_json(dl.derive(dl.loss("quadratic")))
        >>> [report.failures for report in check([document, {**document, "f_at_zero": "7"}])]
        [(), (Failure(where='f_at_zero', why='it is oo, not 7'),)]
    """
    return list(check_all(document if isinstance(document, list) else [document], budget))


def check_all(entries: Sequence[Any], budget: float) -> Iterator[Report]:
    """What the checker finds of each object of `derive --json`; one that takes longer than the
    budget is not accepted.
    """
    named = formulas(catalogue.LOSSES, catalogue.DIVERGENCES)
    for entry in entries:
        try:
            yield _ask(budget, examine, entry, named)
        except OutOfTime:
            yield Report(
                (
                    Failure(
                        "budget",
                        f"it took longer than {budget:g} s of processor time: raise --budget",
                    ),
                ),
                (),
            )
        except (SearchFailed, ExpressionError) as reason:
            yield Report((Failure("not replayed", str(reason)),), ())


def _ask(seconds: float, function: Callable[..., Any], *arguments: Any) -> Any:
    """As `within`; what is wrong with the text is raised as it is."""
    try:
        return within(seconds, function, *arguments)
    except SearchFailed as failure:
        if isinstance(failure.__cause__, ExpressionError):
            raise failure.__cause__ from None
        raise


def _left(budget: float, started: float) -> float:
    return max(0.1, budget - (clock() - started))


def _unfinished(text: str, task: str, reason: Exception, budget: float) -> Unfinished:
    return Unfinished(
        text.strip(),
        f"undecided within {budget:g} s of processor time: {task} "
        + (f"broke: {reason}", "had not ended: raise --budget")[isinstance(reason, OutOfTime)],
    )
