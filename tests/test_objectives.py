"""Every objective: residual 0 at the true flow and only there, its sign, its value by hand, no
role for the batch.
"""

import math

import pytest
import torch

from divergence_lab.gflownet.listed.exact import (
    enumerate_trajectories,
    log_partition,
    terminal_distribution,
)
from divergence_lab.gflownet.listed.flow import (
    check_objective,
    edge_log_pb,
    fixed_log_pb,
    flow,
    log_partial,
    residuals_along,
    steps_along,
)
from divergence_lab.gflownet.listed.sampling import Trajectories
from divergence_lab.gflownet.objectives import (
    ObjectiveError,
    Steps,
    db,
    objective,
    subtb,
    tb,
    vargrad,
)
from divergence_lab.gflownet.policies.policy import heads, tabular
from divergence_lab.graphs import hypergrid
from tests.small_graphs import binary_tree, diamond, single_state, skips

GRAPHS = [single_state(), diamond(), binary_tree(3), skips(), hypergrid(2, 4)]
NAMES = [
    "tb",
    "vargrad",
    "db",
    "subtb(0.9)",
    "fm",
    "fl-db",
    "fl-subtb(0.5)",
    "modified-db",
    "modified-subtb(1.5)",
    "tied-db",
    "tied-fl-subtb(0.9)",
    "exit-fm",
]


def allowed(graph, name):
    try:
        check_objective(graph, objective(name))
    except ObjectiveError:
        return False
    return True


CASES = [(graph, name) for graph in GRAPHS for name in NAMES if allowed(graph, name)]


def true_flow(graph, log_pb):
    """log F(s) and log F(s, a) for this P_B [A, S], by a backward pass in plain Python."""
    state_flow = [math.exp(reward) for reward in graph.log_reward]
    edge = torch.zeros(graph.child.shape, dtype=torch.float64)
    for state in reversed(range(graph.n_states)):
        for slot, child in enumerate(graph.child[:, state].tolist()):
            if child == graph.n_states:
                edge[slot, state] = math.exp(graph.log_reward[state])
            elif child >= 0:
                edge[slot, state] = state_flow[child] * math.exp(log_pb[slot, state])
                state_flow[state] += edge[slot, state].item()
    return torch.tensor(state_flow, dtype=torch.float64).log(), edge.log()


def solution(graph, name, backward):
    """A tabular policy, and the parameters that solve the balance for its P_B."""
    chosen = objective(name)
    needs = heads(
        graph, learned_back=backward == "learned", flow=chosen.flow in ("free", "forward-looking")
    )
    policy = tabular(graph, heads=needs, scale=1.0)
    parameters = policy.init([5], dtype=torch.float64)
    rows = parameters["rows"].clone()
    if backward == "learned":
        log_pb = edge_log_pb(graph, rows[:, needs.n_actions : needs.n_actions + needs.n_back])[0]
    else:
        log_pb = fixed_log_pb(graph, backward, "cpu", torch.float64)[0]
    log_flow, log_edge = true_flow(graph, log_pb)
    rows[0, : needs.n_actions] = log_edge.clamp(min=-1e3)
    if needs.flow:
        partial = (
            log_partial(graph, "cpu", torch.float64) if chosen.flow == "forward-looking" else 0.0
        )
        rows[0, -1] = log_flow - partial
    return (
        policy,
        chosen,
        {"rows": rows, "log_z": torch.tensor([log_partition(graph)], dtype=torch.float64)},
    )


@pytest.mark.parametrize("backward", ["uniform", "learned", "maxent"])
@pytest.mark.parametrize(("graph", "name"), CASES, ids=lambda value: getattr(value, "name", value))
def test_the_residual_is_zero_at_the_true_flow_and_only_there(graph, name, backward):
    policy, chosen, parameters = solution(graph, name, backward)
    walked = enumerate_trajectories(graph)
    if name == "vargrad" and walked.terminal.shape[1] < 2:
        pytest.skip("one trajectory has no other to compare with")
    model = flow(policy, parameters, chosen, backward)
    found = residuals_along(graph, chosen, model, walked)
    assert found.x.abs().max() < 1e-12
    # the solution samples in proportion to the reward, whatever P_B is
    law = terminal_distribution(graph, model.log_pf)[0]
    target = torch.tensor(graph.log_reward[graph.terminal_states])
    torch.testing.assert_close(law.log() + log_partition(graph), target)
    # control: other parameters have residuals that are not 0, for states that have anything to
    # learn
    shift = torch.randn(
        parameters["rows"].shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    moved = {**parameters, "rows": parameters["rows"] + shift}
    if graph.n_states > 1:
        assert (
            residuals_along(graph, chosen, flow(policy, moved, chosen, backward), walked)
            .x.abs()
            .max()
            > 0.05
        )


@pytest.mark.parametrize(("graph", "name"), CASES, ids=lambda value: getattr(value, "name", value))
def test_a_model_that_claims_too_little_has_a_positive_residual(graph, name):
    """x = log(target/model): the sign that makes g the loss of D_f(p_B||p_F), not of its mirror."""
    policy, chosen, parameters = solution(graph, name, "uniform")
    walked = enumerate_trajectories(graph)
    if chosen.kind in ("tb", "db", "subtb") and chosen.flow != "modified":
        less = {**parameters, "log_z": parameters["log_z"] - 0.5}
        if chosen.tied:
            if graph.n_states == 1:
                pytest.skip("its flow is its reward")
            less = {**parameters, "rows": parameters["rows"].clone()}
            less["rows"][:, -1, 0] -= 0.5
        x = residuals_along(graph, chosen, flow(policy, less, chosen), walked).x
        first = x[:, 0] if chosen.kind != "subtb" else x[:, :1]
        torch.testing.assert_close(first, torch.full_like(first, 0.5))
        assert (x > -1e-12).all()
    elif graph.n_states > 1:
        rows = parameters["rows"].clone()
        slot = int((graph.child[:-1, 0] >= 0).argmax())
        rows[:, slot, 0] -= 0.5  # less flow along one edge of the source
        model = flow(policy, {**parameters, "rows": rows}, chosen)
        takes = (walked.slots[0, 0] == slot) & (walked.states[0, 0] == 0)
        x = residuals_along(graph, chosen, model, walked).x[0]
        if chosen.kind == "fm":  # less flows in than out, one state on
            assert (x[1, takes] > 0).all() and x[1, ~takes].abs().max() < 1e-12
        elif chosen.kind == "vargrad":
            assert takes.all() or x[0, takes].min() > x[0, ~takes].max()
        else:
            assert (x[0, takes] > 0).all()


@pytest.mark.parametrize(("graph", "name"), CASES, ids=lambda value: getattr(value, "name", value))
def test_a_residual_does_not_depend_on_the_batch_it_is_in(graph, name):
    if name == "vargrad":
        pytest.skip("its log Z is estimated from the batch: see the test of its expected gradient")
    chosen = objective(name)
    policy = tabular(
        graph, heads=heads(graph, flow=chosen.flow in ("free", "forward-looking")), scale=1.0
    )
    model = flow(policy, policy.init([0], dtype=torch.float64), chosen)
    walked = enumerate_trajectories(graph)
    whole = residuals_along(graph, chosen, model, walked)
    for pick in ([0], [-1, 0]):
        part = Trajectories(walked.index[..., pick], walked.terminal[..., pick], walked.width)
        alone = residuals_along(graph, chosen, model, part)
        torch.testing.assert_close(alone.x, whole.x[..., pick], rtol=0, atol=0)
        torch.testing.assert_close(
            alone.weight.expand_as(alone.x),
            whole.weight.expand_as(whole.x)[..., pick],
            rtol=0,
            atol=1e-15,
        )


def random_steps(graph, name, seed=0):
    chosen = objective(name)
    policy = tabular(graph, heads=heads(graph, flow=True), scale=1.0, initial_log_z=0.3)
    return steps_along(
        graph,
        flow(policy, policy.init([seed], dtype=torch.float64), chosen),
        enumerate_trajectories(graph),
    )


@pytest.mark.parametrize("graph", GRAPHS[1:], ids=lambda graph: graph.name)
def test_sub_trajectories_by_hand(graph):
    """Every i < j <= length in plain Python, and DB and TB as the shortest and the longest of
    them.
    """
    steps = random_steps(graph, "db")
    found = subtb(steps, 0.7)
    pairs = [
        (i, j)
        for i in range(steps.exists.shape[1] + 1)
        for j in range(i + 1, steps.exists.shape[1] + 1)
    ]
    for column in range(steps.exists.shape[2]):
        length = int(steps.exists[0, :, column].sum())
        flows, gains = steps.log_flow[0, :, column].tolist(), steps.increment[0, :, column].tolist()
        total = sum(0.7 ** (j - i) for i, j in pairs if j <= length)
        for place, (i, j) in enumerate(pairs):
            weight = found.weight[0, place, column].item()
            assert weight == pytest.approx(0.7 ** (j - i) / total if j <= length else 0.0)
            if j <= length:
                assert found.x[0, place, column].item() == pytest.approx(
                    flows[j] + sum(gains[i:j]) - flows[i]
                )
    first, last = pairs.index((0, 1)), pairs.index((0, steps.exists.shape[1]))
    torch.testing.assert_close(found.x[:, first], db(steps).x[:, 0])
    torch.testing.assert_close(found.x[:, last], tb(steps).x[:, 0])


@pytest.mark.parametrize("decay", [0.1, 1.0, 10.0])
def test_weights_of_long_trajectories_do_not_overflow(decay):
    """10^90 is beyond float32; the quotients of such numbers are not."""
    lengths = torch.tensor([1, 7, 90, 0])  # 0: a tied trajectory that can but stop
    exists = torch.arange(90)[None, :, None] < lengths
    steps = Steps(exists.float(), exists, torch.zeros(1), torch.zeros(1, 91, 4))
    weight = subtb(steps, decay).weight
    torch.testing.assert_close(weight.sum(dim=1), torch.tensor([[1.0, 1.0, 1.0, 0.0]]))
    first, last = torch.triu_indices(91, 91, offset=1)
    span = (last - first).double()[:, None]
    exact = torch.where(exists[0, last - 1], decay**span, 0.0)
    exact = exact / exact.sum(dim=0).clamp(min=1e-300)
    torch.testing.assert_close(weight[0].double(), exact, rtol=2e-5, atol=1e-9)


@pytest.mark.parametrize("batch", [2, 3, 5])
def test_the_expected_gradient_of_vargrad_is_that_of_reverse_kl_whatever_the_batch(batch):
    """All batches of the diamond's 3 trajectories enumerated: grad E[x^2/2] = grad
    KL(P_F||target).
    """
    graph = diamond()
    policy = tabular(graph, scale=1.0)
    parameters = policy.init([3], dtype=torch.float64)
    rows = parameters["rows"].requires_grad_()
    steps = steps_along(
        graph,
        flow(policy, {**parameters, "rows": rows}, objective("vargrad")),
        enumerate_trajectories(graph),
    )
    estimate = steps.increment.sum(dim=1)[0]  # log w = log R P_B - log P_F
    log_law = policy.log_pf({"rows": rows})
    walked = enumerate_trajectories(graph)
    chance = torch.stack(
        [
            sum(
                log_law[0, slot, state]
                for slot, state in zip(walked.slots[0, :, b], walked.states[0, :, b], strict=True)
                if state < graph.n_states
            )
            for b in range(3)
        ]
    ).exp()
    exact = torch.autograd.grad(-(chance * estimate).sum(), rows, retain_graph=True)[0]
    picks = torch.cartesian_prod(*[torch.arange(3)] * batch)
    one = type(steps)(
        steps.increment[0][:, picks].movedim(1, 0),
        steps.exists[0][:, picks].movedim(1, 0),
        steps.log_z,
    )
    weight = chance[picks].prod(dim=1).detach()
    loss = (vargrad(one).x[:, 0] ** 2 / 2).mean(dim=-1) * weight
    torch.testing.assert_close(
        torch.autograd.grad(loss.sum(), rows, retain_graph=True)[0], exact, rtol=1e-10, atol=1e-12
    )
    # control: the other half of the classes of objectives has another gradient
    other = (tb(one).x[:, 0] ** 2 / 2).mean(dim=-1) * weight
    assert (
        torch.autograd.grad(other.sum(), rows)[0] - exact
    ).abs().max() < 1e-10  # log Z moves no policy gradient


def test_value_by_hand():
    graph = diamond()
    policy = tabular(graph)
    parameters = {
        "rows": torch.zeros(2, 3, 4, dtype=torch.float64),
        "log_z": torch.tensor([0.0, 1.0]).double(),
    }
    residual = residuals_along(
        graph,
        objective("tb"),
        flow(policy, parameters, objective("tb")),
        enumerate_trajectories(graph),
    ).x[:, 0]
    # start, left: P_F 1/2 1/2; start, left, both: P_F 1/2 1/2, P_B 1/2; start, right, both: P_F
    # 1/2, P_B 1/2
    expected = sorted([-0.4 - math.log(1 / 4), 0.9 + math.log(1 / 2) - math.log(1 / 4), 0.9])
    assert sorted(residual[0].tolist()) == pytest.approx(expected)
    torch.testing.assert_close(residual[1], residual[0] - 1.0)


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.name)
def test_maximum_entropy_makes_all_trajectories_to_a_state_equally_likely(graph):
    log_pb = fixed_log_pb(graph, "maxent", "cpu", torch.float64)[0]
    walked = enumerate_trajectories(graph)
    ended: dict[int, list[float]] = {}
    for column in range(walked.terminal.shape[1]):
        steps = zip(
            walked.slots[0, :, column].tolist(), walked.states[0, :, column].tolist(), strict=True
        )
        total = sum(log_pb[slot, state].item() for slot, state in steps if state < graph.n_states)
        ended.setdefault(int(walked.terminal[0, column]), []).append(total)
    for values in ended.values():
        assert values == pytest.approx([-math.log(len(values))] * len(values))


@pytest.mark.parametrize(
    "text",
    [
        "sac",
        "tb(0.9)",
        "fl-tb",
        "subtb(0)",
        "subtb(1.2.3)",
        "subtb(nan)",
        "modified-fm",
        "",
        "db "[:1],
    ],
)
def test_unknown_objectives_are_refused_in_one_line(text):
    with pytest.raises(ObjectiveError, match="objective") as caught:
        objective(text)
    assert "\n" not in str(caught.value)


def test_objectives_that_a_graph_does_not_allow_are_refused():
    with pytest.raises(ObjectiveError, match="all terminal"):
        check_objective(diamond(), objective("modified-db"))
    with pytest.raises(ObjectiveError, match="unfinished"):
        check_objective(binary_tree(2), objective("fl-db"))
