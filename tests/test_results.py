"""Results: the files, reading them back, and records that cannot be changed."""

import csv
import json

import numpy as np
import pytest
import torch

from divergence_lab import outputs
from divergence_lab.graphs import hypergrid
from divergence_lab.results import result as results
from divergence_lab.results.result import METRICS, runs
from divergence_lab.results.storage import ResultError, load, save
from divergence_lab.training.loop import train
from tests.small_graphs import skips

LOSSES = {"quadratic": lambda x: x**2 / 2, "exp(x) - x - 1": lambda x: torch.expm1(x) - x}


@pytest.fixture(scope="module")
def result():
    return train(
        LOSSES, hypergrid(2, 4), seeds=[7, 1, 3], steps=30, batch=4, evaluations=4, progress=False
    )


def test_shapes_and_records(result):
    assert result.terminal.shape == (2, 3, 16) and result.target.shape == (16,)
    assert set(result.metrics) == set(METRICS)
    for values in result.metrics.values():
        assert values.shape == (2, 3, result.steps.size)
    assert result.steps[0] == 0 and result.steps[-1] == 30
    assert result.log_z.shape == result.modes_found.shape == result.finite.shape == (2, 3)
    assert result.coordinates.shape == (16, 2)
    records = runs(result)
    assert [(run["loss"], run["seed"]) for run in records] == [
        (loss, s) for loss in LOSSES for s in (7, 1, 3)
    ]
    keys = (
        "objective, loss, seed, steps, tv, kl_forward, kl_reverse, log_z, log_z_true, "
        "modes_found, finite, moved, learning_rate"
    )
    assert all(", ".join(run) == keys for run in records)
    assert json.loads(json.dumps(records)) == records
    tv = np.abs(result.terminal[1, 2] - result.target).sum() / 2
    assert records[-1]["tv"] == pytest.approx(tv, abs=1e-15)
    law, target = result.terminal[1, 2], result.target
    assert records[-1]["kl_forward"] == pytest.approx(
        (target * np.log(target / law)).sum(), abs=1e-12
    )
    assert records[-1]["kl_reverse"] == pytest.approx((law * np.log(law / target)).sum(), abs=1e-12)


def test_arrays_and_mappings_are_frozen(result):
    for array in (
        result.terminal,
        result.target,
        result.steps,
        result.finite,
        result.metrics["tv"],
    ):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    with pytest.raises(TypeError):
        result.config["steps"] = 3
    with pytest.raises(AttributeError):
        result.seconds = 1.0


def test_saved_and_loaded_are_equal(result, tmp_path):
    save(result, tmp_path / "new" / "folder")
    again = load(tmp_path / "new" / "folder")
    for name in METRICS:
        np.testing.assert_array_equal(again.metrics[name], result.metrics[name])
    for name in (
        "terminal",
        "target",
        "terminal_states",
        "coordinates",
        "finite",
        "steps",
        "log_z",
    ):
        np.testing.assert_array_equal(getattr(again, name), getattr(result, name))
    for name in (
        "losses",
        "seeds",
        "log_z_true",
        "config",
        "environment",
        "seconds",
        "trajectories_per_second",
    ):
        assert getattr(again, name) == getattr(result, name)
    assert runs(again) == runs(result)


def test_files_are_those_of_the_contract(tmp_path):
    train(LOSSES, skips(), seeds=2, steps=5, batch=4, evaluations=2, progress=False, out=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json",
        "metrics.csv",
        "terminal.npz",
        "environment.json",
        "checkpoint.pt",
        "checksums.json",
    }
    with open(tmp_path / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "objective",
        "loss",
        "seed",
        "step",
        "metric",
        "value",
        "learning_rate",
    ]
    assert {row["metric"] for row in rows} == set(METRICS)
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert (
        environment["device"] == "cpu"
        and environment["torch"] == torch.__version__
        and "commit" in environment
    )
    assert load(tmp_path).coordinates is None


def test_infinite_metrics_survive(result, tmp_path):
    values = {name: np.full((2, 3, result.steps.size), np.inf) for name in METRICS}
    save(results.Result(**{**vars(result), "metrics": values}), tmp_path)
    assert np.isinf(load(tmp_path).metrics["kl_forward"]).all()


def test_a_folder_without_a_result_is_said(tmp_path, result):
    with pytest.raises(ResultError, match="holds no complete result"):
        load(tmp_path)
    save(result, tmp_path)
    text = (tmp_path / "metrics.csv").read_text()
    lines = text.splitlines(keepends=True)
    doubled = [*lines[:-1], lines[-2]]
    for content in (lines[:1], lines[:-1], ["objective,loss\n"], doubled):
        (tmp_path / "metrics.csv").write_text("".join(content))
        with pytest.raises(ResultError, match=r"metrics.csv.*(not what was|more than)"):
            load(tmp_path)
    (tmp_path / "metrics.csv").write_text(text)
    load(tmp_path)
    (tmp_path / "checksums.json").unlink()
    with pytest.raises(ResultError, match="no checksums.json"):
        load(tmp_path)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    outputs.write_atomically(path, b"old")

    def fails(*_):
        raise OSError("disk full")

    monkeypatch.setattr(outputs.os, "replace", fails)
    with pytest.raises(OSError, match="disk full"):
        outputs.write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
