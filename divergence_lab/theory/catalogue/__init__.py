"""Named losses and divergences, as data."""

from divergence_lab import open_room

open_room(__name__, {"lookup": "named", "name_of": "named", "generator": "named"})
