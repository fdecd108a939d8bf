"""Convex: g'' >= 0, and g' jumps nowhere down; then f is convex too, and data processing holds
(Proposition 5). Part of the trusted checker.
"""

import dataclasses

import sympy as sp

from divergence_lab.theory.checker.facts.parts import read_number, same_point
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.families import cells, signs
from divergence_lab.theory.checker.kinds.kind import (
    Kind,
    Parts,
    Steps,
    at_point,
    covers,
    need,
    need_only,
    need_witness,
)
from divergence_lab.theory.checker.kinds.no_loss import by_fault
from divergence_lab.theory.expressions import constants, write


def _conclude(holds: bool, steps: Steps, parts: Parts) -> None:
    jumps = {
        read_number(s["at"]): sign_of_number(read_number(s["jump"]))
        for s in steps
        if s["rule"] == "jump"
    }
    if holds:
        need_only(steps, ("sign", "curvature", ">= 0"), ("jump", None, None))
        need(covers(parts, steps, "sign", "curvature", ">= 0"), "g'' >= 0 is not proved everywhere")
        need(
            all(at_point(jumps, p.low) in (0, 1) for p in parts[1:]),
            "an upward jump of g' is not proved at every break",
        )
    elif jumps:
        need(len(steps) == 1 and set(jumps.values()) == {-1}, "no jump is downward")
    else:
        witness = need_witness(steps, "curvature")
        need(witness["sign"].replace(" ", "") == "<0", "g'' is not negative there")


def sign_of_number(number: sp.Expr) -> int | None:
    """The sign of an exact number, oo or -oo; None where it is not decided."""
    return (1 if number == sp.oo else -1) if number.is_infinite else constants.sign_of(number)


def _say(holds: bool, steps: Steps) -> str:
    if holds:
        return _say_yes(steps)
    lost = "so neither g nor f is convex, and data processing fails"
    if steps[0]["rule"] == "jump":
        size = write(-read_number(steps[0]["jump"]))
        return f"g' jumps down by {size} at x = {steps[0]['at']}, {lost}"
    return f"g'' is negative at x = {steps[0]['at']}, {lost}"


def _say_yes(steps: Steps) -> str:
    signs = [s for s in steps if s["rule"] == "sign"]
    forms = list(dict.fromkeys(s["f"] for s in signs))
    shown = (
        forms[0]
        if len(forms) == 1
        else " and ".join(f"{s['f']} on ({s['low']}, {s['high']})" for s in signs)
    )
    upwards = any(
        s["rule"] == "jump" and not same_point(read_number(s["jump"]), sp.S.Zero) for s in steps
    )
    kinks = " and g' jumps upwards at its kinks" if upwards else ""
    return f"g'' = {shown} is not negative{kinks}, so g and f are convex"


def is_convex_in_cell(cell: cells.Cell, witness: sp.Expr | None) -> bool:
    """g is convex for all parameters of the cell, or not. Raises Rejected."""
    curvature = cell.slopes.derivative()
    if witness is not None:
        value, _ = cells.value_at(curvature, witness)
        if signs.sign(value) != -1:
            raise Rejected(f"g'' is not negative at {witness}")
        return False
    bent = cells.is_negative_near_an_end(curvature.pieces, cell.free)
    if bent is True:
        return False
    jumps = [cells.jump_at(cell, kink) for kink in cell.slopes.kinks]
    if any(map(_is_downward, jumps)):
        return False
    try:
        with cells.says_what_is_unknown(bent):
            for piece in curvature.pieces:
                cells.prove_nonnegative(piece.expression, piece, cell.free)
    except cells.Negative:
        return False
    return True


def _is_downward(jump: sp.Expr) -> bool:
    """A jump of g', a limit in the parameters, is negative for all of them, or nowhere; SymPy does
    not know that 1/(e^b - 1) is finite.
    """
    if jump.is_infinite:
        return jump == -sp.oo
    return not signs.is_zero(jump) and signs.sign(jump) < 0


CONVEX = Kind(
    "convex",
    (5,),
    _conclude,
    _say,
    is_convex_in_cell,
    for_parameters="g'' is not negative and g' jumps nowhere down, so g and f are convex,",
    say_of_formula=by_fault(", so it is not convex"),
    shown_at_a_point=True,
    scale_free=True,
    of_zero=True,
)
DATA_PROCESSING = dataclasses.replace(
    CONVEX,
    name="data_processing",
    proved_as="convex",
    prefix="data processing holds exactly for convex g: ",
)
