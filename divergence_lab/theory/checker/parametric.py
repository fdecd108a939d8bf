"""The trusted verifier for verdicts on a loss with parameters. Shares no code with the search for
them.

A certificate cuts the range of each parameter that matters; its cells must be exactly the products
of the parts, which cover what the assumptions leave. Each cell is proved for all its parameters by
`kinds/in_cells`; where the formula has no value that is stated by a step of its own. Or the verdict
is an identity that holds on a line of parameters alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sympy as sp

from divergence_lab.theory.checker import certificate, conditions, replay
from divergence_lab.theory.checker.facts import decided, proofs
from divergence_lab.theory.checker.families.ranges import Range, Ranges, grid, read_assumed
from divergence_lab.theory.checker.kinds.table import KINDS
from divergence_lab.theory.checker.rules.of_parameters import OF_PARAMETERS, Family
from divergence_lab.theory.expressions import write, x


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
    loss = decided.read_loss(loss_text, x, assumptions)
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
        {
            name: (conditions.read_end(a, assumptions), conditions.read_end(b, assumptions))
            for name, (a, b) in r.items()
        }
        for r in texts
    ]
    _check_texts(texts, stated)
    for step, ranges in zip(steps, _cells_of_all(stated, loss, assumptions)):
        family = Family(kind, loss, assumptions, ranges)
        OF_PARAMETERS[step["rule"]].replay(step, family)
    answers = {step["holds"] for step in steps if step["rule"] == "cell"}
    if len(answers) == 1:
        return answers == {"true"}, None
    return None, conditions.condition_of(texts, [step.get("holds") == "true" for step in steps])


def _check_texts(texts: Sequence[Mapping[str, tuple[str, str]]], stated: Sequence[Ranges]) -> None:
    if any(
        texts_of != tuple(map(write, ends))
        for there, ranges in zip(texts, stated)
        for texts_of, ends in zip(there.values(), ranges.values())
    ):
        raise proofs.Rejected(
            "an end of a cell is not written as it is in every other: conditions compare "
            "them as text"
        )


def _cells_of_all(
    stated: Sequence[Ranges], loss: sp.Expr, assumptions: Sequence[str]
) -> list[dict[str, Range]]:
    """The stated cells, with the ranges of the parameters that they do not name.

    They must be all cells of a grid that covers what the assumptions leave, in order, and the other
    parameters must have one range each. Raises Rejected.
    """
    assumed, names = read_assumed(loss, assumptions), list(stated[0])
    if not set(names) <= set(assumed.symbols) or any(list(ranges) != names for ranges in stated):
        raise proofs.Rejected("the cells are not all ranges of the same parameters of the loss")
    cuts = {
        name: {end for ranges in stated for end in ranges[name]} - {sp.oo, -sp.oo} for name in names
    }
    others = sorted(set(assumed.symbols) - set(names))
    cells = grid([*names, *others], {n: sorted(c, key=str) for n, c in cuts.items()}, assumed)
    named = [{name: cell[name] for name in names} for cell in cells]
    if named == [cell for i, cell in enumerate(named) if i == 0 or cell != named[i - 1]]:
        if named == [dict(ranges) for ranges in stated]:
            return cells
        raise proofs.Rejected("the cells do not cover what the assumptions leave, or not in order")
    raise proofs.Rejected(f"the cells say nothing of {', '.join(others)}")


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
