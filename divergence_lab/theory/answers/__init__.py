"""All of it for one loss, or for one generator, within a budget."""

from divergence_lab import open_room

open_room(__name__, {"derive": "derivation", "Derivation": "derivation", "check": "questions"})
