"""The verdicts on a loss, each with its reason: valid, convex, zero-forcing, zero-avoiding, symmetric, even, bounded.

    zero-forcing   <=>  f(0+) = oo    <=>  g'(x) -> -oo as x -> -oo
    zero-avoiding  <=>  f'(oo) = oo   <=>  int_0^oo g'(x) e^{-x} dx = oo

Answers are three-valued. What can't be proved and confirmed is undecided, and says what was tried.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import sympy as sp

from divergence_lab.theory import boundary, signs
from divergence_lab.theory.boundary import Undecided
from divergence_lab.theory.budget import OutOfTime, SearchFailed, within
from divergence_lab.theory.domain import fault
from divergence_lab.theory.enclosure import NotEvaluable, value_at
from divergence_lab.theory.expressions import write
from divergence_lab.theory.loss import Loss, jump
from divergence_lab.theory.pieces import CannotSplit, Piece, Pieces
from divergence_lab.theory.symbols import t, x
from divergence_lab.theory.values import enclose_integral

PROVED, ENCLOSED, UNDECIDED = "proved", "enclosed", "undecided"


@dataclass(frozen=True)
class Step:
    """One step of a proof: the rule used, what it concludes, and the expressions it is about (SymPy text)."""
    rule: str
    claim: str
    expressions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Verdict:
    """`holds`: True, False, or None (undecided, or it depends on parameters: then `condition` says when).

    `status`: "proved" (symbolic), "enclosed" (interval arithmetic) or "undecided"; `because`: one sentence.
    """
    holds: bool | None
    status: str
    because: str
    condition: str | None = None
    steps: tuple[Step, ...] = ()

    def __bool__(self) -> bool:
        if self.holds is None:
            raise ValueError(f"this verdict is not a plain yes or no ({self.because}); look at .holds and .condition")
        return self.holds


@dataclass(frozen=True)
class Verdicts:
    """All verdicts on one loss. `valid` needs g(0) = 0, g falling before 0 and rising after it."""
    valid: Verdict
    convex: Verdict
    zero_forcing: Verdict
    zero_avoiding: Verdict
    symmetric: Verdict
    even: Verdict
    bounded_gradient: Verdict
    f_at_zero: sp.Expr | None
    slope_at_infinity: sp.Expr | None
    curvature_at_zero: sp.Expr | None


def decide(loss: Loss, generator: sp.Expr | None = None, budget: float = 10.0) -> Verdicts:
    """Every verdict on `loss`, each question within `budget` seconds.

    `generator` is the confirmed closed form of f if there is one; only the number f'(oo) is read off it.
    """
    broken = fault(loss)
    if broken is not None:
        undecided = _undecided(f"nothing is claimed of a function that may not be finite and continuous: {broken.what}")
        valid = Verdict(False, ENCLOSED, broken.what) if broken.certain else undecided
        return Verdicts(valid, *[undecided] * 6, None, None, None)

    def ask(question: Callable[[float], Verdict]) -> Verdict:
        try:
            return question(time.monotonic() + budget)
        except (Undecided, OutOfTime, SearchFailed, CannotSplit, NotEvaluable) as reason:
            return _undecided(str(reason) or f"the budget of {budget:g} s was over")

    convex = ask(lambda deadline: _convex(loss))
    valid = ask(lambda deadline: _valid(loss, convex))
    zero_forcing = ask(lambda deadline: _zero_forcing(loss, deadline))
    zero_avoiding = ask(lambda deadline: _zero_avoiding(loss, deadline))
    even = ask(lambda deadline: _even(loss))
    symmetric = ask(lambda deadline: _symmetric(loss))
    bounded = ask(lambda deadline: _bounded_gradient(loss, deadline))
    at_zero, slope = _ends(loss, generator, zero_avoiding, time.monotonic() + budget)
    curvature = None
    if 0 not in loss.derivative.kinks:
        left, _ = loss.curvature.split_at_zero()
        curvature = sp.simplify(left.pieces[-1].expression.subs(x, 0))
        curvature = curvature if curvature.is_finite else None
    else:
        curvature = sp.oo if jump(loss, sp.S.Zero) != 0 else None
    return Verdicts(valid, convex, zero_forcing, zero_avoiding, symmetric, even, bounded, at_zero, slope, curvature)


def _undecided(because: str) -> Verdict:
    return Verdict(None, UNDECIDED, because)


# --- does g fall and rise? ---------------------------------------------------------------------------------

def _valid(loss: Loss, convex: Verdict) -> Verdict:
    left, right = loss.derivative.split_at_zero()
    if left.pieces[-1].expression == 0 or right.pieces[0].expression == 0:
        side, word = ("before", "fall") if left.pieces[-1].expression == 0 else ("after", "rise")
        return Verdict(False, PROVED, f"g does not {word} {side} 0: it is constant there, so a wrong model can have loss 0")
    steps, negative = [], lambda p: Piece(p.low, p.high, -p.expression)
    for piece, sign in [*((negative(p), "-g'") for p in left.pieces), *((p, "g'") for p in right.pieces)]:
        found = signs.nonnegative(piece)
        interval = _interval(piece)
        if found.holds is False:
            word = "falls" if sign == "g'" else "rises"
            where = "after" if sign == "g'" else "before"
            return Verdict(False, ENCLOSED, f"g {word} {where} 0: {sign} is negative at x = {found.witness}",
                           steps=(_step("witness", f"{sign} < 0 at x = {found.witness}", f=piece.expression,
                                        point=found.witness),))
        if found.holds is None:
            if convex.holds:
                return Verdict(True, convex.status, "g is convex and 0 lies between its one-sided slopes at 0: "
                               "it falls before 0 and rises after it", steps=convex.steps)
            return _undecided(f"the sign of {sign} on {interval} was not decided: {found.because}")
        steps.append(_step("sign", f"{sign} >= 0 on {interval}: {found.because}", f=piece.expression))
    return Verdict(True, PROVED, "g falls before 0 and rises after it", steps=tuple(steps))


def _interval(piece: Piece) -> str:
    return f"({piece.low}, {piece.high})"


def _step(rule: str, claim: str, **expressions: sp.Expr) -> Step:
    return Step(rule, claim, tuple((name, write(sp.sympify(e))) for name, e in expressions.items()))


# --- convexity -----------------------------------------------------------------------------------------------

def _convex(loss: Loss) -> Verdict:
    steps = []
    for kink in loss.derivative.kinks:
        atom = jump(loss, kink)
        if atom.is_negative or (not atom.free_symbols and atom.is_finite and value_at(atom, x, sp.S.Zero, 30) < 0):
            return Verdict(False, PROVED, f"g' jumps down by {-atom} at x = {kink}, so g and f are not convex",
                           steps=(_step("jump", f"g' jumps by {atom} at {kink}", jump=atom, kink=kink),))
        if not (atom.is_nonnegative or atom == sp.oo):
            return _undecided(f"the sign of the jump {atom} of g' at {kink} was not decided")
        steps.append(_step("jump", f"g' jumps up by {atom} at x = {kink}", jump=atom, kink=kink))
    for piece in loss.curvature.pieces:
        found = signs.nonnegative(piece)
        if found.holds is False:
            return Verdict(False, ENCLOSED, f"g'' is negative at x = {found.witness}, so g and f are not convex and "
                           "data processing fails", steps=(_step("witness", f"g'' < 0 at x = {found.witness}",
                                                                 f=piece.expression, point=found.witness),))
        if found.holds is None:
            return _undecided(f"the sign of g'' = {piece.expression} on {_interval(piece)}: {found.because}")
        steps.append(_step("sign", f"g'' >= 0 on {_interval(piece)}: {found.because}", f=piece.expression))
    return Verdict(True, PROVED, "g'' = " + write(loss.curvature.as_expression()) + " is not negative, so g and f are convex",
                   steps=tuple(steps))


# --- the two ends --------------------------------------------------------------------------------------------

def _zero_forcing(loss: Loss, deadline: float) -> Verdict:
    tail = boundary.value_at_zero(loss, deadline)
    step = _step("limit", f"g'(x) -> {tail.limit} as x -> -oo", f=tail.function, limit=tail.limit)
    if tail.limit == -sp.oo:
        return Verdict(True, PROVED, "f(0+) = -g'(-oo) = oo: the gradient grows without bound where the model puts "
                       "mass that the target has not", steps=(step,))
    if tail.limit.is_finite:
        return Verdict(False, PROVED, f"f(0+) = -g'(-oo) = {write(-tail.limit)} is finite", steps=(step,))
    raise Undecided(f"g' tends to {tail.limit} at -oo, which no valid loss does" if tail.limit == sp.oo else
                    f"the limit {tail.limit} of g' at -oo depends on the parameters: give them values with --set")


def _zero_avoiding(loss: Loss, deadline: float) -> Verdict:
    comparison = boundary.integral_diverges(loss, deadline)
    scale, comparable = write(comparison.scale), write(1 / comparison.scale)
    step = _step("comparison", f"g'(x) e^(-x) * {scale} -> {comparison.limit} as x -> oo",
                 f=loss.derivative.pieces[-1].expression, scale=comparison.scale, limit=comparison.limit)
    if comparison.diverges:
        return Verdict(True, PROVED, f"f'(oo) = int g'(x) e^(-x) dx = oo, by comparison with {comparable}", steps=(step,))
    return Verdict(False, PROVED, f"f'(oo) = int g'(x) e^(-x) dx is finite, by comparison with {comparable}", steps=(step,))


def _ends(loss: Loss, generator: sp.Expr | None, zero_avoiding: Verdict, deadline: float):
    """(f(0+), f'(oo)) as exact values where they were found."""
    try:
        at_zero = sp.simplify(-boundary.value_at_zero(loss, deadline).limit)
    except Undecided:
        at_zero = None
    slope = None
    if zero_avoiding.holds:
        slope = sp.oo
    elif zero_avoiding.holds is False and generator is not None:
        last = generator.args[-1][0] if isinstance(generator, sp.Piecewise) else generator
        try:
            found = within(max(0.1, deadline - time.monotonic()), sp.limit, sp.expand(last / t), t, sp.oo)
            slope = sp.simplify(found) if found.is_finite and _slope_confirmed(loss, found) else None
        except (OutOfTime, SearchFailed):
            slope = None
    return at_zero, slope


def _slope_confirmed(loss: Loss, slope: sp.Expr) -> bool:
    """int_0^60 g' e^{-x} dx must have come close to f'(oo): what is missing is a tail of order g'(60) e^{-60}."""
    if loss.parameters:
        return True
    try:
        far = sp.Integer(200)
        seen = enclose_integral(loss.pieces, far, 20)
        rest = abs(value_at(slope - sp.S.Zero, x, sp.S.Zero, 30) - seen)
        return bool(rest < 1e-3 * (1 + abs(seen)))
    except NotEvaluable:
        return False


# --- identities ----------------------------------------------------------------------------------------------

def _even(loss: Loss) -> Verdict:
    difference = _reflection(loss.derivative, lambda mirrored: -mirrored)
    return _identity(difference, "g(-x) = g(x)", "g is even", "g is not even: g'(x) + g'(-x)")


def _symmetric(loss: Loss) -> Verdict:
    """e^{-x/2} g''(x) even, atoms included, and f'(1-) = -f'(1+): then f(t) = t f(1/t), D_f(p||q) = D_f(q||p)."""
    left, right = loss.derivative.split_at_zero()
    below, above = left.pieces[-1].expression.subs(x, 0), right.pieces[0].expression.subs(x, 0)
    if sp.S.Zero in loss.derivative.kinks and above.is_finite and below.is_finite and sp.simplify(above + below) != 0:
        return Verdict(False, PROVED, f"the slopes of g at 0, {below} and {above}, are not opposite, so f(t) - t f(1/t) = "
                       f"{write(sp.simplify(above + below))}*(t - 1) near 1 (0 only between laws of equal mass)")
    for kink in loss.derivative.kinks:
        atom = jump(loss, kink)
        mirrored = jump(loss, -kink) if -kink in loss.derivative.kinks else sp.S.Zero
        if sp.simplify(sp.exp(-kink / 2) * atom - sp.exp(kink / 2) * mirrored) != 0:
            return Verdict(False, PROVED, f"the kink of g at x = {kink} has no counterpart at {-kink} with the weight "
                           "that symmetry needs")
    difference = _reflection(loss.curvature, lambda mirrored: sp.exp(x) * mirrored)
    return _identity(difference, "g''(x) = e^x g''(-x)", "e^(-x/2) g''(x) is even, so swapping the two laws changes "
                     "nothing", "the divergence is not symmetric: g''(x) - e^x g''(-x)")


def _reflection(function: Pieces, transform) -> list[Piece]:
    """h(x) - transform(h(-x)) on x > 0, piece by piece."""
    left, right = function.split_at_zero()
    cuts = sorted({*(p.low for p in right.pieces), *(-p.high for p in left.pieces)}, key=float)
    pieces = []
    for low, high in zip(cuts, [*cuts[1:], sp.oo]):
        here = next(p for p in right.pieces if p.low <= low and (p.high == sp.oo or low < p.high))
        there = next(p for p in left.pieces if -p.high <= low and (p.low == -sp.oo or low < -p.low))
        pieces.append(Piece(low, high, here.expression - transform(there.expression.subs(x, -x))))
    return pieces


def _identity(pieces: list[Piece], identity: str, yes: str, no: str) -> Verdict:
    steps = []
    for piece in pieces:
        sample = piece.low + sp.Rational(3, 7) if piece.high == sp.oo else (piece.low + piece.high) / 2
        if not piece.expression.free_symbols - {x}:
            ball = value_at(piece.expression, x, sample, 30)
            if ball > 0 or ball < 0:
                return Verdict(False, ENCLOSED, f"{no} is {ball.str(4, radius=False)} at x = {sample}",
                               steps=(_step("witness", f"not 0 at x = {sample}", f=piece.expression, point=sample),))
        rest = sp.simplify(sp.expand(piece.expression.rewrite(sp.exp)))
        if rest != 0:
            return _undecided(f"whether {identity}: {piece.expression} could not be simplified to 0")
        steps.append(_step("identity", f"{identity} on {_interval(piece)}", f=piece.expression))
    return Verdict(True, PROVED, yes, steps=tuple(steps))


def _bounded_gradient(loss: Loss, deadline: float) -> Verdict:
    ends = [(loss.derivative.pieces[0].expression, -sp.oo), (loss.derivative.pieces[-1].expression, sp.oo)]
    steps, unbounded = [], []
    for function, end in ends:
        tail = boundary.limit_at(function, end, deadline)
        if not (tail.limit.is_infinite or tail.limit.is_finite):
            raise Undecided(f"the limit {tail.limit} of g' at {end} depends on the parameters")
        steps.append(_step("limit", f"g'(x) -> {tail.limit} as x -> {end}", f=function, limit=tail.limit))
        if tail.limit.is_infinite:
            unbounded.append(f"g'({end}) = {tail.limit}")
    if unbounded:
        return Verdict(False, PROVED, "the gradient is unbounded: " + " and ".join(unbounded), steps=tuple(steps))
    for kink in (sp.S.Zero, *loss.derivative.kinks):
        for piece in loss.derivative.pieces:
            if (piece.low == kink or piece.high == kink or (kink == 0 and piece.low < 0 < piece.high)) \
                    and not piece.expression.subs(x, kink).is_finite:
                return Verdict(False, PROVED, f"g' is not finite at x = {kink}")
    return Verdict(True, PROVED, "g' is continuous between its finite limits "
                   + " and ".join(f"{step.expressions[-1][1]} at {end}" for step, (_, end) in zip(steps, ends)),
                   steps=tuple(steps))
