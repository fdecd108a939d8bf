"""What the face loads when it is first used, for type checkers."""

from divergence_lab.audit.auditing import audit as audit
from divergence_lab.audit.problems import Problem as Problem
from divergence_lab.audit.result import Audit as Audit
from divergence_lab.audit.result import to_json as to_json
from divergence_lab.audit.subjects import AuditError as AuditError
