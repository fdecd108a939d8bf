"""benchmarks/on_a_gpu.py, tried on a CPU: it keeps what it has when it is killed, and goes on
from there.
"""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "benchmarks" / "on_a_gpu.py"
# six tests: one of them fails while FLAG is not there, one waits for a kill
SOME = """
import os, time, pathlib, pytest
HERE = pathlib.Path(__file__).parent
@pytest.mark.parametrize("n", range(4))
def test_quick(n):
    with open(HERE / "ran", "a") as file:
        file.write(f"{n}\\n")
def test_fails_at_first():
    assert (HERE / "mended").exists()
def test_waits():
    (HERE / "waiting").write_text(str(os.getpid()))
    while not (HERE / "go").exists():
        time.sleep(0.02)
@pytest.mark.skip(reason="it is skipped")
def test_skipped():
    pass
"""
UNREADABLE = "import no_such_module\n"
HANGING = """
import time
def test_before():
    pass
def test_hangs():
    time.sleep(600)
def test_after():
    pass
"""


@pytest.fixture
def on_a_gpu(monkeypatch):
    spec = importlib.util.spec_from_file_location("on_a_gpu", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "on_a_gpu", module)
    spec.loader.exec_module(module)
    return module


def start(tmp_path, *more):
    words = [
        sys.executable,
        str(SCRIPT),
        "--minutes",
        "5",
        "--device",
        "cpu",
        "--quick",
        "--out",
        str(tmp_path / "out"),
        *more,
    ]
    known = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "COV_"))
    }
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=known
    )


def wait_for(path, job):
    for _ in range(6000):
        if path.exists() and path.read_text():
            return path.read_text()
        assert job.poll() is None, job.communicate()
        time.sleep(0.02)
    raise AssertionError(f"{path} never came")


def gone(pid):
    """It has ended; a zombie that nobody has waited for has, too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")
def test_killed_it_keeps_what_it_has_and_goes_on(tmp_path):
    """SIGTERM amid the tests, then a start that ends with a failure, then one that runs this
    test alone.
    """
    (tmp_path / "test_some.py").write_text(SOME)
    out, given = tmp_path / "out", ("--steps", "tests", "--tests", str(tmp_path / "test_some.py"))
    job = start(tmp_path, *given)
    pid = int(wait_for(tmp_path / "waiting", job))
    job.send_signal(signal.SIGTERM)
    printed, errors = job.communicate(timeout=60)
    assert (
        job.returncode == 128 + signal.SIGTERM
        and "stopped from outside" in printed
        and "Traceback" not in errors
    )
    for _ in range(500):
        if gone(pid):
            break
        time.sleep(0.02)
    else:
        pytest.fail("a test outlives its asker")
    kept = [json.loads(line) for line in (out / "tests.jsonl").read_text().splitlines()]
    assert len([one for one in kept if one["outcome"] == "passed"]) >= 1
    assert json.loads((out / "state.json").read_text())["steps"]["tests"]["state"] == "running"
    with open(out / "tests.jsonl", "a") as file:
        file.write('{"name": "cut o')

    (tmp_path / "go").touch()
    job = start(tmp_path, *given)
    printed, errors = job.communicate(timeout=200)
    assert job.returncode == 1 and "FAILED" in printed and "test_fails_at_first" in printed, (
        printed + errors
    )
    assert sorted((tmp_path / "ran").read_text().split()) == ["0", "1", "2", "3"], (
        "what passed is not run again"
    )
    state = json.loads((out / "state.json").read_text())["steps"]["tests"]
    assert state["state"] == "failed" and state["failed"][0].endswith("test_fails_at_first")

    (tmp_path / "mended").touch()
    job = start(tmp_path, *given)
    printed, errors = job.communicate(timeout=100)
    assert (
        job.returncode == 0 and "7 passed or were skipped (6 of them before), 0 failed" in printed
    ), printed + errors
    assert len((tmp_path / "ran").read_text().split()) == 4


@pytest.mark.slow
def test_one_that_hangs_and_one_that_cannot_be_imported_keep_no_other(
    on_a_gpu, tmp_path, monkeypatch, capsys
):
    for key in list(os.environ):
        if key.startswith(("PYTEST_", "COV_")):
            monkeypatch.delenv(key)
    for name, text in (("test_unreadable", UNREADABLE), ("test_hanging", HANGING)):
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setattr(on_a_gpu, "HANGS", 3.0)
    session = on_a_gpu.Session(
        tmp_path, time.monotonic() + 100, "cpu", True, [str(tmp_path)], [], {"steps": {}}
    )
    assert on_a_gpu.tests(session, 100.0) == "failed"
    ended = {name.rpartition(":")[2]: how for name, how in outcomes(on_a_gpu, tmp_path).items()}
    assert ended == {"test_before": "passed", "test_hangs": "failed", "test_after": "passed"}
    assert "NOT READ" in (printed := capsys.readouterr().out) and "test_unreadable" in printed
    # where it was
    assert re.search(r"test_hanging.py.*line 6 in test_hangs", (tmp_path / "tests.txt").read_text())


def outcomes(on_a_gpu, folder):
    return on_a_gpu.outcomes(folder / "tests.jsonl")


@pytest.mark.slow
def test_every_step_in_small(tmp_path):
    """Tests, profile, benchmark and Figure 3 themselves; a second start finds nothing to do."""
    given, out = ("--tests", str(ROOT / "tests" / "test_metrics.py")), tmp_path / "out"
    job = start(tmp_path, *given)
    printed, errors = job.communicate(timeout=280)
    assert job.returncode == 0 and printed.count(": done") == 4, printed + errors
    assert (out / "profile.txt").read_text().count('"kernels"') == 3
    assert (
        json.loads((out / "bench.json").read_text())["rows"]
        and (out / "bench.jsonl").read_text().count("\n") > 3
    )
    assert (out / "figure3" / "about.json").exists() and len(
        list((out / "figure3" / "runs").glob("*/checkpoint.pt"))
    ) == 4
    printed, errors = (job := start(tmp_path, *given)).communicate(timeout=100)
    assert job.returncode == 0 and printed.count("done before") == 4, printed + errors


def test_without_a_gpu_one_line_says_so(capsys, on_a_gpu, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    assert on_a_gpu.main(["--out", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr()
    assert (
        printed.err.count("\n") == 1
        and "no CUDA device" in printed.err
        and not (tmp_path / "out").exists()
    )


def test_no_step_takes_more_than_its_share_and_one_that_breaks_stops_no_other(
    on_a_gpu, tmp_path, monkeypatch, capsys
):
    limits = {}

    def step(name, answer):
        def of(session, limit):
            limits[name] = limit / session.left()
            if isinstance(answer, Exception):
                raise answer
            return answer

        return of

    monkeypatch.setattr(
        on_a_gpu,
        "STEPS",
        {
            "tests": step("tests", ValueError("oh")),
            "profile": step("profile", "done"),
            "bench": step("bench", "stopped"),
            "figure3": step("figure3", "done"),
        },
    )
    assert on_a_gpu.main(["--device", "cpu", "--minutes", "10", "--out", str(tmp_path)]) == 1
    assert {name: round(share, 2) for name, share in limits.items()} == on_a_gpu.SHARES
    steps = json.loads((tmp_path / "state.json").read_text())["steps"]
    assert [steps[name]["state"] for name in ("tests", "bench", "figure3")] == [
        "broke: ValueError: oh",
        "stopped",
        "done",
    ]
    assert on_a_gpu.main(["--device", "cpu", "--minutes", "0.01", "--out", str(tmp_path)]) == 1
    assert "bench: not begun, the time is over" in capsys.readouterr().out


def test_other_code_begins_anew_and_says_so(on_a_gpu, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        on_a_gpu, "STEPS", {"tests": lambda session, limit: "done", "figure3": on_a_gpu.figure3}
    )
    monkeypatch.setattr(on_a_gpu.Session, "command", lambda *given: 0)
    monkeypatch.setattr(on_a_gpu, "version", lambda: "one")
    asked = ["--device", "cpu", "--out", str(tmp_path), "--steps", "tests", "figure3"]
    assert on_a_gpu.main(asked) == 0
    (tmp_path / "tests.jsonl").write_text('{"name": "a", "outcome": "passed"}\n')
    monkeypatch.setattr(on_a_gpu, "version", lambda: "two")
    capsys.readouterr()
    assert on_a_gpu.main(asked) == 0
    printed = capsys.readouterr().out
    assert "the code has changed since one" in printed and "tests: begins" in printed
    assert (tmp_path / "before-one" / "tests.jsonl").exists() and not (
        tmp_path / "tests.jsonl"
    ).exists()


def test_the_version_is_that_of_these_files(on_a_gpu):
    assert (
        on_a_gpu.version() == on_a_gpu.version() and len(on_a_gpu.version().rpartition("-")[2]) == 8
    )


def test_without_git_or_what_the_tests_need_it_begins_all_the_same(on_a_gpu, monkeypatch):
    def no_such_file(*_, **__):
        raise FileNotFoundError("git")

    monkeypatch.setattr(on_a_gpu.subprocess, "run", no_such_file)
    assert on_a_gpu.version().startswith("no-commit-")
    found = on_a_gpu.metadata.version

    def version(name):
        if name in ("hypothesis", "sympy"):
            raise on_a_gpu.metadata.PackageNotFoundError(name)
        return found(name) if name != "triton" else "3.6"

    monkeypatch.setattr(on_a_gpu.metadata, "version", version)
    assert {"hypothesis", "sympy"} <= set(on_a_gpu.absent())
    monkeypatch.setattr(on_a_gpu.metadata, "version", lambda name: "1")
    assert on_a_gpu.absent() == []


def test_a_process_whose_gpu_is_broken_ends_and_another_goes_on(on_a_gpu, monkeypatch, tmp_path):
    ended = []
    monkeypatch.setattr(on_a_gpu.os, "_exit", ended.append)
    monkeypatch.setenv(on_a_gpu.RECORD, str(tmp_path / "tests.jsonl"))

    def report(text, outcome="failed"):
        return SimpleNamespace(
            failed=outcome == "failed", passed=outcome == "passed", outcome=outcome,
            longreprtext=text, when="call", nodeid="a", duration=1.0,
        )  # fmt: skip

    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    on_a_gpu.pytest_runtest_logreport(report("assert 1 == 2"))
    on_a_gpu.pytest_runtest_logreport(report("", "passed"))
    assert ended == []
    on_a_gpu.pytest_runtest_logreport(report("CUDA error: an illegal memory access"))
    assert len(ended) == 1
    monkeypatch.delenv("PYTEST_XDIST_WORKER")
    on_a_gpu.pytest_runtest_logreport(report("CUDA error: an illegal memory access"))
    assert len(ended) == 1 and outcomes(on_a_gpu, tmp_path) == {"a": "failed"}


def test_a_profile_that_fails_keeps_no_other_from_being_made(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import one_step

    made = []

    def step(size, objective, device):
        made.append(objective)
        if objective == "db":
            raise RuntimeError("CUDA error: oh")

    monkeypatch.setattr(one_step, "step", step)
    monkeypatch.setattr(one_step, "laws", lambda *of: made.append(of[0]))
    assert one_step.main(["--device", "cpu"]) == 1
    assert made[-5:] == ["fm", "4x20", "4x20", "4x32", "4x64"] and len(made) == 10
    assert "RuntimeError: CUDA error: oh" in capsys.readouterr().out


@pytest.mark.slow
def test_what_was_measured_is_not_measured_again(tmp_path, monkeypatch):
    from divergence_lab.bench import compare as bench

    asked = []
    for name in ("sweep", "law_beside", "law_alone", "exact_training", "memory_of", "crossover"):
        monkeypatch.setattr(
            bench,
            name,
            lambda *given, name=name: (
                asked.append(name) or [bench.Row(name, "2x8", float("inf"), "ms")]
            ),
        )
    keep = tmp_path / "kept.jsonl"
    first = bench.bench((), device="cpu", quick=True, keep=keep)
    text = keep.read_text()
    keep.write_text(
        text.rpartition('{"label"')[0] + '{"label": "cut o'
    )  # killed amid the last line
    assert len(asked) == 6 and text.count("\n") == 6
    assert (
        bench.bench((), device="cpu", quick=True, keep=keep).rows == first.rows and len(asked) == 7
    )
    bench.bench((), device="cpu", quick=False, keep=keep)  # other sizes are measured for themselves
    assert len(asked) > 12


def test_what_cannot_be_measured_is_told_after_the_rest_is_kept(tmp_path, monkeypatch):
    from divergence_lab.bench import compare as bench

    for name in ("sweep", "law_beside", "law_alone", "exact_training", "memory_of", "crossover"):
        monkeypatch.setattr(bench, name, lambda *given: [bench.Row("a", "2x8", 1.0, "ms")])

    def broken(*given):
        raise RuntimeError("no memory")

    monkeypatch.setattr(bench, "law_alone", broken)
    keep = tmp_path / "kept.jsonl"
    with pytest.raises(RuntimeError, match="no memory") as caught:
        bench.bench((), device="cpu", quick=True, keep=keep)
    assert caught.value.__notes__ == ["while measuring exact law 4x8"]
    assert keep.read_text().count("\n") == 5
    with pytest.raises(RuntimeError, match="no memory"):  # nobody keeps what comes after
        bench.bench((), device="cpu", quick=True)


def test_a_line_that_was_cut_off_spoils_no_other(on_a_gpu, tmp_path):
    path = tmp_path / "lines.jsonl"
    on_a_gpu.append(path, {"name": "a", "outcome": "passed"})
    path.write_text(path.read_text() + '{"name": "b", "out')
    on_a_gpu.append(path, {"name": "c", "outcome": "failed"})
    assert on_a_gpu.outcomes(path) == {"a": "passed", "c": "failed"}


def test_tests_look_away_from_a_gpu_unless_they_are_told(on_a_gpu, tmp_path, monkeypatch):
    if not os.environ.get("DIVERGENCE_LAB_TESTS_ON_GPU"):
        assert not torch.cuda.is_available() and os.environ["CUDA_VISIBLE_DEVICES"] == ""
    given = []
    monkeypatch.setattr(
        on_a_gpu.Session,
        "command",
        lambda session, words, limit, printed, more: given.append(more) or 0,
    )
    for device in ("cuda", "cpu"):
        session = on_a_gpu.Session(
            tmp_path, 0.0, device, False, ["tests"], ["tests"], {"version": "one", "steps": {}}
        )
        assert on_a_gpu.tests(session, 1.0) == "done"
    assert [more["DIVERGENCE_LAB_TESTS_ON_GPU"] for more in given] == ["1", ""]
