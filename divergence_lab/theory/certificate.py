"""What a proof of a verdict looks like: steps as plain data, and the words for them.

A step is a rule and its data, all text in SymPy syntax, so that it survives JSON. `claim` is made from the data alone:
search and checker both use `claim_of`, and the checker refuses a step whose words say something else.

| rule | data | says |
|---|---|---|
| sign | of, f, low, high, sign | f >= 0 (or <= 0) on (low, high) |
| jump | at, jump, sign | the slope g' jumps by that much at a kink |
| witness | of, f, at, sign | f < 0, f > 0 or f != 0 at one point |
| limit | of, f, end, limit | f tends to that limit |
| integral | of, f, scale, limit, diverges | f*scale tends to the limit, so int^oo f diverges or converges with 1/scale |
| identity | of, f, low, high | f = 0 on (low, high) |
| constant | of, low, high | the slope is 0 there: g does not fall or rise |
| for all | of, f, low, high | f >= 0 on (low, high) whatever the parameters are, term by term |
| cell | parameter, low, high, sample, holds | the verdict is this for every parameter in (low, high) |
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
    "for all": "{of} = {f} is >= 0 on ({low}, {high}) for all parameters",
    "cell": "it {holds} for {low} < {parameter} < {high} (as at {parameter} = {sample})",
}


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
        if data["low"] == data["high"]:
            return f"it {words['holds']} for {data['parameter']} = {data['sample']}"
    words["finite"] = "infinite" if data.get("diverges") == "true" else "finite"
    return _CLAIMS[rule].format(**words)


def seal(verdict: Mapping) -> str:
    """SHA-256 of a verdict's content: shows an altered certificate even where the altered proof would also do."""
    content = {key: value for key, value in verdict.items() if key != "seal"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


# --- verdicts that depend on a parameter ---------------------------------------------------------------------

@dataclass(frozen=True)
class Cell:
    """A range of a parameter, low < a < high, or the point low = high, on which a verdict is the same throughout."""
    low: str
    high: str
    sample: str
    holds: bool

    @property
    def is_point(self) -> bool:
        return self.low == self.high


def condition_of(parameter: str, cells: Sequence[Cell]) -> str:
    """The condition, in words of the parameter, under which the verdict holds: the union of the cells where it does."""
    runs: list[list[Cell]] = []
    for before, cell in zip([None, *cells], cells):
        if cell.holds:
            if before is not None and before.holds:
                runs[-1].append(cell)
            else:
                runs.append([cell])
    if len(runs) == 2 and runs[0][0] == cells[0] and runs[1][-1] == cells[-1]:
        missing = [cell for cell in cells if not cell.holds]
        if len(missing) == 1 and missing[0].is_point:
            return f"{parameter} != {missing[0].low}"
    return " or ".join(_range(parameter, run, cells) for run in runs)


def _range(parameter: str, run: Sequence[Cell], cells: Sequence[Cell]) -> str:
    first, last = run[0], run[-1]
    if first is last and first.is_point:
        return f"{parameter} = {first.low}"
    # an end that belongs to the domain's own end is not repeated as a condition
    low = None if first is cells[0] and not first.is_point else (first.low, "<=" if first.is_point else "<")
    high = None if last is cells[-1] and not last.is_point else (last.high, "<=" if last.is_point else "<")
    if low and high:
        return f"{low[0]} {low[1]} {parameter} {high[1]} {high[0]}"
    if high:
        return f"{parameter} {high[1]} {high[0]}"
    return f"{parameter} {'>=' if low[1] == '<=' else '>'} {low[0]}" if low else "always"
