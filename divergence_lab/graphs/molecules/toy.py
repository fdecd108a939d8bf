"""Molecules grown from fragments: a small space whose states are all listed.

Needs RDKit (an extra).
"""

from __future__ import annotations

import math
from functools import cache

from divergence_lab.graphs.children import from_children
from divergence_lab.graphs.dag import GraphError, PointedDAG

# SMILES with an open place, a stem, at each *.  Common in drug-like molecules; those with two stems
# are not all symmetric, so that it matters which end is bound.
FRAGMENTS = (
    "*c1ccc(*)cc1",  # phenylene
    "*c1ccnc(*)c1",  # pyridine
    "*C(=O)N*",  # amide
    "*CC*",  # ethylene
    "*N1CCN(*)CC1",  # piperazine
    "*O",  # hydroxyl
    "*F",  # fluorine
    "*C#N",  # nitrile
)
MAX_BLOCKS = 5
State = tuple[int, str]  # blocks so far; canonical SMILES with the open stems as *


class MissingRDKit(GraphError):
    """RDKit, which is an extra, is not installed."""


def molecules(blocks: int, *, name: str | None = None) -> PointedDAG:
    """R(molecule) = QED, 0 to 1 (Bickerton et al. 2012, by RDKit), open stems filled by hydrogen.

    The source is empty.  The first action chooses one of `FRAGMENTS`; every other binds a stem of
    one more fragment to a stem of the molecule; up to `blocks` of them, and a trajectory may stop
    after each.  Actions that lead to the same molecule are one action.  Labels: (number of
    fragments, canonical SMILES with the open stems as *), so that molecules that differ in their
    open stems alone are two states. Raises GraphError for a number of blocks that is too large,
    MissingRDKit without RDKit.
    """
    if not 1 <= blocks <= MAX_BLOCKS:
        raise GraphError(
            f"molecules T{blocks}: take 1 to {MAX_BLOCKS} fragments, as in molecules:T3"
        )
    title = name or f"molecules:T{blocks}"
    _rdkit(title)

    def children(state: State) -> list[State]:
        count, smiles = state
        if count == blocks:
            return []
        if count == 0:
            return [(1, _canonical(fragment)) for fragment in FRAGMENTS]
        # a set: several ways to the same molecule are one edge; sorted: slots must not depend on
        # hashing
        return sorted(
            {(count + 1, bound) for fragment in FRAGMENTS for bound in _bound(smiles, fragment)}
        )

    return from_children((0, ""), children, _log_qed, name=title)


def _rdkit(name: str) -> None:
    try:
        import rdkit.Chem.QED  # noqa: F401
    except ImportError as error:
        raise MissingRDKit(
            f"{name} needs rdkit, which is not installed here: pip install rdkit"
        ) from error


def _canonical(smiles: str) -> str:
    from rdkit import Chem

    return Chem.MolToSmiles(Chem.MolFromSmiles(smiles))


@cache
def _stems(smiles: str) -> tuple:
    """The molecule and, for each class of equivalent stems, one as (its dummy atom, the atom it
    is on).
    """
    from rdkit import Chem

    mol = Chem.MolFromSmiles(smiles)
    alike = Chem.CanonicalRankAtoms(mol, breakTies=False)
    one_each = {alike[atom.GetIdx()]: atom for atom in mol.GetAtoms() if atom.GetAtomicNum() == 0}
    return mol, tuple(
        (atom.GetIdx(), atom.GetNeighbors()[0].GetIdx()) for atom in one_each.values()
    )


def _bound(smiles: str, fragment: str) -> list[str]:
    """Canonical SMILES of every way to bind a stem of the one to a stem of the other."""
    from rdkit import Chem

    left, left_stems = _stems(smiles)
    right, right_stems = _stems(fragment)
    shift, found = left.GetNumAtoms(), []
    for left_dummy, left_atom in left_stems:
        for right_dummy, right_atom in right_stems:
            joined = Chem.RWMol(Chem.CombineMols(left, right))
            joined.AddBond(left_atom, right_atom + shift, Chem.BondType.SINGLE)
            for dummy in sorted((left_dummy, right_dummy + shift), reverse=True):
                joined.RemoveAtom(dummy)
            Chem.SanitizeMol(joined)
            found.append(Chem.MolToSmiles(joined))
    return found


def _log_qed(state: State) -> float | None:
    from rdkit import Chem
    from rdkit.Chem import QED

    count, smiles = state
    return None if count == 0 else math.log(QED.qed(Chem.MolFromSmiles(capped(smiles))))


def capped(smiles: str) -> str:
    """The molecule with its open stems filled by hydrogen, as canonical SMILES."""
    from rdkit import Chem

    mol = Chem.RWMol(Chem.MolFromSmiles(smiles))
    for atom in mol.GetAtoms():
        if atom.GetAtomicNum() == 0:
            atom.SetAtomicNum(1)
    return Chem.MolToSmiles(Chem.RemoveHs(mol))
