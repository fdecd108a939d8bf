"""Constants between divergences, Pinsker bounds, hockey sticks, the log Z that a loss prefers."""

from divergence_lab import open_room

open_room(
    __name__,
    {
        "best_constant": "bounds",
        "Comparison": "comparison",
        "compare": "comparison",
        "hockey_stick_weights": "hockey_stick",
        "biases_log_z": "normaliser",
        "keeps_direction": "wrong_log_z",
        "optimal_log_z": "normaliser",
        "pinsker": "pinsker",
        "repelling_residuals": "wrong_log_z",
    },
)
