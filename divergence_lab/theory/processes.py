"""Processes that answer questions over pipes and can be ended: workers, and the relay that forks them.

    asking process --> relay --> worker --> worker's worker ...

The relay is started as a program of its own, so an unguarded user script is not run again and nothing of the user's
(memory, open files, threads) is copied. It imports what a question needs and forks a worker that answers; when one is
killed, the next is there within milliseconds, its imports done. A worker that has a question itself forks its own.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import inspect
import os
import pickle
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NoReturn

MEMORY_LIMIT_BYTES = 4 << 30
# The relay answers on time; its asker waits this much longer before it gives the relay up as well.
RELAY_SECONDS = 1.0
# A worker that nobody ended (its asker was killed) ends itself this long after its time.
ORPHAN_SECONDS = 1.0
# Python and SymPy must have started after this; it is not counted as search.
START_SECONDS = 120.0

PART, ANSWER, FAILURE, OUT_OF_TIME, DIED = b"P", b"A", b"F", b"T", b"D"
_FRAME = struct.Struct("<cQ")  # kind, length of what follows


class OutOfTime(Exception):
    """The question took longer than its budget; the process that held it is gone."""


class Gone(Exception):
    """The process at the other end of a pipe has ended."""


# --- pipes ---------------------------------------------------------------------------------------------------

def _write(pipe: int, kind: bytes, content: bytes) -> None:
    data = memoryview(_FRAME.pack(kind, len(content)) + content)
    while data:
        data = data[os.write(pipe, data):]


def _read(pipe: int, deadline: float | None = None, watched: int | None = None) -> tuple[bytes, bytes]:
    """(kind, content). `watched` is a pipe that turns readable only when the process behind it has ended."""
    kind, size = _FRAME.unpack(_read_bytes(pipe, _FRAME.size, deadline, watched))
    return kind, _read_bytes(pipe, size, deadline, watched)


def _read_bytes(pipe: int, count: int, deadline: float | None, watched: int | None) -> bytes:
    data = bytearray()
    while len(data) < count:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready = select.select([pipe] if watched is None else [pipe, watched], [], [], left)[0]
        if not ready:
            raise OutOfTime
        chunk = os.read(pipe, min(count - len(data), 1 << 20)) if pipe in ready else b""
        if not chunk:
            raise Gone
        data += chunk
    return bytes(data)


# --- a worker, seen from its asker ---------------------------------------------------------------------------

_depth = 0  # how many askers stand above this process
_my_pipes: tuple[int, ...] = ()  # by which this process answers, if it does


def in_worker() -> bool:
    """Is this process one that answers questions?"""
    return _depth > 0


class Worker:
    """A fork of this process that answers questions. Its standard streams lead nowhere: nothing it prints is seen."""

    def __init__(self) -> None:
        self.asker = os.getpid()
        self.leads_group = _depth == 0  # its own workers join the group, so that all of them end together
        question, self.to_child = os.pipe()
        self.from_child, answer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self.to_child)
                os.close(self.from_child)
                _become_worker(question, answer, self.leads_group)
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
        if self.pid == 0 or self.asker != os.getpid():  # a fork of the asker must not write to its parent's pipes
            return False
        if os.waitpid(self.pid, os.WNOHANG)[0]:
            self._forget()
        return self.pid != 0

    def end(self) -> None:
        """Kill it and every process below it."""
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

    def answers(self, call: bytes, limits: Sequence[float], watched: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """(kind, content) of part after part and of the answer; part i within limits[i] seconds of the start.

        Raises OutOfTime, and Gone when it (or the process behind `watched`) has died. Then end it.
        """
        started = time.monotonic()
        try:
            _write(self.to_child, ANSWER, call)
        except OSError:
            raise Gone from None
        kind, number = PART, 0
        while kind == PART:
            kind, content = _read(self.from_child, started + limits[min(number, len(limits) - 1)], watched)
            number += 1
            yield kind, content


# --- a worker, seen from within ------------------------------------------------------------------------------

def _become_worker(question: int, answer: int, leads_group: bool) -> None:
    global _depth, _my_pipes
    if leads_group:
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
    for pipe in _my_pipes:
        os.close(pipe)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    _depth, _my_pipes = _depth + 1, (question, answer)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    with contextlib.suppress(ImportError, ValueError, OSError):  # no such limit on this platform: go without
        import resource
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))


def _serve(question: int, answer: int) -> None:
    """The worker's loop: read a question, answer it, until the pipe closes."""
    while True:
        try:
            module, name, arguments, seconds = pickle.loads(_read(question)[1])
        except Gone:
            return
        signal.setitimer(signal.ITIMER_REAL, seconds + ORPHAN_SECONDS)
        try:
            function = importlib.import_module(module)
            for part in name.split("."):
                function = getattr(function, part)
            found = function(*arguments)
            if inspect.isgenerator(found):
                for part in found:
                    _write(answer, PART, pickle.dumps(part))
                found = None
            last, content = ANSWER, pickle.dumps(found)
        except Exception as error:  # every failure of a search is an answer: the caller decides what it means
            last, content = FAILURE, _failure(error)
        signal.setitimer(signal.ITIMER_REAL, 0)
        _write(answer, last, content)


def _failure(error: Exception) -> bytes:
    text = f"{type(error).__name__}: {error}"[:500]
    with contextlib.suppress(Exception):  # an error that can't be rebuilt elsewhere is told in words alone
        content = pickle.dumps((text, error))
        pickle.loads(content)
        return content
    return pickle.dumps((text, None))


# --- the relay -----------------------------------------------------------------------------------------------

class Relay:
    """A process of its own that passes questions to a worker it forks, and ends that worker when its time is over."""

    def __init__(self) -> None:
        self.asker = os.getpid()
        self.process = subprocess.Popen([sys.executable, "-c", "from divergence_lab.theory import processes; processes.relay()"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        bufsize=0, start_new_session=True,
                                        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
        try:
            _read(self.process.stdout.fileno(), time.monotonic() + START_SECONDS)
        except BaseException:
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

    def answers(self, call: bytes, limits: Sequence[float]) -> Iterator[tuple[bytes, bytes]]:
        """As those of a worker; the relay outlives a worker that it had to end."""
        started = time.monotonic()
        try:
            _write(self.process.stdin.fileno(), ANSWER, pickle.dumps((list(limits), call)))
        except OSError:
            raise Gone from None
        kind, number = PART, 0
        while kind == PART:
            deadline = started + limits[min(number, len(limits) - 1)] + RELAY_SECONDS
            kind, content = _read(self.process.stdout.fileno(), deadline)
            number += 1
            yield kind, content


def relay() -> NoReturn:
    """The relay's loop, from standard input to standard output, until its asker is gone."""
    global _my_pipes
    import sympy  # noqa: F401  (paid here once, not within the first question's time)
    _my_pipes = (0, 1)
    _write(1, ANSWER, b"")
    worker = None
    while True:
        try:
            limits, call = pickle.loads(_read(0)[1])
        except Gone:
            if worker is not None:
                worker.end()
            os._exit(0)
        if worker is None or not worker.alive():
            _import_for(call)
            worker = Worker()
        try:
            for kind, content in worker.answers(call, limits, watched=0):
                _write(1, kind, content)
        except OSError:  # the asker is gone: the next reading says so
            worker.end()
        except (OutOfTime, Gone) as reason:
            worker.end()
            with contextlib.suppress(OSError):
                _write(1, OUT_OF_TIME if isinstance(reason, OutOfTime) else DIED, b"")


def _import_for(call: bytes) -> None:
    """Import what the question needs, so that every worker forked from here has it. Reading the call does that."""
    with contextlib.suppress(Exception):
        importlib.import_module(pickle.loads(call)[0])
    gc.collect()
    gc.freeze()  # shared with every worker: the collector need not touch it, and so copy it
