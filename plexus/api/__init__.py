"""The reader's side: `PlexusAPI` asks the data API and follows live streams."""

from __future__ import annotations

from plexus.api.sync import PlexusAPI

__all__ = ["PlexusAPI"]
