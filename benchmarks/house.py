"""The house in numbers: files, lines, statements, rooms, floors, arrows, public things without a
docstring.

    python benchmarks/house.py [DIRECTORY]

A statement is one of the syntax tree, docstrings aside. A floor: a module stands one above the
highest that it imports; modules in a circle share one. An arrow: one folder of a level imports
another of the same level.
"""

import ast
import sys
from pathlib import Path


def imports(tree: ast.Module, modules: set[str]) -> set[str]:
    """The modules of the package that a file imports, wherever in the file; what only
    annotations need is left out.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    found &= modules
    return {name for name in found if not any(other.startswith(name + ".") for other in found)}


def statements(tree: ast.Module) -> int:
    """Statements of a file, docstrings aside."""
    docstrings = sum(
        ast.get_docstring(node) is not None
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return sum(isinstance(node, ast.stmt) for node in ast.walk(tree)) - docstrings


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Groups of two or more names that reach each other."""

    def reached(start: str) -> set[str]:
        seen, todo = set(), list(graph[start])
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += graph[name]
        return seen

    reach = {name: reached(name) for name in graph}
    groups = {frozenset(b for b in reach[a] if a in reach[b]) for a in graph if a in reach[a]}
    return [set(group) for group in groups if len(group) > 1]


def floors(graph: dict[str, set[str]]) -> int:
    """How many floors the names stand on."""
    one = {name: min(group) for group in circles(graph) for name in group}
    merged: dict[str, set[str]] = {}
    for name, others in graph.items():
        mine = one.get(name, name)
        merged.setdefault(mine, set()).update({one.get(other, other) for other in others} - {mine})
    height: dict[str, int] = {}

    def stand(name: str) -> int:
        if name not in height:
            height[name] = 1 + max((stand(other) for other in merged[name]), default=0)
        return height[name]

    return max(map(stand, merged))


def level(graph: dict[str, set[str]], inside: str) -> str:
    """One line on the folders and modules that lie in a folder."""
    depth = inside.count(".") + 1

    def room(name: str) -> str:
        return name.split(".")[depth] if name.startswith(inside + ".") else ""

    rooms: dict[str, set[str]] = {room(name): set() for name in graph if room(name)}
    for name, others in graph.items():
        if room(name):
            rooms[room(name)] |= {room(other) for other in others} - {"", room(name)}
    arrows = sum(map(len, rooms.values()))
    return (
        f"{inside}: {len(rooms)} folders and modules, {floors(rooms)} floors, {arrows} arrows, "
        f"{len(circles(rooms))} circles"
    )


def undocumented(tree: ast.Module) -> int:
    """Public functions and classes without a docstring."""
    kinds = ast.FunctionDef | ast.ClassDef
    return sum(
        isinstance(node, kinds) and not node.name.startswith("_") and not ast.get_docstring(node)
        for node in tree.body
    )


def main(directory: Path) -> None:
    package = directory / "divergence_lab"
    files = sorted(package.rglob("*.py"))
    names = {
        ".".join(path.relative_to(directory).with_suffix("").parts).removesuffix(".__init__"): path
        for path in files
    }
    texts = {name: path.read_text() for name, path in names.items()}
    trees = {name: ast.parse(text) for name, text in texts.items()}
    folders = {path.parent for path in files}
    fullest = max(folders, key=lambda folder: len([*folder.glob("*.py")]))
    lines = [line for text in texts.values() for line in text.splitlines()]
    print(
        f"{len(files)} files, {len(lines)} lines, {sum(map(statements, trees.values()))} statements"
    )
    print(
        f"fullest folder: {fullest.relative_to(package)} with {len([*fullest.glob('*.py')])} files"
    )
    print(f"lines over 100 columns: {sum(len(line) > 100 for line in lines)}")
    print(
        f"public functions and classes without docstring: {sum(map(undocumented, trees.values()))}"
    )
    graph = {
        name: imports(tree, set(names)) - {name, "divergence_lab"} for name, tree in trees.items()
    }
    graph.pop("divergence_lab")
    print(
        f"modules: {floors(graph)} floors, {sum(map(len, graph.values()))} imports, "
        f"{len(circles(graph))} circles"
    )
    print(level(graph, "divergence_lab"))
    print(level(graph, "divergence_lab.theory"))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]))
