"""Many runs on many machines: each known by the hash of its settings, done once, and gone on with
where it was killed.
"""

from divergence_lab import open_room

open_room(
    __name__,
    {
        "Job": "points",
        "PointsFailed": "gathering",
        "SweepError": "points",
        "is_done": "claims",
        "jobs": "points",
        "read_sweep": "points",
        "run_job": "working",
        "sweep": "sweeping",
    },
)
