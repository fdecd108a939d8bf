"""Loss <-> f-divergence, with proofs: SymPy and Arb, never torch."""
