"""What the callable would be without its clip, and under the other sign of the residual."""

from dataclasses import replace

import sympy as sp

from divergence_lab.audit import (
    identifying,
    looking,
    observing,
    probing,
    problems,
    result,
    subjects,
)
from divergence_lab.audit.placed.terms import identify_in_place
from divergence_lab.audit.subjects import feeding
from divergence_lab.theory.answers.derivation import Derivation, derive
from divergence_lab.theory.divergence.loss import from_expression
from divergence_lab.theory.expressions import write, x


def without_clip(
    found: identifying.Found | None,
    surrogate: bool | None,
    low: float,
    high: float,
    derivation: Derivation | None,
    budget: float,
) -> tuple[list[problems.Problem], list[str]]:
    """The loss found is another one with g' held constant beyond two residuals: what it would be
    without that.

    A problem where a gradient was clipped (a surrogate: the value is not that of the clipped loss)
    or a loss that is not quadratic; a note where it is Huber's, with one threshold or two.
    """
    pieces = found.loss.derivative.pieces if found else ()
    inner = [piece for piece in pieces if piece.expression.has(x)]
    if (
        len(pieces) < 3
        or pieces[0].expression == 0
        or pieces[0] in inner
        or pieces[-1] in inner
        or len({piece.expression for piece in inner}) != 1
    ):
        return [], []
    bare = from_expression(sp.integrate(inner[0].expression, x))
    without = derive(bare, budget=budget / 2).verdicts
    words = [
        word
        for word, now, then in (
            ("zero-forcing", derivation.verdicts.zero_forcing, without.zero_forcing),
            ("zero-avoiding", derivation.verdicts.zero_avoiding, without.zero_avoiding),
        )
        if then.holds and now.holds is False
    ]
    if not words:
        return [], []
    left, right = float(pieces[0].high), float(pieces[-1].low)
    told = (
        f"g' stops at x = {left:g} and x = {right:g}, as that of "
        f"{write(bare.expression)} with a clipped residual; "
        f"without the clip the loss would be {' and '.join(words)}, as shipped it is not"
    )
    if surrogate or sp.diff(inner[0].expression, x, 2) != 0:
        return [
            problems.Problem("class_changed", low, left, told),
            problems.Problem("class_changed", right, high, told),
        ], []
    return [], [told]


def under_the_other_sign(
    looked_at: probing.Subject,
    found: identifying.Found | None,
    derivation: Derivation | None,
    low: float,
    high: float,
    budget: float,
) -> result.Other:
    """g(-x) where the residual is fed; the loss found anew with model and target swapped where
    these are fed.
    """
    if looked_at.fed_residual and looked_at.standing.plain:
        mirrored = from_expression(found.loss.expression.subs(x, -x)) if found else None
    else:
        swapped = feeding.swapped(looked_at.arguments)
        residual = "model/target" if looked_at.sign > 0 else "target/model"
        try:
            again = looking.subject(
                looked_at.call, looked_at.name, residual, swapped, looked_at.summed, looked_at.item
            )
            again, _, _ = identify_in_place(replace(again, standing=looked_at.standing), low, high)
        except subjects.AuditError:  # swapped, it need not be a loss at all: nothing is said of it
            again = None
        mirrored = again.loss if again else None
    if mirrored is None:
        return result.Other(None, None, None, None, None)
    even = derivation is not None and mirrored.expression == derivation.loss.expression
    known = derivation if even else derive(mirrored, budget=budget)
    factor = known.divergence.factor
    return result.Other(
        write(mirrored.expression),
        known.divergence.name,
        None if factor is None else write(factor),
        known.verdicts.zero_forcing.holds,
        known.verdicts.zero_avoiding.holds,
    )


def as_shipped(
    looked_at: probing.Subject,
    found: identifying.Found | None,
    coarse: bool,
    low: float,
    high: float,
    budget: float,
) -> result.AsShipped | None:
    """The loss with what runs outside the stretch of the effective one, derived; None where the
    effective one is all there is, or no formula was found for the rest.
    """
    whole = found is None or (found.low <= low and high <= found.high)
    if found is None or whole or looked_at.blurred or not looked_at.standing.plain:
        return None
    pieces = observing.in_pieces(looked_at, low, high, found, found.gauge, coarse)
    if pieces is None or pieces.loss.derivative.pieces == found.loss.derivative.pieces:
        return None
    known = derive(pieces.loss, budget=budget)
    factor = known.divergence.factor
    return result.AsShipped(
        write(pieces.loss.expression),
        known.divergence.name,
        None if factor is None else write(factor),
        known.verdicts.zero_forcing,
        known.verdicts.zero_avoiding,
        pieces.low,
        pieces.high,
        pieces.fitted,
    )


def strict_class(
    shipped: result.AsShipped | None, low: float, high: float
) -> tuple[bool | None, bool | None]:
    """(zero-forcing, zero-avoiding) of the loss as shipped, each where its formula reaches that
    end of the range.
    """
    if shipped is None:
        return None, None
    return (
        shipped.zero_forcing.holds if shipped.low <= low else None,
        shipped.zero_avoiding.holds if shipped.high >= high else None,
    )
