"""Many runs on many machines: each is known by the hash of its settings, done once, and resumed
if it was killed.
"""

import csv
import hashlib
import io
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from divergence_lab.graphs.texts import space_from_text
from divergence_lab.inputs import InputError, read_json
from divergence_lab.results import result, storage
from divergence_lab.theory.answers.questions import Unfinished, read
from divergence_lab.training import arguments, loop, schedule_texts

TEXTS = ("losses", "env")
ATTEMPTS = 3


class SweepError(InputError):
    """A sweep that cannot be run; the message says what to do."""


@dataclass(frozen=True)
class Job:
    """One call of `train`: `settings` are texts and numbers that JSON can hold; `name` is their
    hash.
    """

    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        written = json.dumps(self.settings, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(written.encode()).hexdigest()[:12]


def read_sweep(path: str | Path) -> list[Job]:
    """{"fixed": {setting: value}, "grid": {setting: [values]}} -> one job for every point of the
    grid.

    Settings: `losses` (a list of texts, as `train` on the command line takes them), `env`, and
    arguments of `train`.
    """
    try:
        content = read_json(path)
    except OSError as error:
        raise SweepError(f"{path} cannot be read ({error.strerror}); name a JSON file") from None
    except (ValueError, RecursionError) as error:
        raise SweepError(f"{path} is not JSON ({error})") from None
    if (
        not isinstance(content, dict)
        or set(content) - {"fixed", "grid"}
        or not all(isinstance(one, dict) for one in content.values())
    ):
        raise SweepError(
            f'{path}: write {{"fixed": {{...}}, "grid": {{"objective": ["tb", "db"], ...}}}}'
        )
    return jobs(content.get("fixed", {}), content.get("grid", {}))


def jobs(fixed: Mapping[str, Any], grid: Mapping[str, Sequence[Any]]) -> list[Job]:
    """Every point of the grid, in the order given.

    Raises SweepError for a setting that is not known.
    """
    for key in (*fixed, *grid):
        if key not in (*TEXTS, *arguments.IN_JSON):
            raise SweepError(
                f"the setting {key!r} is not known; use {', '.join((*TEXTS, *arguments.IN_JSON))}"
            )
    if bad := [key for key, values in grid.items() if not isinstance(values, list) or not values]:
        raise SweepError(f"grid: {bad[0]} is no list of values")
    points = [
        Job({**fixed, **dict(zip(grid, point, strict=True))})
        for point in itertools.product(*grid.values())
    ]
    for job in points:
        if missing := [key for key in TEXTS if key not in job.settings]:
            raise SweepError(f"the sweep names no {missing[0]}; add it to fixed or to grid")
        if not isinstance(job.settings["env"], str):
            raise SweepError(f'env is {job.settings["env"]!r}; give a text such as "hypergrid:2x8"')
        if not all(isinstance(text, str) for text in _list(job.settings["losses"])):
            raise SweepError(
                f'losses is {job.settings["losses"]!r}; give a list of texts such as ["quadratic"]'
            )
    return list(
        {job.name: job for job in points}.values()
    )  # a point that is given twice is run once


def is_done(job: Job, folder: Path) -> bool:
    """Its result is complete and can be read."""
    try:
        storage.load(folder / job.name)
    except storage.ResultError:
        return False
    return True


def run_job(settings: Mapping[str, Any], folder: str, device: str = "auto") -> None:
    """Run one job from wherever its last checkpoint left it; its folder is `folder`/name."""
    job = Job(settings)
    place = Path(folder) / job.name
    place.mkdir(parents=True, exist_ok=True)
    storage.write_atomically(
        place / "settings.json", (json.dumps(dict(settings), indent=1) + "\n").encode()
    )
    given = {key: value for key, value in settings.items() if key not in TEXTS}
    losses = schedule_texts.read_schedules(_list(settings["losses"]), _read)
    loop.train(
        losses,
        space_from_text(settings["env"]),
        device=device,
        out=place,
        resume=True,
        progress=False,
        **given,
    )


def _list(texts: str | Sequence[str]) -> list:
    return list(texts) if isinstance(texts, list | tuple) else [texts]


def _read(texts: Sequence[str]) -> dict[str, tuple[str, Any]]:
    losses = {}
    for text in texts:
        reading = read(text, [], {}, 10.0)
        if isinstance(reading, Unfinished):
            raise SweepError(f"{text}: {reading.because}; write it more simply")
        losses[text] = (reading.name, reading.loss)
    return losses


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
    after another). The first three need submitit.  A job whose worker dies is started again, and
    goes on from its checkpoint; after ATTEMPTS it is given up, and the SweepError at the end names
    it, when all others are done and gathered.
    """
    folder, todo = Path(folder), list({job.name: job for job in todo}.values())
    folder.mkdir(parents=True, exist_ok=True)
    say = progress or _on_terminal
    waiting = [job for job in todo if not is_done(job, folder)]
    say(f"{len(todo) - len(waiting)} of {len(todo)} done before")
    if cluster == "none":
        failed = _here(waiting, folder, device, say)
    else:
        failed = _workers(waiting, folder, cluster, workers, device, hours, say)
    table = gather([job for job in todo if is_done(job, folder)], folder)
    if failed:
        name, why = next(iter(failed.items()))
        raise SweepError(
            f"{len(failed)} of {len(todo)} jobs failed; {folder / name}: {why}; the "
            f"others are in {table}"
        )
    return table


def _here(
    waiting: list[Job], folder: Path, device: str, say: Callable[[str], None]
) -> dict[str, str]:
    failed = {}
    for number, job in enumerate(waiting, 1):
        try:
            run_job(job.settings, str(folder), device)
        except (
            ValueError,
            TypeError,
        ) as error:  # what is wrong with one job must not keep the others from running
            failed[job.name] = str(error)
        say(f"{number} of {len(waiting)} run")
    return failed


def _workers(
    waiting: list[Job],
    folder: Path,
    cluster: str,
    workers: int,
    device: str,
    hours: float,
    say: Callable[[str], None],
) -> dict[str, str]:
    executor = _executor(folder, cluster, hours)
    queue, running, attempts, failed, finished = list(waiting), {}, {}, {}, 0
    while queue or running:
        while queue and len(running) < workers:
            job = queue.pop(0)
            attempts[job.name] = attempts.get(job.name, 0) + 1
            running[job.name] = (
                job,
                executor.submit(run_job, dict(job.settings), str(folder), device),
            )
        for job, handle in list(running.values()):
            if not handle.done():
                continue
            del running[job.name]
            if is_done(job, folder):
                finished += 1
            elif attempts[job.name] < ATTEMPTS:
                queue.append(job)
            else:
                failed[job.name] = _why(handle)
        say(f"{finished} of {len(waiting)} done, {len(running)} running, {len(failed)} failed")
        time.sleep(0.2)
    return failed


def _executor(folder: Path, cluster: str, hours: float) -> Any:
    try:
        import submitit
    except ImportError as error:
        raise SweepError(
            "workers need submitit: pip install 'divergence-lab[cluster]'; or run here, "
            "one after another: --cluster none"
        ) from error
    executor = submitit.AutoExecutor(
        folder=folder / "logs", cluster=None if cluster == "auto" else cluster
    )
    executor.update_parameters(timeout_min=max(1, round(60 * hours)), name="divergence_lab")
    return executor


def _why(handle: Any) -> str:
    # submitit keeps what the worker raised as a text; a worker that was killed left none
    error = handle.exception()
    lines = str(error).strip().splitlines() if error is not None else []
    return lines[-1][:200] if lines else "its worker died"


def gather(done: Sequence[Job], folder: Path) -> Path:
    """One row for every member of every job: settings that differ, then what `train --json`
    says.
    """
    keys = [
        key
        for key in (*TEXTS, *arguments.IN_JSON)
        if len({json.dumps(job.settings.get(key)) for job in done}) > 1
    ]
    rows = []
    for job in done:
        place = {
            "job": job.name,
            **{key: json.dumps(job.settings.get(key)) for key in keys if key != "objective"},
        }
        rows += [{**place, **row} for row in result.runs(storage.load(folder / job.name))]
    path = folder / "table.csv"
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    storage.write_atomically(path, text.getvalue().encode())
    return path


def _on_terminal(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{line}\033[K", end="", file=sys.stderr, flush=True)
