"""What a caller may give as a loss: a text, a `Loss`, a torch loss, a formula of SymPy, or a Python
function of plain arithmetic.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import sympy as sp

from divergence_lab.inputs import kind_of, shown
from divergence_lab.theory.catalogue import named as catalogue
from divergence_lab.theory.divergence import loss as losses
from divergence_lab.theory.expressions import ExpressionError, write, x

# residuals at which a function must agree with the formula that was read from it
PROBES = (-3.7, -1.0, -0.3, 0.0, 0.4, 1.0, 2.9)
NO_LOSS = "there is no loss: give at least one, such as 'quadratic'"
FORMS = "a text such as 'linex(1)' or 'exp(x) - x - 1', or what divergence_lab.loss(text) gives"


def as_loss(given: Any, budget: float = 20.0) -> losses.Loss:
    """The loss that is meant: a `Loss`, or what knows one (a torch loss, a divergence, a
    derivation), as it is; a text as `loss` reads it; a formula in x of SymPy, its decimals taken as
    they are written; a Python function of plain arithmetic by its formula.

    Raises ExpressionError, one line that says what to write.

        >>> as_loss("linex(1)") == as_loss(as_loss("linex(1)"))
        True
        >>> as_loss(lambda x: x**2 / 2).name
        'quadratic'
    """
    if isinstance(given, str):
        return losses.loss(given, budget=budget)
    if isinstance(given, losses.Loss):
        return given
    if isinstance(known := getattr(given, "loss", None), losses.Loss):
        return known
    if callable(given) and not isinstance(given, type | sp.Basic):
        given = formula_of(given)
    if not isinstance(given, sp.Expr):
        raise ExpressionError(f"a loss is {FORMS}; this is {kind_of(given)}")
    as_written = given.replace(lambda e: e.is_Float, lambda e: sp.Rational(str(e)))
    return losses.loss(write(as_written), budget=budget)


def as_losses(given: Any, budget: float = 20.0) -> dict[str, losses.Loss]:
    """name -> loss, of a mapping, of a list, or of one loss; what is given as text is called by its
    name in the catalogue, or as it is written.

    >>> list(as_losses(["Linex(1)", "x**4"])), list(as_losses("quadratic"))
    (['linex(1)', 'x**4'], ['quadratic'])
    """
    if isinstance(given, Mapping):
        refuse_names(given)
        return {name: as_loss(one, budget) for name, one in given.items()}
    return {name: as_loss(one, budget) for name, one in with_names(given, name_of).items()}


def name_of(given: Any) -> str:
    """What a loss that was given without a name is called."""
    if isinstance(given, str):
        found = catalogue.lookup(given)
        return found[0] if found else given.strip()
    entry = as_loss(given)
    return entry.name or write(entry.expression)


def with_names(given: Any, name_of: Callable[[Any], str]) -> dict[str, Any]:
    """The losses in a list, or the only one, by the names that they get."""
    alone = isinstance(given, str | sp.Basic) or callable(given) or not isinstance(given, Iterable)
    each = [given] if alone else list(given)
    if not each:
        raise ExpressionError(NO_LOSS)
    named = [(name_of(one), one) for one in each]
    if len(dict(named)) < len(named):
        names = [name for name, _ in named]
        twice = next(name for name in names if names.count(name) > 1)
        raise ExpressionError(
            f"two losses are called {shown(twice)}: give them as {{name: loss, ...}}"
        )
    return dict(named)


def refuse_names(mapping: Mapping[Any, Any]) -> None:
    """ExpressionError where a mapping names no loss, or by what is no name."""
    if not mapping:
        raise ExpressionError(NO_LOSS)
    for name in mapping:
        if not isinstance(name, str) or not name.isprintable() or not name.strip():
            raise ExpressionError(
                f"losses: the name {shown(repr(name))} is not printable text; choose another"
            )


def formula_of(function: Callable[[Any], Any]) -> sp.Expr:
    """function(x) for SymPy's x, where that is a formula with the function's own values at numbers.
    Raises ExpressionError.

        >>> formula_of(lambda x: abs(x) / 2)
        Abs(x)/2
    """
    try:
        formula = function(x)
        agrees = isinstance(formula, sp.Expr) and all(
            abs(float(formula.subs(x, at)) - (value := float(function(at))))
            <= 1e-9 * max(1.0, abs(value))
            for at in PROBES
        )
    except Exception:  # a function of somebody's may raise anything
        agrees = False
    if not agrees:
        name = getattr(function, "__name__", type(function).__name__)
        raise ExpressionError(
            f"no formula can be read from the function {shown(name)}: write the loss as text, such "
            "as 'exp(x) - x - 1', or ask divergence_lab.audit what the function minimises"
        )
    return formula
