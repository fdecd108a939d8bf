"""The page that needs no server: python page/build.py -> build/page, for any web server to serve.

    npm        Pyodide, which is Python compiled for browsers
    PyPI       python-flint for browsers, SymPy, mpmath
    here       divergence_lab as it is, the page beside this file, answers for the catalogue

What is downloaded is pinned in pins.json with its checksum, comes by npm and pip as they are set up
here, and is kept in build/downloads; so are the answers.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE, BUILD = ROOT / "page", ROOT / "build"
DOWNLOADS, OUT = BUILD / "downloads", BUILD / "page"
PINS = json.loads((PAGE / "pins.json").read_text())
# of Pyodide's package
RUNTIME = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
# the platform of the wheels, as pip names it: that of Pyodide 314
PLATFORM, PYTHON = "pyemscripten_2026_0_wasm32", "3.14"
STATIC = ("index.html", "style.css", "js")


def run(*words: str | Path, folder: Path = ROOT) -> None:
    """Run a command; what it says is shown where it fails, and the build ends."""
    ours = {**os.environ, "PYTHONPATH": str(ROOT)}  # this package, whichever is installed
    done = subprocess.run([*map(str, words)], cwd=folder, capture_output=True, text=True, env=ours)
    if done.returncode:
        sys.exit(f"{words[0]} failed:\n{(done.stdout + done.stderr)[-2000:]}")


def digest(file: Path) -> str:
    """sha256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def pinned(pattern: str, expected: str, *fetch: str) -> Path:
    """The file of this pattern, downloaded where it is not there yet; any other is refused."""
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    if not [*DOWNLOADS.glob(pattern)]:
        run(*fetch, folder=DOWNLOADS)
    (file,) = DOWNLOADS.glob(pattern)
    if digest(file) != expected:
        sys.exit(f"{file.name} is not the file that page/pins.json names: its checksum differs")
    return file


def pyodide_package() -> Path:
    """Pyodide from npm, unpacked."""
    version, expected = PINS["npm"]["pyodide"]
    packed = pinned(
        f"pyodide-{version}.tgz", expected, "npm", "pack", "--silent", f"pyodide@{version}"
    )
    folder = DOWNLOADS / f"pyodide-{version}"
    if not folder.exists():
        with tarfile.open(packed) as archive:
            archive.extractall(folder, filter="data")
    return folder / "package"


def wheel(name: str) -> Path:
    """A wheel from PyPI: that for browsers, where there is one."""
    version, expected = PINS["pypi"][name]
    return pinned(
        f"{name.replace('-', '_')}-{version}-*.whl",
        expected,
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary", ":all:", "--platform", PLATFORM),
        *("--python-version", PYTHON, "--implementation", "cp", f"{name}=={version}"),
    )


def lay_out(pyodide: Path) -> None:
    """The page's own files and Pyodide's; no list of packages of other hosts."""
    for name in STATIC:
        source = PAGE / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, OUT / name)
    (OUT / "pyodide").mkdir()
    for name in RUNTIME:
        shutil.copy(pyodide / name, OUT / "pyodide")
    lock = json.loads((pyodide / "pyodide-lock.json").read_text())
    (OUT / "pyodide" / "pyodide-lock.json").write_text(
        json.dumps({"info": lock["info"], "packages": {}})
    )


def pack(pyodide: Path, name: str, kind: str, *places: Path) -> None:
    """An archive of modules compiled by the page's own Python."""
    words = [f"/host{place}" for place in (OUT / name, *places)]
    run("node", PAGE / "compile.mjs", pyodide, PAGE / "compile.py", words[0], kind, *words[1:])


def answers() -> Path:
    """The folder of answers, computed anew only where what they come from has changed."""
    sources = [*(ROOT / "divergence_lab").rglob("*.py"), *(PAGE / "python").glob("*.py")]
    known = "".join(digest(file) for file in sorted([*sources, PAGE / "answers.py"]))
    folder = DOWNLOADS / f"answers-{hashlib.sha256(known.encode()).hexdigest()[:12]}"
    if not folder.exists():
        started = folder.with_suffix(".part")
        shutil.rmtree(started, ignore_errors=True)
        run(sys.executable, PAGE / "answers.py", started)
        started.rename(folder)
    return folder


def keep_for_the_next_visit() -> None:
    """The service worker, with the names of all files and a version that changes with them."""
    files = sorted(str(file.relative_to(OUT)) for file in OUT.rglob("*") if file.is_file())
    whole = hashlib.sha256("".join(digest(OUT / name) for name in files).encode()).hexdigest()
    text = (PAGE / "service.js").read_text()
    text = text.replace("@VERSION@", f"divergence-lab {whole[:12]}")
    (OUT / "service.js").write_text(text.replace("['@FILES@']", json.dumps(files)))


def build(with_answers: bool = True) -> None:
    """Everything, from nothing; `with_answers`: those for the catalogue, which take minutes."""
    if missing := [tool for tool in ("npm", "node") if shutil.which(tool) is None]:
        sys.exit(f"the page needs {' and '.join(missing)}: install Node.js")
    pyodide = pyodide_package()
    flint, *others = (wheel(name) for name in PINS["pypi"])
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    lay_out(pyodide)
    shutil.copy(flint, OUT)
    (OUT / "wheels.json").write_text(json.dumps([flint.name]))
    pack(pyodide, "libraries.zip", "compiled", *others)
    pack(pyodide, "lab.zip", "sources", ROOT / "divergence_lab", *(PAGE / "python").glob("*.py"))
    if with_answers:
        shutil.copytree(answers(), OUT / "answers")
    keep_for_the_next_visit()
    size = sum(file.stat().st_size for file in OUT.rglob("*") if file.is_file())
    print(f"wrote {OUT.relative_to(ROOT)}/index.html ({size / 1e6:.1f} MB)")


if __name__ == "__main__":
    build(with_answers="--no-answers" not in sys.argv[1:])
