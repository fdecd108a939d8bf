"""What a wrong normaliser does to the policy, in trajectory balance.

only Linex and the quadratic keep the direction of the policy gradient        (Proposition 14)
where g'' < 0 the correct policy becomes a strict local maximum               (Proposition 15)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import sympy as sp
from flint import arb

from divergence_lab.theory.checker.facts import proofs, tails
from divergence_lab.theory.divergence.loss import Loss, jump
from divergence_lab.theory.expressions import digits, enclosure, pieces, x
from divergence_lab.theory.inequalities.normaliser import DIGITS, slope_on_balls
from divergence_lab.theory.verdicts import integral_sign, sign_regions

RESIDUALS = tuple(
    tuple(sp.Rational(n, 7) for n in triple)
    for triple in ((-8, 1, 9), (-15, -2, 8), (-6, 3, 16), (-22, -5, 11), (-3, 2, 24))
)
OFFSETS = tuple(sp.Rational(n, 5) for n in (2, -2, 6, -6, 11, -11, 16, -16))


@dataclass(frozen=True)
class DirectionKept:
    """`holds`: is the direction of the policy gradient the same for every log Z? If not: three
    residuals at log Z*, an offset of log Z, and the cosine between the two gradients for the
    uniform policy, enclosed below 1.
    """

    holds: bool | None
    because: str
    residuals: tuple[sp.Expr, ...] = ()
    offset: sp.Expr | None = None
    cosine: arb | None = None


# --- does a wrong Z bend the policy gradient?


def keeps_direction(loss: Loss) -> DirectionKept:
    """Is the policy gradient's direction the same at every log Z? Exactly for g''' = a g''
    (Proposition 14).

        >>> import divergence_lab as dl
        >>> [keeps_direction(dl.loss(text)).holds for text in ("linex(2)", "shifted_cosh")]
        [True, False]
    """
    (first, *others) = loss.curvature.pieces
    if not others:
        at_zero, third = first.expression.subs(x, 0), sp.diff(first.expression, x)
        if at_zero.is_positive and third.subs(x, 0).is_finite:
            rate = sp.simplify(third.subs(x, 0) / at_zero)
            if integral_sign.vanishes(
                pieces.Piece(first.low, first.high, third - rate * first.expression)
            ):
                return DirectionKept(
                    True,
                    f"g'''(x) = ({rate})*g''(x): shifting log Z multiplies g' by a positive "
                    "constant and adds another, which no gradient of a policy in TB sees",
                )
    if loss.parameters:
        return DirectionKept(None, f"{loss} has parameters without values")
    best: DirectionKept | None = None
    try:
        for residuals, offset in product(RESIDUALS, OFFSETS):
            cosine = _cosine(loss, residuals, offset)
            if cosine < 1 and (best is None or cosine < best.cosine):
                best = DirectionKept(
                    False,
                    f"with log Z off by {offset} the policy gradient at the residuals "
                    f"{residuals} turns: cosine {cosine.str(5, radius=False)}",
                    residuals,
                    offset,
                    cosine,
                )
    except enclosure.NotEvaluable as reason:
        return DirectionKept(None, str(reason))
    return best or DirectionKept(
        None, "no example that turns was found, and no proof that none does"
    )


def _cosine(loss: Loss, residuals: Sequence[sp.Expr], offset: sp.Expr) -> arb:
    """Cosine between (g'(x_o)) and (g'(x_o - offset)), each less its mean: logit gradients at
    the uniform policy.
    """
    with digits(DIGITS):
        slope, vectors = slope_on_balls(loss), []
        for shift in (sp.S.Zero, offset):
            values = [slope(enclosure.exact(residual - shift)) for residual in residuals]
            mean = sum(values, arb(0)) / len(values)
            vectors.append([value - mean for value in values])
        a, b = vectors
        inner, first, second = (
            sum((u * v for u, v in zip(*pair)), arb(0)) for pair in ((a, b), (a, a), (b, b))
        )
        return inner / (first * second).sqrt() if first > 0 and second > 0 else arb.nan()


# --- where the correct policy repels


@dataclass(frozen=True)
class Repelling:
    """The common residuals u = log Z* - log Z at which the correct policy is a strict local maximum
    of the surrogate.

    `holds`: are there any? `stretches` where g'' < 0, `jumps` where g' jumps down; between
    neighbouring ends of the enclosures, and on `undecided`, nothing is claimed.
    """

    holds: bool | None
    stretches: tuple[sign_regions.Stretch, ...]
    jumps: tuple[sp.Expr, ...]
    undecided: tuple[sign_regions.Stretch, ...]
    because: str


def repelling_residuals(loss: Loss) -> Repelling:
    """Where g'' < 0, enclosed: there a wrong Z pushes the policy away from the correct one
    (Proposition 15).

        >>> import divergence_lab as dl
        >>> repelling_residuals(dl.loss("welsch(1)")).because
        'g is not convex at -inf < u < -1 or 1 < u < inf'
    """
    if loss.parameters:
        return Repelling(None, (), (), (), f"{loss} has parameters without values")
    jumps = []
    for kink in loss.derivative.kinks:
        size = jump(loss, kink)
        if size != sp.oo and not size.is_nonnegative:
            if size != -sp.oo and not enclosure.exact(size) < 0:
                return Repelling(
                    None, (), (), (), f"the sign of the jump {size} of g' at {kink} was not decided"
                )
            jumps.append(kink)
    parts = [piece for side in loss.curvature.split_at_zero() for piece in side.pieces]
    stretches: list[sign_regions.Stretch] = []
    undecided: list[sign_regions.Stretch] = []
    for piece in parts:
        try:
            integral_sign.prove_sign(piece)
        except proofs.Rejected:
            try:
                negative, unknown = sign_regions.negative_stretches(piece)
            except (proofs.Rejected, tails.NoTail) as reason:
                return Repelling(
                    None,
                    (),
                    tuple(jumps),
                    (),
                    f"the sign of g'' on ({piece.low}, {piece.high}): {reason}",
                )
            stretches += negative
            undecided += unknown
    if stretches or jumps:
        where = " or ".join(
            [f"{s.low[0]:.6g} < u < {s.high[1]:.6g}" for s in stretches]
            + [f"u = {k}" for k in jumps]
        )
        return Repelling(
            True, tuple(stretches), tuple(jumps), tuple(undecided), f"g is not convex at {where}"
        )
    if undecided:
        return Repelling(
            None, (), (), tuple(undecided), "the sign of g'' was not decided everywhere"
        )
    return Repelling(
        False,
        (),
        (),
        (),
        "g'' is not negative anywhere: the correct policy is a minimum at every Z",
    )
