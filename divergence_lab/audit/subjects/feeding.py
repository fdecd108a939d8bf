"""What each argument of a callable is fed with, and in which shape.

log_z=0, log_pf, log_pb      a constant by name, then log p_F, then log p_B
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from divergence_lab.audit.subjects.loading import AuditError
from divergence_lab.audit.subjects.signatures import required, signature_of
from divergence_lab.inputs import number_in, shown

FEEDS = ("residual", "log_pf", "log_pb", "pf", "pb", "mask")
# Arguments whose name says that they are a part of log p_B - log p_F which 0 leaves out.
_PARTS = {"log_z": 0.0, "logz": 0.0, "log_reward": 0.0, "log_rewards": 0.0, "log_r": 0.0}
_SWAPPED = {"log_pf": "log_pb", "log_pb": "log_pf", "pf": "pb", "pb": "pf"}


@dataclass(frozen=True)
class Argument:
    """One argument: `fed` with a word of FEEDS or a constant; `name`: passed by this name, if any.

    `text`: as the user writes it.
    """

    fed: str | float
    name: str | None = None

    @property
    def text(self) -> str:
        """As `--feed` has it: log_pf, log_z=0, ref=log_pb."""
        told = self.fed if isinstance(self.fed, str) else f"{self.fed:g}"
        return told if self.name is None or self.name == told else f"{self.name}={told}"


@dataclass(frozen=True)
class Layout:
    """How residuals are laid out: `rows`: [batch, 1], otherwise [batch]; the mask's dtype; are
    constants numbers without a shape?
    """

    rows: bool = False
    mask: torch.dtype = torch.bool
    bare: bool = False


PLAIN = Layout()


def arguments_of(
    call: Callable[..., Any], residual: str, feed: Sequence[str] | None
) -> tuple[Argument, ...]:
    """The arguments as `feed` names them; found by looking where it is not given.

    Raises AuditError.
    """
    return tuple(_read(item) for item in feed) if feed else _default(call, residual)


def swapped(arguments: Sequence[Argument]) -> list[str]:
    """The feed with model and target exchanged."""
    return [
        Argument(_SWAPPED.get(str(one.fed), one.fed), one.name).text
        if isinstance(one.fed, str)
        else one.text
        for one in arguments
    ]


def _read(item: str) -> Argument:
    name, equals, told = item.partition("=")
    word = (told if equals else name).strip()
    by_name = name.strip() if equals else None
    if by_name is not None and not by_name.isidentifier():
        raise AuditError(f"--feed {shown(item)}: write NAME=NUMBER, as in log_z=0")
    if word in FEEDS:
        return Argument(word, by_name)
    try:
        if by_name is not None:
            return Argument(number_in(word), by_name)
    except ValueError:
        pass
    raise AuditError(
        f"--feed {shown(item)}: choose from {', '.join(FEEDS)}, with commas; a constant is "
        "written log_z=0"
    )


def _default(call: Callable[..., Any], residual: str) -> tuple[Argument, ...]:
    names = required(call) or []
    masks = [name for name in names if name == "mask" or name.endswith("_mask")]
    rest = [name for name in names if name not in masks]
    words: list[str | float]
    known = [_PARTS.get(name.lower(), name if name in FEEDS else None) for name in rest]
    if len(rest) < 2:
        words = ["residual"]
    elif None not in known and not set(known).isdisjoint(_SWAPPED):
        words = [word for word in known if word is not None]
    elif len(rest) == 2 and (partner := _SWAPPED.get(str(known[0] or known[1]))):
        words = [word or partner for word in known]
    else:
        words = ["log_pb", "log_pf"] if residual == "target/model" else ["log_pf", "log_pb"]
    # a name of our own is passed by name, so that a keyword-only argument gets it too
    told = [Argument(w, rest[i] if not isinstance(w, str) else None) for i, w in enumerate(words)]
    if not masks:
        return tuple(told)
    by_place = dict(zip(rest, told, strict=False))
    return tuple(
        Argument("mask") if name in masks else by_place[name]
        for name in names
        if name in masks or name in by_place
    )


def roles_of(call: Callable[..., Any], arguments: Sequence[Argument]) -> dict[str, str]:
    """The names of the callable's own arguments -> "model" or "target", as they are fed."""
    signature = signature_of(call)
    if signature is None:
        return {}
    marks = [torch.tensor(float(index)) for index in range(len(arguments))]
    positional, named = bound(call, arguments, marks)
    given = dict(zip(signature.parameters, positional, strict=False)) | named
    words = {"log_pf": "model", "pf": "model", "log_pb": "target", "pb": "target"}
    fed = {name: arguments[int(mark)].fed for name, mark in given.items()}
    return {name: words[word] for name, word in fed.items() if word in words}


# --- the call


def bound(
    call: Callable[..., Any], arguments: Sequence[Argument], given: Sequence[Tensor]
) -> tuple[list[Tensor], dict[str, Tensor]]:
    """(positional, by name): a named argument goes to its name, the others to what is left, in
    turn.

    A name that the callable does not have is only said for the reader: it goes in turn, too.
    """
    signature = signature_of(call)
    if signature is None:
        return list(given), {}
    places = [
        p for p in signature.parameters.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    named = {
        argument.name: value
        for argument, value in zip(arguments, given, strict=True)
        if argument.name is not None
        and any(p.name == argument.name and p.kind != p.POSITIONAL_ONLY for p in places)
    }
    left = [
        value
        for argument, value in zip(arguments, given, strict=True)
        if argument.name not in named
    ]
    return _in_turn([p for p in places if p.name not in named], left, named, places)


def _in_turn(
    free: list[inspect.Parameter],
    left: list[Tensor],
    named: dict[str, Tensor],
    places: list[inspect.Parameter],
) -> tuple[list[Tensor], dict[str, Tensor]]:
    # required ones first: an option in between keeps its default
    order = sorted(free, key=lambda p: p.default is not p.empty)
    takers = {p.name: value for p, value in zip(order, left, strict=False)}
    positional: list[Tensor] = []
    for place in places:
        if place.name not in takers or place.kind == place.KEYWORD_ONLY:
            break
        positional.append(takers.pop(place.name))
    return [*positional, *left[len(order) :]], {**named, **takers}


def offered(argument: Argument, layout: Layout, told: dict[str, Tensor], like: Tensor) -> Tensor:
    """The tensor for one argument, its own copy: what is fed may be changed in place, as the
    residual of a training run may (it is no leaf there).
    """
    if not isinstance(argument.fed, str):
        return torch.full_like(like[:0].sum() if layout.bare else like, argument.fed)
    if argument.fed == "mask":
        return torch.ones_like(like, dtype=layout.mask if layout.mask == torch.bool else like.dtype)
    return told[argument.fed].clone()


def one_by_one(call: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The callable called with one object at a time: for code that asks `if residual > 0`."""

    @functools.wraps(call, updated=())
    def called(*arguments: Tensor, **named: Any) -> Tensor:
        count = max(one.shape[0] for one in (*arguments, *named.values()) if _is_batch(one))
        parts = [
            call(*(_at(one, i) for one in arguments), **{k: _at(v, i) for k, v in named.items()})
            for i in range(count)
        ]
        return torch.stack([part.reshape(()) for part in parts])

    return called


def _is_batch(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dim() > 0


def _at(value: Any, index: int) -> Any:
    return value[index] if _is_batch(value) else value
