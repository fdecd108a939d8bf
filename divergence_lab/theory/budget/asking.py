"""A time limit that truly ends a search: it runs in a process of its own, which is killed when its
time is over.

SymPy's `integrate`, `limit` and `simplify` may run for ever, and so may any step built on them.
Threads, alarms and exceptions set from outside can't stop them safely; the end of a process can. A
question is a module-level function with its arguments. Threads may ask at the same time: each has a
process of its own. Seconds are those of the processor, of the search and of all that it asks in
turn: how busy the machine is changes when an answer comes, and nothing else.
"""

import atexit
import contextlib
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from divergence_lab.inputs import InputError, is_number, shown
from divergence_lab.theory.budget import in_place, pipes, processes, relay
from divergence_lab.theory.budget.processor_time import (
    OutOfTime,
    SearchFailed,
    be_patient,
    clock,
    cut_short,
    left_until,
    patient,
)

__all__ = [
    "OutOfTime",
    "SearchFailed",
    "allow_fork",
    "be_patient",
    "bounded",
    "check_budget",
    "clock",
    "cut_short",
    "end_searches",
    "left_until",
    "patient",
    "stream",
    "within",
]


TINY_BUDGET, LARGEST_BUDGET = 1e-3, 1e6


def within(seconds: float, function: Callable[..., Any], *arguments: Any) -> Any:
    """`function(*arguments)`, computed in a process of its own.

    Raises OutOfTime after `seconds` of the processor and SearchFailed when it raised. `function` is
    a module-level function; arguments and answer must pickle.

        >>> within(5, divmod, 7, 2)
        (3, 1)
    """
    return [*_ask([seconds], function, arguments)][-1][1]


def check_budget(seconds: float) -> None:
    """InputError for what is no positive number of seconds."""
    if not is_number(seconds, TINY_BUDGET, LARGEST_BUDGET):
        raise InputError(f"the budget {shown(str(seconds))} is not a positive number of seconds")


def bounded(seconds: float, function: Callable[..., Any], *arguments: Any) -> Any:
    """`function(*arguments)` within so many processor seconds: here where this process is asked
    itself, for its asker ends it in time, else as `within`.

    What is wrong with what a user gave (an InputError) is raised as it is; else OutOfTime and
    SearchFailed, as by `within`.

        >>> bounded(5, divmod, 7, 2)
        (3, 1)
    """
    check_budget(seconds)
    if processes.in_worker() or in_place.under_way():
        return function(*arguments)
    try:
        return within(seconds, function, *arguments)
    except SearchFailed as failure:
        if isinstance(failure.__cause__, InputError):
            raise failure.__cause__ from None
        raise


def stream(
    limits: Sequence[float], function: Callable[..., Iterator[Any]], *arguments: Any
) -> Iterator[Any]:
    """What the generator `function(*arguments)` yields, as it comes; part i within limits[i]
    processor seconds of the start.

    Raises as `within` does; the parts that came before are the asker's to keep.
    """
    for is_part, part in _ask(limits, function, arguments):
        if is_part:
            yield part


def allow_fork() -> None:
    """Say that this process is a program of ours that may be copied to answer questions: sooner
    than a relay starts.

    Only the command line says so. A process with more than one thread is never copied.
    """
    global _may_fork
    _may_fork = True


# A browser's Python has `os.fork`, and says so when it is called.
CAN_FORK = hasattr(os, "fork") and sys.platform not in ("emscripten", "wasi")
# Of the processes that wait for a question so many stay, and none for longer than this.
MOST_IDLE, IDLE_SECONDS = max(2, os.cpu_count() or 1), 20.0

# (since when, process) of those that wait, the latest last; each asking thread takes one
_idle: list[tuple[float, processes.Worker | relay.Relay]] = []
_busy: set[processes.Worker | relay.Relay] = set()
_may_fork = False
_owner = os.getpid()
_one_shrinks = threading.Lock()


def _ask(
    limits: Sequence[float], function: Callable, arguments: tuple
) -> Iterator[tuple[bool, Any]]:
    """(is it a part?, part or answer), ..."""
    try:
        call = pickle.dumps(
            (function.__module__, function.__qualname__, arguments, limits[-1], patient(1.0))
        )
    except RecursionError:
        raise SearchFailed("the expression is nested too deeply to be sent to the search") from None
    if not CAN_FORK:
        yield from in_place.answers(call, limits)
        return
    try:
        child = _take()
    except (pipes.Gone, OSError) as reason:
        raise SearchFailed(
            f"the process that searches could not be started{f': {reason}' if str(reason) else ''}"
        ) from None
    answered = False
    try:
        for kind, *_, content in child.answers(call, limits):
            answered = kind != pipes.PART
            if kind == pipes.OUT_OF_TIME:
                raise OutOfTime
            if kind == pipes.DIED:
                raise pipes.Gone
            found = pickle.loads(content)
            if kind == pipes.FAILURE:
                raise SearchFailed(found[0]) from found[1]
            yield kind == pipes.PART, found
    except pipes.Gone:
        raise SearchFailed("the search process died, most likely out of memory") from None
    finally:
        _busy.discard(child)
        if answered and len(_idle) < MOST_IDLE:
            _idle.append((time.monotonic(), child))
            _shrink_later()
        else:  # out of time, Ctrl-C, an asker that looks away: whatever the child holds is lost
            child.end()


def _take() -> processes.Worker | relay.Relay:
    global _owner, _one_shrinks
    if _owner != os.getpid():  # after a fork, the children of the parent are not ours
        _owner, _one_shrinks = os.getpid(), threading.Lock()
        _idle.clear()
        _busy.clear()
    while True:
        try:
            _, child = _idle.pop()
        except IndexError:
            child = (
                processes.Worker()
                if processes.in_worker() or (_may_fork and _has_one_thread())
                else relay.Relay()
            )
        if child.alive():
            _busy.add(child)
            return child


def _shrink_later() -> None:
    """A thread ends those that have waited long, until none waits.

    Not in a process of one thread: it may be copied, and has one child at most.
    """
    if not _has_one_thread() and _one_shrinks.acquire(blocking=False):
        threading.Thread(target=_shrink, args=(_one_shrinks,), daemon=True).start()


def _shrink(alone: threading.Lock) -> None:
    while _idle:
        time.sleep(IDLE_SECONDS / 4)
        while _idle and _idle[0][0] < time.monotonic() - IDLE_SECONDS:
            with contextlib.suppress(IndexError):  # another thread took the last one just now
                _idle.pop(0)[1].end()
    alone.release()
    if _idle:  # one that came while this thread was ending
        _shrink_later()


def _has_one_thread() -> bool:
    """A lock that another thread holds would stay locked in a copy for ever.

    False where it can't be known.
    """
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


@atexit.register
def end_searches() -> None:
    """End every search and every process that waits for one, whichever thread asked."""
    for child in [*(child for _, child in _idle), *_busy]:
        child.end()
    _idle.clear()
