"""The published weights of the sEH proxy: from a folder, or downloaded on request; never run as
code.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import urllib.error
import urllib.request
from pathlib import Path
from typing import ClassVar

import numpy as np

from divergence_lab.graphs.molecules.chemistry import BLOCKS, MoleculeError
from divergence_lab.inputs import InputError, read_bytes
from divergence_lab.outputs import write_alone

WEIGHTS = "best_params.pkl.gz"
SOURCE = "https://raw.githubusercontent.com/GFNOrg/gflownet/master/mols/data/"
# name -> (place below SOURCE, SHA-256); MIT licence, (c) 2022 Emmanuel Bengio
FILES = {
    WEIGHTS: (
        "pretrained_proxy/best_params.pkl.gz",
        "f76ab480b62e23dda04fd45fefe0e7ae2374b3f8c3f18fb7e00651cad05b9e1f",
    ),
    BLOCKS: (
        "blocks_PDB_105.json",
        "0fcc09130c2e03046ecf3ccc6cb5f903abdb912a541b3f9f2d4578ab01453b88",
    ),
}
SHAPES = (
    (64, 71),
    (64,),
    (64, 64),
    (64,),
    (128, 4),
    (128,),
    (4096, 128),
    (4096,),
    (192, 64),
    (192, 64),
    (192,),
    (192,),
    (512, 64),
    (512,),
    (105, 512),
    (105,),
    (256, 128),
    (256, 64),
    (256,),
    (256,),
    (1, 128),
    (1,),
)


def load_weights(folder: str | Path) -> list[np.ndarray]:
    """The 22 arrays of `best_params.pkl.gz` in float32.

    The file's SHA-256 must be that of the published one; its pickle may name arrays and nothing
    else. Raises MoleculeError.
    """
    content = checked(Path(folder), WEIGHTS)
    try:
        arrays = _ArraysOnly(io.BytesIO(gzip.decompress(content))).load()
    except (OSError, EOFError, pickle.UnpicklingError) as error:
        raise MoleculeError(f"{WEIGHTS} cannot be unpacked ({error}); download it again") from error
    if [getattr(array, "shape", None) for array in arrays] != list(SHAPES):
        raise MoleculeError(f"{WEIGHTS} does not hold the proxy's arrays; download it again")
    return [np.asarray(array, dtype=np.float32) for array in arrays]


def checked(folder: Path, name: str) -> bytes:
    """The content of a published file, its SHA-256 compared.  Raises MoleculeError."""
    try:
        content = read_bytes(folder / name)
    except InputError as error:
        raise MoleculeError(
            f"{error}; get it by: divergence-lab molecules fetch {folder}"
        ) from None
    if hashlib.sha256(content).hexdigest() != FILES[name][1]:
        raise MoleculeError(
            f"{folder / name} is not the published file (its SHA-256 differs); download it again"
        )
    return content


def fetch(folder: str | Path, source: str = SOURCE) -> list[Path]:
    """Download the published files into `folder`, each compared with its SHA-256 before it is
    put there.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MoleculeError(
            f"{folder} cannot be made ({error.strerror}); name another folder"
        ) from None
    written = []
    for name, (place, digest) in FILES.items():
        address = source.rstrip("/") + "/" + place
        try:
            with urllib.request.urlopen(address, timeout=60) as answer:
                content = answer.read(50_000_000)
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise MoleculeError(
                f"{address} cannot be downloaded ({error}); try again, or name --from URL"
            ) from error
        found = hashlib.sha256(content).hexdigest()
        if found != digest:
            raise MoleculeError(
                f"{address} has SHA-256 {found[:16]}..., not the published "
                f"{digest[:16]}...; not kept"
            )
        write_alone(folder / name, content)
        written.append(folder / name)
    return written


class _ArraysOnly(pickle.Unpickler):
    """A pickle can call anything it names: only what an array is made of may be named."""

    ALLOWED: ClassVar = {
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("numpy.core.multiarray", "_reconstruct"),
    }

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no array needs")
        if name == "_reconstruct":
            return np.empty(0).__reduce__()[0]  # wherever this version of numpy keeps it
        return getattr(np, name)
