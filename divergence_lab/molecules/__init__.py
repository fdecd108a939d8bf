"""Rewards of molecules: the published sEH proxy in plain PyTorch, or RDKit's QED where its weights are not at hand."""
