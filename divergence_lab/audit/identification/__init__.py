"""From sampled slopes to a formula: families with fitted parameters, pieces, and the spline."""

from divergence_lab import open_room

open_room(
    __name__,
    {
        "FAMILIES": "families",
        "BLOCKS": "families",
        "Shipped": "shipped",
        "as_shipped": "shipped",
        "spline_generator": "splines",
    },
)
