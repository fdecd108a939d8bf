"""From a text such as 'torch.nn:MSELoss' to the thing it names: the only place that imports what
the user names.

Importing a module runs it; so does making an instance of a class. Nothing is imported before `load`
is called.
"""

import ast
import contextlib
import difflib
import functools
import importlib
import importlib.util
import inspect
import operator
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from divergence_lab.audit.subjects.signatures import as_written, signature_of
from divergence_lab.inputs import InputError, one_line, shown

_NAME = r"([^\W\d][\w.]*)\s*(\(.*\))?\s*\Z"
_TEXT = re.compile(rf"\s*([^\W\d][\w.]*)\s*:\s*{_NAME}", re.DOTALL)
_FILE = re.compile(rf"\s*(.*?\.py)\s*:\s*{_NAME}", re.DOTALL)


class AuditError(InputError):
    """The audit can't be made; one line that names what failed and says what to do."""


def load(text: str, bound: Mapping[str, Any] | None = None) -> Callable[..., Any]:
    """The callable that 'module:callable' or 'path/to/file.py:callable' names; 'module:Class' and
    'module:Class(1.0, k=2)' make an instance, 'module:function(k=2)' fixes an argument.

    Arguments are literals (numbers, texts, lists): nothing in the text is evaluated. bound: more
    keyword arguments that are fixed. Raises AuditError.
    """
    match = _FILE.match(text) or _TEXT.match(text)
    if match is None:
        raise AuditError(
            f"{shown(text, 60)} is not of the form module:callable or path/to/file.py:callable, "
            "e.g. torch.nn.functional:mse_loss or my_losses:MyLoss(0.5)"
        )
    where, path, arguments = match.groups()
    given = _literals(text, arguments) if arguments else None
    module = _of_file(where) if where.endswith(".py") else _imported(where, where)
    try:
        found = operator.attrgetter(path)(module)
    except AttributeError:
        raise AuditError(f"{where} has no {path}: {_nearest(path, module)}") from None
    return as_callable(found, text.strip(), given, bound)


def _imported(name: str, told: str) -> ModuleType:
    with guarded(f"importing {told}", "name a module that Python can import from here"):
        return importlib.import_module(name)


def _nearest(path: str, module: ModuleType) -> str:
    near = difflib.get_close_matches(path, [name for name in vars(module) if name[0] != "_"], 1)
    return f"did you mean {near[0]}?" if near else "check the name after the colon"


def _of_file(text: str) -> ModuleType:
    """The module in a file; a file of a package is imported as its module, so that it finds its
    neighbours.
    """
    path = Path(text).expanduser().absolute()
    if not path.is_file():
        raise AuditError(f"{shown(text, 60)} is not a file: name a Python file, or a module")
    top, parts = path.parent, [path.stem]
    while (top / "__init__.py").is_file():
        top, parts = top.parent, [top.name, *parts]
    if str(top) not in sys.path:
        # it stays there: what is imported when the callable is called is looked for there, too
        sys.path.insert(0, str(top))
    return _imported(".".join(parts), text) if len(parts) > 1 else _run_file(path, text)


def _run_file(path: Path, told: str) -> ModuleType:
    known = sys.modules.get(path.stem)
    if known is not None and getattr(known, "__file__", None) == str(path):
        return known
    # a file may be called as a module that is loaded: json.py, losses.py of another folder
    name = path.stem if known is None else f"_file_{abs(hash(path)):x}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # it ends with .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with guarded(f"importing {told}", "name a file that Python can run"):
            spec.loader.exec_module(module)
    except AuditError:
        sys.modules.pop(name, None)
        raise
    return module


def as_callable(
    thing: Any,
    name: str,
    given: tuple[tuple, dict] | None = None,
    bound: Mapping[str, Any] | None = None,
) -> Callable[..., Any]:
    """The callable itself; an instance where it is a class; what it makes where it is called with
    `given` and that is all it needs. `bound` and what else is given are fixed in every call.

    What `torch.compile` wraps is taken as written. Raises AuditError.
    """
    fixed = dict(bound or {})
    if inspect.isclass(thing):
        positional, named = given or ((), {})
        own = [key for key in fixed if _takes(thing, key)]
        named = {**named, **{key: fixed.pop(key) for key in own}}
        thing = _made(thing, name, positional, named)
    elif given is not None:
        thing, more = _called_or_bound(thing, name, *given)
        fixed = {**more, **fixed}
    if not callable(thing):
        raise AuditError(
            f"{name} is a {type(thing).__name__} and can't be called: name a function, a "
            "module or a class whose instances are called with the residual"
        )
    thing = as_written(thing)
    for key in fixed:
        if not _takes(thing, key):
            raise AuditError(f"--bind {shown(key)}: {one_line(name, 60)} {_arguments(thing)}")
    return functools.partial(thing, **fixed) if fixed else thing


def _made(thing: Any, name: str, positional: tuple, named: dict) -> Any:
    if not callable(thing):
        raise AuditError(f"{name} is not callable: name a function or a class")
    with guarded(f"making {name}", "give literal arguments, e.g. 'module:Class(0.5)'"):
        return thing(*positional, **named)


def _called_or_bound(thing: Any, name: str, positional: tuple, named: dict) -> tuple[Any, dict]:
    """What a function makes of its arguments; where it needs more of them, itself with these
    fixed.
    """
    signature = signature_of(thing) if callable(thing) else None
    try:
        if signature is not None:
            signature.bind(*positional, **named)
    except TypeError:
        if positional:
            raise AuditError(
                f"{name} needs more arguments than these: give those to be fixed by name, "
                "e.g. 'module:function(delta=2.0)'"
            ) from None
        return thing, named
    return _made(thing, name, positional, named), {}


def _takes(thing: Any, key: str) -> bool:
    signature = signature_of(thing)
    if signature is None:
        return True
    kinds = {p.name: p.kind for p in signature.parameters.values()}
    open_ended = inspect.Parameter.VAR_KEYWORD in kinds.values()
    return open_ended or kinds.get(key) in (
        inspect.Parameter.KEYWORD_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    )


def _arguments(thing: Any) -> str:
    signature = signature_of(thing)
    names = list(signature.parameters) if signature else []
    return f"has no such argument; it has {', '.join(names) or 'none'}"


def read_bound(items: list[str]) -> dict[str, Any]:
    """--bind delta=2.0 as {"delta": 2.0}: a literal, else a text. Raises AuditError."""
    found = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals or not name.strip().isidentifier():
            raise AuditError(f"--bind {shown(item)} is not of the form delta=2.0")
        try:
            found[name.strip()] = ast.literal_eval(value.strip())
        except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
            found[name.strip()] = value.strip()
    return found


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
