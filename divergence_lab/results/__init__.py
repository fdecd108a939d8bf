"""What a run leaves behind, and what is measured on it."""

from divergence_lab import open_room

open_room(
    __name__,
    {
        "Result": "result",
        "ResultError": "storage",
        "load": "storage",
        "save": "storage",
        "save_all": "storage",
    },
)
