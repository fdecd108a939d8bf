"""The pages are true: every command that they show runs, every Python block prints what it says,
every link leads somewhere.
"""

from __future__ import annotations

import doctest
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from divergence_lab.cli.main import main
from divergence_lab.training.sweeps import SweepError, pools, read_sweep

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "paper_checks/*.md", "notebooks/*.md", "figures/*.md")
    for path in ROOT.glob(pattern)
)
COMMAND = re.compile(r"^(?:    |\$ )divergence-lab (.+?)(?:\s{2,}#.*)?$", re.MULTILINE)
LINK = re.compile(r"!?\[[^\[\]]*\]\(([^)\s]+)\)")
# What is not run here, and why. Everything else that a page shows is.
ELSEWHERE = {
    "bench": "takes a quiet machine; tests/test_bench.py",
    "molecules fetch": "downloads; tests/test_molecules.py",
    "molecules score states.json": "needs the weights; tests/test_molecules.py",
    "--data": "needs the weights; tests/test_molecules.py",
    "train quadratic 'linex(1)' --env molecules:T12x4:weights": (
        "needs the published blocks; tests/test_blocks.py"
    ),
    "report": "tests/test_report.py",
    "audit gfn.": "needs torchgfn; tests/test_audit.py",
    "--workers": "processes of their own; tests/test_sweeps.py",
    "check FILE": "a form, not a command",
}
OWN_TEST = (
    "design.md",
    "audit.md",
)  # pages whose own tests run their commands and compare what is printed


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def commands(text: str) -> list[str]:
    lines = [
        part
        for line in COMMAND.findall(text)
        for part in re.split(r"\s*&&\s*(?:divergence-lab )?", line)
    ]
    return [
        line
        for line in lines
        if not any(line.startswith(words) or f" {words}" in f" {line}" for words in ELSEWHERE)
    ]


def small(words: list[str]) -> list[str]:
    """The same command with little to do: fewer steps, one seed, a smaller grid."""
    if words[0] == "train":
        return [word.replace("hypergrid:4x8", "hypergrid:4x3") for word in words] + [
            "--steps",
            "3",
            "--seeds",
            "1",
        ]
    if words[0] == "verify" and "all" in words and "--env" not in words:
        return [*words, "--env", "hypergrid:2x2"]
    return words


SHOWN = [
    pytest.param(path, id=name(path))
    for path in PAGES
    if path.name not in OWN_TEST and commands(path.read_text())
]


@pytest.mark.parametrize("path", SHOWN)
def test_every_command_of_a_page_runs(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pools, "is_slurm_here", lambda: False)  # a page runs on this machine
    if "grid.json" in path.read_text():
        small_grid = {
            "fixed": {"losses": ["quadratic"], "env": "hypergrid:2x4", "seeds": 1, "steps": 2},
            "grid": {"objective": ["tb"]},
        }
        (tmp_path / "grid.json").write_text(json.dumps(small_grid))
    for line in commands(path.read_text()):
        redirected = re.fullmatch(r"(.+) > ([\w./]+)", line)
        line, written = redirected.groups() if redirected else (line, None)
        words = small(shlex.split(line))
        if words[0] == "molecules":
            pytest.importorskip("rdkit", reason="pip install '.[molecules]'")
        refused = (
            words[0] == "design" and "--bounded-gradient" in words and "--zero-forcing" in words
        )
        code = main(words)
        found = capsys.readouterr()
        assert code == (2 if refused else 0), f"{line}\n{found.err}"
        if written:
            (tmp_path / written).write_text(found.out)
        assert found.out or found.err or "--out" in words, line


def test_the_grid_of_the_page_on_sweeps_is_a_sweep(tmp_path):
    """Eight points: two objectives, two samplers, two learning rates; a setting that is not
    known is noticed.
    """
    (text,) = re.findall(
        r'^    (\{"fixed".*?\}\})$', (ROOT / "docs/sweeps.md").read_text(), re.DOTALL | re.MULTILINE
    )
    (tmp_path / "grid.json").write_text(text)
    assert len(read_sweep(tmp_path / "grid.json")) == 8
    (tmp_path / "grid.json").write_text(text.replace("objective", "objektive"))
    with pytest.raises(SweepError):
        read_sweep(tmp_path / "grid.json")


BLOCKS = [
    pytest.param(path, at, block, id=f"{name(path)}:{at}")
    for path in PAGES
    if path.name not in OWN_TEST
    for at, block in enumerate(
        re.findall(r"^```python\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE)
    )
]


@pytest.mark.parametrize("path, at, block", BLOCKS)
def test_every_python_block_prints_what_its_comments_say(path, at, block, tmp_path):
    found = subprocess.run(
        [sys.executable, "-c", block],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=850,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"},
    )
    assert found.returncode == 0, found.stderr
    said = re.findall(r"^print\(.*\)  # (.+)$", block, re.MULTILINE)
    assert [line for line in found.stdout.splitlines() if line in said] == said, found.stdout


EXAMPLES = sorted(
    name(path) for path in (ROOT / "divergence_lab").rglob("*.py") if "    >>> " in path.read_text()
)


def test_the_first_functions_have_examples():
    shown = {
        file.removeprefix("divergence_lab/").removesuffix(".py").replace("/", ".")
        for file in EXAMPLES
    }
    assert shown >= {
        "theory.divergence.loss",
        "theory.divergence.closed_form",
        "theory.verdicts.decision",
        "theory.design.search",
        "graphs.dag",
    }


@pytest.mark.parametrize("file", EXAMPLES)
def test_every_example_in_a_docstring_prints_what_it_says(file):
    module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
    found = doctest.testmod(module)
    assert found.attempted and not found.failed


def anchors(text: str) -> set[str]:
    """GitHub's names of headings, and those that a page sets itself."""
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE
    )
    slugs = {
        re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", heading).lower()).replace(" ", "-")
        for heading in headings
    }
    return slugs | set(re.findall(r'<a id="([^"]+)"', text))


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_link_leads_somewhere(path):
    for target in LINK.findall(
        re.sub(r"```.*?```|`[^`\n]*`", "", path.read_text(), flags=re.DOTALL)
    ):
        if re.match(r"https?://", target):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), f"{name(path)} links to {target}"
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there.read_text()), (
                f"{name(path)} links to {target}: no such heading"
            )


def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("material", reason="pip install '.[docs]'")

    built = subprocess.run(
        [
            sys.executable,
            "-m",
            "mkdocs",
            "build",
            "--strict",
            "--quiet",
            "--site-dir",
            str(tmp_path / "site"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=850,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert built.returncode == 0, built.stdout + built.stderr
    pages = {
        path.relative_to(tmp_path / "site").as_posix()
        for path in (tmp_path / "site").rglob("*.html")
    }
    assert {"index.html", "tutorial.html", "propositions.html", "reference/theory.html"} <= pages
    propositions = (tmp_path / "site" / "propositions.html").read_text()
    assert propositions.count("<math") > 500 and "$" not in re.sub(r"<[^>]+>", "", propositions)
    for lesson in (tmp_path / "site" / "notebooks").glob("*.html"):
        written = re.sub(r"<pre.*?</pre>", "", lesson.read_text(), flags=re.DOTALL)
        for target in re.findall(r'(?:src|href)="((?:runner|README|index|\.\.)[^"#]*)', written):
            assert (lesson.parent / target).exists(), (lesson.name, target)
        if lesson.name[0].isdigit():  # solutions are folded away, and there
            assert written.count("<details>") == 4
    assert (tmp_path / "site" / "search" / "search_index.js").exists()  # search from a file
    outside = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)"', propositions)
    assert not outside, outside


def test_contributing_is_short():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for recipe in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        assert len(recipe.strip().splitlines()) <= 16, recipe.splitlines()[
            0
        ]  # the heading and at most 15 lines


def test_both_marks_of_long_tests_work(tmp_path):
    """make test leaves them out, make test-slow takes them, and there are some of each."""
    makefile = (ROOT / "Makefile").read_text()
    fast, slow = (
        re.search(rf"^{target}: .*\n((?:\t.*\n)+)", makefile, re.MULTILINE).group(1)
        for target in ("test", "test-slow")
    )
    assert "-m" not in fast.replace("-m pytest", "") and "-m slow" in slow and "-m alone" in slow
    (tmp_path / "test_it.py").write_text(
        "import pytest\ndef test_plain(): pass\n@pytest.mark.slow\ndef test_slow(): "
        "pass\n@pytest.mark.alone\ndef test_alone(): pass\n"
    )
    for words, wished in (
        ([], "test_plain"),
        (["-m", "slow"], "test_slow"),
        (["-m", "alone"], "test_alone"),
    ):
        asked = [
            sys.executable,
            "-m",
            "pytest",
            "-c",
            str(ROOT / "pyproject.toml"),
            "-v",
            "-p",
            "no:cacheprovider",
            *words,
            "test_it.py",
        ]
        found = subprocess.run(
            asked, cwd=tmp_path, capture_output=True, text=True, timeout=850
        ).stdout
        assert re.findall(r"::(\w+) PASSED", found) == [wished], found
    tests = "".join(
        path.read_text() for path in (ROOT / "tests").glob("test_*.py") if path != Path(__file__)
    )
    assert "pytest.mark.slow" in tests and "pytest.mark.alone" in tests
