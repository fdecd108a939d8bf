"""Searches where no process can be forked, as in a browser: they run here, and an alarm ends them.

    within(5, sp.limit, ...)  ->  the alarm is set to 5 s; when it rings, `_Rung` is raised in the
    search, unwinds it, and becomes OutOfTime where the search began

Whoever runs this package says what the alarm is (`use_alarm`): a signal of the system, or the clock
of a browser, which Python looks at between two instructions. Without one, a search has no end but
its own. The alarm may ring anywhere, so it is no `Exception`: nothing in SymPy takes it for an
answer. What it stops in the midst may leave caches half filled; `processor_time.cut_short` tells
whoever wants to go on in a fresh interpreter.
"""

import functools
import importlib
import inspect
import itertools
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from divergence_lab.theory.budget.processor_time import OutOfTime, SearchFailed, clock

Answer = TypeVar("Answer")

# A search that looks away from the alarm hears it again after so many seconds.
AGAIN = 0.25


def _no_alarm(seconds: float) -> None:
    """Without an alarm a search ends by itself."""


# when each search under way has to end, the outermost first
_ends: list[float] = []
_set: Callable[[float], None] = _no_alarm


class _Rung(BaseException):
    """The time of a search that is under way is over."""


def use_alarm(set_alarm: Callable[[float], None]) -> None:
    """Say how an alarm is set: `set_alarm(seconds)` lets `ring` be called once they are over, in
    this thread and between two instructions; math.inf sets it off.
    """
    global _set
    _set = set_alarm


def ring(*_: object) -> None:
    """What an alarm calls, as a signal's handler."""
    if _ends and clock() >= min(_ends):
        _set(AGAIN)
        raise _Rung
    _set_next()


def under_way() -> bool:
    """Is this the answer to a question? Its asker ends it in time."""
    return bool(_ends)


def answers(call: bytes, limits: Sequence[float]) -> Iterator[tuple[bool, Any]]:
    """(is it a part?, part or answer), ... of a call as `asking` pickles it, part i within
    limits[i] seconds of the start.

    What comes back is a copy, as from a process: SymPy writes some copies otherwise (2*(t - 1) as
    2*t - 2), and both must give the same text. Raises OutOfTime and SearchFailed.
    """
    module, name, arguments, *_ = pickle.loads(call)
    home: Any = importlib.import_module(module)
    function = functools.reduce(getattr, name.split("."), home)
    used, found = _timed(limits[0], lambda: function(*arguments))
    if not inspect.isgenerator(found):
        yield False, _copied(found)
        return
    for number in itertools.count():
        limit = limits[min(number, len(limits) - 1)]
        seconds, part = _timed(limit - used, lambda: next(found, answers))
        if part is answers:  # there are no more
            yield False, None
            return
        used += seconds
        yield True, _copied(part)


def _copied(answer: Any) -> Any:
    try:
        return pickle.loads(pickle.dumps(answer))
    except Exception as error:  # as a worker says of an answer that cannot be sent
        raise _failed(error) from error


def _failed(error: Exception) -> SearchFailed:
    return SearchFailed(f"{type(error).__name__}: {error}"[:500])


def _timed(seconds: float, step: Callable[[], Answer]) -> tuple[float, Answer]:
    """Seconds that it took, and what it gave."""
    started = clock()
    ends = started + seconds
    try:
        _ends.append(ends)
        try:
            _set_next()
            answer = step()
        finally:
            _set(float("inf"))
    except _Rung:
        if clock() < ends:  # it rang for an asker further out
            raise
        raise OutOfTime from None
    except Exception as error:  # every failure of a search is an answer
        raise _failed(error) from error
    finally:
        _ends.remove(ends)
        _set_next()
    return clock() - started, answer


def _set_next() -> None:
    _set(max(0.0, min(_ends) - clock()) if _ends else float("inf"))
