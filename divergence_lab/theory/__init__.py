"""Loss <-> f-divergence, with proofs: SymPy and Arb, never torch."""

from divergence_lab import open_room

open_room(__name__, {})
