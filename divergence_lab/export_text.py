"""A formula as source text for torch or JAX: what `bridge.formula` computes, written down in the same order."""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from divergence_lab.bridge import NotRepresentable
from divergence_lab.theory.pieces import Pieces
from divergence_lab.theory.symbols import x


@dataclass(frozen=True)
class Dialect:
    """How a library calls its functions; `prefix` is its module."""
    prefix: str
    names: dict[type, str]

    def call(self, name: str, *arguments: str) -> str:
        return f"{name if '.' in name else f'{self.prefix}.{name}'}({', '.join(arguments)})"


_SAME = {sp.exp: "exp", sp.log: "log", sp.sinh: "sinh", sp.cosh: "cosh", sp.tanh: "tanh", sp.Abs: "abs",
         sp.sign: "sign"}
TORCH = Dialect("torch", {**_SAME, sp.asinh: "asinh", sp.acosh: "acosh", sp.atanh: "atanh", sp.atan: "atan",
                            sp.erf: "erf", sp.erfc: "erfc"})
JAX = Dialect("jnp", {**_SAME, sp.asinh: "arcsinh", sp.acosh: "arccosh", sp.atanh: "arctanh", sp.atan: "arctan",
                        sp.erf: "jax.scipy.special.erf", sp.erfc: "jax.scipy.special.erfc"})
_INVERSES = {sp.coth: sp.tanh, sp.sech: sp.cosh, sp.csch: sp.sinh}
_COMPARISONS = {sp.StrictLessThan: "<", sp.LessThan: "<=", sp.StrictGreaterThan: ">", sp.GreaterThan: ">="}


def _text(expression: sp.Expr, dialect: Dialect) -> str:
    """The operations of `bridge.formula` in the same order, so that the rounding is the same."""
    if expression == x:
        return "z"
    if not expression.has(x):
        return dialect.call("full_like", "z", repr(float(expression)))
    if isinstance(expression, sp.Piecewise):
        answer = _text(expression.args[-1][0], dialect)
        for value, condition in reversed(expression.args[:-1]):
            answer = dialect.call("where", _condition_text(condition, dialect), _text(value, dialect), answer)
        return answer
    if expression.is_Add or expression.is_Mul:
        constant, rest = expression.as_independent(x, as_Add=expression.is_Add)
        parts = [_text(part, dialect) for part in expression.func.make_args(rest)]
        number = float(constant)
        neutral, sign = (0.0, " + ") if expression.is_Add else (1.0, " * ")
        parts += [] if number == neutral else [repr(number)]
        return parts[0] if len(parts) == 1 else f"({sign.join(parts).replace('+ -', '- ')})"
    if expression.is_Pow:
        base, power = _text(expression.base, dialect), expression.exp
        if power.has(x):
            return f"({base} ** {_text(power, dialect)})"
        return f"({base} ** {repr(int(power)) if power.is_Integer else repr(float(power))})"
    if expression.func in _INVERSES:
        return f"(1 / {dialect.call(dialect.names[_INVERSES[expression.func]], _text(expression.args[0], dialect))})"
    name = dialect.names.get(expression.func)
    if name is None:
        raise NotRepresentable(f"{expression.func.__name__} can't be exported: use divergence_lab.to_torch(loss)")
    return dialect.call(name, _text(expression.args[0], dialect))


def _condition_text(condition, dialect: Dialect) -> str:
    if condition == sp.true:
        return dialect.call("full_like", "z", "True", f"dtype={'torch.bool' if dialect is TORCH else 'bool'}")
    if isinstance(condition, sp.And | sp.Or):
        joined = (" & " if isinstance(condition, sp.And) else " | ").join(
            _condition_text(part, dialect) for part in condition.args)
        return f"({joined})"
    sides = [_text(side, dialect) if side.has(x) else repr(float(side)) for side in (condition.lhs, condition.rhs)]
    return f"({sides[0]} {_COMPARISONS[type(condition)]} {sides[1]})"


def _stripped(text: str) -> str:
    """Without the brackets around the whole."""
    depth = 0
    for position, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if depth == 0 and position < len(text) - 1:
            return text
    return text[1:-1] if text.startswith("(") else text


def formula_lines(function: Pieces, dialect: Dialect) -> list[str]:
    """`answer = ...`, piece by piece from the last to the first, as `torch.where` takes them."""
    whole = function.as_expression()
    cases = whole.args if isinstance(whole, sp.Piecewise) else ((whole, sp.true),)
    lines = [f"answer = {_stripped(_text(cases[-1][0], dialect))}"]
    for value, condition in reversed(cases[:-1]):
        inside = _stripped(_condition_text(condition, dialect))
        lines.append(f"answer = {dialect.call('where', inside, _stripped(_text(value, dialect)), 'answer')}")
    return lines
