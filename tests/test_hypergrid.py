"""Hyper-grids against a brute-force description with exact rational arithmetic."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from divergence_lab.gflownet.listed.exact import log_partition
from divergence_lab.graphs import GraphError, graph_from_text, hypergrid


def rational_reward(cell, side, r0, r1, r2):
    distance = [abs(Fraction(x, side - 1) - Fraction(1, 2)) for x in cell]
    corner = all(d > Fraction(1, 4) for d in distance)
    mode = all(Fraction(3, 10) < d < Fraction(4, 10) for d in distance)
    return r0 + r1 * corner + r2 * mode


@pytest.mark.parametrize(
    ("dimensions", "side"), [(1, 2), (1, 11), (2, 5), (2, 8), (2, 21), (3, 6), (4, 3)]
)
def test_grid_against_its_description(dimensions, side):
    graph = hypergrid(dimensions, side)
    cells = [tuple(cell) for cell in graph.coordinates.tolist()]
    assert sorted(cells) == sorted(itertools.product(range(side), repeat=dimensions))
    number = {cell: state for state, cell in enumerate(cells)}
    for state, cell in enumerate(cells):
        assert graph.level[state] == sum(cell)
        assert graph.log_reward[state] == pytest.approx(
            math.log(rational_reward(cell, side, 1e-3, 0.5, 2.0))
        )
        assert graph.child[dimensions, state] == graph.n_states
        for axis in range(dimensions):
            up = (*cell[:axis], cell[axis] + 1, *cell[axis + 1 :])
            assert graph.child[axis, state] == number.get(up, -1)
        assert graph.n_parents[state] == sum(x > 0 for x in cell)
        hot = np.flatnonzero(graph.features[state]).tolist()
        assert hot == [axis * side + x for axis, x in enumerate(cell)]


def test_a_boundary_that_floats_flip():
    # at side 11 the cells at distance exactly 0.3 and 0.4 are outside the mode band
    graph = hypergrid(1, 11)
    reward = np.exp(graph.log_reward)
    np.testing.assert_allclose(reward[[0, 1, 2]], [0.501, 0.501, 0.501])
    # at side 21 only 2/20 < x < 4/20 qualifies: cells 3 and 17
    np.testing.assert_array_equal(hypergrid(1, 21).modes, [3, 17])


def test_known_numbers():
    assert np.exp(hypergrid(2, 8).log_reward).sum() == pytest.approx(
        4 * 2.501 + 12 * 0.501 + 48 * 0.001
    )
    paper = graph_from_text("hypergrid:4x20:paper")
    assert paper.n_states == 160_000
    assert paper.modes.size == 256
    assert math.exp(log_partition(paper)) == pytest.approx(271.0097, abs=1e-4)
    assert log_partition(paper) == pytest.approx(5.6022, abs=1e-4)
    assert math.exp(paper.log_reward.min()) == pytest.approx(1e-6, rel=1e-9)
    assert paper.name == "hypergrid:4x20:paper"


@pytest.mark.parametrize("size", [(0, 8), (2, 1), (2, 0), (-1, 8)])
def test_too_small(size):
    with pytest.raises(GraphError, match="at least 1 dimension and a side of at least 2"):
        hypergrid(*size)


def test_too_large_is_refused_before_allocation():
    with pytest.raises(GraphError, match="more than 20,000,000 states"):
        hypergrid(8, 10)
    with pytest.raises(GraphError, match="more than 20,000,000 states"):
        hypergrid(10**9, 10)


def test_rewards_must_be_positive():
    with pytest.raises(GraphError, match="not all positive"):
        hypergrid(2, 8, r0=0.0)
    with pytest.raises(GraphError, match="are numbers, not nan"):
        hypergrid(2, 8, r2=float("nan"))
    with pytest.raises(GraphError, match="are numbers, not a str"):
        hypergrid(2, 8, r1="1/2")
