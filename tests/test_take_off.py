"""Proposition 32 by other ways, and the page of take_off.py from its results alone."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from divergence_lab.gflownet import optimiser
from divergence_lab.results.metrics import unseen

CHECKS = Path(__file__).resolve().parents[1] / "paper_checks"
RESULTS = CHECKS / "results" / "take_off" / "standard"


@pytest.fixture
def checks(monkeypatch):
    monkeypatch.syspath_prepend(str(CHECKS))


def signal_over_noise(law, slopes, batch):
    """Mean over standard deviation of the batch mean of slopes, all batches enumerated."""
    values, chances = [], []
    for draws in itertools.product(range(len(law)), repeat=batch):
        values.append(np.mean(slopes[list(draws)]))
        chances.append(np.prod(law[list(draws)]))
    mean = np.dot(chances, values)
    return mean / np.sqrt(np.dot(chances, (np.array(values) - mean) ** 2))


@pytest.mark.parametrize("slope", [np.expm1, np.sinh, np.tanh, lambda x: x])
def test_signal_over_noise_is_the_same_for_every_loss(slope):
    law, q, batch = np.array([0.05, 0.15, 0.5, 0.3]), 0.2, 3
    bound = np.sqrt(batch * q / (1 - q))
    same = np.where([True, True, False, False], slope(4.0), 0.0)
    assert signal_over_noise(law, same, batch) == pytest.approx(bound)
    other = np.array([slope(1.0), slope(4.0), 0.0, 0.0])  # control: two residuals on the mode
    assert signal_over_noise(law, other, batch) < bound - 1e-3


def test_the_first_visit_of_a_training_with_momentum_and_a_clip():
    """P(T > n) over all histories, against draws from outside the mode alone."""
    batch, steps, target = 2, 3, np.log([0.5, 0.2, 0.3])

    def chance(outside: bool) -> float:
        total, objects = 0.0, range(1, 3)  # object 0 is the mode
        for history in itertools.product(itertools.product(objects, repeat=batch), repeat=steps):
            logits, speed, weight = np.array([-1.0, 0.3, 0.0]), np.zeros(3), 1.0
            for draws in history:
                law = np.exp(logits) / np.exp(logits).sum()
                given = law / (1 - law[0]) if outside else law
                weight *= np.prod(given[list(draws)]) * ((1 - law[0]) ** batch if outside else 1)
                pulls = np.sinh(target - np.log(law))
                force = sum(pulls[o] * (np.eye(3)[o] - law) for o in draws) / batch
                speed = 0.9 * speed + force / max(1.0, np.linalg.norm(force))
                logits = logits + 0.5 * speed
            total += weight
        return total

    moved = chance(outside=False)
    assert moved == pytest.approx(chance(outside=True), rel=1e-12)
    start = np.exp(-1.0) / np.exp([-1.0, 0.3, 0.0]).sum()
    assert abs(moved - unseen([start] * steps, batch)[-1]) > 0.01  # control: it moves


def test_unseen_is_a_product():
    q = np.array([[0.1, 0.3, 0.0], [1.0, 0.5, 0.5]])
    by_hand = [[1.0, 0.9**4, 0.63**4, 0.63**4], [1.0, 0.0, 0.0, 0.0]]
    assert unseen(q, 4) == pytest.approx(np.array(by_hand))
    assert unseen([1e-18], 10)[-1] == 1.0 and unseen([0.3] * 2, 0).tolist() == [1.0] * 3


def adam_path(gradients):
    """The moves of one parameter under what trains here, rate 1."""
    values = {name: torch.zeros(1, 1, dtype=torch.float64) for name in ("logit", "log_z")}
    members, rates = optimiser.ensemble(values), torch.ones(1, 2, dtype=torch.float64)
    path = [0.0]
    for value in gradients:
        given = [torch.full((1, 1), size, dtype=torch.float64) for size in (-value, 0.0)]
        optimiser.adam_step(members, given, rates, torch.inf)
        path.append(members.values[0, 0].item())
    return np.diff(path)


def test_adam_answers_a_lone_gradient_alike():
    n, j = 40, np.arange(200)
    mean = 0.1 * 0.9**j / (1 - 0.9 ** (n + j))
    predicted = (mean / np.sqrt(0.001 * 0.999**j / (1 - 0.999 ** (n + j)))).sum()
    for size in (1.0, 9_896.0):
        moved = adam_path([0.0] * (n - 1) + [size] + [0.0] * 199).sum()
        assert moved == pytest.approx(predicted, rel=1e-5)
    limit = 0.1 / (0.001**0.5 * (1 - 0.9 / 0.999**0.5))
    assert limit == pytest.approx(31.8, abs=0.05)
    two = [0.0] * (n - 1) + [1.0] + [0.0] * 20  # control: a second one is not answered alike
    moved = [adam_path([*two, second] + [0.0] * 100).sum() for second in (1.0, 30.0)]
    assert abs(moved[0] - moved[1]) > 1


@pytest.mark.parametrize("beta_2", [0.999, 0.9])
def test_adam_remembers_a_spike(beta_2, monkeypatch):
    monkeypatch.setattr(optimiser, "BETA_2", beta_2)
    n, spike, steps = 5, 1_000.0, 300
    moved = adam_path([1.0] * (n - 1) + [spike] + [1.0] * steps)
    d = np.arange(steps + 1)
    bound = (1 + 0.1 * 0.9**d * spike) / (spike * np.sqrt((1 - beta_2) * beta_2**d))
    assert (moved[n - 1 :] <= bound / (1 - 0.9 ** (n + d)) * (1 + 1e-9)).all()
    waits = np.log((1 - beta_2) * spike**2) / np.log(1 / beta_2)
    assert waits == pytest.approx({0.999: 6_904, 0.9: 109}[beta_2], abs=1)
    assert (moved[-1] > 0.9) == (beta_2 == 0.9)  # 300 steps later


def test_the_mean_until_take_off_is_that_of_a_chain_solved_whole(checks):
    """Steps of a fixed length: each state waits for its own first visit."""
    from scipy.special import expit, logit
    from scipy.stats import binom
    from take_off_model import BATCH, GROWN, SLOPES, START, Way, expected_batches

    way = Way("sgd", 1e-4, 5_000.0)  # every visit is cut to the clip: half a unit of theta
    states = np.arange(logit(START), logit(GROWN), 0.5)
    chances = binom.pmf(0, BATCH, expit(states))
    by_hand = (1 / (1 - chances)).sum()
    assert expected_batches(way, 2_000) == pytest.approx([by_hand] * len(SLOPES), rel=2e-3)


def test_the_page_is_what_the_results_say(checks):
    import take_off_page

    rest = take_off_page.rest_of(RESULTS)
    model = take_off_page.read(RESULTS)
    assert (CHECKS / "take_off.md").read_text() == take_off_page.render(model, rest)


def test_its_numbers_from_the_files_alone():
    """Where the first visit and the growth are expected, computed by hand."""
    rows = json.loads((RESULTS / "model.json").read_text())["rows"]
    plain = [row for row in rows if row["kind"] == "plain"]
    mean = 1 / (1 - 0.999**16)
    assert len(plain) == 48
    far = [abs(row["visited"][0] - mean) / row["visited"][1] for row in plain]
    assert max(far) < 4 and sum(value > 2.576 for value in far) <= 3
    for row in rows:
        if row["kind"] in ("one of the batch from the target", "log Z held, Adam"):  # the controls
            assert abs(row["visited"][0] - mean) > 20 * row["visited"][1]
        elif row["kind"] == "plain" and row["optimiser"] == "sgd":
            assert abs(row["grown"][0] - row["grown_predicted"]) < 4 * row["grown"][1]


def test_a_loss_in_the_place_of_another_stops_the_page(checks):
    import take_off_page
    from saying import NotCarried

    model = take_off_page.read(RESULTS)
    names = {"quadratic": "linex(1)", "linex(1)": "quadratic"}
    rows = [{**row, "loss": names.get(row["loss"], row["loss"])} for row in model.rows]
    with pytest.raises(NotCarried):
        take_off_page.findings(take_off_page.Model(rows, model.about))
    late = [{**row, "visited": [row["visited"][0] * 1.5, row["visited"][1]]} for row in model.rows]
    with pytest.raises(NotCarried):
        take_off_page.first_visits(take_off_page.Model(late, model.about))
