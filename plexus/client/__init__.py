"""The device's side in the program's hands: `Plexus`, and what 0.5.2 has beside it; loaded when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plexus.client.facade import Plexus
    from plexus.client.websocket_transport import WebSocketTransport
    from plexus.device.counters import Stats
    from plexus.device.mjpeg import read_mjpeg_frames
    from plexus.device.retrying import RetryConfig

__all__ = ["Plexus", "RetryConfig", "Stats", "WebSocketTransport", "read_mjpeg_frames"]

_HOMES = {
    "Plexus": "plexus.client.facade",
    "RetryConfig": "plexus.device.retrying",
    "Stats": "plexus.device.counters",
    "WebSocketTransport": "plexus.client.websocket_transport",
    "read_mjpeg_frames": "plexus.device.mjpeg",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'plexus.client' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
