"""torch callable -> which divergence it minimises, and where it does not do what it says.

    subjects  ->  probing  ->  identifying  ->  gradients, problems, documentation  ->  auditing
"""

from divergence_lab.audit.auditing import Audit, audit, audit_to_json
from divergence_lab.audit.problems import Problem
from divergence_lab.audit.subjects import AuditError

__all__ = ["Audit", "AuditError", "Problem", "audit", "audit_to_json"]
