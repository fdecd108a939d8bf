"""The command line."""

from divergence_lab import open_room

open_room(__name__, {"main": "main"})
