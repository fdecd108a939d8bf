"""Molecules assembled from the 105 published blocks (Bengio et al. 2021); needs RDKit, an extra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from divergence_lab.inputs import InputError, read_json

if TYPE_CHECKING:
    from rdkit.Chem import Mol

BLOCKS = "blocks_PDB_105.json"


class MoleculeError(InputError):
    """A molecule, or a file of them, that cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Blocks:
    """`smiles` of each block; `places`: its atoms that bind, the first of which binds when the
    block is added.
    """

    smiles: tuple[str, ...]
    places: tuple[tuple[int, ...], ...]


Bonds = tuple[tuple[int, int, int, int], ...]
Stems = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class FragmentState:
    """A molecule in progress: block numbers in the order added, `bonds` (block, block, atom,
    atom) between them, and free `stems` (block, atom).
    """

    blocks: tuple[int, ...]
    bonds: Bonds
    stems: Stems


@dataclass(frozen=True, eq=False)
class Molecule:
    """An RDKit molecule and the atoms that still carry a stem; none: the first atom stands in,
    as published.
    """

    mol: Mol
    stem_atoms: tuple[int, ...] = ()


def rdkit_chem() -> Any:
    """rdkit.Chem, quiet.  Raises MoleculeError where RDKit is not installed."""
    try:
        from rdkit import Chem, RDLogger
    except ImportError as error:
        raise MoleculeError(
            "molecules need rdkit, which is not installed here: pip install rdkit"
        ) from error
    RDLogger.DisableLog("rdApp.*")  # pyright: ignore[reportAttributeAccessIssue] (RDKit's stubs lack it)
    return Chem


def read_blocks(folder: str | Path) -> Blocks:
    """The published table of blocks from a folder.  Raises MoleculeError, naming the file."""
    path = Path(folder) / BLOCKS
    try:
        table = read_json(path)
        numbers = [str(number) for number in range(len(table["block_smi"]))]
        return Blocks(
            tuple(table["block_smi"][key] for key in numbers),
            tuple(tuple(map(int, table["block_r"][key])) for key in numbers),
        )
    except InputError as error:
        raise MoleculeError(f"{error}; name the folder that holds it") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise MoleculeError(
            f"{path} is not the published table of blocks; download it again"
        ) from None


def fragment_state(entry: Any) -> FragmentState:
    """{"blockidxs": [..], "jbonds": [[b, b, atom, atom], ..], "stems": [[block, atom], ..]} ->
    FragmentState.
    """
    try:
        return FragmentState(
            tuple(map(_whole, entry["blockidxs"])),
            cast(Bonds, tuple(tuple(map(_whole, bond)) for bond in entry["jbonds"])),
            cast(Stems, tuple(tuple(map(_whole, stem)) for stem in entry["stems"])),
        )
    except (KeyError, TypeError, ValueError):
        raise MoleculeError(
            'a fragment state is {"blockidxs": [..], "jbonds": [[b, b, atom, atom], ..], '
            '"stems": [[block, atom], ..]}'
        ) from None


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(value)
    return value


def assemble(state: FragmentState, blocks: Blocks) -> Molecule:
    """The molecule of a state: blocks side by side, single bonds between them, one hydrogen less
    at each end.
    """
    chem = rdkit_chem()
    try:
        parts = [_part(blocks.smiles[number]) for number in state.blocks]
        first = [0, *accumulate(part.GetNumAtoms() for part in parts)]
        whole = parts[0]
        for part in parts[1:]:
            whole = chem.CombineMols(whole, part)
        editable = chem.RWMol(whole)
        for one, other, at_one, at_other in state.bonds:
            ends = (first[one] + at_one, first[other] + at_other)
            editable.AddBond(*ends, chem.BondType.SINGLE)
            for end in ends:
                atom = editable.GetAtomWithIdx(end)
                if atom.GetNumExplicitHs() > 0:
                    atom.SetNumExplicitHs(atom.GetNumExplicitHs() - 1)
        mol = editable.GetMol()
        chem.SanitizeMol(mol)
        stems = sorted({first[block] + atom for block, atom in state.stems})
        if stems and stems[-1] >= mol.GetNumAtoms():
            raise IndexError
    except (IndexError, RuntimeError, OverflowError, ValueError, TypeError) as error:
        raise MoleculeError(
            f"the fragment state with blocks {list(state.blocks)} is not a molecule; check "
            "its bonds and stems"
        ) from error
    return Molecule(mol, tuple(stems))


@lru_cache(maxsize=4096)
def _part(smiles: str) -> Mol:
    return rdkit_chem().MolFromSmiles(smiles)


def first_atoms(state: FragmentState, blocks: Blocks) -> list[int]:
    """The number of each block's first atom in the molecule that `assemble` makes."""
    sizes = [_part(blocks.smiles[number]).GetNumAtoms() for number in state.blocks]
    return [0, *accumulate(sizes)][:-1]


def standing_in(state: FragmentState, blocks: Blocks) -> list[tuple[int, ...]]:
    """For each block the atoms, in the molecule, that are alike to its first one while the block
    is alone.
    """
    return [
        tuple(first + atom for atom in _like_the_first(blocks.smiles[number]))
        for first, number in zip(first_atoms(state, blocks), state.blocks, strict=True)
    ]


@lru_cache(maxsize=4096)
def _like_the_first(smiles: str) -> tuple[int, ...]:
    ranks = list(rdkit_chem().CanonicalRankAtoms(_part(smiles), breakTies=False))
    return tuple(atom for atom, rank in enumerate(ranks) if rank == ranks[0])


def from_smiles(text: str) -> Molecule:
    """The molecule that a SMILES names, in its own order of atoms, without stems."""
    mol = rdkit_chem().MolFromSmiles(text)
    if mol is None or not mol.GetNumAtoms():
        raise MoleculeError(f"{text[:60]!r} is not a SMILES that RDKit can read")
    return Molecule(mol)


def smiles_of(molecule: Molecule) -> str:
    """Canonical SMILES."""
    return rdkit_chem().MolToSmiles(molecule.mol)


def read_file(path: Path) -> Sequence[object]:
    """A JSON file that holds a list: of SMILES, or of fragment states."""
    try:
        entries = read_json(path)
    except InputError as error:
        raise MoleculeError(f"{error}; give a list of SMILES or of fragment states") from None
    if not isinstance(entries, list):
        raise MoleculeError(f"{path} holds no list; give a list of SMILES or of fragment states")
    return entries
