"""A run that was stopped goes on: one file with the tensors, the curves so far and the configuration."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from divergence_lab.results import write_atomically

NAME = "checkpoint.pt"


class CheckpointError(ValueError):
    """A checkpoint that cannot continue this run; the message names the difference and says what to do."""


def write(
    folder: Path, config: Mapping[str, Any], step: int, seconds: float, tensors: Mapping[str, Tensor]
) -> None:
    content = {"config": json.dumps(config), "step": step, "seconds": seconds, "tensors": dict(tensors)}
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(folder / NAME, buffer.getvalue())


def read(folder: Path, config: Mapping[str, Any]) -> tuple[int, float, dict[str, Tensor]] | None:
    """(step, seconds so far, tensors on the CPU), or None where no checkpoint has been written yet."""
    path = folder / NAME
    if not path.exists():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        saved = json.loads(content["config"])
        step, seconds, tensors = content["step"], content["seconds"], content["tensors"]
    except (
        OSError,
        RuntimeError,
        EOFError,
        KeyError,
        TypeError,
        ValueError,
        pickle.UnpicklingError,
    ) as error:
        raise CheckpointError(f"{path} cannot be read; remove it and start afresh") from error
    wanted = json.loads(json.dumps(config))
    for key in dict.fromkeys([*wanted, *saved]):
        if saved.get(key) != wanted.get(key):
            raise CheckpointError(
                f"{path} is of another run: {key} is {saved.get(key)!r} there and {wanted.get(key)!r} here; "
                "ask for the same run, or choose another folder"
            )
    return step, seconds, tensors


def must_match(folder: Path, saved: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """CheckpointError unless both hold tensors of the same names and shapes: another version may have kept others."""
    of_saved, of_wanted = ({key: tuple(one.shape) for key, one in kept.items()} for kept in (saved, wanted))
    for name in dict.fromkeys([*of_wanted, *of_saved]):
        if of_saved.get(name) != of_wanted.get(name):
            raise CheckpointError(
                f"{folder / NAME} was written by another version of this package ({name!r} does not match); "
                "go on with that version, or choose another folder"
            )
