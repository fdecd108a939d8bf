"""A function of x: read, written, split at its kinks, enclosed, compared."""

from divergence_lab import open_room

open_room(
    __name__,
    {
        "parse": "parsing",
        "write": "printing",
        "write_latex": "printing",
        "ExpressionError": "syntax",
        "Pieces": "pieces",
        "split": "pieces",
        "CannotSplit": "ordering",
        "digits": "precision",
        "x": "symbols",
        "t": "symbols",
    },
)
