"""assert_divergence: passes for what a loss minimises, and fails with a reason for all else."""

import pytest
import torch

from divergence_lab.inputs import InputError
from divergence_lab.testing import assert_divergence


def k3(residual):
    return residual.exp() - residual - 1


def clipped(residual):
    return residual.clamp(-5, 5) ** 2 / 2


def test_what_a_loss_minimises_passes_and_is_returned():
    found = assert_divergence(torch.nn.functional.mse_loss, "reverse KL", residual="model/target")
    assert found.factor == "2" and found.zero_forcing.holds
    assert_divergence(k3, "Forward KL", factor="1")
    assert_divergence(k3, "Neyman chi-square", residual="model/target")


def test_where_the_term_stands_decides():
    assert_divergence(torch.negative, "reverse KL", placement="reward")
    assert_divergence(k3, "reverse KL", placement="weighted", allow=("cancellation",))
    with pytest.raises(AssertionError, match="placement='reward'"):
        assert_divergence(k3, "forward KL", placement="reward")


@pytest.mark.parametrize(
    "arguments, named, words",
    [
        ((k3, "reverse KL"), {}, "minimises forward KL, not reverse KL"),
        ((k3, "forward KL"), {"residual": "model/target"}, "with the other sign"),
        ((k3, "forward KL"), {"factor": "2"}, "not 2 x forward KL"),
        ((k3, "forwrd KL"), {}, "did you mean 'forward KL'"),
        ((clipped, "reverse KL"), {}, "dead_gradient from"),
        ((torch.sin, "reverse KL"), {}, "no divergence that was identified"),
    ],
)
def test_all_else_fails_with_a_reason(arguments, named, words):
    with pytest.raises(AssertionError, match=words):
        assert_divergence(*arguments, **named)


def test_problems_that_are_known_may_be_allowed():
    with pytest.raises(AssertionError):
        assert_divergence(clipped, "reverse KL", allow=("cancellation",))
    assert_divergence(clipped, "reverse KL", allow=("dead_gradient", "class_changed"))
    with pytest.raises(InputError, match="no kind of problem"):
        assert_divergence(clipped, "reverse KL", allow=("dead",))
