"""Molecules of published blocks whose states are all listed: exact laws of the paper's molecule
benchmark, in small.

Needs RDKit (an extra) and the folder with the published table of blocks, which is no part of this
package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np

from divergence_lab.graphs.children import from_children
from divergence_lab.graphs.dag import GraphError, PointedDAG
from divergence_lab.graphs.molecules import chemistry, rewards

# Entries of the published table without the quirks of duplicates (their free atoms do not depend on
# the entry used).
SUBSETS = {
    "A8": (14, 64, 20, 21, 25, 51, 52, 37),
    "T12": (3, 7, 14, 25, 29, 51, 64, 20, 21, 57, 58, 37),
    "B12": (14, 64, 20, 21, 25, 51, 52, 37, 57, 58, 78, 79),
}
MIN_BLOCKS, MAX_LISTED_BLOCKS = 2, 5
Key = tuple[
    int, str
]  # blocks so far; canonical SMILES, the number of free stems of each atom as its isotope


@dataclass(frozen=True, eq=False)
class FragmentSpace:
    """`graph`: the pointed DAG; `molecules`, `raw` [X] and `spread` [X]: of its terminal states, in
    their order.

    `spread`: how far raw differs with the block that came first; 0 while stems are left.
    """

    graph: PointedDAG
    molecules: tuple[chemistry.Molecule, ...]
    raw: np.ndarray
    spread: np.ndarray
    reward: str


def fragment_space(
    data: str | Path,
    subset: str = "T12",
    blocks: int = 4,
    *,
    reward: rewards.Reward | None = None,
    name: str | None = None,
) -> FragmentSpace:
    """All molecules of up to `blocks` blocks of a subset of the published table, in the folder
    `data`.

    A state is a molecule with its free stems; the source is empty, the first action places a block,
    every other binds a block to a stem, and a trajectory may stop from 2 blocks on.  Actions that
    lead to the same molecule are one action, and states that are the same molecule one state, so
    each molecule has one target mass, R(x)/Z. R: the sEH proxy where `data` holds its weights, else
    QED; both to the power 4.  Where no stem is left the published network marks the first atom of
    the block that came first: here raw is the mean over its blocks in that role, and over the atoms
    of a block that are alike to its first one, so that it depends on the molecule alone. Raises
    GraphError, one line.
    """
    if subset not in SUBSETS or not MIN_BLOCKS <= blocks <= MAX_LISTED_BLOCKS:
        raise GraphError(
            f"molecules {subset}x{blocks}: take one of {', '.join(SUBSETS)} and "
            f"{MIN_BLOCKS} to {MAX_LISTED_BLOCKS} "
            "blocks, as in molecules:T12x4:DIR"
        )
    title = name or f"molecules:{subset}x{blocks}"
    try:
        chemistry.rdkit_chem()
        table = chemistry.read_blocks(data)
        reward = reward or rewards.reward_from(data)
    except chemistry.MoleculeError as error:
        raise GraphError(f"{title}: {error}") from error
    found: dict[Key, chemistry.FragmentState] = {(0, ""): chemistry.FragmentState((), (), ())}

    def children(key: Key) -> list[Key]:
        if key[0] == blocks:
            return []
        grown = [
            (key_of(state, table), state) for state in additions(found[key], table, SUBSETS[subset])
        ]
        for child, state in grown:
            found.setdefault(child, state)
        return sorted({child for child, _ in grown})

    graph = from_children(
        (0, ""), children, lambda key: 0.0 if key[0] >= MIN_BLOCKS else None, name=title
    )
    states = [found[cast(Key, graph.label(state))] for state in graph.terminal_states]
    molecules = tuple(chemistry.assemble(state, table) for state in states)
    raw, spread = _raw(states, molecules, table, reward)
    log_reward = np.full(graph.n_states, -np.inf)
    log_reward[graph.terminal_states] = reward.log_reward(raw)
    return FragmentSpace(replace(graph, log_reward=log_reward), molecules, raw, spread, reward.name)


def additions(
    state: chemistry.FragmentState, table: chemistry.Blocks, entries: Sequence[int]
) -> list[chemistry.FragmentState]:
    """Every state with one block more; stems on one atom are alike and taken once."""
    if not state.blocks:
        return [
            chemistry.FragmentState((entry,), (), tuple((0, atom) for atom in table.places[entry]))
            for entry in entries
        ]
    new = len(state.blocks)
    grown = []
    for stem in dict.fromkeys(state.stems):
        left = list(state.stems)
        left.remove(stem)
        for entry in entries:
            first, *others = table.places[entry]
            grown.append(
                chemistry.FragmentState(
                    (*state.blocks, entry),
                    (*state.bonds, (stem[0], new, stem[1], first)),
                    (*left, *((new, atom) for atom in others)),
                )
            )
    return grown


def key_of(state: chemistry.FragmentState, table: chemistry.Blocks) -> Key:
    """What tells a state from others: the number of its blocks, and its molecule with the free
    stems of each atom.
    """
    chem = chemistry.rdkit_chem()
    marked = chem.RWMol(chemistry.assemble(state, table).mol)
    first = chemistry.first_atoms(state, table)
    for block, atom in state.stems:
        place = marked.GetAtomWithIdx(first[block] + atom)
        place.SetIsotope(place.GetIsotope() + 1)
    return len(state.blocks), chem.MolToSmiles(marked)


def _raw(
    states: Sequence[chemistry.FragmentState],
    molecules: Sequence[chemistry.Molecule],
    table: chemistry.Blocks,
    reward: rewards.Reward,
) -> tuple[np.ndarray, np.ndarray]:
    """raw [X], and how far it differs with the block that came first."""
    # a marked atom, whose molecule it is in, and its share in the mean: blocks alike, and the alike
    # atoms of a block
    variants, owner, share = [], [], []
    for place, (state, molecule) in enumerate(zip(states, molecules, strict=True)):
        marks = [(molecule.stem_atoms, 1.0)]
        if not state.stems:
            alike = chemistry.standing_in(state, table)
            marks = [((atom,), 1 / (len(alike) * len(atoms))) for atoms in alike for atom in atoms]
        variants += [chemistry.Molecule(molecule.mol, tuple(mark)) for mark, _ in marks]
        owner += [place] * len(marks)
        share += [part for _, part in marks]
    values, owner = reward.raw(variants), np.array(owner)
    low, high = np.full(len(states), np.inf), np.full(len(states), -np.inf)
    np.minimum.at(low, owner, values)
    np.maximum.at(high, owner, values)
    return np.bincount(owner, values * share, minlength=len(states)), high - low
