"""A sweep from the first point to the table: as long as one is open, workers are kept at work."""

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from divergence_lab import outputs
from divergence_lab.training.sweeps import claims, pools, working
from divergence_lab.training.sweeps.gathering import PointsFailed, gather
from divergence_lab.training.sweeps.points import Job, SweepError

CLUSTERS = ("auto", "slurm", "local", "none")
# So many workers in a row may end before they take up a point.
IDLE_ENDS = 5


def sweep(
    todo: Iterable[Job],
    folder: str | Path,
    *,
    cluster: str = "auto",
    workers: int = 2,
    device: str = "auto",
    hours: float = 24.0,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Run every job that is not done, and gather all results in `folder`/table.csv; its path.

    cluster: auto (Slurm where it is, else processes here), slurm, local, or none (this process, one
    after another).  Any number of sweeps may work on one folder: each job is run by one of them.  A
    job whose worker dies is taken up by the next, from its checkpoint.  What is wrong with a job is
    kept in `folder`/failed.csv and keeps no other from running; PointsFailed says so at the end.
    """
    folder, todo = Path(folder), list({job.name: job for job in todo}.values())
    claims.open_folder(folder)
    say = progress or _on_terminal
    waiting = [job for job in todo if not claims.renew(job, folder)]
    say(f"{len(todo) - len(waiting)} of {len(todo)} done before")
    if waiting and cluster == "none":
        _here(waiting, folder, device, say)
    elif waiting:
        pool = _pool(waiting, folder, cluster, device, hours)
        _attend(pool, waiting, folder, workers, say)
    table, failed = gather(todo, folder)
    if failed:
        name, why = next(iter(failed.items()))
        raise PointsFailed(
            f"{len(failed)} of {len(todo)} jobs failed; {folder / name}: {why}; all of them are in "
            f"{folder / 'failed.csv'}, the others in {table}"
        )
    return table


def _here(waiting: Sequence[Job], folder: Path, device: str, say: Callable[[str], None]) -> None:
    def tell() -> None:
        say(f"{len(waiting) - len(_open(waiting, folder))} of {len(waiting)} run")

    working.work(waiting, folder, device, tell)
    while left := _open(waiting, folder):
        say(f"waiting for {len(left)} that another process works on")
        time.sleep(1.0)
        working.work(waiting, folder, device, tell)


def _open(jobs: Sequence[Job], folder: Path) -> list[Job]:
    return [job for job in jobs if not claims.is_settled(job, folder)]


def _pool(
    waiting: Sequence[Job], folder: Path, cluster: str, device: str, hours: float
) -> pools.Pool:
    if cluster not in CLUSTERS:
        raise SweepError(f"cluster {cluster!r} is not known; use one of {', '.join(CLUSTERS)}")
    text = json.dumps([dict(job.settings) for job in waiting]).encode()
    points = folder.resolve() / "claims" / f"points-{hashlib.sha256(text).hexdigest()[:12]}.json"
    outputs.write_atomically(points, text)
    here = pools.is_slurm_here()
    if cluster == "slurm" and not here:
        raise SweepError("there is no Slurm here (sbatch is not found); use --cluster local")
    if cluster == "slurm" or (cluster == "auto" and here):
        words = pools.words(points, folder.resolve(), device, "alone")
        pool = pools.Slurm(words, folder.resolve(), max(1, round(60 * hours)))
        if pool.alive() is None:
            raise SweepError(
                "Slurm is here and does not answer (squeue); try again when it does, or use "
                "--cluster local"
            )
        print(
            f"jobs of Slurm are named {pool.name}: they go on when this ends, and the same sweep "
            f"again takes them up; scancel --name={pool.name} ends them",
            file=sys.stderr,
        )
        return pool
    return pools.Local(pools.words(points, folder.resolve(), device, "with its asker"), folder)


def _attend(
    pool: pools.Pool, waiting: Sequence[Job], folder: Path, wanted: int, say: Callable[[str], None]
) -> None:
    """Start a worker whenever there are fewer than wanted and a point that nobody works on."""
    started, before = 0, None
    try:
        while left := _open(waiting, folder):
            alive = pool.alive()
            now = len(left), sum(claims.begun_at(job, folder) for job in left)
            started, before = started if now == before else 0, now
            fewer = alive is not None and alive < min(wanted, len(left))
            if fewer and any(claims.is_free(job, folder) for job in left):
                if started >= wanted + IDLE_ENDS:
                    raise SweepError(f"workers end before they take up a point: {_last(folder)}")
                pool.start()
                started += 1
                continue
            say(_told(waiting, left, folder, alive))
            time.sleep(pool.pause)
    finally:
        pool.end()


def _told(waiting: Sequence[Job], left: Sequence[Job], folder: Path, alive: int | None) -> str:
    failed = sum(claims.failure(job, folder) is not None for job in waiting)
    at_work = "no answer from Slurm" if alive is None else f"{alive} at work"
    return f"{len(waiting) - len(left) - failed} of {len(waiting)} done, {failed} failed, {at_work}"


def _last(folder: Path) -> str:
    logs = sorted((folder / "logs").iterdir(), key=lambda log: log.stat().st_mtime)
    lines = logs[-1].read_text(errors="replace").split("\n") if logs else []
    told = [line for line in lines if line.strip()]
    return f"{logs[-1]}: {told[-1][:300]}" if told else f"see {folder / 'logs'}"


def _on_terminal(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{line}\033[K", end="", file=sys.stderr, flush=True)
