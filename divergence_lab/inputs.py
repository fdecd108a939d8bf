"""What users give: files, in whatever encoding their editor or shell wrote them, numbers and sizes;
and the one error for what can't be used.
"""

import json
import math
import os
import re
import stat
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from numbers import Integral, Real
from pathlib import Path
from typing import Any

LARGEST_FILE = 64 * 2**20  # bytes
SEARCH_MEMORY = 4 * 2**30  # bytes that a process which searches may take
WIDEST_INTEGER = 4000  # digits in JSON: Python's own limit, which a setting may lift


class InputError(ValueError):
    """What a user gave can't be used; the message says why and what to give instead.

    The command line prints it as one line and exits with 2. Every error of this kind is a subclass.
    """


class MissingPackage(InputError, ModuleNotFoundError):
    """A package that only a part of this one needs, and that is not installed here."""


# what is imported only where it is needed -> how to get it, by a name that the index has
_GET = {
    "torch": "pip install torch",
    "rdkit": "pip install rdkit",
    "pandas": "pip install pandas",
    "marimo": "pip install marimo",
    "numpy": "pip install numpy",
    "scipy": "pip install scipy",
    "matplotlib": "pip install matplotlib",
}


def missing_package(error: ModuleNotFoundError, who: str) -> MissingPackage | None:
    """What to say of a package that is not there: one line with how to get it; None where it is
    none of those that a user may do without.

    >>> print(missing_package(ModuleNotFoundError(name="torch"), "train"))
    train needs torch, which is not installed here: pip install torch
    """
    name = (error.name or "").partition(".")[0]
    if name not in _GET:
        return None
    missing = MissingPackage(f"{who} needs {name}, which is not installed here: {_GET[name]}")
    missing.name = name
    return missing


def kind_of(thing: object) -> str:
    """What a value is, in words.

    >>> kind_of([]), kind_of(3), kind_of(None)
    ('a list', 'an int', 'None')
    """
    name = type(thing).__name__
    return "None" if thing is None else f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


# --- names that are nearly right


def nearest(word: str, names: Iterable[str]) -> str | None:
    """The name that a misspelt word is nearest to, capitals or not.

    >>> nearest("Exp", ["exp", "log"])
    'exp'
    """
    by_letters = {name.lower(): name for name in names}
    near = get_close_matches(word.lower(), by_letters, 1, 0.7)
    return by_letters[near[0]] if near else None


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """The end of a message about a word that is none of these names.

    >>> did_you_mean("--sede", ["--seeds", "--steps"])
    "; did you mean '--seeds'?"
    """
    near = nearest(word, names)
    return f"; did you mean {near!r}?" if near else ""


# --- text that reaches a terminal


def one_line(text: str, limit: int = 1000) -> str:
    """Text as one line of printable characters: no name carries an escape sequence to a terminal.

    >>> one_line("a\\rb \\x1b[2J")
    'a b ?[2J'
    """
    flat = "".join(
        c if c.isprintable() else " " if c.isspace() else "?" for c in text[: 10 * limit]
    )
    flat = " ".join(flat.split())
    return flat if len(flat) <= limit else flat[: limit - 3] + "..."


def shown(text: str, limit: int = 40) -> str:
    """A printable, one-line, shortened form of user text for error messages."""
    safe = "".join(c if c.isprintable() else "?" for c in text[: limit + 1])
    return repr(safe if len(safe) <= limit else safe[: limit - 3] + "...")


# --- files

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def read_bytes(file: str | Path, most: int = LARGEST_FILE) -> bytes:
    """What is in a regular file, or comes by standard input for "-". Raises InputError, one line,
    for what is no such file, can't be read, or holds more than `most` bytes.
    """
    called = _called(file)
    try:
        content = _content(file, most + 1)
    except OSError as error:
        raise InputError(f"{called} cannot be read ({error.strerror or error})") from None
    except ValueError as error:  # a name that no file can have
        raise InputError(f"{called} cannot be read ({error})") from None
    if isinstance(content, str):
        raise InputError(
            f"{called} cannot be read (it is {content}, not a regular file; - reads standard input)"
        )
    if len(content) > most:
        raise InputError(f"{called} cannot be read (it holds more than {most:,} bytes)")
    return content


def _called(file: str | Path) -> str:
    return "standard input" if str(file) == "-" else shown(str(file), 200)


def _content(file: str | Path, count: int) -> bytes | str:
    """At most so many bytes; what else it is where it is no regular file."""
    if str(file) == "-":  # None: it was closed before Python started
        stream = getattr(sys.stdin, "buffer", sys.stdin)
        read = b"" if stream is None else stream.read(count)
        return read.encode() if isinstance(read, str) else read
    mode = os.stat(file).st_mode
    if not stat.S_ISREG(mode):  # opening a pipe may wait for ever
        return next((kind for is_kind, kind in _KINDS if is_kind(mode)), "no file")
    with Path(file).open("rb") as opened:
        return opened.read(count)


def read_input(file: str | Path, most: int = LARGEST_FILE) -> str:
    """The text of a regular file, of standard input for "-": UTF-8, UTF-16 or UTF-32, with a byte
    order mark or without.

    Windows PowerShell's > writes UTF-16, some editors UTF-8 with a mark.  Raises InputError, one
    line.
    """
    content = read_bytes(file, most)
    try:
        return content.decode(json.detect_encoding(content)).removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise InputError(f"{_called(file)} is not text: it is neither UTF-8 nor UTF-16") from None


def read_json(file: str | Path, most: int = LARGEST_FILE, *, infinite: bool = False) -> Any:
    """What the file holds: every key of an object once, every number finite (`infinite`: Infinity
    and -Infinity are read too).

    Raises InputError, one line.
    """

    def constant(text: str) -> float:
        if text == "NaN" or not infinite:
            raise ValueError(f"{text} is not a number in JSON")
        return float(text)

    text = read_input(file, most)
    try:
        return json.loads(
            text,
            object_pairs_hook=_once,
            parse_float=_finite,
            parse_int=_whole,
            parse_constant=constant,
        )
    except RecursionError:
        raise InputError(f"{_called(file)} is not JSON (it nests too deeply)") from None
    except ValueError as error:
        raise InputError(f"{_called(file)} is not JSON ({one_line(str(error))})") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two values of one key a reader and a checker might see different ones."""
    read = dict(pairs)
    if len(read) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f"the key {shown(twice)} is given twice")
    return read


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"the number {shown(text)} is too large")
    return number


def _whole(text: str) -> int:
    if len(text) > WIDEST_INTEGER:
        raise ValueError(f"the number {shown(text)} is too long")
    return int(text)


def at_commas(text: str) -> list[str]:
    """The parts of a text between its commas, those inside brackets aside.

    >>> at_commas("tb, subtb(0.9)")
    ['tb', 'subtb(0.9)']
    """
    return [part.strip() for part in re.split(r",(?![^(]*\))", text)]


# --- numbers

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def number_in(text: str) -> float:
    """The finite number that a text writes in decimals. ValueError for every other text.

    >>> number_in(" 1e-3 ")
    0.001

    Python's `float` reads 1_0, nan and infinity too.
    """
    if not _NUMBER.fullmatch(text.strip()) or not math.isfinite(number := float(text)):
        raise ValueError(f"{shown(text.strip())} is not a number")
    return number


def is_number(value: object, least: float = -math.inf, most: float = math.inf) -> bool:
    """A finite real number within bounds; a truth value is none.

    >>> is_number(True), is_number(0.5, 0, 1)
    (False, True)
    """
    try:
        return (
            isinstance(value, Real)
            and not isinstance(value, bool)
            and math.isfinite(value)
            and bool(least <= value <= most)
        )
    except OverflowError:  # a whole number beyond every float
        return False


def is_whole(value: object, least: float = 0, most: float = 10**9) -> bool:
    """A whole number within bounds; a truth value is none."""
    return (
        isinstance(value, Integral) and not isinstance(value, bool) and least <= int(value) <= most
    )


# --- sizes


def refuse_if_too_large(needed: int, what: str, instead: str, there: int | None = None) -> None:
    """InputError where `what` needs more bytes than are free (`there`, or of this machine).

    Asked before anything is made: the system ends a process that takes too much, or all others.
    """
    free = free_memory() if there is None else there
    if needed > free:
        raise InputError(
            f"{what} needs about {_bytes(needed)} of memory, and {_bytes(free)} is free: {instead}"
        )


def free_memory() -> int:
    """Bytes that this process may still take: what the system says is available, within the limits
    of its group and its own.
    """
    free = [limit for limit in (_available(), _left_in_group(), _left_of_limit()) if limit]
    return min(free, default=sys.maxsize)


def _available() -> int | None:
    return kernel_field("/proc/meminfo", "MemAvailable")


def kernel_field(file: str, name: str) -> int | None:
    """The kB behind a name in a table of the kernel, as bytes; None where there is none."""
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:  # not Linux
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), None)


def _left_in_group() -> int | None:
    """Of a container's memory."""
    folder = Path("/sys/fs/cgroup")
    for most, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            limit, taken = ((folder / name).read_text().strip() for name in (most, used))
        except OSError:
            continue
        return max(1, int(limit) - int(taken)) if limit != "max" else None
    return None


def _left_of_limit() -> int | None:
    """Of what `ulimit -v` allows."""
    try:
        import resource
    except ImportError:  # not on this platform
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    taken = kernel_field("/proc/self/status", "VmSize") or 0
    return None if limit == resource.RLIM_INFINITY else max(1, limit - taken)


def _bytes(count: int) -> str:
    """A number of bytes as a reader writes it; beyond all machines, as a power of ten."""
    for unit, name in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB")):
        if unit <= count < 10_000 * 2**40:
            return f"{count / unit:,.1f} {name}"
    return f"{count:,} bytes" if count < 10**6 else f"10^{len(str(count)) - 1} bytes"
