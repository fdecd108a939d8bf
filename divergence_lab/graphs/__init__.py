"""What a GFlowNet walks on: functions that return a `PointedDAG` (arrays) or a `GeneratedDAG`."""

from __future__ import annotations

import sys

from divergence_lab import Room

_HOME = {"from_children": "children", "GraphError": "dag", "PointedDAG": "dag", "from_edges": "dag", "EnvironmentTextError": "environments",
         "graph_from_text": "environments", "space_from_text": "environments", "GeneratedDAG": "generated", "hypergrid": "hypergrid"}

__all__ = [*_HOME]

sys.modules[__name__].__class__ = Room
