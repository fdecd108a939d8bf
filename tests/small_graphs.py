"""Small graphs to teach and test with: each shows one thing a hyper-grid does not."""

from __future__ import annotations

import math

from divergence_lab.graphs.dag import PointedDAG
from divergence_lab.graphs.edges import from_edges


def single_state(log_reward: float = 0.7) -> PointedDAG:
    """One state, no edges: log Z is the only thing to learn."""
    return from_edges([], {"s0": log_reward}, name="single_state")


def diamond() -> PointedDAG:
    """Two ways to the state `both`: the smallest graph where P_B matters; `left` is terminal
    too.
    """
    edges = [("start", "left"), ("start", "right"), ("left", "both"), ("right", "both")]
    return from_edges(edges, {"left": -0.4, "both": 0.9}, name="diamond")


def binary_tree(depth: int = 3) -> PointedDAG:
    """A tree whose 2^depth leaves are the terminal states, with reward = leaf number + 1."""
    words = [
        format(number, f"0{d}b") if d else "" for d in range(depth + 1) for number in range(2**d)
    ]
    edges = [(word[:-1], word) for word in words if word]
    rewards = {word: math.log(int(word or "0", 2) + 1) for word in words if len(word) == depth}
    return from_edges(edges, rewards, name=f"binary_tree:{depth}")


def skips() -> PointedDAG:
    """Edges that jump over levels: trajectories to one terminal state have different lengths."""
    edges = [
        ("s", "a"),
        ("s", "b"),
        ("s", "d"),
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
        ("b", "d"),
        ("c", "d"),
    ]
    return from_edges(edges, {"a": -2.0, "c": 0.3, "d": 1.1}, name="skips")
