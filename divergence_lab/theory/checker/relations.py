"""Where a verdict holds, said by relations between parameters. Part of the trusted checker.

    cells  0 < a < b, a = b, a > b  with  no, no, yes    ->    a > b

On each cell every relation that is considered, a > b or a >= 1, is true, false or not the same for
all parameters of it, as signs show. The shortest conjunction, or alternative of conjunctions, that
is true on the cells with a yes and false on the others says where the verdict holds.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import sympy as sp

from divergence_lab.theory.checker.families.ranges import Range, put_in, written_positive
from divergence_lab.theory.checker.families.signs import Unsigned, sign
from divergence_lab.theory.expressions.printing import write

_HOLDS = {  # the signs of a - end at which it does
    ">": (1,),
    "<": (-1,),
    ">=": (0, 1),
    "<=": (-1, 0),
    "=": (0,),
    "!=": (-1, 1),
}
MOST_RELATIONS, MOST_ALTERNATIVES = 3, 3
MOST_CANDIDATES = 60


@dataclass(frozen=True)
class Condition:
    """Relations that hold together; `true` and `false` are the cells, as bits, on which they are
    shown to hold, and not to hold.
    """

    relations: tuple[str, ...]
    true: int
    false: int

    def __and__(self, other: "Condition") -> "Condition":
        return Condition(
            self.relations + other.relations, self.true & other.true, self.false | other.false
        )

    def order(self) -> tuple[int, int, tuple[str, ...]]:
        return len(self.relations), sum(map(len, self.relations)), self.relations


def shortest(
    cells: Sequence[Mapping[str, Range]], symbols: Mapping[str, sp.Symbol], holds: Sequence[bool]
) -> str | None:
    """The condition, for cells of which ends depend on parameters; None where no short one says
    it.
    """
    wanted = sum(1 << k for k, answer in enumerate(holds) if answer)
    others = (1 << len(cells)) - 1 - wanted
    single = sorted(_relations(cells, symbols), key=Condition.order)
    together = [c for c in _conjunctions(single) if c.true & wanted and c.false & others == others]
    if (alone := next((c for c in together if c.true == wanted), None)) is not None:
        return " and ".join(alone.relations)
    largest: list[Condition] = []  # one that another, shorter one contains is not needed
    for one in together:
        if not any(one.true & ~other.true == 0 for other in largest):
            largest.append(one)
    for count in range(2, MOST_ALTERNATIVES + 1):
        for several in itertools.combinations(largest[:MOST_CANDIDATES], count):
            if _union(several) == wanted:
                return " or ".join(map(_bracketed, several))
    return None


def _union(several: Sequence[Condition]) -> int:
    total = 0
    for one in several:
        total |= one.true
    return total


def _bracketed(one: Condition) -> str:
    text = " and ".join(one.relations)
    return f"({text})" if len(one.relations) > 1 else text


def _conjunctions(single: Sequence[Condition]) -> list[Condition]:
    """Up to three relations at once, the shortest first."""
    found = list(single)
    for count in range(2, MOST_RELATIONS + 1):
        for several in itertools.combinations(single, count):
            both = several[0]
            for one in several[1:]:
                both = both & one
            if both.true:
                found.append(both)
    return sorted(found, key=Condition.order)


def _relations(
    cells: Sequence[Mapping[str, Range]], symbols: Mapping[str, sp.Symbol]
) -> Iterator[Condition]:
    """a > end, a = end, ... for every end of a cell, and the cells on which each is true."""
    forms = [written_positive(cell, symbols) for cell in cells]
    for name in cells[0]:
        ends = {end for cell in cells for end in cell[name]} - {sp.oo, -sp.oo}
        for end in sorted(ends, key=lambda e: (sp.count_ops(e), str(e))):
            seen = [_sign_on(symbols[name] - end, form) for form in forms]
            for relation, signs in _HOLDS.items():
                yield Condition(
                    (_in_words(name, relation, end),),
                    sum(1 << k for k, s in enumerate(seen) if s in signs),
                    sum(1 << k for k, s in enumerate(seen) if s is not None and s not in signs),
                )


def _in_words(name: str, relation: str, end: sp.Expr) -> str:
    """b < a as a > b: the names in their order."""
    if end.is_Symbol and str(end) < name:
        return f"{end} {relation.translate(str.maketrans('<>', '><'))} {name}"
    return f"{name} {relation} {write(end)}"


def _sign_on(difference: sp.Expr, form: Mapping[sp.Symbol, sp.Expr]) -> int | None:
    try:
        return sign(put_in(difference, form))
    except Unsigned:
        return None
