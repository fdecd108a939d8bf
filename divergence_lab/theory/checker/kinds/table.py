"""All kinds of verdict, in the order of `derive --json`. Part of the trusted checker."""

from collections.abc import Mapping

from divergence_lab.theory.checker.kinds.convexity import CONVEX, DATA_PROCESSING
from divergence_lab.theory.checker.kinds.ends import BOUNDED_GRADIENT, ZERO_AVOIDING, ZERO_FORCING
from divergence_lab.theory.checker.kinds.identities import EVEN, SYMMETRIC
from divergence_lab.theory.checker.kinds.kind import Kind
from divergence_lab.theory.checker.kinds.validity import VALIDITY

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        VALIDITY,
        CONVEX,
        DATA_PROCESSING,
        ZERO_FORCING,
        ZERO_AVOIDING,
        SYMMETRIC,
        EVEN,
        BOUNDED_GRADIENT,
    )
}
