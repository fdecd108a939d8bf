"""A function with kinks on an interval without any: Abs, sign, Max, Min and Piecewise decided, each
by a proof.

Part of the trusted checker: it relies on no list of break points, only on signs that `proofs` shows
on the interval.
"""

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp
from sympy.core.relational import Relational

from divergence_lab.theory.checker.facts.proofs import (
    Refuted,
    Rejected,
    limit_of,
    prove_finite,
    prove_nonnegative,
    prove_zero,
)
from divergence_lab.theory.expressions import CannotSplit, balls, constants, ordering, parse, points
from divergence_lab.theory.expressions.parsing import parse_number

MAX_FORMS = 60  # of what decides, with all of its own decisions taken
_DECISIONS = (sp.Abs, sp.sign, sp.Max, sp.Min, sp.Piecewise)


def decided(f: sp.Expr, x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> sp.Expr:
    """The smooth function that f is at every point of (low, high) at which it has a value.

    Raises Rejected where it has a break inside. acosh(cosh u) is |u|.
    """
    for e in f.atoms(sp.acosh):
        if isinstance(e.args[0], sp.cosh):
            f = f.xreplace({e: sp.Abs(e.args[0].args[0])})
    f = _without_powers_of_zero(f, x, low, high)
    while True:
        nodes = [e for e in sp.preorder_traversal(f) if isinstance(e, _DECISIONS)]
        if not nodes:
            return f
        reason = Rejected(f"{nodes[0]} could not be decided")
        for node in nodes:  # the outer ones first: what they leave out need not be decided
            try:
                f = f.xreplace({node: _branch(node, x, low, high)})
                break
            except Rejected as failure:
                reason = failure
        else:
            raise reason


def _without_powers_of_zero(f: sp.Expr, x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> sp.Expr:
    """0^u is 0 where u > 0: before anything in u is decided, as SymPy has no 0^(-x)."""
    for e in f.atoms(sp.Pow):
        if e.base == 0:
            if _strict_sign(decided(e.exp, x, low, high), x, low, high) < 0:
                raise Rejected(f"{e} divides by zero")
            f = f.xreplace({e: sp.S.Zero})
    return f


def prove_equal(f: sp.Expr, smooth: sp.Expr, x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> None:
    """f, which may have decisions, is `smooth` wherever it has a value on (low, high), by exact
    algebra. Raises Rejected.
    """
    for a, b, branch in decided_by_parts(f, x, low, high):
        prove_zero(branch - smooth, x, a, b)
        if b != high:
            prove_own_value(f, smooth, x, b)


def prove_own_value(f: sp.Expr, smooth: sp.Expr, x: sp.Symbol, at: sp.Expr, side: int = -1) -> None:
    """Where f has a value at a point, it is the limit of `smooth` there: Piecewise, sign and
    powers of 0 may give it one of its own. Raises Rejected, or Refuted.
    """
    if (value := points.value_of(f, x, at)) is None:
        return
    limit = limit_of(smooth, x, at, side)
    if limit is None or (same := constants.equal(value, limit)) is None:
        raise Rejected(f"its value at {at} is not known to be its limit")
    if not same:
        raise Refuted(f"it is {value} at {at}, and tends to {limit}")


def decided_by_parts(
    f: sp.Expr, x: sp.Symbol, low: sp.Expr, high: sp.Expr
) -> list[tuple[sp.Expr, sp.Expr, sp.Expr]]:
    """(a, b, the smooth function that f is on (a, b)) from low to high: a kink that is none, where
    both branches agree, is looked at from either side. Raises Rejected.
    """
    try:
        return [(low, high, decided(f, x, low, high))]
    except Rejected:
        if not (cuts := _cuts(f, x, low, high)):
            raise
        ends = itertools.pairwise([low, *cuts, high])
        return [(a, b, decided(f, x, a, b)) for a, b in ends]


def read_loss(text: str, x: sp.Symbol, assumptions: Sequence[str] = ()) -> sp.Expr:
    """The loss that a text writes, in integrals from 0 where it has no closed form: these break
    at 0 alone. Raises Rejected.
    """
    if "Integral(" not in text:
        return parse(text, x, assumptions)
    skeleton, integrals = read_integrals(text, x, assumptions)
    pieces = skeleton.args if isinstance(skeleton, sp.Piecewise) else [(skeleton, sp.true)]
    if (
        any(part not in integrals for part, _ in pieces)
        or any(found.low != 0 or found.high is not None for found in integrals.values())
        or [condition for _, condition in pieces] not in ([sp.true], [x < 0, sp.true])
    ):
        raise Rejected(f"{text} is not an integral from 0 on either side of it")
    v = sp.Symbol("v", real=True)
    written = [
        (sp.Integral(integrals[part].slope.xreplace({x: v}), (v, 0, x)), side)
        for part, side in pieces
    ]
    return written[0][0] if len(written) == 1 else sp.Piecewise(*written, evaluate=False)


@dataclass(frozen=True)
class Integrated:
    """int_low^high slope, `slope` a function of x; high None: the integral goes to x."""

    slope: sp.Expr
    low: sp.Expr
    high: sp.Expr | None


def read_integrals(
    text: str, x: sp.Symbol, assumptions: Sequence[str] = ()
) -> tuple[Any, dict[sp.Basic, Integrated]]:
    """(a g that is written in integrals int_a^b h(v) dv, with a symbol for each of them, what
    these stand for). Raises Rejected.
    """
    skeleton, rest, found = "", text, []
    while "Integral(" in rest:
        before, _, rest = rest.partition("Integral(")
        depth, end = 1, 0
        while depth and end < len(rest):
            depth += (rest[end] == "(") - (rest[end] == ")")
            end += 1
        parts = re.fullmatch(r"(.*), \(v, (.*), (.*)\)", rest[: end - 1])
        if not parts or re.search(rf"\b{x.name}\b", parts[1]):
            raise Rejected(f"{text} is not written in integrals over v")
        found.append(parts.groups())
        skeleton += f"{before}{_INTEGRAL}{len(found)}"
        rest = rest[end:]
    if _INTEGRAL in text:
        raise Rejected(f"{text} has a parameter of a strange name")
    expression = parse(skeleton + rest, x, assumptions)
    symbols = {str(s): s for s in expression.free_symbols}
    return expression, {
        symbols[f"{_INTEGRAL}{k}"]: Integrated(
            parse(re.sub(r"\bv\b", x.name, h), x, assumptions),
            parse_number(low),
            None if high == x.name else parse_number(high),
        )
        for k, (h, low, high) in enumerate(found, 1)
    }


_INTEGRAL = "Integral_"


def slope_of_integrals(text: str, x: sp.Symbol, assumptions: Sequence[str] = ()) -> sp.Expr:
    """g' of a g that is written in integrals, by pieces if need be. Raises Rejected."""
    g, integrals = read_integrals(text, x, assumptions)
    slopes = {s: sp.S.Zero if i.high is not None else i.slope for s, i in integrals.items()}
    return g.xreplace(slopes)


def _cuts(f: sp.Expr, x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> list[sp.Expr]:
    """Zeros inside (low, high) of what decides in f, in order: more of them than needed do no
    harm, as every interval between them has its own proof.
    """
    deciders = [e.args[0] for e in f.atoms(sp.Abs, sp.sign)]
    deciders += [
        a - b for e in f.atoms(sp.Max, sp.Min) for a, b in itertools.combinations(e.args, 2)
    ]
    deciders += [
        relation.lhs - relation.rhs
        for e in f.atoms(sp.Piecewise)
        for relation in e.atoms(Relational)
    ]
    deciders += [e.exp for e in f.atoms(sp.Pow) if e.base == 0]
    found = {zero for u in deciders for form in _forms(u) for zero in points.zeros(form, x)}
    try:
        return ordering.in_order(
            zero for zero in found if ordering.is_less(low, zero) and ordering.is_less(zero, high)
        )
    except CannotSplit as reason:
        raise Rejected(str(reason)) from None


def _forms(u: sp.Expr) -> Iterable[sp.Expr]:
    """What u may be where all that is decided in it is: -v and v of |v|, each argument of Max."""
    pending = [u]
    for _ in range(MAX_FORMS):
        if not pending:
            return
        form = pending.pop()
        node = next((e for e in sp.postorder_traversal(form) if isinstance(e, _DECISIONS)), None)
        if node is None:
            yield form
        else:
            pending += [form.xreplace({node: branch}) for branch in _branches(node)]


def _branches(node: sp.Expr) -> Iterable[sp.Expr]:
    if isinstance(node, sp.Piecewise):
        return [value for value, _ in node.args]
    if isinstance(node, sp.sign):
        return [sp.S.One, sp.S.NegativeOne]
    return [node.args[0], -node.args[0]] if isinstance(node, sp.Abs) else node.args


def _branch(node: sp.Expr, x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> sp.Expr:
    deciders = (
        [condition for _, condition in node.args] if isinstance(node, sp.Piecewise) else node.args
    )
    if any(decider.has(*_DECISIONS) for decider in deciders):
        raise Rejected(f"{node} has to wait for what decides it")
    if isinstance(node, sp.Abs):
        return _sign(node.args[0], x, low, high) * node.args[0]
    if isinstance(node, sp.sign):
        return sp.Integer(_strict_sign(node.args[0], x, low, high))
    if isinstance(node, sp.Max | sp.Min):
        best, wanted = node.args[0], 1 if isinstance(node, sp.Max) else -1
        for other in node.args[1:]:
            best = other if _sign(other - best, x, low, high) == wanted else best
        return best
    for value, condition in node.args:
        truth = {
            relation: _holds(relation, x, low, high) for relation in condition.atoms(Relational)
        }
        if condition.xreplace(truth) == sp.true:
            return value
    raise Rejected(f"no piece of {node} covers ({low}, {high})")


def _holds(relation: Relational, x: sp.Symbol, low: sp.Expr, high: sp.Expr):
    sign = _strict_sign(relation.lhs - relation.rhs, x, low, high)
    return (
        sp.true if (sign < 0) == isinstance(relation, sp.StrictLessThan | sp.LessThan) else sp.false
    )


def _sign(u: sp.Expr, x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> int:
    """The sign that u has on all of (low, high), up to single points at which it is 0."""
    if not u.has(x):
        value = balls.ball_of_constant(u)
        if not (value < 0 or value > 0):
            raise Rejected(f"the sign of {u} is not decided")
        return 1 if value > 0 else -1
    value = balls.ball_at_point(u, x, inner_point(low, high))
    if not (value < 0 or value > 0):
        raise Rejected(f"the sign of {u} on ({low}, {high}) is not decided")
    sign = 1 if value > 0 else -1
    if not _is_linear_without_zero(u, x, low, high):
        prove_nonnegative(sign * u, x, low, high)
    return sign


def _strict_sign(u: Any, x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> int:
    """The sign of u, which is nowhere 0 on (low, high): 1/u is finite there. Raises Rejected."""
    sign = _sign(u, x, low, high)
    if u.has(x) and not _is_linear_without_zero(u, x, low, high):
        if any(
            ordering.is_less(low, zero) and ordering.is_less(zero, high)
            for zero in points.zeros(u, x)
        ):  # a search for a proof that there is none would take long
            raise Rejected(f"{u} is 0 inside ({low}, {high})")
        prove_finite(1 / u, x, low, high)
    return sign


def _is_linear_without_zero(u: sp.Expr, x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> bool:
    """u = a x + b whose zero is not inside (low, high): what nearly every kink of a loss comes
    from.
    """
    slope = sp.diff(u, x)
    if slope.has(x) or constants.sign_of(slope) in (0, None):
        return False
    zero = -u.subs(x, 0) / slope
    return any(
        end.is_finite and constants.sign_of(side * (zero - end)) in (0, 1)
        for end, side in ((low, -1), (high, 1))
    )


def inner_point(low: sp.Expr, high: sp.Expr) -> sp.Expr:
    """An exact point inside (low, high), seldom a special one."""
    part = sp.Rational(4, 11)
    if low == -sp.oo:
        return part if high == sp.oo else high - part
    return low + part if high == sp.oo else low + part * (high - low)
