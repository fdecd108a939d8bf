"""How alike molecules are: Morgan fingerprints and Tanimoto similarity; Bemis-Murcko scaffolds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from divergence_lab.graphs.molecules.chemistry import Molecule, rdkit_chem

RADIUS, BITS = 2, 2048
ROWS = 1024  # rows of a similarity matrix computed at once


def fingerprints(
    molecules: Sequence[Molecule], radius: int = RADIUS, bits: int = BITS
) -> np.ndarray:
    """Morgan fingerprints, [X, bits] float32 of 0 and 1 (Rogers, Hahn 2010; RDKit, no chirality,
    no counts).
    """
    rdkit_chem()
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    make = GetMorganGenerator(radius=radius, fpSize=bits)
    rows = [make.GetFingerprintAsNumPy(molecule.mol) for molecule in molecules]
    return np.array(rows, dtype=np.float32).reshape(len(rows), bits)


def tanimoto(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """|a and b| / |a or b| of every pair of rows: [X, bits], [Y, bits] -> [X, Y] float32; 1
    where both are empty.
    """
    sizes = other.sum(axis=1)[None]
    parts = []
    for start in range(0, len(one), ROWS):
        some = one[start : start + ROWS]
        both = some @ other.T
        either = some.sum(axis=1)[:, None] + sizes - both
        parts.append(np.where(either > 0, both / np.maximum(either, 1.0), 1.0))
    return (
        np.concatenate(parts).astype(np.float32)
        if parts
        else np.zeros((0, len(other)), dtype=np.float32)
    )


def mean_similarity(prints: np.ndarray) -> float:
    """The mean Tanimoto similarity over all pairs of different places: [X, bits] -> a number;
    NaN for X < 2.
    """
    count = len(prints)
    if count < 2:
        return float("nan")
    total = tanimoto(prints, prints).sum(dtype=np.float64)
    return float((total - count) / (count * (count - 1)))  # every place is 1 like itself


def scaffolds(molecules: Sequence[Molecule]) -> list[str]:
    """Canonical SMILES of each Bemis-Murcko scaffold (rings and what links them); '' for a
    molecule without rings.
    """
    rdkit_chem()
    from rdkit.Chem.Scaffolds.MurckoScaffold import MurckoScaffoldSmiles

    return [MurckoScaffoldSmiles(mol=molecule.mol) for molecule in molecules]
