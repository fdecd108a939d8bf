"""All that is said of the loss of a generator, within a budget."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sympy as sp

from divergence_lab.theory.answers.derivation import Derivation, answers, assemble
from divergence_lab.theory.budget.asking import cut_short
from divergence_lab.theory.divergence import closed_form, domain, inversion, recognition


def derive_inverse(
    inversion: inversion.Inversion,
    at: Sequence[sp.Expr] = (),
    digits: int = 30,
    budget: float = 20.0,
    spent: float = 0.0,
) -> Derivation:
    """As `derivation.derive`, with the generator that was given instead of one that is searched
    for.
    """
    return assemble(
        _known(inversion), (inversion, tuple(at), digits), answers_of_inverse, budget, spent
    )


def answers_of_inverse(
    inversion: inversion.Inversion,
    at: Sequence[sp.Expr],
    digits: int,
    budget: float,
    done: Mapping[str, Any],
) -> Iterator[Any]:
    """The stages of a derivation that are not done yet, in turn."""
    found = _known(inversion)
    if "the divergence" not in done and not domain.fault(inversion.loss):
        before = cut_short()
        name, factor = recognition.recognise(inversion.loss)
        late = (closed_form.NAME,) if name is None and cut_short() > before else ()
        found = dataclasses.replace(found, name=name, factor=factor, late=late)
    return answers(inversion.loss, at, digits, budget, done, found)


def _known(inversion: inversion.Inversion) -> closed_form.Divergence:
    return closed_form.Divergence(
        inversion.loss,
        inversion.generator,
        None,
        None,
        inversion.confirmed,
        () if inversion.closed else ("closed form of g: none found, g is the integral of g'",),
    )
