"""What differs between devices: looking at numbers, threads, steps that are recorded once and
repeated, and operations that a GPU would make in many kernels.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache

import torch
from torch import Tensor

from divergence_lab.graphs import ambient

WARM = 3  # steps before the recording, in which libraries set themselves up


def may_look(device: torch.device) -> bool:
    """Whether a number on this device can be looked at for nothing: on a CPU; a GPU would have
    to be waited for.
    """
    return device.type == "cpu"


@contextmanager
def one_thread(wanted: bool) -> Iterator[None]:
    """torch on one CPU thread inside, if `wanted`: on shared cores a second costs small work
    much and gains it nothing.
    """
    before = torch.get_num_threads()
    if not wanted or before == 1:
        yield
        return
    try:
        torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(before)


def repeated(call: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """`call`, to be made many times: on a GPU recorded as a CUDA graph after WARM calls, and
    replayed from then on.

    `call` must read what changes from tensors that stay in their place, and write in place.  A step
    is hundreds of small kernels, and to launch them one by one takes longer than to run them.
    Where the recording fails, a warning says why and every call is made as it is; elsewhere than on
    a GPU too.
    """
    if device.type != "cuda":
        return call
    graph: torch.cuda.CUDAGraph | None = None
    made, failed, side = 0, False, torch.cuda.Stream(device)

    def advance() -> None:
        nonlocal graph, made, failed
        if graph is None and made >= WARM and not failed:
            try:
                graph = record(call)
            except RuntimeError as error:
                failed = True
                warnings.warn(
                    "this step cannot be recorded as a CUDA graph, and runs kernel by "
                    f"kernel: {_first_line(error)}",
                    stacklevel=2,
                )
        if graph is not None:
            graph.replay()
            return
        # on a stream of its own, as recording asks of the calls before it
        current = torch.cuda.current_stream(device)
        side.wait_stream(current)
        with torch.cuda.stream(side):
            call()
        current.wait_stream(side)
        made += 1

    return advance


def record(call: Callable[[], None]) -> torch.cuda.CUDAGraph:
    """What `call` launches on the current device, as a CUDA graph; RuntimeError where that can't be
    recorded, which leaves streams and memory as they were.
    """
    graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
    before = torch.cuda.current_stream()
    try:
        # torch's own stream for this is that of the device of its first recording: elsewhere
        # nothing would be recorded
        with torch.cuda.graph(graph, pool=pool, stream=torch.cuda.Stream()):
            call()
    except RuntimeError:
        # torch 2.11 goes on reserving memory for it, and refuses every later recording
        with suppress(RuntimeError):  # later ones have ended that by themselves
            torch._C._cuda_endAllocateToPool(torch.cuda.current_device(), pool)
        raise
    finally:
        torch.cuda.set_stream(before)
    return graph


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


# --- fewer kernels: what is launched counts there, not what is computed


@cache  # for ever: a recorded step reads it where it lies
def number(value: float, device: torch.device, dtype: torch.dtype) -> Tensor:
    """This number on the device: torch would send it there, by a kernel, at each use."""
    with ambient.plain_torch():
        return torch.tensor(value, dtype=dtype).to(device)


def with_number(table: Tensor, value: float, dim: int = -1) -> Tensor:
    """One more entry along this dimension, this number."""
    last = number(value, table.device, table.dtype).expand_as(table.narrow(dim, 0, 1))
    return torch.cat([table, last], dim=dim)


def moved(table: Tensor, places: Tensor, back: Tensor) -> Tensor:
    """table[:, places] of a table [M, N], 0 for place N, where no place but N comes twice: its
    entry n is found at `back`[n], nowhere if that is len(places).
    """
    return _Moved.apply(table, places, back)


class _Moved(torch.autograd.Function):
    """Its gradient is looked up too; torch would sort places and add up."""

    generate_vmap_rule = True

    @staticmethod
    def forward(table: Tensor, places: Tensor, back: Tensor) -> Tensor:
        return with_number(table, 0.0).index_select(1, places)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        ctx.save_for_backward(inputs[2])

    @staticmethod
    def backward(ctx, upstream: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride] (torch's own way)
        (back,) = ctx.saved_tensors
        return with_number(upstream, 0.0).index_select(1, back), None, None


def kept(values: Tensor, where: Tensor, instead: Tensor | None = None) -> Tensor:
    """The values there, elsewhere 0, or what is given `instead` and has no gradient.  No gradient
    comes from what stands elsewhere, whatever it is.
    """
    return _Kept.apply(values, where, instead)


class _Kept(torch.autograd.Function):
    """One kernel each way."""

    generate_vmap_rule = True

    @staticmethod
    def forward(values: Tensor, where: Tensor, instead: Tensor | None) -> Tensor:
        other = number(0.0, values.device, values.dtype) if instead is None else instead
        return torch.where(where, values, other)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx, upstream: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride] (torch's own way)
        (where,) = ctx.saved_tensors
        zero = number(0.0, upstream.device, upstream.dtype)
        return torch.where(where, upstream, zero), None, None


def log_softmax_over(allowed: Tensor, logits: Tensor, closed: float = -torch.inf) -> Tensor:
    """log softmax along dimension 1 of the allowed logits, of `closed` in place of the others.

    No gradient may come in for what is not allowed.
    """
    if may_look(logits.device):
        logits = logits.masked_fill(~allowed, closed)
        return logits - torch.logsumexp(logits, dim=1, keepdim=True)
    return _LogSoftmax.apply(logits, allowed, closed)


class _LogSoftmax(torch.autograd.Function):
    """Two kernels and one back."""

    @staticmethod
    def forward(ctx, logits: Tensor, allowed: Tensor, closed: float) -> Tensor:
        lowest = number(closed, logits.device, logits.dtype)
        found = torch.log_softmax(torch.where(allowed, logits, lowest), dim=1)
        ctx.save_for_backward(found)
        return found

    @staticmethod
    def backward(ctx, upstream: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride] (torch's own way)
        (found,) = ctx.saved_tensors
        back = torch.ops.aten._log_softmax_backward_data
        return back(upstream, found, 1, found.dtype), None, None


def log_add_exp(one: Tensor, other: Tensor) -> Tensor:
    """torch.logaddexp."""
    return (torch.logaddexp if may_look(one.device) else _LogAddExp.apply)(one, other)


class _LogAddExp(torch.autograd.Function):
    """One kernel and four back in place of nine."""

    @staticmethod
    def forward(ctx, one: Tensor, other: Tensor) -> Tensor:
        ctx.save_for_backward(one, other)
        return torch.logaddexp(one, other)

    @staticmethod
    def backward(ctx, upstream: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride] (torch's own way)
        one, other = ctx.saved_tensors
        share = upstream * (one - other).sigmoid()
        return share, upstream - share if ctx.needs_input_grad[1] else None


def log_sum_exp(
    values: Tensor, dim: int, allowed: Tensor | None = None, closed: float = -torch.inf
) -> Tensor:
    """torch.logsumexp, `closed` in place of what is not allowed; not all may be -inf.

    Where nothing is allowed, no gradient may come in.
    """
    if may_look(values.device):
        values = values if allowed is None else values.masked_fill(~allowed, closed)
        return torch.logsumexp(values, dim=dim)
    return _LogSumExp.apply(values, dim, allowed, closed)


class _LogSumExp(torch.autograd.Function):
    """The largest value less the logarithm of its share: five kernels and two back."""

    @staticmethod
    def forward(ctx, values: Tensor, dim: int, allowed: Tensor | None, closed: float) -> Tensor:
        if allowed is not None:
            values = torch.where(allowed, values, number(closed, values.device, values.dtype))
        shares, ctx.dim = torch.log_softmax(values, dim=dim), dim
        ctx.save_for_backward(shares)
        return values.amax(dim=dim) - shares.amax(dim=dim)

    @staticmethod
    def backward(ctx, upstream: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride] (torch's own way)
        (shares,) = ctx.saved_tensors
        return shares.exp() * upstream.unsqueeze(ctx.dim), None, None, None
