"""What a worker does: it takes one free point after another until none is left to take."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from divergence_lab import outputs
from divergence_lab.graphs.texts import space_from_text
from divergence_lab.inputs import InputError, read_json
from divergence_lab.theory.answers.questions import Unfinished, read
from divergence_lab.training import checkpoints, loop, schedule_texts
from divergence_lab.training.sweeps import claims
from divergence_lab.training.sweeps.points import TEXTS, Job, SweepError, as_list


def work(
    todo: Sequence[Job], folder: Path, device: str, after: Callable[[], None] = lambda: None
) -> None:
    """Run every point that nobody else has, those that were begun least often first; `after` is
    called after each.
    """
    took = True
    while took:
        left = [job for job in todo if not claims.is_settled(job, folder)]
        took = False
        for job in sorted(left, key=lambda job: claims.starts(job, folder)):
            if _take(job, folder, device):
                took = True
                after()


def _take(job: Job, folder: Path, device: str) -> bool:
    with claims.claim(job, folder) as ours:
        if not ours or claims.is_settled(job, folder):
            return False
        if not claims.begin(job, folder):
            killed = f"killed {claims.STARTS} times before it came to a newer checkpoint"
            claims.fail(job, folder, f"{killed}, most likely for want of memory")
            return True
        try:
            _run(job, folder, device)
        except InputError as error:
            claims.fail(job, folder, str(error))
        except Exception as error:  # what is wrong with one keeps no other from running
            claims.fail(job, folder, f"{type(error).__name__}: {error}")
        return True


def _run(job: Job, folder: Path, device: str) -> None:
    try:
        run_job(job.settings, str(folder), device)
    except checkpoints.CheckpointError as error:  # nothing to go on from: set aside, from the start
        aside = claims.set_aside(job, folder)
        print(f"{error}; it is kept in {aside}, and {job.name} begins again", flush=True)
        run_job(job.settings, str(folder), device)


def run_job(settings: Mapping[str, Any], folder: str, device: str = "auto") -> None:
    """Run one job from wherever its last checkpoint left it; its folder is `folder`/name."""
    place = Path(folder) / Job(settings).name
    place.mkdir(parents=True, exist_ok=True)
    outputs.write_atomically(
        place / "settings.json", (json.dumps(dict(settings), indent=1) + "\n").encode()
    )
    given = {key: value for key, value in settings.items() if key not in TEXTS}
    loop.train(
        schedule_texts.read_schedules(as_list(settings["losses"]), _read),
        space_from_text(settings["env"]),
        device=device,
        out=place,
        resume=True,
        progress=False,
        **given,
    )


def _read(texts: Sequence[str]) -> dict[str, tuple[str, Any]]:
    losses = {}
    for text in texts:
        reading = read(text, [], {}, 10.0)
        if isinstance(reading, Unfinished):
            raise SweepError(f"{text}: {reading.because}; write it more simply")
        losses[text] = (reading.name, reading.loss)
    return losses


def work_on_file(points: str, folder: str, device: str) -> None:
    """As `work`; the settings of the jobs are in the file `points`."""
    work([Job(settings) for settings in read_json(points)], Path(folder), device)
