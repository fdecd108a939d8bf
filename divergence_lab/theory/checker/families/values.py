"""A formula at values of its parameters: has it a value there? Part of the trusted checker.

SymPy's `subs` can't tell, since it makes 0 of 0*zoo: an expression is walked from its leaves up.
"""

from collections.abc import Mapping
from typing import Any

import sympy as sp
from sympy.core.relational import Relational

from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.families.signs import is_finite, is_zero, sign
from divergence_lab.theory.expressions import x
from divergence_lab.theory.expressions.balls import ball_of_constant


class Undefined(Exception):
    """A part of the formula has no value at these parameters: it may have a limit."""


def value_at_each_x(loss: sp.Expr, points: Mapping[sp.Symbol, sp.Expr]) -> sp.Expr:
    """The loss at these values.

    Raises Undefined also where it has none at some x: 1 - x^2/(x^2 + c^2) at c = 0 has none at x =
    0, and x^2 c/(c + (x - 1)^2) none at x = 1, as 0/(x - 1)^2 shows before it is made a 0.
    """
    if loss.has(sp.Integral):
        return _integrals_at(loss, points)
    value_of(loss, {**points, x: sp.S.Zero})
    return value_of(loss, points, [])


def _integrals_at(loss: sp.Expr, points: Mapping[sp.Symbol, sp.Expr]) -> sp.Expr:
    """int_0^x h(v) dv at these values, of an h that has a value at every x but 0: a limit of
    integrals is not taken.
    """
    found = {}
    for integral in loss.atoms(sp.Integral):
        ((v, low, high),) = integral.limits
        try:
            h = value_of(integral.function.xreplace({v: x}), points, [])
        except Undefined as reason:
            raise Rejected(f"{reason}: a limit of integrals is not taken") from None
        found[integral] = sp.Integral(h.xreplace({x: v}), (v, low, high))
    rest = loss.xreplace({integral: sp.Dummy() for integral in found})
    if rest.free_symbols & points.keys():
        raise Rejected(f"{loss} is more than an integral on each piece")
    return loss.xreplace(found)


def _gather_doubtful(e: sp.Expr, parts: list[sp.Expr], doubtful: list[sp.Expr]) -> None:
    """Add e, made of these parts, if it is a power, logarithm or the like that is not shown to be
    finite at every x. What is still there in the end is judged with the pieces, as of any loss.

    Raises Undefined where such a part vanishes in e, as in 0/(x - 1)^2 (it may still stand
    elsewhere), or e is 1 = u^0 and u may be 0.
    """
    lost = [part for part in doubtful if any(p.has(part) for p in parts) and not e.has(part)]
    power = e == 1 and parts[-1] == 0 and parts[0].has(x) and not is_finite(1 / parts[0])
    if lost or power:
        raise Undefined(str(e))
    if not (e.is_Add or e.is_Mul) and e.has(x) and not is_finite(e):
        doubtful.append(e)


def value_of(
    e: sp.Expr, points: Mapping[sp.Symbol, sp.Expr], doubtful: list[sp.Expr] | None = None
) -> sp.Expr:
    """e at these values, from the leaves up.

    Raises Undefined with the first part that has no value, Rejected where that is not known.
    `doubtful` gathers the parts that may have no value at some x: where one vanishes, e has none.
    """
    if e in points:
        return points[e]
    if not e.free_symbols & points.keys():
        return e
    if isinstance(e, sp.Piecewise):
        return sp.Piecewise(
            *(
                (value_of(part, points, doubtful), _condition_at(condition, points, doubtful))
                for part, condition in e.args
            )
        )
    parts = [value_of(part, points, doubtful) for part in e.args]
    if e.is_Pow:
        _check_power(*parts)
    elif (lowest := _LOWEST.get(e.func)) is not None:
        if _is_zero(parts[0] - lowest) or _is_negative(parts[0] - lowest):
            raise Undefined(f"{e.func.__name__}({parts[0]})")
    elif (
        isinstance(e, sp.atanh)
        and not parts[0].free_symbols
        and not abs(ball_of_constant(parts[0])) < 1
    ):
        raise Undefined(f"atanh({parts[0]})")
    elif (
        isinstance(e, sp.gamma | sp.Ei | sp.polylog)
        and not any(p.free_symbols for p in parts)
        and not ball_of_constant(e.func(*parts)).is_finite()
    ):
        raise Undefined(f"{e.func.__name__} at {parts[-1]}")
    found = e.func(*parts)
    if found.has(sp.zoo, sp.nan, sp.oo, sp.I):
        raise Undefined(str(e))
    if doubtful is not None:
        _gather_doubtful(found, parts, doubtful)
    return found


def _condition_at(
    condition: Any, points: Mapping[sp.Symbol, sp.Expr], doubtful: list[sp.Expr] | None
) -> Any:
    """A condition of a Piecewise, both sides of each relation from the leaves up."""
    return condition.xreplace(
        {
            relation: relation.func(*(value_of(side, points, doubtful) for side in relation.args))
            for relation in condition.atoms(Relational)
        }
    )


_LOWEST = {sp.log: sp.S.Zero}  # no value at this argument or below


def _check_power(base: sp.Expr, exponent: sp.Expr) -> None:
    if _is_zero(base) and not (
        exponent.is_positive or (exponent.free_symbols and sign(exponent) == 1)
    ):
        raise Undefined(f"0**({exponent})")
    if not exponent.is_Integer and _is_negative(base):
        raise Undefined(f"({base})**({exponent})")


def _is_zero(e: sp.Expr) -> bool:
    """e = 0, for all values of the symbols that are left.

    Raises Rejected for a number of which it is not known.
    """
    if e.free_symbols:
        return is_zero(e)
    ball = ball_of_constant(e)
    if ball > 0 or ball < 0:
        return False
    if e == 0 or sp.simplify(e) == 0:
        return True
    raise Rejected(f"whether {e} is 0 is not known")


def _is_negative(e: sp.Expr) -> bool:
    return not e.free_symbols and bool(ball_of_constant(e) < 0)
