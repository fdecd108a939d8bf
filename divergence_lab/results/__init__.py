"""What a run leaves behind, and what is measured on it."""

from divergence_lab import open_room

open_room(
    __name__,
    {
        "Result": "result",
        "ResultError": "result",
        "load": "result",
        "save": "result",
        "save_all": "result",
    },
)
