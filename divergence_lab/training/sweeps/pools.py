"""Worker processes of a sweep: on this machine, or as jobs of Slurm."""

import contextlib
import hashlib
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from divergence_lab.theory.budget import programs
from divergence_lab.training.sweeps import worker
from divergence_lab.training.sweeps.points import SweepError

# Slurm asks a job so long before its time is over to write a checkpoint.
NOTICE_SECONDS = 60


class Pool(Protocol):
    """Workers on one sweep."""

    pause: float  # seconds between two looks

    def alive(self) -> int | None:
        """How many work or wait for a place to; None where that can't be known now."""
        ...

    def start(self) -> None:
        """One more."""
        ...

    def end(self) -> None:
        """No more are wanted."""
        ...


def words(points: Path, folder: Path, device: str, lives: str) -> list[str]:
    """What starts a worker."""
    return programs.command(worker.__name__, "main", str(points), str(folder), device, lives)


@dataclass
class Local:
    """Processes of this machine, which end with this one."""

    words: Sequence[str]
    folder: Path
    processes: list[subprocess.Popen] = field(default_factory=list)
    pause: float = 0.2

    def alive(self) -> int:
        self.processes = [process for process in self.processes if process.poll() is None]
        return len(self.processes)

    def start(self) -> None:
        log = self.folder / "logs" / f"worker-{os.getpid()}-{time.time_ns()}.txt"
        with log.open("wb") as out:
            started = subprocess.Popen(
                self.words,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the asker, who ends them
                env=programs.environment(),
            )
        self.processes.append(started)

    def end(self) -> None:
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.close()  # which tells it to end
        for process in self.processes:
            process.wait()


@dataclass
class Slurm:
    """Jobs of Slurm, known by their name: they outlive this process, and another one that asks
    for the same sweep counts them as its own.
    """

    words: Sequence[str]
    folder: Path
    minutes: int
    ours: list[str] = field(default_factory=list)
    pause: float = 2.0

    @property
    def name(self) -> str:
        digest = hashlib.sha256(str(self.folder.resolve()).encode()).hexdigest()
        return f"divergence_lab-{digest[:8]}"

    def alive(self) -> int | None:
        try:
            return len(self._listed("--format=%i"))
        except (OSError, subprocess.SubprocessError):  # a controller that is down comes back
            return None

    def start(self) -> None:
        script = f"#!/bin/sh\nexec {shlex.join(self.words)}\n"
        done = subprocess.run(
            ["sbatch", "--parsable", *self._options()],
            input=script,
            env=programs.environment(),
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SweepError(f"Slurm takes no job: {' '.join(done.stderr.split())[:300]}")
        self.ours.append(done.stdout.strip().split(";")[0])

    def _options(self) -> list[str]:
        logs = self.folder.resolve() / "logs"
        return [
            f"--job-name={self.name}",
            f"--time={self.minutes}",
            f"--signal=B:TERM@{NOTICE_SECONDS}",
            f"--chdir={self.folder.resolve()}",
            f"--output={logs}/slurm-%j.txt",
            "--open-mode=append",
            "--requeue",
        ]

    def end(self) -> None:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            waiting = {*self._listed("--format=%i", "--states=PENDING")} & {*self.ours}
            if waiting:
                subprocess.run(["scancel", *waiting], capture_output=True, timeout=60)

    def _listed(self, *options: str) -> list[str]:
        who = ["squeue", "--noheader", f"--user={os.getuid()}", f"--name={self.name}"]
        return subprocess.run(
            [*who, *options], capture_output=True, text=True, timeout=60, check=True
        ).stdout.split()


def is_slurm_here() -> bool:
    """Can jobs be given to Slurm from here?"""
    return shutil.which("sbatch") is not None
