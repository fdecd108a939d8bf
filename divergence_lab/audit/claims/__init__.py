"""What a docstring or a name claims, and whether that is what was found."""

from divergence_lab import open_room

open_room(__name__, {"Claims": "reading", "claims_of": "reading", "contradictions": "reading"})
