"""The points of a sweep: from a file, or as Python's dictionaries, to jobs that are known by their
settings.
"""

import hashlib
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from divergence_lab.inputs import InputError, did_you_mean, read_json
from divergence_lab.training import arguments

TEXTS = ("losses", "env")
MOST = 100_000  # points of one grid: each is a folder


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
    except InputError as error:
        raise SweepError(f"{error}; name a JSON file") from None
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

    Raises SweepError for a setting that is not known, and for more than MOST points before they
    are listed.
    """
    for key in (*fixed, *grid):
        if key not in (*TEXTS, *arguments.IN_JSON):
            names = (*TEXTS, *arguments.IN_JSON)
            said = did_you_mean(key, names) or f"; use {', '.join(names)}"
            raise SweepError(f"the setting {key!r} is not known{said}")
    if bad := [key for key, values in grid.items() if not isinstance(values, list) or not values]:
        raise SweepError(f"grid: {bad[0]} is not a list of values")
    if (count := math.prod(map(len, grid.values()))) > MOST:
        raise SweepError(
            f"the grid has {_rounded(count)} points, more than {MOST:,}: leave some values out, or "
            "split it into several files"
        )
    points = [
        Job({**fixed, **dict(zip(grid, point, strict=True))})
        for point in itertools.product(*grid.values())
    ]
    for job in points:
        if missing := [key for key in TEXTS if key not in job.settings]:
            raise SweepError(f"the sweep names no {missing[0]}; add it to fixed or to grid")
        if not isinstance(job.settings["env"], str):
            raise SweepError(f'env is {job.settings["env"]!r}; give a text such as "hypergrid:2x8"')
        if not all(isinstance(text, str) for text in as_list(job.settings["losses"])):
            raise SweepError(
                f'losses is {job.settings["losses"]!r}; give a list of texts such as ["quadratic"]'
            )
    return list(
        {job.name: job for job in points}.values()
    )  # a point that is given twice is run once


def as_list(texts: str | Sequence[str]) -> list:
    """One text, or several, as a list."""
    return list(texts) if isinstance(texts, list | tuple) else [texts]


def _rounded(count: int) -> str:
    return f"{count:,}" if count < 10**15 else f"about 10^{len(str(count)) - 1}"
