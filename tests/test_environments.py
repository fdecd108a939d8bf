"""Environments against their formulas by hand, closed counting, and each other; texts and their
errors.
"""

import itertools
import math
import sys
import textwrap
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from divergence_lab.graphs import (
    EnvironmentTextError,
    GraphError,
    from_children,
    from_edges,
    graph_from_text,
    hypergrid,
    space_from_text,
)
from divergence_lab.graphs.generated import GeneratedDAG
from divergence_lab.graphs.spaces.bits import WORDS, bit_modes, bits, generated_bits
from divergence_lab.graphs.spaces.hypergrid import generated_hypergrid
from divergence_lab.graphs.spaces.sets import generated_sets, sets
from divergence_lab.graphs.spaces.trees import tree
from divergence_lab.graphs.texts import FORMS, GENERATED_FORMS

PAPER = (Fraction("1e-4"), Fraction("-9.9e-5"), Fraction("0.999999"))


def log_z(graph):
    return np.logaddexp.reduce(graph.log_reward[graph.terminal_states])


# --- hyper-grids


def paper_reward(cell, unit):
    distance = [abs(Fraction(x, unit) - Fraction(1, 2)) for x in cell]
    r0, r1, r2 = PAPER
    corner = all(d > Fraction(1, 4) for d in distance)
    mode = all(Fraction(3, 10) < d < Fraction(4, 10) for d in distance)
    return r0 + r1 * corner + r2 * mode


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("hypergrid:2x20:paper", 19),
        ("hypergrid:2x20:paper_text", 20),
        ("hypergrid:3x7:paper", 6),
        ("hypergrid:3x10:paper_text", 10),
    ],
)
def test_both_readings_exactly(text, unit):
    graph = graph_from_text(text)
    wanted = [math.log(paper_reward(cell, unit)) for cell in graph.coordinates.tolist()]
    np.testing.assert_allclose(graph.log_reward, wanted, rtol=0, atol=1e-9)


def test_the_two_readings_of_the_paper():
    """By closed counting: background, corner and mode cells of 160,000; the numbers of the
    released code and the text.
    """
    r0, r1, r2 = map(float, PAPER)
    for text, along, wanted in (
        ("paper", [2, 3, 16, 17], 271.0097),
        ("paper_text", [3, 17], 31.3504),
    ):
        graph = graph_from_text(f"hypergrid:4x20:{text}")
        assert sorted(set(graph.coordinates[graph.modes].ravel().tolist())) == along
        assert graph.modes.size == len(along) ** 4
        unit = 19 if text == "paper" else 20
        corner = sum(abs(Fraction(x, unit) - Fraction(1, 2)) > Fraction(1, 4) for x in range(20))
        z = 20**4 * r0 + corner**4 * r1 + len(along) ** 4 * r2
        assert (
            math.exp(log_z(graph)) == pytest.approx(z, rel=1e-12) == pytest.approx(wanted, abs=1e-4)
        )
        assert space_from_text(f"generated:hypergrid:4x20:{text}").log_z == pytest.approx(
            math.log(z), rel=1e-12
        )
    assert 16 / z == pytest.approx(
        0.510, abs=5e-4
    )  # the text's reading: half of the mass is off the modes


def test_grid_values_by_hand():
    graph = hypergrid(1, 21, r0=1, r1=2, r2=4)
    assert np.exp(graph.log_reward[[0, 2, 3, 4, 5, 10]]).tolist() == pytest.approx(
        [3, 3, 7, 3, 1, 1]
    )
    other = hypergrid(
        1, 20, r0=1, r1=2, r2=4, reading="x/H"
    )  # 2/20 and 4/20 lie on the edges of the band
    assert np.exp(other.log_reward[[0, 2, 3, 4, 5, 15, 16, 17, 18]]).tolist() == pytest.approx(
        [3, 3, 7, 3, 1, 1, 3, 7, 3]
    )


def test_grid_errors():
    for make in (hypergrid, generated_hypergrid):
        with pytest.raises(GraphError, match="reading 'x' is not one of"):
            make(2, 8, reading="x")
        with pytest.raises(GraphError, match="not all positive"):
            make(2, 8, r0=0.0)
        with pytest.raises(GraphError, match="at least 1 dimension"):
            make(0, 8)
    with pytest.raises(GraphError, match="do not fit"):
        generated_hypergrid(1000, 1000)
    assert hypergrid(2, 8, r1=-1.0, r0=2.0).n_states == 64  # a negative constant, all sums positive


def test_bytes_per_state():
    graph = hypergrid(4, 8)
    held = sum(
        array.nbytes for array in (graph.child, graph.log_reward, graph.level, graph.coordinates)
    )
    assert held == graph.n_states * (4 * 5 + 8 + 4 + 2 * 4)
    assert "features" not in vars(graph) and "incoming" not in vars(graph)


# --- bit sequences


def test_bit_rewards_by_hand():
    graph, modes = graph_from_text("bits:8x4"), bit_modes(8)
    assert {"".join(map(str, mode)) for mode in modes.tolist()} <= set(WORDS) and len(modes) == 4
    assert (
        graph.n_states == 17**2
        and graph.n_actions == 2 * 16 + 1
        and graph.terminal_states.size == 256
    )
    assert graph.modes.size == 4 and graph.max_steps == 3
    for state, held in enumerate(graph.coordinates):
        distance = min(int(((held != mode) & (held != 2)).sum()) for mode in modes)
        assert graph.log_partial[state] == -2 * distance
        assert graph.log_reward[state] == (-2 * distance if (held != 2).all() else -math.inf)


def test_any_empty_slot_takes_any_word():
    graph = bits(6, 2)
    number = {tuple(held): state for state, held in enumerate(graph.coordinates.tolist())}
    assert len(number) == 5**3
    for held, state in number.items():
        for slot, word in itertools.product(range(3), range(4)):
            after = (*held[: 2 * slot], word // 2, word % 2, *held[2 * slot + 2 :])
            empty = held[2 * slot] == 2
            assert graph.child[4 * slot + word, state] == (number[after] if empty else -1)
        assert graph.child[-1, state] == (graph.n_states if 2 not in held else -1)


def test_bit_modes():
    modes = bit_modes(120)
    assert modes.shape == (60, 120) and len(np.unique(modes, axis=0)) == 60
    np.testing.assert_array_equal(modes, bit_modes(120, seed=0))
    assert (modes != bit_modes(120, seed=1)).any()
    assert bit_modes(1).shape[0] == 1 and bit_modes(4).shape == (2, 4)


def test_bit_errors():
    for make in (bits, generated_bits):
        for sizes in ((120, 7), (0, 1), (8, 0)):
            with pytest.raises(GraphError, match="K that divides N"):
                make(*sizes)
        with pytest.raises(GraphError, match="words of at most 16"):
            make(34, 17)
    with pytest.raises(
        GraphError, match="over 10.15 states with 3,841 actions, too many to list.*generated:bits"
    ):
        bits(120, 8)
    with pytest.raises(GraphError, match="do not fit"):
        generated_bits(320, 16)


# --- trees and sets


@pytest.mark.parametrize(("branches", "depth"), [(2, 3), (3, 2), (1, 4), (5, 1)])
def test_trees(branches, depth):
    graph = tree(branches, depth)
    leaves = branches**depth
    assert math.exp(log_z(graph)) == pytest.approx(leaves * (leaves + 1) / 2)
    assert graph.n_states == sum(branches**level for level in range(depth + 1))
    paths = [tuple(x for x in held if x < branches) for held in graph.coordinates.tolist()]
    number = {path: state for state, path in enumerate(paths)}
    for path, state in number.items():
        assert graph.level[state] == len(path)
        for branch in range(branches):
            assert graph.child[branch, state] == number.get((*path, branch), -1)
        if len(path) == depth:
            leaf = sum(x * branches ** (depth - 1 - place) for place, x in enumerate(path))
            assert math.exp(graph.log_reward[state]) == pytest.approx(leaf + 1)
    assert graph.n_parents.tolist() == [0] + [1] * (graph.n_states - 1)


@pytest.mark.parametrize(("n", "size"), [(5, 2), (6, 6), (4, 1), (1, 1)])
def test_sets(n, size):
    graph, draw = sets(n, size), np.random.default_rng(0)
    single, pair = draw.standard_normal(n), draw.standard_normal(n - 1)
    number = {
        frozenset(np.flatnonzero(held).tolist()): state
        for state, held in enumerate(graph.coordinates)
    }
    assert len(number) == graph.n_states == sum(math.comb(n, k) for k in range(size + 1))
    for chosen, state in number.items():
        energy = sum(single[i] for i in chosen) + sum(pair[i] for i in chosen if i + 1 in chosen)
        assert graph.log_partial[state] == pytest.approx(energy)
        assert np.isfinite(graph.log_reward[state]) == (len(chosen) == size)
        for element in range(n):
            free = element not in chosen and len(chosen) < size
            assert graph.child[element, state] == (number[chosen | {element}] if free else -1)
    assert generated_sets(n, size).log_z == pytest.approx(log_z(graph))


def test_size_errors():
    for call, message in [
        (lambda: tree(0, 2), "at least 1 branch"),
        (lambda: tree(2, 0), "depth of at least 1"),
        (lambda: tree(2, 30), "too many states"),
        (lambda: tree(10**6, 10**6), "too many states"),
        (lambda: tree(1, 10**6), "too many states"),
        (lambda: sets(3, 4), "at most all"),
        (lambda: sets(3, 0), "at least 1"),
        (lambda: sets(60, 30), "too many states to list.*generated:sets:60x30"),
        (lambda: generated_sets(10**6, 3), "do not fit"),
    ]:
        with pytest.raises(GraphError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


# --- from a function


def test_from_children_against_from_edges():
    edges = [
        ("s", "a"),
        ("s", "b"),
        ("s", "d"),
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
        ("b", "d"),
        ("c", "d"),
    ]
    rewards = {"a": -2.0, "c": 0.3, "d": 1.1}
    listed = from_edges(edges, rewards)
    found = from_children("s", lambda state: [b for a, b in edges if a == state], rewards.get)
    assert found.labels == listed.labels
    np.testing.assert_array_equal(found.child, listed.child)
    np.testing.assert_array_equal(found.log_reward, listed.log_reward)
    np.testing.assert_array_equal(found.level, listed.level)


def test_from_children_against_the_grid():
    grid = hypergrid(2, 6)
    values = dict(zip(map(tuple, grid.coordinates.tolist()), grid.log_reward.tolist(), strict=True))

    def children(cell):
        return [step for step in ((cell[0] + 1, cell[1]), (cell[0], cell[1] + 1)) if max(step) < 6]

    found = from_children((0, 0), children, values.__getitem__, name="mine")
    assert found.name == "mine" and set(found.labels) == set(values)
    number = {label: state for state, label in enumerate(found.labels)}
    for state, cell in enumerate(found.labels):
        assert found.level[state] == sum(cell) and found.log_reward[state] == values[cell]
        reached = {int(child) for child in found.child[:-1, state] if child >= 0}
        assert reached == {number[child] for child in children(cell)}
        assert found.child[-1, state] == found.n_states


@pytest.mark.parametrize(
    ("children", "reward", "message"),
    [
        (lambda s: [s + 1], lambda s: 0.0, "more than 50 states; raise limit"),
        (lambda s: [(s + 1) % 7], lambda s: 0.0, "cycle, 0 -> 1 -> 2 -> 3 -> 4 -> 5 -> 6 -> 0"),
        (lambda s: [s], lambda s: 0.0, "cycle, 0 -> 0"),
        (
            lambda s: [1, 2] if s == 0 else [],
            lambda s: 0.0 if s == 1 else None,
            "state 2 reaches no terminal state",
        ),
        (lambda s: [1, 1] if s == 0 else [], lambda s: 0.0, "0 -> 1 is given twice"),
        (lambda s: [[1]] if s == 0 else [], lambda s: 0.0, r"the state \[1\] cannot be hashed"),
        (lambda s: [], lambda s: math.nan, "log-reward of 0 is nan"),
        (lambda s: [], lambda s: "1", "log-reward of 0 is '1'"),
        (lambda s: [], lambda s: -math.inf, "all rewards are 0"),
        (lambda s: [], lambda s: None, "state 0 reaches no terminal state"),
    ],
)
def test_from_children_errors(children, reward, message):
    with pytest.raises(GraphError, match=message) as caught:
        from_children(0, children, reward, limit=50)
    assert "\n" not in str(caught.value)


def test_the_limit_itself_is_allowed_and_each_function_called_once():
    asked = []

    def children(state):
        asked.append(state)
        return [state + 1] if state < 49 else []

    assert from_children(0, children, float, limit=50).n_states == 50
    assert asked == list(range(50))


def test_the_bar_goes_to_standard_error_and_only_when_wished(capsys):
    from_children(0, lambda s: [], lambda s: 0.0)
    assert capsys.readouterr() == ("", "")
    from_children(0, lambda s: [], lambda s: 0.0, progress=True, name="one state")
    out, err = capsys.readouterr()
    assert out == "" and "one state" in err


# --- molecules


def test_molecules():
    pytest.importorskip("rdkit")
    from rdkit import Chem
    from rdkit.Chem import QED

    from divergence_lab.graphs.molecules.toy import FRAGMENTS, capped

    graph = graph_from_text("molecules:T3")
    assert graph.name == "molecules:T3" and graph.labels[0] == (0, "")
    assert not np.isfinite(graph.log_reward[0]) and graph.terminal_states.size == graph.n_states - 1
    assert [count for count, _ in graph.labels] == graph.level.tolist()
    assert graph.n_parents[1 : 1 + len(FRAGMENTS)].tolist() == [1] * len(FRAGMENTS)
    number = {label: state for state, label in enumerate(graph.labels)}
    # phenol, by one fragment after the other, whichever is first; QED as RDKit has it
    phenol = number[2, "*c1ccc(O)cc1"]
    assert math.exp(graph.log_reward[phenol]) == pytest.approx(
        QED.qed(Chem.MolFromSmiles("Oc1ccccc1"))
    )
    parents = {
        graph.labels[edge % graph.n_states]
        for edge in graph.incoming[:, phenol].tolist()
        if edge >= 0
    }
    assert parents == {(1, "*c1ccc(*)cc1"), (1, "*O")}
    # an amide bound by its carbon and by its nitrogen: two molecules
    assert (2, "*NC(=O)c1ccc(*)cc1") in number and (2, "*C(=O)Nc1ccc(*)cc1") in number
    assert capped("*c1ccc(*)cc1") == "c1ccccc1" and capped("*O") == "O"
    again = graph_from_text("molecules:T3")
    assert again.labels == graph.labels and (again.child == graph.child).all()


def test_molecules_without_rdkit(monkeypatch):
    monkeypatch.setitem(sys.modules, "rdkit", None)
    for name in [name for name in sys.modules if name.startswith("rdkit.")]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        EnvironmentTextError, match=r"needs rdkit, which is not installed here: pip install rdkit"
    ) as caught:
        graph_from_text("molecules:T3")
    assert "\n" not in str(caught.value)


# --- texts


@pytest.mark.parametrize(
    "text",
    [
        "hypergrid:2x8",
        "hypergrid:2x8:default",
        "hypergrid:4x6:paper_text",
        "bits:8x4",
        "bits:8",
        "sets:8x3",
        "tree:2x4",
        " tree:2x4 ",
    ],
)
def test_texts_of_graphs(text):
    graph = graph_from_text(text)
    assert graph.name == text.strip() == space_from_text(text).name
    assert (np.diff(graph.level) >= 0).all() and graph.child.dtype == np.int32
    states = graph.labels or [tuple(row) for row in graph.coordinates.tolist()]
    assert len(set(states)) == len(states) == graph.n_states


@pytest.mark.parametrize(
    "text",
    [
        "generated:hypergrid:2x8",
        "generated:hypergrid:9x9:paper_text",
        "generated:bits:120x8",
        "generated:bits:120",
        "generated:sets:100x10",
    ],
)
def test_texts_of_generated_spaces(text):
    space = space_from_text(text)
    assert isinstance(space, GeneratedDAG) and space.name == text
    with pytest.raises(
        EnvironmentTextError,
        match="lists no states, and here they are needed; write one like hypergrid",
    ):
        graph_from_text(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("generated:", "is not known; write it like generated:hypergrid"),
        ("generated:tree:2x3", "is not known; write it like generated:hypergrid"),
        ("generated:dag:file.json", "is not known"),
        ("generated:hypergrid:2x", "is malformed; write generated:hypergrid:DIMxSIDE"),
        ("generated:hypergrid:4x20:gold", "reward 'gold' is not one of default, paper, paper_text"),
        ("generated:hypergrid:999999x999999", "take fewer dimensions or a smaller side"),
        ("generated:bits:120x7", "take K that divides N"),
        ("generated:bits:x", "is malformed"),
        ("generated:sets:9", "is malformed"),
        ("generated:sets:999999x1", "take fewer elements"),
        ("bits:", "is malformed; write bits:N or bits:NxK"),
        ("bits:9", "take K that divides N"),
        ("bits:8x4x2", "is malformed"),
        ("bits:120x8", "too many to list; .* or generated:bits:120x8"),
        ("bits:999999x999999", "words of at most 16"),
        ("sets:8", "is malformed"),
        ("sets:3x4", "at most all"),
        ("sets:999999x500000", "too many states to list"),
        ("tree:2", "is malformed"),
        ("tree:999999x999999", "too many states"),
        ("hypergrid:30x30", "or generated:hypergrid:30x30"),
        ("hypergrid:2x٣", "is malformed"),
        ("molecules:", "write molecules:T1 to molecules:T5"),
        ("hypergird:2x8", "is not known; did you mean 'hypergrid:2x8'?"),
        ("hypergird", "is not known; write hypergrid:DIMxSIDE, such as hypergrid:2x8"),
        ("generated:hypergird:2x8", "did you mean 'generated:hypergrid:2x8'?"),
        ("hypergrid:2x8:papper", "reward 'papper' is not one of .*; did you mean 'paper'?"),
        ("grid", "is not known; write it like hypergrid:2x8"),
        (3, "the environment is an int; give a text such as 'hypergrid:2x8', or a graph"),
        ("molecules:T99", "take 1 to 5 fragments"),
        ("molecules:T0", "take 1 to 5 fragments"),
        ("molecules:big", "write molecules:T1 to molecules:T5"),
    ],
)
def test_text_errors(text, message):
    with pytest.raises(EnvironmentTextError, match=message) as caught:
        space_from_text(text)
    assert "\n" not in str(caught.value)


def test_the_forms_name_what_exists():
    for text in ("hypergrid:2x8", "bits:8x4", "sets:8x3", "tree:2x4"):
        assert text in FORMS and graph_from_text(text).n_states > 1
    assert "generated:bits:120x8" in GENERATED_FORMS


def test_the_examples_of_the_docs(tmp_path):
    text = (Path(__file__).resolve().parents[1] / "docs" / "environments.md").read_text()
    code = textwrap.dedent(
        text[
            text.index("    from divergence_lab.graphs import") : text.index(
                "`log_reward` returns None"
            )
        ]
    )
    held: dict = {}
    exec(code, held)  # the project's own page
    assert held["graph"].n_states == 15 and held["graph"].terminal_states.size == 14
    example = text[text.index('    {"edges"') :]
    (tmp_path / "mine.json").write_text(example[: example.index("\n\n")])
    assert graph_from_text(f"dag:{tmp_path / 'mine.json'}").n_states == 4
