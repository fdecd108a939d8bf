"""gfnx on the hyper-grid, as its baseline tb_hypergrid.py: TB, an equinox MLP, uniform P_B."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np

# jax would take three quarters of a GPU's memory for itself, which torch needs beside it
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

NEEDS = ("gfnx", "jax", "equinox", "optax")
VERSIONS = ("gfnx", "jax", "jaxlib", "equinox", "optax")
LAW_BATCH = 8192


# of a matrix product in float32, on a GPU: jax's default is TF32 there
PRECISIONS = ("default", "highest")


def place() -> str:
    """Where jax is installed to run."""
    import jax

    found = jax.default_backend()
    return {"gpu": "cuda"}.get(found, found)


def training(
    dimensions: int, side: int, batch: int, device: str = "cpu", stop_logit: float = 0.0
) -> Callable[[int], None]:
    """run(n): n iterations of one run inside one compiled `fori_loop`.  Its logging is left out.

    jax places the work where it is installed to; `device` has no effect.  The first call compiles.
    """
    import jax

    start, iterate = _run(dimensions, side, batch, stop_logit)
    return _repeated(jax.jit(iterate), start(0))


def together(
    dimensions: int, side: int, batch: int, stop_logit: float, members: int, precision: str
) -> Callable[[int], None]:
    """run(n): n iterations of as many runs, one for each seed, under `jax.vmap` in one jit; matrix
    products in one of PRECISIONS.
    """
    import jax
    import jax.numpy as jnp

    start, iterate = _run(dimensions, side, batch, stop_logit)
    states = jax.tree.map(lambda *parts: jnp.stack(parts), *map(start, range(members)))
    compiled = jax.jit(jax.vmap(iterate, in_axes=(0, None)))

    def call(state: Any, n: int) -> Any:
        # part of what jax keeps a compiled call under
        with jax.default_matmul_precision(precision):
            return compiled(state, n)

    return _repeated(call, states)


def _repeated(call: Callable[[Any, int], Any], state: Any) -> Callable[[int], None]:
    import jax

    held = [state]

    def run(n: int) -> None:
        held[0] = jax.block_until_ready(call(held[0], n))

    return run


def _run(
    dimensions: int, side: int, batch: int, stop_logit: float
) -> tuple[Callable[[int], Any], Callable[[Any, Any], Any]]:
    """(seed -> the start of a run, (state, n) -> the state n iterations later)."""
    import equinox as eqx
    import gfnx
    import jax
    import jax.numpy as jnp
    import optax

    env, env_params = _env(dimensions, side)
    weights, fixed = eqx.partition(_network(env, stop_logit, seed=0), eqx.is_array)
    labels = {"network": jax.tree.map(lambda _: "network", weights), "log_z": "log_z"}
    optimizer = optax.multi_transform(
        {"network": optax.adam(1e-3), "log_z": optax.adam(0.1)}, labels
    )

    def outputs(network: Any, observed: Any) -> dict[str, Any]:
        logits = jax.vmap(network)(observed)
        backward = jnp.zeros((*logits.shape[:-1], env.backward_action_space.n))
        return {"forward_logits": logits, "backward_logits": backward}

    def policy(_key: Any, observed: Any, parameters: Any) -> tuple[Any, dict[str, Any]]:
        found = outputs(eqx.combine(parameters, fixed), observed)
        return found["forward_logits"], found

    def loss(parameters: Any, drawn: Any) -> Any:
        network = eqx.combine(parameters["network"], fixed)
        again = drawn.replace(info=jax.vmap(outputs, in_axes=(None, 0))(network, drawn.obs))
        log_pf, log_pb = gfnx.utils.forward_trajectory_log_probs(env, again, env_params)
        log_reward = jnp.where(drawn.pad, 0.0, drawn.log_gfn_reward).sum(axis=1)
        return optax.losses.squared_error(parameters["log_z"] + log_pf, log_pb + log_reward).mean()

    def step(_number: Any, state: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        key, parameters, moments = state
        key, drawing = jax.random.split(key)
        drawn, _ = gfnx.utils.forward_rollout(
            rng_key=drawing,
            num_envs=batch,
            policy_fn=policy,
            policy_params=parameters["network"],
            env=env,
            env_params=env_params,
        )
        gradient = jax.grad(loss)(parameters, drawn)
        updates, moments = optimizer.update(gradient, moments, parameters)
        return key, optax.apply_updates(parameters, updates), moments

    def iterate(state: tuple[Any, Any, Any], n: Any) -> tuple[Any, Any, Any]:
        return jax.lax.fori_loop(0, n, step, state)

    def start(seed: int) -> Any:
        drawn, _ = eqx.partition(_network(env, stop_logit, seed), eqx.is_array)
        parameters = {"network": drawn, "log_z": jnp.zeros(())}
        return jax.random.PRNGKey(seed), parameters, optimizer.init(parameters)

    return start, iterate


def law(dimensions: int, side: int, policy: str, device: str = "cpu") -> Callable[[], np.ndarray]:
    """call(): its ExactDistributionMetricsModule, compiled; the first call compiles.

    `policy`: 'mlp' (2x256) or 'tabular', logits that are given and looked up.
    """
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    from gfnx.metrics import ExactDistributionMetricsModule
    from gfnx.metrics.exact_distribution import ExactDistributionMetricsState

    if not hasattr(jax, "tree_map"):
        jax.tree_map = jax.tree.map  # gfnx 0.0.1 calls it by the name that jax has dropped since
    env, env_params = _env(dimensions, side)
    if policy == "mlp":
        weights, fixed = eqx.partition(_network(env, 0.0, seed=0), eqx.is_array)

        def logits(_key: Any, observed: Any, parameters: Any) -> tuple[Any, dict[str, Any]]:
            return jax.vmap(eqx.combine(parameters, fixed))(observed), {}

    else:
        weights = jax.random.normal(jax.random.PRNGKey(0), (side**dimensions, env.action_space.n))
        strides = side ** jnp.arange(dimensions - 1, -1, -1)

        def logits(_key: Any, observed: Any, parameters: Any) -> tuple[Any, dict[str, Any]]:
            place = observed.reshape(-1, dimensions, side).argmax(axis=-1) @ strides
            return parameters[place], {}

    module = ExactDistributionMetricsModule(
        metrics=["tv"], env=env, fwd_policy_fn=logits, batch_size=min(LAW_BATCH, side**dimensions)
    )
    blank = jnp.zeros((side,) * dimensions)
    state = ExactDistributionMetricsState(true_distribution=blank, exact_distribution=blank)

    @jax.jit
    def compiled(parameters: Any) -> Any:
        wanted = module.ProcessArgs(policy_params=parameters, env_params=env_params)
        return module.process(state, jax.random.PRNGKey(0), wanted).exact_distribution

    return lambda: np.asarray(compiled(weights)).reshape(-1)


def _env(dimensions: int, side: int) -> tuple[Any, Any]:
    import gfnx
    import jax

    env = gfnx.HypergridEnvironment(gfnx.EasyHypergridRewardModule(), dim=dimensions, side=side)
    return env, env.init(jax.random.PRNGKey(0))


def _network(env: Any, stop_logit: float, seed: int) -> Any:
    import equinox as eqx
    import jax

    network = eqx.nn.MLP(
        in_size=env.observation_space.shape[0],
        out_size=env.action_space.n,
        width_size=256,
        depth=2,
        key=jax.random.PRNGKey(seed),
    )
    raised = network.layers[-1].bias.at[-1].add(stop_logit)
    return eqx.tree_at(lambda found: found.layers[-1].bias, network, raised)
