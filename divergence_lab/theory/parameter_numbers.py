"""f(0+), f'(oo) and g''(0) of a loss with parameters, as expressions in them.

    f(0+) = -lim g'(x), x -> -oo        f'(oo) = lim f(t)/t, t -> oo, of the closed form of f

Germs give them for all parameters at once; each is then held against the plain loss at sample parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import sympy as sp

from divergence_lab.theory import proofs
from divergence_lab.theory.balls import ball_of_constant
from divergence_lab.theory.boundary import curvature_at_zero
from divergence_lab.theory.budget import OutOfTime, SearchFailed, patient, within
from divergence_lab.theory.cell_forms import Ranges, positive_form
from divergence_lab.theory.checker_parameters import parts_of
from divergence_lab.theory.expressions import ExpressionError, read_assumptions
from divergence_lab.theory.far_slope import enclose_slope
from divergence_lab.theory.germs import limit_of
from divergence_lab.theory.loss import Loss, from_expression
from divergence_lab.theory.pieces import CannotSplit
from divergence_lab.theory.proofs import Rejected
from divergence_lab.theory.symbols import t, x

LIMIT_SECONDS = 1.0
SHARES = (sp.Rational(3, 11), sp.Rational(17, 11))


def numbers_for_parameters(loss: Loss, generator: sp.Expr | None, forcing: bool | None, avoiding: bool | None
                           ) -> tuple[sp.Expr | None, sp.Expr | None, sp.Expr | None]:
    """f(0+), f'(oo), g''(0); None where one is not known, or is not one expression because its verdict depends on them."""
    curvature = curvature_at_zero(loss)
    bounds = read_assumptions(loss.assumptions)
    parts = {p.name: parts_of(bounds.get(p.name, ()), ()) for p in loss.parameters}
    if any(len(of_one) != 1 or of_one[0][0] == of_one[0][1] for of_one in parts.values()):
        return (sp.oo if forcing else None), (sp.oo if avoiding else None), curvature
    ranges = {name: of_one[0] for name, of_one in parts.items()}
    at_zero = slope = None
    if forcing is not None:
        f = -loss.derivative.pieces[0].expression
        at_zero = sp.oo if forcing else _limit(loss, f, -sp.oo, ranges, _end_of_slope)
    if avoiding is not None and (avoiding or generator is not None):
        last = generator.args[-1][0] if isinstance(generator, sp.Piecewise) else generator
        slope = sp.oo if avoiding else _limit(loss, sp.expand(last.subs(t, sp.exp(x)) * sp.exp(-x)), sp.oo, ranges, enclose_slope)
    return at_zero, slope, curvature


def _limit(loss: Loss, f: sp.Expr, end: sp.Expr, ranges: Ranges, plain: Callable) -> sp.Expr | None:
    """lim f for all parameters, borne out by what `plain` says of the loss at samples."""
    written = positive_form(loss.expression, ranges)
    try:
        found = within(patient(LIMIT_SECONDS), limit_of, f.subs(written), x, end)
        found = sp.simplify(found.subs(_back(written, ranges)))
        for share in SHARES:
            values = {symbol: form.subs({z: share for z in form.free_symbols}) for symbol, form in written.items()}
            known = plain(from_expression(loss.expression.subs(values)))
            if known is None or not (known - ball_of_constant(found.subs(values))).contains(0):
                return None
    except (Rejected, CannotSplit, ExpressionError, OutOfTime, SearchFailed, ValueError, AttributeError):
        return None
    return found


def _end_of_slope(loss: Loss):
    """-g'(-oo) of a loss without parameters, as a ball."""
    found = proofs.limit_of(-loss.derivative.pieces[0].expression, x, -sp.oo)
    return None if found is None or found.is_infinite else ball_of_constant(found)


def _back(written: Mapping[sp.Symbol, sp.Expr], ranges: Ranges) -> dict[sp.Symbol, sp.Expr]:
    """The symbols of `positive_form` in terms of the parameters."""
    found = {}
    for symbol, form in written.items():
        low, high = ranges[symbol.name]
        (z,) = form.free_symbols
        if low.is_finite:
            found[z] = (high - symbol) / (symbol - low) if high.is_finite else symbol - low
        else:
            found[z] = high - symbol if high.is_finite else symbol
    return found
