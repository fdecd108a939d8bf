"""What a GFlowNet walks on: functions that return a `PointedDAG` (arrays) or a `GeneratedDAG`."""

from divergence_lab import open_room

open_room(
    __name__,
    {
        "PointedDAG": "dag",
        "GraphError": "dag",
        "from_edges": "edges",
        "GeneratedDAG": "generated",
        "from_children": "children",
        "graph_from_text": "texts",
        "space_from_text": "texts",
        "EnvironmentTextError": "texts",
        "hypergrid": "spaces.hypergrid",
    },
)
