"""A formula that is no loss, and so has no pieces: why, and what is said of it all the same."""
