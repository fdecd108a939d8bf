"""Quotients that have a value where both parts vanish: sin(x - 7)/(x - 7), x^4/(cosh(x) - 1).

    N/D = (N/(x - c)^m) / (D/(x - c)^m),   m the order of D's zero at c

The k-th Taylor coefficient of N/(x - c)^m at y is a mean of N^(k+m)/(k+m)! between c and y: on a
ball that has c in it, the coefficients of N, m places on, enclose it. That m is D's order, and no
more than N's, is decided exactly.
"""

import math
from collections.abc import Callable

import sympy as sp
from flint import arb, arb_series, ctx

from divergence_lab.theory.expressions import constants, x
from divergence_lab.theory.expressions.enclosure import exact
from divergence_lab.theory.expressions.points import value_of
from divergence_lab.theory.expressions.precision import bits

Series = Callable[[arb_series, int], arb_series]
HIGHEST = 12  # the order of a zero that is looked for
NEARBY = 24  # radii: so near to c a ball is widened to it


def parts(
    e: sp.Expr, points: tuple[sp.Expr, ...]
) -> tuple[sp.Expr, sp.Expr, dict[sp.Expr, int]] | None:
    """(N, D, order of D's zero by point) with e = N/D; None where D vanishes at none of the
    points, or N of a lower order than D.
    """
    numerator, denominator = sp.fraction(sp.together(e))
    orders = {c: order for c in points if (order := order_at(denominator, c))}
    if not orders:
        return None
    whole = (order_at(numerator, c, upto=order) for c, order in orders.items())
    if not all(above is not None and above >= m for above, m in zip(whole, orders.values())):
        return None
    return numerator, denominator, orders


def order_at(e: sp.Expr, c: sp.Expr, upto: int = HIGHEST) -> int | None:
    """How many derivatives vanish at c, e itself the first, `upto` at most; None: not decided.

    >>> order_at(sp.cosh(x) - 1, sp.S.Zero), order_at(x + 1, sp.S.Zero)
    (2, 0)
    """
    for order in range(upto):
        value = value_of(e, x, c)
        sign = None if value is None else constants.sign_of(value)
        if sign != 0:
            return None if sign is None else order
        e = sp.diff(e, x)
    return upto if upto < HIGHEST else None


def quotient(plain: Series, above: Series, below: Series, orders: dict[sp.Expr, int]) -> Series:
    """The series of N/D: next to a point of `orders` from the coefficients farther on, elsewhere
    `plain`; at a single number near such a point with as many more bits as the division loses.
    """

    def divided(ball: arb, order: int, n: int) -> list[arb]:
        with bits(ctx.prec, n + order):
            t = arb_series([ball, 1], n + order)
            top, bottom = (
                arb_series([found[k + order] for k in range(n)], n)
                for found in (above(t, n + order), below(t, n + order))
            )
            found = top / bottom
        return [found[k] for k in range(n)]

    def series(s: arb_series, n: int) -> arb_series:
        ball = s[0]
        if n > 1 and s[1] != 1:
            return plain(s, n)
        for point, order in orders.items():
            c = exact(point)
            apart = abs(ball - c)
            if apart.contains(0) or apart < NEARBY * ball.rad():
                whole = ball.union(c)
                wide, at_c = divided(whole, order, 2 * n), divided(c, order, 2 * n)
                return arb_series(_narrower(wide, at_c, whole - c, n), n)
            if ball.is_exact() and apart < 1:
                lost = int(-float(apart.lower().log()) * 1.45) + 1
                with bits(ctx.prec + (n + 2 * order) * lost, ctx.cap):
                    return plain(s, n)
        return plain(s, n)

    return series


def _narrower(wide: list[arb], at_c: list[arb], t: arb, n: int) -> list[arb]:
    """The first n of the coefficients on a ball, by Taylor's expansion at c of each: far narrower
    than by dividing one ball by another. `t`: the ball less c.
    """
    powers = [arb(1)]  # t**j is no number to Arb where t may be negative
    for _ in range(n):
        powers.append(powers[-1] * t)
    return [
        sum(
            (math.comb(k + j, j) * at_c[k + j] * powers[j] for j in range(n)),
            math.comb(k + n, n) * wide[k + n] * powers[n],
        )
        for k in range(n)
    ]
