"""Residuals x = log p_B - log p_F = log(target/model) of each training objective; no loss, no reduction."""

from __future__ import annotations

from torch import Tensor

from divergence_lab.gflownet.sampling import Trajectories, gather_steps, with_sink
from divergence_lab.gflownet.tables import tables
from divergence_lab.graphs.dag import PointedDAG


def tb(graph: PointedDAG, log_pf: Tensor, log_z: Tensor, walked: Trajectories) -> Tensor:
    """x = log R + sum log P_B - log Z - sum log P_F, with uniform P_B: [M, B].

    log_pf [M, A, S], log_z [M].  Trajectory balance, Malkin et al. 2022; the sign is that of Hu et al. 2025.
    """
    log_target = tables(graph, log_pf.device, log_pf.dtype).log_target
    # one table for both policies: one gather, and log R and log P_B cancel against log P_F step by step
    return gather_steps(log_target - with_sink(log_pf), walked) - log_z[:, None]
