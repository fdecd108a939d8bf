"""Searches where no process can be forked, as in a browser: they run in place, an alarm ends them,
and the answers are those of processes.
"""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# this machine's alarm in the place of a browser's
BEGIN = """
import json, math, signal
import pytest

from divergence_lab.theory.budget import asking, in_place
from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, clock, stream, within

def set_alarm(seconds):
    signal.setitimer(signal.ITIMER_REAL, 0 if seconds == math.inf else max(seconds, 1e-3))

asking.CAN_FORK = False
signal.signal(signal.SIGALRM, in_place.ring)
in_place.use_alarm(set_alarm)

def told(function, *arguments):
    try:
        return function(*arguments)
    except (OutOfTime, SearchFailed) as reason:
        return f"{type(reason).__name__} {reason}".strip()
"""


def printed(code):
    """What a program whose searches run in place prints."""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def in_place(code):
    """The same line by line, as JSON."""
    return [json.loads(line) for line in printed(code).splitlines()]


def test_a_search_that_never_ends_is_ended_and_what_asked_it_goes_on():
    ended, inner, outer, swallowing, failed, alone = in_place("""
        def for_ever():
            return sum(i for i in iter(int, 1))

        def asks_one_that_never_ends(seconds):
            return [told(within, seconds, for_ever), within(5, divmod, 7, 2)]

        def looks_away():
            while True:
                try:
                    for_ever()
                except Exception:
                    pass

        def say(answer):
            assert not in_place._ends and signal.getitimer(signal.ITIMER_REAL)[0] == 0
            print(json.dumps(answer))

        say(told(within, 0.1, for_ever))
        say(within(5, asks_one_that_never_ends, 0.1))
        say(told(within, 0.1, asks_one_that_never_ends, 5))  # the time of the outer one is over
        say(told(within, 0.1, looks_away))
        say(told(within, 5, int, "no number"))
        say(asking.bounded(0.5, in_place.under_way))
        """)
    assert ended == outer == swallowing == "OutOfTime"
    assert inner == ["OutOfTime", [3, 1]]
    assert failed == "SearchFailed ValueError: invalid literal for int() with base 10: 'no number'"
    assert alone is True


def test_parts_that_came_in_time_are_kept():
    parts, counted = in_place("""
        def parts(count):
            for number in range(count):
                yield number
            while True:
                pass

        found = []
        def listen():
            for part in stream([0.5, 0.2, 0.1], parts, 2):
                found.append(part)

        print(json.dumps([told(listen), found]))
        print(json.dumps(asking.cut_short()))
        """)
    assert parts == ["OutOfTime", [0, 1]] and counted == 1


@pytest.mark.slow
def test_answers_are_those_of_processes():
    code = """
        from divergence_lab.cli.main import main
        main(["derive", "log(cosh(x))", "a*(exp(x) - x - 1)", "2*(x**2/2)", "--json"])
        """
    here = json.loads(printed(code))
    there = json.loads(printed(f"asking.CAN_FORK = True\n{textwrap.dedent(code)}"))
    assert here == there and here[0]["generator"] and here[1]["validity"]["condition"] == "a > 0"
