"""The clock of every budget: processor seconds of a thread and of all that it asks, wherever that
is computed.

    clock()  =  processor seconds of this thread  +  of the workers that it asked, and of those that
    they asked

What a busy machine slows down is the other clock, that on the wall; budgets never look at it.
"""

import sys
import threading
import time

USUAL_BUDGET = 20.0


class _Asked(threading.local):
    """Of all questions that this thread has asked: processor seconds, and how many searches were
    ended for lack of time. `patience`: by what factor searches of a fixed limit may take longer,
    at the budget that is given.
    """

    seconds = 0.0
    cut = 0
    patience = 1.0


asked = _Asked()
# a browser tells no time but the clock's
_own_seconds = getattr(time, "thread_time", time.perf_counter)
_shown: memoryview | None = None  # where a worker shows its asker what it has asked


class OutOfTime(Exception):
    """The question used more of the processor than its budget; the process that held it is gone.

    >>> from divergence_lab.theory.budget import within
    >>> import time
    >>> try:
    ...     within(0.1, sum, range(10**10))
    ... except OutOfTime:
    ...     print("ended")
    ended
    """

    def __init__(self, *reasons: object) -> None:
        super().__init__(*reasons)
        asked.cut += 1


class SearchFailed(Exception):
    """The search raised (`__cause__` is what it raised, where that could be sent) or its process
    died.

        >>> from divergence_lab.theory.budget import within
        >>> try:
        ...     within(5, int, "no number")
        ... except SearchFailed as failure:
        ...     print(failure)
        ValueError: invalid literal for int() with base 10: 'no number'
    """


def clock() -> float:
    """Processor seconds of this thread and of all that it asked: the clock of every budget."""
    return _own_seconds() + asked.seconds


def left_until(deadline: float) -> float:
    """Seconds left; raises OutOfTime when there are none."""
    left = deadline - clock()
    if left <= 0:
        raise OutOfTime
    return left


def cut_short() -> int:
    """How many searches of this thread, and of what they asked, were ended for lack of time so
    far.
    """
    return asked.cut


def patient(seconds: float) -> float:
    """A limit that is right for the usual budget, at the one that is given: whoever raises it
    waits longer for each search.
    """
    return seconds * asked.patience


def be_patient(budget: float) -> None:
    """From now on limits are those of this budget."""
    asked.patience = max(1.0, budget / USUAL_BUDGET)


def show(place: memoryview) -> None:
    """This process is a worker from here on: it has asked nothing yet, and shows its asker there
    what it asks.
    """
    global _shown
    _shown = place
    asked.cut = 0
    count(0.0)


def count(seconds: float) -> None:
    """What this thread has asked so far took so long."""
    asked.seconds = seconds
    if _shown is not None:
        _shown[0] = seconds


def processor_seconds(pid: int) -> float | None:
    """Of another process, without those below it; None where the system doesn't tell or it has
    ended.
    """
    if not sys.platform.startswith("linux"):
        return None
    try:
        return time.clock_gettime(~pid << 3 | 2)  # the clock of process pid: clock_getcpuclockid(3)
    except OSError:
        return None
