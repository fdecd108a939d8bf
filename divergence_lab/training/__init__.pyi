"""What the face loads when it is first used, for type checkers."""

from divergence_lab.training.loop import train as train
