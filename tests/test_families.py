"""Random families: what is said of them for all parameters holds, in high precision, at
parameters inside, at and beside every boundary.
"""

import random
import re

import mpmath as mp
import pytest

from divergence_lab.theory.checker.parametric import check_parametric, left_out
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.expressions.printing import write
from divergence_lab.theory.expressions.syntax import ExpressionError
from divergence_lab.theory.verdicts.parameters import ask_for_parameters
from divergence_lab.theory.verdicts.verdict import KINDS, verdict_to_json
from tests.families import DIGITS, TINY, Member, draw, holds, limit_exists

SECONDS = 6.0
NAMES = {**vars(mp), "mp": mp, "E": mp.e}  # of a condition and of the ends of cells, in numbers
PARTS, OF_A_PART = 8, 250


def in_numbers(text: str) -> str:
    """The text with its whole numbers as mpmath's: 1/3 to all digits."""
    return re.sub(r"(\d+)", r"mp.mpf(\1)", text)


def said(verdict: dict, c: mp.mpf) -> bool:
    """What the verdict says at this parameter."""
    if verdict["condition"] is None:
        return verdict["holds"]
    condition = re.sub(r"(?<![<>!=])=(?!=)", "==", verdict["condition"])
    return bool(eval(in_numbers(condition), {**NAMES, "c": c}))


def parameters_of(family, verdict: dict) -> list[mp.mpf]:
    """Inside, at and beside the boundaries of what is said, and where the assumptions end."""
    bounds = {mp.mpf(family.singular)}
    for step in verdict["steps"]:
        for key in ("low", "high", "at"):
            if (
                step.get(key, "oo") not in ("oo", "-oo")
                and step["rule"] in ("cell", "undefined")
                and not (key == "at" and step["rule"] == "cell")
            ):
                bounds.add(mp.mpf(eval(in_numbers(step[key]), NAMES)))
    offsets = [
        mp.mpf(0),
        *(s * mp.mpf(1) / d for d in (5, 2) for s in (1, -1)),
        mp.mpf(3),
        -mp.mpf(3),
    ]
    found = {b + o for b in bounds for o in offsets}
    return sorted(
        c for c in found if family.sides == (-1, 1) or (c - family.singular) * family.sides[0] >= 0
    )


def hunt(
    seed: int, count: int, kinds: int = len(KINDS), seconds: float = SECONDS
) -> dict[str, int]:
    """How many families, verdicts that were decided and comparisons, for so many kinds of each;
    fails at the first that is wrong.
    """
    source, seen = random.Random(seed), {"families": 0, "decided": 0, "undecided": 0, "compared": 0}
    with mp.workdps(DIGITS):
        while seen["families"] < count:
            family = draw(source)
            try:
                entry = loss(family.text, family.assumptions)
            except ExpressionError:
                continue
            if not entry.parameters:
                continue
            seen["families"] += 1
            converges = limit_exists(family)
            for kind in source.sample(KINDS, kinds):
                verdict = verdict_to_json(ask_for_parameters(kind, entry, seconds), kind)
                check_parametric(kind, verdict, write(entry.expression), entry.assumptions)
                if verdict["status"] == "undecided":
                    seen["undecided"] += 1
                    continue
                seen["decided"] += 1
                where = f"seed {seed}: {family}: {kind} {verdict['holds']} {verdict['condition']}"
                gone = left_out({k: verdict if k == kind else {"steps": []} for k in KINDS})
                assert (
                    gone == ([] if converges else [f"c = {family.singular}"])
                    or verdict["steps"][0]["rule"] == "line"
                ), f"{where}: left out {gone}"
                for c in parameters_of(family, verdict):
                    at_singular = c == family.singular
                    if at_singular and not converges:
                        continue
                    near = c + family.sides[0] * TINY if at_singular else c
                    expected = holds(kind, Member(family.text, near))
                    if expected is not None:
                        seen["compared"] += 1
                        assert said(verdict, c) is expected, (
                            f"{where}: at c = {mp.nstr(c, 8)} it is {expected}"
                        )
    return seen


def test_fifteen_random_families():
    seen = hunt(1, 15, kinds=1)
    assert seen["decided"] > 10 and seen["compared"] > 40, seen


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_two_thousand_random_families(part):
    seed = 1000 + part
    print(
        f"seed {seed}: {hunt(seed, OF_A_PART, kinds=2, seconds=2.0)}"
    )  # what finds nothing ends sooner


def test_the_oracle_sees_what_is_wrong():
    """A negative control: the answers of before, valid exactly when c > 0, and ZF exactly when c
    > 0, are refused.
    """
    with mp.workdps(DIGITS):
        hyperbola = Member("c*(sqrt(1+(x/c)**2)-1)", TINY)
        assert holds("validity", hyperbola) is True and holds("symmetric", hyperbola) is True
        assert holds("zero_forcing", Member("c*log((1+exp(x**2/c))/2)", TINY)) is True
