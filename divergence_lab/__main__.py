"""`python -m divergence_lab`: the command line."""

import sys

from divergence_lab.cli.commands import main

sys.exit(main())
