"""What a loss does to the learned normaliser, in trajectory balance (Proposition 13).

log Z solves   E_P[ g'(log w - log Z) ] = 0,   w = p_B / P
only g' = c (e^x - 1) keeps Z = Z* for every policy
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import sympy as sp
from flint import acb, arb

from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.divergence.loss import Loss, jump
from divergence_lab.theory.divergence.values import enclose_integral
from divergence_lab.theory.expressions import digits, enclosure, pieces, x
from divergence_lab.theory.verdicts.integral_sign import prove_sign, vanishes, why_not_valid

DIGITS = 40
BISECTIONS = 70
SCAN = 400
BELOW_ONE = tuple(sp.Rational(*r) for r in ((1, 40), (1, 7), (2, 5), (5, 7), (9, 10)))
ABOVE_ONE = tuple(sp.Rational(*r) for r in ((10, 9), (7, 5), (5, 2), (7, 1), (40, 1)))


@dataclass(frozen=True)
class Optimum:
    """`log_z` covers the minimising log Z (all of them if `guaranteed`: g convex), `log_z_true`
    is log |p_B|, `bias` their difference, `profile` D_f(p_B || Z P) at the middle of `log_z`.
    """

    log_z: arb
    log_z_true: arb
    bias: arb
    profile: arb
    guaranteed: bool


@dataclass(frozen=True)
class Bias:
    """`holds`: is there a policy at which log Z settles off log Z*? `direction`: "down" or "up"
    for every policy, "either", or None where that was not decided. The witness: a target, a
    policy, and the optimum.
    """

    holds: bool | None
    direction: str | None
    because: str
    target: tuple[sp.Expr, ...] = ()
    law: tuple[sp.Expr, ...] = ()
    optimum: Optimum | None = None


# --- the stationary normaliser


def optimal_log_z(loss: Loss, target: Sequence, law: Sequence) -> Optimum:
    """argmin over log Z of D_f(p_B || Z P): the root of E_P[g'(log w - log Z)] (Proposition 13).

    target = p_B > 0, law = P > 0 (normalised here), the loss valid. For a convex one the answer is
    guaranteed; for others it is the best of the stationary points seen on a scan of the range in
    which every minimiser lies.

    Raises ValueError for masses that are not positive, and for a loss not known to be valid.

        >>> import divergence_lab as dl
        >>> found = optimal_log_z(dl.loss("x**2/2"), (0.5, 0.5), (0.9, 0.1))
        >>> round(float(found.bias.mid()), 4), found.guaranteed
        (-0.3681, True)
    """
    p = [sp.Rational(v) if isinstance(v, float) else sp.sympify(v) for v in target]
    weights = [sp.Rational(v) if isinstance(v, float) else sp.sympify(v) for v in law]
    if len(p) != len(weights) or not all(v.is_positive for v in (*p, *weights)):
        raise ValueError("target and law must be positive and of the same length")
    if fault := why_not_valid(loss):
        raise ValueError(f"{loss} is not known to be a valid loss: {fault}")
    law = [v / sp.Add(*weights) for v in weights]
    with digits(DIGITS):
        residuals = [enclosure.exact(sp.log(a / b)) for a, b in zip(p, law)]
        masses = [enclosure.exact(v) for v in law]
        slope = slope_on_balls(loss)

        def pull(z: arb) -> arb:
            return sum((m * slope(r - z) for m, r in zip(masses, residuals)), arb(0))

        low = arb(min(r.lower() for r in residuals))
        high = arb(max(r.upper() for r in residuals))
        convex = _is_convex(loss)
        brackets = [(low, high)] if convex else _sign_changes(pull, low, high)
        found = [_between(pull, *bracket) for bracket in brackets]
        values = [_divergence_at(loss, p, law, z) for z in found]
        z, profile = min(zip(found, values), key=lambda pair: float(pair[1].mid()))
        true = enclosure.exact(sp.log(sp.Add(*p)))
        return Optimum(z, true, z - true, profile, convex)


def slope_on_balls(loss: Loss) -> Callable[[arb], arb]:
    """g' as a function of balls: over a kink, the hull of both sides."""
    parts = [
        (
            None if p.low == -sp.oo else enclosure.exact(p.low),
            None if p.high == sp.oo else enclosure.exact(p.high),
            enclosure.evaluator(p.expression, x),
        )
        for p in loss.derivative.pieces
    ]

    def slope(ball: arb) -> arb:
        hull = None
        for low, high, function in parts:
            if (low is not None and ball < low) or (high is not None and ball > high):
                continue
            value = function(acb(ball), False).real
            hull = value if hull is None else hull.union(value)
        return hull

    return slope


def _sign_changes(pull: Callable[[arb], arb], low: arb, high: arb) -> list[tuple[arb, arb]]:
    """Brackets of the local minima: pull > 0 on the left and < 0 on the right, on a scan."""
    points = [low + (high - low) * k / SCAN for k in range(SCAN + 1)]
    signs = [1 if value > 0 else -1 if value < 0 else 0 for value in map(pull, points)]
    signs[0], signs[-1] = signs[0] or 1, signs[-1] or -1
    known = [(point, sign) for point, sign in zip(points, signs) if sign]
    return [(a, b) for (a, s), (b, u) in pairwise(known) if s > 0 > u]


def _between(pull: Callable[[arb], arb], low: arb, high: arb) -> arb:
    """The hull of where pull changes from > 0 to < 0: its left edge and its right edge, each by
    bisection.
    """
    left, right = (low, high), (low, high)
    for _ in range(BISECTIONS):
        middle = arb(((left[0] + left[1]) / 2).mid())
        left = (middle, left[1]) if pull(middle) > 0 else (left[0], middle)
        middle = arb(((right[0] + right[1]) / 2).mid())
        right = (right[0], middle) if pull(middle) < 0 else (middle, right[1])
    return left[0].union(right[1])


def _divergence_at(loss: Loss, p: Sequence[sp.Expr], law: Sequence[sp.Expr], z: arb) -> arb:
    """D_f(p || Z P) at the middle of the ball z; f(e^u) = e^u int_0^u g' e^{-v} dv, so q f = p
    int.
    """
    middle = sp.Rational(float(z.mid()))
    total = arb(0)
    for a, b in zip(p, law):
        u = sp.log(a / b) - middle
        total += enclosure.exact(a) * (enclose_integral(loss.pieces, u, 25) if u != 0 else arb(0))
    return total


def _is_convex(loss: Loss) -> bool:
    try:
        if any(not jump(loss, kink).is_nonnegative for kink in loss.derivative.kinks):
            return False
        for side in loss.curvature.split_at_zero():
            for piece in side.pieces:
                prove_sign(piece)
    except Rejected:
        return False
    return True


# --- is log Z biased?


def biases_log_z(loss: Loss) -> Bias:
    """Is the stationary Z ever off Z* = sum p_B? Never exactly when g' = c (e^x - 1)
    (Proposition 13).

        >>> import divergence_lab as dl
        >>> biases_log_z(dl.loss("x**2/2")).direction
        'down'
    """
    if loss.parameters:
        return Bias(None, None, f"{loss} has parameters without values")
    fault = why_not_valid(loss)
    if fault:
        return Bias(None, None, f"{loss} is not known to be a valid loss: {fault}")
    (first, *others) = loss.derivative.pieces
    if not others:
        factor = sp.diff(first.expression, x).subs(x, 0)
        if factor.is_positive and vanishes(
            pieces.Piece(first.low, first.high, first.expression - factor * (sp.exp(x) - 1))
        ):
            return Bias(
                False,
                None,
                "g'(x) is a multiple of e^x - 1, so E_P[g'(log w - log Z)] = 0 says "
                "Z = E_P[w] = Z*",
            )
    try:
        balances = _balances(loss)
    except enclosure.NotEvaluable as reason:
        return Bias(None, None, str(reason))
    signs = {1 if value > 0 else -1 for _, _, value in balances}
    if not signs:
        return Bias(
            None,
            None,
            "no pair of ratios was found at which g'(log s)/(s - 1) differs, and no proof that "
            "there is none",
        )
    direction = "either" if len(signs) == 2 else _direction(loss)
    below, above, value = max(balances, key=lambda b: float(abs(b[2]).mid()))
    law = ((above - 1) / (above - below), (1 - below) / (above - below))
    target = (below * law[0], above * law[1])
    optimum = optimal_log_z(loss, target, law)
    word = {
        "down": "Z never settles above Z*",
        "up": "Z never settles below Z*",
        "either": "Z settles above or below Z*, depending on the policy",
        None: "Z is off Z* at least here",
    }
    return Bias(
        True,
        direction,
        f"E_P[g'(log w - log Z*)] = {value.str(5, radius=False)}, not 0, for P = {law} and "
        f"p_B = {target}: {word[direction]}",
        target,
        law,
        optimum,
    )


def _balances(loss: Loss) -> list[tuple[sp.Expr, sp.Expr, arb]]:
    """(s1, s2, E_P[g'(log w)]) for the two-point laws with ratios s1 < 1 < s2 and E_P[w] = 1,
    where it is not 0.
    """
    with digits(DIGITS):
        slope = slope_on_balls(loss)
        values = {s: slope(enclosure.exact(sp.log(s))) for s in (*BELOW_ONE, *ABOVE_ONE)}
        found = [
            (
                a,
                b,
                (enclosure.exact(b - 1) * values[a] + enclosure.exact(1 - a) * values[b])
                / enclosure.exact(b - a),
            )
            for a, b in product(BELOW_ONE, ABOVE_ONE)
        ]
    return [(a, b, value) for a, b, value in found if value > 0 or value < 0]


def _direction(loss: Loss) -> str | None:
    """ "down" if g'(x) <= c (e^x - 1) for all x, "up" if >=, with c = g''(0+-); None when neither
    was proved.
    """
    left, right = loss.curvature.split_at_zero()
    slopes = {side.pieces[i].expression.subs(x, 0) for side, i in ((left, -1), (right, 0))}
    for word, sign in (("down", 1), ("up", -1)):
        for c in slopes:
            if not (c.is_finite and c.is_nonnegative):
                continue
            try:
                for half in loss.derivative.split_at_zero():
                    for piece in half.pieces:
                        prove_sign(
                            pieces.Piece(
                                piece.low,
                                piece.high,
                                sign * (c * (sp.exp(x) - 1) - piece.expression),
                            )
                        )
            except Rejected:
                continue
            return word
    return None
