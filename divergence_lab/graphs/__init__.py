"""What a GFlowNet walks on: functions that return a `PointedDAG` (arrays) or a `GeneratedDAG`."""

import sys

from divergence_lab import Room

_HOME = {
    "PointedDAG": "dag",
    "GraphError": "dag",
    "from_edges": "dag",
    "GeneratedDAG": "generated",
    "from_children": "children",
    "graph_from_text": "texts",
    "space_from_text": "texts",
    "EnvironmentTextError": "texts",
    "hypergrid": "spaces.hypergrid",
}

__all__ = [*_HOME]

sys.modules[__name__].__class__ = Room
