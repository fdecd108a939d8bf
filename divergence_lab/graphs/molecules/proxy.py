"""The sEH binding proxy of Bengio et al. 2021: a message-passing network over atoms, in plain
PyTorch.

    h = out = act(x P0' + P1)
    12 times:  m = act(mean over bonds j -> i of out_j W(bond) + out P2' + P3),  h = out = GRU(m, h)
    Set2Set, 3 steps;  raw = q* P20' + P21;  reward = (max(0.1, raw)/8)^4

W(bond) is one of five matrices (four kinds of bond, and the self-loop of a lone atom), computed
once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from divergence_lab.graphs.molecules.chemistry import Molecule, MoleculeError

NODE, HIDDEN, STEPS, READOUTS = 71, 64, 12, 3
SMALLEST, NORM, EXPONENT = 0.1, 8.0, 4
ELEMENTS = (1, 6, 7, 8, 9)  # one-hot in columns 0 to 4, any other in 5
BONDS = ("SINGLE", "DOUBLE", "TRIPLE", "AROMATIC")
LONE = len(BONDS)  # the fifth kind: no bond at all


@dataclass(frozen=True, eq=False)
class Batch:
    """N atoms of B molecules: `nodes` [N, 71]; `source`, `target`, `kind` [E]; `molecule` [N]."""

    nodes: Tensor
    source: Tensor
    target: Tensor
    kind: Tensor
    molecule: Tensor
    n_molecules: int


@dataclass(frozen=True, eq=False)
class Proxy:
    """`weights`: the 22 published arrays as tensors; `messages` [5, 64, 64]: W of each kind of
    bond.
    """

    weights: tuple[Tensor, ...]
    messages: Tensor


def proxy(
    arrays: Sequence[np.ndarray],
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float64,
) -> Proxy:
    """The network from the published arrays (`weights.load_weights`)."""
    weights = tuple(torch.tensor(array, device=device, dtype=dtype) for array in arrays)
    kinds = torch.cat(
        [torch.eye(4, device=device, dtype=dtype), torch.zeros(1, 4, device=device, dtype=dtype)]
    )
    hidden = leaky_relu(kinds @ weights[4].T + weights[5])
    return Proxy(weights, (hidden @ weights[6].T + weights[7]).view(5, HIDDEN, HIDDEN))


def featurise(molecules: Sequence[Molecule], device: str | torch.device = "cpu") -> Batch:
    """Atoms and bonds as tensors: element, aromaticity, hybridisation, hydrogens, atomic number,
    stem.
    """
    nodes, source, target, kind, number, first = [], [], [], [], [], 0
    for place, molecule in enumerate(molecules):
        atoms = molecule.mol.GetAtoms()
        features = np.zeros((molecule.mol.GetNumAtoms(), NODE), dtype=np.float32)
        for row, atom in zip(features, atoms, strict=True):
            _fill(row, atom)
        features[list(molecule.stem_atoms) or [0], 70] = 1.0
        nodes.append(features)
        bonds = [
            (b.GetBeginAtomIdx(), b.GetEndAtomIdx(), _kind(b)) for b in molecule.mol.GetBonds()
        ]
        for one, other, which in bonds:
            source += (first + one, first + other)
            target += (first + other, first + one)
            kind += (which, which)
        if not bonds:
            source.append(first)
            target.append(first)
            kind.append(LONE)
        number += [place] * len(features)
        first += len(features)
    return Batch(
        torch.from_numpy(np.concatenate(nodes)).to(device),
        torch.tensor(source, device=device),
        torch.tensor(target, device=device),
        torch.tensor(kind, device=device),
        torch.tensor(number, device=device),
        len(molecules),
    )


def _fill(row: np.ndarray, atom) -> None:
    element = atom.GetAtomicNum()
    if not 1 <= element <= 56:
        raise MoleculeError(f"the proxy knows the elements 1 to 56 only, not {atom.GetSymbol()}")
    row[ELEMENTS.index(element) if element in ELEMENTS else 5] = 1.0
    row[9] = atom.GetIsAromatic()
    hybrid = str(atom.GetHybridization())
    if hybrid in ("SP", "SP2", "SP3"):
        row[10 + ("SP", "SP2", "SP3").index(hybrid)] = 1.0
    row[13] = atom.GetTotalNumHs(includeNeighbors=True)
    row[13 + element] += 1.0


def _kind(bond) -> int:
    name = str(bond.GetBondType())
    if name not in BONDS:
        raise MoleculeError(
            f"the proxy knows single, double, triple and aromatic bonds only, not {name.lower()}"
        )
    return BONDS.index(name)


@torch.no_grad()
def raw_prediction(network: Proxy, batch: Batch) -> Tensor:
    """raw [B]: unbounded, larger is better; in the dtype of the network."""
    p, n_atoms = network.weights, len(batch.nodes)
    out = leaky_relu(batch.nodes.to(p[0]) @ p[0].T + p[1])
    ones = torch.ones_like(batch.target, dtype=out.dtype)
    degree = torch.zeros(n_atoms, dtype=out.dtype, device=out.device).index_add_(
        0, batch.target, ones
    )
    degree = degree.clamp_(min=1.0)[:, None]
    every = network.messages.permute(1, 0, 2).reshape(HIDDEN, -1)
    hidden = out
    for _ in range(STEPS):
        sent = (out @ every).view(n_atoms, -1, HIDDEN)[batch.source, batch.kind]
        received = torch.zeros_like(out).index_add_(0, batch.target, sent) / degree
        # P2 transposed: the published loader puts it there (another reading of the same file
        # exists)
        message = leaky_relu(received + out @ p[2].T + p[3])
        out = hidden = torch.gru_cell(message, hidden, p[8], p[9], p[10], p[11])
    return (_set2set(out, batch, p) @ p[20].T + p[21])[:, 0]


def _set2set(out: Tensor, batch: Batch, p: Sequence[Tensor]) -> Tensor:
    """[B, 128]: three rounds of attention over each molecule's atoms (Vinyals et al. 2016)."""
    shape = (batch.n_molecules, HIDDEN)
    query, hidden, cell = (
        out.new_zeros(shape[0], 2 * HIDDEN),
        out.new_zeros(shape),
        out.new_zeros(shape),
    )
    for _ in range(READOUTS):
        hidden, cell = torch.lstm_cell(query, (hidden, cell), p[16], p[17], p[18], p[19])
        score = (out * hidden[batch.molecule]).sum(dim=-1)
        largest = score.new_full((shape[0],), -torch.inf).scatter_reduce_(
            0, batch.molecule, score, "amax"
        )
        weight = (score - largest[batch.molecule]).exp()
        total = score.new_zeros(shape[0]).index_add_(0, batch.molecule, weight)
        read = (
            torch.zeros_like(hidden).index_add_(0, batch.molecule, out * weight[:, None])
            / total[:, None]
        )
        query = torch.cat([hidden, read], dim=1)
    return query


def reward(raw: Tensor, exponent: float = EXPONENT) -> Tensor:
    """(max(0.1, raw)/8)^exponent; above 1 where raw is above 8."""
    return (raw.clamp(min=SMALLEST) / NORM) ** exponent
