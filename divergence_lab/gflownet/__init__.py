"""What is learned on a graph: policies, trajectories, residuals, exact laws; no loss and no
SymPy.
"""

from divergence_lab import open_room

open_room(__name__, {})
