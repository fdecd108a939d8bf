"""Who works on a point of a sweep, how often it was begun, and what became of it: files in the
sweep's folder.

    NAME/                 the run, and the settings that its name is the hash of
    claims/NAME.lock      locked by the process that works on it; the system takes the lock away
                          when that process ends, however it ends
    claims/NAME.starts    a line for each time that it was begun since its newest checkpoint
    claims/NAME.failed    why it failed

Whoever holds no lock changes nothing of a point.
"""

import contextlib
import itertools
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from divergence_lab import outputs
from divergence_lab.results import storage
from divergence_lab.training import checkpoints
from divergence_lab.training.sweeps.points import Job, SweepError

STARTS = 5


def open_folder(folder: Path) -> None:
    """Make the folder of a sweep, where there is none. Raises SweepError where it can't be."""
    try:
        (folder / "claims").mkdir(parents=True, exist_ok=True)
        (folder / "logs").mkdir(exist_ok=True)
    except OSError as error:
        raise SweepError(
            f"out {str(folder)!r} is not a folder that can be written ({error.strerror}); "
            "choose another"
        ) from None


@contextlib.contextmanager
def claim(job: Job, folder: Path) -> Iterator[bool]:
    """Is this point ours, for as long as the block lasts? False where somebody else has it."""
    lock = FileLock(_file(job, folder, "lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    except (OSError, NotImplementedError) as error:
        raise SweepError(
            f"{folder}: no file can be locked there ({error}), and without a lock a point might be "
            "run twice; choose a folder on another file system"
        ) from None
    try:
        yield True
    finally:
        lock.release()


def is_free(job: Job, folder: Path) -> bool:
    """Does nobody work on it?"""
    with claim(job, folder) as ours:
        return ours


def is_done(job: Job, folder: Path) -> bool:
    """Its result is complete and can be read."""
    try:
        storage.load(folder / job.name)
    except Exception:  # however a result is damaged, its point is run again
        return False
    return True


def is_settled(job: Job, folder: Path) -> bool:
    """Has it ended, with a result or without?"""
    return (folder / job.name / "config.json").exists() or failure(job, folder) is not None


def failure(job: Job, folder: Path) -> str | None:
    """Why it failed, if it did."""
    try:
        return _file(job, folder, "failed").read_text(errors="replace").strip()
    except FileNotFoundError:
        return None


def fail(job: Job, folder: Path, reason: str) -> None:
    """It failed for this reason: nobody begins it again in this sweep."""
    line = " ".join(reason.split())[:500] or "for no reason that was told"
    line = "".join(sign if sign.isprintable() else "\ufffd" for sign in line)
    outputs.write_atomically(
        _file(job, folder, "failed"), f"{line}\n".encode(errors="backslashreplace")
    )


def renew(job: Job, folder: Path) -> bool:
    """Is it done? If not, what failed before may be tried again, and what is damaged is no
    result.
    """
    if is_done(job, folder):
        return True
    with claim(job, folder) as ours:
        if ours and is_settled(job, folder) and not is_done(job, folder):
            try:
                storage.start_over(folder / job.name)
            except OSError:  # a folder in place of a file, say
                set_aside(job, folder)
            for what in ("failed", "starts"):
                _file(job, folder, what).unlink(missing_ok=True)
    return False


def set_aside(job: Job, folder: Path) -> Path:
    """Where its run is kept from now on: the point begins again."""
    names = (folder / f"{job.name}.damaged-{number}" for number in itertools.count())
    return (folder / job.name).rename(next(name for name in names if not name.exists()))


def begin(job: Job, folder: Path) -> bool:
    """Note that it begins; False where it has begun STARTS times and never come to a newer
    checkpoint.
    """
    checkpoint = folder / job.name / checkpoints.NAME
    state = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
    same = [line for line in _starts(job, folder) if line.split()[:1] == [str(state)]]
    if len(same) >= STARTS:
        return False
    same.append(f"{state} on {platform.node()}, process {os.getpid()}")
    outputs.write_atomically(_file(job, folder, "starts"), "\n".join(same).encode())
    return True


def starts(job: Job, folder: Path) -> int:
    """How often it was begun since its newest checkpoint."""
    return len(_starts(job, folder))


def begun_at(job: Job, folder: Path) -> int:
    """When it was begun last: the time of the note, 0 for never."""
    try:
        return _file(job, folder, "starts").stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _starts(job: Job, folder: Path) -> list[str]:
    try:
        return _file(job, folder, "starts").read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _file(job: Job, folder: Path, kind: str) -> Path:
    return folder / "claims" / f"{job.name}.{kind}"
