"""Losses of GFlowNet libraries, of r = log p_F - log p_B unless a preset says otherwise."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from divergence_lab.audit.presets.preset import Preset

MODEL = "model/target"
CLAMP = 80.0


def squared(r: Tensor) -> Tensor:
    """r^2."""
    return r.square()


def half_squared(r: Tensor) -> Tensor:
    """r^2/2."""
    return r.square() / 2


def linex_with_clamp(r: Tensor) -> Tensor:
    """e^r - r - 1, the argument of the exponential clamped to [-80, 80]."""
    return torch.exp(r.clamp(-CLAMP, CLAMP)) - r - 1


def linex_half_with_clamp(r: Tensor) -> Tensor:
    """4 (e^(r/2) - r/2 - 1), the argument of the exponential clamped to [-80, 80]."""
    half = r / 2
    return 4 * (torch.exp(half.clamp(-CLAMP, CLAMP)) - half - 1)


def shifted_cosh_with_clamp(r: Tensor) -> Tensor:
    """e^r + e^-r - 2, r clamped to [-80, 80]."""
    inside = r.clamp(-CLAMP, CLAMP)
    return torch.exp(inside) + torch.exp(-inside) - 2


def absolute(r: Tensor) -> Tensor:
    """|r|."""
    return r.abs()


def huber_one(r: Tensor) -> Tensor:
    """r^2/2 up to |r| = 1, |r| - 1/2 beyond."""
    size = r.abs()
    return torch.where(size < 1, r.square() / 2, size - 0.5)


def log_cosh(r: Tensor) -> Tensor:
    """log(e^r + e^-r) - log 2."""
    return torch.logaddexp(r, -r) - math.log(2)


TORCHGFN = Preset(
    "torchgfn/squared",
    squared,
    MODEL,
    "r**2",
    "torchgfn",
    "2.4.1",
    "gfn/gflownet/losses.py, SquaredLoss",
    real="gfn.gflownet.losses:SquaredLoss",
    held="2.4.1",
)
GFNX = Preset(
    "gfnx/tb",
    squared,
    MODEL,
    "r**2",
    "gfnx",
    "0.0.1",
    "baselines/tb_hypergrid.py (also db, subtb): optax.losses.squared_error",
    real="optax.losses:squared_error",
    pair=("log_pf", "log_pb"),
    held="0.0.1 (optax 0.2.8)",
)
RECURSION = Preset(
    "recursion/mse",
    squared,
    MODEL,
    "r**2",
    "recursionpharma/gflownet",
    "ae7d740",
    "src/gflownet/algo/trajectory_balance.py, TrajectoryBalance._loss, LossFN.MSE",
)
MILA = Preset(
    "alexhernandezgarcia/trajectorybalance",
    squared,
    MODEL,
    "r**2",
    "alexhernandezgarcia/gflownet",
    "01fdb67",
    "gflownet/losses/trajectorybalance.py, TrajectoryBalance.compute_losses_of_batch",
)

GFLOWNETS = (
    TORCHGFN,
    replace(
        TORCHGFN,
        name="torchgfn/half-squared",
        call=half_squared,
        formula="r**2/2",
        source="gfn/gflownet/losses.py, HalfSquaredLoss",
        real="gfn.gflownet.losses:HalfSquaredLoss",
    ),
    replace(
        TORCHGFN,
        name="torchgfn/linex",
        call=linex_with_clamp,
        formula="exp(clamp(r)) - r - 1",
        source="gfn/gflownet/losses.py, LinexLoss(alpha=1)",
        real="gfn.gflownet.losses:LinexLoss",
        note="documented as the forward KL, which it is of -r",
    ),
    replace(
        TORCHGFN,
        name="torchgfn/linex-half",
        call=linex_half_with_clamp,
        formula="4*(exp(clamp(r/2)) - r/2 - 1)",
        source="gfn/gflownet/losses.py, LinexLoss(alpha=0.5)",
        real="gfn.gflownet.losses:LinexLoss(0.5)",
        note="documented as Hellinger, which it is of -r",
    ),
    replace(
        TORCHGFN,
        name="torchgfn/shifted-cosh",
        call=shifted_cosh_with_clamp,
        formula="exp(clamp(r)) + exp(-clamp(r)) - 2",
        source="gfn/gflownet/losses.py, ShiftedCoshLoss",
        real="gfn.gflownet.losses:ShiftedCoshLoss",
    ),
    GFNX,
    RECURSION,
    replace(
        RECURSION,
        name="recursion/mae",
        call=absolute,
        formula="Abs(r)",
        source="src/gflownet/algo/trajectory_balance.py, TrajectoryBalance._loss, LossFN.MAE",
    ),
    replace(
        RECURSION,
        name="recursion/huber",
        call=huber_one,
        formula="r**2/2 up to 1, Abs(r) - 1/2 beyond",
        source="src/gflownet/algo/trajectory_balance.py, TrajectoryBalance._loss, LossFN.HUB",
        note="at loss_fn_par = 1, by which it is divided",
    ),
    replace(
        RECURSION,
        name="recursion/ghl",
        call=log_cosh,
        formula="log(exp(r) + exp(-r)) - log(2)",
        source="src/gflownet/algo/trajectory_balance.py, TrajectoryBalance._loss, LossFN.GHL",
        note="at loss_fn_par = 1, by which r is multiplied",
    ),
    MILA,
    replace(
        MILA,
        name="alexhernandezgarcia/flowmatching",
        source="gflownet/losses/flowmatching.py, FlowMatching.compute_losses_of_batch",
        note="r = log(inflow/outflow)",
    ),
)
