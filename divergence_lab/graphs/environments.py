"""Text -> graph: the environments a user can name on the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

from divergence_lab.graphs.dag import GraphError, PointedDAG, from_edges
from divergence_lab.graphs.hypergrid import hypergrid

FORMS = "hypergrid:DIMxSIDE (hypergrid:2x8), hypergrid:DIMxSIDE:paper, dag:FILE.json"
REWARDS = {
    "default": {"r0": 1e-3, "r1": 0.5, "r2": 2.0},
    # Hu et al. 2025, with x/(H-1) as in their released code (their text says x/H)
    "paper": {"r0": 1e-4, "r1": -9.9e-5, "r2": 0.999999},
}
NOT_YET = ("bits", "molecules")


class EnvironmentTextError(ValueError):
    """A text that names no environment; the message lists the accepted forms."""


def graph_from_text(text: str) -> PointedDAG:
    """The graph named by `hypergrid:DIMxSIDE[:default|paper]` or `dag:FILE.json`.

    The file holds {"edges": [[parent, child], ...], "log_rewards": {state: number}}.
    """
    kind, _, rest = text.strip().partition(":")
    if kind == "hypergrid":
        return _hypergrid(text.strip(), rest)
    if kind == "dag" and rest:
        return _dag_file(Path(rest))
    if kind in NOT_YET:
        raise EnvironmentTextError(f"environment {text!r}: {kind} is not available yet; use one of {FORMS}")
    raise EnvironmentTextError(f"environment {text!r} is not known; use one of {FORMS}")


def _hypergrid(text: str, rest: str) -> PointedDAG:
    match = re.fullmatch(r"(\d{1,6})x(\d{1,6})(?::(\w+))?", rest, re.ASCII)
    if match is None:
        raise EnvironmentTextError(f"environment {text!r} is malformed; use one of {FORMS}")
    reward = match[3] or "default"
    if reward not in REWARDS:
        raise EnvironmentTextError(
            f"environment {text!r}: reward {reward!r} is not one of {', '.join(REWARDS)}"
        )
    try:
        return hypergrid(int(match[1]), int(match[2]), **REWARDS[reward], name=text)
    except GraphError as error:
        raise EnvironmentTextError(f"environment {text!r}: {error}") from error


def _dag_file(path: Path) -> PointedDAG:
    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_duplicates)
    except OSError as error:
        raise EnvironmentTextError(
            f"dag:{path} cannot be read ({error.strerror}); name a JSON file"
        ) from error
    except (ValueError, RecursionError) as error:
        raise EnvironmentTextError(f"dag:{path} is not valid JSON ({error}); correct the file") from error
    if not isinstance(content, dict) or not isinstance(content.get("edges"), list):
        raise EnvironmentTextError(f'dag:{path} has no list "edges"; write {{"edges": [["a", "b"]], ...}}')
    if not isinstance(content.get("log_rewards"), dict):
        raise EnvironmentTextError(
            f'dag:{path} has no object "log_rewards"; write {{"log_rewards": {{"b": 0.5}}}}'
        )
    edges = [_edge(edge, path) for edge in content["edges"]]
    try:
        return from_edges(edges, content["log_rewards"], name=f"dag:{path.name}")
    except GraphError as error:
        raise EnvironmentTextError(str(error)) from error


def _edge(edge: object, path: Path) -> tuple[str, str]:
    # JSON object keys are strings, so a number in an edge can only mean the state of that name
    named = isinstance(edge, list) and all(
        isinstance(s, (str, int)) and not isinstance(s, bool) for s in edge
    )
    if not named or len(edge) != 2:
        raise EnvironmentTextError(f'dag:{path}: {edge!r} is not an edge; write ["parent", "child"]')
    return str(edge[0]), str(edge[1])


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is given twice")
    return dict(pairs)
