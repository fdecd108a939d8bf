"""What the face loads when it is first used, for type checkers."""

from divergence_lab.graphs.children import from_children as from_children
from divergence_lab.graphs.dag import GraphError as GraphError
from divergence_lab.graphs.dag import PointedDAG as PointedDAG
from divergence_lab.graphs.edges import from_edges as from_edges
from divergence_lab.graphs.generated import GeneratedDAG as GeneratedDAG
from divergence_lab.graphs.spaces.hypergrid import hypergrid as hypergrid
from divergence_lab.graphs.texts import EnvironmentTextError as EnvironmentTextError
from divergence_lab.graphs.texts import graph_from_text as graph_from_text
from divergence_lab.graphs.texts import space_from_text as space_from_text
