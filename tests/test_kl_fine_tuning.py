"""The page of KL terms over token trees: its sentences are computed anew from its results, its
engine is held against sums over sequences written out here, and each has a control that must fail.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

CHECKS = Path(__file__).resolve().parents[1] / "paper_checks"
PATH = CHECKS / "results" / "kl_fine_tuning" / "standard"
K = {"k1": lambda x: -x, "k2": lambda x: x**2 / 2, "k3": lambda x: np.exp(x) - x - 1}
SLOPE = {"k1": lambda x: -1.0, "k2": lambda x: x, "k3": lambda x: np.exp(x) - 1}


@pytest.fixture
def checks(monkeypatch):
    monkeypatch.syspath_prepend(str(CHECKS))


@pytest.fixture
def committed():
    return json.loads((PATH / "runs.json").read_text())


def test_the_page_is_what_its_results_say(checks):
    import kl_fine_tuning_page as page

    assert (CHECKS / "kl_fine_tuning.md").read_text() == page.render(page.read(PATH))


# one of each term and of each place; all nine wait for make test-slow
@pytest.mark.parametrize("cells", [(0, 4, 8), pytest.param(range(9), marks=pytest.mark.slow)])
def test_what_is_said_is_what_derive_says_now(cells, committed):
    from divergence_lab.theory.answers.placements import derive_placed

    for one in (committed["said"]["on-policy"][cell] for cell in cells):
        found = derive_placed(one["term"], one["place"])
        assert str(found.derivation.divergence.generator) == one["generator"]
        assert found.derivation.divergence.name == one["divergence"]
        assert found.because == one["because"]


@pytest.mark.parametrize("forged", ["a gap", "moved", "limit", "older", "generators swapped"])
def test_other_numbers_stop_the_page(checks, committed, forged):
    import kl_fine_tuning_page as page
    from saying import NotCarried

    other = copy.deepcopy(committed)
    if forged == "a gap":
        other["gaps"]["sequences"][6][6] = 1e-6
    elif forged == "moved":
        other["runs"][0]["moved"] = 0.01
    elif forged == "limit":
        other["limits"]["sequences, forward"]["off"]["sequences, rewarded"][6] = 0.2
    elif forged == "older":
        other["older"]["held"][3] = 1e-3
    else:  # k3 in the loss for k3 in the reward, and the other way round
        said = other["said"]["on-policy"]
        said[6], said[7] = said[7], said[6]
    page.render(page.Ways(committed))
    with pytest.raises(NotCarried):
        page.render(page.Ways(other))
    assert "too short for the sentences" in page.render(page.Ways(other), short=True)


def slow_gradients(log_q, log_p, term, place, per_token, weights):
    """d/d logits of a tree of two tokens of two, by sums over sequences and explicit scores."""
    states = {(): 0, (0,): 1, (1,): 2}
    total = np.zeros((3, 2))
    for sequence in itertools.product(range(2), repeat=2):
        edges = [(states[sequence[:t]], sequence[t]) for t in range(2)]
        scores = []
        for state, token in edges:
            score = np.zeros((3, 2))
            score[state] -= np.exp(log_q[state])
            score[state, token] += 1
            scores.append(score)
        residuals = [log_p[edge] - log_q[edge] for edge in edges]
        units = list(zip(residuals, scores, strict=True))
        if not per_token:
            units = [(sum(residuals), scores[0] + scores[1])]
        chance = (
            math.prod(np.exp(log_q[edge]) for edge in edges)
            if weights is None
            else weights[sequence]
        )
        for t, (x, score) in enumerate(units):
            if place == "reward":
                pull = K[term](x) * sum(s for _, s in units[: t + 1])
            else:
                pull = (K[term](x) * (place == "weighted") - SLOPE[term](x)) * score
            total += chance * pull
    return total


def test_the_engine_is_the_sum_over_sequences(checks):
    """All nine cells, of sequences and of tokens, on-policy and with clipped held weights."""
    import kl_fine_tuning as check

    tree = check.Tree(2, 2)
    settings = check.settings_of(tree)
    logits = settings.start.clone().requires_grad_()
    moved = logits + 0.3 * torch.arange(6.0, dtype=torch.float64).view(3, 2).sin()
    (seen,) = torch.autograd.grad(check.trained(settings, moved).sum(), logits)
    log_q, log_p = (
        torch.log_softmax(each[0].detach(), -1).numpy() for each in (moved, settings.reference)
    )
    q = dict(
        zip(itertools.product(range(2), repeat=2), tree.log_sequences(moved.detach())[0].exp())
    )
    for group in ("sequences", "tokens", "older", "older, clipped", "reference, clipped"):
        for cell, row in enumerate(check.rows_of(group)):
            weights = None
            if group not in ("sequences", "tokens"):
                low, high = check.GROUPS[group].clip
                weights = {
                    sequence: float(law * np.clip(float(q[sequence] / law), low, high))
                    for sequence, law in zip(q, settings.drawn[row], strict=True)
                }
            term, place = check.CELLS[cell]
            slow = slow_gradients(log_q, log_p, term, place, group == "tokens", weights)
            np.testing.assert_allclose(
                seen[row].numpy(), slow, atol=1e-13, err_msg=f"{group} {cell}"
            )


def test_a_short_way_follows_what_is_said_and_nothing_else(checks, committed):
    """20 steps on a small tree, with what the committed results say; swapped, it is off."""
    import kl_fine_tuning as check

    settings = check.settings_of(check.Tree(2, 2))
    times = [0, 5, 20]
    seen = check.descend(check.trained, settings, times, check.RATE)
    said = check.predicted(settings, committed["said"], times)
    generators = np.array([one["generator"] for one in committed["said"]["on-policy"]])
    same = np.equal.outer(generators, generators)
    for group in ("sequences", "older", "sequences, rewarded"):
        gaps = check.gaps(seen[:, check.rows_of(group)], said[group]).numpy()
        assert gaps[same].max() < 1e-13 and gaps[~same].min() > 1e-3, group
    swapped = {**committed["said"], "on-policy": committed["said"]["on-policy"][::-1]}
    off = check.gaps(
        seen[:, check.rows_of("sequences")], check.predicted(settings, swapped, times)["sequences"]
    )
    assert off.diagonal()[6] > 1e-3  # k3 in the loss against k1 weighted


def test_where_nothing_follows_tokens_end_as_sequences_do(checks):
    """P30(4): a reward of the first token alone leaves the second as in the reference."""
    import kl_fine_tuning as check

    settings = check.settings_of(check.Tree(3, 2))
    first = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64).repeat_interleave(3)
    same = dataclasses.replace(settings, reward=first.expand_as(settings.reward))
    for given, equal in ((same, True), (settings, False)):
        ends = check.limits(given)
        off = (ends["tokens, reverse"] - ends["sequences, reverse"]).abs().max()
        assert (off < 1e-12) == equal and (equal or off > 1e-2)


def test_limits_have_no_gradient(checks):
    """Each is a stationary point of what is trained; the tilted reference is none per token."""
    import kl_fine_tuning as check

    tree = check.Tree(2, 2)
    settings = check.settings_of(tree)
    rows = {g: check.rows_of(g) for g in ("sequences, rewarded", "tokens, rewarded")}
    ends = check.limits(settings)

    def slope(name: str, row: int) -> float:
        law = ends[name].exp()
        first = torch.stack((law[:2].sum(), law[2:].sum()))
        logits = torch.stack((first, law[:2], law[2:])).log()[None].requires_grad_()
        (found,) = torch.autograd.grad(check.trained(settings.take([row]), logits).sum(), logits)
        return float(found.abs().max())

    whole, each = rows["sequences, rewarded"], rows["tokens, rewarded"]
    for cell in (1, 2, 3, 8):  # all that are the reverse KL of sequences
        assert slope("sequences, reverse", whole[cell]) < 1e-12
    assert slope("sequences, forward", whole[6]) < 1e-12
    assert slope("sequences, reverse", each[1]) < 1e-12
    for cell in (2, 3, 8):
        assert slope("tokens, reverse", each[cell]) < 1e-12
        assert slope("sequences, reverse", each[cell]) > 1e-4
    assert slope("tokens, forward", each[6]) < 1e-12
    assert slope("sequences, forward", whole[3]) > 1e-3
