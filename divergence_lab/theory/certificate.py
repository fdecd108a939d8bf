"""What a proof of a verdict looks like: steps as plain data, and the words for them.

A step is a rule and its data, all text in SymPy syntax, so that it survives JSON. `claim` is made from the data alone:
search and checker both use `claim_of`, and the checker refuses a step whose words say something else.

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
| undefined | parameter, at | the formula has no value at this parameter |
| line | equation, parameter | the identity holds exactly where this equation does |
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from divergence_lab.theory.conditions import ranges_in_words, read_ranges

# What `of` may name: a function derived from the loss, in words.
SUBJECTS = {
    "slope": "g'(x)", "curvature": "g''(x)", "weighted slope": "g'(x) e^(-x)", "odd part": "g'(x) + g'(-x)",
    "asymmetry": "g''(x) - e^x g''(-x)", "kink at 0": "g'(0+) + g'(0-)",
}
_CLAIMS = {
    "sign": "{of} = {f} is {sign} on ({low}, {high})",
    "jump": "g' jumps by {jump} at x = {at}",
    "witness": "{of} = {f} is {sign} at x = {at}",
    "limit": "{of} = {f} tends to {limit} as x -> {end}",
    "integral": "{of} = {f}, times {scale}, tends to {limit} as x -> oo, and int^oo 1/({scale}) dx is {finite}",
    "identity": "{of} = {f} is 0 on ({low}, {high})",
    "constant": "{of} is 0 on ({low}, {high})",
    "gap": "g = {left} on ({low}, {at}) and {right} on ({at}, {high}), so g jumps by {jump} at x = {at}",
    "unbounded": "g = {f} between {at} and {end} tends to {limit} as x -> {at}",
    "pole": "g = ({numerator})/({denominator}) on ({low}, {high}); there the denominator changes sign, the numerator does not",
    "not real": "g is not a real number at x = {at}",
    "cell": "it {holds} for {where}{shown}",
    "undefined": "the formula has no value at {parameter} = {at}",
    "line": "it holds exactly where {equation} = 0",
}

# Every key that a step of a rule must have; a cell has those of one parameter or of several.
_KEYS = {
    "sign": {"of", "f", "low", "high", "sign"}, "jump": {"at", "jump"}, "witness": {"of", "f", "at", "sign"},
    "limit": {"of", "f", "end", "limit"}, "integral": {"of", "f", "scale", "limit", "diverges"},
    "identity": {"of", "f", "low", "high"}, "constant": {"of", "low", "high"},
    "gap": {"at", "low", "high", "left", "right", "jump"}, "unbounded": {"at", "end", "f", "limit"},
    "pole": {"low", "high", "numerator", "denominator"}, "not real": {"at"}, "undefined": {"parameter", "at"},
    "line": {"equation", "parameter"},
}
_ONE_PARAMETER, _SEVERAL = {"holds", "parameter", "low", "high", "sample"}, {"holds", "ranges"}
_HINTS = {"at", "scale"}


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
    """The sentence of a step, from its data alone. Raises KeyError when the rule or a datum is missing."""
    words = dict(data)
    words["of"] = SUBJECTS[data["of"]] if "of" in data else ""
    if rule == "cell":
        words["holds"] = {"true": "holds", "false": "does not hold"}[data["holds"]]
        words["where"] = ranges_in_words(read_ranges(data))
        words["shown"] = (f", as x = {data['at']} shows" if "at" in data else "") \
            + (f", x times {data['scale']} being a scale" if "scale" in data else "")
    words["finite"] = "infinite" if data.get("diverges") == "true" else "finite"
    return _CLAIMS[rule].format(**words)


def flaw(verdict: object) -> str | None:
    """What is wrong with the form of a verdict, before anything in it is looked at; None for a well-formed one."""
    if not isinstance(verdict, Mapping):
        return "the verdict is missing"
    missing = {"holds", "condition", "status", "because", "steps", "seal"} - verdict.keys()
    if missing:
        return f"the verdict lacks {', '.join(sorted(missing))}"
    if not all(isinstance(verdict[key], str) for key in ("status", "because", "seal")):
        return "status, because and seal are text"
    if not (verdict["holds"] is None or isinstance(verdict["holds"], bool)) \
            or not (verdict["condition"] is None or isinstance(verdict["condition"], str)):
        return "holds is true, false or null, and condition is text or null"
    if not isinstance(verdict["steps"], list | tuple):
        return "the steps are not a list"
    flaws = (_flaw_of_step(number, step) for number, step in enumerate(verdict["steps"], 1))
    return next((found for found in flaws if found is not None), None)


def _flaw_of_step(number: int, step: object) -> str | None:
    if not isinstance(step, Mapping) or not all(isinstance(text, str) for pair in step.items() for text in pair):
        return f"step {number} is not a record of texts"
    if not {"rule", "claim"} <= step.keys():
        return f"step {number} has no rule or no claim"
    keys = set(step) - {"rule", "claim"}
    if step["rule"] == "cell":
        needed = _SEVERAL if "ranges" in keys else _ONE_PARAMETER
        allowed = needed | _HINTS
    elif step["rule"] in _KEYS:
        needed = allowed = _KEYS[step["rule"]]
    else:
        return f"step {number}: there is no rule {step['rule']!r}"
    if needed - keys:
        return f"step {number} ({step['rule']}) lacks {', '.join(sorted(needed - keys))}"
    return f"step {number} ({step['rule']}) has {', '.join(sorted(keys - allowed))} besides" if keys - allowed else None


def seal(verdict: Mapping) -> str:
    """SHA-256 of a verdict's content: shows an altered certificate even where the altered proof would also do."""
    content = {key: value for key, value in verdict.items() if key != "seal"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
