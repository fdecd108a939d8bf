"""Who draws the trajectories: the policy itself, a flattened or noisy one, the target backward,
a buffer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from divergence_lab.inputs import (
    InputError,
    is_number,
    is_whole,
    kind_of,
    nearest,
    number_in,
    shown,
)

EXAMPLES = ("on", "epsilon:0.05", "tempered:2", "backward", "mixture:0.5", "replay:0.5")
FORMS = f"{', '.join(EXAMPLES)}; several joined by commas"
# word of a text -> field of Sampler
WORDS = {"epsilon": "epsilon", "tempered": "temperature", "mixture": "backward", "replay": "replay"}
ALONE = {"on": "mixture:0", "on-policy": "mixture:0", "backward": "mixture:1"}
CAPACITY = 1_000
LOWEST, HIGHEST = 1e-3, 100.0  # temperatures: far below, a division overflows and no action is left


class SamplerError(InputError):
    """A text that names no sampler; the message lists the accepted forms."""


@dataclass(frozen=True)
class Sampler:
    """How the B trajectories of a step are drawn.

    `backward` of them from the target law and then by P_B (a share, 0 to 1), `replay` of them from
    the last `capacity` trajectories that the policy drew, all others from the behaviour policy

        (1 - epsilon) P_F(.|s)^(1/temperature) / norm + epsilon uniform over the allowed actions, in
        every state.

    The share is rounded to whole trajectories.  Which divergence results: docs/propositions.md P8
    to P10; P9 says how the share here gives that of unnormalised p_F and p_B, which moves with Z.
    SamplerError for a share outside 0..1, a temperature outside LOWEST..HIGHEST or a capacity below
    1.
    """

    epsilon: float = 0.0
    temperature: float = 1.0
    backward: float = 0.0
    replay: float = 0.0
    capacity: int = CAPACITY

    def __post_init__(self) -> None:
        for share in ("epsilon", "backward", "replay"):
            if not is_number(getattr(self, share), 0, 1):
                raise SamplerError(f"{share} is {getattr(self, share)!r}; give a share from 0 to 1")
        if not is_number(self.temperature, LOWEST, HIGHEST):
            raise SamplerError(
                f"temperature is {self.temperature!r}; give a number from {LOWEST:g} to {HIGHEST:g}"
            )
        if not is_whole(self.capacity, 1):
            raise SamplerError(f"capacity is {self.capacity!r}; give a whole number of at least 1")

    def split(self, batch: int) -> tuple[int, int, int]:
        """(from the behaviour policy, from the target, from the buffer); at least one each where
        wished.
        """
        wanted = [
            min(batch, max(1, round(share * batch))) if share else 0
            for share in (self.backward, self.replay)
        ]
        if sum(wanted) > batch or (self.replay and sum(wanted) == batch):
            raise SamplerError(
                f"a batch of {batch} cannot hold a share {self.backward:g} drawn "
                f"backward and {self.replay:g} replayed "
                "beside new trajectories; take a larger batch or smaller shares"
            )
        return batch - sum(wanted), wanted[0], wanted[1]


def sampler(text: str) -> Sampler:
    """Text -> Sampler: one of FORMS."""
    if not isinstance(text, str):
        raise SamplerError(f"the sampler is {kind_of(text)}; use {FORMS}")
    chosen: dict[str, Any] = {}
    for part in text.strip().lower().split(","):
        whole = ALONE.get(part.strip(), part.strip())
        word, _, number = whole.partition(":")
        try:
            value = number_in(number)
        except ValueError:
            value = None
        if word not in WORDS or value is None or WORDS[word] in chosen:
            written = {example.partition(":")[0]: example for example in EXAMPLES}
            near = nearest(re.split("[^a-z]", word)[0], written)
            said = f"; did you mean {written[near]!r}?" if near else f"; use {FORMS}"
            raise SamplerError(f"sampler {shown(text)} is not known{said}")
        chosen[WORDS[word]] = value
    try:
        return Sampler(**chosen)
    except SamplerError as error:
        raise SamplerError(f"sampler {shown(text)}: {error}") from None


def sampler_text(chosen: Sampler) -> str:
    """The text that gives this sampler back."""
    parts = [
        f"{word}:{_shortest(getattr(chosen, name))}"
        for word, name in WORDS.items()
        if getattr(chosen, name) != getattr(Sampler, name)
    ]
    return ",".join("backward" if part == "mixture:1" else part for part in parts) or "on"


def _shortest(number: float) -> str:
    """A text that `float` reads as this number, no other one."""
    return text if float(text := f"{number:g}") == number else repr(float(number))


def log_behaviour(
    chosen: Sampler, log_pf: Float[Tensor, "*M A N"], mask: Float[Tensor, "*#M A N"]
) -> Float[Tensor, "*M A N"]:
    """log of the behaviour policy; the mask is 0 where an action is allowed, else -inf."""
    if chosen.temperature != 1.0:
        log_pf = torch.log_softmax(log_pf / chosen.temperature + mask, dim=-2)
    if chosen.epsilon:
        uniform = torch.log_softmax(mask, dim=-2)
        keep, noise = (
            torch.tensor([1 - chosen.epsilon, chosen.epsilon], dtype=log_pf.dtype).log().tolist()
        )
        log_pf = torch.logaddexp(log_pf + keep, (uniform + noise).expand_as(log_pf))
    return log_pf
