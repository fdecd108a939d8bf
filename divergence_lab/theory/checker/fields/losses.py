"""The loss that a document is about, as the checker reads it: its smooth pieces, and what can be
asked of them.

Part of the trusted checker. A loss without parameters comes with pieces that the document states
and `checker.read_parts` confirmed. One with parameters is split here, on a cell of them
(`cell_forms`): each parameter a value, or a symbol for all of an open range.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sympy as sp
from sympy.core.relational import Relational

from divergence_lab.theory.checker.facts import proofs
from divergence_lab.theory.checker.facts.decided import decided, inner_point, prove_equal, read_loss
from divergence_lab.theory.checker.facts.parts import Part
from divergence_lab.theory.checker.facts.proofs import Refuted, Rejected
from divergence_lab.theory.checker.families import by_terms, cell_forms, cells, signs, values
from divergence_lab.theory.checker.families.ranges import Ranges, read_assumed, sides_of
from divergence_lab.theory.expressions import balls, constants, ordering, parse, points, split, t, x
from divergence_lab.theory.expressions.parsing import FUNCTIONS, PIECEWISE
from divergence_lab.theory.expressions.syntax import MAX_CHARACTERS

SAMPLES = (sp.Rational(5, 11), sp.Rational(17, 7))


@dataclass(frozen=True)
class Subject:
    """A loss by its pieces from left to right; `written` says what its parameters are in the
    symbols of the cell.
    """

    parts: Sequence[Part]
    assumptions: Sequence[str] = ()
    written: Mapping[sp.Symbol, sp.Expr] = field(default_factory=dict)

    @property
    def free(self) -> bool:
        """Are there parameters left?"""
        return any(form.free_symbols for form in self.written.values())

    def sides(self) -> list[bool]:
        """Which pieces lie right of 0, where the loss breaks."""
        first = next(i for i, part in enumerate(self.parts) if part.low == 0)
        return [i >= first for i in range(len(self.parts))]

    def on(self, parts: Sequence[Part]) -> Subject:
        """The same parameters, other pieces."""
        return dataclasses.replace(self, parts=parts)

    def read(self, text: str, variable: sp.Symbol = x) -> sp.Expr:
        """An expression of the document in the symbols of the cell; a number, oo or -oo where
        there is no variable.
        """
        if text in ("oo", "-oo"):
            return sp.oo if text == "oo" else -sp.oo
        known = {s: form for s, form in self.written.items() if not form.free_symbols}
        raw = self.raw(text, variable)
        if self.free:
            _need_no_values_of_their_own(raw, variable)
        try:
            found = values.value_of(raw, known)
        except values.Undefined as part:
            raise Rejected(f"{part} has no value") from None
        return found.subs(self.written)

    def raw(self, text: str, variable: sp.Symbol = x) -> sp.Expr:
        """The same as it is written, with the parameters of the loss alone."""
        if len(text) > MAX_CHARACTERS:
            raise Refuted(f"it has {len(text)} characters")
        beyond = [
            name
            for name in re.findall(r"\b\w+(?=\()", text)
            if name not in (*FUNCTIONS, PIECEWISE) and hasattr(sp.functions, name)
        ]
        if beyond:
            raise Rejected(f"{beyond[0]} is no function of the language")
        expression = parse(text, variable, self.assumptions)
        if expression.free_symbols - {variable} - self.written.keys():
            raise Rejected("it has a parameter that the loss has not")
        return expression

    def vanishes(self, f: sp.Expr, part: Part) -> None:
        """f = 0 on the piece, for all parameters.

        Raises Refuted where it is not, Rejected where that is not shown.
        """
        if not self.free:
            proofs.prove_zero(f, x, part.low, part.high)
        elif not (signs.is_zero(f) or proofs.is_identity(f, x) or signs.is_zero(_numerator(f))):
            _refute(f, part)
            raise Rejected(f"{f} is not shown to be 0")

    def equal(self, f: sp.Expr, smooth: sp.Expr, part: Part) -> None:
        """f, which may be decided by cases, is `smooth` on the piece."""
        if self.written:
            self.vanishes(self.smooth(f, part) - smooth, part)
        else:
            prove_equal(f, smooth, x, part.low, part.high)

    def smooth(self, f: sp.Expr, part: Part) -> sp.Expr:
        """What f, which may be decided by cases, is on the piece.

        Raises Rejected where it has a break inside.
        """
        return (
            _branch(f, x, part.low, part.high)
            if self.written
            else decided(f, x, part.low, part.high)
        )

    def in_residual(self, f: sp.Expr, part: Part) -> sp.Expr:
        """f(e^x) on the piece, of a generator f(t)."""
        if self.written:
            return _branch(f, t, sp.exp(part.low), sp.exp(part.high)).xreplace({t: sp.exp(x)})
        return self.smooth(f.xreplace({t: sp.exp(x)}), part)

    def need_limits(self, f: Any, pieces: Sequence[Any], own: Any = None) -> None:
        """Between two of its smooth pieces f has no value but that of `own`, or their limit where
        they have one.

        Raises Refuted or Rejected.
        """
        if not f.has(sp.sign, sp.Piecewise) and not _powers_of_zero(f):
            return  # continuous wherever it has a value
        for (before, after), part in zip(itertools.pairwise(pieces), self.parts):
            if (value := points.value_of(f, x, part.high)) is None:
                continue
            if own is not None and (known := points.value_of(own, x, part.high)) is not None:
                self.same(value, known)
                continue
            ends = [self.limit(g, part.high, side) for g, side in ((before, -1), (after, 1))]
            if not self.differ(*ends):
                self.same(value, ends[0])

    def limit(self, f: sp.Expr, end: sp.Expr, side: int) -> sp.Expr:
        """The limit of f, exact, oo or -oo. Raises Rejected where it is not known."""
        if self.free:
            known = end.is_finite and signs.is_finite(
                f, at=(x, end)
            )  # every part of f is: 0*zoo is no 0
            return f.subs(x, end) if known else by_terms.limit_of(f, x, end, side)
        found = proofs.limit_of(f, x, end, side)
        if found is None:
            raise Rejected(f"the limit of {f} at {end} is not known")
        return found

    def diverges(self, f: sp.Expr) -> bool:
        """Is int^oo f = oo?"""
        return by_terms.diverges(f, x) if self.free else proofs.integral_diverges(f, x)

    def rises(self, a: sp.Expr, b: sp.Expr) -> bool:
        """Is a < b, for finite constants that differ?"""
        return (
            signs.sign(b - a) == 1
            if self.free
            else bool(balls.ball_of_constant(a) < balls.ball_of_constant(b))
        )

    def same(self, stated: sp.Expr, found: sp.Expr) -> None:
        """Two constants are equal, for all parameters; oo and -oo may be among them.

        Raises Refuted or Rejected.
        """
        if any(value.has(sp.zoo, sp.nan) for value in (stated, found)):
            raise Rejected(f"it is {found}")
        if stated.is_infinite or found.is_infinite:
            if stated != found:
                raise Refuted(f"it is {found}, not {stated}")
        elif self.differ(stated, found):
            raise Refuted(f"it is {found}, not {stated}")

    def differ(self, a: sp.Expr, b: sp.Expr) -> bool:
        """Two finite constants differ, for all parameters (False: they are equal).

        Raises Rejected where that is not known.
        """
        if self.free:
            if signs.is_zero(a - b):
                return False
            return signs.sign(a - b) != 0  # raises where it is not the same for all parameters
        answer = constants.equal(a, b)
        if answer is None:
            raise Rejected(f"whether {a} is {b} is not known")
        return not answer


def on_cell(text: str, assumptions: Sequence[str], ranges: Ranges) -> Subject:
    """The loss for all parameters of a cell, split at its kinks, their mirror images and 0.

    Raises Rejected, CannotSplit.
    """
    loss = read_loss(text, x, assumptions)
    written = cell_forms.positive_form(loss, ranges)
    sides = sides_of(ranges, read_assumed(loss, assumptions))
    pieces = cells.refined(split(cell_forms.at_points(loss, written, ranges, sides), x))
    cells.need_order(pieces)
    free = any(form.free_symbols for form in written.values())
    for piece in pieces.pieces:
        if piece.expression.has(sp.Integral):
            cells.prove_finite(piece, free)
    slopes = pieces.derivative()
    parts = [
        Part(
            p.low,
            p.high,
            None if p.expression.has(sp.Integral) else p.expression,
            s.expression,
            c.expression,
        )
        for p, s, c in zip(pieces.pieces, slopes.pieces, slopes.derivative().pieces)
    ]
    return Subject(parts, tuple(assumptions), written)


def _powers_of_zero(f: sp.Expr) -> list[sp.Pow]:
    return [power for power in f.atoms(sp.Pow) if power.base == 0]


def _need_no_values_of_their_own(f: sp.Expr, variable: sp.Symbol) -> None:
    """At single values of its parameters f is right by continuity: nothing in it is decided by
    them. Raises Rejected.
    """
    deciders: list[Any] = [sign.args[0] for sign in f.atoms(sp.sign)]
    relations: set[Any] = {r for e in f.atoms(sp.Piecewise) for r in e.atoms(Relational)}
    deciders += [r.lhs - r.rhs for r in relations]
    if _powers_of_zero(f) or any(_is_zero_somewhere(u, variable) for u in deciders):
        raise Rejected("at single values of the parameters it may have a value of its own")


def _is_zero_somewhere(u: Any, variable: sp.Symbol) -> bool:
    """Is a decider u(x) seen to be 0 for all x at single values of parameters?"""
    product: Any = sp.factor(u)
    factors = sp.Mul.make_args(product)
    return any(
        factor.free_symbols and not factor.has(variable) and factor.is_zero is not False
        for factor in factors
    )


def _branch(f: sp.Expr, variable: sp.Symbol, low: sp.Expr, high: sp.Expr) -> sp.Expr:
    """The smooth expression that f is on all of (low, high), by the break points that
    `pieces.split` finds.
    """
    for piece in split(f, variable, sp.S.Zero if variable == t else -sp.oo).pieces:
        if not ordering.is_less(low, piece.low) and not ordering.is_less(piece.high, high):
            return piece.expression
    raise Rejected(f"{f} has a break between {low} and {high}")


def _numerator(f: sp.Expr) -> sp.Expr:
    """f times its denominators, its exponentials written out: 0 where f is."""
    return sp.expand(sp.powsimp(sp.expand(sp.fraction(sp.together(f.rewrite(sp.exp)))[0])))


def _refute(f: sp.Expr, part: Part) -> None:
    """Raises Refuted where f is not 0 at a point of the piece, for some parameters of the cell."""
    for share in SAMPLES:
        symbols = sorted(
            (f.free_symbols | part.low.free_symbols | part.high.free_symbols) - {x}, key=str
        )
        values = {symbol: share + sp.Rational(k, 13) for k, symbol in enumerate(symbols)}
        point = inner_point(part.low, part.high).subs(values)
        value = balls.ball(f.subs(values), x, balls.ball_of_constant(point))
        if value.is_finite() and not value.contains(0):
            raise Refuted(f"{f} is not 0: at x = {point} and {values} it is {value.str(6)}")
