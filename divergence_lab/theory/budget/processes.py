"""Processes that answer questions over pipes and can be ended: workers, and the relay that forks
them.

    asking process --> relay --> worker --> worker's worker ...

The relay is started as a program of its own, so an unguarded user script is not run again and
nothing of the user's (memory, open files, threads) is copied. It imports what a question needs and
forks a worker that answers; when one is killed, the next is there within milliseconds, its imports
done. A worker that has a question itself forks its own.

    used by a question  =  processor seconds of its worker  +  of all that this worker asks in turn

Limits are processor seconds, so that a busy machine answers later and not otherwise. Where the
system doesn't tell the processor time of another process (it does on Linux), an asker counts by the
clock.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import mmap
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from functools import partial

from divergence_lab.inputs import SEARCH_MEMORY
from divergence_lab.theory.budget import pipes, processor_time, programs

MEMORY_LIMIT_BYTES = SEARCH_MEMORY
# How deep a question may recurse, from where it begins: whoever asks, and from however deep a call.
DEPTH_LIMIT = 1000
# A worker that uses less than so much of the processor for so long by the clock waits for something
# that never comes.
HUNG_USES, HUNG_SECONDS = 0.02, 30.0


class _Meter:
    """What a worker uses for one question, and whether it works at all."""

    def __init__(self, worker: Worker) -> None:
        self.worker, self.asked_before, self.used = worker, processor_time.asked.seconds, 0.0
        self.by_clock = processor_time.processor_seconds(worker.pid) is None
        self.start = self._reading()
        self.moved_at, self.moved = time.monotonic(), 0.0

    def _reading(self) -> float:
        if self.by_clock:
            return time.monotonic()
        return (processor_time.processor_seconds(self.worker.pid) or 0.0) + self.worker.asked[0]

    def left(self, limit: float) -> float:
        """Processor seconds left of the limit.

        Raises OutOfTime when there are none, or when the worker hangs.
        """
        self.note(self._reading() - self.start)
        now = time.monotonic()
        if self.used > self.moved + HUNG_USES:
            self.moved_at, self.moved = now, self.used
        if self.used >= limit or now - self.moved_at > HUNG_SECONDS * (
            1 if in_worker() else 2
        ):  # the inner one gives up first
            raise processor_time.OutOfTime
        return limit - self.used

    def note(self, used: float) -> None:
        self.used = max(self.used, used)
        processor_time.count(self.asked_before + self.used)


# --- pipes


# --- a worker, seen from its asker

_depth = 0  # how many askers stand above this process
_my_pipes: tuple[int, ...] = ()  # by which this process answers, if it does


def in_worker() -> bool:
    """Is this process one that answers questions?"""
    return _depth > 0


def answer_through(question: int, answer: int) -> None:
    """This process answers by these pipes, and no worker that it forks keeps them."""
    global _my_pipes
    _my_pipes = (question, answer)


class Worker:
    """A fork of this process that answers questions.

    Its standard streams lead nowhere: nothing it prints is seen.
    """

    def __init__(self) -> None:
        self.asker = os.getpid()
        self.ending = (
            threading.RLock()
        )  # the thread that asked and one that ends all searches may both come to end it
        self.leads_group = (
            _depth == 0
        )  # its own workers join the group, so that all of them end together
        _take_standard_numbers()
        self.asked = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast(
            "d"
        )  # shared: what the worker has asked itself
        question, self.to_child = os.pipe()
        self.from_child, answer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self.to_child)
                os.close(self.from_child)
                _become_worker(question, answer, self)
                _serve(question, answer)
            finally:
                os._exit(0)  # not through the exit handlers of the process that was copied
        os.close(question)
        os.close(answer)
        if self.leads_group:
            with contextlib.suppress(OSError):  # the child does the same: whoever comes first
                os.setpgid(self.pid, self.pid)

    def alive(self) -> bool:
        """Can it be asked, by this process?"""
        if self.asker != os.getpid():  # a fork of the asker must not write to its parent's pipes
            return False
        with self.ending:
            if self.pid and os.waitpid(self.pid, os.WNOHANG)[0]:
                self._forget()
            return self.pid != 0

    def end(self) -> None:
        """Kill it and every process below it."""
        with self.ending:
            if self.alive():
                if self.leads_group:
                    with contextlib.suppress(OSError):
                        os.killpg(self.pid, signal.SIGKILL)
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                self._forget()

    def _forget(self) -> None:
        self.pid = 0
        os.close(self.to_child)
        os.close(self.from_child)

    def answers(
        self, call: bytes, limits: Sequence[float], watched: int | None = None
    ) -> Iterator[tuple[bytes, float, int, bytes]]:
        """(kind, seconds used, searches cut short, content) of part after part and of the answer;
        part i within limits[i] processor seconds of the start.

        Raises OutOfTime, and Gone when it (or the process behind `watched`) has died. Then end it.
        """
        meter, cut_before = _Meter(self), processor_time.asked.cut
        try:
            pipes.write_frame(self.to_child, pipes.ANSWER, call)
        except OSError:
            raise pipes.Gone from None
        kind, number = pipes.PART, 0
        while kind == pipes.PART:
            limit = limits[min(number, len(limits) - 1)]
            kind, used, cut, content = pipes.read_frame(
                self.from_child, partial(meter.left, limit), watched
            )
            meter.note(used)
            processor_time.asked.cut = cut_before + cut
            if used > limit:  # it came between two looks: when they are made decides nothing
                raise processor_time.OutOfTime
            number += 1
            yield kind, used, cut, content


def _take_standard_numbers() -> None:
    """Where a standard stream is closed its number would be given to the next pipe, which a
    worker then takes for that stream.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


# --- a worker, seen from within


def _become_worker(question: int, answer: int, worker: Worker) -> None:
    global _depth
    programs.end_with(worker.asker)
    if worker.leads_group:
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
    for pipe in _my_pipes:
        os.close(pipe)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    _depth += 1
    answer_through(question, answer)
    processor_time.show(worker.asked)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    sys.setrecursionlimit(DEPTH_LIMIT + sum(1 for _ in traceback.walk_stack(None)))
    with contextlib.suppress(
        ImportError, ValueError, OSError
    ):  # no such limit on this platform: go without
        import resource

        most = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, most))


def lift_memory_limit() -> None:
    """Torch with CUDA maps more than a search may take, before it has done anything."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        most = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _serve(question: int, answer: int) -> None:
    """The worker's loop: read a question, answer it, until the pipe closes."""
    while True:
        try:
            module, name, arguments, seconds, processor_time.asked.patience = pickle.loads(
                pipes.read_frame(question)[3]
            )
        except pipes.Gone:
            return
        signal.setitimer(
            signal.ITIMER_PROF, 2 * seconds + 10
        )  # nobody ended it long ago: its asker must be gone
        started, cut_before = processor_time.clock(), processor_time.asked.cut
        try:
            function = importlib.import_module(module)
            for part in name.split("."):
                function = getattr(function, part)
            found = function(*arguments)
            if inspect.isgenerator(found):
                for part in found:
                    pipes.write_frame(
                        answer,
                        pipes.PART,
                        pickle.dumps(part),
                        processor_time.clock() - started,
                        processor_time.asked.cut - cut_before,
                    )
                found = None
            last, content = pipes.ANSWER, pickle.dumps(found)
        except (
            Exception
        ) as error:  # every failure of a search is an answer: the caller decides what it means
            last, content = pipes.FAILURE, _failure(error)
        signal.setitimer(signal.ITIMER_PROF, 0)
        pipes.write_frame(
            answer,
            last,
            content,
            processor_time.clock() - started,
            processor_time.asked.cut - cut_before,
        )


def _failure(error: Exception) -> bytes:
    text = f"{type(error).__name__}: {error}"[:500]
    with contextlib.suppress(
        Exception
    ):  # an error that can't be rebuilt elsewhere is told in words alone
        content = pickle.dumps((text, error))
        pickle.loads(content)
        return content
    return pickle.dumps((text, None))
