"""Molecules as trees of blocks, generated: the fragment MDP of Bengio et al.

2021.  Needs RDKit (an extra) for rewards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from divergence_lab.graphs import dag, generated
from divergence_lab.graphs.molecules import chemistry, rewards

MIN_BLOCKS, MAX_BLOCKS = 2, 16
# Fragments of our own, one entry for each place that binds: the space without the published table.
OWN_BLOCKS = chemistry.Blocks(
    ("c1ccccc1", "c1ccncc1", "c1ccncc1", "NC=O", "NC=O", "CC", "C1CNCCN1", "O", "F", "C#N"),
    ((0, 3), (1, 4), (4, 1), (0, 1), (1, 0), (0, 1), (2, 5), (0,), (0,), (0,)),
)


@dataclass(frozen=True, eq=False)
class BlockGraph:
    """What a message-passing policy reads: V places for blocks, P stems each.

    `kind` [.., V]: 0 where there is no block, else 1 + which SMILES it has.  `port` [.., V, P]: 0
    where there is no stem, else 1 + which atom of which SMILES.  `partner` [.., V P]: -1 where
    nothing is bound, else the stem it is bound to.
    """

    kind: Tensor
    port: Tensor
    partner: Tensor


@dataclass(frozen=True, eq=False)
class BlockView:
    """`view(states)` -> BlockGraph; `n_kinds`, `n_ports` count the numbers in it, 0 included;
    `n_blocks` entries.
    """

    view: Callable[[Tensor], BlockGraph]
    n_kinds: int
    n_ports: int
    n_blocks: int


def generated_molecules(
    max_blocks: int = 8,
    data: str | Path | None = None,
    *,
    blocks: chemistry.Blocks | None = None,
    reward: rewards.Reward | None = None,
    name: str | None = None,
) -> generated.GeneratedDAG:
    """Trees of 2 to `max_blocks` blocks: the published 105 in the folder `data`, or OWN_BLOCKS.

    A state is [.., V + V P] integers, V = max_blocks, P the most stems of a block: 1 + the entry of
    each block in the order added, 0 beyond the last; then for each stem 0, or 1 + the stem it is
    bound to.  Action (v P + p) N + n binds entry n by its first atom to stem p of block v (v = p =
    0 in the source); the last one stops, from 2 blocks on, and is the only one where no stem is
    free or all V blocks are there.  Backward action v removes block v, which must be bound to one
    other at most; the rest moves up.  `forward_of` takes the entry that starts from the atom so
    freed (`translation`).

    As published, the same molecule built in another order is another tensor: step(undo(s', b),
    forward_of(s', b)) is s' up to the order of its blocks, for entries whose free atoms do not
    depend on the entry (88 of 105), and alike actions are not merged.  log_reward is kept for each
    state seen.  R: as `reward_from`.
    """
    title = name or f"generated:molecules:{max_blocks}"
    if not MIN_BLOCKS <= max_blocks <= MAX_BLOCKS:
        raise dag.GraphError(
            f"{title}: take {MIN_BLOCKS} to {MAX_BLOCKS} blocks, as in generated:molecules:8"
        )
    try:
        chemistry.rdkit_chem()
        blocks = blocks or (OWN_BLOCKS if data is None else chemistry.read_blocks(data))
        reward = reward or rewards.reward_from(data)
    except chemistry.MoleculeError as error:
        raise dag.GraphError(f"{title}: {error}") from error
    trees = _trees(blocks, max_blocks)
    V, P, N = trees.V, trees.P, trees.N
    return generated.GeneratedDAG(
        name=f"{title} ({reward.name})" if name is None else title,
        n_actions=V * P * N + 1,
        n_back=V,
        max_steps=V + 1,
        n_features=N + trees.n_ports - 1,
        source=(0,) * (V + V * P),
        allowed=partial(_allowed, trees),
        step=partial(_step, trees),
        back_allowed=partial(_back_allowed, trees),
        undo=partial(_undo, trees),
        back_of=lambda states, actions: (states[..., :V] > 0).sum(dim=-1).clamp(max=V - 1),
        forward_of=partial(_forward_of, trees),
        features=partial(_features, trees),
        log_reward=_log_reward(blocks, V, P, reward),
        blocks=BlockView(partial(_view, trees), trees.n_kinds, trees.n_ports, N),
    )


@dataclass(frozen=True, eq=False)
class _Trees:
    """V places for blocks, P stems each, N entries.

    Of an entry, 0 being none: `kind_of` [N + 1], `port_of` [N + 1, P] as in BlockGraph, and
    `entry_from` [N, P] as in `_entries_from`.
    """

    V: int
    P: int
    N: int
    n_kinds: int
    n_ports: int
    kind_of: Callable[[Tensor], Tensor]
    port_of: Callable[[Tensor], Tensor]
    entry_from: Callable[[Tensor], Tensor]

    def split(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """The entries [.., V], and what each stem is bound to [.., V P]."""
        return states[..., : self.V], states[..., self.V :]


def _trees(blocks: chemistry.Blocks, max_blocks: int) -> _Trees:
    P = max(map(len, blocks.places))
    kinds, ports = _numbers(blocks)
    return _Trees(
        max_blocks,
        P,
        len(blocks.smiles),
        int(kinds.max()) + 2,
        int(ports.max()) + 2,
        generated.on_device(lambda: np.concatenate([[0], kinds + 1])),
        generated.on_device(lambda: np.concatenate([np.zeros((1, P), dtype=np.int64), ports + 1])),
        generated.on_device(lambda: _entries_from(blocks, P)),
    )


def _free(trees: _Trees, states: Tensor) -> Tensor:
    """[.., V P] bool: there is a stem, and nothing is bound to it."""
    entry, bound = trees.split(states)
    return (trees.port_of(states)[entry].flatten(-2) > 0) & (bound == 0)


def _allowed(trees: _Trees, states: Tensor) -> Tensor:
    V, P, N = trees.V, trees.P, trees.N
    count = (states[..., :V] > 0).sum(dim=-1, keepdim=True)
    first = torch.arange(V * P, device=states.device) == 0
    stems = torch.where(count == 0, first, _free(trees, states) & (count < V))
    adds = stems[..., None].expand(*stems.shape, N).flatten(-2)
    return torch.cat([adds, count >= MIN_BLOCKS], dim=-1)


def _step(trees: _Trees, states: Tensor, actions: Tensor) -> Tensor:
    V, P, N = trees.V, trees.P, trees.N
    entry, bound = trees.split(states)
    count = (entry > 0).sum(dim=-1, keepdim=True)
    adds = (actions < V * P * N)[..., None] & (count < V)
    stem, added = actions[..., None] // N, actions[..., None] % N
    places = torch.arange(V, device=states.device)
    slots = torch.arange(V * P, device=states.device)
    entry = torch.where(adds & (places == count), added + 1, entry)
    binds = adds & (count > 0)
    bound = torch.where(binds & (slots == stem), count * P + 1, bound)
    bound = torch.where(binds & (slots == count * P), stem + 1, bound)
    return torch.cat([entry, bound], dim=-1)


def _back_allowed(trees: _Trees, states: Tensor) -> Tensor:
    entry, bound = trees.split(states)
    return (entry > 0) & ((bound > 0).unflatten(-1, (trees.V, trees.P)).sum(dim=-1) <= 1)


def _undo(trees: _Trees, states: Tensor, back: Tensor) -> Tensor:
    V, P = trees.V, trees.P
    entry, bound = trees.split(states)
    gone = back[..., None]
    places = torch.arange(V, device=states.device)
    source = (places + (places >= gone)).clamp(max=V - 1)
    last = places == V - 1  # nothing moves up into the last place
    entry = entry.gather(-1, source).masked_fill(last, 0)
    slots = (source[..., None] * P + torch.arange(P, device=states.device)).flatten(-2)
    bound = bound.gather(-1, slots).masked_fill(last.repeat_interleave(P), 0)
    owner = (bound - 1) // P
    moved = torch.where(owner > gone, bound - P, bound)
    return torch.cat([entry, torch.where((bound == 0) | (owner == gone), 0, moved)], dim=-1)


def _forward_of(trees: _Trees, states: Tensor, back: Tensor) -> Tensor:
    V, P = trees.V, trees.P
    entry, bound = trees.split(states)
    gone = back[..., None]
    place = gone[..., None].expand(*gone.shape, P)
    mine = bound.unflatten(-1, (V, P)).gather(-2, place)[..., 0, :]
    used = mine.argmax(dim=-1)  # its only bound stem; the first where it is alone
    other = mine.amax(dim=-1)
    stem = torch.where(other > 0, other - 1 - P * (((other - 1) // P) > back), 0)
    added = trees.entry_from(states)[entry.gather(-1, gone)[..., 0].clamp(min=1) - 1, used]
    return stem * trees.N + added


def _view(trees: _Trees, states: Tensor) -> BlockGraph:
    entry, bound = trees.split(states)
    return BlockGraph(trees.kind_of(states)[entry], trees.port_of(states)[entry], bound - 1)


def _features(trees: _Trees, states: Tensor) -> Tensor:
    """How many of each entry, and of how many stems of each kind of port are free."""
    entry, _ = trees.split(states)
    hot = one_hot(entry, trees.N + 1).sum(dim=-2)[..., 1:]
    stems = torch.where(_free(trees, states), trees.port_of(states)[entry].flatten(-2), 0)
    free = one_hot(stems, trees.n_ports).sum(dim=-2)[..., 1:]
    return torch.cat([hot, free], dim=-1).float()


def fragment_states(
    states: Tensor, blocks: chemistry.Blocks, max_blocks: int
) -> list[chemistry.FragmentState]:
    """Rows [X, V + V P] -> fragment states, for drawing and scoring."""
    P = states.shape[-1] // max_blocks - 1
    return [_fragment_state(row, blocks, max_blocks, P) for row in states.tolist()]


def _fragment_state(
    row: Sequence[int], blocks: chemistry.Blocks, V: int, P: int
) -> chemistry.FragmentState:
    entries = [entry - 1 for entry in row[:V] if entry]
    bonds, stems = [], []
    for block, entry in enumerate(entries):
        for place, atom in enumerate(blocks.places[entry]):
            bound = row[V + block * P + place] - 1
            if bound < 0:
                stems.append((block, atom))
            elif bound // P > block:
                other, at = divmod(bound, P)
                bonds.append((block, other, atom, blocks.places[entries[other]][at]))
    return chemistry.FragmentState(tuple(entries), tuple(bonds), tuple(stems))


def _log_reward(
    blocks: chemistry.Blocks, V: int, P: int, reward: rewards.Reward
) -> Callable[[Tensor], Tensor]:
    """Each state is scored once; -inf where a trajectory cannot stop."""
    known: dict[bytes, float] = {}

    def log_reward(states: Tensor) -> Tensor:
        rows = states.detach().flatten(0, -2).cpu()
        different, inverse = torch.unique(rows, dim=0, return_inverse=True)
        keys = [row.tobytes() for row in different.numpy().astype(np.int16)]
        finished = ((different[:, :V] > 0).sum(dim=-1) >= MIN_BLOCKS).tolist()
        new = [place for place, key in enumerate(keys) if finished[place] and key not in known]
        if new:
            molecules = [
                chemistry.assemble(state, blocks)
                for state in fragment_states(different[new], blocks, V)
            ]
            values = reward.log_reward(reward.raw(molecules)).tolist()
            known.update(zip((keys[place] for place in new), values, strict=True))
        values = [known[key] if ok else -np.inf for key, ok in zip(keys, finished, strict=True)]
        found = torch.tensor(values, dtype=torch.float64)[inverse]
        return found.view(states.shape[:-1]).to(states.device)

    return log_reward


def _numbers(blocks: chemistry.Blocks) -> tuple[np.ndarray, np.ndarray]:
    """[N] which different SMILES an entry has, and [N, P] which different atom of which SMILES a
    stem is on; -1: no stem.
    """
    smiles = {text: number for number, text in enumerate(dict.fromkeys(blocks.smiles))}
    kinds = np.array([smiles[text] for text in blocks.smiles])
    ports = np.full((len(kinds), max(map(len, blocks.places))), -1)
    numbers: dict[tuple[int, int], int] = {}
    for entry, places in enumerate(blocks.places):
        for place, atom in enumerate(places):
            ports[entry, place] = numbers.setdefault((int(kinds[entry]), atom), len(numbers))
    return kinds, ports


def _entries_from(blocks: chemistry.Blocks, P: int) -> np.ndarray:
    """[N, P] the entry of the same SMILES that binds by the atom of this stem: `translation`, by
    place.
    """
    table = np.zeros((len(blocks.smiles), P), dtype=np.int64)
    for entry, places in enumerate(blocks.places):
        for place, atom in enumerate(places):
            table[entry, place] = translation(blocks, entry, atom)
    return table


def translation(blocks: chemistry.Blocks, entry: int, atom: int) -> int:
    """The entry with the same SMILES that is added by `atom`, or by an atom that is its mirror
    image; else itself.
    """
    same = [other for other, text in enumerate(blocks.smiles) if text == blocks.smiles[entry]]
    for other in same:
        if blocks.places[other][0] == atom:
            return other
    chem = chemistry.rdkit_chem()
    alike = list(chem.CanonicalRankAtoms(chem.MolFromSmiles(blocks.smiles[entry]), breakTies=False))
    return next((other for other in same if alike[blocks.places[other][0]] == alike[atom]), entry)
