"""The trusted verifier for verdicts on a loss with parameters. Shares no code with the search for
them.

A certificate cuts the range of each parameter that matters; its cells must be exactly the products
of the parts, which cover what the assumptions leave. Each cell is proved for all its parameters by
`cell_proofs`; where the formula has no value that is stated by a step of its own. Or the verdict is
an identity that holds on a line of parameters alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import sympy as sp

from divergence_lab.theory.checker.certificate import claim_of, flaw
from divergence_lab.theory.checker.conditions import condition_of, read_ranges
from divergence_lab.theory.checker.facts.proofs import Rejected, equal_constants
from divergence_lab.theory.checker.families.cell_forms import Ranges, at_points, positive_form
from divergence_lab.theory.checker.families.cell_proofs import KINDS, SHOWN_AT, holds_in_cell
from divergence_lab.theory.checker.families.continuation import NoValue
from divergence_lab.theory.checker.families.line_proofs import holds_on_line
from divergence_lab.theory.checker.sentences import because_of
from divergence_lab.theory.expressions.balls import ball_of_constant
from divergence_lab.theory.expressions.ordering import is_less
from divergence_lab.theory.expressions.parsing import parse, parse_number, read_assumptions
from divergence_lab.theory.expressions.printing import write
from divergence_lab.theory.expressions.symbols import x


def check_parametric(
    kind: str, verdict: Mapping[str, Any], loss_text: str, assumptions: Sequence[str]
) -> None:
    """Prove a verdict on a loss with parameters. Raises Rejected."""
    if (found := flaw(kind, verdict)) is not None:
        raise Rejected(found)
    called, kind = kind, "convex" if kind == "data_processing" else kind  # Proposition 5
    steps = verdict["steps"]
    if verdict["status"] == "undecided":
        if verdict["holds"] is not None or steps or verdict["condition"] is not None:
            raise Rejected("an undecided verdict must not carry a proof")
        return
    if verdict["status"] != "proved":
        raise Rejected("a verdict on parameters is proved or undecided")
    for number, step in enumerate(steps):
        if step.get("claim") != claim_of(
            step["rule"], {k: v for k, v in step.items() if k not in ("rule", "claim")}
        ):
            raise Rejected(f"step {number + 1}: its words do not fit its data")
    loss = parse(loss_text, x, assumptions)
    holds, condition = (_on_line if steps and steps[0]["rule"] == "line" else _by_cells)(
        kind, steps, loss, assumptions
    )
    if verdict["holds"] is not holds or verdict["condition"] != condition:
        raise Rejected("the cells do not add up to the verdict")
    if verdict["because"] != because_of(called, holds, condition, steps):
        raise Rejected("because is not what the steps say")


# --- the parts of a parameter's range


def parts_of(
    bounds: Sequence[tuple[str, sp.Expr]], cuts: Sequence[sp.Expr]
) -> list[tuple[sp.Expr, sp.Expr]]:
    """The range that the assumptions on one parameter leave, cut at these points: (a, b) open,
    (a, a) a point.
    """
    low, high, ends, without = -sp.oo, sp.oo, set(), []
    for relation, bound in bounds:
        if relation == "!=":
            without.append(bound)
        elif (relation[0] == ">" and is_less(low, bound)) or (
            relation[0] == "<" and is_less(bound, high)
        ):
            low, high = (bound, high) if relation[0] == ">" else (low, bound)
        if relation in (">=", "<="):
            ends.add(bound)
    # a bound that another assumption makes strict does not belong to the range
    ends -= {bound for relation, bound in bounds if relation in (">", "<", "!=")}
    ordered: list[sp.Expr] = []
    for cut in (*cuts, *without):
        inside = is_less(low, cut) and is_less(cut, high)
        if inside and not any(equal_constants(cut, other) for other in ordered):
            ordered.insert(sum(is_less(other, cut) for other in ordered), cut)
    parts = [(low, low)] if low in ends else []
    for a, b in itertools.pairwise([low, *ordered, high]):
        parts.append((a, b))
        if b != high and b not in without:
            parts.append((b, b))
    return parts + ([(high, high)] if high in ends else [])


def _number(text: str) -> sp.Expr:
    return {"oo": sp.oo, "-oo": -sp.oo}.get(text) or parse_number(text)


def _by_cells(
    kind: str, steps: Sequence[Mapping], loss: sp.Expr, assumptions: Sequence[str]
) -> tuple:
    """(holds, condition) of the cells, each proved. Raises Rejected."""
    symbols = {s.name: s for s in loss.free_symbols - {x}}
    bounds = read_assumptions(assumptions)
    if any(step["rule"] not in ("cell", "undefined") for step in steps) or all(
        step["rule"] == "undefined" for step in steps
    ):
        raise Rejected("a verdict with parameters needs its cells, and nothing else")
    stated = [
        {name: (_number(a), _number(b)) for name, (a, b) in read_ranges(step).items()}
        for step in steps
    ]
    if any(
        end not in ("oo", "-oo") and end != write(_number(end))
        for step in steps
        for ends in read_ranges(step).values()
        for end in ends
    ):
        raise Rejected(
            "an end of a cell is not written as it is in every other: conditions compare "
            "them as text"
        )
    names = list(stated[0])
    if not set(names) <= set(symbols) or any(list(ranges) != names for ranges in stated):
        raise Rejected("the cells are not all ranges of the same parameters of the loss")
    grid = [
        parts_of(
            bounds.get(name, ()),
            [end for ranges in stated for end in ranges[name] if end.is_finite],
        )
        for name in names
    ]
    if [tuple(ranges.values()) for ranges in stated] != list(itertools.product(*grid)):
        raise Rejected("the cells do not cover what the assumptions leave, or not in order")
    others = {name: parts_of(bounds.get(name, ()), ()) for name in symbols if name not in names}
    if any(len(parts) > 1 for parts in others.values()):
        raise Rejected(
            "the cells say nothing of "
            f"{', '.join(n for n, parts in others.items() if len(parts) > 1)}"
        )
    for step, ranges in zip(steps, stated):
        everywhere = {**ranges, **{name: parts[0] for name, parts in others.items()}}
        (_check_cell if step["rule"] == "cell" else _check_left_out)(
            kind, step, loss, everywhere, assumptions
        )
    answers = {step["holds"] for step in steps if step["rule"] == "cell"}
    if len(answers) == 1:
        return answers == {"true"}, None
    return None, condition_of(
        [read_ranges(step) for step in steps], [step.get("holds") == "true" for step in steps]
    )


def sides_of(
    bounds: Mapping[str, Sequence[tuple[str, sp.Expr]]], ranges: Ranges
) -> dict[str, tuple[int, ...]]:
    """From which sides the assumptions let each parameter that has one value come to it: -1 from
    below, 1 from above.
    """
    found = {}
    for name, (low, high) in ranges.items():
        if low == high:
            parts = [part for part in parts_of(bounds.get(name, ()), [low]) if part[0] != part[1]]
            found[name] = (-1,) * any(b == low for _, b in parts) + (1,) * any(
                a == low for a, _ in parts
            )
    return found


def left_out(entry: Mapping[str, Any]) -> list[str]:
    """["c = 0"]: where the formula has no value and the family no limit, as the cells of the
    first verdict that has any say.
    """
    verdicts = (entry[kind] for kind in KINDS)
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
    condition = condition_of([read_ranges(step) for step in cells], without)
    return [condition] if "(" in condition else condition.split(" or ")


def _check_cell(
    kind: str, step: Mapping, loss: sp.Expr, ranges: Ranges, assumptions: Sequence[str]
) -> None:
    known = {
        "rule",
        "claim",
        "parameter",
        "low",
        "high",
        "ranges",
        "holds",
        "sample",
        "at",
        "scale",
    }
    if set(step) - known or step["holds"] not in ("true", "false"):
        raise Rejected("the cell says more than a cell can, or nothing")
    if "sample" in step:
        (low, high), sample = ranges[step["parameter"]], ball_of_constant(_number(step["sample"]))
        if (low == high and step["sample"] != step["low"]) or (
            low != high
            and not (
                (low == -sp.oo or ball_of_constant(low) < sample)
                and (high == sp.oo or sample < ball_of_constant(high))
            )
        ):
            raise Rejected(f"the sample {step['sample']} is not inside its cell")
    at, scale = (
        parse(step[key], sp.Dummy(), assumptions) if key in step else None
        for key in ("at", "scale")
    )
    if at is not None and (step["holds"] == "true" or kind not in SHOWN_AT):
        raise Rejected("a point shows nothing here")
    holds = holds_in_cell(
        kind, loss, ranges, at, scale, sides_of(read_assumptions(assumptions), ranges)
    )
    if holds is not (step["holds"] == "true"):
        raise Rejected(f"{step['claim']}: it is the other way round")


def _check_left_out(
    kind: str, step: Mapping, loss: sp.Expr, ranges: Ranges, assumptions: Sequence[str]
) -> None:
    """The formula has no value in this cell, and the family no limit."""
    written = positive_form(loss, ranges)
    try:
        at_points(loss, written, ranges, sides_of(read_assumptions(assumptions), ranges))
    except NoValue:
        return
    raise Rejected(f"{step['claim']}: it has one")


def _on_line(
    kind: str, steps: Sequence[Mapping], loss: sp.Expr, assumptions: Sequence[str]
) -> tuple:
    """(None, condition): an identity holds exactly where an equation between the parameters does
    (Proposition 21).
    """
    if len(steps) != 1 or kind not in ("even", "symmetric"):
        raise Rejected("a line of parameters is one step, of an identity")
    step = steps[0]
    equation = parse(step["equation"], sp.Dummy(), assumptions)
    solved = next((s for s in loss.free_symbols - {x} if s.name == step["parameter"]), None)
    if solved is None or set(step) != {"rule", "claim", "equation", "parameter"}:
        raise Rejected("the equation is not for a parameter of the loss")
    holds_on_line(kind, loss, equation, solved)
    return None, f"{step['equation']} = 0"
