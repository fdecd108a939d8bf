"""From wishes, or from data, to losses."""

import sys

from divergence_lab import Room

_HOME = {
    "design": "search",
    "Designed": "search",
    "fit_to_tradeoffs": "from_data",
    "fit_to_residuals": "from_data",
}

__all__ = [*_HOME]

sys.modules[__name__].__class__ = Room
