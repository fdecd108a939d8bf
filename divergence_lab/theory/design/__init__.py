"""From wishes, or from data, to losses."""

from divergence_lab import open_room

open_room(
    __name__,
    {
        "design": "search",
        "Designed": "proofs",
        "fit_to_tradeoffs": "from_data",
        "fit_to_residuals": "from_data",
    },
)
