"""What the checker knows of a function for all values of its parameters."""
