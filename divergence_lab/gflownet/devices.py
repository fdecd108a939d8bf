"""What differs between devices: looking at numbers, threads, and steps that are recorded once
and repeated.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import torch

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
