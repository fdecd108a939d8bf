"""The verdicts as a table: a symbol, a word, a colour and a reason each, so that no reader
depends on one of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from divergence_lab.app.family import Member, answers, f_at_zero, slope_at_infinity
from divergence_lab.report.palette import COLOURS
from divergence_lab.report.typeset import sentence
from divergence_lab.theory.answers.derivation import Derivation

ROWS = {
    "valid": "valid",
    "zero_forcing": "zero-forcing",
    "zero_avoiding": "zero-avoiding",
    "convex": "convex",
    "symmetric": "symmetric divergence",
    "even": "even loss",
    "bounded_gradient": "bounded gradient",
}
MARKS = {
    True: ("✓", "yes", COLOURS[2]),
    False: ("✗", "no", COLOURS[1]),
    None: ("?", "undecided", COLOURS[7]),
}


@dataclass(frozen=True)
class Row:
    """One verdict: its name in ROWS, True, False or None (undecided), and one sentence."""

    name: str
    holds: bool | None
    because: str


def of_member(member: Member) -> list[Row]:
    """The verdicts of the slider family, from its closed form: g''(x) = c e^{a x}, a = left,
    right of 0.
    """
    held = {"valid": True, **answers(member)}
    left, right = (f"{float(rate):.4g}" for rate in (member.left, member.right))
    at_zero, far = f_at_zero(member), slope_at_infinity(member)
    reasons = {
        "valid": "g(0) = 0, and g falls before 0 and rises after it, for any tails",
        "zero_forcing": (
            f"left tail {left} <= 0, so f(0+) = oo: mass where the target has none costs "
            "without bound"
        )
        if at_zero is None
        else f"left tail {left} > 0, so f(0+) = {float(at_zero):.4g} is finite",
        "zero_avoiding": (
            f"right tail {right} >= 1, so f'(oo) = oo: a mode that is missed costs without bound"
        )
        if far is None
        else f"right tail {right} < 1, so f'(oo) = {float(far):.4g} is finite",
        "convex": "g''(x) = c*exp(a*x) > 0 on both sides, so f is convex and data processing holds",
        "symmetric": "the tails sum to 1, so swapping the two laws changes nothing"
        if held["symmetric"]
        else f"the tails sum to {float(member.left + member.right):.4g}, not to 1",
        "even": "the two tails are opposite numbers"
        if held["even"]
        else f"the tails {left} and {right} are not opposite",
        "bounded_gradient": "the left tail is above 0, the right one below, so g' has finite limits"
        if held["bounded_gradient"]
        else "g' is bounded only if the left tail is above 0, the right one below",
    }
    return [Row(name, held[name], reasons[name]) for name in ROWS]


def of_derivation(found: Derivation) -> list[Row]:
    """The verdicts that `derive` proved, enclosed, or left undecided."""
    each = {name: getattr(found.verdicts, name) for name in ROWS}
    return [
        Row(name, verdict.holds, f"{verdict.because} [{verdict.status}]")
        for name, verdict in each.items()
    ]


def table(rows: Sequence[Row]) -> str:
    """The rows as HTML, the formulas in their reasons set."""
    cells = []
    for row in rows:
        symbol, word, colour = MARKS[row.holds]
        cells.append(
            f'<tr data-verdict="{row.name}" style="border-top:1px solid '
            f'#8884"><td>{ROWS[row.name]}</td>'
            f'<td><span class="is-{word}" style="color:{colour};font-weight:700">{symbol}</span> '
            f"<b>{word}</b></td>"
            f"<td>{sentence(row.because)}</td></tr>"
        )
    return (
        '<table class="verdicts" '
        f'style="border-collapse:collapse;font-size:0.92rem;width:100%">{"".join(cells)}</table>'
    )
