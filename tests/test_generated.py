"""Every generated space against its enumerated twin, state by state; and training on each."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from divergence_lab.gflownet import rollouts
from divergence_lab.gflownet.listed.exact import enumerate_trajectories
from divergence_lab.gflownet.listed.flow import flow
from divergence_lab.gflownet.objectives import objective
from divergence_lab.gflownet.policies.policy import heads, mlp
from divergence_lab.gflownet.rollouts import Rollout, draw_residuals, empty_buffer
from divergence_lab.gflownet.samplers import sampler
from divergence_lab.graphs import generated, hypergrid
from divergence_lab.graphs.generated import as_generated, on_device, sources
from divergence_lab.graphs.spaces.bits import bit_modes
from divergence_lab.graphs.texts import graph_from_text, space_from_text
from divergence_lab.theorem.behaviours import law
from divergence_lab.training.loop import train
from tests.small_graphs import binary_tree, diamond, single_state, skips

TEXTS = [
    "hypergrid:1x2",
    "hypergrid:2x5",
    "hypergrid:3x4:paper",
    "hypergrid:2x20:paper_text",
    "bits:8x4",
    "bits:6x2",
    "bits:3x1",
    "bits:5x5",
    "sets:7x3",
    "sets:4x4",
    "sets:5x1",
]
LISTED = {
    "single_state": single_state,
    "diamond": diamond,
    "binary_tree": binary_tree,
    "skips": skips,
    "hypergrid": lambda: graph_from_text("hypergrid:2x5"),
    "bits": lambda: graph_from_text("bits:6x2"),
    "tree": lambda: graph_from_text("tree:3x2"),
    "sets": lambda: graph_from_text("sets:6x3"),
}


def pair(name):
    if name in LISTED:
        graph = LISTED[name]()
        return graph, as_generated(graph)
    return graph_from_text(name), space_from_text(f"generated:{name}")


CASES = pytest.mark.parametrize("name", [*TEXTS, *LISTED])


def reached(dag):
    """All states, [S, D], found by taking every allowed action from the source; never twice the
    same.
    """
    found = frontier = sources(dag, (1,))
    for _ in range(dag.max_steps - 1):
        inner = dag.allowed(frontier)[:, :-1]
        row, action = inner.nonzero(as_tuple=True)
        frontier = torch.unique(dag.step(frontier[row], action), dim=0)
        found = torch.unique(torch.cat([found, frontier]), dim=0)
    assert not dag.allowed(frontier)[:, :-1].any(), "max_steps is too small"
    return found


def matched(graph, dag):
    """States of `dag`, [S, D], in the order of the graph's, matched by their features; these are
    different.
    """
    states = reached(dag)
    numbers = {row.tobytes(): state for state, row in enumerate(graph.features)}
    assert len(numbers) == graph.n_states == len(states)
    place = [numbers[row.tobytes()] for row in dag.features(states).numpy()]
    assert sorted(place) == list(range(graph.n_states))
    return states[np.argsort(place)]


@CASES
def test_sizes_and_source(name):
    graph, dag = pair(name)
    states = matched(graph, dag)
    assert dag.n_actions == graph.n_actions and dag.max_steps == graph.max_steps
    assert dag.n_features == graph.features.shape[1] == dag.features(states).shape[1]
    assert dag.features(states).dtype == torch.float32
    if dag.ones is not None:
        hot = torch.nn.functional.one_hot(dag.ones(states), dag.n_features).sum(dim=-2)
        assert torch.equal(hot.float(), dag.features(states))
    assert tuple(states[0].tolist()) == dag.source
    assert dag.n_back == graph.incoming.shape[0] or name.startswith(
        "sets:"
    )  # an action for each element


@CASES
def test_actions_lead_where_the_list_says(name):
    graph, dag = pair(name)
    states = matched(graph, dag)
    assert torch.equal(dag.allowed(states), torch.tensor(graph.child >= 0).T)
    number = {tuple(state): place for place, state in enumerate(states.tolist())}
    row, action = dag.allowed(states).nonzero(as_tuple=True)
    ends = [number[tuple(state)] for state in dag.step(states[row], action).tolist()]
    listed = graph.child[action, row]
    np.testing.assert_array_equal(ends, np.where(listed == graph.n_states, row, listed))
    np.testing.assert_array_equal(listed == graph.n_states, action == dag.n_actions - 1)


@CASES
def test_backward_actions_undo_forward_ones(name):
    graph, dag = pair(name)
    states = matched(graph, dag)
    row, action = dag.allowed(states)[:, :-1].nonzero(as_tuple=True)
    parents, children = states[row], dag.step(states[row], action)
    back = dag.back_of(parents, action)
    assert ((back >= 0) & (back < dag.n_back)).all()
    assert dag.back_allowed(children).gather(1, back[:, None]).all()
    assert torch.equal(dag.undo(children, back), parents)
    assert torch.equal(dag.forward_of(children, back), action)
    # and the other way round: as many backward actions as edges, each undone by its forward action
    row, back = dag.back_allowed(states).nonzero(as_tuple=True)
    assert len(row) == graph.edges.child.size
    children, parents = states[row], dag.undo(states[row], back)
    action = dag.forward_of(children, back)
    assert dag.allowed(parents).gather(1, action[:, None]).all()
    assert torch.equal(dag.step(parents, action), children)
    assert torch.equal(dag.back_of(parents, action), back)
    np.testing.assert_array_equal(dag.back_allowed(states).sum(dim=1), graph.n_parents)


@CASES
def test_rewards_and_modes(name):
    graph, dag = pair(name)
    states = matched(graph, dag)
    log_reward = dag.log_reward(states)
    assert log_reward.dtype == torch.float64
    np.testing.assert_allclose(log_reward, graph.log_reward, rtol=0, atol=1e-12)
    partial = graph.log_partial
    if partial is None and graph.terminal_states.size == graph.n_states:
        partial = graph.log_reward
    assert (dag.log_partial is None) == (partial is None)
    if partial is not None:
        np.testing.assert_allclose(dag.log_partial(states), partial, rtol=0, atol=1e-12)
        np.testing.assert_allclose(
            partial[graph.terminal_states], graph.log_reward[graph.terminal_states]
        )
    assert dag.log_z == pytest.approx(np.logaddexp.reduce(graph.log_reward), abs=1e-12)
    if dag.modes_of is None:
        assert dag.n_modes == 0
        return
    mode = dag.modes_of(states)
    assert mode.min() >= -1 and mode.max() < dag.n_modes
    assert (mode[torch.tensor(graph.modes)] >= 0).any(dim=-1).all()
    if not name.startswith("bits:"):  # there, strings near a mode count too
        assert int((mode >= 0).sum()) == graph.modes.size


@pytest.mark.parametrize("name", [name for name in [*TEXTS, *LISTED] if "2x20" not in name])
def test_log_paths_against_every_trajectory(name):
    graph, dag = pair(name)
    walks, ways = sources(dag, (1,)), Counter()
    for _ in range(dag.max_steps):
        ways.update(map(tuple, walks.tolist()))
        row, action = dag.allowed(walks)[:, :-1].nonzero(as_tuple=True)
        walks = dag.step(walks[row], action)
    states = matched(graph, dag)
    counted = [ways[tuple(state)] for state in states.tolist()]
    np.testing.assert_allclose(dag.log_paths(states).exp(), counted, rtol=1e-12)
    np.testing.assert_allclose(np.exp(graph.log_paths), counted, rtol=1e-12)


@CASES
def test_any_leading_shape(name):
    _, dag = pair(name)
    states = reached(dag)[None, :, None].expand(2, -1, 3, -1)
    some = dag.allowed(states).int().argmax(dim=-1)
    assert dag.step(states, some).shape == states.shape
    assert dag.features(states).shape == (*states.shape[:-1], dag.n_features)
    assert dag.back_allowed(states).shape == (*states.shape[:-1], dag.n_back)
    for value in (dag.log_reward(states), dag.log_paths(states), dag.back_of(states, some)):
        assert value.shape == states.shape[:-1]
        assert torch.equal(value[1, :, 2], value[0, :, 0])


def test_a_stop_leaves_the_state():
    for text in ("hypergrid:2x5", "bits:6x2", "sets:7x3"):
        _, dag = pair(text)
        states = reached(dag)
        stop = torch.full((len(states),), dag.n_actions - 1)
        assert torch.equal(dag.step(states, stop), states)
        assert (dag.back_of(states, stop) < dag.n_back).all()


def test_bits_of_the_paper():
    dag = space_from_text("generated:bits:120x8")
    assert (dag.n_actions, dag.max_steps, dag.n_modes, dag.n_back) == (15 * 256 + 1, 16, 60, 15)
    modes = torch.tensor(bit_modes(120)).long()
    words = (modes.view(60, 15, 8) * 2 ** torch.arange(7, -1, -1)).sum(dim=-1) + 1
    assert {f"{int(w) - 1:08b}" for w in words.unique()} == {
        "00000000",
        "11111111",
        "11110000",
        "00001111",
        "00111100",
    }
    assert torch.equal(dag.modes_of(words).amax(dim=-1) >= 0, torch.ones(60, dtype=torch.bool))
    assert (dag.modes_of(words) == torch.arange(60)).diagonal().all()
    assert dag.log_reward(words).tolist() == [0.0] * 60
    # 30 bits of the first mode flipped: still found, at R = exp(-60); 31: not by the first
    for flips, far in ((30, False), (31, True)):
        bits = modes[0].clone()
        bits[:flips] = 1 - bits[:flips]
        flipped = (bits.view(15, 8) * 2 ** torch.arange(7, -1, -1)).sum(dim=-1) + 1
        distance = (bits[None] != modes).sum(dim=1).min().item()
        assert dag.log_reward(flipped).item() == -2 * distance
        assert (dag.modes_of(flipped)[0].item() == 0) == (not far)
        # and it counts for every mode that is as near
        near = ((bits[None] != modes).sum(dim=1) <= 30).nonzero()[:, 0].tolist()
        assert [m for m in dag.modes_of(flipped).tolist() if m >= 0] == near
    # an unfinished string is compared where it is filled
    half = words[3].clone()
    half[5:] = 0
    assert dag.log_partial(half).item() == 0.0 and dag.log_reward(half).item() == -math.inf
    assert (dag.modes_of(half) == -1).all() and dag.log_partial(
        torch.zeros(15).long()
    ).item() == 0.0
    assert dag.log_paths(words[0]).item() == pytest.approx(math.lgamma(16))


def test_log_z_without_a_list():
    def log_z(text):
        return space_from_text(text).log_z

    assert log_z("generated:hypergrid:4x20:paper") == pytest.approx(math.log(271.0097), abs=1e-6)
    # 30^30 states: 30 corners of 6 mode cells each out of 16 beyond 1/4
    grid = space_from_text("generated:hypergrid:30x30")
    corner = sum(abs(2 * x - 29) * 2 > 29 for x in range(30))
    mode = sum(3 * 29 < 5 * abs(2 * x - 29) < 4 * 29 for x in range(30))
    assert grid.log_z == pytest.approx(math.log(30**30 * 1e-3 + 0.5 * corner**30 + 2 * mode**30))
    assert grid.modes_of is None and grid.n_modes == 0
    assert log_z("generated:sets:200x200") == pytest.approx(
        float(
            space_from_text("generated:sets:200x200").log_partial(torch.ones(200, dtype=torch.long))
        )
    )
    assert log_z("generated:bits:120x8") is None


def test_modes_of_a_grid_are_its_corners():
    dag = space_from_text("generated:hypergrid:4x20:paper")
    assert dag.n_modes == 16
    cells = torch.cartesian_prod(*[torch.tensor([2, 3, 16, 17])] * 4)
    assert Counter(dag.modes_of(cells)[:, 0].tolist()) == dict.fromkeys(range(16), 16)
    assert (
        dag.modes_of(torch.tensor([[0, 0, 0, 0], [2, 2, 2, 10], [1, 2, 2, 2]])).tolist()
        == [[-1]] * 3
    )


def test_a_table_is_made_once():
    made = []
    table = on_device(lambda: made.append(1) or np.arange(3))
    assert table(torch.zeros(1)) is table(torch.zeros(2)) and made == [1]


def test_as_generated_needs_no_table_of_features(monkeypatch):
    """A large graph's one-hot rows are computed where they are asked for, and are those of the
    table.
    """
    graph = graph_from_text("hypergrid:2x5")
    states = torch.arange(25)[:, None]
    with monkeypatch.context() as patch:
        patch.setattr(generated, "LARGEST_TABLE", 0)
        computed = as_generated(graph).features(states)
    assert "features" not in vars(graph)
    assert torch.equal(computed, as_generated(graph).features(states)) and "features" in vars(graph)


SMALL = ["hypergrid:2x5", "hypergrid:20x3:paper", "bits:24x4", "sets:7x3", "sets:60x6"]


@pytest.mark.parametrize(
    ("text", "objective", "steps"),
    [
        *(
            (f"generated:{text}", objective, 20)
            for text in SMALL
            for objective in ("tb", "db", "fm")
        ),
        ("generated:bits:120x8", "fl-subtb(0.9)", 5),  # 3,841 actions
    ],
)
def test_training(text, objective, steps):
    space = space_from_text(text)
    found = train(
        {"quadratic": lambda x: x**2 / 2},
        space,
        objective=objective,
        policy="mlp",
        width=16,
        seeds=2,
        steps=steps,
        batch=4,
        evaluations=2,
        device="cpu",
        progress=False,
    )
    assert found.finite.all()
    assert np.isfinite(found.metrics["mean_log_reward"]).all()


def test_training_takes_the_same_steps_on_both():
    """From the same seeds, the list evaluated where it is visited and the generated space learn
    the same numbers.
    """
    for backward, named in (("learned", "tb"), ("maxent", "fl-db"), ("uniform", "db")):
        results = [
            train(
                {"quadratic": lambda x: x**2 / 2},
                space_from_text(text),
                objective=named,
                policy="mlp",
                width=16,
                seeds=2,
                steps=5,
                batch=4,
                backward=backward,
                evaluate="visited",
                evaluations=1,
                device="cpu",
                progress=False,
                initial_log_z=1.0,
                initial_log_flow=1.0,
            )
            for text in ("hypergrid:2x5", "generated:hypergrid:2x5")
        ]
        listed, generated = (found.metrics["log_z"] for found in results)
        np.testing.assert_allclose(listed, generated, rtol=1e-6)
        assert (listed[..., -1] != 1.0).all()


@pytest.mark.parametrize(
    "drawn",
    ["on", "epsilon:0.2", "tempered:2", "backward", "mixture:0.3,epsilon:0.1", "replay:0.4"],
)
@pytest.mark.parametrize("backward", ["uniform", "learned", "maxent"])
def test_walks_have_the_law_that_theory_weighs_them_by(drawn, backward):
    """Chi-square of trajectories drawn at visited states alone, against their law by
    enumeration.
    """
    graph = hypergrid(2, 3)
    space, needs = as_generated(graph), heads(graph, learned_back=True)
    network = {"heads": needs, "width": 8, "depth": 1}
    parameters = {k: 3 * v for k, v in mlp(graph, **network).init([2], dtype=torch.float64).items()}
    target = torch.softmax(torch.tensor(graph.log_reward), dim=0)
    ends = torch.arange(graph.n_states)[:, None]
    chosen = sampler(drawn)
    rollout = Rollout(
        mlp(space, **network), objective("tb"), chosen, backward, "visited", ends, target
    )
    buffer, walked = empty_buffer(rollout, 1, torch.device("cpu")), enumerate_trajectories(graph)
    number = {tuple(walked.index[0, :, j].tolist()): j for j in range(walked.index.shape[-1])}
    model = flow(mlp(graph, **network), parameters, objective("tb"), backward)
    fresh = law(graph, replace(chosen, backward=0.0, replay=0.0), model, walked)
    beta = law(graph, chosen, model, walked, fresh).detach()
    counts, seen = torch.zeros_like(beta), []
    evaluated = rollouts.visited_residuals
    original = evaluated.residuals_along
    evaluated.residuals_along = lambda *given: seen.append(given[-1])
    try:
        for step in range(4):
            noise = torch.rand(
                1,
                graph.max_steps,
                2_000,
                generator=torch.Generator().manual_seed(step),
                dtype=torch.float64,
            )
            draw_residuals(rollout, parameters, noise, buffer, torch.tensor(step))
    finally:
        evaluated.residuals_along = original
    for one in seen:
        states, actions = one.states[0, :-1, :, 0], one.actions[0]
        sink = (graph.n_actions - 1) * (graph.n_states + 1) + graph.n_states
        places = torch.where(one.exists[0], actions * (graph.n_states + 1) + states, sink)
        missing = graph.max_steps - len(places)
        places = torch.cat([places, torch.full((missing, places.shape[1]), sink)])
        for key in places.T.tolist():
            counts[number[tuple(key)]] += 1
    expected = 8_000 * beta
    degrees = beta.numel() - 1
    slack = 6.0 if "replay" in drawn else 1.0  # a thousand kept ones are drawn again and again
    assert float(((counts - expected) ** 2 / expected).sum()) < slack * (
        degrees + 6 * (2 * degrees) ** 0.5
    )
    other = 8_000 * beta.flip(0)
    assert float(((counts - other) ** 2 / other).sum()) > 100 * degrees


@pytest.mark.parametrize("backward", ["uniform", "maxent", "learned"])
@pytest.mark.parametrize("objective", ["tb", "vargrad", "subtb(0.9)", "db"])
def test_trajectories_that_end_early_add_nothing_after_their_stop(objective, backward):
    """Both ways of evaluating learn the same law where the trajectories of a batch differ in
    length.
    """
    settings = {
        "policy": "mlp",
        "width": 8,
        "seeds": 2,
        "steps": 5,
        "batch": 8,
        "evaluations": 1,
        "device": "cpu",
    }
    laws = [
        train(
            {"quadratic": lambda x: x**2 / 2},
            graph_from_text("hypergrid:2x5"),
            objective=objective,
            backward=backward,
            evaluate=way,
            dtype=torch.float64,
            stop_logit=0.0,
            **settings,
        ).terminal
        for way in ("all states", "visited")
    ]
    np.testing.assert_allclose(*laws, rtol=0, atol=1e-12)
