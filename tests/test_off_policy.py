"""Proposition 33 in small, and the page of off_policy.py from its results alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

CHECKS = Path(__file__).resolve().parents[1] / "paper_checks"
RESULT = CHECKS / "results" / "off_policy" / "standard" / "off_policy.json"


@pytest.fixture
def checks(monkeypatch):
    monkeypatch.syspath_prepend(str(CHECKS))


@pytest.fixture
def content():
    return json.loads(RESULT.read_text())


def gradients(env, sampler, loss, theta):
    """(F of training, central differences of the divergence's sum p^k I(k x))."""
    import off_policy
    from off_policy_model import SAMPLERS, field

    found = field(env, theta.clone().requires_grad_(), SAMPLERS[sampler], off_policy.slope_of(loss))
    integral, power = off_policy.effective(loss, off_policy.AGAINST[sampler])

    def value(at):
        x = (env.log_p - env.log_q(at)).numpy()
        return float((np.exp(power * env.log_p.numpy()) * integral(power * x)).sum())

    shifts = 1e-5 * torch.eye(2, dtype=torch.float64)
    other = torch.tensor(
        [(value(theta + s) - value(theta - s)) / 2e-5 for s in shifts], dtype=torch.float64
    )
    return found, other


@pytest.mark.parametrize("sampler", ["on", "power:1/2", "backward", "mixture:1/4", "powers:1/2,0"])
def test_the_expected_gradient_is_that_of_the_divergence(checks, sampler):
    from off_policy_model import tree

    theta = torch.tensor([0.4, -0.3], dtype=torch.float64)
    found, other = gradients(tree(), sampler, "linex(1/2)", theta)
    cosine = torch.nn.functional.cosine_similarity(found, other, dim=0)
    assert cosine > 1 - 1e-9
    if sampler != "powers:1/2,0":  # that law is normalised, which is a positive factor
        assert found.tolist() == pytest.approx(other.tolist(), rel=1e-5)


def test_where_every_step_is_flattened_it_is_not(checks):
    from off_policy_model import line, tree

    theta = torch.tensor([0.4, -0.3], dtype=torch.float64)
    cosines = [
        torch.nn.functional.cosine_similarity(
            *gradients(env, "tempered:2", "quadratic", theta), dim=0
        )
        for env in (line(), tree())
    ]
    assert cosines[0] > 1 - 1e-9 and cosines[1] < 1 - 1e-5


def test_noise_in_every_step_has_the_gradient_of_no_function(checks):
    import off_policy
    from off_policy_model import SAMPLERS, line, tree

    slope = off_policy.slope_of("quadratic")
    assert off_policy.curl(tree(), SAMPLERS["epsilon:0.2"], slope) > 0.01
    assert off_policy.curl(tree(), SAMPLERS["on"], slope) < 1e-7
    assert off_policy.curl(line(), SAMPLERS["epsilon:0.2"], slope) < 1e-7


def test_a_buffer_is_no_farther_from_the_policy_than_its_oldest_law(checks):
    import off_policy

    draw, generator, laws = off_policy.buffered(3), torch.Generator().manual_seed(0), []
    for step in range(12):
        log_q = torch.randn(5, generator=generator, dtype=torch.float64).log_softmax(dim=0)
        mu = draw(step, torch.empty(0), log_q)
        assert float(mu.sum()) == pytest.approx(1)
        laws.append(log_q.exp())
        if step:
            past = torch.stack(laws[-4:-1])
            by_hand = (laws[-1] + past.mean(dim=0)) / 2
            assert mu.tolist() == pytest.approx(by_hand.tolist(), rel=1e-12)
            bound = 0.5 * (past - laws[-1]).abs().sum(dim=1).max()
            assert (mu - laws[-1]).abs().sum() <= bound + 1e-12


def test_the_page_is_what_the_results_say(checks, content):
    import off_policy_page

    assert (CHECKS / "off_policy.md").read_text() == off_policy_page.render(content)


def test_its_numbers_from_the_file_alone(content):
    with_divergence = [row for row in content["ends"] if row["curl"] is not None and row["to_own"]]
    plain = [row for row in with_divergence if row["sampler"] != "tempered:2"]
    assert len(plain) == 40 and max(max(row["to_own"]) for row in plain) < 1e-4
    off = [min(row["to_on_policy"]) for row in plain if row["sampler"] != "on"]
    assert min(off) > 0.001  # the control


def test_samplers_in_the_place_of_others_stop_the_page(checks, content):
    import off_policy_page
    from saying import NotCarried

    names = {"on": "backward", "backward": "on"}
    ends = [
        {**row, "sampler": names.get(row["sampler"], row["sampler"])} for row in content["ends"]
    ]
    with pytest.raises(NotCarried):
        off_policy_page.render({**content, "ends": ends})
    swapped = {"1000": "never renewed", "never renewed": "1000"}
    replay = [
        {**row, "buffer": swapped.get(row["buffer"], row["buffer"])} for row in content["replay"]
    ]
    with pytest.raises(NotCarried):
        off_policy_page.render({**content, "replay": replay})
