"""Rules that show a function to be no loss at all: it jumps, has a value of its own at a point, is
unbounded near one, or is not real at one.

Part of the trusted checker. Such a function has no pieces that could be confirmed, so its
certificate is one step.
"""

from collections.abc import Callable

import sympy as sp
from flint import acb, arb

from divergence_lab.theory.checker.facts import parts, proofs
from divergence_lab.theory.checker.facts.decided import decided, prove_equal
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.rules.rule import (
    Data,
    Rule,
    by_name,
    function_latex,
    interval_latex,
    keys,
    number_latex,
)
from divergence_lab.theory.expressions import balls, constants, parse, points, precision, x

MAX_BOXES = 5000


def _equal_on(g: sp.Expr, f: sp.Expr, low: sp.Expr, high: sp.Expr) -> None:
    if (
        low == sp.oo
        or high == -sp.oo
        or not (
            low.is_infinite
            or high.is_infinite
            or balls.ball_of_constant(low) < balls.ball_of_constant(high)
        )
    ):
        raise Rejected(f"({low}, {high}) is empty")
    prove_equal(g, f, x, low, high)


def _point(text: str) -> sp.Expr:
    """A finite number: that g grows without bound towards oo is no fault of it."""
    if (at := parts.read_number(text)).is_infinite:
        raise Rejected(f"{at} is no point")
    return at


def limits_beside(step: Data, g: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """The finite limits of g from both sides of a point, where the step states what g is there."""
    low, at, high = (
        parts.read_number(step["low"]),
        _point(step["at"]),
        parts.read_number(step["high"]),
    )
    left, right = parse(step["left"], x), parse(step["right"], x)
    _equal_on(g, left, low, at)
    _equal_on(g, right, at, high)
    before, after = proofs.limit_of(left, x, at, -1), proofs.limit_of(right, x, at, 1)
    if before is None or after is None or before.is_infinite or after.is_infinite:
        raise Rejected(f"g has no two finite limits at {at}")
    return before, after


def _prove_gap(step: Data, g: sp.Expr) -> None:
    at = _point(step["at"])
    before, after = limits_beside(step, g)
    if not proofs.equal_constants(after - before, parts.read_number(step["jump"])):
        raise Rejected(f"the jump of g at {at} is {after - before}")
    if constants.equal(after, before) is not False:
        raise Rejected(f"g is not shown to jump at {at}")


def _prove_own_value(step: Data, g: sp.Expr) -> None:
    at, limit = _point(step["at"]), parts.read_number(step["limit"])
    if not all(proofs.equal_constants(found, limit) for found in limits_beside(step, g)):
        raise Rejected(f"g does not tend to {limit} at {at}")
    value = points.value_of(g, x, at)
    if value is None or not proofs.equal_constants(value, parts.read_number(step["value"])):
        raise Rejected(f"the value of g at {at} is {value}")
    if constants.equal(value, limit) is not False:
        raise Rejected(f"g is not shown to have a value of its own at {at}")


def _prove_unbounded(step: Data, g: sp.Expr) -> None:
    at, end, f = _point(step["at"]), parts.read_number(step["end"]), parse(step["f"], x)
    side = (
        1
        if end == sp.oo
        or (end.is_finite and balls.ball_of_constant(end) > balls.ball_of_constant(at))
        else -1
    )
    _equal_on(g, f, *((at, end) if side > 0 else (end, at)))
    found = proofs.limit_of(f, x, at, side)
    if found is None or found.is_finite or str(found) != step["limit"]:
        raise Rejected(f"the limit of g at {at} is {found}")


def _prove_pole(step: Data, g: sp.Expr) -> None:
    low, high = parts.read_number(step["low"]), parts.read_number(step["high"])
    numerator, denominator = parse(step["numerator"], x), parse(step["denominator"], x)
    if numerator.has(*_BREAKING) or denominator.has(*_BREAKING):
        raise Rejected("the numerator and the denominator must be continuous")
    f = decided(g, x, low, high)
    proofs.prove_zero(f * denominator - numerator, x, low, high)
    ends = [balls.ball(denominator, x, balls.ball_of_constant(end)) for end in (low, high)]
    if not (ends[0] < 0 < ends[1] or ends[1] < 0 < ends[0]):
        raise Rejected(f"the denominator does not change sign between {low} and {high}")
    _cover(denominator, low, high, lambda value: value.is_finite())
    _cover(numerator, low, high, lambda value: value < 0 or value > 0)


_BREAKING = (sp.sign, sp.Piecewise)  # every other function is continuous where its ball is finite


def _cover(f: sp.Expr, low: sp.Expr, high: sp.Expr, holds: Callable[[arb], bool]) -> None:
    """The balls of f on boxes that cover [low, high] all have the property."""
    pending, count = (
        [(arb(balls.ball_of_constant(low).lower()), arb(balls.ball_of_constant(high).upper()))],
        0,
    )
    while pending:
        a, b = pending.pop()
        if holds(balls.ball(f, x, a.union(b))):
            continue
        count += 1
        middle = arb(((a + b) / 2).mid())
        if count > MAX_BOXES or not a < middle < b:
            raise Rejected(f"{f} could not be covered near {a.str(6, radius=False)}")
        pending += [(middle, b), (a, middle)]


def _prove_not_real(step: Data, g: sp.Expr) -> None:
    with precision.bits(balls.PRECISION_BITS):
        value = complex_ball(g, balls.ball_of_constant(parts.read_number(step["at"])))
    if not value.is_finite() or value.imag.contains(0):
        raise Rejected(f"g at {step['at']} is not shown to have an imaginary part")


# --- complex values

_FUNCTIONS = {
    sp.exp: acb.exp,
    sp.log: acb.log,
    sp.sinh: acb.sinh,
    sp.cosh: acb.cosh,
    sp.tanh: acb.tanh,
    sp.asinh: acb.asinh,
    sp.acosh: acb.acosh,
    sp.atanh: acb.atanh,
    sp.atan: acb.atan,
    sp.erf: acb.erf,
    sp.erfc: acb.erfc,
    sp.erfi: acb.erfi,
    sp.sin: acb.sin,
    sp.cos: acb.cos,
}


def complex_ball(e: sp.Expr, point: arb) -> acb:
    """The principal value of e at a real point, enclosed; not finite where it is not known."""
    real = balls.ball(e, x, point)
    if real.is_finite():
        return acb(real)
    if e.is_Add or e.is_Mul:
        total = acb(0 if e.is_Add else 1)
        for part in e.args:
            value = complex_ball(part, point)
            total = total + value if e.is_Add else total * value
        return total
    if isinstance(e, sp.Pow):
        base = complex_ball(e.base, point)
        return base ** int(e.exp) if e.exp.is_Integer else base.pow(complex_ball(e.exp, point))
    if isinstance(e, sp.Piecewise):
        for value, condition in e.args:
            truth = balls.decide_condition(condition, x, point)
            if truth is not False:
                return complex_ball(value, point) if truth else acb(arb.nan())
    if isinstance(e, sp.polylog):
        order, argument = (complex_ball(part, point) for part in e.args)
        return argument.polylog(order)
    function = _FUNCTIONS.get(e.func)
    return acb(arb.nan()) if function is None else function(complex_ball(e.args[0], point))


# --- the rules


def _gap_in_latex(step: Data) -> str:
    at = number_latex(step["at"])
    return (
        f"g = {function_latex(step['left'])} \\text{{ before }} {at}, \\quad g = "
        f"{function_latex(step['right'])} \\text{{ after it}}, "
        f"\\quad g({at}^+) - g({at}^-) = {number_latex(step['jump'])}"
    )


def _own_value_in_latex(step: Data) -> str:
    at = number_latex(step["at"])
    return (
        f"g = {function_latex(step['left'])} \\text{{ before }} {at}, \\quad g = "
        f"{function_latex(step['right'])} \\text{{ after it}}, \\quad "
        f"g({at}) = {number_latex(step['value'])} \\ne {number_latex(step['limit'])} = "
        f"\\lim_{{x \\to {at}}} g(x)"
    )


def _unbounded_in_latex(step: Data) -> str:
    at, end = number_latex(step["at"]), number_latex(step["end"])
    return (
        f"g = {function_latex(step['f'])} \\text{{ between }} {at} \\text{{ and }} {end}, "
        f"\\quad g \\to {number_latex(step['limit'])} \\quad (x \\to {at})"
    )


def _pole_in_latex(step: Data) -> str:
    above, below = function_latex(step["numerator"]), function_latex(step["denominator"])
    return (
        f"g = \\frac{{{above}}}{{{below}}}, \\quad {interval_latex(step)}, "
        "\\text{ where the denominator changes sign and the numerator does not}"
    )


OF_NO_LOSS = by_name(
    Rule(  # g itself jumps at a point: its one-sided limits, by tails
        "gap",
        keys("at low high left right jump"),
        lambda s: (
            f"g = {s['left']} on ({s['low']}, {s['at']}) and {s['right']} on "
            f"({s['at']}, {s['high']}), so g jumps by {s['jump']} at x = {s['at']}"
        ),
        _gap_in_latex,
        _prove_gap,
        because=lambda s: f"g jumps at x = {s['at']}, by {s['jump']}",
    ),
    Rule(  # g has a value at a point that is not its limit there
        "own value",
        keys("at low high left right value limit"),
        lambda s: (
            f"g = {s['left']} on ({s['low']}, {s['at']}) and {s['right']} on "
            f"({s['at']}, {s['high']}), so g tends to {s['limit']} at x = {s['at']}, where it is "
            f"{s['value']}"
        ),
        _own_value_in_latex,
        _prove_own_value,
        because=lambda s: (
            f"g jumps at x = {s['at']}: it is {s['value']} there, and tends to {s['limit']} from "
            "both sides"
        ),
    ),
    Rule(  # g is not bounded near a point: its limit there, by tails
        "unbounded",
        keys("at end f limit"),
        lambda s: (
            f"g = {s['f']} between {s['at']} and {s['end']} tends to {s['limit']} as x -> {s['at']}"
        ),
        _unbounded_in_latex,
        _prove_unbounded,
        because=lambda s: f"g is not finite near x = {s['at']}",
    ),
    Rule(  # g = n/d, d changes sign, n does not vanish: balls
        "pole",
        keys("low high numerator denominator"),
        lambda s: (
            f"g = ({s['numerator']})/({s['denominator']}) on ({s['low']}, {s['high']}); there the "
            "denominator changes sign, the numerator does not"
        ),
        _pole_in_latex,
        _prove_pole,
        because=lambda s: f"g is not finite near a point between {s['low']} and {s['high']}",
    ),
    Rule(  # g is not a real number at a point: one complex ball
        "not real",
        keys("at"),
        lambda s: f"g is not a real number at x = {s['at']}",
        lambda s: f"g({number_latex(s['at'])}) \\notin \\mathbb{{R}}",
        _prove_not_real,
        because=lambda s: f"g is not a real number at x = {s['at']}",
    ),
)
