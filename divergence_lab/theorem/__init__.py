"""The theorem in numbers: the gradient of a weighted regression loss is that of its divergence."""

from divergence_lab import open_room

open_room(
    __name__,
    {"verify": "verification", "VerifyError": "verification", "gradients_agree": "softmax"},
)
