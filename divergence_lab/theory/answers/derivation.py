"""Everything theory says of one loss, as one record and as the JSON that `derive` prints.

A derivation runs in a process of its own and ends with its budget of processor time, whatever SymPy
does: what was answered by then stands, the rest is undecided and says so.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp

from divergence_lab.inputs import is_whole, shown
from divergence_lab.theory.answers import notebook
from divergence_lab.theory.budget.asking import (
    OutOfTime,
    SearchFailed,
    be_patient,
    check_budget,
    clock,
    cut_short,
    stream,
)
from divergence_lab.theory.checker.kinds.table import KINDS
from divergence_lab.theory.checker.parametric import left_out
from divergence_lab.theory.divergence import closed_form, domain
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.divergence.reading import as_loss
from divergence_lab.theory.divergence.values import Value, read_ratios, value
from divergence_lab.theory.expressions import ExpressionError, write
from divergence_lab.theory.expressions.enclosure import NotEvaluable
from divergence_lab.theory.expressions.syntax import syntax_tree
from divergence_lab.theory.verdicts import (
    decision,
    family_proofs,
    parameter_numbers,
    plain,
    searches,
    verdict,
)

# What is asked in turn, and the share of the budget after which each must be answered: what an
# early one leaves, the later ones have. Every verdict is a stage of its own, so that one that does
# not end costs no other.
STAGES = {
    "g'": 0.15,
    "the divergence": 0.45,
    "the pieces": 0.7,
    "zero_forcing": 0.74,
    "zero_avoiding": 0.78,
    "bounded_gradient": 0.8,
    "even": 0.82,
    "symmetric": 0.84,
    "validity": 0.87,
    "convex": 0.9,
    "the numbers": 0.92,
    "the values": 0.97,
    "the swapped loss": 1.0,
}
# A verdict may search for this share of what is left of the time until all of them must be
# answered.
VERDICT_SHARE, PARAMETRIC_SHARE = 0.5, 0.6
MAX_DIGITS = 1000
# With parameters any of them may take all it is given; they have to end by themselves before that.
VERDICTS_END = 0.75


@dataclass(frozen=True)
class Derivation:
    """A loss, its divergence, the verdicts, the loss of the swapped divergence, enclosed values
    of f, and g' (None: it was not found in time). `lost`: what is missing for lack of time, one
    sentence each.

    Made by `derive`; `to_json` writes it as `derive --json` does.

        >>> import divergence_lab as dl
        >>> found = derive(dl.loss("x**2/2"))
        >>> found.divergence.name, found.dual_loss, found.lost
        ('reverse KL', -x + exp(x) - 1, ())
    """

    loss: Loss
    divergence: closed_form.Divergence
    verdicts: verdict.Verdicts
    dual_loss: sp.Expr | None
    values: tuple[Value, ...]
    slope: sp.Expr | None = None
    lost: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        return notebook.html_of(self)


def derive(
    loss: Loss | str,
    at: str | Iterable[object] = (),
    digits: int = 30,
    budget: float = 20.0,
    spent: float = 0.0,
) -> Derivation:
    """Derive and decide everything about `loss` within `budget` processor seconds; what takes
    longer is undecided.

    `loss`: a Loss or its text. `at`: ratios t > 0 at which f is enclosed to `digits` digits, exact
    numbers or their text, "0.1,2". `spent`: seconds of the budget that were used before, to read
    the loss. Raises ExpressionError when values are asked of a loss whose parameters have no value
    or that is not finite.

        >>> import divergence_lab as dl
        >>> dl.derive("Abs(x)/2").verdicts.zero_avoiding.because
        "f'(oo) = int g'(x) e^(-x) dx is finite, by comparison with x**(-3/2)"
    """
    check_budget(budget)
    if not is_whole(digits, 1, MAX_DIGITS):
        raise ExpressionError(
            f"digits is {shown(repr(digits))}: give a whole number from 1 to {MAX_DIGITS}"
        )
    loss = as_loss(loss, budget)
    return assemble(
        closed_form.Divergence(loss, None, None, None, 0),
        (loss, read_ratios(at), digits),
        answers,
        budget,
        spent,
    )


def assemble(
    known: closed_form.Divergence,
    question: tuple,
    search: Callable[..., Iterator[Any]],
    budget: float,
    spent: float = 0.0,
) -> Derivation:
    """The derivation from the stages that `search(*question, budget, done)` yields in a process of
    its own.

    `known` is what stands if no more is found of the divergence. A stage that does not end in time,
    or breaks, is given up, and the search goes on after it. Raises ExpressionError.
    """
    be_patient(budget)
    started, room = (
        clock(),
        max(budget / 50, budget - spent),
    )  # what reading the loss took is no stage's loss
    out_of_time = f"no answer within {budget:g} s of processor time for the whole loss"
    done: dict[str, Any] = {}
    given_up: list[str] = []
    lost: list[str] = []
    while left := [stage for stage in STAGES if stage not in done]:
        gone = clock() - started
        limits = [max(budget / 50, room * STAGES[stage] - gone) for stage in left]
        try:
            parts = stream(limits, counted, search, *question, max(budget / 50, room - gone), done)
            for (answer, cut), stage in zip(parts, left):
                done[stage] = answer
                lost += _missing(stage, answer) if cut or _needs_one(stage, lost) else ()
        except OutOfTime:
            ended = out_of_time
        except SearchFailed as failure:
            if isinstance(failure.__cause__, ExpressionError):
                raise failure.__cause__ from None
            ended = f"the search broke: {failure}"
        if len(done) < len(STAGES):
            stage = next(stage for stage in left if stage not in done)
            given_up.append(f"{stage}: {ended}")
            undecided = verdict.Verdict(None, verdict.UNDECIDED, ended)
            done[stage] = {
                "the divergence": dataclasses.replace(known, late=closed_form.unknown(known)),
                "the values": (),
                **dict.fromkeys(verdict.KINDS, undecided),
                "the numbers": stage == "the numbers"
                and plain.known_ends(done["zero_forcing"], done["zero_avoiding"]),
            }.get(stage)
            lost += _missing(stage, done[stage]) if ended is out_of_time else ()
    verdicts = verdict.gather(
        {kind: done[kind] for kind in verdict.KINDS}, done["the numbers"], done["the pieces"] or ()
    )
    found = dataclasses.replace(
        done["the divergence"], tried=(*done["the divergence"].tried, *given_up)
    )
    return Derivation(
        known.loss,
        found,
        verdicts,
        done["the swapped loss"],
        done["the values"],
        done["g'"],
        not_found(lost, budget),
    )


def not_found(what: Iterable[str], budget: float) -> tuple[str, ...]:
    """What is missing for lack of time, one sentence each."""
    return tuple(
        f"{one} not found within {budget:g} s of processor time: raise --budget" for one in what
    )


def counted(search: Callable[..., Iterator[Any]], *question: Any) -> Iterator[tuple[Any, bool]]:
    """What a search yields, each with whether any search for it was ended for lack of time."""
    before = cut_short()
    for answer in search(*question):
        yield answer, cut_short() > before
        before = cut_short()


ENDS = ("f(0+)", "f'(oo)", "g''(0)")


def _needs_one(stage: str, lost: Sequence[str]) -> bool:
    """Does a stage need what was not found in time?"""
    if stage == "the swapped loss":
        return closed_form.CLOSED_FORM in lost
    return "the pieces" in lost and (stage in verdict.KINDS or stage == "the numbers")


def _missing(stage: str, answer: Any) -> list[str]:
    """Which formulas, numbers, values and verdicts an answer lacks, in words."""
    if stage == "the divergence":
        return list(answer.late)
    if stage == "the numbers":
        return [name for name, number in zip(ENDS, answer) if number is None]
    if stage in verdict.KINDS:
        return [f"the verdict {stage}"] if answer.status == verdict.UNDECIDED else []
    what = closed_form.SWAPPED if stage == "the swapped loss" else stage
    return [what] if answer is None or (stage == "the values" and not answer) else []


def answers(
    loss: Loss,
    at: Sequence[sp.Expr],
    digits: int,
    budget: float,
    done: Mapping[str, Any],
    given: closed_form.Divergence | None = None,
) -> Iterator[Any]:
    """The stages that are not done yet, in turn; `given` is the divergence where a generator was
    given, not a loss.
    """
    started = clock()
    if "g'" not in done:
        yield loss.derivative.as_expression()
    found = done.get("the divergence")
    if found is None:
        found = given or closed_form.divergence(loss, budget)
        yield found
    if "the pieces" not in done:
        yield () if loss.parameters else plain.texts_of_pieces(loss)
    unknown = verdict.Verdict(
        None, verdict.UNDECIDED, "g could not be split into pieces, and these confirmed, in time"
    )
    lost = "the pieces" in done and done["the pieces"] is None
    share = PARAMETRIC_SHARE if loss.parameters else VERDICT_SHARE
    known = {kind: done[kind] for kind in verdict.KINDS if kind in done}
    for kind in searches.SEARCHES:
        if kind not in known:
            left = budget * VERDICTS_END - (clock() - started)
            allowed = (
                left * share
                if family_proofs.stored(kind, loss) is None
                else budget * STAGES[kind] - (clock() - started)
            )  # a replay ends
            known[kind] = unknown if lost else decision.decide_one(kind, loss, max(0.1, allowed))
            yield known[kind]
    if "the numbers" not in done:
        yield (
            (None,) * 3
            if lost
            else decision.ends(
                loss, found.generator, known["zero_forcing"], known["zero_avoiding"], budget
            )
        )
    if "the values" not in done:
        yield _enclosed(loss, at, digits, given)
    if "the swapped loss" not in done:
        yield closed_form.dual_loss(found, budget)


def _enclosed(
    loss: Loss, at: Sequence[sp.Expr], digits: int, given: closed_form.Divergence | None
) -> tuple[Value, ...]:
    """f at the ratios. Raises ExpressionError where f is not defined."""
    called = write(given.generator if given else loss.expression)
    if at and (broken := domain.fault(loss)) and (broken.certain or not given):
        raise ExpressionError(f"{called}: no value of f: {broken.what}")
    try:
        return tuple(value(loss, ratio, digits) for ratio in at)
    except NotEvaluable as reason:
        raise ExpressionError(
            f"{called}: no value of f: {reason}; --set gives parameters a value"
        ) from None


def to_json(derivation: Derivation) -> dict[str, Any]:
    """The object of `derive --json` (the command-line contract); every expression is text in
    SymPy syntax.
    """
    loss, found, verdicts = derivation.loss, derivation.divergence, derivation.verdicts
    constant, slope = loss.gauge
    entry = {
        "name": loss.name,
        "loss": write(loss.expression),
        "loss_derivative": _readable(derivation.slope),
        "parameters": [parameter.name for parameter in loss.parameters],
        "assumptions": list(loss.assumptions),
        "as_given": _text(loss.given),
        "gauge": {"constant": write(constant), "slope": write(slope)},
        "generator": _text(found.generator),
        "divergence": found.name,
        "factor": _text(found.factor),
        "confirmed_values": found.confirmed,
        "tried": list(found.tried),
        "valid": verdicts.valid.holds,
        "why_invalid": None if verdicts.valid.holds else verdicts.valid.because,
        "validity": verdict.verdict_to_json(verdicts.valid, "validity"),
        "pieces": list(verdicts.pieces),
        "convex": verdict.verdict_to_json(verdicts.convex, "convex"),
        "data_processing": verdict.verdict_to_json(
            dataclasses.replace(
                verdicts.convex, because=KINDS["data_processing"].prefix + verdicts.convex.because
            ),
            "data_processing",
        ),
        "zero_forcing": verdict.verdict_to_json(verdicts.zero_forcing, "zero_forcing"),
        "zero_avoiding": verdict.verdict_to_json(verdicts.zero_avoiding, "zero_avoiding"),
        "symmetric": verdict.verdict_to_json(verdicts.symmetric, "symmetric"),
        "even": verdict.verdict_to_json(verdicts.even, "even"),
        "bounded_gradient": verdict.verdict_to_json(verdicts.bounded_gradient, "bounded_gradient"),
        "f_at_zero": _number(verdicts.f_at_zero),
        "slope_at_infinity": _number(verdicts.slope_at_infinity),
        "curvature_at_zero": _number(verdicts.curvature_at_zero),
        "dual_loss": _text(derivation.dual_loss),
        "values": [{"t": v.ratio, "f": v.value, "radius": v.radius} for v in derivation.values],
    }
    continued = loss.continued if verdicts.pieces else ()
    return {
        **entry,
        "left_out": left_out(entry),
        "continued": [f"x = {write(point)}" for point in continued],
    }


def undecided_to_json(text: str | None, because: str) -> dict[str, Any]:
    """The same object for a loss that could not even be read in time: nothing is known of it."""
    nothing = verdict.verdict_to_json(verdict.Verdict(None, verdict.UNDECIDED, because), "validity")
    unknown = (
        "loss_derivative",
        "generator",
        "divergence",
        "factor",
        "valid",
        "f_at_zero",
        "slope_at_infinity",
        "curvature_at_zero",
        "dual_loss",
        "gauge",
    )
    return {
        "name": None,
        "loss": text,
        **dict.fromkeys(unknown),
        "parameters": [],
        "assumptions": [],
        "confirmed_values": 0,
        "tried": [because],
        "why_invalid": because,
        "pieces": [],
        **dict.fromkeys(KINDS, nothing),
        "values": [],
        "left_out": [],
        "continued": [],
        "as_given": None,
    }


def _number(number: parameter_numbers.Number) -> str | dict[str, Any] | None:
    """A text, None, or the cases in which it has different values."""
    if isinstance(number, parameter_numbers.Cases):
        return {
            "cases": [
                {"condition": condition, "value": _text(value)} for condition, value in number.cases
            ]
        }
    return _text(number)


def _readable(expression: sp.Expr | None) -> str | None:
    """Its text; None for one that is too large to be read, and so checked, again."""
    text = _text(expression)
    try:
        syntax_tree(text or "0")
    except ExpressionError:
        return None
    return text


def _text(expression: sp.Expr | None) -> str | None:
    return None if expression is None else write(expression)
