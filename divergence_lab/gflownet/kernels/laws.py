"""The exact flow of probability on a GPU: a kernel a level, recorded once and replayed."""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from divergence_lab.gflownet import devices
from divergence_lab.gflownet.kernels import availability
from divergence_lab.graphs import constants, dag

TILE = 1024  # numbers that a program holds of each table
WIDEST = 1024  # actions, or parents of one state, that fit into a tile
MOST_MEMBERS = 65_535  # a launch has no more rows
KEPT = 8  # recordings of a graph


def applies(graph: dag.PointedDAG, logits: Tensor) -> bool:
    """Whether these tables [M, A, S] are passed through by kernels."""
    return (
        availability.usable(logits.device)
        and logits.dtype in (torch.float32, torch.float64)
        and 0 < len(logits) <= MOST_MEMBERS
        and graph.n_actions <= WIDEST
        and graph.incoming.shape[0] <= WIDEST
    )


def forward(graph: dag.PointedDAG, logits: Tensor) -> Tensor:
    """v(s, a) = d(s) P_F(a|s) of logits [M, A, S]: [M, A, S]."""
    from divergence_lab.gflownet.kernels import level_kernels

    logits = logits.contiguous()
    visits = torch.empty_like(logits)
    child, incoming = _child(graph, logits.device), _incoming(graph, logits.device)
    sizes = (graph.n_states, graph.n_actions, len(incoming))
    shape = {
        "NUMBER": level_kernels.NUMBERS[logits.dtype],
        "ACTIONS": _power(sizes[1]),
        "PARENTS": _power(sizes[2]),
    }
    block = max(4, TILE // max(shape["ACTIONS"], shape["PARENTS"]))
    slices = graph.level_slices

    kernel: Any = level_kernels.forward_level

    def launch(addresses: Tensor) -> None:
        for low, high in slices:
            grid = (-(-(high - low) // block), len(logits))
            kernel[grid](addresses, child, incoming, low, high - low, *sizes, **shape, BLOCK=block)

    _through(graph, "forward", launch, (logits, visits))
    return visits


def backward(graph: dag.PointedDAG, visits: Tensor, upstream: Tensor) -> Tensor:
    """dL/dlogits from v and dL/dv, [M, A, S] each."""
    from divergence_lab.gflownet.kernels import level_kernels

    visits, upstream = visits.contiguous(), upstream.contiguous()
    gradient = torch.empty_like(visits)
    child = _child(graph, visits.device)
    sizes = (graph.n_states, graph.n_actions)
    shape = {"NUMBER": level_kernels.NUMBERS[visits.dtype], "ACTIONS": _power(sizes[1])}
    block = max(4, TILE // shape["ACTIONS"])
    slices = graph.level_slices[::-1]
    worth = visits.new_empty(len(visits), graph.n_states)  # u of every state

    kernel: Any = level_kernels.backward_level

    def launch(addresses: Tensor) -> None:
        for low, high in slices:
            grid = (-(-(high - low) // block), len(visits))
            kernel[grid](addresses, child, low, high - low, *sizes, **shape, BLOCK=block)

    _through(graph, "backward", launch, (visits, upstream, gradient, worth))
    return gradient


def _child(graph: dag.PointedDAG, device: torch.device) -> Tensor:
    return constants.constant(graph, "child", lambda: graph.child, device, torch.int32)


def _incoming(graph: dag.PointedDAG, device: torch.device) -> Tensor:
    """[P, S]; int32 holds every slot * S + parent, since no table has more than MAX_TABLE."""
    return constants.constant(
        graph, "incoming edges", lambda: np.ascontiguousarray(graph.incoming), device, torch.int32
    )


def _power(size: int) -> int:
    """The smallest power of two that is not below it."""
    return 1 << (size - 1).bit_length()


# --- recordings


@dataclass(eq=False)
class _Passes:
    """The passes of one kind through a graph: the first few are launched level by level."""

    made: int = 0
    addresses: Tensor | None = None
    replay: Callable[[], None] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


def _through(
    graph: dag.PointedDAG,
    direction: str,
    launch: Callable[[Tensor], None],
    tensors: tuple[Tensor, ...],
) -> None:
    """All levels: replayed from a recording where there is one, else launched one by one.

    A launch holds on to the tables that it reads by their addresses alone, so one recording serves
    all calls of the same shape on the same stream.
    """
    like = tensors[0]
    if like.device.type != "cuda":
        launch(_addresses(tensors))
        return
    with torch.cuda.device(like.device):
        # a step that is being recorded takes these launches in as its own
        if torch.cuda.is_current_stream_capturing():
            launch(_addresses(tensors))
            return
        stream = torch.cuda.current_stream(like.device).cuda_stream
        key = (direction, len(like), like.dtype, str(like.device), stream)
        passes = _passes(constants.keep(graph, "passes", OrderedDict), key)
        with passes.lock:
            _pass(passes, launch, tensors)


def _passes(kept: OrderedDict[Hashable, _Passes], key: Hashable) -> _Passes:
    """Those of this kind; of more than KEPT kinds the one not used for longest is forgotten."""
    found = kept.setdefault(key, _Passes())
    kept.move_to_end(key)
    if len(kept) > KEPT:
        kept.popitem(last=False)
    return found


def _pass(passes: _Passes, launch: Callable[[Tensor], None], tensors: tuple[Tensor, ...]) -> None:
    if passes.addresses is None:
        passes.addresses = _addresses(tensors)
    addresses = _fill(passes.addresses, tensors)
    if passes.replay is None and passes.made == devices.WARM:
        try:
            passes.replay = devices.record(lambda: launch(addresses)).replay
        except RuntimeError as error:
            warnings.warn(
                f"this law cannot be recorded, and runs level by level: {error}", stacklevel=2
            )
    passes.made += 1
    if passes.replay is None:
        launch(addresses)
    else:
        passes.replay()


def _addresses(tensors: tuple[Tensor, ...]) -> Tensor:
    """Where the tables lie, as numbers on their device."""
    return _fill(torch.empty(len(tensors), dtype=torch.int64, device=tensors[0].device), tensors)


def _fill(addresses: Tensor, tensors: tuple[Tensor, ...]) -> Tensor:
    """By kernels that carry the number as an argument: nothing waits, and nothing is overwritten
    before it is read.
    """
    for place, tensor in enumerate(tensors):
        addresses[place].fill_(tensor.data_ptr())
    return addresses
