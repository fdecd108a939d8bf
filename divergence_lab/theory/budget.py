"""A time limit that truly ends a search: the search runs in a child process, which is killed when its time is over.

SymPy's `integrate`, `limit` and `simplify` may run for ever. Threads and alarms can't stop them safely, so questions
are sent to one worker process that imports this package and nothing of the user's program (it is started as
`python -m divergence_lab.theory.budget`, so an unguarded user script is not run again).
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import pickle
import select
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

MEMORY_LIMIT_BYTES = 4 << 30


class OutOfTime(Exception):
    """The question took longer than its budget; the worker that held it is gone."""


class SearchFailed(Exception):
    """The search raised; the message is its own."""


class _Worker:
    def __init__(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-m", "divergence_lab.theory.budget"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        bufsize=0, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})

    def ask(self, message: bytes, deadline: float) -> bytes:
        self.process.stdin.write(struct.pack("<Q", len(message)) + message)
        size = struct.unpack("<Q", self.read(8, deadline))[0]
        return self.read(size, deadline)

    def read(self, count: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < count:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise OutOfTime
            chunk = os.read(self.process.stdout.fileno(), count - len(data))
            if not chunk:
                raise SearchFailed("the search process died, most likely out of memory")
            data += chunk
        return bytes(data)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                stream.close()


_worker: _Worker | None = None
_lock = threading.Lock()


def within(seconds: float, function: Callable[..., Any], *arguments: Any) -> Any:
    """`function(*arguments)`, computed in the worker; raises OutOfTime after `seconds`, SearchFailed if it raised.

    `function` must be a module-level function; arguments and answer must pickle.
    """
    global _worker
    message = pickle.dumps((function.__module__, function.__qualname__, arguments))
    with _lock:
        if _worker is None or _worker.process.poll() is not None:
            _worker = _Worker()
            _worker.ask(pickle.dumps(("builtins", "int", ())), time.monotonic() + 120)  # its imports are not counted
        try:
            ok, answer = pickle.loads(_worker.ask(message, time.monotonic() + seconds))
        except BaseException:  # whatever broke the exchange (a timeout, Ctrl-C), the worker's state is lost with it
            _worker.end()
            _worker = None
            raise
    if ok:
        return answer
    raise SearchFailed(answer)


@atexit.register
def _end_worker() -> None:
    if _worker is not None:
        _worker.end()


def _serve() -> None:
    """The worker's loop: read a question, answer it, until the pipe closes."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # no such limit on this platform: go without
        import resource
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # a stray print of the search must not break the protocol
    import sympy  # noqa: F401  (paid here once, not within the first question's budget)
    while header := source.read(8):
        module, name, arguments = pickle.loads(source.read(struct.unpack("<Q", header)[0]))
        try:
            function = importlib.import_module(module)
            for part in name.split("."):
                function = getattr(function, part)
            answer = pickle.dumps((True, function(*arguments)))
        except Exception as error:  # every failure of a search is an answer: the caller decides what it means
            answer = pickle.dumps((False, f"{type(error).__name__}: {error}"[:500]))
        sink.write(struct.pack("<Q", len(answer)) + answer)
        sink.flush()


if __name__ == "__main__":
    _serve()
