"""What a docstring, or a name, claims: a divergence, zero-forcing, zero-avoiding; and whether that
is what was found.

Little is taken for a claim: a name among words that say nothing else ("estimator of the reverse
KL"). Any other word may turn it into something else ("skewed", "less", "like", "near 0"), so there
it is none; nor is a condition that does not hold of the audited instance, a memory of how it once
was, or a sentence with two answers. KL(a || b) has the direction that a and b have: by the
arguments of the callable, else by what they are called.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from divergence_lab.audit.claims.directions import directed, masked
from divergence_lab.audit.claims.texts import (
    docstrings,
    holds_here,
    name_of,
    says_only,
    sentences,
    settings,
)

NO_DIRECTION = "KL (no direction)"
# words of a docstring -> names of divergences (recognition's) that would fulfil the claim
_DIVERGENCES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("forward KL", r"(?:forward|inclusive)[- _](?:KL|Kullback)|\bFKL\b", ("forward KL",)),
    ("reverse KL", r"(?:reverse|exclusive|backward)[- _](?:KL|Kullback)|\bRKL\b", ("reverse KL",)),
    ("Jensen-Shannon", r"Jensen[- ]Shannon|\bJSD\b|\bJS[- ]div", ("Jensen-Shannon", "GAN")),
    ("squared Hellinger", r"Hellinger", ("squared Hellinger", "alpha-divergence with alpha = 1/2")),
    ("Pearson chi-square", r"Pearson (?:chi|χ)", ("Pearson chi-square",)),
    ("Neyman chi-square", r"Neyman (?:chi|χ)", ("Neyman chi-square",)),
    ("total variation", r"total[- ]variation", ("total variation",)),
    ("Jeffreys", r"Jeffreys(?! prior)", ("Jeffreys",)),
)
# less definite claims, looked for where none of the above stands
_VAGUE: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "chi-square",
        r"chi[- ]?squared? (?:div|dist)|chi\^?2 (?:div|dist)|χ²",
        ("Pearson chi-square", "Neyman chi-square", "symmetric chi-square"),
    ),
    (NO_DIRECTION, r"\bKL\b|\bKLD\b|D_?\{?KL|Kullback[- ]Leibler", ("forward KL", "reverse KL")),
)
_ALPHA = re.compile(
    r"alpha[- ]divergence(?:\s+with\s+alpha\s*=\s*(-?\d+(?:\.\d+)?))?", re.IGNORECASE
)
_CHARACTER = (
    ("forcing", re.compile(r"zero[- ]?forcing|mode[- ]seeking", re.IGNORECASE)),
    (
        "avoiding",
        re.compile(r"zero[- ]?avoiding|(?:mass|mode)[- ]covering|mean[- ]seeking", re.IGNORECASE),
    ),
)
_LISTED = re.compile(r"\bkl ?[,/|] ?\w|\w ?[,/|] ?kl\b")  # "kl, reverse_kl, js": a choice
_BOTH = re.compile(
    r"\b(forward|reverse)(?: KL)? ?(and|or|/|&) ?(?:the )?(forward|reverse) KL", re.IGNORECASE
)
_DENIED = re.compile(
    r"\b(neither|nor|not?|never|cannot|no longer|without|isn't|doesn't|avoids?|prevents?)\b"
    r"[^.;:]{0,45}\Z",
    re.IGNORECASE,
)


_NAMES = re.compile(
    "|".join(
        [pattern for _, pattern, _ in (*_DIVERGENCES, *_VAGUE)]
        + [_ALPHA.pattern, *(pattern.pattern for _, pattern in _CHARACTER)]
    ),
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Claims:
    """What is claimed: (name, names that fulfil it) for each divergence, and the character
    (None: nothing is said).
    """

    divergences: tuple[tuple[str, tuple[str, ...]], ...] = ()
    zero_forcing: bool | None = None
    zero_avoiding: bool | None = None

    def __str__(self) -> str:
        words = [" or ".join(name for name, _ in self.divergences)] if self.divergences else []
        words += [
            word if said else f"not {word}"
            for word, said in (
                ("zero-forcing", self.zero_forcing),
                ("zero-avoiding", self.zero_avoiding),
            )
            if said is not None
        ]
        return ", ".join(words)


def claims_of(thing: Callable[..., Any], roles: Mapping[str, str] | None = None) -> Claims | None:
    """The claims in the docstrings of a callable (its class, its forward or __call__), else in its
    name; None where there are none.

    roles: argument -> "model" or "target", as it was fed.
    """
    found = _read(docstrings(thing), settings(thing), roles or {})
    if not found.divergences:
        named = _of_name(name_of(thing))
        found = Claims(named, found.zero_forcing, found.zero_avoiding)
    return found if str(found) else None


def contradictions(
    claims: Claims | None,
    loss: str | None,
    divergence: str | None,
    factor: str | None,
    zero_forcing: bool | None,
    zero_avoiding: bool | None,
) -> list[str]:
    """One sentence for each claim that is not what was found; nothing where no loss was found."""
    if claims is None or loss is None:
        return []
    told = []
    if claims.divergences and not any(divergence in names for _, names in claims.divergences):
        times = "" if factor in (None, "1") else f"{factor} x "
        found = (
            f"minimises {times}{divergence}"
            if divergence
            else f"has the loss {loss}, not recognised as that of it"
        )
        told.append(
            f"documented as {' or '.join(name for name, _ in claims.divergences)}, but it {found}"
        )
    told += [
        f"documented as {'' if said else 'not '}{word}, but it is {'' if held else 'not '}{word}"
        for word, said, held in (
            ("zero-forcing", claims.zero_forcing, zero_forcing),
            ("zero-avoiding", claims.zero_avoiding, zero_avoiding),
        )
        if said is not None and held is not None and said != held
    ]
    return told


# --- reading


def _read(text: str, numbers: dict[str, float], roles: Mapping[str, str]) -> Claims:
    definite: dict[str, tuple[str, ...]] = {}
    vague: dict[str, tuple[str, ...]] = {}
    said: dict[str, set[bool]] = {"forcing": set(), "avoiding": set()}
    for sentence, condition in sentences(text):
        if not holds_here(condition, numbers) or _LISTED.search(sentence):
            continue
        here = _named_in(sentence, roles)
        if len(here) == 1:
            definite |= here
        elif not here and not re.search("symmetri", sentence, re.IGNORECASE):
            found = _found(_VAGUE, masked(sentence))
            vague |= {name: names for name, names, bare in found if bare}
        for word, pattern in _CHARACTER:
            for match in pattern.finditer(sentence):
                if _plainly(masked(sentence), match.start()):
                    said[word].add(not _DENIED.search(sentence[: match.start()]))
    if len(definite) > 1:  # two answers in two sentences: no clear claim
        definite = {}
        vague = {}
    character = [next(iter(seen)) if len(seen) == 1 else None for seen in said.values()]
    return Claims(tuple((definite or vague).items()), *character)


def _named_in(sentence: str, roles: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The definite claims of one sentence; what a divergence is made of is no claim of its own."""
    plain = masked(sentence)
    both = _BOTH.sub(r"\1 KL \2 \3 KL", plain)
    here = _found(_DIVERGENCES, both)
    for match in _ALPHA.finditer(plain):
        here += [
            (name, names, _plainly(plain, match.start()))
            for name, names in _alpha(match.group(1)).items()
        ]
    here += [(name, (name,), _plainly(plain, start)) for name, start in directed(sentence, roles)]
    whole = [row for row in here if "KL" not in row[0]]
    made_of = re.search(r"\b(sum|average|mean|symmetri[sz]|mixture|half)", sentence, re.IGNORECASE)
    rows = whole if len({name for name, _, _ in whole}) == 1 and made_of else here
    if len({name for name, _, _ in rows}) > 1:
        return {name: names for name, names, _ in rows}
    return {name: names for name, names, bare in rows if bare}


def _found(
    rows: tuple[tuple[str, str, tuple[str, ...]], ...], sentence: str
) -> list[tuple[str, tuple[str, ...], bool]]:
    """(name, names that fulfil it, does it stand among bare words?) of each that is not denied."""
    return [
        (name, names, _plainly(sentence, match.start()))
        for name, pattern, names in rows
        for match in re.finditer(pattern, sentence, re.IGNORECASE)
        if not _DENIED.search(sentence[: match.start()])
    ]


def _plainly(sentence: str, place: int) -> bool:
    """Does the clause at a place hold nothing but names of what is claimed and bare words?"""
    return says_only(_NAMES, sentence, place)


def _alpha(value: str | None) -> dict[str, tuple[str, ...]]:
    if value is None:
        return {}  # a family is not one divergence
    number = Fraction(value)
    special = {
        Fraction(1): "forward KL",
        Fraction(0): "reverse KL",
        Fraction(1, 2): "squared Hellinger",
        Fraction(2): "Pearson chi-square",
        Fraction(-1): "Neyman chi-square",
    }
    name = f"alpha-divergence with alpha = {number}"
    return {name: (name, *([special[number]] if number in special else []))}


def _of_name(words: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What a name says by itself: `reverse_kl_loss`, `KLForward`, `jsd`."""
    if re.search(r"\b(not|no|vs|or|and|to|from|un|mix|mixed|skew|skewed)\b", words):
        return ()
    turned = re.sub(r"\bkl (forward|reverse)\b", r"\1 kl", words)
    found = {name: names for name, names, _ in _found(_DIVERGENCES, turned)}
    return tuple(found.items()) if len(found) == 1 else ()
