"""What stands beside the verdicts: each field of a document, held against the loss."""
