"""Theory, the part of the bridge that writes source text, and the command line start without torch,
numpy, scipy or matplotlib: whoever derives a divergence waits for none of them, and a browser that
has none of them runs these modules as they are.
"""

import ast
import subprocess
import sys

import pytest

from tests.test_architecture import MODULES, PACKAGE

HEAVY = {"torch", "numpy", "scipy", "matplotlib"}
LIGHT = [
    *(name for name in MODULES if name.startswith("divergence_lab.theory")),
    *(f"divergence_lab.bridge.{name}" for name in ("formula", "source", "export")),
    "divergence_lab.bridge.verified.ranges",
    "divergence_lab.cli.main",
    "divergence_lab.report.panels",
    "divergence_lab.report.typeset",
]


def at_module_level(name: str) -> set[str]:
    """What is imported as soon as this module is: not inside functions, not for annotations."""
    found: set[str] = set()
    waiting: list[ast.AST] = list(ast.parse(MODULES[name].read_text()).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        waiting += ast.iter_child_nodes(node)
    return found


def with_packages(name: str) -> list[str]:
    """a.b.c also runs the `__init__` of a and of a.b."""
    parts = name.split(".")
    return [".".join(parts[: count + 1]) for count in range(len(parts))]


def reached(start: str) -> set[str]:
    """Every module that importing `start` imports, ours followed to the end."""
    found: set[str] = set()
    waiting = with_packages(start)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        if name in MODULES:
            waiting += [other for one in at_module_level(name) for other in with_packages(one)]
    return found


@pytest.mark.parametrize("name", LIGHT)
def test_nothing_heavy_is_imported_on_the_way(name):
    assert not HEAVY & reached(name)


def test_the_walk_sees_what_is_heavy():
    assert "torch" in reached("divergence_lab.bridge.torch_loss")
    assert "numpy" in reached("divergence_lab.graphs.dag")


def test_a_fresh_interpreter_loads_nothing_heavy():
    code = f"import sys, importlib\nfor name in {LIGHT}: importlib.import_module(name)\n"
    code += f"print(*[name for name in {sorted(HEAVY)} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    assert done.stdout.split() == []
