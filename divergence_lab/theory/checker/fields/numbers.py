"""The numbers and formulas beside the verdicts: f, its ends, its values, the swapped loss. Part of
the trusted checker.

Each function looks at one field. It raises Refuted for what is shown wrong, Rejected for what is
not shown to be right.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import sympy as sp
from flint import arb

from divergence_lab.theory.checker.facts import parts, proofs
from divergence_lab.theory.checker.families.exponential_terms import integral_against
from divergence_lab.theory.checker.fields import losses, quadrature
from divergence_lab.theory.expressions import digits, t, x
from divergence_lab.theory.expressions.balls import ball, ball_of_constant
from divergence_lab.theory.expressions.parsing import parse_number

Entry = Mapping[str, Any]
_DECIMAL = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d{1,4})?", re.ASCII)
MAX_DIGITS = 1200
# significant ones, of a decimal that stands for a number: 1e3 is 1000, and not "0 within one unit"
MIN_DIGITS = 20
_NO_VARIABLE = sp.Dummy()


def check_derivative(entry: Entry, subject: losses.Subject) -> None:
    """The stated g' is the slope on every piece."""
    slope = subject.read(entry["loss_derivative"])
    for part in subject.parts:
        subject.equal(slope, part.slope, part)
    subject.need_limits(slope, [part.slope for part in subject.parts])


def check_generator(entry: Entry, subject: losses.Subject) -> None:
    """t f'(t) - f(t) = g'(log t) on every piece, f continuous, f(1) = 0: this fixes f."""
    f = subject.read(entry["generator"], t)
    pieces = [subject.in_residual(f, part) for part in subject.parts]
    for here, part in zip(pieces, subject.parts):
        subject.vanishes(sp.diff(here, x) - here - part.slope, part)
    start_at_zero_and_join(pieces, subject)
    subject.need_limits(f.xreplace({t: sp.exp(x)}), pieces)


def start_at_zero_and_join(pieces: Sequence[sp.Expr], subject: losses.Subject) -> None:
    """The function made of the pieces is continuous, and 0 at x = 0."""
    for (before, after), part in zip(itertools.pairwise(pieces), subject.parts):
        ends = [subject.limit(f, part.high, side) for f, side in ((before, -1), (after, 1))]
        subject.same(*ends)
        if part.high == 0:
            subject.same(ends[0], sp.S.Zero)


def check_dual(entry: Entry, subject: losses.Subject) -> None:
    """g*'(x) = -f'(e^{-x}) with g*(0) = 0, of a generator that was shown right."""
    if entry["generator"] is None:
        raise proofs.Rejected("without a closed form of f the swapped loss is not known")
    f, dual = subject.read(entry["generator"], t), subject.read(entry["dual_loss"])
    pieces, mirrored = [], [_mirror(part) for part in reversed(subject.parts)]
    for part, here in zip(reversed(subject.parts), mirrored):
        slope = -(sp.exp(-x) * sp.diff(subject.in_residual(f, part), x)).xreplace(
            {x: -x}
        )  # f'(e^v) = e^{-v} d/dv f(e^v)
        pieces.append(subject.smooth(dual, here))
        subject.vanishes(sp.diff(pieces[-1], x) - slope, here)
    start_at_zero_and_join(pieces, subject.on(mirrored))
    subject.on(mirrored).need_limits(dual, pieces)


def _mirror(part: parts.Part) -> parts.Part:
    return parts.Part(-part.high, -part.low, None, part.slope, part.curvature)


def check_curvature(stated: str, entry: Entry, subject: losses.Subject) -> None:
    """g''(0): oo at a kink or where both sides tend to it, else their common limit."""
    before, after = (
        next(p for p in subject.parts if p.high == 0),
        next(p for p in subject.parts if p.low == 0),
    )
    slopes = [subject.limit(p.slope, sp.S.Zero, side) for p, side in ((before, -1), (after, 1))]
    if any(slope.is_infinite for slope in slopes) or subject.differ(*slopes):
        found = [
            sp.oo if slopes[1] == sp.oo or slopes[0] == -sp.oo or subject.rises(*slopes) else -sp.oo
        ]
    else:
        found = [
            subject.limit(p.curvature, sp.S.Zero, side) for p, side in ((before, -1), (after, 1))
        ]
    for end in found:
        subject.same(subject.read(stated, _NO_VARIABLE), end)


def check_value_at_zero(stated: str, entry: Entry, subject: losses.Subject) -> None:
    """f(0+) = -g'(-oo)."""
    subject.same(
        subject.read(stated, _NO_VARIABLE), subject.limit(-subject.parts[0].slope, -sp.oo, 0)
    )


def check_slope_at_infinity(stated: str, entry: Entry, subject: losses.Subject) -> None:
    """f'(oo): oo or -oo as int^oo g' e^{-x} is; else the limit of f/t, or digits within one unit
    of the last.
    """
    value, last = subject.read(stated, _NO_VARIABLE), subject.parts[-1]
    if value.is_infinite:
        if not subject.diverges(last.slope * sp.exp(-x) * (1 if value == sp.oo else -1)):
            raise proofs.Refuted("the integral for f'(oo) is finite")
        return
    decimal = (
        _DECIMAL.fullmatch(stated)
        and len(re.sub(r"\D", "", stated.partition("e")[0]).lstrip("0")) >= MIN_DIGITS
        and not stated.lstrip("-").isdigit()
    )
    if not decimal:
        try:
            found = sum(
                integral_against(part.slope, part.low, part.high)
                for part, right in zip(subject.parts, subject.sides(), strict=True)
                if right
            )
        except proofs.Rejected:  # no sum of powers and exponentials
            found = None
        if found is not None:
            subject.same(value, found)
            return
    if entry["generator"] is not None:
        f = subject.in_residual(subject.read(entry["generator"], t), last)
        found = subject.limit(sp.expand(f * sp.exp(-x)), sp.oo, 0)
        if not decimal:
            subject.same(value, found)
            return
    elif not decimal:
        raise proofs.Rejected("an exact f'(oo) is not shown without a closed form of f")
    if subject.free or len(stated) > MAX_DIGITS:
        raise proofs.Rejected("f'(oo) has no digits that could be enclosed")
    count = len(stated) + 12
    with digits(count):
        slope = (
            quadrature.enclose_slope_at_infinity(subject.parts, count)
            if entry["generator"] is None
            else quadrature.constant(found)
        )
        _within(slope, stated, _unit(stated))


def _within(found: arb, stated: str, allowed: arb) -> None:
    """The decimal lies so near to what was found.

    Raises Refuted where it does not, Rejected where that is not known.
    """
    difference = abs(found - arb(stated))
    if difference > allowed:
        raise proofs.Refuted(f"it is {found.str(12, radius=False)}, not {stated}")
    if not difference <= allowed:
        raise proofs.Rejected("it was not enclosed well enough")


def _unit(text: str) -> arb:
    """One unit of the last digit of a decimal."""
    mantissa, _, exponent = text.partition("e")
    return arb(10) ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


def check_values(entry: Entry, subject: losses.Subject) -> None:
    """Each f lies within its radius of the defining integral, or of the closed form where this
    was shown right.
    """
    for value in entry["values"]:
        if set(value) != {"t", "f", "radius"} or not all(
            isinstance(text, str) for text in value.values()
        ):
            raise proofs.Refuted("a value is t, f and radius, three texts")
        if not (_DECIMAL.fullmatch(value["f"]) and _DECIMAL.fullmatch(value["radius"])):
            raise proofs.Refuted("f and its radius are decimals")
        generator = None if entry["generator"] is None else subject.read(entry["generator"], t)
        _check_value(parse_number(value["t"]), value["f"], value["radius"], generator, subject)


def _check_value(
    ratio: sp.Expr, stated: str, radius: str, generator: sp.Expr | None, subject: losses.Subject
) -> None:
    if not ball_of_constant(ratio) > 0:
        raise proofs.Refuted("a ratio is positive")
    if subject.free or len(stated) > MAX_DIGITS:
        raise proofs.Rejected("f has no value that could be enclosed")
    count = len(stated) + max(0, -int(radius.partition("e")[2] or 0)) + 30
    with digits(count):
        if generator is None:
            found = quadrature.enclose_value(subject.parts, ratio, count)
        else:
            end = ball_of_constant(sp.log(ratio))
            here = next(
                p
                for p in subject.parts
                if not (not p.low.is_infinite and end < ball_of_constant(p.low))
                and not (not p.high.is_infinite and end > ball_of_constant(p.high))
            )
            found = ball(
                subject.in_residual(generator, here), x, quadrature.constant(sp.log(ratio))
            )
        _within(found, stated, arb(radius))
