"""Molecules built of blocks, and their rewards: the published sEH proxy in plain PyTorch, or
RDKit's QED.
"""
