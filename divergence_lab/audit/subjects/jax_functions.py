"""A JAX function, called with torch tensors: its vector-Jacobian product is the gradient."""

import functools
import inspect
import sys
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from divergence_lab.audit.subjects.answers import items_of
from divergence_lab.audit.subjects.loading import AuditError


def is_jax(call: Callable[..., Any]) -> bool:
    """Is it written with JAX: a transformed function, one that uses JAX and not torch, or one whose
    module imports JAX and not torch?
    """
    if "jax" not in sys.modules:
        return False
    inner = call.func if isinstance(call, functools.partial) else call
    # what jit makes is an object of JAX, what vmap makes a function of its code
    makers = (type(inner).__module__, getattr(inner, "__globals__", {}).get("__name__", ""))
    if not {str(maker).split(".")[0] for maker in makers}.isdisjoint(("jax", "jaxlib")):
        return True
    plain = inspect.unwrap(inner) if inspect.isroutine(inner) else type(inner)
    everything = vars(sys.modules.get(getattr(plain, "__module__", ""), object))
    used = _used_by(plain) if inspect.isfunction(plain) else []
    for names in ([everything.get(name) for name in used], everything.values()):
        roots = {name.__name__.split(".")[0] for name in names if inspect.ismodule(name)}
        if not roots.isdisjoint(("jax", "torch")):
            return "torch" not in roots
    return False


def _used_by(function: FunctionType) -> list[str]:
    """The names outside that a function uses, and those inside it."""
    codes, names = [function.__code__], []
    for code in codes:
        names += code.co_names
        codes += [inner for inner in code.co_consts if isinstance(inner, CodeType)]
    return names


def as_torch(call: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The JAX function as one of torch tensors, in their dtype."""

    @functools.wraps(call, updated=())
    def called(*arguments: Tensor, **named: Any) -> Any:
        tensors = {key: value for key, value in named.items() if isinstance(value, Tensor)}
        plain = {key: value for key, value in named.items() if key not in tensors}
        parts: list[str | None] = []

        def flat(*arrays: Any) -> tuple[Any, ...]:
            by_name = dict(zip(tensors, arrays[len(arguments) :], strict=True))
            answer = call(*arrays[: len(arguments)], **by_name, **plain)
            found = {None: answer} if hasattr(answer, "dtype") else dict(items_of(answer))
            kept = {key: part for key, part in found.items() if hasattr(part, "dtype")}
            if not kept:
                raise AuditError(f"{name} returned a {type(answer).__name__}, not a JAX array")
            parts[:] = kept
            return tuple(kept.values())

        answers = _Through.apply(flat, *arguments, *tensors.values())
        return answers[0] if parts == [None] else dict(zip(parts, answers, strict=True))

    return called


class _Through(torch.autograd.Function):
    """Forward by JAX, backward by its vector-Jacobian product."""

    @staticmethod
    def forward(ctx: Any, call: Callable[..., Any], *tensors: Tensor) -> tuple[Tensor, ...]:
        import jax

        with _wide():
            arrays = [_to_jax(tensor) for tensor in tensors]
            answers, ctx.pulled_back = jax.vjp(call, *arrays)
        ctx.kinds = [answer.dtype for answer in answers]
        return tuple(_to_torch(answer) for answer in answers)

    @staticmethod
    def backward(ctx: Any, *pushed: Tensor) -> tuple[Any, ...]:
        with _wide():
            back = ctx.pulled_back(
                tuple(_to_jax(one, kind) for one, kind in zip(pushed, ctx.kinds, strict=True))
            )
            return (None, *(_to_torch(one) for one in back))


def _wide() -> Any:
    """float64 for as long as it is entered; it has had two addresses."""
    import jax

    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64

    return enable_x64()


def _to_jax(tensor: Tensor, kind: Any = None) -> Any:
    import jax.numpy as jnp

    known = {torch.bfloat16: jnp.bfloat16, torch.float16: jnp.float16, torch.bool: jnp.bool_}
    wide = tensor.detach()
    dtype = kind or known.get(tensor.dtype)
    array = wide.float().numpy() if wide.dtype in (torch.bfloat16, torch.float16) else wide.numpy()
    return jnp.asarray(array, dtype=dtype)


def _to_torch(array: Any) -> Tensor:
    if str(array.dtype) == "bfloat16":
        return torch.from_numpy(np.array(array, dtype=np.float32)).bfloat16()
    if str(array.dtype) == "float0":  # of what has no gradient: a mask
        return torch.zeros(array.shape)
    return torch.from_numpy(np.array(array))
