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
import gc
import importlib
import inspect
import mmap
import os
import pickle
import select
import signal
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from divergence_lab.theory.budget.processor_time import (
    OutOfTime,
    asked,
    clock,
    count,
    processor_seconds,
    show,
)

MEMORY_LIMIT_BYTES = 4 << 30
# How deep a question may recurse, from where it begins: whoever asks, and from however deep a call.
DEPTH_LIMIT = 1000
# How long the end of a relay is waited for; it ends as soon as its pipe closes.
RELAY_SECONDS = 5.0
# Python and SymPy must have started after this; it is not counted as search.
START_SECONDS = 600.0
# An asker looks this often at what its worker has used.
LOOK_SECONDS = 0.05
# A worker that uses less than so much of the processor for so long by the clock waits for something
# that never comes.
HUNG_USES, HUNG_SECONDS = 0.02, 30.0

PART, ANSWER, FAILURE, OUT_OF_TIME, DIED = b"P", b"A", b"F", b"T", b"D"
_FRAME = struct.Struct(
    "<cdIQ"
)  # kind, processor seconds used, searches ended for lack of time, length of what follows


class Gone(Exception):
    """The process at the other end of a pipe has ended."""


class _Meter:
    """What a worker uses for one question, and whether it works at all."""

    def __init__(self, worker: Worker) -> None:
        self.worker, self.asked_before, self.used = worker, asked.seconds, 0.0
        self.by_clock = processor_seconds(worker.pid) is None
        self.start = self._reading()
        self.moved_at, self.moved = time.monotonic(), 0.0

    def _reading(self) -> float:
        if self.by_clock:
            return time.monotonic()
        return (processor_seconds(self.worker.pid) or 0.0) + self.worker.asked[0]

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
            raise OutOfTime
        return limit - self.used

    def note(self, used: float) -> None:
        self.used = max(self.used, used)
        count(self.asked_before + self.used)


# --- pipes


def _write(pipe: int, kind: bytes, content: bytes, used: float = 0.0, cut: int = 0) -> None:
    data = memoryview(_FRAME.pack(kind, used, cut, len(content)) + content)
    while data:
        data = data[os.write(pipe, data) :]


def _read(
    pipe: int, left: Callable[[], float] | None = None, watched: int | None = None
) -> tuple[bytes, float, int, bytes]:
    """(kind, processor seconds, searches cut short, content).

    `left` tells the seconds left, or raises; `watched` is a pipe that turns readable only when the
    process behind it has ended.
    """
    kind, used, cut, size = _FRAME.unpack(_read_bytes(pipe, _FRAME.size, left, watched))
    return kind, used, cut, _read_bytes(pipe, size, left, watched)


def _read_bytes(
    pipe: int, count: int, left: Callable[[], float] | None, watched: int | None
) -> bytes:
    data = bytearray()
    while len(data) < count:
        # nothing is used faster than by the clock, save by several threads
        wait = None if left is None else min(LOOK_SECONDS, max(0.002, left()))
        ready = select.select([pipe] if watched is None else [pipe, watched], [], [], wait)[0]
        if not ready:
            continue
        chunk = os.read(pipe, min(count - len(data), 1 << 20)) if pipe in ready else b""
        if not chunk:
            raise Gone
        data += chunk
    return bytes(data)


# --- a worker, seen from its asker

_depth = 0  # how many askers stand above this process
_my_pipes: tuple[int, ...] = ()  # by which this process answers, if it does


def in_worker() -> bool:
    """Is this process one that answers questions?"""
    return _depth > 0


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
        meter, cut_before = _Meter(self), asked.cut
        try:
            _write(self.to_child, ANSWER, call)
        except OSError:
            raise Gone from None
        kind, number = PART, 0
        while kind == PART:
            limit = limits[min(number, len(limits) - 1)]
            kind, used, cut, content = _read(self.from_child, lambda: meter.left(limit), watched)
            meter.note(used)
            asked.cut = cut_before + cut
            if used > limit:  # it came between two looks: when they are made decides nothing
                raise OutOfTime
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
    global _depth, _my_pipes
    _end_with(worker.asker)
    if worker.leads_group:
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
    for pipe in _my_pipes:
        os.close(pipe)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    _depth, _my_pipes = _depth + 1, (question, answer)
    show(worker.asked)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    sys.setrecursionlimit(DEPTH_LIMIT + sum(1 for _ in traceback.walk_stack(None)))
    with contextlib.suppress(
        ImportError, ValueError, OSError
    ):  # no such limit on this platform: go without
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))


def _end_with(asker: int) -> None:
    """On Linux the end of the asker is the end of this process; elsewhere a timer of the
    processor is (see _serve).
    """
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != asker:  # it ended before
        os._exit(0)


def _serve(question: int, answer: int) -> None:
    """The worker's loop: read a question, answer it, until the pipe closes."""
    while True:
        try:
            module, name, arguments, seconds, asked.patience = pickle.loads(_read(question)[3])
        except Gone:
            return
        signal.setitimer(
            signal.ITIMER_PROF, 2 * seconds + 10
        )  # nobody ended it long ago: its asker must be gone
        started, cut_before = clock(), asked.cut
        try:
            function = importlib.import_module(module)
            for part in name.split("."):
                function = getattr(function, part)
            found = function(*arguments)
            if inspect.isgenerator(found):
                for part in found:
                    _write(
                        answer, PART, pickle.dumps(part), clock() - started, asked.cut - cut_before
                    )
                found = None
            last, content = ANSWER, pickle.dumps(found)
        except (
            Exception
        ) as error:  # every failure of a search is an answer: the caller decides what it means
            last, content = FAILURE, _failure(error)
        signal.setitimer(signal.ITIMER_PROF, 0)
        _write(answer, last, content, clock() - started, asked.cut - cut_before)


def _failure(error: Exception) -> bytes:
    text = f"{type(error).__name__}: {error}"[:500]
    with contextlib.suppress(
        Exception
    ):  # an error that can't be rebuilt elsewhere is told in words alone
        content = pickle.dumps((text, error))
        pickle.loads(content)
        return content
    return pickle.dumps((text, None))


# --- the relay


class Relay:
    """A process of its own that passes questions to a worker it forks, and ends that worker when
    its time is over.
    """

    def __init__(self) -> None:
        self.asker = os.getpid()
        # -P and full paths: the folder that the asker happens to stand in is none to import from
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-c",
                "from divergence_lab.theory.budget import processes; processes.relay()",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(_import_folders())},
        )
        try:
            given_up = time.monotonic() + START_SECONDS
            _read(self.process.stdout.fileno(), lambda: _before(given_up))
        except (
            BaseException
        ):  # Ctrl-C as well: no process is left behind, and whatever it was goes on up
            self.end()
            raise

    def alive(self) -> bool:
        """Can it be asked, by this process?"""
        return self.asker == os.getpid() and self.process.poll() is None

    def end(self) -> None:
        """Let it end its worker and itself; it does so as soon as its pipe closes."""
        if self.asker != os.getpid():
            return
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                stream.close()
        try:
            self.process.wait(RELAY_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def answers(
        self, call: bytes, limits: Sequence[float]
    ) -> Iterator[tuple[bytes, float, int, bytes]]:
        """As those of a worker; the relay counts the time, and outlives a worker that it had to
        end.
        """
        asked_before, cut_before = asked.seconds, asked.cut
        try:
            _write(self.process.stdin.fileno(), ANSWER, pickle.dumps((list(limits), call)))
        except OSError:
            raise Gone from None
        kind = PART
        while kind == PART:
            kind, used, cut, content = _read(self.process.stdout.fileno())
            count(asked_before + used)
            asked.cut = cut_before + cut
            yield kind, used, cut, content


def _import_folders() -> list[str]:
    """Where this process imports from, as full paths without the folder it stands in; this
    package is among them.
    """
    folders = [os.path.abspath(folder) for folder in sys.path if folder]
    home = str(Path(__file__).resolve().parents[3])
    return folders if home in folders else [home, *folders]


def _before(moment: float) -> float:
    left = moment - time.monotonic()
    if left <= 0:
        raise Gone
    return left


def relay() -> NoReturn:
    """The relay's loop, from standard input to standard output, until its asker is gone."""
    global _my_pipes
    import sympy  # noqa: F401  (paid here once, not within the first question's time)

    _my_pipes = (0, 1)
    _write(1, ANSWER, b"")
    worker = None
    while True:
        try:
            limits, call = pickle.loads(_read(0)[3])
        except Gone:
            if worker is not None:
                worker.end()
            os._exit(0)
        if worker is None or not worker.alive():
            _import_for(call)
            worker = Worker()
        asked_before = asked.seconds
        try:
            for kind, used, cut, content in worker.answers(call, limits, watched=0):
                _write(1, kind, content, used, cut)
        except OSError:  # the asker is gone: the next reading says so
            worker.end()
        except (OutOfTime, Gone) as reason:
            worker.end()
            with contextlib.suppress(OSError):
                _write(
                    1,
                    OUT_OF_TIME if isinstance(reason, OutOfTime) else DIED,
                    b"",
                    asked.seconds - asked_before,
                )


def _import_for(call: bytes) -> None:
    """Import what the question needs, so that every worker forked from here has it.

    Reading the call does that.
    """
    with contextlib.suppress(Exception):
        importlib.import_module(pickle.loads(call)[0])
    gc.collect()
    gc.freeze()  # shared with every worker: the collector need not touch it, and so copy it
