"""Whoever derives, proves or designs needs no torch; what needs it says so in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = """
import contextlib, io, sys
import divergence_lab as dl
from divergence_lab.cli.main import main

def ran(*words):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(words)
        except SystemExit as stop:
            code = stop.code
    return code, out.getvalue(), err.getvalue()

for words in (
    ["--version"], [], ["derive", "--help"], ["derive", "quadratic", "--at", "2"],
    ["invert", "t*log(t)"], ["catalogue"], ["compare", "quadratic", "Abs(x)", "--budget", "2"],
    ["export", "quadratic", "--form", "torch"], ["export", "quadratic", "--form", "latex"],
    ["design", "--zero-forcing", "--count", "1"],
):
    code, out, err = ran(*words)
    assert code == 0 and out and not err, (words, code, err)
code, out, _ = ran("derive", "linex(1)", "--json")
with open("proofs.json", "w") as file:
    file.write(out)
assert ran("check", "proofs.json")[:2] == (0, "everything holds (1 loss)\\n")

assert dl.derive("quadratic").divergence.name == "reverse KL"
assert dl.loss("linex(1)") and dl.decide("x**2/2").zero_forcing
assert "exp" in dl.export("linex(1)")

for words in (
    ["train", "quadratic", "--env", "hypergrid:2x2"], ["verify", "quadratic"],
    ["audit", "math:exp", "--residual", "target/model"], ["report", "quadratic"],
):
    code, out, err = ran(*words)
    assert (code, out) == (2, ""), (words, code, out, err)
    line = f"divergence-lab {words[0]} needs torch, which is not installed here: pip install torch"
    assert err.strip() == line, err
for name in ("train", "to_torch", "verify", "audit", "write_report"):
    try:
        getattr(dl, name)("quadratic", "hypergrid:2x2")
    except ModuleNotFoundError as error:
        assert "torch, which is not installed here: pip install torch" in str(error), error
    else:
        raise AssertionError(name)
assert "torch" not in {name for name in sys.modules if sys.modules[name]}
print("done")
"""
PAGE = """
import numpy
from divergence_lab.app import background, page
assert background.derivation("x**2/2").divergence.name == "reverse KL"
assert "def loss(residual)" in background.torch_text("x**2/2")
assert "align" in background.latex_text(background.derivation("x**2/2"))
try:
    background.learn("x**2/2", lambda step, steps: None)
except ValueError as error:
    assert str(error) == "training needs torch, which is not installed here: pip install torch"
    print("done")
"""


def ran_without_torch(script, folder):
    """In a process, and processes of its own, in which `import torch` fails."""
    blocked = folder / "blocked" / "torch"
    blocked.mkdir(parents=True)
    text = "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n"
    (blocked / "__init__.py").write_text(text)
    paths = (blocked.parent, ROOT, *filter(None, [os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=850,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
    )


def test_theory_needs_no_torch_and_the_rest_says_how_to_get_it(tmp_path):
    done = ran_without_torch(SCRIPT, tmp_path)
    assert done.stdout.endswith("done\n"), done.stdout + done.stderr
    control = ran_without_torch("import torch", tmp_path / "control")
    assert control.returncode == 1 and "No module named 'torch'" in control.stderr


def test_the_page_needs_no_torch_but_to_train(tmp_path):
    pytest.importorskip("marimo", reason="the page needs marimo: pip install marimo")
    done = ran_without_torch(PAGE, tmp_path)
    assert done.stdout == "done\n", done.stdout + done.stderr
