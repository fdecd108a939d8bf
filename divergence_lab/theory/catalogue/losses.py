"""The named losses as data: formula, reference, when to use it, and the verdicts that were derived
on paper.

Zero-forcing is read off g'(-oo), zero-avoiding off the growth of g' against e^x, convexity and the
symmetry of the divergence off g'' (theory notes in the docs). The tests hold `derive` and `decide`
against every line.
"""

from divergence_lab.theory.catalogue import classical, robust, shapes
from divergence_lab.theory.catalogue.entries import NamedLoss

LOSSES: tuple[NamedLoss, ...] = (*classical.CLASSICAL, *robust.ROBUST_STATISTICS, *shapes.SHAPES)
