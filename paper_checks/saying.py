"""Sentences that their numbers carry: each is said only if what it claims holds in the committed
results, and the numbers in it are computed from them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable

WIDTH = 150


class NotCarried(AssertionError):
    """The results do not carry this sentence; rewrite it."""


def say(sentence: str, *conditions: bool) -> str:
    """The sentence, if all conditions hold; raises NotCarried otherwise.

    >>> say("Two is less than three.", 2 < 3)
    'Two is less than three.'
    """
    for number, condition in enumerate(conditions):
        if not bool(condition):
            raise NotCarried(f"condition {number} fails: {sentence}")
    return sentence


def points(sentences: Iterable[str]) -> str:
    """As a list in Markdown, broken at WIDTH columns."""
    return "\n".join(
        textwrap.fill(
            one,
            WIDTH,
            initial_indent="- ",
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for one in sentences
    )


def points_of(findings: Callable[[], Iterable[str]], short: bool) -> str:
    """All of them as a list; of a `short` run, which need not carry them, what it lacks."""
    try:
        return points(findings())
    except NotCarried as missing:
        if not short:
            raise
        return points([f"This run is too short for the sentences of the committed page: {missing}"])


def p_value(value: float) -> str:
    """p = .0017; two digits from .1 on.

    >>> p_value(2 ** (1 - 5)), p_value(0.25)
    ('p = .0625', 'p = .25')
    """
    if value < 0.0001:
        return "p < .0001"
    return "p = " + f"{value:.{2 if value >= 0.1 else 4}f}".removeprefix("0")


def listed(words: Iterable[str]) -> str:
    """a, b and c"""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
