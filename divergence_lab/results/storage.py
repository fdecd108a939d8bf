"""A result on disk: every file whole or not at all, and read back number for number."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from divergence_lab.inputs import InputError, kind_of
from divergence_lab.outputs import (
    SEAL,
    folder_named,
    held,
    must_be_free,
    read_sealed,
    write_atomically,
    write_sealed,
)
from divergence_lab.results.result import METRICS, SAMPLED_METRICS, WINDOW_METRICS, Result

FILES = ("metrics.csv", "terminal.npz", "environment.json", "config.json")
WRITTEN = (*FILES, SEAL)


class ResultError(InputError):
    """A folder that holds no readable result; the message names the file and says what to do."""


def start_over(folder: Path) -> None:
    """Take away the marks of a finished run: until the new one is whole, `load` refuses the
    folder.
    """
    for name in ("config.json", SEAL):
        (folder / name).unlink(missing_ok=True)


def write_metrics(
    folder: Path, config: Mapping[str, Any], steps: np.ndarray, metrics: Mapping[str, np.ndarray]
) -> None:
    """metrics.csv with the steps evaluated so far, in long format: whole or not at all."""
    write_atomically(folder / "metrics.csv", _table([(config, steps, metrics)]))


def _table(parts: list[tuple[Mapping[str, Any], np.ndarray, Mapping[str, np.ndarray]]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["objective", "loss", "seed", "step", "metric", "value", "learning_rate"])
    for config, steps, metrics in parts:
        rows = list(zip(config["losses"], config["learning_rates"], strict=True))
        for name, values in metrics.items():
            for row, (loss, rate) in enumerate(rows):
                for column, seed in enumerate(config["seeds"]):
                    curve = zip(steps.tolist(), values[row, column].tolist(), strict=False)
                    writer.writerows(
                        (config["objective"], loss, seed, step, name, value, rate)
                        for step, value in curve
                    )
    return text.getvalue().encode()


def save(result: Result, folder: str | Path, *, overwrite: bool = False) -> None:
    """metrics.csv (long format), terminal.npz, environment.json, the checksums of all files, and,
    last, config.json; each whole or not at all.

    The folder is made where there is none. Raises OutputError where it can't be written, is in use,
    or holds such files already; `overwrite` replaces them.

        >>> import tempfile, divergence_lab as dl
        >>> half_square = {"half square": lambda x: x**2 / 2}
        >>> result = dl.train(half_square, dl.hypergrid(2, 3), seeds=1, steps=5, exact=True)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     dl.save(result, folder)
        ...     bool((dl.load(folder).terminal == result.terminal).all())
        True
    """
    folder = folder_named(folder)
    if not isinstance(result, Result):
        raise ResultError(f"save takes what train returns, not {kind_of(result)}")
    with held(folder, WRITTEN):
        if not overwrite:
            must_be_free(folder, WRITTEN)
        write(result, folder)


def write(result: Result, folder: Path) -> None:
    """As `save`, into a folder that is held already."""
    arrays = {
        "terminal": result.terminal,
        "target": result.target,
        "terminal_states": result.terminal_states,
        "coordinates": result.coordinates,
        "finite": result.finite,
        "moved": result.moved,
        "log_z_true": None if result.log_z_true is None else np.array(result.log_z_true),
    }
    packed = io.BytesIO()
    np.savez_compressed(
        packed, **{key: array for key, array in arrays.items() if array is not None}
    )
    speed = {"seconds": result.seconds, "trajectories_per_second": result.trajectories_per_second}
    files = (
        _table([(result.config, result.steps, result.metrics)]),
        packed.getvalue(),
        _json({**result.environment, **speed}),
        _json(result.config),
    )
    write_sealed(folder, dict(zip(FILES, files, strict=True)))


def save_all(results: Sequence[Result], folder: str | Path, *, overwrite: bool = False) -> None:
    """Several objectives: each whole in a folder of its own name, and the same files for all of
    them above; `overwrite` as in `save`.

    There, terminal.npz holds the learned laws as terminal [O, L, N, X] and config.json one entry an
    objective.

        >>> import os, tempfile, divergence_lab as dl
        >>> half_square, given = {"half square": lambda x: x**2 / 2}, {"seeds": 1, "steps": 5}
        >>> results = [
        ...     dl.train(half_square, dl.hypergrid(2, 3), objective=objective, exact=True, **given)
        ...     for objective in ("tb", "db")
        ... ]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_all(results, folder)
        ...     print(*sorted(os.listdir(folder)))
        checksums.json config.json db environment.json metrics.csv tb terminal.npz
    """
    folder = folder_named(folder)
    with held(folder, WRITTEN):
        if not overwrite:
            must_be_free(folder, WRITTEN)
        for result in results:
            save(result, folder / result.objective, overwrite=overwrite)
        write_together(results, folder)


def write_together(results: Sequence[Result], folder: Path) -> None:
    """The files of `save_all` for all objectives, into a folder that is held already."""
    first = results[0]
    arrays: dict[str, Any] = {"objectives": np.array([one.objective for one in results])}
    if first.terminal is not None:
        arrays |= {
            "terminal": np.stack([np.asarray(one.terminal) for one in results]),
            "target": first.target,
            "terminal_states": first.terminal_states,
        }
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    seconds = sum(one.seconds for one in results)
    files = (
        _table([(one.config, one.steps, one.metrics) for one in results]),
        packed.getvalue(),
        _json({**first.environment, "seconds": seconds}),
        _json({one.objective: dict(one.config) for one in results}),
    )
    write_sealed(folder, dict(zip(FILES, files, strict=True)))


def load(folder: str | Path) -> Result:
    """The Result that `save` wrote to the folder, or `train(..., out=folder)`, number for number.

    Raises ResultError with one line where the folder holds none, or one that is not whole.

        >>> import divergence_lab as dl
        >>> try:
        ...     dl.load("no/such/folder")
        ... except ValueError as error:
        ...     print(type(error).__name__)
        ResultError
    """
    folder = folder_named(folder)
    try:
        files = read_sealed(folder, FILES)
        config = json.loads(files["config.json"])
        environment = json.loads(files["environment.json"])
        with np.load(io.BytesIO(files["terminal.npz"]), allow_pickle=False) as packed:
            arrays = dict(packed)
        steps, values = _read_metrics(files["metrics.csv"].decode(), config)
        log_z_true = arrays.get("log_z_true")
        return Result(
            losses=tuple(config["losses"]),
            learning_rates=tuple(config["learning_rates"]),
            seeds=tuple(config["seeds"]),
            steps=steps,
            metrics=values,
            terminal=arrays.get("terminal"),
            target=arrays.get("target"),
            terminal_states=arrays.get("terminal_states"),
            coordinates=arrays.get("coordinates"),
            log_z_true=None if log_z_true is None else float(log_z_true),
            finite=arrays["finite"],
            moved=arrays.get("moved", np.ones_like(arrays["finite"])),  # older runs did not say
            config=config,
            seconds=environment.pop("seconds"),
            trajectories_per_second=environment.pop("trajectories_per_second"),
            environment=environment,
        )
    except Exception as error:  # whatever it is that cannot be read: it is no result
        why = str(error)
        if (folder / "config.json").exists() and not (folder / SEAL).exists():
            why = f"no {SEAL} is there: an earlier version of this package wrote none"
        raise ResultError(
            f"{folder} holds no complete result ({why}); train with this folder first"
        ) from None


def _read_metrics(text: str, config: Mapping[str, Any]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    row_keys = list(zip(config["losses"], map(str, config["learning_rates"]), strict=True))
    steps = sorted({int(row["step"]) for row in rows})
    shape = (len(row_keys), len(config["seeds"]), len(steps))
    values = {name: np.full(shape, np.nan) for name in dict.fromkeys(row["metric"] for row in rows)}
    complete = steps[-1:] == [config["steps"]] and set(values) in (
        set(METRICS),
        set(WINDOW_METRICS),
        set(SAMPLED_METRICS),
    )
    if not complete or len(rows) != len(values) * math.prod(shape):
        raise ValueError("metrics.csv is incomplete")
    where = [
        {key: place for place, key in enumerate(keys)}
        for keys in (row_keys, config["seeds"], steps)
    ]
    for row in rows:
        loss = where[0][row["loss"], row["learning_rate"]]
        values[row["metric"]][loss, where[1][int(row["seed"])], where[2][int(row["step"])]] = float(
            row["value"]
        )
    return np.array(steps), values


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(dict(content), indent=2) + "\n").encode()
