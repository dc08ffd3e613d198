"""The reader's side: `PlexusAPI` asks the data API and follows live streams; `AsyncPlexusAPI` does it awaited.

Each is loaded when it is first named, and what it asks with (httpx, cattrs) when it is first made.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plexus.api.asynchronous import AsyncPlexusAPI
    from plexus.api.sync import PlexusAPI

__all__ = ["AsyncPlexusAPI", "PlexusAPI"]

_HOMES = {"AsyncPlexusAPI": "plexus.api.asynchronous", "PlexusAPI": "plexus.api.sync"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'plexus.api' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
