"""`python -m divergence_lab`: the command line."""

import sys

from divergence_lab.cli.main import main

sys.exit(main())
