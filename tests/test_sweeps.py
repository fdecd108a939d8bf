"""Sweeps: each run once, known by its settings, resumed when its worker is killed."""

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from divergence_lab.cli.main import main
from divergence_lab.results.storage import load
from divergence_lab.training import arguments
from divergence_lab.training.sweeps import claims, pools, working
from divergence_lab.training.sweeps.claims import is_done
from divergence_lab.training.sweeps.gathering import PointsFailed, gather
from divergence_lab.training.sweeps.points import Job, SweepError, jobs, read_sweep
from divergence_lab.training.sweeps.sweeping import sweep
from divergence_lab.training.sweeps.working import run_job

ROOT = Path(__file__).resolve().parents[1]
on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

FIXED = {
    "losses": ["quadratic", "linex(1)"],
    "env": "hypergrid:2x4",
    "seeds": 2,
    "steps": 60,
    "batch": 8,
    "evaluations": 4,
}
GRID = {"objective": ["tb", "db"], "learning_rate": [0.01, 0.03]}


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_job_is_known_by_its_settings_whatever_their_order():
    one, other = Job({"env": "a", "losses": ["x**2"]}), Job({"losses": ["x**2"], "env": "a"})
    assert one.name == other.name and len(one.name) == 12
    assert one.name != Job({"env": "b", "losses": ["x**2"]}).name
    assert len({job.name for job in jobs(FIXED, GRID)}) == 4


def test_every_point_is_run_once_and_gathered(tmp_path):
    todo, said = jobs(FIXED, GRID), []
    table = sweep(todo, tmp_path, cluster="none", device="cpu", progress=said.append)
    found = rows(table)
    assert len(found) == 4 * 2 * 2
    assert {row["objective"] for row in found} == {"tb", "db"} and {
        row["learning_rate"] for row in found
    } == {"0.01", "0.03"}
    assert all(is_done(job, tmp_path) for job in todo) and said[0] == "0 of 4 done before"
    before = {job.name: (tmp_path / job.name / "terminal.npz").stat().st_mtime_ns for job in todo}
    again = sweep(
        [*todo, *jobs({**FIXED, "objective": "fm"}, {})],
        tmp_path,
        cluster="none",
        device="cpu",
        progress=said.append,
    )
    assert said[-2:] == ["4 of 5 done before", "1 of 1 run"] and len(rows(again)) == 20
    assert before == {
        job.name: (tmp_path / job.name / "terminal.npz").stat().st_mtime_ns for job in todo
    }


def test_a_bad_job_is_named_and_the_others_are_kept(tmp_path):
    todo = jobs(FIXED, {"objective": ["tb", "nonsense"]})
    with pytest.raises(SweepError, match="1 of 2 jobs failed.*objective 'nonsense'"):
        sweep(todo, tmp_path, cluster="none", device="cpu", progress=lambda line: None)
    assert len(rows(tmp_path / "table.csv")) == 4


# --- whoever and however many work on it


def command(folder, *options, file="sweep.json"):
    """A sweep of its own, of the file in that folder; its processes do not have our working
    folder.
    """
    words = ["sweep", str(folder / file), "--out", str(folder / "out"), "--device", "cpu", *options]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "divergence_lab", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def workers_of(folder):
    """Processes that work on the sweep in this folder, by number."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            line = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
            if b"sweeps.worker" in line and str(folder).encode() in line:
                found.append(int(entry.name))
    return found


def wait_for(what, condition, seconds=300):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found


def begun(folder):
    """How often each point was begun since its last checkpoint."""
    return [len(file.read_text().splitlines()) for file in (folder / "claims").glob("*.starts")]


def write_sweep(folder, fixed, grid):
    (folder / "sweep.json").write_text(json.dumps({"fixed": fixed, "grid": grid}))
    return jobs(fixed, grid)


LONG = {**FIXED, "losses": ["quadratic"], "steps": 3_000, "batch": 32, "evaluations": 30}


@pytest.mark.slow
@on_linux
def test_a_killed_worker_loses_nothing(tmp_path):
    """SIGKILL to the worker midway: another goes on, to the numbers of an uninterrupted run."""
    (job,) = write_sweep(tmp_path, LONG, {})
    asker = command(tmp_path, "--cluster", "local", "--workers", "1")
    wait_for("no worker began", lambda: (tmp_path / "out" / job.name / "settings.json").exists())
    # a process that the worker is just starting looks like it for a moment
    os.kill(min(workers_of(tmp_path)), signal.SIGKILL)
    assert asker.wait(600) == 0, asker.stderr.read()
    assert begun(tmp_path / "out") == [2] and not workers_of(tmp_path)
    run_job(job.settings, str(tmp_path / "b"), "cpu")
    one, other = load(tmp_path / "out" / job.name), load(tmp_path / "b" / job.name)
    np.testing.assert_array_equal(one.terminal, other.terminal)
    for name in one.metrics:
        np.testing.assert_array_equal(one.metrics[name], other.metrics[name])
    assert len(rows(tmp_path / "out" / "table.csv")) == 2


@on_linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize(
    "trained",
    [pytest.param(0, id="importing"), pytest.param(2, id="training", marks=pytest.mark.slow)],
)
def test_no_worker_outlives_its_asker(tmp_path, number, trained):
    write_sweep(tmp_path, {**LONG, "steps": 10**7}, {"objective": ["tb", "db"]})
    asker = command(tmp_path, "--cluster", "local")
    wait_for("no workers", lambda: len(workers_of(tmp_path)) >= 2)
    wait_for("they do not train", lambda: len(begun(tmp_path / "out")) == trained)
    asker.send_signal(number)
    asker.wait(60)
    wait_for("a worker goes on", lambda: not workers_of(tmp_path), 2.0)


@pytest.mark.slow
def test_each_point_is_trained_once_by_three_sweeps_of_one_folder(tmp_path):
    todo = write_sweep(tmp_path, {**FIXED, "steps": 200}, {"seeds": [[n] for n in range(8)]})
    kinds = [("none",), ("none",), ("local", "--workers", "2")]
    askers = [command(tmp_path, "--cluster", *kind) for kind in kinds]
    for asker in askers:
        assert asker.wait(600) == 0, asker.stderr.read()
    assert begun(tmp_path / "out") == [1] * 8
    assert len(rows(tmp_path / "out" / "table.csv")) == 16
    assert all(is_done(job, tmp_path / "out") for job in todo)


@on_linux
def test_a_point_whose_owner_is_gone_is_taken_over(tmp_path):
    write_sweep(tmp_path, {**LONG, "steps": 10**7}, {})
    owner = command(tmp_path, "--cluster", "none")
    wait_for(
        "it never began", lambda: (tmp_path / "out" / "claims").exists() and begun(tmp_path / "out")
    )
    (job,) = read_sweep(tmp_path / "sweep.json")
    assert not claims.is_free(job, tmp_path / "out")
    other = command(tmp_path, "--cluster", "none")
    time.sleep(6)
    assert other.poll() is None and begun(tmp_path / "out") == [1]
    owner.kill()
    owner.wait()
    wait_for("it was not taken over", lambda: begun(tmp_path / "out") == [2])
    other.kill()
    other.wait()


# --- what is wrong with one point


def test_what_is_wrong_with_one_point_keeps_no_other_from_running(tmp_path):
    wrong = [
        *({"objective": value} for value in (None, 3, ["tb"])),
        *({"policy": "mlp", "width": value} for value in (10**9, 1e9)),
        *({"steps": value} for value in (0, None)),
        {"sampler": None},
        {"losses": ["x**2 +"]},
        {"env": "no such"},
    ]
    todo = [job for settings in wrong for job in jobs({**FIXED, **settings}, {})]
    good = jobs({**FIXED, "steps": 4}, {})
    with pytest.raises(PointsFailed, match="10 of 11 jobs failed"):
        sweep([*todo, *good], tmp_path, cluster="none", device="cpu", progress=lambda line: None)
    found = rows(tmp_path / "failed.csv")
    assert len(found) == 10 and all(row["reason"] for row in found)
    assert is_done(good[0], tmp_path)


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("can't allocate\nmemory"), KeyError(1)]
)
def test_an_error_of_any_kind_is_a_reason_in_one_line(tmp_path, monkeypatch, error):
    todo, train = jobs({**FIXED, "steps": 4}, GRID), working.run_job

    def breaks_once(settings, *rest):
        if Job(settings) == todo[1]:
            raise error
        train(settings, *rest)

    monkeypatch.setattr(working, "run_job", breaks_once)
    with pytest.raises(PointsFailed, match=f"1 of 4 jobs failed.*{type(error).__name__}"):
        sweep(todo, tmp_path, cluster="none", device="cpu", progress=lambda line: None)
    assert len(rows(tmp_path / "table.csv")) == 12
    (row,) = rows(tmp_path / "failed.csv")
    assert row["job"] == todo[1].name and row["reason"].startswith(type(error).__name__)
    monkeypatch.setattr(working, "run_job", train)
    table = sweep(todo, tmp_path, cluster="none", device="cpu", progress=lambda line: None)
    assert len(rows(table)) == 16 and rows(tmp_path / "failed.csv") == []


def flip(path, bit):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1 << bit
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda place: flip(place / "terminal.npz", 3),
        lambda place: (place / "config.json").write_text("[]"),
        lambda place: (place / "config.json").write_text("[" * 10**5),
        lambda place: (place / "environment.json").write_text("null"),
        lambda place: (place / "metrics.csv").unlink(),
        lambda place: ((place / "config.json").unlink(), (place / "config.json").mkdir()),
        lambda place: (
            flip(place / "terminal.npz", 1),
            flip(place / "checkpoint.pt", 1),
            (place / "checkpoint.pt").write_bytes(b"nothing of the kind"),
        ),
    ],
)
def test_a_damaged_result_is_run_again_and_the_others_are_kept(tmp_path, damage):
    todo = jobs({**FIXED, "steps": 6}, GRID)
    given = {"cluster": "none", "device": "cpu", "progress": lambda line: None}
    whole = sweep(todo, tmp_path, **given).read_text()
    before = {job.name: load(tmp_path / job.name).terminal for job in todo}
    damage(tmp_path / todo[2].name)
    assert not is_done(todo[2], tmp_path)
    table, failed = gather(todo, tmp_path)
    assert [*failed] == [todo[2].name] and len(rows(table)) == 12
    table = sweep(todo, tmp_path, **given)
    assert len(rows(table)) == 16 and len(whole.splitlines()) == 17
    for job in todo:
        np.testing.assert_array_equal(before[job.name], load(tmp_path / job.name).terminal)


def test_a_point_that_kills_its_workers_is_given_up(tmp_path):
    (job,) = jobs({**FIXED, "steps": 4}, {})
    claims.open_folder(tmp_path)
    assert [claims.begin(job, tmp_path) for _ in range(claims.STARTS + 1)] == [True] * 5 + [False]
    with pytest.raises(PointsFailed, match="killed 5 times"):
        sweep([job], tmp_path, cluster="none", device="cpu", progress=lambda line: None)
    # asked for again, it may try again
    sweep([job], tmp_path, cluster="none", device="cpu", progress=lambda line: None)


def test_a_checkpoint_that_grows_is_no_reason_to_give_up(tmp_path):
    (job,) = jobs(FIXED, {})
    claims.open_folder(tmp_path)
    (tmp_path / job.name).mkdir()
    for n in range(20):
        (tmp_path / job.name / "checkpoint.pt").touch()
        os.utime(tmp_path / job.name / "checkpoint.pt", ns=(n, n))
        assert claims.begin(job, tmp_path)


def test_workers_that_cannot_begin_are_told(tmp_path, monkeypatch):
    todo = jobs(FIXED, {})
    monkeypatch.setattr(
        pools, "words", lambda *rest: [sys.executable, "-c", "raise SystemExit('no such module')"]
    )
    with pytest.raises(SweepError, match="before they take up a point.*no such module"):
        sweep(todo, tmp_path, cluster="local", device="cpu", progress=lambda line: None)


@pytest.mark.parametrize(("values", "said"), [(10**4, "100,000,000 points"), (10**5, "10\\^35")])
def test_a_grid_is_counted_before_it_is_listed(values, said):
    keys = ["seeds", "steps"] if values == 10**4 else [*arguments.IN_JSON[:7]]
    started = time.process_time()
    with pytest.raises(SweepError, match=said):
        jobs(FIXED, {key: list(range(values)) for key in keys})
    assert time.process_time() - started < 1.0


def test_a_point_that_is_given_twice_is_run_and_counted_once(tmp_path):
    todo = jobs({**FIXED, "steps": 4}, {"objective": ["tb", "tb"]})
    assert len(todo) == 1
    assert (
        len(
            rows(
                sweep(
                    [*todo, *todo],
                    tmp_path,
                    cluster="none",
                    device="cpu",
                    progress=lambda line: None,
                )
            )
        )
        == 2 * 2
    )


def test_a_setting_of_the_wrong_kind_is_one_line_and_keeps_no_other_job_from_running(tmp_path):
    todo = jobs({**FIXED, "steps": 4}, {"seeds": ["x", 2]})
    with pytest.raises(SweepError, match="1 of 2 jobs failed"):
        sweep(todo, tmp_path, cluster="none", device="cpu", progress=lambda line: None)
    assert len(rows(tmp_path / "table.csv")) == 2 * 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "write"),
        ('{"grid": {"colour": [1]}}', "setting 'colour' is not known"),
        ('{"fixed": {"losses": [3], "env": "hypergrid:2x4"}}', "losses is .3.; give"),
        ('{"fixed": [1]}', "write"),
        ('{"fixed": {"losses": ["quadratic"], "env": 7}}', "env is 7; give"),
        ('{"grid": {"steps": 5}}', "grid: steps is not a list"),
        ('{"fixed": {"env": "hypergrid:2x4"}}', "names no losses"),
    ],
)
def test_bad_files_are_one_line(tmp_path, capsys, content, message):
    (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(SweepError, match=message):
        read_sweep(tmp_path / "sweep.json")
    assert main(["sweep", str(tmp_path / "sweep.json"), "--out", str(tmp_path / "out")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert main(["sweep", "no_such.json", "--out", str(tmp_path / "out")]) == 2


def test_the_command_runs_a_file(tmp_path, capsys):
    (tmp_path / "sweep.json").write_text(
        json.dumps({"fixed": {**FIXED, "steps": 20}, "grid": {"sampler": ["on", "epsilon:0.1"]}})
    )
    given = [
        "sweep",
        str(tmp_path / "sweep.json"),
        "--out",
        str(tmp_path / "out"),
        "--cluster",
        "none",
        "--device",
        "cpu",
    ]
    assert main(given) == 0
    assert "table.csv" in capsys.readouterr().out
    assert {row["sampler"] for row in rows(tmp_path / "out" / "table.csv")} == {
        '"on"',
        '"epsilon:0.1"',
    }


@pytest.mark.parametrize("cluster", ["auto", "slurm"])
def test_a_slurm_that_does_not_answer_is_not_waited_for(tmp_path, monkeypatch, cluster):
    for name in ("sbatch", "squeue"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\necho no controller >&2\nexit 1\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(SweepError, match="does not answer"):
        sweep(jobs(FIXED, {}), tmp_path / "out", cluster=cluster, progress=lambda line: None)
