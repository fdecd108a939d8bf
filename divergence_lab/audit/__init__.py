"""torch callable -> which divergence: what does a loss that somebody ships really minimise?

    sample g'  ->  identify g  ->  derive D_f and its verdicts  ->  problems, documented claims, gradient on simplices
"""

from __future__ import annotations

import sys
import types
from typing import Any

from divergence_lab.audit.auditing import Audit, audit, to_json
from divergence_lab.audit.problems import Problem
from divergence_lab.audit.subjects import AuditError

__all__ = ["Audit", "AuditError", "Problem", "audit", "to_json"]


class _Room(types.ModuleType):
    # Importing any file of this room binds divergence_lab.audit to the room itself and hides the public function of
    # that name; so that `divergence_lab.audit(...)` means the same before and after, the room can be called.
    def __call__(self, *arguments: Any, **named: Any) -> Audit:
        return audit(*arguments, **named)


sys.modules[__name__].__class__ = _Room
