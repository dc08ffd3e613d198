"""Property tests here have no deadline: how fast an example runs depends on who else uses the machine."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("plexus", deadline=None, max_examples=60)
settings.load_profile("plexus")
