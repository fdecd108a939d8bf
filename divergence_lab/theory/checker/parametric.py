"""The trusted verifier for verdicts on a loss with parameters. Shares no code with the search for
them.

A certificate cuts the range of each parameter that matters; its cells must be exactly the products
of the parts, which cover what the assumptions leave. Each cell is proved for all its parameters by
`kinds/in_cells`; where the formula has no value that is stated by a step of its own. Or the verdict
is an identity that holds on a line of parameters alone.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import sympy as sp

from divergence_lab.theory.checker import certificate, conditions, replay
from divergence_lab.theory.checker.facts import parts, proofs
from divergence_lab.theory.checker.families.ranges import parts_of
from divergence_lab.theory.checker.kinds.table import KINDS
from divergence_lab.theory.checker.rules.of_parameters import OF_PARAMETERS, Family
from divergence_lab.theory.expressions import parse, write, x
from divergence_lab.theory.expressions.parsing import read_assumptions


def check_parametric(
    kind: str, verdict: Mapping[str, Any], loss_text: str, assumptions: Sequence[str]
) -> None:
    """Prove a verdict on a loss with parameters. Raises Rejected."""
    replay.check_form(kind, verdict)
    steps = verdict["steps"]
    if verdict["status"] == "undecided":
        if verdict["holds"] is not None or steps or verdict["condition"] is not None:
            raise proofs.Rejected("an undecided verdict must not carry a proof")
        return
    if verdict["status"] != "proved":
        raise proofs.Rejected("a verdict on parameters is proved or undecided")
    for number, step in enumerate(steps, 1):
        try:
            certificate.check_words(step)
        except proofs.Rejected as reason:
            raise proofs.Rejected(f"step {number}: {reason}") from None
    loss = parse(loss_text, x, assumptions)
    prove = _on_line if steps and steps[0]["rule"] == "line" else _by_cells
    holds, condition = prove(KINDS[kind].proved_as or kind, steps, loss, assumptions)
    if verdict["holds"] is not holds or verdict["condition"] != condition:
        raise proofs.Rejected("the cells do not add up to the verdict")
    replay.check_sentence(kind, verdict)


Answer = tuple[bool | None, str | None]  # (holds, condition)


def _by_cells(
    kind: str, steps: Sequence[Mapping], loss: sp.Expr, assumptions: Sequence[str]
) -> Answer:
    """What the cells say together, each proved. Raises Rejected."""
    if any(step["rule"] not in ("cell", "undefined") for step in steps) or all(
        step["rule"] == "undefined" for step in steps
    ):
        raise proofs.Rejected("a verdict with parameters needs its cells, and nothing else")
    texts = [conditions.read_ranges(step) for step in steps]
    stated = [
        {name: (parts.read_number(a), parts.read_number(b)) for name, (a, b) in ranges.items()}
        for ranges in texts
    ]
    _check_texts(texts)
    others = _uncut_parameters(stated, loss, assumptions)
    for step, ranges in zip(steps, stated):
        family = Family(kind, loss, assumptions, {**ranges, **others})
        OF_PARAMETERS[step["rule"]].replay(step, family)
    answers = {step["holds"] for step in steps if step["rule"] == "cell"}
    if len(answers) == 1:
        return answers == {"true"}, None
    return None, conditions.condition_of(texts, [step.get("holds") == "true" for step in steps])


def _check_texts(texts: Sequence[Mapping[str, tuple[str, str]]]) -> None:
    if any(
        end not in ("oo", "-oo") and end != write(parts.read_number(end))
        for ranges in texts
        for ends in ranges.values()
        for end in ends
    ):
        raise proofs.Rejected(
            "an end of a cell is not written as it is in every other: conditions compare "
            "them as text"
        )


def _uncut_parameters(
    stated: Sequence[Mapping], loss: sp.Expr, assumptions: Sequence[str]
) -> dict[str, tuple[sp.Expr, sp.Expr]]:
    """The ranges of the parameters that the cells do not name; the cells themselves must be all
    products of parts of the others, in order. Raises Rejected.
    """
    symbols = {s.name: s for s in loss.free_symbols - {x}}
    bounds = read_assumptions(assumptions)
    names = list(stated[0])
    if not set(names) <= set(symbols) or any(list(ranges) != names for ranges in stated):
        raise proofs.Rejected("the cells are not all ranges of the same parameters of the loss")
    grid = [
        parts_of(
            bounds.get(name, ()),
            [end for ranges in stated for end in ranges[name] if end.is_finite],
        )
        for name in names
    ]
    if [tuple(ranges.values()) for ranges in stated] != list(itertools.product(*grid)):
        raise proofs.Rejected("the cells do not cover what the assumptions leave, or not in order")
    others = {name: parts_of(bounds.get(name, ()), ()) for name in symbols if name not in names}
    if cut := [name for name, parts in others.items() if len(parts) > 1]:
        raise proofs.Rejected(f"the cells say nothing of {', '.join(cut)}")
    return {name: parts[0] for name, parts in others.items()}


def left_out(entry: Mapping[str, Any]) -> list[str]:
    """["c = 0"]: where the formula has no value and the family no limit, as the cells of the
    first verdict that has any say.
    """
    verdicts = (entry[name] for name, kind in KINDS.items() if kind.proved_as is None)
    cells = next(
        (
            cells
            for v in verdicts
            if (cells := [s for s in v["steps"] if s["rule"] in ("cell", "undefined")])
        ),
        [],
    )
    without = [step["rule"] == "undefined" for step in cells]
    if not any(without):
        return []
    condition = conditions.condition_of([conditions.read_ranges(step) for step in cells], without)
    return [condition] if "(" in condition else condition.split(" or ")


def _on_line(
    kind: str, steps: Sequence[Mapping], loss: sp.Expr, assumptions: Sequence[str]
) -> Answer:
    """An identity holds exactly where an equation between the parameters does (Proposition 21)."""
    if len(steps) != 1 or not KINDS[kind].compares_sides:
        raise proofs.Rejected("a line of parameters is one step, of an identity")
    OF_PARAMETERS["line"].replay(steps[0], Family(kind, loss, assumptions, {}))
    return None, f"{steps[0]['equation']} = 0"
