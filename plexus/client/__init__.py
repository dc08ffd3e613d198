"""The device's side in the program's hands: `Plexus`, and what 0.5.2 has beside it."""

from __future__ import annotations

from plexus.client.facade import Plexus
from plexus.client.websocket_transport import WebSocketTransport
from plexus.device.counters import Stats
from plexus.device.mjpeg import read_mjpeg_frames
from plexus.device.retrying import RetryConfig

__all__ = ["Plexus", "RetryConfig", "Stats", "WebSocketTransport", "read_mjpeg_frames"]
