"""What is written: files whole or not at all, in folders that one process holds at a time; and read
back as they were written.
"""

import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from divergence_lab.inputs import InputError, kind_of, read_bytes

LOCK = ".lock"
SEAL = "checksums.json"
SEAL_BYTES = 1 << 20


class OutputError(InputError):
    """A place that cannot be written to; the message says why and what to do."""


class DamagedError(InputError):
    """A file that is not as it was written; the message says which, and how that is known."""


# --- writing


def folder_named(folder: object) -> Path:
    """A folder by its name or path. OutputError for what is neither."""
    if not isinstance(folder, str | os.PathLike) or not os.fspath(folder):
        raise OutputError(
            f"a folder is named by a text, such as 'runs/first', not {kind_of(folder)}"
        )
    return Path(folder)


def write_atomically(path: Path, *content: bytes | memoryview, keep: Path | None = None) -> None:
    """Write beside the file, then rename over it: a crash leaves the old file or the new one.

    With `keep` the old one is left under that name.
    """
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(temporary, "xb") as file:
            file.writelines(content)
            file.flush()
            os.fsync(file.fileno())
        if keep is not None and os.path.lexists(path):
            os.replace(path, keep)
        os.replace(temporary, path)
    except BaseException:
        # Ctrl-C and a full disk as well: nothing half written stays, and whatever it was goes on up
        temporary.unlink(missing_ok=True)
        raise


def write_alone(path: Path, content: bytes, *, replace: bool = True) -> None:
    """One file in a folder that is somebody's: only this file is held. What is no file of a disk
    (/dev/stdout) is written to as it is. Without `replace`, OutputError where the file is there.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    with _locked(path.with_name(path.name + LOCK), path):
        if not replace:  # looked at while it is held: of two writers one comes first
            must_be_new(path)
        _sweep(path.parent, [path.name])
        write_atomically(path, content)


@contextmanager
def held(folder: Path, names: Sequence[str]) -> Iterator[None]:
    """The folder, made where there is none, is this caller's alone until the end of the block.

    `names` are the files that will be written there: what a killed writer left half-written of them
    is taken away. The lock goes when its process does. Raises OutputError where another holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(folder, error) from error
    with _locked(folder / LOCK, folder):
        _sweep(folder, names)
        yield


def already(folder: Path, names: Sequence[str]) -> str | None:
    """The first of these files that is there."""
    return next((name for name in names if os.path.lexists(folder / name)), None)


def must_be_new(path: Path, instead: str = "") -> None:
    """OutputError where this file is there; `instead` is what else can be done."""
    if path.is_file():
        raise OutputError(f"{path} is there already: choose another file{instead}")


def must_be_free(folder: Path, names: Sequence[str], instead: str = "") -> None:
    """OutputError where one of these files is there; `instead` is what else can be done."""
    if (there := already(folder, names)) is not None:
        raise OutputError(
            f"{folder} holds {there} already; choose another folder,{instead} or replace what is "
            "there with --overwrite"
        )


@contextmanager
def _locked(lock: Path, what: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout  # only those who write wait for it

    held_by_us = FileLock(lock, timeout=0)
    try:
        held_by_us.acquire()
    except Timeout:
        raise OutputError(
            f"{what} is in use by another process; wait for its end, or choose another name"
        ) from None
    except OSError as error:
        raise _unusable(what, error) from error
    try:
        yield
    finally:
        # taken away while it is held: whoever opened it meanwhile sees that its name is gone
        with suppress(OSError):
            lock.unlink()
        held_by_us.release()


def _unusable(what: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{str(what)!r} cannot be written ({error.strerror or error}); choose another"
    )


def _sweep(folder: Path, names: Sequence[str]) -> None:
    left = re.compile(rf"({'|'.join(map(re.escape, names))})\.?\w{{8}}\.part")
    for path in folder.iterdir():
        if left.fullmatch(path.name):
            path.unlink(missing_ok=True)


# --- reading back


def open_regular(path: Path) -> BinaryIO:
    """A regular file, to read from; DamagedError for anything else, and OSError where it can't be
    read.
    """
    # a pipe with no writer would be waited for
    waiting = getattr(os, "O_NONBLOCK", 0)
    file = open(  # noqa: SIM115  (it is handed out)
        path, "rb", opener=lambda name, flags: os.open(name, flags | waiting)
    )
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise DamagedError(f"{path} is not a regular file")
    return file


def checksum(*parts: bytes | memoryview) -> str:
    """BLAKE2b of the parts, one after the other."""
    found = hashlib.blake2b()
    for part in parts:
        found.update(part)
    return found.hexdigest()


def write_sealed(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files, and in checksums.json how long each is and its checksum; the last of the
    files comes last, and is not there before all is.
    """
    seal = {
        name: {"bytes": len(content), "blake2b": checksum(content)}
        for name, content in files.items()
    }
    *first, last = files
    for name in (last, SEAL):
        (folder / name).unlink(missing_ok=True)
    for name in first:
        write_atomically(folder / name, files[name])
    write_atomically(folder / SEAL, (json.dumps(seal, indent=1) + "\n").encode())
    write_atomically(folder / last, files[last])


def read_sealed(folder: Path, names: Sequence[str]) -> dict[str, bytes]:
    """What `write_sealed` wrote under these names.

    Raises an InputError where a file is another, or is not there.
    """
    content = read_bytes(folder / SEAL, SEAL_BYTES)
    try:
        seal = json.loads(content)
        expected = {name: (seal[name]["bytes"], seal[name]["blake2b"]) for name in names}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DamagedError(f"{SEAL} is damaged") from error
    files = {}
    for name, (size, known) in expected.items():
        content = files[name] = read_bytes(folder / name, size if type(size) is int else 0)
        if checksum(content) != known:
            raise DamagedError(f"{name} is not what was written: its checksum differs")
    return files
