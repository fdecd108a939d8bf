"""The relay: a program of its own that forks a worker for each question and ends it in time."""

import contextlib
import gc
import importlib
import os
import pickle
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import NoReturn

from divergence_lab.theory.budget import pipes, processes, processor_time, programs

# How long the end of a relay is waited for; it ends as soon as its pipe closes.
RELAY_SECONDS = 5.0
# Python and SymPy must have started after this; it is not counted as search.
START_SECONDS = 600.0


class Relay:
    """A process of its own that passes questions to a worker it forks, and ends that worker when
    its time is over.
    """

    def __init__(self) -> None:
        self.asker = os.getpid()
        self.process = subprocess.Popen(
            programs.command(__name__, "relay"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
            env=programs.environment(),
        )
        try:
            given_up = time.monotonic() + START_SECONDS
            pipes.read_frame(self.process.stdout.fileno(), lambda: _before(given_up))
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
        asked_before, cut_before = processor_time.asked.seconds, processor_time.asked.cut
        try:
            pipes.write_frame(
                self.process.stdin.fileno(), pipes.ANSWER, pickle.dumps((list(limits), call))
            )
        except OSError:
            raise pipes.Gone from None
        kind = pipes.PART
        while kind == pipes.PART:
            kind, used, cut, content = pipes.read_frame(self.process.stdout.fileno())
            processor_time.count(asked_before + used)
            processor_time.asked.cut = cut_before + cut
            yield kind, used, cut, content


def _before(moment: float) -> float:
    left = moment - time.monotonic()
    if left <= 0:
        raise pipes.Gone
    return left


def relay() -> NoReturn:
    """The relay's loop, from standard input to standard output, until its asker is gone."""
    import sympy  # noqa: F401  (paid here once, not within the first question's time)

    processes.answer_through(0, 1)
    pipes.write_frame(1, pipes.ANSWER, b"")
    worker = None
    while True:
        try:
            limits, call = pickle.loads(pipes.read_frame(0)[3])
        except pipes.Gone:
            if worker is not None:
                worker.end()
            os._exit(0)
        if worker is None or not worker.alive():
            _import_for(call)
            worker = processes.Worker()
        asked_before = processor_time.asked.seconds
        try:
            for kind, used, cut, content in worker.answers(call, limits, watched=0):
                pipes.write_frame(1, kind, content, used, cut)
        except OSError:  # the asker is gone: the next reading says so
            worker.end()
        except (processor_time.OutOfTime, pipes.Gone) as reason:
            worker.end()
            with contextlib.suppress(OSError):
                pipes.write_frame(
                    1,
                    pipes.OUT_OF_TIME
                    if isinstance(reason, processor_time.OutOfTime)
                    else pipes.DIED,
                    b"",
                    processor_time.asked.seconds - asked_before,
                )


def _import_for(call: bytes) -> None:
    """Import what the question needs, so that every worker forked from here has it.

    Reading the call does that.
    """
    with contextlib.suppress(Exception):
        importlib.import_module(pickle.loads(call)[0])
    gc.collect()
    gc.freeze()  # shared with every worker: the collector need not touch it, and so copy it
