"""What the user names, brought to a callable that is fed tensors: loaded, bound, watched."""

from divergence_lab import open_room

open_room(
    __name__,
    {
        "AuditError": "loading",
        "load": "loading",
        "as_callable": "loading",
        "guarded": "loading",
        "wanted_arguments": "signatures",
        "signature_of": "signatures",
    },
)
