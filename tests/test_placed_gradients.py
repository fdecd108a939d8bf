"""Propositions 29 and 30 in float64: the gradient of what training differentiates, with every draw
enumerated, against the exact gradient of the divergence, on simplices and on small trees.

Each has controls that must be off: another placement, another divergence, the other sign.
"""

import itertools
import math

import pytest
import torch

from divergence_lab.audit.placed.standing import Standing, read_standing, surrogate
from divergence_lab.audit.subjects import AuditError


@pytest.fixture(autouse=True)
def in_float64():
    """All that a test here makes; the tests of others keep theirs."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


TERMS = {
    "k1": lambda x: -x,
    "k2": lambda x: x**2 / 2,
    "k3": lambda x: torch.exp(x) - x - 1,
    "bump": lambda x: 1 - torch.exp(-(x**2)) + x / 3,
}
# generators of the divergences, without their gauge
REVERSE, FORWARD = (lambda t: -torch.log(t)), (lambda t: t * torch.log(t))
NINE = {
    ("k2", "loss"): REVERSE,
    ("k3", "loss"): FORWARD,
    ("k1", "reward"): REVERSE,
    ("k1", "weighted"): REVERSE,
    ("k3", "weighted"): REVERSE,
    # f of g' = -x^2/2 and of g' = -(e^x - x - 1): no f-divergences
    ("k2", "reward"): lambda t: torch.log(t) ** 2 / 2 + torch.log(t),
    ("k3", "reward"): lambda t: -(t + 1) * torch.log(t),
    ("k2", "weighted"): lambda t: torch.log(t) ** 2 / 2,
}


def laws(seed: int, size: int = 6):
    """(log q of parameters theta, log p), both normalised."""
    random = torch.Generator().manual_seed(seed)
    theta = torch.randn(size, generator=random, requires_grad=True)
    return theta, torch.log_softmax(torch.randn(size, generator=random) * 1.3, 0)


def gradient(value, theta):
    return torch.autograd.grad(value, theta, retain_graph=True)[0]


def divergence(f, log_q, log_p):
    return (log_q.exp() * f((log_p - log_q).exp())).sum()


def trained(standing, k, log_q, log_p, weights=None):
    """What is differentiated, in expectation over draws of one object."""
    total = torch.zeros(())
    mass = log_q.detach().exp() if weights is None else weights
    for at in range(len(log_q)):
        residual = log_p[at] - log_q[at]
        told = surrogate(standing, k(residual), log_q[at], float(residual.detach()))
        total = total + mass[at] * told
    return total


def off(a, b):
    return float((a - b).abs().max() / b.abs().max().clamp(min=1e-3))


@pytest.mark.parametrize("seed", range(2))
def test_each_cell_is_the_gradient_of_its_divergence_and_of_no_other(seed):
    theta, log_p = laws(seed)
    log_q = torch.log_softmax(theta, 0)
    exact = {name: gradient(divergence(f, log_q, log_p), theta) for name, f in NINE.items()}
    for (term, placement), of_divergence in exact.items():
        seen = gradient(trained(Standing(placement), TERMS[term], log_q, log_p), theta)
        assert off(seen, of_divergence) < 1e-12, (term, placement)
        flipped = lambda x, k=TERMS[term]: k(-x)  # noqa: E731
        other = gradient(trained(Standing(placement), flipped, log_q, log_p), theta)
        # k2 is even and does not see the sign
        assert (off(other, of_divergence) > 1e-2) is (term != "k2"), (term, placement)
    assert off(exact["k3", "loss"], exact["k2", "loss"]) > 1e-2


def test_k1_in_the_loss_has_no_gradient_and_elsewhere_it_has():
    theta, log_p = laws(7)
    log_q = torch.log_softmax(theta, 0)
    assert gradient(trained(Standing(), TERMS["k1"], log_q, log_p), theta).abs().max() < 1e-15
    assert gradient(trained(Standing("reward"), TERMS["k1"], log_q, log_p), theta).abs().max() > 0.1


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("placement", ["loss", "reward", "weighted"])
@pytest.mark.parametrize(
    "sampler, clip, w",
    [
        ("backward", None, lambda t: t),
        ("power:1/3", None, lambda t: t ** (1 / 3)),
        ("mixture:1/4", None, lambda t: 0.75 + 0.25 * t),
        # p_F/p_B = 1/t, held, clipped to [1/2, 2]
        ("backward", (0.5, 2.0), lambda t: t * min(max(1 / t, 0.5), 2.0)),
        ("mixture:1/4", (0.0, math.inf), lambda t: 1.0),
    ],
)
def test_other_draws_and_held_weights(term, placement, sampler, clip, w):
    """sum mu (held weight) s h(x), with mu and its weights written out here."""
    theta, log_p = laws(3)
    log_q = torch.log_softmax(theta, 0)
    standing = read_standing(placement, sampler, "none", clip)
    seen = gradient(trained(standing, TERMS[term], log_q, log_p), theta)
    wanted = torch.zeros(6)
    for at in range(6):
        x = (log_p - log_q)[at].detach().requires_grad_()
        k = TERMS[term](x)
        (slope,) = torch.autograd.grad(k, x)
        acts = {"loss": slope, "reward": -k, "weighted": slope - k}[placement].detach()
        mu = log_q[at].detach().exp() * w(float(x.detach().exp()))
        wanted = wanted - mu * acts * gradient(log_q[at], theta)
    assert off(seen, wanted) < 1e-12
    if clip != (0.0, math.inf):
        plain = gradient(trained(Standing(placement), TERMS[term], log_q, log_p), theta)
        assert off(plain, wanted) > 1e-2


def test_clipped_weights_of_an_older_policy_depend_on_that_policy():
    """The same p and q, two older policies: held weights agree, clipped ones do not."""
    theta, log_p = laws(4)
    log_q = torch.log_softmax(theta, 0)
    found = {}
    for clip in (None, (0.8, 1.2)):
        for seed in (1, 2):
            older = torch.softmax(torch.randn(6, generator=torch.Generator().manual_seed(seed)), 0)
            ratio = log_q.detach().exp() / older
            held = ratio if clip is None else ratio.clamp(*clip)
            loss = trained(Standing(), TERMS["k2"], log_q, log_p, older * held)
            found[clip, seed] = gradient(loss, theta)
    assert off(found[None, 1], found[None, 2]) < 1e-12
    assert off(found[(0.8, 1.2), 1], found[(0.8, 1.2), 2]) > 1e-2


def batches(size, draws):
    return itertools.product(range(size), repeat=draws)


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("placement", ["reward", "weighted"])
@pytest.mark.parametrize("baseline", ["leave-one-out", "mean"])
def test_baselines(term, placement, baseline):
    """K = 3 draws, all batches enumerated: what training differentiates with the baseline held,
    against one draw of the standing that the package says is the same.
    """
    draws = 3
    theta, log_p = laws(5, 4)
    log_q = torch.log_softmax(theta, 0)
    values = TERMS[term](log_p - log_q)
    total = torch.zeros(())
    for batch in batches(4, draws):
        chance = log_q[list(batch)].sum().detach().exp()
        for place, at in enumerate(batch):
            rest = (
                [*batch] if baseline == "mean" else [b for j, b in enumerate(batch) if j != place]
            )
            held = values[rest].mean().detach()
            if placement == "reward":
                told = (values[at].detach() - held) * log_q[at]
            else:
                told = (log_q[at] - log_q[at].detach()).exp() * (values[at] - held)
            total = total + chance * told / draws
    seen = gradient(total, theta)
    standing = Standing(placement, baseline=baseline, batch=draws if baseline == "mean" else None)
    said = gradient(trained(standing, TERMS[term], log_q, log_p), theta)
    if baseline == "mean" and placement == "reward":
        said = said * (1 - 1 / draws)
    assert off(seen, said) < 1e-12
    if baseline == "mean":  # a control: the factor is there
        bare = gradient(trained(Standing(placement), TERMS[term], log_q, log_p), theta)
        assert off(seen, bare) > 1e-2


# --- tokens


def tree(seed):
    """A policy on a tree of at most two tokens: in the first state three tokens, after token 0 two
    more, after token 1 three, after token 2 the end.
    """
    random = torch.Generator().manual_seed(seed)
    theta = torch.randn(8, generator=random, requires_grad=True)
    target = torch.randn(8, generator=random)

    def tables(free):
        return [torch.log_softmax(part, 0) for part in (free[:3], free[3:5], free[5:8])]

    sequences = [((0, 0), (1, b)) for b in range(2)] + [((0, 1), (2, b)) for b in range(3)]
    sequences.append(((0, 2),))
    return theta, tables(theta), tables(target), sequences


def along(tables, sequence):
    return [tables[state][token] for state, token in sequence]


@pytest.mark.parametrize("term", ["k1", "k2", "k3"])
@pytest.mark.parametrize("placement", ["loss", "weighted"])
def test_per_token_terms_are_divergences_in_each_state_with_visits_held(term, placement):
    theta, q, p, sequences = tree(1)
    total = torch.zeros(())
    for sequence in sequences:
        chance = sum(along(q, sequence)).detach().exp()
        for log_q, log_p in zip(along(q, sequence), along(p, sequence)):
            residual = log_p - log_q
            k = TERMS[term](residual)
            total = total + chance * surrogate(
                Standing(placement), k, log_q, float(residual.detach())
            )
    seen = gradient(total, theta)
    visits = [torch.ones(()), q[0][0].detach().exp(), q[0][1].detach().exp()]
    f = NINE.get((term, placement), lambda t: 0 * t)
    exact = sum(v * divergence(f, a, b) for v, a, b in zip(visits, q, p))
    if (term, placement) == ("k1", "loss"):
        assert seen.abs().max() < 1e-15
        return
    assert off(seen, gradient(exact, theta)) < 1e-12
    live = divergence(f, q[0], p[0]) + sum(
        q[0][i].exp() * divergence(f, q[i + 1], p[i + 1]) for i in range(2)
    )
    assert off(seen, gradient(live, theta)) > 1e-2


@pytest.mark.parametrize("term", ["k1", "k2", "k3", "constant"])
def test_a_penalty_on_each_token_is_exact_for_k1_alone(term):
    """Each token's penalty counts in the return of all tokens before it, and of itself."""
    k = {**TERMS, "constant": lambda x: x.detach() * 0 + 1}[term]
    theta, q, p, sequences = tree(2)
    total, reverse, length = torch.zeros(()), torch.zeros(()), torch.zeros(())
    for sequence in sequences:
        log_q, log_p = along(q, sequence), along(p, sequence)
        chance = sum(log_q).detach().exp()
        penalties = [k(b - a).detach() for a, b in zip(log_q, log_p)]
        for t, own in enumerate(log_q):
            total = total + chance * sum(penalties[t:]) * own
        reverse = reverse + sum(log_q).exp() * (sum(log_q) - sum(log_p))
        length = length + sum(log_q).exp() * len(sequence)
    seen = gradient(total, theta)
    assert (off(seen, gradient(reverse, theta)) < 1e-12) is (term == "k1")
    assert (off(seen, gradient(length, theta)) < 1e-12) is (term == "constant")
    assert seen.abs().max() > 1e-2


@pytest.mark.parametrize(
    "words, message",
    [
        ({"placement": "rewards"}, "did you mean .reward."),
        ({"sampler": "powers:1,2"}, "say on, backward"),
        ({"sampler": "power:b"}, "give its parameter a number"),
        ({"baseline": "mean:1"}, "mean:8"),
        ({"clip_ratio": (2, 1)}, "--clip-ratio"),
        ({"per": "word"}, "--per"),
    ],
)
def test_what_cannot_stand_is_refused_in_one_line(words, message):
    with pytest.raises(AuditError, match=message):
        read_standing(**words)
