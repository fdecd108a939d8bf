"""What the checker knows of one function: tails, signs, limits, integrals, identities."""
