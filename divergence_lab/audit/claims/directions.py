"""KL(a || b) in a text: which of the two is the model, and so which KL it is.

KL(model || target): reverse KL        KL(target || model): forward KL
"""

import re
from collections.abc import Iterator, Mapping

_START = re.compile(
    r"(?:\bD_?\{?(?:text|mathrm|mathbb|operatorname)?\{?KL\}*|\b(?:mathrm|text)?\{?KLD?\}?"
    r"(?:[- ]divergence)?)\s?(?=[\(\[\{])",
    re.IGNORECASE,
)
_MODEL = frozenset(
    re.findall(
        r"\w+",
        "policy theta model student pf learned actor current online new pred predicted prediction "
        "variational approximate gflownet sampler trained",
    )
)
_TARGET = frozenset(
    re.findall(
        r"\w+",
        "ref reference target teacher pb base init sft prior data posterior true old frozen expert "
        "empirical groundtruth",
    )
)


def kl_formulas(sentence: str, roles: Mapping[str, str]) -> set[str]:
    """The directions of the formulas KL(a || b) in a sentence: "forward KL", "reverse KL"."""
    return {name for name, _ in directed(sentence, roles)}


def directed(sentence: str, roles: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """(direction, where it starts) of each formula KL(a || b) whose sides are known."""
    for inside, start, _ in _formulas(sentence):
        pair = _pair(inside)
        if pair is None:
            continue
        a, b = (_role(part, roles) for part in pair)
        if {a, b} == {"model", "target"}:
            yield "reverse KL" if a == "model" else "forward KL", start


def masked(sentence: str) -> str:
    """The sentence with KL and blanks for each formula, all other letters in their places."""
    for inside, start, end in _formulas(sentence):
        if _pair(inside) is not None:
            sentence = sentence[:start] + "KL".ljust(end - start) + sentence[end:]
    return sentence


def _formulas(sentence: str) -> Iterator[tuple[str, int, int]]:
    """(what is inside, where it starts, where it ends)."""
    for match in _START.finditer(sentence):
        start, depth = match.end(), 0
        for index in range(start, len(sentence)):
            depth += (sentence[index] in "([{") - (sentence[index] in ")]}")
            if depth == 0:
                yield sentence[start + 1 : index], match.start(), index + 1
                break


def _pair(inside: str) -> tuple[str, str] | None:
    """The two sides of || at the outermost level."""
    depth, level = 0, []
    for letter in inside:
        depth += letter in "([{"
        depth -= letter in ")]}"
        level.append(depth)
    outer = "".join(letter if at == 0 else "_" for letter, at in zip(inside, level, strict=True))
    match = re.search(r"\|\|?|‖|∥|\bparallel\b", outer)
    if match is None:
        return None
    return inside[: match.start()], inside[match.end() :]


def _role(part: str, roles: Mapping[str, str]) -> str | None:
    """ "model", "target" or None: by the argument it names, else by its words."""
    by_argument = {_bare(name): role for name, role in roles.items()}
    if _bare(part) in by_argument:
        return by_argument[_bare(part)]
    words = set(_words(part))
    if words & _TARGET:
        return None if words & (_MODEL - {"policy", "model"}) else "target"
    if words & _MODEL or words == {"pi"}:
        return "model"
    return None


def _words(part: str) -> list[str]:
    part = re.sub(r"\([^()]*\)|[{}^]", " ", part.lower())
    part = part.replace("p_f", " pf ").replace("p_b", " pb ").replace("θ", " theta ")
    return [word for word in re.split(r"[^a-zπ]+", part.replace("π", "pi")) if word]


def _bare(name: str) -> str:
    dropped = {"log", "logp", "logprob", "logprobs", "prob", "probs", "logits", "per", "token"}
    words = [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]
    return "_".join(word for word in words if word not in dropped) or "_".join(words)
