"""What a training run leaves: frozen arrays, its configuration and its provenance; save and load."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import platform
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zipfile import BadZipFile

import numpy as np
import scipy
import torch

from divergence_lab import metrics as divergences

METRICS = ("tv", "kl_forward", "kl_reverse", "log_z", "modes_found")


class ResultError(ValueError):
    """A folder that holds no readable result; the message names the file and says what to do."""


@dataclass(frozen=True, eq=False)
class Result:
    """L losses x N seeds, trained together; the letter K counts the evaluated steps.

    `metrics[name]` [L, N, K] for the names in METRICS; `terminal` [L, N, X]: the exact learned law at the
    end; `target` [X]; `log_z` [L, N] learned; `modes_found` [L, N]; `finite` [L, N]: every gradient and every
    metric of the run was finite, except divergences that are truly infinite.  `terminal_states` [X] are state
    numbers of the graph, `coordinates` [X, D] theirs on a hyper-grid (else None).
    """

    losses: tuple[str, ...]
    seeds: tuple[int, ...]
    steps: np.ndarray
    metrics: Mapping[str, np.ndarray]
    terminal: np.ndarray
    target: np.ndarray
    terminal_states: np.ndarray
    coordinates: np.ndarray | None
    log_z_true: float
    finite: np.ndarray
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    seconds: float
    trajectories_per_second: float

    def __post_init__(self) -> None:
        arrays = [self.steps, self.terminal, self.target, self.terminal_states, self.coordinates, self.finite]
        for array in [*arrays, *self.metrics.values()]:
            if array is not None:
                array.setflags(write=False)
        for name in ("metrics", "config", "environment"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    @property
    def objective(self) -> str:
        return self.config["objective"]

    @property
    def log_z(self) -> np.ndarray:
        return self.metrics["log_z"][..., -1]

    @property
    def modes_found(self) -> np.ndarray:
        return self.metrics["modes_found"][..., -1].astype(np.int64)


def runs(result: Result) -> list[dict[str, Any]]:
    """One record per (loss, seed), with the keys of `train --json`."""
    return [
        {
            "objective": result.objective,
            "loss": loss,
            "seed": seed,
            "steps": int(result.steps[-1]),
            "tv": float(result.metrics["tv"][row, column, -1]),
            "kl_forward": float(result.metrics["kl_forward"][row, column, -1]),
            "kl_reverse": float(result.metrics["kl_reverse"][row, column, -1]),
            "log_z": float(result.log_z[row, column]),
            "log_z_true": result.log_z_true,
            "modes_found": int(result.modes_found[row, column]),
            "finite": bool(result.finite[row, column]),
        }
        for row, loss in enumerate(result.losses)
        for column, seed in enumerate(result.seeds)
    ]


def law_metrics(terminal: np.ndarray, target: np.ndarray) -> dict[str, np.ndarray]:
    """tv, kl_forward = KL(target||terminal) and kl_reverse = KL(terminal||target): [.., X] -> [..]."""
    return {
        "tv": divergences.total_variation(terminal, target),
        "kl_forward": divergences.kl(target, terminal),
        "kl_reverse": divergences.kl(terminal, target),
    }


def save(result: Result, folder: str | Path) -> None:
    """config.json, metrics.csv (long format), terminal.npz, environment.json; each whole or not at all."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["objective", "loss", "seed", "step", "metric", "value"])
    for name, values in result.metrics.items():
        for row, loss in enumerate(result.losses):
            for column, seed in enumerate(result.seeds):
                curve = values[row, column].tolist()
                run = (result.objective, loss, seed)
                writer.writerows(
                    (*run, step, name, v) for step, v in zip(result.steps.tolist(), curve, strict=True)
                )
    arrays = {
        "terminal": result.terminal,
        "target": result.target,
        "terminal_states": result.terminal_states,
        "finite": result.finite,
        "log_z_true": np.array(result.log_z_true),
    }
    if result.coordinates is not None:
        arrays["coordinates"] = result.coordinates
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    speed = {"seconds": result.seconds, "trajectories_per_second": result.trajectories_per_second}
    write_atomically(folder / "metrics.csv", table.getvalue().encode())
    write_atomically(folder / "terminal.npz", packed.getvalue())
    write_atomically(folder / "environment.json", _json({**result.environment, **speed}))
    write_atomically(folder / "config.json", _json(result.config))


def load(folder: str | Path) -> Result:
    """The Result that `save` wrote, number for number."""
    folder = Path(folder)
    try:
        config = json.loads((folder / "config.json").read_text())
        environment = json.loads((folder / "environment.json").read_text())
        with np.load(folder / "terminal.npz", allow_pickle=False) as packed:
            arrays = dict(packed)
        with open(folder / "metrics.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        losses, seeds = tuple(config["losses"]), tuple(config["seeds"])
        steps = sorted({int(row["step"]) for row in rows})
        shape = (len(losses), len(seeds), len(steps))
        values = {name: np.full(shape, np.nan) for name in dict.fromkeys(row["metric"] for row in rows)}
        if set(values) != set(METRICS) or len(rows) != len(METRICS) * math.prod(shape):
            raise ValueError("metrics.csv is incomplete")
        where = [{key: place for place, key in enumerate(keys)} for keys in (losses, seeds, steps)]
        for row in rows:
            place = where[0][row["loss"]], where[1][int(row["seed"])], where[2][int(row["step"])]
            values[row["metric"]][place] = float(row["value"])
        return Result(
            losses=losses,
            seeds=seeds,
            steps=np.array(steps),
            metrics=values,
            terminal=arrays["terminal"],
            target=arrays["target"],
            terminal_states=arrays["terminal_states"],
            coordinates=arrays.get("coordinates"),
            log_z_true=float(arrays["log_z_true"]),
            finite=arrays["finite"],
            config=config,
            seconds=environment.pop("seconds"),
            trajectories_per_second=environment.pop("trajectories_per_second"),
            environment=environment,
        )
    except (OSError, KeyError, ValueError, EOFError, BadZipFile) as error:
        raise ResultError(
            f"{folder} holds no complete result ({error}); train with this folder first"
        ) from error


def environment(device: torch.device) -> dict[str, Any]:
    """Versions, device and commit, as far as they are known."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu"
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "platform": platform.platform(),
        "device": device.type,
        "device_name": name,
        "threads": torch.get_num_threads(),
        "commit": _commit(),
    }


def _commit() -> str | None:
    here = Path(__file__).resolve().parent
    try:
        found = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(dict(content), indent=2) + "\n").encode()


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside the file, then rename over it: a crash leaves the old file or the new one."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
