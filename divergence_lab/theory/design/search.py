"""From wished properties to losses in closed form, each wish proved.

    g'' >= 0 is free to choose:  g = sum_i w_i b_i,  w_i >= 0,  b_i of known closed form (blocks)

What `proofs` does not prove is not returned.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import sympy as sp

from divergence_lab.inputs import is_whole, shown
from divergence_lab.theory.budget.asking import (
    OutOfTime,
    SearchFailed,
    bounded,
    check_budget,
    clock,
)
from divergence_lab.theory.design import mixtures, proofs, reading
from divergence_lab.theory.design.blocks import Block, allowed, blocks, needs
from divergence_lab.theory.design.mixtures import Table, curvatures
from divergence_lab.theory.design.splines import spline
from divergence_lab.theory.design.symmetric_splines import symmetric_spline
from divergence_lab.theory.design.wishes import TOLERANCE, DesignError, Wishes
from divergence_lab.theory.expressions import CannotSplit, split, write, x

# How many candidates are put to the proof for each loss that is asked for.
TRIES = 8
# Processor seconds of a whole search.
BUDGET = 12.0
# After these shares of the budget no new proof is begun: with a loss in hand, and without one.
ENOUGH, LATEST = 0.25, 0.8
# A proof may take this share of what is left, and that of the only candidate this one.
PROOF, ONLY = 0.7, 0.95
# With more penalties than this a sum of named losses that meets them is not easy to read.
FEW = 3


def design(
    zero_forcing: bool | None = None,
    zero_avoiding: bool | None = None,
    symmetric: bool = False,
    even: bool = False,
    bounded_gradient: bool = False,
    bounded_second_moment: bool = False,
    curvature: object = None,
    penalties: Mapping[object, object] | None = None,
    left_growth: str | None = None,
    right_growth: str | None = None,
    smooth: bool = False,
    max_terms: int | None = None,
    count: int = 3,
    budget: float = BUDGET,
    tolerance: object = TOLERANCE,
) -> list[proofs.Designed]:
    """Up to `count` convex losses that meet every wish, the one with the shortest formula first.

    zero_forcing, zero_avoiding: True, False (not), None (either). `symmetric` is of the divergence,
    `even` of g. bounded_second_moment: g'(x)^2 e^{-x} is bounded on x > 0, the second moment of the
    score at a mode that the model has dropped. curvature: g''(0). penalties: {x: g(x)}, met exactly
    where the weights come out rational, else within the relative `tolerance`. Growths of g:
    "linear", "quadratic", "power:3", "exponential:1/2". Numbers are texts, ints, floats (read as
    written) or SymPy numbers. smooth: g'' is continuous. max_terms: how many summands the formula
    may have, those of all its pieces together. `budget`: processor seconds of the whole search;
    with a loss in hand no new proof is begun after a quarter of it.

    Raises DesignError (a ValueError) that names two wishes that clash and why, or says what could
    not be met.

        >>> import divergence_lab as dl
        >>> (found,) = dl.design(zero_forcing=True, zero_avoiding=True, symmetric=True, count=1)
        >>> print(found.loss.expression, found.derivation.divergence, sep=": ")
        x**2/2 - x + exp(x) - 1: Jeffreys
    """
    check_budget(budget)
    if not is_whole(count, 1):
        raise DesignError(f"count is {shown(str(count))}: ask for at least one loss")
    wishes = reading.read_wishes(
        zero_forcing,
        zero_avoiding,
        symmetric,
        even,
        bounded_gradient,
        bounded_second_moment,
        curvature,
        penalties,
        left_growth,
        right_growth,
        smooth,
        max_terms,
        tolerance,
    )
    return search_within(budget, wishes, count, tolerance)


def search_within(
    budget: float, wishes: Wishes, count: int, tolerance: object
) -> list[proofs.Designed]:
    """As `design`, for wishes that were read and do not clash."""
    try:
        return bounded(budget, design_for, wishes, count, budget, tolerance)
    except (OutOfTime, SearchFailed) as failure:
        why = f"the search was not done within {budget:g} s of processor time"
        raise DesignError(
            f"{str(failure) or why}: leave a wish out, or allow a larger budget"
        ) from None


def design_for(
    wishes: Wishes, count: int = 3, budget: float = BUDGET, tolerance: object = TOLERANCE
) -> list[proofs.Designed]:
    """As `search_within`, in this process."""
    allowed_error = reading.read_tolerance(tolerance)
    found: list[proofs.Designed] = []
    shortest_seen: list[int] = []
    began, share = clock(), PROOF if len(wishes.penalties) <= FEW else ONLY
    for expression in itertools.islice(
        _unlike(_offered(wishes, count, allowed_error)), TRIES * count
    ):
        spent = clock() - began
        if spent > budget * (ENOUGH if found else LATEST):
            break
        if (
            wishes.max_terms is not None
            and (terms := proofs.terms_of(expression)) > wishes.max_terms
        ):
            shortest_seen.append(terms)
            continue
        proved = proofs.prove(expression, wishes, share * (budget - spent), allowed_error)
        if proved is not None:
            found.append(proved)
        if len(found) == count:
            break
    if not found:
        raise _nothing_found(wishes, shortest_seen)
    return sorted(found, key=lambda entry: len(write(entry.loss.expression)))


def _nothing_found(wishes: Wishes, terms: Sequence[int]) -> DesignError:
    if terms:
        return DesignError(
            f"no loss of at most {wishes.max_terms} terms was found for these wishes; the shortest "
            f"has {min(terms)}: raise --max-terms, or leave a wish out"
        )
    return DesignError(
        "no loss on offer was found and proved to meet these wishes, though no contradiction "
        "between them is known: leave one out, raise --budget, or, with penalties, widen the "
        "tolerance"
    )


# --- candidates


def _offered(wishes: Wishes, count: int, tolerance: sp.Rational) -> Iterator[sp.Expr]:
    """Named losses, or with few penalties sums of some, and the spline that always meets the
    wishes: first with penalties if it is shorter than the first sum, second if it is not.
    """
    lines = _lines(wishes, tolerance)
    if not wishes.penalties:
        return itertools.chain(_single(wishes), lines)
    if len(wishes.penalties) > FEW:
        return lines
    sums = _mixed(wishes, count, tolerance)
    first = [expression for expression in [next(sums, None)] if expression is not None]
    return itertools.chain(sorted([*first, *lines], key=lambda e: len(write(e))), sums)


def _lines(wishes: Wishes, tolerance: sp.Rational) -> Iterator[sp.Expr]:
    found = symmetric_spline(wishes, tolerance) if wishes.symmetric else spline(wishes)
    if found is not None:
        yield found


def _single(wishes: Wishes) -> Iterator[sp.Expr]:
    """Single blocks and sums of two, cheapest first, scaled to the wished curvature."""
    usable = [block for block in blocks(wishes) if allowed(block, wishes)]
    tests = needs(wishes)
    enough = {
        block
        for block in usable
        if _complete((block,), tests) and (wishes.curvature is None or _round(block, wishes))
    }
    sums = sorted(
        ((a, b) for a, b in itertools.combinations(usable, 2)),
        key=lambda pair: pair[0].cost + pair[1].cost,
    )
    for members in itertools.chain(((block,) for block in usable), sums):
        if len(members) > 1 and not enough.isdisjoint(members):
            continue  # the shorter sum was offered already
        if _complete(members, tests):
            whole = sp.Add(*(block.expression for block in members))
            if wishes.curvature is None:
                yield whole
                continue
            below, above = (
                sum(curvatures(block.expression)[side] for block in members) for side in (0, 1)
            )
            if wishes.curvature == 0 and below == above == 0:
                yield whole
            elif wishes.curvature != 0 and below == above and below.is_finite and below.is_positive:
                yield sp.expand(wishes.curvature / below * whole)


def _round(block: Block, wishes: Wishes) -> bool:
    """Has g'' one value at 0, finite, and 0 exactly where that is wished?"""
    below, above = curvatures(block.expression)
    return bool(below == above and below.is_finite and (below == 0) == (wishes.curvature == 0))


def _complete(members: Sequence[Block], tests: Iterable) -> bool:
    return all(any(test(block) for block in members) for test in tests)


def _mixed(wishes: Wishes, count: int, tolerance: sp.Rational) -> Iterator[sp.Expr]:
    """Sums of blocks that meet the penalties, found by linear programs with ever more blocks
    left out.
    """
    usable = [block for block in blocks(wishes, fine=True) if allowed(block, wishes)]
    table = Table(usable, wishes)
    tests = needs(wishes)
    # the prettiest answer is a sum of blocks that are each of the wished class
    partial = frozenset(i for i, b in enumerate(usable) if not _complete((b,), tests))
    pending, seen = [partial, frozenset[int]()], set()
    while pending and len(seen) < 6 * count:
        banned = pending.pop(0)
        if banned in seen:
            continue
        seen.add(banned)
        found = table.solve(banned, tests)
        if found is None:
            continue
        support = [i for i, weight in enumerate(found) if weight > 0]
        pending += mixtures.without_each(support, banned)
        weights = table.tidy(support, [found[i] for i in support], tolerance)
        if weights is not None:
            yield shortest(sp.Add(*(w * usable[i].whole for w, i in zip(weights, support))))


def shortest(expression: sp.Expr) -> sp.Expr:
    """The shortest to read of: as it is, expanded, and piece by piece."""
    forms = [expression, sp.expand(expression)]
    try:
        pieces = split(expression, x)
        if len(pieces.pieces) > 1:
            forms.append(pieces.map(sp.expand).merged().as_expression())
    except CannotSplit:
        pass
    return min(forms, key=lambda form: len(write(form)))


def _unlike(offered: Iterable[sp.Expr]) -> Iterator[sp.Expr]:
    """Each expression once."""
    seen = set()
    for expression in offered:
        key = sp.expand(expression)
        if key not in seen:
            seen.add(key)
            yield expression
