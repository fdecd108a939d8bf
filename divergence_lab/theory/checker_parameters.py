"""The trusted verifier for verdicts that depend on a parameter. Shares no code with the search for them.

For the two ends, g' must be a sum of c(a) y^{p(a)} e^{r(a) y}; its critical values are found here anew, from the terms,
and each must be an end of a cell (Proposition 17). Every cell is then decided at its sample by `proofs`. For identities
(even, symmetric) the odd part or asymmetry at x = 1, as a function of the parameter, must not vanish inside a cell
where the verdict is no.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import sympy as sp

from divergence_lab.theory import proofs
from divergence_lab.theory.balls import ball, ball_of_constant
from divergence_lab.theory.certificate import Cell, claim_of, condition_of, seal
from divergence_lab.theory.expressions import parse, parse_number, read_assumptions
from divergence_lab.theory.pieces import CannotSplit, split
from divergence_lab.theory.proofs import Rejected
from divergence_lab.theory.symbols import x

_HYPERBOLIC = (sp.sinh, sp.cosh)


def check_parametric(kind: str, verdict: Mapping[str, Any], loss_text: str, assumptions: Sequence[str]) -> None:
    """Prove a verdict on a loss with parameters. Raises Rejected."""
    kind = "convex" if kind == "data_processing" else kind  # Proposition 5
    if verdict.get("seal") != seal(verdict):
        raise Rejected("the certificate was altered: its seal does not fit its content")
    steps = verdict["steps"]
    if verdict["status"] == "undecided":
        if verdict["holds"] is not None or steps or verdict["condition"] is not None:
            raise Rejected("an undecided verdict must not carry a proof")
        return
    for number, step in enumerate(steps):
        if step.get("claim") != claim_of(step["rule"], {k: v for k, v in step.items() if k not in ("rule", "claim")}):
            raise Rejected(f"step {number + 1}: its words do not fit its data")
    loss = parse(loss_text, x, assumptions)
    try:
        pieces = split(loss, x)
    except CannotSplit as reason:
        raise Rejected(str(reason)) from None
    if steps and steps[0]["rule"] == "for all":
        _check_for_all(kind, verdict, steps, pieces, assumptions)
    else:
        _check_cells(kind, verdict, steps, loss, pieces, assumptions)


# --- for all parameters --------------------------------------------------------------------------------------

def _check_for_all(kind: str, verdict: Mapping, steps: Sequence[Mapping], pieces, assumptions: Sequence[str]) -> None:
    """g'' >= 0 term by term on every piece; kinks with upward jumps; for validity, slopes at 0 of the right sign."""
    if kind not in ("convex", "validity") or verdict["holds"] is not True:
        raise Rejected("only convexity and validity are proved for all parameters at once")
    y = sp.Symbol("y", positive=True)
    left, right = pieces.split_at_zero()
    stated = {(s["low"], s["high"]): parse(s["f"], x, assumptions) for s in steps}
    wide = _positive_parameters(assumptions)
    for piece in (*left.pieces, *right.pieces):
        f = next((f for (low, high), f in stated.items() if _inside_of(piece, low, high, assumptions)), None)
        if f is None:
            raise Rejected(f"nothing is proved on ({piece.low}, {piece.high})")
        if sp.simplify(sp.diff(piece.expression, x, 2) - f) != 0:
            raise Rejected(f"{f} is not g'' on ({piece.low}, {piece.high})")
        side = 1 if piece in right.pieces else -1
        forms = (f, sp.simplify(f.rewrite(sp.exp)), sp.factor(f))
        if not any(sp.simplify(form.subs(wide)).subs(x, side * y).is_nonnegative or
                   form.subs(wide).subs(x, side * y).is_nonnegative for form in forms):
            raise Rejected(f"{f} is not a sum and product of terms that are not negative")
    slopes = [sp.diff(p.expression, x) for p in pieces.pieces]
    for kink, before, after in zip(pieces.kinks, slopes, slopes[1:]):
        if not sp.simplify((after - before).subs(x, kink).subs(wide)).is_nonnegative:
            raise Rejected(f"the jump of g' at {kink} is not shown to be upward")
    below, above = (sp.simplify(sp.diff(p.expression, x).subs(x, 0).subs(wide)) for p in (left.pieces[-1], right.pieces[0]))
    if kind == "validity" and not (below.is_nonpositive and above.is_nonnegative):
        raise Rejected("0 does not lie between the slopes at 0")


def _positive_parameters(assumptions: Sequence[str]) -> dict[sp.Symbol, sp.Expr]:
    """Every parameter with known bounds, written by a positive symbol z: a + z, b - z, or a + (b - a)/(1 + z)."""
    written = {}
    for name, bounds in read_assumptions(assumptions).items():
        low = max((b for relation, b in bounds if relation in (">", ">=")), default=-sp.oo)
        high = min((b for relation, b in bounds if relation in ("<", "<=")), default=sp.oo)
        z = sp.Symbol("z_" + name, positive=True)
        symbol = next(iter(parse(name, sp.Dummy(), assumptions).free_symbols))
        if low.is_finite:
            written[symbol] = low + ((high - low) / (1 + z) if high.is_finite else z)
        elif high.is_finite:
            written[symbol] = high - z
    return written


def _inside_of(piece, low: str, high: str, assumptions: Sequence[str]) -> bool:
    """The piece, split at 0, equals the stated interval (text against text)."""
    return str(piece.low) == str(parse_end(low, assumptions)) and str(piece.high) == str(parse_end(high, assumptions))


def parse_end(text: str, assumptions: Sequence[str] = ()) -> sp.Expr:
    """An end of an interval: oo, -oo, a number, or an expression in the parameters."""
    return {"oo": sp.oo, "-oo": -sp.oo}.get(text) or parse(text, sp.Dummy(), assumptions)


# --- cell by cell --------------------------------------------------------------------------------------------

def _check_cells(kind: str, verdict: Mapping, steps: Sequence[Mapping], loss: sp.Expr, pieces,
                 assumptions: Sequence[str]) -> None:
    if not steps or any(step["rule"] != "cell" for step in steps):
        raise Rejected("a verdict with parameters needs its cells")
    name = steps[0]["parameter"]
    parameter = next((s for s in loss.free_symbols if s.name == name), None)
    if parameter is None or any(step["parameter"] != name for step in steps):
        raise Rejected(f"{name} is not a parameter of the loss")
    cells = [Cell(s["low"], s["high"], s["sample"], s["holds"] == "true") for s in steps]
    _check_cover(cells, name, assumptions)
    critical = _critical(kind, pieces, parameter)
    ends = [_number(cell.low) for cell in cells if cell.is_point]
    low, high = _number(cells[0].low), _number(cells[-1].high)
    for value in critical:
        inside = (low == -sp.oo or value > low) and (high == sp.oo or value < high)
        if inside and value not in ends:
            raise Rejected(f"the critical value {name} = {value} is missing")
    others = {s: _inside_domain(s, assumptions) for s in loss.free_symbols - {x, parameter}}
    for cell in cells:
        holds = _decide(kind, loss, pieces, parameter, cell, others)
        if holds is not cell.holds:
            raise Rejected(f"at {name} = {cell.sample} the verdict is {holds}")
    answers = {cell.holds for cell in cells}
    condition = None if len(answers) == 1 else condition_of(name, cells)
    holds = answers.pop() if len(answers) == 1 else None
    if verdict["holds"] is not holds or verdict["condition"] != condition:
        raise Rejected("the cells do not add up to the verdict")


def _number(text: str) -> sp.Expr:
    return {"oo": sp.oo, "-oo": -sp.oo}.get(text) or parse_number(text)


def _check_cover(cells: Sequence[Cell], name: str, assumptions: Sequence[str]) -> None:
    low, high = -sp.oo, sp.oo
    for relation, bound in read_assumptions(assumptions).get(name, []):
        low, high = (max(low, bound), high) if relation in (">", ">=") else (low, min(high, bound)) \
            if relation in ("<", "<=") else (low, high)
    if _number(cells[0].low) != low or _number(cells[-1].high) != high:
        raise Rejected(f"the cells do not cover {low} < {name} < {high}")
    for cell, after in zip(cells, [*cells[1:], None]):
        a, b, sample = _number(cell.low), _number(cell.high), _number(cell.sample)
        if cell.is_point and sample != a or not cell.is_point and not (a < sample < b):
            raise Rejected(f"the sample {cell.sample} is not inside its cell")
        if after is not None and (cell.high != after.low or cell.is_point == after.is_point):
            raise Rejected("the cells do not join")


def _inside_domain(symbol: sp.Symbol, assumptions: Sequence[str]) -> sp.Expr:
    return sp.Integer(-1) if symbol.is_negative else sp.S.One


def _critical(kind: str, pieces, parameter: sp.Symbol) -> set[sp.Expr]:
    """Where a verdict may change: from the exponents and coefficients of the slopes at the two ends."""
    slopes = [sp.diff(piece.expression, x) for piece in pieces.pieces]
    if kind == "zero_forcing":
        return _critical_of(slopes[0].xreplace({x: -x}), parameter, sp.S.Zero)
    if kind == "zero_avoiding":
        return _critical_of(slopes[-1], parameter, sp.S.One)
    if kind == "bounded_gradient":
        return _critical_of(slopes[0].xreplace({x: -x}), parameter, sp.S.Zero) \
            | _critical_of(slopes[-1], parameter, sp.S.Zero)
    if kind in ("convex", "validity"):
        left, right = pieces.split_at_zero()
        found = set()
        for piece, side in [*((p, -1) for p in left.pieces), *((p, 1) for p in right.pieces)]:
            f = sp.diff(piece.expression, x, 2 if kind == "convex" else 1)
            found |= _zeros_of_coefficient(f.xreplace({x: side * x}), parameter)
        return found
    return set()


def _zeros_of_coefficient(f: sp.Expr, parameter: sp.Symbol) -> set[sp.Expr]:
    """Parameter values at which a single term c y^p e^{ry}, y > 0, may change its sign. Raises Rejected for more terms."""
    y = sp.Symbol("y", positive=True)
    terms = sp.Add.make_args(sp.powsimp(sp.factor(sp.simplify(f.xreplace({x: y})))))
    if len(terms) != 1:
        raise Rejected(f"{f} is not a single term")
    coefficient, rest = terms[0].as_independent(y, as_Add=False)
    if not rest.is_positive:
        raise Rejected(f"the sign of {rest} is not known")
    found = set()
    for part in sp.fraction(sp.together(coefficient)):
        polynomial = sp.Poly(sp.expand(part), parameter)
        found |= set(sp.real_roots(polynomial)) if polynomial.degree() > 0 else set()
    return found


def _critical_of(f: sp.Expr, parameter: sp.Symbol, weight: sp.Expr) -> set[sp.Expr]:
    """Critical parameter values of sum c x^p e^{r x}, x > 0, against e^{weight x} and the powers 0 and -1."""
    y = sp.Symbol("y", positive=True)
    terms = [_term(part, y) for part in sp.Add.make_args(sp.expand(f.rewrite(_HYPERBOLIC, sp.exp).xreplace({x: y})))]
    equations = []
    for c, p, r in terms:
        numerator, denominator = sp.fraction(sp.together(c))
        equations += [numerator, denominator, r - weight, p, p + 1]
        equations += [r - other for _, _, other in terms] + [p - other for _, other, _ in terms]
    critical = set()
    for equation in equations:
        polynomial = sp.Poly(sp.expand(equation), parameter)
        critical |= set(sp.real_roots(polynomial)) if polynomial.degree() > 0 else set()
    return critical


def _term(part: sp.Expr, y: sp.Symbol) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """(c, p, r) of c y^p e^{r y}. Raises Rejected for any other term."""
    c, p, r = sp.S.One, sp.S.Zero, sp.S.Zero
    for factor in sp.Mul.make_args(sp.powsimp(part)):
        base, exponent = factor.as_base_exp()
        if not factor.has(y):
            c *= factor
        elif base == y and not exponent.has(y):
            p += exponent
        elif isinstance(factor, sp.exp) and sp.Poly(factor.args[0], y).degree() == 1:
            r += sp.Poly(factor.args[0], y).coeff_monomial(y)
            c *= sp.exp(sp.Poly(factor.args[0], y).coeff_monomial(1))
        else:
            raise Rejected(f"{part} is not a power times an exponential")
    return c, p, r


def _decide(kind: str, loss: sp.Expr, pieces, parameter: sp.Symbol, cell: Cell, others: Mapping) -> bool:
    """The verdict at the sample of a cell, by proofs."""
    sample = _number(cell.sample)
    at = {**others, parameter: sample}
    slopes = [_substituted(sp.diff(piece.expression, x), at) for piece in pieces.pieces]
    if kind == "zero_forcing":
        return proofs.limit_of(slopes[0], x, -sp.oo) == -sp.oo
    if kind == "zero_avoiding":
        return proofs.integral_diverges(slopes[-1] * sp.exp(-x), x)
    if kind == "bounded_gradient":
        limits = proofs.limit_of(slopes[0], x, -sp.oo), proofs.limit_of(slopes[-1], x, sp.oo)
        if None in limits:
            raise Rejected("a limit of g' is not known")
        ends = [proofs.limit_of(f, x, end, side) for f, piece in zip(slopes, pieces.pieces)
                for end, side in ((piece.low.subs(at), 1), (piece.high.subs(at), -1)) if end.is_finite]
        return all(limit.is_finite for limit in limits) and all(e is None or e.is_finite for e in ends)
    if kind in ("convex", "validity"):
        return _has_sign(kind, pieces, at)
    if kind not in ("even", "symmetric") or len(pieces.pieces) > 2 or (pieces.kinks and pieces.kinks != (0,)):
        raise Rejected(f"{kind} is not decided cell by cell for this loss")
    defect = _defect(kind, slopes)
    if cell.holds:
        if not cell.is_point and defect.subs(x, 1) != 0 and _defect(
                kind, [sp.diff(p.expression, x) for p in pieces.pieces]).subs(x, 1) != 0:
            free = sp.simplify(_defect(kind, [sp.diff(p.expression, x) for p in pieces.pieces]))
            if free != 0:
                raise Rejected("the identity is not shown for every parameter of the cell")
        proofs.prove_zero(defect, x, sp.S.Zero, sp.oo)
        return True
    proofs.prove_sign_at(defect, x, sp.S.One, "!=0")
    if not cell.is_point:
        moving = _defect(kind, [sp.diff(p.expression, x).subs(others) for p in pieces.pieces]).subs(x, 1)
        a = sp.Symbol("a", real=True)
        moving = sp.expand(sp.simplify(moving.subs(parameter, a)))
        sign = 1 if ball(moving, a, ball_of_constant(sample)) > 0 else -1
        proofs.prove_nonnegative(sign * moving, a, _number(cell.low), _number(cell.high))
    return False


def _has_sign(kind: str, pieces, at: Mapping) -> bool:
    """g'' >= 0 (or x g' >= 0) at these parameters, every piece being a single term, and every jump upward."""
    left, right = pieces.split_at_zero()
    parts = [*((p, -1) for p in left.pieces), *((p, 1) for p in right.pieces)]
    for piece, side in parts:
        f = _substituted(sp.diff(piece.expression, x, 2 if kind == "convex" else 1), at)
        f = f if kind == "convex" else side * f
        low, high = (end.subs(at) for end in (piece.low, piece.high))
        inner = low + 1 if high == sp.oo else high - 1 if low == -sp.oo else (low + high) / 2
        if f != 0 and not ball(f, x, ball_of_constant(inner)) >= 0:
            proofs.prove_sign_at(f, x, inner, "<0")
            return False
        proofs.prove_nonnegative(f, x, low, high)
    if kind == "convex":
        for (before, _), (after, _) in itertools.pairwise(parts):
            kink = after.low.subs(at)
            ends = [proofs.limit_of(_substituted(sp.diff(p.expression, x), at), x, kink, s)
                    for p, s in ((before, -1), (after, 1))]
            if None in ends:
                raise Rejected(f"the slopes at {kink} are not known")
            jump = ends[1] - ends[0]
            if jump.is_infinite and jump.is_negative or jump.is_finite and ball_of_constant(jump) < 0:
                return False
    return True


def _defect(kind: str, slopes: Sequence[sp.Expr]) -> sp.Expr:
    """g'(x) + g'(-x), or g''(x) - e^x g''(-x), for x > 0."""
    right, left = slopes[-1], slopes[0].xreplace({x: -x})
    if kind == "even":
        return right + left
    return sp.diff(right, x) - sp.exp(x) * sp.diff(slopes[0], x).xreplace({x: -x})


def _substituted(f: sp.Expr, at: Mapping) -> sp.Expr:
    """f at these parameters; the limit where the formula degenerates (a removable singularity), seen to be close."""
    value = f.subs(at)
    if not value.has(sp.zoo, sp.nan, sp.oo):
        return value
    value = f
    for symbol, number in at.items():
        value = sp.limit(value, symbol, number)
    near = f.subs({symbol: number + sp.Rational(1, 10**12) for symbol, number in at.items()}) - value
    for point in (sp.Rational(-3, 2), sp.Rational(5, 4)):
        if not abs(ball_of_constant(near.subs(x, point))) < 1e-6:
            raise Rejected(f"the limit of {f} at {dict(at)} is not borne out")
    return value
