"""What a GFlowNet walks on: functions that return a `PointedDAG` (arrays) or a `GeneratedDAG`."""

from divergence_lab.graphs.children import from_children
from divergence_lab.graphs.dag import GraphError, PointedDAG, from_edges
from divergence_lab.graphs.environments import EnvironmentTextError, graph_from_text, space_from_text
from divergence_lab.graphs.generated import GeneratedDAG
from divergence_lab.graphs.hypergrid import hypergrid

__all__ = [
    "EnvironmentTextError",
    "GeneratedDAG",
    "GraphError",
    "PointedDAG",
    "from_children",
    "from_edges",
    "graph_from_text",
    "hypergrid",
    "space_from_text",
]
