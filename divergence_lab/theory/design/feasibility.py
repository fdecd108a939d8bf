"""Which penalties a convex loss can have, decided exactly.

    (0, 0), (x_1, v_1), ..., (x_n, v_n), 0 < x_1 < ... < x_n
    s_i = (v_i - v_{i-1})/(x_i - x_{i-1})

Some convex g with g(0) = 0 has these values iff 0 < s_1 <= ... <= s_n: the straight lines between
them are one. Left of 0 the same holds of g(-x). With g'(0) = 0 also s_1 < s_2 is needed, for g' has
risen above s_1 at x_1. With a continuous g', two straight stretches of different slopes can't meet.
docs/design.md has the proof.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import sympy as sp

from divergence_lab.theory.design.clashes import ONLY_ABSOLUTE
from divergence_lab.theory.design.wishes import DesignError, Wishes
from divergence_lab.theory.expressions import constants, write


@dataclass(frozen=True)
class Knot:
    """g = value at the distance `at` > 0 from 0; `given` is where the penalty was asked for, -at or
    at.
    """

    at: sp.Expr
    value: sp.Expr
    given: sp.Expr

    def __str__(self) -> str:
        return f"g({write(self.given)}) = {write(self.value)}"


def knots(wishes: Wishes, side: int) -> list[Knot]:
    """The penalties right of 0 (side 1) or left of it (-1) by their distance from 0; of an even
    loss those of both sides.
    """
    found: list[Knot] = []
    pairs = [(at, value) for at, value in wishes.penalties if wishes.even or at * side > 0]
    for at, value in sorted(pairs, key=lambda pair: float(abs(pair[0]))):
        if not (found and constants.equal(found[-1].at, abs(at))):
            found.append(Knot(abs(at), value, at))
    return found


def slopes(found: Sequence[Knot]) -> list[sp.Expr]:
    """s_1, ..., s_n."""
    return [
        (b.value - a.value) / (b.at - a.at)
        for a, b in pairwise([Knot(sp.S.Zero, sp.S.Zero, sp.S.Zero), *found])
    ]


def refuse_penalties(wishes: Wishes) -> None:
    """Raises DesignError naming penalties that no convex loss with the other wishes has, and
    why.
    """
    _refuse_facing(wishes)
    if wishes.symmetric and wishes.even:
        _refuse_bent(knots(wishes, 1))
    for side in (1,) if wishes.even else (1, -1):
        found = knots(wishes, side)
        rises = slopes(found)
        for i, (s, after) in enumerate(pairwise(rises)):
            if constants.sign_of(s - after) != -1:
                _refuse_fall(found, i, constants.sign_of(s - after) == 1, wishes)
        if wishes.smooth:
            _refuse_corner(found, rises)


def _refuse_fall(found: Sequence[Knot], i: int, falls: bool, wishes: Wishes) -> None:
    """The slope before knot i and the slope after it: the second is smaller, or the same."""
    a, b = found[i], found[i + 1]
    mirrored = wishes.even and len({knot.given > 0 for knot in found[max(0, i - 1) : i + 2]}) > 1
    even = "even loss and the penalties " if mirrored else ""
    if falls and i == 0:
        raise DesignError(
            f"{even}{a} and {b} clash: for a convex loss g(x)/|x| does not fall as |x| grows"
        )
    if falls:
        raise DesignError(
            f"{even}{found[i - 1]} with {a} and {b} clash: with |x| a convex loss rises as "
            "steeply from the second to the third as from the first to the second, or more so"
        )
    flat_start = wishes.curvature is not None or wishes.smooth
    if i == 0 and flat_start:
        wish = "smooth loss" if wishes.smooth else f"curvature {write(wishes.curvature)}"
        raise DesignError(
            f"{wish} and the penalties {a} and {b} clash: g(x)/|x| is the same at both, which "
            "makes a convex loss straight up to there, with a kink at 0"
        )


def _refuse_corner(found: Sequence[Knot], rises: Sequence[sp.Expr]) -> None:
    """Straight before a knot and straight after it, with another slope."""
    for i in range(1, len(rises) - 2):
        first, bend, last = (
            constants.equal(rises[k], rises[k + 1]) is True for k in range(i - 1, i + 2)
        )
        if first and last and not bend:
            raise DesignError(
                f"smooth loss and the penalties {', '.join(map(str, found[i - 1 : i + 3]))} clash: "
                f"they make a convex loss straight on both sides of x = {write(found[i].given)}, "
                "with a kink there"
            )


def _refuse_bent(found: Sequence[Knot]) -> None:
    """Of an even loss with a symmetric divergence: values that are not those of a*|x|."""
    for a, b in pairwise(found):
        if constants.equal(a.value / a.at, b.value / b.at) is False:
            raise DesignError(
                f"even loss with symmetric divergence and the penalties {a} and {b} clash: "
                f"{ONLY_ABSOLUTE}"
            )


def _refuse_facing(wishes: Wishes) -> None:
    """Two penalties at the same distance from 0."""
    penalties = dict(wishes.penalties)
    facing = [
        (Knot(at, penalties[at], at), Knot(at, penalties[other], other))
        for at in penalties
        for other in penalties
        if at > 0 and constants.equal(at, -other)
    ]
    for right, left in sorted(facing, key=lambda pair: float(pair[0].at)):
        ratio, both = right.value / left.value, f"{right} and {left}"
        if wishes.even and constants.equal(ratio, sp.S.One) is False:
            raise DesignError(
                f"even loss and the penalties {both} clash: an even loss has g(-x) = g(x)"
            )
        smooth = wishes.smooth or wishes.curvature is not None
        if wishes.symmetric and smooth and constants.equal(ratio, sp.S.One):
            wish = "smooth loss" if wishes.smooth else f"curvature {write(wishes.curvature)}"
            raise DesignError(
                f"{wish} with a symmetric divergence and the penalties {both} clash: "
                "g''(x) = e^x g''(-x) makes g(x) > g(-x) for x > 0, unless g is a*|x| up to there"
            )
        if wishes.symmetric and (
            constants.sign_of(ratio - 1) == -1
            or constants.sign_of(ratio - sp.exp(right.at)) in (0, 1)
        ):
            raise DesignError(
                f"symmetric divergence and the penalties {both} clash: g''(x) = e^x g''(-x) makes "
                "1 <= g(x)/g(-x) < e^x for x > 0"
            )
