"""Expression -> expansion at +oo, by recursion over its parts. Part of the trusted checker.

Two kinds of expansions are built in this way: a tail (`tails`) has a bound for every x >= X, a germ
(`families/germs`) speaks for all values of parameters. Each brings its arithmetic; what follows
from arithmetic alone stands here once:

    sinh a = (e^a - e^-a)/2      tanh a = 1 - 2/(e^{2a} + 1)      asinh a = log(a + sqrt(a^2 + 1))
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import sympy as sp

E = TypeVar("E")


class Arithmetic(Protocol[E]):
    """What can be done with expansions."""

    def variable(self) -> E:
        """x itself."""
        ...

    def constant(self, number: sp.Expr, /) -> E:
        """What does not depend on x."""
        ...

    def add(self, a: E, b: E, /) -> E:
        """a + b"""
        ...

    def multiply(self, a: E, b: E, /) -> E:
        """a b"""
        ...

    def times(self, a: E, number: sp.Expr, /) -> E:
        """A constant, not 0, times a."""
        ...

    def power(self, a: E, exponent: sp.Expr, /) -> E:
        """a^r"""
        ...

    def exp(self, a: E, /) -> E:
        """e^a"""
        ...

    def log(self, a: E, /) -> E:
        """log a"""
        ...

    def towards(self, a: E, /) -> int | None:
        """1 or -1 when a tends to oo or -oo, None when it stays bounded."""
        ...

    def near_constant(self, a: E, function: Callable[[sp.Expr], sp.Expr], /) -> E:
        """function(a) by Taylor's formula, for an a that stays bounded."""
        ...

    def no_rule(self, name: str, /) -> Exception:
        """What is raised for a function of this name."""
        ...


Rule = Callable[[Arithmetic[E], E], E]
# A function with an order, polylog or polygamma, has a rule for each order.
Rules = Mapping[type | tuple[type, int], Rule]


def expand(
    world: Arithmetic[E],
    rules: Rules,
    e: sp.Expr,
    x: sp.Symbol,
    known: dict[sp.Expr, E] | None = None,
) -> E:
    """The expansion of e near x = +oo; `rules` say what each function does. `known`: expansions of
    parts, which are looked up there and added.
    """
    known = {} if known is None else known
    if e not in known:
        known[e] = _expand_node(world, rules, e, x, known)
    return known[e]


def _expand_node(
    world: Arithmetic[E], rules: Rules, e: sp.Expr, x: sp.Symbol, known: dict[sp.Expr, E]
) -> E:
    if e == x:
        return world.variable()
    if not e.has(x):
        return world.constant(e)
    if e.is_Add or e.is_Mul:
        parts = [expand(world, rules, part, x, known) for part in e.args]
        return functools.reduce(world.add if e.is_Add else world.multiply, parts)
    if e.is_Pow:
        base = expand(world, rules, e.base, x, known)
        if not e.exp.has(x):
            return world.power(base, e.exp)
        exponent = expand(world, rules, e.exp, x, known)
        return world.exp(world.multiply(exponent, world.log(base)))
    rule, part = _rule_for(rules, e)
    if rule is None:
        raise world.no_rule(e.func.__name__)
    return rule(world, expand(world, rules, part, x, known))


def _rule_for(rules: Rules, e: Any) -> tuple[Rule | None, sp.Expr]:
    """The rule for a function and the part of it that has an expansion: log gamma is one function,
    and so is a polylogarithm or a polygamma of each order.
    """
    if isinstance(e, sp.log) and isinstance(e.args[0], sp.gamma) and sp.loggamma in rules:
        return rules[sp.loggamma], e.args[0].args[0]
    if isinstance(e, sp.polylog | sp.polygamma):
        return rules.get((e.func, e.args[0])), e.args[1]
    return rules.get(e.func), e.args[0]


def negated(world: Arithmetic[E], a: E) -> E:
    """-a"""
    return world.times(a, sp.S.NegativeOne)


def odd(function: type, at_infinity: Rule) -> Rule:
    """A rule for an odd function from its behaviour at +oo."""

    def rule(world: Arithmetic[E], a: E) -> E:
        towards = world.towards(a)
        if towards is None:
            return world.near_constant(a, function)
        if towards > 0:
            return at_infinity(world, a)
        return negated(world, at_infinity(world, negated(world, a)))

    return rule


def by_formula(function: type, formula: Rule) -> Rule:
    """A rule for a function that a formula gives wherever its argument is not bounded."""

    def rule(world: Arithmetic[E], a: E) -> E:
        if world.towards(a) is None:
            return world.near_constant(a, function)
        return formula(world, a)

    return rule


def _half_sum(parity: int) -> Rule:
    """(e^a + parity e^-a)/2"""

    def formula(world: Arithmetic[E], a: E) -> E:
        up, down = world.exp(a), world.exp(negated(world, a))
        return world.times(world.add(up, world.times(down, sp.Integer(parity))), sp.S.Half)

    return formula


def _tanh(world: Arithmetic[E], a: E) -> E:
    one = world.constant(sp.S.One)
    square = world.exp(world.times(a, sp.Integer(2)))
    inverse = world.power(world.add(square, one), sp.S.NegativeOne)
    return world.add(one, world.times(inverse, sp.Integer(-2)))


def logarithm_of_root(constant: int) -> Rule:
    """log(a + sqrt(a^2 + constant)): asinh for 1, acosh for -1."""

    def formula(world: Arithmetic[E], a: E) -> E:
        under = world.add(world.multiply(a, a), world.constant(sp.Integer(constant)))
        return world.log(world.add(a, world.power(under, sp.S.Half)))

    return formula


SHARED: Rules = {
    sp.exp: lambda world, a: world.exp(a),
    sp.log: lambda world, a: world.log(a),
    sp.sinh: odd(sp.sinh, _half_sum(-1)),
    sp.cosh: by_formula(sp.cosh, _half_sum(1)),
    sp.tanh: odd(sp.tanh, _tanh),
    sp.asinh: odd(sp.asinh, logarithm_of_root(1)),
}
