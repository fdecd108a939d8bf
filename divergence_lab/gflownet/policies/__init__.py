"""Parameters -> rows of logits and log F, for all members at once."""
