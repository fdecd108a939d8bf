"""What is learned on a graph: policies, trajectories, residuals, exact laws; no loss and no
SymPy.
"""
