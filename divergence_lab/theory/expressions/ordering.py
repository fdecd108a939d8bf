"""Exact numbers from left to right: finite, equal, less."""

from collections.abc import Iterable

import sympy as sp

from divergence_lab.theory.expressions import constants, enclosure
from divergence_lab.theory.expressions.unified import unified


class CannotSplit(ValueError):
    """The break points of the expression could not be found exactly; the message says of which
    part.
    """


class OrderUnknown(CannotSplit):
    """Which of two points comes first depends on the parameters: on the sign of `difference`."""

    def __init__(self, a: sp.Expr, b: sp.Expr):
        super().__init__(f"whether {a} < {b} depends on the parameters: state it with --assume")
        self.difference = b - a


def is_finite(value: sp.Expr) -> bool:
    """Finite, by SymPy's assumptions or, where it knows none (polylog(2, -1/3)), by an
    enclosure; with parameters: for these in general, as 1/(2b) is and a power of 0 is not,
    whatever SymPy may know of b = 0, which is a question of `continuation`.
    """
    if value.has(sp.nan, sp.zoo, sp.oo):
        return False
    if value.free_symbols:
        return value.is_finite is not False and not any(
            power.base == 0 for power in value.atoms(sp.Pow)
        )
    if value.is_finite is not None:
        return value.is_finite
    try:
        return bool(enclosure.value_at(value, sp.Dummy(), sp.S.Zero, 20).is_finite())
    except enclosure.NotEvaluable:
        return False


def same(a: sp.Expr, b: sp.Expr) -> bool:
    """Equal as written or after expansion.

    False may mean unknown: then two pieces stay two, and a maximum of both is refused.
    """
    return a == b or sp.expand(a - b) == 0


def is_less(a: sp.Expr, b: sp.Expr) -> bool:
    """a < b for two exact numbers, or for all parameters inside their ranges (0 < c where c >=
    0: at the end it is another question, of `continuation`).
    """
    if not (a.free_symbols or b.free_symbols) and (sign := constants.sign_of(b - a)) is not None:
        return sign > 0
    relation = sp.Lt(a, b)
    if relation in (sp.true, sp.false):
        return bool(relation)
    if None not in (
        exponent_of(a),
        exponent_of(b),
    ):  # break points in t = e^x are ordered as those in x
        return is_less(exponent_of(a), exponent_of(b))
    sign = b - a
    if sign.is_positive:
        return True
    if sign.is_nonpositive:
        return False
    if sign.is_nonnegative:
        return True
    raise OrderUnknown(a, b)


def are_equal(a: sp.Expr, b: sp.Expr) -> bool:
    """a = b for two exact numbers, infinities among them, or for all parameters.

    Raises CannotSplit where that is not decided: numbers that look different may be equal, and with
    parameters only one that is less than the other is not equal to it.
    """
    if a == b:
        return True
    if a.is_infinite or b.is_infinite:
        return False
    if not (a.free_symbols or b.free_symbols):
        if (found := constants.equal(a, b)) is not None:
            return found
        raise CannotSplit(f"whether {a} = {b} is not decided")
    return unified(sp.expand(a - b)) == 0 or sp.simplify(a - b) == 0


def in_order(points: Iterable[sp.Expr]) -> list[sp.Expr]:
    """The points from left to right, equal ones once, in their shortest form.

    Raises CannotSplit.
    """
    ordered: list[sp.Expr] = []
    for point in sorted(
        set(points), key=lambda p: (sp.count_ops(p), str(p))
    ):  # by exact comparison: there are few
        if not any(are_equal(other, point) for other in ordered):
            ordered.insert(sum(is_less(other, point) for other in ordered), point)
    return ordered


def with_mirror_images(kinks: Iterable[sp.Expr]) -> list[sp.Expr]:
    """0, the kinks and their mirror images in order, each the negative of its mirror image as it
    is written.
    """
    away = (kink for kink in kinks if not are_equal(kink, sp.S.Zero))
    right = in_order(kink if is_less(sp.S.Zero, kink) else -kink for kink in away)
    return [*(-kink for kink in reversed(right)), sp.S.Zero, *right]


def exponent_of(power: sp.Expr) -> sp.Expr | None:
    """u where the power is e^u as it is written, None where it is not."""
    return power.args[0] if isinstance(power, sp.exp) else sp.S.Zero if power == 1 else None
