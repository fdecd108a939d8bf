"""Which wishes can't all come true, and why.

    zero-forcing <=> g'(-oo) = -oo        zero-avoiding <=> int_0^oo g' e^{-x} dx = oo
    symmetric    <=> e^{-x/2} g'' even    second moment of the score: sup_{x>0} g'(x)^2 e^{-x}

(Proposition 3.) All losses are convex. What a wish implies is followed until nothing new comes out;
where two chains of reasons end at opposite answers, the wishes at their beginnings clash.
"""

from dataclasses import dataclass
from typing import Any

import sympy as sp

from divergence_lab.theory.design.wishes import LINEAR, QUADRATIC, DesignError, Growth, Wishes
from divergence_lab.theory.expressions import write

HALF = sp.Rational(1, 2)


@dataclass(frozen=True)
class _Fact:
    value: Any
    origin: str  # the wishes it comes from
    why: str


class _Known:
    """Facts by name; a second, opposite value for the same fact is a clash."""

    def __init__(self) -> None:
        self.facts: dict[str, _Fact] = {}
        self.grown = False

    def put(self, name: str, value: Any, origin: str, why: str) -> None:
        known = self.facts.get(name)
        if known is None:
            self.facts[name], self.grown = _Fact(value, origin, why), True
        elif known.value != value:
            reasons = "; ".join(dict.fromkeys(reason for reason in (known.why, why) if reason))
            raise DesignError(
                f"{known.origin} and {origin} clash: {reasons or 'one excludes the other'}"
            )

    def get(self, name: str) -> _Fact | None:
        return self.facts.get(name)


_WORDS = {
    ("zf", True): "zero-forcing",
    ("zf", False): "not zero-forcing",
    ("za", True): "zero-avoiding",
    ("za", False): "not zero-avoiding",
}


ONLY_ABSOLUTE = "an even convex loss with a symmetric divergence is only a*|x| (Proposition 6)"


_SAME = (
    "a symmetric divergence is zero-forcing exactly when it is zero-avoiding, for f(0+) = f'(oo)"
)


def refuse_clashes(wishes: Wishes) -> None:
    """Raises DesignError, naming two wishes (or what two of them imply) that no convex loss
    meets, and why.
    """
    known = _Known()
    for name, value in (("zf", wishes.zero_forcing), ("za", wishes.zero_avoiding)):
        if value is not None:
            known.put(name, value, _WORDS[name, value], "")
    if wishes.bounded_gradient:
        known.put("bounded", True, "bounded gradient", "")
    if wishes.bounded_second_moment:
        known.put("second", True, "bounded second moment", "")
    for side, growth in (("left", wishes.left_growth), ("right", wishes.right_growth)):
        if growth is not None:
            known.put(side, growth, f"{side} growth {growth}", "")
    if wishes.even and wishes.symmetric:
        both = "even loss with symmetric divergence"
        known.put("bounded", True, both, ONLY_ABSOLUTE)
        if wishes.curvature is not None:
            raise DesignError(
                f"{both} and curvature {write(wishes.curvature)} clash: {ONLY_ABSOLUTE}, "
                "which has no finite "
                "curvature at 0"
            )
    known.grown = True
    while known.grown:
        known.grown = False
        _follow(known)
        if wishes.even:
            _follow_even(known)
        if wishes.symmetric:
            _follow_symmetric(known)


def _follow(known: _Known) -> None:
    """What holds for every convex loss."""
    for name, growth_side, why in (
        (
            "zf",
            "left",
            "a convex loss is zero-forcing exactly when it grows faster than |x| at -oo",
        ),
    ):
        fact, growth = known.get(name), known.get(growth_side)
        if growth is not None:
            known.put(name, growth.value != LINEAR, growth.origin, why)
        if fact is not None and not fact.value:
            known.put(growth_side, LINEAR, fact.origin, why)
    if (right := known.get("right")) is not None:
        fast = right.value.kind == "exponential"
        known.put(
            "za",
            fast and bool(right.value.rate >= 1),
            right.origin,
            "int_0^oo g e^{-x} dx is infinite exactly from the growth exponential:1 on",
        )
        known.put(
            "second",
            not (fast and bool(right.value.rate > HALF)),
            right.origin,
            "g'(x)^2 e^{-x} is bounded up to the growth exponential:1/2",
        )
    if (bounded := known.get("bounded")) is not None and bounded.value:
        for name in ("zf", "za"):
            known.put(
                name,
                False,
                bounded.origin,
                _joined(
                    bounded.why,
                    "a bounded g' makes f(0+) = -g'(-oo) and "
                    "f'(oo) = int g' e^{-x} dx finite, so the loss is neither "
                    "zero-forcing nor zero-avoiding",
                ),
            )
        for side in ("left", "right"):
            known.put(
                side,
                LINEAR,
                bounded.origin,
                _joined(bounded.why, "with a bounded g' the loss grows like |x|"),
            )
    for name, value in (("zf", True), ("za", True)):
        if (fact := known.get(name)) is not None and fact.value is value:
            known.put(
                "bounded",
                False,
                fact.origin,
                _joined(fact.why, f"{_WORDS[name, True]} needs an unbounded g'"),
            )
    why = (
        "if g'(x)^2 e^{-x} is bounded, g' <= C e^{x/2} and int g' e^{-x} dx converges: not "
        "zero-avoiding"
    )
    if (second := known.get("second")) is not None and second.value:
        known.put("za", False, second.origin, _joined(second.why, why))
    if (avoiding := known.get("za")) is not None and avoiding.value:
        known.put("second", False, avoiding.origin, _joined(avoiding.why, why))


def _follow_even(known: _Known) -> None:
    for side, other in (("left", "right"), ("right", "left")):
        if (growth := known.get(side)) is not None:
            known.put(
                other,
                growth.value,
                f"{growth.origin} of an even loss",
                _joined(growth.why, "an even loss grows alike on both sides"),
            )
    if (avoiding := known.get("za")) is not None and avoiding.value:
        known.put(
            "zf",
            True,
            f"{avoiding.origin} of an even loss",
            _joined(
                avoiding.why,
                "an even zero-avoiding loss has g' unbounded on both sides, so it is zero-forcing",
            ),
        )


def _follow_symmetric(known: _Known) -> None:
    for name, other in (("zf", "za"), ("za", "zf")):
        if (fact := known.get(name)) is not None:
            known.put(
                other,
                fact.value,
                f"{fact.origin} with a symmetric divergence",
                _joined(fact.why, _SAME),
            )
    why = "for a symmetric divergence g''(x) = e^x g''(-x)"
    if (right := known.get("right")) is not None:
        rate = right.value.rate if right.value.kind == "exponential" else sp.S.Zero
        left = LINEAR if rate < 1 else QUADRATIC if rate == 1 else Growth("exponential", rate - 1)
        known.put(
            "left", left, f"{right.origin} with a symmetric divergence", _joined(right.why, why)
        )
    if (left := known.get("left")) is not None and left.value == QUADRATIC:
        known.put(
            "right",
            Growth("exponential", sp.S.One),
            f"{left.origin} with a symmetric divergence",
            _joined(left.why, why),
        )
    elif left is not None and left.value.kind == "power" and right is not None:
        raise DesignError(
            f"{left.origin} with a symmetric divergence and {right.origin} clash: {why}, "
            "so on the right g grows like "
            f"e^x x^({write(left.value.rate - 2)}), which is neither a power nor an exponential"
        )
    elif left is not None and left.value.kind == "exponential":
        known.put(
            "right",
            Growth("exponential", 1 + left.value.rate),
            f"{left.origin} with a symmetric divergence",
            _joined(left.why, why),
        )


def _joined(*reasons: str) -> str:
    return "; ".join(dict.fromkeys(reason for reason in reasons if reason))
