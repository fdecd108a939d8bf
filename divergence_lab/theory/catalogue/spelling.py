"""Names as people write them: `Linex(1)`, `Shifted-Cosh`, `log cosh`, `Jensen Shannon`, `TV`.

A name is told by its letters and digits alone, capitals or not; what is no name gets the nearest.
"""

import re
from collections.abc import Collection, Iterable, Mapping

from divergence_lab.inputs import nearest, shown
from divergence_lab.theory.catalogue.divergences import DIVERGENCES, NamedDivergence
from divergence_lab.theory.catalogue.losses import LOSSES
from divergence_lab.theory.expressions import ExpressionError
from divergence_lab.theory.expressions.symbols import FUNCTIONS, OTHER_WORDS

LOSS_NAMES = tuple(entry.name for entry in LOSSES)
OTHER_LOSSES = {
    "mse": "quadratic",
    "l2": "quadratic",
    "squared error": "quadratic",
    "l1": "absolute",
    "mae": "absolute",
    "absolute error": "absolute",
    "quantile": "pinball",
}
OTHER_DIVERGENCES = {
    "TV": "total variation",
    "JS": "Jensen-Shannon",
    "JSD": "Jensen-Shannon",
    "Jensen-Shannon divergence": "Jensen-Shannon",
    "Jeffreys divergence": "Jeffreys",
    "Hellinger": "squared Hellinger",
    "Pearson": "Pearson chi-square",
    "Pearson chi2": "Pearson chi-square",
    "Neyman": "Neyman chi-square",
    "Neyman chi2": "Neyman chi-square",
    "triangular": "triangular discrimination",
    "KL forward": "forward KL",
    "KL reverse": "reverse KL",
}
# One name for two divergences: the user has to say which.
AMBIGUOUS = {
    "kl": ("forward KL", "reverse KL"),
    "kldivergence": ("forward KL", "reverse KL"),
    "chi2": ("Pearson chi-square", "Neyman chi-square"),
    "chisquare": ("Pearson chi-square", "Neyman chi-square"),
    "chisquared": ("Pearson chi-square", "Neyman chi-square"),
}


def letters(name: str) -> str:
    """The letters and digits of a name, in lower case.

    >>> letters("Shifted-Cosh")
    'shiftedcosh'
    """
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _pattern(name: str) -> str:
    """The words of a name, with or without a mark between them; quadratic-linex is a difference."""
    words = re.split(r"[-_ ]", name)
    mark = "[_ ]?" if all(word in LOSS_NAMES for word in words) else "[-_ ]?"
    return mark.join(map(re.escape, words))


def _finder(names: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile(
        rf"(?<!\w)(?:{'|'.join(map(_pattern, longest_first))})(?!\w)", re.IGNORECASE | re.ASCII
    )


_LOSSES: Mapping[str, str] = {
    **{letters(name): name for name in LOSS_NAMES},
    **{letters(name): meant for name, meant in OTHER_LOSSES.items()},
}
_DIVERGENCES: Mapping[str, NamedDivergence] = {
    letters(name): next(entry for entry in DIVERGENCES if entry.name == meant)
    for name, meant in (
        *((entry.name, entry.name) for entry in DIVERGENCES),
        *OTHER_DIVERGENCES.items(),
    )
}
_LOSS_IN_TEXT = _finder((*LOSS_NAMES, *OTHER_LOSSES))
_DIVERGENCE_IN_TEXT = _finder((*(entry.name for entry in DIVERGENCES), *OTHER_DIVERGENCES))


def with_loss_names(text: str, parameters: Collection[str] = ()) -> str:
    """The text with every loss named as the catalogue does; a stated parameter keeps its name.

    >>> with_loss_names("Linex(1) + Shifted-Cosh/2")
    'linex(1) + shifted_cosh/2'
    """

    def canonical(found: re.Match[str]) -> str:
        return found[0] if found[0] in parameters else _LOSSES[letters(found[0])]

    return _LOSS_IN_TEXT.sub(canonical, text) if isinstance(text, str) else text


def with_divergence_names(
    text: str, parameters: Collection[str] = ()
) -> tuple[str, Mapping[str, NamedDivergence]]:
    """The text with a word for every divergence in it, and what the words stand for.

    >>> with_divergence_names("Jeffreys + 2*total variation")[0]
    'jeffreys + 2*totalvariation'
    """
    words: dict[str, NamedDivergence] = {}

    def word(found: re.Match[str]) -> str:
        if found[0] in parameters:
            return found[0]
        name = letters(found[0])
        words[name] = _DIVERGENCES[name]
        return name

    text = re.sub(
        r"(?i)\bwith (?:\w+ =|parameter) (.+)\Z", r"(\1)", text
    )  # as invert itself writes a family
    return re.sub(r"([a-z0-9]) +\(", r"\1(", _DIVERGENCE_IN_TEXT.sub(word, text)), words


def refuse_ambiguous(text: str) -> None:
    """Raises ExpressionError for a name of two divergences."""
    if (both := AMBIGUOUS.get(letters(text))) and re.fullmatch(r"[\w\s-]+", text):
        raise ExpressionError(
            f"{shown(text.strip())} may be {both[0]!r} or {both[1]!r}: name one of them"
        )


def refuse_misspelt(call: str) -> None:
    """Raises ExpressionError for a call of what is nearly a loss's name."""
    name = call.partition("(")[0].strip()
    near = nearest(letters(name), [*_LOSSES, *FUNCTIONS, *OTHER_WORDS])
    if near in _LOSSES and name.lower() not in OTHER_WORDS:
        raise ExpressionError(
            f"no loss or function is called {shown(name)}; did you mean {_LOSSES[near]!r}?"
        )


def refuse_loss(part: str) -> None:
    """Raises ExpressionError for a loss with its parameters where a generator is written."""
    if "(" in part and letters(part.partition("(")[0]) in _LOSSES:
        raise ExpressionError(not_a_generator(part))


def is_in_words(text: str) -> bool:
    """Words with nothing but spaces between them, which no expression has."""
    return re.fullmatch(r"\s*[A-Za-z][\w-]*(?:\s+[A-Za-z][\w-]*)+\s*", text) is not None


def not_a_loss(text: str) -> str:
    """What to say of a text without x that is no loss's name.

    >>> not_a_loss("quadratc")
    "no loss is called 'quadratc'; did you mean 'quadratic'?"
    """
    name, word = shown(text.strip()), letters(text.partition("(")[0])
    if word in AMBIGUOUS:
        both = " or ".join(repr(meant) for meant in AMBIGUOUS[word])
        return f"{name} may be the divergence {both}: a loss is asked for, or invert one of these"
    if word in _DIVERGENCES:
        entry = _DIVERGENCES[word]
        return f"{name} is a divergence; its loss is {entry.loss}: derive that, or invert {name}"
    near = nearest(word, _LOSSES)
    form = "a loss", "loss", "an expression in the residual x"
    return _no_name(text, *form, _LOSSES[near] if near else None)


def not_a_generator(text: str) -> str:
    """What to say of a text without t that is no divergence's name."""
    name, word = shown(text.strip()), letters(text.partition("(")[0])
    if word in _LOSSES:
        return f"{name} is a loss, not a generator: derive {name} gives its divergence"
    near = nearest(word, _DIVERGENCES)
    form = "a generator", "divergence", "an expression in the ratio t"
    return _no_name(text, *form, _DIVERGENCES[near].name if near else None)


def _no_name(text: str, asked: str, named: str, form: str, near: str | None) -> str:
    """What to say of a text that neither names a loss or divergence nor has its variable."""
    name = shown(text.strip())
    if not re.fullmatch(r"\s*[A-Za-z][\w -]*(\(.*\))?\s*", text):
        return f"{name} does not depend on {form[-1]}: {asked} is {form}"
    if near is not None:
        return f"no {named} is called {name}; did you mean {near!r}?"
    return (
        f"no {named} is called {name}: 'divergence-lab catalogue' lists the names, and "
        f"{asked} is {form}"
    )
