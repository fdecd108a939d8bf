"""What a callable takes: read from the code as written, whatever was wrapped around it."""

import functools
import inspect
from collections.abc import Callable
from typing import Any


def as_written(thing: Any) -> Any:
    """The function or module that `torch.compile` was given, or the thing itself."""
    for wrapper in ("_orig_mod", "_torchdynamo_orig_callable"):
        # read from the dictionary: a module's own attributes are looked for elsewhere, and slowly
        kept = getattr(thing, "_modules", None) or {}
        inner = kept.get(wrapper, getattr(thing, "__dict__", {}).get(wrapper))
        if callable(inner):
            return inner
    return thing


def signature_of(call: Callable[..., Any]) -> inspect.Signature | None:
    """The signature of what runs: of a module that of `forward`, of a partial without what is
    bound. None where Python can't tell.
    """
    if isinstance(call, functools.partial):
        inner = signature_of(call.func)
        if inner is None:
            return None
        left = [p for p in inner.parameters.values() if p.name not in call.keywords]
        return inner.replace(parameters=_without_first(left, len(call.args)))
    forward = None if inspect.isclass(call) else getattr(call, "forward", None)
    try:
        return inspect.signature(forward if callable(forward) else call)
    except (TypeError, ValueError):
        return None


def _without_first(parameters: list[inspect.Parameter], count: int) -> list[inspect.Parameter]:
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return [p for p in parameters if p not in positional[:count]]


def required(call: Callable[..., Any]) -> list[str] | None:
    """The names of the arguments without a default, in order; None where Python can't tell."""
    signature = signature_of(call)
    if signature is None:
        return None
    return [
        p.name
        for p in signature.parameters.values()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]


def wanted_arguments(thing: Callable[..., Any]) -> int | None:
    """How many arguments a call needs; None where Python can't tell."""
    names = required(thing)
    return None if names is None else len(names)
