"""torch callable -> which divergence: what does a loss that somebody ships really minimise?

sample g'  ->  identify g  ->  derive D_f and its verdicts  ->  problems, documented claims,
gradient on simplices

`divergence_lab.audit(thing, residual="target/model")` is the function: `auditing.audit` says what
it takes.
"""

import inspect
from typing import Any

from divergence_lab import Room, open_room


class _Callable(Room):
    # Importing any file of this room binds divergence_lab.audit to the room itself and hides the
    # public function of that name; so that `divergence_lab.audit(...)` means the same before and
    # after, the room can be called.
    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.audit(*arguments, **named)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.audit)


open_room(
    __name__,
    {
        "Audit": "result",
        "audit": "auditing",
        "to_json": "result",
        "Problem": "problems",
        "AuditError": "subjects",
    },
    _Callable,
)
