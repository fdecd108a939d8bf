"""Each lesson's text and its notebook say the same, the notebook holds its outputs, and the text
runs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

for needed in ("jupytext", "nbformat", "nbclient", "ipykernel"):
    pytest.importorskip(needed, reason="lessons need Jupyter: pip install '.[notebooks]'")

import jupytext  # noqa: E402
import nbformat  # noqa: E402
from nbclient.exceptions import CellExecutionError  # noqa: E402

from notebooks.runner.cloud import BADGE, BY_HAND, address, badge, refresh  # noqa: E402
from notebooks.runner.execute import executed  # noqa: E402

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
LESSONS = sorted(FOLDER.glob("*.py"))
each_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)


def code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_lessons_and_every_notebook_has_its_text():
    assert LESSONS
    assert [path.stem for path in sorted(FOLDER.glob("*.ipynb"))] == [path.stem for path in LESSONS]


@each_lesson
def test_text_and_notebook_are_in_step(lesson):
    text, notebook = jupytext.read(lesson), jupytext.read(lesson.with_suffix(".ipynb"))
    said, held = (
        [(cell.cell_type, cell.source) for cell in each.cells] for each in (text, notebook)
    )
    assert said == held, "run `make notebooks`"


@each_lesson
def test_the_badge_leads_where_the_repository_is(lesson):
    found = [match.group() for match in BADGE.finditer(lesson.read_text())]
    assert found == [badge(lesson.stem, address())], "run `python notebooks/runner/cloud.py`"


def test_a_published_address_makes_badges_that_open_the_lesson(tmp_path):
    lesson = tmp_path / "01_first.py"
    lesson.write_text(f"# # First\n# {badge('01_first', None)}\n")
    assert BY_HAND in lesson.read_text()
    assert refresh(tmp_path, "https://github.com/someone/something.git") == [lesson]
    assert (
        "colab.research.google.com/github/someone/something/blob/main/notebooks/01_first.ipynb"
        in lesson.read_text()
    )


@each_lesson
def test_the_index_names_every_lesson_and_the_notebook_is_small(lesson):
    assert f"({lesson.stem}.ipynb)" in (FOLDER / "README.md").read_text()
    assert lesson.with_suffix(".ipynb").stat().st_size < 400_000


@each_lesson
def test_outputs_are_present_and_clean(lesson):
    """Every cell ran in order, nothing failed or warned, and the last one, the check, printed."""
    cells = code(nbformat.read(lesson.with_suffix(".ipynb"), as_version=4))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert cells[-1].outputs and "assert" in cells[-1].source
    assert any("image/png" in o.get("data", {}) for o in outputs), "a lesson has a picture"


@pytest.mark.parametrize(
    "lesson",
    [  # the longest ones wait for make test-slow
        pytest.param(
            path, marks=pytest.mark.slow if path.stem[:2] in ("04", "05", "06", "07", "09") else ()
        )
        for path in LESSONS
    ],
    ids=lambda path: path.stem,
)
def test_the_text_runs(lesson):
    executed(lesson)


def test_a_false_check_is_noticed(tmp_path):
    """Negative control: with one statement of the last cell made false, the same lesson does not
    run.
    """
    mutated = tmp_path / LESSONS[0].name
    text = LESSONS[0].read_text()
    claim = 'assert (found.name, found.factor) == ("reverse KL", 1)'
    assert text.count(claim) == 1
    mutated.write_text(text.replace(claim, claim.replace("reverse", "forward")))
    with pytest.raises(CellExecutionError, match="forward KL"):
        executed(mutated)
