"""A verdict on a loss, with its reason and its proof: valid, convex, zero-forcing, ...

This room searches; what it proposes is shown only after the checker, which uses nothing of it,
has proved it. Answers are three-valued; what could not be proved is undecided and says why. What a
yes and a no need of each kind is said in `checker/kinds`.
"""

import dataclasses
import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from divergence_lab.theory.checker import certificate, sentences
from divergence_lab.theory.checker.kinds import table
from divergence_lab.theory.checker.rules.of_no_loss import OF_NO_LOSS
from divergence_lab.theory.expressions.printing import in_signs

ANSWERS = {True: "yes", False: "no", None: "undecided"}
PROVED, ENCLOSED, UNDECIDED = "proved", "enclosed", "undecided"
# The kinds that have a proof of their own.
KINDS = tuple(name for name, kind in table.KINDS.items() if kind.proved_as is None)


@dataclass(frozen=True)
class Verdict:
    """`holds`: True, False, or None (undecided, or it depends on parameters: then `condition` says
    when).

    `status`: "proved" (symbolic), "enclosed" (interval arithmetic) or "undecided"; `because`: one
    sentence; `steps`: the proof. As a truth value it is `holds`; ValueError where that is None.

        >>> import divergence_lab as dl
        >>> verdict = dl.derive(dl.loss("linex(1)")).verdicts.zero_avoiding
        >>> verdict.holds, verdict.status, len(verdict.steps) > 0
        (True, 'proved', True)
        >>> dl.derive(dl.loss("linex(alpha)")).verdicts.zero_avoiding.condition
        'alpha >= 1'
    """

    holds: bool | None
    status: str
    because: str
    condition: str | None = None
    steps: tuple[certificate.Step, ...] = ()

    def __bool__(self) -> bool:
        if self.holds is None:
            raise ValueError(
                f"this verdict is not a plain yes or no ({self.because}); look at .holds "
                "and .condition"
            )
        return self.holds

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        answer = "depends" if self.condition else ANSWERS[self.holds]
        return f"<b>{answer}</b>: {html.escape(in_signs(self.because))} [{self.status}]"


@dataclass(frozen=True)
class Verdicts:
    """All verdicts on one loss, and f(0+), f'(oo), g''(0) where they are known exactly.

    `valid`: g(0) = 0, g falls before 0 and rises after it. `pieces`: g split at its kinks, their
    mirror images and 0, as every proof refers to them.
    """

    valid: Verdict
    convex: Verdict
    zero_forcing: Verdict
    zero_avoiding: Verdict
    symmetric: Verdict
    even: Verdict
    bounded_gradient: Verdict
    f_at_zero: sp.Expr | None
    slope_at_infinity: sp.Expr | None
    curvature_at_zero: sp.Expr | None
    pieces: tuple[dict[str, str], ...] = ()

    @property
    def broken(self) -> bool:
        """Is g shown to jump, to be unbounded near a point, or not to be real somewhere? Then no f
        is looked for; what is known of its ends the verdicts say (Proposition 25).
        """
        return any(step.rule in OF_NO_LOSS for step in self.valid.steps)


def cites_of(kind: str, verdict: Verdict) -> list[str]:
    """The propositions that the proof of a verdict of this kind rests on: ["P3", "P16"]; none
    for an undecided one.
    """
    return certificate.cites(kind, data_of(verdict))


def in_words(kind: str, verdict: Verdict) -> Verdict:
    """A decided verdict with the sentence that its steps give, as the checker writes it."""
    return dataclasses.replace(
        verdict,
        because=sentences.because_of(kind, verdict.holds, verdict.condition, data_of(verdict)),
    )


def data_of(verdict: Verdict) -> list[dict[str, str]]:
    """The steps as the checker reads them, without their words."""
    return [{"rule": s.rule, **dict(s.data)} for s in verdict.steps]


def verdict_to_json(verdict: Verdict, kind: str) -> dict:
    """The VERDICT object of the contract, with the propositions it rests on and a seal over its
    content.
    """
    content = {
        "holds": verdict.holds,
        "condition": verdict.condition,
        "status": verdict.status,
        "because": verdict.because,
        "steps": [{"rule": s.rule, "claim": s.claim, **dict(s.data)} for s in verdict.steps],
    }
    content["cites"] = cites_of(kind, verdict)
    return {**content, "seal": certificate.seal(content)}


def gather(
    verdicts: Mapping[str, Verdict], ends: tuple[Any, Any, Any], pieces: tuple[dict[str, str], ...]
) -> Verdicts:
    """The record of these verdicts, by kind; `ends`: f(0+), f'(oo), g''(0)."""
    named = {"valid" if kind == "validity" else kind: v for kind, v in verdicts.items()}
    return Verdicts(**named, **dict(zip(ENDS, ends, strict=True)), pieces=pieces)


ENDS = ("f_at_zero", "slope_at_infinity", "curvature_at_zero")
