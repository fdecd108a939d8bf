"""What a proof of a verdict looks like: steps as plain data, and the words for them.

A step is a rule and its data, all text in SymPy syntax, so that it survives JSON. `claim` is made
from the data alone: search and checker both use `claim_of`, and the checker refuses a step whose
words say something else. The rules are those of `rules/table.py`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.kinds.table import KINDS
from divergence_lab.theory.checker.rules import table

_VERDICT = {"holds", "condition", "status", "because", "steps", "cites", "seal"}
_WORDS = {"rule", "claim"}  # what every step has besides its data


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

    >>> claim_of("sign", {"of": "slope", "f": "x", "low": "0", "high": "oo", "sign": ">= 0"})
    "g'(x) = x is >= 0 on (0, oo)"
    """
    return table.RULES[rule].claim(data)


def check_words(step: Mapping[str, str]) -> None:
    """A step says what its data say. Raises Rejected."""
    data = {key: value for key, value in step.items() if key not in _WORDS}
    if step.get("claim") != claim_of(step["rule"], data):
        raise Rejected("its words do not fit its data")


def cites(kind: str, steps: Sequence[Mapping[str, str]]) -> list[str]:
    """["P3", "P16"]: the propositions by which the steps give a verdict of this kind.

    An undecided verdict cites nothing, and a function that is no loss needs no proposition.
    """
    numbers: set[int] = set()
    if steps and steps[0]["rule"] not in table.WITHOUT_PIECES:
        numbers.update(KINDS[kind].propositions)
    for here in steps:
        rule = table.RULES[here["rule"]]
        numbers.update(rule.propositions)
        numbers.update(*(more for hint, more in rule.hints.items() if hint in here))
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
    if (first := next((flaw for flaw in flaws if flaw is not None), None)) is not None:
        return first
    if verdict["cites"] != (rests_on := cites(kind, verdict["steps"])):
        return f"the steps rest on {' and '.join(rests_on) or 'nothing'}, not on what is cited"
    if verdict["seal"] != seal(verdict):
        return "the certificate was altered: its seal does not fit its content"
    return None


def _flaw_of_step(number: int, step: object) -> str | None:
    if not isinstance(step, Mapping) or not all(
        isinstance(text, str) for pair in step.items() for text in pair
    ):
        return f"step {number} is not a record of texts"
    if not step.keys() >= _WORDS:
        return f"step {number} has no rule or no claim"
    rule = table.RULES.get(step["rule"])
    if rule is None:
        return f"step {number}: there is no rule {step['rule']!r}"
    keys = set(step) - _WORDS
    needed = rule.several if rule.several is not None and "ranges" in keys else rule.keys
    if needed - keys:
        return f"step {number} ({step['rule']}) lacks {', '.join(sorted(needed - keys))}"
    if more := keys - needed - rule.hints.keys():
        return f"step {number} ({step['rule']}) has {', '.join(sorted(more))} besides"
    return None


def seal(verdict: Mapping) -> str:
    """SHA-256 of a verdict's content: shows an altered certificate even where the altered proof
    would also do.
    """
    content = {key: value for key, value in verdict.items() if key != "seal"}
    return hashlib.sha256(
        json.dumps(content, sort_keys=True, ensure_ascii=True).encode()
    ).hexdigest()
