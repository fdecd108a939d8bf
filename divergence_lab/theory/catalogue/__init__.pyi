"""What the face loads when it is first used, for type checkers."""

from divergence_lab.theory.catalogue.named import generator as generator
from divergence_lab.theory.catalogue.named import lookup as lookup
from divergence_lab.theory.catalogue.named import name_of as name_of
