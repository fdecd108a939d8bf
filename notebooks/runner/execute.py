"""Lesson text (*.py) -> executed notebook (*.ipynb) beside it.

    python notebooks/runner/execute.py LESSON.py ...

What would differ from one run to the next is left out of the written notebook (random cell numbers,
times, the version of Python). A notebook that says the same already is left as it is: on another
processor the last digits differ, and a training run that samples may take another way.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

from divergence_lab.outputs import write_alone

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from notebooks.runner.pictures import same_picture

TIMEOUT_SECONDS = 600
NUMBER = re.compile(r"-?\d+(?:\.\d*)?(?:e[+-]?\d+)?")
ABSOLUTE, RELATIVE = 0.05, 0.25  # how far the numbers of two sampled runs may lie apart


def executed(lesson: Path, *more: str) -> nbformat.NotebookNode:
    """The notebook that the lesson's text becomes, with the outputs of a fresh kernel.

    `more`: code that is run after it, in cells of its own. Raises CellExecutionError at the first
    cell that fails.
    """
    notebook = jupytext.read(lesson)
    notebook.cells += [nbformat.v4.new_code_cell(code) for code in more]
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


def same(one: nbformat.NotebookNode, other: nbformat.NotebookNode) -> bool:
    """Do two executed notebooks have the same cells, and outputs that say the same?"""
    return len(one.cells) == len(other.cells) and all(
        a.cell_type == b.cell_type
        and a.source == b.source
        and same_outputs(a.get("outputs", []), b.get("outputs", []))
        for a, b in zip(one.cells, other.cells)
    )


def same_outputs(one: list, other: list) -> bool:
    """Of a cell: as many, of the same kinds, with the same words and pictures, and close numbers."""
    if [output.output_type for output in one] != [output.output_type for output in other]:
        return False
    return all(
        same_words(said(a), said(b)) and same_picture(drawn(a), drawn(b))
        for a, b in zip(one, other)
    )


def said(output: nbformat.NotebookNode) -> str:
    return str(output.get("text", "") or output.get("data", {}).get("text/plain", ""))


def drawn(output: nbformat.NotebookNode) -> str | None:
    return output.get("data", {}).get("image/png")


def same_words(one: str, other: str) -> bool:
    """Equal but for spaces and for decimals, which may differ as those of two runs do."""
    words = [re.sub(r"\s+", " ", NUMBER.sub(" # ", text)) for text in (one, other)]
    numbers = [NUMBER.findall(text) for text in (one, other)]
    return words[0] == words[1] and all(a == b or close(a, b) for a, b in zip(*numbers))


def close(one: str, other: str) -> bool:
    """Two decimals that differ no more than a sampled run does; a whole number is exact."""
    if not all(re.search(r"[.e]", number) for number in (one, other)):
        return False
    a, b = float(one), float(other)
    return abs(a - b) <= ABSOLUTE + RELATIVE * max(abs(a), abs(b))


def main(lessons: list[str]) -> int:
    for lesson in map(Path, lessons):
        target = lesson.with_suffix(".ipynb")
        made = executed(lesson)
        if target.exists() and same(jupytext.read(target), made):
            print(f"{target} says the same: left as it is")
            continue
        text = jupytext.writes(made, fmt="ipynb").rstrip()
        write_alone(target, f"{text}\n".encode())
        print(f"wrote {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
