"""What a docstring claims: divergences and characters it names, and whether they are those that were found.

A list item that begins with a condition, such as "alpha = 0.5: ...", counts only where the callable meets it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

# words -> the names of divergences that would be right
_NAMES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"(?:forward|inclusive) (?:kl|kullback)", ("forward KL",)),
    (r"(?:reverse|backward|exclusive) (?:kl|kullback)", ("reverse KL",)),
    (r"jensen[- ]shannon|\bjsd?\b(?= divergence)|\bjsd\b", ("Jensen-Shannon", "GAN")),
    (r"hellinger", ("squared Hellinger",)),
    (r"pearson", ("Pearson chi-square",)),
    (r"neyman", ("Neyman chi-square",)),
    (r"total[- ]variation", ("total variation",)),
    (r"jeffreys", ("Jeffreys",)),
    (r"le[- ]cam", ("Le Cam", "triangular discrimination")),
    (r"triangular discrimination", ("triangular discrimination", "Le Cam")),
)
_LOOSE: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("KL", r"\bkl\b|kullback[- ]leibler", ("forward KL", "reverse KL")),
    ("chi-square", r"chi[- ]?(?:square|squared|2)\b|chi\^2", ("Pearson chi-square", "Neyman chi-square")),
)
_CHARACTERS = {"zero-forcing": r"zero[- ]forcing|mode[- ]seeking",
               "zero-avoiding": r"zero[- ]avoiding|mass[- ]covering|mode[- ]covering"}
_CONDITION = re.compile(r"\s*(?:[-*+]\s+)?([a-z_]\w*)\s*(==|=|<=|>=|<|>)\s*(-?\d+(?:\.\d+)?(?:/\d+)?)\s*:")
_DENIED = re.compile(r"(?:\bnot|\bneither|\bnor|n't|\bnever|\bwithout)(?:\s+\w+){0,2}\s*$")


@dataclass(frozen=True)
class Claims:
    """`divergences`: what it is called -> names that agree; `characters`: "zero-forcing" -> claimed or denied."""

    divergences: dict[str, tuple[str, ...]]
    characters: dict[str, bool]

    def __str__(self) -> str:
        said = [name if held else f"not {name}" for name, held in self.characters.items()]
        return ", ".join([*self.divergences, *said])


def claims(thing: Callable[..., Any]) -> Claims:
    """What the docstring of a function, or of the class of an instance and of its call, claims."""
    divergences: dict[str, tuple[str, ...]] = {}
    characters: dict[str, bool] = {}
    for part in _parts(thing):
        strict = [(match[0], right) for pattern, right in _NAMES for match in re.finditer(pattern, part)]
        for _, right in strict:
            divergences[right[0]] = right
        for name, pattern, right in _LOOSE:
            if re.search(pattern, part) and not any(set(right) & set(known) for known in divergences.values()):
                divergences[name] = right
        for name, pattern in _CHARACTERS.items():
            for match in re.finditer(pattern, part):
                held = _DENIED.search(part[:match.start()]) is None
                characters.setdefault(name, held)
    for name, _, right in _LOOSE:  # a precise name anywhere makes the loose one superfluous
        if name in divergences and any(set(right) & set(known) for key, known in divergences.items() if key != name):
            del divergences[name]
    return Claims(divergences, characters)


def agrees(claimed: Claims, name: str | None, zero_forcing: bool | None, zero_avoiding: bool | None) -> bool | None:
    """Is what the docstring claims what was found? None where it claims nothing, or where it can't be told."""
    answers: list[bool | None] = []
    if claimed.divergences:
        answers.append(None if name is None else any(name in right for right in claimed.divergences.values()))
    for word, found in (("zero-forcing", zero_forcing), ("zero-avoiding", zero_avoiding)):
        if word in claimed.characters:
            answers.append(None if found is None else claimed.characters[word] == found)
    if False in answers:
        return False
    return None if not answers or None in answers else True


def _parts(thing: Callable[..., Any]) -> Iterator[str]:
    """Sentences in plain lower-case words, without the items whose condition the callable does not meet."""
    for text in _docstrings(thing):
        plain = re.sub(r":\w+:`([^`]*)`", r"\1", inspect.cleandoc(text)).lower()
        plain = re.sub(r"[`*]{1,3}(?=\S)|(?<=\S)[`*]{1,3}", "", plain)
        for paragraph in re.split(r"\n\s*\n|\n(?=\s*[-*+] )", plain):
            condition = _CONDITION.match(paragraph)
            if condition and not _meets(thing, *condition.groups()):
                continue
            yield from re.split(r"(?<=[.;:])\s+", " ".join(paragraph.split()))


def _docstrings(thing: Callable[..., Any]) -> list[str]:
    """Its own docstring, not one inherited from a base class that knows nothing of the loss."""
    if inspect.isroutine(thing) or inspect.isclass(thing):
        found = [getattr(thing, "__doc__", None)]
    else:
        members = vars(type(thing))
        found = [members.get("__doc__"), *(getattr(members.get(name), "__doc__", None) for name in ("forward", "__call__"))]
    return [text for text in found if isinstance(text, str)]


def _meets(thing: Any, name: str, relation: str, bound: str) -> bool:
    """Does the parameter of the callable satisfy the condition? One that can't be looked up counts as unmet."""
    value = getattr(thing, name, None)
    if value is None:
        try:
            parameter = inspect.signature(thing).parameters.get(name)
        except (TypeError, ValueError):
            parameter = None
        value = parameter.default if parameter is not None else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    top, _, bottom = bound.partition("/")
    limit = float(top) / float(bottom or 1)
    return {"=": value == limit, "==": value == limit, "<": value < limit, "<=": value <= limit, ">": value > limit,
            ">=": value >= limit}[relation]
