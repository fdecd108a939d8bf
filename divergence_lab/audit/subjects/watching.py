"""What a callable keeps between calls: counters, running statistics, random draws.

A loss whose gradient depends on how often it was called minimises one thing now and another later.
What changes with a call is found by looking at the numbers that the callable can reach; it is then
set to other values, and the gradient looked at: what only records changes nothing.
"""

import functools
import inspect
import random
from collections import deque
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from divergence_lab.audit.subjects.signatures import as_written

# Steps at which warm-ups end and schedules turn.
_STEPS = (1, 10, 100, 1000, 3000, 10_000, 100_000, 1_000_000, 10**9)
_DEEP, _MANY = 4, 2000


@dataclass(frozen=True)
class _Place:
    """A number that a callable can reach: where it stands, and what it is called. `attribute`: it
    is one of the holder, else an entry in it.
    """

    holder: Any
    key: Any
    name: str
    attribute: bool = False

    def value(self) -> Any:
        return getattr(self.holder, self.key) if self.attribute else self.holder[self.key]

    def put(self, value: Any) -> None:
        if self.attribute:
            setattr(self.holder, self.key, value)
        else:
            self.holder[self.key] = value


def counted_state(call: Callable[..., Any], slopes: Callable[[], np.ndarray]) -> str | None:
    """The name of a number that changes with every call and the gradient with it, or None.

    slopes: the callable's gradient at fixed residuals; it calls it.
    """
    places = list(_places(call))
    before = [_copied(place.value()) for place in places]
    first = slopes()
    for place, old in zip(places, before, strict=True):
        try:
            now = place.value()
        except LookupError:  # it was taken out of a list
            continue
        if _equal(now, old):
            continue
        for other in _others(now):
            if not np.allclose(_with(place, other, slopes), first, rtol=1e-9, equal_nan=True):
                return place.name
    return None


def _with(place: _Place, other: Any, slopes: Callable[[], np.ndarray]) -> np.ndarray:
    kept = place.value()
    place.put(other)
    try:
        return slopes()
    finally:
        place.put(kept)


def _others(now: Any) -> Iterator[Any]:
    if isinstance(now, torch.Tensor):
        yield from (torch.full_like(now, value) for value in (*_STEPS, 0.01) if _fits(now, value))
    elif isinstance(now, np.ndarray | np.integer):
        yield from (np.full(now.shape, value).astype(now.dtype)[()] for value in _STEPS)
    else:
        yield from (type(now)(now + step) for step in _STEPS)


def _fits(tensor: torch.Tensor, value: float) -> bool:
    return tensor.is_floating_point() or float(value).is_integer()


def _copied(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.clone()
    return value.copy() if isinstance(value, np.ndarray) else value


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.shape == b.shape and bool(torch.equal(a, b))
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    return type(a) is type(b) and bool(a == b or a != a)


# --- the numbers within reach


def _places(call: Any) -> Iterator[_Place]:
    seen: set[int] = set()
    for count, place in enumerate(_walk(call, "", 0, seen)):
        if count > _MANY:
            return
        yield place


def _walk(thing: Any, name: str, depth: int, seen: set[int]) -> Iterator[_Place]:
    thing = as_written(thing)
    if id(thing) in seen or depth > _DEEP or inspect.isclass(thing) or inspect.ismodule(thing):
        return
    seen.add(id(thing))
    if isinstance(thing, functools.partial):
        yield from _walk(thing.func, name, depth, seen)
    elif inspect.ismethod(thing):
        yield from _walk(thing.__self__, name, depth, seen)
    elif inspect.isfunction(thing):
        yield from _of_function(thing, depth, seen)
    elif isinstance(thing, MutableMapping):
        yield from _items(thing, list(thing), name, depth, seen)
    elif isinstance(thing, list | deque):
        yield from _items(thing, range(min(len(thing), 64)), name, depth, seen)
    else:
        if hasattr(thing, "__dict__"):
            yield from _items(vars(thing), list(vars(thing)), name, depth, seen)
        yield from _of_class(thing, name, depth, seen)


def _of_class(thing: Any, name: str, depth: int, seen: set[int]) -> Iterator[_Place]:
    """What an instance has by its classes: slots, and what is kept in a class itself."""
    for kind in type(thing).__mro__:
        if kind.__module__.split(".")[0] in ("builtins", "torch", "functools", "collections"):
            continue
        own = kind.__dict__
        kept = [key for key in own if not key.startswith("__") and not callable(own[key])]
        slots = [key for key in kept if inspect.ismemberdescriptor(own[key])]
        for holder, keys in ((thing, slots), (kind, [key for key in kept if key not in slots])):
            for key in keys:
                inner = f"{name}.{key}".lstrip(".")
                value = getattr(holder, key, None)
                yield from _number_or_more(holder, key, value, inner, depth, seen, attribute=True)


def _items(holder: Any, keys: Any, name: str, depth: int, seen: set[int]) -> Iterator[_Place]:
    for key in keys:
        # what torch keeps of a module is told by the attribute's own name
        inner = name if str(key) in ("_buffers", "_modules") else f"{name}.{key}".lstrip(".")
        yield from _number_or_more(holder, key, holder[key], inner, depth, seen)


def _number_or_more(
    holder: Any,
    key: Any,
    value: Any,
    name: str,
    depth: int,
    seen: set[int],
    attribute: bool = False,
) -> Iterator[_Place]:
    if isinstance(value, int | float | np.number) and not isinstance(value, bool):
        yield _Place(holder, key, name, attribute)
    elif isinstance(value, np.ndarray) and np.issubdtype(value.dtype, np.number):
        if value.size <= 64:
            yield _Place(holder, key, name, attribute)
    elif isinstance(value, torch.Tensor) and not isinstance(value, torch.nn.Parameter):
        if value.numel() <= 64 and not value.requires_grad:
            yield _Place(holder, key, name, attribute)
    else:
        yield from _walk(value, name, depth + 1, seen)


def _of_function(function: Any, depth: int, seen: set[int]) -> Iterator[_Place]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            value = cell.cell_contents
        except ValueError:  # not filled yet
            continue
        yield from _number_or_more(cell, "cell_contents", value, name, depth, seen, attribute=True)
    names = [name for name in function.__code__.co_names if name in function.__globals__]
    yield from _items(function.__globals__, names, "", depth, seen)
    yield from _items(vars(function), list(vars(function)), "", depth, seen)
    for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
        yield from _walk(value, "", depth + 1, seen)


# --- randomness


def random_state() -> tuple[Any, ...]:
    """The states of the generators that losses draw from: torch's, NumPy's, Python's."""
    kind, keys, *rest = np.random.get_state()
    return (
        bytes(torch.get_rng_state().numpy()),
        (kind, bytes(np.asarray(keys)), *rest),
        random.getstate(),
    )


def same_draws(slopes: Callable[[], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The gradient twice, from the same states of the generators, which are put back."""
    kept = torch.get_rng_state(), np.random.get_state(), random.getstate()
    found = []
    for _ in range(2):
        torch.set_rng_state(kept[0])
        np.random.set_state(kept[1])
        random.setstate(kept[2])
        found.append(slopes())
    return found[0], found[1]


def own_parameters(call: Any) -> list[str]:
    """The names of trainable parameters that a module holds itself."""
    call = as_written(call.func if isinstance(call, functools.partial) else call)
    if not isinstance(call, torch.nn.Module):
        return []
    return [name for name, value in call.named_parameters() if value.requires_grad]
