"""A run that was stopped goes on: one file with the tensors, the curves so far and the
configuration, and beside it the one before.

    divergence_lab checkpoint 1 (bytes of all that follows) (their BLAKE2b)
    {"config": .., "step": .., "seconds": .., "tensors": [[name, dtype, shape], ..]}
    the bytes of the tensors, one after the other

Nothing is looked at before the checksum holds, and nothing in the file can be run.
"""

import json
import math
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from divergence_lab.inputs import InputError
from divergence_lab.outputs import DamagedError, checksum, open_regular, write_atomically
from divergence_lab.training.schedules import LossFunction, Schedule, losses_at

NAME, BEFORE = "checkpoint.pt", "checkpoint.before.pt"
WRITTEN = (NAME, BEFORE)
OF_LOSS = "loss "  # before the name of a loss, its values at PROBES
ELSE = "ask for the same run, choose another folder, or replace it with --overwrite"
FIRST = "divergence_lab checkpoint 1 {} {}\n"
FIRST_LINE = re.compile(FIRST.format(r"(\d{1,18})", "([0-9a-f]{128})").encode())
# residuals at which losses of one name are told apart: eight to a power of ten, to beyond all clips
PROBES = tuple(sign * 10.0 ** (k / 8) for sign in (-1, 1) for k in range(-8, 25))
FRACTIONS = 201  # of the run, from its start to its end
SAME = 1e-5  # relative: another processor may round otherwise


class CheckpointError(InputError):
    """A checkpoint that cannot continue this run; the message names the difference and says what
    to do.
    """


class DamagedCheckpoint(UserWarning):
    """The newest checkpoint is damaged, and the run goes on from the one before."""


def loss_values(
    losses: Mapping[str, LossFunction | Schedule],
    dtype: torch.dtype,
    device: str | torch.device = "cpu",
) -> dict[str, Tensor]:
    """g at PROBES, [FRACTIONS, 1, P] or, of a loss that does not change, [1, 1, P]: a name says
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
    """checkpoint.pt, whole or not at all: tensors, what was asked for, the losses at PROBES; what
    was there before stays beside it.
    """
    named = {**{f"{OF_LOSS}{name}": values for name, values in losses.items()}, **tensors}
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in named.items()}
    header = {
        "config": dict(config),
        "step": step,
        "seconds": seconds,
        "tensors": [[name, array.dtype.str, array.shape] for name, array in arrays.items()],
    }
    flat = [np.ascontiguousarray(array).reshape(-1) for array in arrays.values()]
    parts = [json.dumps(header).encode() + b"\n", *(array.data for array in flat)]
    size = len(parts[0]) + sum(array.nbytes for array in flat)
    first = FIRST.format(size, checksum(*parts)).encode()
    write_atomically(folder / NAME, first, *parts, keep=folder / BEFORE)


def read_file(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(header, tensors on the CPU) of one checkpoint.

    Raises DamagedError where anything in it is not as it was written.
    """
    try:
        with open_regular(path) as file:
            first = file.readline(300)
            if (found := FIRST_LINE.fullmatch(first)) is None:
                old = first.startswith(b"PK")
                raise DamagedError(
                    f"{path} was written by an earlier version of this package, without a checksum"
                    if old
                    else f"{path} is damaged, or no checkpoint"
                )
            if int(found[1]) != os.fstat(file.fileno()).st_size - len(first):
                raise DamagedError(f"{path} is damaged: it has another length than was written")
            content = file.read(int(found[1]))
        if checksum(content) != found[2].decode():
            raise DamagedError(f"{path} is damaged: its checksum differs")
        return _content(content)
    except DamagedError:
        raise
    except Exception as error:  # it is there and can't be read, whatever the reason
        why = getattr(error, "strerror", None) or error
        raise DamagedError(f"{path} cannot be read ({why})") from None


def _content(content: bytes) -> tuple[dict[str, Any], dict[str, Tensor]]:
    start = content.index(b"\n") + 1
    header, tensors = json.loads(content[:start]), {}
    for name, dtype, shape in header["tensors"]:
        array = np.frombuffer(content, dtype, math.prod(shape), start).reshape(shape)
        tensors[name], start = torch.from_numpy(array.copy()), start + array.nbytes
    return header, tensors


def read(
    folder: Path, config: Mapping[str, Any], losses: Mapping[str, Tensor]
) -> tuple[int, float, dict[str, Tensor]] | None:
    """(step, seconds so far, tensors on the CPU) of the newest checkpoint that is whole, or None
    where none has been written yet.

    A damaged one is replaced by the one before it, with a warning. Raises CheckpointError where
    there is none to go on from, or it is of another run.
    """
    why = ""
    for name in WRITTEN:
        path = folder / name
        if not os.path.lexists(path):
            continue
        try:
            header, tensors = read_file(path)
        except DamagedError as error:
            why = why or str(error)
            continue
        of_losses = {
            key.removeprefix(OF_LOSS): tensors.pop(key)
            for key in [*tensors]
            if key.startswith(OF_LOSS)
        }
        _must_be_this_run(path, header, of_losses, config, losses)
        if name == BEFORE:
            why = why or f"{folder / NAME} is missing"
            try:
                os.replace(path, folder / NAME)
            except OSError as error:
                raise CheckpointError(f"{why}, and stays ({error.strerror}); remove it") from None
            warnings.warn(
                f"{why}; the run goes on from the checkpoint before it, of step {header['step']}",
                DamagedCheckpoint,
                stacklevel=2,
            )
        return header["step"], header["seconds"], tensors
    if why:
        raise CheckpointError(f"{why}; start again with --overwrite, or choose another folder")
    return None


def _must_be_this_run(
    path: Path,
    header: Mapping[str, Any],
    of_saved: Mapping[str, Tensor],
    config: Mapping[str, Any],
    losses: Mapping[str, Tensor],
) -> None:
    """CheckpointError unless the settings are the same, and the losses have the same values."""
    wanted, saved = json.loads(json.dumps(dict(config))), header["config"]
    for key in dict.fromkeys([*wanted, *saved]):
        if saved.get(key) != wanted.get(key):
            raise CheckpointError(
                f"{path} is of another run: {key} is {saved.get(key)!r} there and "
                f"{wanted.get(key)!r} here; {ELSE}"
            )
    for name, values in losses.items():
        there = of_saved.get(name, values[:0])
        if len(there) and there.shape[-1] != values.shape[-1]:
            raise CheckpointError(
                f"{path} was written by another version of this package, which kept fewer values "
                f"of the loss {name!r}; {ELSE}"
            )
        if there.shape != values.shape or not torch.allclose(
            there, values, rtol=SAME, atol=0.0, equal_nan=True
        ):
            raise CheckpointError(
                f"{path} is of another run: the loss {name!r} has other values there; {ELSE}"
            )
    if not 0 <= header["step"] <= config["steps"]:
        raise CheckpointError(f"{path} says step {header['step']} of {config['steps']}")


def must_match(folder: Path, saved: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """CheckpointError unless both hold tensors of the same names, kinds and shapes: another version
    may have kept others.
    """
    of_saved, of_wanted = (
        {key: (one.dtype, one.shape) for key, one in kept.items()} for kept in (saved, wanted)
    )
    for name in dict.fromkeys([*of_wanted, *of_saved]):
        if of_saved.get(name) != of_wanted.get(name):
            raise CheckpointError(
                f"{folder / NAME} was written by another version of this package "
                f"({name!r} does not match); "
                "go on with that version, or choose another folder"
            )
