"""From a text such as 'torch.nn:MSELoss' to the thing it names: the only place that imports what
the user names.

Importing a module runs it; so does making an instance of a class. Nothing is imported before `load`
is called.
"""

import ast
import contextlib
import importlib
import inspect
import operator
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from divergence_lab.inputs import InputError

_TEXT = re.compile(r"\s*([^\W\d][\w.]*)\s*:\s*([^\W\d][\w.]*)\s*(\(.*\))?\s*\Z", re.DOTALL)


class AuditError(InputError):
    """The audit can't be made; one line that names what failed and says what to do."""


def load(text: str) -> Callable[..., Any]:
    """The callable that 'module:callable' names; 'module:Class' and 'module:Class(1.0, k=2)' make
    an instance.

    Arguments are literals (numbers, texts, lists): nothing in the text is evaluated. Raises
    AuditError.
    """
    match = _TEXT.match(text)
    if match is None:
        raise AuditError(
            f"{text[:60]!r} is not of the form module:callable, e.g. "
            "torch.nn.functional:mse_loss or "
            "my_losses:MyLoss(0.5)"
        )
    module_name, path, arguments = match.groups()
    given = _literals(text, arguments) if arguments else None
    with guarded(f"importing {module_name}", "name a module that Python can import from here"):
        module = importlib.import_module(module_name)
    try:
        found = operator.attrgetter(path)(module)
    except AttributeError:
        raise AuditError(f"{module_name} has no {path}: check the name after the colon") from None
    return as_callable(found, text.strip(), given)


def as_callable(
    thing: Any, name: str, given: tuple[tuple, dict] | None = None
) -> Callable[..., Any]:
    """The callable itself; an instance of it where it is a class, or where arguments are given.

    Raises AuditError.
    """
    if inspect.isclass(thing) or given is not None:
        positional, named = given or ((), {})
        if not callable(thing):
            raise AuditError(f"{name} is not callable: name a function or a class")
        with guarded(f"making {name}", "give literal arguments, e.g. 'module:Class(0.5)'"):
            thing = thing(*positional, **named)
    if not callable(thing):
        raise AuditError(
            f"{name} is a {type(thing).__name__} and can't be called: name a function, a "
            "module or a class "
            "whose instances are called with the residual"
        )
    return thing


def _literals(text: str, arguments: str) -> tuple[tuple, dict]:
    try:
        call = ast.parse(f"f{arguments}", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError
        return (
            tuple(ast.literal_eval(part) for part in call.args),
            {
                part.arg: ast.literal_eval(part.value)
                for part in call.keywords
                if part.arg is not None
            },
        )
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        raise AuditError(
            f"{text[:60]!r}: the arguments in parentheses must be literals such as 0.5 or 'mean'"
        ) from None


@contextlib.contextmanager
def guarded(doing: str, advice: str) -> Iterator[None]:
    """Run foreign code: what it prints goes to standard error, what it raises becomes one line."""
    try:
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except AuditError:
        raise
    except (Exception, SystemExit) as error:
        lines = str(error).strip().splitlines()
        told = f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
        raise AuditError(f"{doing} failed ({told}); {advice}") from None


def wanted_arguments(thing: Callable[..., Any]) -> int | None:
    """How many positional arguments a call needs; None where Python can't tell."""
    shown = thing.forward if hasattr(thing, "forward") and callable(thing.forward) else thing
    try:
        parameters = inspect.signature(shown).parameters.values()
    except (TypeError, ValueError):
        return None
    return sum(
        p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        for p in parameters
    )
