"""The house keeps its shape: imports go downhill, no room is too long, nothing outside the repository is needed."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "divergence_lab"
FILES = sorted(PACKAGE.rglob("*.py"))

# A room may import rooms with a smaller number only, or files of its own room.
HEIGHT = {"inputs": -2, "ambient": -1, "theory": 0, "graphs": 0, "metrics": 0, "palette": 0, "peers": 0, "molecules": -1, "cli_molecules": 1, "gflownet": 1, "cli_theory": 1, "loss_terms": 1, "bridge": 2, "results": 2,
          "schedules": 2, "trainable": 2.5, "schedule_texts": 3, "verification": 3, "settings": 3, "checkpoints": 3, "audit": 3, "export": 4, "plots": 4, "evaluation": 4, "training": 5,
          "report": 6, "measuring": 6, "app": 6, "sweeps": 6, "cli_sweep": 7, "cli_train": 6, "cli_verify": 6, "cli_check": 1, "cli_audit": 6, "cli_design": 6, "bench": 7, "cli_bench": 8, "cli": 9, "__main__": 10,
          "__init__": 11}
# Inside theory, downhill again.
THEORY = [
    "symbols", "expressions", "processor_time", "processes", "budget", "precision", "enclosure", "balls", "constants", "pieces", "named_losses", "named_divergences", "identity", "catalogue",
    # what the checker knows of one function, and of one for all parameters: it imports nothing of the search
    "tails", "tail_functions", "normal_form", "proofs", "parameter_signs", "germs", "by_terms",
    "loss", "domain", "values", "recognition", "dilogarithms", "integral_table", "integrals", "divergence",
    # the rest of the trusted checker
    "conditions", "certificate", "exponential_terms",
    "convergence", "continuation", "cell_forms", "cell_proofs", "line_proofs", "decided", "conclusions", "sentences", "checker_parameters", "disproofs", "replay", "checker_loss", "quadrature", "checker_numbers", "checker_names", "checker_samplers", "checker_cells", "checker",
    # the search for proofs, and what uses both
    "signs", "no_loss", "boundary", "far_slope", "integral_sign", "sign_regions", "verdict", "family_proofs", "critical_parameters", "witnesses", "parameter_numbers", "parameters", "decision", "derivation", "inversion", "prove_families", "samplers", "questions", "transforms",
    "wording", "hockey_stick", "bounds", "sufficient_bounds", "pinsker", "normaliser", "wishes", "building_blocks", "mixtures", "design",
    "from_data"]
CHECKER = ["balls", "constants", "tails", "tail_functions", "normal_form", "proofs", "conditions", "certificate", "parameter_signs", "germs", "by_terms", "exponential_terms",
           "convergence", "continuation", "cell_forms", "cell_proofs", "line_proofs", "decided", "conclusions", "sentences", "checker_parameters", "disproofs", "replay", "checker_loss", "quadrature", "checker_numbers", "checker_names", "checker_samplers", "checker_cells", "checker"]
# What the checker may use besides itself: the reading of text, and the pieces of a loss with parameters.
READING = ["symbols", "expressions", "pieces", "enclosure", "precision"]


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> list[str]:
    """Every module a file imports, wherever in the file."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            found.append(node.module)
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_downhill(path):
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "divergence_lab" or len(parts) == 1:
            continue
        target = parts[1]
        if target in HEIGHT and target != room(path):
            assert HEIGHT[target] < HEIGHT[room(path)], f"{path.name} imports {name}, which stands above it"
        if room(path) == target == "theory" and len(parts) > 2 and parts[2] in THEORY and path.stem in THEORY:
            assert THEORY.index(parts[2]) < THEORY.index(path.stem) or parts[2] == path.stem, f"{path.name} imports {name}"


def test_the_checker_shares_no_code_with_the_search():
    for name in CHECKER:
        for module in imports(PACKAGE / "theory" / f"{name}.py"):
            parts = module.split(".")
            if parts[:2] == ["divergence_lab", "theory"] and len(parts) > 2 and parts[2] in THEORY:
                assert parts[2] in CHECKER + READING, f"the checker's {name} imports {module}"


def test_the_checker_takes_no_limit_integral_or_root_of_sympys():
    """docs/certificates.md lists what it does take, and where."""
    calls = {}
    for name in CHECKER:
        for node in ast.walk(ast.parse((PACKAGE / "theory" / f"{name}.py").read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sp":
                calls.setdefault(node.attr, set()).add(name)
    for function in ("limit", "integrate", "solveset", "real_roots", "nsolve", "series", "nsimplify", "summation", "Limit", "dsolve"):
        assert function not in calls, (function, calls[function])
    assert calls["solve"] == {"cell_forms"}
    assert calls["simplify"] <= {"cell_forms", "line_proofs", "continuation", "convergence", "parameter_signs"}


def test_every_room_has_its_height():
    assert {room(path) for path in FILES} == set(HEIGHT)
    assert {path.stem for path in FILES if room(path) == "theory"} - {"__init__"} == set(THEORY)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_theory_needs_no_torch_and_the_gflownet_no_sympy(path):
    roots = {name.split(".")[0] for name in imports(path)}
    if room(path) == "theory":
        assert "torch" not in roots
    if room(path) in ("graphs", "gflownet", "training", "results", "settings", "checkpoints", "metrics"):
        assert "sympy" not in roots


def test_importing_theory_is_light():
    heavy = "torch", "matplotlib", "scipy", "sympy.physics", "multiprocessing.pool"
    code = f"import sys, divergence_lab.theory.answers.derivation; print(*[name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_rooms_are_small_and_public_things_are_documented(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    tree = ast.parse(text)
    assert path.name == "__init__.py" or ast.get_docstring(tree), "a room says what it is for"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_") and path.name != "cli.py":
            assert ast.get_docstring(node) or path.name in ("checkpoints.py",), f"{path.name}: {node.name} has no docstring"


def test_the_package_needs_nothing_outside_the_repository():
    for path in [*FILES, ROOT / "Makefile", ROOT / "pyproject.toml", ROOT / "README.md"]:
        assert "shared/" not in path.read_text(), path


def test_public_names_exist_and_are_few():
    import divergence_lab
    assert len(divergence_lab.__all__) <= 30
    for name in divergence_lab.__all__:
        assert getattr(divergence_lab, name) is not None
    with pytest.raises(AttributeError, match="it has"):
        _ = divergence_lab.nothing_of_the_kind


def test_no_expression_of_a_user_is_ever_evaluated_as_code():
    """No eval, exec, sympify or parse_expr anywhere in the package."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                assert name not in ("eval", "exec", "parse_expr", "lambdify"), path


def test_the_readme_example_runs_and_prints_what_it_says(tmp_path):
    readme = (ROOT / "README.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert len(block.strip().splitlines()) <= 12
    done = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, cwd=tmp_path, timeout=850)
    assert done.returncode == 0, done.stderr
    for promise in re.findall(r"print\(.*?#\s*(.+)", block):
        assert promise.strip() in done.stdout, (promise, done.stdout)
    assert (tmp_path / "learned.png").stat().st_size > 10_000
