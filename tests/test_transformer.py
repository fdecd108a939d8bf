"""The Transformer policy against torch.nn, its dropout, its gradients, and training; P_T from
samples; tied flows.
"""

import itertools

import numpy as np
import pytest
import torch

import divergence_lab as dl
from divergence_lab.gflownet.listed.exact import terminal_distribution
from divergence_lab.gflownet.listed.flow import flow, flow_from_rows
from divergence_lab.gflownet.objectives import ObjectiveError, objective, residuals
from divergence_lab.gflownet.optimiser import adam_step, ensemble
from divergence_lab.gflownet.policies.policy import Heads, Policy, heads, mlp, tabular
from divergence_lab.gflownet.policies.transformer import NotWordsError, dropping, transformer
from divergence_lab.gflownet.randomness import random_bits
from divergence_lab.gflownet.samplers import sampler
from divergence_lab.gflownet.visited.residuals import log_terminal, steps_along, walk_once
from divergence_lab.gflownet.visited.walks import walk
from divergence_lab.graphs import hypergrid
from divergence_lab.graphs.spaces.bits import bit_modes, bits, generated_bits, near_modes
from divergence_lab.graphs.texts import EnvironmentTextError, space_from_text
from divergence_lab.results import metrics
from divergence_lab.training import evaluation
from divergence_lab.training.loop import TrainingError, train

SPACE = generated_bits(12, 3)
WORDS, SLOTS = 8, 4


def moved(parameters, seed=0):
    """Parameters in which nothing is 0, 1 or equal by chance of initialisation."""
    generator = torch.Generator().manual_seed(seed)
    return {
        key: value + 0.2 * torch.randn(value.shape, generator=generator, dtype=value.dtype)
        for key, value in parameters.items()
    }


def some_states(members, count, seed=0):
    return torch.randint(
        0, WORDS + 1, (members, count, SLOTS), generator=torch.Generator().manual_seed(seed)
    )


def torch_encoder(parameters, member, dropout=0.0):
    """torch's own module with the weights of one member."""
    layer = torch.nn.TransformerEncoderLayer(64, 8, 64, dropout, batch_first=True)
    encoder = torch.nn.TransformerEncoder(layer, 3, enable_nested_tensor=False).double()
    for number, one in enumerate(encoder.layers):
        p = {
            key.removesuffix(f"_{number}"): value[member]
            for key, value in parameters.items()
            if key.endswith(f"_{number}")
        }
        pairs = [
            (one.self_attn.in_proj_weight, p["qkv_weight"].T),
            (one.self_attn.in_proj_bias, p["qkv_bias"][0]),
            (one.self_attn.out_proj.weight, p["mix_weight"].T),
            (one.self_attn.out_proj.bias, p["mix_bias"][0]),
            (one.linear1.weight, p["in_weight"].T),
            (one.linear1.bias, p["in_bias"][0]),
            (one.linear2.weight, p["out_weight"].T),
            (one.linear2.bias, p["out_bias"][0]),
            (one.norm1.weight, p["scale_1"][0]),
            (one.norm1.bias, p["shift_1"][0]),
            (one.norm2.weight, p["scale_2"][0]),
            (one.norm2.bias, p["shift_2"][0]),
        ]
        for theirs, ours in pairs:
            theirs.data = ours.clone()
    return encoder.train(dropout > 0)


def expected_rows(parameters, member, states):
    """The rows [R, N] of one member from torch.nn, position by position as the paper's code has
    them.
    """
    angle = torch.arange(SLOTS + 1)[:, None] / 10000 ** (torch.arange(0, 64, 2) / 64)
    positions = torch.zeros(SLOTS + 1, 64, dtype=torch.float64)
    positions[:, 0::2], positions[:, 1::2] = angle.sin(), angle.cos()
    tokens = torch.cat([torch.full((len(states), 1), WORDS + 1), states], dim=1)
    out = torch_encoder(parameters, member)(parameters["embedding"][member][tokens] + positions)
    at_bos = out[:, 0] @ parameters["from_bos_weight"][member] + parameters["from_bos_bias"][member]
    columns = [
        out[:, 1 + slot] @ parameters["word_weight"][member].T
        + parameters["word_bias"][member, :, 0]
        + at_bos[:, [slot]]
        for slot in range(SLOTS)
    ]
    return torch.cat([*columns, torch.zeros(len(states), 1), at_bos[:, SLOTS:]], dim=1).T


@pytest.mark.parametrize("learned_back", [False, True])
def test_it_is_torchs_encoder_member_by_member(learned_back):
    policy = transformer(SPACE, heads=heads(SPACE, learned_back=learned_back, flow=True))
    parameters, states = moved(policy.init([0, 3], dtype=torch.float64)), some_states(2, 5)
    rows = policy.rows(parameters, states)
    assert rows.shape == (2, SLOTS * WORDS + 1 + SLOTS * learned_back + 1, 5)
    for member in range(2):
        # positions are made in float32, as torch's recipe does
        torch.testing.assert_close(
            rows[member], expected_rows(parameters, member, states[member]), rtol=0, atol=1e-6
        )
    # controls: another member's weights, and positions that are not those of the slots
    assert (rows[0] - expected_rows(parameters, 1, states[0])).abs().max() > 0.1
    assert (rows[0] - policy.rows(parameters, states.flip(-1))[0]).abs().max() > 0.1


def test_it_starts_as_torch_starts():
    policy = transformer(SPACE, heads=Heads(SPACE.n_actions, flow=True))
    parameters = policy.init([5], dtype=torch.float64)
    layer = torch.nn.TransformerEncoderLayer(64, 8, 64)
    theirs = torch.nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
    names = {
        "qkv_weight": "self_attn.in_proj_weight",
        "qkv_bias": "self_attn.in_proj_bias",
        "mix_weight": "self_attn.out_proj.weight",
        "mix_bias": "self_attn.out_proj.bias",
        "in_weight": "linear1.weight",
        "in_bias": "linear1.bias",
        "out_weight": "linear2.weight",
        "out_bias": "linear2.bias",
        "scale_1": "norm1.weight",
        "shift_1": "norm1.bias",
        "scale_2": "norm2.weight",
        "shift_2": "norm2.bias",
    }
    for number, one in enumerate(theirs.layers):
        state = one.state_dict()
        assert set(names.values()) == set(state)
        for ours, name in names.items():
            drawn, reference = parameters[f"{ours}_{number}"][0], state[name]
            assert drawn.numel() == reference.numel()
            assert float(drawn.abs().max()) == pytest.approx(
                float(reference.abs().max()), rel=0.2, abs=1e-9
            ), ours
            assert torch.equal(drawn, parameters[f"{ours}_0"][0])  # torch copies one layer, too
    assert float(parameters["embedding"].std()) == pytest.approx(1.0, abs=0.15)


def test_gradients_by_differences():
    policy = transformer(
        SPACE, heads=Heads(SPACE.n_actions, flow=True), width=8, n_heads=2, hidden=4, depth=2
    )
    parameters = {
        key: value.requires_grad_()
        for key, value in moved(policy.init([0, 1], dtype=torch.float64)).items()
    }
    states = some_states(2, 2)
    names = [key for key in parameters if key != "log_z"]
    weight = torch.randn(
        2, policy.heads.n_rows, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )

    def total(*values):
        return (policy.rows(dict(zip(names, values, strict=True)), states) * weight).sum()

    assert torch.autograd.gradcheck(total, [parameters[key] for key in names], fast_mode=True)


def test_dropout_is_what_its_bits_say():
    bits_drawn = random_bits([0, 1], 5, (3, 4000), "cpu")
    assert torch.equal(bits_drawn[1], random_bits([1], 5, (3, 4000), "cpu")[0])
    assert not torch.equal(bits_drawn[0], random_bits([0], 6, (3, 4000), "cpu")[0])
    drop = dropping(bits_drawn, 0.1)
    first, second = drop(torch.ones(4, 3, 1000)), drop(torch.ones(4, 3, 10, 20))
    assert torch.equal(first[:2], first[2:]) and not torch.equal(
        first[0], first[1]
    )  # losses share, seeds do not
    assert sorted(first.unique().tolist()) == pytest.approx([0, 65536 / 58982])
    assert float(first.mean()) == pytest.approx(1.0, abs=0.03) and float(
        second.mean()
    ) == pytest.approx(1.0, abs=0.05)
    policy = transformer(SPACE, dropout=0.1)
    parameters, states = policy.init([0, 1]), some_states(2, 3)
    with_all = policy.rows(
        parameters, states, torch.full((2, 3, policy.n_random), 2**15 - 1, dtype=torch.int16)
    )
    assert not torch.isnan(with_all).any()
    # the numbers promised are exactly those used up
    with pytest.raises(RuntimeError):
        policy.rows(parameters, states, torch.zeros(2, 3, policy.n_random - 1, dtype=torch.int16))
    # bits that drop nothing and scale by 1: no dropout
    plain = transformer(SPACE)
    torch.testing.assert_close(plain.rows(parameters, states), policy.rows(parameters, states))


def test_dropout_has_the_mean_and_spread_of_torchs():
    policy = transformer(SPACE, dropout=0.3)
    one = moved(policy.init([0], dtype=torch.float64))
    parameters = {key: value.expand(600, *value.shape[1:]) for key, value in one.items()}
    states = some_states(1, 1)
    noise = random_bits(range(600), 1, (1, policy.n_random), "cpu")
    ours = policy.rows(parameters, states.expand(600, -1, -1), noise)[..., 0]
    encoder = torch_encoder(one, 0, dropout=0.3)
    torch.manual_seed(0)
    angle = torch.arange(SLOTS + 1)[:, None] / 10000 ** (torch.arange(0, 64, 2) / 64)
    positions = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1).double()
    tokens = torch.cat([torch.full((1, 1), WORDS + 1), states[0]], dim=1)
    start = (one["embedding"][0][tokens] + positions).expand(600, -1, -1)
    out = encoder(torch.nn.functional.dropout(start, 0.3))
    theirs = (
        out[:, 1] @ one["word_weight"][0].T
        + one["word_bias"][0, :, 0]
        + (out[:, 0] @ one["from_bos_weight"][0] + one["from_bos_bias"][0])[:, :1]
    )
    error = (ours[:, :WORDS].mean(dim=0) - theirs.mean(dim=0)).abs() / (
        theirs.std(dim=0) * (2 / 600) ** 0.5
    )
    assert float(error.detach().max()) < 4.5
    torch.testing.assert_close(ours[:, :WORDS].std(dim=0), theirs.std(dim=0), rtol=0.2, atol=0)


@pytest.mark.parametrize("text", ["tb", "db", "fl-db", "tied-db", "tied-fl-subtb(1.5)", "vargrad"])
@pytest.mark.parametrize("backward", ["uniform", "learned"])
def test_one_pass_is_walking_and_evaluating(text, backward):
    chosen = objective(text)
    policy = transformer(
        SPACE, heads=heads(SPACE, learned_back=backward == "learned", flow=chosen.flow != "none")
    )
    parameters = moved(policy.init([0, 1], dtype=torch.float64))
    noise = torch.rand(
        2, SPACE.max_steps, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    drawn = sampler("epsilon:0.1")
    walked, steps = walk_once(policy, parameters, drawn, chosen, backward, noise)
    again = walk(policy, parameters, drawn, noise)
    assert torch.equal(walked.actions, again.actions) and torch.equal(walked.states, again.states)
    one, other = (
        residuals(chosen, steps),
        residuals(chosen, steps_along(policy, parameters, chosen, backward, again)),
    )
    weights = [found.weight.expand_as(found.x) for found in (one, other)]
    torch.testing.assert_close(*weights)
    torch.testing.assert_close(one.x * weights[0], other.x * weights[0], rtol=1e-9, atol=1e-9)


def test_one_pass_on_trajectories_of_many_lengths():
    grid = space_from_text("generated:hypergrid:2x5")
    policy = mlp(grid, heads=heads(grid, flow=True), width=16)
    parameters = policy.init([0, 1], dtype=torch.float64)
    noise = torch.rand(
        2, grid.max_steps, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    for text in ("modified-subtb(0.9)", "tied-db", "subtb", "tb"):
        chosen = objective(text)
        walked, steps = walk_once(policy, parameters, sampler("on"), chosen, "uniform", noise)
        other = residuals(chosen, steps_along(policy, parameters, chosen, "uniform", walked))
        one = residuals(chosen, steps)
        kept = one.weight.expand_as(one.x)
        torch.testing.assert_close(one.x * kept, other.x * kept, rtol=1e-9, atol=1e-9)


def test_tied_flows_by_hand():
    """V_0 is the network's, V_L = log R, and there are L steps: residuals from the rows alone."""
    policy = transformer(SPACE, heads=Heads(SPACE.n_actions, flow=True))
    parameters = moved(policy.init([0], dtype=torch.float64))
    noise = torch.rand(
        1, SPACE.max_steps, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    chosen = objective("tied-fl-db")
    walked, steps = walk_once(policy, parameters, sampler("on"), chosen, "uniform", noise)
    found = residuals(chosen, steps)
    assert found.weight.sum(dim=1).unique().tolist() == [SLOTS]
    flows, log_pf = [], []
    for step in range(SLOTS):
        states = walked.states[:, step]
        rows = policy.rows(parameters, states)[0]
        flows.append(rows[-1] + SPACE.log_partial(states)[0])
        logits = rows[:-1].masked_fill(~SPACE.allowed(states)[0].T, -torch.inf)
        log_pf.append(torch.log_softmax(logits, dim=0)[walked.actions[0, step], [0, 1]])
    flows.append(SPACE.log_reward(walked.terminal)[0])
    x = [flows[k + 1] - np.log(k + 1) - flows[k] - log_pf[k] for k in range(SLOTS)]
    torch.testing.assert_close(found.x[0, :SLOTS], torch.stack(x))
    assert (parameters["log_z"] != steps.log_z).all()
    with pytest.raises(ObjectiveError, match="tied-tb"):
        objective("tied-tb")
    with pytest.raises(ObjectiveError):
        objective("tied-modified-db")


def test_tied_flows_on_a_list_of_states():
    graph = bits(6, 2)
    policy = tabular(graph, heads=heads(graph, flow=True), scale=1.0)
    parameters = policy.init([0], dtype=torch.float64)
    model = flow(policy, parameters, objective("tied-db"))
    full = torch.tensor(graph.terminal_states)
    torch.testing.assert_close(model.log_flow[0, full], torch.tensor(graph.log_reward)[full])
    assert model.log_z[0] == model.log_flow[0, 0] == parameters["rows"][0, -1, 0]
    for text in ("tied-db", "tied-subtb(1.5)"):
        result = train(
            {"q": dl.to_torch(dl.loss("quadratic"))},
            graph,
            objective=text,
            seeds=1,
            exact=True,
            steps=200,
            evaluations=1,
            progress=False,
        )
        assert result.metrics["tv"][0, 0, -1] < 0.02
        assert result.log_z[0, 0] == pytest.approx(result.log_z_true, abs=0.05)


def test_weight_decay_is_that_of_torch():
    start = torch.randn(2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    members = ensemble({"a": start[:, :4].clone(), "log_z": start[:, 4].clone()})
    theirs = [start[:, :4].clone().requires_grad_(), start[:, 4].clone().requires_grad_()]
    adam = [
        torch.optim.Adam([theirs[0]], lr=0.1, weight_decay=0.3),
        torch.optim.Adam([theirs[1]], lr=0.2),
    ]
    for step in range(5):
        gradient = torch.randn(
            2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(step)
        )
        theirs[0].grad, theirs[1].grad = gradient[:, :4].clone(), gradient[:, 4].clone()
        for one in adam:
            one.step()
        parts = [gradient[:, :4].clone(), gradient[:, 4].clone()]
        adam_step(
            members, parts, torch.tensor([[0.1, 0.2]] * 2, dtype=torch.float64), float("inf"), 0.3
        )
    torch.testing.assert_close(members.values.detach()[:, :4], theirs[0].detach())
    torch.testing.assert_close(members.values.detach()[:, 4], theirs[1].detach())


def test_one_rate_for_log_z_is_a_sum_of_64():
    """Why learning_rate_log_z = 64 * 0.002 is the released code's sum of 64 parameters at 0.002."""
    summed = torch.zeros(64, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([summed], lr=0.002)
    one = torch.zeros((), dtype=torch.float64, requires_grad=True)
    other = torch.optim.Adam([one], lr=64 * 0.002)
    for step in range(50):
        for value, optimiser in ((summed.sum(), adam), (one, other)):
            optimiser.zero_grad()
            ((value - 3 - step % 5) ** 2).backward()
            optimiser.step()
    assert float(summed.sum()) == pytest.approx(float(one), abs=1e-6) and float(one) > 2


LOSSES = {name: dl.to_torch(dl.loss(name)) for name in ("quadratic", "shifted_cosh")}


def test_a_member_is_the_single_run_with_its_seed(monkeypatch):
    monkeypatch.setattr(evaluation, "SAMPLES", 8)
    settings = {
        "policy": "transformer",
        "objective": "tied-fl-db",
        "steps": 3,
        "batch": 4,
        "dropout": 0.1,
        "weight_decay": 1e-3,
        "dtype": torch.float64,
        "evaluations": 2,
        "progress": False,
    }
    together = train(LOSSES, SPACE, seeds=[4, 9], **settings)
    alone = train({"shifted_cosh": LOSSES["shifted_cosh"]}, SPACE, seeds=[9], **settings)
    for name, values in together.metrics.items():
        np.testing.assert_allclose(values[1, 1], alone.metrics[name][0, 0], rtol=0, atol=1e-8)
    assert abs(together.metrics["log_z_bound"][1] - together.metrics["log_z_bound"][0]).max() > 1e-6
    without = train(LOSSES, SPACE, seeds=[9], **{**settings, "dropout": 0.0})
    assert (
        abs(without.metrics["log_z_bound"][1, 0, -1] - alone.metrics["log_z_bound"][0, 0, -1])
        > 1e-9
    )


def test_it_learns():
    result = train(
        LOSSES,
        generated_bits(4, 2),
        policy="transformer",
        objective="tied-fl-db",
        seeds=1,
        steps=150,
        batch=16,
        evaluations=1,
        progress=False,
        initial_log_flow=0.0,
    )
    assert np.abs(result.metrics["log_z_bound"][..., -1] - result.log_z_true).max() < 0.1


@pytest.mark.parametrize(
    ("space", "arguments", "message"),
    [
        (
            "generated:hypergrid:2x4",
            {},
            "has none; use mlp, or a space such as generated:bits:120x8",
        ),
        ("bits:8x4", {}, "has none; use mlp"),
        ("generated:bits:8x4", {"dropout": 1.0}, "dropout is 1.0"),
        ("generated:bits:8x4", {"weight_decay": -1.0}, "weight_decay is -1.0"),
        ("generated:bits:8x4", {"dropout": 0.1, "sampler": "replay:0.5"}, "must share their masks"),
        (
            "generated:bits:8x4",
            {"dropout": 0.1, "policy": "mlp"},
            "dropout needs policy='transformer'",
        ),
    ],
)
def test_what_does_not_fit_is_said(space, arguments, message):
    with pytest.raises(TrainingError, match=message) as caught:
        train(LOSSES, space_from_text(space), **{"policy": "transformer", "steps": 1, **arguments})
    assert "\n" not in str(caught.value)


def test_only_words_are_read():
    with pytest.raises(NotWordsError):
        transformer(hypergrid(2, 4))


# --- P_T(x) from samples


def listed_law(policy, parameters, graph, words):
    on_list = Policy("listed", graph, policy.heads, policy.shapes, policy.draw, policy.rows)
    rows = policy.rows(parameters, words.expand(len(parameters["log_z"]), -1, -1))
    return terminal_distribution(
        graph, flow_from_rows(on_list, rows, parameters, objective("tb"), "uniform").log_pf
    )


def test_p_t_from_all_orders_is_exact_and_from_samples_unbiased():
    graph, space = bits(6, 2), generated_bits(6, 2)
    digits = graph.coordinates.reshape(graph.n_states, 3, 2).astype(np.int64)
    words = torch.tensor(np.where(digits[..., 0] == 2, 0, 1 + digits @ np.array([2, 1])))
    policy = transformer(space)
    parameters = moved(policy.init([0, 1], dtype=torch.float64))
    law = listed_law(policy, parameters, graph, words)
    ends = words[torch.tensor(graph.terminal_states)]
    # one uniform in the middle of each of the 3, 2, 1 choices: every order once
    orders = [[(a + 0.5) / 3, (b + 0.5) / 2, 0.5] for a, b in itertools.product(range(3), range(2))]
    noise = torch.tensor(orders, dtype=torch.float64)[:, :, None].expand(-1, -1, len(ends))
    torch.testing.assert_close(
        log_terminal(policy, parameters, ends, noise).exp(), law, rtol=1e-8, atol=1e-12
    )
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(60, 3, len(ends), dtype=torch.float64, generator=generator)
    sampled = log_terminal(policy, parameters, ends, noise).exp()
    assert float(((sampled - law) / law).mean().abs()) < 0.05
    # control: one order alone is not the law
    assert (log_terminal(policy, parameters, ends, noise[:1]).exp() / law - 1).abs().max() > 0.05


def test_spearman_against_scipy():
    from scipy.stats import spearmanr

    generator = np.random.default_rng(0)
    a, b = generator.integers(0, 6, (3, 50)), generator.normal(size=50)
    expected = [spearmanr(row, b).statistic for row in a]
    np.testing.assert_allclose(metrics.spearman(a, b), expected, atol=1e-12)
    assert metrics.spearman(b, -(b**3)) == pytest.approx(-1) and np.isnan(
        metrics.spearman(np.ones(5), b[:5])
    )


def test_the_test_set_has_its_flips():
    words = near_modes(120, 8, seed=2)
    assert words.shape == (7200, 15) and words.min() == 1 and words.max() == 256
    strings = ((words[..., None] - 1) >> np.arange(7, -1, -1) & 1).reshape(60, 120, 120)
    modes = bit_modes(120, 2)
    np.testing.assert_array_equal(
        (strings != modes[:, None]).sum(axis=-1), np.tile(np.arange(120), (60, 1))
    )
    assert near_modes(120, 8, seed=2, every=20).shape == (360, 15)


def test_modes_of_another_seed():
    one, other = (
        space_from_text("generated:bits:24x8:seed3"),
        space_from_text("generated:bits:24x8"),
    )
    states = torch.tensor(near_modes(24, 8, seed=3, every=24))
    assert (one.log_reward(states) == 0).all() and (other.log_reward(states) < 0).any()
    np.testing.assert_allclose(
        space_from_text("bits:8x4:seed1").log_reward[-5:], bits(8, 4, seed=1).log_reward[-5:]
    )
    for text in ("bits:8x4:seed", "bits:8x4:1", "generated:bits:8:seed-1"):
        with pytest.raises(EnvironmentTextError, match="malformed"):
            space_from_text(text)
