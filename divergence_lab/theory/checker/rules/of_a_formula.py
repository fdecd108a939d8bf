"""Rules on a formula that may be no loss, and so has no pieces: what it does far out, and on both
sides of 0 (Proposition 25).

Part of the trusted checker. Each rule decides by itself what the formula is where it speaks of it.
"""

from typing import Any

import sympy as sp
from flint import acb

from divergence_lab.theory.checker.facts import imaginary, parts, proofs
from divergence_lab.theory.checker.facts.decided import decided, decided_by_parts
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.rules.of_no_loss import complex_ball, limits_beside
from divergence_lab.theory.checker.rules.rule import (
    Data,
    Rule,
    by_name,
    function_latex,
    keys,
    number_latex,
)
from divergence_lab.theory.expressions import balls, constants, parse, points, precision, write, x

BESIDE = sp.Rational(1, 64)  # how far around a point the formula is looked at


def smooth_on(g: sp.Expr, low: sp.Expr, high: sp.Expr) -> sp.Expr:
    """The function that g is on (low, high): finite and analytic there. Raises Rejected."""
    f = decided(g, x, low, high)
    proofs.prove_finite(f, x, low, high)
    return f


# --- far out


def _half_line(step: Data) -> tuple[sp.Expr, sp.Expr]:
    """(-oo, start) or (start, oo), as the end of the step says."""
    start = parts.read_number(step["start"])
    if start.is_infinite or step["end"] not in ("oo", "-oo"):
        raise Rejected("a half-line goes from a number to oo or -oo")
    return (start, sp.oo) if step["end"] == "oo" else (-sp.oo, start)


def _far_slope(step: Data, g: sp.Expr) -> sp.Expr:
    """g' on the half-line, where the step states it."""
    low, high = _half_line(step)
    f = parse(step["f"], x)
    proofs.prove_zero(f - sp.diff(smooth_on(g, low, high), x), x, low, high)
    return f


def _prove_far_slope(step: Data, g: sp.Expr) -> None:
    f = _far_slope(step, g)
    proofs.prove_limit(f, x, parts.read_number(step["end"]), parts.read_number(step["limit"]))


def _prove_far_integral(step: Data, g: sp.Expr) -> None:
    if step["end"] != "oo":
        raise Rejected("the integral goes to oo")
    if step["value"] != integral_of(_far_slope(step, g) * sp.exp(-x)):
        raise Rejected("the integral does not do that")


def integral_of(f: sp.Expr) -> str:
    """int^oo f in a word: "oo", "-oo" or "finite". Raises Rejected."""
    try:
        return "oo" if proofs.integral_diverges(f, x) else "finite"
    except Rejected:
        if proofs.integral_diverges(-f, x):
            return "-oo"
        raise


def _prove_not_real_far_out(step: Data, g: sp.Expr) -> None:
    low, high = _half_line(step)
    imaginary.prove_not_real(decided(g, x, low, high), x, low, high)


def _beyond(step: Data) -> str:
    return f"x {'>' if step['end'] == 'oo' else '<'} {step['start']}"


def _beyond_in_latex(step: Data) -> str:
    return f"x {'>' if step['end'] == 'oo' else '<'} {number_latex(step['start'])}"


def _far_integral_in_latex(step: Data) -> str:
    outcome = {"oo": "= \\infty", "-oo": "= -\\infty", "finite": "\\in \\mathbb{R}"}[step["value"]]
    return (
        f"g'(x) = {function_latex(step['f'])}, \\quad {_beyond_in_latex(step)}, \\quad "
        f"\\int^\\infty g'(x)\\,e^{{-x}}\\,dx {outcome}"
    )


# --- both sides of 0


def _sides(step: Data) -> tuple[sp.Expr, sp.Expr]:
    at = parts.read_number(step["at"])
    if at.is_infinite or constants.sign_of(at) in (0, None):
        raise Rejected(f"{at} is not a number beside 0")
    return at, -at


def _complex_values(step: Data, g: sp.Expr) -> tuple[acb, acb]:
    with precision.bits(balls.PRECISION_BITS):
        here, there = (complex_ball(g, balls.ball_of_constant(at)) for at in _sides(step))
    if not here.is_finite() or not there.is_finite():
        raise Rejected("a value of g is not known")
    return here, there


def _is_real(g: sp.Expr, at: sp.Expr) -> bool:
    return bool(balls.ball_at_point(g, x, at).is_finite())


def _prove_mirror(step: Data, g: sp.Expr) -> None:
    exact, other = (points.value_of(g, x, at) for at in _sides(step))
    if exact is not None and other is not None and constants.equal(exact, other) is False:
        return
    here, there = _complex_values(step, g)
    if (here - there).contains(0):
        raise Rejected("g may have the same value at both points")


def _prove_one_side(step: Data, g: sp.Expr) -> None:
    _, there = _complex_values(step, g)
    if not _is_real(g, parts.read_number(step["at"])) or there.imag.contains(0):
        raise Rejected("g is not shown to be real at this point alone")


def _prove_same_formula(step: Data, g: sp.Expr) -> None:
    """g(-x) is written as g(x), or its branches and its values at kinks are those of g(x)."""
    mirrored: Any = g.xreplace({x: -x})
    if mirrored == g:
        return
    for low, high, difference in decided_by_parts(g - mirrored, x, sp.S.Zero, sp.oo):
        for side in (g, mirrored):  # both are real there
            smooth_on(side, low, high)
        proofs.prove_zero(difference, x, low, high)
        if high != sp.oo and not _same_value(g, high):
            raise Rejected(f"g is not known to have the same value at {high} and {-high}")


def _same_value(g: sp.Expr, at: sp.Expr) -> bool:
    here, there = (points.value_of(g, x, point) for point in (at, -at))
    if here is None or there is None:
        return here is there
    return proofs.equal_constants(here, there)


def _prove_mirrored_bend(step: Data, g: sp.Expr) -> None:
    at, mirrored = _sides(step)
    right, left = (smooth_on(g, point - BESIDE, point + BESIDE) for point in (at, mirrored))
    f, bends = parse(step["f"], x), (sp.diff(right, x, 2), sp.diff(left, x, 2))
    found = bends[0] - sp.exp(x) * bends[1].xreplace({x: -x})
    proofs.prove_zero(f - found, x, at - BESIDE, at + BESIDE)
    proofs.prove_sign_at(f, x, at, "!=0")


def _prove_own_slopes(step: Data, g: sp.Expr) -> None:
    """f(t) - t f(1/t) has the slope g(0+) - g(0) + g'(0+) + g'(0-) at t = 1, from either side."""
    if step["at"] != "0":
        raise Rejected("these are slopes at 0")
    before, after = limits_beside(step, g)
    value = points.value_of(g, x, sp.S.Zero)
    if value is None or not proofs.equal_constants(before, after):
        raise Rejected("g has no value or no limit at 0")
    left, right = (
        proofs.limit_of(sp.diff(parse(step[name], x), x), x, sp.S.Zero, side)
        for name, side in (("left", -1), ("right", 1))
    )
    total = parts.read_number(step["total"])
    if left is None or right is None:
        raise Rejected("the slopes beside 0 are not known")
    if not proofs.equal_constants(after - value + left + right, total):
        raise Rejected(f"the slopes beside 0 are {left} and {right}")
    if constants.sign_of(total) in (0, None):
        raise Rejected(f"{total} may be 0")


def _prove_smooth(step: Data, g: sp.Expr) -> None:
    at = parts.read_number(step["at"])
    f = smooth_on(g, at - BESIDE, at + BESIDE)
    value = points.value_of(g, x, at)
    if value is None or not proofs.equal_constants(value, proofs.at_point(f, x, at)):
        raise Rejected(f"g may have a value of its own at {at}")


# --- the rules


def mirrored(step: Data) -> str:
    """-a of the point a of a step."""
    return write(-parts.read_number(step["at"]))


def _mirrored_in_latex(step: Data) -> str:
    return number_latex(mirrored(step))


def bend_in_words(step: Data) -> str:
    """The value of g''(x) - e^x g''(-x), in four digits."""
    value = balls.ball_at_point(parse(step["f"], x), x, parts.read_number(step["at"]))
    return f"g''(x) - e^x g''(-x) is {value.str(4, radius=False)} at x = {step['at']}"


OF_A_FORMULA = by_name(
    Rule(  # g' tends to that limit, g being smooth on a half-line
        "far slope",
        keys("start end f limit"),
        lambda s: f"g'(x) = {s['f']} for {_beyond(s)} tends to {s['limit']} as x -> {s['end']}",
        lambda s: (
            f"g'(x) = {function_latex(s['f'])} \\to {number_latex(s['limit'])} \\quad "
            f"({_beyond_in_latex(s)} \\to {number_latex(s['end'])})"
        ),
        _prove_far_slope,
        propositions=(25,),
    ),
    Rule(  # int^oo g' e^-x diverges or converges, g being smooth on a half-line
        "far integral",
        keys("start end f value"),
        lambda s: f"g'(x) = {s['f']} for {_beyond(s)}, and int^oo g'(x) e^(-x) dx is {s['value']}",
        _far_integral_in_latex,
        _prove_far_integral,
        propositions=(16, 25),
    ),
    Rule(  # g is not real on a half-line, single points apart
        "not real far out",
        keys("start end"),
        lambda s: f"g(x) is not a real number for {_beyond(s)}, single points apart",
        lambda s: f"g(x) \\notin \\mathbb{{R}}, \\quad {_beyond_in_latex(s)}",
        _prove_not_real_far_out,
        propositions=(25,),
    ),
    Rule(  # g(a) is not g(-a): two balls
        "mirror",
        keys("at"),
        lambda s: f"g({s['at']}) and g({mirrored(s)}) differ",
        lambda s: f"g({number_latex(s['at'])}) \\ne g({_mirrored_in_latex(s)})",
        _prove_mirror,
        propositions=(25,),
    ),
    Rule(  # g(a) is real, g(-a) is not: two balls
        "one side",
        keys("at"),
        lambda s: f"g is a real number at x = {s['at']}, and not at x = {mirrored(s)}",
        lambda s: (
            f"g({number_latex(s['at'])}) \\in \\mathbb{{R}}, \\quad "
            f"g({_mirrored_in_latex(s)}) \\notin \\mathbb{{R}}"
        ),
        _prove_one_side,
        propositions=(25,),
    ),
    Rule(  # g(-x) = g(x) wherever one of them has a value
        "same formula",
        keys(""),
        lambda s: "g(-x) is g(x) wherever one of them has a value",
        lambda s: "g(-x) = g(x)",
        _prove_same_formula,
        propositions=(25,),
    ),
    Rule(  # g''(x) - e^x g''(-x) = f is not 0 at a point, g being smooth around it and -x
        "mirrored bend",
        keys("at f"),
        lambda s: f"g''(x) - e^x g''(-x) = {s['f']} near x = {s['at']}, and not 0 there",
        lambda s: (
            f"g''(x) - e^{{x}} g''(-x) = {function_latex(s['f'])} \\ne 0 \\quad "
            f"\\text{{at }} x = {number_latex(s['at'])}"
        ),
        _prove_mirrored_bend,
        propositions=(25,),
    ),
    Rule(  # the slope of f(t) - t f(1/t) at 1, where g has a value of its own at 0
        "own slopes",
        keys("at low high left right total"),
        lambda s: (
            f"g = {s['left']} on ({s['low']}, 0) and {s['right']} on (0, {s['high']}), so "
            f"g(0+) - g(0) + g'(0+) + g'(0-) = {s['total']}"
        ),
        lambda s: (
            f"g = {function_latex(s['left'])} \\text{{ before }} 0, \\quad g = "
            f"{function_latex(s['right'])} \\text{{ after it}}, \\quad g(0^+) - g(0) + g'(0^+) + "
            f"g'(0^-) = {number_latex(s['total'])}"
        ),
        _prove_own_slopes,
        propositions=(25,),
    ),
    Rule(  # g is analytic around a point, its value there included
        "smooth",
        keys("at"),
        lambda s: f"g is smooth around x = {s['at']}",
        lambda s: f"g \\text{{ is smooth around }} {number_latex(s['at'])}",
        _prove_smooth,
        propositions=(25,),
    ),
)
