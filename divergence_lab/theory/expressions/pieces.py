"""A function with kinks as smooth pieces: Abs, sign, Max, Min and Piecewise split exactly at their
break points.

Between two neighbouring break points the function is one smooth expression; at a break point it may
have a kink. All analysis of a loss (derivatives, integrals, limits) is done piece by piece.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import sympy as sp

from divergence_lab.theory.expressions import balls, constants, enclosure, ordering, points
from divergence_lab.theory.expressions.balls import DECISIONS
from divergence_lab.theory.expressions.symbols import x
from divergence_lab.theory.expressions.unified import polylogarithms_expanded, unified

MAX_PIECES = 60
Zeros = Callable[[sp.Expr], list[sp.Expr]]


@dataclass(frozen=True)
class Piece:
    """`expression` on the open interval (low, high)."""

    low: sp.Expr
    high: sp.Expr
    expression: sp.Expr


@dataclass(frozen=True)
class Pieces:
    """Pieces from left to right; neighbours share an end point. `variable` is the argument.

    >>> split(sp.Abs(x), x).kinks
    (0,)
    """

    pieces: tuple[Piece, ...]
    variable: sp.Symbol

    @property
    def kinks(self) -> tuple[sp.Expr, ...]:
        return tuple(piece.high for piece in self.pieces[:-1])

    def map(self, function) -> Pieces:
        return Pieces(
            tuple(Piece(p.low, p.high, function(p.expression)) for p in self.pieces), self.variable
        )

    def derivative(self) -> Pieces:
        """The derivative inside each piece (jumps and atoms at the kinks are not part of it)."""
        return Pieces(
            tuple(
                Piece(
                    p.low,
                    p.high,
                    with_signed(sp.diff(p.expression, self.variable), self.variable, p),
                )
                for p in self.pieces
            ),
            self.variable,
        )

    def merged(self, kept_at: Sequence[sp.Expr] = ()) -> Pieces:
        """Neighbours with the same expression joined, so that only true kinks remain, and those
        that are to be kept.
        """
        kept = [self.pieces[0]]
        for piece in self.pieces[1:]:
            if piece.low not in kept_at and ordering.same(piece.expression, kept[-1].expression):
                kept[-1] = Piece(kept[-1].low, piece.high, kept[-1].expression)
            else:
                kept.append(piece)
        return Pieces(tuple(kept), self.variable)

    def split_at_zero(self) -> tuple[Pieces, Pieces]:
        """The part left of 0 and the part right of 0."""
        left, right = [], []
        for p in self.pieces:
            if not ordering.is_less(sp.S.Zero, p.high):
                left.append(p)
            elif not ordering.is_less(p.low, sp.S.Zero):
                right.append(p)
            else:
                left.append(Piece(p.low, sp.S.Zero, p.expression))
                right.append(Piece(sp.S.Zero, p.high, p.expression))
        return Pieces(tuple(left), self.variable), Pieces(tuple(right), self.variable)

    def as_expression(self) -> sp.Expr:
        if len(self.pieces) == 1:
            return self.pieces[0].expression
        *firsts, last = self.pieces
        return sp.Piecewise(
            *((p.expression, self.variable < p.high) for p in firsts), (last.expression, True)
        )


def with_signed(expression: sp.Expr, variable: sp.Symbol, piece: Piece) -> sp.Expr:
    """`expression` with roots such as (-x)**(3/2)/x combined, which SymPy does once it knows the
    sign of x, and with polylogarithms of order 1 and below written as what they are.
    """
    expression = polylogarithms_expanded(expression)
    if not any(
        power.exp.is_Integer is False and power.base.has(variable)
        for power in expression.atoms(sp.Pow)
    ):
        return expression
    signed, back = positive_argument(variable, piece)
    if not back:
        return expression
    # e^{ax} as it is: SymPy may write 6^x e^{bx} as one power of a constant that is hard to read
    whole = {e: sp.Dummy(positive=True) for e in expression.atoms(sp.exp) if _is_plain(e, variable)}
    found = sp.powsimp(sp.powdenest(expression.xreplace(whole).subs(variable, signed)))
    return found.subs(*back).xreplace({letter: e for e, letter in whole.items()})


def _is_plain(e: Any, variable: sp.Symbol) -> bool:
    """e^u of a polynomial u in the variable."""
    return e.has(variable) and e.args[0].is_polynomial(variable)


def positive_argument(
    variable: sp.Symbol, piece: Piece
) -> tuple[sp.Expr, tuple[sp.Symbol, sp.Expr] | None]:
    """(y or -y with y > 0 that stands for the variable on this piece, how to go back), or
    (variable, None).
    """
    y = sp.Symbol("~y", positive=True)
    if piece.low != -sp.oo and not ordering.is_less(piece.low, sp.S.Zero):
        return y, (y, variable)
    if piece.high != sp.oo and not ordering.is_less(sp.S.Zero, piece.high):
        return -y, (y, -variable)
    return variable, None


def inside(piece: Piece) -> sp.Expr:
    """An exact point inside a piece, 3/7 from an end or in the middle."""
    if piece.low == -sp.oo:
        return sp.Rational(-3, 7) if piece.high == sp.oo else piece.high - sp.Rational(3, 7)
    return piece.low + sp.Rational(3, 7) if piece.high == sp.oo else (piece.low + piece.high) / 2


def split(
    expression: sp.Expr,
    variable: sp.Symbol,
    low: sp.Expr = -sp.oo,
    high: sp.Expr = sp.oo,
    zeros: Zeros = points.all_zeros,
) -> Pieces:
    """The smooth pieces of `expression` on (low, high); a function of x alone breaks wherever it
    is seen to have no value, too. `zeros` finds all zeros of a function of x. Raises CannotSplit.

        >>> [piece.expression for piece in split(sp.Max(x, x**2), x).pieces]
        [x**2, x, x**2]
    """
    expression = unified(expression)  # break points and branches that are equal look equal
    # Abs(u)**(2k) is smooth, SymPy writes u**(2k) for real u; everything else is decided below
    pending, done = [Piece(low, high, expression)], []
    while pending:
        piece = pending.pop()
        decision = _innermost(piece.expression, variable)
        if decision is None:
            done.append(piece)
            continue
        cuts = [piece.low, *_break_points(decision, variable, piece, zeros), piece.high]
        for a, b in reversed(list(pairwise(cuts))):
            chosen = _decide(decision, variable, _between(a, b))
            pending.append(Piece(a, b, piece.expression.xreplace({decision: chosen})))
        if len(pending) + len(done) > MAX_PIECES:
            raise ordering.CannotSplit(f"the expression has more than {MAX_PIECES} pieces")
    own = [
        left.high
        for left, right in pairwise(done)
        if _has_a_value_of_its_own(expression, variable, left, right)
    ]
    if own and expression.free_symbols != {x}:
        raise ordering.CannotSplit(f"at the point {variable} = {own[0]} it has a value of its own")
    merged = Pieces(tuple(done), variable).merged(own)
    if expression.free_symbols != {x}:
        return merged
    return Pieces(tuple(part for piece in merged.pieces for part in _defined(piece)), x)


def _defined(piece: Piece) -> list[Piece]:
    """The piece broken where its formula has no value."""
    cuts = [
        piece.low,
        *points.undefined_points(piece.expression, x, piece.low, piece.high),
        piece.high,
    ]
    return [Piece(low, high, piece.expression) for low, high in pairwise(cuts)]


def _has_a_value_of_its_own(
    expression: sp.Expr, variable: sp.Symbol, left: Piece, right: Piece
) -> bool:
    """sign(x - 1)**2 is 1 but for a single point: no piece is seen to have the value there,
    for some parameters at least.
    """
    value, before, after = (
        points.value_of(e, variable, left.high)
        for e in (expression, left.expression, right.expression)
    )
    if value is None:  # what is continued by its limit there has no value
        return False
    if before is None or after is None:
        return True
    if value.free_symbols | before.free_symbols | after.free_symbols:
        return not any(sp.cancel(sp.expand(value - side)) == 0 for side in (before, after))
    return constants.sign_of(before - after) == 0 and constants.sign_of(value - before) in (1, -1)


def _innermost(expression: sp.Expr, variable: sp.Symbol) -> sp.Expr | None:
    nodes = [node for node in sp.postorder_traversal(expression) if node.has(variable)]
    # powers of 0 first: SymPy writes 0^(-x), all that is left of 0^|x| before 0, as zoo^x
    for kind in (is_power_of_zero, lambda node: isinstance(node, DECISIONS)):
        if (found := next((node for node in nodes if kind(node)), None)) is not None:
            return found
    return None


def is_power_of_zero(node: sp.Basic) -> bool:
    """0^u, which is 0 for u > 0, 1 at u = 0, and has no value for u < 0."""
    return isinstance(node, sp.Pow) and node.base == 0


def _deciders(decision: sp.Expr) -> list[sp.Expr]:
    """The functions whose sign changes switch the branch."""
    if isinstance(decision, sp.Abs | sp.sign):
        return [decision.args[0]]
    if is_power_of_zero(decision):
        return [decision.exp]
    if isinstance(decision, sp.Max | sp.Min):
        args = decision.args
        return [a - b for i, a in enumerate(args) for b in args[:i]]
    relations = set().union(
        *(condition.atoms(sp.core.relational.Relational) for _, condition in decision.args)
    )
    return [relation.lhs - relation.rhs for relation in relations]


def _break_points(
    decision: sp.Expr, variable: sp.Symbol, piece: Piece, zeros: Zeros
) -> list[sp.Expr]:
    found: set[sp.Expr] = set()
    for decider in _deciders(decision):
        roots = _real_roots(decider, variable, zeros)
        for point in [*roots, *_poles(decider, variable, piece, zeros)]:
            if ordering.is_less(piece.low, point) and ordering.is_less(point, piece.high):
                found.add(point)
    return ordering.in_order(found)


def _poles(decider: sp.Expr, variable: sp.Symbol, piece: Piece, zeros: Zeros) -> list[sp.Expr]:
    """Where what decides has no value it may change its sign: 1/x - x at 0, a/x + x too."""
    if decider.free_symbols != {variable}:
        moving = (f for f in points.divisors(decider, variable) if not f.is_positive)
        return [zero for f in moving for zero in _real_roots(f, variable, zeros)]
    at_zero = [sp.S.Zero] if points.value_of(decider, variable, sp.S.Zero) is None else []
    return [*at_zero, *points.undefined_points(decider, variable, piece.low, piece.high)]


def _real_roots(function: sp.Expr, variable: sp.Symbol, zeros: Zeros) -> list[sp.Expr]:
    if not function.has(variable):
        return []
    if function.is_polynomial(variable):
        polynomial = sp.Poly(function, variable)
        if polynomial.degree() == 1:
            a, b = polynomial.all_coeffs()
            return [-b / a]
        if (
            polynomial.degree() == 2
            and not polynomial.free_symbols_in_domain
            and not (polynomial.domain.is_QQ or polynomial.domain.is_ZZ)
        ):
            a, b, c = polynomial.all_coeffs()
            under = b**2 - 4 * a * c
            sign = constants.sign_of(under)
            if sign is not None:
                ways = {-1: (), 0: (0,), 1: (1, -1)}[sign]
                return [(-b + s * sp.sqrt(under)) / (2 * a) for s in ways]
        if not polynomial.free_symbols_in_domain:
            roots = list(dict.fromkeys(sp.real_roots(polynomial)))
            if all(balls.ball_of_constant(root).is_finite() for root in roots):
                return roots
    with_parameters = function.free_symbols != {variable}
    if with_parameters or not function.is_polynomial(variable):
        solutions = _in_closed_form(function, variable)
        if solutions is not None:
            return solutions
    if function.free_symbols == {x}:
        return zeros(function)
    raise ordering.CannotSplit(f"where {function} changes sign could not be found exactly")


def _in_closed_form(function: sp.Expr, variable: sp.Symbol) -> list[sp.Expr] | None:
    """SymPy's real solutions where it has all of them, as numbers that can be enclosed."""
    solutions = sp.solveset(function, variable, sp.S.Reals)
    if solutions is sp.S.EmptySet:
        return []
    if not isinstance(solutions, sp.FiniteSet):
        return None
    parameters = function.free_symbols != {variable}
    known = parameters or all(balls.ball_of_constant(root).is_finite() for root in solutions)
    return list(solutions) if known else None


def _between(a: sp.Expr, b: sp.Expr) -> sp.Expr:
    """A point inside (a, b); between powers of e a power of e, whose place among others is known
    from the exponents.
    """
    u, v = (
        -sp.oo if a == 0 else ordering.exponent_of(a),
        sp.oo if b == sp.oo else ordering.exponent_of(b),
    )
    if None not in (u, v) and (isinstance(a, sp.exp) or isinstance(b, sp.exp)):
        return sp.exp(_between(u, v))
    if a == -sp.oo:
        return sp.S.Zero if b == sp.oo else b - 1
    return a + 1 if b == sp.oo else (a + b) / 2


def _decide(decision: sp.Expr, variable: sp.Symbol, sample: sp.Expr) -> sp.Expr:
    """The smooth expression that `decision` equals around `sample`."""
    if isinstance(decision, sp.Abs | sp.sign):
        sign = _sign_at(decision.args[0], variable, sample)
        return sp.Integer(sign) if isinstance(decision, sp.sign) else sign * decision.args[0]
    if is_power_of_zero(decision):
        if _sign_at(decision.exp, variable, sample) < 0:
            raise ordering.CannotSplit(f"{decision} divides by zero at {variable} = {sample}")
        return sp.S.Zero
    if isinstance(decision, sp.Max | sp.Min):
        wanted = 1 if isinstance(decision, sp.Max) else -1
        best = decision.args[0]
        for argument in decision.args[1:]:
            if (
                not ordering.same(argument, best)
                and _sign_at(argument - best, variable, sample) == wanted
            ):
                best = argument
        return best
    for expression, condition in decision.args:
        truth = {
            r: _holds(r, variable, sample) for r in condition.atoms(sp.core.relational.Relational)
        }
        if condition.xreplace(truth) == sp.true:
            return expression
    raise ordering.CannotSplit(f"no piece of {decision} covers {variable} = {sample}")


def _holds(relation: sp.core.relational.Relational, variable: sp.Symbol, sample: sp.Expr):
    sign = _sign_at(relation.lhs - relation.rhs, variable, sample)
    return (
        sp.true if (sign < 0) == isinstance(relation, sp.StrictLessThan | sp.LessThan) else sp.false
    )


def _inside_its_range(symbol: sp.Symbol) -> sp.Symbol:
    """The parameter off the end of its range, as in `is_less`: c > 0 where c >= 0."""
    if symbol.is_nonnegative or symbol.is_nonpositive:
        return sp.Dummy(positive=True) if symbol.is_nonnegative else sp.Dummy(negative=True)
    return symbol


def _sign_at(function: sp.Expr, variable: sp.Symbol, sample: sp.Expr) -> int:
    value, where = function.subs(variable, sample), f"at {variable} = {sample}"
    for form in (
        value,
        sp.expand(value.xreplace({s: _inside_its_range(s) for s in value.free_symbols})),
    ):
        if form.is_positive or form.is_negative:
            return 1 if form.is_positive else -1
    try:
        for precision in (20, 60, 200):
            ball = enclosure.value_at(value, variable, sp.S.Zero, precision)
            if ball > 0:
                return 1
            if ball < 0:
                return -1
    except enclosure.NotEvaluable as error:
        if not value.free_symbols:
            raise ordering.CannotSplit(f"{function} has no value {where}") from None
        slope = sp.diff(function, variable)
        if not slope.has(variable) and (slope.is_positive or slope.is_negative):
            zero = sp.expand(sample - value / slope)  # of a linear function
            beyond = ordering.is_less(zero, sample)
            return 1 if beyond is bool(slope.is_positive) else -1
        raise ordering.CannotSplit(
            f"the sign of {function} {where} depends on the parameters ({error}): "
            "state it with --assume"
        ) from None
    raise ordering.CannotSplit(f"the sign of {function} {where} could not be decided")
