"""The search for proofs: what it finds, the checker must accept."""

from divergence_lab import open_room

open_room(__name__, {"Verdict": "verdict", "decide": "decision"})
