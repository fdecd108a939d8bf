"""Two thousand losses of the kinds that people write, whose verdicts are known by how they are
built: none is wrong, and few stay open.
"""

from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from divergence_lab.inputs import InputError
from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, within
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.verdicts.decision import decide
from tests.known_by_construction import KINDS

VERDICTS = ("valid", "convex", "zero_forcing", "zero_avoiding", "even", "bounded_gradient")
SECONDS = 20
COUNTS = {  # six hundred; fewer of what takes long
    "removable": 20,
    "tails": 20,
    "crossing": 60,
    "broken": 150,
    "named": 150,
    "scaled": 200,
}


def answers(text: str) -> dict[str, bool | None]:
    found = decide(loss(text))
    return {name: getattr(found, name).holds for name in VERDICTS}


def seen(kind: str, count: int, number: int) -> tuple[list, list, Counter]:
    """What is wrong, what stays open, and how many of each were asked."""
    wrong, open_, count_of = [], [], Counter()

    @seed(number)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(KINDS[kind])
    def run(known):
        count_of["losses"] += 1
        count_of["verdicts"] += len(known.verdicts)
        try:
            got = within(SECONDS, answers, known.text)
        except (OutOfTime, SearchFailed, InputError) as why:
            open_.extend((known.text, name, str(why)) for name in known.verdicts)
            return
        for name, right in known.verdicts.items():
            if got[name] is None:
                open_.append((known.text, name))
            elif got[name] is not right:
                wrong.append((known.text, name, got[name]))

    run()
    return wrong, open_, count_of


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_of_each_kind(kind):
    wrong, open_, count = seen(kind, 2, 16)
    assert wrong == [] and len(open_) <= count["verdicts"] / 5, open_


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "number"), COUNTS.items())
def test_six_hundred_losses(kind, number):
    wrong, open_, count = seen(kind, number, 1)
    print(f"{kind}: {count['losses']} losses, {count['verdicts']} verdicts, {len(open_)} open")
    assert wrong == [] and len(open_) <= 0.06 * count["verdicts"], (wrong, open_[:20])
