"""The small trusted verifier: everything that `derive --json` prints, held against the loss by
means of its own.

It shares no code with the search, and the document never chooses what is checked. Every field is
shown right, or shown wrong, or is named as not verified; what is null or undecided claims nothing.
Trusted: the modules that their docstrings call part of it, the reading of text, SymPy's
differentiation and normal forms, and Arb (docs/certificates.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp

from divergence_lab.theory.checker.cells import open_subjects, subjects_with
from divergence_lab.theory.checker.certificate import flaw
from divergence_lab.theory.checker.conclusions import VERDICTS, Part
from divergence_lab.theory.checker.facts.decided import slope_of_integrals
from divergence_lab.theory.checker.facts.proofs import Refuted, Rejected
from divergence_lab.theory.checker.losses import Subject
from divergence_lab.theory.checker.names import Formulas, check_divergence, check_name
from divergence_lab.theory.checker.numbers import (
    check_curvature,
    check_derivative,
    check_dual,
    check_generator,
    check_slope_at_infinity,
    check_value_at_zero,
    check_values,
)
from divergence_lab.theory.checker.parametric import check_parametric, left_out
from divergence_lab.theory.checker.replay import (
    MALFORMED,
    check_sentence,
    check_verdict,
    check_without_pieces,
    read_parts,
)
from divergence_lab.theory.checker.samplers import FIELDS as SAMPLING
from divergence_lab.theory.checker.samplers import check_sampler
from divergence_lab.theory.expressions.ordering import CannotSplit
from divergence_lab.theory.expressions.parsing import parse, read_assumptions
from divergence_lab.theory.expressions.symbols import t, x
from divergence_lab.theory.expressions.syntax import ExpressionError, shown

Entry = Mapping[str, Any]
Check = Callable[[Entry, Sequence[Subject], Formulas | None], None]

REQUIRED = (
    "name",
    "loss",
    "loss_derivative",
    "parameters",
    "assumptions",
    "as_given",
    "gauge",
    "generator",
    "divergence",
    "factor",
    "valid",
    "why_invalid",
    "validity",
    "pieces",
    "convex",
    "data_processing",
    "zero_forcing",
    "zero_avoiding",
    "symmetric",
    "even",
    "bounded_gradient",
    "f_at_zero",
    "slope_at_infinity",
    "curvature_at_zero",
    "dual_loss",
    "values",
    "left_out",
)
MAX_LOSS = (
    100_000  # characters, of one that is written in integrals; any other is read as an expression
)
LISTS = ("parameters", "assumptions", "pieces", "values", "left_out")
INVERTED = ("given", "normalised", "closed_form")
# What is checked together with a field: said alone, it is held against nothing.
GROUPS = {
    "gauge": ("gauge", "as_given", "given"),
    "normalised": ("normalised", "closed_form"),
    "divergence": ("divergence", "factor"),
    "sampler": SAMPLING,
}
# The search's own account of itself, and what an older version asked not to be checked: read by
# nobody here.
IGNORED = ("tried", "confirmed_values", "unchecked")
KNOWN = {*REQUIRED, *INVERTED, *SAMPLING, *IGNORED}
PIECE = {"low", "high", "loss", "slope", "curvature"}
# Not shown is not wrong: what the means of the checker do not reach.
NOT_SHOWN = (CannotSplit, NotImplementedError, sp.PolynomialError, Rejected)


@dataclass(frozen=True)
class Failure:
    """Something that does not hold: where, and why."""

    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.where}{' ' if self.why.startswith('step ') else ': '}{self.why}"


@dataclass(frozen=True)
class Report:
    """What was found of one object: what does not hold, and the fields that were not verified."""

    failures: tuple[Failure, ...]
    not_verified: tuple[str, ...]


def check(document: Any, known: Formulas | None = None) -> list[Failure]:
    """Every failure in the output of `derive --json` (a list of objects, or one)."""
    objects = document if isinstance(document, list) else [document]
    return (
        [failure for entry in objects for failure in check_one(entry, known)]
        if objects
        else [Failure("document", "it is empty")]
    )


def check_one(entry: Any, known: Formulas | None = None) -> list[Failure]:
    """What does not hold in one object of `derive --json`; names are held against the formulas
    in `known`.
    """
    return list(examine(entry, known).failures)


def examine(entry: Any, known: Formulas | None = None) -> Report:
    """All that is shown wrong in one object of `derive --json`, and all that is not shown, in
    the order of its fields.
    """
    if not isinstance(entry, Mapping):
        return Report((Failure("document", "it is not an object of derive --json"),), ())
    if missing := [key for key in REQUIRED if key not in entry]:
        return Report((Failure(missing[0], "it is missing: derive the loss again"),), ())
    if wrong := [key for key in LISTS if not isinstance(entry[key], list)]:
        return Report((Failure(wrong[0], "it is a list in what derive prints"),), ())
    failures: list[Failure] = []
    opened: list[str] = []

    def ask(
        where: str, question: Callable[..., Any], *arguments: Any, strict: bool = False
    ) -> bool:
        """Was it shown? `strict`: what is not shown counts as wrong."""
        try:
            question(*arguments)
            return True
        except MALFORMED as reason:
            if isinstance(reason, NOT_SHOWN) and not isinstance(reason, Refuted) and not strict:
                opened.append(where)
            else:
                failures.append(Failure(where, _words(reason)))
            return False

    if _claims_nothing(entry):
        for kind in VERDICTS:
            ask(kind, _undecided, kind, entry[kind])
        opened += _named_in(entry, [key for key in entry if key not in IGNORED])
    else:
        _examine_all(entry, known, ask, opened)
    order = {key: place for place, key in enumerate(entry)}
    return Report(
        tuple(sorted(failures, key=lambda failure: order.get(failure.where, -1))),
        tuple(sorted(set(opened), key=lambda key: order.get(key, -1))),
    )


def _words(reason: Exception) -> str:
    return (
        str(reason)
        if isinstance(reason, Rejected | ExpressionError)
        else f"malformed ({type(reason).__name__}: {reason})"
    )


def _claims_nothing(entry: Mapping[str, Any]) -> bool:
    """An object about a loss that was not even read in time."""
    empty = (
        "name",
        "loss_derivative",
        "gauge",
        "generator",
        "divergence",
        "factor",
        "valid",
        "f_at_zero",
        "slope_at_infinity",
        "curvature_at_zero",
        "dual_loss",
    )
    return (
        all(entry[key] is None for key in empty)
        and not any(entry[key] for key in ("pieces", "values", "parameters"))
        and all(
            isinstance(entry[kind], Mapping) and entry[kind].get("status") == "undecided"
            for kind in VERDICTS
        )
    )


def _undecided(kind: str, verdict: Mapping[str, Any]) -> None:
    if (found := flaw(kind, verdict)) is not None:
        raise Refuted(found)
    if (verdict["holds"], verdict["condition"], verdict["steps"]) != (None, None, []):
        raise Refuted("an undecided verdict must not carry a proof")


def _is_undecided(verdict: Any) -> bool:
    return isinstance(verdict, Mapping) and verdict.get("status") == "undecided"


def _examine_all(
    entry: Entry, known: Formulas | None, ask: Callable[..., bool], opened: list[str]
) -> None:
    """Ask for every field; without the pieces of the loss there is nothing to hold them against."""
    parts: list[Part] = []
    if not ask("parameters", _check_parameters, entry, strict=True) or not ask(
        "pieces", _read_pieces, entry, parts, strict=True
    ):
        return
    for kind in VERDICTS:
        ask(kind, _check_verdict, kind, entry, parts, strict=True)
    ask("valid", _check_valid, entry, strict=True)
    opened += [
        key
        for key in (*VERDICTS, "why_invalid")
        if _is_undecided(entry["validity" if key == "why_invalid" else key])
    ]
    subjects: list[Subject] = []
    proved = dict(entry)  # what rests on the closed form of f, once that is shown
    ready = ask("loss", _read_subjects, entry, parts, subjects)
    for field, check in FIELDS.items():
        said = _named_in(entry, GROUPS.get(field, (field,)))
        if not said and field != "left_out":
            continue
        if not ready:
            opened.append(field)
        elif not ask(field, check, proved, subjects, known) and field in FORMULAS:
            proved[field] = None
        opened += said if field in opened else []
    opened += _named_in(entry, [key for key in entry if key not in KNOWN])


def _named_in(entry: Entry, keys: Iterable[str]) -> list[str]:
    """The keys under which something is said: null and an empty list of what derive lists say
    nothing. Unknown ones in one line.
    """
    return [
        key if key in KNOWN else shown(str(key))
        for key in keys
        if not ((entry.get(key) is None and key in KNOWN) or (key in LISTS and entry[key] == []))
    ]


# --- the loss


def _check_parameters(entry: Entry) -> None:
    """They are those of the loss, and the assumptions can be read."""
    if not all(
        isinstance(text, str)
        for key in ("parameters", "assumptions", "left_out")
        for text in entry[key]
    ):
        raise Refuted("the parameters, the assumptions and what is left out are texts")
    read_assumptions(entry["assumptions"])
    if len(entry["loss"]) > MAX_LOSS:
        raise Refuted(f"the loss has {len(entry['loss'])} characters")
    loss = (
        slope_of_integrals(entry["loss"], x)
        if "Integral(" in entry["loss"]
        else parse(entry["loss"], x, entry["assumptions"])
    )
    names = sorted(symbol.name for symbol in loss.free_symbols - {x})
    if entry["parameters"] != names:
        raise Refuted(f"the parameters of the loss are {', '.join(names) or 'none'}")


def _read_pieces(entry: Entry, parts: list[Part]) -> None:
    """The stated pieces of a loss without parameters; one that is no function at all has none."""
    if any(set(piece) != PIECE for piece in entry["pieces"]):
        raise Refuted(f"a piece has {', '.join(sorted(PIECE))}")
    if entry["parameters"] and entry["pieces"]:
        raise Refuted("with parameters there are no pieces")
    parts += read_parts(entry) if entry["pieces"] else []


def _read_subjects(entry: Entry, parts: Sequence[Part], subjects: list[Subject]) -> None:
    """The loss on its confirmed pieces, or on open cells of its parameters, where g(0) = 0."""
    if not entry["parameters"]:
        subjects += (
            [Subject(parts)] if parts else open_subjects(entry["loss"], entry["assumptions"])
        )
        return
    subjects += open_subjects(entry["loss"], entry["assumptions"])
    for subject in subjects:
        for part in subject.parts:
            for end, side in ((part.low, 1), (part.high, -1)):
                if end == 0:
                    subject.same(sp.S.Zero, subject.limit(part.loss, sp.S.Zero, side))


# --- verdicts


def _check_verdict(kind: str, entry: Entry, parts: Sequence[Part]) -> None:
    verdict = entry[kind]
    if (
        kind == "data_processing"
        and _same_proof(verdict, entry["convex"])
        and flaw(kind, verdict) is None
    ):
        if not _is_undecided(verdict):
            check_sentence(kind, verdict)
    elif entry["parameters"]:
        check_parametric(kind, verdict, entry["loss"], entry["assumptions"])
    elif parts:
        check_verdict(kind, verdict, parts)
    else:
        check_without_pieces(kind, verdict, entry["loss"])


def _same_proof(verdict: Any, other: Any) -> bool:
    """The same answer by the same steps, which need be replayed once."""
    return all(isinstance(one, Mapping) for one in (verdict, other)) and all(
        key in verdict and key in other and verdict[key] == other[key]
        for key in ("holds", "condition", "status", "steps")
    )


def _undecided(kind: str, verdict: Mapping[str, Any]) -> None:
    if (found := flaw(kind, verdict)) is not None:
        raise Refuted(found)
    if (verdict["holds"], verdict["condition"], verdict["steps"]) != (None, None, []):
        raise Refuted("an undecided verdict must not carry a proof")


def _check_valid(entry: Entry) -> None:
    """`valid` is the answer of `validity`, and `why_invalid` its sentence where that is not yes."""
    holds = entry["validity"]["holds"]
    if entry["valid"] is not holds:
        raise Refuted("valid and validity differ")
    if entry["why_invalid"] != (None if holds is True else entry["validity"]["because"]):
        raise Refuted("why_invalid is not what validity says")


# --- what stands beside them


def _on_each(check: Callable[..., None]) -> Check:
    """A formula is right where it is right for all parameters of every open cell."""

    def checked(entry: Entry, subjects: Sequence[Subject], known: Formulas | None) -> None:
        for subject in subjects:
            check(entry, subject)

    return checked


def _number(field: str, check: Callable[[str, Entry, Subject], None]) -> Check:
    """A number is right on every cell; with parameters there may be cases."""

    def checked(entry: Entry, subjects: Sequence[Subject], known: Formulas | None) -> None:
        if entry["parameters"]:
            stated = subjects_with(
                entry[field], entry["loss"], entry["assumptions"], entry.get("left_out", ())
            )
        else:
            stated = [(entry[field], subject) for subject in subjects]
        for text, subject in stated:
            check(text, entry, subject)

    return checked


def _need_names(known: Formulas | None) -> None:
    if known is None:
        raise Rejected("no formulas of named losses and divergences were handed in")


def _named(entry: Entry, subjects: Sequence[Subject], known: Formulas | None) -> None:
    _need_names(known)
    for subject in subjects:
        check_name(entry["name"], subject, known)


def _recognised(entry: Entry, subjects: Sequence[Subject], known: Formulas | None) -> None:
    if entry["divergence"] is None:
        raise Refuted("there is no divergence that the factor could be one of")
    _need_names(known)
    for subject in subjects:
        check_divergence(entry["divergence"], entry["factor"], subject, known)


def _check_gauge(entry: Entry, subjects: Sequence[Subject], known: Formulas | None) -> None:
    """What was given is what is derived and the gauge: g + c + s x of a loss, f + c + s (t - 1)
    of a generator.
    """
    inverted = "given" in entry
    if not isinstance(entry["gauge"], Mapping) or set(entry["gauge"]) != {"constant", "slope"}:
        raise Refuted("the gauge is a constant and a slope")
    if inverted and entry["as_given"] is not None:
        raise Refuted("a generator was given, and no loss")
    for subject in subjects:
        constant, slope = (
            subject.read(entry["gauge"][key], sp.Dummy()) for key in ("constant", "slope")
        )
        if not inverted and entry["as_given"] is None:
            subject.same(constant, sp.S.Zero)
            subject.same(slope, sp.S.Zero)
            continue
        for part in subject.parts:
            if inverted:
                given, normalised = (
                    subject.in_residual(subject.read(entry[key], t), part)
                    for key in ("given", "normalised")
                )
                subject.vanishes(given - normalised - constant - slope * (sp.exp(x) - 1), part)
            else:
                subject.equal(
                    subject.read(entry["as_given"]) - constant - slope * x, part.loss, part
                )


def _check_inverted(entry: Entry, subjects: Sequence[Subject], known: Formulas | None) -> None:
    if (
        entry.get("normalised") is None
        or entry["normalised"] != entry["generator"]
        or entry["closed_form"] is not ("Integral(" not in entry["loss"])
    ):
        raise Refuted("normalised is the generator, and a closed form has no integral")


def _check_left_out(entry: Entry, subjects: Sequence[Subject], known: Formulas | None) -> None:
    """What the proofs leave out, each by a step of its own."""
    if entry["left_out"] != left_out(entry):
        raise Refuted("the cells leave out something else")


FORMULAS = ("loss_derivative", "generator", "dual_loss")
FIELDS: Mapping[str, Check] = {
    "name": _named,
    "normalised": _check_inverted,
    "loss_derivative": _on_each(check_derivative),
    "gauge": _check_gauge,
    "generator": _on_each(check_generator),
    "divergence": _recognised,
    "f_at_zero": _number("f_at_zero", check_value_at_zero),
    "slope_at_infinity": _number("slope_at_infinity", check_slope_at_infinity),
    "curvature_at_zero": _number("curvature_at_zero", check_curvature),
    "dual_loss": _on_each(check_dual),
    "values": _on_each(check_values),
    "left_out": _check_left_out,
    "sampler": _on_each(check_sampler),
}
