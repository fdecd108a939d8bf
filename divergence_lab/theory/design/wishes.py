"""What may be wished of a loss, and which wishes can't all come true.

    zero-forcing <=> g'(-oo) = -oo      zero-avoiding <=> int_0^oo g' e^{-x} dx = oo      (Proposition 3)
    symmetric    <=> e^{-x/2} g'' even  second moment of the score: sup_{x>0} g'(x)^2 e^{-x}

All losses are convex. What a wish implies is followed until nothing new comes out; where two chains
of reasons end at opposite answers, the wishes at their beginnings clash.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations, pairwise

import sympy as sp

from divergence_lab.theory.expressions import constants
from divergence_lab.theory.expressions.parsing import parse_number
from divergence_lab.theory.expressions.printing import write
from divergence_lab.theory.expressions.syntax import ExpressionError, shown

HALF = sp.Rational(1, 2)
KINDS = ("linear", "power", "exponential")


class DesignError(ExpressionError):
    """Wishes that clash, that can't be read, or that no loss on offer meets; the message names
    them.
    """


@dataclass(frozen=True)
class Growth:
    """How g grows at one end: like |x|, like |x|^rate (rate > 1), or like e^{rate |x|} (rate >
    0).
    """

    kind: str
    rate: sp.Expr = sp.S.One

    def __str__(self) -> str:
        if self.kind == "power" and self.rate == 2:
            return "quadratic"
        return self.kind if self.kind == "linear" else f"{self.kind}:{write(self.rate)}"

    def __lt__(self, other: Growth) -> bool:
        mine, theirs = KINDS.index(self.kind), KINDS.index(other.kind)
        return mine < theirs or (mine == theirs and bool(self.rate < other.rate))


LINEAR, QUADRATIC = Growth("linear"), Growth("power", sp.Integer(2))


@dataclass(frozen=True)
class Wishes:
    """What is wished of g; None and False mean "does not matter", except of zero-forcing and
    zero-avoiding, where False means "not". `curvature` is g''(0) > 0; `penalties` are pairs (x,
    g(x)), x != 0, g(x) > 0; growths are of g.
    """

    zero_forcing: bool | None = None
    zero_avoiding: bool | None = None
    symmetric: bool = False
    even: bool = False
    bounded_gradient: bool = False
    bounded_second_moment: bool = False
    curvature: sp.Expr | None = None
    penalties: tuple[tuple[sp.Expr, sp.Expr], ...] = field(default=())
    left_growth: Growth | None = None
    right_growth: Growth | None = None


def read_wishes(
    zero_forcing: bool | None = None,
    zero_avoiding: bool | None = None,
    symmetric: bool = False,
    even: bool = False,
    bounded_gradient: bool = False,
    bounded_second_moment: bool = False,
    curvature: object = None,
    penalties: Mapping[object, object] | None = None,
    left_growth: str | None = None,
    right_growth: str | None = None,
) -> Wishes:
    """Wishes from numbers and texts ("1/3", 0.5, 2), checked for clashes.

    Raises DesignError naming two that clash.
    """
    c = None if curvature is None else number(curvature, "the curvature at 0")
    if c is not None and not c.is_positive:
        raise DesignError(f"the curvature at 0 is {write(c)}: give a positive number")
    pairs = tuple(
        (number(at, "the residual of a penalty"), number(value, "a penalty"))
        for at, value in (penalties or {}).items()
    )
    for at, value in pairs:
        if at == 0:
            raise DesignError("a penalty at x = 0 is 0 for every loss: give another residual")
        if not value.is_positive:
            raise DesignError(
                f"the penalty {write(value)} at x = {write(at)} is not positive: every "
                "loss is, away from 0"
            )
    if any(constants.equal(a, b) for (a, _), (b, _) in combinations(pairs, 2)):
        raise DesignError("two penalties are given at the same residual: keep one of them")
    found = Wishes(
        zero_forcing,
        zero_avoiding,
        symmetric,
        even,
        bounded_gradient,
        bounded_second_moment,
        c,
        tuple(sorted(pairs, key=lambda pair: float(pair[0]))),
        read_growth(left_growth),
        read_growth(right_growth),
    )
    refuse_clashes(found)
    return found


def number(given: object, what: str) -> sp.Expr:
    """An exact real number from a text, an int, a float (as it is written: 0.1 is 1/10) or a
    SymPy number.
    """
    if isinstance(given, sp.Expr) and given.is_real and given.is_finite:
        return given
    try:
        return parse_number(str(given), what)
    except ExpressionError as reason:
        raise DesignError(str(reason)) from None


def read_growth(text: str | None) -> Growth | None:
    """ "linear", "quadratic", "power:3/2" or "exponential:1"; None stays None."""
    if text is None:
        return None
    kind, colon, rate = str(text).strip().partition(":")
    if not colon and kind == "linear":
        return LINEAR
    if not colon and kind == "quadratic":
        return QUADRATIC
    if not colon and kind == "bounded":
        raise DesignError(
            "the growth 'bounded' and a convex loss clash: a convex loss with its only "
            "minimum at 0 grows "
            "at least like |x| on either side; ask for 'linear', or for --bounded-gradient"
        )
    if colon and kind in ("power", "exponential"):
        value = number(rate, f"the rate of the growth {shown(text)}")
        if not value.is_Rational or not value > (1 if kind == "power" else 0):
            raise DesignError(
                f"the growth {shown(text)} needs a rational rate above "
                f"{1 if kind == 'power' else 0}"
            )
        return Growth(kind, value)
    raise DesignError(
        f"the growth {shown(text)} is not known: write linear, quadratic, power:3 or "
        "exponential:1/2"
    )


# --- what follows from what


@dataclass(frozen=True)
class _Fact:
    value: object
    origin: str  # the wishes it comes from
    why: str


class _Known:
    """Facts by name; a second, opposite value for the same fact is a clash."""

    def __init__(self) -> None:
        self.facts: dict[str, _Fact] = {}
        self.grown = False

    def put(self, name: str, value: object, origin: str, why: str) -> None:
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
    _refuse_penalties(wishes)


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


# --- penalties


def _refuse_penalties(wishes: Wishes) -> None:
    penalties = dict(wishes.penalties)
    for side in (1, -1):
        slopes = sorted(
            ((abs(at), at) for at in penalties if at * side > 0), key=lambda pair: float(pair[0])
        )
        for (near, a), (far, b) in pairwise(slopes):
            if constants.sign_of(penalties[a] / near - penalties[b] / far) == 1:
                raise DesignError(
                    f"{_named(a, penalties)} and {_named(b, penalties)} clash: for a "
                    "convex loss g(x)/|x| does not "
                    f"fall as |x| grows"
                )
    facing = [
        (at, other)
        for at in penalties
        for other in penalties
        if at > 0 and constants.equal(at, -other)
    ]
    for at, other in sorted(facing, key=lambda pair: float(pair[0])):
        ratio = penalties[at] / penalties[other]
        both = f"{_named(at, penalties)} and {_named(other, penalties)}"
        if wishes.even and constants.equal(ratio, sp.S.One) is False:
            raise DesignError(
                f"even loss and the penalties {both} clash: an even loss has g(-x) = g(x)"
            )
        if wishes.symmetric and wishes.curvature is not None and constants.equal(ratio, sp.S.One):
            raise DesignError(
                f"curvature {write(wishes.curvature)} with a symmetric divergence and "
                f"the penalties {both} clash: "
                "g''(x) = e^x g''(-x) makes g(x) > g(-x) for x > 0, unless g is a*|x| up to there"
            )
        if wishes.symmetric and (
            constants.sign_of(ratio - 1) == -1 or constants.sign_of(ratio - sp.exp(at)) in (0, 1)
        ):
            raise DesignError(
                f"symmetric divergence and the penalties {both} clash: g''(x) = e^x g''(-x) makes "
                "1 <= g(x)/g(-x) < e^x for x > 0"
            )


def _named(at: sp.Expr, penalties: Mapping[sp.Expr, sp.Expr]) -> str:
    return f"g({write(at)}) = {write(penalties[at])}"


def wished(wishes: Wishes) -> Iterable[tuple[str, str, bool]]:
    """(words, the verdict they are about, the wanted answer) for each wish that a verdict of
    `derive` settles.
    """
    for name, words in (("zero_forcing", "zero-forcing"), ("zero_avoiding", "zero-avoiding")):
        if (value := getattr(wishes, name)) is not None:
            yield words if value else f"not {words}", name, value
    for name, words in (
        ("symmetric", "symmetric divergence"),
        ("even", "even loss"),
        ("bounded_gradient", "bounded gradient"),
    ):
        if getattr(wishes, name):
            yield words, name, True
