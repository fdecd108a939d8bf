"""Names against formulas: is the loss what its name says, and its divergence? Part of the trusted
checker.

The formulas are handed in as data: records with name, loss, parameters, where and special for
losses; name, generator, parameter and where for divergences. Nothing is recognised here; a name
that is stated is tried.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp

from divergence_lab.theory.checker.facts.proofs import Refuted, Rejected
from divergence_lab.theory.checker.fields.losses import Subject
from divergence_lab.theory.expressions import parse, t, x
from divergence_lab.theory.expressions.balls import ball_of_constant
from divergence_lab.theory.expressions.parsing import read_assumptions

# at which the sign of a factor with parameters is looked at
_SHARES = tuple(sp.Rational(n, 7) for n in (2, 9, 40, 900))
MAX_SAMPLES = 256
_CALL = re.compile(r"([a-z][a-z0-9_]*)(?:\((.+)\))?")


@dataclass(frozen=True)
class Formulas:
    """What has a name: losses and divergences, each record by its name."""

    losses: Mapping[str, Any]
    divergences: Mapping[str, Any]


def formulas(losses: Sequence[Any], divergences: Sequence[Any]) -> Formulas:
    """The records by their names."""
    return Formulas(
        {entry.name: entry for entry in losses}, {entry.name: entry for entry in divergences}
    )


def check_name(name: str, subject: Subject, known: Formulas) -> None:
    """The loss is the named formula, at the values in the name. Raises Refuted or Rejected."""
    call = _CALL.fullmatch(name)
    if call is None or call[1] not in known.losses:
        raise Refuted("no loss has this name")
    entry = known.losses[call[1]]
    values = dict(zip(entry.parameters, _arguments(call[2] or ""), strict=True))
    _allow(entry.where, values, subject)
    text = entry.special.get(", ".join(values.values())) or _filled(entry.loss, values)
    formula = subject.read(text)
    for part in subject.parts:
        if part.loss is None:
            raise Rejected("the loss is known by its slope alone")
        subject.equal(formula, part.loss, part)


def check_divergence(name: str, factor: str, subjects: Sequence[Subject], known: Formulas) -> None:
    """g'(log t) = factor (t f' - f) for the named f, or this with 2 (1 - tau) left and 2 tau
    right of 0. With parameters the factor is positive for some of them: where the loss is valid.
    """
    asymmetric = name.startswith("asymmetric ") and name not in known.divergences
    for subject in subjects:
        scale = subject.read(
            factor, sp.Dummy()
        )  # a number: with x in it any loss would have any divergence
        family, shares = name, (scale, scale)
        if asymmetric:
            family, _, text = name.removeprefix("asymmetric ").rpartition(" with tau = ")
            tau = subject.read(text, sp.Dummy())
            shares = 2 * (1 - tau) * scale, 2 * tau * scale
        if asymmetric or not scale.free_symbols:
            _positive(subject, *shares)
        f = _generator(family, subject, known)
        for part, right in zip(subject.parts, subject.sides()):
            here = subject.in_residual(f, part)
            subject.vanishes(part.slope - shares[right] * (sp.diff(here, x) - here), part)
    if not asymmetric:
        _positive_somewhere([subject.read(factor, sp.Dummy()) for subject in subjects])


def _positive_somewhere(factors: Sequence[sp.Expr]) -> None:
    """A factor is positive on some cell of the parameters, or at one sample in it."""
    if any(factor.is_positive or 1 in _signs_seen(factor) for factor in factors):
        return
    if factors and all(factor.is_nonpositive for factor in factors):
        raise Refuted("the factor is positive for no value of the parameters")
    raise Rejected("the factor is not shown to be positive for any value of the parameters")


def _signs_seen(factor: sp.Expr) -> set[int]:
    """Signs of the factor at samples of the symbols of a cell, each with values for all."""
    symbols = sorted(factor.free_symbols, key=str)
    found = set()
    for values in itertools.islice(itertools.product(_SHARES, repeat=len(symbols)), MAX_SAMPLES):
        chosen = {s: v if s.is_positive else v - 2 for s, v in zip(symbols, values)}
        here = ball_of_constant(factor.subs(chosen))
        found |= {1} if here > 0 else {-1} if here < 0 else set()
    return found


def _generator(family: str, subject: Subject, known: Formulas) -> sp.Expr:
    called, given, setting = family.partition(" with ")
    if called not in known.divergences:
        raise Refuted("no divergence has this name")
    entry = known.divergences[called]
    parameter, _, value = setting.partition(" = ")
    if given and entry.parameter and setting.startswith("parameter "):
        parameter, value = entry.parameter, setting.removeprefix("parameter ")
    if (parameter if given else None) != entry.parameter:
        raise Refuted(f"{called} has {'no such parameter' if given else 'a parameter'}")
    values = {parameter: value} if given else {}
    _allow(entry.where, values, subject)
    return subject.read(_filled(entry.generator, values), t)


def _arguments(inside: str) -> list[str]:
    """Split at the commas outside parentheses.

    The catalogue has one of its own: the checker uses nothing of the search.
    """
    parts, depth = [""], 0
    for c in inside:
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    return [part.strip() for part in parts] if inside else []


def _filled(formula: str, values: Mapping[str, str]) -> str:
    """The formula with its parameters replaced, each value being one expression."""
    for value in values.values():
        parse(value, sp.Dummy())
    return re.sub(
        r"[A-Za-z]\w*",
        lambda word: f"({values[word[0]]})" if word[0] in values else word[0],
        formula,
    )


def _allow(where: Sequence[str], values: Mapping[str, str], subject: Subject) -> None:
    """The values lie where the family is defined; one with parameters is allowed, since the
    formula is what is compared.
    """
    for name, bounds in read_assumptions(where).items():
        value = subject.read(values[name], sp.Dummy())
        for relation, bound in bounds if not value.free_symbols else ():
            difference = ball_of_constant(value - bound)
            if (
                (difference < 0 and relation[0] == ">")
                or (difference > 0 and relation[0] == "<")
                or (value == bound and relation in ("<", ">", "!="))
            ):
                raise Refuted(f"it is defined for {' and '.join(where)}")


def _positive(subject: Subject, *factors: sp.Expr) -> None:
    for factor in factors:
        if factor.free_symbols:
            if not factor.is_positive:
                raise Rejected(f"{factor} is not shown to be positive")
        elif not ball_of_constant(factor) > 0:
            raise Refuted(f"the factor {factor} is not positive")
