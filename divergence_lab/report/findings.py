"""What the study shows, in numbers and in sentences: who was fast and why, whether the class of a
loss showed while it trained, and what to try next.

Nothing is trained or derived here, and no sentence says more than the numbers beside it.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from divergence_lab.report.study import CONVERGED, ENVIRONMENT, FAR, RATES, Study, converged
from divergence_lab.results.result import Result
from divergence_lab.theory.verdicts.verdict import Verdict, Verdicts

HARDER = "hypergrid:2x12:paper"
ON_THE_WAY = 0.3  # the total variation at which laws are compared before they all agree
CLEARLY = 1.1  # times: a smaller difference is not called one
# what a verdict is called, of which KL divergence it makes a loss careful, and what that measures
CHARACTERS = {
    "zero_forcing": ("zero-forcing", "kl_reverse", "put less mass where the target has little"),
    "zero_avoiding": ("zero-avoiding", "kl_forward", "miss less mass of the target"),
}


# --- how fast


def steps_to(result: Result, row: int, below: float = CONVERGED) -> int | None:
    """The first evaluated step at which the median total variation of the seeds is below that."""
    under = np.median(result.metrics["tv"][row], axis=0) < below
    return int(result.steps[np.argmax(under)]) if under.any() else None


@dataclass(frozen=True)
class Speed:
    """A loss: the steps that it took at each of RATES (None: more than it had), its pull at +-FAR
    as a multiple of that of squared error with the same curvature, and that curvature, g''(0).
    """

    name: str
    steps: tuple[int | None, ...]
    curvature: float
    left: float
    right: float


def speeds(study: Study) -> list[Speed]:
    """One for each loss, in their order."""
    found = []
    for row, name in enumerate(study.result.losses):
        steps = tuple(steps_to(result, row) for result in study.at_rates.values())
        curvature = study.derivations[name].verdicts.curvature_at_zero
        steepness = np.nan if curvature is None else float(curvature)
        slopes = study.slopes[name]
        squared = FAR * steepness if 0 < steepness < np.inf else np.nan
        pulls = [abs(slope) / squared for slope in slopes]
        found.append(Speed(name, steps, steepness, *pulls))
    return found


def by_speed(found: Sequence[Speed], rate: int) -> list[Speed]:
    """The fastest at that rate first; those that did not arrive are last."""
    return sorted(found, key=lambda one: np.inf if (n := one.steps[rate]) is None else n)


def speed_in_words(found: Sequence[Speed]) -> list[str]:
    """Who was fastest and slowest at both rates, whether the rate decides it, and whether the pull
    far below 0 tells the order.
    """
    if len(found) < 2:
        return []
    lines = [_race(found, at) for at in range(len(RATES))]
    orders = [[one.name for one in by_speed(found, at)] for at in range(len(RATES))]
    arrived = all(None not in one.steps for one in found)
    if not arrived:
        return lines
    if orders[0][0] == orders[1][0] and orders[0][-1] == orders[1][-1]:
        lines.append("First and last are the same at both rates, so the rate is not to blame.")
    else:
        lines.append(
            "First or last changes with the rate, so part of the difference is due to the rate, "
            "not the loss: compare losses at the best rate of each."
        )
    return lines + _pulled(found)


def _pulled(found: Sequence[Speed]) -> list[str]:
    """Is the order of arrival, at both rates, that of the pull at -FAR?"""
    if not all(np.isfinite(one.left) for one in found):
        return []
    ranked = sorted(found, key=lambda one: one.left)
    steps = [[one.steps[at] or 0 for one in ranked] for at in range(len(RATES))]
    if all(row == sorted(row) for row in steps):
        return [
            f"The harder a loss pulls far below 0 (at −{FAR:.0f}), the later it arrives, at both "
            "rates."
        ]
    return [f"How hard a loss pulls far below 0 (at −{FAR:.0f}) does not explain this order."]


def _race(found: Sequence[Speed], at: int) -> str:
    first, *_, last = by_speed(found, at)
    rate = f"At learning rate {RATES[at]:g},"
    if first.steps[at] is None:
        return f"{rate} no loss got there."
    if last.steps[at] is None:
        behind = ", ".join(one.name for one in found if one.steps[at] is None)
        arrived = f"{rate} {first.name} got there first, after {first.steps[at]} steps"
        return f"{arrived}; not at all: {behind}."
    times = last.steps[at] / max(1, first.steps[at])
    needed = f"{first.name} got there in {first.steps[at]} steps and {last.name} in"
    return f"{rate} {needed} {last.steps[at]}, {times:.1f} times as many."


# --- did the class show


@dataclass(frozen=True)
class OnTheWay:
    """Where the median total variation of a loss falls to a level: the step, and both KL
    divergences between target and model there.
    """

    step: float
    kl_forward: float
    kl_reverse: float


def level(result: Result) -> float | None:
    """A total variation that every loss passes, ON_THE_WAY if it can be; None where there is
    none below nine tenths of the start.
    """
    medians = np.median(result.metrics["tv"], axis=1)
    lowest = max(ON_THE_WAY, 1.05 * float(medians.min(axis=1).max()))
    return lowest if lowest < 0.9 * float(medians[:, 0].min()) else None


def on_the_way(result: Result, row: int, at: float) -> OnTheWay:
    """Interpolated between the two evaluations around that total variation."""
    medians = {
        name: np.median(result.metrics[name][row], axis=0)
        for name in ("tv", "kl_forward", "kl_reverse")
    }
    k = int(np.argmax(medians["tv"] < at))
    before, after = medians["tv"][k - 1], medians["tv"][k]
    share = float((before - at) / (before - after))
    values = {"step": result.steps.astype(float), **medians}
    mixed = {name: (1 - share) * each[k - 1] + share * each[k] for name, each in values.items()}
    return OnTheWay(*(float(mixed[name]) for name in ("step", "kl_forward", "kl_reverse")))


def class_in_words(study: Study, found: Mapping[str, OnTheWay]) -> list[str]:
    """For each of the two characters: did those that have it and those that do not come apart?"""
    return [_apart(study, found, kind) for kind in CHARACTERS] if len(found) > 1 else []


def _apart(study: Study, found: Mapping[str, OnTheWay], kind: str) -> str:
    word, metric, what = CHARACTERS[kind]
    holds = {name: getattr(study.derivations[name].verdicts, kind).holds for name in found}
    yes = [getattr(one, metric) for name, one in found.items() if holds[name] is True]
    no = [getattr(one, metric) for name, one in found.items() if holds[name] is False]
    measured = {"kl_reverse": "KL(model‖target)", "kl_forward": "KL(target‖model)"}[metric]
    if not yes or not no:
        return f"{'None' if no else 'All'} of these losses are {word}: nothing to compare."
    numbers = f"{measured} is {_span(yes)}, and {_span(no)} with the others"
    if CLEARLY * max(yes) < min(no):
        return f"Training showed that the {word} losses {what}: {numbers}."
    if CLEARLY * np.median(yes) < np.median(no):
        return f"On the whole, but not every one, the {word} losses {what}: {numbers}."
    return f"Training did not show that the {word} losses {what}: {numbers}."


def _span(values: Sequence[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"


# --- what next


@dataclass(frozen=True)
class Next:
    """What to try next: why, and the command."""

    why: str
    command: str


def next_steps(study: Study) -> list[Next]:
    """What this study leaves open, and the commands that go on."""
    names = list(study.result.losses)
    quoted = " ".join(shlex.quote(name) for name in names)
    ranked = by_speed(speeds(study), 0)
    fastest, slowest = ranked[0], ranked[-1]
    env = str(study.result.config["env"])
    found = []
    if not converged(study.result).all():
        rates = ",".join(f"{rate:g}" for rate in (*RATES, 0.3))
        found.append(
            Next(
                "Not every run arrived. Give them longer, at several rates",
                f"divergence-lab train {quoted} --env {env} --steps 20000 --learning-rate {rates}",
            )
        )
    if env == ENVIRONMENT:
        found.append(
            Next(
                "Every mode of this grid is easy to find. On one whose modes hide behind tiny "
                "rewards the classes differ far more",
                f"divergence-lab report {quoted} --env {HARDER} --out report_hard",
            )
        )
    if (missing := _missing_class(study)) is not None:
        found.append(missing)
    if fastest.name != slowest.name:
        pair = f"{shlex.quote(fastest.name)} {shlex.quote(slowest.name)}"
        found.append(
            Next(
                "See what separates the fastest from the slowest: constants between the "
                "divergences, total variation, which log Z each prefers",
                f"divergence-lab compare {pair}",
            )
        )
    chosen = shlex.quote(fastest.name)
    found += [
        Next(
            f"See what {fastest.name} minimises when a tenth of the samples are drawn from the "
            "target",
            f"divergence-lab derive {chosen} --sampler mixture:1/10",
        ),
        Next(
            f"Take {fastest.name} home as source text that stands alone",
            f"divergence-lab export {chosen} --form torch --out loss.py",
        ),
    ]
    return found


def _missing_class(study: Study) -> Next | None:
    """A wish for the first class that none of these losses has."""
    have = {class_of(study.derivations[name].verdicts) for name in study.result.losses}
    for wanted, words, wishes in (
        ((True, True), "both zero-forcing and zero-avoiding", "--zero-forcing --zero-avoiding"),
        ((False, True), "zero-avoiding alone", "--no-zero-forcing --zero-avoiding"),
        ((True, False), "zero-forcing alone", "--zero-forcing --no-zero-avoiding"),
        ((False, False), "neither", "--no-zero-forcing --no-zero-avoiding"),
    ):
        if wanted not in have:
            return Next(
                f"None of these losses is {words}. Design one, with proofs",
                f"divergence-lab design {wishes} --count 3",
            )
    return None


def class_of(verdicts: Verdicts) -> tuple[bool | None, bool | None]:
    """(zero-forcing, zero-avoiding)"""
    pair: tuple[Verdict, Verdict] = (verdicts.zero_forcing, verdicts.zero_avoiding)
    return pair[0].holds, pair[1].holds
