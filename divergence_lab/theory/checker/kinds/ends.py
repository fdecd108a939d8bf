"""Zero-forcing, zero-avoiding, bounded gradient: what g' does at -oo and oo. Part of the trusted
checker.

    zero-forcing   <=>  f(0+) = oo    <=>  g'(x) -> -oo as x -> -oo                 (Proposition 3)
    zero-avoiding  <=>  f'(oo) = oo   <=>  int_0^oo g'(x) e^{-x} dx = oo            (Proposition 3)
"""

import sympy as sp

from divergence_lab.theory.checker.facts import proofs
from divergence_lab.theory.checker.facts.parts import read_number
from divergence_lab.theory.checker.families import by_terms, cells
from divergence_lab.theory.checker.kinds.kind import Kind, Parts, Steps, need, need_only
from divergence_lab.theory.checker.kinds.no_loss import by_end, by_fault
from divergence_lab.theory.expressions import parse, write, x
from divergence_lab.theory.expressions.balls import ball_of_constant, is_finite_constant

# --- zero-forcing


def _conclude_forcing(holds: bool, steps: Steps, parts: Parts) -> None:
    if steps and steps[0]["rule"] == "bounded":  # then f is bounded near 0 (Proposition 3)
        need_only(steps, ("bounded", "slope", None))
        need(len(steps) == 1 and steps[0]["end"] == "-oo" and not holds, "only a no is shown")
        return
    need(
        len(steps) == 1
        and steps[0]["rule"] == "limit"
        and steps[0]["of"] == "slope"
        and steps[0]["end"] == "-oo",
        "the limit of g' at -oo is missing",
    )
    need((steps[0]["limit"] == "-oo") is holds, "the limit says the opposite")


def _say_forcing(holds: bool, steps: Steps) -> str:
    if steps[0]["rule"] == "bounded":
        return "g' stays bounded at -oo, so f stays bounded at 0+: f(0+) is not oo"
    limit = read_number(steps[0]["limit"])
    if limit == -sp.oo:
        return "f(0+) = -g'(-oo) = oo: mass where the target has none costs without bound"
    if limit == sp.oo:
        return (
            "g' tends to oo at -oo, so f(0+) = -oo: mass where the target has none is "
            "rewarded, which no valid loss does"
        )
    return f"f(0+) = -g'(-oo) = {write(-limit)} is finite"


def _say_far_forcing(holds: bool, steps: Steps) -> str:
    need((steps[0]["limit"] == "-oo") is holds, "the limit says the opposite")
    return _say_forcing(holds, steps)


def _is_forcing_in_cell(cell: cells.Cell, witness: sp.Expr | None) -> bool:
    return cells.limit_at(cell.slopes.pieces[0].expression, -sp.oo, 0, cell.free) == -sp.oo


ZERO_FORCING = Kind(
    "zero_forcing",
    (3,),
    _conclude_forcing,
    _say_forcing,
    _is_forcing_in_cell,
    for_parameters="f(0+) = -g'(-oo) = oo",
    say_of_formula=by_end("far slope", "-oo", "f(0+)", _say_far_forcing),
    scale_free=True,
)

# --- zero-avoiding


def _conclude_avoiding(holds: bool, steps: Steps, parts: Parts) -> None:
    need(
        len(steps) == 1 and steps[0]["rule"] == "integral" and steps[0]["of"] == "weighted slope",
        "the integral of g'(x) e^(-x) is missing",
    )
    # of g'(x) e^(-x) times the scale: where it is negative the integral is -oo
    limit = read_number(steps[0]["limit"])
    falls = limit == -sp.oo or bool(ball_of_constant(limit) < 0)
    need((steps[0]["diverges"] == "true" and not falls) is holds, "the integral says the opposite")


def _say_avoiding(holds: bool, steps: Steps) -> str:
    outcome = "= oo" if holds else "= -oo" if steps[0]["diverges"] == "true" else "is finite"
    scale = write(1 / parse(steps[0]["scale"], x))
    return f"f'(oo) = int g'(x) e^(-x) dx {outcome}, by comparison with {scale}"


def _say_far_avoiding(holds: bool, steps: Steps) -> str:
    value = steps[0]["value"]
    need((value == "oo") is holds, "the integral says the opposite")
    return f"f'(oo) = int g'(x) e^(-x) dx is {value}"


def _is_avoiding_in_cell(cell: cells.Cell, witness: sp.Expr | None) -> bool:
    f = cell.slopes.pieces[-1].expression * sp.exp(-x)
    if cell.free:
        return by_terms.diverges(f, x)
    try:
        return proofs.integral_diverges(f, x)
    except proofs.Rejected:
        if proofs.integral_diverges(-f, x):
            return False  # it is -oo
        raise


ZERO_AVOIDING = Kind(
    "zero_avoiding",
    (3,),
    _conclude_avoiding,
    _say_avoiding,
    _is_avoiding_in_cell,
    for_parameters="f'(oo) = int g'(x) e^(-x) dx = oo",
    say_of_formula=by_end("far integral", "oo", "f'(oo)", _say_far_avoiding),
)

# --- bounded gradient


def _conclude_bounded(holds: bool, steps: Steps, parts: Parts) -> None:
    limits = {s["end"]: s["limit"] for s in steps if s["rule"] == "limit"}
    bounded = {s["end"] for s in steps if s["rule"] == "bounded"}
    allowed = (("limit", "slope", None), ("bounded", "slope", None))
    need_only(steps, *(allowed if limits or bounded else (("jump", None, None),)))
    infinite = {"oo", "-oo"} & set(limits.values())
    if holds:
        need({*limits, *bounded} == {"oo", "-oo"} and not infinite, "a finite limit is missing")
        for part in parts:
            proofs.prove_finite(part.slope, x, part.low, part.high)
            for end, side in ((part.low, 1), (part.high, -1)):
                _need_bounded_beside(part.slope, end, side)
    elif limits:
        need(bool(infinite), "no limit is infinite")
    else:
        need(
            len(steps) == 1 and steps[0]["rule"] == "jump" and steps[0]["jump"] in ("oo", "-oo"),
            "no slope is infinite",
        )


def _need_bounded_beside(slope: sp.Expr, end: sp.Expr, side: int) -> None:
    if end not in (sp.oo, -sp.oo):
        limit = proofs.limit_of(slope, x, end, side)
        need(limit is None or is_finite_constant(limit), f"g' is not bounded near {end}")


def _say_bounded(holds: bool, steps: Steps) -> str:
    if steps[0]["rule"] == "jump":
        return f"g' is unbounded near x = {steps[0]['at']}"
    if holds:
        if any(s["rule"] == "bounded" for s in steps):
            return "g' is finite everywhere, and stays bounded at both ends"
        ends = " and ".join(f"{s['limit']} at {s['end']}" for s in steps)
        return f"g' is finite everywhere, with finite limits: {ends}"
    last = next(s for s in steps if s.get("limit") in ("oo", "-oo"))
    return f"the gradient is unbounded: g'({last['end']}) = {last['limit']}"


def _is_bounded_in_cell(cell: cells.Cell, witness: sp.Expr | None) -> bool:
    pieces = cell.slopes.pieces
    ends = [
        cells.limit_at(p.expression, end, side, cell.free)
        for p in pieces
        for end, side in ((p.low, 1), (p.high, -1))
    ]
    if any(end.is_infinite for end in ends):
        return False
    for piece in pieces:
        cells.prove_finite(piece, cell.free)
    return True


BOUNDED_GRADIENT = Kind(
    "bounded_gradient",
    (18,),
    _conclude_bounded,
    _say_bounded,
    _is_bounded_in_cell,
    for_parameters="g' is bounded",
    say_of_formula=by_fault(", so |g(x) - g(y)| <= M |x - y| for all x and y holds for no M"),
    scale_free=True,
    of_zero=True,
)
