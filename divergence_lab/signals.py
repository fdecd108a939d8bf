"""Ctrl-C and SIGTERM: the command ends with one line, whatever it is doing; what must be kept first
takes note of the signal and stops by itself.

Where this process is the command, `end` is there before the rest of this package is imported,
which is why this module imports next to nothing. It may end at once, without unwinding: files are
written whole or not at all, locks go with their process, and every process that we start ends when
its asker does.
"""

import atexit
import os
import sys
from _signal import (  # `signal` would import `enum`: a moment in which Ctrl-C prints a traceback
    SIG_IGN,
    SIGINT,
    SIGTERM,
    default_int_handler,
    getsignal,
    signal,
)
from collections.abc import Iterator
from contextlib import contextmanager

WORDS = {SIGINT: "interrupted", SIGTERM: "terminated"}


class Stopped(KeyboardInterrupt):
    """Ctrl-C or SIGTERM, raised when what was under way has been kept; the message says where.

    `number` is the signal's.
    """

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.number = number


def end(number: int, frame: object = None) -> None:
    """One line on standard error, and the end of this process: exit code 130 or 143."""
    line = f"divergence-lab: {WORDS[number]}\n"
    try:
        # a progress bar, or the ^C of the terminal, stands on the line
        os.write(2, ("\n" * os.isatty(2) + line).encode())
    finally:
        os._exit(128 + number)


def end_at_signals() -> None:
    """From here on `end` is what the signals do, except one that is ignored (as under nohup)."""
    for number in WORDS:
        if getsignal(number) != SIG_IGN:
            signal(number, end)
    atexit.register(_ignore_signals)


def _ignore_signals() -> None:
    """All is done, and Python takes itself apart: what came now would end it without a word."""
    for number in WORDS:
        signal(number, SIG_IGN)


@contextmanager
def noted() -> Iterator[list[int]]:
    """Signals that come within are put into the list that is handed out, and do nothing else; the
    second one does what it always does.

    Only what `end` or Python itself would have answered is noted, and only in the main thread.
    """
    came, before = [], {}

    def give_back() -> None:
        for number, handler in before.items():
            signal(number, handler)

    def note(number: int, frame: object) -> None:
        came.append(number)
        give_back()

    try:
        for number in WORDS:
            if (handler := getsignal(number)) in (end, default_int_handler):
                signal(number, note)
                before[number] = handler
    except ValueError:  # another thread than the main one: no signal comes here
        pass
    try:
        yield came
    finally:
        give_back()


def _is_the_command() -> bool:
    """Was Python told to run this package, and not a program that imports it?"""
    begun = (sys.argv or [""])[0].replace("\\", "/").split("/")[-1]
    if begun == "-m":  # it stands there while Python looks for what it was told to run
        return any(word.split(".")[0] == "divergence_lab" for word in sys.orig_argv)
    return begun.removesuffix(".exe") == "divergence-lab"


if _is_the_command():
    end_at_signals()
