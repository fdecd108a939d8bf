"""Even, symmetric: identities between the two sides of 0. Part of the trusted checker.

even        g'(x) = -g'(-x)
symmetric   g''(x) = e^x g''(-x), kinks included, and g'(0+) = -g'(0-): then f(t) = t f(1/t)
"""

import contextlib
from collections.abc import Sequence

import sympy as sp

from divergence_lab.theory.checker.facts import proofs
from divergence_lab.theory.checker.facts.parts import (
    read_number,
    same_point,
    sides_of_zero,
    slopes_at,
)
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.families import cells, exponential_terms, signs
from divergence_lab.theory.checker.kinds import ends, no_loss
from divergence_lab.theory.checker.kinds.kind import (
    Kind,
    Parts,
    Steps,
    at_point,
    covers,
    need,
    need_only,
    need_witness,
    value_in_words,
)
from divergence_lab.theory.expressions import Pieces, constants, pieces, write, x

Difference = tuple[pieces.Piece, sp.Expr]  # what has to be 0 on a piece

# --- without parameters


def _conclude_even(holds: bool, steps: Steps, parts: Parts) -> None:
    if not holds:
        need_witness(steps, "odd part")
        return
    need_only(steps, ("identity", "odd part", None))
    need(
        covers(sides_of_zero(parts)[1], steps, "identity", "odd part"),
        "g'(x) = -g'(-x) is not proved everywhere",
    )


def _say_even(holds: bool, steps: Steps) -> str:
    return "g is even" if holds else f"g is not even: g'(x) + g'(-x) is {value_in_words(steps[-1])}"


def _jumps_in(steps: Steps) -> dict[sp.Expr, sp.Expr]:
    return {read_number(s["at"]): read_number(s["jump"]) for s in steps if s["rule"] == "jump"}


def _are_apart(kink: sp.Expr, jump: sp.Expr, mirrored: sp.Expr) -> bool:
    """The jumps at a kink and at its mirror image are shown not to have the weights of symmetry."""
    return constants.equal(sp.exp(-kink / 2) * jump, sp.exp(kink / 2) * mirrored) is False


def _conclude_symmetric(holds: bool, steps: Steps, parts: Parts) -> None:
    if holds:
        _conclude_symmetry(steps, parts)
    elif jumps := _jumps_in(steps):
        need_only(steps, ("jump", None, None))
        need(
            any(
                _are_apart(kink, jump, mirrored)
                for kink, jump in jumps.items()
                if (mirrored := at_point(jumps, -kink)) is not None
            ),
            "the jumps are not shown to differ from what symmetry needs",
        )
    elif steps and steps[0]["rule"] == "witness" and steps[0]["of"] == "kink at 0":
        need(len(steps) == 1, "one witness is enough")
    else:
        need_witness(steps, "asymmetry")


def _conclude_symmetry(steps: Steps, parts: Parts) -> None:
    jumps = _jumps_in(steps)
    need_only(steps, ("identity", "asymmetry", None), ("jump", None, None))
    need(
        covers(sides_of_zero(parts)[1], steps, "identity", "asymmetry"),
        "g''(x) = e^x g''(-x) is not proved everywhere",
    )
    for part in parts[1:]:
        here, there = at_point(jumps, part.low), at_point(jumps, -part.low)
        need(
            None not in (here, there),
            f"the jump of g' at {part.low} or its mirror image is missing",
        )
        need(
            proofs.equal_constants(sp.exp(-part.low / 2) * here, sp.exp(part.low / 2) * there),
            "the jumps are not symmetric",
        )
    before, after = slopes_at(sp.S.Zero, parts)
    need(proofs.equal_constants(before, -after), "the slopes at 0 are not opposite")


def _say_symmetric(holds: bool, steps: Steps) -> str:
    if holds:
        return "e^(-x/2) g''(x) is even, so swapping the two laws changes nothing"
    step = steps[-1]
    if step["rule"] == "jump":
        jumps = _jumps_in(steps)
        kink = next(
            kink
            for kink, jump in jumps.items()
            for other, mirrored in jumps.items()
            if same_point(other, -kink) and _are_apart(kink, jump, mirrored)
        )
        return (
            f"the kink of g at x = {write(kink)} has no counterpart of the right weight at "
            f"{write(-kink)}"
        )
    if step["of"] == "kink at 0":
        return (
            f"the slopes of g at 0 add up to {step['f']}, not to 0: f(t) - t f(1/t) = "
            f"({step['f']})*(t - 1) near 1, which is 0 only between laws of equal mass"
        )
    return f"the divergence is not symmetric: g''(x) - e^x g''(-x) is {value_in_words(step)}"


# --- for all parameters of a cell


def _mirrored(function: Pieces) -> list[Difference]:
    """Each piece right of 0 beside h(-x) of its mirror image."""
    count = len(function.pieces) // 2
    mirrored = [p.expression.xreplace({x: -x}) for p in reversed(function.pieces[:count])]
    return list(zip(function.pieces[count:], mirrored))


def _vanish(differences: Sequence[Difference], witness: sp.Expr | None) -> bool:
    """All differences are 0 on their pieces (True), or one is not 0 at a point, whatever the
    parameters (False).
    """
    for piece, difference in differences:
        if signs.is_zero(difference):
            continue
        if witness is None and (_is_never_zero(difference) or _has_a_sign(difference, piece)):
            return False
        point = witness if witness is not None else cells.inner_point_of(piece)
        if not cells.is_inside(point, piece):
            raise Rejected(f"{point} is not inside ({piece.low}, {piece.high})")
        if signs.sign(difference.subs(x, point)) != 0:
            return False
        raise Rejected(f"the difference is 0 at {point}")
    return True


def _has_a_sign(difference: sp.Expr, piece: pieces.Piece) -> bool:
    """The difference is positive, or negative, near an end of the piece, for all parameters."""
    unknown = None
    for end, side in ((piece.high, -1), (piece.low, 1)):
        try:
            if cells.sign_near(difference, end, side, bool(difference.free_symbols - {x})):
                return True
        except signs.Unsigned as failure:
            unknown = unknown or failure
        except proofs.Rejected:
            continue
    if unknown is not None:
        raise unknown
    return False


def _is_never_zero(difference: sp.Expr) -> bool:
    """Raises Unsigned with what may be 0, where that is why it is not seen."""
    try:
        if exponential_terms.never_vanishes(difference):
            return True
        unknown = exponential_terms.in_question(difference)
    except Rejected:
        try:
            return signs.sign(exponential_terms.common_factor(difference)) != 0
        except signs.Unsigned:
            raise
        except (Rejected, sp.PolynomialError):
            return False
    if unknown is not None:
        raise signs.Unsigned(unknown)
    return False


def identities(kind: str, loss: sp.Expr) -> tuple[list[sp.Expr], list[Difference]]:
    """What all has to be 0 for the loss to be even, or its divergence symmetric: numbers, and
    functions on pieces.
    """
    cell = cells.read_cell(loss, True)
    return ([], _odd_parts(cell)) if kind == "even" else _asymmetries(cell)


def _odd_parts(cell: cells.Cell) -> list[Difference]:
    return [(p, p.expression + m) for p, m in _mirrored(cell.slopes)]


def _asymmetries(cell: cells.Cell) -> tuple[list[sp.Expr], list[Difference]]:
    bends = [(p, p.expression - sp.exp(x) * m) for p, m in _mirrored(cell.slopes.derivative())]
    return _atoms(cell), bends


def _atoms(cell: cells.Cell) -> list[sp.Expr]:
    """What symmetry asks of the slopes at 0 and at kinks."""
    kinks = cell.slopes.kinks
    jumps = [cells.jump_at(cell, kink) for kink in kinks]
    if not any(jump.is_infinite for jump in jumps):
        return [
            sum(cells.slopes_at_zero(cell)),
            *(
                sp.exp(-k / 2) * a - sp.exp(k / 2) * b
                for k, a, b in zip(kinks, jumps, reversed(jumps))
            ),
        ]
    if len(jumps) > 1:
        raise Rejected("infinite slopes away from 0, or not there alone")
    # infinite slopes at 0: what is left of them counts (Proposition 6, part 6)
    before, after = cell.slopes.pieces
    left = after.expression + sp.exp(x) * before.expression.xreplace({x: -x})
    return [cells.limit_at(left, sp.S.Zero, 1, cell.free)]


def _is_even_in_cell(cell: cells.Cell, witness: sp.Expr | None) -> bool:
    if witness is None and _slopes_differ_far_out(cell):
        return False
    try:
        return _vanish(_odd_parts(cell), witness)
    except signs.Unsigned:  # g'' of an even g is even, and often simpler: where it is not, g is not
        bends = [(p, p.expression - m) for p, m in _mirrored(cell.slopes.derivative())]
        with contextlib.suppress(Rejected):
            if not _vanish(bends, witness):
                return False
        raise


def _slopes_differ_far_out(cell: cells.Cell) -> bool:
    """g'(-oo) is not -g'(oo), for all parameters."""
    first, last = cell.slopes.pieces[0].expression, cell.slopes.pieces[-1].expression
    try:
        below = cells.limit_at(first, -sp.oo, 0, cell.free)
        above = cells.limit_at(last, sp.oo, 0, cell.free)
        if sp.oo in (abs(below), abs(above)):
            return below != -above
        return not signs.is_zero(below + above) and signs.sign(below + above) != 0
    except Rejected:
        return False


def _is_symmetric_in_cell(cell: cells.Cell, witness: sp.Expr | None) -> bool:
    if witness is None and _ends_differ(cell):
        return False
    if _is_seen_even(cell) and not _vanish(_right_of_zero(cell.slopes.derivative()), witness):
        return (
            False  # of an even g, g''(x) - e^x g''(-x) = (1 - e^x) g''(x) (Proposition 6, part 4)
        )
    atoms, differences = _asymmetries(cell)
    if witness is None and any(
        atom.is_infinite or (not signs.is_zero(atom) and signs.sign(atom) != 0) for atom in atoms
    ):
        return False
    return _vanish(differences, witness)


def _ends_differ(cell: cells.Cell) -> bool:
    """One of f(0+) = -g'(-oo) and f'(oo) is oo, the other not: symmetry asks for both or neither
    (Proposition 6, part 3).
    """
    try:
        forcing = ends.ZERO_FORCING.decide_in_cell(cell, None)
        return forcing is not ends.ZERO_AVOIDING.decide_in_cell(cell, None)
    except Rejected:
        return False


def _is_seen_even(cell: cells.Cell) -> bool:
    """g'(x) = -g'(-x) by SymPy's normal forms alone."""
    return all(signs.is_zero(difference) for _, difference in _odd_parts(cell))


def _right_of_zero(function: Pieces) -> list[Difference]:
    right = function.pieces[len(function.pieces) // 2 :]
    return [(piece, piece.expression) for piece in right]


EVEN = Kind(
    "even",
    (6,),
    _conclude_even,
    _say_even,
    _is_even_in_cell,
    for_parameters="g(-x) = g(x)",
    say_of_formula=no_loss.say_even,
    shown_at_a_point=True,
    scale_free=True,
    of_zero=True,
    compares_sides=True,
)
SYMMETRIC = Kind(
    "symmetric",
    (6,),
    _conclude_symmetric,
    _say_symmetric,
    _is_symmetric_in_cell,
    for_parameters="t f(1/t) = f(t)",
    say_of_formula=no_loss.say_symmetric,
    shown_at_a_point=True,
    of_zero=True,
    compares_sides=True,
)
