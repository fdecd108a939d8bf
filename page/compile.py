"""Run in the page's own Python: packages as zip files of compiled modules, which start sooner.

words: /host/OUT.zip sources|compiled /host/FOLDER_OR_WHEEL...
"""

import importlib.util
import zipfile
from importlib._bootstrap_external import _code_to_hash_pyc  # type: ignore[import]
from pathlib import Path

OMITTED = {"tests", "testing", "benchmarks", "__pycache__"}
EPOCH = (1980, 1, 1, 0, 0, 0)  # the same files make the same archive


def members(place: str) -> list[tuple[str, bytes]]:
    """(name, content) of the files of a wheel, or of a folder with the folder's name before."""
    if place.endswith(".whl"):
        with zipfile.ZipFile(place) as wheel:
            return [(name, wheel.read(name)) for name in wheel.namelist()]
    folder = Path(place)
    files = [folder] if folder.is_file() else sorted(folder.rglob("*"))
    return [
        (str(file.relative_to(folder.parent)), file.read_bytes())
        for file in files
        if file.is_file()
    ]


def is_wanted(name: str, keep_sources: bool) -> bool:
    """Not the tests; of a wheel the modules and the licences alone."""
    parts = name.split("/")
    return not OMITTED & set(parts) and (keep_sources or name.endswith(".py") or "LICENSE" in name)


def compiled(name: str, source: bytes) -> bytes:
    """The module's code, taken without a look at its source."""
    code = compile(source, name, "exec", dont_inherit=True, optimize=0)
    return _code_to_hash_pyc(code, importlib.util.source_hash(source), False)


def entries(name: str, content: bytes, keep_sources: bool) -> list[tuple[str, bytes]]:
    """What of a file comes into the archive."""
    if not name.endswith(".py"):
        return [(name, content)]
    if not keep_sources:
        return [(name + "c", compiled(name, content))]
    folder, _, file = name.rpartition("/")
    cached = f"{folder}/__pycache__/".lstrip("/") + file.replace(".py", ".cpython-314.pyc")
    return [(name, content), (cached, compiled(name, content))]


def pack(out: str, keep_sources: bool, places: list[str]) -> None:
    """Write the archive."""
    with zipfile.ZipFile(out, "w") as archive:
        for place in places:
            for name, content in members(place):
                if is_wanted(name, keep_sources):
                    for written, data in entries(name, content, keep_sources):
                        member = zipfile.ZipInfo(written, EPOCH)
                        archive.writestr(member, data, zipfile.ZIP_DEFLATED, 9)


out, kind, *places = words  # noqa: F821 (set by compile.mjs)
pack(out, kind == "sources", places)
