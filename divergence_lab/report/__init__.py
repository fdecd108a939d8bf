"""Figures and the page."""

from divergence_lab import open_room

open_room(__name__, {"write_report": "page"})
