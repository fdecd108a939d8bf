"""The trusted base: what it accepts is proved.

It imports `theory.expressions` and nothing else of the package.
"""

from divergence_lab import open_room

open_room(
    __name__,
    {"check": "documents", "check_one": "documents", "Report": "documents", "Failure": "documents"},
)
