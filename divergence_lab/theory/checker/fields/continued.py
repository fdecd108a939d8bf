"""Points at which the formula has no value and g is continued by its limit. Part of the trusted
checker.

    "continued": ["x = 0"]     of sinh(x)/x - 1

That the limits from both sides are one number is what `replay.read_parts` confirms of the pieces.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import sympy as sp

from divergence_lab.theory.checker.facts import proofs
from divergence_lab.theory.checker.facts.decided import decided_by_parts
from divergence_lab.theory.checker.facts.parts import Part, read_number, same_point
from divergence_lab.theory.checker.facts.proofs import Refuted
from divergence_lab.theory.checker.fields.losses import Subject
from divergence_lab.theory.expressions.ordering import in_order, is_less
from divergence_lab.theory.expressions.parsing import parse
from divergence_lab.theory.expressions.points import value_of
from divergence_lab.theory.expressions.symbols import x

_BEGINNING = "x = "


def check_continued(entry: Mapping[str, Any], subjects: Sequence[Subject], known: object) -> None:
    """The points are exactly those at which what was given has no value."""
    stated = [_read(text) for text in entry.get("continued", ())]
    text = entry["as_given"] or entry["loss"]
    if not entry["pieces"] or "Integral(" in text:
        if stated:
            raise Refuted("nothing is continued where there are no pieces of a formula")
        return
    given, (subject,) = parse(text, x), subjects
    for point in stated:
        if value_of(given, x, point) is not None:
            raise Refuted(f"the formula has a value at {point}")
    for formula in dict.fromkeys((given, parse(entry["loss"], x))):
        for part in subject.parts[1:]:
            if value_of(formula, x, part.low) is None and not _is_among(part.low, stated):
                raise Refuted(f"the formula has no value at {part.low}")
        for part in subject.parts:
            _check_the_rest(formula, part, stated)


def _read(text: str) -> sp.Expr:
    if not text.startswith(_BEGINNING):
        raise Refuted("a point is written x = 0")
    return read_number(text.removeprefix(_BEGINNING))


def _is_among(point: sp.Expr, points: Sequence[sp.Expr]) -> bool:
    return any(same_point(point, other) for other in points)


def _check_the_rest(formula: sp.Expr, part: Part, stated: Sequence[sp.Expr]) -> None:
    """Between the stated points of a piece the formula is finite."""
    inside = [p for p in stated if is_less(part.low, p) and is_less(p, part.high)]
    for low, high in itertools.pairwise([part.low, *in_order(inside), part.high]):
        for a, b, smooth in decided_by_parts(formula, x, low, high):
            if b != high and value_of(formula, x, b) is None:
                raise Refuted(f"the formula has no value at {b}")
            if part.loss is None or inside or not _fragile(smooth) <= _fragile(part.loss):
                proofs.prove_finite(smooth, x, a, b)


def _fragile(f: sp.Expr) -> set[sp.Expr]:
    """The parts of f that may have no value; g is finite on its piece with all of its own."""
    powers = {p for p in f.atoms(sp.Pow) if not (p.exp.is_Integer and p.exp > 0) and p.has(x)}
    entire = (sp.exp, sp.sinh, sp.cosh, sp.tanh, sp.asinh, sp.atan, sp.erf, sp.erfc, sp.erfi)
    others = {e for e in f.atoms(sp.Function) if not isinstance(e, entire) and e.has(x)}
    return {p for p in powers if not isinstance(p, sp.exp)} | others
