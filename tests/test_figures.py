"""Each figure is what its script draws now from saved results, and drawing trains nothing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest
from matplotlib.figure import Figure

import divergence_lab as dl
from divergence_lab.report.palette import COLUMN, PAGE
from divergence_lab.report.redrawing import redraw, same_drawing

A3 = 16.5  # inches: the poster
FOLDER = Path(__file__).resolve().parents[1] / "figures"
SCRIPTS = sorted(FOLDER.glob("*.py"))
each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
# Controls of the test itself: one script tells, all of them are in make test-slow.
control = pytest.mark.parametrize(
    "script",
    [SCRIPTS[0], *(pytest.param(path, marks=pytest.mark.slow) for path in SCRIPTS[1:])],
    ids=lambda path: path.stem,
)

# Training can't be imported here, so a script that trains fails.
DRAW = """
import runpy, sys
sys.modules["divergence_lab.training"] = None
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def draw(script: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a copy of the script, beside a copy of its saved results, in `folder`."""
    shutil.copy(script, folder)
    shutil.copytree(script.with_suffix(""), folder / script.stem, dirs_exist_ok=True)
    return run(folder / script.name)


def run(script: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", DRAW, str(script)]
    return subprocess.run(command, capture_output=True, text=True, timeout=850, check=False)


def labels(svg: str) -> list[str]:
    """Every text of the figure: matplotlib draws letters as paths and leaves the text in a
    comment.
    """
    return re.findall(r"<!-- (.*?) -->", svg)


def matplotlib_version(svg: str) -> str:
    return re.search(r"Matplotlib v([\w.+]+)", svg).group(1)


def test_there_are_figures_with_both_images_beside_them():
    assert SCRIPTS
    images = {script.with_suffix(end) for script in SCRIPTS for end in (".svg", ".png")}
    assert all(image.exists() for image in images), "run `make figures`"
    assert all("    redraw(" in script.read_text() for script in SCRIPTS)  # leaves what is the same


@each_script
def test_the_image_is_what_the_script_draws_from_saved_results(script, tmp_path):
    """Drawing for drawing with the matplotlib that drew it; another one may set letters and
    ticks elsewhere.
    """
    done = draw(script, tmp_path)
    assert done.returncode == 0, done.stderr
    committed, drawn = (
        script.with_suffix(".svg").read_text(),
        (tmp_path / f"{script.stem}.svg").read_text(),
    )
    assert labels(committed) and labels(drawn) == labels(committed), "run `make figures`"
    if matplotlib_version(committed) == matplotlib.__version__:
        assert same_drawing(drawn, committed), "run `make figures`"


def test_another_drawing_is_told_apart():
    """Negative control: a curve moved by a thousandth of a point, a colour or a name exchanged."""
    svg = '<path d="M 605.462163 5.5e-05" clip-path="url(#p3430f61e14)" style="fill: #0072b2"/>'
    assert same_drawing(
        svg.replace("605.462163", "605.462164").replace("p3430f61e14", "pb002596e16"), svg
    )
    for was, now in (("605.462", "605.463"), ("0072b2", "0072b3"), ("fill", "stroke")):
        assert not same_drawing(svg.replace(was, now), svg)
    twice = svg + svg.replace("p3430f61e14", "pb002596e16")
    assert not same_drawing(twice, svg + svg)


def test_the_same_drawing_leaves_its_files_as_they_are(tmp_path):
    """Rounding of another machine changes no file; another curve or a missing file does."""
    svg, png = redraw(curve(1.0), tmp_path / "one")
    before = svg.stat().st_mtime_ns, png.stat().st_mtime_ns
    redraw(curve(1.0 + 1e-9), tmp_path / "one")
    assert (svg.stat().st_mtime_ns, png.stat().st_mtime_ns) == before
    redraw(curve(1.1), tmp_path / "one")
    assert svg.stat().st_mtime_ns != before[0] and png.stat().st_mtime_ns != before[1]
    png.unlink()
    redraw(curve(1.1), tmp_path / "one")
    assert png.exists()


def curve(height: float) -> Figure:
    figure = Figure(figsize=(2, 2))
    figure.subplots().plot([0, 1, 2], [0, height, 1])
    return figure


@control
def test_without_its_saved_results_a_script_draws_nothing(script, tmp_path):
    """Negative control: the numbers come from the folder and from nowhere else."""
    shutil.copy(script, tmp_path)
    done = run(tmp_path / script.name)
    assert done.returncode != 0 and "ResultError" in done.stderr
    assert not list(tmp_path.glob("*.svg"))


@control
def test_the_block_on_training_works(script, tmp_path):
    """Negative control: the same script fails when it trains."""
    shutil.copy(script, tmp_path)
    text = script.read_text()
    assert text.count("HERE = ") == 1
    (tmp_path / script.name).write_text(
        text.replace("HERE = ", "import divergence_lab as dl\ndl.train\nHERE = ")
    )
    shutil.copytree(script.with_suffix(""), tmp_path / script.stem)
    done = run(tmp_path / script.name)
    assert done.returncode != 0 and "divergence_lab.training" in done.stderr


@each_script
def test_saved_results_name_no_place_on_a_machine(script):
    for path in script.with_suffix("").rglob("*.json"):
        assert not re.search(r'"[^"()]*(/|\\\\)[^"()]*/', path.read_text()), path
    assert not list(script.with_suffix("").rglob("checkpoint*"))


@each_script
def test_every_letter_can_be_read_in_print(script):
    """A figure is as wide as a column or a page, and no letter is smaller than 6 points at that
    width.
    """
    svg = script.with_suffix(".svg").read_text()
    width = float(re.search(r'width="([\d.]+)pt"', svg).group(1)) / 72
    assert min(abs(width - each) for each in (COLUMN, PAGE, A3)) < 0.01
    sizes = letters(svg)
    assert len(sizes) == len(labels(svg)) and min(sizes) >= 5.99
    with pytest.raises(AssertionError):  # negative control: the same figure at half its width
        assert min(size / 2 for size in sizes) >= 5.99


def letters(svg: str) -> list[float]:
    """The size in points of every text: matplotlib scales the letters of a text by a hundredth
    of it.
    """
    return [
        100 * float(scale)
        for scale in re.findall(r"<!-- .*? -->\s*<g[^>]*?scale\(([\d.]+) -", svg, re.DOTALL)
    ]


def test_the_sheet_shows_every_named_loss():
    from divergence_lab.theory.catalogue.named import LOSSES

    content = json.loads((FOLDER / "catalogue_curves" / "data.json").read_text())
    shown = {one["loss"].partition("(")[0] for one in content["losses"] if one["of_the_sheet"]}
    assert shown == {family.name for family in LOSSES}, (
        "run figures/computing/save.py catalogue_curves"
    )
    for one in content["losses"]:
        assert len(one["g"]) == len(one["f"]) == len(content["x"])
        assert abs(one["g"][60]) < 1e-9 and abs(one["f"][60]) < 1e-9 and min(one["g"]) > -1e-9


def test_four_losses_names_the_derived_divergences():
    script = FOLDER / "four_losses.py"
    written = " ".join(labels(script.with_suffix(".svg").read_text()))
    for name in ("quadratic", "linex(1)", "linex(1/2)", "shifted_cosh"):
        derived = str(dl.divergence(dl.loss(name)))
        assert f"{name} \N{RIGHTWARDS ARROW} " in written and derived in written
        assert derived not in script.read_text()  # not typed in
