"""Forged documents: every field of what `derive --json` prints, altered in several ways, the seal
and the words made to fit.

`forgeries(entry, others)` yields (what was done, the forged object). Each says something false of
the loss, or something that cannot be known from it; none is what `derive` prints.
"""

from __future__ import annotations

import contextlib
import copy
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from divergence_lab.theory.checker.certificate import cites, claim_of, seal
from divergence_lab.theory.checker.kinds.table import KINDS
from divergence_lab.theory.checker.sentences import because_of

# What it does to a text that says a formula; {v} is the variable. The last vanishes at three points
# and is small elsewhere.
IN_FORMULA = (
    "({text}) + 1/1000000",
    "-({text})",
    "2*({text})",
    "({text})*(1 + ({v} - 1)**2/10**9)",
    "({text}) + ({v} - 1)*({v} - 2)*({v} - 3)/10**12",
    "{text} # as every referee found",
    "Piecewise(({text}, {v} < 100), (({text}) + 1, True))",
)
# What it does to a loss that is written in integrals from 0 to x.
IN_INTEGRAL = (("(v, 0, x)", "(v, 1, x)"), ("(v, 0, x)", "(v, seen_by_a_referee, x)"), ("v", "x"))
VARIABLE = {
    "loss": "x",
    "loss_derivative": "x",
    "generator": "t",
    "dual_loss": "x",
    "as_given": "x",
    "sampled_loss": "x",
    "normalised": "t",
}
IN_NUMBER = ("({text}) + 1/10**9", "-({text}) - 1", "oo", "-oo", "7")
NUMBERS = ("f_at_zero", "slope_at_infinity", "curvature_at_zero", "factor")
SENTENCES = (
    "f'(oo) = int g'(x) e^(-x) dx = oo, by comparison with 1/x",
    "the loss is all one could wish for",
    "",
)


def resealed(verdict: dict[str, Any], kind: str) -> dict[str, Any]:
    """The claims, the citations and the seal made to fit the altered data, as a forger would."""
    for step in verdict["steps"]:
        with contextlib.suppress(KeyError, ValueError, AttributeError):
            step["claim"] = claim_of(
                step["rule"], {k: v for k, v in step.items() if k not in ("rule", "claim")}
            )
    verdict["cites"] = cites(kind, verdict["steps"])
    return {**verdict, "seal": seal(verdict)}


def forgeries(
    entry: Mapping[str, Any], others: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every forgery of one object; `others` are objects of other losses, whose fields it may
    borrow.
    """
    for key, text in entry.items():
        for new in _altered(key, text, others):
            if new != text and not same_number(new, text):
                yield f"{key}: {str(new)[:80]}", {**copy.deepcopy(dict(entry)), key: new}
    for kind in KINDS:
        for what, verdict in _altered_verdicts(
            kind, entry[kind], [other[kind] for other in others]
        ):
            forged = copy.deepcopy(dict(entry))
            forged[kind] = resealed(verdict, kind)
            if kind == "validity":
                forged |= {
                    "valid": verdict["holds"],
                    "why_invalid": None if verdict["holds"] else verdict["because"],
                }
            yield f"{kind}: {what}", forged


def same_number(one: Any, other: Any) -> bool:
    """Two texts of one decimal number, such as 1 and 1.00: to say the other is no forgery."""
    with contextlib.suppress(TypeError, ValueError):
        return float(one) == float(other)
    return False


def _altered(key: str, text: Any, others: Sequence[Mapping[str, Any]]) -> Iterator[Any]:
    if key in VARIABLE and isinstance(text, str) and "Integral" not in text:
        yield from (form.format(text=text, v=VARIABLE[key]) for form in IN_FORMULA)
    if key == "loss" and "Integral" in text:
        yield from (text.replace(old, new) for old, new in IN_INTEGRAL)
        yield f"Integral(7, (v, 0, 1)) + {text}"
    if key in NUMBERS and isinstance(text, str):
        yield from (form.format(text=text if "oo" not in text else "1") for form in IN_NUMBER)
    if (
        key
        in (
            "name",
            "divergence",
            "loss",
            "generator",
            "dual_loss",
            "loss_derivative",
            "weighted_by",
            "sampler",
            *NUMBERS,
        )
        and text is not None
    ):
        yield from (other[key] for other in others if other.get(key) is not None)
    if key == "parameters":
        yield [*text, "zeta"]
        yield ["x"]
    if key == "gauge" and text is not None:
        yield {**text, "constant": f"{text['constant']} + 1"}
        yield {**text, "slope": f"{text['slope']} + 1/10"}
    if key == "valid":
        yield not text
    if key == "why_invalid":
        yield "" if text is None else "not at all: it is valid"
    if key == "pieces" and text:
        yield text[:-1]
        yield [{**piece, "slope": piece["slope"] + " + 1/10**9"} for piece in text]
        yield [{**piece, "curvature": piece["curvature"] + " + 1/10**9"} for piece in text]
    for place, value in enumerate(text if key == "values" else ()):
        for forged in (
            {**value, "f": value["f"][:-3] + "777"},
            {**value, "t": "7/3"},
            {**value, "f": "-" + value["f"]},
        ):
            yield [*text[:place], forged, *text[place + 1 :]]
    if key == "left_out":
        yield [*text, "a = 0"]
    if isinstance(text, dict) and "cases" in text:
        for place, case in enumerate(text["cases"]):
            yield {
                "cases": [
                    *text["cases"][:place],
                    {**case, "value": "17"},
                    *text["cases"][place + 1 :],
                ]
            }
            yield {"cases": text["cases"][:place] + text["cases"][place + 1 :]}


def _altered_verdicts(
    kind: str, verdict: Mapping[str, Any], others: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "a key besides", {**copy.deepcopy(dict(verdict)), "note": "seen by three referees"}
    if verdict["status"] == "undecided":
        yield (
            "decided after all",
            {**copy.deepcopy(dict(verdict)), "holds": True, "status": "proved"},
        )
        return
    yield (
        "the opposite",
        {**copy.deepcopy(dict(verdict)), "holds": not verdict["holds"], "condition": None},
    )
    yield (
        "another status",
        {
            **copy.deepcopy(dict(verdict)),
            "status": "proved" if verdict["status"] == "enclosed" else "enclosed",
        },
    )
    yield (
        "a condition",
        {
            **copy.deepcopy(dict(verdict)),
            "condition": "always"
            if verdict["condition"] is None
            else verdict["condition"].translate(str.maketrans("012345", "123450")),
        },
    )
    for sentence in SENTENCES:
        if sentence != verdict["because"]:
            yield f"because {sentence[:30]}", {**copy.deepcopy(dict(verdict)), "because": sentence}
    for other in others:
        if (other["holds"], other["condition"]) != (
            verdict["holds"],
            verdict["condition"],
        ) and other["status"] != "undecided":
            yield "that of another loss", copy.deepcopy(dict(other))
    for place, step in enumerate(verdict["steps"]):
        for key, new in (
            ("limit", "5"),
            ("f", "x + 17"),
            ("low", "-3"),
            ("jump", "-2"),
            ("diverges", "maybe"),
            ("scale", "1/x"),
            ("holds", "maybe"),
            ("at", "1/3"),
            ("sign", "< 0"),
        ):
            if step.get(key) not in (None, new) and step["rule"] not in {
                "at": ("witness", "cell"),
                "sign": ("witness",),
            }.get(key, ()):
                altered = copy.deepcopy(dict(verdict))
                altered["steps"][place][key] = new
                yield f"step {place + 1} {key}", altered


# --- random mutations of one verdict

_NUMBER = re.compile(r"(?<![\w.])\d+(?![\w.])")
_OPERATORS = ("+", "-", "*", "/", "**", "<", ">", "<=", ">=", "=", "!=")
_OPERATOR = re.compile(r"\*\*|<=|>=|!=|[-+*/<>=]")
_PAIRS = {"true": "false", "oo": "-oo", "sinh": "cosh", "slope": "curvature", "and": "or"}
_OPPOSITES = {**_PAIRS, **{b: a for a, b in _PAIRS.items()}}
_WORD = re.compile(r"(?<!\w)-?(?:" + "|".join(word.lstrip("-") for word in _OPPOSITES) + r")(?!\w)")


def mutated(
    verdict: Mapping[str, Any], kind: str, source: random.Random
) -> tuple[str, dict[str, Any]]:
    """(what was done, the verdict with one thing in it altered at random), its words, citations and
    seal made to fit where they can be: a number is moved a little, an operator or a word is
    exchanged, a step is dropped, doubled or moved, or takes a text of another; the answer or the
    condition is another.
    """
    forged = copy.deepcopy(dict(verdict))
    change = source.choice((*[_in_step] * 8, _of_steps, _of_answer))
    what = change(forged, source)
    forged = resealed(forged, kind)
    with contextlib.suppress(Exception):  # not even a sentence can be made of some
        forged["because"] = because_of(kind, forged["holds"], forged["condition"], forged["steps"])
    return what, resealed(forged, kind)


def _in_step(forged: dict[str, Any], source: random.Random) -> str:
    step = source.choice(forged["steps"])
    key = source.choice([key for key in step if key not in ("rule", "claim")] or ["claim"])
    old = step[key]
    step[key] = altered_text(old, source)
    if source.random() < 0.15:
        step[key] = source.choice(forged["steps"]).get(key, old)
    return f"{key}: {old} -> {step[key]}"


def _of_steps(forged: dict[str, Any], source: random.Random) -> str:
    steps, place = forged["steps"], source.randrange(len(forged["steps"]))
    way = source.choice(("dropped", "doubled", "moved"))
    step = copy.deepcopy(steps[place] if way == "doubled" else steps.pop(place))
    if way != "dropped":
        steps.insert(source.randrange(len(steps) + 1), step)
    return f"step {place + 1} {way}"


def _of_answer(forged: dict[str, Any], source: random.Random) -> str:
    was = forged["holds"], forged["condition"]
    if forged["condition"] is not None:
        forged["condition"] = source.choice((None, altered_text(forged["condition"], source)))
    if forged["condition"] is None:
        forged["holds"] = source.choice([True, False] if was[0] is None else [not was[0]])
    return f"{was} -> {forged['holds'], forged['condition']}"


def altered_text(text: str, source: random.Random) -> str:
    """A formula, a range or a condition with one number, operator or word changed."""
    places = [m for form in (_NUMBER, _OPERATOR, _WORD) for m in form.finditer(text)]
    if not places or source.random() < 0.1:
        return source.choice((f"-({text})", f"({text}) + 1/10**12", f"{text} + 1", "0", "oo"))
    found = source.choice(places)
    new = _OPPOSITES.get(found[0]) or (
        source.choice(_OPERATORS) if _OPERATOR.fullmatch(found[0]) else _neighbour(found[0], source)
    )
    return text[: found.start()] + new + text[found.end() :]


def _neighbour(number: str, source: random.Random) -> str:
    forms = ("{n} + 1", "({n} + 1)", "({n} - 1)", "({n} + 1/1000)", "(-{n})", "({n}/2)", "{m}")
    return source.choice(forms).format(n=number, m=str(int(number) + 1))
