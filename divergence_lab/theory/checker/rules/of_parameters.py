"""Rules on a loss with parameters: a cell of them, values without one, a line. Part of the trusted
checker.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from divergence_lab.theory.checker.conditions import ranges_in_words, read_ranges
from divergence_lab.theory.checker.facts import parts, proofs
from divergence_lab.theory.checker.families import cell_forms, continuation
from divergence_lab.theory.checker.families.ranges import Ranges, read_assumed, sides_of
from divergence_lab.theory.checker.kinds import in_cells, table
from divergence_lab.theory.checker.rules.rule import (
    Data,
    Rule,
    by_name,
    expression_latex,
    keys,
    number_latex,
)
from divergence_lab.theory.expressions import parse, x
from divergence_lab.theory.expressions.balls import ball_of_constant


@dataclass(frozen=True)
class Family:
    """What a step with parameters speaks of: a verdict of this kind on a loss, its parameters in
    these ranges.
    """

    kind: str
    loss: sp.Expr
    assumptions: Sequence[str]
    ranges: Ranges

    def sides(self) -> dict[str, tuple[int, ...]]:
        """From where each parameter with one value may come to it."""
        return sides_of(self.ranges, read_assumed(self.loss, self.assumptions))


def _ranges_in_latex(step: Data) -> str:
    ranges = read_ranges(step).items()
    return " \\text{ and } ".join(_range_in_latex(name, low, high) for name, (low, high) in ranges)


def _range_in_latex(name: str, low: str, high: str) -> str:
    symbol = expression_latex(name)
    if low == high:
        return f"{symbol} = {number_latex(low)}"
    if (low, high) == ("-oo", "oo"):
        return f"\\text{{every }} {symbol}"
    if high == "oo":
        return f"{symbol} > {number_latex(low)}"
    below = "" if low == "-oo" else f"{number_latex(low)} < "
    return f"{below}{symbol} < {number_latex(high)}"


# --- a cell


def _prove_cell(step: Data, family: Family) -> None:
    if step["holds"] not in ("true", "false"):
        raise proofs.Rejected("the cell says more than a cell can, or nothing")
    if "sample" in step:
        _check_sample(step, family.ranges[step["parameter"]])
    at, scale = (
        parse(step[key], sp.Dummy(), family.assumptions) if key in step else None
        for key in ("at", "scale")
    )
    if at is not None and (
        step["holds"] == "true" or not table.KINDS[family.kind].shown_at_a_point
    ):
        raise proofs.Rejected("a point shows nothing here")
    holds = in_cells.holds_in_cell(
        family.kind, family.loss, family.ranges, at, scale, family.sides()
    )
    if holds is not (step["holds"] == "true"):
        raise proofs.Rejected(f"{step['claim']}: it is the other way round")


def _check_sample(step: Data, ends: tuple[sp.Expr, sp.Expr]) -> None:
    (low, high), sample = ends, ball_of_constant(parts.read_number(step["sample"]))
    if low == high:
        inside = step["sample"] == step["low"]
    else:
        inside = (low == -sp.oo or ball_of_constant(low) < sample) and (
            high == sp.oo or sample < ball_of_constant(high)
        )
    if not inside:
        raise proofs.Rejected(f"the sample {step['sample']} is not inside its cell")


def _cell_in_words(step: Data) -> str:
    holds = {"true": "holds", "false": "does not hold"}[step["holds"]]
    shown = f", as x = {step['at']} shows" if "at" in step else ""
    scale = f", x times {step['scale']} being a scale" if "scale" in step else ""
    return f"it {holds} for {ranges_in_words(read_ranges(step))}{shown}{scale}"


def _cell_in_latex(step: Data) -> str:
    holds = "holds" if step["holds"] == "true" else "does not hold"
    shown = (
        f", \\text{{ as }} x = {expression_latex(step['at'])} \\text{{ shows}}"
        if "at" in step
        else ""
    )
    scale = (
        f", \\text{{ }} x \\cdot {expression_latex(step['scale'])} \\text{{ being a scale}}"
        if "scale" in step
        else ""
    )
    return f"\\text{{{holds} for }} {_ranges_in_latex(step)}{shown}{scale}"


# --- values without one, and a line


def _prove_undefined(step: Data, family: Family) -> None:
    """The formula has no value in this cell, and the family no limit."""
    written = cell_forms.positive_form(family.loss, family.ranges)
    try:
        cell_forms.at_points(family.loss, written, family.ranges, family.sides())
    except continuation.NoValue:
        related = read_assumed(family.loss, family.assumptions).relations
        if not related or len(family.sides()) < 2:
            return
        raise proofs.Rejected(
            "from which sides the parameters come there together is not known"
        ) from None
    raise proofs.Rejected(f"{step['claim']}: it has one")


def _prove_line(step: Data, family: Family) -> None:
    """An identity holds exactly where an equation between the parameters does."""
    equation = parse(step["equation"], sp.Dummy(), family.assumptions)
    symbols = family.loss.free_symbols - {x}
    solved = next((s for s in symbols if s.name == step["parameter"]), None)
    if solved is None:
        raise proofs.Rejected("the equation is not for a parameter of the loss")
    assumed = read_assumed(family.loss, family.assumptions)
    in_cells.prove_line(family.kind, family.loss, equation, solved, assumed)


OF_PARAMETERS = by_name(
    Rule(  # the verdict is this in all of the ranges
        "cell",
        keys("holds parameter low high sample"),
        _cell_in_words,
        _cell_in_latex,
        _prove_cell,
        propositions=(20,),
        hints={"at": (), "scale": (19,)},
        several=keys("holds ranges"),
    ),
    Rule(  # the formula has no value there, and the family no limit
        "undefined",
        keys("parameter at"),
        lambda s: (
            f"for {ranges_in_words(read_ranges(s))} the formula has no value, and the family no "
            "limit"
        ),
        lambda s: f"\\text{{no value and no limit for }} {_ranges_in_latex(s)}",
        _prove_undefined,
        propositions=(22,),
        several=keys("ranges"),
    ),
    Rule(  # the identity holds exactly where this equation does
        "line",
        keys("equation parameter"),
        lambda s: f"it holds exactly where {s['equation']} = 0",
        lambda s: f"\\text{{holds exactly where }} {expression_latex(s['equation'])} = 0",
        _prove_line,
        propositions=(21,),
    ),
)
