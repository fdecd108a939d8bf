"""The steps of a proof as mathematics, in LaTeX (in plain text a step is its `claim`); the
numbers at the ends in words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import sympy as sp

from divergence_lab.theory.checker.certificate import Step
from divergence_lab.theory.checker.conditions import read_ranges
from divergence_lab.theory.expressions.parsing import parse, parse_number
from divergence_lab.theory.expressions.printing import write_latex
from divergence_lab.theory.expressions.symbols import x
from divergence_lab.theory.verdicts.parameter_numbers import Cases, Number

Data = Mapping[str, str]
_SUBJECTS = {
    "slope": "g'(x)",
    "curvature": "g''(x)",
    "weighted slope": "g'(x)\\,e^{-x}",
    "odd part": "g'(x) + g'(-x)",
    "asymmetry": "g''(x) - e^{x} g''(-x)",
    "kink at 0": "g'(0^+) + g'(0^-)",
}
_RELATIONS = {">= 0": "\\ge 0", "<= 0": "\\le 0", "< 0": "< 0", "> 0": "> 0", "!= 0": "\\ne 0"}


def step_in_latex(step: Step) -> str:
    """One step as a LaTeX formula, without dollar signs."""
    data = dict(step.data)
    return _FORMULAS[step.rule](data, _SUBJECTS.get(data.get("of", ""), ""))


def _sign(data: Data, of: str) -> str:
    return f"{of} = {_function(data['f'])} {_RELATIONS[data['sign']]}, \\quad {_interval(data)}"


def _jump(data: Data, of: str) -> str:
    at = _number(data["at"])
    return f"g'({at}^+) - g'({at}^-) = {_number(data['jump'])}"


def _witness(data: Data, of: str) -> str:
    return (
        f"{of} = {_function(data['f'])} {_RELATIONS[data['sign']]} \\quad \\text{{at }} x = "
        f"{_number(data['at'])}"
    )


def _limit(data: Data, of: str) -> str:
    return (
        f"{of} = {_function(data['f'])} \\to {_number(data['limit'])} \\quad (x \\to "
        f"{_number(data['end'])})"
    )


def _integral(data: Data, of: str) -> str:
    scale, outcome = (
        _function(data["scale"]),
        "= \\infty" if data["diverges"] == "true" else "< \\infty",
    )
    return (
        f"{of} = {_function(data['f'])} = h(x), \\quad h(x) \\cdot {scale} \\to "
        f"{_number(data['limit'])} \\quad (x \\to \\infty), "
        f"\\quad \\int^\\infty \\frac{{dx}}{{{scale}}} {outcome}"
    )


def _identity(data: Data, of: str) -> str:
    shown = "" if data["f"] == "0" else f"{_function(data['f'])} = "
    return f"{of} = {shown}0, \\quad {_interval(data)}"


def _constant(data: Data, of: str) -> str:
    return f"{of} = 0, \\quad {_interval(data)}"


def _gap(data: Data, of: str) -> str:
    at = _number(data["at"])
    return (
        f"g = {_function(data['left'])} \\text{{ before }} {at}, \\quad g = "
        f"{_function(data['right'])} \\text{{ after it}}, "
        f"\\quad g({at}^+) - g({at}^-) = {_number(data['jump'])}"
    )


def _unbounded(data: Data, of: str) -> str:
    return (
        f"g = {_function(data['f'])} \\text{{ between }} {_number(data['at'])} \\text{{ "
        f"and }} {_number(data['end'])}, "
        f"\\quad g \\to {_number(data['limit'])} \\quad (x \\to {_number(data['at'])})"
    )


def _pole(data: Data, of: str) -> str:
    return (
        "g = "
        f"\\frac{{{_function(data['numerator'])}}}{{{_function(data['denominator'])}}}, "
        f"\\quad {_interval(data)}, "
        "\\text{ where the denominator changes sign and the numerator does not}"
    )


def _not_real(data: Data, of: str) -> str:
    return f"g({_number(data['at'])}) \\notin \\mathbb{{R}}"


def _cell(data: Data, of: str) -> str:
    where = " \\text{ and } ".join(
        _range(name, low, high) for name, (low, high) in read_ranges(data).items()
    )
    shown = (
        f", \\text{{ as }} x = {_expression(data['at'])} \\text{{ shows}}" if "at" in data else ""
    )
    scale = (
        f", \\text{{ }} x \\cdot {_expression(data['scale'])} \\text{{ being a scale}}"
        if "scale" in data
        else ""
    )
    return (
        f"\\text{{{'holds' if data['holds'] == 'true' else 'does not hold'} for }} "
        f"{where}{shown}{scale}"
    )


def _undefined(data: Data, of: str) -> str:
    where = " \\text{ and } ".join(
        _range(name, low, high) for name, (low, high) in read_ranges(data).items()
    )
    return f"\\text{{no value and no limit for }} {where}"


def _line(data: Data, of: str) -> str:
    return f"\\text{{holds exactly where }} {_expression(data['equation'])} = 0"


_FORMULAS: Mapping[str, Callable[[Data, str], str]] = {
    "sign": _sign,
    "jump": _jump,
    "witness": _witness,
    "limit": _limit,
    "integral": _integral,
    "identity": _identity,
    "constant": _constant,
    "gap": _gap,
    "unbounded": _unbounded,
    "pole": _pole,
    "not real": _not_real,
    "cell": _cell,
    "undefined": _undefined,
    "line": _line,
}


def _range(name: str, low: str, high: str) -> str:
    symbol = _expression(name)
    if low == high:
        return f"{symbol} = {_number(low)}"
    if (low, high) == ("-oo", "oo"):
        return f"\\text{{every }} {symbol}"
    if high == "oo":
        return f"{symbol} > {_number(low)}"
    return (
        f"{symbol} < {_number(high)}"
        if low == "-oo"
        else f"{_number(low)} < {symbol} < {_number(high)}"
    )


def _interval(data: Data) -> str:
    return f"x \\in ({_number(data['low'])}, {_number(data['high'])})"


def _function(text: str) -> str:
    return write_latex(parse(text, x))


def _expression(text: str) -> str:
    """An expression in parameters alone."""
    return write_latex(parse(text, sp.Dummy()))


def _number(text: str) -> str:
    if text in ("oo", "-oo"):
        return "\\infty" if text == "oo" else "-\\infty"
    return write_latex(parse_number(text))


def ends_in_words(ends: Sequence[tuple[str, Number]], shown: Callable[[sp.Expr], str]) -> list[str]:
    """f(0+), f'(oo), g''(0) as lines of text: one for all, or, where one of them has cases, one
    for each.
    """
    parts = []
    for label, number in ends:
        cases = number.cases if isinstance(number, Cases) else ((None, number),)
        parts.append(
            f"{label} = "
            + ", ".join(
                ("unknown" if value is None else shown(value))
                + (f" if {condition}" if condition else "")
                for condition, value in cases
            )
        )
    if not any(isinstance(number, Cases) for _, number in ends):
        parts = [", ".join(parts)]
    return [f"  {'' if k else 'ends':<13} {part}" for k, part in enumerate(parts)]
