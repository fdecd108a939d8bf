"""Loss -> torch: the one place where theory meets tensors."""

from divergence_lab import open_room

open_room(
    __name__,
    {
        "NotRepresentable": "verified.programs",
        "formula": "formula",
        "TorchLoss": "torch_loss",
        "to_torch": "torch_loss",
        "generator_to_torch": "generators",
        "integral_to_torch": "generators",
    },
)
