"""Valid: g falls before 0 and rises after it. Part of the trusted checker."""

import contextlib
from collections.abc import Sequence

import sympy as sp

from divergence_lab.theory.checker.facts import decided, proofs
from divergence_lab.theory.checker.facts.parts import read_number, sides_of_zero, slopes_at
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.families import cells, signs
from divergence_lab.theory.checker.kinds import convexity, kind, no_loss
from divergence_lab.theory.expressions import balls, ordering, x
from divergence_lab.theory.expressions.pieces import Piece

_YES = "g falls before 0 and rises after it"
_BY_CONVEXITY = "g is convex and g'(0-) <= 0 <= g'(0+)"


def _conclude(holds: bool, steps: kind.Steps, parts: kind.Parts) -> None:
    if holds:
        _conclude_yes(steps, parts)
    elif steps and steps[0]["rule"] == "constant":
        kind.need(
            len(steps) == 1 and 0 in (read_number(steps[0]["low"]), read_number(steps[0]["high"])),
            "the constant piece is not beside 0",
        )
    else:
        step = kind.need_witness(steps, "slope")
        wrong = "<0" if balls.ball_of_constant(read_number(step["at"])) > 0 else ">0"
        kind.need(step["sign"].replace(" ", "") == wrong, "the slope has the right sign there")


def _conclude_yes(steps: kind.Steps, parts: kind.Parts) -> None:
    left, right = sides_of_zero(parts)
    if _is_by_convexity(steps):
        _conclude_by_convexity(steps, parts)
    else:
        _conclude_by_slopes(steps, left, right)
    for part in (left[-1], right[0]):  # analytic: not 0 at one point is enough
        proofs.prove_sign_at(part.slope, x, decided.inner_point(part.low, part.high), "!=0")


def _is_by_convexity(steps: kind.Steps) -> bool:
    return any(step.get("of") == "curvature" for step in steps)


def _conclude_by_convexity(steps: kind.Steps, parts: kind.Parts) -> None:
    """A convex g with g'(0-) <= 0 <= g'(0+) falls before 0 and rises after it."""
    convexity.CONVEX.conclude(True, steps, parts)
    below, above = slopes_at(sp.S.Zero, parts)
    kind.need(convexity.sign_of_number(below) in (-1, 0), "g'(0-) <= 0 is not proved")
    kind.need(convexity.sign_of_number(above) in (1, 0), "g'(0+) >= 0 is not proved")


def _conclude_by_slopes(steps: kind.Steps, left: kind.Parts, right: kind.Parts) -> None:
    kind.need_only(steps, ("sign", "slope", "<= 0"), ("sign", "slope", ">= 0"))
    kind.need(
        kind.covers(left, steps, "sign", "slope", "<= 0"),
        "g' <= 0 before 0 is not proved everywhere",
    )
    kind.need(
        kind.covers(right, steps, "sign", "slope", ">= 0"),
        "g' >= 0 after 0 is not proved everywhere",
    )


def _say(holds: bool, steps: kind.Steps) -> str:
    if holds:
        return f"{_BY_CONVEXITY}, so {_YES}" if _is_by_convexity(steps) else _YES
    step = steps[0]
    if step["rule"] == "constant":
        side, word = ("after", "rise") if read_number(step["low"]) == 0 else ("before", "fall")
        return f"g does not {word} {side} 0: it is constant there, so a wrong model can have loss 0"
    words, sign = (
        ("falls after", "negative") if step["sign"] == "< 0" else ("rises before", "positive")
    )
    return f"g {words} 0: g' is {sign} at x = {step['at']}"


def _decide_in_cell(cell: cells.Cell, witness: sp.Expr | None) -> bool:
    if witness is not None:
        value, piece = cells.value_at(cell.slopes, witness)
        if signs.sign(value) != (-1 if ordering.is_less(sp.S.Zero, piece.high) else 1):
            raise Rejected(f"the slope has the right sign at {witness}")
        return False
    beside = [piece for piece in cell.slopes.pieces if 0 in (piece.low, piece.high)]
    if any(signs.is_zero(piece.expression) for piece in beside):
        return False
    outward = [
        Piece(p.low, p.high, p.expression if ordering.is_less(sp.S.Zero, p.high) else -p.expression)
        for p in cell.slopes.pieces
    ]
    turned = cells.is_negative_near_an_end(outward, cell.free)
    if turned is True:
        return False
    try:
        with cells.says_what_is_unknown(turned):
            _prove_outward(outward, cell)
    except cells.Negative:
        return False
    for piece in beside:
        _prove_not_constant(piece)
    return True


def _prove_not_constant(slope: Piece) -> None:
    """g', which is analytic, or g'' is not 0 at one point. Raises Rejected."""
    point = cells.inner_point_of(slope)
    values = [f.subs(x, point) for f in (sp.diff(slope.expression, x), slope.expression)]
    unknown: Rejected = Rejected("that g is not constant beside 0 is not seen")
    for value in values:
        try:
            if signs.sign(value) != 0:
                return
        except signs.Unsigned as failure:
            unknown = failure
    raise unknown


def _prove_outward(outward: Sequence[Piece], cell: cells.Cell) -> None:
    """g' has the sign of x, since g is convex or on each piece. Raises Rejected."""
    with contextlib.suppress(Rejected):  # g'' is often the simpler of the two
        if _slopes_at_zero_are_apart(cell) and convexity.is_convex_in_cell(cell, None):
            return
    for piece in outward:
        cells.prove_nonnegative(piece.expression, piece, cell.free)


def _slopes_at_zero_are_apart(cell: cells.Cell) -> bool:
    """g'(0-) <= 0 <= g'(0+): then a convex g falls before 0 and rises after it."""
    below, above = cells.slopes_at_zero(cell)
    return bool(
        below.is_finite
        and above.is_finite
        and signs.is_nonnegative(-below)
        and signs.is_nonnegative(above)
    )


VALIDITY = kind.Kind(
    "validity",
    (4,),
    _conclude,
    _say,
    _decide_in_cell,
    for_parameters=_YES,
    say_of_formula=no_loss.by_fault(""),
    shown_at_a_point=True,
    scale_free=True,
)
