"""Cells of parameters as text, and the condition under which a verdict holds. Part of the trusted
checker.

A cell with one parameter says parameter, low, high, or at for a value that is left out; one with
several says `ranges`, "a: -oo..0; b: 1". An end may depend on the parameters before it:
"b: 0..oo; a: b..oo".
"""

import re
from collections.abc import Iterable, Mapping, Sequence

import sympy as sp

from divergence_lab.theory.checker.relations import shortest
from divergence_lab.theory.expressions.parsing import parse

Range = tuple[str, str]  # (low, high) as text; equal for a point


def read_ranges(step: Mapping[str, str]) -> dict[str, Range]:
    """The range of each parameter in a cell. Raises KeyError or ValueError for anything else."""
    if "parameter" in step:
        return {
            step["parameter"]: (step["low"], step["high"])
            if "low" in step
            else (step["at"], step["at"])
        }
    ranges = {}
    for part in step["ranges"].split("; "):
        name, text = part.split(": ")
        low, _, high = text.partition("..")
        ranges[name] = (low, high or low)
    return ranges


def write_ranges(ranges: Mapping[str, Range]) -> dict[str, str]:
    """The data of a cell that say its ranges: what `read_ranges` reads."""
    if len(ranges) == 1:
        ((name, (low, high)),) = ranges.items()
        return {"parameter": name, "low": low, "high": high}
    return {
        "ranges": "; ".join(
            f"{name}: {low}" + (f"..{high}" if low != high else "")
            for name, (low, high) in ranges.items()
        )
    }


def write_left_out(ranges: Mapping[str, Range]) -> dict[str, str]:
    """The data of a step that leaves these parameters out: what `read_ranges` reads."""
    written = write_ranges(ranges)
    return (
        written
        if "ranges" in written
        else {"parameter": written["parameter"], "at": written["low"]}
    )


def ranges_in_words(ranges: Mapping[str, Range]) -> str:
    """0 < a < 1 and b = 2"""
    return " and ".join(_range_in_words(name, low, high) for name, (low, high) in ranges.items())


def _range_in_words(name: str, low: str, high: str) -> str:
    if low == high:
        return f"{name} = {low}"
    if (low, high) == ("-oo", "oo"):
        return f"every {name}"
    return (
        f"{name} < {high}"
        if low == "-oo"
        else f"{name} > {low}"
        if high == "oo"
        else f"{low} < {name} < {high}"
    )


INFINITIES: Mapping[str, sp.Expr] = {"oo": sp.oo, "-oo": -sp.oo}


def read_end(text: str, assumptions: Iterable[str] = ()) -> sp.Expr:
    """An end of a range: a number, oo, -oo, or an expression in parameters."""
    return INFINITIES[text] if text in INFINITIES else parse(text, sp.Dummy(), assumptions)


def condition_of(cells: Sequence[Mapping[str, Range]], holds: Sequence[bool]) -> str:
    """Where the verdict holds: the union of those cells of a grid, as short as the order of the
    parameters allows.
    """
    names = list(cells[0])
    every_end = {end for cell in cells for ends in cell.values() for end in ends}
    if any(_names_a_parameter(end, names) for end in every_end):
        return _related(cells, holds)
    orders = [names[i:] + names[:i] for i in range(len(names))]
    truth = {tuple(cell.items()): answer for cell, answer in zip(cells, holds)}
    return min(
        (
            _condition(
                {
                    tuple((name, dict(cell)[name]) for name in order): answer
                    for cell, answer in truth.items()
                }
            )
            for order in orders
        ),
        key=len,
    )


def _names_a_parameter(text: str, names: Sequence[str]) -> bool:
    return any(word in names for word in re.findall(r"[A-Za-z]\w*", text))


def _related(cells: Sequence[Mapping[str, Range]], holds: Sequence[bool]) -> str:
    """By relations between parameters or, where no short ones say it, cell by cell."""
    if all(holds):
        return "always"
    symbols = {name: sp.Symbol(name, real=True) for name in cells[0]}
    read = [{n: (read_end(a), read_end(b)) for n, (a, b) in cell.items()} for cell in cells]
    return shortest(read, symbols, holds) or " or ".join(
        f"({ranges_in_words(cell)})" for cell, answer in zip(cells, holds) if answer
    )


def _condition(truth: Mapping[tuple, bool]) -> str:
    """`truth`: cells, as pairs (name, range) in order, and whether the verdict holds there."""
    if all(truth.values()):
        return "always"
    firsts = list(dict.fromkeys(cell[0] for cell in truth))
    name = firsts[0][0]
    ranges = [r for _, r in firsts]
    if len(next(iter(truth))) == 1:
        return _union(name, ranges, [truth[(first,)] for first in firsts])
    rows = {
        r: {cell[1:]: answer for cell, answer in truth.items() if cell[0] == (name, r)}
        for r in ranges
    }
    alternatives = []
    for row in [
        row
        for i, row in enumerate(rows.values())
        if row not in list(rows.values())[:i] and any(row.values())
    ]:
        here = _union(name, ranges, [rows[r] == row for r in ranges])
        there = _condition(row)
        both = [_bracketed(part) for part in (here, there) if part != "always"]
        alternatives.append(
            " and ".join(both) if len(both) > 1 else (here if there == "always" else there)
        )
    return " or ".join(
        a if len(alternatives) == 1 else _bracketed(a, " and ") for a in alternatives
    )


def _bracketed(text: str, mark: str = " or ") -> str:
    return f"({text})" if mark in text else text


def _union(name: str, ranges: Sequence[Range], holds: Sequence[bool]) -> str:
    if all(holds):
        return "always"
    runs: list[list[int]] = []
    for i, answer in enumerate(holds):
        if answer and i > 0 and holds[i - 1]:
            runs[-1].append(i)
        elif answer:
            runs.append([i])
    missing = [r for r, answer in zip(ranges, holds) if not answer]
    if (
        len(missing) == 1
        and missing[0][0] == missing[0][1]
        and missing[0] not in (ranges[0], ranges[-1])
    ):
        return f"{name} != {missing[0][0]}"
    return " or ".join(_run(name, [ranges[i] for i in run], ranges) for run in runs)


def _run(name: str, run: Sequence[Range], ranges: Sequence[Range]) -> str:
    first, last = run[0], run[-1]
    if first is last and first[0] == first[1]:
        return f"{name} = {first[0]}"
    # an end of the whole range is not repeated as a condition
    low = None if first == ranges[0] else (first[0], "<=" if first[0] == first[1] else "<")
    high = None if last == ranges[-1] else (last[1], "<=" if last[0] == last[1] else "<")
    if low and high:
        return f"{low[0]} {low[1]} {name} {high[1]} {high[0]}"
    if high:
        return f"{name} {high[1]} {high[0]}"
    return f"{name} {'>=' if low[1] == '<=' else '>'} {low[0]}"
