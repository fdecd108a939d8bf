"""What the face loads when it is first used, for type checkers."""

from divergence_lab.cli.main import main as main
