"""`AsyncPlexusAPI`, the reader that is awaited: the names of `plexus.api.sync`."""

from __future__ import annotations

from plexus.api.asynchronous.facade import AsyncPlexusAPI

__all__ = ["AsyncPlexusAPI"]
