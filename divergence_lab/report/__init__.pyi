"""What the face loads when it is first used, for type checkers."""

from divergence_lab.report.page import write_report as write_report
