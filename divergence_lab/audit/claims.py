"""What a docstring claims: a divergence, zero-forcing, zero-avoiding; and whether that is what was
found.

A claim under a condition, as in "- ``alpha = 1``: forward KL", counts only where the audited
instance has that value; under a condition on something that the instance has not, it does not
count.
"""

import contextlib
import functools
import inspect
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

# words of a docstring -> names of divergences (recognition's) that would fulfil the claim
_DIVERGENCES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("forward KL", r"(?:forward|inclusive)[- ](?:KL|Kullback)", ("forward KL",)),
    ("reverse KL", r"(?:reverse|exclusive|backward)[- ](?:KL|Kullback)", ("reverse KL",)),
    ("Jensen-Shannon", r"Jensen[- ]Shannon|\bJSD?\b", ("Jensen-Shannon", "GAN")),
    ("squared Hellinger", r"Hellinger", ("squared Hellinger", "alpha-divergence with alpha = 1/2")),
    ("Pearson chi-square", r"Pearson", ("Pearson chi-square",)),
    ("Neyman chi-square", r"Neyman", ("Neyman chi-square",)),
    ("total variation", r"total[- ]variation", ("total variation",)),
    ("Jeffreys", r"Jeffreys", ("Jeffreys",)),
)
# less definite claims, looked for where none of the above stands
_VAGUE: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "chi-square",
        r"chi[- ]?squared?|chi\^?2|χ²",
        ("Pearson chi-square", "Neyman chi-square", "symmetric chi-square"),
    ),
    ("KL (no direction)", r"\bKL\b|Kullback[- ]Leibler", ("forward KL", "reverse KL")),
)
_ALPHA = re.compile(
    r"alpha[- ]divergence(?:\s+with\s+alpha\s*=\s*(-?\d+(?:\.\d+)?))?", re.IGNORECASE
)
_RELATION = re.compile(r"\b([A-Za-z_]\w*)\s*(<=|>=|==|=|<|>)\s*(-?\d+(?:\.\d+)?)")
_HOLDS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "==": operator.eq,
}
_DENIED = re.compile(r"\b(neither|nor|not|never|cannot|isn't)\b[^.;:]{0,45}\Z", re.IGNORECASE)
_CONTRASTED = re.compile(
    r"\b(unlike|than|instead of|rather than|not|neither|nor|opposed to|from)\s+(?:the\s+|a\s+)?\Z",
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


def claims_of(thing: Callable[..., Any]) -> Claims | None:
    """The claims in the docstrings of a callable (its class, its forward or __call__); None
    where there are none.
    """
    found = _read(_docstrings(thing), _settings(thing))
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


def _docstrings(thing: Callable[..., Any]) -> str:
    if isinstance(thing, functools.partial):
        return _docstrings(thing.func)
    if inspect.isroutine(thing):
        return inspect.getdoc(thing) or ""
    kind = type(thing)
    own = [vars(kind).get(name) for name in ("forward", "__call__")]
    texts = (kind.__doc__, *(getattr(function, "__doc__", None) for function in own))
    return "\n\n".join(inspect.cleandoc(text) for text in texts if text)


def _settings(thing: Callable[..., Any]) -> dict[str, float]:
    """The numbers that the callable was made with: attributes of an instance, defaults of a
    function.
    """
    found: dict[str, Any] = {}
    if isinstance(thing, functools.partial):
        found = {**_settings(thing.func), **thing.keywords}
    elif inspect.isroutine(thing):
        # a function written in C has no signature: no condition can be told to hold
        with contextlib.suppress(TypeError, ValueError):
            found = {name: p.default for name, p in inspect.signature(thing).parameters.items()}
    else:
        found = dict(getattr(thing, "__dict__", {}))
    return {
        name.lstrip("_"): float(value)
        for name, value in found.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _read(text: str, settings: dict[str, float]) -> Claims:
    divergences: dict[str, tuple[str, ...]] = {}
    vague: dict[str, tuple[str, ...]] = {}
    said: dict[str, set[bool]] = {"forcing": set(), "avoiding": set()}
    for block in _blocks(text):
        if not all(
            name in settings and _HOLDS[sign](settings[name], float(value))
            for name, sign, value in _RELATION.findall(block)
        ):
            continue
        for rows, into in ((_DIVERGENCES, divergences), (_VAGUE, vague)):
            for name, pattern, fulfilled in rows:
                if any(
                    not _CONTRASTED.search(block[: m.start()])
                    for m in re.finditer(pattern, block, re.IGNORECASE)
                ):
                    into[name] = fulfilled
        for match in _ALPHA.finditer(block):
            divergences |= _alpha(match.group(1))
        for match in re.finditer(r"zero[- ]?(forcing|avoiding)", block, re.IGNORECASE):
            said[match.group(1).lower()].add(not _DENIED.search(block[: match.start()]))
    character = [
        next(iter(seen)) if len(seen) == 1 else None for seen in said.values()
    ]  # yes and no: no clear claim
    return Claims(tuple((divergences or vague).items()), *character)


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


def _blocks(text: str) -> list[str]:
    """Paragraphs and list entries, each on one line, without markup."""
    plain = re.sub(r":[a-z]+:(?=`)|[`*$]|\\", "", text)
    plain = re.sub(r"\n[ \t]*(?=[-+•]\s)", "\n\n", plain)
    blocks = [" ".join(block.split()) for block in re.split(r"\n\s*\n", plain)]
    ends = [
        i
        for i, block in enumerate(blocks)
        if re.match(r"(References?|Examples?|Usage|See also)\b", block)
    ]
    return blocks[: min(ends, default=len(blocks))]
