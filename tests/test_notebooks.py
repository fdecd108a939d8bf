"""Each lesson's text and its notebook say the same, the notebook holds its outputs, the text runs,
and so do its solutions, which are hidden from whoever has not asked for them.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

for needed in ("jupytext", "nbformat", "nbclient", "ipykernel"):
    pytest.importorskip(needed, reason="lessons need Jupyter: pip install '.[notebooks]'")

import jupytext  # noqa: E402
import nbformat  # noqa: E402
from nbclient.exceptions import CellExecutionError  # noqa: E402

from notebooks.runner import slides  # noqa: E402
from notebooks.runner.cloud import address, badge, refresh  # noqa: E402
from notebooks.runner.execute import executed, same, same_words  # noqa: E402
from notebooks.runner.pictures import same_picture  # noqa: E402

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
LESSONS = sorted(FOLDER.glob("*.py"))
each_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
MOST_LINES = 50  # of code, without the cells that check
SOLUTION = re.compile(r"<details><summary>Solution[^<]*</summary>(.*?)</details>", re.DOTALL)
CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)


def cells(lesson: Path, kind: str) -> list[str]:
    return [cell.source for cell in jupytext.read(lesson).cells if cell.cell_type == kind]


def code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def turn(lesson: Path) -> tuple[str, str]:
    """The student's cell and the one that checks it."""
    sources = cells(lesson, "code")
    place = next(k for k, source in enumerate(sources) if re.fullmatch(r"my_\w+ = \.\.\.", source))
    return sources[place], sources[place + 1]


def code_lines(source: str) -> list[str]:
    """Without comments and docstrings, which are prose."""
    lines = [
        line.strip() for line in re.sub(r'^ +""".*?"""', "", source, flags=re.M | re.S).splitlines()
    ]
    return [line for line in lines if line and not line.startswith("#")]


def solutions(lesson: Path) -> list[str]:
    text = "\n".join(cells(lesson, "markdown"))
    return [block for part in SOLUTION.findall(text) for block in CODE.findall(part)]


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
def test_a_lesson_is_built_like_the_others(lesson):
    """Little code, no imports from inside, what the student does, three exercises, solutions."""
    prose, sources = "\n\n".join(cells(lesson, "markdown")), cells(lesson, "code")
    shown = [source for source in sources[:-1] if source != turn(lesson)[1]]
    lines = [line for source in shown for line in code_lines(source)]
    assert len(lines) <= MOST_LINES, f"{len(lines)} lines of code"
    for module in re.findall(r"from divergence_lab\.?([\w.]*) import", "\n".join(sources)):
        assert module in ("theory.divergence", "theory.answers"), module  # faces of rooms
    for wanted in ("Your turn", "**Pencil.**", "**Code.**", "**Open.**", "Check", "Reading takes"):
        assert wanted in prose, wanted
    assert len(SOLUTION.findall(prose)) == 4 and prose.count("<details>") == 4
    name = turn(lesson)[0].partition(" ")[0]
    assert f"if {name} is not ...:" in turn(lesson)[1]
    assert any(block.startswith(f"{name} = ") for block in solutions(lesson))
    assert not any(
        "solution" in cell.metadata.get("tags", []) for cell in jupytext.read(lesson).cells
    )


@each_lesson
def test_there_is_a_badge_only_where_it_works(lesson):
    found = re.findall(r"\[!\[run in the cloud\].*", lesson.read_text())
    assert found == [badge(lesson.stem, address())][: bool(badge(lesson.stem, address()))], (
        "run `python notebooks/runner/cloud.py`"
    )


def test_a_published_address_makes_badges_that_open_the_lesson(tmp_path):
    lesson = tmp_path / "01_first.py"
    lesson.write_text("# %% [markdown]\n# # First\n#\n# Text.\n")
    assert refresh(tmp_path, "https://github.com/someone/something.git") == [lesson]
    address = (
        "colab.research.google.com/github/someone/something/blob/main/notebooks/01_first.ipynb"
    )
    assert lesson.read_text().count(address) == 1 and "# Text." in lesson.read_text()
    assert refresh(tmp_path, "https://github.com/someone/something") == []
    assert refresh(tmp_path, None) == [lesson] and "badge" not in lesson.read_text()
    assert "cloud" not in lesson.read_text() and "# # First" in lesson.read_text()


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


@each_lesson
def test_slides_hold_the_lesson_and_neither_solutions_nor_the_network(lesson):
    notebook = nbformat.read(lesson.with_suffix(".ipynb"), as_version=4)
    made = slides.page(notebook, lesson.stem)
    headings = re.findall(r"^## (.*)", "\n".join(cells(lesson, "markdown")), re.MULTILINE)
    shown = [slide.partition('<div class="notes">')[0] for slide in slides.slides(notebook)]
    titles = [re.sub(r"<[^>]+>|¶", "", t) for s in shown for t in re.findall("<h2.*?</h2>", s)]
    plain = [re.sub(r"\$.*?\$|`", "", heading) for heading in headings]
    assert [t for t in plain if "Check" not in t and t not in titles and "$" not in t] == []
    for slide in shown:  # more than a title
        words = re.sub(r"<h[12].*?</h[12]>|<style.*?</style>", "", slide, flags=re.DOTALL)
        assert "<img" in words or len(re.sub(r"<[^>]+>", "", words).strip()) > 20, slide
    assert "Your turn" in made and not re.search(r"FORMULA\d", made)
    assert (
        "Solution" not in made
        and "<math" in made
        and "$" not in re.sub(r"<pre>.*?</pre>", "", made, flags=re.DOTALL)
    )
    assert not re.search(r"""(?:src|href)=["']?(?:https?:|//)""", made)


# The longest ones wait for make test-slow.
QUICK = ("00",)
every_text = pytest.mark.parametrize(
    "lesson",
    [
        pytest.param(path, marks=() if path.stem[:2] in QUICK else pytest.mark.slow)
        for path in LESSONS
    ],
    ids=lambda path: path.stem,
)


@every_text
def test_the_text_runs_and_so_do_its_solutions(lesson):
    """Each solution after the lesson, the student's with the cell that checks it."""
    start, check = turn(lesson)
    name = start.partition(" ")[0]
    more = [
        part
        for block in solutions(lesson)
        for part in (block, check)
        if part is block or name in block
    ]
    done = executed(lesson, *more)
    said = "".join(
        output.get("text", "")
        for cell in done.cells[-len(more) :]
        for output in cell.get("outputs", [])
    )
    assert "right" in said


def test_a_wrong_answer_of_a_student_is_noticed(tmp_path):
    """Negative control: nothing is said before an answer, and a wrong one fails with a hint."""
    start, _ = turn(LESSONS[0])
    answered = tmp_path / LESSONS[0].name
    answered.write_text(LESSONS[0].read_text().replace(start, "my_residual = 0.4"))
    with pytest.raises(CellExecutionError, match="log of R P_B over Z P_F"):
        executed(answered)


def test_a_false_check_is_noticed(tmp_path):
    """Negative control: with one statement of the last cell made false, the same lesson does not
    run.
    """
    mutated = tmp_path / LESSONS[0].name
    text = LESSONS[0].read_text()
    claim = 'residual(UNIFORM, ("00", "10", "11")), np.log(1.5)'
    assert text.count(claim) == 1
    mutated.write_text(text.replace(claim, claim.replace("1.5", "1.6")))
    with pytest.raises(CellExecutionError, match="AssertionError"):
        executed(mutated)


def test_a_run_on_another_machine_changes_no_notebook():
    """Decimals and pixels may differ as two sampled runs do; words, whole numbers, cells not."""
    lesson = LESSONS[0].with_suffix(".ipynb")
    held, other = (nbformat.read(lesson, as_version=4) for _ in range(2))
    assert same(held, other)
    assert same_words("TV 0.31, 3 islands", "TV  0.33, 3 islands")
    assert not same_words("TV 0.31, 3 islands", "TV 0.31, 2 islands")
    assert not same_words("TV 0.31, 3 islands", "TV 0.51, 3 islands")
    assert not same_words("reverse KL 1.0", "forward KL 1.0")
    other.cells[-1].source += "\n# changed"
    assert not same(held, other)
    pictures = [
        output.data["image/png"]
        for path in LESSONS[:2]
        for cell in code(nbformat.read(path.with_suffix(".ipynb"), as_version=4))
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    assert same_picture(pictures[0], pictures[0]) and same_picture(None, None)
    assert not same_picture(pictures[0], pictures[1]) and not same_picture(pictures[0], None)
