"""A function of x: read, written, split at its kinks, enclosed, compared."""

import sys

from divergence_lab import Room

_HOME = {
    "parse": "parsing",
    "write": "printing",
    "write_latex": "printing",
    "ExpressionError": "syntax",
    "x": "symbols",
    "t": "symbols",
}

__all__ = [*_HOME]

sys.modules[__name__].__class__ = Room
