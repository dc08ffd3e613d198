"""The self-hosted gateway (extra `gateway`): `Gateway` runs it; everything else in here is its inside.

The name is imported when it is first used, so that a part of the gateway can be loaded without its server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plexus.gateway.running import Gateway

__all__ = ["Gateway"]


def __getattr__(name: str) -> Any:
    if name != "Gateway":
        raise AttributeError(f"module 'plexus.gateway' has no attribute {name!r}")
    from plexus.gateway.running import Gateway

    return Gateway


def __dir__() -> list[str]:
    return __all__
