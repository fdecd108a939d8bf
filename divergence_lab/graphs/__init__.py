"""What a GFlowNet walks on: functions that return a `PointedDAG`, which is arrays and nothing else."""

from divergence_lab.graphs.dag import GraphError, PointedDAG, from_edges
from divergence_lab.graphs.environments import EnvironmentTextError, graph_from_text
from divergence_lab.graphs.hypergrid import hypergrid

__all__ = ["EnvironmentTextError", "GraphError", "PointedDAG", "from_edges", "graph_from_text", "hypergrid"]
