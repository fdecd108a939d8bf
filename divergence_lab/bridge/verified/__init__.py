"""Which program computes a loss where: every range is verified by enclosures before a user sees
it.
"""
