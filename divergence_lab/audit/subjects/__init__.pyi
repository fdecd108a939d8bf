"""What the face loads when it is first used, for type checkers."""

from divergence_lab.audit.subjects.loading import AuditError as AuditError
from divergence_lab.audit.subjects.loading import as_callable as as_callable
from divergence_lab.audit.subjects.loading import guarded as guarded
from divergence_lab.audit.subjects.loading import load as load
from divergence_lab.audit.subjects.signatures import signature_of as signature_of
from divergence_lab.audit.subjects.signatures import wanted_arguments as wanted_arguments
