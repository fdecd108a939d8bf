"""Losses x seeds, trained together; runs that go on where they stopped; sweeps."""

from divergence_lab import open_room

open_room(__name__, {"train": "loop"})
