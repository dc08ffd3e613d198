"""`python -m tests.simulation`: many episodes over all cores, or one with its trace (`--seed N`)."""

from __future__ import annotations

import sys

from tests.simulation.runner import main

sys.exit(main(sys.argv[1:]))
