"""Does D_f(p || q) >= (g''(0)/2) ||p - q||_1^2 hold for all probability vectors? If not, with which
constant?

Proved from   f(t) (1 + a (t-1)) >= (k/2) (t-1)^2,  k = g''(0), r = g'''(0)/k, a = (2-r)/3 in [0, 1]
(Proposition 12), refuted by two laws on two outcomes whose divergence is enclosed, or undecided. A
smaller constant then comes from the triangular discrimination D_h, h = (t-1)^2/(t+1), which is at
least 1/2 ||p - q||_1^2 (k = 1, a = 1/2) and at most c D_f for a c of Proposition 11.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sympy as sp
from flint import arb

from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, bounded
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.divergence import loss, values
from divergence_lab.theory.expressions import (
    CannotSplit,
    Pieces,
    constants,
    digits,
    enclosure,
    ordering,
    pieces,
    x,
)
from divergence_lab.theory.inequalities.bounds import Constant, best_constant, down, up
from divergence_lab.theory.verdicts.integral_sign import (
    combined,
    outwards,
    prove_integral_nonnegative,
    why_not_valid,
)

if TYPE_CHECKING:  # numpy and scipy are loaded only for the search
    import numpy as np
    from scipy.interpolate import CubicSpline

# The search for a counterexample: residuals of the table of f, and log-odds of the two laws.
TABLE_REACH, TABLE_STEP = 14, sp.Rational(1, 8)
LARGEST_LOG_ODDS, ODDS = 6.5, 105


@dataclass(frozen=True)
class BinaryWitness:
    """Two laws (p, 1-p) and (q, 1-q) and D_f / ||p - q||_1^2, enclosed, in `ratio`."""

    p: sp.Rational
    q: sp.Rational
    ratio: arb


@dataclass(frozen=True)
class Pinsker:
    """`holds` for D_f >= constant * ||p - q||_1^2, constant = g''(0)/2; `r`, `a` as in the
    criterion, if they exist.
    """

    holds: bool | None
    constant: sp.Expr | None
    r: sp.Expr | None
    a: sp.Expr | None
    because: str
    witness: BinaryWitness | None = None


def pinsker(loss: loss.Loss, budget: float = 20.0) -> Pinsker:
    """Three-valued: proved with the criterion of Proposition 12, refuted by a binary witness, or
    undecided (None), the latter also where `budget` processor seconds end first.

        >>> import divergence_lab as dl
        >>> found = pinsker(dl.loss("triangular"))
        >>> found.holds, found.constant
        (True, 1/2)
    """
    try:
        return bounded(budget, search_pinsker, loss)
    except (OutOfTime, SearchFailed) as failure:
        why = str(failure) or f"not found within {budget:g} s of processor time"
        return Pinsker(None, None, None, None, why)


def search_pinsker(loss: loss.Loss) -> Pinsker:
    """As `pinsker`, for as long as it takes."""
    if loss.parameters:
        return Pinsker(None, None, None, None, f"{loss} has parameters without values")
    fault = why_not_valid(loss)
    if fault:
        return Pinsker(None, None, None, None, f"{loss} is not known to be a valid loss: {fault}")
    k = value_at_zero(loss.curvature)
    if k is None or (sp.S.Zero in loss.derivative.kinks and value_at_zero(loss.derivative) is None):
        return Pinsker(
            None,
            None,
            None,
            None,
            "g is not seen to have a finite curvature at 0, so there is no constant to ask about",
        )
    if constants.sign_of(k) == 0:
        return Pinsker(
            True,
            sp.S.Zero,
            None,
            None,
            "g''(0) = 0, so the right side is 0 and D_f is not negative",
        )
    third = value_at_zero(loss.curvature.derivative())
    r = None if third is None else sp.simplify(third / k)
    a = None if r is None else sp.simplify((2 - r) / 3)
    refused = (
        "g is not seen to be three times differentiable at 0"
        if r is None
        else f"a = {a} lies outside [0, 1]"
    )
    if a is not None and constants.sign_of(a) in (0, 1) and constants.sign_of(1 - a) in (0, 1):
        refused = _criterion(loss, k, a)
        if refused is None:
            return Pinsker(
                True,
                k / 2,
                r,
                a,
                f"f(t)*(1 + a*(t - 1)) >= {k / 2}*(t - 1)^2 for every t, with a = {a}",
            )
    try:
        witness = smallest_ratio(loss)
    except (enclosure.NotEvaluable, CannotSplit) as reason:
        return Pinsker(
            None, k / 2, r, a, f"the criterion does not apply ({refused}), and no search: {reason}"
        )
    if witness is not None and witness.ratio < enclosure.exact(k / 2):
        return Pinsker(
            False,
            k / 2,
            r,
            a,
            f"the laws ({witness.p}, {1 - witness.p}) and ({witness.q}, "
            f"{1 - witness.q}) have D_f/||p - q||_1^2 = "
            f"{witness.ratio.str(6, radius=False)} < {k / 2}",
            witness,
        )
    return Pinsker(
        None, k / 2, r, a, f"the criterion was not met ({refused}) and no counterexample was found"
    )


def value_at_zero(function: Pieces) -> sp.Expr | None:
    """The value at 0, where the limits from both sides are finite and agree."""
    left, right = function.split_at_zero()
    below, above = left.pieces[-1].expression.subs(x, 0), right.pieces[0].expression.subs(x, 0)
    if not (below.is_finite and above.is_finite) or constants.equal(below, above) is not True:
        return None
    return sp.simplify(above)


def _criterion(loss: loss.Loss, k: sp.Expr, a: sp.Expr) -> str | None:
    """None when F(u) = f/t >= M(u) = (k/2)(t-1)^2/(t (1 + a(t-1))), t = e^u, is proved for every
    u; else why not.
    """
    for side in (1, -1):
        ratio = sp.exp(side * x)
        target = sp.diff(k / 2 * (ratio - 1) ** 2 / (ratio * (1 - a + a * ratio)), x)
        ours = outwards(loss.derivative, side)
        h = combined(ours, Pieces((pieces.Piece(sp.S.Zero, sp.oo, target),), x), lambda u, v: u - v)
        try:
            prove_integral_nonnegative(h)
        except Rejected as reason:
            return f"for x {'>' if side > 0 else '<'} 0: {reason}"
    return None


# --- total variation, where that constant is too large


@dataclass(frozen=True)
class TotalVariation:
    """The largest c with D_f >= c ||p - q||_1^2 for all probability vectors: `exact` where it was
    proved (0: no positive constant serves), else between `low`, which serves, and `high`, which
    two laws show.

    `linear`: the least c with ||p - q||_1 <= c D_f, where g has a kink at 0.
    """

    exact: sp.Expr | None
    low: float | None
    high: float | None
    because: str
    linear: Constant | None = None


def total_variation(loss: loss.Loss, triangular: loss.Loss, absolute: loss.Loss) -> TotalVariation:
    """The best constant in D_f >= c ||p - q||_1^2, or bounds of it (Propositions 11 and 12).

    `triangular` and `absolute` are the losses of (t-1)^2/(t+1) and |t-1|.
    """
    found = pinsker(loss)
    if found.holds:
        because = (
            found.because
            if found.constant
            else "g''(0) = 0, so D_f is smaller than any c ||p - q||_1^2"
        )
        return TotalVariation(found.constant, None, None, because)
    if why_not_valid(loss):
        return TotalVariation(None, None, None, found.because)
    witness = found.witness or smallest_ratio(loss)
    bound = best_constant(triangular, loss)
    reason = bound.because.replace("f1", "h").replace("f2", "f")
    low = down(arb(1) / (2 * arb(bound.high))) if bound.holds else None
    because = f"with h = (t-1)^2/(t+1), (sum |p - q|)^2 <= 2 D_h, and {reason}"
    return TotalVariation(
        None,
        low,
        up(witness.ratio) if witness else None,
        because if low else f"{found.because}; no constant by way of h = (t-1)^2/(t+1): {reason}",
        best_constant(absolute, loss) if sp.S.Zero in loss.derivative.kinks else None,
    )


# --- the search for a counterexample


def smallest_ratio(loss: loss.Loss) -> BinaryWitness | None:
    """The binary laws with the smallest D_f/||p - q||_1^2 that was sampled, enclosed."""
    import numpy as np

    table = _table(loss)
    law = 1 / (1 + np.exp(-np.linspace(-LARGEST_LOG_ODDS, LARGEST_LOG_ODDS, ODDS)))
    p, q = np.meshgrid(law, law, indexing="ij")
    best = _least(table, p, q)
    for width in (0.06, 0.015, 0.004):  # finer grids around the least value, in log-odds
        steps = np.linspace(-width, width, 41)
        odds = [np.log(value / (1 - value)) for value in best]
        p, q = np.meshgrid(
            1 / (1 + np.exp(-odds[0] - steps)), 1 / (1 + np.exp(-odds[1] - steps)), indexing="ij"
        )
        best = _least(table, p, q)
    first, second = (sp.Rational(round(float(value) * 10_000), 10_000) for value in best)
    if first == second or not all(0 < value < 1 for value in (first, second)):
        return None
    with digits(30):
        total = enclosure.exact(second) * values.enclose(
            loss, first / second, 25
        ) + enclosure.exact(1 - second) * values.enclose(loss, (1 - first) / (1 - second), 25)
        ratio = total / enclosure.exact(4 * (first - second) ** 2)
        return BinaryWitness(first, second, ratio) if ratio.is_finite() else None


def _table(loss: loss.Loss) -> CubicSpline:
    """f/t = int_0^u g' e^{-v} dv on a grid of residuals, interpolated: for the search only,
    nothing rests on it.
    """
    import numpy as np
    from scipy.interpolate import CubicSpline

    nodes, values = [0.0], [0.0]
    for side in (1, -1):
        pieces, total = outwards(loss.derivative, side), 0.0
        low = sp.S.Zero
        while low < TABLE_REACH:
            high = low + TABLE_STEP
            for piece in pieces.pieces:
                a = piece.low if ordering.is_less(low, piece.low) else low
                b = piece.high if ordering.is_less(piece.high, high) else high
                if ordering.is_less(a, b):
                    total += float(enclosure.integral(piece.expression, x, a, b, 15).mid())
            nodes.append(float(side * high))
            values.append(total)
            low = high
    order = np.argsort(nodes)
    return CubicSpline(np.array(nodes)[order], np.array(values)[order])


def _least(table: CubicSpline, p: np.ndarray, q: np.ndarray) -> tuple[float, float]:
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        total = p * table(np.log(p / q)) + (1 - p) * table(np.log((1 - p) / (1 - q)))
        ratio = np.where(np.abs(p - q) > 0.02, total / (4 * (p - q) ** 2), np.inf)
    place = np.unravel_index(np.argmin(ratio), ratio.shape)
    return float(p[place]), float(q[place])
