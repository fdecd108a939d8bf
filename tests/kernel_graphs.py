"""Graphs that kernels of our own are held to, and where they run: on a GPU if there is one, else
in Triton's interpreter.
"""

import os

import numpy as np
import pytest

from divergence_lab.graphs import dag
from divergence_lab.graphs.edges import from_edges
from divergence_lab.graphs.texts import graph_from_text
from tests.small_graphs import diamond, single_state, skips

needs_triton = pytest.mark.skipif(
    not __import__("importlib.util").util.find_spec("triton"),
    reason="Triton is not installed, so the kernels cannot run: pip install triton==3.9.0 (Linux)",
)
DEVICE = "cuda" if os.environ.get("DIVERGENCE_LAB_TESTS_ON_GPU") else "cpu"


def random_dag(seed: int, n_states: int = 40, most_parents: int = 5) -> dag.PointedDAG:
    """Every state has some parents among those before it; edges jump over levels."""
    draw = np.random.default_rng(seed)
    edges = [
        (int(parent), child)
        for child in range(1, n_states)
        for parent in draw.choice(
            child, size=min(child, int(draw.integers(1, most_parents + 1))), replace=False
        )
    ]
    leaves = set(range(n_states)) - {parent for parent, _ in edges}
    ends = leaves | {int(state) for state in draw.choice(n_states, size=n_states // 3)}
    return from_edges(edges, {end: float(draw.normal()) for end in ends}, name=f"random {seed}")


def star(n_leaves: int) -> dag.PointedDAG:
    """More actions in one state, and more parents of another, than a tile is usually wide."""
    edges = [("source", leaf) for leaf in range(n_leaves)]
    edges += [(leaf, "end") for leaf in range(n_leaves)]
    return from_edges(edges, {0: 0.5, "end": 1.0}, name=f"star {n_leaves}")


GRAPHS = {
    **{
        text: lambda text=text: graph_from_text(text)
        for text in (
            "hypergrid:1x9",
            "hypergrid:2x8",
            "hypergrid:3x4",
            "hypergrid:4x3:paper",
            "bits:4x2",
            "bits:6x3:seed1",
            "sets:6x3",
            "tree:2x4",
            "tree:3x3",
        )
    },
    "one state": single_state,
    "diamond": diamond,
    "skips": skips,
    "random 0": lambda: random_dag(0),
    "random 1": lambda: random_dag(1, 60, 12),
    "star": lambda: star(70),
}
