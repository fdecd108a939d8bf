"""Lesson text (*.py) -> executed notebook (*.ipynb) beside it.

    python notebooks/runner/execute.py LESSON.py ...

What would differ from one run to the next is left out of the written notebook (random cell numbers,
times, the version of Python), so that a change in the file is a change in the lesson.
"""

from __future__ import annotations

import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

from divergence_lab.outputs import write_alone

TIMEOUT_SECONDS = 120


def executed(lesson: Path) -> nbformat.NotebookNode:
    """The notebook that the lesson's text becomes, with the outputs of a fresh kernel.

    Raises CellExecutionError at the first cell that fails.
    """
    notebook = jupytext.read(lesson)
    where = {"metadata": {"path": str(lesson.parent)}}
    NotebookClient(
        notebook,
        timeout=TIMEOUT_SECONDS,
        record_timing=False,
        coalesce_streams=True,
        resources=where,
    ).execute()
    notebook.metadata["language_info"] = {"name": "python", "file_extension": ".py"}
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02d}"
    return notebook


def main(lessons: list[str]) -> int:
    for lesson in map(Path, lessons):
        target = lesson.with_suffix(".ipynb")
        text = jupytext.writes(executed(lesson), fmt="ipynb").rstrip()
        write_alone(target, f"{text}\n".encode())
        print(f"wrote {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
