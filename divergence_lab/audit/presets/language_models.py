"""KL terms of language-model training: r = log(reference/policy) or log(policy/reference), of each
token or of the whole answer.
"""

from dataclasses import replace

import torch
from torch import Tensor

from divergence_lab.audit.presets.gflownets import MODEL, absolute, half_squared
from divergence_lab.audit.presets.preset import Preset

TARGET = "target/model"


def k1(r: Tensor) -> Tensor:
    """r = log(policy/reference)."""
    return 1 * r


def k3(r: Tensor) -> Tensor:
    """e^r - r - 1, r = log(reference/policy)."""
    return torch.exp(r) - r - 1


def k1_of_reference(r: Tensor) -> Tensor:
    """-r, r = log(reference/policy)."""
    return -r


def verl_k3(r: Tensor) -> Tensor:
    """e^c - c - 1, clamped to [-10, 10], with c = -r clamped to [-20, 20]."""
    c = (-r).clamp(-20, 20)
    return (torch.exp(c) - c - 1).clamp(-10, 10)


def verl_k3_plus(r: Tensor) -> Tensor:
    """The value of k3, the gradient of k2."""
    backward = half_squared(r)
    return backward - backward.detach() + verl_k3(r).detach()


def openrlhf_k1(r: Tensor) -> Tensor:
    """r clamped to [-10, 10]."""
    return r.clamp(-10, 10)


def openrlhf_k2(r: Tensor) -> Tensor:
    """r^2/2 clamped to [-10, 10]."""
    return half_squared(r).clamp(-10, 10)


def openrlhf_k3(r: Tensor) -> Tensor:
    """e^-c + c - 1, clamped to [-10, 10], with c = r from -10 on."""
    return k3(-r.clamp(min=-10)).clamp(-10, 10)


def openrlhf_unbiased(r: Tensor) -> Tensor:
    """The value of k1, the gradient of k2."""
    backward = half_squared(r)
    return backward - backward.detach() + openrlhf_k1(r).detach()


GRPO = Preset(
    "trl/grpo",
    k3,
    TARGET,
    "exp(r) - r - 1",
    "trl",
    "1.16.0",
    "trl/trainer/grpo_trainer.py, GRPOTrainer._compute_loss, use_bias_correction_kl=False",
    per="token",
    held="1.12.0, 1.16.0",
)
PPO = Preset(
    "trl/ppo",
    k1_of_reference,
    TARGET,
    "-r",
    "trl",
    "1.12.0",
    "trl/experimental/ppo/ppo_trainer.py (trl/trainer in 0.24.0), kl_estimator='k1'",
    placement="reward",
    per="token",
    note="GAE with gamma = 1; 1.16.0 has no PPO",
    held="1.12.0",
)
VERL = Preset(
    "verl/kl-loss-k1",
    k1,
    MODEL,
    "r",
    "verl",
    "0.9.1",
    "verl/trainer/ppo/core_algos.py, kl_penalty('kl'), actor.use_kl_loss",
    per="token",
    real="verl.trainer.ppo.core_algos:kl_penalty",
    pair=("log_pf", "log_pb", "kl_penalty=kl"),
    held="0.9.1",
)
OPENRLHF = Preset(
    "openrlhf/reward-k1",
    openrlhf_k1,
    MODEL,
    "clamp(r)",
    "OpenRLHF",
    "0.11.2",
    "openrlhf/models/utils.py, compute_approx_kl('k1'), compute_reward",
    placement="reward",
    per="token",
    real="openrlhf.models.utils:compute_approx_kl",
    pair=("log_pf", "log_pb", "kl_estimator=k1"),
    note="in float32; the clamp is missing in some versions",
    held="0.11.2",
)

LANGUAGE_MODELS = (
    GRPO,
    replace(
        GRPO,
        name="trl/grpo-bias-corrected",
        placement="weighted",
        source="trl/trainer/grpo_trainer.py, GRPOTrainer._compute_loss, use_bias_correction_kl",
        note="the default; times the policy's own ratio, as in DeepSeek-V3.2",
    ),
    PPO,
    replace(
        PPO,
        name="trl/ppo-k3",
        call=k3,
        formula="exp(r) - r - 1",
        source="trl/experimental/ppo/ppo_trainer.py (trl/trainer in 0.24.0), kl_estimator='k3'",
    ),
    replace(
        PPO,
        name="trl/rloo",
        call=k1_of_reference,
        version="1.16.0",
        source="trl/trainer/rloo_trainer.py, RLOOTrainer, beta",
        baseline="leave-one-out",
        per="sequence",
        note="summed over the answer first",
        held="1.12.0, 1.16.0",
    ),
    VERL,
    replace(
        VERL,
        name="verl/kl-loss-abs",
        call=absolute,
        formula="Abs(r)",
        source="verl/trainer/ppo/core_algos.py, kl_penalty('abs'), actor.use_kl_loss",
        pair=("log_pf", "log_pb", "kl_penalty=abs"),
    ),
    replace(
        VERL,
        name="verl/kl-loss-k2",
        call=half_squared,
        formula="r**2/2",
        source="verl/trainer/ppo/core_algos.py, kl_penalty('mse'), actor.use_kl_loss",
        pair=("log_pf", "log_pb", "kl_penalty=mse"),
    ),
    replace(
        VERL,
        name="verl/kl-loss-k3",
        call=verl_k3,
        formula="clamp(exp(-r) + r - 1)",
        source="verl/trainer/ppo/core_algos.py, kl_penalty('low_var_kl'), actor.use_kl_loss",
        pair=("log_pf", "log_pb", "kl_penalty=low_var_kl"),
        note="the default type of the KL loss",
    ),
    replace(
        VERL,
        name="verl/kl-loss-k3-plus",
        call=verl_k3_plus,
        formula="the value of k3, the gradient of r**2/2",
        source="verl/trainer/ppo/core_algos.py, kl_penalty('k3+'), actor.use_kl_loss",
        pair=("log_pf", "log_pb", "kl_penalty=k3+"),
    ),
    replace(
        VERL,
        name="verl/reward-k1",
        placement="reward",
        source="verl/trainer/ppo/core_algos.py, kl_penalty('kl'), algorithm.use_kl_in_reward",
        note="the default penalty in the reward",
    ),
    replace(
        VERL,
        name="verl/reward-k3",
        call=verl_k3,
        formula="clamp(exp(-r) + r - 1)",
        placement="reward",
        source="verl/trainer/ppo/core_algos.py, kl_penalty('low_var_kl'), use_kl_in_reward",
        pair=("log_pf", "log_pb", "kl_penalty=low_var_kl"),
    ),
    OPENRLHF,
    replace(
        OPENRLHF,
        name="openrlhf/loss-k2",
        call=openrlhf_k2,
        formula="clamp(r**2/2)",
        source="openrlhf/models/utils.py, compute_approx_kl('k2'), use_loss",
        placement="loss",
        pair=("log_pf", "log_pb", "kl_estimator=k2"),
    ),
    replace(
        OPENRLHF,
        name="openrlhf/loss-k3",
        call=openrlhf_k3,
        formula="clamp(exp(-r) + r - 1)",
        source="openrlhf/models/utils.py, compute_approx_kl('k3'), use_loss",
        placement="loss",
        pair=("log_pf", "log_pb", "kl_estimator=k3"),
    ),
    replace(
        OPENRLHF,
        name="openrlhf/loss-unbiased",
        call=openrlhf_unbiased,
        formula="the value of clamp(r), the gradient of r**2/2",
        source="openrlhf/models/utils.py, compute_approx_kl(unbiased_gradient=True), use_loss",
        placement="loss",
        pair=("log_pf", "log_pb", "kl_estimator=k1", "unbiased_gradient=True"),
        note="in float32; off-policy times the held ratio to the older policy, at most 10",
    ),
)
