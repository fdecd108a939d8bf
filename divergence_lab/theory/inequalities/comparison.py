"""What separates two losses: constants between their divergences, total variation, log Z, verdicts.

    D_f1 <= c D_f2  and  D_f2 <= c D_f1                    (Proposition 11)
    D_f >= c ||p - q||_1^2                                 (Proposition 12)
    log Z, and the policy where log Z is wrong             (Propositions 13, 14, 15)
    D_f as a family of hockey sticks                       (Proposition 7)

Each question is answered within its share of the budget, or undecided.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

import sympy as sp
from flint import arb

from divergence_lab.inputs import InputError
from divergence_lab.theory.budget.asking import (
    OutOfTime,
    SearchFailed,
    bounded,
    check_budget,
    clock,
    within,
)
from divergence_lab.theory.divergence.loss import Loss, loss
from divergence_lab.theory.divergence.reading import as_loss
from divergence_lab.theory.expressions import CannotSplit, write
from divergence_lab.theory.inequalities import (
    hockey_stick,
    normaliser,
    sufficient_bounds,
    wrong_log_z,
)
from divergence_lab.theory.inequalities.bounds import Constant, best_constant, undecided
from divergence_lab.theory.inequalities.pinsker import (
    TotalVariation,
    total_variation,
    value_at_zero,
)
from divergence_lab.theory.verdicts import decision, searches, verdict

# One target and one wrong policy at which both losses are asked for their log Z; log Z* = 0.
TARGET = (sp.Rational(1, 2), sp.Rational(1, 2))
POLICY = (sp.Rational(9, 10), sp.Rational(1, 10))
GRACE = 20.0  # seconds beside the budget: the least of every question, and what lies between
SHARE, SHORTEST = 0.5, 0.1  # of what is left of the budget for one question; its least seconds


@dataclass(frozen=True)
class Character:
    """What is said of one loss alone; `optimum`: its log Z for `TARGET` and `POLICY`.

    `optimum` and `sticks` are None where they do not exist or were not found in time: `absent`
    says why.
    """

    loss: Loss
    verdicts: Mapping[str, verdict.Verdict]
    total_variation: TotalVariation
    bias: normaliser.Bias
    optimum: normaliser.Optimum | None
    direction: wrong_log_z.DirectionKept
    repelling: wrong_log_z.Repelling
    sticks: hockey_stick.HockeyStickWeights | None
    absent: Mapping[str, str]


@dataclass(frozen=True)
class Comparison:
    """Two losses beside each other.

    `bounds`: the least c in D_f1 <= c D_f2, and in D_f2 <= c D_f1, for all finite measures.
    `best_for_laws`: are they the least for probability vectors too? (With a kink at 0 a smaller
    one may do for those.)

    Made by `compare`; f1, g1 belong to the first loss.

        >>> list(Comparison.__dataclass_fields__)
        ['losses', 'bounds', 'best_for_laws']
    """

    losses: tuple[Character, Character]
    bounds: tuple[Constant, Constant]
    best_for_laws: bool

    def differing(self) -> tuple[str, ...]:
        """The kinds of verdict that are decided for both losses, and differ."""
        first, second = (one.verdicts for one in self.losses)
        return tuple(
            kind for kind in first if {first[kind].holds, second[kind].holds} == {True, False}
        )


def compare(first: Loss | str, second: Loss | str, budget: float = 20.0) -> Comparison:
    """What separates two losses without free parameters, within `budget` processor seconds.

    Raises InputError where a parameter has no value.

        >>> found = compare("Abs(x)", "3*Abs(x)")
        >>> found.bounds[0].exact, found.bounds[1].exact, found.differing()
        (1/3, 3, ())
    """
    check_budget(budget)
    first, second = as_loss(first, budget), as_loss(second, budget)
    for one in (first, second):
        if one.parameters:
            name = one.parameters[0].name
            raise InputError(f"{one.name or one}: {name} has no value; give it one: --set {name}=1")
    try:
        return bounded(budget + GRACE, search_comparison, first, second, budget)
    except (OutOfTime, SearchFailed) as failure:
        why = f"they were not compared within {budget + GRACE:g} s of processor time"
        raise InputError(f"{first} and {second}: {str(failure) or why}: raise --budget") from None


def search_comparison(first: Loss, second: Loss, budget: float) -> Comparison:
    """As `compare`; each question ends by itself, what lies between them does not."""
    ask = _asker(budget)
    characters = (_character(first, ask, budget), _character(second, ask, budget))
    bounds = (
        ask(undecided, least_constant, first, second),
        ask(undecided, least_constant, second, first),
    )
    smooth = all(value_at_zero(one.derivative) == 0 for one in (first, second))
    return Comparison(characters, bounds, smooth)


def _asker(budget: float) -> Callable[..., Any]:
    """ask(fallback, function, *arguments): the answer, or fallback(why there is none)."""
    started = clock()

    def ask(fallback: Callable[[str], Any], function: Callable[..., Any], *arguments: Any) -> Any:
        left = budget - (clock() - started)
        try:
            return within(max(SHORTEST, left * SHARE), function, *arguments)
        except OutOfTime:
            return fallback(f"not found within {budget:g} s of processor time: raise --budget")
        except SearchFailed as failure:
            if isinstance(failure.__cause__, CannotSplit):  # a sentence for the reader
                return fallback(str(failure.__cause__))
            return fallback(f"the search broke: {failure}")

    return ask


def _character(one: Loss, ask: Callable[..., Any], budget: float) -> Character:
    verdicts = {
        kind: ask(
            lambda why: verdict.Verdict(None, verdict.UNDECIDED, why),
            decision.decide_one,
            kind,
            one,
            budget / 4,
        )
        for kind in searches.SEARCHES
    }
    absent: dict[str, str] = {}
    return Character(
        one,
        verdicts,
        ask(
            lambda why: TotalVariation(None, None, None, why),
            total_variation,
            one,
            loss("triangular"),
            loss("Abs(x)"),
        ),
        ask(lambda why: normaliser.Bias(None, None, why), normaliser.biases_log_z, one),
        ask(
            lambda why: absent.update(log_z_example=why),
            normaliser.optimal_log_z,
            one,
            TARGET,
            POLICY,
        ),
        ask(lambda why: wrong_log_z.DirectionKept(None, why), wrong_log_z.keeps_direction, one),
        ask(
            lambda why: wrong_log_z.Repelling(None, (), (), (), why),
            wrong_log_z.repelling_residuals,
            one,
        ),
        ask(lambda why: absent.update(hockey_sticks=why), hockey_stick.hockey_stick_weights, one),
        absent,
    )


def least_constant(first: Loss, second: Loss) -> Constant:
    """As `best_constant`; where that is not exact, sup g1'/g2' may close the gap (Proposition 11).

    At x -> 0 it is lim f1/f2 at t -> 1 too (l'Hopital), so that no smaller constant serves.
    """
    best = best_constant(first, second)
    if best.exact is not None:
        return best
    slopes = sufficient_bounds.slope_constant(first, second)
    if not slopes.holds or (best.high is not None and best.high <= slopes.low):
        return best
    if slopes.exact is not None and slopes.where == "x -> 0":
        because = f"|g1'| <= {slopes.exact} |g2'| everywhere, and f1/f2 -> {slopes.exact} as t -> 1"
        return dataclasses.replace(slopes, where="t -> 1", because=because)
    reached = "" if best.low is None else f", and f1/f2 reaches {best.low:.10g} at {best.where}"
    return dataclasses.replace(
        best, holds=True, high=slopes.high, certified=True, because=slopes.because + reached
    )


# --- as JSON


def comparison_to_json(found: Comparison) -> dict[str, Any]:
    """The object of `compare --json`; expressions are texts in SymPy syntax.

    f1, g1 belong to the first loss, f2, g2 to the second.
    """
    kinds = found.differing()
    first_by_second, second_by_first = found.bounds
    return {
        "losses": [_character_to_json(one) for one in found.losses],
        "first_by_second": bound_to_json(first_by_second),
        "second_by_first": bound_to_json(exchanged(second_by_first)),
        "best_for_laws": found.best_for_laws,
        "verdicts_that_differ": {
            kind: [verdict.verdict_to_json(one.verdicts[kind], kind) for one in found.losses]
            for kind in kinds
        },
        "undecided_verdicts": [
            sorted(kind for kind, verdict in one.verdicts.items() if verdict.holds is None)
            for one in found.losses
        ],
    }


def exchanged(constant: Constant) -> Constant:
    """The same constant with the names of the two losses exchanged in its reason."""
    names = re.compile(r"\b([fg])([12])\b")
    because = names.sub(lambda name: name[1] + {"1": "2", "2": "1"}[name[2]], constant.because)
    return dataclasses.replace(constant, because=because)


def bound_to_json(constant: Constant) -> dict[str, Any]:
    """A constant between two divergences; `low` and `high` enclose it."""
    return {
        "holds": constant.holds,
        "constant": _text(constant.exact),
        "low": _text(constant.low),
        "high": _text(constant.high),
        "where": constant.where,
        "status": status_of_bound(constant),
        "because": constant.because,
    }


def status_of_bound(constant: Constant) -> str:
    """proved: the exact constant is known; enclosed: it lies between `low` and `high`."""
    if not constant.certified:
        return verdict.UNDECIDED
    return verdict.ENCLOSED if constant.exact is None else verdict.PROVED


def _character_to_json(one: Character) -> dict[str, Any]:
    variation, bias, optimum = one.total_variation, one.bias, one.optimum
    return {
        "name": one.loss.name,
        "loss": write(one.loss.expression),
        "total_variation": {
            "constant": _text(variation.exact),
            "low": _text(variation.low),
            "high": _text(variation.high),
            "linear": variation.linear and bound_to_json(variation.linear),
            "because": variation.because,
        },
        "log_z": {
            "biased": bias.holds,
            "direction": bias.direction,
            "because": bias.because,
            "example": optimum
            and {
                "target": [write(p) for p in TARGET],
                "policy": [write(p) for p in POLICY],
                "log_z": number_text(optimum.log_z),
                "log_z_true": number_text(optimum.log_z_true),
                "guaranteed": optimum.guaranteed,
            },
        },
        "keeps_direction": {"holds": one.direction.holds, "because": one.direction.because},
        "repels": {"holds": one.repelling.holds, "because": one.repelling.because},
        "hockey_sticks": one.sticks and _sticks_to_json(one, one.sticks),
        "absent": dict(one.absent),
    }


def _sticks_to_json(one: Character, sticks: hockey_stick.HockeyStickWeights) -> dict[str, Any]:
    everywhere = one.verdicts["validity"].holds is one.verdicts["convex"].holds is True
    return {"for": "all laws" if everywhere else "positive laws"} | {
        side: {
            "density": [[write(p.low), write(p.high), write(p.expression)] for p in pieces.pieces],
            "atoms": [[write(atom.u), write(atom.weight)] for atom in atoms],
        }
        for side, (pieces, atoms) in sticks.sides().items()
    }


def number_text(ball: arb, digits: int = 15) -> str:
    """The middle of a ball, "0" where it may be that."""
    return "0" if ball.contains(0) else ball.str(digits, radius=False)


def _text(number: sp.Expr | float | None) -> str | None:
    if isinstance(number, float):
        return "oo" if number == inf else repr(number)
    return None if number is None else write(number)
