"""The house keeps its shape: imports go downhill from room to room, no room is too full, nothing
outside the repository is needed.
"""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "divergence_lab"
FILES = sorted(PACKAGE.rglob("*.py"))
ROOMS = sorted({path.parent for path in FILES} - {PACKAGE})

# Which rooms a room may import. `inputs`, `outputs` and `signals` are the ground.
HOUSE = {
    "theory": "",
    "graphs": "",
    "results": "",
    "bridge": "theory",
    "gflownet": "graphs",
    "theorem": "theory bridge graphs gflownet",
    "training": "theory bridge graphs gflownet results",
    "audit": "theory bridge graphs",
    "report": "theory bridge graphs results theorem training",
    "bench": "theory bridge graphs gflownet results training",
    "app": "theory bridge graphs training report",
    "cli": "theory bridge graphs gflownet theorem training results audit report bench app",
}
THEORY = {
    "expressions": "",
    "budget": "",
    "catalogue": "expressions",
    "checker": "expressions",  # the trusted base: what else it used could not be trusted less
    "divergence": "expressions budget catalogue checker",
    "verdicts": "expressions budget catalogue divergence checker",
    "answers": "expressions budget catalogue divergence checker verdicts",
    "inequalities": "expressions budget divergence checker verdicts",
    "design": "expressions budget divergence checker answers",
}


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module(path): path for path in FILES}


def imports(path: Path) -> list[str]:
    """Every module a file imports, wherever in the file; what only annotations need is left out."""
    found, tree = [], ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            found.append(node.module)
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def ours(path: Path) -> set[str]:
    """The modules of this package that a file imports: a face that hands on a name is not what
    is meant by a file of the room.
    """
    found = {name for name in imports(path) if name in MODULES and name != module(path)}
    return {name for name in found if not any(other.startswith(name + ".") for other in found)}


def room(name: str, depth: int) -> str:
    parts = name.split(".")
    return parts[depth] if len(parts) > depth else ""


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_downhill(path):
    here = module(path)
    for name in ours(path):
        for table, depth in ((HOUSE, 1), (THEORY, 2)):
            mine, other = room(here, depth), room(name, depth)
            if (
                mine in table
                and other in table
                and mine != other
                and (depth == 1 or room(here, 1) == room(name, 1) == "theory")
            ):
                assert other in table[mine].split(), f"{here} imports {name}"


def test_triton_is_imported_only_where_a_kernel_is_launched():
    """By the files of kernels, and these by functions that only a GPU reaches."""
    with_triton = {
        module(path) for path in FILES if any("triton" in name for name in imports(path))
    }
    assert {name.rpartition("_")[2] for name in with_triton} == {"kernels"}
    for path in FILES:
        at_once = [node for node in ast.parse(path.read_text()).body if hasattr(node, "names")]
        for node in at_once:
            names = {f"{getattr(node, 'module', '')}.{alias.name}" for alias in node.names}
            assert module(path) in with_triton or not names & with_triton, path


def test_nothing_goes_uphill_through_the_face_of_the_package():
    """Save one method: a result that draws itself asks the face for `plots` when it is called."""
    import divergence_lab

    handed_on = {f"divergence_lab.{name}" for name in divergence_lab._HOME} - set(MODULES)
    through = {(module(path), name) for path in FILES for name in imports(path)}
    assert {pair for pair in through if pair[1] in handed_on} == {
        ("divergence_lab.results.result", "divergence_lab.plots")
    }


def test_both_tables_name_every_room():
    beside = {"__init__", "__main__", "inputs", "outputs", "signals", "testing"}
    assert {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in FILES} == set(
        HOUSE
    ) | beside
    assert {
        path.relative_to(PACKAGE / "theory").parts[0]
        for path in FILES
        if room(module(path), 1) == "theory"
    } == set(THEORY) | {"__init__.py"}
    assert len(HOUSE) <= 15 and len(THEORY) <= 10


def test_the_architecture_page_shows_both_tables():
    page = (ROOT / "docs" / "architecture.md").read_text()
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in page.splitlines()]
    shown = [(row[0], set(row[2].split(", ")) - {"-"}) for row in rows if len(row) > 2]
    for name, others in {**HOUSE, **THEORY}.items():
        arrows = {"all"} if name == "cli" else set(others.split())
        assert (name, arrows) in shown, name


def test_there_is_no_circle():
    TopologicalSorter({name: ours(path) for name, path in MODULES.items()}).prepare()
    for table in (HOUSE, THEORY):
        TopologicalSorter({mine: others.split() for mine, others in table.items()}).prepare()


@pytest.mark.parametrize("folder", ROOMS, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_room_is_small_and_has_a_face(folder):
    assert len([*folder.glob("*.py")]) <= 14
    name = module(folder / "__init__.py")
    face = __import__(name, fromlist=["__doc__"])
    assert face.__doc__
    names = getattr(face, "__all__", [])
    assert len(names) <= 10
    for public in names:
        assert getattr(face, public) is not None


def test_a_stub_shows_type_checkers_the_names_of_its_face():
    assert (PACKAGE / "py.typed").exists() and (PACKAGE / "__init__.pyi").exists()
    for stub in PACKAGE.rglob("__init__.pyi"):
        face = __import__(module(stub), fromlist=["__all__"])
        lines = [
            (node.module, alias.name)
            for node in ast.parse(stub.read_text()).body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
            if alias.asname == alias.name
        ]
        named = sorted(name for _, name in lines)
        assert named == sorted(face.__all__), f"write the names of the face into {stub}"
        for home, name in lines:
            meant = getattr(__import__(home, fromlist=[name]), name)
            # the room of the audit may be called in place of its function
            assert getattr(face, name) in (meant, sys.modules.get(f"{module(stub)}.{name}"))


def test_the_checker_imports_expressions_and_nothing_else():
    for path in (PACKAGE / "theory" / "checker").rglob("*.py"):
        for name in ours(path):
            assert name == "divergence_lab" or name.split(".")[:3] in (
                ["divergence_lab", "theory", "checker"],
                ["divergence_lab", "theory", "expressions"],
            ), f"the checker's {path.name} imports {name}"


def test_the_checker_takes_no_limit_integral_or_root_of_sympys():
    """docs/certificates.md lists what it does take, and where."""
    calls = {}
    for path in [
        *(PACKAGE / "theory" / "checker").rglob("*.py"),
        *(
            PACKAGE / "theory" / "expressions" / f"{name}.py"
            for name in ("balls", "constants", "unified")
        ),
    ]:
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "sp"
            ):
                calls.setdefault(node.attr, set()).add(path.stem)
    for function in (
        "limit",
        "integrate",
        "solveset",
        "real_roots",
        "nsolve",
        "series",
        "nsimplify",
        "summation",
        "Limit",
        "dsolve",
    ):
        assert function not in calls, (function, calls[function])
    assert calls["solve"] == {"cell_forms"}
    assert calls["simplify"] <= {
        "cell_forms",
        "lines",
        "continuation",
        "convergence",
        "forms",
        "signs",
        "values",
    }


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_theory_needs_no_torch_and_the_gflownet_no_sympy(path):
    roots, mine = {name.split(".")[0] for name in imports(path)}, room(module(path), 1)
    if mine == "theory":
        assert "torch" not in roots
    if mine in ("graphs", "gflownet", "results"):
        assert "sympy" not in roots


def test_importing_theory_is_light():
    heavy = "torch", "matplotlib", "scipy", "sympy.physics", "multiprocessing.pool"
    code = (
        "import sys, divergence_lab.theory.answers.derivation; print(*[name for name in "
        f"{heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_rooms_are_small_and_public_things_are_documented(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    tree = ast.parse(text)
    assert path.name == "__init__.py" or ast.get_docstring(tree), "a room says what it is for"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{path.name}: {node.name} has no docstring"


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
                name = (
                    node.func.attr
                    if isinstance(node.func, ast.Attribute)
                    else getattr(node.func, "id", "")
                )
                assert name not in ("eval", "exec", "parse_expr", "lambdify"), path


def test_the_readme_example_runs_and_prints_what_it_says(tmp_path):
    readme = (ROOT / "README.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert len(block.strip().splitlines()) <= 12
    done = subprocess.run(
        [sys.executable, "-c", block], capture_output=True, text=True, cwd=tmp_path, timeout=850
    )
    assert done.returncode == 0, done.stderr
    for promise in re.findall(r"print\(.*?#\s*(.+)", block):
        assert promise.strip() in done.stdout, (promise, done.stdout)
