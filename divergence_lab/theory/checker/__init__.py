"""The trusted base: what it accepts is proved.

It imports `theory.expressions` and nothing else of the package.
"""

import sys

from divergence_lab import Room

_HOME = {
    "check": "documents",
    "check_one": "documents",
    "Report": "documents",
    "Failure": "documents",
}

__all__ = [*_HOME]

sys.modules[__name__].__class__ = Room
