"""The page and figures of figure5_molecules.py, from committed results alone."""

from __future__ import annotations

from pathlib import Path


def write(results: Path, page: Path) -> None:
    """Write `page` and its figures from the folders of presets below `results`."""
