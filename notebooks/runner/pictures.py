"""Are two pictures of an executed lesson the same drawing? Pixels of lines and letters may differ."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

BLOCK = 12  # pixels: lines that move by less than this hardly show
LARGEST_MEAN = 0.03  # of the difference between black and white, over all blocks


def same_picture(one: str | None, other: str | None) -> bool:
    """Of two PNGs in base64, or of none and none."""
    if one is None or other is None:
        return one is other
    if one == other:
        return True
    a, b = blocks(one), blocks(other)
    return a.shape == b.shape and float(np.abs(a - b).mean()) < LARGEST_MEAN


def blocks(picture: str) -> np.ndarray:
    """Mean colours of squares of BLOCK pixels, 0 to 1: [rows, columns, 3]."""
    image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
    size = (max(1, image.width // BLOCK), max(1, image.height // BLOCK))
    return np.asarray(image.resize(size, Image.Resampling.BOX), dtype=float) / 255
