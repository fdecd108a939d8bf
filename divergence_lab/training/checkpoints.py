"""A run that was stopped goes on: one file with the tensors, the curves so far and the
configuration.
"""

import io
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from divergence_lab.inputs import InputError
from divergence_lab.results.storage import write_atomically
from divergence_lab.training.schedules import LossFunction, Schedule, losses_at

NAME = "checkpoint.pt"
PROBES = (-8.0, -1.0, -0.1, 0.1, 1.0, 8.0)  # residuals at which losses of one name are told apart
FRACTIONS = 21  # of the run, from its start to its end
SAME = 1e-5  # relative: another processor may round otherwise


class CheckpointError(InputError):
    """A checkpoint that cannot continue this run; the message names the difference and says what
    to do.
    """


def loss_values(
    losses: Mapping[str, LossFunction | Schedule],
    dtype: torch.dtype,
    device: str | torch.device = "cpu",
) -> dict[str, Tensor]:
    """g at PROBES, [FRACTIONS, 1, 6] or, of a loss that does not change, [1, 1, 6]: a name says
    not which loss it is.
    """
    residual = torch.tensor([PROBES], dtype=dtype, device=device)
    values = {}
    for name, loss in losses.items():
        there = losses_at(loss, [k / (FRACTIONS - 1) for k in range(FRACTIONS)])
        values[name] = torch.stack([one(residual).detach().cpu() for one in there])
    return values


def write(
    folder: Path,
    config: Mapping[str, Any],
    losses: Mapping[str, Tensor],
    step: int,
    seconds: float,
    tensors: Mapping[str, Tensor],
) -> None:
    """checkpoint.pt, whole or not at all: tensors, what was asked for, the losses at PROBES."""
    content = {
        "config": json.dumps(config),
        "losses": dict(losses),
        "step": step,
        "seconds": seconds,
        "tensors": dict(tensors),
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(folder / NAME, buffer.getvalue())


def read(
    folder: Path, config: Mapping[str, Any], losses: Mapping[str, Tensor]
) -> tuple[int, float, dict[str, Tensor]] | None:
    """(step, seconds so far, tensors on the CPU), or None where no checkpoint has been written
    yet.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        saved = json.loads(content["config"])
        step, seconds, tensors = content["step"], content["seconds"], content["tensors"]
        of_saved = content.get("losses", losses)  # older runs go on
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
                f"{path} is of another run: {key} is {saved.get(key)!r} there and "
                f"{wanted.get(key)!r} here; "
                "ask for the same run, or choose another folder"
            )
    for name, values in losses.items():
        there = of_saved.get(name, values[:0])
        if there.shape != values.shape or not torch.allclose(
            there, values, rtol=SAME, atol=0.0, equal_nan=True
        ):
            raise CheckpointError(
                f"{path} is of another run: the loss {name!r} has other values there; "
                "ask for the same run, or choose "
                "another folder"
            )
    return step, seconds, tensors


def must_match(folder: Path, saved: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """CheckpointError unless both hold tensors of the same names and shapes: another version may
    have kept others.
    """
    of_saved, of_wanted = (
        {key: tuple(one.shape) for key, one in kept.items()} for kept in (saved, wanted)
    )
    for name in dict.fromkeys([*of_wanted, *of_saved]):
        if of_saved.get(name) != of_wanted.get(name):
            raise CheckpointError(
                f"{folder / NAME} was written by another version of this package "
                f"({name!r} does not match); "
                "go on with that version, or choose another folder"
            )
