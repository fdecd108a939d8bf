"""Sweeps: each run once, known by its settings, resumed when its worker is killed."""

import csv
import json
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from divergence_lab.cli.main import main
from divergence_lab.results.storage import load
from divergence_lab.training.sweeps import (
    Job,
    SweepError,
    is_done,
    jobs,
    read_sweep,
    run_job,
    sweep,
)

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


def test_a_killed_worker_loses_nothing(tmp_path):
    """SIGKILL to the worker midway: it is started again, to the numbers of an uninterrupted run."""
    pytest.importorskip(
        "submitit", reason="workers need submitit: pip install 'divergence-lab[cluster]'"
    )
    long = {**FIXED, "losses": ["quadratic"], "steps": 3_000, "batch": 32, "evaluations": 30}
    (job,) = jobs(long, {})
    killed = []

    def kill_once():
        deadline = time.monotonic() + 600
        while not killed and time.monotonic() < deadline:
            if (tmp_path / "a" / job.name / "settings.json").exists():
                for entry in Path("/proc").iterdir():
                    try:
                        line = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
                    except OSError:
                        continue
                    if b"submitit.core._submit" in line and str(tmp_path).encode() in line:
                        os.kill(int(entry.name), signal.SIGKILL)
                        killed.append(entry.name)
            time.sleep(0.05)

    killer = threading.Thread(target=kill_once)
    killer.start()
    table = sweep(
        [job], tmp_path / "a", cluster="local", workers=1, device="cpu", progress=lambda line: None
    )
    killer.join()
    assert killed, "the worker was never killed: nothing was tested"
    run_job(job.settings, str(tmp_path / "b"), "cpu")
    one, other = load(tmp_path / "a" / job.name), load(tmp_path / "b" / job.name)
    np.testing.assert_array_equal(one.terminal, other.terminal)
    for name in one.metrics:
        np.testing.assert_array_equal(one.metrics[name], other.metrics[name])
    assert len(rows(table)) == 2


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
        ('{"grid": {"steps": 5}}', "grid: steps is no list"),
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
