"""torchgfn on the hyper-grid, as its example train_hypergrid_simple.py: TB, K-hot inputs,
uniform P_B.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

NEEDS = ("gfn",)
VERSIONS = ("torchgfn", "torch")
REWARD = {"R0": 1e-3, "R1": 0.5, "R2": 2.0}


def training(
    dimensions: int, side: int, batch: int, device: str = "cpu", stop_logit: float = 0.0
) -> Callable[[int], None]:
    """run(n): n iterations of one run.

    Its example's bar, validation and assertions are left out.
    """
    from gfn.gflownet import TBGFlowNet
    from gfn.samplers import Sampler

    torch.manual_seed(0)
    env = _env(dimensions, side, device)
    forward, backward = _estimators(env, stop_logit)
    model = TBGFlowNet(pf=forward, pb=backward, init_logZ=0.0).to(device)
    sampler = Sampler(estimator=forward)
    optimizer = torch.optim.Adam(model.pf_pb_parameters(), lr=1e-3)
    optimizer.add_param_group({"params": model.logz_parameters(), "lr": 0.1})

    def run(n: int) -> None:
        for _ in range(n):
            drawn = sampler.sample_trajectories(
                env, n=batch, save_logprobs=True, save_estimator_outputs=False, epsilon=0.0
            )
            optimizer.zero_grad()
            model.loss(env, drawn, recalculate_all_logprobs=False).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return run


def law(dimensions: int, side: int, policy: str, device: str = "cpu") -> Callable[[], np.ndarray]:
    """call(): P_F(x) at all states, made of its parts: torchgfn itself has only histograms of
    samples.

    The estimator's distribution at all states, then the mass moved from level to level.  Which
    states lie on which level, and their children, are found once, outside the call. `policy`: 'mlp'
    (2x256) or 'tabular', logits that are given.
    """
    torch.manual_seed(0)
    env = _env(dimensions, side, device)
    forward = _estimators(env)[0] if policy == "mlp" else _table(env, side**dimensions, device)
    forward.to(device)
    # what `env.all_states` would hold; listing them there forks, which does not go with the threads
    # of jax
    states = env.States(torch.cartesian_prod(*[torch.arange(side, device=device)] * dimensions))
    level = states.tensor.sum(dim=-1)
    strides = env.get_states_indices(
        torch.eye(dimensions, dtype=torch.long, device=device)
    ).tolist()
    levels = [(level == number).nonzero()[:, 0] for number in range(int(level.max()) + 1)]
    inside = [
        [at[states.tensor[at, axis] < side - 1] for axis in range(dimensions)] for at in levels
    ]

    @torch.no_grad()
    def call() -> np.ndarray:
        found = forward.to_probability_distribution(states, forward(states)).probs
        mass = torch.zeros(len(found), device=device)
        mass[0] = 1.0
        for moved in inside:
            for axis, at in enumerate(moved):
                mass[at + strides[axis]] += mass[at] * found[at, axis]
        return (mass * found[:, -1]).cpu().numpy()

    return call


def _env(dimensions: int, side: int, device: str) -> Any:
    from gfn.gym import HyperGrid

    return HyperGrid(
        ndim=dimensions,
        height=side,
        reward_fn_str="original",
        reward_fn_kwargs=REWARD,
        device=device,
        validate_modes=False,
    )


def _estimators(env: Any, stop_logit: float = 0.0) -> tuple[Any, Any]:
    from gfn.estimators import DiscretePolicyEstimator
    from gfn.preprocessors import KHotPreprocessor
    from gfn.utils.modules import MLP, DiscreteUniform

    inputs = KHotPreprocessor(height=env.height, ndim=env.ndim)
    network = MLP(
        input_dim=inputs.output_dim, output_dim=env.n_actions, hidden_dim=256, n_hidden_layers=2
    )
    with torch.no_grad():
        network.last_layer.bias[-1] += stop_logit
    uniform = DiscreteUniform(output_dim=env.n_actions - 1)
    forward = DiscretePolicyEstimator(
        network, env.n_actions, preprocessor=inputs, is_backward=False
    )
    return forward, DiscretePolicyEstimator(
        uniform, env.n_actions, preprocessor=inputs, is_backward=True
    )


def _table(env: Any, n_states: int, device: str) -> Any:
    from gfn.estimators import DiscretePolicyEstimator
    from gfn.preprocessors import EnumPreprocessor
    from gfn.utils.modules import Tabular

    table = Tabular(n_states, env.n_actions)
    table.table = torch.nn.Parameter(torch.randn(n_states, env.n_actions, device=device))
    return DiscretePolicyEstimator(
        table,
        env.n_actions,
        preprocessor=EnumPreprocessor(env.get_states_indices),
        is_backward=False,
    )
