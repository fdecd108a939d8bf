"""Is the loss what a sampler makes of another one? Part of the trusted checker.

    on                    h = g
    power:B               h'(x) = e^{Bx} g'(x)
    mixture:E             h'(x) = ((1 - E) + E e^x) g'(x)
    powers:A,B            h'(y) = g'(y/k) e^{By/k}/k, k = A + B
    learned_backward:B    d = e^{Bx} g' - h': d' = e^{Bx} g', d(0) = 0

h' is the slope of the loss and of its gauge together. `backward` is power:1 (Propositions 8 to
10).
"""

import re
from collections.abc import Mapping
from typing import Any

import sympy as sp

from divergence_lab.theory.checker.facts import parts, proofs
from divergence_lab.theory.checker.fields.losses import Subject
from divergence_lab.theory.checker.fields.numbers import start_at_zero_and_join
from divergence_lab.theory.expressions import write, x

_NO_VARIABLE = sp.Dummy()
FIELDS = ("sampler", "weighted_by", "sampled_loss")


def read_sampler(entry: Mapping[str, Any], subject: Subject) -> tuple[str, list[sp.Expr]]:
    """(kind, its numbers in the symbols of the cell) of the sampler, whose weight is stated right.

    Raises Refuted.
    """
    if not (entry["sampler"].isascii() and entry["sampler"].isprintable()):
        raise proofs.Refuted("a sampler is a short line of plain text")
    kind, *rest = re.split("[:,]", entry["sampler"].strip())
    texts = (
        [sp.S.One]
        if (kind, rest) == ("backward", [])
        else [subject.raw(text, _NO_VARIABLE) for text in rest]
    )
    kind = "power" if kind == "backward" else kind
    if len(texts) != {"on": 0, "power": 1, "mixture": 1, "learned_backward": 1, "powers": 2}.get(
        kind
    ):
        raise proofs.Refuted("there is no such sampler")
    if entry["weighted_by"] != _weight(kind, texts):
        raise proofs.Refuted("the weight is not that of the sampler")
    if kind == "powers" and not sum(texts).is_positive:
        raise proofs.Refuted("the exponents have no positive sum")
    numbers = [number.subs(subject.written) for number in texts]
    if kind == "powers" and sum(numbers) != 1:  # the straight part counts: |p_F^k| is not 1
        subject.same(subject.read(entry["gauge"]["slope"], _NO_VARIABLE), sp.S.Zero)
    if kind == "mixture" and not (numbers[0].is_nonnegative and (1 - numbers[0]).is_nonnegative):
        raise proofs.Refuted("the share of a mixture lies between 0 and 1")
    return kind, numbers


def check_sampler(entry: Mapping[str, Any], subject: Subject) -> None:
    """The loss is the on-policy equivalent of `sampled_loss` under the sampler, and
    `weighted_by` says the sampler's weight.
    """
    if entry.get("placement") is not None:  # then the term is held against the sampler
        return
    kind, numbers = read_sampler(entry, subject)
    sampled = subject.read(entry["sampled_loss"])
    if kind == "on":
        for part in subject.parts:
            subject.equal(sampled, part.loss, part)
        subject.need_limits(sampled, [part.loss for part in subject.parts])
        return
    rests, gauge = [], subject.read(entry["gauge"]["slope"], _NO_VARIABLE)
    for part in subject.parts:
        slope = _slope(kind, numbers, sampled, part, subject)
        if kind != "learned_backward":
            subject.vanishes(part.slope + gauge - slope, part)
            continue
        rests.append(slope - part.slope - gauge)
        subject.vanishes(sp.diff(rests[-1], x) - slope, part)
    if kind == "learned_backward":
        start_at_zero_and_join(rests, subject)
    # that the sampled loss is continuous, and 0 at 0
    here = sampled.subs(x, x / sum(numbers)) if kind == "powers" else sampled
    pieces = [subject.smooth(here, part) for part in subject.parts]
    start_at_zero_and_join(pieces, subject)
    subject.need_limits(here, pieces)


def _slope(
    kind: str, numbers: list[sp.Expr], sampled: sp.Expr, part: parts.Part, subject: Subject
) -> sp.Expr:
    """The weighted slope of the sampled loss on a piece of the other."""
    if kind == "powers":
        slope = sp.diff(subject.smooth(sampled.subs(x, x / sum(numbers)), part), x)
        return weighed(slope, kind, numbers)
    return weighed(sp.diff(subject.smooth(sampled, part), x), kind, numbers)


def weighed(slope: sp.Expr, kind: str, numbers: list[sp.Expr]) -> sp.Expr:
    """The slope times mu/p_F; under `powers`, of which it is a slope in y/k, in y."""
    match kind:
        case "on":
            return slope
        case "mixture":
            return slope * (1 - numbers[0] + numbers[0] * sp.exp(x))
        case "powers":
            return slope * sp.exp(numbers[1] * x / sum(numbers))
    return slope * sp.exp(numbers[0] * x)


def _weight(kind: str, numbers: list[sp.Expr]) -> str:
    """What objects are weighted by, in words of p_F and p_B."""
    if kind == "on":
        return "p_F"
    if kind == "mixture":
        return " + ".join(
            f"({write(n)}) {law}" if n.is_Add else f"{write(n)} {law}"
            for n, law in ((1 - numbers[0], "p_F"), (numbers[0], "p_B"))
        )
    powers = numbers if kind == "powers" else [1 - numbers[0], numbers[0]]
    shown = " ".join(
        law if power == 1 else f"{law}^({write(power)})"
        for law, power in zip(("p_F", "p_B"), powers)
        if power != 0
    )
    return f"{shown}, p_B learning" if kind == "learned_backward" else shown
