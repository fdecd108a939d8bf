"""The results of a sweep in one table, and its failures in another."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from divergence_lab import outputs
from divergence_lab.results import result, storage
from divergence_lab.training import arguments
from divergence_lab.training.sweeps import claims
from divergence_lab.training.sweeps.points import TEXTS, Job, SweepError


class PointsFailed(SweepError):
    """Some points of a sweep failed; the others are gathered."""


def gather(todo: Sequence[Job], folder: Path) -> tuple[Path, dict[str, str]]:
    """(table.csv, why by name): one row for every member of every job, its settings as far as
    they differ, then what `train --json` says.

    failed.csv has a row for each job without a result.
    """
    keys = [
        key
        for key in (*TEXTS, *arguments.IN_JSON)
        if len({json.dumps(job.settings.get(key)) for job in todo}) > 1
    ]
    rows, failed = [], []
    for job in todo:
        place = {"job": job.name, **{key: json.dumps(job.settings.get(key)) for key in keys}}
        try:
            found = result.runs(storage.load(folder / job.name))
        except Exception as error:  # however it is damaged, it is named and the others are kept
            reason = claims.failure(job, folder) or f"{error}; sweep again"
            failed.append({**place, "reason": reason})
        else:
            rows += [{**place, **row} for row in found]
    _write(folder / "failed.csv", ["job", *keys, "reason"], failed)
    table = folder / "table.csv"
    _write(table, list(dict.fromkeys(key for row in rows for key in row)), rows)
    return table, {row["job"]: row["reason"] for row in failed}


def _write(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    outputs.write_atomically(path, text.getvalue().encode(errors="backslashreplace"))
