"""Named losses and divergences as data.

A family is a formula with parameters; `linex(1/2)` fills them in. A divergence is its generator, normalised to
f(1) = f'(1) = 0. Nothing here is computed: derive and decide confirm each entry in the tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sympy as sp

from divergence_lab.theory.expressions import ExpressionError, parse, parse_number, shown
from divergence_lab.theory.symbols import t, x

HU = "Hu et al., ICLR 2025 (arXiv 2410.02596), Table 2"


@dataclass(frozen=True)
class NamedLoss:
    """g in x; `parameters` with their defaults; `special` gives the formula at values where it degenerates."""
    name: str
    loss: str
    reference: str
    use: str
    parameters: Mapping[str, str | None] = ()
    special: Mapping[str, str] = ()


@dataclass(frozen=True)
class NamedDivergence:
    """D_f(p_B || p_F) with f in t; `formula` says it in sums over p = p_B, q = p_F."""
    name: str
    generator: str
    formula: str


LOSSES: tuple[NamedLoss, ...] = (
    NamedLoss("quadratic", "x**2/2", HU, "the standard loss; concentrates on high reward (zero-forcing)"),
    NamedLoss("linex", "(exp(alpha*x) - alpha*x - 1)/alpha**2", HU,
              "alpha slides from mode-seeking (alpha <= 0) to mode-covering (alpha >= 1)",
              {"alpha": None}, {"0": "x**2/2"}),
    NamedLoss("shifted_cosh", "exp(x) + exp(-x) - 2", HU, "both zero-forcing and zero-avoiding"),
)

DIVERGENCES: tuple[NamedDivergence, ...] = (
    NamedDivergence("reverse KL", "t - log(t) - 1", "KL(q||p) = sum q log(q/p) - q + p"),
    NamedDivergence("forward KL", "t*log(t) - t + 1", "KL(p||q) = sum p log(p/q) - p + q"),
    NamedDivergence("squared Hellinger", "(sqrt(t) - 1)**2", "sum (sqrt p - sqrt q)^2"),
    NamedDivergence("Pearson chi-square", "(t - 1)**2", "sum (p - q)^2/q"),
    NamedDivergence("Neyman chi-square", "(t - 1)**2/t", "sum (p - q)^2/p"),
    NamedDivergence("Jeffreys", "(t - 1)*log(t)", "KL(p||q) + KL(q||p)"),
    NamedDivergence("total variation", "Abs(t - 1)/2", "sum |p - q|/2"),
    NamedDivergence("forward KL plus half Neyman chi-square", "t*log(t) - t/2 + 1/(2*t)",
                    "KL(p||q) + sum (p - q)^2/(2 p)"),
)

PAPER_LOSSES = ("quadratic", "linex(1)", "linex(1/2)", "shifted_cosh")

_CALL = re.compile(r"\s*([a-z][a-z0-9_]*)\s*(?:\((.*)\))?\s*\Z", re.DOTALL)
_FAMILIES = {entry.name: entry for entry in LOSSES}


def lookup(text: str, assumptions: Iterable[str] = ()) -> tuple[str, sp.Expr] | None:
    """("linex(1/2)", its expression) for a catalogue name, None when the text is not one.

    Raises ExpressionError when the family is known but its parameters are not right.
    """
    if not isinstance(text, str) or len(text) > 500:
        return None
    match = _CALL.match(text)
    if not match or match.group(1) not in _FAMILIES:
        return None
    family, inside = _FAMILIES[match.group(1)], match.group(2)
    names = list(dict(family.parameters))
    given = _arguments(inside) if inside is not None and inside.strip() else []
    if len(given) > len(names) or (len(given) < len(names) and None in list(dict(family.parameters).values())[len(given):]):
        needed = ", ".join(names)
        raise ExpressionError(f"{shown(text)}: {family.name} takes "
                              + (f"the parameter {needed}, e.g. {family.name}(1/2)" if names else "no parameter"))
    given += [dict(family.parameters)[name] for name in names[len(given):]]
    values = {name: parse_parameter(value, name, assumptions) for name, value in zip(names, given)}
    shown_name = family.name + (f"({', '.join(str(values[n]).replace(' ', '') for n in names)})" if names else "")
    if len(values) == 1 and (special := dict(family.special).get(str(*values.values()))):
        return shown_name, parse(special, x)
    expression = parse(family.loss, x)
    symbols = {symbol.name: symbol for symbol in expression.free_symbols}
    return shown_name, expression.subs({symbols[name]: value for name, value in values.items()})


def parse_parameter(text: str, name: str, assumptions: Iterable[str] = ()) -> sp.Expr:
    """A parameter value: a constant, or a bare parameter name left symbolic."""
    if re.fullmatch(r"\s*[A-Za-z]\w*\s*", text, re.ASCII):
        return parse(text, sp.Dummy(), assumptions)
    return parse_number(text, f"the parameter {name},")


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


def name_of(expression: sp.Expr) -> str | None:
    """The catalogue name of an expression written out, such as exp(x) - x - 1 -> linex(1)."""
    for name in PAPER_LOSSES:
        if sp.expand(lookup(name)[1] - expression) == 0:
            return name
    return None


def generator(entry: NamedDivergence) -> sp.Expr:
    """f(t) of a named divergence."""
    return parse(entry.generator, t)
