"""The "run in the cloud" badge of every lesson, made from one place: [project.urls] in
pyproject.toml.

    python notebooks/runner/cloud.py        # write the badges into the lessons and their notebooks

A `Repository` on GitHub gives a badge, below the title, that opens the lesson in Colab. While no
such address is set there is no badge: one that leads nowhere is worse than none.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import jupytext

NOTEBOOKS = Path(__file__).resolve().parents[1]
GITHUB = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?")
BADGE = re.compile(r"\n\n\[!\[run in the cloud\]\(runner/cloud\.svg\)\]\([^)\s]*\)")


def address(project: Path = NOTEBOOKS.parent / "pyproject.toml") -> str | None:
    """The `Repository` of [project.urls], or None."""
    urls = tomllib.loads(project.read_text()).get("project", {}).get("urls", {})
    return next((url for name, url in urls.items() if name.lower() == "repository"), None)


def badge(lesson: str, repository: str | None) -> str:
    """The badge of a lesson (its name without a suffix), in Markdown; "" where it would not work."""
    found = GITHUB.fullmatch(repository or "")
    if found is None:
        return ""
    link = f"https://colab.research.google.com/github/{found[1]}/blob/main/notebooks/{lesson}.ipynb"
    return f"[![run in the cloud](runner/cloud.svg)]({link})"


def with_badge(title_cell: str, wanted: str) -> str:
    """The first cell of a lesson with this badge, or none, below its title."""
    title, _, rest = BADGE.sub("", title_cell).partition("\n")
    return f"{title}\n\n{wanted}\n{rest}" if wanted else f"{title}\n{rest}"


def refresh(folder: Path = NOTEBOOKS, repository: str | None = None) -> list[Path]:
    """Write each lesson's badge into its text and its notebook; the files that changed."""
    changed = []
    for path in sorted([*folder.glob("*.py"), *folder.glob("*.ipynb")]):
        notebook = jupytext.read(path)
        before = notebook.cells[0].source
        notebook.cells[0].source = with_badge(before, badge(path.stem, repository))
        if notebook.cells[0].source != before:
            fmt = "py:percent" if path.suffix == ".py" else "ipynb"
            path.write_text(jupytext.writes(notebook, fmt=fmt).rstrip() + "\n", encoding="utf-8")
            changed.append(path)
    return changed


if __name__ == "__main__":
    for written in refresh(repository=address()):
        print(f"wrote {written}")
    sys.exit(0)
