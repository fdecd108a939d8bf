"""The least value of a function that falls and then rises, for all parameters. Part of the trusted
checker.

    2 + k (1 - y) e^{-y},  k > 0:   slope k (y - 2) e^{-y},  least at y = 2,  value 2 - k e^{-2}

So it is nowhere negative exactly for k <= 2 e^2 (Proposition 20). The slope is written in factors;
all of them have a sign but one, a y + b or a e^{c y} + b, which changes its sign at one point.
"""

from typing import Any

import sympy as sp

from divergence_lab.theory.checker.families.forms import SHORT, factored
from divergence_lab.theory.checker.families.signs import Unsigned, is_finite, sign


def least_value(e: sp.Expr, z: sp.Symbol) -> tuple[sp.Expr, sp.Expr] | None:
    """(r, e at r): e is least there over all z > 0, whatever the other symbols; None: not seen.

    >>> k, y = sp.symbols("k y", positive=True)
    >>> least_value(2 + k * (1 - y) * sp.exp(-y), y)
    (2, -k*exp(-2) + 2)
    """
    if sp.count_ops(e) > SHORT or not is_finite(e, z):
        return None
    slope: Any = sp.together(sp.powsimp(sp.diff(e, z)))
    turning, way = _one_turn(factored(slope))
    if turning is None:
        return None
    place, rises = _turning_point(turning, z)
    if place is None or way * rises != 1 or _known(place) != 1:
        return None
    return place, sp.powsimp(sp.expand(e.subs(z, place)))


def _one_turn(slope: sp.Expr) -> tuple[sp.Expr | None, int]:
    """(the one factor without a sign, the sign of all others); None where there is not one."""
    above, below = sp.fraction(slope)
    unknown, way = [], 1
    for factor in (*sp.Mul.make_args(above), *sp.Mul.make_args(below)):
        found = _known(factor) if 2 * sp.count_ops(factor) < SHORT else None
        if found is None:
            unknown.append(factor)
        else:
            way *= found
    return (unknown[0], way) if len(unknown) == 1 and way else (None, 0)


def _turning_point(factor: Any, z: sp.Symbol) -> tuple[sp.Expr | None, int]:
    """(where a z + b or a e^{c z} + b is 0, 1 if it rises there and -1 if it falls)."""
    if factor.is_polynomial(z) and sp.degree(factor, gen=z) == 1:
        slope = sp.diff(factor, z)
        return -factor.subs(z, 0) / slope, _known(slope) or 0
    rest, power = factor.as_independent(z, as_Add=True)
    scale, power = power.as_independent(z, as_Add=False)
    rate = sp.diff(power.args[0], z) if isinstance(power, sp.exp) else z
    if rate.has(z) or _known(-rest / scale) != 1:
        return None, 0
    place = (sp.log(-rest / scale) - power.args[0].subs(z, 0)) / rate
    return place, (_known(rate) or 0) * (_known(scale) or 0)


def _known(e: Any) -> int | None:
    try:
        return sign(e)
    except Unsigned:
        return None
