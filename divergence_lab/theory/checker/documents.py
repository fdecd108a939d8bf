"""The small trusted verifier: everything that `derive --json` prints, held against the loss by
means of its own.

It uses nothing of the search, and the document never chooses what is checked. Every field is
shown right, or shown wrong, or is named as not verified; what is null or undecided claims nothing.
Trusted: the modules that their docstrings call part of it, the reading of text, SymPy's
differentiation and normal forms, and Arb (docs/certificates.md).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp

from divergence_lab.theory.checker import certificate, parametric, replay
from divergence_lab.theory.checker.facts.parts import Part
from divergence_lab.theory.checker.facts.proofs import Refuted, Rejected
from divergence_lab.theory.checker.fields import fields, losses, names, placements, samplers
from divergence_lab.theory.checker.kinds.table import KINDS
from divergence_lab.theory.expressions import CannotSplit, ExpressionError
from divergence_lab.theory.expressions.syntax import shown

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
    "pieces",
    *KINDS,
    "f_at_zero",
    "slope_at_infinity",
    "curvature_at_zero",
    "dual_loss",
    "values",
    "left_out",
)
LISTS = ("parameters", "assumptions", "pieces", "values", "left_out", "continued")
INVERTED = ("given", "normalised", "closed_form")
# The search's own account of itself, and what an older version asked not to be checked: read by
# nobody here.
IGNORED = ("tried", "confirmed_values", "unchecked")
KNOWN = {*REQUIRED, "continued", *INVERTED, *samplers.FIELDS, *placements.FIELDS, *IGNORED}
# Not shown is not wrong: what the means of the checker do not reach.
NOT_SHOWN = (CannotSplit, NotImplementedError, sp.PolynomialError, Rejected)


@dataclass(frozen=True)
class Failure:
    """Something that does not hold: where, and why.

    >>> str(Failure("convex", "step 2: the sign is wrong"))
    'convex step 2: the sign is wrong'
    """

    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.where}{' ' if self.why.startswith('step ') else ': '}{self.why}"


@dataclass(frozen=True)
class Report:
    """What was found of one object: what does not hold, and the fields that were not verified.

    >>> Report((), ("divergence",)).failures
    ()
    """

    failures: tuple[Failure, ...]
    not_verified: tuple[str, ...]


def check(document: Any, known: names.Formulas | None = None) -> list[Failure]:
    """Every failure in the output of `derive --json` (a list of objects, or one); none: it holds.

    `known`: the catalogue's formulas, against which the names of divergences are held.

        >>> import divergence_lab as dl
        >>> from divergence_lab.theory.answers.derivation import to_json
        >>> document = to_json(dl.derive(dl.loss("quadratic")))
        >>> check(document)
        []
        >>> document["f_at_zero"] = "7"
        >>> check(document)[0].where
        'f_at_zero'
    """
    objects = document if isinstance(document, list) else [document]
    return (
        [failure for entry in objects for failure in check_one(entry, known)]
        if objects
        else [Failure("document", "it is empty")]
    )


def check_one(entry: Any, known: names.Formulas | None = None) -> list[Failure]:
    """What does not hold in one object of `derive --json`; names are held against the formulas
    in `known`.

        >>> [failure.where for failure in check_one({"loss": "x**2/2"})]
        ['name']
    """
    return list(examine(entry, known).failures)


def examine(entry: Any, known: names.Formulas | None = None) -> Report:
    """All that is shown wrong in one object of `derive --json`, and all that is not shown, in
    the order of its fields.
    """
    if not isinstance(entry, Mapping):
        return Report((Failure("document", "it is not an object of derive --json"),), ())
    if missing := [key for key in REQUIRED if key not in entry]:
        return Report((Failure(missing[0], "it is missing: derive the loss again"),), ())
    if wrong := [key for key in LISTS if not isinstance(entry.get(key, []), list)]:
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
        except replay.MALFORMED as reason:
            if isinstance(reason, NOT_SHOWN) and not isinstance(reason, Refuted) and not strict:
                opened.append(where)
            else:
                failures.append(Failure(where, _words(reason)))
            return False

    if _claims_nothing(entry):
        for kind in KINDS:
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
            for kind in KINDS
        )
    )


def _undecided(kind: str, verdict: Mapping[str, Any]) -> None:
    if (found := certificate.flaw(kind, verdict)) is not None:
        raise Refuted(found)
    if (verdict["holds"], verdict["condition"], verdict["steps"]) != (None, None, []):
        raise Refuted("an undecided verdict must not carry a proof")


def _is_undecided(verdict: Any) -> bool:
    return isinstance(verdict, Mapping) and verdict.get("status") == "undecided"


def _examine_all(
    entry: fields.Entry, known: names.Formulas | None, ask: Callable[..., bool], opened: list[str]
) -> None:
    """Ask for every field; without the pieces of the loss there is nothing to hold them against."""
    parts: list[Part] = []
    if not ask("parameters", fields.check_parameters, entry, strict=True) or not ask(
        "pieces", fields.read_pieces, entry, parts, strict=True
    ):
        return
    for kind in KINDS:
        ask(kind, _check_verdict, kind, entry, parts, strict=True)
    ask("valid", _check_valid, entry, strict=True)
    opened += [
        key
        for key in (*KINDS, "why_invalid")
        if _is_undecided(entry["validity" if key == "why_invalid" else key])
    ]
    subjects: list[losses.Subject] = []
    proved = dict(entry)  # what rests on the closed form of f, once that is shown
    ready = ask("loss", fields.read_subjects, entry, parts, subjects)
    for field, check in fields.FIELDS.items():
        said = _named_in(entry, fields.GROUPS.get(field, (field,)))
        if not said and field not in ("left_out", "continued"):
            continue
        if not ready:
            opened.append(field)
        elif not ask(field, check, proved, subjects, known) and field in fields.FORMULAS:
            proved[field] = None
        opened += said if field in opened else []
    opened += _named_in(entry, [key for key in entry if key not in KNOWN])


def _named_in(entry: fields.Entry, keys: Iterable[str]) -> list[str]:
    """The keys under which something is said: null and an empty list of what derive lists say
    nothing. Unknown ones in one line.
    """
    return [
        key if key in KNOWN else shown(str(key))
        for key in keys
        if not ((entry.get(key) is None and key in KNOWN) or (key in LISTS and entry[key] == []))
    ]


# --- verdicts


def _check_verdict(kind: str, entry: fields.Entry, parts: Sequence[Part]) -> None:
    verdict = entry[kind]
    same = KINDS[kind].proved_as
    if (
        same is not None
        and _same_proof(verdict, entry[same])
        and certificate.flaw(kind, verdict) is None
    ):
        if not _is_undecided(verdict):
            replay.check_sentence(kind, verdict)
    elif entry["parameters"]:
        parametric.check_parametric(kind, verdict, entry["loss"], entry["assumptions"])
    elif parts:
        replay.check_verdict(kind, verdict, parts)
    else:
        replay.check_without_pieces(kind, verdict, entry["loss"])


def _same_proof(verdict: Any, other: Any) -> bool:
    """The same answer by the same steps, which need be replayed once."""
    return (
        isinstance(verdict, Mapping)
        and isinstance(other, Mapping)
        and all(
            key in verdict and key in other and verdict[key] == other[key]
            for key in ("holds", "condition", "status", "steps")
        )
    )


def _check_valid(entry: fields.Entry) -> None:
    """`valid` is the answer of `validity`, and `why_invalid` its sentence where that is not yes."""
    holds = entry["validity"]["holds"]
    if entry["valid"] is not holds:
        raise Refuted("valid and validity differ")
    if entry["why_invalid"] != (None if holds is True else entry["validity"]["because"]):
        raise Refuted("why_invalid is not what validity says")
