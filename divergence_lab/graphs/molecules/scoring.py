"""Items -> scores: SMILES or fragment states, by the published proxy where its weights are at
hand, else by QED.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from divergence_lab.graphs.molecules import chemistry, rewards

QED_NAME = "QED (RDKit), not the sEH proxy: name the folder of its weights with --data"
PROXY_NAME = "sEH proxy (Bengio et al. 2021), published weights"


@dataclass(frozen=True)
class Score:
    """`raw`: what the proxy says; `reward`: (max(0.1, raw)/8)^4 of the sEH proxy, QED itself of
    QED.
    """

    smiles: str
    raw: float
    reward: float
    proxy: str


def read_items(items: Iterable[str], data: str | Path | None) -> list[chemistry.Molecule]:
    """Each item is a SMILES, or a JSON file that holds a list of SMILES or of fragment states."""
    molecules, blocks = [], None
    for item in items:
        entries: Sequence[object] = (
            chemistry.read_file(Path(item)) if item.endswith(".json") else [item]
        )
        for entry in entries:
            # the reference data's way to give a bare SMILES
            smiles = (
                entry.get("smiles")
                if isinstance(entry, dict) and entry.get("blockidxs", 0) is None
                else entry
            )
            if isinstance(smiles, str):
                molecules.append(chemistry.from_smiles(smiles))
                continue
            if data is None:
                raise chemistry.MoleculeError(
                    "fragment states name the published blocks: give their folder with --data"
                )
            blocks = blocks or chemistry.read_blocks(data)
            molecules.append(chemistry.assemble(chemistry.fragment_state(entry), blocks))
    return molecules


def score(molecules: Sequence[chemistry.Molecule], data: str | Path | None = None) -> list[Score]:
    """A score of each: by the sEH proxy with the weights in the folder `data`; by QED where that
    is None.
    """
    if data is None:
        raw = gains = rewards.qed(molecules)
    else:
        from divergence_lab.graphs.molecules.proxy import reward

        raw = rewards.seh(data)(molecules)
        gains = reward(torch.from_numpy(raw)).numpy()
    by = QED_NAME if data is None else PROXY_NAME
    return [
        Score(chemistry.smiles_of(molecule), value, gain, by)
        for molecule, value, gain in zip(molecules, raw.tolist(), gains.tolist(), strict=True)
    ]
