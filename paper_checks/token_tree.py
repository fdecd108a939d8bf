"""Policies that write sequences of tokens, one softmax a prefix; what training differentiates in each
of many settings, every sequence enumerated, and plain gradient descent on all settings at once.

    x = log p - log q       residual of a sequence, or of each of its tokens
    logits [M, S, A]        M settings, S prefixes, A tokens; sequences [O, T], as rows of S * A
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

TERMS, PLACES = ("k1", "k2", "k3"), ("loss", "reward", "weighted")
CELLS = tuple(product(TERMS, PLACES))
FAR = 15.0  # nats of KL(p||q) at which a policy is left where it is


@dataclass(frozen=True, eq=False)
class Tree:
    """All prefixes shorter than `depth` of tokens 0 to `vocabulary` - 1, and all sequences."""

    vocabulary: int
    depth: int

    @property
    def prefixes(self) -> int:
        """S = 1 + A + A^2 + ..."""
        return sum(self.vocabulary**length for length in range(self.depth))

    @property
    def edges(self) -> Tensor:
        """[O, T]: of each token of each sequence the row in S * A. The children of prefix s are
        A s + 1 to A s + A, so that its edge with token a leads to prefix 1 + (A s + a).
        """
        rows = torch.zeros(self.vocabulary**self.depth, self.depth, dtype=torch.long)
        for number, tokens in enumerate(product(range(self.vocabulary), repeat=self.depth)):
            prefix = 0
            for place, token in enumerate(tokens):
                rows[number, place] = self.vocabulary * prefix + token
                prefix = 1 + self.vocabulary * prefix + token
        return rows

    def log_tokens(self, logits: Tensor) -> Tensor:
        """log q of each token of each sequence, [M, O, T]."""
        return torch.log_softmax(logits, dim=-1).flatten(1)[:, self.edges]

    def log_sequences(self, logits: Tensor) -> Tensor:
        """log q of each sequence, [M, O]."""
        return self.log_tokens(logits).sum(-1)

    def visits(self, logits: Tensor) -> Tensor:
        """The chance to pass each prefix, [M, S]."""
        log_q = torch.log_softmax(logits, dim=-1)
        chances = [torch.ones_like(log_q[:, 0, 0])]
        for prefix in range(1, self.prefixes):
            parent, token = divmod(prefix - 1, self.vocabulary)
            chances.append(chances[parent] * log_q[:, parent, token].exp())
        return torch.stack(chances, dim=1)

    def to_come(self, of_edges: Tensor, q: Tensor) -> Tensor:
        """Q [S, A]: what the edge and all that follow it are worth in the mean, drawn by q [S, A]
        (as `of_edges`)."""
        worth = of_edges.clone()
        for prefix in range(self.prefixes - 1, 0, -1):
            parent, token = divmod(prefix - 1, self.vocabulary)
            worth[parent, token] += (q[prefix] * worth[prefix]).sum()
        return worth


@dataclass(frozen=True, eq=False)
class Settings:
    """M settings: which of CELLS [M]; is x that of a token [M]; start and reference, logits
    [M, S, A]; reward of each sequence [M, O] and the strength of the term [M].

    `drawn` [M, O] is the law that draws, with held weights q/drawn clipped to `clip` [M, 2]; nan
    where the policy draws itself.
    """

    tree: Tree
    cell: Tensor
    per_token: Tensor
    start: Tensor
    reference: Tensor
    reward: Tensor
    strength: Tensor
    drawn: Tensor
    clip: Tensor

    def take(self, rows: Sequence[int]) -> Settings:
        """Some of them."""
        at = torch.tensor(rows)
        kept = {name: value[at] for name, value in vars(self).items() if name != "tree"}
        return Settings(self.tree, **kept)


def chosen(stacked: Sequence[Tensor], which: Tensor) -> Tensor:
    """Of tensors [M, ...] for each setting the one that `which` [M] says."""
    return torch.stack(tuple(stacked))[which, torch.arange(len(which))]


def trained(settings: Settings, logits: Tensor) -> Tensor:
    """[M]: what training differentiates, averaged over the draws, as a batch of all sequences would.

    Draws and their weights are held; the reward is that of a policy gradient.
    """
    log_q, log_p = (settings.tree.log_tokens(each) for each in (logits, settings.reference))
    # a term of the whole sequence stands at its first token, and x = 0 at the others, where k = 0
    per_token = settings.per_token[:, None, None]
    log_q, log_p = (
        torch.where(per_token, one, _at_the_first(one.sum(-1), one)) for one in (log_q, log_p)
    )
    x = log_p - log_q
    k = chosen((-x, x**2 / 2, torch.expm1(x) - x), settings.cell // 3)
    log_so_far = log_q.cumsum(
        -1
    )  # a penalty counts in the return of its own and all earlier tokens
    places = (k, k.detach() * log_so_far, (log_q - log_q.detach()).exp() * k)
    term = chosen(places, settings.cell % 3).sum(-1)
    whole = settings.tree.log_sequences(logits)
    reward = (whole.exp() * settings.reward).sum(-1)
    return settings.strength * (counted(settings, whole.detach()) * term).sum(-1) - reward


def _at_the_first(whole: Tensor, like: Tensor) -> Tensor:
    return torch.cat((whole[..., None], torch.zeros_like(like[..., 1:])), dim=-1)


def counted(settings: Settings, log_q: Tensor) -> Tensor:
    """[M, O]: how much a sequence counts, its chance to be drawn times its held weight."""
    low, high = settings.clip[:, :1], settings.clip[:, 1:]
    weights = (log_q - settings.drawn.log()).exp().clamp(low, high)
    return torch.where(settings.drawn.isnan(), log_q.exp(), settings.drawn * weights)


Generator = Callable[[Tensor], Tensor]


def of_sequences(
    generators: Sequence[Generator], which: Tensor
) -> Callable[[Settings, Tensor], Tensor]:
    """sum over sequences of q f(p/q), q differentiated, less the mean reward."""

    def value(settings: Settings, logits: Tensor) -> Tensor:
        log_q = settings.tree.log_sequences(logits)
        t = (settings.tree.log_sequences(settings.reference) - log_q).exp()
        divergence = chosen([f(t) for f in generators], which)
        return (log_q.exp() * (settings.strength[:, None] * divergence - settings.reward)).sum(-1)

    return value


def of_prefixes(
    generators: Sequence[Generator], which: Tensor
) -> Callable[[Settings, Tensor], Tensor]:
    """sum over prefixes of (chance to pass, held) D_f(p(.|s)||q(.|s)), less the mean reward."""

    def value(settings: Settings, logits: Tensor) -> Tensor:
        log_q = torch.log_softmax(logits, dim=-1)
        t = (torch.log_softmax(settings.reference, dim=-1) - log_q).exp()
        each = (log_q.exp() * chosen([f(t) for f in generators], which)).sum(-1)
        held = settings.tree.visits(logits).detach()
        whole = settings.tree.log_sequences(logits).exp()
        return settings.strength * (held * each).sum(-1) - (whole * settings.reward).sum(-1)

    return value


def descend(
    value: Callable[[Settings, Tensor], Tensor],
    settings: Settings,
    times: Sequence[int],
    rate: float,
) -> Tensor:
    """log q of all sequences after so many steps of gradient descent on `value`, [R, M, O].

    times: ascending numbers of steps, R of them. A policy that is FAR from its reference is left
    there: x would grow without end.
    """
    logits, laws, log_p = settings.start, [], settings.tree.log_sequences(settings.reference)
    for step in range(times[-1] + 1):
        logits = logits.detach().requires_grad_()
        log_q = settings.tree.log_sequences(logits.detach())
        if step in times:
            laws.append(log_q)
        going = (log_p.exp() * (log_p - log_q)).sum(-1) < FAR
        (slope,) = torch.autograd.grad(value(settings, logits).sum(), logits)
        logits = logits - rate * torch.where(going[:, None, None], slope, 0.0)
    return torch.stack(laws)


def reverse_kl(log_q: Tensor, log_p: Tensor) -> Tensor:
    """KL(q||p), over the last axis."""
    return (log_q.exp() * (log_q - log_p)).sum(-1)


def total_variation(log_q: Tensor, log_p: Tensor) -> Tensor:
    """Half of sum |q - p|, over the last axis."""
    return (log_q.exp() - log_p.exp()).abs().sum(-1) / 2
