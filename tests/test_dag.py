"""The pointed DAG: its invariants, each with the error that names the offending part; and text
-> graph.
"""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divergence_lab.gflownet.listed.exact import log_partition, target_distribution
from divergence_lab.graphs import EnvironmentTextError, GraphError, from_edges, graph_from_text
from divergence_lab.graphs import dag as dag_module
from divergence_lab.graphs.dag import clamp_log_reward
from tests.small_graphs import binary_tree, diamond, single_state, skips


@st.composite
def edge_lists(draw):
    """A random DAG over states 0..n-1 with source 0, its edges shuffled; and log-rewards."""
    n = draw(st.integers(1, 8))
    parents = [draw(st.sets(st.integers(0, s - 1), min_size=1, max_size=3)) for s in range(1, n)]
    edges = [(p, s) for s, ps in enumerate(parents, start=1) for p in sorted(ps)]
    edges = draw(st.permutations(edges))
    childless = set(range(n)) - {p for p, _ in edges}
    stops = childless | draw(st.sets(st.integers(0, n - 1)))
    return edges, {s: draw(st.floats(-3, 3)) for s in stops}


@settings(max_examples=60, deadline=None)
@given(edge_lists())
def test_arrays_say_what_the_edges_said(case):
    edges, log_rewards = case
    graph = from_edges(edges, log_rewards)
    named = {
        (graph.labels[p], graph.labels[c])
        for p, c in zip(graph.edges.parent, graph.edges.child, strict=True)
    }
    assert named == set(edges)
    assert {graph.labels[s]: graph.log_reward[s] for s in graph.terminal_states} == log_rewards
    longest = {graph.labels[0]: 0}
    for state in range(1, graph.n_states):
        name = graph.labels[state]
        longest[name] = 1 + max(longest[p] for p, c in edges if c == name)
        assert graph.level[state] == longest[name]
    assert (np.diff(graph.level) >= 0).all()
    assert (graph.level[graph.edges.child] > graph.level[graph.edges.parent]).all()
    assert graph.labels[0] == 0


@settings(max_examples=60, deadline=None)
@given(edge_lists())
def test_incoming_lists_every_edge_once(case):
    graph = from_edges(*case)
    found = {
        (flat, s)
        for s in range(graph.n_states)
        for flat in graph.incoming[:, s].tolist()
        if flat >= 0
    }
    edges = graph.edges
    there = {
        (s * graph.n_states + p, c)
        for p, s, c in zip(edges.parent, edges.slot, edges.child, strict=True)
    }
    assert found == there
    assert (graph.incoming >= 0).sum() == edges.child.size
    np.testing.assert_array_equal((graph.incoming >= 0).sum(axis=0), graph.n_parents)
    for level, (low, high) in enumerate(
        zip(edges.level_start[:-1], edges.level_start[1:], strict=True)
    ):
        assert (graph.level[edges.parent[low:high]] == level).all()


@pytest.mark.parametrize(
    ("edges", "log_rewards", "message"),
    [
        ([("a", "b"), ("b", "c"), ("c", "b")], {"c": 0.0}, "'b' -> 'c' -> 'b'"),
        ([("a", "a")], {"a": 0.0}, "'a' -> 'a'"),
        ([("a", "c"), ("b", "c")], {"c": 0.0}, r"2 states have no parent \('a', 'b'\)"),
        ([("a", "b")], {"b": 0.0, "z": 1.0}, "no parent"),
        ([("a", "b"), ("a", "c")], {"b": 0.0}, "state 'c' reaches no terminal state"),
        ([("a", "b")], {"b": math.nan}, "log-reward of 'b' is nan"),
        ([("a", "b")], {"b": math.inf}, "log-reward of 'b' is inf"),
        ([("a", "b")], {"a": -math.inf, "b": -math.inf}, "all rewards are 0"),
        ([("a", "b")], {"b": True}, "log-reward of 'b' is True"),
        ([("a", "b")], {"b": 10**400}, "log-reward of 'b' is 1000"),
        ([("a", "b")], {"b": "1"}, "log-reward of 'b' is '1'"),
        ([("a", "b"), ("a", "b")], {"b": 0.0}, "'a' -> 'b' is given twice"),
        ([("a", "b", "c")], {"b": 0.0}, "is not an edge"),
        (["ab"], {"b": 0.0}, "is not an edge"),
        ([], {}, "no edges"),
    ],
)
def test_every_broken_invariant_is_named(edges, log_rewards, message):
    with pytest.raises(GraphError, match=message) as caught:
        from_edges(edges, log_rewards)
    assert "\n" not in str(caught.value)


def test_a_named_source_must_reach_every_state():
    edges = [("a", "c"), ("b", "c")]
    with pytest.raises(GraphError, match="'b' cannot be reached from the source 'a'"):
        from_edges(edges, {"c": 0.0}, source="a")
    with pytest.raises(GraphError, match="the source 'c' has a parent"):
        from_edges(edges, {"c": 0.0}, source="c")
    with pytest.raises(GraphError, match="the source 'q' is not a state"):
        from_edges(edges, {"c": 0.0}, source="q")
    assert from_edges(edges[:1], {"c": 0.0}, source="a").n_states == 2


def test_a_long_cycle_is_shortened():
    edges = [("s", 0), *((i, (i + 1) % 50) for i in range(50))]
    with pytest.raises(GraphError, match=r"\.\.\."):
        from_edges(edges, {0: 0.0})


def test_tables_that_do_not_fit_are_refused(monkeypatch):
    monkeypatch.setattr(dag_module, "MAX_TABLE", 10)
    with pytest.raises(GraphError, match="does not fit"):
        from_edges([(0, i) for i in range(1, 9)], dict.fromkeys(range(1, 9), 0.0))


def test_small_graphs():
    assert single_state().n_states == 1 and single_state().max_steps == 1
    assert diamond().n_parents.tolist() == [0, 1, 1, 2]
    tree = binary_tree(3)
    assert tree.terminal_states.size == 8 and tree.max_steps == 4
    np.testing.assert_allclose(
        sorted(np.exp(tree.log_reward[tree.terminal_states])), np.arange(1, 9)
    )
    assert skips().level.tolist() == [0, 1, 2, 3, 4]
    assert skips().features.shape == (5, 5)


def test_arrays_are_read_only():
    graph = diamond()
    for array in (
        graph.child,
        graph.log_reward,
        graph.level,
        graph.terminal_states,
        graph.edges.parent,
    ):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_dag_file(tmp_path):
    path = tmp_path / "graph.json"
    path.write_text(
        json.dumps({"edges": [["a", 1], ["a", "c"], [1, "c"]], "log_rewards": {"1": 0.5, "c": -1}})
    )
    graph = graph_from_text(f"dag:{path}")
    assert graph.labels == ("a", "1", "c")
    assert graph.log_reward.tolist() == [-math.inf, 0.5, -1.0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[1]", 'no list "edges"'),
        ('{"edges": []}', 'no object "log_rewards"'),
        ('{"edges": [["a"]], "log_rewards": {}}', "is not an edge"),
        ('{"edges": [["a", null]], "log_rewards": {}}', "is not an edge"),
        ('{"edges": [["a", "b"]], "log_rewards": {"b": NaN}}', "NaN is not a number in JSON"),
        ('{"edges": [["a", "b"]], "log_rewards": {"b": Infinity}}', "log-reward of 'b' is inf"),
        ('{"edges": [["a", "b"]], "log_rewards": {"b": true}}', "log-reward of 'b' is True"),
        (
            '{"edges": [["a", "b"]], "log_rewards": {"b": 1' + 400 * "0" + "}}",
            "log-reward of 'b' is 10.*none if no",
        ),
        (
            '{"edges": [["a", "b"]], "log_rewards": {"b": -1e308}}',
            "is -1e.308; give a number from -1,000,000 to",
        ),
        (f'{{"edges": [{[0] * 10_000}], "log_rewards": {{}}}}', "is not an edge"),
        (
            f'{{"edges": [["a", "{9_999 * "b"}"]], "log_rewards": {{}}}}',
            "state 'bbb.* reaches no terminal state",
        ),
        ('{"edges": [["a", "b"]], "log_rewards": {"b": 1, "b": 2}}', "'b' is given twice"),
        ('{"edges": [["a", "b"], ["b", "a"]], "log_rewards": {"b": 1}}', "cycle"),
    ],
)
def test_a_malformed_file_is_explained(tmp_path, content, message):
    path = tmp_path / "graph.json"
    path.write_text(content)
    with pytest.raises(EnvironmentTextError, match=message) as caught:
        graph_from_text(f"dag:{path}")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 700


@pytest.mark.parametrize(
    "text",
    [
        "",
        "grid:2x8",
        "hypergrid",
        "hypergrid:8",
        "hypergrid:2x8x3",
        "hypergrid:2x-8",
        "hypergrid:2x8:",
        "dag:",
    ],
)
def test_unknown_text_lists_the_forms(text):
    kind = text.partition(":")[0]
    forms = {"hypergrid": r"write hypergrid:DIMxSIDE", "dag": r"write dag:FILE\.json"}
    with pytest.raises(
        EnvironmentTextError, match=forms.get(kind, r"hypergrid:2x8.*dag:FILE\.json")
    ):
        graph_from_text(text)


def test_other_text_errors():
    with pytest.raises(EnvironmentTextError, match="too many to list; .*generated:bits:120x8"):
        graph_from_text("bits:120x8")
    with pytest.raises(EnvironmentTextError, match="molecules:T1 to molecules:T5"):
        graph_from_text("molecules:fragments")
    with pytest.raises(EnvironmentTextError, match="reward 'gold' is not one of default, paper"):
        graph_from_text("hypergrid:2x8:gold")
    with pytest.raises(EnvironmentTextError, match="cannot be read"):
        graph_from_text("dag:/no/such/file.json")
    with pytest.raises(EnvironmentTextError, match="more than 20,000,000 states"):
        graph_from_text("hypergrid:999999x999999")


ZERO = '{"edges": [["s", "a"], ["s", "b"], ["s", "c"]], "log_rewards": {"a": 0, "b": 1, "c": %s}}'


@pytest.mark.parametrize("written", ['"-oo"', '"-inf"', "-Infinity"])
def test_a_reward_of_zero_is_a_state_that_the_target_gives_nothing(written, tmp_path):
    (tmp_path / "zero.json").write_text(ZERO % written)
    graph = graph_from_text(f"dag:{tmp_path / 'zero.json'}")
    assert graph.terminal_states.size == 3 and graph.without_reward.tolist() == [3]
    np.testing.assert_allclose(
        target_distribution(graph), [1 / (1 + math.e), math.e / (1 + math.e), 0.0], atol=1e-15
    )
    assert log_partition(graph) == pytest.approx(math.log(1 + math.e))
    clamped = clamp_log_reward(graph, -3.0)
    assert clamped.log_reward.tolist() == [-math.inf, 0.0, 1.0, -3.0]
    assert not clamped.without_reward.size
