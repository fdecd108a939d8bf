"""A sweep on a real Slurm of one node: whatever happens to its jobs and to the node, each point
ends with the numbers of an uninterrupted run.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from divergence_lab.results.storage import load
from divergence_lab.training.sweeps.claims import is_done
from divergence_lab.training.sweeps.working import run_job
from tests.test_sweeps import LONG, begun, command, rows, wait_for, workers_of, write_sweep

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]
# slurmd is missed after ten seconds, and a node that comes back is used again
CONFIGURATION = """
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdTimeout=10
KillWait=10
ReturnToService=2
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=1000 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@dataclass(frozen=True)
class Slurm:
    """One that was started for a test."""

    folder: Path
    host: str

    def start_node(self):
        subprocess.run(["slurmd", "-f", self.folder / "slurm.conf", "-N", self.host], check=True)

    def kill_node(self):
        """The daemon, and what it runs: as if the power had gone."""
        os.kill(int((self.folder / "slurmd.pid").read_text()), signal.SIGKILL)
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
                if line.startswith(b"slurmstepd") and self.jobs_of(line):
                    os.kill(int(entry.name), signal.SIGKILL)

    def jobs_of(self, line):
        return any(f"[{job}.".encode() in line for job in self.jobs("R"))

    def jobs(self, *states):
        given = [f"--states={','.join(states)}"] if states else []
        return told("squeue", "--noheader", "--format=%i", *given).split()


def told(*words):
    return subprocess.run(words, capture_output=True, text=True, timeout=120).stdout


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    for program in ("slurmctld", "slurmd", "munge"):
        if shutil.which(program) is None:
            pytest.skip(f"needs a Slurm: {program} is not installed (Debian: slurm-wlm, munge)")
    if os.getuid() or subprocess.run(["munge", "-n"], capture_output=True).returncode:
        pytest.skip("needs root and a munged that runs (Debian: service munge start)")
    folder, host = tmp_path / "slurm", socket.gethostname().split(".")[0]
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    with socket.socket() as one, socket.socket() as other:
        for free in (one, other):
            free.bind(("127.0.0.1", 0))
        ports = [free.getsockname()[1] for free in (one, other)]
    values = {"folder": folder, "host": host, "ports": ports, "cores": os.cpu_count()}
    (folder / "slurm.conf").write_text(CONFIGURATION.format(user="root", **values))
    monkeypatch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
    started = Slurm(folder, host)
    subprocess.run(["slurmctld", "-f", folder / "slurm.conf"], check=True)
    time.sleep(1)
    started.start_node()
    try:
        wait_for("the node is not idle", lambda: "idle" in told("sinfo", "-h", "-o", "%t"), 120)
        yield started
    finally:
        told("scancel", "--user=root")
        for name in ("slurmd", "slurmctld"):
            with contextlib.suppress(OSError, ValueError):
                os.kill(int((folder / f"{name}.pid").read_text()), signal.SIGTERM)


def test_whatever_happens_to_jobs_and_node_nothing_is_lost(tmp_path, slurm):
    long = {**LONG, "steps": 60_000}
    todo = write_sweep(tmp_path, long, {"objective": ["tb", "db"]})
    out = tmp_path / "out"
    asker = command(tmp_path, "--cluster", "slurm", "--workers", "2")

    def at_work():
        """Both points are worked on."""
        wait_for("no two jobs", lambda: len(slurm.jobs("R")) == 2, 600)
        wait_for("no two workers", lambda: len(workers_of(tmp_path)) >= 2, 600)
        wait_for("not begun", lambda: len(begun(out)) == 2, 600)
        time.sleep(3)
        assert asker.poll() is None, asker.communicate()

    at_work()
    assert told("scancel", slurm.jobs("R")[0]) == ""
    wait_for("it is not cancelled", lambda: len(workers_of(tmp_path)) < 2)
    at_work()
    os.kill(min(workers_of(tmp_path)), signal.SIGKILL)
    at_work()
    assert told("scontrol", "requeue", slurm.jobs("R")[1]) == ""
    # Slurm begins it again after two minutes: the other job goes on until the node dies
    wait_for("it is not requeued", lambda: len(workers_of(tmp_path)) < 2)
    slurm.kill_node()
    for worker in workers_of(tmp_path):
        os.kill(worker, signal.SIGKILL)
    wait_for("the node is not missed", lambda: "down" in told("sinfo", "-h", "-o", "%t"), 120)
    slurm.start_node()
    asker.kill()  # the asker too; the next one counts its jobs as its own
    asker = command(tmp_path, "--cluster", "slurm", "--workers", "2")
    _, errors = asker.communicate(timeout=1800)
    assert asker.returncode == 0 and len(errors.splitlines()) == 1, errors
    assert len(rows(out / "table.csv")) == 4 and rows(out / "failed.csv") == []
    for job in todo:
        assert is_done(job, out)
        run_job(job.settings, str(tmp_path / "whole"), "cpu")
        one, other = load(out / job.name), load(tmp_path / "whole" / job.name)
        np.testing.assert_array_equal(one.terminal, other.terminal)
        for name in one.metrics:
            np.testing.assert_array_equal(one.metrics[name], other.metrics[name])
    wait_for("jobs are left", lambda: slurm.jobs() == [], 120)


def test_a_controller_that_is_away_is_waited_for(tmp_path, slurm):
    write_sweep(tmp_path, {**LONG, "steps": 500}, {"objective": ["tb", "db", "vargrad"]})
    asker = command(tmp_path, "--cluster", "slurm", "--workers", "1")
    wait_for("no job", lambda: slurm.jobs("R"), 600)
    os.kill(int((slurm.folder / "slurmctld.pid").read_text()), signal.SIGKILL)
    time.sleep(20)
    assert asker.poll() is None
    subprocess.run(["slurmctld", "-f", slurm.folder / "slurm.conf"], check=True)
    assert asker.wait(1200) == 0, asker.stderr.read()
    assert len(rows(tmp_path / "out" / "table.csv")) == 6
