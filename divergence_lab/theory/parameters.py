"""Verdicts on a loss with parameters: the exact condition under which each holds.

The line of a parameter is cut at its critical values, where two exponents of g' meet or a leading coefficient vanishes;
between them a verdict can't change (Proposition 17), so one sample a cell decides it, by the engine for plain losses.
This room proposes the cuts; the checker finds the critical values on its own and refuses cells that miss one.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

import sympy as sp

from divergence_lab.theory import signs
from divergence_lab.theory.budget import OutOfTime, SearchFailed, within
from divergence_lab.theory.certificate import Cell, Step, condition_of, step
from divergence_lab.theory.checker_parameters import check_parametric
from divergence_lab.theory.expressions import ExpressionError, read_assumptions, write
from divergence_lab.theory.loss import Loss, from_expression, jump
from divergence_lab.theory.pieces import CannotSplit, is_less
from divergence_lab.theory.proofs import Rejected
from divergence_lab.theory.symbols import x
from divergence_lab.theory.verdict import (
    PROVED,
    UNDECIDED,
    Verdict,
    Verdicts,
    ask_one,
    refine,
    verdict_to_json,
)

SOLVE_SECONDS = 3.0
HYPERBOLIC = (sp.sinh, sp.cosh)


def decide_for_parameters(loss: Loss, budget: float = 10.0) -> Verdicts:
    """Every verdict on a loss with free parameters: true or false for all of them, or the condition."""
    def ask(kind: str, search: Callable[[Loss, float], Verdict]) -> Verdict:
        try:
            verdict = search(loss, time.monotonic() + budget)
            check_parametric(kind, verdict_to_json(verdict), write(loss.expression), loss.assumptions)
            return verdict
        except (OutOfTime, SearchFailed, CannotSplit, ExpressionError, Rejected) as reason:
            return Verdict(None, UNDECIDED, f"not decided for all parameters ({reason or 'the time was over'}); give them "
                                            "values with --set")

    convex = ask("convex", _convex_or_cells)
    return Verdicts(
        ask("validity", _valid_or_cells), convex, ask("zero_forcing", _by_cells("zero_forcing")),
        ask("zero_avoiding", _by_cells("zero_avoiding")), ask("symmetric", _by_cells("symmetric")),
        ask("even", _by_cells("even")), ask("bounded_gradient", _by_cells("bounded_gradient")), None, None, None)


# --- for all parameters at once ------------------------------------------------------------------------------

def _convex_or_cells(loss: Loss, deadline: float) -> Verdict:
    try:
        return _convex(loss, deadline)
    except SearchFailed:
        return _by_cells("convex")(loss, deadline)


def _valid_or_cells(loss: Loss, deadline: float) -> Verdict:
    try:
        return _valid(loss, deadline)
    except SearchFailed:
        return _by_cells("validity")(loss, deadline)


def _convex(loss: Loss, deadline: float) -> Verdict:
    """Every piece of g'' is a sum and product of terms that are not negative, every jump upwards."""
    steps = []
    plain = loss
    loss = on_domain(loss)
    for piece in refine(loss.pieces).derivative().derivative().pieces:
        found = signs.nonnegative(piece)
        if not found.holds:
            raise SearchFailed(f"the sign of g'' = {piece.expression} depends on the parameters")
    for piece in refine(plain.pieces).derivative().derivative().pieces:
        steps.append(step("for all", of="curvature", f=write(piece.expression), low=write(piece.low),
                          high=write(piece.high)))
    for kink in loss.derivative.kinks:
        if not jump(loss, kink).is_nonnegative:
            raise SearchFailed(f"the sign of the jump {jump(loss, kink)} of g' at {kink} depends on the parameters")
    return Verdict(True, PROVED, "g'' is not negative for any parameter, so g and f are convex", steps=tuple(steps))


def on_domain(loss: Loss) -> Loss:
    """The loss with each bounded parameter written by a positive one: a < p < b as a + (b - a)/(1 + z), p > a as a + z."""
    new = {}
    for parameter in loss.parameters:
        low, high = domain(parameter, loss.assumptions)
        z = sp.Symbol(parameter.name + "_z", positive=True)
        if low.is_finite and high.is_finite:
            new[parameter] = low + (high - low) / (1 + z)
        elif low.is_finite and low != 0:
            new[parameter] = low + z
    return dataclasses.replace(loss, expression=sp.simplify(loss.expression.subs(new))) if new else loss


def _valid(loss: Loss, deadline: float) -> Verdict:
    """A convex loss whose one-sided slopes at 0 have 0 between them, and are not constant there."""
    convex = _convex(loss, deadline)
    slopes = refine(on_domain(loss).pieces).derivative().pieces
    right = next(piece for piece in slopes if piece.low == 0)
    left = next(piece for piece in slopes if piece.high == 0)
    below, above = (sp.simplify(piece.expression.subs(x, 0)) for piece in (left, right))
    if not below.is_nonpositive or not above.is_nonnegative or 0 in (left.expression, right.expression):
        raise SearchFailed("whether g falls before 0 and rises after it depends on the parameters")
    return Verdict(True, PROVED, "g is convex for all parameters, and 0 lies between its slopes at 0", steps=convex.steps)


# --- cell by cell --------------------------------------------------------------------------------------------

def _by_cells(kind: str) -> Callable[[Loss, float], Verdict]:
    def search(loss: Loss, deadline: float) -> Verdict:
        parameter = _relevant_parameter(kind, loss)
        if parameter is None:
            plain = ask_one(kind, _at(loss, {p: _sample_in(loss, p) for p in loss.parameters}), deadline - time.monotonic())
            cells: list[Cell] = []
            raise_if_undecided(plain, "any")
            return _constant_verdict(plain, loss)
        low, high = domain(parameter, loss.assumptions)
        critical = sorted({v for v in _critical_values(kind, loss, parameter, deadline)
                           if (low == -sp.oo or v > low) and (high == sp.oo or v < high)})
        cells, reasons = [], {}
        ends = [low, *critical, high]
        for a, b in pairwise(ends):
            cells.append(_cell(kind, loss, parameter, a, b, deadline, reasons))
            if b != high:
                cells.append(_cell(kind, loss, parameter, b, b, deadline, reasons))
        return _verdict_from(parameter, cells, reasons)
    return search


def _relevant_parameter(kind: str, loss: Loss) -> sp.Symbol | None:
    """The one parameter that the verdict can depend on; None when there is none. Raises SearchFailed for several."""
    slopes = loss.derivative.pieces
    relevant = {"zero_forcing": [slopes[0]], "zero_avoiding": [slopes[-1]], "bounded_gradient": [slopes[0], slopes[-1]]}
    functions = [piece.expression for piece in relevant.get(kind, slopes)]
    found = set().union(*(f.free_symbols for f in functions)) - {x}
    if len(found) > 1:
        raise SearchFailed(f"it depends on more than one parameter: {', '.join(sorted(map(str, found)))}")
    return next(iter(found), None)


def domain(parameter: sp.Symbol, assumptions: Sequence[str]) -> tuple[sp.Expr, sp.Expr]:
    """The open interval that the assumptions leave to a parameter."""
    low, high = -sp.oo, sp.oo
    for relation, bound in read_assumptions(assumptions).get(parameter.name, []):
        if relation in (">", ">="):
            low = max(low, bound)
        if relation in ("<", "<="):
            high = min(high, bound)
    return low, high


def _sample_in(loss: Loss, parameter: sp.Symbol) -> sp.Expr:
    low, high = domain(parameter, loss.assumptions)
    return _inside(low, high)


def _inside(low: sp.Expr, high: sp.Expr) -> sp.Expr:
    """A simple number inside (low, high)."""
    if low == -sp.oo:
        return sp.S.One if high == sp.oo else sp.floor(high) - 1
    return sp.floor(low) + 1 if high == sp.oo else (low + high) / 2


def _at(loss: Loss, values: dict[sp.Symbol, sp.Expr]) -> Loss:
    """The loss at these parameter values; where the formula degenerates, its limit there."""
    expression = loss.expression.subs(values)
    if expression.has(sp.zoo, sp.nan, sp.oo):  # each piece by itself: a limit of a Piecewise would mix them
        pieces = loss.pieces
        for parameter, value in values.items():
            pieces = pieces.map(lambda g, p=parameter, v=value: within(SOLVE_SECONDS, sp.limit, g, p, v))
        expression = pieces.as_expression()
    if not expression.has(x):
        raise SearchFailed(f"the loss vanishes at {values}")
    return from_expression(expression)


def _cell(kind: str, loss: Loss, parameter: sp.Symbol, a: sp.Expr, b: sp.Expr, deadline: float,
          reasons: dict[bool, str]) -> Cell:
    sample = a if a == b else _inside(a, b)
    others = {p: _sample_in(loss, p) for p in loss.parameters if p != parameter}
    try:
        found = ask_one(kind, _at(loss, {parameter: sample, **others}), max(0.5, deadline - time.monotonic()))
        raise_if_undecided(found, f"{parameter} = {sample}")
        holds, why = found.holds, found.because
    except SearchFailed as failure:
        if a != b or "vanishes" not in str(failure):
            raise
        holds, why = kind in ("even", "symmetric", "bounded_gradient"), "the loss is 0 there"
    reasons.setdefault(holds, why)
    return Cell(write(a), write(b), write(sample), holds)


def raise_if_undecided(verdict: Verdict, where: str) -> None:
    """Refuse an undecided sample."""
    if verdict.holds is None:
        raise SearchFailed(f"undecided at {where}: {verdict.because}")


def _critical_values(kind: str, loss: Loss, parameter: sp.Symbol, deadline: float) -> set[sp.Expr]:
    """Candidates: where exponents of the relevant terms meet each other or the weight, and coefficients vanish."""
    slopes = loss.derivative.pieces
    if kind in ("even", "symmetric"):
        numerator, denominator = sp.fraction(sp.together(_identity_at_one(kind, loss)))
        return _solutions(numerator, parameter) | _solutions(denominator, parameter)
    if kind in ("convex", "validity"):
        return _single_terms(kind, loss, parameter)
    ends = {"zero_forcing": [(slopes[0].expression, -1)], "zero_avoiding": [(slopes[-1].expression * sp.exp(-x), 1)],
            "bounded_gradient": [(slopes[0].expression, -1), (slopes[-1].expression, 1)]}[kind]
    y = sp.Symbol("y", positive=True)
    found: set[sp.Expr] = set()
    for f, side in ends:
        for term in sp.Add.make_args(sp.expand(sp.powsimp(sp.expand(f.subs(x, side * y).rewrite(HYPERBOLIC, sp.exp))))):
            slope = sp.simplify(y * sp.diff(sp.log(term), y))  # rate*y + power
            polynomial = sp.Poly(slope, y) if slope.is_polynomial(y) else None
            if polynomial is None or polynomial.degree() > 1:
                raise SearchFailed(f"{term} is not a power times an exponential")
            rate, power = polynomial.coeff_monomial(y), polynomial.coeff_monomial(1)
            coefficient = sp.simplify(term / (y**power * sp.exp(rate * y)))
            numerator, denominator = sp.fraction(sp.together(coefficient))
            for part in (rate, power, power + 1, numerator, denominator):
                found |= _solutions(part, parameter)
            found |= {v for other in list(_rates(f, side, y)) for v in _solutions(rate - other, parameter)}
    return found


def _single_terms(kind: str, loss: Loss, parameter: sp.Symbol) -> set[sp.Expr]:
    """Where the coefficient of g'' (or g') changes its sign, if it is a single term c y^p e^{ry} on every piece."""
    function = refine(loss.pieces).derivative()
    function = function.derivative() if kind == "convex" else function
    y = sp.Symbol("y", positive=True)
    found: set[sp.Expr] = set()
    for piece in function.pieces:
        side = 1 if not is_less(piece.low, sp.S.Zero) else -1
        f = sp.powsimp(sp.factor(sp.simplify(piece.expression.subs(x, side * y))))
        coefficient, rest = f.as_independent(y, as_Add=False)
        if not rest.is_positive:
            raise SearchFailed(f"the sign of {f} is not that of a coefficient")
        for part in sp.fraction(sp.together(coefficient)):
            found |= _solutions(part, parameter)
    return found


def _rates(f: sp.Expr, side: int, y: sp.Symbol) -> set[sp.Expr]:
    """The exponential rates that occur in f(side*y)."""
    return {sp.diff(e.args[0], y) for e in sp.powsimp(sp.expand(f.subs(x, side * y).rewrite(HYPERBOLIC, sp.exp))).atoms(sp.exp)
            if e.has(y)} | {sp.S.Zero}


def _identity_at_one(kind: str, loss: Loss) -> sp.Expr:
    """The odd part of g', or the asymmetry of g'', at x = 1: must vanish where the verdict holds."""
    pieces = refine(loss.pieces)
    slope = pieces.derivative()
    right, left = slope.pieces[-1].expression, slope.pieces[0].expression
    if len(pieces.pieces) != 2:
        raise SearchFailed("the loss has kinks away from 0 and parameters")
    if kind == "even":
        return (right + left.subs(x, -x)).subs(x, 1)
    return (sp.diff(right, x) - sp.exp(x) * sp.diff(left, x).subs(x, -x)).subs(x, 1)


def _solutions(equation: sp.Expr, parameter: sp.Symbol) -> set[sp.Expr]:
    """All real solutions for the parameter. Raises SearchFailed when they are not finitely many known ones."""
    plain = sp.Symbol(parameter.name, real=True)
    equation = sp.simplify(equation.subs(parameter, plain))
    if not equation.has(plain):
        return set()
    solved = within(SOLVE_SECONDS, sp.solveset, equation, plain, sp.S.Reals)
    if solved is sp.S.EmptySet:
        return set()
    if not isinstance(solved, sp.FiniteSet):
        raise SearchFailed(f"where {equation} = 0 was not found")
    return set(solved)


def _constant_verdict(plain: Verdict, loss: Loss) -> Verdict:
    steps = tuple(Step("cell", (("parameter", p.name), ("low", write(domain(p, loss.assumptions)[0])),
                                ("high", write(domain(p, loss.assumptions)[1])),
                                ("sample", write(_sample_in(loss, p))), ("holds", "true" if plain.holds else "false")))
                  for p in loss.parameters[:1])
    return Verdict(plain.holds, PROVED, f"{plain.because} (it does not depend on the parameters)", steps=steps)


def _verdict_from(parameter: sp.Symbol, cells: Sequence[Cell], reasons: dict[bool, str]) -> Verdict:
    steps = tuple(step("cell", parameter=parameter.name, low=c.low, high=c.high, sample=c.sample,
                       holds="true" if c.holds else "false") for c in cells)
    answers = {cell.holds for cell in cells}
    if len(answers) == 1:
        (holds,) = answers
        return Verdict(holds, PROVED, f"for every {parameter}: {reasons[holds]}", steps=steps)
    condition = condition_of(parameter.name, cells)
    return Verdict(None, PROVED, f"it holds exactly when {condition}: then {reasons[True]}", condition, steps)
