"""The "run in the cloud" badge of every lesson, made from one place: [project.urls] in
pyproject.toml.

    python notebooks/runner/cloud.py        # write the badges into the lessons and their notebooks

A `Repository` on GitHub gives a badge that opens the lesson in Colab. While no address is set, or
for another host, the badge leads to the page that says how to run a lesson in the cloud by hand.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

NOTEBOOKS = Path(__file__).resolve().parents[1]
BY_HAND = "README.md#in-the-cloud"
GITHUB = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?")
BADGE = re.compile(r"\[!\[run in the cloud\]\(runner/cloud\.svg\)\]\([^)\s]*\)")


def address(project: Path = NOTEBOOKS.parent / "pyproject.toml") -> str | None:
    """The `Repository` of [project.urls], or None."""
    urls = tomllib.loads(project.read_text()).get("project", {}).get("urls", {})
    return next((url for name, url in urls.items() if name.lower() == "repository"), None)


def badge(lesson: str, repository: str | None) -> str:
    """The badge of a lesson (its name without a suffix), in Markdown."""
    found = GITHUB.fullmatch(repository or "")
    link = (
        BY_HAND
        if found is None
        else f"https://colab.research.google.com/github/{found[1]}/blob/main/notebooks/{lesson}.ipynb"
    )
    return f"[![run in the cloud](runner/cloud.svg)]({link})"


def refresh(folder: Path = NOTEBOOKS, repository: str | None = None) -> list[Path]:
    """Write each lesson's badge into its text and its notebook; the files that changed."""
    changed = []
    for path in sorted([*folder.glob("*.py"), *folder.glob("*.ipynb")]):
        before = path.read_text(encoding="utf-8")
        after = BADGE.sub(badge(path.stem, repository).replace("\\", r"\\"), before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            changed.append(path)
    return changed


if __name__ == "__main__":
    for written in refresh(repository=address()):
        print(f"wrote {written}")
    sys.exit(0)
