"""Rewards of 0: trained on with clamped log-rewards, held against a target that gives them 0."""

import json
import math

import numpy as np
import pytest

import divergence_lab as dl
from divergence_lab.cli.main import main
from divergence_lab.graphs.dag import GraphError
from divergence_lab.training.trainable import TrainingError

SMALL = {"seeds": 2, "steps": 400, "batch": 16, "evaluations": 2, "device": "cpu"}
LOW = -8.0


def half_square(x):
    return x**2 / 2


def graph():
    edges = [("s", "a"), ("s", "b"), ("a", "x"), ("b", "x"), ("b", "y")]
    return dl.from_edges(edges, {"a": -math.inf, "x": 0.0, "y": 1.0}, name="zero")


WAYS = [
    {},
    {"objective": "db"},
    {"objective": "fm"},
    {"objective": "vargrad"},
    {"policy": "mlp", "evaluate": "visited"},
    {"exact": True, "steps": 50},
    {"sampler": "mixture:0.25,replay:0.25", "window": 64},
    {"backward": "learned"},
]


@pytest.mark.parametrize("way", WAYS)
def test_it_trains_and_is_held_against_the_target_with_zeros(way, tmp_path):
    given = graph()
    found = dl.train(
        {"q": half_square}, given, **{**SMALL, **way}, clamp_log_reward=LOW, out=tmp_path
    )
    z = 1 + math.e
    np.testing.assert_allclose(found.target, [0.0, 1 / z, math.e / z], atol=1e-15)
    assert found.log_z_true == pytest.approx(math.log(z)) and found.finite.all()
    assert ((found.terminal[..., 0] > 0) & (found.terminal[..., 0] < 0.01)).all()
    assert (found.metrics["tv"][..., -1] < 0.1).all()
    assert np.isposinf(found.metrics["kl_reverse"][..., -1]).all()
    assert np.isfinite(found.metrics["kl_forward"][..., -1]).all()
    assert found.config["clamp_log_reward"] == LOW and found.config["env"] == "zero"
    assert np.array_equal(dl.load(tmp_path).metrics["tv"], found.metrics["tv"])


def test_without_the_clamp_one_line_says_what_to_do():
    with pytest.raises(GraphError, match="'a', where residuals are infinite.*--clamp-log-reward"):
        dl.train({"q": half_square}, graph(), **SMALL)
    with pytest.raises(TrainingError, match="clamp_log_reward needs a graph"):
        space = dl.space_from_text("generated:hypergrid:2x4")
        dl.train({"q": half_square}, space, policy="mlp", clamp_log_reward=LOW, **SMALL)


def test_the_command_line(tmp_path, capsys):
    path = tmp_path / "zero.json"
    document = {"edges": [["s", "a"], ["s", "b"]], "log_rewards": {"a": 0.5, "b": "-oo"}}
    path.write_text(json.dumps(document))
    command = ["train", "quadratic", "--env", f"dag:{path}", "--seeds", "1", "--device", "cpu"]
    assert main(command) == 2
    assert "--clamp-log-reward" in capsys.readouterr().err
    assert main(["verify", "quadratic", "--env", f"dag:{path}"]) == 2
    assert "reward 0" in capsys.readouterr().err
    assert main([*command, "--clamp-log-reward", "-9", "--json"]) == 0
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert run["log_z_true"] == 0.5 and run["kl_reverse"] == "oo" and run["tv"] < 0.05
    with pytest.raises(SystemExit):
        main([*command, "--steps", "3", "--clamp-log-reward", "nan"])
    assert "'nan' is not a number" in capsys.readouterr().err


def test_a_clamp_raises_small_rewards_and_leaves_the_target():
    grid = dl.hypergrid(2, 4)
    plain, clamped = (
        dl.train({"q": half_square}, grid, seeds=1, steps=60, exact=True, clamp_log_reward=low)
        for low in (None, 0.0)
    )
    np.testing.assert_array_equal(plain.target, clamped.target)
    assert plain.metrics["tv"][0, 0, -1] < 1e-3 < clamped.metrics["tv"][0, 0, -1]
