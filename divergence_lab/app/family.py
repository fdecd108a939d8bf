"""The family behind the sliders: Linex glued at 0, with everything about it in closed form, for
answers while dragging.

    g''(x) = c e^{a x},  a = left for x < 0, right for x > 0          so  f''(t) = c t^{a-2}
    zero-forcing  <=>  left <= 0          zero-avoiding  <=>  right >= 1
    symmetric  <=>  left + right = 1  even  <=>  left + right = 0  bounded g'  <=>  left > 0 > right

The tests hold every line against `derive`, which proves the conditions for all parameters at once.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from divergence_lab.theory.catalogue.named import name_of
from divergence_lab.theory.design.blocks import linex
from divergence_lab.theory.expressions import ExpressionError, parse, write, x
from divergence_lab.theory.expressions.syntax import shown

# The ends of the sliders: left and right tail, curvature.
TAILS = (Fraction(-2), Fraction(3))
CURVATURES = (Fraction(1, 4), Fraction(4))


@dataclass(frozen=True)
class Member:
    """One loss of the family: the rates of its two tails, and g''(0) = curvature > 0."""

    left: Fraction
    right: Fraction
    curvature: Fraction = Fraction(1)

    @property
    def text(self) -> str:
        """g in the language of losses, exactly."""
        return _written(self)

    def value(self, points: np.ndarray) -> np.ndarray:
        """g(x)."""
        return self._by_side(points, _value)

    def slope(self, points: np.ndarray) -> np.ndarray:
        """g'(x)."""
        return self._by_side(points, _slope)

    def integral(self, points: np.ndarray) -> np.ndarray:
        """I(u) = int_0^u g'(v) e^{-v} dv = f(e^u) e^{-u}."""
        return self._by_side(points, _integral)

    def _by_side(self, points: np.ndarray, function) -> np.ndarray:
        points = np.asarray(points, dtype=np.float64)
        with np.errstate(over="ignore"):
            left = function(np.minimum(points, 0), float(self.left))
            return float(self.curvature) * np.where(
                points < 0, left, function(np.maximum(points, 0), float(self.right))
            )


def _value(u: np.ndarray, a: float) -> np.ndarray:
    return u**2 / 2 if a == 0 else (np.expm1(a * u) - a * u) / a**2


def _slope(u: np.ndarray, a: float) -> np.ndarray:
    return u if a == 0 else np.expm1(a * u) / a


def _integral(u: np.ndarray, a: float) -> np.ndarray:
    if a == 0:
        return -np.expm1(-u) - u * np.exp(-u)
    grown = u if a == 1 else np.expm1((a - 1) * u) / (a - 1)
    return (grown + np.expm1(-u)) / a


def _written(member: Member) -> str:
    sides = [linex(parse(str(rate), x)) for rate in (member.left, member.right)]
    whole = (
        sides[0] if sides[0] == sides[1] else f"Piecewise(({sides[0]}, x < 0), ({sides[1]}, True))"
    )
    if member.curvature == 1:
        return whole
    if sides[0] != sides[1]:
        return f"({member.curvature})*{whole}"
    return write(parse(f"({member.curvature})*({whole})", x).expand())


def f_at_zero(member: Member) -> Fraction | None:
    """f(0+) = -g'(-oo) = c/left; None where it is infinite."""
    return None if member.left <= 0 else member.curvature / member.left


def slope_at_infinity(member: Member) -> Fraction | None:
    """f'(oo) = c/(1 - right); None where it is infinite."""
    return None if member.right >= 1 else member.curvature / (1 - member.right)


def answers(member: Member) -> dict[str, bool]:
    """Every verdict by the conditions above; the names are those of `theory.verdict.Verdicts`."""
    left, right = member.left, member.right
    return {
        "zero_forcing": left <= 0,
        "zero_avoiding": right >= 1,
        "convex": True,
        "symmetric": left + right == 1,
        "even": left + right == 0,
        "bounded_gradient": left > 0 > right,
    }


# What may be written for the named members, so that a preset moves the sliders.
PRESETS = {
    "quadratic": Member(Fraction(0), Fraction(0)),
    "linex(1)": Member(Fraction(1), Fraction(1)),
    "linex(1/2)": Member(Fraction(1, 2), Fraction(1, 2)),
    "hellinger": Member(Fraction(1, 2), Fraction(1, 2), Fraction(1, 2)),
    "pearson": Member(Fraction(2), Fraction(2), Fraction(2)),
    "neyman": Member(Fraction(-1), Fraction(-1), Fraction(2)),
    "exponential_absolute": Member(Fraction(-1), Fraction(1)),
    "quadratic_linex": Member(Fraction(0), Fraction(1)),
    "linex_quadratic": Member(Fraction(1), Fraction(0)),
}


def family_name(member: Member) -> str | None:
    """The catalogue's name of this member, where it has one."""
    preset = next((name for name, known in PRESETS.items() if known == member), None)
    return preset or (name_of(parse(member.text, x)) if member.left == member.right else None)


def read_member(left: str, right: str, curvature: str) -> Member:
    """A member from three decimal texts, within the ends of the sliders. Raises ExpressionError."""
    found = []
    for what, text, (low, high) in (
        ("left tail", left, TAILS),
        ("right tail", right, TAILS),
        ("curvature", curvature, CURVATURES),
    ):
        try:
            number = Fraction(text.strip().replace("_", "no digit"))
        except (ValueError, ZeroDivisionError):
            raise ExpressionError(
                f"the {what} {shown(text)} is not a number: write one such as 0.5 or 1/2"
            ) from None
        if not low <= number <= high:
            raise ExpressionError(
                f"the {what} {shown(text)} is outside the slider: choose one from "
                f"{float(low):g} to {float(high):g}"
            )
        found.append(number)
    return Member(*found)
