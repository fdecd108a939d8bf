"""The kernel draws the actions that torch draws from the same states by the same uniforms, in
Triton's interpreter where there is no GPU.
"""

import pytest
import torch

from divergence_lab.gflownet import optimiser, samplers
from divergence_lab.gflownet.kernels import availability, table_walks
from divergence_lab.gflownet.kernels import walks as kernels
from divergence_lab.gflownet.listed import sampling
from divergence_lab.gflownet.policies import policy as policies
from divergence_lab.gflownet.policies.policy import heads, mlp
from divergence_lab.gflownet.visited import walks
from divergence_lab.graphs.dag import PointedDAG
from divergence_lab.graphs.generated import as_generated
from divergence_lab.graphs.texts import space_from_text
from tests.kernel_graphs import DEVICE, GRAPHS, needs_triton

pytestmark = needs_triton
NEAR = 1e-5  # where rounding may decide

# space, hidden layers, width, sampler, flow matching, learned P_B, batch
CASES = {
    "hypergrid:2x8": (2, 32, "on", False, False, 5),
    "hypergrid:3x4": (1, 20, "epsilon:0.3", False, True, 17),
    "hypergrid:4x3:paper": (3, 33, "tempered:2.5", True, False, 4),
    "bits:4x2": (2, 16, "epsilon:0.1,tempered:0.5", False, True, 6),
    "bits:6x3:seed1": (2, 40, "on", True, False, 3),
    "sets:6x3": (4, 24, "epsilon:1", False, False, 5),
    "tree:2x4": (2, 8, "on", False, True, 4),
    "skips": (2, 16, "on", False, False, 20),
    "diamond": (1, 4, "tempered:3", True, False, 6),
    "one state": (2, 8, "on", False, False, 3),
    "random 0": (3, 16, "epsilon:0.2", True, True, 5),
    "star": (2, 8, "on", False, False, 18),
    # layers that lie in memory between two products, in several pieces
    "hypergrid:1x9": (4, 150, "on", False, False, 3),
    "tree:3x3": (2, 270, "epsilon:0.2", False, False, 2),
    "generated:hypergrid:1x3": (3, 512, "epsilon:0.1", True, True, 2),
    "generated:hypergrid:2x6": (2, 24, "on", False, True, 5),
    "generated:hypergrid:3x5:paper": (1, 16, "epsilon:0.2", True, False, 4),
    "generated:hypergrid:10x3": (2, 16, "tempered:2", True, False, 3),
    "generated:bits:6x2": (2, 20, "epsilon:0.2", False, True, 5),
    "generated:bits:12x3": (3, 16, "tempered:0.7", True, False, 3),
    "generated:bits:9x1": (1, 8, "on", False, False, 3),
}


def prepared(name, n_members=2, sharp=4.0):
    """Space, policy, its parameters on the device, uniforms; weights are large, so that actions
    have unlike chances.
    """
    depth, width, sampler, flows, learned, batch = CASES[name]
    space = GRAPHS[name]() if name in GRAPHS else space_from_text(name)
    space = as_generated(space) if isinstance(space, PointedDAG) else space
    policy = mlp(
        space, heads=heads(space, learned_back=learned, flow=True), width=width, depth=depth
    )
    drawn = policy.init(range(n_members), DEVICE)
    drawn = {key: sharp * tensor if key != "log_z" else tensor for key, tensor in drawn.items()}
    uniforms = torch.rand(
        n_members, space.max_steps, batch, generator=torch.Generator().manual_seed(3)
    )
    uniforms[:, 0, 0] = 0.0
    return space, policy, drawn, uniforms.to(DEVICE), samplers.sampler(sampler), flows


def check(space, policy, drawn, uniforms, chosen, flows, found):
    """Every action is torch's from the same state, unless a cumulative probability is that near;
    every state the one it leads to.  How many actions were near.
    """
    states, actions, exists = found
    stop, near = space.n_actions - 1, 0
    going = torch.ones_like(exists[:, 0])
    assert torch.equal(states[:, 0], torch.zeros_like(states[:, 0]))
    for step in range(actions.shape[1]):
        here, action = states[:, step], actions[:, step]
        assert torch.equal(exists[:, step], going)
        assert (action[~going] == stop).all()
        reached = walks._cumulative_at(policy, chosen, policy.rows(drawn, here), here, flows)
        wanted = walks.pick_actions(reached, uniforms[:, step])
        close = ((reached - uniforms[:, step, None]).abs() < NEAR).any(dim=1)
        differs = (action != wanted) & going
        assert not (differs & ~close).any(), f"step {step}: {action[differs]} {wanted[differs]}"
        assert space.allowed(here).gather(-1, action[..., None])[going].all()
        assert torch.equal(states[:, step + 1], space.step(here, action))
        near += int((close & going).sum())
        going = going & (action != stop)
    assert not going.any()
    return near


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_the_kernel_draws_what_torch_draws(name):
    space, policy, drawn, uniforms, chosen, flows = prepared(name)
    found = kernels.walk(policy, drawn, chosen, uniforms, flows)
    near = check(space, policy, drawn, uniforms, chosen, flows, found)
    assert near < 0.01 * found[2].sum() + 2
    theirs = walks._walk(policy, drawn, chosen, uniforms, flows)
    assert found[0].shape[-1] == theirs.states.shape[-1]
    same = found[1][:, : theirs.actions.shape[1]] == theirs.actions
    assert same.float().mean() > 0.97


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", GRAPHS)
def test_through_a_table_the_kernel_draws_exactly_what_torch_draws(name, dtype, monkeypatch):
    graph = GRAPHS[name]()
    draw = torch.Generator().manual_seed(5)
    logits = 2 * torch.randn(2, graph.n_actions, graph.n_states, generator=draw, dtype=dtype)
    allowed = torch.tensor(graph.child >= 0)
    log_pf = torch.log_softmax(logits.masked_fill(~allowed, -torch.inf), dim=1).to(DEVICE)
    uniforms = torch.rand(2, graph.max_steps, 9, generator=draw, dtype=dtype)
    uniforms[:, :, 0], uniforms[:, :, 1] = 0.0, 1 - 2**-24
    monkeypatch.setattr(availability, "usable", lambda device: False)
    theirs = sampling.sample(graph, log_pf, uniforms.to(DEVICE))
    calls, steps = [], table_walks.steps
    monkeypatch.setattr(availability, "usable", lambda device: True)
    monkeypatch.setattr(table_walks, "steps", lambda *given: calls.append(0) or steps(*given))
    ours = sampling.sample(graph, log_pf, uniforms.to(DEVICE))
    assert calls
    assert torch.equal(ours.index, theirs.index) and torch.equal(ours.terminal, theirs.terminal)


@torch.no_grad()
def test_a_wrong_table_is_noticed(monkeypatch):
    """The negative control: two children of the source exchanged, a wrong row, a wrong reward."""
    exchanged = lambda child: torch.cat([child[:, [1, 0]], child[:, 2:]], dim=1)  # noqa: E731
    for name, place, spoiled in (
        ("hypergrid:2x8", 0, lambda child: torch.cat([exchanged(child[:1]), child[1:]])),
        ("random 0", 1, lambda ones: ones.roll(1, 0)),
        ("random 0", 2, lambda log_reward: log_reward + 9.0),
    ):
        space, policy, drawn, uniforms, chosen, flows = prepared(name)
        tables = list(kernels._tables(space, uniforms.device))
        tables[place] = spoiled(tables[place]).contiguous()
        monkeypatch.setattr(kernels, "_tables", lambda *_, tables=tables: tables)
        found = kernels.walk(policy, drawn, chosen, uniforms, flows)
        monkeypatch.undo()
        with pytest.raises(AssertionError):
            check(space, policy, drawn, uniforms, chosen, flows, found)


@pytest.mark.parametrize("n_members", [1, 2])
@torch.no_grad()
def test_parameters_of_an_ensemble_are_read_where_they_lie(n_members):
    _, policy, drawn, uniforms, chosen, flows = prepared("generated:bits:6x2", n_members)
    members = optimiser.ensemble(drawn).parameters
    assert kernels._side_by_side(policy, members) is members
    assert kernels._side_by_side(policy, drawn) is not drawn
    ours, again = (
        kernels.walk(policy, given, chosen, uniforms, flows) for given in (members, drawn)
    )
    for one, other in zip(ours, again, strict=True):
        assert torch.equal(one, other)


@torch.no_grad()
def test_an_action_that_is_not_allowed_is_never_drawn():
    """Even where a member's weights are no numbers, and u is as near to 1 as it can be."""
    space, policy, drawn, uniforms, chosen, flows = prepared("hypergrid:3x4")
    drawn["weight_1"][0] = torch.nan
    uniforms[:, :, 1:] = 1 - 2**-24
    states, actions, exists = kernels.walk(policy, drawn, chosen, uniforms, flows)
    allowed = space.allowed(states[:, :-1]).gather(-1, actions[..., None])[..., 0]
    assert allowed[exists].all() and (actions[:, -1] == space.n_actions - 1).all()


def test_the_kernel_is_for_mlps_that_it_knows(monkeypatch):
    space, policy, _, uniforms, *_ = prepared("diamond")
    assert not kernels.applies(policy, uniforms.cpu())
    monkeypatch.setattr(availability, "usable", lambda device: True)
    assert kernels.applies(policy, uniforms)
    assert not kernels.applies(policy, uniforms.double())
    assert not kernels.applies(policy, uniforms[:, :, :0])
    assert not kernels.applies(mlp(space, width=520), uniforms)
    assert not kernels.applies(mlp(space_from_text("generated:bits:16x8"), width=8), uniforms)
    assert not kernels.applies(mlp(space_from_text("generated:sets:6x3"), width=8), uniforms)
    assert not kernels.applies(mlp(space, depth=0), uniforms)
    assert policies.tabular(GRAPHS["diamond"]()).n_hidden == 0


@torch.no_grad()
def test_walks_go_through_the_kernel_and_on_in_torch_where_it_fails(monkeypatch):
    space, policy, drawn, uniforms, chosen, flows = prepared("hypergrid:2x8")
    theirs = walks._walk(policy, drawn, chosen, uniforms, flows)
    monkeypatch.setattr(availability, "usable", lambda device: True)
    ours = walks.walk(policy, drawn, chosen, uniforms, flows)
    assert ours.actions.shape[1] == space.max_steps
    length = theirs.actions.shape[1]
    assert (ours.actions[:, :length] == theirs.actions).float().mean() > 0.97

    monkeypatch.setattr(kernels, "walk", lambda *_: other)
    other = walks._walk(policy, drawn, chosen, uniforms.flip(1), flows)
    other = (other.states, other.actions, other.exists)
    with pytest.warns(UserWarning, match="does not agree with torch"):
        walks.walk(prepared("hypergrid:2x8")[1], drawn, chosen, uniforms, flows)

    space, policy, *_ = prepared("hypergrid:2x8")

    def broken(*_):
        raise RuntimeError("too much shared memory")

    monkeypatch.setattr(kernels, "walk", broken)
    with pytest.warns(UserWarning, match="kernel for walks fails here.*too much shared memory"):
        again = walks.walk(policy, drawn, chosen, uniforms, flows)
    assert torch.equal(again.actions, theirs.actions)
