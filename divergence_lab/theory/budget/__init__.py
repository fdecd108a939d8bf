"""Searches that can be ended: processes that answer questions, and budgets in processor time."""

from divergence_lab import open_room

open_room(__name__, {"OutOfTime": "asking", "SearchFailed": "asking", "within": "asking"})
