"""The fields of a document beside its verdicts, each held against the loss. Part of the trusted
checker.

A formula is right where it is right on every open cell of the parameters; a number, on every cell.
What a field is held against is a list of `Subject`: the loss on its pieces, in each such cell.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sympy as sp

from divergence_lab.theory.checker import parametric, replay
from divergence_lab.theory.checker.facts import decided, parts, proofs
from divergence_lab.theory.checker.fields import (
    cells,
    continued,
    losses,
    names,
    numbers,
    placements,
    samplers,
)
from divergence_lab.theory.expressions import parse, t, x
from divergence_lab.theory.expressions.parsing import read_assumptions

Entry = Mapping[str, Any]
Check = Callable[[Entry, Sequence[losses.Subject], names.Formulas | None], None]

# Characters, of a loss that is written in integrals; any other is read as an expression.
MAX_LOSS = 100_000
# What is checked together with a field: said alone, it is held against nothing.
GROUPS = {
    "gauge": ("gauge", "as_given", "given"),
    "normalised": ("normalised", "closed_form"),
    "divergence": ("divergence", "factor"),
    "sampler": samplers.FIELDS,
    "placement": (*placements.FIELDS, *samplers.FIELDS),
}
PIECE = {"low", "high", "loss", "slope", "curvature"}


# --- the loss


def check_parameters(entry: Entry) -> None:
    """They are those of the loss, and the assumptions can be read."""
    if not all(
        isinstance(text, str)
        for key in ("parameters", "assumptions", "left_out")
        for text in entry[key]
    ):
        raise proofs.Refuted("the parameters, the assumptions and what is left out are texts")
    read_assumptions(entry["assumptions"])
    if len(entry["loss"]) > MAX_LOSS:
        raise proofs.Refuted(f"the loss has {len(entry['loss'])} characters")
    loss = (
        decided.slope_of_integrals(entry["loss"], x)
        if "Integral(" in entry["loss"]
        else parse(entry["loss"], x, entry["assumptions"])
    )
    names = sorted(symbol.name for symbol in loss.free_symbols - {x})
    if entry["parameters"] != names:
        raise proofs.Refuted(f"the parameters of the loss are {', '.join(names) or 'none'}")


def read_pieces(entry: Entry, parts: list[parts.Part]) -> None:
    """The stated pieces of a loss without parameters; one that is no function at all has none."""
    if any(set(piece) != PIECE for piece in entry["pieces"]):
        raise proofs.Refuted(f"a piece has {', '.join(sorted(PIECE))}")
    if entry["parameters"] and entry["pieces"]:
        raise proofs.Refuted("with parameters there are no pieces")
    parts += replay.read_parts(entry) if entry["pieces"] else []


def read_subjects(
    entry: Entry, parts: Sequence[parts.Part], subjects: list[losses.Subject]
) -> None:
    """The loss on its confirmed pieces, or on open cells of its parameters, where g(0) = 0."""
    if not entry["parameters"]:
        subjects += (
            [losses.Subject(parts)]
            if parts
            else cells.open_subjects(entry["loss"], entry["assumptions"])
        )
        return
    subjects += cells.open_subjects(entry["loss"], entry["assumptions"])
    for subject in subjects:
        for part in subject.parts:
            for end, side in ((part.low, 1), (part.high, -1)):
                if end == 0 and part.loss is not None:  # an integral from 0 is 0 there
                    subject.same(sp.S.Zero, subject.limit(part.loss, sp.S.Zero, side))


# --- what stands beside them


def _on_each(check: Callable[..., None]) -> Check:
    """A formula is right where it is right for all parameters of every open cell."""

    def checked(
        entry: Entry, subjects: Sequence[losses.Subject], known: names.Formulas | None
    ) -> None:
        for subject in subjects:
            check(entry, subject)

    return checked


def _on_every_cell(field: str, check: Callable[[str, Entry, losses.Subject], None]) -> Check:
    """A number is right on every cell; with parameters there may be cases."""

    def checked(
        entry: Entry, subjects: Sequence[losses.Subject], known: names.Formulas | None
    ) -> None:
        if entry["parameters"]:
            stated = cells.subjects_with(
                entry[field], entry["loss"], entry["assumptions"], entry.get("left_out", ())
            )
        else:
            stated = [(entry[field], subject) for subject in subjects]
        for text, subject in stated:
            check(text, entry, subject)

    return checked


def _need_names(known: names.Formulas | None) -> None:
    if known is None:
        raise proofs.Rejected("no formulas of named losses and divergences were handed in")


def _named(entry: Entry, subjects: Sequence[losses.Subject], known: names.Formulas | None) -> None:
    _need_names(known)
    for subject in subjects:
        names.check_name(entry["name"], subject, known)


def _recognised(
    entry: Entry, subjects: Sequence[losses.Subject], known: names.Formulas | None
) -> None:
    if entry["divergence"] is None:
        raise proofs.Refuted("there is no divergence that the factor could be one of")
    _need_names(known)
    names.check_divergence(entry["divergence"], entry["factor"], subjects, known)


def _check_gauge(
    entry: Entry, subjects: Sequence[losses.Subject], known: names.Formulas | None
) -> None:
    """What was given is what is derived and the gauge: g + c + s x of a loss, f + c + s (t - 1)
    of a generator.
    """
    inverted = "given" in entry
    if not isinstance(entry["gauge"], Mapping) or set(entry["gauge"]) != {"constant", "slope"}:
        raise proofs.Refuted("the gauge is a constant and a slope")
    if inverted and entry["as_given"] is not None:
        raise proofs.Refuted("a generator was given, and no loss")
    for subject in subjects:
        constant, slope = (
            subject.read(entry["gauge"][key], sp.Dummy()) for key in ("constant", "slope")
        )
        if not inverted and entry["as_given"] is None:
            subject.same(constant, sp.S.Zero)
            subject.same(slope, sp.S.Zero)
            continue
        if inverted:
            given, normalised = (subject.read(entry[key], t) for key in ("given", "normalised"))
            pieces = [subject.in_residual(given, part) for part in subject.parts]
            for here, part in zip(pieces, subject.parts):
                rest = here - subject.in_residual(normalised, part)
                subject.vanishes(rest - constant - slope * (sp.exp(x) - 1), part)
            subject.need_limits(given.xreplace({t: sp.exp(x)}), pieces)
            continue
        if any(part.loss is None for part in subject.parts):
            raise proofs.Rejected("the loss is an integral: its gauge is not shown")
        given = subject.read(entry["as_given"]) - constant - slope * x
        for part in subject.parts:
            subject.equal(given, part.loss, part)
        # without pieces g is broken, and what was given has the loss's own values there
        own = None if entry["pieces"] or subject.free else subject.read(entry["loss"])
        subject.need_limits(given, [part.loss for part in subject.parts], own)


def _check_inverted(
    entry: Entry, subjects: Sequence[losses.Subject], known: names.Formulas | None
) -> None:
    if entry["generator"] is None:
        raise proofs.Rejected("the generator is not shown")
    if entry.get("normalised") != entry["generator"] or entry["closed_form"] is not (
        "Integral(" not in entry["loss"]
    ):
        raise proofs.Refuted("normalised is the generator, and a closed form has no integral")


def _check_left_out(
    entry: Entry, subjects: Sequence[losses.Subject], known: names.Formulas | None
) -> None:
    """What the proofs leave out, each by a step of its own."""
    if entry["left_out"] != parametric.left_out(entry):
        raise proofs.Refuted("the cells leave out something else")


FORMULAS = ("loss_derivative", "generator", "dual_loss")
FIELDS: Mapping[str, Check] = {
    "continued": continued.check_continued,
    "name": _named,
    "loss_derivative": _on_each(numbers.check_derivative),
    "gauge": _check_gauge,
    "generator": _on_each(numbers.check_generator),
    "normalised": _check_inverted,
    "divergence": _recognised,
    "f_at_zero": _on_every_cell("f_at_zero", numbers.check_value_at_zero),
    "slope_at_infinity": _on_every_cell("slope_at_infinity", numbers.check_slope_at_infinity),
    "curvature_at_zero": _on_every_cell("curvature_at_zero", numbers.check_curvature),
    "dual_loss": _on_each(numbers.check_dual),
    "values": _on_each(numbers.check_values),
    "left_out": _check_left_out,
    "sampler": _on_each(samplers.check_sampler),
    "placement": _on_each(placements.check_placement),
}
