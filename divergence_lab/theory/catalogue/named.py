"""Named losses and divergences: from a name to its formula and back.

The data stand in named_losses and named_divergences.

A family is a formula with parameters; `linex(1/2)` fills them in. A divergence is its generator,
normalised to f(1) = f'(1) = 0.
"""

import itertools
import operator
import re
from collections.abc import Iterable, Mapping
from functools import cache

import sympy as sp
from flint import arb

from divergence_lab.theory.catalogue import spelling
from divergence_lab.theory.catalogue.divergences import DIVERGENCES, NamedDivergence
from divergence_lab.theory.catalogue.losses import LOSSES, NamedLoss
from divergence_lab.theory.expressions import (
    CannotSplit,
    ExpressionError,
    Pieces,
    enclosure,
    identity,
    parse,
    pieces,
    split,
    t,
    x,
)
from divergence_lab.theory.expressions.parsing import parse_number, read_assumptions
from divergence_lab.theory.expressions.syntax import shown

__all__ = [
    "DIVERGENCES",
    "LOSSES",
    "PAPER_LOSSES",
    "NamedDivergence",
    "NamedLoss",
    "generator",
    "holds_at",
    "lookup",
    "name_of",
    "parse_generator",
    "parse_with_names",
]

PAPER_LOSSES = ("quadratic", "linex(1)", "linex(1/2)", "shifted_cosh")

_CALL = re.compile(r"\s*([a-z][a-z0-9_]*)\s*(?:\((.*)\))?\s*\Z", re.DOTALL)
_RELATION = re.compile(r"(.+?)(<=|>=|==|!=|<|>)(.+)")
_HOLDS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_FAMILIES = {entry.name: entry for entry in LOSSES}
# Two losses that agree at these residuals to this many digits are then compared symbolically.
_FINGERPRINTS = (sp.Rational(-7, 5), sp.Rational(5, 3))
_DIGITS = 20


def lookup(
    text: str, assumptions: Iterable[str] = ()
) -> tuple[str, sp.Expr, tuple[str, ...]] | None:
    """("huber(d)", its expression, ("d > 0",)) for a catalogue name, None when the text is not one.

    The last part holds what the family itself assumes of parameters left symbolic. Raises
    ExpressionError when the family is known but its parameters are not right.

        >>> lookup("huber(d)")
        ('huber(d)', Piecewise((x**2/2, Abs(x) <= d), (-d**2/2 + d*Abs(x), True)), ('d > 0',))
    """
    if not isinstance(text, str) or len(text) > 500:
        return None
    match = _CALL.match(spelling.with_loss_names(text, read_assumptions(assumptions)))
    if not match or match.group(1) not in _FAMILIES:
        return None
    family, inside = _FAMILIES[match.group(1)], match.group(2)
    if inside is not None and not _balanced(inside):
        return None  # linex(1) + exp(x): not one name
    names = list(family.parameters)
    given = _arguments(inside) if inside is not None and inside.strip() else []
    given = [
        re.sub(rf"\s*{name}\s*=", "", part)  # linex(alpha=1)
        for part, name in itertools.zip_longest(given, names[: len(given)], fillvalue="")
    ]
    defaults = list(family.parameters.values())
    if len(given) > len(names) or (len(given) < len(names) and None in defaults[len(given) :]):
        needed = (
            f"the parameter{'s' * (len(names) > 1)} {', '.join(names)}, e.g. {_example(family)}"
        )
        raise ExpressionError(
            f"{shown(text)}: {family.name} takes {needed if names else 'no parameter'}"
        )
    given += defaults[len(given) :]
    own = _own_assumptions(family, dict(zip(names, given)))
    values = {
        name: parse_parameter(value, name, (*assumptions, *own))
        for name, value in zip(names, given)
    }
    for name, relation, bound in _bounds(family):
        if not values[name].free_symbols and not _HOLDS[relation](values[name], bound):
            raise ExpressionError(
                f"{shown(text)}: {family.name} needs {' and '.join(family.where)}"
            )
    written = {name: str(values[name]).replace(" ", "") for name in names}
    arguments = ", ".join(written.values())
    formula = family.special.get(arguments) or re.sub(
        r"[A-Za-z]\w*",
        lambda word: f"({written[word[0]]})" if word[0] in written else word[0],
        family.loss,
    )
    return (
        family.name + (f"({arguments})" if names else ""),
        parse(formula, x, (*assumptions, *own)),
        own,
    )


def parse_with_names(text: str, assumptions: Iterable[str] = ()) -> tuple[sp.Expr, tuple[str, ...]]:
    """An expression in which catalogue names may stand, and what these assume of parameters.

    >>> parse_with_names("quadratic + huber(d)/2")[1]
    ('d > 0',)
    """
    assumptions = tuple(assumptions)
    stated = read_assumptions(assumptions)
    text = spelling.with_loss_names(text, stated)
    if spelling.is_in_words(text):
        raise ExpressionError(spelling.not_a_loss(text))
    own: dict[str, None] = {}

    def named(part: str) -> sp.Expr | None:
        found = None if part.strip() in stated else lookup(part, (*assumptions, *own))
        if found is None:
            if "(" in part:
                spelling.refuse_misspelt(part)
            return None
        own.update(dict.fromkeys(found[2]))
        return found[1]

    expression = parse(text, x, assumptions, named)
    # once more: what a later name assumes of a parameter is meant of an earlier one, too
    return (parse(text, x, (*assumptions, *own), named) if own else expression), tuple(own)


def _example(family: NamedLoss) -> str:
    values = family.examples[0] if family.examples else ", ".join(family.parameters.values())
    return f"{family.name}({values})"


def _bounds(family: NamedLoss) -> list[tuple[str, str, sp.Expr]]:
    return [
        (name, relation, bound)
        for name, bounds in read_assumptions(family.where).items()
        for relation, bound in bounds
    ]


def _own_assumptions(family: NamedLoss, given: Mapping[str, str]) -> tuple[str, ...]:
    """The family's assumptions, in the user's names, on the parameters that stay symbolic."""
    return tuple(
        f"{given[name].strip()} {relation} {bound}"
        for name, relation, bound in _bounds(family)
        if _is_name(given[name])
    )


def _is_name(text: str) -> bool:
    return re.fullmatch(r"\s*[A-Za-z]\w*\s*", text, re.ASCII) is not None and text.strip() not in (
        "E",
        "pi",
    )


def parse_parameter(text: str, name: str, assumptions: Iterable[str] = ()) -> sp.Expr:
    """A parameter value: a constant, or a bare parameter name left symbolic."""
    if text.strip() in (x.name, t.name):
        raise ExpressionError(
            f"the parameter {name} can't be {text.strip()}: give it a number such as 1/2, or a "
            "free name"
        )
    if _is_name(text):
        return parse(text, sp.Dummy(), assumptions)
    return parse_number(text, f"the parameter {name},")


def _balanced(inside: str) -> bool:
    depth = 0
    for c in inside:
        depth += (c == "(") - (c == ")")
        if depth < 0:
            return False
    return True


def _arguments(inside: str) -> list[str]:
    """Split at commas outside parentheses."""
    parts, depth = [""], 0
    for c in inside:
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    return parts


def holds_at(condition: bool | str, values: Mapping[str, str]) -> bool:
    """Does a verdict of the catalogue hold at these values? "a > 0 and b < 1" at {"a": "2", "b":
    "2"}: no.
    """
    if isinstance(condition, bool):
        return condition
    exact = {name: parse_number(value) for name, value in values.items()}
    for part in condition.split(" and "):
        left, relation, right = _RELATION.fullmatch(part).groups()
        sides = [parse(side, sp.Dummy()) for side in (left, right)]
        a, b = (
            side.subs({symbol: exact[symbol.name] for symbol in side.free_symbols})
            for side in sides
        )
        if not _HOLDS[relation](a, b):
            return False
    return True


# --- from a formula to its name


def name_of(expression: sp.Expr) -> str | None:
    """The catalogue name of an expression written out, such as exp(x) - x - 1 -> linex(1).

    Looked for among the paper's losses and each entry at its default parameters.

        >>> from divergence_lab.theory.expressions import parse, x
        >>> name_of(parse("exp(x) - x - 1", x))
        'linex(1)'
    """
    if expression.free_symbols != {x}:
        return None
    try:
        pieces = split(expression, x)
        seen = _fingerprint(pieces)
    except (CannotSplit, enclosure.NotEvaluable):
        return None
    for text in _WITHOUT_PARAMETERS:
        # A special function is in both or in neither: SymPy takes long to read a polylog, so it is
        # not read in vain.
        if any((word in _formula(text)) != expression.has(kind) for word, kind in _SPECIAL.items()):
            continue
        name, candidate, known = _written_out(text)
        if all(a.overlaps(b) for a, b in zip(seen, known)) and _equal(pieces, candidate):
            return name
    return None


_SPECIAL = {"polylog": sp.polylog, "Ei(": sp.Ei, "erf": sp.erf}
_WITHOUT_PARAMETERS = tuple(
    dict.fromkeys(
        (*PAPER_LOSSES, *(entry.name for entry in LOSSES if None not in entry.parameters.values()))
    )
)


def _formula(text: str) -> str:
    return _FAMILIES[text.partition("(")[0]].loss


@cache
def _written_out(text: str) -> tuple[str, Pieces, tuple[arb, ...]]:
    """A loss without free parameters, as pieces, with its values at the fingerprint points."""
    name, expression, _ = lookup(text)
    pieces = split(expression, x)
    return name, pieces, _fingerprint(pieces)


def _fingerprint(pieces: Pieces) -> tuple[arb, ...]:
    here = (
        next(p for p in pieces.pieces if p.high == sp.oo or point < p.high)
        for point in _FINGERPRINTS
    )
    return tuple(
        enclosure.value_at(piece.expression, x, point, _DIGITS)
        for piece, point in zip(here, _FINGERPRINTS)
    )


def _equal(a: Pieces, b: Pieces) -> bool:
    """The same pieces, proved; False may mean unknown."""
    return a.kinks == b.kinks and all(
        identity.vanishes(p.expression - q.expression, pieces.inside(p))
        for p, q in zip(a.pieces, b.pieces)
    )


def parse_generator(text: str, assumptions: Iterable[str] = ()) -> tuple[sp.Expr, tuple[str, ...]]:
    """f(t) from an expression in which divergences may be named, and what these assume of
    parameters.

    >>> parse_generator("Jeffreys + 2*total variation")[0]
    (t - 1)*log(t) + Abs(t - 1)
    """
    assumptions = tuple(assumptions)
    stated = read_assumptions(assumptions)
    spelling.refuse_ambiguous(text)
    written, words = spelling.with_divergence_names(text, stated)
    if spelling.is_in_words(written):
        raise ExpressionError(spelling.not_a_generator(text))
    own: dict[str, None] = {}

    def named(part: str) -> sp.Expr | None:
        word, _, inside = part.partition("(")
        if word.strip() not in words:
            spelling.refuse_loss(part)
            if part not in stated:
                spelling.refuse_ambiguous(part)
            return None
        formula, assumed = _filled(words[word.strip()], inside[:-1])
        own.update(dict.fromkeys(assumed))
        return parse(formula, t, (*assumptions, *own))

    given = parse(written, t, assumptions, named)
    # once more: what a later name assumes of a parameter is meant of an earlier one, too
    return (parse(written, t, (*assumptions, *own), named) if own else given), tuple(own)


def _filled(entry: NamedDivergence, inside: str) -> tuple[str, tuple[str, ...]]:
    """A divergence's generator, its parameter replaced; what is assumed of one that stays free. A
    value at which the formula degenerates is left out: the verdicts there are those of its limit.
    """
    if entry.parameter is None:
        if inside:
            raise ExpressionError(f"{entry.name} takes no parameter")
        return entry.generator, ()
    text = re.sub(rf"\s*{entry.parameter}\s*=", "", inside) or entry.parameter
    value = parse_parameter(text, entry.parameter)
    if value.free_symbols:
        own = [bound for bound in entry.where if "!=" not in bound]
        formula = f"({value})"
        assumed = tuple(re.sub(rf"\b{entry.parameter}\b", str(value), bound) for bound in own)
    elif str(value) in entry.limits:
        return next(e.generator for e in DIVERGENCES if e.name == entry.limits[str(value)]), ()
    elif all(holds_at(bound, {entry.parameter: text}) for bound in entry.where):
        formula, assumed = f"({value})", ()
    else:
        raise ExpressionError(
            f"{entry.name} needs {' and '.join(entry.where)}, not {entry.parameter} = {value}"
        )
    return re.sub(rf"\b{entry.parameter}\b", formula, entry.generator), assumed


def generator(entry: NamedDivergence) -> sp.Expr:
    """f(t) of a named divergence; a family's parameter stays a symbol.

    >>> entry = next(entry for entry in DIVERGENCES if entry.name == "forward KL")
    >>> generator(entry)
    t*log(t) - t + 1
    """
    return parse(entry.generator, t)
