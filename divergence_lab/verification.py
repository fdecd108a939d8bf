"""The gradient theorem for losses given as theory: where theory, the bridge and the exact GFlowNet meet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from divergence_lab.bridge import generator_to_torch, to_torch
from divergence_lab.gflownet.theorem import check_tb
from divergence_lab.graphs.environments import graph_from_text
from divergence_lab.theory.divergence import Divergence, divergence
from divergence_lab.theory.loss import Loss


def verify(losses: Mapping[str, Loss], env: str = "hypergrid:2x4", budget: float = 10.0,
           divergences: Mapping[str, Divergence] | None = None) -> list[dict[str, Any]]:
    """For each loss: grad sum mu g(x) against grad D_f(p_B||p_F), all trajectories enumerated, float64, mu = p_F.

    One row a loss with the keys of `verify --json`. `divergences` spares deriving again what is known already.
    """
    graph = graph_from_text(env)
    rows = []
    for name, loss in losses.items():
        known = (divergences or {}).get(name) or divergence(loss, budget)
        check = check_tb(graph, to_torch(loss), generator_to_torch(known))
        rows.append({"loss": name, "objective": "tb", "env": env, "sampler": "on",
                     "max_gradient_error": check.max_gradient_error,
                     "flipped_sign_error": check.flipped_sign_error, "holds": check.holds})
    return rows
