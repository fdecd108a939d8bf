"""Every question ends with its budget of processor time, with an answer, and with no process
left behind.
"""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from divergence_lab.theory.budget import asking as budget
from divergence_lab.theory.budget import processes, programs
from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, clock, stream, within
from divergence_lab.theory.expressions.syntax import ExpressionError

ROOT = Path(__file__).resolve().parents[1]
VERDICTS = (
    "validity",
    "convex",
    "zero_forcing",
    "zero_avoiding",
    "symmetric",
    "even",
    "bounded_gradient",
)
# Processor seconds for starting Python, importing SymPy and writing the answer: several times what
# is needed. What has no end uses up any of it, so the size of these bounds decides nothing.
ALLOWANCE = 20.0


# --- questions for the worker: module-level, as `within` asks
# ----------------------------------------------------


def add(a, b):
    return a + b


def process_id():
    return os.getpid()


def sleep_for_ever():
    while True:
        time.sleep(1)


def calculate_for_ever(path=None):
    if path:
        Path(path).write_text(str(os.getpid()))
    return sum(i for i in iter(int, 1))


def calculate(seconds, path=None):
    """Uses so many processor seconds; a file says when it has begun."""
    if path:
        Path(path).write_text(str(os.getpid()))
    started = time.process_time()
    while time.process_time() - started < seconds:
        pass
    return seconds


def ask_one_that_never_ends(path):
    started = clock()
    try:
        within(0.3, calculate_for_ever, path)
    except OutOfTime:
        return within(5, add, 20, 22), clock() - started


def wait_on_one_that_never_ends(path):
    within(60, calculate_for_ever, path)


def ask_twice(seconds):
    return [within(60, calculate, seconds) for _ in range(2)]


def refuse():
    raise ExpressionError("not like this")


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def how_deep(calls=0):
    try:
        return how_deep(calls + 1)
    except RecursionError:
        return calls


def ask_from(depth):
    return ask_from(depth - 1) if depth else within(20, how_deep)


def fill_the_memory():
    return len(bytearray(1 << 40))


def print_a_lot():
    print("noise" * 100_000, flush=True)
    return sys.stdin.read()


def count_slowly(until, seconds):
    for i in range(until):
        calculate(seconds)
        yield i


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone_within(seconds: float, pid: int) -> bool:
    deadline = time.monotonic() + seconds
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not is_running(pid)


# --- processes


def test_a_question_is_answered_elsewhere_and_its_process_kept_warm():
    assert within(20, add, 1, 2) == 3
    assert within(20, process_id) == within(20, process_id) != os.getpid()


def test_out_of_time_means_ended():
    pid = within(20, process_id)
    started = clock()
    with pytest.raises(OutOfTime):
        within(0.3, calculate_for_ever)
    assert 0.3 <= clock() - started < 0.3 + ALLOWANCE
    assert gone_within(20, pid)
    assert within(20, add, 1, 2) == 3


def test_a_worker_may_ask_and_end_its_own(tmp_path):
    answer, used = within(20, ask_one_that_never_ends, tmp_path / "pid")
    assert answer == 42 and used >= 0.3
    assert gone_within(20, int((tmp_path / "pid").read_text()))


# --- processor time


def test_a_search_that_the_machine_holds_up_gives_its_answer_afterwards(tmp_path):
    """Stopped for longer by the clock than its budget is, as on a machine that is busy with
    other things.
    """
    found = []
    thread = threading.Thread(
        target=lambda: found.append(within(1.5, calculate, 0.3, tmp_path / "pid"))
    )
    thread.start()
    while not (tmp_path / "pid").exists() or not (pid := (tmp_path / "pid").read_text()):
        time.sleep(0.005)
    os.kill(int(pid), signal.SIGSTOP)
    time.sleep(3.0)
    os.kill(int(pid), signal.SIGCONT)
    thread.join()
    assert found == [0.3]


def test_what_a_search_asks_counts_as_its_own():
    started = clock()
    assert within(60, ask_twice, 0.2) == [0.2, 0.2]
    assert 0.4 <= clock() - started < 0.4 + ALLOWANCE
    with pytest.raises(OutOfTime):
        within(1.0, ask_twice, 0.8)


def test_sleeping_is_free_and_threads_count_apart():
    started = clock()
    with pytest.raises(OutOfTime):
        within(0.2, calculate_for_ever)
    mine, theirs = clock() - started, []
    thread = threading.Thread(
        target=lambda: theirs.append((clock(), within(20, calculate, 0.5), clock()))
    )
    thread.start()
    thread.join()
    ((before, _, after),) = theirs
    assert before < 0.2 <= mine and after - before >= 0.5
    assert clock() - started < 0.5, "what another thread asked is not counted here"


def test_an_answer_that_came_too_late_is_none_whenever_it_is_looked_at():
    """The asker was asleep when the limit passed: as if it had not been."""
    asked = subprocess.run(
        [
            sys.executable,
            "-c",
            textwrap.dedent("""
        from divergence_lab.theory.budget import pipes, processes
        from divergence_lab.theory.budget.asking import OutOfTime, allow_fork, within
        from tests.test_budget import calculate
        allow_fork()
        # it never looks
        pipes.LOOK_SECONDS, processes._Meter.left = 5.0, lambda meter, limit: 5.0
        try:
            within(0.1, calculate, 0.4)
        except OutOfTime:
            print("too late")
        print(within(1.0, calculate, 0.4))
    """),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=300,
    )
    assert asked.stdout.split("\n")[:2] == ["too late", "0.4"], asked.stderr


def test_a_search_that_waits_for_nothing_is_ended():
    """It uses no processor time, so no budget of it would ever be over."""
    asked = subprocess.run(
        [
            sys.executable,
            "-c",
            textwrap.dedent("""
        from divergence_lab.theory.budget import processes, programs
        from divergence_lab.theory.budget.asking import OutOfTime, allow_fork, within
        from tests.test_budget import sleep_for_ever
        allow_fork()
        processes.HUNG_SECONDS = 0.5
        try:
            within(5.0, sleep_for_ever)
        except OutOfTime:
            print("ended")
    """),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=300,
    )
    assert asked.stdout.split() == ["ended"], asked.stderr


def test_how_deep_a_search_may_recurse_depends_on_no_asker():
    """Else two losses in one command, asked from threads, could be answered otherwise than each
    alone.
    """
    depths = within(20, how_deep), ask_from(150), within(20, ask_from, 5), within(20, ask_from, 300)
    assert (
        min(depths) > 900 and max(depths) - min(depths) < 5
    )  # a generator between them counts as one


# --- processes that end, and those that don't


def test_ending_a_worker_ends_those_below_it(tmp_path):
    with pytest.raises(OutOfTime):
        within(1.0, wait_on_one_that_never_ends, tmp_path / "pid")
    assert gone_within(20, int((tmp_path / "pid").read_text()))


def test_what_a_search_raises_is_told_and_kept():
    with pytest.raises(SearchFailed, match="not like this") as caught:
        within(20, refuse)
    assert isinstance(caught.value.__cause__, ExpressionError)


@pytest.mark.parametrize("question, why", [(die, "died"), (fill_the_memory, "MemoryError")])
def test_a_process_that_breaks_is_a_failed_search(question, why):
    with pytest.raises(SearchFailed, match=why):
        within(20, question)
    assert within(20, add, 1, 2) == 3


def test_printing_does_not_break_the_protocol():
    assert within(20, print_a_lot) == ""


def test_parts_that_came_in_time_are_kept():
    assert list(stream([20, 20, 20], count_slowly, 3, 0.01)) == [0, 1, 2]
    kept = []
    with pytest.raises(OutOfTime):
        for part in stream([5, 5, 1.2], count_slowly, 9, 0.45):
            kept.append(part)
    assert kept == [0, 1]


def test_an_asker_that_looks_away_leaves_no_half_read_answer():
    for part in stream([20], count_slowly, 5, 0.01):
        assert part == 0
        break
    assert within(20, add, 1, 2) == 3


def test_threads_take_turns():
    found = []
    threads = [
        threading.Thread(target=lambda i=i: found.append(within(20, add, i, i))) for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [2 * i for i in range(8)]


def test_what_waits_for_no_question_is_ended(monkeypatch):
    monkeypatch.setattr(budget, "IDLE_SECONDS", 1.0)
    monkeypatch.setattr(budget, "_idle", [])
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert within(20, add, 1, 2) == 3
        ((_, child),) = budget._idle
        deadline = time.monotonic() + 60
        while child.alive() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not child.alive() and budget._idle == [] and within(20, add, 1, 2) == 3
    finally:
        stop.set()
        thread.join()


def test_a_process_with_threads_is_never_copied():
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert not budget._has_one_thread()
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("way", ["", "budget.allow_fork()"])
def test_nothing_outlives_an_asker_that_was_killed(tmp_path, way, nested):
    """Not the worker, nor what it asks, nor what would use the processor for an hour."""
    script, called = tmp_path / "asks.py", "calculate_for_ever"
    if nested:
        called = "wait_on_one_that_never_ends"
    script.write_text(
        textwrap.dedent(f"""
        from divergence_lab.theory.budget import asking as budget
        from tests.test_budget import calculate_for_ever, wait_on_one_that_never_ends
        {way}
        budget.within(3600.0, {called}, {str(tmp_path / "pid")!r})
    """)
    )
    asker = subprocess.Popen([sys.executable, script], env={**os.environ, "PYTHONPATH": str(ROOT)})
    deadline = time.monotonic() + 300
    while (
        not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
        and time.monotonic() < deadline
    ):
        time.sleep(0.05)
    worker = int((tmp_path / "pid").read_text())
    assert is_running(worker)
    asker.kill()
    asker.wait()
    assert gone_within(60, worker)


@pytest.mark.parametrize(
    "name", ["divergence_lab", "sympy", "pickle", "random", "gmpy2", "sitecustomize"]
)
def test_modules_of_the_folder_that_one_stands_in_are_not_run(tmp_path, name):
    """The script lies elsewhere, so its folder is where Python imports from, and not the working
    folder.
    """
    (tmp_path / f"{name}.py").write_text(
        f"open({str(tmp_path / 'was_run')!r}, 'w').close()\nraise SystemExit('stray module')\n"
    )
    home = tmp_path / "elsewhere"
    home.mkdir()
    (home / "script.py").write_text(
        "from divergence_lab.theory.budget.asking import within\nimport operator\n"
        "print(within(60, operator.add, 1, 2))\n"
    )
    done = subprocess.run(
        [sys.executable, home / "script.py"],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.stdout, (tmp_path / "was_run").exists()) == ("3\n", False), done.stderr


def test_a_program_of_ours_finds_the_package_and_never_what_lies_about(tmp_path, monkeypatch):
    """Relative and empty entries of PYTHONPATH are the folder that one stands in, too."""
    for name in ("random", "divergence_lab", "torch", "numpy", "gmpy2", "filelock"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('stray module')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{os.pathsep}.{os.pathsep}{os.pathsep}{ROOT / 'tests'}")
    monkeypatch.syspath_prepend("")
    words = programs.command("divergence_lab.training.sweeps.working", "work_on_file", *"abc")
    done = subprocess.run(words, env=programs.environment(), capture_output=True, text=True)
    assert "No such file" in done.stderr and "stray" not in done.stderr, done.stderr


def test_a_search_that_cannot_be_started_is_said_in_words(monkeypatch):
    monkeypatch.setattr(budget, "_idle", [])
    monkeypatch.setattr(processes.sys, "executable", "/bin/false")
    with pytest.raises(SearchFailed, match="could not be started"):
        within(5, add, 1, 2)


def test_a_user_script_is_not_run_again(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "print('once')\nfrom divergence_lab.theory.divergence.loss import loss\n"
        "from divergence_lab.theory.answers.derivation import "
        "derive\nprint(derive(loss('x**2/2')).divergence.name)\n"
    )
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.split("\n")[:2] == ["once", "reverse KL"], done.stderr


def test_several_threads_may_end_one_worker():
    """As when one loss of several is refused: its thread and the one that ends all searches come
    together.
    """
    failures = []

    def end(worker, together):
        together.wait()
        try:
            worker.end()
        except Exception as error:  # whatever a thread raises is what is tested
            failures.append(error)

    for _ in range(20):
        worker, together = processes.Worker(), threading.Barrier(4)
        threads = [threading.Thread(target=end, args=(worker, together)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not worker.alive()
    assert failures == []
