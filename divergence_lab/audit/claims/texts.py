"""The sentences of a docstring that speak of the thing itself, as it is."""

import contextlib
import functools
import inspect
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

_RELATION = re.compile(r"\b([A-Za-z_]\w*)\s*(<=|>=|==|=|<|>)\s*(-?\d+(?:\.\d+)?)")
_HOLDS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "==": operator.eq,
}
# Sentences of another time, of other things, of what may be: no claim is read in them.
_ELSEWHERE = re.compile(
    r"\b(earlier|previous(?:ly)?|former(?:ly)?|used to|legacy|originally|deprecated|changelog|"
    r"see|cf|refer|todo|fixme|alternatives?|similar(?:ly)?|related|inspired|analogous|reminiscent|"
    r"approximat(?:es|ing|ion)|bounds?|interpolat\w*|between|instead|swap\w*|switch\w*|replac\w*|generali[sz]ed|"
    r"options?|choose|choices?|either|supports|one of|depending|if|when|would|could|may|might|"
    r"can|should|tends?|equivalent|limit|compare[sd]?|comparison|versus|vs|differs?|confuse[d]?|"
    r"estimator of the other|callers?|other(?:s|wise)?|another|also|raises?|returns? a dict)\b",
    re.IGNORECASE,
)
# What follows these is of something else; what comes before stands.
_TURN = re.compile(
    r"[,(;]?\s*\b(unlike|whereas|while|but|however|rather than|as opposed to|in contrast|"
    r"contrary to|than|opposed to|not)\b",
    re.IGNORECASE,
)
# Words that leave a name what it is; an acronym, a letter and a number do, too.
_BARE = frozenset(
    re.findall(
        r"\w+",
        "a an the plain simple standard naive usual this it its that whose here both "
        "simultaneously and or neither nor not no never cannot longer without isn doesn avoids "
        "avoid prevents prevent behaviour behavior direction is are be has computes compute "
        "computed computing calculates calculate estimates estimate estimated estimator "
        "minimises minimizes minimise minimize minimising minimizing optimises optimizes gives "
        "yields induces implements corresponds corresponding adds loss losses function "
        "objective objectives criterion divergence divergences distance penalty penalties term "
        "terms regulariser regularizer regularisation regularization distillation gradient "
        "gradients squared square twice half times equals exactly expected averaged low lower "
        "variance unbiased approximate monte carlo surrogate policy reference ref target model "
        "student teacher frozen old new tilted current trained learned base data posterior "
        "prior samples sample sampling sampled trajectories trajectory sequence sequences token "
        "tokens level per batch actions states importance coefficient weight weighted weights "
        "beta alpha gamma delta log_probs probabilities distribution distributions pi theta of "
        "to towards toward from over with by on in at up constant factor i e purely strictly "
        "balanced only family",
    )
)
# A name that is spoken of ("the reverse KL is ...") is not what is claimed.
_SPOKEN_OF = re.compile(
    r"\s*(?:divergence|distance|loss|term|penalty)?\s+(?:is|are|was|does|do|has|have|will)\b"
)
# What follows such a heading is of the arguments, or of other things.
_SECTIONS = "References?|Examples?|Usage|See also|Args|Arguments|Parameters|Notes?"
_ENDS = re.compile(r"(?<!\bi\.e)(?<!\be\.g)(?<!\bet al)(?<!\bvs)(?<!\bcf)[.!?;](?=\s|\Z)")


def sentences(text: str) -> Iterator[tuple[str, str]]:
    """(sentence, condition): each that may be a claim, up to where it turns to something else; a
    condition holds for what follows it in its paragraph.
    """
    for block in _blocks(text):
        condition = ""
        for sentence in _ENDS.split(block):
            condition = sentence if _RELATION.search(sentence) else condition
            opened = re.sub(
                r"^\s*(?:unlike|in contrast to|contrary to|as opposed to)\b[^,]*,(?: which[^,]*,)?",
                "",
                sentence,
                flags=re.IGNORECASE,
            )
            turned = _TURN.search(opened)
            kept = opened if turned is None else _up_to(opened, turned)
            if kept.strip() and not _ELSEWHERE.search(kept):
                yield kept.strip(), condition


def _up_to(sentence: str, turned: re.Match[str]) -> str:
    """The part before the turn; of "not zero-forcing" the whole, which denies it."""
    if turned.group(1).lower() == "not":
        return sentence
    return sentence[: turned.start()]


def holds_here(condition: str, numbers: dict[str, float]) -> bool:
    """Do all conditions in a sentence, as alpha = 1, hold for the audited instance?"""
    return all(
        name in numbers and _HOLDS[sign](numbers[name], float(value))
        for name, sign, value in _RELATION.findall(condition)
    )


def says_only(names: re.Pattern[str], sentence: str, place: int) -> bool:
    """Are all words bare that stand with the name at `place` between two marks, names aside?"""
    marks = [match.start() for match in re.finditer(r"[,;:()\[\]]|\s[-–—]+\s", sentence)]
    low = max((mark + 1 for mark in marks if mark < place), default=0)
    high = min((mark for mark in marks if mark > place), default=len(sentence))
    clause = re.sub(r"\bas in \w+\s*\Z", "", sentence[low:high])
    if any(_SPOKEN_OF.match(clause[match.end() :]) for match in names.finditer(clause)):
        return False
    words = re.findall(r"[^\W\d_][\w']*", names.sub(" ", clause))
    return all(len(word) == 1 or word.isupper() or word.lower() in _BARE for word in words)


def docstrings(thing: Callable[..., Any]) -> str:
    """Those of a function; of an instance those of its class and of what is called."""
    if isinstance(thing, functools.partial):
        return docstrings(thing.func)
    if inspect.isroutine(thing):
        return inspect.getdoc(thing) or ""
    kind = type(thing)
    own = [vars(kind).get(name) for name in ("forward", "__call__")]
    texts = (kind.__doc__, *(getattr(function, "__doc__", None) for function in own))
    return "\n\n".join(inspect.cleandoc(text) for text in texts if text)


def name_of(thing: Callable[..., Any]) -> str:
    """The words of its name: "reverse kl loss"."""
    if isinstance(thing, functools.partial):
        return name_of(thing.func)
    name = getattr(thing, "__name__", type(thing).__name__)
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return " ".join(split.replace("_", " ").lower().split())


def settings(thing: Callable[..., Any]) -> dict[str, float]:
    """The numbers that the callable was made with: attributes of an instance, defaults of a
    function.
    """
    found: dict[str, Any] = {}
    if isinstance(thing, functools.partial):
        found = {**settings(thing.func), **thing.keywords}
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


def _blocks(text: str) -> list[str]:
    """Paragraphs and list entries, each on one line, without markup."""
    plain = re.sub(r":[a-z]+:(?=`)|[`*$]|\\", "", text)
    plain = re.sub(r"\n[ \t]*(?=[-+•]\s)", "\n\n", plain)
    blocks = [" ".join(block.split()) for block in re.split(r"\n\s*\n", plain)]
    ends = [i for i, block in enumerate(blocks) if re.match(rf"({_SECTIONS})\b", block)]
    return blocks[: min(ends, default=len(blocks))]
