"""What a proof of a verdict looks like: steps as plain data, and the words for them.

A step is a rule and its data, all text in SymPy syntax, so that it survives JSON. `claim` is made
from the data alone: search and checker both use `claim_of`, and the checker refuses a step whose
words say something else.

| rule | data | says |
|---|---|---|
| sign | of, f, low, high, sign | f >= 0 (or <= 0) on (low, high) |
| jump | at, jump | the slope g' jumps by that much at a kink |
| witness | of, f, at, sign | f < 0, f > 0 or f != 0 at one point |
| limit | of, f, end, limit | f tends to that limit |
| integral | of, f, scale, limit, diverges | f*scale tends to the limit, so int^oo f diverges or converges with 1/scale |
| identity | of, f, low, high | f = 0 on (low, high) |
| constant | of, low, high | the slope is 0 there: g does not fall or rise |
| gap | at, low, high, left, right, jump | g itself jumps at a point |
| unbounded | at, end, f, limit | g is not bounded near a point |
| pole | low, high, numerator, denominator | g is a quotient whose denominator changes sign |
| not real | at | g is not a real number at a point |
| cell | parameter, low, high, sample (or ranges), holds, at?, scale? | the verdict is this in all of the ranges |
| undefined | parameter, at (or ranges) | the formula has no value there, and the family no limit |
| line | equation, parameter | the identity holds exactly where this equation does |
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from divergence_lab.theory.checker.conditions import ranges_in_words, read_ranges

# What `of` may name: a function derived from the loss, in words.
SUBJECTS = {
    "slope": "g'(x)",
    "curvature": "g''(x)",
    "weighted slope": "g'(x) e^(-x)",
    "odd part": "g'(x) + g'(-x)",
    "asymmetry": "g''(x) - e^x g''(-x)",
    "kink at 0": "g'(0+) + g'(0-)",
}
_CLAIMS = {
    "sign": "{of} = {f} is {sign} on ({low}, {high})",
    "jump": "g' jumps by {jump} at x = {at}",
    "witness": "{of} = {f} is {sign} at x = {at}",
    "limit": "{of} = {f} tends to {limit} as x -> {end}",
    "integral": (
        "{of} = {f}, times {scale}, tends to {limit} as x -> oo, and int^oo {inverse} dx is "
        "{finite}"
    ),
    "identity": "{of} = {f} is 0 on ({low}, {high})",
    "constant": "{of} is 0 on ({low}, {high})",
    "gap": (
        "g = {left} on ({low}, {at}) and {right} on ({at}, {high}), so g jumps by {jump} at "
        "x = {at}"
    ),
    "unbounded": "g = {f} between {at} and {end} tends to {limit} as x -> {at}",
    "pole": (
        "g = ({numerator})/({denominator}) on ({low}, {high}); there the denominator changes "
        "sign, the numerator does not"
    ),
    "not real": "g is not a real number at x = {at}",
    "cell": "it {holds} for {where}{shown}",
    "undefined": "for {where} the formula has no value, and the family no limit",
    "line": "it holds exactly where {equation} = 0",
}

# The propositions of docs/propositions.md that a verdict rests on: of its own, and of the rules of
# its steps.
_OF_KIND = {
    "validity": (4,),
    "convex": (5,),
    "data_processing": (5,),
    "zero_forcing": (3,),
    "zero_avoiding": (3,),
    "symmetric": (6,),
    "even": (6,),
    "bounded_gradient": (18,),
}
_OF_RULE = {"integral": (16,), "cell": (20,), "line": (21,), "undefined": (22,)}
_NO_LOSS = {"gap", "unbounded", "pole", "not real"}  # a function that is none needs no proposition

# Every key that a step of a rule must have; a cell has those of one parameter or of several.
_KEYS = {
    "sign": {"of", "f", "low", "high", "sign"},
    "jump": {"at", "jump"},
    "witness": {"of", "f", "at", "sign"},
    "limit": {"of", "f", "end", "limit"},
    "integral": {"of", "f", "scale", "limit", "diverges"},
    "identity": {"of", "f", "low", "high"},
    "constant": {"of", "low", "high"},
    "gap": {"at", "low", "high", "left", "right", "jump"},
    "unbounded": {"at", "end", "f", "limit"},
    "pole": {"low", "high", "numerator", "denominator"},
    "not real": {"at"},
    "line": {"equation", "parameter"},
}
_ONE_PARAMETER, _SEVERAL = {"holds", "parameter", "low", "high", "sample"}, {"holds", "ranges"}
_ONE_VALUE, _VALUES = {"parameter", "at"}, {"ranges"}
_HINTS = {"at", "scale"}
_VERDICT = {"holds", "condition", "status", "because", "steps", "cites", "seal"}


@dataclass(frozen=True)
class Step:
    """One step: `rule` and `data`, pairs of text."""

    rule: str
    data: tuple[tuple[str, str], ...]

    @property
    def claim(self) -> str:
        return claim_of(self.rule, dict(self.data))


def step(rule: str, **data: str) -> Step:
    """A step from keyword data, all text."""
    return Step(rule, tuple(data.items()))


def claim_of(rule: str, data: Mapping[str, str]) -> str:
    """The sentence of a step, from its data alone.

    Raises KeyError when the rule or a datum is missing.
    """
    words = dict(data)
    words["of"] = SUBJECTS[data["of"]] if "of" in data else ""
    if rule == "cell":
        words["holds"] = {"true": "holds", "false": "does not hold"}[data["holds"]]
        words["where"] = ranges_in_words(read_ranges(data))
        words["shown"] = (f", as x = {data['at']} shows" if "at" in data else "") + (
            f", x times {data['scale']} being a scale" if "scale" in data else ""
        )
    if rule == "undefined":
        words["where"] = ranges_in_words(read_ranges(data))
    words["inverse"] = (
        f"1/{scale}" if (scale := data.get("scale", "")).isalnum() else f"1/({scale})"
    )
    words["finite"] = "infinite" if data.get("diverges") == "true" else "finite"
    words["sign"] = {"!= 0": "not 0", "< 0": "negative", "> 0": "positive"}.get(
        data.get("sign", ""), data.get("sign")
    )
    if rule == "jump" and data["jump"] == "0":
        return f"g' does not jump at x = {data['at']}"
    if rule == "identity" and data["f"] == "0":
        return f"{words['of']} is 0 on ({data['low']}, {data['high']})"
    return _CLAIMS[rule].format(**words)


def cites(kind: str, steps: Sequence[Mapping[str, str]]) -> list[str]:
    """["P3", "P16"]: the propositions by which the steps give a verdict of this kind.

    An undecided verdict cites nothing.
    """
    numbers = set(_OF_KIND[kind]) if steps and steps[0]["rule"] not in _NO_LOSS else set()
    for here in steps:
        numbers.update(
            _OF_RULE.get(here["rule"], ()),
            (19,) if here["rule"] == "cell" and "scale" in here else (),
        )
    return [f"P{number}" for number in sorted(numbers)]


def flaw(kind: str, verdict: object) -> str | None:
    """What is wrong with the form of a verdict of this kind and its seal, before its steps are;
    None for a well-formed one.
    """
    if not isinstance(verdict, Mapping):
        return "the verdict is missing"
    if missing := _VERDICT - verdict.keys():
        return f"the verdict lacks {', '.join(sorted(missing))}"
    if more := verdict.keys() - _VERDICT:
        return f"the verdict has {', '.join(sorted(more))} besides"
    if not all(isinstance(verdict[key], str) for key in ("status", "because", "seal")):
        return "status, because and seal are text"
    if not (verdict["holds"] is None or isinstance(verdict["holds"], bool)) or not (
        verdict["condition"] is None or isinstance(verdict["condition"], str)
    ):
        return "holds is true, false or null, and condition is text or null"
    if not isinstance(verdict["steps"], list | tuple):
        return "the steps are not a list"
    flaws = (_flaw_of_step(number, step) for number, step in enumerate(verdict["steps"], 1))
    if (found := next((found for found in flaws if found is not None), None)) is not None:
        return found
    if verdict["cites"] != cites(kind, verdict["steps"]):
        return (
            f"the steps rest on {' and '.join(cites(kind, verdict['steps'])) or 'nothing'}, "
            "not on what is cited"
        )
    return (
        "the certificate was altered: its seal does not fit its content"
        if verdict["seal"] != seal(verdict)
        else None
    )


def _flaw_of_step(number: int, step: object) -> str | None:
    if not isinstance(step, Mapping) or not all(
        isinstance(text, str) for pair in step.items() for text in pair
    ):
        return f"step {number} is not a record of texts"
    if not {"rule", "claim"} <= step.keys():
        return f"step {number} has no rule or no claim"
    keys = set(step) - {"rule", "claim"}
    if step["rule"] == "cell":
        needed = _SEVERAL if "ranges" in keys else _ONE_PARAMETER
        allowed = needed | _HINTS
    elif step["rule"] == "undefined":
        needed = allowed = _VALUES if "ranges" in keys else _ONE_VALUE
    elif step["rule"] in _KEYS:
        needed = allowed = _KEYS[step["rule"]]
    else:
        return f"step {number}: there is no rule {step['rule']!r}"
    if needed - keys:
        return f"step {number} ({step['rule']}) lacks {', '.join(sorted(needed - keys))}"
    return (
        f"step {number} ({step['rule']}) has {', '.join(sorted(keys - allowed))} besides"
        if keys - allowed
        else None
    )


def seal(verdict: Mapping) -> str:
    """SHA-256 of a verdict's content: shows an altered certificate even where the altered proof
    would also do.
    """
    content = {key: value for key, value in verdict.items() if key != "seal"}
    return hashlib.sha256(
        json.dumps(content, sort_keys=True, ensure_ascii=True).encode()
    ).hexdigest()
