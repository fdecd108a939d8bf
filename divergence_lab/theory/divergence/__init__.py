"""A loss and its f-divergence: read, recognised, integrated, swapped, weighted."""

from divergence_lab import open_room

open_room(
    __name__,
    {
        "Loss": "loss",
        "Divergence": "closed_form",
        "divergence": "closed_form",
        "dual_loss": "closed_form",
        "invert": "inversion",
        "weighting": "weightings",
        "on_policy_equivalent": "weightings",
    },
)
