"""What rounding does to a gradient: digits that are lost, in each dtype, and steps that are no
jumps.
"""

from divergence_lab import open_room

open_room(
    __name__,
    {"is_rounding": "noise", "rounded": "noise", "lost_digits": "precision", "jumps": "jumps"},
)
