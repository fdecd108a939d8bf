"""Every question ends with its budget of processor time, with an answer, and with no process left behind."""

import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
import sympy as sp

from divergence_lab.theory import budget, processes
from divergence_lab.theory.budget import OutOfTime, SearchFailed, clock, stream, within
from divergence_lab.theory.derivation import STAGES, assemble, derive, to_json
from divergence_lab.theory.divergence import Divergence
from divergence_lab.theory.expressions import ExpressionError
from divergence_lab.theory.loss import loss
from divergence_lab.theory.questions import Unfinished, check_all, invert_text, read
from divergence_lab.theory.verdict import KINDS

ROOT = Path(__file__).resolve().parents[1]
VERDICTS = ("validity", "convex", "zero_forcing", "zero_avoiding", "symmetric", "even", "bounded_gradient")
# Processor seconds for starting Python, importing SymPy and writing the answer: several times what is needed. What has no
# end uses up any of it, so the size of these bounds decides nothing.
ALLOWANCE = 20.0


# --- questions for the worker: module-level, as `within` asks ----------------------------------------------------

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


# --- processes -------------------------------------------------------------------------------------------------

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


# --- processor time ----------------------------------------------------------------------------------------------

def test_a_search_that_the_machine_holds_up_gives_its_answer_afterwards(tmp_path):
    """Stopped for longer by the clock than its budget is, as on a machine that is busy with other things."""
    found = []
    thread = threading.Thread(target=lambda: found.append(within(1.5, calculate, 0.3, tmp_path / "pid")))
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
    thread = threading.Thread(target=lambda: theirs.append((clock(), within(20, calculate, 0.5), clock())))
    thread.start()
    thread.join()
    (before, _, after), = theirs
    assert before < 0.2 <= mine and after - before >= 0.5
    assert clock() - started < 0.5, "what another thread asked is not counted here"


def test_an_answer_that_came_too_late_is_none_whenever_it_is_looked_at():
    """The asker was asleep when the limit passed: as if it had not been."""
    asked = subprocess.run([sys.executable, "-c", textwrap.dedent("""
        from divergence_lab.theory import processes
        from divergence_lab.theory.budget import OutOfTime, allow_fork, within
        from tests.test_budget import calculate
        allow_fork()
        processes.LOOK_SECONDS, processes._Meter.left = 5.0, lambda meter, limit: 5.0  # it never looks
        try:
            within(0.1, calculate, 0.4)
        except OutOfTime:
            print("too late")
        print(within(1.0, calculate, 0.4))
    """)], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=300)
    assert asked.stdout.split("\n")[:2] == ["too late", "0.4"], asked.stderr


def test_a_search_that_waits_for_nothing_is_ended():
    """It uses no processor time, so no budget of it would ever be over."""
    asked = subprocess.run([sys.executable, "-c", textwrap.dedent("""
        from divergence_lab.theory import processes
        from divergence_lab.theory.budget import OutOfTime, allow_fork, within
        from tests.test_budget import sleep_for_ever
        allow_fork()
        processes.HUNG_SECONDS = 0.5
        try:
            within(5.0, sleep_for_ever)
        except OutOfTime:
            print("ended")
    """)], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=300)
    assert asked.stdout.split() == ["ended"], asked.stderr


def test_how_deep_a_search_may_recurse_depends_on_no_asker():
    """Else two losses in one command, asked from threads, could be answered otherwise than each alone."""
    depths = within(20, how_deep), ask_from(150), within(20, ask_from, 5), within(20, ask_from, 300)
    assert min(depths) > 900 and max(depths) - min(depths) < 5  # a generator between them counts as one


# --- processes that end, and those that don't --------------------------------------------------------------------

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
    threads = [threading.Thread(target=lambda i=i: found.append(within(20, add, i, i))) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [2 * i for i in range(8)]


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
    script = tmp_path / "asks.py"
    script.write_text(textwrap.dedent(f"""
        from divergence_lab.theory import budget
        from tests.test_budget import calculate_for_ever, wait_on_one_that_never_ends
        {way}
        budget.within(3600.0, {"wait_on_one_that_never_ends" if nested else "calculate_for_ever"}, {str(tmp_path / 'pid')!r})
    """))
    asker = subprocess.Popen([sys.executable, script], env={**os.environ, "PYTHONPATH": str(ROOT)})
    deadline = time.monotonic() + 300
    while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    worker = int((tmp_path / "pid").read_text())
    assert is_running(worker)
    asker.kill()
    asker.wait()
    assert gone_within(60, worker)


@pytest.mark.parametrize("name", ["divergence_lab", "sympy", "pickle", "sitecustomize"])
def test_modules_of_the_folder_that_one_stands_in_are_not_run(tmp_path, name):
    """The script lies elsewhere, so its folder is where Python imports from, and not the working folder."""
    (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'was_run')!r}, 'w').close()\nraise SystemExit('stray module')\n")
    home = tmp_path / "elsewhere"
    home.mkdir()
    (home / "script.py").write_text("from divergence_lab.theory.budget import within\nimport operator\n"
                                    "print(within(60, operator.add, 1, 2))\n")
    done = subprocess.run([sys.executable, home / "script.py"], capture_output=True, text=True, timeout=300, cwd=tmp_path,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (done.stdout, (tmp_path / "was_run").exists()) == ("3\n", False), done.stderr


def test_a_search_that_cannot_be_started_is_said_in_words(monkeypatch):
    monkeypatch.setattr(budget, "_idle", [])
    monkeypatch.setattr(processes.sys, "executable", "/bin/false")
    with pytest.raises(SearchFailed, match="could not be started"):
        within(5, add, 1, 2)


def test_a_user_script_is_not_run_again(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("print('once')\nfrom divergence_lab.theory.loss import loss\n"
                      "from divergence_lab.theory.derivation import derive\nprint(derive(loss('x**2/2')).divergence.name)\n")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.stdout.split("\n")[:2] == ["once", "reverse KL"], done.stderr


# --- derivations -----------------------------------------------------------------------------------------------

def hang_at(where, budget, done):
    """A derivation of the squared error that hangs at one stage."""
    from divergence_lab.theory.derivation import answers
    entry = loss("x**2/2")
    left = [stage for stage in STAGES if stage not in done]
    for stage, answer in zip(left, answers(entry, (sp.Integer(2),), 20, budget, done)):
        if stage == where:
            calculate_for_ever()
        yield answer


@pytest.mark.parametrize("where", [stage for stage in STAGES if stage in ("zero_forcing", "convex") or stage not in (*KINDS, "the numbers")])
def test_a_stage_that_hangs_costs_no_other(where):
    entry = loss("x**2/2")
    allowed = 9.0 if where == "g'" else 6.0
    started = clock()
    found = assemble(Divergence(entry, None, None, None, 0), (where,), hang_at, allowed)
    assert clock() - started < allowed + ALLOWANCE
    verdicts = found.verdicts
    missing = {"g'": found.slope is None, "the divergence": found.divergence.name is None, "the pieces": not verdicts.pieces,
               **{kind: getattr(verdicts, {"validity": "valid"}.get(kind, kind)).holds is None for kind in KINDS},
               "the numbers": verdicts.curvature_at_zero is None, "the values": not found.values,
               "the swapped loss": found.dual_loss is None}
    lost = {stage for stage, gone in missing.items() if gone}
    if where == "the pieces":  # nothing can be proved without them
        assert lost >= {"the pieces", *KINDS}
        return
    assert lost - {"the swapped loss"} == {where} - {"the swapped loss"}  # it comes last, and needs f: it may go as well
    assert where != "the swapped loss" or lost == {where}
    assert f"{where}: no answer within {allowed:g} s of processor time for the whole loss" in found.divergence.tried
    named = {"the numbers": ("f'(oo)", "g''(0)"), "the divergence": (), "the pieces": (), "the swapped loss": ()}.get(
        where, (f"the verdict {where}" if where in KINDS else where,))
    assert {f"{name} not found within {allowed:g} s of processor time: raise --budget" for name in named} <= set(found.lost)
    if where in KINDS:
        verdict = to_json(found)[where]
        assert (verdict["holds"], verdict["status"]) == (None, "undecided") and "no answer within" in verdict["because"]
    json.dumps(to_json(found), allow_nan=False)


def test_a_derivation_in_time_is_the_same_however_it_is_asked():
    entry = loss("log(cosh(x))")
    found = derive(entry, (sp.Integer(2),))
    assert found.divergence.name is None and found.divergence.generator is not None
    assert all(getattr(found.verdicts, name).status != "undecided" for name in ("convex", "zero_forcing", "symmetric"))
    assert found.slope == loss("log(cosh(x))").derivative.as_expression()


def test_bad_questions_are_refused_and_not_undecided():
    with pytest.raises(ExpressionError, match="give"):
        derive(loss("linex(alpha)"), (sp.Integer(2),))


# Deep towers, many terms, high powers, kinks of kinks, roots SymPy cannot write down, several parameters.
NASTY = [
    "exp(exp(exp(x)))", "exp(exp(exp(exp(x))))", "exp(-exp(exp(x)))+x**2", "log(1+x**2)**(1/3)*erf(x)",
    "Abs(Abs(Abs(Abs(Abs(x)-5)-3)-2)-1)", "Max(Min(Abs(x),2),Min(x**2,3),Abs(x-1)-1)", "Abs(x**5-x-1)",
    "Abs(x**9-3*x**4+x-1/7)-1/7", "x**60+x**58-x**33+x**2", "(x**2+1)**40-1", "(x**2+x+1)**60*exp(x)-1",
    "Max(Abs(x)-1,x**2-2,exp(x)-3,0)", "sqrt(1+sqrt(1+sqrt(1+x**2)))", "sqrt(1+exp(sqrt(1+x**2)))",
    "(1+x**2)**(1/7)*(1+x**4)**(1/5)-1", "atan(x)**3*log(1+x**2)**2*x", "erf(atan(sinh(x)))*x",
    "tanh(tanh(tanh(x)))*x", "log(1+log(1+log(1+x**2)))", "polylog(3,-exp(x))*x", "x**2*exp(x**2)*erf(x)**3",
    "asinh(exp(x)*atan(x))", "exp(sqrt(1+x**2))*erf(x)*x", "cosh(x)**20-1", "cosh(7*x)*sinh(5*x)**3*x",
    "exp(x)**(1/3)*log(1+exp(x)+exp(2*x)+exp(3*x))", "log(1+exp(x)+exp(sqrt(2)*x)+exp(pi*x))",
    "a*x**2+b*Abs(x)**c+d*exp(x)", "log(cosh(a*x))+log(cosh(b*x))*c", "Abs(a*x**3+b*x**2+c*x)", "exp(a*exp(b*x))",
    "+".join(f"exp({k}*x/7)" for k in range(1, 80)), "+".join(f"Abs(x-{k})" for k in range(1, 40)),
    "+".join(f"Abs(x-{k})*exp(x/{k + 1})" for k in range(1, 25)), "+".join(f"log(1+x**{2 * k})" for k in range(1, 40)),
    "*".join(f"(1+exp({k}*x))" for k in range(1, 25)), "Abs(" * 12 + "x" + "".join(f"-{k})" for k in range(1, 13)),
    "sqrt(1+" * 15 + "x**2" + ")" * 15, "exp(" * 8 + "x" + ")" * 8, "tanh(" * 14 + "x" + ")" * 14 + "*x",
    "x**2" + "".join(f"*(x**2+{k})" for k in range(1, 60)),
]
SECONDS = 1.5


def run(*arguments: str) -> tuple[float, subprocess.CompletedProcess]:
    """(processor seconds, what came of it)"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-m", "divergence_lab", *arguments], capture_output=True, text=True, timeout=600,
                          cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done


@pytest.mark.parametrize("text", NASTY, ids=lambda text: text[:30])
def test_nasty_losses_end_within_their_budget(text):
    seconds, done = run("derive", text, "--json", "--budget", str(SECONDS))
    assert seconds < SECONDS + ALLOWANCE
    assert "Traceback" not in done.stderr
    if done.returncode == 2:  # a kink that has no exact place is bad input, said in one line
        assert len(done.stderr.strip().splitlines()) == 1 and not done.stdout
        return
    assert done.returncode == 0
    (answer,) = json.loads(done.stdout)
    for kind in VERDICTS:
        verdict = answer[kind]
        assert verdict["because"] and (verdict["status"] == "undecided") == (verdict["holds"] is None
                                                                           and verdict["condition"] is None)


def test_some_of_them_are_really_ended():
    """Else the list above would show nothing."""
    texts = [NASTY[4], NASTY[9], *NASTY[-3:]]
    _, done = run("derive", *texts, "--json", "--budget", "1")
    answers = json.loads(done.stdout)
    ended = [any("no answer within" in line or "had not ended" in line for line in answer["tried"]) for answer in answers]
    assert sum(ended) >= 4


def test_each_loss_of_a_command_has_its_own_budget():
    texts = [NASTY[9], "quadratic", NASTY[10], "linex(1)", NASTY[-2]]
    seconds, done = run("derive", *texts, "--json", "--budget", "2")
    assert done.returncode == 0 and seconds < len(texts) * 2.3 + ALLOWANCE
    answers = json.loads(done.stdout)
    assert [answer["divergence"] for answer in answers] == [None, "reverse KL", None, "forward KL", None]
    assert answers[2]["zero_forcing"]["holds"] is None and answers[3]["zero_forcing"]["holds"] is False


def test_a_loss_that_can_not_be_read_in_time_is_undecided_and_for_training_refused():
    text = "*".join(f"(1+exp({k}*x))" for k in range(1, 25))
    found = read(text, (), {}, 0.2)
    assert isinstance(found, Unfinished) and "had not ended" in found.because
    _, done = run("derive", text, "--budget", "0.2")
    assert done.returncode == 0 and "undecided within 0.2 s of processor time" in done.stdout
    _, done = run("derive", text, "--json", "--budget", "0.2")
    (answer,) = json.loads(done.stdout)
    assert answer["generator"] is None and answer["loss"] == text
    assert all(answer[kind]["status"] == "undecided" for kind in VERDICTS)
    assert answer.keys() == json.loads(run("derive", "quadratic", "--json")[1].stdout)[0].keys()


def test_samplers_and_generators_end_too():
    seconds, done = run("derive", "sqrt(1+exp(sqrt(1+x**2)))", "--sampler", "mixture:1/10", "--json", "--budget", "1")
    assert seconds < 1 + ALLOWANCE and done.returncode in (0, 2)
    for text in ("exp(exp(exp(t)))*t", "*".join(f"(1+t**{k})" for k in range(2, 25)), "log(1+t**2)**(1/3)*erf(t)"):
        seconds, done = run("invert", text, "--json", "--budget", "1")
        assert seconds < 1 + ALLOWANCE and "Traceback" not in done.stderr
        assert done.returncode == 2 or len(json.loads(done.stdout)) == 1


def test_an_inversion_that_is_ended_claims_nothing():
    found = invert_text("*".join(f"(1+t**{k})" for k in range(2, 25)), (), {}, budget=0.15)
    assert isinstance(found, Unfinished) and "had not ended" in found.because


def test_certificates_that_are_not_replayed_in_time_are_not_accepted():
    entry = to_json(derive(loss("log(cosh(x))")))
    assert [report.failures for report in check_all([entry], 20)] == [()]
    ((failure,),) = [report.failures for report in check_all([entry], 0.001)]
    assert failure.where == "budget" and "0.001 s of processor time" in failure.why


def test_several_threads_may_end_one_worker():
    """As when one loss of several is refused: its thread and the one that ends all searches come together."""
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
