"""All kinds of verdict, in the order of `derive --json`. Part of the trusted checker."""

from collections.abc import Mapping

from divergence_lab.theory.checker.kinds import convexity, ends, identities, validity
from divergence_lab.theory.checker.kinds.kind import Kind

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        validity.VALIDITY,
        convexity.CONVEX,
        convexity.DATA_PROCESSING,
        ends.ZERO_FORCING,
        ends.ZERO_AVOIDING,
        identities.SYMMETRIC,
        identities.EVEN,
        ends.BOUNDED_GRADIENT,
    )
}
