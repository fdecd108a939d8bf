"""The package is installed from this folder and from a wheel into empty environments, of every
Python that this machine has, and works there: slow, and needs an index of packages.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SMALL = ("sympy", "numpy", "scipy", "matplotlib", "python-flint", "tqdm", "jinja2", "jaxtyping")
PYTHONS = ("python3.11", "python3.12", "python3.13")
COMMANDS = (
    ["--version"],
    ["derive", "linex(1/2)"],
    ["export", "quadratic", "--form", "torch"],
    ["catalogue"],
)


def must(*words, cwd, **named):
    # pip takes what lies on the path for installed, and leaves the empty environment empty
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env=alone,
        capture_output=True,
        text=True,
        timeout=1500,
        **named,
    )
    assert done.returncode == 0, f"{words}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def copied(folder):
    """What git has, so that nothing built here plays a role."""
    files = must("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).splitlines()
    for name in files:
        if name.startswith(("divergence_lab/", "pyproject", "README", "LICENSE")):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
    return folder


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = copied(tmp_path_factory.mktemp("source"))
    must(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", "wheels", ".", cwd=folder)
    (found,) = (folder / "wheels").glob("divergence_lab-*.whl")
    return found


@pytest.mark.slow
def test_the_wheel_holds_what_the_package_reads(wheel):
    held = set(zipfile.ZipFile(wheel).namelist())
    files = must("git", "ls-files", "-co", "--exclude-standard", "divergence_lab", cwd=ROOT)
    wanted = {name for name in files.splitlines() if not name.endswith(".md")}
    assert wanted <= held, sorted(wanted - held)
    assert "divergence_lab/py.typed" in held


@pytest.mark.slow
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("way", ["wheel", "folder"])
def test_it_works_in_an_empty_environment(python, way, wheel, tmp_path):
    """Without torch, which is gigabytes: what needs none works, and the rest says how to get it."""
    found = python_there(python)
    must(found, "-m", "venv", "env", cwd=tmp_path)
    bin = tmp_path / "env" / "bin"
    given = wheel if way == "wheel" else copied(tmp_path / "copy")
    pip = (bin / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check")
    must(*pip, *SMALL, "filelock>=4.2", "setuptools>=77", cwd=tmp_path)
    must(*pip, "--no-deps", "--no-build-isolation", given, cwd=tmp_path)
    for words in COMMANDS:
        assert must(bin / "divergence-lab", *words, cwd=tmp_path)
    proofs = must(bin / "divergence-lab", "derive", "quadratic", "--json", cwd=tmp_path)
    (tmp_path / "proofs.json").write_text(proofs)
    assert "everything holds" in must(bin / "divergence-lab", "check", "proofs.json", cwd=tmp_path)
    refused = subprocess.run(
        [bin / "divergence-lab", "train", "quadratic", "--env", "hypergrid:2x2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert refused.returncode == 2 and refused.stderr.endswith("pip install torch\n")


def python_there(name):
    """A Python of this version: on the path, or one that pyenv keeps."""
    kept = sorted(Path.home().glob(f".pyenv/versions/{name.removeprefix('python')}.*/bin/python"))
    for found in (*kept, shutil.which(name)):
        if found and not subprocess.run([found, "-c", "import venv, ssl"], stderr=-3).returncode:
            return found
    pytest.skip(f"{name} is not on this machine")
    return None
