"""`PlexusAPI`, the reader that blocks. `plexus.api.asynchronous` has the same names to be awaited."""

from __future__ import annotations

from plexus.api.sync.facade import PlexusAPI

__all__ = ["PlexusAPI"]
